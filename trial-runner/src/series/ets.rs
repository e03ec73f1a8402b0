//! Exponential smoothing: the whole family of error, trend and season, chosen by AICc.
//!
//! Hyndman, Koehler, Ord & Snyder, *Forecasting with Exponential Smoothing* (2008); the forms that
//! are tried unasked are those of R's `ets` and statsforecast's AutoETS. Deviations: the search is
//! Gauss–Newton (`ets/search.rs`); a form whose forecasts run wild is passed over (`ets/choice.rs`);
//! seasons longer than 24 keep the decomposition's indices as their first season and count as
//! estimated (R drops them); a series too short for a form takes a simpler one. Read `ets/form.rs`,
//! then `ets/recursion.rs`.

pub(crate) mod batch;
mod choice;
pub(crate) mod form;
mod linear;
mod outlook;
mod recursion;
mod search;
mod sensitivity;
mod start;

use serde::{Deserialize, Serialize};

use choice::{Candidate, choose};
pub(crate) use form::{Component, ErrorForm, Form};
use recursion::{State, Weights, ahead};

use crate::series::{growth, scaled};
use crate::stop::Stop;
use crate::trainer::FitError;

/// What the user fixed; what is left out is chosen from the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// How the error enters.
    pub error: Option<ErrorForm>,
    /// How the trend enters.
    pub trend: Option<Component>,
    /// How the season enters.
    pub seasonal: Option<Component>,
    /// Whether the trend fades.
    pub damped: Option<bool>,
}

/// A fitted member of the family: all that a forecast needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fitted {
    /// The member.
    pub form: Form,
    /// Weight of an error on the level.
    pub alpha: f64,
    /// Weight of an error on the trend.
    pub beta: f64,
    /// Weight of an error on the season.
    pub gamma: f64,
    /// What is left of the trend after a step.
    pub phi: f64,
    /// The level after the last value, in units of `scale`.
    pub level: f64,
    /// The trend after the last value.
    pub trend: f64,
    /// The season, the next step's index first.
    pub seasons: Vec<f64>,
    /// The largest magnitude of the series, by which all is divided.
    pub scale: f64,
    /// The criterion by which the form was chosen, but for a constant; none when there was no choice.
    pub aicc: Option<f64>,
}

/// Longest season that a stored model may have.
const LONGEST_SEASON: usize = 1 << 20;

/// Fits the best member of the family that the settings allow.
pub(crate) fn fit(
    y: &[f64],
    season: usize,
    settings: &Settings,
    stop: &Stop,
) -> Result<Fitted, FitError> {
    form::refuse(y, settings)?;
    let (scaled, scale) = scaled(y);
    let constant = y.windows(2).all(|pair| pair[0] == pair[1]);
    if !constant {
        for settings in settings.and_simpler() {
            let forms = form::candidates(&scaled, season, &settings);
            if let Some(chosen) = choose(&scaled, season, &forms, stop)? {
                return Ok(chosen.into_fitted(&scaled, scale));
            }
        }
    }
    Ok(steady(&scaled, scale))
}

impl Settings {
    /// These, and what a series too short for them takes instead: no season, then no fading, then
    /// no trend.
    fn and_simpler(self) -> [Self; 4] {
        let no_season = Self { seasonal: Some(Component::None), ..self };
        let no_fading = Self { damped: None, ..no_season };
        let no_trend = Self { trend: Some(Component::None), ..no_fading };
        [self, no_season, no_fading, no_trend]
    }
}

impl Candidate {
    fn into_fitted(self, y: &[f64], scale: f64) -> Fitted {
        let Weights { alpha, beta, gamma, phi } = self.found.place.weights();
        let mut after = self.found.place.state.clone();
        self.found.place.sum(self.form, y, &mut after);
        let State { level, trend, mut seasons } = after;
        if !seasons.is_empty() {
            let n_phases = seasons.len();
            seasons.rotate_left(y.len() % n_phases);
        }
        let form = self.form;
        let aicc = Some(self.aicc(y.len()) + 2.0 * y.len() as f64 * scale.ln());
        Fitted { form, alpha, beta, gamma, phi, level, trend, seasons, scale, aicc }
    }
}

