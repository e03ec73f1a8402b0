//! The front of a study with several objectives or constraints: of the trials that keep all bounds,
//! those that no other one beats in every objective, the best in the first objective first.
//!
//! Over entities a configuration has the means of the entities for which it completed and kept all
//! bounds; the more of them, the better, as in the shared ranking. What was found is remembered from
//! question to question: only what ended since is read.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use fleetfit_search_spaces::{Aims, End, Outcome};

use super::asked::Asked;
use super::{HypervolumeView, QueryError, Values};
use crate::sampler::front::dominates;
use crate::sampler::front::hypervolume::{hypervolume, most_points};
use crate::state::{Mean, Ranked};

/// A front may grow for as long as a study runs; a larger one than this takes no more points than
/// beat others.
pub(super) const MOST_HELD: usize = 4_096;

/// How many studies' fronts are remembered.
const REMEMBERED: usize = 16;

/// A trial on a front, or a configuration over entities.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    pub(super) configuration: u32,
    /// For how many entities it completed and kept all bounds.
    pub(super) completed: u32,
    losses: Vec<f64>,
    /// One for each metric.
    pub(super) values: Vec<f64>,
}

impl Held {
    fn new(aims: &Aims, configuration: u32, completed: u32, values: Vec<f64>) -> Option<Self> {
        let (value, further) = values.split_first()?;
        let losses = aims.losses(*value, further).collect();
        Some(Self { configuration, completed, losses, values })
    }

    /// What a single trial has, if it completed and keeps all bounds.
    pub(super) fn of(aims: &Aims, outcome: &Outcome) -> Option<Self> {
        let End::Completed { value } = outcome.end else { return None };
        let values = [&[value], outcome.further.as_slice()].concat();
        let is_kept = aims.keeps(value, &outcome.further);
        is_kept.then(|| Self::new(aims, outcome.configuration, 1, values)).flatten()
    }

    /// As what is ranked by one number.
    pub(super) fn ranked(&self) -> Ranked {
        let (configuration, completed) = (self.configuration, self.completed);
        Ranked { configuration, value: self.values[0], completed }
    }
}

/// Points that none of them dominates.
#[derive(Clone, Debug, Default)]
pub(super) struct Front {
    held: Vec<Held>,
}

impl Front {
    /// Takes a point in; whether it is on the front.
    pub(super) fn push(&mut self, own: Held) -> bool {
        let beaten = self.held.iter().any(|other| {
            let is_first = other.losses.len() == 1 && other.losses == own.losses;
            other.completed > own.completed
                || other.completed == own.completed
                    && (dominates(&other.losses, &own.losses)
                        || is_first && other.configuration < own.configuration)
        });
        if beaten {
            return false;
        }
        let before = self.held.len();
        self.held.retain(|other| {
            let is_first = other.losses.len() == 1 && other.losses == own.losses;
            other.completed >= own.completed && !dominates(&own.losses, &other.losses) && !is_first
        });
        if self.held.len() == before && before >= MOST_HELD {
            return false;
        }
        self.held.push(own);
        true
    }

    /// The points, the best in the first objective first.
    pub(super) fn into_sorted(mut self) -> Vec<Held> {
        self.held.sort_by(|one, other| {
            let pairs = one.losses.iter().zip(&other.losses);
            let differing = pairs.map(|(one, other)| one.total_cmp(other)).find(|o| o.is_ne());
            differing.unwrap_or(one.configuration.cmp(&other.configuration))
        });
        self.held
    }
}

/// How the front of a study stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// The points, the best in the first objective first.
    pub(super) front: Vec<Held>,
    /// The most that was lost in each objective.
    worst: Vec<f64>,
    hypervolume: Option<f64>,
}

impl Standing {
    /// What the front beats; none where there are too many points to tell in time.
    pub(super) fn hypervolume(&self, aims: &Aims) -> Option<HypervolumeView> {
        let worst = aims.objectives.iter().zip(&self.worst);
        let reference =
            worst.map(|(own, &loss)| (own.metric.clone(), own.goal.loss(loss))).collect();
        Some(HypervolumeView { value: self.hypervolume?, reference: Values(reference) })
    }
}

/// What is known of one study.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The last record that was read, and how many of its outcomes.
    sequence: u64,
    n_read: usize,
    front: Front,
    worst: Vec<f64>,
    /// Configurations some of whose trials have not ended, where there are several entities.
    open: HashMap<u32, Open>,
    standing: Option<Arc<Standing>>,
}

