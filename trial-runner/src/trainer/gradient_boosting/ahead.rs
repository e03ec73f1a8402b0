//! Fits of many entities in fused launches: the scores that a device tells become predictions.
//!
//! What the kernel takes is decided fit by fit (`cuda/boost.rs`); both say the same to the bit.

use std::sync::{Arc, OnceLock};

use fleetfit_search_spaces::Learner;

use super::{Class, Family, predictions, table};
use crate::boost::Job;
use crate::boost::table::Table;
use crate::cuda::boost::{Boost, Wish, refusal};
use crate::cuda::machine::Fault;
use crate::stop::Stop;
use crate::trainer::Trials;
use crate::trainer::ahead::{Ask, Told, left};
use crate::trainer::kin::kin;
use crate::trainer::lesson::Lesson;

/// A fit of one entity that the kernel takes.
struct Sitting {
    entity: usize,
    fold: usize,
    family: Family,
    class: Class,
    table: Arc<OnceLock<Table>>,
    /// The rows that the fold validates on, then those that say when it is enough.
    watched: Vec<u32>,
    /// After how many trees somebody wants to know.
    marks: Vec<usize>,
}

/// Tries all entities' candidates. Whoever finds no memory, or is refused, is not told.
pub(in crate::trainer) fn ask(
    ask: &Ask<'_>,
    all: &[Trials<'_>],
    told: &mut [Told],
) -> Result<(), Fault> {
    let mut refusals = None;
    let sit = |(entity, trials)| sit(entity, trials, &mut refusals);
    let sittings: Vec<Sitting> = all.iter().enumerate().flat_map(sit).collect();
    let wishes: Vec<Wish<'_>> = sittings
        .iter()
        .filter_map(|sitting| {
            let table = sitting.table.get()?;
            Some(Wish { job: sitting.job(table, ask.stop), marks: &sitting.marks })
        })
        .collect();
    ask.gather::<Boost>(&wishes, |index, scores| {
        let sitting = &sittings[index];
        sitting.learn(&scores, &mut told[sitting.entity]);
    })?;
    left(Learner::GradientBoosting.name(), refusals)
}

impl Sitting {
    fn job<'a>(&'a self, table: &'a Table, stop: &'a Stop) -> Job<'a> {
        let job = self.class.job(table, &self.family.recipe.settings, stop);
        Job { watched: &self.watched, ..job }
    }

    fn learn(&self, scores: &[f64], told: &mut Told) {
        let Family { wanted, recipe, answer, .. } = &self.family;
        let n_all = scores.len() / self.marks.len().max(1);
        let n_own = self.class.watched.len() * recipe.settings.loss.n_scores();
        let of_mark = |mark: usize| scores[mark * n_all..][..n_all].split_at(n_own);
        let best = self.best(|mark| of_mark(mark).1);
        for &(n_trees, candidate) in wanted {
            let mark = self.marks.partition_point(|mark| *mark < n_trees);
            let mark = best.get(mark).copied().unwrap_or(mark);
            let (own, _) = of_mark(mark);
            told.insert((candidate, self.fold), predictions(answer, recipe.link, own));
        }
    }

    /// For each mark the best one until then, by the scores of the rows that are held out, as the
    /// CPU's course has it; nothing where none are.
    fn best<'a>(&self, held_out: impl Fn(usize) -> &'a [f64]) -> Vec<usize> {
        let Some(patience) = self.family.recipe.early_stopping else {
            return Vec::new();
        };
        let mut all: Vec<usize> = Vec::new();
        if self.class.held_out.is_empty() {
            return all;
        }
        let mut best = (f64::INFINITY, 0);
        let mut is_enough = false;
        for mark in 0..self.marks.len() {
            if !is_enough {
                let loss = self.class.loss(&self.family.recipe.settings, held_out(mark));
                if loss < best.0 || mark == 0 {
                    best = (loss, mark);
                }
                is_enough = mark - best.1 >= patience;
            }
            all.push(best.1);
        }
        all
    }
}

