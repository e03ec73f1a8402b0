//! Forecasts of intermittent demand: sizes and intervals are smoothed apart from each other.
//!
//! Croston (1972); the correction of Syntetos and Boylan (2005); Teunter, Syntetos and Babai
//! (2011), which smooths the chance of a demand at every step and so fades when demand ends.
//! Any value but 0 is a demand. `alpha: auto` takes, for sizes and for intervals (or chances)
//! apart, the value from 0.1 to 0.3 with the least squared error one step ahead.

use serde::{Deserialize, Serialize};

use crate::stop::Stop;
use crate::trainer::FitError;

/// How the rate is made of sizes and intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Size over interval.
    Classic,
    /// The same, less its bias.
    Sba,
    /// Size times the chance of a demand.
    Tsb,
}

/// What to fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    /// How the rate is made.
    pub(crate) variant: Variant,
    /// Smoothing of sizes, above 0 and at most 1; chosen from the data when none.
    pub(crate) alpha: Option<f64>,
    /// Smoothing of intervals or chances; that of sizes when none.
    pub(crate) beta: Option<f64>,
}

/// A demand that is the same at every step ahead.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fitted {
    /// Demand of one step.
    rate: f64,
}

/// The range of `alpha: auto`, as statsforecast's optimised Croston has it.
const AUTO: (f64, f64) = (0.1, 0.3);

/// Fits one of the variants.
pub(crate) fn fit(
    y: &[f64],
    _season: usize,
    settings: &Settings,
    stop: &Stop,
) -> Result<Fitted, FitError> {
    stop.check()?;
    let sizes: Vec<f64> = y.iter().copied().filter(|&value| value != 0.0).collect();
    if sizes.is_empty() {
        return Ok(Fitted { rate: 0.0 });
    }
    let share = match settings.variant {
        Variant::Tsb => y.iter().map(|&value| f64::from(u8::from(value != 0.0))).collect(),
        Variant::Classic | Variant::Sba => intervals(y),
    };
    let alpha = settings.alpha.unwrap_or_else(|| best_alpha(&sizes));
    let beta = match (settings.beta, settings.alpha) {
        (Some(beta), _) => beta,
        (None, Some(alpha)) => alpha,
        (None, None) => best_alpha(&share),
    };
    let (size, share) = (smoothed(&sizes, alpha).level, smoothed(&share, beta).level);
    let rate = match settings.variant {
        Variant::Classic => size / share,
        Variant::Sba => (1.0 - beta / 2.0) * (size / share),
        Variant::Tsb => size * share,
    };
    Ok(Fitted { rate: rate.clamp(f64::MIN, f64::MAX) })
}

/// Steps from one demand to the next; the first is counted from the start of the series.
fn intervals(y: &[f64]) -> Vec<f64> {
    let mut since = 0.0;
    let mut intervals = Vec::new();
    for &value in y {
        since += 1.0;
        if value != 0.0 {
            intervals.push(since);
            since = 0.0;
        }
    }
    intervals
}

/// What simple exponential smoothing ends with, from the first value on.
struct Smoothed {
    level: f64,
    sum_squares: f64,
}

fn smoothed(values: &[f64], alpha: f64) -> Smoothed {
    let mut level = values.first().copied().unwrap_or(0.0);
    let mut sum_squares = 0.0;
    for value in values {
        let error = value - level;
        sum_squares += error * error;
        // A mean of the two, so that huge values of both signs stay finite.
        level = alpha * value + (1.0 - alpha) * level;
    }
    Smoothed { level, sum_squares }
}

/// The smoothing with the least squared error one step ahead, by golden section.
fn best_alpha(values: &[f64]) -> f64 {
    let scale = values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    let scaled: Vec<f64> = values.iter().map(|value| value / scale).collect();
    let loss = |alpha| smoothed(&scaled, alpha).sum_squares;
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = AUTO;
    let (mut left, mut right) = (high - golden * (high - low), low + golden * (high - low));
    let (mut at_left, mut at_right) = (loss(left), loss(right));
    while high - low > 1e-6 {
        if at_left <= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - golden * (high - low);
            at_left = loss(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + golden * (high - low);
            at_right = loss(right);
        }
    }
    f64::midpoint(low, high)
}

