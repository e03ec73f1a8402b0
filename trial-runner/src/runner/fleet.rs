//! An assignment of built-in learners: configurations tried on an entity's folds, winners refitted.
//!
//! Work goes entity by entity, so that one entity's columns and folds are laid out once for all
//! configurations of the assignment. Outcomes are told in batches, a few times a second.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use fleetfit_search_spaces::seed::mix;
use fleetfit_search_spaces::wire::{Numbered, Refit};
use fleetfit_search_spaces::{
    Assignment, AssignmentTask, Block, Configuration, End, FromRunner, Learner, Measure, Outcome,
    Setting, Value, Work,
};

use crate::dataset::Dataset;
use crate::folds::FoldPlan;
use crate::frame::Frame;
use crate::model::{Model, PredictError};
use crate::stop::{Stop, Stopped};
use crate::trainer::{Fit, FitError, trainer};

use super::bench::Bench;
use super::flight::{Flight, Landing, Over};
use super::models::{Models, unable};
use super::{Lacking, Running, Tell, now_ms};

/// How often outcomes are told, so that progress shows and a kill loses little.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// The fold that seeds are derived from when a winner is fitted on all rows.
const ALL_ROWS: u32 = u32::MAX;

/// Does the assignment.
pub(super) fn train(
    running: &Running,
    flight: &Flight,
    assignment: &Assignment,
    tell: &Tell,
) -> Landing {
    // A study with a built-in learner has data and a measure, or it would not have been started.
    let Some(dataset) = &running.work.dataset else {
        return Landing::Lacking("the study's data is not here".into());
    };
    let study = &running.work.study;
    let (Some(data), Some(measure)) = (&study.data, Measure::named(&study.objective.metric)) else {
        return Landing::Lacking("this version cannot judge the study's models".into());
    };
    let fleet = Fleet { running, flight, dataset, plan: FoldPlan::of(data), measure };
    match &assignment.task {
        AssignmentTask::Try(blocks) => fleet.try_all(assignment, blocks, tell),
        AssignmentTask::Refit(blocks) => fleet.refit_all(assignment, blocks, tell),
    }
}

struct Fleet<'a> {
    running: &'a Running,
    flight: &'a Flight,
    dataset: &'a Dataset,
    plan: FoldPlan,
    measure: Measure,
}

/// Why a trial has no value.
enum Unfinished {
    /// It never will have one.
    Failed(String),
    /// The study is over: the trial stays open.
    Over,
    /// The disk refuses: the trial stays open, and nobody can go on.
    NotStored(std::io::Error),
}

