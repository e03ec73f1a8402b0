//! Lines of many entities in fused launches: what each penalty misses by on each fold.
//!
//! The sums are the CPU's within 1e-9 of themselves (`cuda/linear.rs`). A candidate of which a fold
//! is not told is the CPU's as a whole.

use super::{Line, Settings};
use crate::cuda::linear::{self as device, Entity, Penalties, squared_errors};
use crate::cuda::machine::Fault;
use crate::stop::Stop;
use crate::trainer::Trials;
use crate::trainer::ahead::{Ask, Missed};

/// Entities that try the same.
struct Group {
    /// Of each candidate; none where it has a reason to fail, which the entity's own course tells.
    wanted: Vec<Option<Settings>>,
    entities: Vec<usize>,
}

/// Tries all entities' candidates.
pub(in crate::trainer) fn ask(
    ask: &Ask<'_>,
    line: Line,
    all: &[Trials<'_>],
    missed: &mut [Missed],
) -> Result<(), Fault> {
    let mut refused = Ok(());
    for group in groups(line, all) {
        // Told to stop: whatever is not known by then is not wanted.
        let Some(entities) = group.lay_out(all, ask.stop) else { return Ok(()) };
        let refusal = entities.iter().flatten().find_map(|entity| entity.refusal(ask.limits));
        if let Some(reason) = refusal {
            refused = Err(Fault::Refused(reason.into()));
        }
        for own in group.kinds() {
            let (penalties, alphas) = group.penalties(&own);
            let penalties = match line {
                Line::Ridge => Penalties::Ridge(&alphas),
                Line::Lasso | Line::ElasticNet => Penalties::Net(&penalties),
            };
            let Some(first) = own.first().and_then(|&index| group.wanted[index]) else { continue };
            let asked = device::Ask { form: first.form, penalties };
            let (answers, faults) = squared_errors(
                (ask.machine, ask.limits),
                &entities,
                std::slice::from_ref(&asked),
                &mut |_| ask.stop.check().is_ok(),
            )?;
            refused = faults.and(refused);
            let answers = answers.into_iter().next().unwrap_or_default();
            for (&entity, answers) in group.entities.iter().zip(&answers) {
                let folds = all[entity].ahead();
                for (place, &candidate) in own.iter().enumerate() {
                    let of_fold = |fold: usize| *answers.get(fold * own.len() + place)?;
                    if let Some(sums) = folds.clone().map(of_fold).collect() {
                        missed[entity].insert(candidate, sums);
                    }
                }
            }
        }
    }
    refused
}

fn groups(line: Line, all: &[Trials<'_>]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (entity, trials) in all.iter().enumerate() {
        let read = trials.candidates.iter().map(|own| line.read(own.parameters).ok());
        let wanted: Vec<Option<Settings>> = read.collect();
        match groups.iter_mut().find(|group| group.wanted == wanted) {
            Some(group) => group.entities.push(entity),
            None => groups.push(Group { wanted, entities: vec![entity] }),
        }
    }
    groups
}

impl Group {
    /// None where nobody wants to know any more.
    fn lay_out(&self, all: &[Trials<'_>], stop: &Stop) -> Option<Vec<Option<Entity>>> {
        let lay = |&entity: &usize| Entity::of(all[entity].frame, all[entity].folds, stop).ok();
        self.entities.iter().map(lay).collect()
    }

    /// Candidates by what they make of features.
    fn kinds(&self) -> Vec<Vec<usize>> {
        let mut kinds: Vec<Vec<usize>> = Vec::new();
        for (index, wanted) in self.wanted.iter().enumerate() {
            let Some(wanted) = wanted else { continue };
            let form = |kind: &Vec<usize>| {
                let first = kind.first().and_then(|&first| self.wanted[first]);
                first.is_some_and(|first| first.form == wanted.form)
            };
            match kinds.iter().position(form) {
                Some(at) => kinds[at].push(index),
                None => kinds.push(vec![index]),
            }
        }
        kinds
    }

    fn penalties(&self, kind: &[usize]) -> (Vec<super::Penalty>, Vec<f64>) {
        let all = kind.iter().filter_map(|&index| Some(self.wanted[index]?.penalty));
        all.map(|penalty| (penalty, penalty.alpha)).unzip()
    }
}
