//! Ends of an assignment's trials, told in batches a few times a second, so that progress shows and
//! a kill loses little.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fleetfit_search_spaces::{AssignmentKey, End, FromRunner, Outcome, Reached};

use super::{Tell, now_ms};

const TELL_EVERY: Duration = Duration::from_millis(200);

/// Outcomes that have not been told.
pub(super) struct News<'a> {
    of: AssignmentKey,
    tell: &'a Tell,
    outcomes: Vec<Outcome>,
    /// Trials that came to a rung.
    reached: Vec<Reached>,
    told: Instant,
    /// When the trial before ended: a trial takes the time since then.
    since_ms: u64,
    /// The trials of the latest entity that have ended, or come to their rung.
    ended: (u32, BTreeSet<u32>),
}

impl<'a> News<'a> {
    pub(super) fn new(of: AssignmentKey, tell: &'a Tell) -> Self {
        let (outcomes, reached, told) = (Vec::new(), Vec::new(), Instant::now());
        Self { of, tell, outcomes, reached, told, since_ms: now_ms(), ended: Default::default() }
    }

    /// The end of a trial: a configuration's number, and an entity.
    pub(super) fn push(&mut self, trial: (u32, u32), end: End, fits: u32) {
        self.push_with(trial, end, Vec::new(), fits);
    }

    /// The same with the values of further metrics.
    pub(super) fn push_with(
        &mut self,
        (configuration, entity): (u32, u32),
        end: End,
        further: Vec<f64>,
        fits: u32,
    ) {
        let (started_ms, ended_ms) = self.through(configuration, entity);
        let reports = Vec::new();
        self.outcomes.push(Outcome {
            configuration,
            entity,
            end,
            fits,
            started_ms,
            ended_ms,
            reports,
            further,
        });
        self.tell_now_and_then();
    }

    /// A trial came to a rung: the values that it has beside those before, its entity's number of
    /// folds, and how many models were fitted.
    pub(super) fn reach(
        &mut self,
        (configuration, entity): (u32, u32),
        rung: u8,
        (values, n_folds): (Vec<f64>, u32),
        fits: u32,
    ) {
        let (started_ms, ended_ms) = self.through(configuration, entity);
        self.reached.push(Reached {
            configuration,
            entity,
            rung,
            values,
            n_folds,
            fits,
            started_ms,
            ended_ms,
        });
        self.tell_now_and_then();
    }

    /// Nothing more comes of a trial; when it began and ended.
    fn through(&mut self, configuration: u32, entity: u32) -> (u64, u64) {
        if self.ended.0 != entity {
            self.ended = (entity, BTreeSet::new());
        }
        self.ended.1.insert(configuration);
        let ended_ms = now_ms();
        (std::mem::replace(&mut self.since_ms, ended_ms), ended_ms)
    }

    fn tell_now_and_then(&mut self) {
        if self.told.elapsed() >= TELL_EVERY {
            self.flush();
        }
    }

    /// Whether a trial of the latest entity has ended, or come to its rung.
    pub(super) fn has_ended(&self, (configuration, entity): (u32, u32)) -> bool {
        self.ended.0 == entity && self.ended.1.contains(&configuration)
    }

    /// Tells what has not been told.
    pub(super) fn flush(&mut self) {
        self.told = Instant::now();
        if !self.outcomes.is_empty() {
            let outcomes = std::mem::take(&mut self.outcomes);
            (self.tell)(FromRunner::Outcomes { of: self.of, outcomes });
        }
        if !self.reached.is_empty() {
            let trials = std::mem::take(&mut self.reached);
            (self.tell)(FromRunner::Reached { of: self.of, trials });
        }
    }
}
