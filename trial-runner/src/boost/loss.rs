//! What boosting makes small: gradients, the best constant, and what a score means.

use super::exp::{exp, sigmoid};

/// A loss. Scores of the last four are logarithms or log-odds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Loss {
    /// Squared error.
    Squared,
    /// Absolute error; leaves are medians.
    Absolute,
    /// Squared error, linear beyond `delta`.
    Huber { delta: f64 },
    /// Pinball loss; leaves are quantiles.
    Quantile { level: f64 },
    /// Counts, or whatever is not negative.
    Poisson,
    /// What is often exactly 0; `power` between 1 (Poisson) and 2 (gamma).
    Tweedie { power: f64 },
    /// Two classes, 0 and 1.
    Logistic,
    /// Several classes, by number.
    Softmax { n_classes: usize },
}

/// What the curvature of a loss goes by, weights apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Curving {
    /// All rows curve alike.
    #[default]
    Alike,
    /// Less the surer a class is.
    Doubt,
    /// More the greater the mean is.
    Size,
}

/// Stands in for Newton's step of Poisson, which would overshoot (LightGBM's
/// `poisson_max_delta_step`): e^0.7.
const POISSON_DAMPING: f64 = 2.013_752_707_470_476_5;
/// Instead of a share of 0, or a mean where all is 0.
const LEAST_SHARE: f64 = 1e-12;
/// Scores below the logarithm of this are of no use to [`exp`].
const LEAST_MEAN: f64 = 1e-150;

impl Loss {
    /// Scores a row.
    pub(crate) fn n_scores(self) -> usize {
        match self {
            Self::Softmax { n_classes } => n_classes.max(1),
            _ => 1,
        }
    }

    /// Whether every row curves alike.
    pub(super) fn is_flat(self) -> bool {
        self.curving() == Curving::Alike
    }

    /// What a row's curvature goes by.
    pub(super) fn curving(self) -> Curving {
        match self {
            Self::Squared | Self::Absolute | Self::Huber { .. } | Self::Quantile { .. } => {
                Curving::Alike
            }
            Self::Logistic | Self::Softmax { .. } => Curving::Doubt,
            Self::Poisson | Self::Tweedie { .. } => Curving::Size,
        }
    }

    /// The quantile of residuals that a leaf says, where a gradient step would say too little.
    pub(super) fn renewal(self) -> Option<f64> {
        match self {
            Self::Absolute => Some(0.5),
            Self::Quantile { level } => Some(level),
            _ => None,
        }
    }

    /// The score of each class, or the one score, before the first tree, from targets and
    /// weights.
    pub(super) fn initial(self, rows: &mut Vec<(f64, f64)>) -> Vec<f64> {
        match self {
            // As LightGBM. Steps of `delta` come a long way slowly: from the median, or from the
            // constant of least loss, the squared error of skewed targets stays 4 % larger.
            Self::Squared | Self::Huber { .. } => vec![mean(rows)],
            Self::Absolute => vec![quantile(rows, 0.5)],
            Self::Quantile { level } => vec![quantile(rows, level)],
            Self::Poisson | Self::Tweedie { .. } => {
                let mean = mean(rows);
                vec![if mean > 0.0 { mean.max(LEAST_MEAN) } else { LEAST_SHARE }.ln()]
            }
            Self::Logistic => {
                let share = mean(rows).clamp(LEAST_SHARE, 1.0 - LEAST_SHARE);
                vec![(share / (1.0 - share)).ln()]
            }
            Self::Softmax { n_classes } => {
                let mut shares = vec![0.0; n_classes.max(1)];
                for (class, weight) in &*rows {
                    if let Some(share) = shares.get_mut(*class as usize) {
                        *share += weight;
                    }
                }
                let total: f64 = shares.iter().sum();
                shares.iter().map(|share| (share / total).max(LEAST_SHARE).ln()).collect()
            }
        }
    }

