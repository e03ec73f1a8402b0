//! A forest of regression trees over the unit cube, kept as the boxes of its leaves.
//!
//! L. Breiman, "Random forests" (2001), as in F. Hutter et al. (2014): every tree is grown on a
//! bootstrap sample until its leaves are pure. Differences: coordinates are gathered in cells, and
//! the values of a category are laid side by side in the order of their means, for each tree anew. A
//! dimension that exists only under one alternative of another is split only in boxes that lie within
//! that alternative, so that every leaf is a box of the whole cube, and nothing has to be made up for
//! coordinates that do not exist. Where a cut of it would be worth having, the cut that leads there is
//! made though it tells nothing by itself: alternatives may be equally good on average. The cube is
//! without categories that no trial has, as where all failed. Of one that a bootstrap sample lacks, as
//! of a value that was tried once, a trial is added, so that all trees tell of the same cube.

use super::cells::{Cells, NONE};
use super::tried::Tried;
use fleetfit_search_spaces::seed::mix;

/// Trees in a forest.
const N_TREES: usize = 64;

/// A tree sees so many trials at most, and no more than this many coordinates of them.
const MOST_ROWS: usize = 2_048;
const MOST_COORDINATES: usize = 1 << 16;

/// The fewest trials that a tree sees where there are more.
const FEWEST_ROWS: usize = 256;

/// Of more dimensions, those are cut that tell most by themselves.
const MOST_DIMENSIONS: usize = 64;

/// Nodes of fewer trials are sorted rather than counted by cell.
const FEW: usize = 24;

/// A box of the cube in which a tree says the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Leaf {
    pub(super) value: f64,
    /// Its share of the cube.
    pub(super) volume: f64,
    /// Where its bounds end in the tree's list.
    end: usize,
}

/// The cells of one dimension that a box is bounded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) dimension: usize,
    pub(super) from: u16,
    pub(super) to: u16,
}

/// One tree.
#[derive(Debug, Default)]
pub(super) struct Tree {
    leaves: Vec<Leaf>,
    bounds: Vec<Bound>,
    /// The place of each cell of a dimension; empty where cells lie in their own order.
    pub(super) places: Vec<Vec<u16>>,
    /// How many places of a dimension are in the tree's cube, the first ones.
    n_held: Vec<usize>,
}

impl Tree {
    /// The leaves with their bounds, each dimension at most once.
    pub(super) fn leaves(&self) -> impl Iterator<Item = (Leaf, &[Bound])> {
        let mut from = 0;
        self.leaves.iter().map(move |leaf| {
            let bounds = self.bounds.get(from..leaf.end).unwrap_or_default();
            from = leaf.end;
            (*leaf, bounds)
        })
    }

    /// Where a cell lies in this tree.
    pub(super) fn place(&self, dimension: usize, cell: usize) -> usize {
        let places = self.places.get(dimension).filter(|places| !places.is_empty());
        places.map_or(cell, |places| places.get(cell).map_or(cell, |&place| place.into()))
    }

    /// Whether a place of a dimension is in the tree's cube.
    pub(super) fn holds(&self, dimension: usize, place: usize) -> bool {
        place < self.n_held[dimension]
    }

    /// The share of the tree's cube between two places of a dimension.
    pub(super) fn width(&self, cells: &Cells, dimension: usize, from: usize, to: usize) -> f64 {
        let n = self.n_held[dimension];
        match cells.is_ordered {
            true => cells.edges[to] - cells.edges[from],
            false => (to.min(n) - from.min(n)) as f64 / n.max(1) as f64,
        }
    }
}

/// The trees, and the cells that their boxes are made of.
#[derive(Debug)]
pub(super) struct Forest {
    pub(super) trees: Vec<Tree>,
    pub(super) cells: Vec<Cells>,
    /// The dimensions that trees may cut, ascending.
    pub(super) looked_at: Vec<usize>,
}

impl Forest {
    /// Grows a forest on losses that were brought between -1 and 1.
    pub(super) fn new(tried: &Tried, losses: &[f64], seed: u64) -> Self {
        let n_dimensions = tried.dimensions.len();
        let cells: Vec<Cells> = (0..n_dimensions).map(|i| Cells::new(tried, i)).collect();
        let looked_at = telling(tried, &cells, losses, seed);
        let most = (MOST_COORDINATES / looked_at.len().max(1)).clamp(FEWEST_ROWS, MOST_ROWS);
        let n_rows = losses.len().min(most);
        let unordered = looked_at.iter().filter(|&&dimension| !cells[dimension].is_ordered);
        let categories: Vec<(usize, Vec<Vec<u32>>)> =
            unordered.map(|&dimension| (dimension, by_category(&cells[dimension]))).collect();
        let trees = (0..N_TREES).map(|tree| {
            let seed = mix(&[seed, tree as u64]);
            let draw = |row: usize| below(mix(&[seed, 0, row as u64]), losses.len());
            let mut rows: Vec<u32> = (0..n_rows).map(|row| draw(row) as u32).collect();
            for (dimension, categories) in &categories {
                let seed = mix(&[seed, 3, *dimension as u64]);
                add_lacking(&mut rows, &cells[*dimension], categories, seed);
            }
            Growth::new(tried, &cells, losses, &rows, seed).grow(&looked_at, rows)
        });
        let trees = trees.collect();
        Self { trees, cells, looked_at }
    }
}

