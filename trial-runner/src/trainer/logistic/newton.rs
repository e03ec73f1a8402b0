//! Newton's method for the log loss (iteratively reweighted least squares): a handful of steps, each
//! a matrix of weighted sums of products and its Cholesky factor.
//!
//! Steps are halved until the loss falls enough (Armijo). Once the slope is below the tolerance one
//! more step is taken, which near the minimum squares the error: the answer is exact to about the
//! last digits. Softmax with a class's worth of weights for every class leaves the sum of the
//! intercepts open; the matrix is filled up in that direction, along which no slope ever points.

use super::loss::{Evaluation, Loss, TOLERANCE};
use crate::model::products::dot;
use crate::stop::{Stop, Stopped};
use crate::trainer::linear::{Rows, TILE, factorise, substitute};

/// A step is halved at most so often.
const MAX_HALVINGS: usize = 40;
/// The share of the promised fall that a step has to keep.
const ARMIJO: f64 = 1e-4;
/// Falls below this share of the loss are rounding.
const ROUNDING: f64 = 1e-14;

/// A point of least loss.
pub(crate) fn minimise(loss: &Loss<'_>, max_iter: usize, stop: &Stop) -> Result<Vec<f64>, Stopped> {
    let rows = rows(loss);
    let mut here = Evaluation::of(loss.start());
    loss.evaluate(&mut here, stop)?;
    let mut there = here.clone();
    for _ in 0..max_iter {
        let steepest = here.slope.iter().map(|slope| slope.abs()).fold(0.0, f64::max);
        let is_last = steepest <= TOLERANCE;
        let Some(step) = step(loss, &rows, &here, stop)? else { break };
        let promise = -dot(&step, &here.slope);
        let mut share = 1.0;
        let mut has_moved = false;
        for _ in 0..MAX_HALVINGS {
            let moved = here.point.iter().zip(&step).map(|(value, step)| value + share * step);
            there.point.clear();
            there.point.extend(moved);
            loss.evaluate(&mut there, stop)?;
            let bound = here.loss + ARMIJO * share * promise.min(0.0);
            if there.loss <= bound + ROUNDING * here.loss.abs() {
                has_moved = true;
                break;
            }
            share *= 0.5;
        }
        if !has_moved {
            break;
        }
        std::mem::swap(&mut here, &mut there);
        if is_last {
            break;
        }
    }
    Ok(here.point)
}

/// The features and a one, row after row.
pub(crate) fn rows(loss: &Loss<'_>) -> Rows {
    let n_columns = loss.design.n_columns;
    let width = (n_columns + 1).next_multiple_of(TILE);
    let mut rows = Rows { width, values: vec![0.0; width * loss.design.n_rows] };
    for column in 0..n_columns {
        let cells = rows.values.chunks_exact_mut(width).zip(loss.design.column(column));
        cells.for_each(|(row, value)| row[column] = *value);
    }
    rows.values.chunks_exact_mut(width).for_each(|row| row[n_columns] = 1.0);
    rows
}

/// Where the quadratic that touches the loss here has its minimum; none where that is nowhere.
fn step(
    loss: &Loss<'_>,
    rows: &Rows,
    here: &Evaluation,
    stop: &Stop,
) -> Result<Option<Vec<f64>>, Stopped> {
    let hessian = hessian(loss, rows, here, stop)?;
    let n = here.point.len();
    let largest = (0..n).map(|i| hessian[i * n + i]).fold(0.0, f64::max);
    for raise in [0.0, 1e-10, 1e-7, 1e-4] {
        let mut factor = hessian.clone();
        for i in 0..n {
            factor[i * n + i] += raise * largest;
        }
        if factorise(&mut factor, n, stop)? {
            let mut step: Vec<f64> = here.slope.iter().map(|slope| -slope).collect();
            substitute(&factor, &mut step);
            if step.iter().all(|value| value.is_finite()) {
                return Ok(Some(step));
            }
        }
    }
    Ok(None)
}

/// The second derivatives; the lower triangle.
fn hessian(
    loss: &Loss<'_>,
    rows: &Rows,
    here: &Evaluation,
    stop: &Stop,
) -> Result<Vec<f64>, Stopped> {
    let (n, n_rows) = (here.point.len(), loss.design.n_rows);
    let width = loss.design.n_columns + 1;
    let everyone: Vec<u32> = (0_u32..).take(n_rows).collect();
    let shares = |output: usize| &here.shares[output * n_rows..(output + 1) * n_rows];
    let mut hessian = vec![0.0; n * n];
    for a in 0..loss.n_outputs {
        for b in 0..=a {
            let pairs = shares(a).iter().zip(shares(b)).enumerate();
            let curves: Vec<f64> = pairs
                .map(|(row, (one, other))| {
                    let weight = loss.weights.map_or(1.0, |weights| weights[row]);
                    weight * one * if a == b { 1.0 - other } else { *other } / loss.total
                })
                .collect();
            let sums = rows.gram(&everyone, Some(&curves), stop)?;
            let sign = if a == b { 1.0 } else { -1.0 };
            for i in 0..width {
                let cells = &mut hessian[(a * width + i) * n + b * width..][..width];
                let sums = &sums[i * rows.width..][..width];
                cells.iter_mut().zip(sums).for_each(|(cell, sum)| *cell = sign * sum);
            }
        }
        for i in 0..width - 1 {
            hessian[(a * width + i) * (n + 1)] += loss.alpha;
        }
    }
    if loss.n_outputs > 1 {
        let intercept = |output: usize| output * width + width - 1;
        let fill = (0..loss.n_outputs).map(|a| hessian[intercept(a) * (n + 1)]).fold(0.0, f64::max);
        for a in 0..loss.n_outputs {
            for b in 0..=a {
                hessian[intercept(a) * n + intercept(b)] += fill;
            }
        }
    }
    Ok(hessian)
}
