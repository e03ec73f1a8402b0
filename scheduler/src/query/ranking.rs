//! Configurations in the order of how good they are, for one entity or over all of them.

use std::cmp::Ordering;
use std::collections::HashMap;

use fleetfit_search_spaces::{End, Goal, Outcome};

/// A configuration and what it reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ranked {
    pub(super) configuration: u32,
    pub(super) value: f64,
    /// For how many entities it completed.
    pub(super) completed: u32,
}

impl Ranked {
    /// Less is better: most entities completed, then the lower loss, then the lower number.
    fn compare(&self, other: &Self, goal: Goal) -> Ordering {
        let losses = goal.loss(self.value).partial_cmp(&goal.loss(other.value));
        let by_number = self.configuration.cmp(&other.configuration);
        let by_completed = other.completed.cmp(&self.completed);
        by_completed.then(losses.unwrap_or(Ordering::Equal)).then(by_number)
    }
}

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
        self.ranked.sort_by(|one, other| one.compare(other, self.goal));
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

    pub(super) fn push(&mut self, outcome: &Outcome) {
        let n_entities = self.n_entities;
        let open = self
            .open
            .entry(outcome.configuration)
            .or_insert_with(|| OpenSum { values: vec![f64::NAN; n_entities as usize], n_ended: 0 });
        open.n_ended += 1;
        if let End::Completed { value } = outcome.end
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
        let (sum, completed) = sum(values);
        if completed > 0 {
            let value = sum / f64::from(completed);
            self.top.push(Ranked { configuration, value, completed });
        }
    }

    pub(super) fn into_ranked(mut self) -> Vec<Ranked> {
        for (configuration, open) in std::mem::take(&mut self.open) {
            self.rank(configuration, &open.values);
        }
        self.top.into_ranked()
    }
}

/// The sum of what is a number, and how many there are. It runs over the same blocks of entities as
/// the state's own, so that both round alike.
fn sum(values: &[f64]) -> (f64, u32) {
    let width = values.len().div_ceil(128).clamp(1, 1024);
    let (mut total, mut completed) = (0.0, 0);
    for block in values.chunks(width) {
        let mut sum = 0.0;
        for value in block.iter().filter(|value| !value.is_nan()) {
            sum += value;
            completed += 1;
        }
        total += sum;
    }
    (total, completed)
}