/// The trials of each category.
fn by_category(cells: &Cells) -> Vec<Vec<u32>> {
    let mut categories = vec![Vec::new(); cells.n()];
    for (row, &code) in (0..).zip(&cells.codes) {
        if let Some(category) = categories.get_mut(usize::from(code)) {
            category.push(row);
        }
    }
    categories
}

/// Adds a trial of each category that none of these trials has.
fn add_lacking(rows: &mut Vec<u32>, cells: &Cells, categories: &[Vec<u32>], seed: u64) {
    let mut is_there = vec![false; categories.len()];
    for &row in rows.iter() {
        if let Some(is_there) = is_there.get_mut(usize::from(cells.codes[row as usize])) {
            *is_there = true;
        }
    }
    for (category, (trials, is_there)) in (0..).zip(categories.iter().zip(is_there)) {
        if !is_there && !trials.is_empty() {
            rows.push(trials[below(mix(&[seed, category]), trials.len())]);
        }
    }
}

/// The dimensions that tell most by themselves, and those that they hang on.
fn telling(tried: &Tried, cells: &[Cells], losses: &[f64], seed: u64) -> Vec<usize> {
    let n = tried.dimensions.len();
    if n <= MOST_DIMENSIONS {
        return (0..n).collect();
    }
    let all: Vec<u32> = (0..losses.len() as u32).collect();
    let mut growth = Growth::new(tried, cells, losses, &all, seed);
    let gain = |dimension: usize| {
        let exists = |row: &&u32| cells[dimension].codes[**row as usize] != NONE;
        let rows: Vec<u32> = all.iter().filter(exists).copied().collect();
        let sum: f64 = rows.iter().map(|&row| losses[row as usize]).sum();
        let before = sum * sum / rows.len().max(1) as f64;
        (growth.cut_of(&rows, dimension).map_or(0.0, |cut| cut.gain - before), dimension)
    };
    let mut gains: Vec<(f64, usize)> = (0..n).map(gain).collect();
    gains.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut is_looked_at = vec![false; n];
    for (_, dimension) in gains.into_iter().take(MOST_DIMENSIONS) {
        let mut next = Some(dimension);
        while let Some(dimension) = next {
            is_looked_at[dimension] = true;
            next = tried.dimensions[dimension].parent.map(|(parent, _)| parent);
        }
    }
    (0..n).filter(|&dimension| is_looked_at[dimension]).collect()
}

/// A number below a bound out of a random one.
fn below(random: u64, bound: usize) -> usize {
    ((u128::from(random) * bound as u128) >> 64) as usize
}

/// A tree while it grows.
struct Growth<'a> {
    tried: &'a Tried,
    cells: &'a [Cells],
    losses: &'a [f64],
    seed: u64,
    tree: Tree,
    /// The cells of each dimension that the box at hand is bounded to, in the tree's order.
    ranges: Vec<(u16, u16)>,
    n_nodes: u64,
    sums: Vec<(f64, f64)>,
    sorted: Vec<(u16, f64)>,
}

/// A cut of a box in two.
#[derive(Clone, Copy)]
struct Cut {
    dimension: usize,
    /// Cells from here on are on the right.
    at: u16,
    gain: f64,
}

impl<'a> Growth<'a> {
    fn new(
        tried: &'a Tried,
        cells: &'a [Cells],
        losses: &'a [f64],
        rows: &[u32],
        seed: u64,
    ) -> Self {
        let places = cells.iter().enumerate().map(|(i, cells)| match cells.is_ordered {
            true => (Vec::new(), cells.n()),
            false => by_mean(cells, losses, rows, mix(&[seed, 1, i as u64])),
        });
        let (places, n_held): (_, Vec<usize>) = places.unzip();
        let ranges = n_held.iter().map(|&n| (0, n as u16)).collect();
        let tree = Tree { places, n_held, ..Tree::default() };
        let (sums, sorted) = (Vec::new(), Vec::new());
        Self { tried, cells, losses, seed, tree, ranges, n_nodes: 0, sums, sorted }
    }

    fn grow(mut self, looked_at: &[usize], mut rows: Vec<u32>) -> Tree {
        self.grow_node(looked_at, &mut rows, 1.0);
        self.tree
    }

