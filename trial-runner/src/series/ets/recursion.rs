//! The recursion of the family, one copy per trend and season that the compiler specialises.
//!
//! Hyndman, Koehler, Ord & Snyder, *Forecasting with Exponential Smoothing* (2008), table 2.1. With
//! d the error on the scale of the level (e, or e over the seasonal index), every form reads
//! level' = q + αd, trend' = fade(trend) + βd (over the level when it scales), season' = season +
//! γe (over q when it scales), q being the level one step on. The one-step means do not depend on
//! the form of the error, so neither does this file, but for [`Sum`].

use super::form::{Component, ErrorForm, Form};

pub(super) const NONE: u8 = 0;
pub(super) const ADD: u8 = 1;
pub(super) const MUL: u8 = 2;

/// Below this a mean is no denominator.
const SMALL: f64 = 1e-280;

/// Picks the copy of a function for a trend and a season.
macro_rules! specialised {
    ($form:expr, $function:ident :: <$relative:tt> $arguments:tt) => {{
        use $crate::series::ets::form::Component::{Add, Mul, None};
        use $crate::series::ets::recursion::{ADD, MUL, NONE};
        match ($form.trend, $form.season) {
            (None, None) => $function::<NONE, NONE, $relative> $arguments,
            (None, Add) => $function::<NONE, ADD, $relative> $arguments,
            (None, Mul) => $function::<NONE, MUL, $relative> $arguments,
            (Add, None) => $function::<ADD, NONE, $relative> $arguments,
            (Add, Add) => $function::<ADD, ADD, $relative> $arguments,
            (Add, Mul) => $function::<ADD, MUL, $relative> $arguments,
            (Mul, None) => $function::<MUL, NONE, $relative> $arguments,
            (Mul, Add) => $function::<MUL, ADD, $relative> $arguments,
            (Mul, Mul) => $function::<MUL, MUL, $relative> $arguments,
        }
    }};
}
pub(super) use specialised;

/// The four weights of the recursion as they enter it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Weights {
    pub alpha: f64,
    pub beta: f64,
    pub gamma: f64,
    /// 1 when the trend does not fade.
    pub phi: f64,
}

/// The state between two steps; the seasons are indexed by phase.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    pub level: f64,
    pub trend: f64,
    pub seasons: Vec<f64>,
}

/// The fading of a multiplicative trend.
pub(super) fn faded(trend: f64, phi: f64) -> f64 {
    if phi == 1.0 { trend } else { trend.powf(phi) }
}

/// What the search lowers, summed while the recursion runs.
///
/// For an additive error the sum of squares; for a multiplicative one the sum of squared relative
/// errors times the squared geometric mean of the one-step means. n·ln of it is −2 ln of the
/// likelihood but for a constant (the book, section 5.1), and it is a sum of squares in both.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    squares: f64,
    logs: f64,
    product: f64,
}

impl Sum {
    pub(super) const EMPTY: Self = Self { squares: 0.0, logs: 0.0, product: 1.0 };

    /// Takes in a step with an additive error.
    #[inline(always)]
    pub(super) fn add(&mut self, error: f64) {
        self.squares += error * error;
    }

    /// Takes in a step with a multiplicative error. One logarithm for many steps: the means are
    /// multiplied until the product nears the end of the range.
    #[inline(always)]
    pub(super) fn scale(&mut self, error: f64, mean: f64) {
        let relative = error / mean;
        self.squares += relative * relative;
        let product = self.product * mean;
        if product > 1e-100 && product < 1e100 && mean > 1e-100 {
            self.product = product;
        } else if mean > SMALL {
            self.logs += self.product.ln() + mean.ln();
            self.product = 1.0;
        } else {
            self.logs = f64::NAN;
        }
    }

    /// The geometric mean of the one-step means; 1 for an additive error.
    pub(super) fn geometric_mean(&self, n_steps: usize) -> f64 {
        ((self.logs + self.product.ln()) / n_steps.max(1) as f64).exp()
    }

