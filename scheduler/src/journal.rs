//! The ordered facts of every study, and the indexes that follow from them, in sled.
//!
//! One thread writes, any number read. A group of facts and its index entries are stored all or
//! not at all, and are on disk when [`Journal::append`] returns. What a reader finds is checked:
//! damage and forms of later versions are errors. It decides nothing and reads no clock.
//!
//! Read next: `journal/store.rs` for the tables, `journal/fact.rs` for a fact's form, and
//! `query.rs` for the questions that users ask.

mod bytes;
mod documents;
mod error;
mod fact;
mod facts;
mod lock;
mod memory;
mod outcomes;
mod reached;
mod read;
mod record;
mod restore;
mod store;
mod study;
mod tail;
mod witness;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fleetfit_search_spaces::EntityKey;
use fleetfit_search_spaces::wire::Refit;

use self::bytes::Writer;
use self::memory::Memory;
use self::record::pieces;
use self::store::{SEGMENT_BYTES, Store, Table, Write};
use self::tail::Tail;
use crate::event::Fact;

pub use self::error::JournalError;
pub(crate) use self::facts::Blocks;
pub use self::facts::Facts;
pub(crate) use self::outcomes::Ends;
pub(crate) use self::restore::Restoring;
pub use self::study::{
    DamagedStudy, Index, Listing, NewStudy, Status, StudyHead, StudyRecord, Summary,
};
pub use fleetfit_search_spaces::StudyId;

/// The version of the journal's layout. In 1 every fact had a record, and every configuration too;
/// what is stored so stays so. In 3 there are kinds of facts that 2 does not have.
pub(crate) const FORMAT: u32 = 3;
/// Entities whose facts are found together.
pub(crate) const BLOCK_ENTITIES: u32 = 256;
/// Changes written at once where a study has more than memory should hold.
const BATCH: usize = 2_000;
/// Records removed at once: others wait no longer than that to write.
const ERASED: usize = 500;
/// The longest entity key that is kept.
const MAX_KEY_BYTES: usize = 1024;
/// The longest name that is kept.
const MAX_NAME_BYTES: usize = 512;

/// The journal. Clones share it; the directory is free again when the last one is dropped.
#[derive(Clone)]
pub struct Journal {
    store: Arc<Store>,
    /// The ends of the studies that were written to. Holding it is the right to write.
    tails: Arc<Mutex<HashMap<StudyId, Tail>>>,
    memory: Arc<Mutex<Memory>>,
}

impl Journal {
    /// Locks the directory, creates or opens the journal in it, and finishes what a killed process
    /// left half done: studies half created or deleted go, those that were running are interrupted.
    pub fn open(dir: &Path) -> Result<Self, JournalError> {
        Self::open_with(dir, SEGMENT_BYTES)
    }

    /// The same, with segments of this size if there is no journal yet.
    fn open_with(dir: &Path, segment_bytes: usize) -> Result<Self, JournalError> {
        let store = Store::open(dir, segment_bytes)?;
        let found = match store.get(Table::Meta, b"format")? {
            None => 0,
            Some(bytes) => number(Table::Meta, b"format", &bytes)?,
        };
        if found > FORMAT {
            let what = format!("the journal in {}", dir.display());
            return Err(JournalError::Newer { what, found, known: FORMAT });
        }
        if found < FORMAT {
            let format = FORMAT.to_be_bytes().to_vec();
            store.commit(&[Write::put(Table::Meta, b"format".to_vec(), format)])?;
        }
        let journal =
            Self { store: Arc::new(store), tails: Arc::default(), memory: Arc::default() };
        journal.is_whole(dir)?;
        for key in journal.store.keys(Table::Unfinished, &[], usize::MAX)? {
            journal.erase(StudyId(number(Table::Unfinished, &key, &key)?))?;
        }
        journal.interrupt()?;
        Ok(journal)
    }

    /// We hold the directory, so nobody runs what was running.
    fn interrupt(&self) -> Result<(), JournalError> {
        for record in self.list()? {
            if record.summary.status == Status::Running {
                let summary = Summary { status: Status::Interrupted, ..record.summary };
                let key = record.id.key().to_vec();
                self.store.commit(&[Write::put(Table::Summaries, key, json(&summary)?)])?;
            }
        }
        Ok(())
    }

