//! Measures of predicted numbers.

use fleetfit_search_spaces::objective::Measure;

use super::{MetricError, Yardstick, undefined};

pub(super) fn measure(
    measure: Measure,
    truth: &[f64],
    predicted: &[f64],
    weights: Option<&[f64]>,
    yardstick: Yardstick,
) -> Result<f64, MetricError> {
    let rows = Rows { truth, predicted, weights };
    let absolute = |truth: f64, predicted: f64| (truth - predicted).abs();
    let error = |truth: f64, predicted: f64| truth - predicted;
    match measure {
        Measure::RootMeanSquaredError => Ok(rows.root_mean_square(error)),
        Measure::MeanSquaredError => Ok(rows.mean_square(error)),
        Measure::MeanAbsoluteError => Ok(rows.mean(absolute)),
        Measure::NormalizedRootMeanSquaredError => {
            Ok(rows.root_mean_square(error) / divisor(yardstick.range))
        }
        Measure::NormalizedMeanAbsoluteError => Ok(rows.mean(absolute) / divisor(yardstick.range)),
        Measure::MeanAbsoluteScaledError => {
            Ok(rows.mean(absolute) / divisor(yardstick.naive_error))
        }
        Measure::MeanAbsolutePercentageError => rows
            .mean_where(
                |truth| truth != 0.0,
                |truth, predicted| absolute(truth, predicted) / truth.abs(),
            )
            .ok_or_else(|| undefined(measure, "every target is 0")),
        Measure::SymmetricMeanAbsolutePercentageError => {
            Ok(rows.mean(|truth, predicted| match truth.abs() + predicted.abs() {
                0.0 => 0.0,
                f64::INFINITY => f64::NAN,
                size => 2.0 * absolute(truth, predicted) / size,
            }))
        }
        Measure::R2Score => r2_score(&rows),
        Measure::SpearmanCorrelation => spearman(truth, predicted),
        Measure::AucWeighted
        | Measure::Accuracy
        | Measure::NormMacroRecall
        | Measure::AveragePrecisionScoreWeighted
        | Measure::PrecisionScoreWeighted
        | Measure::LogLoss
        | Measure::F1ScoreWeighted => {
            Err(MetricError::WrongKind { measure: measure.name(), found: "numbers" })
        }
    }
}

/// The measure of predictions whose squared errors, none weighing more than another, sum to this; none
/// where it is made of other things.
pub(crate) fn of_squares(
    measure: Measure,
    sum: f64,
    n_rows: usize,
    yardstick: Yardstick,
) -> Option<f64> {
    let mean = sum / n_rows as f64;
    match measure {
        Measure::MeanSquaredError => Some(mean),
        _ if !is_ordinary(mean) => None,
        Measure::RootMeanSquaredError => Some(mean.sqrt()),
        Measure::NormalizedRootMeanSquaredError => Some(mean.sqrt() / divisor(yardstick.range)),
        _ => None,
    }
}

/// Whether squares of this mean were neither too small nor too large to be summed up.
fn is_ordinary(mean: f64) -> bool {
    (1e-280..=f64::MAX).contains(&mean)
}

struct Rows<'a> {
    truth: &'a [f64],
    predicted: &'a [f64],
    weights: Option<&'a [f64]>,
}

impl Rows<'_> {
    fn mean(&self, error: impl Fn(f64, f64) -> f64) -> f64 {
        self.mean_where(|_| true, error).unwrap_or(f64::NAN)
    }

    fn mean_square(&self, error: impl Fn(f64, f64) -> f64) -> f64 {
        self.mean(|truth, predicted| error(truth, predicted).powi(2))
    }

    /// Also where squares are too small or too large to be summed up.
    fn root_mean_square(&self, error: impl Fn(f64, f64) -> f64) -> f64 {
        let mean = self.mean_square(&error);
        let pairs = self.truth.iter().zip(self.predicted);
        let largest =
            || pairs.map(|(truth, predicted)| error(*truth, *predicted).abs()).fold(0.0, f64::max);
        match mean {
            mean if is_ordinary(mean) => mean.sqrt(),
            mean => match largest() {
                largest if largest > 0.0 && largest.is_finite() => {
                    // A power of two, so that nothing is rounded.
                    let unit = f64::from_bits(largest.to_bits() & f64::INFINITY.to_bits());
                    let unit = unit.max(f64::MIN_POSITIVE);
                    self.mean_square(|a, b| error(a, b) / unit).sqrt() * unit
                }
                _ => mean.sqrt(),
            },
        }
    }

    /// The weighted mean over the rows whose target counts; none where no weight is on them.
    fn mean_where(
        &self,
        counts: impl Fn(f64) -> bool,
        error: impl Fn(f64, f64) -> f64,
    ) -> Option<f64> {
        let (mut sum, mut total) = (0.0, 0.0);
        for (row, (&truth, &predicted)) in self.truth.iter().zip(self.predicted).enumerate() {
            if counts(truth) {
                let weight = self.weights.map_or(1.0, |weights| weights[row]);
                sum += weight * error(truth, predicted);
                total += weight;
            }
        }
        (total > 0.0).then(|| sum / total)
    }
}

