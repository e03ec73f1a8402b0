//! A study's facts in order, up to the last one that there is when the reading begins.

use fleetfit_search_spaces::Outcome;

use super::outcomes::Ends;
use super::record::Record;
use super::store::{Found, Scan, Table};
use super::{Journal, JournalError, StudyId, sequence_of};
use crate::event::Fact;

/// A study's facts in order.
pub struct Facts {
    pieces: Pieces,
    /// The rest of the record that is being read.
    pending: std::vec::IntoIter<Result<Fact, JournalError>>,
}

impl Facts {
    pub(super) fn new(pieces: Pieces) -> Self {
        Self { pieces, pending: Vec::new().into_iter() }
    }

    fn next_record(&mut self) -> Option<Result<Record, JournalError>> {
        self.read_record().transpose()
    }

    fn read_record(&mut self) -> Result<Option<Record>, JournalError> {
        let mut begun: Option<Record> = None;
        while let Some((sequence, payload)) = self.pieces.next().transpose()? {
            let is_whole = match &mut begun {
                Some(record) => record.add(&payload)?,
                None => {
                    let (record, is_whole) = Record::begin(self.pieces.id, sequence, &payload)?;
                    begun = Some(record);
                    is_whole
                }
            };
            if is_whole {
                return Ok(begun);
            }
        }
        Ok(None)
    }

    /// What the next record with outcomes has of them.
    fn next_of<T>(
        &mut self,
        read: impl Fn(&Record) -> Result<Option<T>, JournalError>,
    ) -> Option<Result<(u64, T), JournalError>> {
        loop {
            let record = match self.next_record()? {
                Ok(record) => record,
                Err(error) => return Some(Err(error)),
            };
            let found = read(&record).transpose();
            if let Some(found) = found {
                return Some(found.map(|found| (record.sequence, found)));
            }
        }
    }
}

impl Iterator for Facts {
    type Item = Result<Fact, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(fact) = self.pending.next() {
                return Some(fact);
            }
            match self.next_record()? {
                Ok(record) => self.pending = record.facts().into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The records of a study's facts as they are stored, by their sequence numbers.
pub(super) struct Pieces {
    pub(super) id: StudyId,
    pub(super) scan: Scan,
    /// The last record as it was at the beginning. It may have grown since then; what was added is
    /// not read, because it may belong to a group whose rest is in records that are not read.
    pub(super) end: Option<Found>,
    pub(super) failed: Option<JournalError>,
}

impl Pieces {
    fn read(&mut self) -> Result<Option<(u64, Vec<u8>)>, JournalError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let Some((end, _)) = &self.end else { return Ok(None) };
        let Some(found) = self.scan.next_found() else { return Ok(None) };
        let (key, mut payload) = found?;
        if key >= *end {
            let Some((end, as_it_was)) = self.end.take() else { return Ok(None) };
            if key > end {
                return Ok(None);
            }
            payload = as_it_was;
        }
        Ok(Some((sequence_of(Table::Facts, &key, &key)?, payload?)))
    }
}

impl Iterator for Pieces {
    type Item = Result<(u64, Vec<u8>), JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// A study's outcomes, those of each record together.
pub(crate) struct Blocks(Route);

enum Route {
    /// Every one.
    All(Facts),
    /// Those that the index names.
    Indexed { journal: Journal, id: StudyId, index: Scan },
}

impl Blocks {
    pub(super) fn all(facts: Facts) -> Self {
        Self(Route::All(facts))
    }

    pub(super) fn indexed(journal: &Journal, id: StudyId, index: Scan) -> Self {
        Self(Route::Indexed { journal: journal.clone(), id, index })
    }

    /// How the next block's trials ended, without a look at anything else of them.
    pub(crate) fn next_ends(&mut self) -> Option<Result<(u64, Ends), JournalError>> {
        self.next_of(|record| Ok(Some(record.ends()?).filter(|ends| ends.n() > 0)))
    }

    fn next_of<T>(
        &mut self,
        read: impl Fn(&Record) -> Result<Option<T>, JournalError>,
    ) -> Option<Result<(u64, T), JournalError>> {
        match &mut self.0 {
            Route::All(facts) => facts.next_of(read),
            Route::Indexed { journal, id, index } => loop {
                let found = index.next()?.and_then(|(key, _)| {
                    let sequence = sequence_of(Table::Blocks, &key, &key)?;
                    Ok((sequence, read(&journal.fact_record(*id, sequence)?)?))
                });
                match found {
                    Ok((_, None)) => {}
                    Ok((sequence, Some(found))) => return Some(Ok((sequence, found))),
                    Err(error) => return Some(Err(error)),
                }
            },
        }
    }
}

impl Iterator for Blocks {
    type Item = Result<(u64, Vec<Outcome>), JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_of(|record| Ok(Some(record.outcomes()?).filter(|outcomes| !outcomes.is_empty())))
    }
}