/// The fits of an entity that the kernel takes, and why it does not take others.
fn sit(entity: usize, trials: &Trials<'_>, refused: &mut Option<&'static str>) -> Vec<Sitting> {
    let mut all = Vec::new();
    for fold in trials.ahead() {
        let mut waiting: Vec<usize> = (0..trials.candidates.len()).collect();
        while let Some(&first) = waiting.first() {
            let is_kin = |index: &usize| kin(&trials.candidates[first], &trials.candidates[*index]);
            let (own, others) = waiting.iter().partition(|index| is_kin(index));
            waiting = others;
            // Those with a reason hear it in the entity's own course.
            let family = Family::read(trials, fold, own, &mut |_, _| ());
            let sitting = family.and_then(|family| family.sit(entity, trials, fold));
            match sitting.transpose() {
                Ok(sitting) => all.extend(sitting),
                Err(reason) => *refused = Some(reason),
            }
        }
    }
    all
}

impl Family {
    /// None where there is nothing to fit, or to learn from.
    fn sit(
        self,
        entity: usize,
        trials: &Trials<'_>,
        fold: usize,
    ) -> Option<Result<Sitting, &'static str>> {
        if self.is_constant {
            return None;
        }
        let job = trials.fit((self.longest, fold), trials.stop);
        let place = trials.table_place(&self.recipe);
        place.get_or_init(|| table(job.frame, self.recipe.max_bin, 1));
        let mut class = Class::sit(&job, Lesson::read(&job).ok()?, &self.recipe, 1);
        class.watched.extend_from_slice(&trials.folds[fold].validate);
        let settings = &self.recipe.settings;
        if let Some(reason) = refusal(&class.job(place.get()?, settings, trials.stop)) {
            return Some(Err(reason));
        }
        let watched = class.watched.iter().chain(&class.held_out).copied().collect();
        let mut marks: Vec<usize> = self.wanted.iter().map(|(n_trees, _)| *n_trees).collect();
        marks.dedup();
        if !class.held_out.is_empty() {
            // Every round may be the best one.
            marks = (1..=settings.n_estimators).collect();
        }
        Some(Ok(Sitting { entity, fold, family: self, class, table: place, watched, marks }))
    }
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::Learner;

    use super::*;
    use crate::cuda::machine::Limits;
    use crate::cuda::machine::Machine;
    use crate::cuda::shim::Shim;
    use crate::frame::{FeatureColumn, FeatureValues, Frame, Target};
    use crate::trainer::ahead::Ahead;
    use crate::trainer::gradient_boosting::GradientBoosting;
    use crate::trainer::searched::{configuration, folds_of};
    use crate::trainer::{Candidate, FitError, LaidOut, Predicted, Spare, Trainer};

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
            r#"{"n_estimators": 3, "num_leaves": 300}"#,
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
        let asked = |shim: Shim| {
            let (machine, mut told) = (Machine::Shim(shim), vec![Told::new(); 3]);
            let asked = Ask::alone(&machine, &LIMITS, &stop);
            (asked.of(Learner::GradientBoosting, &all, &mut told), told)
        };
        let known = |told| Ahead { told, otherwise: &GradientBoosting };
        let (asking, told) = asked(Shim::default());
        let why = "gradient_boosting, where trees may have more than 256 leaves";
        assert_eq!(asking, Err(Fault::Refused(why.into())));
        for (trials, told) in all.iter().zip(told) {
            let expected = answers(&GradientBoosting, trials);
            assert_eq!(told.len(), 5 * trials.ahead().len(), "five of them are taken");
            assert_eq!(answers(&known(told), trials), expected);
        }
        let (asking, mut told) = asked(Shim { max_bytes: Some(100), ..Shim::default() });
        assert_eq!(asking, Err(Fault::OutOfMemory));
        assert!(told.iter().all(Told::is_empty));
        let last = known(told.remove(2));
        assert_eq!(answers(&last, &all[2]), answers(&GradientBoosting, &all[2]));
        stop.cancel();
        let (_, told) = asked(Shim::default());
        assert_eq!(told.iter().map(Told::len).max(), Some(1), "no more than the longest is told");
    }
}