/// A level that follows the values half-way: for constant series and those of a few values.
fn steady(y: &[f64], scale: f64) -> Fitted {
    let mut level = y.first().copied().unwrap_or(0.0);
    for value in y {
        level += 0.5 * (value - level);
    }
    Fitted {
        form: Form::LEVEL,
        alpha: 0.5,
        beta: 0.0,
        gamma: 0.0,
        phi: 1.0,
        level,
        trend: 0.0,
        seasons: Vec::new(),
        scale,
        aicc: None,
    }
}

impl Fitted {
    /// The next values.
    pub(crate) fn forecast(&self, n_ahead: usize) -> Vec<f64> {
        let state = State { level: self.level, trend: self.trend, seasons: self.seasons.clone() };
        let mut last = self.level;
        ahead(self.form, self.phi, &state, n_ahead)
            .map(|next| {
                if !next.is_nan() {
                    last = next;
                }
                (last * self.scale).clamp(-f64::MAX, f64::MAX)
            })
            .collect()
    }

    /// The sizes of errors so many steps ahead, in units of one step's: of the form whose parts are
    /// all added (the book, table 6.2), near which the others are.
    pub(crate) fn growth(&self, n_ahead: usize) -> Vec<f64> {
        let (mut fading, mut trends) = (1.0, 0.0);
        let later = (1_usize..).map(|step| {
            fading *= self.phi;
            trends += fading;
            let season_is_over =
                self.form.has_season() && step.is_multiple_of(self.seasons.len().max(1));
            let season = if season_is_over { self.gamma } else { 0.0 };
            self.alpha + self.beta * trends + season
        });
        growth(later, n_ahead)
    }