impl Fleet<'_> {
    fn try_all(&self, assignment: &Assignment, blocks: &[Block], tell: &Tell) -> Landing {
        let mut outcomes = Vec::new();
        let mut told = Instant::now();
        let flush = |outcomes: &mut Vec<Outcome>| {
            if !outcomes.is_empty() {
                tell(FromRunner::Outcomes {
                    of: assignment.key,
                    outcomes: std::mem::take(outcomes),
                });
            }
        };
        'entities: for entity in entities(blocks) {
            let shared = self.running.bench(entity);
            let bench = shared.get_or_init(|| self.lay_out(entity));
            for block in blocks.iter().filter(|block| holds(block, entity)) {
                let started_ms = now_ms();
                let tried = self.try_one(&block.tried, entity, bench);
                let is_over = tried.is_none();
                if is_over && self.flight.is_handed_back() {
                    flush(&mut outcomes);
                    return Landing::HandedBack;
                }
                // Ended by somebody while it was tried: that is how it ends.
                let (end, fits) = tried.unwrap_or_else(|| (self.stopped(), 0));
                outcomes.push(Outcome {
                    configuration: block.tried.number,
                    entity,
                    end,
                    fits,
                    started_ms,
                    ended_ms: now_ms(),
                    reports: Vec::new(),
                });
                if is_over {
                    break 'entities;
                }
                if told.elapsed() >= TELL_EVERY {
                    flush(&mut outcomes);
                    told = Instant::now();
                }
            }
        }
        flush(&mut outcomes);
        Landing::Done
    }

    fn stopped(&self) -> End {
        let reason = match self.flight.over() {
            Some(Over::Stopped(reason)) => reason.clone(),
            Some(Over::HandedBack) | None => "it was stopped".into(),
        };
        End::Stopped { value: None, reason }
    }

    fn lay_out(&self, entity: u32) -> Bench {
        Bench::of(self.dataset, entity, &self.plan, self.measure, self.running.work.seed)
    }

    /// How the trial ends, and how many models were fitted; none when the study is over.
    fn try_one(&self, tried: &Numbered, entity: u32, bench: &Bench) -> Option<(End, u32)> {
        let mut fits = 0;
        match self.value(tried, entity, bench, &mut fits) {
            Ok(value) => Some((End::Completed { value }, fits)),
            Err(Unfinished::Failed(reason)) => Some((End::Failed { reason }, fits)),
            Err(Unfinished::Over | Unfinished::NotStored(_)) => None,
        }
    }

    /// The unweighted mean of the folds' metrics.
    fn value(
        &self,
        tried: &Numbered,
        entity: u32,
        bench: &Bench,
        fits: &mut u32,
    ) -> Result<f64, Unfinished> {
        let failed = |reason: &dyn ToString| Unfinished::Failed(reason.to_string());
        let folds = bench.folds.as_ref().map_err(|error| failed(error))?;
        let mut sum = 0.0;
        for (index, fold) in folds.iter().enumerate() {
            let number = index as u32;
            let attempt = self.attempt(tried, entity, number);
            let model = attempt.fit(&bench.frame, &fold.train)?;
            *fits += 1;
            let value = guarded(|| {
                let predictions = model.predict_until(&bench.frame, &fold.validate, &attempt.stop);
                let predictions = predictions.map_err(|error| attempt.unpredicted(error))?;
                bench.judge(self.measure, index, fold, &predictions).map_err(|error| failed(&error))
            })?;
            if !value.is_finite() {
                let name = self.measure.name();
                return Err(failed(&format!("{name} is not a finite number on fold {number}")));
            }
            sum += value;
        }
        let mean = sum / folds.len() as f64;
        if mean.is_finite() {
            return Ok(mean);
        }
        // Each fold's is finite, and yet their sum is more than a number can hold.
        Err(failed(&format!("{} is not a finite number over all folds", self.measure.name())))
    }

    fn attempt<'a>(&'a self, tried: &'a Numbered, entity: u32, fold: u32) -> Attempt<'a> {
        let study = &self.running.work.study;
        // The limit is the search's: a winner has earned its model, however long that takes.
        let limit_s = study.limits.trial_timeout_s.filter(|_| fold != ALL_ROWS);
        let limit = limit_s.map(Duration::from_secs_f64);
        // A limit that no clock can count to is none.
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let numbers = [tried.number, entity, fold].map(u64::from);
        Attempt {
            work: &study.work,
            configuration: &tried.configuration,
            seed: mix(&[self.running.work.seed, numbers[0], numbers[1], numbers[2]]),
            stop: self.flight.stop.with_deadline(deadline),
            limit_s,
        }
    }

    fn refit_all(&self, assignment: &Assignment, blocks: &[Block], tell: &Tell) -> Landing {
        let mut models = Models::new(self.running, assignment.key, tell);
        for block in blocks {
            for entity in block.entities.iter().cloned().flatten() {
                let stored = self.refit(&block.tried, entity).and_then(|model| {
                    models.store(&model.to_bytes()).map_err(Unfinished::NotStored)
                });
                let model = match stored {
                    Ok(address) => Ok(address),
                    Err(Unfinished::Failed(reason)) => Err(reason),
                    Err(Unfinished::Over) if self.flight.is_handed_back() => {
                        return models.tell(Landing::HandedBack);
                    }
                    Err(Unfinished::Over) => return Landing::Done,
                    Err(Unfinished::NotStored(error)) => return unable(&error),
                };
                let refit = Refit { entity, configuration: block.tried.number, model };
                if let Err(Lacking(reason)) = models.push(refit) {
                    return Landing::Lacking(reason);
                }
            }
        }
        models.tell(Landing::Done)
    }

    fn refit(&self, winner: &Numbered, entity: u32) -> Result<Model, Unfinished> {
        let shared = self.running.bench(entity);
        let bench = shared.get_or_init(|| self.lay_out(entity));
        let rows = bench.marks.refit_rows(bench.frame.n_rows);
        self.attempt(winner, entity, ALL_ROWS).fit(&bench.frame, &rows)
    }
}

