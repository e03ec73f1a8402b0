//! Configurations in the order of how good they are, for one entity or over all of them.

use std::collections::HashMap;

use fleetfit_search_spaces::{Goal, Outcome};

use crate::state::{Mean, Ranked};

/// The best so many of what it is shown.
pub(super) struct Top {
    goal: Goal,
    n: usize,
    ranked: Vec<Ranked>,
}

impl Top {
    pub(super) fn new(goal: Goal, n: usize) -> Self {
        Self { goal, n, ranked: Vec::new() }
    }

    pub(super) fn push(&mut self, ranked: Ranked) {
        self.ranked.push(ranked);
        if self.ranked.len() >= self.n.saturating_mul(2).saturating_add(1_000) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.ranked.sort_by(|one, other| one.rank(other, self.goal));
        self.ranked.truncate(self.n);
    }

    pub(super) fn into_ranked(mut self) -> Vec<Ranked> {
        self.cut();
        self.ranked
    }
}

/// The mean of each configuration over the entities it completed for. The sums run over the entities
/// in order, so that the order in which trials ended does not matter; what is kept of a
/// configuration shrinks to its sum when its last trial has ended.
pub(super) struct Shared {
    n_entities: u32,
    top: Top,
    open: HashMap<u32, OpenSum>,
}

struct OpenSum {
    /// By entity; not a number where none was completed.
    values: Vec<f64>,
    n_ended: u32,
}

impl Shared {
    pub(super) fn new(goal: Goal, n_entities: u32, n: usize) -> Self {
        Self { n_entities, top: Top::new(goal, n), open: HashMap::new() }
    }

    /// Takes the end of a trial in, with its value where it may win.
    pub(super) fn push(&mut self, outcome: &Outcome, value: Option<f64>) {
        let n_entities = self.n_entities;
        let open = self
            .open
            .entry(outcome.configuration)
            .or_insert_with(|| OpenSum { values: vec![f64::NAN; n_entities as usize], n_ended: 0 });
        open.n_ended += 1;
        if let Some(value) = value
            && let Some(slot) = open.values.get_mut(outcome.entity as usize)
        {
            *slot = value;
        }
        if open.n_ended == self.n_entities
            && let Some(open) = self.open.remove(&outcome.configuration)
        {
            self.rank(outcome.configuration, &open.values);
        }
    }

    fn rank(&mut self, configuration: u32, values: &[f64]) {
        if let Some(ranked) = Ranked::new(configuration, Mean::of(values)) {
            self.top.push(ranked);
        }
    }

    pub(super) fn into_ranked(mut self) -> Vec<Ranked> {
        for (configuration, open) in std::mem::take(&mut self.open) {
            self.rank(configuration, &open.values);
        }
        self.top.into_ranked()
    }
}
