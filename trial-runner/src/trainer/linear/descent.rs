//! Lasso and elastic net by cyclic coordinate descent, on scikit-learn's objective
//! ‖y − Xw‖²/(2n) + alpha·l1_ratio·‖w‖₁ + alpha·(1 − l1_ratio)·‖w‖²/2.
//!
//! Friedman, Hastie and Tibshirani, "Regularization Paths for Generalized Linear Models via
//! Coordinate Descent" (2010); stopped by scikit-learn's duality gap. Weights that the penalty
//! removes are exactly zero. Here the columns are walked along themselves, which pays where there are
//! more of them than rows; `net.rs` has the rest. smartcore's lasso is an interior-point method that never reaches zero,
//! has another scale of alpha, and a wrong intercept unless it normalises.

use crate::model::products::dot;
use crate::stop::{Stop, Stopped};

/// The centred columns and target, each row times the root of its weight, and the weight of all.
pub(super) struct Centred<'a> {
    pub(super) columns: &'a [f64],
    pub(super) y: &'a [f64],
    pub(super) total: f64,
}

/// The penalty and when to end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Penalty {
    pub(crate) alpha: f64,
    pub(crate) l1_ratio: f64,
    pub(crate) tolerance: f64,
    pub(crate) max_rounds: usize,
}

impl Penalty {
    /// The absolute and the squared part, where errors are summed and not averaged.
    pub(super) fn parts(&self, total: f64) -> (f64, f64) {
        (self.alpha * self.l1_ratio * total, self.alpha * (1.0 - self.l1_ratio) * total)
    }
}

/// The weights.
pub(super) fn solve(
    data: &Centred<'_>,
    penalty: &Penalty,
    stop: &Stop,
) -> Result<Vec<f64>, Stopped> {
    let n_rows = data.y.len();
    let n_columns = data.columns.len() / n_rows;
    let (l1, l2) = penalty.parts(data.total);
    let column = |index: usize| &data.columns[index * n_rows..(index + 1) * n_rows];
    let norms: Vec<f64> = (0..n_columns).map(|index| dot(column(index), column(index))).collect();
    let tolerance = penalty.tolerance * dot(data.y, data.y);
    let mut weights = vec![0.0_f64; n_columns];
    let mut residuals = data.y.to_vec();
    for round in 0..penalty.max_rounds {
        stop.check()?;
        let (mut largest, mut largest_step) = (0.0_f64, 0.0_f64);
        for index in 0..n_columns {
            if norms[index] == 0.0 {
                continue;
            }
            let column = column(index);
            let old = weights[index];
            let pull = dot(column, &residuals) + old * norms[index];
            let weight = pull.signum() * (pull.abs() - l1).max(0.0) / (norms[index] + l2);
            if weight != old {
                let step = weight - old;
                for (residual, value) in residuals.iter_mut().zip(column) {
                    *residual -= step * value;
                }
                weights[index] = weight;
                largest_step = largest_step.max(step.abs());
            }
            largest = largest.max(weight.abs());
        }
        let settled = largest == 0.0 || largest_step / largest < penalty.tolerance;
        if (settled || round + 1 == penalty.max_rounds)
            && gap(data, &weights, &residuals, (l1, l2)) <= tolerance
        {
            break;
        }
    }
    Ok(weights)
}

/// How far the objective can be from its least value (times n).
fn gap(data: &Centred<'_>, weights: &[f64], residuals: &[f64], (l1, l2): (f64, f64)) -> f64 {
    let n_rows = data.y.len();
    let dual_norm = weights
        .iter()
        .zip(data.columns.chunks(n_rows))
        .map(|(weight, column)| (dot(column, residuals) - l2 * weight).abs())
        .fold(0.0, f64::max);
    let squared = dot(residuals, residuals);
    let (scale, mut gap) = if dual_norm > l1 {
        let scale = l1 / dual_norm;
        (scale, 0.5 * squared * (1.0 + scale * scale))
    } else {
        (1.0, squared)
    };
    let l1_norm: f64 = weights.iter().map(|weight| weight.abs()).sum();
    gap += l1 * l1_norm - scale * dot(residuals, data.y);
    gap + 0.5 * l2 * (1.0 + scale * scale) * dot(weights, weights)
}
