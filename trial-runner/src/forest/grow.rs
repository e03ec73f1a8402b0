//! Grows one tree after another.
//!
//! How a node is searched depends on how many rows it has: histograms for many; for few the order
//! of `local.rs`, or rows that are sorted on the spot where only some columns are looked at. All of
//! them find the same split.

use std::ops::Range;

use rand_pcg::Pcg64Mcg;

use super::draw::{below, unit};
use super::local::{Local, MAX_ROWS};
use super::measure::{Best, Left, Measure, Scan, try_ordered};
use super::tree::{Node, Tree};
use super::{Grown, Job, Splitter, Truth, Watched, stream};
use crate::stop::Stopped;

/// Visits of a row between two looks at the stop flag: well under a millisecond's worth.
const VISITS_BETWEEN_CHECKS: usize = 1 << 18;
/// Orders are kept where at least one column in so many is looked at: parting them all costs a third
/// of sorting one.
const KEPT_SHARE: usize = 5;

/// Memory that one tree after another grows in.
pub(super) struct Grower<'a, M: Measure> {
    job: &'a Job<'a>,
    measure: M,
    /// How often the tree has drawn each row of the grid.
    draws: Vec<u32>,
    /// The tree's rows, node after node.
    rows: Vec<u32>,
    spare: Vec<u32>,
    items: Vec<M::Item>,
    codes: Vec<u8>,
    scores: [f64; MAX_ROWS],
    local: Local<M::Item>,
    keeps_order: bool,
    features: Vec<u32>,
    tree: Tree,
    /// The tree's weight.
    whole: f64,
    visits: usize,
}

/// A node that is yet to be looked at.
struct Pending {
    start: usize,
    end: usize,
    depth: usize,
    /// The split whose right child this is.
    parent: Option<usize>,
    is_leaf: bool,
}

impl<'a, M: Measure> Grower<'a, M> {
    pub(super) fn new(job: &'a Job<'a>, measure: M) -> Self {
        let n_columns = job.grid.columns.len();
        let settings = job.settings;
        Self {
            job,
            measure,
            draws: vec![0; job.grid.n_rows],
            rows: Vec::with_capacity(job.rows.len()),
            spare: vec![0; job.rows.len()],
            items: Vec::new(),
            codes: Vec::new(),
            scores: [0.0; MAX_ROWS],
            local: Local::new(n_columns),
            keeps_order: settings.splitter == Splitter::Best
                && settings.n_features.saturating_mul(KEPT_SHARE) >= n_columns,
            features: (0..n_columns as u32).collect(),
            tree: Tree::default(),
            whole: 0.0,
            visits: 0,
        }
    }

    /// Grows a tree, and says where the watched rows come to.
    pub(super) fn tree(&mut self, tree: usize) -> Result<Grown, Stopped> {
        self.job.stop.check()?;
        let mut rng = stream(self.job.seed, tree);
        self.draw(&mut rng);
        self.grow(&mut rng)?;
        let tree = std::mem::take(&mut self.tree);
        let leaf_of = |&row: &u32| tree.leaf_of(self.job.grid, row);
        let Watched { rows, out_of_bag } = self.job.watched;
        let is_told = |row: &u32| !out_of_bag || self.draws[*row as usize] == 0;
        let each = rows.iter();
        let leaf_of = each.map(|row| if is_told(row) { leaf_of(row) } else { u32::MAX }).collect();
        Ok(Grown { tree, leaf_of })
    }

    /// Draws the tree's rows.
    fn draw(&mut self, rng: &mut Pcg64Mcg) {
        let all = self.job.rows;
        self.rows.clear();
        let Some(n_drawn) = self.job.settings.n_drawn else {
            self.rows.extend_from_slice(all);
            return all.iter().for_each(|&row| self.draws[row as usize] = 1);
        };
        all.iter().for_each(|&row| self.draws[row as usize] = 0);
        for _ in 0..n_drawn {
            self.draws[all[below(rng, all.len())] as usize] += 1;
        }
        self.rows.extend(all.iter().copied().filter(|row| self.draws[*row as usize] > 0));
    }