    /// The sum, infinite when a mean was not above 0 or a number left the range.
    pub(super) fn total(&self, n_steps: usize) -> f64 {
        let mean = self.geometric_mean(n_steps);
        let total = self.squares * mean * mean;
        if total.is_finite() { total } else { f64::INFINITY }
    }
}

/// The sum of one starting point; the state is left as it is after the last value.
pub(super) fn run(form: Form, y: &[f64], weights: &Weights, state: &mut State) -> f64 {
    match form.error {
        ErrorForm::Add => specialised!(form, run_as::<false>(y, weights, state)),
        ErrorForm::Mul => specialised!(form, run_as::<true>(y, weights, state)),
    }
}

fn run_as<const TREND: u8, const SEASON: u8, const RELATIVE: bool>(
    y: &[f64],
    weights: &Weights,
    state: &mut State,
) -> f64 {
    let Weights { alpha, beta, gamma, phi } = *weights;
    let State { mut level, mut trend, .. } = *state;
    let mut sum = Sum::EMPTY;
    let mut step = |value: f64, season: &mut f64| {
        let next = match TREND {
            NONE => level,
            ADD => level + phi * trend,
            _ => level * faded(trend, phi),
        };
        let (mean, error_of_level) = match SEASON {
            NONE => (next, value - next),
            ADD => (next + *season, value - *season - next),
            _ => (next * *season, value / *season - next),
        };
        let error = value - mean;
        if RELATIVE {
            sum.scale(error, mean);
        } else {
            sum.add(error);
        }
        match SEASON {
            NONE => {}
            ADD => *season += gamma * error,
            _ => *season += gamma * (value / next - *season),
        }
        match TREND {
            NONE => {}
            ADD => trend = phi * trend + beta * error_of_level,
            _ => trend = faded(trend, phi) + beta * error_of_level / level,
        }
        level = next + alpha * error_of_level;
    };
    if SEASON == NONE || state.seasons.is_empty() {
        y.iter().for_each(|&value| step(value, &mut 0.0));
    } else {
        for values in y.chunks(state.seasons.len()) {
            values.iter().zip(&mut state.seasons).for_each(|(&value, season)| step(value, season));
        }
    }
    state.level = level;
    state.trend = trend;
    sum.total(y.len())
}

/// How many starting points run abreast: enough to hide the latency of one recursion.
pub(super) const LANES: usize = 4;

/// The sums of several weights from one state, all advanced together.
pub(super) fn run_abreast(
    form: Form,
    y: &[f64],
    weights: &[Weights; LANES],
    state: &State,
) -> [f64; LANES] {
    match form.error {
        ErrorForm::Add => specialised!(form, run_abreast_as::<false>(y, weights, state)),
        ErrorForm::Mul => specialised!(form, run_abreast_as::<true>(y, weights, state)),
    }
}

