//! How trials end: in the outcomes of runners, or because their runners keep dying.
//!
//! Outcomes come late, twice and in any order, some from before a restart. The first end of a trial
//! counts; nothing else does.

use fleetfit_search_spaces::wire::Refit;
use fleetfit_search_spaces::{Aims, End, Outcome, Work};

use super::flight::{self, MAX_DEATHS, Piece, Purpose};
use super::standings::Leave;
use super::{Phase, StudyState, stop_trial, tally};
use crate::event::{Fact, Step};
use crate::stopper::TrialKey;

impl StudyState {
    pub(super) fn end(&mut self, assignment: u64, outcomes: Vec<Outcome>, step: &mut Step) {
        if self.phase == Phase::Closed {
            return;
        }
        let is_stale = assignment < self.first_resumed;
        // In the place of what came, as there may be thousands.
        let own = |outcome| {
            let outcome = cleaned(outcome, &self.aims);
            match &self.climb {
                Some(climb) => climb.with_earlier(outcome),
                None => outcome,
            }
        };
        let mut first: Vec<Outcome> = outcomes.into_iter().map(own).collect();
        // What is not out any more was not heard as it ran.
        if !is_stale && self.flight.piece_out(assignment).is_some() {
            self.cut_programs(&mut first, step);
        }
        first.retain(|outcome| {
            let is_moot = is_stale && matches!(outcome.end, End::Stopped { .. });
            !is_moot && self.apply_outcome(outcome)
        });
        if !first.is_empty() {
            self.choose_winners();
            step.facts.push(Fact::Ended { outcomes: first });
            self.note_elapsed(step);
        }
        self.judge(step);
        self.drop_if_done(assignment);
    }

    /// Programs that were told to end have ended there, whatever they did until they heard of it.
    fn cut_programs(&mut self, outcomes: &mut [Outcome], step: &mut Step) {
        if self.phase != Phase::Searching || !matches!(self.study.work, Work::Command(_)) {
            return;
        }
        let rule = self.study.objective.value;
        for outcome in outcomes {
            let is_open = self.is_open(outcome.configuration, outcome.entity);
            if let Some(watch) = self.watch.as_mut().filter(|_| is_open) {
                let others = watch.cut(outcome, rule);
                step.commands.extend(others.into_iter().map(stop_trial));
            }
        }
    }

    /// What took how long, in an assignment's trials; whether a graphics card fitted them.
    pub(super) fn hear_pace(
        &mut self,
        assignment: u64,
        spans: impl Iterator<Item = (u64, u64)>,
        launched: bool,
    ) {
        if self.phase == Phase::Closed {
            return;
        }
        let piece = self.flight.piece_out(assignment);
        let n_trials = piece.map_or(1, |piece| flight::n_trials(&piece.parts));
        match launched {
            true => self.pace.hear_of_launch(n_trials, spans),
            false => self.pace.hear(n_trials, spans),
        }
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
        // Whoever breaks a bound does not win, and so has no value that counts.
        let value = value.filter(|&value| self.aims.keeps(value, &outcome.further));
        if !open.tally.end(outcome.entity, value) {
            return false;
        }
        let learns = self.sampler.as_ref().is_some_and(|sampler| sampler.learns());
        let passed = match (&self.climb, &self.watch) {
            (Some(climb), _) => climb.passed(outcome.configuration, outcome.entity),
            (None, Some(watch)) => watch.passed(outcome),
            (None, None) => Vec::new(),
        };
        if learns || self.stall.is_some() || self.converged.is_some() {
            open.told.end(outcome, &passed, &self.aims, &mut self.yardsticks);
        }
        let mean = open.tally.is_complete().then(|| open.tally.mean());
        *count += 1;
        let mut fits = outcome.fits;
        if let Some(climb) = &mut self.climb {
            let (number, entity) = (outcome.configuration, outcome.entity);
            // Those of its rungs are counted.
            fits = fits.saturating_sub(climb.fits(number, entity));
            if let Some(unfinished) = climb.unfinished(outcome) {
                self.standings.leave_unfinished(number, entity, (Leave::Stopped, unfinished));
                if self.phase != Phase::Searching {
                    self.standings.touch(entity);
                }
            }
            climb.end(outcome);
        }
        if self.phase != Phase::Searching && matches!(outcome.end, End::Failed { .. }) {
            // Whoever failed is nobody's best for want of a better one.
            self.has_failed_late = true;
        }
        self.counts.fits += u64::from(fits);
        if matches!(outcome.end, End::Completed { .. }) {
            self.standings.forget_unfinished(outcome.entity);
        }
        if let Some(value) = value {
            let number = outcome.configuration;
            self.standings.complete(number, outcome.entity, value, &outcome.further);
        }
        if let Some(mean) = mean {
            let configuration = match self.converged {
                Some(_) => self.configuration(outcome.configuration).cloned(),
                None => None,
            };
            self.standings.close(outcome.configuration, mean);
            self.flight.close(outcome.configuration);
            if let Some(closed) = self.open.remove(&outcome.configuration) {
                self.n_handed_out -= u32::from(closed.is_handed_out);
                let (number, fate) = (outcome.configuration, closed.told.fate(&self.aims));
                if self.stall.is_some() || self.converged.is_some() {
                    self.unheard.insert(number, (fate, configuration));
                }
                if self.climb.is_none() || self.open.is_empty() {
                    self.hear_what_ended();
                }
                if let Some(sampler) = self.sampler.as_mut().filter(|_| learns) {
                    // Of several entities each has its own; what is told is made of them.
                    let own = passed.iter().filter(|_| self.cut.n_entities == 1);
                    own.for_each(|(rung, loss)| sampler.passed(number, *rung, *loss));
                    sampler.told(number, fate);
                }
            }
        }
        if let Some(watch) = &mut self.watch {
            let (configuration, entity) = (outcome.configuration, outcome.entity);
            match outcome.end {
                // It broke a bound, and whoever is worse by one metric may yet win.
                End::Completed { .. } if value.is_none() => {
                    watch.restarted(TrialKey { configuration, entity });
                }
                _ => watch.ended(outcome),
            }
        }
        true
    }