    fn grow(&mut self, rng: &mut Pcg64Mcg) -> Result<(), Stopped> {
        self.local.leave();
        // As if no tree had been before.
        self.features.sort_unstable();
        self.tree = Tree::default();
        let n_rows = self.rows.len();
        let is_leaf = self.is_leaf(0..n_rows, 0);
        self.open(0..n_rows);
        self.whole = self.measure.weight();
        let mut pending = vec![Pending { start: 0, end: n_rows, depth: 0, parent: None, is_leaf }];
        while let Some(Pending { start, end, depth, parent, is_leaf }) = pending.pop() {
            let here = self.tree.nodes.len();
            if let Some(parent) = parent {
                self.tree.nodes[parent].right |= ((here - parent) as u32) << 1;
            }
            let best = if is_leaf { None } else { self.split(start..end, rng)? };
            let Some(best) = best else {
                self.leaf(start..end);
                continue;
            };
            self.tree.nodes.push(Node {
                column: best.column as u32,
                value: u32::from(best.last),
                right: u32::from(best.missing_left),
            });
            let middle = start + self.part(start..end, &best);
            let depth = depth + 1;
            let is_leaf = [self.is_leaf(start..middle, depth), self.is_leaf(middle..end, depth)];
            if !(is_leaf[0] && is_leaf[1]) && self.local.holds(start, end) {
                let missing = self.job.grid.columns[best.column].missing();
                let Best { column, last, missing_left, .. } = best;
                self.local.part(column, (start, end), |code| {
                    (code <= last) | (missing_left & (code == missing))
                });
            }
            let parent = Some(here);
            pending.push(Pending { start: middle, end, depth, parent, is_leaf: is_leaf[1] });
            pending.push(Pending { start, end: middle, depth, parent: None, is_leaf: is_leaf[0] });
        }
        Ok(())
    }

    fn is_leaf(&self, node: Range<usize>, depth: usize) -> bool {
        let settings = self.job.settings;
        let n_rows = node.len();
        depth >= settings.max_depth
            || n_rows < settings.min_samples_split.max(2)
            || n_rows < settings.min_samples_leaf.saturating_mul(2)
            || self.measure.is_pure(&self.rows[node])
    }

    /// The best split of a node; none when it is to be a leaf.
    fn split(&mut self, node: Range<usize>, rng: &mut Pcg64Mcg) -> Result<Option<Best>, Stopped> {
        let Range { start, end } = node;
        let settings = self.job.settings;
        let is_local = self.keeps_order && end - start <= MAX_ROWS;
        if is_local {
            if !self.local.holds(start, end) {
                let (measure, draws) = (&self.measure, &self.draws);
                let item = |row: u32| measure.item(row, draws[row as usize]);
                self.local.enter(self.job.grid, start, &self.rows[start..end], item);
            }
            self.measure.open(self.local.items_of(start, end));
        } else {
            self.open(start..end);
        }
        let n_all = self.features.len();
        let is_sampled = settings.n_features < n_all;
        let first = if is_sampled || !settings.is_shuffled { 0 } else { below(rng, n_all.max(1)) };
        let mut best = Best::none();
        let mut any_varies = false;
        for index in 0..n_all {
            // Columns that are constant here count too, but one that is not is looked for on.
            if index >= settings.n_features && any_varies {
                break;
            }
            if is_sampled {
                let other = index + below(rng, n_all - index);
                self.features.swap(index, other);
            }
            let place = index + first;
            let place = if place < n_all { place } else { place - n_all };
            let column = self.features[place] as usize;
            self.visits += end - start;
            if self.visits >= VISITS_BETWEEN_CHECKS {
                self.visits = 0;
                self.job.stop.check()?;
            }
            any_varies |= match settings.splitter {
                Splitter::Random => self.try_random(column, start..end, rng, &mut best),
                Splitter::Best => self.try_all(column, start..end, is_local, &mut best),
            };
            // Two rows part in one way.
            if end - start == 2 && best.is_found() {
                break;
            }
        }
        if !best.is_found() {
            return Ok(None);
        }
        let least = settings.min_impurity_decrease;
        if least > 0.0 && self.measure.decrease(&best, self.whole) + f64::EPSILON < least {
            return Ok(None);
        }
        Ok(Some(self.settle(best, start..end)))
    }

