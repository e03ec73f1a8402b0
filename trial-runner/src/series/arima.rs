//! Seasonal ARIMA(p,d,q)(P,D,Q)ₘ with orders that are given one by one or chosen from the series.
//!
//! Box & Jenkins (1970); Hyndman & Khandakar (2008) for the choice. Read next: `arima/differences.rs` (d
//! and D), `arima/search.rs` (the other orders), `arima/exact.rs` (the likelihood). Deviations: orders
//! too long for the series are lowered; no regressors; no Box-Cox transformation.

mod conditional;
mod differences;
mod exact;
mod factor;
mod filter;
mod likeliest;
mod search;

use serde::{Deserialize, Serialize};

use crate::stop::Stop;
use crate::trainer::FitError;
use factor::{Factors, MOST_LAGS, Shape};
use search::{Bounds, Chosen, Search};

/// The orders; each that is left out is chosen from the series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// p, the autoregressive order.
    pub(crate) ar: Option<usize>,
    /// d, the differences.
    pub(crate) differences: Option<usize>,
    /// q, the moving-average order.
    pub(crate) ma: Option<usize>,
    /// P.
    pub(crate) seasonal_ar: Option<usize>,
    /// D.
    pub(crate) seasonal_differences: Option<usize>,
    /// Q.
    pub(crate) seasonal_ma: Option<usize>,
}

/// A model, and as much of its series as it needs to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fitted {
    /// p, d, q, P, D, Q.
    orders: [u16; 6],
    season: u32,
    /// Of the factors, in the order p, q, P, Q.
    coefficients: Vec<f64>,
    /// What is added at each step.
    intercept: f64,
    /// The last values, oldest first: as many as the longest lag of the differenced autoregression.
    values: Vec<f64>,
    /// The last errors, oldest first: as many as the longest moving-average lag.
    errors: Vec<f64>,
}

/// Above this length, or above [`LONG_SEASON`], candidates are compared by conditional fits, as in R.
const LONG: usize = 150;
const LONG_SEASON: usize = 12;
/// The most differences that may be asked for.
const MOST_DIFFERENCES: usize = 3;

/// Fits a model.
pub(crate) fn fit(
    y: &[f64],
    season: usize,
    settings: &Settings,
    stop: &Stop,
) -> Result<Fitted, FitError> {
    stop.check()?;
    let Some(&last) = y.last() else {
        return Err(FitError::Failed("the series has no values".to_owned()));
    };
    let scale = y.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    if y.iter().all(|value| *value == last) || !scale.is_finite() {
        return Ok(Fitted::flat(last));
    }
    let scaled: Vec<f64> = y.iter().map(|value| value / scale).collect();
    // A season that does not come twice cannot be told from anything else.
    let season = if season > y.len() / 2 { 1 } else { season.max(1) };
    let seasonal_differences = match settings.seasonal_differences {
        _ if season == 1 => 0,
        Some(given) => given.min(MOST_DIFFERENCES).min((y.len() - 2) / season),
        None => differences::seasonal(&scaled, season, stop)?,
    };
    let seasonal = differences::difference(&scaled, season, seasonal_differences);
    let most = seasonal.len().saturating_sub(2).min(MOST_DIFFERENCES);
    let n_differences = match settings.differences {
        Some(given) => given.min(most),
        None => differences::ordinary(&seasonal).min(most),
    };
    let w = differences::difference(&seasonal, 1, n_differences);
    let allows_constant = n_differences + seasonal_differences <= 1;
    let bounds = bounds(settings, y.len(), season, (w.len(), allows_constant));
    let chosen = if differences::is_constant(&w) {
        let intercept = if allows_constant { w[0] } else { 0.0 };
        Chosen { factors: Factors::default(), intercept, errors: Vec::new() }
    } else {
        Search::new(&w, season, bounds, stop).run()?
    };
    Ok(Fitted::of(y, scale, season, [n_differences, seasonal_differences], &chosen))
}

