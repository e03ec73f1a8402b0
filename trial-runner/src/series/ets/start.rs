//! Where the search of a form starts: the first state from a decomposition (the book, section
//! 2.6.1), the weights from a coarse grid; of a short series also first level and trend that go best
//! with the weights (`linear.rs`), because its sum has several valleys.
//!
//! Deviation: with two to three seasons R fits one Fourier pair; the classical decomposition needs
//! only two, and is used throughout.

use super::form::{Component, Form};
use super::linear::{Solved, solve_abreast};
use super::recursion::{LANES, State, Weights, run_abreast};
use super::search::{Found, Place, Region, Shares};
use crate::series::indices::{Season, classical};

/// The alphas of the coarse grid.
const ALPHAS: [f64; LANES] = [0.05, 0.2, 0.5, 0.9];
/// The alpha of a level that stays.
const STAYS: f64 = ALPHAS[0];
/// Series of more values forget where they began: looking further makes them neither likelier nor
/// their forecasts better, and costs as much again.
const SHORT: usize = 150;

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
/// Level and trend are those of the first values, or in a short series those that go best with the
/// weights, whichever is lower.
pub(super) fn coarse(form: Form, y: &[f64], state: &State) -> [Found; 2] {
    let mut sides = Sides::new(form, y, state);
    let restless = Region::of(y.len()).beta.min(0.2);
    let betas: &[f64] = if form.has_trend() { &[0.02, restless] } else { &[0.0] };
    let gammas: &[f64] = if form.has_season() { &[0.02, 0.3] } else { &[0.0] };
    for &beta in betas {
        for &phi in fadings(form, y.len()) {
            let shares = |gamma: f64| ALPHAS.map(|alpha| Shares { alpha, beta, gamma, phi });
            gammas.iter().for_each(|&gamma| sides.look(shares(gamma)));
            if form.trend != Component::Mul && is_short(y.len()) {
                sides.solve(shares(gammas[0]));
            }
        }
    }
    sides.into_found()
}

/// Where a search may begin again that ended at one end of what beta or the fading may be: at the
/// other, where the sum of a short series often has another valley.
pub(super) fn across(form: Form, y: &[f64], ended: &Place) -> Vec<Found> {
    if form.trend != Component::Add || !is_short(y.len()) {
        return Vec::new();
    }
    let other =
        |(low, high): (f64, f64), is: f64| if is < f64::midpoint(low, high) { high } else { low };
    let beta = other(Region::of(y.len()).betas(), ended.shares.beta);
    let mut shares = vec![Shares { beta, ..ended.shares }];
    if form.damped {
        let phi = other(Region::PHI, ended.shares.phi);
        shares.extend([Shares { phi, ..ended.shares }, Shares { beta, phi, ..ended.shares }]);
    }
    let mut after = ended.state.clone();
    let found = shares.into_iter().filter_map(|shares| {
        let [Solved { level, trend, .. }, ..] =
            solve_abreast(form, y, &[shares.weights(); LANES], &ended.state.seasons);
        let state = State { level, trend, seasons: ended.state.seasons.clone() };
        let place = Place { shares, state };
        let sum = place.sum(form, y, &mut after);
        sum.is_finite().then_some(Found { place, sum, settled: false })
    });
    found.collect()
}

/// The fadings of the grid: without a season the sum of a short series often has a valley at each end
/// of what they may be.
fn fadings(form: Form, n_values: usize) -> &'static [f64] {
    match (form.damped, form.has_season()) {
        (false, _) => &[1.0],
        (true, _) if !is_short(n_values) => &[0.95],
        (true, false) => &[0.98, 0.8],
        (true, true) => &[0.95, 0.85],
    }
}

/// Whether where a series begins has so much of a say that it is worth more than one look.
pub(super) fn is_short(n_values: usize) -> bool {
    n_values <= SHORT
}

/// 0 for a level that stays, 1 for one that follows.
fn side(shares: Shares) -> usize {
    usize::from(shares.alpha > STAYS)
}

/// The best of both sides so far.
struct Sides<'a> {
    form: Form,
    y: &'a [f64],
    state: &'a State,
    /// What stays, and what follows.
    best: [Found; 2],
    /// What goes best with weights, by least squares alone.
    solved: [Vec<(Shares, Solved)>; 2],
}

impl<'a> Sides<'a> {
    fn new(form: Form, y: &'a [f64], state: &'a State) -> Self {
        let best = [STAYS, ALPHAS[1]].map(|alpha| {
            let phi = fadings(form, y.len())[0];
            let beta = if form.has_trend() { 0.02 } else { 0.0 };
            let gamma = if form.has_season() { 0.02 } else { 0.0 };
            let shares = Shares { alpha, beta, gamma, phi };
            let place = Place { shares, state: state.clone() };
            Found { place, sum: f64::INFINITY, settled: false }
        });
        Self { form, y, state, best, solved: [Vec::new(), Vec::new()] }
    }

    /// Tries weights with the first state.
    fn look(&mut self, shares: [Shares; LANES]) {
        let weights: [Weights; LANES] = shares.map(Shares::weights);
        let sums = run_abreast(self.form, self.y, &weights, self.state);
        for (shares, sum) in shares.into_iter().zip(sums) {
            let best = &mut self.best[side(shares)];
            if sum < best.sum {
                (best.place.shares, best.sum) = (shares, sum);
            }
        }
    }

    /// Tries weights with the level and the trend that go best with them.
    fn solve(&mut self, shares: [Shares; LANES]) {
        let weights: [Weights; LANES] = shares.map(Shares::weights);
        let solved = solve_abreast(self.form, self.y, &weights, &self.state.seasons);
        for (shares, solved) in shares.into_iter().zip(solved) {
            if solved.squares.is_finite() {
                self.solved[side(shares)].push((shares, solved));
            }
        }
    }

    /// The lower first.
    fn into_found(mut self) -> [Found; 2] {
        let mut after = self.state.clone();
        for (best, mut solved) in self.best.iter_mut().zip(self.solved) {
            solved.sort_by(|(_, a), (_, b)| a.squares.total_cmp(&b.squares));
            for (shares, Solved { level, trend, .. }) in solved {
                let state = State { level, trend, seasons: self.state.seasons.clone() };
                let place = Place { shares, state };
                let sum = place.sum(self.form, self.y, &mut after);
                if sum < best.sum {
                    *best = Found { place, sum, settled: false };
                }
                // The least squares are worth a look; the others only where nothing else is finite.
                if best.sum.is_finite() {
                    break;
                }
            }
        }
        let [stays, follows] = self.best;
        if stays.sum < follows.sum { [stays, follows] } else { [follows, stays] }
    }
}
