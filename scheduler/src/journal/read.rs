//! Looking things up: studies, facts in order, and the entries of each index.

use fleetfit_search_spaces::wire::ModelAddress;
use fleetfit_search_spaces::{Configuration, EntityKey};

use super::StudyId;
use super::bytes::{Malformed, Reader};
use super::facts::{Blocks, Facts, Pieces};
use super::record::{MORE, Record};
use super::store::{Table, damaged};
use super::study::{DamagedStudy, Listing, StudyHead, StudyRecord, Summary};
use super::{BLOCK_ENTITIES, Journal, Prefix, fact, number, sequence_of};
use crate::journal::JournalError;

impl Journal {
    /// Whether the journal can be read and written, as far as that can be told without a write.
    pub fn check(&self) -> Result<(), JournalError> {
        self.store.check()?;
        // A look-up goes the way of every other one; nothing has this name.
        self.find("").map(drop)
    }

    /// The study of this name.
    pub fn find(&self, name: &str) -> Result<Option<StudyRecord>, JournalError> {
        let Some(bytes) = self.store.get(Table::Names, name.as_bytes())? else {
            return Ok(None);
        };
        let id = StudyId(number(Table::Names, name.as_bytes(), &bytes)?);
        match self.record(id) {
            // It was deleted between the two lookups.
            Err(JournalError::NoStudy { .. }) => Ok(None),
            found => found.map(Some),
        }
    }

    /// The number of the study of this name, also of one that is damaged.
    pub fn number_of(&self, name: &str) -> Result<Option<StudyId>, JournalError> {
        match self.store.get(Table::Names, name.as_bytes()) {
            Ok(bytes) => bytes
                .map(|bytes| number(Table::Names, name.as_bytes(), &bytes).map(StudyId))
                .transpose(),
            Err(error) => match self.number_by_head(name)? {
                Some(id) => Ok(Some(id)),
                None => Err(error),
            },
        }
    }

