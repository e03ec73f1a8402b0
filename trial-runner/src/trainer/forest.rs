//! Decision trees, random forests and extra trees: what `crate::forest` grows becomes a model, or
//! values of a search.
//!
//! They read the bins of gradient boosting, cut over all rows of the frame, so one table serves every
//! fold, configuration and learner. Configurations that differ in `n_estimators` alone are one fit:
//! the trees' answers are added up, and each of them hears the mean at its own number of trees. A fold
//! that validates on the rows it trains on is judged out of bag, by the trees that did not see a row.

mod ahead;
mod lessons;
mod path;
mod plant;
mod recipe;
mod soil;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use super::gradient_boosting::table;
use super::kin::try_families;
use super::lesson::Lesson;
use super::{Fit, FitError, Hear, Trainer, Trials};
use crate::forest::{self, Watched};
use crate::model::{Body, Model};
pub(super) use ahead::ask;
use lessons::Lessons;
use path::Path;
use plant::Planter;
use recipe::Recipe;
use soil::Soil;

/// More nodes than this would make a model of several hundred megabytes.
const MAX_NODES: usize = 30_000_000;
/// A thread of its own pays for so many values, seen by every tree.
const MIN_SHARED_VALUES: usize = 4_000_000;

/// The learners whose trees stand side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forester {
    /// One tree.
    DecisionTree,
    /// Bagged trees.
    RandomForest,
    /// Trees with random thresholds.
    ExtraTrees,
}

impl Trainer for Forester {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let lesson = Lesson::read(job)?;
        let recipe = Recipe::read(*self, job, &lesson)?;
        let answer = lesson.answer();
        job.stop.check()?;
        if lesson.is_constant() {
            return Ok(Model::constant(answer));
        }
        let loan = borrow(job, &recipe);
        let n_threads = 1 + loan.n_threads();
        let table = table(job.frame, recipe.max_bin, n_threads);
        let lessons = Lessons::of(job, lesson);
        let soil = Soil::lay(job.frame, &table, &lessons, &lessons.rows);
        if soil.grid.columns.is_empty() {
            return Ok(Model::constant(answer));
        }
        let settings = recipe.settings(soil.grid.columns.len(), lessons.rows.len());
        let watched = Watched { rows: &[], out_of_bag: false };
        let mut planter = Planter::new(job.frame, &table, &soil, lessons.width());
        let mut is_too_large = false;
        let growing = lessons.job(job, &soil.grid, (&recipe, &settings), watched, n_threads);
        forest::grow(&growing, &mut |grown| {
            planter.plant(&grown.tree);
            is_too_large = planter.n_nodes() > MAX_NODES;
            if is_too_large { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if is_too_large {
            return Err(too_large());
        }
        Ok(Model { answer, body: Body::Forest(planter.forest()) })
    }

    fn try_all(&self, trials: &Trials<'_>, hear: &mut Hear<'_>) {
        try_families(trials, hear, |fold, candidates, told| {
            Path { trees: *self, trials, fold, candidates }.walk(told);
        });
    }
}

fn too_large() -> FitError {
    FitError::because(format!(
        "the trees have more than {MAX_NODES} nodes together; lower n_estimators or max_depth, or \
         raise min_samples_leaf"
    ))
}

/// Threads for a fit that has work for them.
fn borrow(job: &Fit<'_>, recipe: &Recipe) -> super::Loan {
    let n_values = job.rows.len() * job.frame.columns.len();
    let most = n_values.saturating_mul(recipe.n_trees) / MIN_SHARED_VALUES;
    job.spare.borrow(most.min(recipe.n_trees - 1))
}