    /// Whether stored numbers can be forecast from.
    pub(crate) fn is_sound(&self) -> bool {
        let numbers = [self.alpha, self.beta, self.gamma, self.level, self.trend];
        let seasonal = self.form.has_season() != self.seasons.is_empty();
        numbers.iter().chain(&self.seasons).all(|number| number.is_finite())
            && (0.0..=1.0).contains(&self.phi)
            && self.scale.is_finite()
            && self.scale > 0.0
            && (self.form.has_trend() || !self.form.damped)
            && seasonal
            && self.seasons.len() <= LONGEST_SEASON
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(y: &[f64], season: usize, settings: &Settings) -> Fitted {
        let fitted = fit(y, season, settings, &Stop::default()).unwrap();
        assert!(fitted.is_sound(), "{fitted:?}");
        fitted
    }

    /// Noise that is the same on every machine.
    fn noise(n: usize) -> Vec<f64> {
        let mut state = 12_345_u64;
        (0..n)
            .map(|_| {
                (0..12)
                    .map(|_| {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        (state >> 11) as f64 / (1_u64 << 53) as f64
                    })
                    .sum::<f64>()
                    - 6.0
            })
            .collect()
    }

    #[test]
    fn a_level_that_wanders_is_recovered() {
        let mut level = 100.0;
        let y: Vec<f64> = noise(600)
            .into_iter()
            .map(|error| {
                let value = level + error;
                level += 0.3 * error;
                value
            })
            .collect();
        let settings = Settings { error: Some(ErrorForm::Add), ..Settings::default() };
        let fitted = fitted(&y, 1, &settings);
        assert_eq!(fitted.form, Form::LEVEL);
        assert!((fitted.alpha - 0.3).abs() < 0.08, "{}", fitted.alpha);
        assert!((fitted.level * fitted.scale - level).abs() < 0.5);
    }

    #[test]
    fn a_season_that_scales_with_a_trend_is_recovered() {
        let season = [0.7, 1.1, 1.4, 0.8];
        let truth = |t: usize| (50.0 + 0.8 * t as f64) * season[t % 4];
        let noise = noise(100);
        let y: Vec<f64> = (0..100).map(|t| truth(t) * (1.0 + 0.01 * noise[t])).collect();
        let fitted = fitted(&y, 4, &Settings::default());
        assert_eq!((fitted.form.trend, fitted.form.season), (Component::Add, Component::Mul));
        for (t, forecast) in fitted.forecast(8).into_iter().enumerate() {
            assert!((forecast / truth(100 + t) - 1.0).abs() < 0.03);
        }
    }

    /// The first 40 months of the classic airline passengers; statsforecast 2.1.1 ends with AICc
    /// 332.74 for M, N, M (`ets_f(y, 12, "MNM")`).
    #[test]
    fn the_search_ends_no_higher_than_nelder_mead() {
        let y = [
            112.0, 118.0, 132.0, 129.0, 121.0, 135.0, 148.0, 148.0, 136.0, 119.0, 104.0, 118.0,
            115.0, 126.0, 141.0, 135.0, 125.0, 149.0, 170.0, 170.0, 158.0, 133.0, 114.0, 140.0,
            145.0, 150.0, 178.0, 163.0, 172.0, 178.0, 199.0, 199.0, 184.0, 162.0, 146.0, 166.0,
            171.0, 180.0, 193.0, 181.0,
        ];
        let settings = Settings {
            error: Some(ErrorForm::Mul),
            trend: Some(Component::None),
            seasonal: Some(Component::Mul),
            damped: None,
        };
        let fitted = fitted(&y, 12, &settings);
        let aicc = fitted.aicc.unwrap();
        assert!(aicc < 332.74, "{aicc}");
        assert!(aicc > 300.0, "{aicc}");
    }

    /// Yearly series of M3 that a search from a straight line through the first values misses; −2 ln of
    /// the likelihood of statsforecast 2.1.1, `ets_f(y, 1, "AAN")` without and with fading.
    #[test]
    fn short_series_find_their_optimum() {
        let n0296 = [
            4290.0, 4890.5, 5644.5, 6076.5, 4523.0, 4532.5, 4841.5, 5218.0, 5530.5, 6017.5, 5628.0,
            5206.0, 5105.5, 5039.0, 4753.5, 5000.0,
        ];
        let n0570 = [
            6728.0, 7241.0, 7155.0, 6933.0, 6967.0, 6814.0, 6732.0, 6478.0, 6192.0, 5994.0, 5343.0,
            4650.0, 4849.0, 4388.0, 3991.0, 3827.0, 3116.0, 2848.0, 2706.0,
        ];
        let n0579 = [
            3515.0, 3603.0, 4758.0, 5212.0, 5743.0, 6271.0, 6589.0, 6860.0, 6964.0, 7182.0, 7204.0,
            7253.0, 7538.0, 7678.0, 7845.0, 8054.0, 8164.0, 5687.0, 5424.0,
        ];
        let n0625 = [
            1570.0, 2270.0, 2246.0, 2072.0, 2024.0, 2120.0, 2522.0, 2560.0, 2592.0, 2576.0, 2916.0,
            2874.0, 3398.0, 3580.0, 3770.0, 4222.0, 4486.0,
        ];
        let series: [(&[f64], [f64; 2]); 4] = [
            (&n0296, [243.494, 242.666]),
            (&n0570, [271.141, 272.635]),
            (&n0579, [303.228, 300.172]),
            (&n0625, [232.976, 233.623]),
        ];
        for (y, theirs) in series {
            for (damped, theirs) in [false, true].into_iter().zip(theirs) {
                let (error, trend) = (Some(ErrorForm::Add), Some(Component::Add));
                let settings = Settings { error, trend, damped: Some(damped), seasonal: None };
                let fitted = fitted(y, 1, &settings);
                let penalty = choice::penalty(fitted.form, y.len(), 1).unwrap();
                let found = fitted.aicc.unwrap() - penalty;
                assert!(found < theirs + 0.01, "{damped} {y:?}: {found}, not {theirs}");
            }
        }
    }

    #[test]
    fn what_is_fixed_stays_fixed() {
        let y: Vec<f64> =
            noise(60).iter().enumerate().map(|(t, e)| 20.0 + (t % 4) as f64 + 0.2 * e).collect();
        for error in [ErrorForm::Add, ErrorForm::Mul] {
            for trend in [Component::None, Component::Add, Component::Mul] {
                for seasonal in [Component::None, Component::Add, Component::Mul] {
                    for damped in [false, true] {
                        let settings = Settings {
                            error: Some(error),
                            trend: Some(trend),
                            seasonal: Some(seasonal),
                            damped: Some(damped),
                        };
                        if damped && trend == Component::None {
                            assert!(fit(&y, 4, &settings, &Stop::default()).is_err());
                            continue;
                        }
                        let form = fitted(&y, 4, &settings).form;
                        assert_eq!(form, Form { error, trend, damped, season: seasonal });
                    }
                }
            }
        }
    }

    #[test]
    fn scaling_needs_values_above_0_and_the_message_says_so() {
        let settings = Settings { seasonal: Some(Component::Mul), ..Settings::default() };
        let refused = fit(&[1.0, 0.0, 2.0, 3.0], 2, &settings, &Stop::default());
        assert_eq!(
            refused,
            Err(FitError::Failed(
                "seasonal: mul needs values above 0, and this series has some at or below 0; write \
                 seasonal: add"
                    .to_owned()
            ))
        );
    }

    #[test]
    fn a_series_too_short_for_what_is_fixed_takes_a_simpler_form() {
        let settings = Settings {
            trend: Some(Component::Add),
            seasonal: Some(Component::Add),
            damped: Some(true),
            error: None,
        };
        let y = [3.0, 4.0, 4.5, 5.0, 6.5, 6.0, 7.5, 8.0, 8.0, 9.5, 10.0, 11.0];
        let trends = [11, 7, 6, 5, 4].map(|n| {
            let form = fitted(&y[..n], 4, &settings).form;
            assert_eq!(form.season, Component::None);
            (form.trend, form.damped)
        });
        let (full, plain) = ((Component::Add, true), (Component::Add, false));
        let level = (Component::None, false);
        assert_eq!(trends, [full, plain, level, level, level]);
    }

    #[test]
    fn hostile_series_have_finite_forecasts() {
        let mut step = vec![0.0; 30];
        step.extend([1.0; 30]);
        let huge: Vec<f64> = noise(50).iter().map(|e| 1e300 * (5.0 + e)).collect();
        let tiny: Vec<f64> = noise(50).iter().map(|e| 1e-310 * (50.0 + e)).collect();
        let mut outlier = vec![1.0; 40];
        outlier[20] = 1e300;
        let line: Vec<f64> = (0..40).map(f64::from).collect();
        let season: Vec<f64> = (0..48).map(|t| f64::from(t % 12) + 1.0).collect();
        let explosion: Vec<f64> = (0..60).map(|t| 1e-5_f64 * 1.9_f64.powi(t)).collect();
        let many = [
            vec![5.0],
            vec![0.0; 20],
            vec![-3.0; 7],
            vec![1.0, 2.0],
            vec![f64::MAX, f64::MIN, 0.0],
            vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            step,
            huge,
            tiny,
            outlier,
            line,
            season,
            explosion,
        ];
        for y in &many {
            for season in [1, 2, 4, 12, 30] {
                for trend in [None, Some(Component::Mul)] {
                    let settings = Settings { trend, ..Settings::default() };
                    let Ok(fitted) = fit(y, season, &settings, &Stop::default()) else {
                        assert!(trend.is_some() && y.iter().any(|&value| value <= 0.0));
                        continue;
                    };
                    assert!(fitted.is_sound(), "{y:?} {fitted:?}");
                    let forecast = fitted.forecast(100);
                    assert!(forecast.iter().all(|v| v.is_finite()), "{y:?} {fitted:?}");
                }
            }
        }
    }

    /// A falling trend is likelier than a level here, and would end below 0 within the year.
    #[test]
    fn a_trend_does_not_sink_below_0_where_the_series_never_was() {
        let noise = noise(48);
        let falling = |floor: f64| -> Vec<f64> {
            (0..48).map(|t| (floor + 50.0 - t as f64 + 2.0 * noise[t]).max(floor)).collect()
        };
        let on_ground = fitted(&falling(0.0), 12, &Settings::default()).forecast(12);
        assert!(on_ground.iter().all(|&value| value > -2.0), "{on_ground:?}");
        let in_air = fitted(&falling(100.0), 12, &Settings::default()).forecast(12);
        assert!(in_air[11] < 94.0, "{in_air:?}");
    }

    /// The mean miss of forecasts of a season ahead, over that of the last value; each series takes 48
    /// numbers of noise.
    fn miss_beside_last_value(
        n: usize,
        season: usize,
        series: fn(&[f64], usize) -> Vec<f64>,
    ) -> f64 {
        let (mut ours, mut last) = (0.0, 0.0);
        for noise in noise(48 * 150).chunks(48) {
            let y = series(noise, season);
            let (learnt, truth) = (&y[..n], &y[n..n + season]);
            let said = fitted(learnt, season, &Settings::default()).forecast(season);
            for (said, truth) in said.iter().zip(truth) {
                ours += (said - truth).abs();
                last += (learnt[n - 1] - truth).abs();
            }
        }
        ours / last
    }

    /// Within a few seasons of a walk some straight line or some season seems to lead far ahead; behind
    /// them hardly anything is better than the last value.
    #[test]
    fn a_short_walk_has_neither_trend_nor_season() {
        let walk = |noise: &[f64], _: usize| {
            let levels = noise.iter().scan(100.0, |level, step| {
                *level += step;
                Some(*level)
            });
            levels.collect()
        };
        for (n, season) in [(8, 4), (10, 4), (12, 4), (14, 7), (18, 12), (24, 12), (36, 12)] {
            let miss = miss_beside_last_value(n, season, walk);
            assert!(miss < 1.12, "{n} {season}: {miss}");
        }
    }

    /// AICc alone takes two of them for noise.
    #[test]
    fn a_short_series_with_a_season_has_one() {
        let seasonal = |noise: &[f64], season: usize| {
            let shape = |t: usize| f64::from(u8::from(t % season < season / 2));
            noise.iter().enumerate().map(|(t, noise)| 100.0 + 6.0 * shape(t) + noise).collect()
        };
        for (n, season) in [(10, 4), (14, 7), (24, 12)] {
            let miss = miss_beside_last_value(n, season, seasonal);
            assert!(miss < 0.6, "{n} {season}: {miss}");
        }
    }

    #[test]
    fn the_same_series_gives_the_same_bits() {
        let y: Vec<f64> =
            noise(90).iter().enumerate().map(|(t, e)| 30.0 + (t % 7) as f64 + e).collect();
        let first = fitted(&y, 7, &Settings::default());
        assert_eq!(first, fitted(&y, 7, &Settings::default()));
    }

    /// Of the searches of a form from two sides one has no end here, whose forecasts may look nearer.
    #[test]
    fn what_is_chosen_has_a_likelihood() {
        let (error, trend) = (Some(ErrorForm::Mul), Some(Component::Add));
        let settings =
            Settings { error, trend, seasonal: Some(Component::Add), damped: Some(false) };
        for (above, n) in [(1_000.0, 153), (1_000.0, 146), (100.0, 153), (300.0, 139)] {
            let y: Vec<f64> = noise(n)
                .iter()
                .enumerate()
                .map(|(t, e)| if t < 80 { 10.0 + e } else { above + e })
                .collect();
            let own = fitted(&y, 7, &settings);
            assert!(own.aicc.is_some_and(f64::is_finite), "{own:?}");
        }
    }

    #[test]
    fn a_stopped_fit_says_so() {
        let stop = Stop::default();
        stop.cancel();
        let stopped = fit(&[1.0, 3.0, 2.0, 4.0, 3.0, 5.0, 6.0], 1, &Settings::default(), &stop);
        assert!(matches!(stopped, Err(FitError::Stopped(_))));
    }

    #[test]
    fn forged_numbers_are_not_sound() {
        let sound = fitted(&noise(40), 4, &Settings::default());
        let forged = [
            Fitted { level: f64::NAN, ..sound.clone() },
            Fitted { phi: 2.0, ..sound.clone() },
            Fitted { scale: 0.0, ..sound.clone() },
            Fitted { seasons: vec![0.0; 3], form: Form::LEVEL, ..sound.clone() },
            Fitted {
                seasons: Vec::new(),
                form: Form { season: Component::Add, ..Form::LEVEL },
                ..sound.clone()
            },
            Fitted { form: Form { damped: true, ..Form::LEVEL }, ..sound },
        ];
        assert!(forged.iter().all(|forged| !forged.is_sound()));
    }
}