    /// Gathers the items of a node's rows.
    fn open(&mut self, node: Range<usize>) {
        let item = |&row: &u32| self.measure.item(row, self.draws[row as usize]);
        self.items.clear();
        self.items.extend(self.rows[node].iter().map(item));
        self.measure.open(self.items.iter().copied());
    }

    /// Tries every cut of a column; whether the node has several codes of it.
    fn try_all(
        &mut self,
        column: usize,
        node: Range<usize>,
        is_local: bool,
        best: &mut Best,
    ) -> bool {
        let scan = self.scan(column);
        let own = &self.job.grid.columns[column];
        if is_local {
            let order = self.local.order(column, node.start, node.end);
            let varies = order.first().map(|own| own >> 8) != order.last().map(|own| own >> 8);
            if varies {
                try_ordered(
                    &mut self.measure,
                    order,
                    &self.local.items,
                    scan,
                    &mut self.scores,
                    best,
                );
            }
            return varies;
        }
        let rows = &self.rows[node];
        if rows.len() > MAX_ROWS {
            return self.measure.try_bins(&own.codes, rows, &self.items, scan, best);
        }
        let mut order = [0_u16; MAX_ROWS];
        let order = &mut order[..rows.len()];
        for (index, (element, &row)) in order.iter_mut().zip(rows).enumerate() {
            *element = u16::from(own.codes[row as usize]) << 8 | index as u16;
        }
        let first = order.first().map(|own| own >> 8);
        if order.iter().all(|own| Some(own >> 8) == first) {
            return false;
        }
        order.sort_unstable();
        self.local.items[..rows.len()].copy_from_slice(&self.items);
        try_ordered(&mut self.measure, order, &self.local.items, scan, &mut self.scores, best);
        true
    }

    /// Tries one cut of a column at random; whether the node has several codes of it.
    fn try_random(
        &mut self,
        column: usize,
        node: Range<usize>,
        rng: &mut Pcg64Mcg,
        best: &mut Best,
    ) -> bool {
        let Scan { least, .. } = self.scan(column);
        let own = &self.job.grid.columns[column];
        let rows = &self.rows[node];
        self.codes.resize(rows.len().max(self.codes.len()), 0);
        let codes = &mut self.codes[..rows.len()];
        let (mut low, mut high) = (u8::MAX, 0);
        for (code, &row) in codes.iter_mut().zip(rows) {
            *code = own.codes[row as usize];
            low = low.min(*code);
            high = high.max(*code);
        }
        if low == high {
            return false;
        }
        // Copies, so that the loop above has them in registers.
        let (codes, low, mut high) = (&*codes, low, high);
        let missing = own.missing();
        let has_missing = high == missing;
        if has_missing {
            let known = codes.iter().copied().filter(|code| *code != missing);
            high = known.fold(0, u8::max);
        }
        let last = if low == high { low } else { own.cut_at(low, high, unit(rng)) };
        // Missing values are drawn too: the better of both sides would be less of an extra tree.
        let missing_left = has_missing && low < high && unit(rng) < 0.5;
        let is_left = |code: u8| (code <= last) | (missing_left & (code == missing));
        let mut left = self.measure.left();
        for (&code, &item) in codes.iter().zip(&self.items) {
            left.add_if(item, is_left(code));
        }
        let is_large = least == 1 || {
            let n_left = codes.iter().filter(|code| is_left(**code)).count();
            n_left >= least && rows.len() - n_left >= least
        };
        let score = left.score();
        if is_large && score > best.score {
            best.score = score;
            (best.column, best.missing_left) = (column, missing_left);
            (best.last, best.next) = (last, if low < high { last + 1 } else { missing });
        }
        true
    }

    fn scan(&self, column: usize) -> Scan {
        let least = self.job.settings.min_samples_leaf.max(1);
        Scan { column, missing: self.job.grid.columns[column].missing(), least }
    }

