//! The trials of a study of this journal.

use std::collections::HashMap;

use fleetfit_search_spaces::{Aims, End, Goal, SearchSpace, Study, Value};

use super::share::Shares;
use super::table::{Found, Tried, judged};
use crate::event::Fact;
use crate::journal::{Journal, JournalError, StudyRecord};

/// Which of an earlier study's metrics counts here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    /// Its place among them.
    pub(super) place: usize,
    pub(super) goal: Goal,
    /// Whether it is called as the first one here.
    pub(super) is_ours: bool,
}

impl Counted {
    /// The one that is called as the first here, or else its first.
    pub(super) fn of(earlier: &Aims, aims: &Aims) -> Self {
        let found = earlier.metrics.iter().position(|own| *own == aims.metrics[0]);
        let place = found.unwrap_or_default();
        let objective = earlier.objectives.get(place).unwrap_or(&aims.objectives[0]);
        Self { place, goal: objective.goal, is_ours: found.is_some() }
    }

    fn loss(self, value: f64, further: &[f64]) -> Option<f64> {
        let own = match self.place.checked_sub(1) {
            None => Some(value),
            Some(place) => further.get(place).copied(),
        };
        own.map(|own| self.goal.loss(own))
    }
}

/// What it tried, and the losses: over several entities as shares of their first ones. Several are
/// known where it measured what `aims` are about.
pub(super) fn read(
    journal: &Journal,
    record: &StudyRecord,
    (counted, earlier): (Counted, &Aims),
    space: &SearchSpace,
    aims: &Aims,
) -> Result<Found, JournalError> {
    let place = |metric: &String| earlier.metrics.iter().position(|own| own == metric);
    let places: Option<Vec<usize>> = aims.metrics.iter().map(place).collect();
    let losses = |value: f64, further: &[f64]| {
        let at = |&place: &usize| match place.checked_sub(1) {
            None => Some(value),
            Some(place) => further.get(place).copied(),
        };
        let values: Vec<f64> = places.as_ref()?.iter().map(at).collect::<Option<_>>()?;
        let (value, further) = values.split_first()?;
        judged(aims, *value, further)
    };
    let mut found = Found { kind: format!("the study {}", record.head.name), ..Found::default() };
    let mut shares = (record.head.entities > 1).then(Shares::default);
    let mut open: HashMap<u32, Vec<(String, Value)>> = HashMap::new();
    for fact in journal.facts(record.id) {
        match fact? {
            Fact::Proposed { number, configuration } => {
                let leaves = configuration.leaves();
                let leaves = leaves.into_iter().map(|(path, value)| (path, value.clone()));
                open.insert(number, leaves.collect());
            }
            Fact::Ended { outcomes } => {
                for outcome in outcomes {
                    let End::Completed { value } = outcome.end else {
                        found.n_without += 1;
                        continue;
                    };
                    let Some(loss) = counted.loss(value, &outcome.further) else {
                        found.n_without += 1;
                        continue;
                    };
                    let number = outcome.configuration;
                    match &mut shares {
                        Some(shares) => {
                            let entity = outcome.entity.to_string();
                            let leaves = || open.get(&number).cloned().unwrap_or_default();
                            shares.push(&number.to_string(), &entity, loss, leaves);
                        }
                        None => {
                            if let Some(leaves) = open.remove(&number) {
                                let losses = losses(value, &outcome.further);
                                found.push(Tried { leaves, loss, losses }, space);
                            }
                        }
                    }
                }
            }
            _ => {}
        }
    }
    if let Some(shares) = shares {
        shares.into_tried().for_each(|tried| found.push(tried, space));
    }
    Ok(found)
}

/// Whether its losses are those that this study would measure, so that they compare one to one.
pub(super) fn is_same(
    study: &Study,
    seed: u64,
    digest: Option<&str>,
    record: &StudyRecord,
    earlier: &Study,
) -> bool {
    digest.is_some()
        && digest == record.head.data_digest.as_deref()
        // The folds follow from the seed.
        && seed == record.head.seed
        && record.head.entities == 1
        && !record.is_partitioned()
        && study.data.as_ref().is_none_or(|data| data.partition_columns.is_empty())
        && study.work == earlier.work
        && study.data == earlier.data
        && study.objective == earlier.objective
}
