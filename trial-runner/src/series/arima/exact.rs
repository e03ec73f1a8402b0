//! The exact Gaussian likelihood of a seasonal ARMA model.
//!
//! Write A w = F e + g: A and F are the filters with zeros before the start, e the errors, and g, which
//! reaches as far as the longest lag s, is what the values and errors before the start bring in. g is
//! Gaussian with covariance V (Gardner 1980 gives its recursion), so that with e⁰ = F⁻¹ A w,
//! h = (F⁻ᵀ e⁰) and K = (F⁻ᵀ F⁻¹) on the first s places and K = C Cᵀ, y = C⁻¹ h, M = I + Cᵀ V C
//!     log det = log |M|,   sum of squares = |e⁰|² − |y|² + yᵀ M⁻¹ y   (Ljung & Box 1979).
//! That costs n times the number of coefficients and s³, where the Kalman filter costs n s². A constant
//! mean enters linearly and is solved for. Nothing is allocated once the buffers have their size.

use super::factor::{Factors, expand};
use super::filter;
use crate::model::products::dot;

/// The likelihood at its best mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exact {
    /// Squared errors, over the variance of which the likelihood is.
    pub(super) sum_squares: f64,
    /// Of the covariance of the series in units of that variance.
    pub(super) log_determinant: f64,
    /// The mean; 0 where none was asked for.
    pub(super) mean: f64,
}

impl Exact {
    /// −2 log likelihood at its best variance.
    pub(super) fn deviance(&self, n: usize) -> f64 {
        let n = n as f64;
        let variance = (self.sum_squares / n).max(f64::MIN_POSITIVE);
        n * (variance.ln() + std::f64::consts::TAU.ln() + 1.0) + self.log_determinant
    }
}

/// Buffers that every evaluation uses anew.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// The series, the constant and an impulse, all whitened.
    lanes: Vec<[f64; 4]>,
    /// The same filtered backwards, the impulse at the last place that the start reaches.
    backwards: Vec<[f64; 4]>,
    impulse: Vec<f64>,
    pure: Vec<f64>,
    ar: Vec<f64>,
    ma: Vec<f64>,
    response: Vec<f64>,
    covariances: Vec<f64>,
    predictors: Vec<f64>,
    gram: Vec<f64>,
    start: Vec<f64>,
    product: Vec<f64>,
    system: Vec<f64>,
    y: Vec<f64>,
    y_constant: Vec<f64>,
    solved: Vec<f64>,
    solved_constant: Vec<f64>,
}

/// A model to evaluate on a series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model<'a> {
    pub(super) w: &'a [f64],
    pub(super) season: usize,
    pub(super) factors: &'a Factors,
    pub(super) has_mean: bool,
}

impl Buffers {
    /// The likelihood; none where the model is not stationary, or too nearly so for the arithmetic,
    /// or reaches further back than the series.
    pub(super) fn evaluate(&mut self, model: &Model<'_>) -> Option<Exact> {
        let shape = model.factors.shape();
        let (ar_span, ma_span) = (shape.ar_span(model.season), shape.ma_span(model.season));
        let s = ar_span.max(ma_span);
        if s >= model.w.len() {
            return None;
        }
        self.whiten(model);
        let log_determinant = self.fold_start(model, ar_span, ma_span)?;
        let mut products = [0.0; 4];
        for [value, constant, ..] in &self.lanes {
            products[0] += value * value;
            products[1] += value * constant;
            products[2] += constant * constant;
        }
        let squares = products[0] - dot(&self.y, &self.y) + dot(&self.solved, &self.solved);
        let (mut sum_squares, mut mean) = (squares, 0.0);
        if model.has_mean {
            let own = products[2] - dot(&self.y_constant, &self.y_constant)
                + dot(&self.solved_constant, &self.solved_constant);
            let cross = products[1] - dot(&self.y, &self.y_constant)
                + dot(&self.solved, &self.solved_constant);
            if own > 0.0 {
                mean = cross / own;
                sum_squares -= mean * cross;
            }
        }
        let exact = Exact { sum_squares: sum_squares.max(0.0), log_determinant, mean };
        (sum_squares.is_finite() && log_determinant.is_finite()).then_some(exact)
    }

