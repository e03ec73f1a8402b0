//! Configurations of one learner on one entity's folds: what the trainer answers becomes outcomes.

use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use fleetfit_search_spaces::seed::mix;
use fleetfit_search_spaces::{End, Measure, Training};

use super::bench::Bench;
use super::flight::Flight;
use super::news::{Effort, News};
use crate::folds::Fold;
use crate::stop::Stopped;
use crate::trainer::{Candidate, FitError, Heard, LaidOut, Predicted, Spare, Trainer, Trials};

/// Who is tried, where, and by which rules.
pub(super) struct Course<'a> {
    pub(super) entity: u32,
    pub(super) bench: &'a Bench,
    pub(super) folds: &'a [Fold],
    /// What trainers made of them.
    pub(super) laid_out: &'a LaidOut,
    /// The folds that are tried.
    pub(super) tried: Range<usize>,
    /// The rung that trials are tried up to by so many folds.
    pub(super) by_folds: Option<u8>,
    /// The first is that of the objective.
    pub(super) measures: &'a [Measure],
    pub(super) study_seed: u64,
    pub(super) flight: &'a Flight,
    pub(super) spare: &'a Spare,
    /// How long a fit may take.
    pub(super) limit_s: Option<f64>,
}

/// A configuration that is tried.
pub(super) struct Entrant {
    number: u32,
    pub(super) training: Training,
    /// The rung that it is tried up to by less than its folds have; none where nothing is less.
    pub(super) rung: Option<u8>,
    /// Those of each fold, once they are known: one for each measure.
    values: Vec<Option<Vec<f64>>>,
    effort: Effort,
    /// Whether it is through with what is asked of it.
    has_ended: bool,
}

impl Entrant {
    /// Whether nothing more is wanted of it.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    pub(super) fn new(number: u32, training: Training, rung: Option<u8>) -> Self {
        let (values, effort) = (Vec::new(), Effort::default());
        Self { number, training, rung, values, effort, has_ended: false }
    }

    /// A graphics card has told all that is asked of it.
    pub(super) fn was_launched(&mut self) {
        self.effort.launched = true;
    }

    /// Ends the trial.
    pub(super) fn fail(&mut self, entity: u32, reason: String, news: &mut News<'_>) {
        self.has_ended = true;
        news.push((self.number, entity), End::Failed { reason }, self.effort);
    }
}

