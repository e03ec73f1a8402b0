//! The best split of a node.
//!
//! With a left child of gradient g and curvature h, of a node of G and H, the gain is a constant of
//! the node plus (H + 2λ) (g - c (h + λ))² / ((h + λ) (H - h + λ)), where c = G / (H + 2λ): one
//! division a bin, and no cancellation. It is taken for many bins at once in 32-bit floats; the best
//! one's gain is then taken from its whole numbers. Ties go to the lowest bin.
//!
//! Words are sorted by their smoothed gradient and taken from either end, as LightGBM does (Fisher
//! 1958 says why); few words are tried one by one. A set's gain counts as far as the words of the node
//! differ by more than chance.
//!
//! A child has at least `min_child_samples` rows, counted where LightGBM estimates them. One of
//! classes also has as much curvature as so many rows of the tree have on average: late trees then
//! stop taking apart rows that are nearly certain. Where curvature grows with the mean (counts, and
//! what is often 0), a child's rows are estimated by its share of the node's curvature, as LightGBM
//! does: a few rows of large means say as much as many of small ones, and their errors are the large
//! ones. Counted, they could not be told apart.

mod words;

use super::Settings;
use super::histogram::Chosen;
use super::loss::Curving;
use super::table::{Column, Table};
use super::tree::Split;
use super::word::{Fields, Word};
pub(super) use words::{MORE_LAMBDA, Sets};

/// Bins that are judged at once.
const LANES: usize = 16;

/// What all splits of a tree share.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms {
    pub(super) fields: Fields,
    /// A row's gradient times this is its whole number.
    pub(super) gradient_scale: f64,
    /// A row's curvature times this is its whole number.
    pub(super) curvature_scale: f64,
    /// Rows that a unit of curvature stands for on average.
    pub(super) rows_per_curvature: f64,
    /// What curvature says about rows.
    pub(super) curving: Curving,
    pub(super) min_child_samples: f64,
    pub(super) min_child_weight: f64,
    pub(super) min_split_gain: f64,
    pub(super) alpha: f64,
    pub(super) lambda: f64,
    /// Rows of the tree.
    pub(super) n_rows: usize,
}

/// A split and what it is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found<W> {
    pub(super) split: Split,
    pub(super) gain: f64,
    /// The left child's word.
    pub(super) left: W,
}

/// The sums of a node, as numbers of the word's units.
#[derive(Clone, Copy)]
pub(super) struct Node<'a, W> {
    pub(super) terms: &'a Terms,
    pub(super) total: W,
    /// Least curvature of a child, in units.
    min_curvature: f64,
    /// Least count of a child; 0 where the curvature stands for it.
    min_count: f64,
    /// Penalties in units.
    alpha: f64,
    lambda: f64,
    n_rows: usize,
    /// Of its rows' gradients.
    squares: u64,
}

/// The same as the loop over bins needs it.
#[derive(Clone, Copy)]
struct Scan {
    fields: Fields,
    lambda: f32,
    /// H + 2λ.
    both: f32,
    centre: f32,
    min_curvature: f32,
    max_curvature: f32,
    min_count: f32,
    max_count: f32,
    alpha: f32,
    gradient: f32,
}

impl Terms {
    /// Takes over the limits, in the units of this tree.
    pub(super) fn limited(self, settings: &Settings) -> Self {
        Self {
            min_child_samples: settings.min_child_samples.max(1) as f64,
            min_child_weight: settings.min_child_weight,
            min_split_gain: settings.min_split_gain,
            alpha: settings.reg_alpha,
            lambda: settings.reg_lambda,
            ..self
        }
    }
}

impl<'a, W: Word> Node<'a, W> {
    /// A node of so many rows, whose gradients' squares sum to this where sets are searched for.
    pub(super) fn new(terms: &'a Terms, total: W, (n_rows, squares): (usize, u64)) -> Self {
        let scale = terms.curvature_scale;
        let is_counted = terms.fields.count_bits > 0 && !W::COUNTS_CURVATURE;
        let n_least = terms.min_child_samples;
        let (by_rows, min_count) = match terms.curving {
            // Rounding may take half a unit from each row.
            Curving::Doubt => (n_least / terms.rows_per_curvature - n_least / 2.0, n_least),
            Curving::Size => {
                let curvature = f64::from(total.curvature(terms.fields));
                // What is estimated is rounded.
                ((n_least - 0.5) * curvature / n_rows as f64, 1.0)
            }
            Curving::Alike if is_counted => (0.0, n_least),
            Curving::Alike => (n_least / terms.rows_per_curvature, n_least),
        };
        Self {
            terms,
            total,
            min_curvature: (terms.min_child_weight * scale).max(1.0).max(by_rows.ceil()),
            min_count: if is_counted { min_count } else { 0.0 },
            alpha: terms.alpha * terms.gradient_scale,
            lambda: terms.lambda * scale,
            n_rows,
            squares,
        }
    }