    /// F⁻¹ A of the series and of the constant, and F⁻¹ of an impulse at the start.
    fn whiten(&mut self, model: &Model<'_>) {
        let Factors { ar, ma, seasonal_ar, seasonal_ma } = model.factors;
        self.lanes.clear();
        let constant = f64::from(u8::from(model.has_mean));
        self.lanes.extend(model.w.iter().map(|value| [*value, constant, 0.0, 0.0]));
        filter::apply(seasonal_ar, model.season, &mut self.lanes);
        filter::apply(ar, 1, &mut self.lanes);
        if let Some(first) = self.lanes.first_mut() {
            first[2] = 1.0;
        }
        filter::invert(seasonal_ma, model.season, &mut self.lanes);
        filter::invert(ma, 1, &mut self.lanes);
    }

    /// Prepares K, V and M, and y and M^(−1/2) y of the series and of the constant. The log determinant.
    fn fold_start(&mut self, model: &Model<'_>, ar_span: usize, ma_span: usize) -> Option<f64> {
        let s = ar_span.max(ma_span);
        self.y.clear();
        self.y_constant.clear();
        self.solved.clear();
        self.solved_constant.clear();
        if s == 0 {
            return Some(0.0);
        }
        self.expand_factors(model, ar_span, ma_span);
        self.fill_covariances(model, ar_span, ma_span)?;
        self.fill_start(ar_span, ma_span);
        self.fill_gram(model, s);
        factor(&mut self.gram, s)?;
        // M = I + U V Uᵀ with U = Cᵀ, of which the upper triangle is enough.
        self.product.clear();
        self.product.resize(s * s, 0.0);
        for (row, product) in self.product.chunks_exact_mut(s).enumerate() {
            for inner in row..s {
                add_scaled(self.gram[row * s + inner], &self.start[inner * s..][..s], product);
            }
        }
        self.system.clear();
        self.system.resize(s * s, 0.0);
        for row in 0..s {
            for column in row..s {
                let from = column * s + column;
                self.system[row * s + column] = dot(
                    &self.product[row * s + column..(row + 1) * s],
                    &self.gram[from..(column + 1) * s],
                );
            }
            self.system[row * s + row] += 1.0;
        }
        factor(&mut self.system, s)?;
        self.y.extend(self.backwards[..s].iter().map(|lanes| lanes[0]));
        solve_lower(&self.gram, &mut self.y);
        self.solved.extend_from_slice(&self.y);
        solve_lower(&self.system, &mut self.solved);
        if model.has_mean {
            self.y_constant.extend(self.backwards[..s].iter().map(|lanes| lanes[1]));
            solve_lower(&self.gram, &mut self.y_constant);
            self.solved_constant.extend_from_slice(&self.y_constant);
            solve_lower(&self.system, &mut self.solved_constant);
        }
        let diagonal = (0..s).map(|row| self.system[row * s + row].ln());
        Some(2.0 * diagonal.sum::<f64>())
    }

    /// The factors multiplied out: `ar` as 1 − Σ, `ma` as 1 + Σ.
    fn expand_factors(&mut self, model: &Model<'_>, ar_span: usize, ma_span: usize) {
        let Factors { ar, ma, seasonal_ar, seasonal_ma } = model.factors;
        self.ar.resize(ar_span, 0.0);
        self.ma.resize(ma_span, 0.0);
        expand(ar.as_slice(), seasonal_ar.as_slice(), model.season, &mut self.ar);
        let (ma, seasonal_ma) = (ma.negated(), seasonal_ma.negated());
        expand(ma.as_slice(), seasonal_ma.as_slice(), model.season, &mut self.ma);
        for value in &mut self.ma {
            *value = -*value;
        }
    }

