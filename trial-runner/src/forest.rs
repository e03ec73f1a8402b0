//! Decision trees, random forests (Breiman, 2001) and extra trees (Geurts, Ernst and Wehenkel, 2006)
//! on binned features.
//!
//! Every tree has a seed of its own, so a forest of ten is the beginning of a forest of a hundred, and
//! trees may grow on any number of threads. Sums are whole numbers: a split does not depend on the
//! order of rows. Deviations from scikit-learn: thresholds of columns with more distinct values than
//! bins lie between bins, missing values go where they help most, and words are put in order by what
//! they stand beside (see `grid.rs`). Nothing here knows frames or jobs.

mod classes;
pub(crate) mod draw;
pub(crate) mod grid;
mod grow;
mod local;
mod measure;
mod numbers;
pub(crate) mod tree;

#[cfg(test)]
pub(crate) mod tests;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use fleetfit_search_spaces::seed::mix;
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

use crate::stop::{Stop, Stopped};
use classes::{Classes, Lots};
use grid::Grid;
use grow::Grower;
use measure::Measure;
use numbers::{Variance, Words};
use tree::Tree;

/// The trees that each thread grows between two times that they are told.
const TREES_A_WAVE: usize = 4;

/// The parameters of a fit, by scikit-learn's names where it has them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) n_trees: usize,
    pub(crate) splitter: Splitter,
    pub(crate) max_depth: usize,
    pub(crate) min_samples_split: usize,
    pub(crate) min_samples_leaf: usize,
    /// Columns looked at for each split.
    pub(crate) n_features: usize,
    pub(crate) min_impurity_decrease: f64,
    /// How many rows are drawn for each tree, with replacement; none: it sees all of them.
    pub(crate) n_drawn: Option<usize>,
    /// Whether a tie between columns is broken by chance rather than by their order.
    pub(crate) is_shuffled: bool,
}

/// Which thresholds are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Splitter {
    /// All of them.
    Best,
    /// One at random for each column.
    Random,
}

/// What is to be learnt, row by row of the grid.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Truth<'a> {
    /// A number.
    Numbers(&'a [f64]),
    /// A class.
    Classes { codes: &'a [u32], n_classes: usize, by_entropy: bool },
}

/// Rows whose leaves are told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched<'a> {
    pub(crate) rows: &'a [u32],
    /// Whether only of the rows that the tree did not see.
    pub(crate) out_of_bag: bool,
}

/// One fit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    pub(crate) grid: &'a Grid<'a>,
    pub(crate) truth: Truth<'a>,
    pub(crate) weights: Option<&'a [f64]>,
    /// The rows to learn from in ascending order, each once and with a weight above zero.
    pub(crate) rows: &'a [u32],
    pub(crate) watched: Watched<'a>,
    pub(crate) settings: &'a Settings,
    pub(crate) seed: u64,
    pub(crate) stop: &'a Stop,
    pub(crate) n_threads: usize,
}

/// What rows bring to the sums of a fit.
pub(crate) enum Brought {
    /// Numbers, or two classes by Gini impurity.
    Words(Words),
    /// Classes.
    Lots { lots: Lots, n_classes: usize, by_entropy: bool },
}

impl Job<'_> {
    /// What its rows bring, for whoever must count alike.
    pub(crate) fn brought(&self) -> Brought {
        match self.truth {
            Truth::Numbers(numbers) => Brought::Words(numbers::words(self, |row| numbers[row])),
            // The variance of zeros and ones is half their Gini impurity.
            Truth::Classes { codes, n_classes: 2, by_entropy: false } => {
                Brought::Words(numbers::words(self, |row| f64::from(codes[row])))
            }
            Truth::Classes { codes, n_classes, by_entropy } => {
                Brought::Lots { lots: classes::lots(self, codes), n_classes, by_entropy }
            }
        }
    }
}

/// What a tree draws from.
pub(crate) fn stream(seed: u64, tree: usize) -> Pcg64Mcg {
    Pcg64Mcg::seed_from_u64(mix(&[seed, tree as u64]))
}

/// A tree, and where the watched rows came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Grown {
    pub(crate) tree: Tree,
    /// The leaf of each watched row; beyond all leaves for a row that the tree has seen.
    pub(crate) leaf_of: Vec<u32>,
}

/// Grows tree after tree and hands each to `hear`, in order, until it says enough.
pub(crate) fn grow(
    job: &Job<'_>,
    hear: &mut dyn FnMut(Grown) -> ControlFlow<()>,
) -> Result<(), Stopped> {
    match job.brought() {
        Brought::Words(words) => run(job, &Variance::new(&words, job.truth), hear),
        Brought::Lots { lots, n_classes, by_entropy: true } => {
            run(job, &Classes::<true>::new(&lots, n_classes, job.truth), hear)
        }
        Brought::Lots { lots, n_classes, .. } => {
            run(job, &Classes::<false>::new(&lots, n_classes, job.truth), hear)
        }
    }
}

fn run<M: Measure>(
    job: &Job<'_>,
    measure: &M,
    hear: &mut dyn FnMut(Grown) -> ControlFlow<()>,
) -> Result<(), Stopped> {
    let n_trees = job.settings.n_trees;
    let n_threads = job.n_threads.clamp(1, n_trees.max(1));
    let mut growers: Vec<Grower<'_, M>> =
        (0..n_threads).map(|_| Grower::new(job, measure.clone())).collect();
    if let [grower] = growers.as_mut_slice() {
        for tree in 0..n_trees {
            if hear(grower.tree(tree)?).is_break() {
                break;
            }
        }
        return Ok(());
    }
    let wave = n_threads * TREES_A_WAVE;
    for first in (0..n_trees).step_by(wave) {
        let mut grown = side_by_side(&mut growers, first, (first + wave).min(n_trees))?;
        grown.sort_unstable_by_key(|(tree, _)| *tree);
        for (_, grown) in grown {
            if hear(grown).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Grows some trees on a thread for each grower.
fn side_by_side<M: Measure>(
    growers: &mut [Grower<'_, M>],
    first: usize,
    end: usize,
) -> Result<Vec<(usize, Grown)>, Stopped> {
    let next = AtomicUsize::new(first);
    let work = |grower: &mut Grower<'_, M>| {
        let mut own = Vec::new();
        loop {
            let tree = next.fetch_add(1, Ordering::Relaxed);
            if tree >= end {
                return Ok(own);
            }
            own.push((tree, grower.tree(tree)?));
        }
    };
    let mut all = Vec::with_capacity(end - first);
    std::thread::scope(|scope| {
        let work = &work;
        let mut growers = growers.iter_mut();
        let own = growers.next();
        let workers: Vec<_> = growers.map(|grower| scope.spawn(move || work(grower))).collect();
        let mut parts: Vec<Result<Vec<_>, Stopped>> = own.map(work).into_iter().collect();
        for worker in workers {
            match worker.join() {
                Ok(part) => parts.push(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        for part in parts {
            all.extend(part?);
        }
        Ok(all)
    })
}
