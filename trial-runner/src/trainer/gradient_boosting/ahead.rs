//! Trials of many entities on a device, ahead of each entity's own course.
//!
//! Every fit that the kernel takes, of all entities, configurations and folds, goes into as few
//! launches as are planned; what they told answers the entity's trials afterwards. Whatever is not
//! taken, and whatever found no memory, is the CPU's then. Both say the same to the bit.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use super::{Class, Family, GradientBoosting, predictions, table};
use crate::boost::table::Table;
use crate::cuda::boost::{Limits, Wish, fit_all, takes};
use crate::cuda::machine::{Fault, Machine};
use crate::model::{Model, Predictions};
use crate::stop::Stop;
use crate::trainer::kin::kin;
use crate::trainer::lesson::Lesson;
use crate::trainer::{Fit, FitError, Hear, Heard, Trainer, Trials};

/// Gradient boosting that knows some answers of an entity's trials.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// By candidate and fold.
    told: HashMap<(usize, usize), Predictions>,
}

/// A fit of one entity that the kernel takes.
struct Sitting {
    entity: usize,
    fold: usize,
    family: Family,
    class: Class,
    table: Arc<OnceLock<Table>>,
    /// After how many trees somebody wants to know.
    marks: Vec<usize>,
}

impl Ahead {
    /// Tries all entities' candidates on a machine, until told to stop. The answers by entity.
    pub(crate) fn of(
        machine: &Machine,
        limits: &Limits,
        all: &[Trials<'_>],
        stop: &Stop,
    ) -> Result<Vec<Self>, Fault> {
        let sittings: Vec<Sitting> =
            all.iter().enumerate().flat_map(|(entity, trials)| sit(entity, trials)).collect();
        let wishes: Vec<Wish<'_>> = sittings
            .iter()
            .filter_map(|sitting| {
                let table = sitting.table.get()?;
                let job = sitting.class.job(table, &sitting.family.recipe.settings, stop);
                Some(Wish { job, marks: &sitting.marks })
            })
            .collect();
        let mut known: Vec<Self> = all.iter().map(|_| Self::default()).collect();
        fit_all(machine, limits, &wishes, &mut |index, scores| {
            let sitting = &sittings[index];
            if let Ok(scores) = scores {
                known[sitting.entity].learn(sitting, &scores);
            }
            if stop.check().is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(known)
    }

    fn learn(&mut self, sitting: &Sitting, scores: &[f64]) {
        let Family { wanted, recipe, answer, .. } = &sitting.family;
        let n_own = scores.len() / sitting.marks.len().max(1);
        for &(n_trees, candidate) in wanted {
            let mark = sitting.marks.partition_point(|mark| *mark < n_trees);
            let own = &scores[mark * n_own..][..n_own];
            let answer = predictions(answer, recipe.link, own);
            self.told.insert((candidate, sitting.fold), answer);
        }
    }
}

/// The fits of an entity that the kernel takes.
fn sit(entity: usize, trials: &Trials<'_>) -> Vec<Sitting> {
    let mut all = Vec::new();
    for fold in trials.ahead() {
        let mut waiting: Vec<usize> = (0..trials.candidates.len()).collect();
        while let Some(&first) = waiting.first() {
            let is_kin = |index: &usize| kin(&trials.candidates[first], &trials.candidates[*index]);
            let (own, others) = waiting.iter().partition(|index| is_kin(index));
            waiting = others;
            // Those with a reason hear it in the entity's own course.
            let family = Family::read(trials, fold, own, &mut |_, _| ());
            all.extend(family.and_then(|family| family.sit(entity, trials, fold)));
        }
    }
    all
}

impl Family {
    fn sit(self, entity: usize, trials: &Trials<'_>, fold: usize) -> Option<Sitting> {
        if self.is_constant || self.recipe.early_stopping.is_some() {
            return None;
        }
        let job = trials.fit((self.longest, fold), trials.stop);
        let place = trials.table_place(&self.recipe);
        place.get_or_init(|| table(job.frame, self.recipe.max_bin, 1));
        let mut class = Class::sit(&job, Lesson::read(&job).ok()?, &self.recipe, 1);
        class.watched.extend_from_slice(&trials.folds[fold].validate);
        let settings = &self.recipe.settings;
        let is_taken = takes(&class.job(place.get()?, settings, trials.stop));
        let mut marks: Vec<usize> = self.wanted.iter().map(|(n_trees, _)| *n_trees).collect();
        marks.dedup();
        is_taken.then_some(Sitting { entity, fold, family: self, class, table: place, marks })
    }
}

impl Trainer for Ahead {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        GradientBoosting.fit(job)
    }

    fn try_all(&self, trials: &Trials<'_>, hear: &mut Hear<'_>) {
        let is_known = |index: &usize| self.told.keys().any(|(candidate, _)| candidate == index);
        let (known, others): (Vec<usize>, Vec<usize>) =
            (0..trials.candidates.len()).partition(is_known);
        for candidate in known {
            for fold in trials.ahead() {
                let goes_on = match self.told.get(&(candidate, fold)) {
                    Some(told) => {
                        let answer = Ok(told.lend());
                        hear(Heard { candidate, fold, answer })
                    }
                    None => trials.one_of(&GradientBoosting, (candidate, fold), hear),
                };
                if !goes_on {
                    break;
                }
            }
        }
        let candidates: Vec<_> = others.iter().map(|&index| trials.candidates[index]).collect();
        let rest = Trials { candidates: &candidates, ..*trials };
        GradientBoosting.try_all(&rest, &mut |heard| {
            hear(Heard { candidate: others[heard.candidate], ..heard })
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::shim::Shim;
    use crate::frame::{FeatureColumn, FeatureValues, Frame, Target};
    use crate::trainer::searched::{configuration, folds_of};
    use crate::trainer::{Candidate, LaidOut, Predicted, Spare};

    /// Answers by candidate and fold.
    type Answers = Vec<(usize, usize, Result<Vec<f64>, FitError>)>;

    const LIMITS: Limits = Limits {
        n_processors: 2,
        max_shared: 64 << 10,
        processor_shared: 128 << 10,
        memory: 1 << 30,
        launch_s: 1.0,
    };

    fn frame(n_rows: usize, n_classes: u32) -> Frame {
        let x = |row: usize| (row as f64 * 0.7).sin();
        let number = |name: &str, values: Vec<f64>| FeatureColumn {
            name: name.into(),
            values: FeatureValues::Number(values),
        };
        let gaps = (0..n_rows).map(|row| if row % 7 == 0 { f64::NAN } else { x(row) });
        let target: Vec<f64> = (0..n_rows).map(|row| x(row) * 3.0 + (row % 5) as f64).collect();
        let labels = (0..n_classes).map(|label| format!("label {label}")).collect();
        let codes = target.iter().map(|y| ((y + 3.0) as u32).min(n_classes.max(1) - 1));
        Frame {
            columns: vec![
                number("x", gaps.collect()),
                number("y", (0..n_rows).map(|row| (row % 5) as f64).collect()),
            ],
            target: match n_classes {
                0 => Target::Number(target),
                _ => Target::Class { codes: codes.collect(), labels: Arc::new(labels) },
            },
            weights: None,
            n_rows,
            timeline: None,
        }
    }

    fn answers(trainer: &dyn Trainer, trials: &Trials<'_>) -> Answers {
        let mut all = Vec::new();
        trainer.try_all(trials, &mut |heard| {
            let answer = heard.answer.map(|told| match told {
                Predicted::Numbers(own) | Predicted::Classes(own) => own.to_vec(),
            });
            all.push((heard.candidate, heard.fold, answer));
            true
        });
        all.sort_by_key(|(candidate, fold, _)| (*candidate, *fold));
        all
    }

    #[test]
    fn what_a_device_tells_of_many_entities_is_what_each_hears_alone() {
        let jsons = [
            r#"{"n_estimators": 4, "max_depth": 3, "min_child_samples": 4}"#,
            r#"{"n_estimators": 2, "max_depth": 3, "min_child_samples": 4}"#,
            r#"{"n_estimators": 3, "max_depth": 2, "max_bin": 9, "subsample": 0.7}"#,
            r#"{"n_estimators": 3}"#,
            r#"{"n_estimators": 9, "max_depth": 2, "early_stopping_rounds": 2}"#,
            r#"{"n_estimators": 3, "max_depth": 0}"#,
        ];
        let parameters = jsons.map(configuration);
        let candidates: Vec<Candidate<'_>> =
            parameters.iter().map(|parameters| Candidate { parameters, seed: 9 }).collect();
        let (stop, spare) = (Stop::default(), Spare::default());
        let frames = [frame(90, 0), frame(130, 2), frame(75, 3)];
        let folds = [90, 130, 75].map(|n_rows| folds_of(n_rows, 3));
        let laid_out: [LaidOut; 3] = Default::default();
        let trials = |entity: usize| Trials {
            frame: &frames[entity],
            folds: &folds[entity],
            n_behind: usize::from(entity == 1),
            laid_out: &laid_out[entity],
            candidates: &candidates,
            stop: &stop,
            limit: None,
            spare: &spare,
        };
        let all = [trials(0), trials(1), trials(2)];
        let machine = Machine::Shim(Shim::default());
        let ahead = Ahead::of(&machine, &LIMITS, &all, &stop).unwrap();
        for (trials, ahead) in all.iter().zip(&ahead) {
            let expected = answers(&GradientBoosting, trials);
            assert_eq!(answers(ahead, trials), expected);
            assert_eq!(ahead.told.len(), 3 * trials.ahead().len(), "the first three are taken");
        }
        let nowhere = Machine::Shim(Shim { max_bytes: Some(100), ..Shim::default() });
        let ahead = Ahead::of(&nowhere, &LIMITS, &all, &stop).unwrap();
        assert!(ahead.iter().all(|ahead| ahead.told.is_empty()));
        assert_eq!(answers(&ahead[2], &all[2]), answers(&GradientBoosting, &all[2]));
        stop.cancel();
        let ahead = Ahead::of(&machine, &LIMITS, &all, &stop).unwrap();
        assert_eq!(ahead.iter().map(|ahead| ahead.told.len()).max(), Some(2), "no more is told");
    }
}
