//! How good predictions are: every [`Measure`], as scikit-learn defines it where it does.
//!
//! Where it does not, or where an entity's rows leave a definition open:
//! - A normalised error is divided by the range of the entity's whole target, training and
//!   validation together. Where that is 0, a constant target, the error is not divided.
//! - `mean_absolute_scaled_error` is divided by the seasonal naive forecast's error on the training
//!   rows (Hyndman & Koehler 2006). Where that is 0, a history that repeats itself, it is by that of
//!   the last value; where that is 0 too, by the mean size of the training rows; and where these are
//!   all 0 as well, the error is not divided. A 0 that is only rounding is 0.
//! - Measures of classes are taken over the classes that occur in the validation rows.
//! - Rows of weight 0 are as none, also where nothing is weighed.
//! - What remains undefined (one class for `auc_weighted`, say) is an error: the trial fails.

mod classes;
mod numbers;

pub(crate) use numbers::of_squares;

use std::collections::{BTreeMap, HashMap};

use fleetfit_search_spaces::objective::Measure;

use crate::figure::Figure;

/// Predictions beside the truth, row by row.
#[derive(Clone, Copy, Debug)]
pub enum Judged<'a> {
    /// Numbers.
    Numbers {
        /// What was measured.
        truth: &'a [f64],
        /// What was predicted.
        predicted: &'a [f64],
    },
    /// Classes.
    Classes {
        /// Each row's class.
        truth: &'a [u32],
        /// The probability of every class, row after row. They may sum to anything above 0.
        probabilities: &'a [f64],
        /// How many classes there are, whether they occur or not.
        n_classes: usize,
    },
}

/// What the errors of an entity are compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Yardstick {
    /// The range of the entity's whole target.
    pub range: f64,
    /// The mean absolute error of the naive forecast on the training rows, or what stands for it
    /// where that is 0; 0 where all of them are.
    pub naive_error: f64,
}

impl Yardstick {
    /// The yardstick of a fold. `train` stands in order of time; `series` tells the series of its
    /// rows apart, where there are several. Where no series is longer than the season, naive is the
    /// last value.
    pub fn new(whole: &[f64], train: &[f64], series: Option<&[u32]>, season: usize) -> Self {
        let (low, high) =
            whole.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| {
                (low.min(value), high.max(value))
            });
        Self {
            range: if low <= high { high - low } else { 0.0 },
            naive_error: beyond_rounding(naive_error(train, series, season.max(1)), train)
                .or_else(|| beyond_rounding(naive_error(train, series, 1), train))
                .unwrap_or_else(|| mean_size(train)),
        }
    }

    /// The same where each training row has a series and a step in it: the naive forecast goes back a
    /// season of steps, however many rows are missing between. Rows of one step count as their mean.
    pub fn on_steps(whole: &[f64], train: &[(u32, i64, f64)], season: usize) -> Self {
        let mut steps: BTreeMap<(u32, i64), (f64, f64)> = BTreeMap::new();
        for &(series, step, value) in train {
            let (sum, count) = steps.entry((series, step)).or_default();
            *sum += value;
            *count += 1.0;
        }
        let back = i64::try_from(season.max(1)).unwrap_or(i64::MAX);
        let (mut sum, mut count) = (0.0, 0_usize);
        for (&(series, step), (total, n)) in &steps {
            let before = step.checked_sub(back).and_then(|before| steps.get(&(series, before)));
            if let Some((before, n_before)) = before {
                sum += (total / n - before / n_before).abs();
                count += 1;
            }
        }
        let (series, values): (Vec<u32>, Vec<f64>) =
            steps.iter().map(|((series, _), (sum, n))| (*series, sum / n)).unzip();
        let seasonal = (count > 0).then(|| sum / count as f64);
        // Where no two rows are a season apart, naive is the last value.
        let other = Self::new(whole, &values, Some(&series), 1);
        match beyond_rounding(seasonal, &values) {
            Some(naive_error) => Self { naive_error, ..other },
            None => other,
        }
    }
}

/// The mean size of some values; 0 where there are none.
fn mean_size(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    values.iter().map(|value| value.abs() / n).sum()
}

