//! The best set of words to go left.

use super::{Found, Node};
use crate::boost::table::Column;
use crate::boost::tree::Split;
use crate::boost::word::Word;

/// Up to so many words are tried one by one.
const MAX_SINGLE: usize = 4;
/// Rows of the mean gradient that each word's is mixed with (LightGBM's `cat_smooth`).
const SMOOTHING: f64 = 10.0;
/// Added to λ where a set was searched for (LightGBM's `cat_l2`).
const MORE_LAMBDA: f64 = 10.0;
/// The most words of a set (LightGBM's `max_cat_threshold`).
const MAX_WORDS: usize = 32;
/// Rows between two sets that are judged (LightGBM's `min_data_per_group`), at most.
const MAX_GROUP: usize = 100;

impl<W: Word> Node<'_, W> {
    pub(super) fn best_set(&self, index: u32, column: &Column, bins: &[W]) -> Option<Found<W>> {
        let bins = &bins[column.first_bin..column.first_bin + column.n_bins];
        let mut own = [W::default(); 256];
        let mut order = [0_u8; 256];
        let mut n_seen = 0;
        let mut before = W::default();
        for (code, bin) in bins.iter().enumerate() {
            let word = bin.minus(before);
            before = *bin;
            if word != W::default() {
                own[code] = word;
                order[n_seen] = code as u8;
                n_seen += 1;
            }
        }
        let order = &mut order[..n_seen];
        if column.n_bins <= MAX_SINGLE {
            return self.best_single(index, order, &own);
        }
        let smoothing = SMOOTHING * self.smoothing_unit();
        let key = |code: u8| {
            let (g, h, _) = self.sums(own[usize::from(code)]);
            g / (h + smoothing)
        };
        order.sort_by(|&a, &b| key(a).total_cmp(&key(b)).then(a.cmp(&b)));
        let mut best = None;
        self.take_from(index, order.iter(), &own, &mut best);
        self.take_from(index, order.iter().rev(), &own, &mut best);
        best
    }

    fn best_single(&self, index: u32, order: &[u8], own: &[W; 256]) -> Option<Found<W>> {
        let mut best: Option<Found<W>> = None;
        for &code in order {
            let left = own[usize::from(code)];
            if !self.allows(left) {
                continue;
            }
            let gain = self.gain(left, 0.0);
            if gain > best.map_or(0.0, |best| best.gain) {
                let mut set = [0; 4];
                set[usize::from(code >> 6)] |= 1 << (code & 63);
                let split = Split::Set { column: index, left: set };
                best = Some(Found { split, gain, left });
            }
        }
        best
    }

    /// Judges the first one, two, … words of an order.
    fn take_from<'o>(
        &self,
        index: u32,
        order: impl ExactSizeIterator<Item = &'o u8>,
        own: &[W; 256],
        best: &mut Option<Found<W>>,
    ) {
        let n_words = MAX_WORDS.min(order.len().div_ceil(2));
        let min_group = (self.terms.n_rows / 20).clamp(1, MAX_GROUP) as f64;
        let (mut left, mut group) = (W::default(), 0.0);
        let mut set = [0_u64; 4];
        for &code in order.take(n_words) {
            let word = own[usize::from(code)];
            left = left.plus(word);
            set[usize::from(code >> 6)] |= 1 << (code & 63);
            group += self.rows_of(word);
            if group < min_group || !self.allows(left) {
                continue;
            }
            group = 0.0;
            let gain = self.gain(left, MORE_LAMBDA);
            if gain > best.map_or(0.0, |best| best.gain) {
                let split = Split::Set { column: index, left: set };
                *best = Some(Found { split, gain, left });
            }
        }
    }

    fn smoothing_unit(&self) -> f64 {
        self.terms.curvature_scale
    }

    /// How many rows a word stands for.
    fn rows_of(&self, word: W) -> f64 {
        let (_, curvature, count) = self.sums(word);
        if self.min_count > 0.0 { count } else { curvature * self.terms.rows_per_curvature }
    }
}
