//! An assignment of built-in learners: configurations tried on an entity's folds, winners refitted.
//!
//! Work goes entity by entity, so that one entity's columns and folds are laid out once for all
//! configurations of the assignment. `course.rs` tries them; `news.rs` tells what came of it.

use std::ops::ControlFlow;

use fleetfit_search_spaces::seed::mix;
use fleetfit_search_spaces::wire::{Numbered, Refit};
use fleetfit_search_spaces::{Assignment, AssignmentTask, Block, End, Learner, Measure};

use crate::dataset::Dataset;
use crate::folds::{Fold, FoldPlan};
use crate::model::Model;
use crate::trainer::{Fit, FitError, Hand, Spare};

use super::back_test::BackTest;
use super::bench::Bench;
use super::course::{Course, Entrant, guarded};
use super::flight::{Flight, Landing, Over};
use super::models::{Models, unable};
use super::news::News;
use super::part::Part;
use super::{Lacking, Running, Tell};

/// The fold that seeds are derived from when a winner is fitted on all rows.
const ALL_ROWS: u64 = u32::MAX as u64;

/// Does the assignment.
pub(super) fn train(
    running: &Running,
    flight: &Flight,
    assignment: &Assignment,
    spare: &Spare,
    tell: &Tell,
) -> Landing {
    // A study with a built-in learner has data and a measure, or it would not have been started.
    let Some(dataset) = &running.work.dataset else {
        return Landing::Lacking("the study's data is not here".into());
    };
    let names = running.aims.metrics.iter();
    let measures: Option<Vec<Measure>> = names.map(|name| Measure::named(name)).collect();
    let (Some(data), Some(measures)) = (&running.work.study.data, measures) else {
        return Landing::Lacking("this version cannot judge the study's models".into());
    };
    let plan = FoldPlan::of(data);
    let measures = measures.as_slice();
    let fleet = Fleet { running, flight, dataset, plan, measures, spare };
    if let AssignmentTask::Refit(blocks) = &assignment.task {
        return fleet.refit_all(assignment, blocks, tell);
    }
    let Some((part, blocks)) = Part::of(&running.work.study, assignment) else {
        return Landing::Lacking("the study's job has no rungs".into());
    };
    fleet.try_all(assignment, (part, blocks), tell)
}

struct Fleet<'a> {
    running: &'a Running,
    flight: &'a Flight,
    dataset: &'a Dataset,
    plan: FoldPlan,
    measures: &'a [Measure],
    spare: &'a Spare,
}

/// Why a winner has no model.
enum Unfinished {
    /// It never will have one.
    Failed(String),
    /// The study is over: the trial stays open.
    Over,
    /// The disk refuses: the trial stays open, and nobody can go on.
    NotStored(std::io::Error),
}

