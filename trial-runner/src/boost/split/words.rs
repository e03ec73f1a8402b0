//! The best set of words to go left.
//!
//! LightGBM leaves out words of fewer than ten rows in the node. Here they need a curvature of 1: one
//! row of a squared error, but a handful of a class, whose means are far less certain. With many words
//! of few rows that is worth more than all other settings together.
//!
//! Many words have many sets, the best of which gains even where words say nothing. So a set's gain is
//! multiplied by the share of the words' differences that is more than chance (James and Stein 1961
//! shrink means by it): noise is left alone, and what says much keeps its gain.

use std::ops::Range;

use super::{Found, Node};
use crate::boost::table::Column;
use crate::boost::tree::Split;
use crate::boost::word::Word;

/// Rows of the mean gradient that each word's is mixed with (LightGBM's `cat_smooth`).
const SMOOTHING: f64 = 10.0;
/// Added to λ where a set was searched for, also for what its leaves say (LightGBM's `cat_l2`).
pub(in crate::boost) const MORE_LAMBDA: f64 = 10.0;
/// The least curvature of a word.
const MIN_CURVATURE: f64 = 1.0;
/// The most words of a set (LightGBM's `max_cat_threshold`).
const MAX_WORDS: usize = 32;
/// Rows between two sets that are judged (LightGBM's `min_data_per_group`), at most.
const MAX_GROUP: usize = 100;

/// The sets of a fit's splits.
#[derive(Debug, Default)]
pub(in crate::boost) struct Sets {
    /// The codes of one set after another.
    pub(in crate::boost) codes: Vec<u16>,
    /// The words of a node by their smoothed gradient, which stands beside them.
    order: Vec<(f64, u16)>,
}

/// A set of words: some that follow each other in the order.
pub(super) struct FoundSet<W> {
    pub(super) gain: f64,
    left: W,
    words: Range<usize>,
}

impl<W> FoundSet<W> {
    /// Writes the set down.
    pub(super) fn keep(self, column: u32, sets: &mut Sets) -> Found<W> {
        let first = sets.codes.len();
        sets.codes.extend(sets.order[self.words].iter().map(|(_, code)| *code));
        sets.codes[first..].sort_unstable();
        let n = (sets.codes.len() - first) as u32;
        let split = Split::Set { column, first: first as u32, n };
        Found { split, gain: self.gain, left: self.left }
    }
}

impl<W: Word> Node<'_, W> {
    pub(super) fn best_set(
        &self,
        column: &Column,
        bins: &[W],
        sets: &mut Sets,
    ) -> Option<FoundSet<W>> {
        let bins = &bins[column.first_bin..column.first_bin + column.n_bins];
        let is_single = !column.is_searched();
        let smoothing = SMOOTHING * self.terms.curvature_scale;
        let least = if is_single { 0.0 } else { MIN_CURVATURE * self.terms.curvature_scale };
        let order = &mut sets.order;
        order.clear();
        for (code, bin) in bins.iter().enumerate() {
            if *bin == W::default() {
                continue;
            }
            let (g, h, _) = self.sums(*bin);
            if h >= least {
                order.push((g / (h + smoothing), code as u16));
            }
        }
        if is_single {
            return self.best_single(order, bins);
        }
        let real = self.real_share(order, bins)?;
        order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut best = None;
        let n_words = order.len();
        self.take_from(order.iter(), |n| 0..n, bins, &mut best);
        self.take_from(order.iter().rev(), |n| n_words - n..n_words, bins, &mut best);
        best.map(|best| FoundSet { gain: best.gain * real, ..best })
    }

    /// The share of what words differ by that is more than chance: 1 - 1/F of a one-way analysis of
    /// variance, whose variance within words is that of the rows' gradients. None where there is none.
    fn real_share(&self, order: &[(f64, u16)], bins: &[W]) -> Option<f64> {
        let (all_g, all_h, _) = self.sums(self.total);
        let n_rows = self.n_rows as f64;
        let mean = all_g / all_h;
        let between = |(_, code): &(f64, u16)| {
            let (g, h, _) = self.sums(bins[usize::from(*code)]);
            let apart = g - h * mean;
            apart * apart / h
        };
        let between: f64 = order.iter().map(between).sum();
        // As if every row curved as the mean one does.
        let all = (self.squares as f64 - all_g * all_g / n_rows) * (n_rows / all_h);
        let within = (all - between).max(0.0);
        let n_free = self.n_rows.saturating_sub(order.len());
        let chance = within / n_free as f64 * order.len().saturating_sub(1) as f64;
        let real = 1.0 - chance / between;
        (real > 0.0).then_some(real)
    }

    fn best_single(&self, order: &[(f64, u16)], bins: &[W]) -> Option<FoundSet<W>> {
        let mut best: Option<FoundSet<W>> = None;
        for (place, (_, code)) in order.iter().enumerate() {
            let left = bins[usize::from(*code)];
            if !self.allows(left) {
                continue;
            }
            let gain = self.gain(left, 0.0);
            if gain > best.as_ref().map_or(0.0, |best| best.gain) {
                best = Some(FoundSet { gain, left, words: place..place + 1 });
            }
        }
        best
    }

    /// Judges the first one, two, … words of an order; `range` says where so many stand.
    fn take_from<'o>(
        &self,
        order: impl ExactSizeIterator<Item = &'o (f64, u16)>,
        range: impl Fn(usize) -> Range<usize>,
        bins: &[W],
        best: &mut Option<FoundSet<W>>,
    ) {
        let n_words = MAX_WORDS.min(order.len().div_ceil(2));
        let min_group = (self.terms.n_rows / 20).clamp(1, MAX_GROUP) as f64;
        let (mut left, mut group) = (W::default(), 0.0);
        for (index, (_, code)) in order.take(n_words).enumerate() {
            let word = bins[usize::from(*code)];
            left = left.plus(word);
            group += self.rows_of(word);
            if group < min_group || !self.allows(left) {
                continue;
            }
            group = 0.0;
            let gain = self.gain(left, MORE_LAMBDA);
            if gain > best.as_ref().map_or(0.0, |best| best.gain) {
                *best = Some(FoundSet { gain, left, words: range(index + 1) });
            }
        }
    }

    /// How many rows a word stands for.
    fn rows_of(&self, word: W) -> f64 {
        let (_, curvature, count) = self.sums(word);
        if self.min_count > 0.0 { count } else { curvature * self.terms.rows_per_curvature }
    }
}