    /// The number of the study that calls itself so.
    fn number_by_head(&self, name: &str) -> Result<Option<StudyId>, JournalError> {
        for key in self.store.keys(Table::Summaries, &[], usize::MAX)? {
            let id = StudyId(number(Table::Summaries, &key, &key)?);
            if self.head(id).is_ok_and(|head| head.is_some_and(|head| head.name == name)) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Every study in order of creation; those that cannot be read are left out.
    pub fn list(&self) -> Result<Vec<StudyRecord>, JournalError> {
        Ok(self.listing()?.records)
    }

    /// Every study, and those that are there and cannot be read.
    pub fn listing(&self) -> Result<Listing, JournalError> {
        let mut listing = Listing::default();
        let mut names = self.store.scan(Table::Names, &[], &[]);
        while let Some(found) = names.next_found() {
            let (name, bytes) = found?;
            let read = bytes
                .and_then(|bytes| number(Table::Names, &name, &bytes))
                .and_then(|id| self.record(StudyId(id)));
            match read {
                Ok(record) => listing.records.push(record),
                // It was deleted since the name was read.
                Err(JournalError::NoStudy { .. }) => {}
                Err(reason @ (JournalError::Corrupt { .. } | JournalError::Newer { .. })) => {
                    let name = String::from_utf8_lossy(&name).into_owned();
                    listing.damaged.push(DamagedStudy { name, reason: reason.to_string() });
                }
                Err(error) => return Err(error),
            }
        }
        listing.records.sort_unstable_by_key(|record| record.id);
        Ok(listing)
    }

    /// The study of this number.
    pub fn record(&self, id: StudyId) -> Result<StudyRecord, JournalError> {
        let missing = JournalError::NoStudy { number: id.0 };
        if self.store.has(Table::Unfinished, &id.key())? {
            return Err(missing);
        }
        let head = self.head(id)?.ok_or(missing)?;
        Ok(StudyRecord { id, head, summary: self.summary(id)? })
    }

    /// What was submitted, while it is stored.
    pub(super) fn head(&self, id: StudyId) -> Result<Option<StudyHead>, JournalError> {
        let head = self.whole(Table::Studies, &id.key())?;
        let read = |head: Vec<u8>| serde_json::from_slice(&head);
        head.map(read).transpose().map_err(|_| damaged(Table::Studies, &id.key()))
    }

    /// Where a study stands.
    pub fn summary(&self, id: StudyId) -> Result<Summary, JournalError> {
        let bytes = self.store.get(Table::Summaries, &id.key())?;
        let bytes = bytes.ok_or(JournalError::NoStudy { number: id.0 })?;
        serde_json::from_slice(&bytes).map_err(|_| damaged(Table::Summaries, &id.key()))
    }

    /// A study's facts in the order in which they were appended, up to the last one there is when
    /// this is called. Blocks of outcomes may come joined or cut.
    pub fn facts(&self, id: StudyId) -> Facts {
        self.facts_from(id, 0)
    }

    /// How many bytes the study's facts take, the store's own overhead left out.
    pub fn fact_bytes(&self, id: StudyId) -> Result<u64, JournalError> {
        let scan = self.store.scan(Table::Facts, &id.key(), &[]);
        scan.map(|entry| entry.map(|(_, piece)| piece.len() as u64)).sum()
    }

    /// The facts from this record on.
    pub(crate) fn facts_from(&self, id: StudyId, sequence: u64) -> Facts {
        Facts::new(self.pieces_from(id, sequence))
    }

    /// The records of a study's facts as they are stored, from this one on.
    pub(super) fn pieces_from(&self, id: StudyId, sequence: u64) -> Pieces {
        let (end, failed) = match self.store.last(Table::Facts, &id.key()) {
            Ok(end) => (end, None),
            Err(error) => (None, Some(error)),
        };
        let scan = self.store.scan(Table::Facts, &id.key(), &sequence.to_be_bytes());
        Pieces { id, scan, end, failed }
    }

    /// The record of this sequence number.
    pub(super) fn fact_record(&self, id: StudyId, sequence: u64) -> Result<Record, JournalError> {
        let piece = |sequence: u64| {
            let key = id.with(sequence);
            let piece = self.store.get(Table::Facts, &key)?;
            piece.ok_or_else(|| damaged(Table::Facts, &key))
        };
        let (mut record, mut is_whole) = Record::begin(id, sequence, &piece(sequence)?)?;
        for following in sequence + 1.. {
            if is_whole {
                break;
            }
            is_whole = record.add(&piece(following)?)?;
        }
        Ok(record)
    }

    /// The outcomes from this record on, those of each record together and with its sequence number;
    /// of one entity, those of records that may hold some of its.
    pub(crate) fn blocks(&self, record: &StudyRecord, entity: Option<u32>, from: u64) -> Blocks {
        let id = record.id;
        match entity {
            Some(entity) if record.head.entities > BLOCK_ENTITIES => {
                let block = (entity / BLOCK_ENTITIES).to_be_bytes();
                let prefix = [id.key(), block].concat();
                let index = self.store.scan(Table::Blocks, &prefix, &from.to_be_bytes());
                Blocks::indexed(self, id, index)
            }
            _ => Blocks::all(self.facts_from(id, from)),
        }
    }

    /// An entity's best value and configuration among its own trials.
    pub fn best(&self, id: StudyId, entity: u32) -> Result<Option<(f64, u32)>, JournalError> {
        let key = [id.key(), entity.to_be_bytes()].concat();
        self.store.get(Table::Best, &key)?.map(|bytes| read_best(&key, &bytes)).transpose()
    }

    /// Where the model of a winner lies, or why there is none; nothing before it was fitted.
    pub fn model(
        &self,
        id: StudyId,
        entity: u32,
        configuration: u32,
    ) -> Result<Option<Result<ModelAddress, String>>, JournalError> {
        let numbers = [entity.to_be_bytes(), configuration.to_be_bytes()].concat();
        let key = [&id.key()[..], &numbers].concat();
        let Some(bytes) = self.store.get(Table::Models, &key)? else {
            return Ok(None);
        };
        let mut reader = Reader(&bytes);
        let model = fact::read_model(&mut reader).and_then(|model| reader.end().map(|()| model));
        model.map(Some).map_err(|Malformed| damaged(Table::Models, &key))
    }

    /// The configuration of this number.
    pub fn configuration(
        &self,
        id: StudyId,
        number: u32,
    ) -> Result<Option<Configuration>, JournalError> {
        let key = [id.key(), number.to_be_bytes()].concat();
        if let Some((at, sequence)) = self.store.at_or_below(Table::Proposals, &id.key(), &key)? {
            let sequence = sequence_of(Table::Proposals, &at, &sequence?)?;
            if let Some(found) = self.fact_record(id, sequence)?.proposed(number)? {
                return Ok(Some(found));
            }
        }
        self.whole(Table::Configurations, &key)?
            .map(|text| {
                serde_json::from_slice(&text).map_err(|_| damaged(Table::Configurations, &key))
            })
            .transpose()
    }

    /// The key of this entity.
    pub fn entity(&self, id: StudyId, entity: u32) -> Result<Option<EntityKey>, JournalError> {
        let key = [id.key(), entity.to_be_bytes()].concat();
        self.store.get(Table::Entities, &key)?.map(|bytes| read_entity(&key, &bytes)).transpose()
    }

    /// The index of the entity whose [`EntityKey::text`] this is.
    pub fn entity_index(&self, id: StudyId, text: &str) -> Result<Option<u32>, JournalError> {
        let key = [&id.key(), text.as_bytes()].concat();
        let Some(bytes) = self.store.get(Table::EntityByKey, &key)? else {
            return Ok(None);
        };
        number(Table::EntityByKey, &key, &bytes).map(Some)
    }

    /// Every entity's key in the order of their indices.
    pub fn entities(
        &self,
        id: StudyId,
    ) -> impl Iterator<Item = Result<EntityKey, JournalError>> + Send + use<> {
        let scan = self.store.scan(Table::Entities, &id.key(), &[]);
        scan.map(|entry| {
            let (key, bytes) = entry?;
            read_entity(&key, &bytes)
        })
    }

    /// A text that was stored in pieces.
    pub(super) fn whole(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, JournalError> {
        let mut text = Vec::new();
        for part in 0..=u16::MAX {
            let at = [key, &part.to_be_bytes()].concat();
            let Some(piece) = self.store.get(table, &at)? else {
                return if part == 0 { Ok(None) } else { Err(damaged(table, &at)) };
            };
            let (more, piece) = piece.split_first().ok_or_else(|| damaged(table, &at))?;
            text.extend_from_slice(piece);
            if *more != MORE {
                break;
            }
        }
        Ok(Some(text))
    }
}

fn read_best(key: &[u8], bytes: &[u8]) -> Result<(f64, u32), JournalError> {
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<4>()) {
        (Some(value), Some(configuration)) if bytes.len() == 12 => {
            Ok((f64::from_be_bytes(*value), u32::from_be_bytes(*configuration)))
        }
        _ => Err(damaged(Table::Best, key)),
    }
}

fn read_entity(key: &[u8], bytes: &[u8]) -> Result<EntityKey, JournalError> {
    serde_json::from_slice(bytes).map_err(|_| damaged(Table::Entities, key))
}
