//! Ends of an assignment's trials, told in batches a few times a second, so that progress shows and
//! a kill loses little.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fleetfit_search_spaces::{AssignmentKey, End, FromRunner, Outcome};

use super::{Tell, now_ms};

const TELL_EVERY: Duration = Duration::from_millis(200);

/// Outcomes that have not been told.
pub(super) struct News<'a> {
    of: AssignmentKey,
    tell: &'a Tell,
    outcomes: Vec<Outcome>,
    told: Instant,
    /// When the trial before ended: a trial takes the time since then.
    since_ms: u64,
    /// The trials of the latest entity that have ended.
    ended: (u32, BTreeSet<u32>),
}

impl<'a> News<'a> {
    pub(super) fn new(of: AssignmentKey, tell: &'a Tell) -> Self {
        let (outcomes, told) = (Vec::new(), Instant::now());
        Self { of, tell, outcomes, told, since_ms: now_ms(), ended: Default::default() }
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
        if self.ended.0 != entity {
            self.ended = (entity, BTreeSet::new());
        }
        self.ended.1.insert(configuration);
        let ended_ms = now_ms();
        let started_ms = std::mem::replace(&mut self.since_ms, ended_ms);
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
        if self.told.elapsed() >= TELL_EVERY {
            self.flush();
        }
    }

    /// Whether a trial of the latest entity has ended.
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
    }
}
