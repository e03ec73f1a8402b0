//! What trees learn from, row by row of the frame.

use super::recipe::Recipe;
use crate::forest::grid::Grid;
use crate::forest::{Job, Settings, Truth, Watched};
use crate::trainer::Fit;
use crate::trainer::lesson::{Learnt, Lesson};

/// Targets and weights of a frame's rows.
pub(super) struct Lessons {
    pub(super) target: Target,
    pub(super) weights: Option<Vec<f64>>,
    /// The rows to learn from in ascending order, each once and with a weight above zero.
    pub(super) rows: Vec<u32>,
}

/// What is predicted.
pub(super) enum Target {
    /// A number.
    Numbers(Vec<f64>),
    /// A class of those that the rows to learn from have.
    Classes { codes: Vec<u32>, n_classes: usize },
}

impl Lessons {
    pub(super) fn of(job: &Fit<'_>, lesson: Lesson) -> Self {
        let n_rows = job.frame.n_rows;
        let mut weights = vec![0.0; n_rows];
        let mut counts = vec![0_u32; n_rows];
        for (index, &row) in job.weighing().iter().enumerate() {
            weights[row as usize] += lesson.weights.as_ref().map_or(1.0, |own| own[index]);
            counts[row as usize] += 1;
        }
        // A row that stands twice weighs twice.
        let is_weighed = lesson.weights.is_some() || counts.iter().any(|count| *count > 1);
        let target = match lesson.learnt {
            Learnt::Numbers(numbers) => Target::Numbers(spread(job, &numbers)),
            Learnt::Classes(classes) => Target::Classes {
                codes: spread(job, &classes.codes),
                n_classes: classes.present.len(),
            },
        };
        let rows = (0..).zip(&weights).filter(|(_, weight)| **weight > 0.0).map(|(row, _)| row);
        Self { target, rows: rows.collect(), weights: is_weighed.then_some(weights) }
    }

    /// Numbers a leaf: one, or one a class.
    pub(super) fn width(&self) -> usize {
        match self.target {
            Target::Numbers(_) => 1,
            Target::Classes { n_classes, .. } => n_classes,
        }
    }

    /// What is to be grown.
    pub(super) fn job<'a>(
        &'a self,
        fit: &Fit<'a>,
        grid: &'a Grid<'a>,
        (recipe, settings): (&Recipe, &'a Settings),
        watched: Watched<'a>,
        n_threads: usize,
    ) -> Job<'a> {
        let truth = match &self.target {
            Target::Numbers(numbers) => Truth::Numbers(numbers),
            Target::Classes { codes, n_classes } => {
                Truth::Classes { codes, n_classes: *n_classes, by_entropy: recipe.by_entropy }
            }
        };
        Job {
            grid,
            truth,
            weights: self.weights.as_deref(),
            rows: &self.rows,
            watched,
            settings,
            seed: fit.seed,
            stop: fit.stop,
            n_threads,
        }
    }
}

/// From the rows of a lesson to those of its frame.
fn spread<T: Copy + Default>(job: &Fit<'_>, values: &[T]) -> Vec<T> {
    let mut all = vec![T::default(); job.frame.n_rows];
    for (&row, &value) in job.weighing().iter().zip(values) {
        all[row as usize] = value;
    }
    all
}