    /// Depth first. A node has fewer trials than its parent, and one side of each cut is gone down
    /// in a loop, the larger one.
    fn grow_node(&mut self, looked_at: &[usize], rows: &mut [u32], volume: f64) {
        let (mut rows, mut volume) = (rows, volume);
        let mut undo: Vec<(usize, (u16, u16))> = Vec::new();
        loop {
            let Some(cut) = self.best_cut(looked_at, rows) else {
                self.leaf(rows, volume);
                break;
            };
            let (from, to) = self.ranges[cut.dimension];
            let middle = self.partition(rows, cut);
            let (left, right) = rows.split_at_mut(middle);
            let share =
                self.width(cut.dimension, from, cut.at) / self.width(cut.dimension, from, to);
            let (small, large, small_range, large_range, small_share) =
                match left.len() <= right.len() {
                    true => (left, right, (from, cut.at), (cut.at, to), share),
                    false => (right, left, (cut.at, to), (from, cut.at), 1.0 - share),
                };
            undo.push((cut.dimension, (from, to)));
            self.ranges[cut.dimension] = small_range;
            self.grow_node(looked_at, small, volume * small_share);
            self.ranges[cut.dimension] = large_range;
            volume *= 1.0 - small_share;
            rows = large;
        }
        for (dimension, range) in undo.into_iter().rev() {
            self.ranges[dimension] = range;
        }
    }

    fn leaf(&mut self, rows: &[u32], volume: f64) {
        let sum: f64 = rows.iter().map(|&row| self.losses[row as usize]).sum();
        for (dimension, &(from, to)) in self.ranges.iter().enumerate() {
            if usize::from(to - from) < self.tree.n_held[dimension] {
                self.tree.bounds.push(Bound { dimension, from, to });
            }
        }
        let value = sum / rows.len().max(1) as f64;
        self.tree.leaves.push(Leaf { value, volume, end: self.tree.bounds.len() });
    }

    /// Where a trial's cell lies in this tree.
    fn place(&self, row: u32, dimension: usize) -> u16 {
        let code = self.cells[dimension].codes[row as usize];
        match self.tree.places[dimension].get(usize::from(code)) {
            Some(&place) => place,
            None => code,
        }
    }

    /// The share of the cube between two places of a dimension.
    fn width(&self, dimension: usize, from: u16, to: u16) -> f64 {
        self.tree.width(&self.cells[dimension], dimension, from.into(), to.into())
    }

    /// What of the box at hand has to be cut away before a dimension exists everywhere in it: on how
    /// many dimensions, and the first of these with the place that stays. None where it exists nowhere in
    /// the box, or where a cell holds several alternatives of what it hangs on.
    fn way_to(&self, dimension: usize) -> Option<(usize, Option<(usize, u16)>)> {
        let (mut dimension, mut n_left, mut first) = (dimension, 0, None);
        while let Some((parent, alternative)) = self.tried.dimensions[dimension].parent {
            let (from, to) = self.ranges[parent];
            let n = self.tried.dimensions[parent].n_values()?;
            let cell = self.cells[parent].cell_of(alternative, n)?;
            let place = self.tree.place(parent, cell.into()) as u16;
            if !(from..to).contains(&place) {
                return None;
            }
            if to - from > 1 {
                n_left += 1;
                first = Some((parent, place));
            }
            dimension = parent;
        }
        Some((n_left, first))
    }

    fn best_cut(&mut self, looked_at: &[usize], rows: &[u32]) -> Option<Cut> {
        let first = self.losses[*rows.first()? as usize];
        if rows.iter().all(|&row| self.losses[row as usize] == first) {
            return None;
        }
        self.n_nodes += 1;
        // Among equal ones no dimension goes first.
        let first = below(mix(&[self.seed, 2, self.n_nodes]), looked_at.len());
        let (before, from) = looked_at.split_at(first);
        let mut best: Option<Cut> = None;
        for &dimension in from.iter().chain(before) {
            let (from, to) = self.ranges[dimension];
            if to - from < 2 {
                continue;
            }
            let cut = match self.way_to(dimension) {
                None => None,
                Some((_, None)) => self.cut_of(rows, dimension),
                Some((n_left, Some(first))) => self.cut_towards(rows, dimension, n_left, first),
            };
            if let Some(cut) = cut.filter(|cut| best.is_none_or(|best| cut.gain > best.gain)) {
                best = Some(cut);
            }
        }
        best
    }