/// An error that is more than what rounding leaves of values that repeat.
fn beyond_rounding(error: Option<f64>, values: &[f64]) -> Option<f64> {
    const ROUNDING: f64 = 1e-12;
    error.filter(|error| *error > ROUNDING * mean_size(values))
}

fn naive_error(train: &[f64], series: Option<&[u32]>, season: usize) -> Option<f64> {
    let mut seen: HashMap<u32, Vec<f64>> = HashMap::new();
    let (mut sum, mut count) = (0.0, 0_usize);
    for (row, &value) in train.iter().enumerate() {
        let series = series.and_then(|series| series.get(row)).copied().unwrap_or(0);
        let past = seen.entry(series).or_default();
        if past.len() >= season {
            sum += (value - past[past.len() - season]).abs();
            count += 1;
        }
        past.push(value);
    }
    (count > 0).then(|| sum / count as f64)
}

/// Why a measure has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// Nothing to judge.
    #[error("there is no row to judge the model on")]
    NoRows,
    /// A model that gives no number.
    #[error("the model predicts values that are not finite numbers")]
    NotFinite,
    /// Errors that add up to more than a number can hold.
    #[error("{measure} is not a finite number: {whose} as large as {size}{remedy}")]
    TooLarge {
        /// The measure's name.
        measure: &'static str,
        /// Whose values are too large.
        whose: &'static str,
        /// How large they are.
        size: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// No weight at all.
    #[error("the weights of the rows to judge the model on sum to 0")]
    NoWeight,
    /// The measure needs more to go on.
    #[error("{measure} is undefined: {reason}")]
    Undefined {
        /// The measure's name.
        measure: &'static str,
        /// What is lacking.
        reason: &'static str,
    },
    /// A measure of numbers for classes, or the other way round.
    #[error("{measure} does not judge {found}")]
    WrongKind {
        /// The measure's name.
        measure: &'static str,
        /// What it was asked to judge.
        found: &'static str,
    },
    /// Slices that do not belong together.
    #[error("predictions, truth and weights differ in length")]
    Lengths,
}

/// The value of a measure, in the measure's own direction.
pub fn measure(
    measure: Measure,
    judged: Judged<'_>,
    weights: Option<&[f64]>,
    yardstick: Yardstick,
) -> Result<f64, MetricError> {
    let (n_rows, predicted, n_predicted) = match judged {
        Judged::Numbers { truth, predicted } => (truth.len(), predicted, truth.len()),
        Judged::Classes { truth, probabilities, n_classes } => {
            if truth.iter().any(|&code| code as usize >= n_classes) {
                return Err(MetricError::Lengths);
            }
            (truth.len(), probabilities, truth.len() * n_classes)
        }
    };
    if predicted.len() != n_predicted || weights.is_some_and(|weights| weights.len() != n_rows) {
        return Err(MetricError::Lengths);
    }
    if n_rows == 0 {
        return Err(MetricError::NoRows);
    }
    if let Some(weights) = weights.filter(|weights| weights.contains(&0.0)) {
        return measure_weighing(measure, judged, weights, yardstick);
    }
    if predicted.iter().any(|value| !value.is_finite()) {
        return Err(MetricError::NotFinite);
    }
    let value = match judged {
        Judged::Numbers { truth, predicted } => {
            numbers::measure(measure, truth, predicted, weights, yardstick)?
        }
        Judged::Classes { truth, probabilities, n_classes } => {
            classes::measure(measure, truth, probabilities, n_classes, weights)?
        }
    };
    if value.is_finite() { Ok(value) } else { Err(too_large(measure, judged)) }
}

/// The value of a measure on the rows that weigh anything.
fn measure_weighing(
    which: Measure,
    judged: Judged<'_>,
    weights: &[f64],
    yardstick: Yardstick,
) -> Result<f64, MetricError> {
    let rows: Vec<usize> = (0..weights.len()).filter(|&row| weights[row] != 0.0).collect();
    if rows.is_empty() {
        return Err(MetricError::NoWeight);
    }
    let pick = |values: &[f64]| rows.iter().map(|&row| values[row]).collect::<Vec<f64>>();
    let own = Some(pick(weights));
    match judged {
        Judged::Numbers { truth, predicted } => {
            let (truth, predicted) = (&pick(truth), &pick(predicted));
            measure(which, Judged::Numbers { truth, predicted }, own.as_deref(), yardstick)
        }
        Judged::Classes { truth, probabilities, n_classes } => {
            let truth: Vec<u32> = rows.iter().map(|&row| truth[row]).collect();
            let of_row = |&row: &usize| &probabilities[row * n_classes..][..n_classes];
            let probabilities = &rows.iter().flat_map(of_row).copied().collect::<Vec<f64>>();
            let judged = Judged::Classes { truth: &truth, probabilities, n_classes };
            measure(which, judged, own.as_deref(), yardstick)
        }
    }
}