    /// Gradient, curvature and count of a word.
    fn sums(&self, word: W) -> (f64, f64, f64) {
        let fields = self.terms.fields;
        let sums = (word.gradient(fields), word.curvature(fields), word.count(fields));
        (f64::from(sums.0), f64::from(sums.1), f64::from(sums.2))
    }

    /// Whether both children are large enough.
    fn allows(&self, left: W) -> bool {
        let (_, curvature, count) = self.sums(left);
        let (_, all_curvature, all_count) = self.sums(self.total);
        let least = |left: f64, all: f64, least: f64| left >= least && all - left >= least;
        least(curvature, all_curvature, self.min_curvature)
            && (self.min_count == 0.0 || least(count, all_count, self.min_count))
    }

    /// What a split gains, in the units of the loss; `more` is added to λ.
    fn gain(&self, left: W, more: f64) -> f64 {
        let (g, h, _) = self.sums(left);
        let (all_g, all_h, _) = self.sums(self.total);
        let lambda = self.lambda + more * self.terms.curvature_scale;
        let gain = if self.alpha > 0.0 {
            let part = |g: f64, h: f64, lambda: f64| {
                let g = soft(g, self.alpha);
                g * g / (h + lambda)
            };
            part(g, h, lambda) + part(all_g - g, all_h - h, lambda)
                - part(all_g, all_h, self.lambda)
        } else {
            let whole = |g: f64, h: f64| g as i128 * h as i128;
            let apart = (whole(g, all_h) - whole(all_g, h)) as f64 + lambda * (2.0 * g - all_g);
            let both = all_h + 2.0 * lambda;
            let parted = apart / both * (apart / ((h + lambda) * (all_h - h + lambda)));
            let constant = if lambda == 0.0 && self.lambda == 0.0 {
                0.0
            } else {
                all_g * all_g * (1.0 / both - 1.0 / (all_h + self.lambda))
            };
            parted + constant
        };
        let unit = self.terms.gradient_scale;
        gain * (self.terms.curvature_scale / unit / unit)
    }

    fn scan(&self) -> Scan {
        let (all_g, all_h, all_count) = self.sums(self.total);
        let both = all_h + 2.0 * self.lambda;
        Scan {
            fields: self.terms.fields,
            lambda: self.lambda as f32,
            both: both as f32,
            centre: (all_g / both) as f32,
            min_curvature: self.min_curvature as f32,
            max_curvature: (all_h - self.min_curvature) as f32,
            min_count: self.min_count as f32,
            max_count: (all_count - self.min_count) as f32,
            alpha: self.alpha as f32,
            gradient: all_g as f32,
        }
    }

    /// The best split by the chosen columns, if any is worth it. `bins` are running sums.
    pub(super) fn best(
        &self,
        table: &Table,
        chosen: &Chosen,
        bins: &[W],
        sets: &mut Sets,
    ) -> Option<Found<W>> {
        let scan = self.scan();
        let mut best = Best { score: 0.0, bin: usize::MAX, moved: W::default() };
        let search = match (self.alpha > 0.0, self.min_count > 0.0) {
            (false, false) => search::<W, false, false>,
            (false, true) => search::<W, false, true>,
            (true, false) => search::<W, true, false>,
            (true, true) => search::<W, true, true>,
        };
        if self.alpha > 0.0 {
            best.score = f32::NEG_INFINITY;
        }
        if chosen.is_all {
            search(&scan, &bins[..table.n_number_bins], 0, W::default(), &mut best);
        }
        for column in chosen.columns.iter().map(|&column| &table.columns[column as usize]) {
            if column.holds_words() {
                break;
            }
            let (first, n_bins) = (column.first_bin, column.n_bins);
            if !chosen.is_all {
                search(&scan, &bins[first..first + n_bins], first, W::default(), &mut best);
            }
            // Once more with the missing rows on the left.
            if column.missing.is_some() && n_bins > 2 {
                let missing = bins[first + n_bins - 1].minus(bins[first + n_bins - 2]);
                if missing != W::default() {
                    search(&scan, &bins[first..first + n_bins - 2], first, missing, &mut best);
                }
            }
        }
        let mut found = self.cut(table, bins, best);
        if chosen.columns.last().is_some_and(|&last| table.columns[last as usize].holds_words()) {
            found = self.among_words(table, chosen, bins, sets, found);
        }
        found.filter(|found| found.gain > self.terms.min_split_gain)
    }

    /// What was found, or a set of words that is better.
    #[inline(never)]
    fn among_words(
        &self,
        table: &Table,
        chosen: &Chosen,
        bins: &[W],
        sets: &mut Sets,
        mut found: Option<Found<W>>,
    ) -> Option<Found<W>> {
        let first_set = sets.codes.len();
        for &index in &chosen.columns {
            let column = &table.columns[index as usize];
            if column.holds_words()
                && let Some(best) = self.best_set(column, bins, sets)
                && found.is_none_or(|found| best.gain > found.gain)
            {
                sets.codes.truncate(first_set);
                found = Some(best.keep(index, sets));
            }
        }
        found
    }

