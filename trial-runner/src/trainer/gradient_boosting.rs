//! Gradient boosting: what `boost.rs` grows becomes a model, or values of a search.
//!
//! Bins are cut over all rows of the frame that weigh anything, whatever the fold, so that one table
//! serves every fold.
//! With `early_stopping_rounds` a tenth of the rows is held out, drawn by the seed; the trees after
//! the best round are dropped. Configurations that differ in `n_estimators` alone are one fit.

mod ahead;
mod plant;
mod recipe;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use fleetfit_search_spaces::seed::mix;
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

use super::kin::try_families;
use super::lesson::{Learnt, Lesson};
use super::parameters::Parameters;
use super::{Fit, FitError, Hear, Trainer, Trials};
use crate::boost::table::{Raw, Table};
use crate::boost::{self, Boosted, Job, Round, Settings, Workspace};
use crate::forest::draw::below;
use crate::frame::{FeatureValues, Frame};
use crate::model::boosted::Link;
use crate::model::{Answer, Body, Model, Predictions};
use crate::stop::{Stop, Stopped};
use recipe::Recipe;

pub(super) use ahead::ask;

/// Boosted trees on histograms.
pub(super) struct GradientBoosting;

/// So many values are worth a thread of their own, where there are enough rows to share.
const MIN_SHARED_VALUES: usize = 500_000;
/// Memory for more rows than this is not kept for the next fit.
const MAX_KEPT_ROWS: usize = 100_000;
/// Tables of one frame that are kept at a time, with different numbers of bins.
pub(super) const MAX_TABLES: usize = 4;
/// One row in so many is held out for early stopping.
const HELD_OUT: usize = 10;

thread_local! {
    /// What this thread's fits lend each other.
    static WORKSPACE: RefCell<Workspace> = RefCell::default();
}

impl Trainer for GradientBoosting {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let lesson = Lesson::read(job)?;
        let recipe = Recipe::read(&Parameters(job.parameters), &lesson)?;
        let answer = lesson.answer();
        job.stop.check()?;
        if lesson.is_constant() {
            return Ok(Model::constant(answer));
        }
        let loan = borrow(job);
        let table = table(job.frame, recipe.max_bin, 1 + loan.n_threads());
        let class = Class::sit(job, lesson, &recipe, 1 + loan.n_threads());
        let (boosted, n_rounds) = class.learn(&table, &recipe, job.stop, &mut |_, _| true)?;
        let link = recipe.link;
        let body = plant::plant(job.frame, &table, boosted, n_rounds, link);
        Ok(Model { answer, body: Body::Boosted(body) })
    }

    fn try_all(&self, trials: &Trials<'_>, hear: &mut Hear<'_>) {
        try_families(trials, hear, |fold, candidates, told| {
            Path { trials, fold, candidates }.walk(told);
        });
    }
}

/// Candidates that are one fit on a fold.
struct Path<'a> {
    trials: &'a Trials<'a>,
    fold: usize,
    candidates: Vec<usize>,
}

/// What they have in common, and what each of them wants.
struct Family {
    /// Trees and candidate, fewest first; those with a reason of their own are left out.
    wanted: Vec<(usize, usize)>,
    /// Whose fit answers for all.
    longest: usize,
    recipe: Recipe,
    answer: Answer,
    is_constant: bool,
}

impl Family {
    /// None where nobody is left.
    fn read(
        trials: &Trials<'_>,
        fold: usize,
        candidates: Vec<usize>,
        told: &mut dyn FnMut(usize, Result<&Predictions, &FitError>),
    ) -> Option<Self> {
        let mut wanted: Vec<(usize, usize)> = Vec::new();
        let mut longest: Option<(usize, Recipe)> = None;
        let mut answer = None;
        for index in candidates {
            let job = trials.fit((index, fold), trials.stop);
            let read = Lesson::read(&job).and_then(|lesson| {
                let recipe = Recipe::read(&Parameters(job.parameters), &lesson)?;
                answer.get_or_insert_with(|| (lesson.answer(), lesson.is_constant()));
                Ok(recipe)
            });
            match read {
                Err(error) => told(index, Err(&error)),
                Ok(recipe) => {
                    let n_trees = recipe.settings.n_estimators;
                    wanted.push((n_trees, index));
                    let most = longest.as_ref().map_or(0, |own| own.1.settings.n_estimators);
                    if n_trees > most {
                        longest = Some((index, recipe));
                    }
                }
            }
        }
        wanted.sort_unstable();
        let ((longest, recipe), (answer, is_constant)) = longest.zip(answer)?;
        Some(Self { wanted, longest, recipe, answer, is_constant })
    }
}

