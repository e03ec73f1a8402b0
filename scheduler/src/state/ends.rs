//! How trials end: in the outcomes of runners, or because their runners keep dying.
//!
//! Outcomes come late, twice and in any order, some from before a restart. The first end of a trial
//! counts; nothing else does.

use fleetfit_search_spaces::wire::Refit;
use fleetfit_search_spaces::{End, Outcome};

use super::flight::{self, MAX_DEATHS, Piece, Purpose};
use super::{Phase, StudyState, tally};
use crate::event::{Fact, Step};
use crate::stopper::TrialKey;

impl StudyState {
    pub(super) fn end(&mut self, assignment: u64, outcomes: Vec<Outcome>, step: &mut Step) {
        if self.phase == Phase::Closed {
            return;
        }
        let piece = self.flight.piece_out(assignment);
        let n_trials = piece.map_or(1, |piece| flight::n_trials(&piece.parts));
        self.pace.hear(n_trials, &outcomes);
        let is_stale = assignment < self.first_resumed;
        // In the place of what came, as there may be thousands.
        let is_first = |outcome: &Outcome| {
            let is_moot = is_stale && matches!(outcome.end, End::Stopped { .. });
            !is_moot && self.apply_outcome(outcome)
        };
        let first: Vec<Outcome> = outcomes.into_iter().map(cleaned).filter(is_first).collect();
        if !first.is_empty() {
            self.choose_winners();
            step.facts.push(Fact::Ended { outcomes: first });
            self.note_elapsed(step);
        }
        self.drop_if_done(assignment);
    }

    /// Takes the end of a trial in; false if it had ended or is none of this study's.
    pub(super) fn apply_outcome(&mut self, outcome: &Outcome) -> bool {
        let Some(open) = self.open.get_mut(&outcome.configuration) else {
            return false;
        };
        let (value, count) = match outcome.end {
            End::Completed { value } => (Some(value), &mut self.counts.completed),
            End::Stopped { .. } => (None, &mut self.counts.stopped),
            End::Failed { .. } => (None, &mut self.counts.failed),
        };
        if !open.tally.end(outcome.entity, value) {
            return false;
        }
        let learns = self.sampler.as_ref().is_some_and(|sampler| sampler.learns());
        if learns {
            let goal = self.standings.goal();
            open.told.end(outcome.entity, &outcome.end, goal, &mut self.yardsticks);
        }
        let mean = open.tally.is_complete().then(|| open.tally.mean());
        *count += 1;
        self.counts.fits += u64::from(outcome.fits);
        if let Some(value) = value {
            let number = outcome.configuration;
            self.standings.complete(number, outcome.entity, value);
        }
        if let Some(mean) = mean {
            self.standings.close(outcome.configuration, mean);
            self.flight.close(outcome.configuration);
            if let Some(closed) = self.open.remove(&outcome.configuration) {
                self.n_handed_out -= u32::from(closed.is_handed_out);
                if let Some(sampler) = self.sampler.as_mut().filter(|_| learns) {
                    sampler.told(outcome.configuration, closed.told.fate());
                }
            }
        }
        if let Some(watch) = &mut self.watch {
            watch.ended(outcome);
        }
        true
    }

    /// An assignment is back: what it has not done is open again, or given up.
    pub(super) fn release(
        &mut self,
        assignment: u64,
        attempt: u32,
        is_blamed: bool,
        step: &mut Step,
    ) {
        let Some(mut piece) = self.flight.release(assignment, attempt) else {
            return;
        };
        if piece.number < self.first_resumed {
            // What a cancel may have stopped says nothing; the next hand-out of it has to.
            piece.number = self.flight.fresh_number();
        }
        let left = self.left(&piece);
        if let Some(watch) = &mut self.watch {
            for (configuration, entity) in flight::trials(&left) {
                watch.restarted(TrialKey { configuration, entity });
            }
        }
        let is_wanted = match piece.purpose {
            Purpose::Try => self.phase == Phase::Searching,
            Purpose::Refit => self.phase == Phase::Refitting,
        };
        if !is_wanted {
            return;
        }
        if let Some(given_up) = self.flight.put_back(piece, left, is_blamed) {
            self.give_up(&given_up, step);
        }
    }

    fn give_up(&mut self, piece: &Piece, step: &mut Step) {
        let reason = format!("the runner died {MAX_DEATHS} times while on it");
        let trials = flight::trials(&piece.parts);
        match piece.purpose {
            Purpose::Try => {
                // Nobody saw them begin or end: times of 0 say so.
                let failed = trials.map(|(configuration, entity)| Outcome {
                    configuration,
                    entity,
                    end: End::Failed { reason: reason.clone() },
                    fits: 0,
                    started_ms: 0,
                    ended_ms: 0,
                    reports: Vec::new(),
                });
                let outcomes = failed.collect();
                self.record(Fact::Ended { outcomes }, step);
                self.note_elapsed(step);
            }
            Purpose::Refit => {
                let failed = trials.map(|(configuration, entity)| Refit {
                    entity,
                    configuration,
                    model: Err(reason.clone()),
                });
                let models = failed.collect();
                self.record(Fact::Refitted { models }, step);
            }
        }
    }

    /// What an assignment has not done yet.
    pub(super) fn left(&self, piece: &Piece) -> Vec<flight::Part> {
        let mut left = Vec::new();
        for (number, ranges) in &piece.parts {
            let entities = ranges.iter().cloned().flatten();
            let ranges = match piece.purpose {
                Purpose::Try => tally::ranges(entities.filter(|&e| self.is_open(*number, e))),
                Purpose::Refit => {
                    tally::ranges(entities.filter(|&e| self.needs_refit(e) == Some(*number)))
                }
            };
            if !ranges.is_empty() {
                left.push((*number, ranges));
            }
        }
        left
    }

    /// Forgets assignments that have told everything, although nobody said that they are done: what
    /// follows the search need not wait for that.
    pub(super) fn drop_done(&mut self) {
        let out: Vec<u64> = self.flight.pieces_out().map(|piece| piece.number).collect();
        for number in out {
            self.drop_if_done(number);
        }
    }

    /// Forgets one assignment, if the search is over and it has told everything.
    pub(super) fn drop_if_done(&mut self, number: u64) {
        if self.phase == Phase::Searching {
            return;
        }
        let piece = self.flight.piece_out(number);
        if piece.is_some_and(|piece| self.left(piece).is_empty()) {
            self.flight.forget(number);
        }
    }
}

/// An outcome without numbers that are none.
fn cleaned(mut outcome: Outcome) -> Outcome {
    match &mut outcome.end {
        End::Completed { value } if !value.is_finite() => {
            outcome.end = End::Failed { reason: "the metric is not a finite number".into() };
        }
        End::Stopped { value, .. } => *value = value.filter(|value| value.is_finite()),
        End::Completed { .. } | End::Failed { .. } => {}
    }
    outcome.reports.retain(|report| report.value.is_finite());
    outcome
}