    /// The autocovariances of the series up to the longest autoregressive lag, and in `response` the
    /// weights of its past errors up to the longest moving-average lag.
    fn fill_covariances(&mut self, model: &Model<'_>, p: usize, q: usize) -> Option<()> {
        // ψ = θ / φ.
        self.response.clear();
        self.response.resize(q + 1, 0.0);
        self.response[0] = 1.0;
        self.response[1..].copy_from_slice(&self.ma);
        filter::invert(&model.factors.ar.negated(), 1, &mut self.response);
        filter::invert(&model.factors.seasonal_ar.negated(), model.season, &mut self.response);
        // Of the autoregressive part alone, from the predictors of every length (step-down).
        self.predictors.clear();
        self.predictors.resize(p * p, 0.0);
        if p > 0 {
            self.predictors[(p - 1) * p..].copy_from_slice(&self.ar);
        }
        let mut variance = 1.0;
        for last in (0..p).rev() {
            let (below, row) = self.predictors.split_at_mut(last * p);
            let partial = row[last];
            let left = 1.0 - partial * partial;
            if left.is_nan() || left <= 1e-13 {
                return None;
            }
            variance /= left;
            if last > 0 {
                let shorter = &mut below[(last - 1) * p..];
                for lag in 0..last {
                    shorter[lag] = (row[lag] + partial * row[last - 1 - lag]) / left;
                }
            }
        }
        let mut pure = std::mem::take(&mut self.pure);
        pure.clear();
        pure.resize(p + q + 1, 0.0);
        pure[0] = variance;
        for lag in 1..=p {
            let row = &self.predictors[(lag - 1) * p..][..lag];
            pure[lag] = row.iter().zip(pure[..lag].iter().rev()).map(|(a, b)| a * b).sum();
        }
        for lag in p + 1..=p + q {
            let terms = self.ar.iter().enumerate().map(|(back, ar)| ar * pure[lag - 1 - back]);
            pure[lag] = terms.sum();
        }
        // γ(k) = Σ θᵢ θⱼ pure(k + i − j).
        let ma = |lag: usize| if lag == 0 { 1.0 } else { self.ma[lag - 1] };
        self.covariances.clear();
        self.covariances.resize(p + 1, 0.0);
        for apart in 0..=q {
            let weight: f64 = (0..=q - apart).map(|lag| ma(lag) * ma(lag + apart)).sum();
            if weight == 0.0 {
                continue;
            }
            for (lag, sum) in self.covariances.iter_mut().enumerate() {
                let other = if apart == 0 { 0.0 } else { pure[lag.abs_diff(apart)] };
                *sum += weight * (pure[lag + apart] + other);
            }
        }
        self.pure = pure;
        Some(())
    }

    /// V, the covariance of what comes from before the start: its first row from the covariances
    /// of the series, the rest by the step from one time to the next.
    fn fill_start(&mut self, p: usize, q: usize) {
        let s = p.max(q);
        self.start.clear();
        self.start.resize(s * s, 0.0);
        self.ar.resize(s, 0.0);
        self.ma.resize(s, 0.0);
        let first = &mut self.start[..s];
        for lag in 1..=s {
            let (ar, ma) = (self.ar[lag - 1], self.ma[lag - 1]);
            for (column, value) in first[..lag].iter_mut().enumerate() {
                if ar != 0.0 {
                    *value += ar * self.covariances[lag - column];
                }
                if ma != 0.0 {
                    *value += ma * self.response[lag - column];
                }
            }
        }
        let corner = self.start[0];
        for row in (1..s).rev() {
            for column in (row..s).rev() {
                let (a, b) = (self.ar[row], self.ar[column]);
                let mut value = (a + self.ma[row]) * (b + self.ma[column]) + a * b * corner;
                if column + 1 < s {
                    value += a * self.start[column + 1] + self.start[(row + 1) * s + column + 1];
                }
                if row + 1 < s {
                    value += b * self.start[row + 1];
                }
                self.start[row * s + column] = value;
            }
        }
        for row in 1..s {
            for column in 0..row {
                self.start[row * s + column] = self.start[column * s + row];
            }
        }
    }

