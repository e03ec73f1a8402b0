//! An assignment of built-in learners: configurations tried on an entity's folds, winners refitted.
//!
//! Work goes entity by entity, so that one entity's columns and folds are laid out once for all
//! configurations of the assignment. A device is asked for many entities at once, the long ones
//! first (`ground.rs`). `course.rs` tries them; `news.rs` tells what came of it.

use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fleetfit_search_spaces::seed::mix;
use fleetfit_search_spaces::wire::{Numbered, Refit};
use fleetfit_search_spaces::{Assignment, AssignmentTask, Block, End, Learner, Measure, StudyId};

use crate::dataset::Dataset;
use crate::devices::Seat;
use crate::folds::FoldPlan;
use crate::model::Model;
use crate::slots::Slot;
use crate::trainer::{Fit, FitError, Hand, Spare};

use super::askers::Pass;
use super::back_test::BackTest;
use super::bench::Bench;
use super::course::guarded;
use super::flight::{Flight, Landing, Over};
use super::ground::{self, Ground, Heat};
use super::models::{Models, not_stored};
use super::news::{Effort, News};
use super::part::Part;
use super::{Desk, Lacking, Running, lock};

/// The fold that seeds are derived from when a winner is fitted on all rows.
const ALL_ROWS: u64 = u32::MAX as u64;

/// Does the assignment.
pub(super) fn train(
    desk: &Desk,
    running: &Running,
    (flight, pass): (&Flight, Option<&Pass>),
    slot: &Slot,
    assignment: &Assignment,
) -> Landing {
    // A study with a built-in learner has data and a measure, or it would not have been started.
    let Some(dataset) = &running.work.dataset else {
        return Landing::Lacking("the study's data is not here".into());
    };
    let (Some(data), Some(measures)) = (&running.work.study.data, measures(running)) else {
        return Landing::Lacking("this version cannot judge the study's models".into());
    };
    let plan = FoldPlan::of(data);
    let measures = measures.as_slice();
    let spare = &desk.spare;
    // Trials of other studies that have this in common are no others to a card.
    let kin = format!("{} {} {plan:?}", dataset.digest(), data.target);
    let fleet = Fleet { desk, running, flight, pass, slot, dataset, plan, kin, measures, spare };
    if let AssignmentTask::Refit(blocks) = &assignment.task {
        return fleet.refit_all(assignment, blocks);
    }
    let Some((part, blocks)) = Part::of(&running.work.study, assignment) else {
        return Landing::Lacking("the study's job has no rungs".into());
    };
    fleet.try_all(assignment, (part, blocks))
}

fn measures(running: &Running) -> Option<Vec<Measure>> {
    running.aims.metrics.iter().map(|name| Measure::named(name)).collect()
}

/// Whether an assignment may ask a card: one knows something of any learner that is tried.
pub(super) fn may_ask(desk: &Desk, running: &Running, assignment: &Assignment) -> bool {
    let work = &running.work.study.work;
    let learner = |block: &Block| Some(work.training(&block.tried.configuration).ok()?.learner);
    let is_tried = !matches!(assignment.task, AssignmentTask::Refit(_));
    let Some(measures) = measures(running) else { return false };
    desk.device.cards().next().is_some()
        && is_tried
        && assignment
            .task
            .blocks()
            .iter()
            .filter_map(learner)
            .any(|learner| learner.is_of_cards_by(&measures))
}

