//! Making a journal from the records of another one: facts as they were stored, and every index
//! made again from them. Until the last study is there, nobody else can open it.

use std::path::Path;

use fleetfit_search_spaces::{EntityKey, StudyId};

use super::record::{Record, pieces};
use super::store::{LONG_SEGMENT_BYTES, Table, Write, damaged};
use super::{
    BLOCK_ENTITIES, Journal, JournalError, Prefix, Status, StudyHead, StudyRecord, Summary, json,
    model_entry, number,
};
use crate::engine::index;
use crate::event::Fact;
use crate::state::StudyState;

/// The mark of a journal that is not whole yet.
const RESTORING: &[u8] = b"restoring";
/// Changes that are written at once.
const BATCH: usize = 500;

impl Journal {
    /// A journal that is empty, and that nobody opens before `end_restore`. Records are stored as
    /// they were, also those of earlier versions, which are longer.
    pub(crate) fn begin_restore(dir: &Path) -> Result<Self, JournalError> {
        let journal = Self::open_with(dir, LONG_SEGMENT_BYTES)?;
        journal.write(&[Write::put(Table::Meta, RESTORING.to_vec(), Vec::new())])?;
        Ok(journal)
    }

    /// The journal is whole; the next study gets this number.
    pub(crate) fn end_restore(&self, next: StudyId) -> Result<(), JournalError> {
        self.write(&[
            Write::put(Table::Meta, b"next_study".to_vec(), next.key().to_vec()),
            Write::remove(Table::Meta, RESTORING.to_vec()),
        ])
    }

    /// Refuses a journal that was not restored to its end.
    pub(super) fn is_whole(&self, dir: &Path) -> Result<(), JournalError> {
        match self.store.has(Table::Meta, RESTORING)? {
            true => Err(JournalError::Unrestored { dir: dir.to_owned() }),
            false => Ok(()),
        }
    }

    /// The number that the next study gets.
    pub(crate) fn next_study(&self) -> Result<StudyId, JournalError> {
        Ok(match self.store.get(Table::Meta, b"next_study")? {
            Some(bytes) => StudyId(number(Table::Meta, b"next_study", &bytes)?),
            None => StudyId(0),
        })
    }

    /// A study's facts as they are stored, up to the last one there is when this is called.
    pub(crate) fn pieces(
        &self,
        id: StudyId,
    ) -> impl Iterator<Item = Result<(u64, Vec<u8>), JournalError>> + use<> {
        self.pieces_from(id, 0)
    }

    fn write(&self, writes: &[Write]) -> Result<(), JournalError> {
        let _writer = self.writer();
        self.store.commit(writes)
    }
}

/// A study that is being restored. It is there once it is finished.
pub(crate) struct Restoring {
    journal: Journal,
    record: StudyRecord,
    /// What its facts amount to; why there is nothing, if its job cannot be read.
    state: Result<StudyState, String>,
    entities: u32,
    /// A record whose last pieces are missing.
    begun: Option<Record>,
    has_facts: bool,
    writes: Vec<Write>,
}

impl Restoring {
    pub(crate) fn begin(
        journal: Journal,
        id: StudyId,
        head: StudyHead,
        summary: Summary,
    ) -> Result<Self, JournalError> {
        journal.write(&[Write::put(Table::Unfinished, id.key().to_vec(), Vec::new())])?;
        let record = StudyRecord { id, head, summary };
        let state = record.study().map_err(|problems| problems.to_string()).map(|study| {
            let mut state = StudyState::new(study, record.head.seed, record.head.entities);
            state.identify(id);
            state
        });
        let writes = pieces(Table::Studies, &id.key(), &json(&record.head)?);
        Ok(Self { journal, record, state, entities: 0, begun: None, has_facts: false, writes })
    }

    pub(crate) fn add_entities(&mut self, keys: &[EntityKey]) -> Result<(), JournalError> {
        self.journal.write_entities(self.record.id, self.entities, keys)?;
        self.entities += keys.len() as u32;
        Ok(())
    }

    /// Stores a record of facts, or a part of one, where it was.
    pub(crate) fn add_piece(&mut self, at: u64, payload: Vec<u8>) -> Result<(), JournalError> {
        let id = self.record.id;
        let (record, is_whole) = match self.begun.take() {
            None => Record::begin(id, at, &payload)?,
            Some(mut record) => {
                let is_whole = record.add(&payload)?;
                (record, is_whole)
            }
        };
        self.writes.push(Write::put(Table::Facts, id.with(at), payload));
        if is_whole {
            self.index(&record)?;
        } else {
            self.begun = Some(record);
        }
        if self.writes.len() >= BATCH { self.write() } else { Ok(()) }
    }

    /// What is looked up without reading every fact.
    fn index(&mut self, record: &Record) -> Result<(), JournalError> {
        let id = self.record.id;
        let sequence = record.sequence.to_be_bytes();
        let mut has_proposal = false;
        let mut blocks: Vec<u32> = Vec::new();
        for fact in record.facts() {
            let fact = fact?;
            self.has_facts = true;
            if let Ok(state) = &mut self.state {
                state.apply(&fact);
            }
            match fact {
                Fact::Proposed { number, .. } if !has_proposal => {
                    has_proposal = true;
                    let at = [id.key(), number.to_be_bytes()].concat();
                    self.writes.push(Write::put(Table::Proposals, at, sequence.to_vec()));
                }
                Fact::Ended { outcomes } if self.record.head.entities > BLOCK_ENTITIES => {
                    blocks.extend(outcomes.iter().map(|outcome| outcome.entity / BLOCK_ENTITIES));
                    blocks.sort_unstable();
                    blocks.dedup();
                }
                Fact::Refitted { models } => {
                    self.writes.extend(models.iter().map(|refit| model_entry(id, refit)));
                }
                _ => {}
            }
        }
        self.writes.extend(blocks.into_iter().map(|block| {
            let at = [&id.key()[..], &block.to_be_bytes(), &sequence].concat();
            Write::put(Table::Blocks, at, Vec::new())
        }));
        Ok(())
    }

    /// The study is there from now on. Says why its job cannot be read, if so; then it stands as it
    /// did when it was copied, and has no best.
    pub(crate) fn finish(mut self) -> Result<Option<String>, JournalError> {
        let id = self.record.id;
        if self.entities != self.record.head.entities {
            return Err(damaged(Table::Entities, &id.key()));
        }
        let mut summary = match &mut self.state {
            Ok(_) if !self.has_facts => Summary::default(),
            Ok(state) => index(state).summary,
            Err(_) => self.record.summary.clone(),
        };
        if summary.status == Status::Running {
            summary.status = Status::Interrupted;
        }
        for entity in 0..self.entities {
            let best = self.state.as_ref().ok().and_then(|state| state.best(entity));
            if let Some((value, configuration)) = best {
                self.writes.push(super::best_entry(id, entity, value, configuration));
            }
            if self.writes.len() >= super::BATCH {
                self.write()?;
            }
        }
        let name = self.record.head.name.as_bytes().to_vec();
        self.writes.extend([
            Write::put(Table::Summaries, id.key().to_vec(), json(&summary)?),
            Write::put(Table::Names, name, id.key().to_vec()),
            Write::remove(Table::Unfinished, id.key().to_vec()),
        ]);
        self.write()?;
        Ok(self.state.err())
    }

    /// The study is not wanted.
    pub(crate) fn drop_it(self) -> Result<(), JournalError> {
        self.journal.erase(self.record.id)
    }

    fn write(&mut self) -> Result<(), JournalError> {
        self.journal.write(&std::mem::take(&mut self.writes))
    }
}