    /// The split at the best bin.
    fn cut(&self, table: &Table, bins: &[W], best: Best<W>) -> Option<Found<W>> {
        let last = table.columns.partition_point(|column| column.first_bin <= best.bin);
        let index = last.checked_sub(1).filter(|_| best.bin != usize::MAX)?;
        let column: &Column = &table.columns[index];
        let mut left = bins[best.bin].plus(best.moved);
        let mut missing_left = best.moved != W::default();
        if column.missing.is_some() && !missing_left {
            let ends = column.first_bin + column.n_bins;
            let is_seen = bins[ends - 1] != bins[ends - 2];
            // None is missing here: whoever comes later goes with the many.
            missing_left = !is_seen && self.is_heavier(left);
        } else if column.missing.is_none() {
            missing_left = self.is_heavier(left);
        }
        if !self.allows(left) {
            left = W::default();
        }
        let gain = self.gain(left, 0.0);
        let last = (best.bin - column.first_bin) as u8;
        let split = Split::Cut { column: index as u32, last, missing_left };
        (gain.is_finite() && gain > 0.0 && left != W::default()).then_some(Found {
            split,
            gain,
            left,
        })
    }

    fn is_heavier(&self, left: W) -> bool {
        let curvature = |word: W| i64::from(word.curvature(self.terms.fields));
        curvature(left) * 2 >= curvature(self.total)
    }
}

/// The absolute penalty's pull towards 0.
pub(super) fn soft(gradient: f64, alpha: f64) -> f64 {
    (gradient - alpha).max(0.0) + (gradient + alpha).min(0.0)
}

struct Best<W> {
    score: f32,
    bin: usize,
    /// The missing rows that go left with it.
    moved: W,
}

/// Looks for a better bin among running sums, to each of which `moved` is added.
fn search<W: Word, const ALPHA: bool, const COUNTED: bool>(
    scan: &Scan,
    bins: &[W],
    first: usize,
    moved: W,
    best: &mut Best<W>,
) {
    let (lanes, rest) = bins.as_chunks::<LANES>();
    let mut last = [W::default(); LANES];
    last[..rest.len()].copy_from_slice(rest);
    // What is beyond the end must not look like a bin.
    for bin in &mut last[rest.len()..] {
        *bin = W::default().minus(moved);
    }
    let mut at = usize::MAX;
    for (index, lane) in lanes.iter().chain(std::iter::once(&last)).enumerate() {
        let scores = scores::<W, ALPHA, COUNTED>(scan, lane, moved);
        let mut top = [f32::NEG_INFINITY; 4];
        for four in scores.as_chunks::<4>().0 {
            for (top, score) in top.iter_mut().zip(four) {
                *top = if *score > *top { *score } else { *top };
            }
        }
        let top = top.iter().fold(f32::NEG_INFINITY, |top, score| top.max(*score));
        if top > best.score {
            best.score = top;
            at = index;
        }
    }
    if at == usize::MAX {
        return;
    }
    let lane = lanes.get(at).unwrap_or(&last);
    let scores = scores::<W, ALPHA, COUNTED>(scan, lane, moved);
    if let Some(place) = scores.iter().position(|score| *score == best.score) {
        best.bin = first + at * LANES + place;
        best.moved = moved;
    }
}

#[inline(always)]
fn scores<W: Word, const ALPHA: bool, const COUNTED: bool>(
    scan: &Scan,
    bins: &[W; LANES],
    moved: W,
) -> [f32; LANES] {
    let mut scores = [0.0; LANES];
    for (score, bin) in scores.iter_mut().zip(bins) {
        let left = bin.plus(moved);
        let (g, h) = if COUNTED {
            (left.gradient(scan.fields), left.curvature(scan.fields))
        } else {
            left.halves(scan.fields)
        };
        let (g, h) = (g as f32, h as f32);
        let a = h + scan.lambda;
        let b = scan.both - a;
        let value = if ALPHA {
            let pulled = |g: f32| (g - scan.alpha).max(0.0) + (g + scan.alpha).min(0.0);
            let (left, right) = (pulled(g), pulled(scan.gradient - g));
            left * left / a + right * right / b
        } else {
            let apart = g - scan.centre * a;
            apart * apart / (a * b)
        };
        let mut fits = (h >= scan.min_curvature) & (h <= scan.max_curvature);
        if COUNTED {
            let count = left.count(scan.fields) as f32;
            fits &= (count >= scan.min_count) & (count <= scan.max_count);
        }
        *score = if fits { value } else { f32::NEG_INFINITY };
    }
    scores
}