/// What a configuration has so far.
#[derive(Debug)]
struct Open {
    /// Metric by metric, each by entity; not a number where none counts.
    values: Vec<Vec<f64>>,
    n_ended: u32,
}

impl Open {
    fn means(&self, aims: &Aims, configuration: u32) -> Option<Held> {
        let ranked: Option<Vec<Ranked>> =
            self.values.iter().map(|own| Ranked::new(configuration, Mean::of(own))).collect();
        let ranked = ranked?;
        let completed = ranked.first()?.completed;
        let values = ranked.into_iter().map(|ranked| ranked.value).collect();
        Held::new(aims, configuration, completed, values)
    }
}

impl Known {
    fn read(&mut self, asked: &Asked, aims: &Aims) -> Result<Arc<Standing>, QueryError> {
        for block in asked.journal.blocks(&asked.record, None, self.sequence) {
            let (sequence, outcomes) = block?;
            // The last record grows while trials end.
            let n_known = if sequence == self.sequence { self.n_read } else { 0 };
            for outcome in outcomes.iter().skip(n_known) {
                match asked.record.is_partitioned() {
                    true => self.add_part(asked.record.head.entities, aims, outcome),
                    false => {
                        if let Some(held) = Held::of(aims, outcome) {
                            self.add(held);
                        }
                    }
                }
            }
            (self.sequence, self.n_read) = (sequence, outcomes.len());
        }
        let standing = self.standing.take().unwrap_or_else(|| Arc::new(self.stand(aims)));
        self.standing = Some(Arc::clone(&standing));
        Ok(standing)
    }

    fn add(&mut self, held: Held) {
        self.worst.resize(held.losses.len(), f64::NEG_INFINITY);
        let mut is_changed = false;
        for (worst, &loss) in self.worst.iter_mut().zip(&held.losses) {
            is_changed |= loss > *worst;
            *worst = worst.max(loss);
        }
        if self.front.push(held) || is_changed {
            self.standing = None;
        }
    }

    fn add_part(&mut self, n_entities: u32, aims: &Aims, outcome: &Outcome) {
        self.standing = None;
        let open = self.open.entry(outcome.configuration).or_insert_with(|| Open {
            values: vec![vec![f64::NAN; n_entities as usize]; aims.metrics.len()],
            n_ended: 0,
        });
        open.n_ended += 1;
        if let Some(held) = Held::of(aims, outcome) {
            for (values, value) in open.values.iter_mut().zip(held.values) {
                if let Some(slot) = values.get_mut(outcome.entity as usize) {
                    *slot = value;
                }
            }
        }
        if open.n_ended == n_entities
            && let Some(open) = self.open.remove(&outcome.configuration)
            && let Some(held) = open.means(aims, outcome.configuration)
        {
            self.add(held);
        }
    }

    fn stand(&self, aims: &Aims) -> Standing {
        let mut all =
            Self { front: self.front.clone(), worst: self.worst.clone(), ..Self::default() };
        for (&configuration, open) in &self.open {
            if let Some(held) = open.means(aims, configuration) {
                all.add(held);
            }
        }
        let front = all.front.into_sorted();
        let points: Vec<Vec<f64>> = front.iter().map(|held| held.losses.clone()).collect();
        let is_told = aims.are_several()
            && !points.is_empty()
            && points.len() <= most_points(aims.objectives.len());
        let hypervolume = is_told.then(|| hypervolume(&points, &all.worst));
        let hypervolume = hypervolume.filter(|volume| volume.is_finite());
        Standing { front, worst: all.worst, hypervolume }
    }
}

/// What questions have found out, the latest last.
#[derive(Debug, Default)]
pub(crate) struct Fronts(VecDeque<(crate::journal::StudyId, Arc<Mutex<Known>>)>);

impl Fronts {
    /// What is known of a study.
    pub(crate) fn of(&mut self, id: crate::journal::StudyId) -> Arc<Mutex<Known>> {
        let place = self.0.iter().position(|(own, _)| *own == id);
        let (_, known) = place.and_then(|place| self.0.remove(place)).unwrap_or_default();
        self.0.push_back((id, Arc::clone(&known)));
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
        known
    }

    pub(crate) fn forget(&mut self, id: crate::journal::StudyId) {
        self.0.retain(|(own, _)| *own != id);
    }
}

