//! How much of what the losses do over the cube is owed to each dimension alone, and to pairs.
//!
//! F. Hutter, H. Hoos, K. Leyton-Brown, "An efficient approach for assessing hyperparameter
//! importance" (2014). The mean of a tree over all dimensions but one is a sum over the boxes of its
//! leaves; its variance, as a share of the tree's, is averaged over the trees. Where a dimension does
//! not exist, the loss does not depend on it, so its share also says how often it exists.

use super::Share;
use super::cells::Cells;
use super::forest::{Bound, Forest, Leaf, Tree};

/// What all trees together say.
#[derive(Debug)]
pub(super) struct Marginals {
    /// The share of each dimension in the variance.
    pub(super) shares: Vec<Share>,
    /// What the trees expect in each cell of each dimension, over all others.
    pub(super) curves: Vec<Vec<Share>>,
}

/// Sums over trees.
#[derive(Clone, Copy, Default)]
struct Sum {
    n: f64,
    sum: f64,
    squares: f64,
}

impl Sum {
    fn add(&mut self, value: f64) {
        self.n += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    fn share(&self) -> Share {
        let n = self.n.max(1.0);
        let mean = self.sum / n;
        let variance = (self.squares / n - mean * mean).max(0.0);
        Share { mean, deviation: variance.sqrt() }
    }
}

impl Marginals {
    /// None where no tree has a cut.
    pub(super) fn new(forest: &Forest) -> Option<Self> {
        let cells = &forest.cells;
        let mut shares = vec![Sum::default(); cells.len()];
        let mut curves: Vec<Vec<Sum>> =
            cells.iter().map(|cells| vec![Sum::default(); cells.n()]).collect();
        for tree in &forest.trees {
            let (mean, variance) = moments(tree);
            for (dimension, own) in curves_of(tree, cells, mean).iter().enumerate() {
                let mut explained = 0.0;
                for (cell, sum) in curves[dimension].iter_mut().enumerate() {
                    let place = tree.place(dimension, cell);
                    if tree.holds(dimension, place) {
                        sum.add(own[place]);
                        let width = tree.width(&cells[dimension], dimension, place, place + 1);
                        explained += width * (own[place] - mean).powi(2);
                    }
                }
                if variance > 0.0 {
                    shares[dimension].add((explained / variance).min(1.0));
                }
            }
        }
        let is_any = shares.iter().any(|sum| sum.n > 0.0);
        is_any.then(|| Self {
            shares: shares.iter().map(Sum::share).collect(),
            curves: curves.iter().map(|curve| curve.iter().map(Sum::share).collect()).collect(),
        })
    }
}

/// The share of a pair of dimensions in the variance that neither has alone.
pub(super) fn interaction(forest: &Forest, pair: [usize; 2]) -> Share {
    let mut share = Sum::default();
    for tree in &forest.trees {
        let (mean, variance) = moments(tree);
        if variance > 0.0 {
            let table = Table::new(tree, &forest.cells, pair, mean);
            let interaction = table.interaction(tree, &forest.cells, mean);
            share.add((interaction / variance).clamp(0.0, 1.0));
        }
    }
    share.share()
}

/// What is expected in each pair of cells of two dimensions, those of the second side by side.
pub(super) fn surface(forest: &Forest, pair: [usize; 2]) -> Vec<Share> {
    let n = pair.map(|dimension| forest.cells[dimension].n());
    let mut sums = vec![Sum::default(); n[0] * n[1]];
    for tree in &forest.trees {
        let table = Table::new(tree, &forest.cells, pair, moments(tree).0);
        for i in 0..n[0] {
            for j in 0..n[1] {
                let places = [tree.place(pair[0], i), tree.place(pair[1], j)];
                if tree.holds(pair[0], places[0]) && tree.holds(pair[1], places[1]) {
                    sums[i * n[1] + j].add(table.at(places[0], places[1]));
                }
            }
        }
    }
    sums.iter().map(Sum::share).collect()
}

/// The mean and the variance of a tree over the cube.
fn moments(tree: &Tree) -> (f64, f64) {
    let mean: f64 = tree.leaves().map(|(leaf, _)| leaf.volume * leaf.value).sum();
    let square = |(leaf, _): (Leaf, &[Bound])| leaf.volume * (leaf.value - mean).powi(2);
    (mean, tree.leaves().map(square).sum())
}

/// The mean of a tree in each cell of each dimension, in the tree's order of the cells.
fn curves_of(tree: &Tree, cells: &[Cells], mean: f64) -> Vec<Vec<f64>> {
    // What begins at each cell, less what ended before it.
    let mut curves: Vec<Vec<f64>> = cells.iter().map(|cells| vec![0.0; cells.n() + 1]).collect();
    for (leaf, bounds) in tree.leaves() {
        for bound in bounds {
            // Over the whole dimension the leaf counts with its share of the cube in any case: what
            // is added is how much more it has here, and less elsewhere.
            let whole = leaf.value * leaf.volume;
            let curve = &mut curves[bound.dimension];
            curve[0] -= whole;
            let here = whole / width(tree, cells, bound);
            curve[usize::from(bound.from)] += here;
            curve[usize::from(bound.to)] -= here;
        }
    }
    for curve in &mut curves {
        let mut sum = mean;
        for value in curve.iter_mut() {
            sum += *value;
            *value = sum;
        }
    }
    curves
}

fn width(tree: &Tree, cells: &[Cells], bound: &Bound) -> f64 {
    let dimension = bound.dimension;
    tree.width(&cells[dimension], dimension, bound.from.into(), bound.to.into())
}

/// The mean of a tree in each pair of cells of two dimensions, in the tree's order.
struct Table {
    pair: [usize; 2],
    /// How many values stand side by side, one of them behind the last cell.
    n_columns: usize,
    values: Vec<f64>,
}

impl Table {
    fn new(tree: &Tree, cells: &[Cells], pair: [usize; 2], mean: f64) -> Self {
        let n = pair.map(|dimension| cells[dimension].n());
        let n_columns = n[1] + 1;
        let mut table = Self { pair, n_columns, values: vec![0.0; (n[0] + 1) * n_columns] };
        for (leaf, bounds) in tree.leaves() {
            let found = pair
                .map(|dimension| bounds.iter().find(|bound| bound.dimension == dimension).copied());
            if found == [None, None] {
                continue;
            }
            let [rows, columns] = [0, 1].map(|i| match found[i] {
                Some(bound) => (bound.from.into(), bound.to.into()),
                None => (0, n[i]),
            });
            let size = |bound: &Bound| width(tree, cells, bound);
            let area: f64 = found.iter().flatten().map(size).product();
            // As along one dimension: more here, and less elsewhere.
            let whole = leaf.value * leaf.volume;
            table.add((0, n[0]), (0, n[1]), -whole);
            table.add(rows, columns, whole / area);
        }
        table.sum(mean);
        table
    }

