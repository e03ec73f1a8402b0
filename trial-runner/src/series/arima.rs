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
#[cfg(test)]
mod textbook;

use serde::{Deserialize, Serialize};

use crate::series::{growth, scaled};
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
/// Shorter series that are not differenced have a level.
const FEWEST_WITHOUT_LEVEL: usize = 10;
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
    let (scaled, scale) = scaled(y);
    if y.iter().all(|value| *value == last) || !scale.is_finite() {
        return Ok(Fitted::flat(last));
    }
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
    let mut bounds = bounds(settings, y.len(), season, (w.len(), allows_constant));
    // AICc makes a level dear where there are few values, and without one all that is left is 0.
    bounds.allows_none =
        n_differences + seasonal_differences > 0 || w.len() >= FEWEST_WITHOUT_LEVEL;
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
    let is_exact = n <= LONG && season <= LONG_SEASON;
    Bounds { least, most, allows_constant, allows_none: true, is_exact }
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

    fn of(
        y: &[f64],
        scale: f64,
        season: usize,
        [d, seasonal_d]: [usize; 2],
        model: &Chosen,
    ) -> Self {
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
            let mut value =
                self.intercept / scale + ar.iter().zip(past).map(|(c, y)| c * y).sum::<f64>();
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

    /// The sizes of errors so many steps ahead, in units of one step's (Box & Jenkins, 5.1.1).
    pub(crate) fn growth(&self, n_ahead: usize) -> Vec<f64> {
        if !self.is_sound() {
            return Vec::new();
        }
        let (ar, ma) = self.polynomials(&Factors::from_row(self.shape(), &self.coefficients));
        let mut weights: Vec<f64> = vec![1.0];
        while weights.len() < n_ahead {
            let past = weights.iter().rev().zip(&ar).map(|(weight, c)| c * weight);
            let own = ma.get(weights.len() - 1).copied().unwrap_or(0.0);
            weights.push(own + past.sum::<f64>());
        }
        growth(weights.into_iter().skip(1), n_ahead)
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
#[cfg(test)]
mod tests {
    use super::*;

    fn given(p: usize, d: usize, q: usize, seasonal: [usize; 3]) -> Settings {
        let [seasonal_ar, seasonal_differences, seasonal_ma] = seasonal.map(Some);
        Settings {
            ar: Some(p),
            differences: Some(d),
            ma: Some(q),
            seasonal_ar,
            seasonal_differences,
            seasonal_ma,
        }
    }

    fn fitted(y: &[f64], season: usize, settings: &Settings) -> Fitted {
        let fitted = fit(y, season, settings, &Stop::default()).unwrap();
        assert!(fitted.is_sound(), "{fitted:?}");
        assert_eq!(fit(y, season, settings, &Stop::default()).unwrap(), fitted);
        fitted
    }

    fn check(ours: &[f64], expected: &[f64], tolerance: f64) {
        for (ours, expected) in ours.iter().zip(expected) {
            assert!((ours - expected).abs() < tolerance, "{ours}, not {expected}");
        }
    }

    #[test]
    fn given_orders_are_fitted_as_r_and_statsmodels_fit_them() {
        // R 4: arima(log(AirPassengers), c(0, 1, 1), c(0, 1, 1)); forecasts of statsmodels 0.15.
        let airline = fitted(&textbook::log_passengers(), 12, &given(0, 1, 1, [0, 1, 1]));
        check(&airline.coefficients, &[-0.4018, -0.5569], 1e-4);
        let ahead = airline.forecast(15);
        check(&ahead[..3], &[6.110_186_2, 6.053_774_5, 6.171_711_0], 1e-5);
        check(&ahead[14..], &[6.267_959_4], 1e-5);
        // R 4: arima(lh, c(3, 0, 0)), arima(lh, c(1, 0, 1)); forecasts of statsmodels 0.15.
        let third = fitted(&textbook::HORMONE, 1, &given(3, 0, 0, [0; 3]));
        check(&third.coefficients, &[0.6448, -0.0634, -0.2198], 1e-4);
        check(&third.forecast(3), &[2.460_18, 2.270_84, 2.198_62], 1e-4);
        let mixed = fitted(&textbook::HORMONE, 1, &given(1, 0, 1, [0; 3]));
        check(&mixed.coefficients, &[0.4522, 0.1982], 1e-4);
        check(&mixed.forecast(3), &[2.679_62, 2.531_96, 2.465_19], 1e-4);
        // R 4: arima(WWWusage, c(3, 1, 0)).
        let users = fitted(&textbook::users(), 1, &given(3, 1, 0, [0; 3]));
        check(&users.coefficients, &[1.1513, -0.6612, 0.3407], 1e-3);
    }

    #[test]
    fn orders_are_chosen_as_auto_arima_chooses_them() {
        // R's forecast 8: auto.arima(log(AirPassengers)), auto.arima(WWWusage).
        let airline = fitted(&textbook::log_passengers(), 12, &Settings::default());
        assert_eq!(airline.orders, [0, 1, 1, 0, 1, 1]);
        let users = fitted(&textbook::users(), 1, &Settings::default());
        assert_eq!(users.orders, [1, 1, 1, 0, 0, 0]);
        check(&users.coefficients, &[0.6504, 0.5256], 1e-3);
    }

    #[test]
    fn an_order_that_is_given_is_kept_while_others_are_chosen() {
        let y = textbook::log_passengers();
        for (p, q, seasonal_ar) in [(3, 0, 0), (0, 2, 1), (1, 1, 2)] {
            let settings = Settings {
                ar: Some(p),
                ma: Some(q),
                seasonal_ar: Some(seasonal_ar),
                ..Settings::default()
            };
            let [ar, _, ma, own, ..] = fitted(&y, 12, &settings).orders.map(usize::from);
            assert_eq!([ar, ma, own], [p, q, seasonal_ar]);
        }
    }

    #[test]
    fn long_series_and_long_seasons_are_fitted_too() {
        let wave = |t: usize| (t as f64 * std::f64::consts::TAU / 24.0).sin();
        let noise = |t: usize| ((t * 7919 + 13) % 1009) as f64 / 1009.0;
        let y: Vec<f64> = (0..700).map(|t| 50.0 + 10.0 * wave(t) + noise(t)).collect();
        let ahead = fitted(&y, 24, &Settings::default()).forecast(48);
        for (step, value) in ahead.iter().enumerate() {
            assert!((value - 50.5 - 10.0 * wave(700 + step)).abs() < 1.5, "{step}: {value}");
        }
        let weekly: Vec<f64> = (0..800).map(|t| (t % 168) as f64 + noise(t)).collect();
        let ahead = fitted(&weekly, 168, &given(1, 0, 0, [0, 1, 1])).forecast(200);
        assert!((ahead[10] - ((800 + 10) % 168) as f64 - 0.5).abs() < 1.5);
    }

    #[test]
    fn any_series_has_finite_forecasts() {
        let jump: Vec<f64> = (0..60).map(|t| if t < 30 { 0.0 } else { 1e300 }).collect();
        let turns: Vec<f64> =
            (0..50).map(|t| if t % 2 == 0 { f64::MAX } else { f64::MIN }).collect();
        let line: Vec<f64> = (0..40).map(|t| 0.1 * f64::from(t)).collect();
        let square: Vec<f64> = (0..40).map(|t| f64::from(t * t)).collect();
        let growth: Vec<f64> = (0..100).map(|t| 1.5_f64.powi(t)).collect();
        let tiny: Vec<f64> = (0..30).map(|t| f64::from(t % 5) * 5e-324).collect();
        let spike: Vec<f64> = (0..200).map(|t| f64::from(u8::from(t == 100))).collect();
        let short = [3.0, 1.0, 2.0, 5.0, 4.0];
        for y in [&[7.0][..], &[0.0; 30], &short[..2], &short[..3], &short, &jump, &turns, &line]
            .into_iter()
            .chain([&square[..], &growth, &tiny, &spike, &[1e300, 1e300, 1e300, -1e300]])
        {
            for season in [1, 4, 12, usize::MAX] {
                for settings in
                    [Settings::default(), given(10, 3, 10, [4, 2, 4]), given(2, 0, 1, [1; 3])]
                {
                    let ahead = fitted(y, season, &settings).forecast(30);
                    assert_eq!(ahead.len(), 30);
                    assert!(
                        ahead.iter().all(|value| value.is_finite()),
                        "{season} {settings:?} {y:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_few_values_have_a_level() {
        for y in [[10.0, 30.0, 20.0, 60.0], [1.0, 2.0, 9.0, 12.0], [3.0, 8.0, 5.0, 9.0]] {
            let ahead = fitted(&y, 1, &Settings::default()).forecast(3);
            let within = y.iter().copied().fold(f64::INFINITY, f64::min)..100.0;
            assert!(ahead.iter().all(|value| within.contains(value)), "{y:?} {ahead:?}");
        }
    }

    #[test]
    fn straight_lines_go_on_straight() {
        let line: Vec<f64> = (0..40).map(|t| 3.0 - 0.5 * f64::from(t)).collect();
        check(&fitted(&line, 1, &Settings::default()).forecast(3), &[-17.0, -17.5, -18.0], 1e-9);
        check(&fitted(&[5.0; 9], 4, &Settings::default()).forecast(3), &[5.0; 3], 1e-12);
    }

    #[test]
    fn forged_models_are_not_sound_and_do_no_harm() {
        let sound = fitted(&textbook::log_passengers(), 12, &given(1, 1, 1, [0, 1, 1]));
        let forgeries: [fn(&mut Fitted); 7] = [
            |forged| forged.season = u32::MAX,
            |forged| forged.season = 0,
            |forged| forged.orders = [u16::MAX; 6],
            |forged| forged.orders[1] = 4,
            |forged| forged.values.clear(),
            |forged| forged.errors.push(1.0),
            |forged| forged.coefficients[0] = f64::NAN,
        ];
        for forge in forgeries {
            let mut forged = sound.clone();
            forge(&mut forged);
            assert!(!forged.is_sound(), "{forged:?}");
            assert_eq!(forged.forecast(3).len(), 3);
        }
        let explosive = Fitted { coefficients: vec![1e300, -1e300, 1e300], ..sound };
        assert!(explosive.forecast(500).iter().all(|value| value.is_finite()));
    }

    #[test]
    fn a_fit_stops_when_it_is_told_to() {
        let stop = Stop::default();
        stop.cancel();
        let stopped = fit(&textbook::HORMONE, 1, &Settings::default(), &stop);
        assert_eq!(stopped, Err(FitError::Stopped(crate::stop::Stopped::Cancelled)));
    }
}
