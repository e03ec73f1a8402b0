//! Least squares conditional on the first values: quick, and the start of the exact fit.
//!
//! Residuals begin after the longest autoregressive lag with errors of 0 before (Box & Jenkins; R's
//! `arima(method = "CSS")`). Their derivatives are filtered series too, so Levenberg and Marquardt's
//! steps (1963) replace a general minimiser. A step that leaves the stationary and invertible region
//! is shortened like one that does not lower the sum.

use super::factor::{Factors, Shape};
use super::filter;
use crate::model::products::dot;
use crate::stop::{Stop, Stopped};

/// The most steps of one fit.
const MOST_STEPS: usize = 50;
/// A share of the sum of squares that is not worth another step.
const ENOUGH: f64 = 1e-8;

/// A fit that is conditional on the first values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditional {
    pub(super) factors: Factors,
    /// What is added at each step, beside the autoregression; 0 without a constant.
    pub(super) intercept: f64,
    pub(super) sum_squares: f64,
    pub(super) n_residuals: usize,
}

/// Buffers that every fit uses anew.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    residuals: Vec<f64>,
    columns: Vec<f64>,
    series: Vec<f64>,
    seasonal: Vec<f64>,
    lanes: Vec<[f64; 4]>,
    gram: Vec<f64>,
    damped: Vec<f64>,
    gradient: Vec<f64>,
    step: Vec<f64>,
}

impl Buffers {
    /// The residuals after the first `ar_span` values, into `residuals`; their sum of squares.
    fn residuals(&mut self, w: &[f64], season: usize, factors: &Factors, intercept: f64) -> f64 {
        let skipped = factors.shape().ar_span(season);
        self.series.clear();
        self.series.extend_from_slice(w);
        filter::apply(&factors.seasonal_ar, season, &mut self.series);
        filter::apply(&factors.ar, 1, &mut self.series);
        self.residuals.clear();
        self.residuals.extend(self.series[skipped..].iter().map(|value| value - intercept));
        filter::invert(&factors.seasonal_ma, season, &mut self.residuals);
        filter::invert(&factors.ma, 1, &mut self.residuals);
        dot(&self.residuals, &self.residuals)
    }

    /// The last residuals of a model, oldest first.
    pub(super) fn last_residuals(
        &mut self,
        w: &[f64],
        season: usize,
        fit: &Conditional,
    ) -> Vec<f64> {
        self.residuals(w, season, &fit.factors, fit.intercept);
        let span = fit.factors.shape().ma_span(season);
        let n = self.residuals.len();
        let mut last = vec![0.0; span.saturating_sub(n)];
        last.extend_from_slice(&self.residuals[n.saturating_sub(span)..]);
        last
    }

    /// The derivatives of the residuals, a column for each coefficient and one for the intercept.
    fn derivatives(&mut self, w: &[f64], season: usize, factors: &Factors, has_mean: bool) {
        let shape = factors.shape();
        let n = self.residuals.len();
        let skipped = w.len() - n;
        self.columns.clear();
        self.seasonal.clear();
        self.seasonal.extend_from_slice(w);
        filter::apply(&factors.ar, 1, &mut self.seasonal);
        self.series.clear();
        self.series.extend_from_slice(w);
        filter::apply(&factors.seasonal_ar, season, &mut self.series);
        // Abreast: the first lag, the first seasonal lag, an impulse and the constant.
        self.lanes.clear();
        self.lanes.resize(n, [0.0, 0.0, 0.0, -1.0]);
        self.lanes[0][2] = 1.0;
        if shape.ar > 0 {
            fill(&mut self.lanes, 0, &self.series[skipped - 1..]);
        }
        if shape.seasonal_ar > 0 {
            fill(&mut self.lanes, 1, &self.seasonal[skipped - season..]);
        }
        whiten(factors, season, &mut self.lanes);
        if shape.ar > 0 {
            self.columns.extend(self.lanes.iter().map(|lanes| lanes[0]));
        }
        for lag in 2..=shape.ar {
            // The column of the lag before, one step later, and the response to one value more.
            let before = self.columns.len() - n;
            let first = -self.series[skipped - lag];
            self.columns.push(first);
            for t in 1..n {
                let later = self.columns[before + t - 1];
                self.columns.push(later + first * self.lanes[t][2]);
            }
        }
        self.series.clear();
        self.series.extend_from_slice(&self.residuals);
        filter::invert(&factors.ma, 1, &mut self.series);
        push_shifted(&mut self.columns, &self.series, 1, shape.ma);
        if shape.seasonal_ar > 0 {
            self.columns.extend(self.lanes.iter().map(|lanes| lanes[1]));
        }
        let intercept = self.columns.len();
        if has_mean {
            self.columns.extend(self.lanes.iter().map(|lanes| lanes[3]));
        }
        for lag in 2..=shape.seasonal_ar {
            fill(&mut self.lanes, 0, &self.seasonal[skipped - lag * season..]);
            whiten(factors, season, &mut self.lanes);
            self.columns.extend(self.lanes.iter().map(|lanes| lanes[0]));
        }
        if shape.seasonal_ma > 0 {
            self.series.clear();
            self.series.extend_from_slice(&self.residuals);
            filter::invert(&factors.seasonal_ma, season, &mut self.series);
            push_shifted(&mut self.columns, &self.series, season, shape.seasonal_ma);
        }
        if has_mean {
            self.columns[intercept..].rotate_left(n);
        }
    }