    fn add(&mut self, rows: (usize, usize), columns: (usize, usize), value: f64) {
        let n = self.n_columns;
        self.values[rows.0 * n + columns.0] += value;
        self.values[rows.0 * n + columns.1] -= value;
        self.values[rows.1 * n + columns.0] -= value;
        self.values[rows.1 * n + columns.1] += value;
    }

    /// From what begins and ends to what is.
    fn sum(&mut self, mean: f64) {
        let n = self.n_columns;
        for row in self.values.chunks_exact_mut(n) {
            let mut sum = 0.0;
            for value in row {
                sum += *value;
                *value = sum;
            }
        }
        for i in n..self.values.len() {
            self.values[i] += self.values[i - n];
        }
        self.values.iter_mut().for_each(|value| *value += mean);
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.n_columns + column]
    }

    /// The variance that neither dimension has alone.
    fn interaction(&self, tree: &Tree, cells: &[Cells], mean: f64) -> f64 {
        let widths = self.pair.map(|dimension| {
            let cells = &cells[dimension];
            let width = |place| tree.width(cells, dimension, place, place + 1);
            (0..cells.n()).map(width).collect::<Vec<f64>>()
        });
        let mut columns = vec![0.0; widths[1].len()];
        let (mut joint, mut first) = (0.0, 0.0);
        for (i, &height) in widths[0].iter().enumerate() {
            let mut row = 0.0;
            for (j, column) in columns.iter_mut().enumerate() {
                let value = self.at(i, j) - mean;
                let width = widths[1][j];
                row += width * value;
                *column += height * value;
                joint += height * width * value * value;
            }
            first += height * row * row;
        }
        let second = |(width, column): (&f64, &f64)| width * column * column;
        joint - first - widths[1].iter().zip(&columns).map(second).sum::<f64>()
    }
}