/// The orders to search among.
fn bounds(
    settings: &Settings,
    n: usize,
    season: usize,
    (n_left, allows_constant): (usize, bool),
) -> Bounds {
    let mut most = Shape { ar: 5.min(n / 3), ma: 5.min(n / 3), seasonal_ar: 0, seasonal_ma: 0 };
    if season > 1 {
        most.ar = most.ar.min(season - 1);
        most.ma = most.ma.min(season - 1);
        most.seasonal_ar = 2.min(n / 3 / season);
        most.seasonal_ma = most.seasonal_ar;
    }
    let mut least = Shape::default();
    let given = |order: Option<usize>, least: &mut usize, most: &mut usize| {
        if let Some(order) = order {
            *least = order.min(MOST_LAGS);
            *most = *least;
        }
    };
    given(settings.ar, &mut least.ar, &mut most.ar);
    given(settings.ma, &mut least.ma, &mut most.ma);
    if season > 1 {
        given(settings.seasonal_ar, &mut least.seasonal_ar, &mut most.seasonal_ar);
        given(settings.seasonal_ma, &mut least.seasonal_ma, &mut most.seasonal_ma);
    }
    // What is asked for has to leave values to learn it from.
    let is_too_long = |shape: &Shape| {
        let span = shape.ar_span(season).max(shape.ma_span(season));
        span + shape.n_coefficients() + 2 + usize::from(allows_constant) >= n_left
    };
    while least != Shape::default() && is_too_long(&least) {
        let Shape { ar, ma, seasonal_ar, seasonal_ma } = &mut least;
        let longest = if *seasonal_ar + *seasonal_ma > 0 {
            if *seasonal_ar >= *seasonal_ma { seasonal_ar } else { seasonal_ma }
        } else if *ar >= *ma {
            ar
        } else {
            ma
        };
        *longest -= 1;
    }
    let lowered = |order: Option<usize>, least: usize, most: usize| {
        if order.is_some() { least } else { most }
    };
    most.ar = lowered(settings.ar, least.ar, most.ar);
    most.ma = lowered(settings.ma, least.ma, most.ma);
    if season > 1 {
        most.seasonal_ar = lowered(settings.seasonal_ar, least.seasonal_ar, most.seasonal_ar);
        most.seasonal_ma = lowered(settings.seasonal_ma, least.seasonal_ma, most.seasonal_ma);
    }
    Bounds { least, most, allows_constant, is_exact: n <= LONG && season <= LONG_SEASON }
}

/// Solves a symmetric system in place by Cholesky's factors; whether the matrix, of which it reads the
/// lower triangle, is positive definite.
fn solve_symmetric(matrix: &mut [f64], x: &mut [f64]) -> bool {
    let k = x.len();
    for row in 0..k {
        for column in 0..=row {
            let mut sum = matrix[row * k + column];
            for inner in 0..column {
                sum -= matrix[row * k + inner] * matrix[column * k + inner];
            }
            if row > column {
                matrix[row * k + column] = sum / matrix[column * k + column];
            } else if sum > 0.0 && sum.is_finite() {
                matrix[row * k + row] = sum.sqrt();
            } else {
                return false;
            }
        }
    }
    for row in 0..k {
        for inner in 0..row {
            x[row] -= matrix[row * k + inner] * x[inner];
        }
        x[row] /= matrix[row * k + row];
    }
    for row in (0..k).rev() {
        for inner in row + 1..k {
            x[row] -= matrix[inner * k + row] * x[inner];
        }
        x[row] /= matrix[row * k + row];
    }
    x.iter().all(|value| value.is_finite())
}

impl Fitted {
    /// The same value for ever.
    fn flat(value: f64) -> Self {
        Self {
            orders: [0; 6],
            season: 1,
            coefficients: Vec::new(),
            intercept: value,
            values: Vec::new(),
            errors: Vec::new(),
        }
    }

    fn of(y: &[f64], scale: f64, season: usize, [d, seasonal_d]: [usize; 2], model: &Chosen) -> Self {
        let shape = model.factors.shape();
        let n_values = shape.ar_span(season) + d + seasonal_d * season;
        let bounded = |value: f64| (value * scale).clamp(f64::MIN, f64::MAX);
        let orders = [shape.ar, d, shape.ma, shape.seasonal_ar, seasonal_d, shape.seasonal_ma];
        Self {
            orders: orders.map(|order| order as u16),
            season: u32::try_from(season).unwrap_or(1),
            coefficients: model.factors.row().collect(),
            intercept: bounded(model.intercept),
            values: y[y.len() - n_values.min(y.len())..].to_vec(),
            errors: model.errors.iter().map(|error| bounded(*error)).collect(),
        }
    }