    /// JᵀJ into `gram` and Jᵀe into `gradient`.
    fn normal_equations(&mut self, k: usize) {
        let n = self.residuals.len();
        self.gram.clear();
        self.gram.resize(k * k, 0.0);
        self.gradient.clear();
        for row in 0..k {
            let own = &self.columns[row * n..(row + 1) * n];
            for column in 0..=row {
                let sum = dot(own, &self.columns[column * n..(column + 1) * n]);
                self.gram[row * k + column] = sum;
                self.gram[column * k + row] = sum;
            }
            self.gradient.push(dot(own, &self.residuals));
        }
    }

    /// The matrix of squared derivatives of the coefficients at a model, a row after the other: near
    /// the curvature of half the sum of squares.
    pub(super) fn curvature(&mut self, w: &[f64], season: usize, factors: &Factors) -> &[f64] {
        self.residuals(w, season, factors, 0.0);
        self.derivatives(w, season, factors, false);
        self.normal_equations(factors.shape().n_coefficients());
        &self.gram
    }

    /// Fits the coefficients of a shape, from a start that is inside the region.
    pub(super) fn fit(
        &mut self,
        w: &[f64],
        season: usize,
        (start, intercept): (Factors, Option<f64>),
        stop: &Stop,
    ) -> Result<Option<Conditional>, Stopped> {
        let shape = start.shape();
        let skipped = shape.ar_span(season);
        let k = shape.n_coefficients() + usize::from(intercept.is_some());
        if w.len() <= skipped + k {
            return Ok(None);
        }
        let mut best = Conditional {
            factors: start,
            intercept: intercept.unwrap_or(0.0),
            sum_squares: 0.0,
            n_residuals: w.len() - skipped,
        };
        best.sum_squares = self.residuals(w, season, &start, best.intercept);
        let mut damping = 1e-3;
        for _ in 0..MOST_STEPS {
            stop.check()?;
            if k == 0 || best.sum_squares <= 0.0 || !best.sum_squares.is_finite() {
                break;
            }
            self.derivatives(w, season, &best.factors, intercept.is_some());
            self.normal_equations(k);
            let before = best.sum_squares;
            if !self.improve(w, season, intercept.is_some(), &mut best, &mut damping) {
                break;
            }
            if before - best.sum_squares <= ENOUGH * before {
                break;
            }
        }
        Ok(best.sum_squares.is_finite().then_some(best))
    }

    /// One step, with more damping until it lowers the sum; whether one did.
    fn improve(
        &mut self,
        w: &[f64],
        season: usize,
        has_mean: bool,
        best: &mut Conditional,
        damping: &mut f64,
    ) -> bool {
        let shape = best.factors.shape();
        let k = self.gradient.len();
        while *damping < 1e8 {
            self.damped.clone_from(&self.gram);
            for row in 0..k {
                let own = &mut self.damped[row * k + row];
                *own += *damping * *own + f64::MIN_POSITIVE;
            }
            self.step.clear();
            self.step.extend(self.gradient.iter().map(|value| -value));
            if super::solve_symmetric(&mut self.damped, &mut self.step) {
                let (factors, intercept) = moved(shape, best, &self.step, has_mean);
                if factors.is_inside(1.0) {
                    let sum_squares = self.residuals(w, season, &factors, intercept);
                    if sum_squares < best.sum_squares {
                        *best = Conditional { factors, intercept, sum_squares, ..*best };
                        *damping = (*damping * 0.1).max(1e-9);
                        return true;
                    }
                }
            }
            *damping *= 8.0;
        }
        false
    }
}