/// What all entities of an assignment have in common.
pub(super) struct Fleet<'a> {
    desk: &'a Desk,
    pub(super) running: &'a Running,
    pub(super) flight: &'a Flight,
    /// Where it may ask a card.
    pass: Option<&'a Pass>,
    slot: &'a Slot,
    dataset: &'a Dataset,
    plan: FoldPlan,
    /// What is the same for all trials that a card may take in one launch.
    pub(super) kin: String,
    pub(super) measures: &'a [Measure],
    pub(super) spare: &'a Spare,
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
    fn try_all(&self, assignment: &Assignment, (part, blocks): (Part<'_>, &[Block])) -> Landing {
        let mut news = News::new(assignment.key, &self.desk.tell);
        let mut seat = self.pass.and_then(|_| self.seat(assignment.key.study));
        let mut waiting = entities(blocks);
        if seat.is_some() {
            // A launch ends with its longest fit.
            waiting.sort_by_key(|&entity| std::cmp::Reverse(self.dataset.n_bytes_of(entity)));
        }
        let mut rest = waiting.as_slice();
        while !rest.is_empty() {
            let n_own = seat.as_ref().map_or(1, |_| self.chunk(rest));
            let (chunk, others) = rest.split_at(n_own);
            rest = others;
            let began = Instant::now();
            let mut grounds: Vec<Ground<'_>> = Vec::new();
            for &entity in chunk {
                let ground = Ground::of(self, entity, part, blocks);
                // Laying out many takes long.
                if self.flight.over().is_some() {
                    return self.over(&ground, &mut news);
                }
                grounds.push(ground);
            }
            let laid_out = began.elapsed();
            news.begin();
            if let Some(seat) = &mut seat {
                match self.ask(part, &mut grounds, seat, &mut news) {
                    ControlFlow::Break(at) => return self.over(&grounds[at], &mut news),
                    ControlFlow::Continue(asked) => {
                        let n_waiting = grounds.iter().map(Ground::n_waiting).sum();
                        news.share(laid_out + asked, n_waiting);
                    }
                }
            }
            for mut ground in grounds {
                if ground.run(self, part, &mut news).is_break() {
                    return self.over(&ground, &mut news);
                }
            }
            if seat.is_some() {
                self.desk.size_chunks(began.elapsed(), !rest.is_empty());
            }
        }
        news.flush();
        Landing::Done
    }

    /// Asks a device, and tries what it knows nothing of meanwhile; after that others may have the slot
    /// until there are answers. How long asking took, without waiting for others. Breaks where the
    /// assignment is over, with the entity that was tried.
    fn ask(
        &self,
        part: Part<'_>,
        grounds: &mut [Ground<'_>],
        seat: &mut Seat<'_>,
        news: &mut News<'_>,
    ) -> ControlFlow<usize, Duration> {
        let others: Vec<Vec<Heat>> =
            grounds.iter_mut().map(|ground| ground.split_off(self)).collect();
        let lent = &*grounds;
        let others_are_none = others.iter().all(Vec::is_empty);
        let try_others = || {
            for (at, heats) in others.into_iter().enumerate() {
                if lent[at].run_heats(heats, (self, part), news).is_break() {
                    return ControlFlow::Break(at);
                }
            }
            // Nobody waits for the device to hear of them.
            news.flush();
            ControlFlow::Continue(())
        };
        let stop = &self.flight.stop;
        seat.work();
        let ((answers, took), tried) = match others_are_none {
            true => {
                let asked = self.slot.aside(stop, || ground::ask(self, part, lent, seat));
                (asked, ControlFlow::Continue(()))
            }
            false => std::thread::scope(|scope| {
                let asking = scope.spawn(|| ground::ask(self, part, lent, seat));
                let tried = try_others();
                let asked = self.slot.aside(stop, || asking.join());
                (asked.unwrap_or_else(|panic| resume_unwind(panic)), tried)
            }),
        };
        seat.rest();
        for ((at, number), told) in answers {
            grounds[at].learn(number, told);
        }
        tried.map_continue(|()| took)
    }

    /// The assignment was ended while an entity was tried: that is how its trials end.
    fn over(&self, ground: &Ground<'_>, news: &mut News<'_>) -> Landing {
        if self.flight.is_handed_back() {
            news.flush();
            return Landing::HandedBack;
        }
        for trial in ground.trials() {
            if !news.has_ended(trial) {
                news.push(trial, self.stopped(), Effort::default());
            }
        }
        news.flush();
        Landing::Done
    }

    /// A device's queue, where one can be used.
    fn seat(&self, study: StudyId) -> Option<Seat<'_>> {
        lock(&self.desk.asking).insert(study);
        let (stop, asking) = (&self.flight.stop, Arc::new(self.slot.share()));
        asking.work(stop);
        // The card may have to be opened.
        let sit = || self.desk.device.seat(self.desk.n_fitting, stop, &asking);
        let seat = self.slot.aside(stop, sit);
        asking.rest();
        seat
    }

    /// Whether a device knows anything of a learner that the study asks for.
    pub(super) fn is_known(&self, learner: Learner) -> bool {
        learner.is_of_cards_by(self.measures)
    }

    /// How many of the next entities are laid out for a device together.
    fn chunk(&self, entities: &[u32]) -> usize {
        let mut n_bytes = 0;
        let most = self.desk.chunk_bytes.load(Ordering::Relaxed);
        let fits = |entity: &&u32| {
            n_bytes += self.dataset.n_bytes_of(**entity);
            n_bytes <= most
        };
        entities.iter().take_while(fits).count().max(1)
    }

    fn stopped(&self) -> End {
        let reason = match self.flight.over() {
            Some(Over::Stopped(reason)) => reason.clone(),
            Some(Over::HandedBack) | None => "it was stopped".into(),
        };
        End::Stopped { value: None, reason }
    }

    pub(super) fn lay_out(&self, entity: u32) -> Bench {
        Bench::of(self.dataset, entity, &self.plan, self.measures, self.running.work.seed)
    }

    fn refit_all(&self, assignment: &Assignment, blocks: &[Block]) -> Landing {
        let mut models = Models::new(self.running, assignment.key, &self.desk.tell);
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
                    // Not the system's word, but one about this model.
                    Err(Unfinished::NotStored(error)) if error.raw_os_error().is_none() => {
                        Err(error.to_string())
                    }
                    Err(Unfinished::NotStored(error)) => return not_stored(&error),
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

pub(super) fn untrainable(learner: Learner) -> String {
    format!("{} cannot be trained by this version", learner.name())
}

/// Every entity of the blocks once, in ascending order.
fn entities(blocks: &[Block]) -> Vec<u32> {
    let all = blocks.iter().flat_map(|block| block.entities.iter().cloned().flatten());
    let mut all: Vec<u32> = all.collect();
    all.sort_unstable();
    all.dedup();
    all
}