    /// The first cut on the way to the best one along a dimension that does not exist everywhere; its
    /// gain is what all cuts of the way have together, shared among them.
    fn cut_towards(
        &mut self,
        rows: &[u32],
        dimension: usize,
        n_left: usize,
        (parent, place): (usize, u16),
    ) -> Option<Cut> {
        let sum = |rows: &[u32]| rows.iter().map(|&row| self.losses[row as usize]).sum::<f64>();
        let has_it = |row: &u32| self.cells[dimension].codes[*row as usize] != NONE;
        let (own, rest): (Vec<u32>, Vec<u32>) = rows.iter().partition(|row| has_it(row));
        let before = sum(rows).powi(2) / rows.len() as f64;
        let of_rest = sum(&rest).powi(2) / rest.len().max(1) as f64;
        let gain = self.cut_of(&own, dimension)?.gain + of_rest - before;
        // Rows have to be on both sides of it.
        let places = || rest.iter().map(|&row| self.place(row, parent));
        let at = if places().any(|other| other < place) {
            place
        } else if places().any(|other| other > place) {
            place + 1
        } else {
            return None;
        };
        Some(Cut { dimension: parent, at, gain: before + gain / (1 + n_left) as f64 })
    }

    /// The best cut along one dimension; none where all trials share a cell.
    fn cut_of(&mut self, rows: &[u32], dimension: usize) -> Option<Cut> {
        let mut sums = std::mem::take(&mut self.sums);
        let mut sorted = std::mem::take(&mut self.sorted);
        sorted.clear();
        let from = self.ranges[dimension].0;
        if rows.len() < FEW {
            let pair = |&row: &u32| (self.place(row, dimension), self.losses[row as usize]);
            sorted.extend(rows.iter().map(pair));
            sorted.sort_unstable_by_key(|pair| pair.0);
        } else {
            let n = usize::from(self.ranges[dimension].1 - from);
            sums.clear();
            sums.resize(n, (0.0, 0.0));
            for &row in rows {
                let sum = &mut sums[usize::from(self.place(row, dimension) - from)];
                sum.0 += self.losses[row as usize];
                sum.1 += 1.0;
            }
        }
        let found = match rows.len() < FEW {
            true => best_between(sorted.iter().map(|&(place, loss)| (place, loss, 1.0))),
            false => {
                let sums = (from..).zip(&sums).filter(|(_, sum)| sum.1 > 0.0);
                best_between(sums.map(|(place, sum)| (place, sum.0, sum.1)))
            }
        };
        (self.sums, self.sorted) = (sums, sorted);
        let (left, right, gain) = found?;
        Some(Cut { dimension, at: self.cells[dimension].between(left, right), gain })
    }

    /// Brings the trials left of a cut to the front; how many these are.
    fn partition(&self, rows: &mut [u32], cut: Cut) -> usize {
        let mut middle = 0;
        for i in 0..rows.len() {
            if self.place(rows[i], cut.dimension) < cut.at {
                rows.swap(i, middle);
                middle += 1;
            }
        }
        middle
    }
}

/// Of sums and counts in the order of their places, the neighbours between which a cut leaves the
/// least variance, and how good it is.
fn best_between(sums: impl Iterator<Item = (u16, f64, f64)> + Clone) -> Option<(u16, u16, f64)> {
    let (total, n) = sums.clone().fold((0.0, 0.0), |all, sum| (all.0 + sum.1, all.1 + sum.2));
    let mut best: Option<(u16, u16, f64)> = None;
    let (mut sum_left, mut n_left) = (0.0, 0.0);
    let mut last: Option<u16> = None;
    for (place, sum, count) in sums {
        if let Some(last) = last.filter(|&last| last < place) {
            let sum_right: f64 = total - sum_left;
            let gain: f64 = sum_left * sum_left / n_left + sum_right * sum_right / (n - n_left);
            if best.is_none_or(|best| gain > best.2) {
                best = Some((last, place, gain));
            }
        }
        sum_left += sum;
        n_left += count;
        last = Some(place);
    }
    best
}

/// The place of each cell in the order of their means, and how many have trials: the others are last.
fn by_mean(cells: &Cells, losses: &[f64], rows: &[u32], seed: u64) -> (Vec<u16>, usize) {
    let mut sums = vec![(0.0, 0.0); cells.n()];
    for &row in rows {
        if let Some(sum) = sums.get_mut(usize::from(cells.codes[row as usize])) {
            sum.0 += losses[row as usize];
            sum.1 += 1.0;
        }
    }
    let mut order: Vec<(f64, u64, u16)> = Vec::new();
    for (cell, &(sum, n)) in (0..).zip(&sums) {
        let random = mix(&[seed, u64::from(cell)]);
        order.push((if n > 0.0 { sum / n } else { f64::INFINITY }, random, cell));
    }
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut places = vec![0; cells.n()];
    for (place, &(_, _, cell)) in (0..).zip(&order) {
        places[usize::from(cell)] = place;
    }
    (places, sums.iter().filter(|sum| sum.1 > 0.0).count())
}