impl Path<'_> {
    fn walk(self, told: &mut dyn FnMut(usize, Result<&Predictions, &FitError>)) {
        let (trials, fold) = (self.trials, &self.trials.folds[self.fold]);
        let stop = trials.begin();
        let Some(family) = Family::read(trials, self.fold, self.candidates, told) else {
            return;
        };
        let Family { wanted, longest, recipe, answer, is_constant } = family;
        let job = trials.fit((longest, self.fold), &stop);
        let mut wanted = wanted.into_iter().peekable();
        let n_rows = fold.validate.len();
        let told_all = if is_constant {
            stop.check().map_err(FitError::from).map(|()| answer.fallback().repeat(n_rows))
        } else {
            self::path(&job, &recipe, &fold.validate, trials, &mut |n_rounds, scores| {
                while let Some((_, index)) = wanted.next_if(|(n_trees, _)| *n_trees == n_rounds) {
                    told(index, Ok(&predictions(&answer, recipe.link, scores)));
                }
                wanted.peek().is_some()
            })
            .map(|last| raw(&answer, recipe.link, &last))
        };
        // Whoever wanted more trees than there are.
        let last = told_all.map(|raw| answer.finish(raw));
        for (_, index) in wanted {
            told(index, last.as_ref());
        }
    }
}

/// Fits on a fold, and tells the scores of the rows that it validates on after every round; the last
/// ones come back.
fn path(
    job: &Fit<'_>,
    recipe: &Recipe,
    watched: &[u32],
    trials: &Trials<'_>,
    hear: &mut dyn FnMut(usize, &[f64]) -> bool,
) -> Result<Vec<f64>, FitError> {
    let loan = borrow(job);
    let n_threads = 1 + loan.n_threads();
    let place = trials.table_place(recipe);
    let table = place.get_or_init(|| table(job.frame, recipe.max_bin, n_threads));
    let mut class = Class::sit(job, Lesson::read(job)?, recipe, n_threads);
    class.watched.extend_from_slice(watched);
    let n_scores = recipe.settings.loss.n_scores();
    let mut last = Vec::new();
    let (boosted, _) = class.learn(table, recipe, job.stop, &mut |n_rounds, scores| {
        last.clear();
        last.extend_from_slice(scores);
        hear(n_rounds, scores)
    })?;
    if last.is_empty() {
        last = boosted.initial.repeat(watched.len());
    }
    debug_assert_eq!(last.len(), watched.len() * n_scores);
    Ok(last)
}

impl Trials<'_> {
    /// Where the binned features of a recipe stand.
    fn table_place(&self, recipe: &Recipe) -> Arc<OnceLock<Table>> {
        self.laid_out.tables.place_among(recipe.max_bin, MAX_TABLES)
    }
}

/// What scores of rows say.
fn predictions(answer: &Answer, link: Link, scores: &[f64]) -> Predictions {
    answer.finish(raw(answer, link, scores))
}

fn raw(answer: &Answer, link: Link, scores: &[f64]) -> Vec<f64> {
    let fallback = answer.fallback();
    let width = fallback.len();
    let n_scores = if matches!(link, Link::Softmax) { width } else { 1 };
    let mut raw = vec![0.0; scores.len() / n_scores * width];
    for (scores, out) in scores.chunks(n_scores).zip(raw.chunks_mut(width)) {
        link.finish(scores, out);
        if !out.iter().all(|value| value.is_finite()) {
            out.copy_from_slice(&fallback);
        }
    }
    raw
}

/// Threads for a fit that has work for them.
fn borrow(job: &Fit<'_>) -> super::Loan {
    let n_values = job.rows.len() * job.frame.columns.len();
    let is_shared = job.rows.len() >= boost::MIN_SHARED_ROWS;
    job.spare.borrow(if is_shared { n_values / MIN_SHARED_VALUES } else { 0 })
}

/// Bins a frame's features.
pub(super) fn table(frame: &Frame, max_bin: usize, n_threads: usize) -> Table {
    let raw = frame.columns.iter().map(|column| match &column.values {
        FeatureValues::Number(values) => Raw::Numbers(values),
        FeatureValues::Category { codes, levels } => Raw::Words { codes, n_levels: levels.len() },
    });
    let rows = (frame.n_rows, frame.weights.as_deref());
    Table::new(&raw.collect::<Vec<_>>(), rows, max_bin, n_threads)
}

/// What a fit learns from, row by row of the frame.
struct Class {
    targets: Vec<f64>,
    weights: Option<Vec<f64>>,
    rows: Vec<u32>,
    /// Rows that decide when it is enough.
    held_out: Vec<u32>,
    /// Rows whose scores are told.
    watched: Vec<u32>,
    seed: u64,
    n_threads: usize,
}

