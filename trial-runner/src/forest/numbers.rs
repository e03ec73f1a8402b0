//! Splits of numbers, and of two classes: the sum of squared errors.
//!
//! A row is one whole number, its weight below and its weighted target above, so that both are summed
//! at once and exactly.

use std::ops::Range;

use super::measure::{Best, Left, Measure, Scan};
use super::{Job, Truth};

/// Bits of a word in which unlike weights are counted.
const WEIGHT_BITS: u32 = 28;
const BINS: usize = 256;

/// What rows bring, and the unit of it.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// A word a row of the grid.
    pub(crate) words: Vec<i64>,
    pub(crate) weight_bits: u32,
    /// What a weight of one is in a word.
    pub(crate) weight_scale: f64,
    /// What a weighted target of one is in a word.
    pub(crate) scale: f64,
}

/// Packs the rows. Sums of a tree's rows cannot overflow, however often one is drawn.
pub(super) fn words(job: &Job<'_>, target: impl Fn(usize) -> f64) -> Words {
    let n_drawn = job.settings.n_drawn.unwrap_or(job.rows.len()).max(1) as f64;
    let weight = |row: usize| job.weights.map_or(1.0, |weights| weights[row]);
    let rows = || job.rows.iter().map(|&row| row as usize);
    let (mut sum, mut total) = (0.0, 0.0);
    for row in rows() {
        sum += weight(row) * target(row);
        total += weight(row);
    }
    let centre = sum / total;
    let top_weight = rows().map(weight).fold(0.0, f64::max);
    let top = rows().map(|row| (weight(row) * (target(row) - centre)).abs()).fold(0.0, f64::max);
    let (weight_bits, weight_scale) = match job.weights {
        None => (u64::BITS - (n_drawn as u64 + 1).leading_zeros(), 1.0),
        Some(_) => {
            let most = (1_u64 << WEIGHT_BITS) as f64 / (n_drawn + 1.0);
            (WEIGHT_BITS, (most - 1.0).max(1.0) / top_weight)
        }
    };
    let scale = (1_u64 << (62 - weight_bits)) as f64 / ((n_drawn + 1.0) * top);
    // Targets that are next to nothing apart would have endless units.
    let scale = if scale.is_finite() { scale } else { 0.0 };
    let mut words = vec![0; job.grid.n_rows];
    for row in rows() {
        let own = (weight(row) * (target(row) - centre) * scale).round() as i64;
        let weight = (weight(row) * weight_scale).round().max(1.0) as i64;
        words[row] = (own << weight_bits).wrapping_add(weight);
    }
    Words { words, weight_bits, weight_scale, scale }
}

/// The sum of squared errors.
#[derive(Clone)]
pub(super) struct Variance<'a> {
    words: &'a Words,
    truth: Truth<'a>,
    total: i64,
    bins: [i64; BINS],
    counts: [u32; BINS],
}

/// The sum of one side, beside that of the node.
#[derive(Clone, Copy)]
pub(super) struct Side {
    sum: i64,
    bits: u32,
    /// The node's weight and mean.
    weight: f64,
    mean: f64,
}

impl<'a> Variance<'a> {
    pub(super) fn new(words: &'a Words, truth: Truth<'a>) -> Self {
        Self { words, truth, total: 0, bins: [0; BINS], counts: [0; BINS] }
    }

    /// Offers the cuts after some bins, with what is `moved` to the left; whether one is better.
    fn cuts(
        &self,
        bins: Range<usize>,
        moved: i64,
        n_rows: usize,
        scan: Scan,
        best: &mut Best,
    ) -> bool {
        let first = bins.start;
        let mut side = self.side();
        side.add(moved);
        let mut scores = [-1.0; BINS];
        for (score, bin) in scores.iter_mut().zip(&self.bins[bins.clone()]) {
            side.add(*bin);
            *score = side.score();
        }
        if scan.least > 1 {
            let missing = usize::from(scan.missing);
            let mut n_left = if moved != 0 { self.counts[missing] as usize } else { 0 };
            for (score, count) in scores.iter_mut().zip(&self.counts[bins]) {
                n_left += *count as usize;
                if n_left < scan.least || n_rows - n_left < scan.least {
                    *score = -1.0;
                }
            }
        }
        let top =
            scores.iter().fold(best.score, |top, score| if *score > top { *score } else { top });
        if top > best.score
            && let Some(place) = scores.iter().position(|score| *score == top)
        {
            (best.score, best.column, best.missing_left) = (top, scan.column, moved != 0);
            best.last = (first + place) as u8;
            return true;
        }
        false
    }