impl Fleet<'_> {
    fn try_all(
        &self,
        assignment: &Assignment,
        (part, blocks): (Part<'_>, &[Block]),
        tell: &Tell,
    ) -> Landing {
        let mut news = News::new(assignment.key, tell);
        for entity in entities(blocks) {
            let tried = blocks.iter().filter(|block| holds(block, entity));
            let tried: Vec<&Numbered> = tried.map(|block| &block.tried).collect();
            if self.try_entity(entity, part, &tried, &mut news).is_continue() {
                continue;
            }
            if self.flight.is_handed_back() {
                news.flush();
                return Landing::HandedBack;
            }
            // Ended by somebody while they were tried: that is how they end.
            for trial in tried.iter().map(|trial| (trial.number, entity)) {
                if !news.has_ended(trial) {
                    news.push(trial, self.stopped(), 0);
                }
            }
            break;
        }
        news.flush();
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
        Bench::of(self.dataset, entity, &self.plan, self.measures, self.running.work.seed)
    }

    /// Tries configurations on an entity's folds. Breaks when the assignment is over.
    fn try_entity(
        &self,
        entity: u32,
        part: Part<'_>,
        tried: &[&Numbered],
        news: &mut News<'_>,
    ) -> ControlFlow<()> {
        let shared = self.running.benches.place(entity);
        let bench = shared.get_or_init(|| self.lay_out(entity));
        let study = &self.running.work.study;
        let mut entrants: Vec<Entrant> = Vec::new();
        for trial in tried {
            match study.work.training(&trial.configuration) {
                Ok(training) => {
                    let (training, rung) = part.shorten(training);
                    entrants.push(Entrant::new(trial.number, training, rung));
                }
                Err(reason) => news.push((trial.number, entity), End::Failed { reason }, 0),
            }
        }
        let thinned = match (part.rows(), &bench.folds) {
            (Some(rows), Ok(folds)) => Some(bench.thinned(folds, rows, self.running.work.seed)),
            _ => None,
        };
        let thinned = thinned.as_deref().filter(|thinned| !thinned.is_whole);
        if let (Some((rung, _)), Some(_)) = (part.rows(), thinned) {
            entrants.iter_mut().for_each(|entrant| entrant.rung = Some(rung));
        }
        // Those of one learner go together, in the order in which they came.
        while let Some(first) = entrants.first() {
            let learner = first.training.learner;
            let is_of_it = |entrant: &Entrant| entrant.training.learner == learner;
            let (mut together, others): (Vec<_>, Vec<_>) = entrants.into_iter().partition(is_of_it);
            entrants = others;
            let reason = match (Hand::of(learner, &bench.frame), &bench.folds) {
                (Some(_), Ok(folds))
                    if folds.iter().any(Fold::is_out_of_bag) && !learner.scores_out_of_bag() =>
                {
                    format!("{} has no out-of-bag score", learner.name())
                }
                (Some(hand), Ok(folds)) => {
                    let by_folds = part.folds(folds.len());
                    let course = Course {
                        entity,
                        bench,
                        folds: thinned.map_or(folds, |thinned| &thinned.folds),
                        laid_out: thinned.map_or(&bench.laid_out, |thinned| &thinned.laid_out),
                        by_folds: part.rung().filter(|_| by_folds.is_some()),
                        tried: by_folds.unwrap_or(0..folds.len()),
                        measures: self.measures,
                        study_seed: self.running.work.seed,
                        flight: self.flight,
                        spare: self.spare,
                        limit_s: study.limits.trial_timeout_s,
                    };
                    course.run(hand.trainer(), &mut together, news)?;
                    continue;
                }
                (None, _) => untrainable(learner),
                (_, Err(error)) => error.to_string(),
            };
            for entrant in &mut together {
                entrant.fail(entity, reason.clone(), news);
            }
        }
        ControlFlow::Continue(())
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

    /// Fits a winner on all rows. There is no time limit: a winner has earned its model.
    fn refit(&self, winner: &Numbered, entity: u32) -> Result<Model, Unfinished> {
        let shared = self.running.benches.place(entity);
        let bench = shared.get_or_init(|| self.lay_out(entity));
        let rows = bench.marks.refit_rows(bench.frame.n_rows);
        let work = &self.running.work;
        let training =
            work.study.work.training(&winner.configuration).map_err(Unfinished::Failed)?;
        let hand = Hand::of(training.learner, &bench.frame)
            .ok_or_else(|| Unfinished::Failed(untrainable(training.learner)))?;
        let seed = mix(&[work.seed, training.seed(), bench.fingerprint]);
        let fit = Fit {
            frame: &bench.frame,
            rows: &rows,
            parameters: &training.parameters,
            seed: mix(&[seed, ALL_ROWS]),
            stop: &self.flight.stop,
            spare: self.spare,
        };
        let back_test = BackTest {
            hand,
            bench,
            training: &training,
            seed,
            stop: &self.flight.stop,
            spare: self.spare,
        };
        let fit = || {
            let model = hand.trainer().fit(&fit)?;
            match model.forecasts_series() {
                true => {
                    let errors = back_test.errors(&model, &rows)?;
                    Ok(model.with_errors(errors))
                }
                false => Ok(model),
            }
        };
        let fitted = guarded(fit).map_err(Unfinished::Failed)?;
        fitted.map_err(|error| match error {
            FitError::Failed(reason) => Unfinished::Failed(reason),
            FitError::Stopped(_) => Unfinished::Over,
        })
    }
}

fn untrainable(learner: Learner) -> String {
    format!("{} cannot be trained by this version", learner.name())
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
