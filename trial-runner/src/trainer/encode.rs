//! Learns an [`Encoder`] from the training rows: means and modes for what is missing, one feature a
//! word, constant features left out, zero mean and unit deviation unless told otherwise.

use super::{Fit, FitError};
use crate::frame::{FeatureColumn, FeatureValues, readable};
use crate::model::encoder::{Design, Encoder, Feature, Reads};
use crate::model::source::{ColumnSource, SourceKind};

/// More features than this make a Gram matrix of 32 MB.
const MAX_FEATURES: usize = 2_000;
/// Words with a feature of their own; the rest share one.
pub(super) const MAX_WORDS: usize = 64;

/// Whether features are brought to zero mean and unit deviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scaling {
    /// Zero mean, unit deviation.
    Standard,
    /// As they are.
    Raw,
}

impl From<bool> for Scaling {
    fn from(standardize: bool) -> Self {
        if standardize { Self::Standard } else { Self::Raw }
    }
}

/// Learns the encoder and encodes the training rows.
pub(super) fn encode(job: &Fit<'_>, scaling: Scaling) -> Result<(Encoder, Design), FitError> {
    let mut encoder = Encoder::default();
    for column in &job.frame.columns {
        let source = encoder.sources.len() as u32;
        let (kind, features) = match &column.values {
            FeatureValues::Number(values) => number(job, values),
            FeatureValues::Category { codes, levels } => category(job, codes, levels),
        };
        if features.is_empty() {
            continue;
        }
        encoder.sources.push(ColumnSource { name: column.name.to_string(), kind });
        encoder.features.extend(features.into_iter().map(|reads| Feature {
            source,
            reads,
            shift: 0.0,
            scale: 1.0,
        }));
        check_size(encoder.features.len(), column)?;
        job.stop.check()?;
    }
    let mut design = Design::default();
    let encoding = encoder.bind(job.frame).map_err(|error| FitError::because(error.to_string()))?;
    encoding.encode(job.rows, &mut design);
    if scaling == Scaling::Standard {
        for (index, feature) in encoder.features.iter_mut().enumerate() {
            (feature.shift, feature.scale) = moments(design.column(index));
            for value in design.column_mut(index) {
                *value = feature.scaled(*value);
            }
        }
    }
    Ok((encoder, design))
}

fn check_size(n_features: usize, column: &FeatureColumn) -> Result<(), FitError> {
    if n_features <= MAX_FEATURES {
        return Ok(());
    }
    Err(FitError::because(format!(
        "with column {} the data has more than {MAX_FEATURES} features, too many for this learner",
        readable(&column.name)
    )))
}

/// A number is filled with the mean; a constant one is left out.
fn number(job: &Fit<'_>, values: &[f64]) -> (SourceKind, Vec<Reads>) {
    let present = || {
        let rows = job.rows.iter().map(|&row| values[row as usize]);
        rows.filter(|value| value.is_finite())
    };
    let mut features = Vec::new();
    if let Some(first) = present().next()
        && present().any(|value| value != first)
    {
        let n = present().count() as f64;
        let sum: f64 = present().sum();
        // Dividing first costs a rounding a row and cannot overflow.
        let fill = if sum.is_finite() { sum / n } else { present().map(|value| value / n).sum() };
        features.push(Reads::Number { fill });
    }
    (SourceKind::Number, features)
}

/// Words by their frequency in the training rows; ties go to the earlier level.
fn category(job: &Fit<'_>, codes: &[u32], levels: &[String]) -> (SourceKind, Vec<Reads>) {
    let mut counts = vec![0_usize; levels.len()];
    for &row in job.rows {
        // The code of a missing word is beyond all levels.
        if let Some(count) = counts.get_mut(codes[row as usize] as usize) {
            *count += 1;
        }
    }
    let mut order: Vec<usize> = (0..levels.len()).filter(|&level| counts[level] > 0).collect();
    order.sort_by_key(|&level| (std::cmp::Reverse(counts[level]), level));
    let mut features = Vec::new();
    if order.len() > 1 {
        let n_words = order.len().min(MAX_WORDS);
        features.extend(
            (0..n_words as u32).map(|position| Reads::Word { position, is_fill: position == 0 }),
        );
        if order.len() > MAX_WORDS {
            features.push(Reads::Others { from: MAX_WORDS as u32 });
        }
    }
    let words = order.iter().map(|&level| levels[level].clone()).collect();
    (SourceKind::Category(words), features)
}