impl Class {
    fn sit(job: &Fit<'_>, lesson: Lesson, recipe: &Recipe, n_threads: usize) -> Self {
        let mut targets = vec![0.0; job.frame.n_rows];
        let mut weights = vec![0.0; job.frame.n_rows];
        let mut counts = vec![0_u32; job.frame.n_rows];
        for (index, &row) in job.weighing().iter().enumerate() {
            let row = row as usize;
            targets[row] = match &lesson.learnt {
                Learnt::Numbers(y) => y[index],
                Learnt::Classes(classes) => f64::from(classes.codes[index]),
            };
            weights[row] += lesson.weights.as_ref().map_or(1.0, |weights| weights[index]);
            counts[row] += 1;
        }
        // A row that stands twice weighs twice.
        let is_weighed = lesson.weights.is_some() || counts.iter().any(|count| *count > 1);
        let mut rows: Vec<u32> =
            (0..).zip(&counts).filter(|(_, count)| **count > 0).map(|(row, _)| row).collect();
        let mut held_out = Vec::new();
        if recipe.early_stopping.is_some() && rows.len() >= 2 * HELD_OUT {
            let mut rng = Pcg64Mcg::seed_from_u64(mix(&[job.seed, u64::MAX]));
            for _ in 0..rows.len() / HELD_OUT {
                held_out.push(rows.remove(below(&mut rng, rows.len())));
            }
        }
        Self {
            targets,
            weights: is_weighed.then_some(weights),
            rows,
            held_out,
            watched: Vec::new(),
            seed: job.seed,
            n_threads,
        }
    }

    /// The fit, that tells of the watched rows.
    fn job<'a>(&'a self, table: &'a Table, settings: &'a Settings, stop: &'a Stop) -> Job<'a> {
        Job {
            table,
            targets: &self.targets,
            weights: self.weights.as_deref(),
            rows: &self.rows,
            watched: &self.watched,
            settings,
            seed: self.seed,
            stop,
            n_threads: self.n_threads,
        }
    }

    /// Fits; `hear` is told the scores of the watched rows after every round, of the best round so
    /// far where it stops early, and says whether to go on. The trees, and how many rounds of them
    /// count.
    fn learn(
        &self,
        table: &Table,
        recipe: &Recipe,
        stop: &Stop,
        hear: &mut dyn FnMut(usize, &[f64]) -> bool,
    ) -> Result<(Boosted, usize), Stopped> {
        let settings: &Settings = &recipe.settings;
        let n_scores = settings.loss.n_scores();
        let watched: Vec<u32> = self.watched.iter().chain(&self.held_out).copied().collect();
        let job = Job { watched: &watched, ..self.job(table, settings, stop) };
        let patience = recipe.early_stopping.filter(|_| !self.held_out.is_empty());
        let mut best = Best { loss: f64::INFINITY, n_rounds: 0, scores: Vec::new() };
        let mut n_last = 0;
        let mut listen = |round: Round<'_>| {
            let (own, held_out) = round.scores.split_at(self.watched.len() * n_scores);
            n_last = round.n_rounds;
            let Some(patience) = patience else {
                return go_on(hear(round.n_rounds, own));
            };
            let loss = self.loss(settings, held_out);
            if loss < best.loss || best.n_rounds == 0 {
                best.loss = loss;
                best.n_rounds = round.n_rounds;
                best.scores.clear();
                best.scores.extend_from_slice(own);
            }
            let is_enough = round.n_rounds - best.n_rounds >= patience;
            go_on(hear(round.n_rounds, &best.scores) && !is_enough)
        };
        let mut workspace = WORKSPACE.take();
        let boosted = boost::fit(&job, &mut workspace, &mut listen)?;
        if table.n_rows <= MAX_KEPT_ROWS {
            WORKSPACE.set(workspace);
        }
        Ok((boosted, if patience.is_some() { best.n_rounds } else { n_last }))
    }

    /// The loss of the rows that are held out.
    fn loss(&self, settings: &Settings, scores: &[f64]) -> f64 {
        let each = self.held_out.iter().zip(scores.chunks(settings.loss.n_scores()));
        let each = each.map(|(&row, scores)| {
            let weight = self.weights.as_ref().map_or(1.0, |weights| weights[row as usize]);
            weight * settings.loss.of(self.targets[row as usize], scores)
        });
        each.sum()
    }
}

struct Best {
    loss: f64,
    n_rounds: usize,
    scores: Vec<f64>,
}

fn go_on(goes_on: bool) -> ControlFlow<()> {
    if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}
