//! Where the search of a form starts: the first state from a decomposition (the book, section
//! 2.6.1), the weights from a coarse grid.
//!
//! Deviation: with two to three seasons R fits one Fourier pair; the classical decomposition needs
//! only two, and is used throughout.

use super::form::{Component, Form};
use super::recursion::{LANES, State, Weights, run_abreast};
use super::search::{Found, Place, Region, Shares};
use crate::series::indices::{Season, classical};

/// The decompositions of one series, made once for all forms.
pub(super) struct Starts<'a> {
    y: &'a [f64],
    season: usize,
    added: Option<Vec<f64>>,
    scaled: Option<Vec<f64>>,
}

impl<'a> Starts<'a> {
    pub(super) fn new(y: &'a [f64], season: usize) -> Self {
        let positive = y.iter().all(|&value| value > 0.0);
        let scaled = if positive { classical(y, season, Season::Mul) } else { None };
        Self { y, season, added: classical(y, season, Season::Add), scaled }
    }

    /// The first state of a form; none when the series is too short for its season.
    pub(super) fn state(&self, form: Form) -> Option<State> {
        let seasons = match form.season {
            Component::None => Vec::new(),
            Component::Add => self.added.clone()?,
            Component::Mul => {
                let floored: Vec<f64> =
                    self.scaled.as_ref()?.iter().map(|&index| index.max(0.01)).collect();
                let sum: f64 = floored.iter().sum();
                floored.iter().map(|index| index * floored.len() as f64 / sum).collect()
            }
        };
        let n_first = self.y.len().min(10.max(2 * if form.has_season() { self.season } else { 1 }));
        let first: Vec<f64> = (0..n_first)
            .map(|t| match form.season {
                Component::None => self.y[t],
                Component::Add => self.y[t] - seasons[t % seasons.len()],
                Component::Mul => self.y[t] / seasons[t % seasons.len()],
            })
            .collect();
        let (level, trend) = match form.trend {
            Component::None => (mean(&first), 0.0),
            Component::Add => line(&first),
            Component::Mul => growth(&first),
        };
        Some(State { level, trend, seasons })
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Intercept (one step before the first value) and slope by least squares.
fn line(values: &[f64]) -> (f64, f64) {
    let middle = (values.len() as f64 + 1.0) / 2.0;
    let (mut up, mut across) = (0.0, 0.0);
    let centre = mean(values);
    for (t, value) in values.iter().enumerate() {
        let from_middle = t as f64 + 1.0 - middle;
        up += from_middle * (value - centre);
        across += from_middle * from_middle;
    }
    let slope = if across > 0.0 { up / across } else { 0.0 };
    (centre - slope * middle, slope)
}

/// Level one step before the first value, and growth rate, from the line; values are above 0.
fn growth(values: &[f64]) -> (f64, f64) {
    let (level, slope) = line(values);
    let rate = (level + 2.0 * slope) / (level + slope);
    let before = (level + slope) / rate;
    if rate > 1e-8 && before > 1e-8 && rate.is_finite() && before.is_finite() {
        return (before, rate);
    }
    let first = values.first().copied().unwrap_or(1.0).max(1e-8);
    (first, (values.get(1).copied().unwrap_or(first) / first).clamp(0.5, 2.0))
}

/// Where a search begins on both sides of the ridge that the sum often has between a level that
/// stays and one that follows: the weights of the coarse grid with the lowest sum, the lower first.
pub(super) fn coarse(form: Form, y: &[f64], state: &State) -> [Found; 2] {
    const ALPHAS: [f64; LANES] = [0.05, 0.2, 0.5, 0.9];
    const STAYS: f64 = ALPHAS[0];
    let restless = Region::of(y.len()).beta.min(0.2);
    let betas: &[f64] = if form.has_trend() { &[0.02, restless] } else { &[0.0] };
    let gammas: &[f64] = if form.has_season() { &[0.02, 0.3] } else { &[0.0] };
    let phi = if form.damped { 0.95 } else { 1.0 };
    let from = |alpha| (Shares { alpha, beta: betas[0], gamma: gammas[0], phi }, f64::INFINITY);
    let (mut stays, mut follows) = (from(STAYS), from(ALPHAS[1]));
    for &beta in betas {
        for &gamma in gammas {
            let shares = ALPHAS.map(|alpha| Shares { alpha, beta, gamma, phi });
            let weights: [Weights; LANES] = shares.map(Shares::weights);
            let sums = run_abreast(form, y, &weights, state);
            for (shares, sum) in shares.into_iter().zip(sums) {
                let best = if shares.alpha > STAYS { &mut follows } else { &mut stays };
                if sum < best.1 {
                    *best = (shares, sum);
                }
            }
        }
    }
    let found = |(shares, sum)| Found {
        place: Place { shares, state: state.clone() },
        sum,
        settled: false,
    };
    if stays.1 < follows.1 { [stays, follows].map(found) } else { [follows, stays].map(found) }
}
