//! Features as small integers: what trees search for splits.
//!
//! Up to 255 distinct values have a bin each, so splits are exact; more are cut at the quantiles of
//! the training rows. Words are put in order first, by the mean target or, for several classes, by
//! frequency (Fisher, "On Grouping for Maximum Homogeneity", 1958: for numbers and two classes some
//! best split respects that order), and are then numbers like any other.

use super::lesson::{Learnt, Lesson};
use super::{Fit, FitError};
use crate::frame::FeatureValues;
use crate::model::source::{ColumnSource, SourceKind};

/// The code of a missing value.
pub(super) const MISSING_BIN: u8 = u8::MAX;
const MAX_BINS: usize = MISSING_BIN as usize;

/// The training rows, binned.
pub(super) struct Binned {
    pub(super) sources: Vec<ColumnSource>,
    pub(super) columns: Vec<Bins>,
    /// Column after column.
    pub(super) codes: Vec<u8>,
    pub(super) n_rows: usize,
}

/// The bins of a column: the least and the greatest training value in each, in ascending order.
pub(super) struct Bins {
    pub(super) least: Vec<f64>,
    pub(super) most: Vec<f64>,
}

impl Binned {
    /// Bins the training rows; constant columns are left out.
    pub(super) fn read(job: &Fit<'_>, lesson: &Lesson) -> Result<Self, FitError> {
        let mut binned = Self {
            sources: Vec::new(),
            columns: Vec::new(),
            codes: Vec::new(),
            n_rows: job.rows.len(),
        };
        let mut sorted = Vec::with_capacity(job.rows.len());
        for column in &job.frame.columns {
            job.stop.check()?;
            let kind = match &column.values {
                FeatureValues::Number(_) => SourceKind::Number,
                FeatureValues::Category { codes, levels } => {
                    SourceKind::Category(ordered_words(job, lesson, codes, levels))
                }
            };
            let source = ColumnSource { name: column.name.to_string(), kind };
            let bound =
                source.bind(job.frame).map_err(|error| FitError::because(error.to_string()))?;
            let values = job.rows.iter().map(|&row| bound.value(row as usize));
            sorted.clear();
            sorted.extend(values.clone().filter(|value| !value.is_nan()));
            sorted.sort_unstable_by(f64::total_cmp);
            let bins = Bins::cut(&sorted);
            let n_missing = job.rows.len() - sorted.len();
            if bins.least.len() + usize::from(n_missing > 0) < 2 {
                continue;
            }
            binned.codes.extend(values.map(|value| bins.code(value)));
            binned.columns.push(bins);
            binned.sources.push(source);
        }
        Ok(binned)
    }

    /// One column's codes.
    pub(super) fn codes(&self, column: usize) -> &[u8] {
        &self.codes[column * self.n_rows..(column + 1) * self.n_rows]
    }
}

impl Bins {
    fn cut(sorted: &[f64]) -> Self {
        // Zero has two signs, which are equal to every comparison but `total_cmp`.
        let runs = || sorted.chunk_by(|a, b| a == b);
        let n_distinct = runs().count();
        let mut bins = Self {
            least: Vec::with_capacity(n_distinct.min(MAX_BINS)),
            most: Vec::with_capacity(n_distinct.min(MAX_BINS)),
        };
        let (mut n_left, mut n_in_bin, mut n_distinct_left) = (sorted.len(), 0, n_distinct);
        for run in runs() {
            let value = run[0];
            if n_in_bin == 0 {
                bins.least.push(value);
                bins.most.push(value);
            } else if let Some(most) = bins.most.last_mut() {
                *most = value;
            }
            n_in_bin += run.len();
            n_distinct_left -= 1;
            let n_bins_left = MAX_BINS - bins.least.len();
            let is_full = n_in_bin * (n_bins_left + 1) >= n_left;
            if n_distinct_left <= n_bins_left || is_full {
                n_left -= n_in_bin;
                n_in_bin = 0;
            }
        }
        bins
    }