/// A size that is no finite number divides nothing: beside it every error would be 0.
fn divisor(size: f64) -> f64 {
    match size {
        f64::INFINITY => f64::NAN,
        size if size > 0.0 => size,
        _ => 1.0,
    }
}

/// As scikit-learn: for a constant target 1 where the predictions are exact and 0 where not.
fn r2_score(rows: &Rows<'_>) -> Result<f64, MetricError> {
    if rows.truth.len() < 2 {
        return Err(undefined(Measure::R2Score, "there is a single row"));
    }
    let mean = rows.mean(|truth, _| truth);
    let (spread, error) = (|truth, _| truth - mean, |truth, predicted| truth - predicted);
    let squares = (rows.mean_square(spread), rows.mean_square(error));
    if is_ordinary(squares.0) && is_ordinary(squares.1) {
        return Ok(1.0 - squares.1 / squares.0);
    }
    let (spread, error) = (rows.root_mean_square(spread), rows.root_mean_square(error));
    if !spread.is_finite() {
        return Ok(f64::NAN);
    }
    Ok(match (spread > 0.0, error > 0.0) {
        (true, _) => 1.0 - (error / spread).powi(2),
        (false, true) => 0.0,
        (false, false) => 1.0,
    })
}

/// Pearson's correlation of the ranks, equal values sharing their mean rank; weights don't matter.
/// Constant predictions rank nothing and get 0.
fn spearman(truth: &[f64], predicted: &[f64]) -> Result<f64, MetricError> {
    let (truth, predicted) = (ranks(truth), ranks(predicted));
    let mean = (truth.len() as f64 + 1.0) / 2.0;
    let (mut both, mut of_truth, mut of_predicted) = (0.0, 0.0, 0.0);
    for (a, b) in truth.iter().zip(&predicted) {
        both += (a - mean) * (b - mean);
        of_truth += (a - mean).powi(2);
        of_predicted += (b - mean).powi(2);
    }
    if of_truth == 0.0 {
        return Err(undefined(Measure::SpearmanCorrelation, "the target is constant"));
    }
    if of_predicted == 0.0 {
        return Ok(0.0);
    }
    Ok(both / (of_truth * of_predicted).sqrt())
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let equal = |a: &usize, b: &usize| values[*a] == values[*b];
    let mut before = 0;
    for tied in order.chunk_by(equal) {
        let rank = before as f64 + (tied.len() as f64 + 1.0) / 2.0;
        for &row in tied {
            ranks[row] = rank;
        }
        before += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Judged, measure};

    const TRUTH: [f64; 6] = [3.0, -0.5, 2.0, 7.0, 4.25, 0.0];
    const PREDICTED: [f64; 6] = [2.5, 0.0, 2.0, 8.0, 4.0, 1.0];
    const WEIGHTS: [f64; 6] = [1.0, 2.0, 0.5, 1.0, 3.0, 0.0];

    fn check(name: &str, plain: f64, weighted: Option<f64>) {
        let yardstick = Yardstick { range: 7.5, naive_error: 2.5 };
        let judged = Judged::Numbers { truth: &TRUTH, predicted: &PREDICTED };
        let which = Measure::named(name).unwrap();
        let value = measure(which, judged, None, yardstick).unwrap();
        assert!((value - plain).abs() < 1e-12, "{name}: {value}");
        if let Some(weighted) = weighted {
            let value = measure(which, judged, Some(&WEIGHTS), yardstick).unwrap();
            assert!((value - weighted).abs() < 1e-12, "{name}, weighted: {value}");
        }
    }

    #[test]
    fn equal_to_scikit_learn() {
        // sklearn.metrics 1.9.1: mean_squared_error(TRUTH, PREDICTED[, sample_weight=WEIGHTS]), ….
        check("mse", 0.427_083_333_333_333_3, Some(0.258_333_333_333_333_36));
        check("rmse", 0.653_516_130_889_921_8, Some(0.508_265_022_732_563_6));
        check("mae", 0.541_666_666_666_666_6, Some(0.433_333_333_333_333_35));
        check("r2", 0.934_242_181_234_963_9, Some(0.957_584_602_754_720_5));
        // mean_absolute_percentage_error without the rows whose target is 0.
        check("mape", 0.273_669_467_787_114_9, Some(0.331_465_919_701_213_75));
        // mean(2 |y − p| / (|y| + |p|)).
        check("smape", 0.729_292_929_292_929_2, None);
        check("nrmse", 0.653_516_130_889_921_8 / 7.5, None);
        check("nmae", 0.541_666_666_666_666_6 / 7.5, None);
        check("mase", 0.541_666_666_666_666_6 / 2.5, None);
    }

    fn judge(name: &str, truth: &[f64], predicted: &[f64]) -> Result<f64, String> {
        let judged = Judged::Numbers { truth, predicted };
        measure(Measure::named(name).unwrap(), judged, None, Yardstick::default())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn targets_of_any_size_are_measured_alike() {
        for size in [1e-300, 1e-170, 1e-155, 1e-100, 1e100, 1e155, 1e200] {
            let [truth, predicted] = [TRUTH, PREDICTED].map(|own| own.map(|value| value * size));
            for (name, of_one) in [("r2", false), ("rmse", true), ("nrmse", true), ("mae", true)] {
                for weights in [None, Some(&WEIGHTS[..])] {
                    let judge = |truth: &[f64], predicted: &[f64]| {
                        let judged = Judged::Numbers { truth, predicted };
                        let which = Measure::named(name).unwrap();
                        measure(which, judged, weights, Yardstick::default()).unwrap()
                    };
                    let wanted = judge(&TRUTH, &PREDICTED) * if of_one { size } else { 1.0 };
                    let value = judge(&truth, &predicted);
                    assert!((value / wanted - 1.0).abs() < 1e-12, "{name} {size}: {value}");
                }
            }
        }
        assert_eq!(judge("r2", &[1e-170, 3e-170], &[1e-170, 3e-170]), Ok(1.0));
        assert_eq!(judge("rmse", &[1e-170, 3e-170], &[1e-170, 3e-170]), Ok(0.0));
    }

    #[test]
    fn ranks_with_ties() {
        // scipy.stats.spearmanr([1, 2, 2, 3, 5], [2, 1, 3, 3, 9])
        let value = judge("spearman", &[1.0, 2.0, 2.0, 3.0, 5.0], &[2.0, 1.0, 3.0, 3.0, 9.0]);
        assert!((value.unwrap() - 0.763_157_894_736_842_1).abs() < 1e-12);
    }

    #[test]
    fn constant_targets_and_predictions() {
        let (same, other) = ([4.0, 4.0], [4.0, 5.0]);
        assert_eq!(judge("r2", &same, &same), Ok(1.0));
        assert_eq!(judge("r2", &same, &other), Ok(0.0));
        assert!(judge("r2", &[1.0], &[1.0]).unwrap_err().contains("single row"));
        assert_eq!(judge("spearman", &other, &same), Ok(0.0));
        assert!(judge("spearman", &same, &other).unwrap_err().contains("constant"));
        assert_eq!(judge("nrmse", &same, &other), judge("rmse", &same, &other));
        assert_eq!(judge("mase", &same, &other), Ok(0.5));
        assert!(judge("mape", &[0.0], &[1.0]).unwrap_err().contains("every target is 0"));
        assert_eq!(judge("smape", &[0.0, 0.0], &[0.0, 1.0]), Ok(1.0));
    }
}
