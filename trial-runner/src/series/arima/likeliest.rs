//! The factors with the greatest exact likelihood.
//!
//! BFGS (Nocedal & Wright, algorithm 6.1) on atanh of the partial autocorrelations, where every point
//! is a stationary and invertible model. It begins at the curvature of the conditional sum of squares
//! and so needs few steps; gradients are differences, because one likelihood costs microseconds.

use super::conditional;
use super::exact::{self, Exact, Model};
use super::factor::{Factors, Shape};
use crate::stop::{Stop, Stopped};

/// The most steps of one fit.
const MOST_STEPS: usize = 40;
/// The gain in log likelihood per value below which it stops.
const ENOUGH: f64 = 1e-7;
/// How many times the promised gain a fit is given before it is given up.
const HOPEFUL: f64 = 10.0;
/// How far one step may go, in units of atanh.
const FARTHEST: f64 = 1.0;
/// Where a fit may begin, at most, in units of atanh. Conditional fits of a moving average often end
/// on the unit circle, where the likelihood is flat, and miss the best model inside of it.
const OUTERMOST: f64 = 1.5;
/// The width of a difference.
const WIDTH: f64 = 1e-6;

/// The best model found, and its likelihood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Likeliest {
    pub(super) factors: Factors,
    pub(super) exact: Exact,
}

/// A series to fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task<'a> {
    pub(super) w: &'a [f64],
    pub(super) season: usize,
    pub(super) has_mean: bool,
    /// The deviance to beat: a fit that is far from it is given up.
    pub(super) to_beat: f64,
}

/// Fits from a start inside the region; none where the likelihood has no value there.
pub(super) fn fit(
    task: Task<'_>,
    start: &Factors,
    exact: &mut exact::Buffers,
    conditional: &mut conditional::Buffers,
    stop: &Stop,
) -> Result<Option<Likeliest>, Stopped> {
    let shape = start.shape();
    let k = shape.n_coefficients();
    let Some(unbounded) = start.unbounded() else { return Ok(None) };
    let mut x: Vec<f64> = unbounded.row().map(|x| x.clamp(-OUTERMOST, OUTERMOST)).collect();
    let Some((mut value, mut best)) = at(task, shape, &x, exact) else { return Ok(None) };
    if k == 0 {
        return Ok(Some(best));
    }
    let curvature = conditional.curvature(task.w, task.season, &best.factors);
    let mut inverse = inverse_curvature(curvature, shape, &x, best.exact.sum_squares);
    let mut gradient = vec![0.0; k];
    slope(task, shape, &x, value, exact, &mut gradient);
    let (mut step, mut next, mut next_gradient) = (vec![0.0; k], vec![0.0; k], vec![0.0; k]);
    let to_beat = task.to_beat / (2.0 * task.w.len() as f64);
    for _ in 0..MOST_STEPS {
        stop.check()?;
        let mut along = direction(&inverse, &gradient, &mut step);
        if along >= 0.0 {
            reset(&mut inverse, k);
            along = direction(&inverse, &gradient, &mut step);
        }
        // Half of it is what the curvature promises.
        if value + HOPEFUL * 0.5 * along > to_beat {
            break;
        }
        let found = search(task, shape, (&x, value), (&mut step, along), &mut next, exact);
        let Some((lower, model)) = found else { break };
        let gain = value - lower;
        (value, best) = (lower, model);
        if gain < ENOUGH {
            break;
        }
        slope(task, shape, &next, value, exact, &mut next_gradient);
        for index in 0..k {
            step[index] = next[index] - x[index];
            gradient[index] = next_gradient[index] - gradient[index];
        }
        update(&mut inverse, &step, &gradient);
        x.copy_from_slice(&next);
        gradient.copy_from_slice(&next_gradient);
    }
    Ok(Some(best))
}

/// Minus the log likelihood for each value, without its constant, and the model.
fn at(
    task: Task<'_>,
    shape: Shape,
    x: &[f64],
    exact: &mut exact::Buffers,
) -> Option<(f64, Likeliest)> {
    let factors = Factors::from_row(shape, x).bounded();
    let model =
        Model { w: task.w, season: task.season, factors: &factors, has_mean: task.has_mean };
    let found = exact.evaluate(&model)?;
    let value = found.deviance(task.w.len()) / (2.0 * task.w.len() as f64);
    value.is_finite().then_some((value, Likeliest { factors, exact: found }))
}

/// The gradient, by differences forwards; backwards where there is no value ahead.
fn slope(
    task: Task<'_>,
    shape: Shape,
    x: &[f64],
    value: f64,
    exact: &mut exact::Buffers,
    gradient: &mut [f64],
) {
    let mut moved = [0.0; 4 * super::factor::MOST_LAGS];
    let moved = &mut moved[..x.len()];
    moved.copy_from_slice(x);
    for index in 0..x.len() {
        let mut difference = 0.0;
        for width in [WIDTH, -WIDTH] {
            moved[index] = x[index] + width;
            if let Some((ahead, _)) = at(task, shape, moved, exact) {
                difference = (ahead - value) / width;
                break;
            }
        }
        moved[index] = x[index];
        gradient[index] = difference;
    }
}

