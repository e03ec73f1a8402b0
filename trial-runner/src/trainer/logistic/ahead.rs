//! Logistic regressions of many entities in fused launches: the weights that a device tells become
//! predictions.
//!
//! What the kernel takes is decided fit by fit (`cuda/logistic.rs`); predictions are within 1e-9 of
//! those of the CPU.

use fleetfit_search_spaces::Learner;

use super::{Heat, Settings, Taught, linear};
use crate::cuda::logistic::{Logistic, Wish, refusal};
use crate::cuda::machine::Fault;
use crate::model::encoder::Design;
use crate::trainer::Trials;
use crate::trainer::ahead::{Ask, Told, left};
use crate::trainer::encode::Scaling;

/// A fold of an entity, with features scaled in one way, that candidates are tried on.
struct Sitting {
    entity: usize,
    fold: usize,
    taught: Taught,
    /// The rows to predict for.
    ahead: Design,
    wanted: Vec<(usize, Settings)>,
}

/// Tries all entities' candidates. Whoever finds no memory, or is refused, is not told.
pub(in crate::trainer) fn ask(
    ask: &Ask<'_>,
    all: &[Trials<'_>],
    told: &mut [Told],
) -> Result<(), Fault> {
    let mut sittings = Vec::new();
    for (entity, trials) in all.iter().enumerate() {
        for fold in trials.ahead() {
            let scalings = [Scaling::Standard, Scaling::Raw];
            sittings.extend(scalings.map(|own| Sitting::of(entity, trials, (fold, own))));
        }
    }
    let sittings: Vec<Sitting> = sittings.into_iter().flatten().collect();
    let (mut places, mut refused) = (Vec::new(), None);
    for sitting in &sittings {
        for (candidate, settings) in &sitting.wanted {
            let loss = sitting.taught.loss(settings);
            match refusal(&Wish { loss: &loss, max_iter: settings.max_iter }) {
                None => places.push((sitting, *candidate, loss, settings.max_iter)),
                why => refused = refused.or(why),
            }
        }
    }
    let wishes: Vec<Wish<'_>> =
        places.iter().map(|(_, _, loss, max_iter)| Wish { loss, max_iter: *max_iter }).collect();
    ask.gather::<Logistic>(&wishes, |index, weights| {
        let (sitting, candidate, loss, _) = &places[index];
        let line = weights.and_then(|own| linear(&own, loss.design.n_columns, loss.n_outputs).ok());
        if let Some(line) = line {
            let answer = sitting.taught.answer.predict_encoded(&line, &sitting.ahead);
            told[sitting.entity].insert((*candidate, sitting.fold), answer);
        }
    })?;
    left(Learner::LogisticRegression.name(), refused)
}

impl Sitting {
    /// None where there is nothing to fit; whoever has a reason hears it in the entity's own course.
    fn of(entity: usize, trials: &Trials<'_>, (fold, scaling): (usize, Scaling)) -> Option<Self> {
        let candidates = trials.candidates.iter().enumerate();
        let wanted: Vec<(usize, Settings)> = candidates
            .filter_map(|(index, own)| Some((index, Settings::read(own.parameters).ok()?)))
            .filter(|(_, settings)| settings.scaling == scaling)
            .collect();
        let &(first, _) = wanted.first()?;
        match Heat::of(trials, (first, fold), scaling) {
            Ok(Heat::Open(taught, ahead)) => Some(Self { entity, fold, taught, ahead, wanted }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::frame::{Frame, Target};
    use crate::trainer::ahead::tests::{Expected, agrees, told_of};
    use crate::trainer::linear::tests::tiny;
    use crate::trainer::logistic::LogisticRegression;

    #[test]
    fn what_a_device_tells_of_many_entities_is_nearly_what_each_hears_alone() {
        let jsons = [
            r#"{"C": 1.0}"#,
            r#"{"C": 0.01, "standardize": false}"#,
            r#"{"C": 30.0, "max_iter": 1}"#,
            r#"{"C": -1.0}"#,
        ];
        let expected = Expected { n_classes: &[2, 3], n_taken: 2, tolerance: 1e-9 };
        agrees(&LogisticRegression, &ask, &jsons, &expected);
    }

    #[test]
    fn few_rows_and_columns_that_depend_on_each_other_change_nothing() {
        let labels = Arc::new(["low", "high"].map(str::to_owned).to_vec());
        let frames: Vec<Frame> = (0..120)
            .map(|seed| {
                let mut frame = tiny(seed);
                if let Target::Number(y) = &frame.target {
                    let mean = y.iter().sum::<f64>() / y.len() as f64;
                    let codes = y.iter().map(|y| u32::from(*y > mean)).collect();
                    frame.target = Target::Class { codes, labels: labels.clone() };
                }
                frame
            })
            .collect();
        let jsons = [
            r#"{"C": 0.01}"#,
            r#"{"C": 1.0}"#,
            r#"{"C": 100.0}"#,
            r#"{"C": 1.0, "standardize": false}"#,
        ];
        let (n_told, n_all) = told_of(&LogisticRegression, &ask, &jsons, (&frames, 1e-9));
        assert!(n_told * 10 >= n_all * 8, "{n_told} of {n_all}");
    }
}