    fn code(&self, value: f64) -> u8 {
        if value.is_nan() {
            return MISSING_BIN;
        }
        self.most.partition_point(|most| *most < value) as u8
    }

    /// A threshold at a place in [0, 1) of the values of some bins, and the last bin below it.
    pub(super) fn cut_at(&self, low: usize, high: usize, place: f64) -> (usize, f64) {
        let drawn = self.least[low] * (1.0 - place) + self.most[high] * place;
        let within = &self.most[low..high];
        let bin = low + within.partition_point(|most| *most <= drawn);
        let bin = bin.saturating_sub(1).max(low);
        if self.most[bin] <= drawn && drawn < self.least[bin + 1] {
            (bin, drawn)
        } else {
            // Inside a bin, which a split cannot part.
            (bin, self.between(bin, bin + 1))
        }
    }

    /// A number between two bins.
    pub(super) fn between(&self, lower: usize, upper: usize) -> f64 {
        let (most, least) = (self.most[lower], self.least[upper]);
        let middle = most / 2.0 + least / 2.0;
        if middle >= most && middle < least { middle } else { most }
    }
}

/// The words that the training rows have, in the order in which trees see them.
fn ordered_words(job: &Fit<'_>, lesson: &Lesson, codes: &[u32], levels: &[String]) -> Vec<String> {
    let mut counts = vec![0.0_f64; levels.len()];
    let mut sums = vec![0.0_f64; levels.len()];
    for (index, &row) in job.rows.iter().enumerate() {
        let Some(count) = counts.get_mut(codes[row as usize] as usize) else {
            continue;
        };
        let weight = lesson.weights.as_ref().map_or(1.0, |weights| weights[index]);
        *count += weight;
        sums[codes[row as usize] as usize] += match &lesson.learnt {
            Learnt::Numbers(y) => weight * y[index],
            Learnt::Classes(classes) if classes.present.len() == 2 => {
                weight * f64::from(classes.codes[index])
            }
            Learnt::Classes(_) => 0.0,
        };
    }
    let by_count = matches!(&lesson.learnt, Learnt::Classes(classes) if classes.present.len() > 2);
    let key = |level: usize| {
        if by_count { -counts[level] } else { sums[level] / counts[level] }
    };
    let mut order: Vec<usize> = (0..levels.len()).filter(|&level| counts[level] > 0.0).collect();
    order.sort_by(|&a, &b| key(a).total_cmp(&key(b)).then(a.cmp(&b)));
    order.iter().map(|&level| levels[level].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_a_bin_each() {
        let bins = Bins::cut(&[-0.0, 0.0, 1.0, 1.0, 1e300]);
        assert_eq!(bins.least, bins.most);
        assert_eq!(bins.least.len(), 3);
        assert_eq!(bins.code(1.0), 1);
        assert_eq!(bins.code(f64::NAN), MISSING_BIN);
        assert!(bins.between(1, 2) < 1e300);
    }

    #[test]
    fn many_values_are_cut_into_even_bins() {
        let sorted: Vec<f64> = (0..10_000).map(f64::from).collect();
        let bins = Bins::cut(&sorted);
        assert_eq!(bins.least.len(), MAX_BINS);
        let mut counts = [0; MAX_BINS];
        for value in &sorted {
            let code = bins.code(*value) as usize;
            assert!(bins.least[code] <= *value && *value <= bins.most[code]);
            counts[code] += 1;
        }
        assert!(counts.iter().all(|count| (30..=50).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_frequent_value_does_not_cost_the_others_their_bins() {
        let mut sorted = vec![0.0; 9_000];
        sorted.extend((1..=1_000).map(f64::from));
        let bins = Bins::cut(&sorted);
        assert_eq!((bins.least[0], bins.most[0]), (0.0, 0.0));
        assert!(bins.least.len() > 200, "{}", bins.least.len());
    }
}
