//! Candidates that differ in their number of trees alone: one fit on a fold.

use std::ops::ControlFlow;

use fleetfit_search_spaces::seed::mix;

use super::lessons::Lessons;
use super::recipe::Recipe;
use super::soil::Soil;
use super::{Forester, MAX_NODES, borrow, table, too_large};
use crate::boost::table::{Table, Values};
use crate::forest::{self, Grown, Watched};
use crate::model::{Answer, Predictions};
use crate::stop::Stop;
use crate::trainer::gradient_boosting::MAX_TABLES;
use crate::trainer::kin::Told;
use crate::trainer::lesson::Lesson;
use crate::trainer::{Fit, FitError, Trials};

pub(super) struct Path<'a> {
    pub(super) trees: Forester,
    pub(super) trials: &'a Trials<'a>,
    pub(super) fold: usize,
    pub(super) candidates: Vec<usize>,
}

/// What the candidates of a path have in common.
pub(super) struct Family<'a> {
    /// Trees and candidate, fewest first; those with a reason of their own are left out.
    pub(super) wanted: Vec<(usize, usize)>,
    /// The fit that answers for all.
    pub(super) job: Fit<'a>,
    pub(super) recipe: Recipe,
}

impl<'a> Path<'a> {
    pub(super) fn walk(self, told: &mut Told<'_>) {
        let stop = self.trials.begin();
        let Some(Family { mut wanted, job, recipe }) = self.read(&stop, told) else {
            return;
        };
        let last = self.grow(&job, &recipe, &mut wanted, told);
        for (_, index) in wanted {
            told(index, last.as_ref());
        }
    }

    /// None where nobody is left.
    pub(super) fn read(&self, stop: &'a Stop, told: &mut Told<'_>) -> Option<Family<'a>> {
        let (trials, fold) = (self.trials, &self.trials.folds[self.fold]);
        let mut wanted: Vec<(usize, usize)> = Vec::new();
        let mut longest: Option<(Fit<'a>, Recipe)> = None;
        for &index in &self.candidates {
            let job = trials.fit((index, self.fold), stop);
            let read =
                Lesson::read(&job).and_then(|lesson| Recipe::read(self.trees, &job, &lesson));
            match read {
                Err(error) => told(index, Err(&error)),
                Ok(recipe) if fold.is_out_of_bag() && recipe.drawn.is_none() => {
                    told(
                        index,
                        Err(&FitError::because(
                            "out_of_bag needs rows that a tree has not seen; write bootstrap: true",
                        )),
                    );
                }
                Ok(recipe) => {
                    wanted.push((recipe.n_trees, index));
                    if longest.as_ref().is_none_or(|own| recipe.n_trees > own.1.n_trees) {
                        longest = Some((job, recipe));
                    }
                }
            }
        }
        let (job, recipe) = longest?;
        wanted.sort_unstable();
        Some(Family { wanted, job, recipe })
    }

