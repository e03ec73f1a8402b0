//! Features as small integers: what trees search for splits.
//!
//! Up to 255 distinct values have a bin each, so splits are exact; more are cut at the quantiles of
//! the training rows. Words are put in order first, by the mean target or, for several classes, by
//! frequency (Fisher, "On Grouping for Maximum Homogeneity", 1958: for numbers and two classes some
//! best split respects that order), and are then numbers like any other.

use super::lesson::{Learnt, Lesson};
use super::{Fit, FitError};
use crate::boost::bins::Bins;
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
            let bins = Bins::cut(&sorted, MAX_BINS);
            let n_missing = job.rows.len() - sorted.len();
            if bins.least.len() + usize::from(n_missing > 0) < 2 {
                continue;
            }
            binned.codes.extend(values.map(|value| code(&bins, value)));
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

/// The code of a value, which may be missing.
fn code(bins: &Bins, value: f64) -> u8 {
    if value.is_nan() { MISSING_BIN } else { bins.code(value) as u8 }
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