/// step ← −H g, no longer than it may be; its product with the gradient.
fn direction(inverse: &[f64], gradient: &[f64], step: &mut [f64]) -> f64 {
    let k = gradient.len();
    for (row, step) in step.iter_mut().enumerate() {
        let terms = inverse[row * k..(row + 1) * k].iter().zip(gradient);
        *step = -terms.map(|(a, b)| a * b).sum::<f64>();
    }
    let longest = step.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    if longest > FARTHEST {
        for value in step.iter_mut() {
            *value *= FARTHEST / longest;
        }
    }
    step.iter().zip(gradient).map(|(a, b)| a * b).sum()
}

/// Halves the step until the value falls by a share of what the gradient promises.
fn search(
    task: Task<'_>,
    shape: Shape,
    (x, value): (&[f64], f64),
    (step, mut along): (&mut [f64], f64),
    next: &mut [f64],
    exact: &mut exact::Buffers,
) -> Option<(f64, Likeliest)> {
    for _ in 0..20 {
        for ((next, x), step) in next.iter_mut().zip(x).zip(step.iter()) {
            *next = x + step;
        }
        let mut shorter = 0.5;
        if let Some((lower, model)) = at(task, shape, next, exact) {
            if lower <= value + 1e-4 * along {
                return Some((lower, model));
            }
            // The lowest point of the parabola through both ends.
            shorter = (-along / (2.0 * (lower - value - along))).clamp(0.1, 0.5);
        }
        for step in step.iter_mut() {
            *step *= shorter;
        }
        along *= shorter;
        if along > -1e-12 {
            return None;
        }
    }
    None
}

/// The update of the inverse curvature from a step and the change of the gradient over it.
fn update(inverse: &mut [f64], step: &[f64], change: &[f64]) {
    let k = step.len();
    let curvature: f64 = step.iter().zip(change).map(|(a, b)| a * b).sum();
    let lengths =
        step.iter().map(|a| a * a).sum::<f64>() * change.iter().map(|a| a * a).sum::<f64>();
    if curvature.is_nan() || curvature <= 1e-8 * lengths.sqrt() {
        return;
    }
    let mut turned = [0.0; 4 * super::factor::MOST_LAGS];
    for row in 0..k {
        turned[row] = inverse[row * k..(row + 1) * k].iter().zip(change).map(|(a, b)| a * b).sum();
    }
    let whole: f64 = turned[..k].iter().zip(change).map(|(a, b)| a * b).sum();
    let scale = (1.0 + whole / curvature) / curvature;
    for row in 0..k {
        for column in 0..k {
            inverse[row * k + column] += scale * step[row] * step[column]
                - (turned[row] * step[column] + step[row] * turned[column]) / curvature;
        }
    }
}

fn reset(inverse: &mut [f64], k: usize) {
    inverse.fill(0.0);
    for row in 0..k {
        inverse[row * k + row] = 1.0;
    }
}

/// The inverse of the curvature of the conditional sum of squares, as of `x`; of a unit matrix where
/// it has none.
fn inverse_curvature(curvature: &[f64], shape: Shape, x: &[f64], sum_squares: f64) -> Vec<f64> {
    let k = x.len();
    // Columns of D: how the coefficients move with each number of x.
    let centre: Vec<f64> = Factors::from_row(shape, x).bounded().row().collect();
    let mut moved = x.to_vec();
    let mut turns = Vec::with_capacity(k * k);
    for index in 0..k {
        moved[index] = x[index] + WIDTH;
        let ahead = Factors::from_row(shape, &moved).bounded();
        turns.extend(ahead.row().zip(&centre).map(|(ahead, here)| (ahead - here) / WIDTH));
        moved[index] = x[index];
    }
    let mut matrix = vec![0.0; k * k];
    for row in 0..k {
        for column in 0..k {
            let mut sum = 0.0;
            for a in 0..k {
                for b in 0..k {
                    sum += turns[row * k + a] * curvature[a * k + b] * turns[column * k + b];
                }
            }
            matrix[row * k + column] = sum / sum_squares.max(f64::MIN_POSITIVE);
        }
    }
    for row in 0..k {
        matrix[row * k + row] = matrix[row * k + row] * (1.0 + 1e-4) + 1e-3;
    }
    let mut inverse = vec![0.0; k * k];
    reset(&mut inverse, k);
    for column in 0..k {
        let mut work = matrix.clone();
        let mut unit = vec![0.0; k];
        unit[column] = 1.0;
        if !super::solve_symmetric(&mut work, &mut unit) {
            reset(&mut inverse, k);
            return inverse;
        }
        for row in 0..k {
            inverse[row * k + column] = unit[row];
        }
    }
    inverse
}