    /// Tells whoever wants as many trees as there are, and leaves them out of `wanted`; what the
    /// others are to be told comes back.
    fn grow(
        &self,
        job: &Fit<'_>,
        recipe: &Recipe,
        wanted: &mut Vec<(usize, usize)>,
        told: &mut Told<'_>,
    ) -> Result<Predictions, FitError> {
        let (trials, fold) = (self.trials, &self.trials.folds[self.fold]);
        let lesson = Lesson::read(job)?;
        let answer = lesson.answer();
        job.stop.check()?;
        let constant = || answer.finish(answer.fallback().repeat(fold.validate.len()));
        if lesson.is_constant() {
            return Ok(constant());
        }
        let loan = borrow(job, recipe);
        let n_threads = 1 + loan.n_threads();
        let place = trials.laid_out.tables.place_among(recipe.max_bin, MAX_TABLES);
        let table = place.get_or_init(|| table(job.frame, recipe.max_bin, n_threads));
        if table.columns.is_empty() {
            return Ok(constant());
        }
        let lessons = Lessons::of(job, lesson);
        let settings = recipe.settings(table.columns.len(), lessons.rows.len());
        let mut marks: Vec<usize> = wanted.iter().map(|(n_trees, _)| *n_trees).collect();
        marks.dedup();
        let parts = self.parts(job, table, &lessons);
        // What the parts before the last say at each mark.
        let mut before: Vec<Sums<'_>> = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            let is_last = number + 1 == parts.len();
            let soil = Soil::lay(job.frame, table, &lessons, &part.order);
            let watched = Watched { rows: &part.rows, out_of_bag: fold.is_out_of_bag() };
            let growing = lessons.job(job, &soil.grid, (recipe, &settings), watched, n_threads);
            let mut sums = Sums::new(&answer, fold.validate.len());
            let (mut n_nodes, mut n_marks) = (0, 0);
            forest::grow(&growing, &mut |grown| {
                n_nodes += grown.tree.nodes.len();
                if n_nodes > MAX_NODES {
                    return ControlFlow::Break(());
                }
                sums.add(&grown, &part.places);
                if marks.get(n_marks) == Some(&sums.n_trees) {
                    if is_last {
                        let predictions = sums.with(before.get(n_marks)).predictions();
                        let own = wanted.extract_if(.., |(n_trees, _)| *n_trees == sums.n_trees);
                        own.for_each(|(_, index)| told(index, Ok(&predictions)));
                    } else {
                        before.push(sums.clone());
                    }
                    n_marks += 1;
                }
                if n_marks < marks.len() {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
            if n_nodes > MAX_NODES {
                return Err(too_large());
            }
        }
        Err(too_large())
    }

    /// One part; but out of bag words must not be ordered by the targets of those rows that are
    /// judged by the order, so each half of the rows is judged by trees on the other half's order.
    pub(super) fn parts(&self, job: &Fit<'_>, table: &Table, lessons: &Lessons) -> Vec<Part> {
        let fold = &self.trials.folds[self.fold];
        let has_words = table.columns.iter().any(|own| matches!(own.values, Values::Words { .. }));
        let n_parts = if fold.is_out_of_bag() && has_words { 2 } else { 1 };
        let half = |row: u32| mix(&[job.seed, u64::from(row)]) % 2;
        let is_judged = |part: u64, row: u32| n_parts == 1 || half(row) == part;
        let part = |part: u64| {
            let places: Vec<usize> = (0..fold.validate.len())
                .filter(|&place| is_judged(part, fold.validate[place]))
                .collect();
            let orders = |row: &u32| n_parts == 1 || half(*row) != part;
            Part {
                order: lessons.rows.iter().copied().filter(orders).collect(),
                rows: places.iter().map(|&place| fold.validate[place]).collect(),
                places,
            }
        };
        (0..n_parts).map(part).collect()
    }
}

/// Rows that are judged, and those that order words for it.
pub(super) struct Part {
    pub(super) order: Vec<u32>,
    pub(super) rows: Vec<u32>,
    /// Where the rows stand among those of the fold.
    pub(super) places: Vec<usize>,
}

/// What the trees so far say of the rows of a fold.
#[derive(Clone)]
pub(super) struct Sums<'a> {
    answer: &'a Answer,
    fallback: Vec<f64>,
    n_trees: usize,
    /// Row after row.
    sums: Vec<f64>,
    /// How many trees had a say.
    counts: Vec<u32>,
}

impl<'a> Sums<'a> {
    pub(super) fn new(answer: &'a Answer, n_rows: usize) -> Self {
        let fallback = answer.fallback();
        let sums = vec![0.0; n_rows * fallback.len()];
        Self { answer, fallback, n_trees: 0, sums, counts: vec![0; n_rows] }
    }

    fn add(&mut self, grown: &Grown, places: &[usize]) {
        self.n_trees += 1;
        let width = self.fallback.len();
        for (&place, &leaf) in places.iter().zip(&grown.leaf_of) {
            let first = leaf as usize * width;
            if let Some(leaf) = grown.tree.leaves.get(first..first + width) {
                let sums = &mut self.sums[place * width..][..width];
                sums.iter_mut().zip(leaf).for_each(|(sum, own)| *sum += own);
                self.counts[place] += 1;
            }
        }
    }

    /// Adds what trees say of some rows, row after row.
    pub(super) fn add_all(&mut self, sums: &[f64], n_trees: &[u32], places: &[usize]) {
        let width = self.fallback.len();
        for ((&place, own), &n_trees) in places.iter().zip(sums.chunks(width)).zip(n_trees) {
            let sums = &mut self.sums[place * width..][..width];
            sums.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
            self.counts[place] += n_trees;
        }
    }

    /// The same with what others say of other rows.
    fn with(&self, others: Option<&Self>) -> Self {
        let mut all = self.clone();
        if let Some(others) = others {
            all.sums.iter_mut().zip(&others.sums).for_each(|(sum, own)| *sum += own);
            all.counts.iter_mut().zip(&others.counts).for_each(|(count, own)| *count += own);
        }
        all
    }

    /// The means. A row that every tree has seen is said what the constant model says.
    pub(super) fn predictions(self) -> Predictions {
        let mut raw = self.sums;
        for (row, &count) in raw.chunks_mut(self.fallback.len()).zip(&self.counts) {
            row.iter_mut().for_each(|own| *own /= f64::from(count));
            if !row.iter().all(|own| own.is_finite()) {
                row.copy_from_slice(&self.fallback);
            }
        }
        self.answer.finish(raw)
    }
}
