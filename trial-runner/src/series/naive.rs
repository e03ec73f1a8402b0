//! The simplest forecasts of a series: what every other method has to beat.
//!
//! Hyndman and Athanasopoulos, *Forecasting: Principles and Practice*, 3rd ed., section 5.2.
//! A series that is shorter than its season has no season to repeat: it goes on at its last value.

use serde::{Deserialize, Serialize};

use crate::stop::Stop;
use crate::trainer::FitError;

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// The last value.
    Naive,
    /// The value one season before.
    SeasonalNaive,
    /// The line through the first and the last value.
    Drift,
    /// The mean of all values.
    Average,
}

/// What to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Which of the methods.
    pub(crate) method: Method,
}

/// Values that repeat, on a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fitted {
    /// The values that repeat, from the first step ahead on.
    values: Vec<f64>,
    /// What each step adds.
    slope: f64,
    /// Whether the value is a mean, around which errors stay.
    is_mean: bool,
}

/// Fits one of the methods.
pub(crate) fn fit(
    y: &[f64],
    season: usize,
    settings: &Settings,
    stop: &Stop,
) -> Result<Fitted, FitError> {
    stop.check()?;
    let (Some(&first), Some(&last)) = (y.first(), y.last()) else {
        return Err(FitError::Failed("the series has no values".to_owned()));
    };
    let flat = |value| Fitted { values: vec![value], slope: 0.0, is_mean: false };
    Ok(match settings.method {
        Method::Naive => flat(last),
        Method::Average => Fitted { is_mean: true, ..flat(mean(y)) },
        Method::SeasonalNaive if season > 1 && season <= y.len() => {
            Fitted { values: y[y.len() - season..].to_vec(), ..flat(last) }
        }
        Method::SeasonalNaive => flat(last),
        Method::Drift => {
            // Divided first, so that few differences of huge numbers need the bound.
            let n_steps = y.len().saturating_sub(1).max(1) as f64;
            let slope = (last / n_steps - first / n_steps).clamp(f64::MIN, f64::MAX);
            Fitted { slope, ..flat(last) }
        }
    })
}

/// The mean of at least one number; finite for finite numbers.
pub(super) fn mean(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let sum: f64 = values.iter().sum();
    if sum.is_finite() { sum / n } else { values.iter().map(|value| value / n).sum() }
}

impl Fitted {
    /// The steps that follow the series.
    pub(crate) fn forecast(&self, n_ahead: usize) -> Vec<f64> {
        let steps = self.values.iter().cycle().take(n_ahead).enumerate();
        steps
            .map(|(step, value)| (value + self.slope * (step + 1) as f64).clamp(f64::MIN, f64::MAX))
            .collect()
    }

    /// The sizes of errors so many steps ahead, in units of one step's: those of a random walk, of
    /// one a season, or of noise around a mean.
    pub(crate) fn growth(&self, n_ahead: usize) -> Vec<f64> {
        let n_phases = self.values.len().max(1);
        let walks = |step: usize| if self.is_mean { 1 } else { step / n_phases + 1 };
        (0..n_ahead).map(|step| (walks(step) as f64).sqrt()).collect()
    }

    /// Whether stored numbers make a forecast.
    pub(crate) fn is_sound(&self) -> bool {
        let finite = self.values.iter().all(|value| value.is_finite());
        !self.values.is_empty() && finite && self.slope.is_finite()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast(y: &[f64], season: usize, method: Method) -> Vec<f64> {
        let fitted = fit(y, season, &Settings { method }, &Stop::default()).unwrap();
        assert!(fitted.is_sound());
        assert_eq!(fit(y, season, &Settings { method }, &Stop::default()).unwrap(), fitted);
        fitted.forecast(5)
    }

    #[test]
    fn each_method_repeats_what_it_says() {
        let y = [1.0, 2.0, 6.0, 3.0, 5.0];
        assert_eq!(forecast(&y, 1, Method::Naive), [5.0; 5]);
        assert_eq!(forecast(&y, 3, Method::SeasonalNaive), [6.0, 3.0, 5.0, 6.0, 3.0]);
        assert_eq!(forecast(&y, 3, Method::Drift), [6.0, 7.0, 8.0, 9.0, 10.0]);
        assert_eq!(forecast(&y, 3, Method::Average), [17.0 / 5.0; 5]);
    }

    #[test]
    fn a_series_shorter_than_its_season_goes_on_at_its_last_value() {
        assert_eq!(forecast(&[1.0, 2.0], 3, Method::SeasonalNaive), [2.0; 5]);
        assert_eq!(forecast(&[1.0, 2.0], usize::MAX, Method::SeasonalNaive), [2.0; 5]);
    }

    #[test]
    fn any_series_has_a_finite_forecast() {
        let huge = [f64::MAX, f64::MIN, f64::MAX, f64::MAX, f64::MAX, f64::MAX];
        for y in [&[7.0][..], &[0.0; 4], &huge, &huge[1..3], &[1e300; 9]] {
            for method in [Method::Naive, Method::SeasonalNaive, Method::Drift, Method::Average] {
                let values = forecast(y, 3, method);
                assert!(values.iter().all(|value| value.is_finite()), "{method:?} {y:?}");
            }
        }
    }

    #[test]
    fn forged_numbers_are_not_sound_and_do_no_harm() {
        for (values, slope) in [(vec![], 0.0), (vec![f64::NAN], 0.0), (vec![1.0], f64::INFINITY)] {
            let forged = Fitted { values, slope, is_mean: false };
            assert!(!forged.is_sound());
            forged.forecast(3);
        }
    }
}