    /// Tells whoever ends the search for want of better what has ended: with rungs all of a bracket
    /// at once, by number, because who of them ends first is chance.
    fn hear_what_ended(&mut self) {
        for (number, (fate, configuration)) in std::mem::take(&mut self.unheard) {
            if let Some(stall) = &mut self.stall {
                stall.end(fate, !self.asked.is_by_hand(number));
            }
            if let (Some(converged), Some(settings)) = (&mut self.converged, &configuration) {
                converged.end(number, settings, fate);
            }
        }
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
            Purpose::Try(_) => self.phase == Phase::Searching,
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
            Purpose::Try(_) => {
                // Nobody saw them begin or end: times of 0 say so.
                let failed = trials.map(|(configuration, entity)| Outcome {
                    configuration,
                    entity,
                    end: End::Failed { reason: reason.clone() },
                    fits: 0,
                    started_ms: 0,
                    ended_ms: 0,
                    reports: Vec::new(),
                    further: Vec::new(),
                });
                let failed = failed.map(|outcome| match &self.climb {
                    Some(climb) => climb.with_earlier(outcome),
                    None => outcome,
                });
                let outcomes = failed.collect();
                self.record(Fact::Ended { outcomes }, step);
                self.note_elapsed(step);
                self.judge(step);
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
                Purpose::Try(stage) => {
                    tally::ranges(entities.filter(|&e| self.is_to_do(stage, *number, e)))
                }
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

/// An outcome without numbers that are none, and with all values that the study needs.
fn cleaned(mut outcome: Outcome, aims: &Aims) -> Outcome {
    let is_finite = |value: &f64| value.is_finite();
    match &mut outcome.end {
        End::Completed { value } if !value.is_finite() => {
            outcome.end = End::Failed { reason: "the metric is not a finite number".into() };
        }
        End::Completed { .. } if aims.n_further() != outcome.further.len() => {
            let (own, others) =
                aims.metrics.split_at(1 + outcome.further.len().min(aims.n_further()));
            let reason = match others {
                [] => format!("it has more values than {}", own.join(", ")),
                others => format!("it has no value of {}", others.join(", ")),
            };
            outcome.end = End::Failed { reason };
        }
        End::Completed { .. } => {
            let found = outcome.further.iter().position(|value| !is_finite(value));
            if let Some(metric) = found.and_then(|place| aims.metrics.get(place + 1)) {
                let reason = format!("{metric} is not a finite number");
                outcome.end = End::Failed { reason };
            }
        }
        End::Stopped { value, .. } => *value = value.filter(is_finite),
        End::Failed { .. } => {}
    }
    if !matches!(outcome.end, End::Completed { .. }) {
        outcome.further.clear();
    }
    outcome.reports.retain(|report| report.value.is_finite());
    outcome
}