/// A lane ← −values.
fn fill(lanes: &mut [[f64; 4]], lane: usize, values: &[f64]) {
    for (lanes, value) in lanes.iter_mut().zip(values) {
        lanes[lane] = -value;
    }
}

/// The moving averages taken out.
fn whiten(factors: &Factors, season: usize, lanes: &mut [[f64; 4]]) {
    filter::invert(&factors.seasonal_ma, season, lanes);
    filter::invert(&factors.ma, 1, lanes);
}

/// Pushes −values for each lag, that many steps later.
fn push_shifted(columns: &mut Vec<f64>, values: &[f64], step: usize, n_lags: usize) {
    for lag in 1..=n_lags {
        let shift = (lag * step).min(values.len());
        columns.resize(columns.len() + shift, 0.0);
        columns.extend(values[..values.len() - shift].iter().map(|value| -value));
    }
}

/// The model a step away.
fn moved(shape: Shape, from: &Conditional, step: &[f64], has_mean: bool) -> (Factors, f64) {
    let mut row = [0.0; 4 * super::factor::MOST_LAGS];
    for ((place, value), change) in row.iter_mut().zip(from.factors.row()).zip(step) {
        *place = value + change;
    }
    let change = if has_mean { step[step.len() - 1] } else { 0.0 };
    (Factors::from_row(shape, &row), from.intercept + change)
}

#[cfg(test)]
mod tests {
    use super::super::factor::Factor;
    use super::super::textbook;
    use super::*;

    #[test]
    fn the_fit_is_that_of_r() {
        // R 4: arima(lh, order = c(3, 0, 0), method = "CSS").
        let start = Factors::default().resized(Shape { ar: 3, ..Shape::default() });
        let mut buffers = Buffers::default();
        let fit = buffers.fit(&textbook::HORMONE, 1, (start, Some(0.0)), &Stop::default());
        let fit = fit.unwrap().unwrap();
        let expected = [0.6578, -0.0658, -0.2348];
        assert!(fit.factors.row().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{fit:?}");
        let at_once = 1.0 - fit.factors.row().sum::<f64>();
        assert!((fit.intercept / at_once - 2.3918).abs() < 1e-4);
        assert!((fit.sum_squares / fit.n_residuals as f64 - 0.1905).abs() < 1e-4);
    }

    #[test]
    fn derivatives_are_differences() {
        let w: Vec<f64> =
            (0..80).map(|t| f64::from(t).sin() + f64::from(t * t % 17) / 9.0).collect();
        let shape = Shape { ar: 3, ma: 2, seasonal_ar: 2, seasonal_ma: 1 };
        let row = [0.4, -0.2, 0.1, 0.3, 0.2, 0.3, -0.1, -0.5, 0.7];
        let mut buffers = Buffers::default();
        let residuals = |buffers: &mut Buffers, row: &[f64]| {
            buffers.residuals(&w, 4, &Factors::from_row(shape, row), row[8]);
            buffers.residuals.clone()
        };
        let here = residuals(&mut buffers, &row);
        buffers.derivatives(&w, 4, &Factors::from_row(shape, &row), true);
        let columns = buffers.columns.clone();
        assert_eq!(columns.len(), here.len() * row.len());
        for (index, column) in columns.chunks_exact(here.len()).enumerate() {
            let mut moved = row;
            moved[index] += 1e-6;
            let ahead = residuals(&mut buffers, &moved);
            for ((ahead, here), slope) in ahead.iter().zip(&here).zip(column) {
                assert!(((ahead - here) / 1e-6 - slope).abs() < 1e-4, "{index}");
            }
        }
    }

    #[test]
    fn a_series_too_short_has_no_fit() {
        let start = Factors { ar: Factor::of(&[0.1, 0.1]), ..Factors::default() };
        let fit = Buffers::default().fit(&[1.0, 2.0, 4.0], 1, (start, None), &Stop::default());
        assert!(fit.unwrap().is_none());
    }
}