    /// The upper triangle of K, from its last column and the impulse response of F⁻¹.
    fn fill_gram(&mut self, model: &Model<'_>, s: usize) {
        let n = model.w.len();
        let Factors { ma, seasonal_ma, .. } = model.factors;
        self.impulse.clear();
        self.impulse.extend(self.lanes.iter().map(|lanes| lanes[2]));
        self.backwards.clone_from(&self.lanes);
        for (lanes, impulse) in self.backwards[s - 1..].iter_mut().zip(&self.impulse) {
            lanes[3] = *impulse;
        }
        filter::invert_backwards(ma, 1, &mut self.backwards);
        filter::invert_backwards(seasonal_ma, model.season, &mut self.backwards);
        self.gram.clear();
        self.gram.resize(s * s, 0.0);
        for row in 0..s {
            self.gram[row * s + s - 1] = self.backwards[row][3];
        }
        for row in (0..s - 1).rev() {
            let (rows, below) = self.gram.split_at_mut((row + 1) * s);
            let below = &below[row + 1..s];
            let own = self.impulse[n - 1 - row];
            let others = self.impulse[n - s + 1..n - row].iter().rev();
            for ((value, diagonal), other) in
                rows[row * s + row..].iter_mut().zip(below).zip(others)
            {
                *value = diagonal + own * other;
            }
        }
    }

    /// The expected errors at the last places, after the model was evaluated: what the start of the
    /// series brought in is taken out at its expectation, V C M⁻¹ y.
    pub(super) fn last_errors(&mut self, model: &Model<'_>, exact: &Exact) -> Vec<f64> {
        let s = self.y.len();
        let span = model.factors.shape().ma_span(model.season);
        let errors = self.lanes.iter().map(|[value, constant, ..]| value - exact.mean * constant);
        let mut errors: Vec<f64> = errors.collect();
        add_scaled(-exact.mean, &self.solved_constant, &mut self.solved);
        for row in (0..s).rev() {
            let (known, after) = (self.solved[row], &self.system[row * s + row..(row + 1) * s]);
            let rest = dot(&after[1..], &self.solved[row + 1..]);
            self.solved[row] = (known - rest) / after[0];
        }
        let mut turned = vec![0.0; s];
        for row in 0..s {
            let upper = &self.gram[row * s + row..(row + 1) * s];
            add_scaled(self.solved[row], upper, &mut turned[row..]);
        }
        let mut brought_in = vec![0.0; errors.len()];
        for (value, row) in brought_in.iter_mut().zip(self.start.chunks_exact(s.max(1))) {
            *value = dot(row, &turned);
        }
        filter::invert(&model.factors.ma, 1, &mut brought_in);
        filter::invert(&model.factors.seasonal_ma, model.season, &mut brought_in);
        add_scaled(-1.0, &brought_in, &mut errors);
        errors.split_off(errors.len() - span.min(errors.len()))
    }
}

/// sum ← sum + factor · row.
fn add_scaled(factor: f64, row: &[f64], sum: &mut [f64]) {
    for (sum, value) in sum.iter_mut().zip(row) {
        *sum += factor * value;
    }
}

/// The upper triangle of a symmetric matrix of side `s` by its factor U, with Uᵀ U the matrix; none
/// where the matrix is not positive definite.
fn factor(matrix: &mut [f64], s: usize) -> Option<()> {
    for pivot in 0..s {
        let (done, below) = matrix.split_at_mut((pivot + 1) * s);
        let row = &mut done[pivot * s + pivot..];
        let root = row[0].sqrt();
        if root.is_nan() || root <= 0.0 || root.is_infinite() {
            return None;
        }
        for value in row.iter_mut() {
            *value /= root;
        }
        for (index, target) in below.chunks_exact_mut(s).enumerate() {
            add_scaled(-row[index + 1], &row[index + 1..], &mut target[pivot + 1 + index..]);
        }
    }
    Some(())
}