/// Mean and deviation, without overflow for values up to 1e100.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    // Around the first value, so that the mean of equal ones is that value.
    let first = values.first().copied().unwrap_or_default();
    let mean = first + values.iter().map(|value| value - first).sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    let deviation = variance.sqrt();
    // A deviation that is only rounding would blow noise up: what is as good as constant becomes 0,
    // whatever it is later.
    let is_told_apart = deviation > 16.0 * f64::EPSILON * mean.abs() && deviation > 1e-150;
    (mean, if is_told_apart { deviation } else { f64::MAX })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fleetfit_search_spaces::Configuration;

    use super::super::Spare;
    use super::*;
    use crate::frame::{Frame, MISSING, Target};
    use crate::stop::Stop;

    fn frame(values: FeatureValues, n_rows: usize) -> Frame {
        Frame {
            columns: vec![FeatureColumn { name: "x".into(), values }],
            target: Target::Number(vec![0.0; n_rows]),
            weights: None,
            timeline: None,
            n_rows,
        }
    }

    fn words(codes: Vec<u32>, n_levels: usize) -> Frame {
        let levels = (0..n_levels).map(|level| format!("w{level:02}"));
        let levels = Arc::new(levels.collect());
        let n_rows = codes.len();
        frame(FeatureValues::Category { codes, levels }, n_rows)
    }

    /// Learns from the first rows and encodes all, row after row.
    fn rows_of(frame: &Frame, n_train: u32, scaling: Scaling) -> Vec<Vec<f64>> {
        let train: Vec<u32> = (0..n_train).collect();
        let job = Fit {
            frame,
            rows: &train,
            parameters: &Configuration::default(),
            seed: 0,
            stop: &Stop::default(),
            spare: &Spare::default(),
        };
        let (encoder, _) = encode(&job, scaling).unwrap();
        let all: Vec<u32> = (0..frame.n_rows as u32).collect();
        let mut design = Design::default();
        encoder.bind(frame).unwrap().encode(&all, &mut design);
        let rows = design.row_major();
        rows.chunks(design.n_columns).map(<[f64]>::to_vec).collect()
    }

    #[test]
    fn numbers_are_filled_with_the_mean_and_standardised() {
        let values = vec![1.0, 3.0, f64::NAN, f64::INFINITY, 9.0];
        let frame = frame(FeatureValues::Number(values), 5);
        let raw = rows_of(&frame, 4, Scaling::Raw).concat();
        assert_eq!(raw, [1.0, 3.0, 2.0, 2.0, 9.0]);
        let root = 0.5_f64.sqrt();
        let standard = rows_of(&frame, 4, Scaling::Standard).concat();
        assert_eq!(standard[..4], [-1.0 / root, 1.0 / root, 0.0, 0.0]);
    }

    #[test]
    fn a_word_has_a_feature_a_missing_one_is_the_mode_an_unknown_one_is_none() {
        // w1 is the mode; w3 is in no training row.
        let frame = words(vec![1, 1, 2, MISSING, 3, MISSING], 4);
        let [mode, other, unknown] = [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]];
        assert_eq!(rows_of(&frame, 4, Scaling::Raw), [mode, mode, other, mode, unknown, mode]);
    }

    #[test]
    fn rare_words_share_a_feature_with_unknown_ones() {
        let mut codes: Vec<u32> = (0..70).chain(0..64).collect();
        codes.push(70);
        let n_train = codes.len() as u32 - 1;
        let rows = rows_of(&words(codes, 71), n_train, Scaling::Raw);
        let only = |at: usize| (0..65).map(|index| f64::from(u8::from(index == at))).collect();
        let expected: [Vec<f64>; 4] = [only(0), only(63), only(64), only(64)];
        assert_eq!([0, 63, 64, 134].map(|row| rows[row].clone()), expected);
    }
}
