//! The theta method: half a straight line, half exponential smoothing, after the season is out.
//!
//! Assimakopoulos & Nikolopoulos (2000); state equations, seasonal test and region of Fiorucci et
//! al., *Models for optimising the theta method* (2016), as in forecTheta and statsforecast.
//! Deviation: they walk with Nelder–Mead over first level, alpha and theta. For a given alpha the
//! one-step means are linear in the first level and in 1 − 1/θ, so only alpha is searched here and
//! the other two are solved for (`theta/line.rs`). Where theta is searched, large alphas are favoured.

pub(crate) mod batch;
mod line;

use serde::{Deserialize, Serialize};

use self::line::{Line, Search, Solved};
use crate::series::indices::{Season, classical};
use crate::series::{growth, scaled};
use crate::stop::{Pace, Stop, Stopped};
use crate::trainer::FitError;

/// How much curvature the second line gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Theta {
    /// This much, at least 1; the classic method has 2.
    Fixed(f64),
    /// As much as fits best.
    Optimized,
    /// As much as fits best, on one straight line or on one drawn anew at each step, whichever
    /// fits better.
    Auto,
}

/// The learner's parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    /// The curvature.
    pub theta: Theta,
    /// Whether the straight line is drawn anew at each step.
    pub dynamic: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { theta: Theta::Fixed(2.0), dynamic: false }
    }
}

/// A fitted theta model: all that a forecast needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fitted {
    /// Weight of a value on the level.
    pub alpha: f64,
    /// 1 − 1/θ: the share of the straight line.
    pub share: f64,
    /// Whether the straight line is drawn anew at each step.
    pub dynamic: bool,
    /// The level after the last value, in units of `scale`.
    pub level: f64,
    /// Intercept of the straight line, one step before the first value.
    pub intercept: f64,
    /// Slope of the straight line.
    pub slope: f64,
    /// The mean of the values.
    pub mean: f64,
    /// Values it was fitted to.
    pub n_values: u32,
    /// Whether the season scales; it is added otherwise.
    pub scaling: bool,
    /// The season, the next step's index first; empty without one.
    pub seasons: Vec<f64>,
    /// The largest magnitude of the series, by which all is divided.
    pub scale: f64,
}

/// Longest season that a stored model may have.
const LONGEST_SEASON: usize = 1 << 20;
/// The 95 % point of the normal distribution: the season is taken out beyond it.
const SIGNIFICANT: f64 = 1.644_853_626_951_472_2;
/// With fewer values nothing is searched.
const FEWEST_VALUES: usize = 6;

/// How much a search of theta favours levels that follow. A few errors hardly tell alphas apart, and
/// the first level, which is free, removes most of them where alpha is small (M3 yearly: sMAPE 17.0
/// without, 16.7 with it).
const FAVOUR: f64 = 5.0;

/// Fits the theta method.
pub(crate) fn fit(
    y: &[f64],
    season: usize,
    settings: &Settings,
    stop: &Stop,
) -> Result<Fitted, FitError> {
    stop.check()?;
    let share = settings.share()?;
    let seasonless = Seasonless::of(y, season, stop)?;
    let values = &seasonless.values;
    let mut best: Option<(bool, Solved)> = None;
    for &dynamic in settings.dynamics() {
        stop.check()?;
        let favour = if share.is_none() { FAVOUR } else { 0.0 };
        let search = Search::new(values, dynamic, (share, favour));
        let solved =
            if y.len() < FEWEST_VALUES { search.plain(values) } else { search.run(values) };
        if best.is_none_or(|(_, best)| solved.cost < best.cost) {
            best = Some((dynamic, solved));
        }
    }
    Ok(seasonless.fitted(best.unwrap_or((false, Solved::default()))))
}

impl Settings {
    /// The share of the straight line; none where it is searched.
    fn share(&self) -> Result<Option<f64>, FitError> {
        match self.theta {
            Theta::Fixed(theta) if theta >= 1.0 => Ok(Some(1.0 - 1.0 / theta)),
            Theta::Fixed(_) => {
                let reason = "theta is below 1; write a number from 1 up, such as theta: 2";
                Err(FitError::Failed(reason.to_owned()))
            }
            Theta::Optimized | Theta::Auto => Ok(None),
        }
    }

    /// Whether the line is drawn anew, for each search that is to be made.
    fn dynamics(&self) -> &'static [bool] {
        match (self.theta, self.dynamic) {
            (Theta::Auto, _) => &[false, true],
            (_, true) => &[true],
            (_, false) => &[false],
        }
    }
}

/// A series within ±1 whose season has been taken out.
#[derive(Debug)]
struct Seasonless {
    values: Vec<f64>,
    scale: f64,
    /// Whether the season scales.
    scaling: bool,
    /// The next step's index first; empty without one.
    seasons: Vec<f64>,
}