    /// Stores a study. Its entities come first, in batches between which others write; it exists
    /// from the last write on.
    pub fn create(&self, study: &NewStudy) -> Result<StudyId, JournalError> {
        bounded("the study's name", study.name.len(), MAX_NAME_BYTES)?;
        let id = self.begin(study)?;
        let nobody = [EntityKey::default()];
        let entities = if study.entities.is_empty() { &nobody } else { study.entities.as_slice() };
        self.write_entities(id, 0, entities)?;
        let head = StudyHead {
            large: study.large.clone(),
            name: study.name.clone(),
            job_file: study.job_file.clone(),
            base_dir: study.base_dir.clone(),
            job_text: study.job_text.clone(),
            sets: study.sets.clone(),
            canonical: study.canonical.clone(),
            data_digest: study.data_digest.clone(),
            seed: study.seed,
            created_ms: study.created_ms,
            entities: entities.len() as u32,
            partition_columns: entities[0].0.iter().map(|(column, _)| column.clone()).collect(),
            material: study.material.clone(),
            warm: study.warm.clone(),
            parent: study.parent.clone(),
            notices: study.notices.clone(),
            learners: study.learners,
            extent: study.extent,
        };
        let writer = self.writer();
        if self.store.has(Table::Names, study.name.as_bytes())? {
            drop(writer);
            self.erase(id)?;
            return Err(JournalError::NameTaken { name: study.name.clone() });
        }
        let mut writes = vec![
            Write::remove(Table::Unfinished, id.key().to_vec()),
            Write::put(Table::Names, study.name.as_bytes().to_vec(), id.key().to_vec()),
            Write::put(Table::Summaries, id.key().to_vec(), json(&Summary::default())?),
        ];
        writes.extend(pieces(Table::Studies, &id.key(), &json(&head)?));
        self.store.commit(&writes)?;
        Ok(id)
    }

    /// A number for a study whose name is free so far; it is half done from here on.
    fn begin(&self, study: &NewStudy) -> Result<StudyId, JournalError> {
        let _writer = self.writer();
        if self.store.has(Table::Names, study.name.as_bytes())? {
            return Err(JournalError::NameTaken { name: study.name.clone() });
        }
        let id = self.next_study()?;
        let following = (id.0 + 1).to_be_bytes().to_vec();
        self.store.commit(&[
            Write::put(Table::Meta, b"next_study".to_vec(), following),
            Write::put(Table::Unfinished, id.key().to_vec(), Vec::new()),
        ])?;
        Ok(id)
    }

    /// Stores the keys of entities from this index on.
    fn write_entities(
        &self,
        id: StudyId,
        first: u32,
        entities: &[EntityKey],
    ) -> Result<(), JournalError> {
        let mut numbered = (first..).zip(entities).peekable();
        while numbered.peek().is_some() {
            let mut writes = Vec::new();
            for (entity, key) in numbered.by_ref().take(BATCH) {
                let entity = entity.to_be_bytes();
                let text = key.text();
                bounded("an entity's key", text.len(), MAX_KEY_BYTES)?;
                let at = [id.key(), entity].concat();
                writes.push(Write::put(Table::Entities, at, json(key)?));
                let at = [&id.key(), text.as_bytes()].concat();
                writes.push(Write::put(Table::EntityByKey, at, entity.to_vec()));
            }
            let _writer = self.writer();
            self.store.commit(&writes)?;
        }
        Ok(())
    }

    /// Removes a study and everything it has, also one that is damaged. It is gone for every reader
    /// at once; what it has is removed in batches between which others write, by the next `open` if
    /// this process dies on the way.
    pub fn delete(&self, id: StudyId) -> Result<(), JournalError> {
        let mut tails = self.writer();
        let is_there = self.store.has(Table::Summaries, &id.key())?;
        if !is_there || self.store.has(Table::Unfinished, &id.key())? {
            return Err(JournalError::NoStudy { number: id.0 });
        }
        let mut writes = vec![Write::put(Table::Unfinished, id.key().to_vec(), Vec::new())];
        for name in self.names_of(id)? {
            writes.push(Write::remove(Table::Names, name));
        }
        tails.remove(&id);
        self.memory().forget(id);
        self.store.commit(&writes)?;
        drop(tails);
        self.erase(id)
    }

    /// The names under which a study is found; more than one, or none, where it is damaged.
    fn names_of(&self, id: StudyId) -> Result<Vec<Vec<u8>>, JournalError> {
        let own = self.head(id).ok().flatten().map(|head| head.name.into_bytes());
        let mut names = Vec::new();
        let mut found = self.store.scan(Table::Names, &[], &[]);
        while let Some(next) = found.next_found() {
            let (name, bytes) = next?;
            match bytes {
                Ok(bytes) if bytes == id.key() => names.push(name),
                Err(_) if own.as_ref() == Some(&name) => names.push(name),
                _ => {}
            }
        }
        Ok(names)
    }