fn run_abreast_as<const TREND: u8, const SEASON: u8, const RELATIVE: bool>(
    y: &[f64],
    weights: &[Weights; LANES],
    state: &State,
) -> [f64; LANES] {
    let alpha = weights.map(|weights| weights.alpha);
    let beta = weights.map(|weights| weights.beta);
    let gamma = weights.map(|weights| weights.gamma);
    let phi = weights.map(|weights| weights.phi);
    let mut level = [state.level; LANES];
    let mut trend = [state.trend; LANES];
    let mut sums = [Sum::EMPTY; LANES];
    let mut squares = [0.0; LANES];
    let mut step = |value: f64, season: &mut [f64; LANES]| {
        let mut means = [0.0; LANES];
        for lane in 0..LANES {
            let next = match TREND {
                NONE => level[lane],
                ADD => level[lane] + phi[lane] * trend[lane],
                _ => level[lane] * faded(trend[lane], phi[lane]),
            };
            let (mean, error_of_level) = match SEASON {
                NONE => (next, value - next),
                ADD => (next + season[lane], value - season[lane] - next),
                _ => (next * season[lane], value / season[lane] - next),
            };
            let error = value - mean;
            means[lane] = mean;
            squares[lane] += error * error;
            match SEASON {
                NONE => {}
                ADD => season[lane] += gamma[lane] * error,
                _ => season[lane] += gamma[lane] * (value / next - season[lane]),
            }
            match TREND {
                NONE => {}
                ADD => trend[lane] = phi[lane] * trend[lane] + beta[lane] * error_of_level,
                _ => {
                    trend[lane] =
                        faded(trend[lane], phi[lane]) + beta[lane] * error_of_level / level[lane];
                }
            }
            level[lane] = next + alpha[lane] * error_of_level;
        }
        if RELATIVE {
            for (sum, mean) in sums.iter_mut().zip(means) {
                sum.scale(value - mean, mean);
            }
        }
    };
    if SEASON == NONE || state.seasons.is_empty() {
        y.iter().for_each(|&value| step(value, &mut [0.0; LANES]));
    } else {
        let mut seasons: Vec<[f64; LANES]> = state.seasons.iter().map(|&s| [s; LANES]).collect();
        for values in y.chunks(seasons.len()) {
            values.iter().zip(&mut seasons).for_each(|(&value, season)| step(value, season));
        }
    }
    if !RELATIVE {
        for (sum, squares) in sums.iter_mut().zip(squares) {
            sum.squares = squares;
        }
    }
    sums.map(|sum| sum.total(y.len()))
}