impl Seasonless {
    fn of(y: &[f64], season: usize, stop: &Stop) -> Result<Self, Stopped> {
        let (mut values, scale) = scaled(y);
        let (scaling, mut seasons) = take_season_out(&mut values, season, stop)?;
        if !seasons.is_empty() {
            let n_phases = seasons.len();
            seasons.rotate_left(y.len() % n_phases);
        }
        Ok(Self { values, scale, scaling, seasons })
    }

    /// The model of a search's end.
    fn fitted(&self, (dynamic, solved): (bool, Solved)) -> Fitted {
        let Solved { alpha, share, first, .. } = solved;
        let level = self.values.iter().fold(first, |level, value| level + alpha * (value - level));
        let Line { intercept, slope, mean } = Line::after(&self.values, dynamic);
        Fitted {
            alpha,
            share,
            dynamic,
            level,
            intercept,
            slope,
            mean,
            n_values: u32::try_from(self.values.len()).unwrap_or(u32::MAX),
            scaling: self.scaling,
            seasons: self.seasons.clone(),
            scale: self.scale,
        }
    }
}

/// Takes the season out when the series has one by the test; returns whether it scales, and its
/// indices, phase 0 first.
fn take_season_out(
    values: &mut [f64],
    season: usize,
    stop: &Stop,
) -> Result<(bool, Vec<f64>), Stopped> {
    if season < 2 || values.len() < 2 * season || !is_seasonal(values, season, stop)? {
        return Ok((false, Vec::new()));
    }
    if values.iter().all(|&value| value > 0.0)
        && let Some(indices) = classical(values, season, Season::Mul)
        && indices.iter().all(|&index| index >= 0.01)
    {
        for (value, index) in values.iter_mut().zip(indices.iter().cycle()) {
            *value /= index;
        }
        return Ok((true, indices));
    }
    let indices = classical(values, season, Season::Add).unwrap_or_default();
    for (value, index) in values.iter_mut().zip(indices.iter().cycle()) {
        *value -= index;
    }
    Ok((false, indices))
}

/// Whether the autocorrelation at the season's lag is beyond what the shorter lags explain.
fn is_seasonal(values: &[f64], season: usize, stop: &Stop) -> Result<bool, Stopped> {
    let mut pace = Pace::of(stop);
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let centred: Vec<f64> = values.iter().map(|value| value - mean).collect();
    let along = |lag: usize| -> f64 {
        centred.iter().zip(&centred[lag..]).map(|(early, late)| early * late).sum()
    };
    let variance = along(0);
    let mut below = 0.0;
    for lag in 1..season {
        pace.go(values.len())?;
        below += (along(lag) / variance).powi(2);
    }
    let limit = SIGNIFICANT * ((1.0 + 2.0 * below) / n).sqrt();
    Ok((along(season) / variance).abs() > limit)
}

impl Fitted {
    /// The next values.
    pub(crate) fn forecast(&self, n_ahead: usize) -> Vec<f64> {
        let mut line = Line { intercept: self.intercept, slope: self.slope, mean: self.mean };
        let mut level = self.level;
        let mut seasons = self.seasons.iter().cycle();
        let mut last = level;
        (0..n_ahead)
            .map(|step| {
                let n_before = f64::from(self.n_values) + step as f64;
                let next = level + self.share * line.pull(self.alpha, n_before);
                level += self.alpha * (next - level);
                if self.dynamic {
                    line = line.with(next, n_before);
                }
                let value = match seasons.next() {
                    Some(index) if self.scaling => next * index,
                    Some(index) => next + index,
                    None => next,
                };
                if !value.is_nan() {
                    last = value;
                }
                (last * self.scale).clamp(-f64::MAX, f64::MAX)
            })
            .collect()
    }

    /// The sizes of errors so many steps ahead, in units of one step's.
    pub(crate) fn growth(&self, n_ahead: usize) -> Vec<f64> {
        growth(std::iter::repeat(self.alpha), n_ahead)
    }

