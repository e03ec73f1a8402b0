//! Who is tried next: what came back, then the batch that is being walked, then the next one.
//!
//! A batch of configurations is tried block of entities by block of entities, so that a runner
//! finds the same configurations again for the next block. A batch is at most half of the
//! configurations that may be in flight, so that the next one begins while the last blocks of this
//! one are out.

use std::collections::VecDeque;
use std::ops::Range;

use fleetfit_search_spaces::Work;
use fleetfit_search_spaces::wire::{Assignment, AssignmentKey, Block, Numbered, Task};

use super::flight::{Part, Piece, Purpose};
use super::{Phase, StudyState, tally};
use crate::event::{Command, Fact, Step};

/// Configurations that travel together.
const MAX_BATCH: u32 = 16;

/// A batch on its way over the blocks.
#[derive(Debug)]
struct Walk {
    configurations: Vec<u32>,
    next_block: u32,
}

/// Batches that were begun, and batches that were proposed and wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    walks: VecDeque<Walk>,
    waiting: VecDeque<Vec<u32>>,
}

impl Queue {
    /// Everything that is open waits.
    pub(super) fn of_open(open: impl Iterator<Item = u32>, batch_size: u32) -> Self {
        let open: Vec<u32> = open.collect();
        let batches = open.chunks(batch_size.max(1) as usize);
        Self { walks: VecDeque::new(), waiting: batches.map(<[u32]>::to_vec).collect() }
    }
}

impl StudyState {
    /// How many configurations travel together: few where there are few blocks, which would leave
    /// threads without work.
    pub(super) fn batch_size(&self) -> u32 {
        if matches!(self.study.work, Work::Command(_) | Work::External) {
            return 1;
        }
        let by_blocks = self.cut.n_blocks() / 8;
        let by_limit = self.study.limits.max_concurrent_trials / 2;
        MAX_BATCH.min(by_blocks).min(by_limit).max(1)
    }

    /// Hands out what there is; how many assignments of those wanted there were not.
    pub(super) fn hand_out(&mut self, wanted: u32, step: &mut Step) -> u32 {
        for handed_out in 0..wanted {
            let piece = match self.phase {
                Phase::Searching => self.next_try(step),
                Phase::Refitting => self.next_refit(),
                Phase::Closed => None,
            };
            let Some(piece) = piece else {
                return wanted - handed_out;
            };
            let assignment = self.assignment(&piece);
            self.flight.send(piece);
            step.commands.push(Command::Dispatch(assignment));
        }
        0
    }

    fn next_try(&mut self, step: &mut Step) -> Option<Piece> {
        while let Some(piece) = self.flight.take_back() {
            let parts = self.left(&piece);
            if !parts.is_empty() {
                return Some(Piece { parts, ..piece });
            }
        }
        loop {
            if let Some(parts) = self.next_block() {
                return Some(self.flight.fresh(Purpose::Try, parts));
            }
            if !self.begin_batch(step) {
                return None;
            }
        }
    }

    /// The next block of the batch that is being walked that has anything left to try.
    fn next_block(&mut self) -> Option<Vec<Part>> {
        while let Some(mut walk) = self.queue.walks.pop_front() {
            if walk.next_block >= self.cut.n_blocks() {
                continue;
            }
            let entities = self.cut.entities(walk.next_block);
            walk.next_block += 1;
            let parts = walk.configurations.iter().filter_map(|&number| {
                let open = self.to_try(number, entities.clone());
                (!open.is_empty()).then_some((number, open))
            });
            let parts: Vec<Part> = parts.collect();
            self.queue.walks.push_front(walk);
            if !parts.is_empty() {
                return Some(parts);
            }
        }
        None
    }

    /// What of a configuration has not ended and was not handed out in an earlier life.
    fn to_try(&self, number: u32, entities: Range<u32>) -> Vec<Range<u32>> {
        let Some(open) = self.open.get(&number) else { return Vec::new() };
        let is_free = |&entity: &u32| {
            !open.tally.has_ended(entity) && !self.flight.is_adopted(Purpose::Try, number, entity)
        };
        tally::ranges(entities.filter(is_free))
    }

    /// Begins the next batch, proposing it if none waits. False if there is none, or no room.
    fn begin_batch(&mut self, step: &mut Step) -> bool {
        let limit = self.study.limits.max_concurrent_trials.max(1);
        let room = limit.saturating_sub(self.n_handed_out);
        let is_new = |number: &&u32| self.open.get(number).is_some_and(|open| !open.is_handed_out);
        let configurations = match self.queue.waiting.front() {
            // With nothing out, no room would come.
            Some(batch)
                if batch.iter().filter(is_new).count() > room as usize
                    && !self.flight.is_empty() =>
            {
                return false;
            }
            Some(_) => self.queue.waiting.pop_front().unwrap_or_default(),
            None => self.propose(room, step),
        };
        for &number in &configurations {
            self.mark_handed_out(number);
        }
        let is_any = !configurations.is_empty();
        if is_any {
            self.queue.walks.push_back(Walk { configurations, next_block: 0 });
        }
        is_any
    }

    pub(super) fn mark_handed_out(&mut self, number: u32) {
        if let Some(open) = self.open.get_mut(&number) {
            self.n_handed_out += u32::from(!open.is_handed_out);
            open.is_handed_out = true;
        }
    }

    /// A fresh batch, as long as it has room as a whole.
    fn propose(&mut self, room: u32, step: &mut Step) -> Vec<u32> {
        let limit = self.study.limits.max_total_trials;
        let remaining = limit.saturating_sub(self.counts.proposed);
        let size = self.batch_size().min(remaining);
        if size > room || self.is_exhausted {
            return Vec::new();
        }
        let mut numbers = Vec::new();
        for _ in 0..size {
            let number = self.counts.proposed;
            let sampler = self.sampler.as_mut();
            let Some(configuration) = sampler.and_then(|sampler| sampler.propose(number)) else {
                self.is_exhausted = true;
                break;
            };
            numbers.push(number);
            let proposed = Fact::Proposed { number, configuration };
            self.record(proposed, step);
        }
        numbers
    }

    /// The message of a piece.
    fn assignment(&self, piece: &Piece) -> Assignment {
        let blocks = piece.parts.iter().map(|(number, entities)| Block {
            tried: Numbered {
                number: *number,
                // Whoever is open or leads is known, and nobody else is handed out.
                configuration: self.configuration(*number).cloned().unwrap_or_default(),
            },
            entities: entities.clone(),
        });
        let blocks = blocks.collect();
        Assignment {
            key: AssignmentKey { study: self.id, number: piece.number, attempt: piece.attempt },
            task: match piece.purpose {
                Purpose::Try => Task::Try(blocks),
                Purpose::Refit => Task::Refit(blocks),
            },
        }
    }
}
