//! Looking things up: studies, facts in order, and the entries of each index.

use fleetfit_search_spaces::wire::ModelAddress;
use fleetfit_search_spaces::{Configuration, EntityKey, Outcome};

use super::StudyId;
use super::bytes::{Malformed, Reader};
use super::record::{MORE, Record};
use super::store::{Found, Scan, Table, damaged};
use super::study::{StudyHead, StudyRecord, Summary};
use super::{BLOCK_ENTITIES, Journal, Prefix, fact, number, sequence_of};
use crate::event::Fact;
use crate::journal::JournalError;

impl Journal {
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

    /// Every study in order of creation.
    pub fn list(&self) -> Result<Vec<StudyRecord>, JournalError> {
        let mut ids = Vec::new();
        for entry in self.store.scan(Table::Names, &[], &[]) {
            let (name, bytes) = entry?;
            ids.push(StudyId(number(Table::Names, &name, &bytes)?));
        }
        ids.sort_unstable();
        let mut records = Vec::with_capacity(ids.len());
        for id in ids {
            match self.record(id) {
                Err(JournalError::NoStudy { .. }) => {}
                found => records.push(found?),
            }
        }
        Ok(records)
    }

    /// The study of this number.
    pub fn record(&self, id: StudyId) -> Result<StudyRecord, JournalError> {
        let missing = JournalError::NoStudy { number: id.0 };
        if self.store.get(Table::Unfinished, &id.key())?.is_some() {
            return Err(missing);
        }
        let Some(head) = self.whole(Table::Studies, &id.key())? else {
            return Err(missing);
        };
        let head: StudyHead =
            serde_json::from_slice(&head).map_err(|_| damaged(Table::Studies, &id.key()))?;
        Ok(StudyRecord { id, head, summary: self.summary(id)? })
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
        let pending = Vec::new().into_iter();
        let (end, failed) = match self.store.last(Table::Facts, &id.key()) {
            Ok(end) => (end, None),
            Err(error) => (None, Some(error)),
        };
        let scan = self.store.scan(Table::Facts, &id.key(), &sequence.to_be_bytes());
        Facts { id, scan, end, failed, pending }
    }

    /// The record of this sequence number.
    fn fact_record(&self, id: StudyId, sequence: u64) -> Result<Record, JournalError> {
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
                Blocks(Route::Indexed { journal: self.clone(), id, index })
            }
            _ => Blocks(Route::All(self.facts_from(id, from))),
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

/// A record's key and what it holds.
type Piece = (Vec<u8>, Vec<u8>);

/// A study's facts in order.
pub struct Facts {
    id: StudyId,
    scan: Scan,
    /// The last record as it was at the beginning. It may have grown since then; what was added is
    /// not read, because it may belong to a group whose rest is in records that are not read.
    end: Option<Found>,
    failed: Option<JournalError>,
    /// The rest of the record that is being read.
    pending: std::vec::IntoIter<Result<Fact, JournalError>>,
}

impl Facts {
    fn next_record(&mut self) -> Option<Result<Record, JournalError>> {
        if let Some(error) = self.failed.take() {
            return Some(Err(error));
        }
        self.read_record().transpose()
    }

    fn read_record(&mut self) -> Result<Option<Record>, JournalError> {
        let mut begun: Option<Record> = None;
        while let Some((key, payload)) = self.next_piece()? {
            let is_whole = match &mut begun {
                Some(record) => record.add(&payload)?,
                None => {
                    let sequence = sequence_of(Table::Facts, &key, &key)?;
                    let (record, is_whole) = Record::begin(self.id, sequence, &payload)?;
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

    fn next_piece(&mut self) -> Result<Option<Piece>, JournalError> {
        let Some((end, _)) = &self.end else { return Ok(None) };
        let Some(entry) = self.scan.next() else { return Ok(None) };
        // A damaged record has no key; only the last one is read from elsewhere.
        let (key, payload) = entry?;
        if *key < **end {
            return Ok(Some((key.to_vec(), payload)));
        }
        let Some((end, payload)) = self.end.take() else { return Ok(None) };
        if *key == *end { Ok(Some((end, payload?))) } else { Ok(None) }
    }

    /// The outcomes of the next record that has any.
    fn next_block(&mut self) -> Option<Result<(u64, Vec<Outcome>), JournalError>> {
        loop {
            let record = match self.next_record()? {
                Ok(record) => record,
                Err(error) => return Some(Err(error)),
            };
            match record.outcomes() {
                Ok(outcomes) if outcomes.is_empty() => {}
                read => return Some(read.map(|outcomes| (record.sequence, outcomes))),
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

/// A study's outcomes, those of each record together.
pub(crate) struct Blocks(Route);

enum Route {
    /// Every one.
    All(Facts),
    /// Those that the index names.
    Indexed { journal: Journal, id: StudyId, index: Scan },
}

impl Iterator for Blocks {
    type Item = Result<(u64, Vec<Outcome>), JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Route::All(facts) => facts.next_block(),
            Route::Indexed { journal, id, index } => {
                let entry = index.next()?;
                let key = entry.and_then(|(key, _)| sequence_of(Table::Blocks, &key, &key));
                Some(key.and_then(|sequence| {
                    Ok((sequence, journal.fact_record(*id, sequence)?.outcomes()?))
                }))
            }
        }
    }
}
