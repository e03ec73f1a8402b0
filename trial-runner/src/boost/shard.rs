//! A run of rows with all that is kept of each: what one thread works on.
//!
//! Shards meet only in whole numbers, so that the sums do not depend on how many there are.

use super::exact::Exact;
use super::exp::exp;
use super::loss::Loss;
use super::split::Terms;
use super::table::Table;
use super::tree::{Node, Split, part, scatter};
use super::word::{Fields, Word};
use super::{Job, MIN_SHARED_ROWS};

/// The rows `first..end` of the data.
#[derive(Debug, Default)]
pub(super) struct Shard<W> {
    pub(super) first: usize,
    end: usize,
    /// Rows that are learnt from.
    rows: Vec<u32>,
    /// Rows whose scores are wanted beside those.
    watched: Vec<u32>,
    /// The rows of the tree that grows, leaf after leaf.
    order: Vec<u32>,
    /// All others.
    others: Vec<u32>,
    spare: Vec<u32>,
    /// Class after class.
    scores: Vec<f64>,
    /// The classes' probabilities, class after class.
    shares: Vec<f64>,
    slopes: Vec<f64>,
    curves: Vec<f64>,
    pub(super) words: Vec<W>,
    /// Where each node's rows stand in `order`.
    spans: Vec<(u32, u32)>,
    /// A histogram of its own.
    pub(super) bins: Vec<W>,
}

/// The largest slope and curvature of a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reach {
    pub(super) slope: f64,
    pub(super) curve: f64,
}

/// Sums in exact units.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) slope: i64,
    pub(super) curve: i64,
}

impl<W: Word> Shard<W> {
    /// Takes over the rows `first..end`.
    pub(super) fn start(&mut self, job: &Job<'_>, first: usize, end: usize, initial: &[f64]) {
        (self.first, self.end) = (first, end);
        let is_own = |row: &u32| (first..end).contains(&(*row as usize));
        let weighs = |row: &u32| job.weights.is_none_or(|weights| weights[*row as usize] > 0.0);
        self.rows.clear();
        self.rows.extend(job.rows.iter().copied().filter(is_own).filter(weighs));
        self.rows.sort_unstable();
        self.watched.clear();
        // A row that is learnt from and watched must not get a tree twice.
        let rows = &self.rows;
        let is_other = |row: &u32| rows.binary_search(row).is_err();
        self.watched.extend(job.watched.iter().copied().filter(is_own).filter(is_other));
        self.watched.sort_unstable();
        self.watched.dedup();
        let n_rows = end - first;
        self.scores.clear();
        for score in initial {
            self.scores.resize(self.scores.len() + n_rows, *score);
        }
        self.slopes.resize(n_rows, 0.0);
        self.curves.resize(n_rows, 0.0);
        self.words.resize(n_rows, W::default());
        self.spare.resize(self.rows.len() + self.watched.len(), 0);
        self.draw(&mut std::iter::repeat(true));
    }

    /// How many rows are learnt from.
    pub(super) fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// Takes the rows of the next tree.
    pub(super) fn draw(&mut self, drawn: &mut dyn Iterator<Item = bool>) {
        self.order.clear();
        self.others.clear();
        for (&row, is_drawn) in self.rows.iter().zip(drawn) {
            if is_drawn { self.order.push(row) } else { self.others.push(row) }
        }
        self.others.extend_from_slice(&self.watched);
        self.spans.clear();
        self.spans.push((0, self.order.len() as u32));
    }

    fn place(&self, row: u32) -> usize {
        row as usize - self.first
    }

    /// The classes' probabilities, before the trees of a round.
    pub(super) fn share_out(&mut self, n_classes: usize) {
        let n_rows = self.end - self.first;
        self.shares.resize(n_rows * n_classes, 0.0);
        for &row in &self.rows {
            let place = row as usize - self.first;
            let scores = (0..n_classes).map(|class| self.scores[class * n_rows + place]);
            let top = scores.clone().fold(f64::NEG_INFINITY, f64::max);
            let mut total = 0.0;
            for (class, score) in scores.enumerate() {
                let share = exp(score - top);
                self.shares[class * n_rows + place] = share;
                total += share;
            }
            for class in 0..n_classes {
                self.shares[class * n_rows + place] /= total;
            }
        }
    }

    /// Slopes and curvatures of the tree's rows.
    pub(super) fn slope(&mut self, job: &Job<'_>, class: usize) -> Reach {
        // A loop of its own for each loss.
        match job.settings.loss {
            Loss::Softmax { n_classes } => {
                let n_rows = self.end - self.first;
                let factor = n_classes as f64 / (n_classes as f64 - 1.0).max(1.0);
                let shares = std::mem::take(&mut self.shares);
                let own = &shares[class * n_rows..(class + 1) * n_rows];
                let first = self.first;
                let reach = self.slope_by(job, class, |row, target, _| {
                    let share = own[row - first];
                    let is_own = if target as usize == class { 1.0 } else { 0.0 };
                    (share - is_own, factor * share * (1.0 - share))
                });
                self.shares = shares;
                reach
            }
            Loss::Squared => self.slope_by(job, class, |_, target, score| (score - target, 1.0)),
            loss => {
                let slope = loss.slope();
                self.slope_by(job, class, |_, target, score| slope(target, score))
            }
        }
    }