impl Fitted {
    /// The steps that follow the series.
    pub(crate) fn forecast(&self, n_ahead: usize) -> Vec<f64> {
        vec![self.rate; n_ahead]
    }

    /// The sizes of errors so many steps ahead, in units of one step's: demand is noise around it.
    pub(crate) fn growth(&self, n_ahead: usize) -> Vec<f64> {
        vec![1.0; n_ahead]
    }

    /// Whether the stored number makes a forecast.
    pub(crate) fn is_sound(&self) -> bool {
        self.rate.is_finite()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMAND: [f64; 16] =
        [0.0, 2.0, 0.0, 0.0, 5.0, 1.0, 0.0, 0.0, 0.0, 3.0, 0.0, 4.0, 4.0, 0.0, 7.0, 0.0];

    fn rate(y: &[f64], variant: Variant, alpha: Option<f64>, beta: Option<f64>) -> f64 {
        let settings = Settings { variant, alpha, beta };
        let fitted = fit(y, 1, &settings, &Stop::default()).unwrap();
        assert!(fitted.is_sound());
        assert_eq!(fit(y, 1, &settings, &Stop::default()).unwrap(), fitted);
        assert_eq!(fitted.forecast(3), [fitted.rate; 3]);
        fitted.rate
    }

    #[test]
    fn rates_are_those_of_statsforecast() {
        // statsforecast 2.1.1: CrostonClassic, CrostonSBA, CrostonOptimized, TSB.
        for (variant, alpha, beta, expected) in [
            (Variant::Classic, Some(0.1), None, 1.476_858_970_573_954),
            (Variant::Sba, Some(0.1), None, 1.403_016_022_045_256),
            (Variant::Classic, None, None, 2.145_251_481_158_718),
            (Variant::Tsb, Some(0.1), None, 1.122_141_693_690_69),
            (Variant::Tsb, Some(0.3), Some(0.05), 1.101_701_627_277_186),
        ] {
            let rate = rate(&DEMAND, variant, alpha, beta);
            assert!((rate - expected).abs() < 1e-5, "{variant:?}: {rate}, not {expected}");
        }
    }

    #[test]
    fn only_tsb_fades_when_demand_ends() {
        let ended: Vec<f64> = DEMAND.iter().copied().chain([0.0; 50]).collect();
        for variant in [Variant::Classic, Variant::Sba] {
            let same = rate(&DEMAND, variant, Some(0.2), None);
            assert_eq!(rate(&ended, variant, Some(0.2), None), same);
        }
        assert!(rate(&ended, Variant::Tsb, Some(0.2), None) < 1e-3);
    }

    #[test]
    fn any_series_has_a_finite_forecast() {
        let steps: Vec<f64> = (0..40).map(|t| if t < 20 { 0.0 } else { 1e300 }).collect();
        let huge = [f64::MAX, f64::MIN, f64::MAX, f64::MIN, 5e-324, f64::MAX];
        for y in [&[7.0][..], &[0.0], &[0.0; 9], &[3.0; 9], &huge, &steps, &[-1.0, 0.0, 2.0]] {
            for variant in [Variant::Classic, Variant::Sba, Variant::Tsb] {
                for alpha in [None, Some(0.1), Some(1.0), Some(f64::MIN_POSITIVE)] {
                    assert!(rate(y, variant, alpha, None).is_finite(), "{variant:?} {y:?}");
                }
            }
        }
        assert_eq!(rate(&[0.0; 9], Variant::Sba, None, None), 0.0);
    }

    #[test]
    fn a_forged_rate_is_not_sound() {
        assert!(!Fitted { rate: f64::NAN }.is_sound());
    }
}
