//! The form of a record of facts: a byte that tells the form, then one fact, a piece of one, or
//! several, one after another.
//!
//! A store's record costs a hundred times what an outcome does, so small facts share one. A record
//! only ever grows at its end, by being written again: its place in the order stays, and so does
//! the place of each outcome in it.

use std::ops::Range;

use fleetfit_search_spaces::{Configuration, Outcome};

use super::bytes::{Malformed, Reader, Writer};
use super::fact::MAX_RECORD_BYTES;
use super::outcomes::Ends;
use super::store::{Table, Write, damaged};
use super::{JournalError, Prefix, StudyId, fact};
use crate::event::Fact;

/// What a whole text, or its last piece, begins with.
const WHOLE: u8 = 0;
/// What a piece of something longer than a record begins with, if another piece follows.
pub(super) const MORE: u8 = 1;
/// What several facts begin with, each of which follows its length.
const PACKED: u8 = 2;

/// One record, its pieces put together.
#[derive(Debug)]
pub(super) struct Record {
    id: StudyId,
    /// The sequence number of its first piece.
    pub(super) sequence: u64,
    bytes: Vec<u8>,
    is_packed: bool,
}

impl Record {
    /// A record that begins with this piece, and whether it ends with it.
    pub(super) fn begin(
        id: StudyId,
        sequence: u64,
        payload: &[u8],
    ) -> Result<(Self, bool), JournalError> {
        let (form, bytes) = match payload.split_first() {
            Some((&form @ (WHOLE | MORE | PACKED), bytes)) => (form, bytes.to_vec()),
            _ => return Err(damaged(Table::Facts, &id.with(sequence))),
        };
        Ok((Self { id, sequence, bytes, is_packed: form == PACKED }, form != MORE))
    }

    /// Takes the next piece, and tells whether it is the last.
    pub(super) fn add(&mut self, payload: &[u8]) -> Result<bool, JournalError> {
        match payload.split_first() {
            Some((&form @ (WHOLE | MORE), bytes)) if !self.is_packed => {
                self.bytes.extend_from_slice(bytes);
                Ok(form != MORE)
            }
            _ => Err(self.damaged()),
        }
    }

    /// Its facts in order, as far as they can be read.
    pub(super) fn facts(&self) -> Vec<Result<Fact, JournalError>> {
        let Ok(places) = self.places() else { return vec![Err(self.damaged())] };
        places.into_iter().map(|place| self.read(&self.bytes[place])).collect()
    }

    /// The outcomes of all its blocks, one after another.
    pub(super) fn outcomes(&self) -> Result<Vec<Outcome>, JournalError> {
        let mut all = Vec::new();
        for place in self.places().map_err(|Malformed| self.damaged())? {
            let bytes = &self.bytes[place];
            if fact::holds_outcomes(bytes) {
                match self.read(bytes)? {
                    Fact::Ended { outcomes } if all.is_empty() => all = outcomes,
                    Fact::Ended { outcomes } => all.extend(outcomes),
                    _ => return Err(self.damaged()),
                }
            }
        }
        Ok(all)
    }

    /// How many trials all its blocks end, and how.
    pub(super) fn ends(&self) -> Result<Ends, JournalError> {
        let mut all = Ends::default();
        for place in self.places().map_err(|Malformed| self.damaged())? {
            all.add(fact::ends(&self.bytes[place]).map_err(|Malformed| self.damaged())?);
        }
        Ok(all)
    }

    /// The configuration of this number, if it was proposed here.
    pub(super) fn proposed(&self, number: u32) -> Result<Option<Configuration>, JournalError> {
        for place in self.places().map_err(|Malformed| self.damaged())? {
            let bytes = &self.bytes[place];
            if fact::proposes(bytes) == Some(number)
                && let Fact::Proposed { configuration, .. } = self.read(bytes)?
            {
                return Ok(Some(configuration));
            }
        }
        Ok(None)
    }

    /// Where its facts are in its bytes.
    fn places(&self) -> Result<Vec<Range<usize>>, Malformed> {
        if !self.is_packed {
            return Ok(std::iter::once(0..self.bytes.len()).collect());
        }
        let mut places = Vec::new();
        let mut reader = Reader(&self.bytes);
        while !reader.0.is_empty() {
            let length = reader.bytes()?.len();
            let end = self.bytes.len() - reader.0.len();
            places.push(end - length..end);
        }
        Ok(places)
    }

    fn read(&self, bytes: &[u8]) -> Result<Fact, JournalError> {
        fact::decode(bytes).map_err(|Malformed| match bytes.first() {
            // Records are sealed, so this is what was written.
            Some(&tag) if tag > fact::LAST_TAG => JournalError::Newer {
                what: "a fact of the journal".to_owned(),
                found: u32::from(tag),
                known: u32::from(fact::LAST_TAG),
            },
            _ => self.damaged(),
        })
    }

    fn damaged(&self) -> JournalError {
        damaged(Table::Facts, &self.id.with(self.sequence))
    }
}

/// A record to which facts can be added.
pub(super) struct Pack {
    pub(super) payload: Vec<u8>,
}

impl Pack {
    /// A record of one fact.
    pub(super) fn of(fact: &[u8]) -> Self {
        let mut pack = Self { payload: vec![PACKED] };
        pack.push(fact);
        pack
    }

    /// A stored record as one to add to, if it is one.
    pub(super) fn stored(payload: Vec<u8>) -> Option<Self> {
        (payload.first() == Some(&PACKED)).then_some(Self { payload })
    }

    /// Adds a fact.
    pub(super) fn push(&mut self, fact: &[u8]) {
        let mut writer = Writer(std::mem::take(&mut self.payload));
        writer.bytes(fact);
        self.payload = writer.0;
    }
}

/// Bytes of any length as records: whether more follow, then a piece.
pub(super) fn cut(bytes: &[u8]) -> Vec<Vec<u8>> {
    let n = bytes.len().div_ceil(MAX_RECORD_BYTES).max(1);
    let mut chunks = bytes.chunks(MAX_RECORD_BYTES);
    (1..=n)
        .map(|nth| {
            let mut piece = vec![if nth < n { MORE } else { WHOLE }];
            piece.extend_from_slice(chunks.next().unwrap_or_default());
            piece
        })
        .collect()
}

/// A text of any length under one key, its pieces numbered.
pub(super) fn pieces(table: Table, key: &[u8], bytes: &[u8]) -> Vec<Write> {
    cut(bytes)
        .into_iter()
        .zip(0u16..)
        .map(|(piece, part)| Write::put(table, [key, &part.to_be_bytes()].concat(), piece))
        .collect()
}