    /// The loss of a row's scores, but for what does not depend on them.
    pub(crate) fn of(self, target: f64, scores: &[f64]) -> f64 {
        let score = scores[0];
        let error = score - target;
        match self {
            Self::Squared => error * error / 2.0,
            Self::Absolute => error.abs(),
            Self::Huber { delta } if error.abs() > delta => delta * (error.abs() - delta / 2.0),
            Self::Huber { .. } => error * error / 2.0,
            Self::Quantile { level } => (-error * level).max(error * (1.0 - level)),
            Self::Poisson => exp(score) - target * score,
            Self::Tweedie { power } => {
                // The integral of the slope; its ends at powers 1 and 2 are logarithms.
                let part = |power: f64| {
                    if power == 0.0 { score } else { exp(power * score) / power }
                };
                part(2.0 - power) - target * part(1.0 - power)
            }
            // log(1 + e^s), which does not overflow.
            Self::Logistic => (1.0 + exp(-score.abs())).ln() + score.max(0.0) - target * score,
            Self::Softmax { .. } => {
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = scores.iter().map(|score| exp(score - top)).sum();
                total.ln() + top - scores.get(target as usize).copied().unwrap_or(top)
            }
        }
    }

    /// The first and second derivative of the loss by the score. Softmax has its own.
    pub(super) fn slope(self) -> impl Fn(f64, f64) -> (f64, f64) {
        move |target: f64, score: f64| match self {
            Self::Squared | Self::Softmax { .. } => (score - target, 1.0),
            Self::Absolute => (sign(score - target), 1.0),
            Self::Huber { delta } => ((score - target).clamp(-delta, delta), 1.0),
            Self::Quantile { level } => (if score >= target { 1.0 - level } else { -level }, 1.0),
            Self::Poisson => {
                let mean = exp(score);
                (mean - target, mean * POISSON_DAMPING)
            }
            Self::Tweedie { power } => {
                let (first, second) = (exp((1.0 - power) * score), exp((2.0 - power) * score));
                let slope = second - target * first;
                let curve = (2.0 - power) * second - target * (1.0 - power) * first;
                (slope, curve)
            }
            Self::Logistic => {
                let share = sigmoid(score);
                (share - target, share * (1.0 - share))
            }
        }
    }
}

fn sign(value: f64) -> f64 {
    if value > 0.0 {
        1.0
    } else if value < 0.0 {
        -1.0
    } else {
        0.0
    }
}

/// The weighted mean, whatever the order of the rows.
fn mean(rows: &[(f64, f64)]) -> f64 {
    let Some(&(first, _)) = rows.first() else {
        return 0.0;
    };
    if rows.iter().all(|(target, _)| *target == first) {
        return first;
    }
    let largest = |pick: fn(&(f64, f64)) -> f64| rows.iter().map(pick).fold(0.0, f64::max);
    let sums = super::exact::Exact::of(largest(|row| (row.0 * row.1).abs()), rows.len());
    let weights = super::exact::Exact::of(largest(|row| row.1), rows.len());
    let sum = rows.iter().map(|row| sums.whole(row.0 * row.1)).sum();
    let total = rows.iter().map(|row| weights.whole(row.1)).sum();
    sums.number(sum) / weights.number(total)
}

/// The weighted quantile of values: between two values in proportion when all weigh the same.
pub(super) fn quantile(rows: &mut [(f64, f64)], level: f64) -> f64 {
    if rows.is_empty() {
        return 0.0;
    }
    rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    if rows.iter().all(|row| row.1 == rows[0].1) {
        let place = level * (rows.len() - 1) as f64;
        let low = (place as usize).min(rows.len() - 1);
        let high = (low + 1).min(rows.len() - 1);
        let share = place - low as f64;
        return rows[low].0 * (1.0 - share) + rows[high].0 * share;
    }
    let total: f64 = rows.iter().map(|row| row.1).sum();
    let mut below = 0.0;
    for (value, weight) in &*rows {
        below += weight;
        if below >= level * total {
            return *value;
        }
    }
    rows[rows.len() - 1].0
}
