//! Where a study's next fact goes: into its last record while that is small, then into another.

use super::fact::{Encoded, FULL_BYTES, MAX_RECORD_BYTES};
use super::record::{Pack, cut};
use super::store::{Table, Write};
use super::{BLOCK_ENTITIES, Journal, JournalError, Prefix, StudyId, sequence_of};

/// The end of a study's facts.
pub(super) struct Tail {
    id: StudyId,
    /// The number of the next record.
    next: u64,
    /// The last record, if it takes more.
    last: Option<Last>,
    /// Whether its entities are so many that the index of blocks is worth its entries.
    has_blocks: bool,
}

/// A record that takes more facts, and what of it is indexed.
struct Last {
    sequence: u64,
    pack: Pack,
    has_proposal: bool,
    blocks: Vec<u32>,
    is_changed: bool,
}

impl Last {
    fn new(sequence: u64, pack: Pack) -> Self {
        Self { sequence, pack, has_proposal: false, blocks: Vec::new(), is_changed: false }
    }
}

impl Journal {
    /// The end of a study's facts as it is stored.
    pub(super) fn tail(&self, id: StudyId) -> Result<Tail, JournalError> {
        let record = self.record(id)?;
        let has_blocks = record.head.entities > BLOCK_ENTITIES;
        let mut tail = Tail { id, next: 0, last: None, has_blocks };
        if let Some((key, payload)) = self.store.last(Table::Facts, &id.key())? {
            let sequence = sequence_of(Table::Facts, &key, &key)?;
            tail.next = sequence + 1;
            // One that is damaged is left as it is.
            let pack = payload.ok().and_then(Pack::stored);
            tail.last = pack.map(|pack| Last::new(sequence, pack));
        }
        Ok(tail)
    }
}

impl Tail {
    /// Adds facts; what has to be written for it goes to `writes`.
    pub(super) fn add(&mut self, facts: &[Encoded], writes: &mut Vec<Write>) {
        for fact in facts {
            self.add_one(fact, writes);
        }
        self.write_last(writes);
    }

    fn add_one(&mut self, fact: &Encoded, writes: &mut Vec<Write>) {
        if fact.bytes.len() > MAX_RECORD_BYTES {
            self.write_last(writes);
            self.last = None;
            self.index(fact, self.next, writes);
            for piece in cut(&fact.bytes) {
                writes.push(Write::put(Table::Facts, self.id.with(self.next), piece));
                self.next += 1;
            }
            return;
        }
        match &mut self.last {
            Some(last) if last.pack.payload.len() + fact.bytes.len() <= FULL_BYTES => {
                last.pack.push(&fact.bytes);
            }
            _ => {
                self.write_last(writes);
                self.last = Some(Last::new(self.next, Pack::of(&fact.bytes)));
                self.next += 1;
            }
        }
        if let Some(last) = &mut self.last {
            last.is_changed = true;
            let sequence = last.sequence;
            self.index(fact, sequence, writes);
        }
    }

    /// Says where to look for what the fact has, unless that is said already.
    fn index(&mut self, fact: &Encoded, sequence: u64, writes: &mut Vec<Write>) {
        let mut known = self.last.as_mut();
        if let Some(number) = fact.proposes
            && !known.as_ref().is_some_and(|last| last.has_proposal)
        {
            let at = [self.id.key(), number.to_be_bytes()].concat();
            writes.push(Write::put(Table::Proposals, at, sequence.to_be_bytes().to_vec()));
            if let Some(last) = &mut known {
                last.has_proposal = true;
            }
        }
        if !self.has_blocks {
            return;
        }
        let mut blocks: Vec<u32> =
            fact.entities.iter().map(|entity| entity / BLOCK_ENTITIES).collect();
        blocks.dedup();
        blocks.sort_unstable();
        blocks.dedup();
        for block in blocks {
            if let Some(last) = &mut known {
                if last.blocks.contains(&block) {
                    continue;
                }
                last.blocks.push(block);
            }
            let at = [&self.id.key()[..], &block.to_be_bytes(), &sequence.to_be_bytes()].concat();
            writes.push(Write::put(Table::Blocks, at, Vec::new()));
        }
    }

    fn write_last(&mut self, writes: &mut Vec<Write>) {
        if let Some(last) = &mut self.last
            && last.is_changed
        {
            let payload = last.pack.payload.clone();
            writes.push(Write::put(Table::Facts, self.id.with(last.sequence), payload));
            last.is_changed = false;
        }
    }
}
