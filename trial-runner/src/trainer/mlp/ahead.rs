//! Trainings of many entities in fused launches: the sums that a device tells become predictions.
//!
//! What the kernel takes is decided training by training (`cuda/mlp.rs`); both say the same to the
//! bit.

use fleetfit_search_spaces::Learner;

use super::train::{Course, Settings};
use super::{Lessoned, Taught, settings};
use crate::cuda::machine::Fault;
use crate::cuda::mlp::{Mlp, Wish, refusal};
use crate::model::encoder::Design;
use crate::trainer::Trials;
use crate::trainer::ahead::{Ask, Told, left};
use crate::trainer::parameters::Parameters;

/// A fold of an entity that candidates are trained on.
struct Sitting {
    entity: usize,
    fold: usize,
    taught: Taught,
    /// The rows to predict for.
    ahead: Design,
    /// Candidates, with their settings and seeds.
    wanted: Vec<(usize, Settings, u64)>,
}

/// Tries all entities' candidates. Whoever finds no memory, or is refused, is not told.
pub(in crate::trainer) fn ask(
    ask: &Ask<'_>,
    all: &[Trials<'_>],
    told: &mut [Told],
) -> Result<(), Fault> {
    let of_fold = |entity: usize, trials: &Trials<'_>| {
        trials.ahead().filter_map(|fold| Sitting::of(entity, trials, fold)).collect::<Vec<_>>()
    };
    let sittings: Vec<Sitting> =
        all.iter().enumerate().flat_map(|(entity, trials)| of_fold(entity, trials)).collect();
    let (mut wishes, mut places, mut refused) = (Vec::new(), Vec::new(), None);
    for sitting in &sittings {
        for (candidate, settings, seed) in &sitting.wanted {
            let course = Course { ground: &sitting.taught.ground, settings, seed: *seed };
            let wish = Wish { course, ahead: &sitting.ahead };
            match refusal(&wish) {
                None => {
                    wishes.push(wish);
                    places.push((sitting, *candidate));
                }
                why => refused = refused.or(why),
            }
        }
    }
    ask.gather::<Mlp>(&wishes, |index, sums| {
        let (sitting, candidate) = places[index];
        sitting.learn(candidate, &sums, &mut told[sitting.entity]);
    })?;
    left(Learner::Mlp.name(), refused)
}

impl Sitting {
    /// None where there is nothing to train; whoever has a reason hears it in the entity's own
    /// course.
    fn of(entity: usize, trials: &Trials<'_>, fold: usize) -> Option<Self> {
        let rows = &trials.folds[fold].validate;
        if trials.candidates.is_empty()
            || rows.iter().any(|&row| row as usize >= trials.frame.n_rows)
        {
            return None;
        }
        let Ok(Lessoned::Taught(taught)) = Taught::learn(&trials.fit((0, fold), trials.stop))
        else {
            return None;
        };
        let mut ahead = Design::default();
        taught.encoder.bind(trials.frame).ok()?.encode(rows, &mut ahead);
        let candidates = trials.candidates.iter().enumerate();
        let wanted = candidates.filter_map(|(index, candidate)| {
            let settings = settings(&Parameters(candidate.parameters)).ok()?;
            Some((index, settings, candidate.seed_of(fold)))
        });
        let wanted = wanted.collect();
        Some(Self { entity, fold, taught, ahead, wanted })
    }

    fn learn(&self, candidate: usize, sums: &[f32], told: &mut Told) {
        // Weights without bounds have a reason, and numbers without one an answer: the CPU's.
        if !sums.iter().all(|sum| sum.is_finite()) {
            return;
        }
        let n = self.ahead.n_rows;
        let width = self.taught.answer.fallback().len();
        let mut raw = vec![0.0; n * width];
        self.taught.output.tell(sums, n, &mut raw, width);
        if raw.iter().all(|value| value.is_finite()) {
            told.insert((candidate, self.fold), self.taught.answer.finish(raw));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::ahead::tests::{Expected, agrees};
    use crate::trainer::mlp::Mlp;

    #[test]
    fn what_a_device_tells_of_many_entities_is_what_each_hears_alone() {
        let jsons = [
            r#"{"max_iter": 3, "hidden_units": 6}"#,
            r#"{"max_iter": 4, "n_layers": 1, "activation": "tanh", "early_stopping_rounds": 1}"#,
            r#"{"learning_rate": 0}"#,
            r#"{"hidden_units": 4096, "n_layers": 16}"#,
        ];
        let expected = Expected { n_classes: &[0, 2, 3], n_taken: 2, tolerance: 0.0 };
        agrees(&Mlp, &ask, &jsons, &expected);
    }
}