/// x ← U⁻ᵀ x.
fn solve_lower(upper: &[f64], x: &mut [f64]) {
    let s = x.len();
    for row in 0..s {
        let (done, rest) = x.split_at_mut(row + 1);
        let own = &upper[row * s + row..(row + 1) * s];
        done[row] /= own[0];
        add_scaled(-done[row], &own[1..], rest);
    }
}

#[cfg(test)]
mod tests {
    use super::super::factor::Factor;
    use super::*;

    fn series() -> Vec<f64> {
        (0..60).map(|t| 3.0 * f64::from(t).sin() + f64::from(t * 7 % 11) / 4.0).collect()
    }

    fn factors(parts: [&[f64]; 4]) -> Factors {
        let [ar, ma, seasonal_ar, seasonal_ma] = parts.map(Factor::of);
        Factors { ar, ma, seasonal_ar, seasonal_ma }
    }

    #[test]
    fn deviances_are_those_of_the_whole_covariance_matrix() {
        // numpy: a Cholesky factor of the Toeplitz matrix of statsmodels' arma_acovf.
        for (parts, season, expected, mean) in [
            ([&[][..], &[], &[], &[]], 1, 270.377_891_811_080_4, Some(1.351_133_631_903_271)),
            ([&[0.5], &[], &[], &[]], 1, 259.019_383_844_078_2, Some(1.362_552_127_993_769)),
            ([&[], &[0.4], &[], &[]], 1, 264.420_126_160_132_1, None),
            (
                [&[0.5, -0.3], &[0.4, 0.2, 0.1], &[], &[]],
                1,
                239.544_284_446_180_8,
                Some(1.279_642_715_122_714),
            ),
            (
                [&[0.5], &[0.4], &[0.3], &[-0.6]],
                4,
                234.544_974_881_296_2,
                Some(1.254_915_095_435_139),
            ),
            ([&[], &[-0.7], &[], &[-0.8]], 12, 442.866_608_782_688_6, None),
            (
                [&[0.3, 0.2], &[], &[0.5, 0.1], &[0.3, 0.2]],
                5,
                286.287_140_403_062_2,
                Some(1.789_130_907_925_742),
            ),
        ] {
            let (w, factors) = (series(), factors(parts));
            let model = Model { w: &w, season, factors: &factors, has_mean: mean.is_some() };
            let mut buffers = Buffers::default();
            for _ in 0..2 {
                let exact = buffers.evaluate(&model).unwrap();
                assert!((exact.deviance(w.len()) - expected).abs() < 1e-9, "{parts:?}: {exact:?}");
                assert!((exact.mean - mean.unwrap_or(0.0)).abs() < 1e-10, "{parts:?}: {exact:?}");
            }
        }
    }

    #[test]
    fn a_model_without_a_likelihood_has_none() {
        let w = series();
        for parts in [[&[1.0][..], &[], &[], &[]], [&[0.9, 0.3], &[], &[], &[]]] {
            let factors = factors(parts);
            let model = Model { w: &w, season: 1, factors: &factors, has_mean: false };
            assert!(Buffers::default().evaluate(&model).is_none(), "{parts:?}");
        }
        let factors = factors([&[], &[], &[0.5], &[]]);
        let model = Model { w: &w, season: 60, factors: &factors, has_mean: false };
        assert!(Buffers::default().evaluate(&model).is_none());
    }

    #[test]
    fn errors_of_a_moving_average_forecast_it_best() {
        // w₁ alone tells of e₁: E[e₁ | w₁] = w₁ / (1 + θ²), and of w₂ nothing more where w₂ = θ e₁.
        let factors = factors([&[], &[0.5], &[], &[]]);
        let w = [1.0, 0.5 / 1.25];
        let model = Model { w: &w, season: 1, factors: &factors, has_mean: false };
        let mut buffers = Buffers::default();
        let exact = buffers.evaluate(&model).unwrap();
        let errors = buffers.last_errors(&model, &exact);
        assert_eq!(errors.len(), 1);
        assert!(errors[0].abs() < 1e-12, "{errors:?}");
    }
}
