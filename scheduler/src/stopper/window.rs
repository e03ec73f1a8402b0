//! What ended trials had reached at each interval a policy looks at: the latest thousand a piece.

use std::collections::{BTreeMap, VecDeque};

use super::Schedule;

/// Ended trials that are remembered at an interval.
const MAX_REMEMBERED: usize = 1_000;

/// One number for each ended trial at each interval that it reached.
#[derive(Clone, Debug)]
pub(super) struct Window {
    schedule: Schedule,
    by_interval: BTreeMap<usize, VecDeque<f64>>,
}

impl Window {
    pub(super) fn new(schedule: Schedule) -> Self {
        Self { schedule, by_interval: BTreeMap::new() }
    }

    /// Takes in what a trial had reached: one number an interval, from the first on.
    pub(super) fn push(&mut self, reached: &[f64]) {
        for (interval, &value) in (1..).zip(reached) {
            self.put(interval, value);
        }
    }

    /// Takes in what a trial had reached at one interval.
    pub(super) fn put(&mut self, interval: usize, value: f64) {
        if !self.schedule.looks_at(interval) {
            return;
        }
        let values = self.by_interval.entry(interval).or_default();
        if values.len() == MAX_REMEMBERED {
            values.pop_front();
        }
        values.push_back(value);
    }

    pub(super) fn at(&self, interval: usize) -> impl Iterator<Item = f64> {
        self.by_interval.get(&interval).into_iter().flatten().copied()
    }
}