    fn side(&self) -> Side {
        let bits = self.words.weight_bits;
        let (sum, weight) = parts(self.total, bits);
        Side { sum: 0, bits, weight, mean: sum / weight }
    }
}

/// Target and weight of a word.
#[inline(always)]
fn parts(word: i64, bits: u32) -> (f64, f64) {
    ((word >> bits) as f64, (word & ((1 << bits) - 1)) as f64)
}

impl Left for Side {
    type Item = i64;

    #[inline(always)]
    fn add(&mut self, item: i64) {
        self.sum = self.sum.wrapping_add(item);
    }

    #[inline(always)]
    fn add_if(&mut self, item: i64, comes: bool) {
        // Whether it comes cannot be foreseen: arithmetic is quicker than a branch.
        self.add(item & -i64::from(comes));
    }

    /// The squared distance of the left sum from what the node's mean lets expect, over both sides'
    /// weights: the sum of squares that the split explains, but for a constant.
    #[inline(always)]
    fn score(&self) -> f64 {
        let (sum, weight) = parts(self.sum, self.bits);
        let apart = sum - self.mean * weight;
        let under = weight * (self.weight - weight);
        if under > 0.0 { apart * apart / under } else { -1.0 }
    }
}

impl Measure for Variance<'_> {
    type Item = i64;
    type Left<'m>
        = Side
    where
        Self: 'm;

    #[inline(always)]
    fn item(&self, row: u32, n_draws: u32) -> i64 {
        self.words.words[row as usize].wrapping_mul(i64::from(n_draws))
    }

    fn is_pure(&self, rows: &[u32]) -> bool {
        match self.truth {
            Truth::Numbers(numbers) => all_equal(rows, numbers),
            Truth::Classes { codes, .. } => all_equal(rows, codes),
        }
    }

    fn open(&mut self, items: impl Iterator<Item = i64>) {
        self.total = items.fold(0, i64::wrapping_add);
    }

    fn left(&mut self) -> Side {
        self.side()
    }

    fn try_bins(
        &mut self,
        codes: &[u8],
        rows: &[u32],
        items: &[i64],
        scan: Scan,
        best: &mut Best,
    ) -> bool {
        self.bins.fill(0);
        for (&row, &item) in rows.iter().zip(items) {
            let bin = &mut self.bins[usize::from(codes[row as usize])];
            *bin = bin.wrapping_add(item);
        }
        if scan.least > 1 {
            self.counts.fill(0);
            for &row in rows {
                self.counts[usize::from(codes[row as usize])] += 1;
            }
        }
        let missing = usize::from(scan.missing);
        let first = self.bins.iter().position(|bin| *bin != 0).unwrap_or_default();
        if self.bins[first] == self.total {
            return false;
        }
        let n_rows = rows.len();
        let mut is_better = self.cuts(first..missing + 1, 0, n_rows, scan, best);
        if self.bins[missing] != 0 {
            is_better |= self.cuts(first..missing, self.bins[missing], n_rows, scan, best);
        }
        if is_better {
            let above = usize::from(best.last) + 1;
            let next = (above..=missing).find(|bin| self.bins[*bin] != 0);
            best.next = next.unwrap_or(missing) as u8;
        }
        true
    }

    fn decrease(&self, best: &Best, whole: f64) -> f64 {
        // Squares in the words' units, weighted by the node: back to the target's own.
        let squares = best.score * self.side().weight * self.words.weight_scale
            / (self.words.scale * self.words.scale);
        let gini = if matches!(self.truth, Truth::Classes { .. }) { 2.0 } else { 1.0 };
        gini * squares * self.words.weight_scale / whole
    }

    fn weight(&self) -> f64 {
        self.side().weight
    }
}

/// Whether rows have one value.
pub(super) fn all_equal<T: PartialEq + Copy>(rows: &[u32], values: &[T]) -> bool {
    let mut own = rows.iter().map(|&row| values[row as usize]);
    let first = own.next();
    own.all(|value| Some(value) == first)
}
