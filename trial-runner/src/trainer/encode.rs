//! Learns an [`Encoder`] from the training rows: means and modes for what is missing, one feature a
//! word, constant features left out, zero mean and unit deviation unless told otherwise. A row of
//! weight 2 is two rows in all of it, one of weight 0 none, and not encoded.

use super::{Fit, FitError};
use crate::figure::Figure;
use crate::frame::{FeatureColumn, FeatureValues, readable};
use crate::model::encoder::{Design, Encoder, Feature, MAX_VALUE, NO_SCALE, Reads};
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
    let rows = &*job.weighing();
    let job = &Fit { rows, ..*job };
    let weights = &Weights::of(job);
    for column in &job.frame.columns {
        let source = encoder.sources.len() as u32;
        let (kind, features) = match &column.values {
            FeatureValues::Number(values) => number(job, values, weights),
            FeatureValues::Category { codes, levels } => category(job, codes, levels, weights),
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
    encoding.read(job.rows, &mut design);
    for (index, feature) in encoder.features.iter_mut().enumerate() {
        let column = design.column_mut(index);
        match scaling {
            Scaling::Standard => (feature.shift, feature.scale) = moments(column, weights),
            Scaling::Raw => check_values(column, &encoder.sources[feature.source as usize])?,
        }
        column.iter_mut().for_each(|value| *value = feature.scaled(*value));
    }
    Ok((encoder, design))
}

/// What is not scaled must not be too large for sums of squares.
fn check_values(column: &[f64], source: &ColumnSource) -> Result<(), FitError> {
    match column.iter().find(|value| value.abs() > MAX_VALUE) {
        None => Ok(()),
        Some(value) => Err(FitError::because(format!(
            "column {} has the value {}, too large for this learner as it is; write standardize: \
             true",
            readable(&source.name),
            Figure(*value)
        ))),
    }
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

/// What the training rows weigh beside the heaviest one, in their order; none where there are no
/// weights.
struct Weights(Option<Vec<f64>>);

impl Weights {
    fn of(job: &Fit<'_>) -> Self {
        Self(job.frame.weights.as_ref().map(|weights| {
            let own = job.rows.iter().map(|&row| weights[row as usize]);
            let largest = own.clone().fold(0.0, f64::max);
            own.map(|weight| weight / largest).collect()
        }))
    }

    /// Of a row, by its place.
    fn at(&self, place: usize) -> f64 {
        self.0.as_ref().map_or(1.0, |weights| weights[place])
    }
}

/// A number is filled with the mean; a constant one is left out.
fn number(job: &Fit<'_>, values: &[f64], weights: &Weights) -> (SourceKind, Vec<Reads>) {
    let present = || {
        let rows = job.rows.iter().enumerate();
        let rows = rows.map(|(place, &row)| (values[row as usize], weights.at(place)));
        rows.filter(|(value, _)| value.is_finite())
    };
    let mut features = Vec::new();
    if let Some((first, _)) = present().next()
        && present().any(|(value, _)| value != first)
    {
        let total: f64 = present().map(|(_, weight)| weight).sum();
        let sum: f64 = present().map(|(value, weight)| value * weight).sum();
        // Dividing first costs a rounding a row and cannot overflow.
        let parts = || present().map(|(value, weight)| value * (weight / total)).sum();
        let fill = if sum.is_finite() { sum / total } else { parts() };
        features.push(Reads::Number { fill });
    }
    (SourceKind::Number, features)
}

/// Words by what the training rows that have them weigh; ties go to the earlier level.
fn category(
    job: &Fit<'_>,
    codes: &[u32],
    levels: &[String],
    weights: &Weights,
) -> (SourceKind, Vec<Reads>) {
    let mut sums = vec![0.0; levels.len()];
    for (place, &row) in job.rows.iter().enumerate() {
        // The code of a missing word is beyond all levels.
        if let Some(sum) = sums.get_mut(codes[row as usize] as usize) {
            *sum += weights.at(place);
        }
    }
    let total: f64 = (0..job.rows.len()).map(|place| weights.at(place)).sum();
    let ranks: Vec<u64> = sums.iter().map(|sum| rank(*sum, total)).collect();
    let mut order: Vec<usize> = (0..levels.len()).filter(|&level| ranks[level] > 0).collect();
    order.sort_by_key(|&level| (std::cmp::Reverse(ranks[level]), level));
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

/// How frequent a word is: its share of the weight, to so many digits that neither the order of
/// additions nor a subtraction shows. None at 0.
pub(super) fn rank(sum: f64, total: f64) -> u64 {
    (sum / total * (1_u64 << 40) as f64).round() as u64
}

/// Mean and deviation, of numbers of any size.
fn moments(values: &[f64], weights: &Weights) -> (f64, f64) {
    // A power of two costs no digit, and what it makes 0 is nothing beside the largest.
    let largest = values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    let unit = match largest {
        largest if largest > MAX_VALUE => 2.0_f64.powi(700),
        largest if largest < 1.0 / MAX_VALUE => 2.0_f64.powi(-700),
        _ => 1.0,
    };
    let weighed = || values.iter().enumerate().map(|(at, value)| (value / unit, weights.at(at)));
    let total: f64 = weighed().map(|(_, weight)| weight).sum();
    // Around the first value, so that the mean of equal ones is that value.
    let first = values.first().copied().unwrap_or_default() / unit;
    let apart: f64 = weighed().map(|(value, weight)| weight * (value - first)).sum();
    let mean = first + apart / total;
    let squares: f64 = weighed().map(|(value, weight)| weight * (value - mean).powi(2)).sum();
    let deviation = (squares / total).sqrt();
    // A deviation that is only rounding would blow noise up.
    let is_told_apart = deviation > 16.0 * f64::EPSILON * mean.abs() && deviation > 1e-150;
    (mean * unit, if is_told_apart { deviation * unit } else { NO_SCALE })
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
    fn numbers_of_any_size_are_standardised_alike() {
        let of = |size: f64| {
            let values = (0..9).map(|row| f64::from(row * row % 7) * size).collect();
            rows_of(&frame(FeatureValues::Number(values), 9), 9, Scaling::Standard).concat()
        };
        let plain = of(1.0);
        assert!(plain[0] < -0.5);
        for size in [1e-305, 1e-200, 1e-101, 1e-99, 1e99, 1e101, 1e200, 1e307] {
            let far = |(one, other): (&f64, f64)| (one - other).abs() > 1e-12;
            assert!(!plain.iter().zip(of(size)).any(far), "{size:e}: {:?}", of(size));
        }
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