/// One fit, and the prediction that judges it, within one time limit.
struct Attempt<'a> {
    work: &'a Work,
    configuration: &'a Configuration,
    seed: u64,
    stop: Stop,
    limit_s: Option<f64>,
}

impl Attempt<'_> {
    fn fit(&self, frame: &Frame, rows: &[u32]) -> Result<Model, Unfinished> {
        let (learner, parameters) =
            learner(self.work, self.configuration).map_err(Unfinished::Failed)?;
        let trainer = trainer(learner).ok_or_else(|| {
            Unfinished::Failed(format!("{} cannot be trained by this version", learner.name()))
        })?;
        let fit = Fit { frame, rows, parameters: &parameters, seed: self.seed, stop: &self.stop };
        guarded(|| {
            trainer.fit(&fit).map_err(|error| match error {
                FitError::Failed(reason) => Unfinished::Failed(reason),
                FitError::Stopped(stopped) => self.stopped(stopped),
            })
        })
    }

    fn unpredicted(&self, error: PredictError) -> Unfinished {
        match error {
            PredictError::Stopped(stopped) => self.stopped(stopped),
            other => Unfinished::Failed(other.to_string()),
        }
    }

    fn stopped(&self, stopped: Stopped) -> Unfinished {
        match (stopped, self.limit_s) {
            (Stopped::TimedOut, Some(limit_s)) => {
                Unfinished::Failed(format!("a fit ran longer than trial_timeout ({limit_s} s)"))
            }
            _ => Unfinished::Over,
        }
    }
}

/// A panic of a trainer is a failed trial, not the end of the runner.
fn guarded<T>(act: impl FnOnce() -> Result<T, Unfinished>) -> Result<T, Unfinished> {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(done) => done,
        Err(panic) => {
            let message = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Err(Unfinished::Failed(format!("the trainer failed unexpectedly: {message}")))
        }
    }
}

/// The learner that a configuration trains, and its parameters.
fn learner(work: &Work, configuration: &Configuration) -> Result<(Learner, Configuration), String> {
    let parameter = match work {
        Work::Learner(learner) => return Ok((*learner, configuration.clone())),
        Work::ChosenLearner { parameter } => parameter,
        Work::Command(_) | Work::External | Work::AutoMl => {
            return Err("this study trains no built-in learner".into());
        }
    };
    let (name, parameters) = match configuration.get(parameter) {
        Some(Setting::Value(Value::Text(name))) => (name.clone(), Configuration::default()),
        Some(Setting::Nested(nested)) => {
            let name = match nested.get("learner") {
                Some(Setting::Value(Value::Text(name))) => name.clone(),
                _ => return Err(format!("{parameter} chose no learner")),
            };
            let others = nested.0.iter().filter(|(key, _)| key != "learner").cloned();
            (name, Configuration(others.collect()))
        }
        _ => return Err(format!("{parameter} chose no learner")),
    };
    let learner = Learner::named(&name).ok_or_else(|| format!("there is no learner {name}"))?;
    Ok((learner, parameters))
}

fn holds(block: &Block, entity: u32) -> bool {
    block.entities.iter().any(|range| range.contains(&entity))
}

/// Every entity of the blocks once, in ascending order.
fn entities(blocks: &[Block]) -> Vec<u32> {
    let all = blocks.iter().flat_map(|block| block.entities.iter().cloned().flatten());
    let mut all: Vec<u32> = all.collect();
    all.sort_unstable();
    all.dedup();
    all
}
