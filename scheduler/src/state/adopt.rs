//! Assignments of an earlier life of the scheduler that are still out, because their messages
//! outlived it: they go on as if nothing had happened, and nobody is given the same again.
//!
//! They have lower numbers than any of this life. Others are not ours, and are left alone.

use fleetfit_search_spaces::wire::{Assignment, Task};

use super::flight::{self, Piece, Purpose, Stage};
use super::{Phase, StudyState};
use crate::event::{EndedBy, Step};
use crate::stopper::TrialKey;

impl StudyState {
    /// Takes in what of an assignment is still of use. Nothing of one that a cancel has stopped: a
    /// resumed study hands that out again.
    pub(super) fn adopt(&mut self, assignment: Assignment, step: &mut Step) {
        let key = assignment.key;
        let is_known = self.flight.next_number() > key.number;
        if key.number < self.first_resumed || self.phase == Phase::Closed || !is_known {
            return;
        }
        let (purpose, blocks) = match assignment.task {
            Task::Try(blocks) => {
                // All of a study's trials that come home whole are asked for alike.
                let first = blocks.first().map(|block| self.first_stage(block.tried.number));
                (Purpose::Try(first.unwrap_or_default()), blocks)
            }
            Task::Climb { after, rung, blocks } => (Purpose::Try(Stage { after, rung }), blocks),
            Task::Refit(blocks) => (Purpose::Refit, blocks),
        };
        // The message came from outside: no range in it is believed.
        let n_entities = self.cut.n_entities;
        let parts = blocks.into_iter().map(|block| {
            let ranges = block.entities.into_iter();
            let ranges = ranges.map(|range| range.start..range.end.min(n_entities));
            (block.tried.number, ranges.collect())
        });
        let parts = parts.collect();
        let piece = Piece { number: key.number, attempt: key.attempt, deaths: 0, purpose, parts };
        let parts = self.left(&piece);
        let is_try = matches!(purpose, Purpose::Try(_));
        if is_try && self.phase == Phase::Searching {
            for &(number, _) in &parts {
                self.mark_handed_out(number);
            }
            if let Some(watch) = &mut self.watch {
                for (configuration, entity) in flight::trials(&parts) {
                    watch.adopted(TrialKey { configuration, entity });
                }
            }
        }
        if parts.is_empty() {
            return;
        }
        self.flight.adopt(Piece { parts, ..piece });
        if is_try && self.ended_by == Some(EndedBy::Timeout) {
            step.commands.push(Self::stop_for_timeout());
        }
    }
}