    /// Whether stored numbers can be forecast from.
    pub(crate) fn is_sound(&self) -> bool {
        let numbers = [self.level, self.intercept, self.slope, self.mean];
        numbers.iter().chain(&self.seasons).all(|number| number.is_finite())
            && self.alpha > 0.0
            && self.alpha <= 1.0
            && (0.0..=1.0).contains(&self.share)
            && self.scale.is_finite()
            && self.scale > 0.0
            && self.seasons.len() <= LONGEST_SEASON
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(y: &[f64], season: usize, theta: Theta, dynamic: bool) -> Fitted {
        let fitted = fit(y, season, &Settings { theta, dynamic }, &Stop::default()).unwrap();
        assert!(fitted.is_sound(), "{fitted:?}");
        fitted
    }

    /// Forecasts of statsforecast 2.1.1 (`_lib.theta.forecast`) from the same numbers.
    #[test]
    fn forecasts_agree_with_statsforecast() {
        let y: Vec<f64> =
            (0..30).map(|t| 5.0 + 0.7 * f64::from(t) + f64::from((t * t) % 11) * 0.5).collect();
        for (theta, dynamic, reference) in [
            (Theta::Fixed(2.0), false, [28.141072356, 28.495632979, 28.850193602, 29.204754225]),
            (Theta::Optimized, false, [28.412633252, 29.036039162, 29.659445071, 30.282850981]),
            (Theta::Fixed(2.0), true, [28.141072356, 28.495733866, 28.849459752, 29.201464907]),
            (Theta::Optimized, true, [28.085971038, 28.385924298, 28.684837941, 28.981968227]),
        ] {
            let forecast = fitted(&y, 1, theta, dynamic).forecast(4);
            for (forecast, reference) in forecast.iter().zip(reference) {
                assert!(
                    (forecast / reference - 1.0).abs() < 1e-6,
                    "{theta:?} {dynamic} {forecast}"
                );
            }
        }
    }

    #[test]
    fn a_season_is_taken_out_and_put_back() {
        let season = [0.6, 1.3, 1.2, 0.9];
        let y: Vec<f64> = (0..38).map(|t| 100.0 * season[t % 4]).collect();
        let scaled = fitted(&y, 4, Theta::Fixed(2.0), false);
        assert!(scaled.scaling);
        for (t, forecast) in scaled.forecast(9).into_iter().enumerate() {
            assert!((forecast - 100.0 * season[(38 + t) % 4]).abs() < 1e-9, "{forecast}");
        }
        let y: Vec<f64> = y.iter().map(|value| value - 80.0).collect();
        let added = fitted(&y, 4, Theta::Fixed(2.0), false);
        assert!(!added.scaling);
        for (t, forecast) in added.forecast(9).into_iter().enumerate() {
            assert!((forecast - (100.0 * season[(38 + t) % 4] - 80.0)).abs() < 1e-9, "{forecast}");
        }
    }

    #[test]
    fn what_does_not_repeat_has_no_season() {
        let y: Vec<f64> = (0..40).map(|t| f64::from((t * t * t + 5 * t) % 17)).collect();
        assert_eq!(fitted(&y, 4, Theta::Fixed(2.0), false).seasons, Vec::<f64>::new());
    }

    #[test]
    fn auto_takes_the_better_of_both_lines() {
        let y: Vec<f64> =
            (0..50).map(|t| f64::from((t - 25_i32).abs()) + f64::from(t % 3)).collect();
        let auto = fitted(&y, 1, Theta::Auto, false);
        let both = [false, true].map(|dynamic| fitted(&y, 1, Theta::Optimized, dynamic));
        assert!(both.contains(&auto));
    }

    #[test]
    fn hostile_series_have_finite_forecasts() {
        let mut outlier = vec![1.0; 40];
        outlier[20] = 1e300;
        let many = [
            vec![5.0],
            vec![0.0; 20],
            vec![-3.0; 7],
            vec![1.0, 2.0],
            vec![f64::MAX, f64::MIN, 0.0, f64::MAX, 1.0, 2.0, f64::MIN, f64::MAX],
            (0..30).map(|t| f64::from(t) * 1e-310).collect(),
            (0..30).map(|t| 1e300 * f64::from(t % 5 + 1)).collect(),
            outlier,
        ];
        for y in &many {
            for season in [1, 2, 4, 12] {
                for theta in [Theta::Fixed(1.0), Theta::Fixed(f64::MAX), Theta::Auto] {
                    let fitted = fitted(y, season, theta, false);
                    let forecast = fitted.forecast(100);
                    assert!(forecast.iter().all(|v| v.is_finite()), "{y:?} {fitted:?}");
                }
            }
        }
        let forecast = fitted(&[7.0; 30], 4, Theta::Optimized, false).forecast(3);
        assert!(forecast.iter().all(|value| (value - 7.0).abs() < 1e-9), "{forecast:?}");
    }

    #[test]
    fn theta_below_1_is_refused() {
        let settings = Settings { theta: Theta::Fixed(0.5), dynamic: false };
        let refused = fit(&[1.0, 2.0, 3.0], 1, &settings, &Stop::default());
        let reason = "theta is below 1; write a number from 1 up, such as theta: 2";
        assert_eq!(refused, Err(FitError::Failed(reason.to_owned())));
    }

    #[test]
    fn forged_numbers_are_not_sound() {
        let sound = fitted(&[3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0], 1, Theta::Optimized, true);
        let forged = [
            Fitted { alpha: 0.0, ..sound.clone() },
            Fitted { share: f64::NAN, ..sound.clone() },
            Fitted { slope: f64::INFINITY, ..sound.clone() },
            Fitted { scale: -1.0, ..sound },
        ];
        assert!(forged.iter().all(|forged| !forged.is_sound()));
    }
}