impl Course<'_> {
    /// Tries them. Breaks when the assignment is over, with trials that have not ended.
    pub(super) fn run(
        &self,
        trainer: &dyn Trainer,
        entrants: &mut [Entrant],
        news: &mut News<'_>,
    ) -> ControlFlow<()> {
        if self.attempt(entrants, news, |trials, hear| trainer.try_all(trials, hear)).is_err() {
            // Somebody's fit panicked. Whoever it was, the others have done nothing.
            for entrant in entrants.iter_mut().filter(|entrant| !entrant.has_ended) {
                if self.folds.iter().any(Fold::is_out_of_bag) {
                    // A model that is fitted as a whole has seen every row.
                    entrant.fail(self.entity, "its fit broke off".into(), news);
                    continue;
                }
                entrant.values.clear();
                let alone = std::slice::from_mut(entrant);
                let tried = self.attempt(alone, news, |trials, hear| {
                    trials.one_by_one(trainer, hear);
                });
                if let Err(reason) = tried
                    && !entrant.has_ended
                {
                    entrant.fail(self.entity, reason, news);
                }
            }
        }
        if self.flight.stop.check().is_err() {
            return ControlFlow::Break(());
        }
        for entrant in entrants.iter_mut().filter(|entrant| !entrant.has_ended) {
            entrant.fail(self.entity, "the trainer gave no answer".into(), news);
        }
        ControlFlow::Continue(())
    }

    /// A configuration as trainers know it.
    pub(super) fn candidate<'b>(&self, training: &'b Training) -> Candidate<'b> {
        Candidate {
            parameters: &training.parameters,
            seed: mix(&[self.study_seed, training.seed(), self.bench.fingerprint]),
        }
    }

    /// What is tried, as trainers know it.
    pub(super) fn trials<'b>(&'b self, candidates: &'b [Candidate<'b>]) -> Trials<'b> {
        Trials {
            frame: &self.bench.frame,
            folds: self.folds,
            n_behind: self.tried.start,
            laid_out: self.laid_out,
            candidates,
            stop: &self.flight.stop,
            limit: self.limit_s.map(Duration::from_secs_f64),
            spare: self.spare,
        }
    }

    fn attempt(
        &self,
        entrants: &mut [Entrant],
        news: &mut News<'_>,
        act: impl FnOnce(&Trials<'_>, &mut dyn FnMut(Heard<'_>) -> bool),
    ) -> Result<(), String> {
        let trainings: Vec<Training> =
            entrants.iter().map(|entrant| entrant.training.clone()).collect();
        let candidates: Vec<Candidate<'_>> =
            trainings.iter().map(|training| self.candidate(training)).collect();
        let trials = self.trials(&candidates);
        let mut hear = |heard: Heard<'_>| match entrants.get_mut(heard.candidate) {
            Some(entrant) => self.hear(entrant, heard.fold, heard.answer, news),
            None => false,
        };
        guarded(|| act(&trials, &mut hear))
    }

    /// Takes in an answer; whether more of the entrant is wanted.
    fn hear(
        &self,
        entrant: &mut Entrant,
        fold: usize,
        answer: Result<Predicted<'_>, FitError>,
        news: &mut News<'_>,
    ) -> bool {
        if entrant.has_ended {
            return false;
        }
        let judged = answer.map_err(|error| self.reason(error)).and_then(|predicted| {
            entrant.effort.fits += 1;
            self.judge(fold, predicted).map_err(Some)
        });
        match judged {
            Ok(values) => {
                entrant.values.resize(self.folds.len(), None);
                entrant.values[fold] = Some(values);
            }
            Err(Some(reason)) => entrant.fail(self.entity, reason, news),
            // The assignment is over.
            Err(None) => return false,
        }
        self.settle(entrant, news);
        !entrant.has_ended
    }

    /// Takes in the summed squared errors of all folds that are tried. Where they are not enough to
    /// judge the entrant by, it is tried as ever.
    pub(super) fn take(&self, entrant: &mut Entrant, squares: &[f64], news: &mut News<'_>) {
        let of_fold = |(fold, &sum): (usize, &f64)| {
            let values = self.measures.iter();
            let values: Option<Vec<f64>> =
                values.map(|&measure| self.bench.judge_squares(measure, fold, sum)).collect();
            values.map(|values| (fold, values))
        };
        let Some(all) = self.tried.clone().zip(squares).map(of_fold).collect::<Option<Vec<_>>>()
        else {
            return;
        };
        entrant.values.resize(self.folds.len(), None);
        for (fold, values) in all {
            entrant.values[fold] = Some(values);
            entrant.effort.fits += 1;
        }
        entrant.effort.launched = true;
        self.settle(entrant, news);
    }

    /// Ends an entrant that is through with all folds that are tried.
    fn settle(&self, entrant: &mut Entrant, news: &mut News<'_>) {
        let values = entrant.values.get(self.tried.clone()).unwrap_or_default();
        let is_whole = !values.is_empty() && values.iter().all(Option::is_some);
        if !entrant.has_ended && is_whole {
            let trial = (entrant.number, self.entity);
            let n_folds = u32::try_from(self.folds.len()).unwrap_or(u32::MAX);
            let means = match self.by_folds {
                // Those of the folds that are tried, one by one.
                Some(_) => Ok(values.iter().flatten().flatten().copied().collect()),
                None => self.means(values),
            };
            match (means, self.by_folds.or(entrant.rung)) {
                (Err(reason), _) => entrant.fail(self.entity, reason, news),
                (Ok(values), Some(rung)) => {
                    entrant.has_ended = true;
                    news.reach(trial, rung, (values, n_folds), entrant.effort);
                }
                (Ok(mut means), None) => {
                    entrant.has_ended = true;
                    let further = means.split_off(1);
                    let end = End::Completed { value: means[0] };
                    news.push_with(trial, end, further, entrant.effort);
                }
            }
        }
    }

    /// The mean of each measure, in the order of the folds, so that it is the same whichever comes
    /// first.
    fn means(&self, folds: &[Option<Vec<f64>>]) -> Result<Vec<f64>, String> {
        let mean = |(place, measure): (usize, &Measure)| {
            let values = folds.iter().flatten().filter_map(|values| values.get(place));
            let mean = values.sum::<f64>() / folds.len() as f64;
            // Each fold's is finite, and yet their sum may be more than a number can hold.
            let name = measure.name();
            let is_finite = mean.is_finite();
            is_finite
                .then_some(mean)
                .ok_or_else(|| format!("{name} is not a finite number over all folds"))
        };
        self.measures.iter().enumerate().map(mean).collect()
    }

    fn judge(&self, fold: usize, predicted: Predicted<'_>) -> Result<Vec<f64>, String> {
        let judge = |&measure: &Measure| match self.bench.judge(measure, fold, predicted) {
            Ok(value) if value.is_finite() => Ok(value),
            Ok(_) => Err(format!("{} is not a finite number on fold {fold}", measure.name())),
            Err(error) => Err(error.to_string()),
        };
        self.measures.iter().map(judge).collect()
    }

    /// Why there is no model; none when the assignment is over.
    fn reason(&self, error: FitError) -> Option<String> {
        match (error, self.limit_s) {
            (FitError::Failed(reason), _) => Some(reason),
            (FitError::Stopped(Stopped::TimedOut), Some(limit_s)) => {
                Some(format!("a fit ran longer than trial_timeout ({limit_s} s)"))
            }
            (FitError::Stopped(_), _) => None,
        }
    }
}

/// A panic of a trainer is a failed trial, not the end of the runner.
pub(super) fn guarded<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        format!("the trainer failed unexpectedly: {message}")
    })
}
