//! First level and trend by least squares: with an added trend the errors of one step are linear in
//! both, so for given weights a walk along the series with both at 0, and one with each at 1 and no
//! values, make the normal equations.
//!
//! The season is taken as fixed, and where the error scales, it is divided by its value instead of its
//! forecast: good enough to begin from.

use super::form::{ErrorForm, Form};
use super::recursion::{ADD, LANES, NONE, Weights, specialised};

/// Numbers that go along with a level: itself, and its derivatives by the first level and trend.
const PARTS: usize = 3;
/// A determinant that is a smaller share of its largest possible is mostly rounding.
const LEAST: f64 = 1e-10;

type Lanes = [[f64; LANES]; PARTS];

/// First level and trend for some weights, and the sum of squares that they leave: infinite where
/// there are none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Solved {
    pub squares: f64,
    pub level: f64,
    pub trend: f64,
}

/// What goes best with each of the weights.
pub(super) fn solve_abreast(
    form: Form,
    y: &[f64],
    weights: &[Weights; LANES],
    seasons: &[f64],
) -> [Solved; LANES] {
    let sums = match form.error {
        ErrorForm::Add => specialised!(form, walk::<false>(y, weights, seasons)),
        ErrorForm::Mul => specialised!(form, walk::<true>(y, weights, seasons)),
    };
    std::array::from_fn(|lane| sums.solve(lane, form.has_trend()))
}

/// Sums of products of the errors' parts.
#[derive(Default)]
struct Sums {
    rest_rest: [f64; LANES],
    rest_level: [f64; LANES],
    rest_trend: [f64; LANES],
    level_level: [f64; LANES],
    level_trend: [f64; LANES],
    trend_trend: [f64; LANES],
}

impl Sums {
    fn solve(&self, lane: usize, has_trend: bool) -> Solved {
        let none = Solved { squares: f64::INFINITY, level: 0.0, trend: 0.0 };
        let (ll, lt, tt) = (self.level_level[lane], self.level_trend[lane], self.trend_trend[lane]);
        let (rl, rt) = (self.rest_level[lane], self.rest_trend[lane]);
        let (level, trend) = if has_trend {
            let determinant = ll * tt - lt * lt;
            if determinant.is_nan() || determinant <= LEAST * ll * tt {
                return none;
            }
            ((rt * lt - rl * tt) / determinant, (rl * lt - rt * ll) / determinant)
        } else {
            (-rl / ll, 0.0)
        };
        let left = self.rest_rest[lane] + level * rl + trend * rt;
        let is_finite = left.is_finite() && level.is_finite() && trend.is_finite();
        if is_finite { Solved { squares: left.max(0.0), level, trend } } else { none }
    }
}

fn walk<const TREND: u8, const SEASON: u8, const RELATIVE: bool>(
    y: &[f64],
    weights: &[Weights; LANES],
    seasons: &[f64],
) -> Sums {
    let alpha = weights.map(|weights| weights.alpha);
    let beta = weights.map(|weights| weights.beta);
    let phi = weights.map(|weights| weights.phi);
    let mut level: Lanes = [[0.0; LANES], [1.0; LANES], [0.0; LANES]];
    let mut trend: Lanes = [[0.0; LANES], [0.0; LANES], [1.0; LANES]];
    let mut sums = Sums::default();
    let mut step = |value: f64, season: f64| {
        let (value, factor) = match SEASON {
            NONE => (value, 1.0),
            ADD => (value - season, 1.0),
            _ => (value / season, season),
        };
        let weight = if RELATIVE { 1.0 / (value * value) } else { factor * factor };
        let mut errors: Lanes = [[0.0; LANES]; PARTS];
        for part in 0..PARTS {
            if TREND == NONE && part == 2 {
                continue;
            }
            let seen = if part == 0 { value } else { 0.0 };
            for lane in 0..LANES {
                let fading = if TREND == NONE { 0.0 } else { phi[lane] * trend[part][lane] };
                let next = level[part][lane] + fading;
                let error = seen - next;
                errors[part][lane] = error;
                trend[part][lane] = fading + beta[lane] * error;
                level[part][lane] = next + alpha[lane] * error;
            }
        }
        let [rests, by_levels, by_trends] = errors;
        let parts = rests.into_iter().zip(by_levels).zip(by_trends);
        for (lane, ((rest, by_level), by_trend)) in parts.enumerate() {
            sums.rest_rest[lane] += weight * rest * rest;
            sums.rest_level[lane] += weight * rest * by_level;
            sums.rest_trend[lane] += weight * rest * by_trend;
            sums.level_level[lane] += weight * by_level * by_level;
            sums.level_trend[lane] += weight * by_level * by_trend;
            sums.trend_trend[lane] += weight * by_trend * by_trend;
        }
    };
    if SEASON == NONE || seasons.is_empty() {
        y.iter().for_each(|&value| step(value, 0.0));
    } else {
        y.iter().zip(seasons.iter().cycle()).for_each(|(&value, &season)| step(value, season));
    }
    sums
}