/// Whose values are so large that the errors of finite numbers are not finite.
fn too_large(measure: Measure, judged: Judged<'_>) -> MetricError {
    let Judged::Numbers { truth, predicted } = judged else { return MetricError::NotFinite };
    let largest = |values: &[f64]| values.iter().map(|value| value.abs()).fold(0.0, f64::max);
    let (of_target, of_model) = (largest(truth), largest(predicted));
    let (whose, size, remedy) = if of_model > of_target {
        ("the model predicts values", of_model, "")
    } else {
        ("the target has values", of_target, "; divide the target by as much before")
    };
    let size = Figure(size).to_string();
    MetricError::TooLarge { measure: measure.name(), whose, size, remedy }
}

fn undefined(measure: Measure, reason: &'static str) -> MetricError {
    MetricError::Undefined { measure: measure.name(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_judged() {
        let judge = |truth: &[f64], predicted: &[f64], weights: Option<&[f64]>| {
            let judged = Judged::Numbers { truth, predicted };
            measure(Measure::MeanAbsoluteError, judged, weights, Yardstick::default())
        };
        assert_eq!(judge(&[], &[], None), Err(MetricError::NoRows));
        assert_eq!(judge(&[1.0], &[], None), Err(MetricError::Lengths));
        assert_eq!(judge(&[1.0], &[1.0], Some(&[])), Err(MetricError::Lengths));
        assert_eq!(judge(&[1.0], &[f64::NAN], None), Err(MetricError::NotFinite));
        assert_eq!(judge(&[1.0], &[2.0], Some(&[0.0])), Err(MetricError::NoWeight));
        let far_off = |truth: f64, predicted: f64| {
            let judged = Judged::Numbers { truth: &[truth], predicted: &[predicted] };
            let value = measure(Measure::MeanSquaredError, judged, None, Yardstick::default());
            value.unwrap_err().to_string()
        };
        assert_eq!(
            far_off(1.0, 1e200),
            "mean_squared_error is not a finite number: the model predicts values as large as 1e200"
        );
        assert_eq!(
            far_off(-1e308, 3.0),
            "mean_squared_error is not a finite number: the target has values as large as 1e308; \
             divide the target by as much before"
        );
        let [low, high] = [-1.7e308, 1.7e308];
        let yardstick = Yardstick::new(&[low, high], &[low, high, low], None, 1);
        let judged = Judged::Numbers { truth: &[low, high], predicted: &[low, 0.9 * high] };
        for own in [
            Measure::NormalizedMeanAbsoluteError,
            Measure::MeanAbsoluteScaledError,
            Measure::SymmetricMeanAbsolutePercentageError,
        ] {
            let value = measure(own, judged, None, yardstick).unwrap_err().to_string();
            assert!(value.contains("the target has values as large as 1.7e308"), "{value}");
        }
        let value = measure(Measure::R2Score, judged, None, yardstick).unwrap();
        assert!((value - 0.995).abs() < 1e-12, "{value}");
        let value = measure(Measure::Accuracy, judged, None, Yardstick::default());
        assert_eq!(value.unwrap_err().to_string(), "accuracy does not judge numbers");
        let judged = Judged::Classes { truth: &[2], probabilities: &[0.5, 0.5], n_classes: 2 };
        let value = measure(Measure::Accuracy, judged, None, Yardstick::default());
        assert_eq!(value, Err(MetricError::Lengths));
    }

    #[test]
    fn rows_of_weight_0_are_as_none() {
        let judge = |which: Measure, judged: Judged<'_>, weights: &[f64]| {
            measure(which, judged, Some(weights), Yardstick { range: 2.0, naive_error: 3.0 })
        };
        for &which in Measure::ALL {
            let [without, with] = if which.is_classification() {
                let shares = [0.7, 0.2, 0.1, 0.4, 0.5, 0.1, 0.3, 0.6, 0.1];
                let more = [&shares[..], &[f64::NAN, 1.0, 0.0]].concat();
                let of =
                    |truth, probabilities| Judged::Classes { truth, probabilities, n_classes: 3 };
                [
                    judge(which, of(&[0, 1, 0], &shares), &[1.0, 2.0, 3.0]),
                    judge(which, of(&[0, 1, 0, 2], &more), &[1.0, 2.0, 3.0, 0.0]),
                ]
            } else {
                let of = |truth, predicted| Judged::Numbers { truth, predicted };
                [
                    judge(which, of(&[1.0, 2.0, 4.0], &[1.5, 2.5, 3.0]), &[1.0, 2.0, 3.0]),
                    judge(
                        which,
                        of(&[1e300, 1.0, 2.0, 4.0], &[f64::INFINITY, 1.5, 2.5, 3.0]),
                        &[0.0, 1.0, 2.0, 3.0],
                    ),
                ]
            };
            assert!(without.is_ok());
            assert_eq!(with, without, "{which:?}");
        }
    }

    #[test]
    fn yardsticks() {
        let yardstick = Yardstick::new(&[1.0, 5.0, 2.0], &[1.0, 5.0, 2.0], None, 1);
        assert_eq!((yardstick.range, yardstick.naive_error), (4.0, 3.5));
        // Two series, turn by turn: |5 − 1| and |20 − 10|.
        let series = Some(&[0, 1, 0, 1][..]);
        let yardstick = Yardstick::new(&[], &[1.0, 10.0, 5.0, 20.0], series, 1);
        assert_eq!((yardstick.range, yardstick.naive_error), (0.0, 7.0));
        let yardstick = Yardstick::new(&[3.0], &[1.0, 2.0, 4.0, 8.0], None, 2);
        assert_eq!((yardstick.range, yardstick.naive_error), (0.0, 4.5));
        assert_eq!(Yardstick::new(&[1.0], &[], None, 1).naive_error, 0.0);
        // Steps 3 and 6 have no row, and step 7 has two.
        let steps = [(0, 1, 1.0), (0, 2, 2.0), (0, 4, 3.0), (0, 5, 9.0), (0, 7, 4.0), (0, 7, 6.0)];
        let season_3 = Yardstick::on_steps(&[1.0, 9.0], &steps, 3);
        assert_eq!((season_3.range, season_3.naive_error), (8.0, (2.0 + 7.0 + 2.0) / 3.0));
        let other_series = [(0, 1, 1.0), (1, 4, 5.0), (1, 6, 7.0)];
        assert_eq!(Yardstick::on_steps(&[], &other_series, 3).naive_error, 2.0);
    }

    #[test]
    fn what_stands_for_a_naive_error_of_0() {
        let on_steps = |values: &[f64], season: usize| {
            let steps: Vec<(u32, i64, f64)> =
                values.iter().zip(0..).map(|(value, step)| (0, step, *value)).collect();
            let found = Yardstick::on_steps(values, &steps, season).naive_error;
            assert_eq!(found, Yardstick::new(values, values, None, season).naive_error);
            found
        };
        // A week that repeats itself: the last value is off by 1, and by 3 at its end.
        let week: Vec<f64> = (0..9).map(|day| f64::from(day % 4) + 10.0).collect();
        assert_eq!(on_steps(&week, 4), (6.0 * 1.0 + 2.0 * 3.0) / 8.0);
        // The same but for rounding.
        let shaken: Vec<f64> =
            week.iter().zip(0..).map(|(value, t)| value + f64::from(t % 3) * 1e-14).collect();
        assert!((on_steps(&shaken, 4) - 1.5).abs() < 1e-9);
        // A constant, then nothing at all.
        assert_eq!(on_steps(&[-1e6; 9], 4), 1e6);
        assert_eq!(on_steps(&[0.0; 9], 4), 0.0);
        let judged = Judged::Numbers { truth: &[1e6; 2], predicted: &[1.25e6, 1e6] };
        let yardstick = Yardstick::new(&[1e6; 9], &[1e6; 9], None, 1);
        let value = measure(Measure::MeanAbsoluteScaledError, judged, None, yardstick);
        assert_eq!(value, Ok(0.125));
    }
}