    /// Puts the cut where it belongs between the node's codes, and says where missing values go that
    /// the node does not have.
    fn settle(&self, mut best: Best, node: Range<usize>) -> Best {
        let column = &self.job.grid.columns[best.column];
        let missing = column.missing();
        if best.next == missing {
            (best.last, best.missing_left) = (missing.saturating_sub(1), false);
            return best;
        }
        if self.job.settings.splitter == Splitter::Best {
            best.last = column.middle(best.last, best.next);
        }
        let rows = &self.rows[node];
        let mut n_left = 0;
        for &row in rows {
            let code = column.codes[row as usize];
            if code == missing {
                return best;
            }
            n_left += usize::from(code <= best.last);
        }
        // What is missing later goes with the many.
        best.missing_left = n_left > rows.len() - n_left;
        best
    }

    /// Puts the rows that go left first and says how many they are.
    fn part(&mut self, node: Range<usize>, best: &Best) -> usize {
        let column = &self.job.grid.columns[best.column];
        let missing = column.missing();
        let rows = &mut self.rows[node];
        let spare = &mut self.spare[..rows.len()];
        let (mut n_left, mut n_right) = (0, 0);
        for index in 0..rows.len() {
            let row = rows[index];
            let code = column.codes[row as usize];
            let is_left = (code <= best.last) | (best.missing_left & (code == missing));
            rows[n_left] = row;
            spare[n_right] = row;
            n_left += usize::from(is_left);
            n_right += usize::from(!is_left);
        }
        rows[n_left..].copy_from_slice(&spare[..n_right]);
        n_left
    }

    /// A leaf: the mean of its rows, or the shares of their classes.
    fn leaf(&mut self, node: Range<usize>) {
        let leaves = &mut self.tree.leaves;
        let rows = &self.rows[node];
        let weight = |row: u32| {
            let own = self.job.weights.map_or(1.0, |weights| weights[row as usize]);
            own * f64::from(self.draws[row as usize])
        };
        let number = match self.job.truth {
            Truth::Numbers(numbers) => {
                let number = leaves.len();
                leaves.push(mean(rows, numbers, weight));
                number
            }
            Truth::Classes { codes, n_classes, .. } => {
                let first = leaves.len();
                leaves.resize(first + n_classes, 0.0);
                let own = &mut leaves[first..];
                rows.iter().for_each(|&row| own[codes[row as usize] as usize] += weight(row));
                let total: f64 = own.iter().sum();
                own.iter_mut().for_each(|share| *share /= total);
                first / n_classes
            }
        };
        self.tree.nodes.push(Node { column: 0, value: number as u32, right: 0 });
    }
}

/// The weighted mean; equal numbers have exactly that one.
fn mean(rows: &[u32], numbers: &[f64], weight: impl Fn(u32) -> f64) -> f64 {
    let number = |row: u32| numbers[row as usize];
    let first = rows.first().map_or(0.0, |&row| number(row));
    let (mut sum, mut total) = (0.0, 0.0);
    for &row in rows {
        sum += weight(row) * (number(row) - first);
        total += weight(row);
    }
    first + sum / total
}

#[cfg(test)]
mod tests {
    use super::super::numbers::{self, Variance};
    use super::super::tests::{field, settings};
    use super::super::{Settings, Truth};
    use super::*;

    #[test]
    fn rows_that_are_kept_in_order_and_rows_that_are_sorted_part_alike() {
        for n_rows in [50, 250, 900] {
            let field = field(n_rows, 7);
            for least in [1, 4] {
                let settings = Settings { min_samples_leaf: least, ..settings(1, Splitter::Best) };
                let job = field.job(Truth::Numbers(&field.numbers), &settings);
                let words = numbers::words(&job, |row| field.numbers[row]);
                let grown = |keeps_order: bool| {
                    let mut grower = Grower::new(&job, Variance::new(&words, job.truth));
                    grower.keeps_order = keeps_order;
                    grower.tree(0).unwrap()
                };
                assert_eq!(grown(true), grown(false), "{n_rows} {least}");
            }
        }
    }
}