/// The forecasts after a state whose first season is the next step's.
pub(super) fn ahead(
    form: Form,
    phi: f64,
    state: &State,
    n_ahead: usize,
) -> impl Iterator<Item = f64> {
    let (level, trend) = (state.level, state.trend);
    let mut phases = state.seasons.iter().cycle();
    let mut reach = 0.0;
    let mut fade = 1.0;
    (0..n_ahead).map(move |_| {
        fade *= phi;
        reach += fade;
        let next = match form.trend {
            Component::None => level,
            Component::Add => level + reach * trend,
            Component::Mul => level * trend.powf(reach),
        };
        match (form.season, phases.next()) {
            (Component::Add, Some(season)) => next + season,
            (Component::Mul, Some(season)) => next * season,
            _ => next,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const Y: [f64; 24] = [
        112.0, 118.0, 132.0, 129.0, 121.0, 135.0, 148.0, 148.0, 136.0, 119.0, 104.0, 118.0, 115.0,
        126.0, 141.0, 135.0, 125.0, 149.0, 170.0, 170.0, 158.0, 133.0, 114.0, 140.0,
    ];

    /// Error, trend and season; whether the trend fades; −2 ln of the likelihood but for a
    /// constant; a horizon; the forecast for it. Computed by statsforecast 2.1.1 (`pegelsresid_C`,
    /// `etsforecast`) at the numbers below. Faded trends are compared one step ahead only: further
    /// on statsforecast adds φ + φ where the book has φ + φ².
    const REFERENCE: [(&str, bool, f64, usize, f64); 30] = [
        ("ANN", false, 210.452343288, 5, 136.650768086),
        ("ANA", false, 213.407833981, 5, 130.192220626),
        ("ANM", false, 213.534895679, 5, 130.876420837),
        ("AAN", false, 216.996860408, 5, 128.011837835),
        ("AAA", false, 219.385803164, 5, 114.503563814),
        ("AAM", false, 219.506248505, 5, 116.609600426),
        ("AAN", true, 214.721691360, 1, 134.739360309),
        ("AAA", true, 217.323495241, 1, 125.591464911),
        ("AAM", true, 217.433630285, 1, 126.868143177),
        ("AMN", false, 218.097727353, 5, 132.211957242),
        ("AMA", false, 220.324253301, 5, 119.480756713),
        ("AMM", false, 220.455203300, 5, 121.334395038),
        ("AMN", true, 215.370267841, 1, 135.994573285),
        ("AMA", true, 217.832998361, 1, 126.826928843),
        ("AMM", true, 217.952793387, 1, 128.074971644),
        ("MNN", false, 208.544911661, 5, 136.650768086),
        ("MNA", false, 211.221484417, 5, 130.192220626),
        ("MNM", false, 211.446513909, 5, 130.876420837),
        ("MAN", false, 213.829802162, 5, 128.011837835),
        ("MAA", false, 216.255628848, 5, 114.503563814),
        ("MAM", false, 216.340567002, 5, 116.609600426),
        ("MAN", true, 211.922389225, 1, 134.739360309),
        ("MAA", true, 214.570207845, 1, 125.591464911),
        ("MAM", true, 214.678404057, 1, 126.868143177),
        ("MMN", false, 214.397659562, 5, 132.211957242),
        ("MMA", false, 216.626411921, 5, 119.480756713),
        ("MMM", false, 216.751082893, 5, 121.334395038),
        ("MMN", true, 212.230820226, 1, 135.994573285),
        ("MMA", true, 214.714416868, 1, 126.826928843),
        ("MMM", true, 214.853896558, 1, 128.074971644),
    ];

    fn component(letter: char) -> Component {
        match letter {
            'A' => Component::Add,
            'M' => Component::Mul,
            _ => Component::None,
        }
    }

    fn case(name: &str, damped: bool) -> (Form, Weights, State) {
        let letters: Vec<char> = name.chars().collect();
        let error = if letters[0] == 'A' { ErrorForm::Add } else { ErrorForm::Mul };
        let (trend, season) = (component(letters[1]), component(letters[2]));
        let phi = if damped { 0.9 } else { 1.0 };
        let state = State {
            level: 120.0,
            trend: [0.0, 1.5, 1.01][trend as usize],
            seasons: match season {
                Component::None => vec![],
                Component::Add => vec![4.0, -5.0, -2.0, 3.0],
                Component::Mul => vec![1.04, 0.95, 0.98, 1.03],
            },
        };
        (
            Form { error, trend, damped, season },
            Weights { alpha: 0.4, beta: 0.1, gamma: 0.2, phi },
            state,
        )
    }

    #[test]
    fn every_form_agrees_with_statsforecast_at_fixed_numbers() {
        for (name, damped, likelihood, horizon, forecast) in REFERENCE {
            let (form, mut weights, mut state) = case(name, damped);
            if form.trend == Component::None {
                weights.beta = 0.0;
            }
            let sum = run(form, &Y, &weights, &mut state);
            let ours = Y.len() as f64 * sum.ln();
            assert!((ours - likelihood).abs() < 1e-7, "{name} {damped}: {ours}, not {likelihood}");
            let ours = ahead(form, weights.phi, &state, horizon).last().unwrap();
            assert!((ours - forecast).abs() < 1e-7, "{name} {damped}: {ours}, not {forecast}");
        }
    }

    #[test]
    fn lanes_agree_with_single_runs() {
        for (name, damped, ..) in REFERENCE {
            let (form, weights, state) = case(name, damped);
            let lanes = [0.1, 0.3, 0.5, 0.7].map(|alpha| Weights { alpha, ..weights });
            let sums = run_abreast(form, &Y, &lanes, &state);
            for (weights, sum) in lanes.iter().zip(sums) {
                let alone = run(form, &Y, weights, &mut state.clone());
                assert!((sum / alone - 1.0).abs() < 1e-12, "{name} {damped}");
            }
        }
    }

    #[test]
    fn the_geometric_mean_survives_a_product_out_of_range() {
        let mut sum = Sum::EMPTY;
        for _ in 0..400 {
            sum.scale(1.0, 1e-30);
            sum.scale(1.0, 1e-2);
        }
        let mean = sum.geometric_mean(800);
        assert!((mean / 1e-16 - 1.0).abs() < 1e-9, "{mean}");
        sum.scale(1.0, -1.0);
        assert_eq!(sum.total(801), f64::INFINITY);
    }
}