impl Asked {
    /// How the front of the study stands: over all entities, where it has several.
    pub(super) fn standing(&self) -> Result<Arc<Standing>, QueryError> {
        let known = self.journal.front(self.record.id);
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        known.read(self, &self.aims)
    }

    /// The front of one of several entities.
    pub(super) fn front_of(&self, index: u32) -> Result<Vec<Held>, QueryError> {
        let mut front = Front::default();
        for block in self.journal.blocks(&self.record, Some(index), 0) {
            for outcome in block?.1.iter().filter(|outcome| outcome.entity == index) {
                if let Some(held) = Held::of(&self.aims, outcome) {
                    front.push(held);
                }
            }
        }
        Ok(front.into_sorted())
    }

    /// The values of these configurations for an entity, or their means over all, in their order;
    /// empty for those without.
    pub(super) fn values_of(
        &self,
        index: Option<u32>,
        configurations: &[u32],
    ) -> Result<Vec<Vec<f64>>, QueryError> {
        let n_entities = self.record.head.entities;
        let mut open: HashMap<u32, Open> = HashMap::new();
        let mut found = vec![Vec::new(); configurations.len()];
        for block in self.journal.blocks(&self.record, index, 0) {
            for outcome in block?.1 {
                let place = configurations.iter().position(|own| *own == outcome.configuration);
                let is_own = index.is_none_or(|index| index == outcome.entity);
                let (Some(place), true) = (place, is_own) else { continue };
                let Some(held) = Held::of(&self.aims, &outcome) else { continue };
                if index.is_some() {
                    found[place] = held.values;
                    continue;
                }
                let open = open.entry(outcome.configuration).or_insert_with(|| Open {
                    values: vec![vec![f64::NAN; n_entities as usize]; self.aims.metrics.len()],
                    n_ended: 0,
                });
                for (values, value) in open.values.iter_mut().zip(held.values) {
                    if let Some(slot) = values.get_mut(outcome.entity as usize) {
                        *slot = value;
                    }
                }
            }
        }
        for (place, configuration) in configurations.iter().enumerate() {
            let means =
                open.get(configuration).and_then(|own| own.means(&self.aims, *configuration));
            if let Some(means) = means {
                found[place] = means.values;
            }
        }
        Ok(found)
    }

    /// What each of these entities' winner has, by one reading.
    pub(super) fn values_of_winners(
        &self,
        winners: &HashMap<u32, u32>,
    ) -> Result<HashMap<u32, Vec<f64>>, QueryError> {
        let mut found = HashMap::with_capacity(winners.len());
        let Some(&any) = winners.keys().min() else { return Ok(found) };
        for block in self.journal.blocks(&self.record, Some(any), 0) {
            for outcome in block?.1 {
                let is_winner = winners.get(&outcome.entity) == Some(&outcome.configuration);
                if let Some(held) = is_winner.then(|| Held::of(&self.aims, &outcome)).flatten() {
                    found.insert(outcome.entity, held.values);
                }
            }
        }
        Ok(found)
    }
}

/// The places of those that no other dominates: for tests that ask the slow way.
#[cfg(test)]
pub(super) fn places(losses: &[Vec<f64>]) -> Vec<usize> {
    crate::sampler::front::front(losses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(configuration: u32, completed: u32, losses: &[f64]) -> Held {
        Held { configuration, completed, losses: losses.to_vec(), values: losses.to_vec() }
    }

    #[test]
    fn a_front_is_what_nobody_beats() {
        let mut state = 3u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            ((state >> 40) % 12) as f64
        };
        for n_losses in 2..5 {
            let points: Vec<Vec<f64>> =
                (0..200).map(|_| (0..n_losses).map(|_| draw()).collect()).collect();
            let mut front = Front::default();
            for (number, point) in (0..).zip(&points) {
                front.push(held(number, 1, point));
            }
            let mut found: Vec<usize> =
                front.into_sorted().iter().map(|held| held.configuration as usize).collect();
            found.sort_unstable();
            assert_eq!(found, places(&points));
        }
    }

    #[test]
    fn the_best_of_one_objective_is_one_and_more_entities_count_more() {
        let mut front = Front::default();
        for (number, completed, loss) in [(0, 1, 1.0), (3, 2, 5.0), (2, 2, 4.0), (1, 2, 4.0)] {
            front.push(held(number, completed, &[loss]));
        }
        let sorted = front.into_sorted();
        assert_eq!(sorted, [held(1, 2, &[4.0])]);
    }
}