    fn shape(&self) -> Shape {
        let [ar, _, ma, seasonal_ar, _, seasonal_ma] = self.orders.map(usize::from);
        Shape { ar, ma, seasonal_ar, seasonal_ma }
    }

    /// The steps that follow the series.
    pub(crate) fn forecast(&self, n_ahead: usize) -> Vec<f64> {
        if !self.is_sound() {
            return vec![0.0; n_ahead];
        }
        let (shape, season) = (self.shape(), self.season as usize);
        let factors = Factors::from_row(shape, &self.coefficients);
        let (n_values, n_errors) = (self.values.len(), self.errors.len());
        let (ar, ma) = self.polynomials(&factors);
        let numbers = self.values.iter().chain(&self.errors).chain([&self.intercept]);
        let scale = numbers.fold(f64::MIN_POSITIVE, |most, value| most.max(value.abs()));
        let mut path: Vec<f64> = self.values.iter().map(|value| value / scale).collect();
        path.reserve(n_ahead);
        debug_assert!(season > 0 && ar.len() == n_values && ma.len() == n_errors);
        for step in 0..n_ahead {
            let past = path[path.len() - n_values..].iter().rev();
            let mut value = self.intercept / scale + ar.iter().zip(past).map(|(c, y)| c * y).sum::<f64>();
            let errors = self.errors.iter().rev().zip(ma.get(step..).unwrap_or(&[]));
            value += errors.map(|(error, c)| c * (error / scale)).sum::<f64>();
            if !value.is_finite() {
                value = path.last().copied().unwrap_or(0.0);
            }
            path.push(value);
        }
        path.drain(..n_values);
        path.iter().map(|value| (value * scale).clamp(f64::MIN, f64::MAX)).collect()
    }

    /// The differenced autoregression as yₜ = Σ cⱼ yₜ₋ⱼ, and the moving average as Σ cⱼ eₜ₋ⱼ.
    fn polynomials(&self, factors: &Factors) -> (Vec<f64>, Vec<f64>) {
        let season = self.season as usize;
        let shape = factors.shape();
        let mut ar = vec![0.0; shape.ar_span(season)];
        factor::expand(factors.ar.as_slice(), factors.seasonal_ar.as_slice(), season, &mut ar);
        let mut lags = vec![-1.0];
        lags.extend(ar);
        for (times, step) in [(self.orders[1], 1), (self.orders[4], season)] {
            for _ in 0..times {
                lags.resize(lags.len() + step, 0.0);
                for lag in (step..lags.len()).rev() {
                    lags[lag] -= lags[lag - step];
                }
            }
        }
        let mut ma = vec![0.0; shape.ma_span(season)];
        let (own, seasonal) = (factors.ma.negated(), factors.seasonal_ma.negated());
        factor::expand(own.as_slice(), seasonal.as_slice(), season, &mut ma);
        for value in &mut ma {
            *value = -*value;
        }
        (lags.split_off(1), ma)
    }

    /// Whether stored numbers make a forecast.
    pub(crate) fn is_sound(&self) -> bool {
        let [p, d, q, seasonal_p, seasonal_d, seasonal_q] = self.orders.map(u64::from);
        let season = u64::from(self.season);
        let orders = [p, q, seasonal_p, seasonal_q];
        let known = orders.iter().all(|order| *order <= MOST_LAGS as u64)
            && d.max(seasonal_d) <= MOST_DIFFERENCES as u64
            && season > 0;
        let n_values = p + d + season * (seasonal_p + seasonal_d);
        let numbers = self.values.iter().chain(&self.errors).chain(&self.coefficients);
        known
            && self.values.len() as u64 == n_values
            && self.errors.len() as u64 == q + season * seasonal_q
            && self.coefficients.len() as u64 == orders.iter().sum::<u64>()
            && self.intercept.is_finite()
            && numbers.into_iter().all(|value| value.is_finite())
    }
}
impl Fitted { pub(crate) fn label(&self) -> String { let o=self.orders; format!("{}|{}|{}|{}|{}|{}|{}", o[0],o[2],o[3],o[5],self.season,o[1],o[4]) } }