    fn erase(&self, id: StudyId) -> Result<(), JournalError> {
        let tables = [
            Table::Facts,
            Table::Blocks,
            Table::Best,
            Table::Models,
            Table::Configurations,
            Table::Proposals,
            Table::Entities,
            Table::EntityByKey,
            Table::Summaries,
            Table::Studies,
        ];
        for table in tables {
            loop {
                // Nobody writes what is marked, so only the removal needs the right to write.
                let keys = self.store.keys(table, &id.key(), ERASED)?;
                if keys.is_empty() {
                    break;
                }
                let writes: Vec<Write> =
                    keys.into_iter().map(|key| Write::remove(table, key)).collect();
                let _writer = self.writer();
                self.store.commit(&writes)?;
            }
        }
        let _writer = self.writer();
        self.store.commit(&[Write::remove(Table::Unfinished, id.key().to_vec())])
    }

    /// One group: facts and the index entries that follow from them, all or nothing, on disk when
    /// this returns. After a failed write every later one is refused.
    pub fn append(&self, id: StudyId, facts: &[Fact], index: &Index) -> Result<(), JournalError> {
        self.store.takes_writes()?;
        let mut tails = self.writer();
        let mut tail = match tails.remove(&id) {
            Some(tail) => tail,
            None => self.tail(id)?,
        };
        let mut writes = Vec::new();
        tail.add(&fact::encode(facts), &mut writes);
        for fact in facts {
            if let Fact::Refitted { models } = fact {
                writes.extend(models.iter().map(|refit| model_entry(id, refit)));
            }
        }
        let best = index.best.iter();
        writes.extend(best.map(|&(entity, value, number)| best_entry(id, entity, value, number)));
        writes.extend(
            index.without.iter().map(|entity| Write::remove(Table::Best, best_key(id, *entity))),
        );
        writes.push(Write::put(Table::Summaries, id.key().to_vec(), json(&index.summary)?));
        self.store.commit(&writes)?;
        // Of a study that is over nothing is expected any more.
        if !facts.contains(&Fact::Closed) {
            tails.insert(id, tail);
        }
        Ok(())
    }

    fn writer(&self) -> MutexGuard<'_, HashMap<StudyId, Tail>> {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A study's number as the beginning of keys.
trait Prefix {
    /// What all keys of the study begin with.
    fn key(self) -> [u8; 4];

    /// The key of one of its facts.
    fn with(self, sequence: u64) -> Vec<u8>;
}

impl Prefix for StudyId {
    fn key(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }

    fn with(self, sequence: u64) -> Vec<u8> {
        [&self.key()[..], &sequence.to_be_bytes()].concat()
    }
}

fn best_entry(id: StudyId, entity: u32, value: f64, configuration: u32) -> Write {
    let payload = [&value.to_be_bytes()[..], &configuration.to_be_bytes()].concat();
    Write::put(Table::Best, best_key(id, entity), payload)
}

fn best_key(id: StudyId, entity: u32) -> Vec<u8> {
    [id.key(), entity.to_be_bytes()].concat()
}

fn model_entry(id: StudyId, refit: &Refit) -> Write {
    let numbers = [refit.entity.to_be_bytes(), refit.configuration.to_be_bytes()].concat();
    let mut out = Writer::default();
    fact::write_model(&fact::bounded_refit(refit).model, &mut out);
    Write::put(Table::Models, [&id.key()[..], &numbers].concat(), out.0)
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, JournalError> {
    serde_json::to_vec(value)
        .map_err(|error| JournalError::Disk { doing: "encoding", source: error.into() })
}

fn bounded(what: &str, bytes: usize, limit: usize) -> Result<(), JournalError> {
    if bytes > limit {
        return Err(JournalError::TooLong { what: what.to_owned(), bytes, limit });
    }
    Ok(())
}

fn number(table: Table, key: &[u8], bytes: &[u8]) -> Result<u32, JournalError> {
    let bytes = <[u8; 4]>::try_from(bytes).map_err(|_| store::damaged(table, key))?;
    Ok(u32::from_be_bytes(bytes))
}

/// The sequence number at the end of these bytes of the record with this key.
fn sequence_of(table: Table, key: &[u8], bytes: &[u8]) -> Result<u64, JournalError> {
    let bytes = bytes.last_chunk::<8>().ok_or_else(|| store::damaged(table, key))?;
    Ok(u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests;