    #[inline(always)]
    fn slope_by(
        &mut self,
        job: &Job<'_>,
        class: usize,
        slope: impl Fn(usize, f64, f64) -> (f64, f64),
    ) -> Reach {
        let n_rows = self.end - self.first;
        let scores = &self.scores[class * n_rows..(class + 1) * n_rows];
        let mut reach = Reach::default();
        for &row in &self.order {
            let row = row as usize;
            let place = row - self.first;
            let (mut first, mut second) = slope(row, job.targets[row], scores[place]);
            if let Some(weights) = job.weights {
                first *= weights[row];
                second *= weights[row];
            }
            self.slopes[place] = first;
            self.curves[place] = second;
            reach.slope = reach.slope.max(first.abs());
            reach.curve = reach.curve.max(second);
        }
        reach
    }

    /// The sums of the slopes' sizes and of the curvatures.
    pub(super) fn sizes(&self, slopes: Exact, curves: Exact, is_flat: bool) -> Sums {
        let mut sums = Sums::default();
        for &row in &self.order {
            let place = self.place(row);
            sums.slope += slopes.whole(self.slopes[place].abs());
            if !is_flat {
                sums.curve += curves.whole(self.curves[place]);
            }
        }
        sums
    }

    /// Turns slopes and curvatures into words; the sum of them all.
    pub(super) fn pack(&mut self, terms: &Terms, is_flat: bool) -> W {
        /// Adding it rounds to a whole number, which then stands in the low bits.
        const ROUND: f64 = 6_755_399_441_055_744.0;
        let whole = |number: f64, scale: f64| (number * scale + ROUND).to_bits() as i32;
        let mut sum = W::default();
        for &row in &self.order {
            let place = row as usize - self.first;
            let slope = whole(self.slopes[place], terms.gradient_scale);
            let curve = if is_flat { 1 } else { whole(self.curves[place], terms.curvature_scale) };
            let word = W::pack(slope, curve, terms.fields);
            self.words[place] = word;
            sum = sum.plus(word);
        }
        sum
    }

    /// The rows of a node.
    pub(super) fn rows_of(&self, node: usize) -> &[u32] {
        let (begin, end) = self.spans[node];
        &self.order[begin as usize..end as usize]
    }

    /// Parts a node's rows between two new nodes; says how many go left.
    pub(super) fn part(
        &mut self,
        table: &Table,
        sets: &[u16],
        node: usize,
        split: &Split,
    ) -> usize {
        let (begin, end) = self.spans[node];
        let rows = &mut self.order[begin as usize..end as usize];
        let n_left = part(split, table, sets, rows, &mut self.spare);
        let middle = begin + n_left as u32;
        self.spans.push((begin, middle));
        self.spans.push((middle, end));
        n_left
    }

    /// The exact sums of a leaf's rows.
    pub(super) fn sums(&self, node: usize, slopes: Exact, curves: Exact, is_flat: bool) -> Sums {
        let mut sums = Sums::default();
        for &row in self.rows_of(node) {
            let place = self.place(row);
            sums.slope += slopes.whole(self.slopes[place]);
            if !is_flat {
                sums.curve += curves.whole(self.curves[place]);
            }
        }
        sums
    }

    /// The sum of the squared gradients of a node's rows: their sizes' sum fits 31 bits, so it fits.
    pub(super) fn squares(&self, node: usize, fields: Fields) -> u64 {
        let gradient = |row: &u32| self.words[self.place(*row)].gradient(fields).unsigned_abs();
        self.rows_of(node).iter().map(|row| u64::from(gradient(row)).pow(2)).sum()
    }

    /// A leaf's residuals and weights.
    pub(super) fn residuals(&self, job: &Job<'_>, node: usize, into: &mut Vec<(f64, f64)>) {
        into.extend(self.rows_of(node).iter().map(|&row| {
            let weight = job.weights.map_or(1.0, |weights| weights[row as usize]);
            (job.targets[row as usize] - self.scores[self.place(row)], weight)
        }));
    }

    /// Adds the tree to the scores of all rows.
    pub(super) fn add(&mut self, table: &Table, sets: &[u16], nodes: &[Node], class: usize) {
        let n_rows = self.end - self.first;
        let first = self.first;
        let scores = &mut self.scores[class * n_rows..(class + 1) * n_rows];
        for (index, node) in nodes.iter().enumerate() {
            if node.split == Split::Leaf {
                let (begin, end) = self.spans[index];
                for &row in &self.order[begin as usize..end as usize] {
                    scores[row as usize - first] += node.value;
                }
            }
        }
        scatter(nodes, table, sets, &mut self.others, &mut self.spare, &mut |rows, value| {
            for &row in rows {
                scores[row as usize - first] += value;
            }
        });
        self.order_again();
    }

    /// The rows as they were before the tree, for the next class or round.
    fn order_again(&mut self) {
        self.spans.clear();
        self.spans.push((0, self.order.len() as u32));
    }

    /// A row's score.
    pub(super) fn score(&self, row: u32, class: usize) -> f64 {
        self.scores[class * (self.end - self.first) + self.place(row)]
    }

    /// Whether the row is its own.
    pub(super) fn holds(&self, row: u32) -> bool {
        (self.first..self.end).contains(&(row as usize))
    }
}

/// Lets every shard do something, on a thread each where that pays; the answers in order.
pub(super) fn each<W: Word, A: Send>(
    shards: &mut [Shard<W>],
    n_rows: usize,
    act: impl Fn(&mut Shard<W>) -> A + Sync,
    mut gather: impl FnMut(A),
) {
    if shards.len() < 2 || n_rows < MIN_SHARED_ROWS {
        return shards.iter_mut().for_each(|shard| gather(act(shard)));
    }
    std::thread::scope(|scope| {
        let mut shards = shards.iter_mut();
        let own = shards.next();
        let act = &act;
        let workers: Vec<_> = shards.map(|shard| scope.spawn(move || act(shard))).collect();
        own.map(act).into_iter().for_each(&mut gather);
        for worker in workers {
            match worker.join() {
                Ok(answer) => gather(answer),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
}
