//! The search for the numbers of one form: Levenberg–Marquardt steps inside the usual region.
//!
//! R's `ets` and statsforecast walk with Nelder–Mead over weights and first states together, a
//! thousand evaluations and more. Here n·ln(sum of squares) is lowered by Gauss–Newton steps with
//! exact derivatives; a dozen reach a lower value, because the first states enter almost linearly.
//! The region is theirs: 0 < α < 1, 0 < β < α, 0 < γ < 1 − α, 0.8 ≤ φ ≤ 0.98, written as shares
//! (β of α, γ of 1 − α) that make it a box. Deviation: a short series may not turn its trend at
//! will, see [`Region`].

use super::form::{Component, Form, LONGEST_SEARCHED_SEASON};
use super::recursion::{State, Weights, run};
use super::sensitivity::{Columns, Equations};
use crate::stop::{Stop, Stopped};

/// The weights as they are searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shares {
    pub alpha: f64,
    /// Beta as a share of alpha.
    pub beta: f64,
    /// Gamma as a share of 1 − alpha.
    pub gamma: f64,
    pub phi: f64,
}

impl Shares {
    pub(super) fn weights(self) -> Weights {
        Weights {
            alpha: self.alpha,
            beta: self.alpha * self.beta,
            gamma: (1.0 - self.alpha) * self.gamma,
            phi: self.phi,
        }
    }
}

/// Everything that is searched.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub shares: Shares,
    pub state: State,
}

/// The box of the search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Region {
    /// Most of alpha that beta may be.
    pub beta: f64,
}

impl Region {
    /// Bounds of the fading.
    pub(super) const PHI: (f64, f64) = (0.8, 0.98);

    /// A tenth of alpha up to 50 values, all of it from 500 on. One step ahead a restless trend
    /// fits a short series best and forecasts it worst: on the yearly series of M3 the whole region
    /// costs 1.1 points of sMAPE. (statsforecast has a like bound, 0.2 over the season's length.)
    pub(super) fn of(n_values: usize) -> Self {
        Self { beta: (n_values as f64 / 500.0).clamp(0.1, SHARE.1) }
    }

    /// Bounds of beta, as a share of alpha.
    pub(super) fn betas(self) -> (f64, f64) {
        (SHARE.0, self.beta)
    }

    fn bounds(&self, columns: &Columns, column: usize) -> Option<(f64, f64)> {
        if column == 0 || columns.gamma == Some(column) {
            Some(SHARE)
        } else if columns.beta == Some(column) {
            Some(self.betas())
        } else if columns.phi == Some(column) {
            Some(Self::PHI)
        } else {
            None
        }
    }
}

/// Bounds of a share.
const SHARE: (f64, f64) = (1e-4, 0.9999);
/// Most steps of one search.
const MOST_STEPS: usize = 60;
/// A search is given up when this many times the promise of its next step, and this much on top,
/// would not bring it below its rival. Searching on to the end costs half as much again and changes
/// no figure of M3 or M4 in the third digit.
const HOPE: f64 = 16.0;
const MERCY: f64 = 10.0;
/// A first index below this is no factor.
const SMALLEST_FACTOR: f64 = 1e-6;

impl Place {
    pub(super) fn weights(&self) -> Weights {
        self.shares.weights()
    }

    /// −2 ln of the likelihood is n·ln of this, but for a constant.
    pub(super) fn sum(&self, form: Form, y: &[f64], after: &mut State) -> f64 {
        after.clone_from(&self.state);
        if form.season == Component::Mul
            && self.state.seasons.iter().any(|&factor| factor < SMALLEST_FACTOR)
        {
            return f64::INFINITY;
        }
        run(form, y, &self.weights(), after)
    }

    fn number(&self, columns: &Columns, column: usize) -> f64 {
        let is = |other: Option<usize>| other == Some(column);
        match column {
            0 => self.shares.alpha,
            _ if is(columns.beta) => self.shares.beta,
            _ if is(columns.gamma) => self.shares.gamma,
            _ if is(columns.phi) => self.shares.phi,
            _ if is(columns.trend) => self.state.trend,
            _ if column == columns.level => self.state.level,
            _ => self.state.seasons[column - columns.seasons],
        }
    }

    pub(super) fn moved(&self, columns: &Columns, region: Region, step: &[f64]) -> Self {
        let mut place = self.clone();
        for (column, &by) in step.iter().enumerate() {
            let to = self.number(columns, column) + by;
            let to = match region.bounds(columns, column) {
                Some((low, high)) => to.clamp(low, high),
                None => to,
            };
            place.set(columns, column, to);
        }
        let n_searched = columns.n - columns.seasons;
        if n_searched > 0 {
            let searched: f64 = step[columns.seasons..].iter().sum();
            place.state.seasons[n_searched] -= searched;
        }
        place
    }

    fn set(&mut self, columns: &Columns, column: usize, to: f64) {
        let is = |other: Option<usize>| other == Some(column);
        let number = match column {
            0 => &mut self.shares.alpha,
            _ if is(columns.beta) => &mut self.shares.beta,
            _ if is(columns.gamma) => &mut self.shares.gamma,
            _ if is(columns.phi) => &mut self.shares.phi,
            _ if is(columns.trend) => &mut self.state.trend,
            _ if column == columns.level => &mut self.state.level,
            _ => &mut self.state.seasons[column - columns.seasons],
        };
        *number = to;
    }
}

/// When a search may end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    /// A step that would lower n·ln(sum) by less than this is not worth taking.
    pub gain: f64,
    /// n·ln(sum) that it has to get below to matter.
    pub rival: f64,
    /// What may move.
    pub reach: Reach,
}

/// What a search moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Everything but the first season, which costs a multiple of all else together.
    Sketch,
    /// Everything.
    All,
}

/// Where a search stands.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub place: Place,
    /// The sum there.
    pub sum: f64,
    /// Whether it ended because nothing was left to win, not because it was hopeless.
    pub settled: bool,
}

/// Buffers of the search, kept from one form to the next.
#[derive(Debug, Default)]
pub(super) struct Search {
    equations: Equations,
    factor: Vec<f64>,
    fixed: Vec<bool>,
    step: Vec<f64>,
    right: Vec<f64>,
}

impl Search {
    /// Goes down from a place.
    pub(super) fn descend(
        &mut self,
        form: Form,
        y: &[f64],
        from: Found,
        goal: Goal,
        stop: &Stop,
    ) -> Result<Found, Stopped> {
        let Found { mut place, mut sum, .. } = from;
        let region = Region::of(y.len());
        let n_seasons = place.state.seasons.len();
        let is_searched = goal.reach == Reach::All && n_seasons <= LONGEST_SEARCHED_SEASON;
        let searched = if is_searched { n_seasons.saturating_sub(1) } else { 0 };
        let columns = Columns::of(form, searched);
        let n = y.len() as f64;
        let mut after = place.state.clone();
        let mut damping = 1e-3;
        let mut built = false;
        for _ in 0..MOST_STEPS {
            stop.check()?;
            if !built && !self.equations.build(form, &columns, y, &place) {
                break;
            }
            built = true;
            let Some(left) = self.solve(&place, &columns, region, damping) else {
                damping *= 10.0;
                if damping > 1e8 {
                    break;
                }
                continue;
            };
            let promise = -n * left.max(1e-12).ln();
            if promise < goal.gain {
                break;
            }
            if n * sum.ln() - HOPE * promise - MERCY > goal.rival {
                return Ok(Found { place, sum, settled: false });
            }
            let next = place.moved(&columns, region, &self.step);
            let next_sum = next.sum(form, y, &mut after);
            if next_sum < sum {
                let won = n * (sum / next_sum).ln();
                damping = if won > 0.5 * promise { damping * 0.1 } else { damping * 2.0 };
                (place, sum) = (next, next_sum);
                built = false;
                if won < goal.gain {
                    break;
                }
            } else {
                damping *= 8.0;
                if damping > 1e8 {
                    break;
                }
            }
        }
        Ok(Found { place, sum, settled: true })
    }

    /// The damped step inside the box, left in `step`; returns the share of the sum of squares
    /// that the linear model expects after it. None when the equations have no solution.
    fn solve(
        &mut self,
        place: &Place,
        columns: &Columns,
        region: Region,
        damping: f64,
    ) -> Option<f64> {
        let n = columns.n;
        let Self { equations, factor, fixed, step, right } = self;
        fixed.clear();
        fixed.resize(n, false);
        step.clear();
        step.resize(n, 0.0);
        for (column, held) in fixed.iter_mut().enumerate() {
            let Some((low, high)) = region.bounds(columns, column) else { continue };
            let (at, slope) = (place.number(columns, column), equations.slope[column]);
            *held = (at <= low && slope > 0.0) || (at >= high && slope < 0.0);
        }
        // Each round holds at least one more number at its bound, so four weights need five.
        for _ in 0..5 {
            solve_free(equations, n, damping, fixed, step, factor, right)?;
            let mut inside = true;
            for (column, (held, by)) in fixed.iter_mut().zip(step.iter_mut()).enumerate() {
                let Some((low, high)) = region.bounds(columns, column) else { continue };
                let at = place.number(columns, column);
                if !*held && (at + *by < low || at + *by > high) {
                    *by = (at + *by).clamp(low, high) - at;
                    *held = true;
                    inside = false;
                }
            }
            if inside {
                break;
            }
        }
        let mut change = 0.0;
        for row in 0..n {
            let across: f64 =
                (0..n).map(|column| equations.product(row, column) * step[column]).sum();
            change += step[row] * (2.0 * equations.slope[row] + across);
        }
        let left = 1.0 + change / equations.squares;
        left.is_finite().then_some(left)
    }
}

/// Solves for the numbers that are not held, the held ones' steps being given.
fn solve_free(
    equations: &Equations,
    n: usize,
    damping: f64,
    fixed: &[bool],
    step: &mut [f64],
    factor: &mut Vec<f64>,
    right: &mut Vec<f64>,
) -> Option<()> {
    factor.clear();
    factor.resize(n * n, 0.0);
    right.clear();
    right.resize(n, 0.0);
    for row in 0..n {
        if fixed[row] {
            factor[row * n + row] = 1.0;
            right[row] = step[row];
            continue;
        }
        right[row] = -equations.slope[row];
        for column in 0..n {
            let product = equations.product(row, column);
            if fixed[column] {
                right[row] -= product * step[column];
            } else if column < row {
                factor[row * n + column] = product;
            } else if column == row {
                factor[row * n + row] = product * (1.0 + damping) + f64::MIN_POSITIVE;
            }
        }
    }
    factorise(factor, n)?;
    for row in 0..n {
        let known: f64 = (0..row).map(|column| factor[row * n + column] * right[column]).sum();
        right[row] = (right[row] - known) / factor[row * n + row];
    }
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|below| factor[below * n + row] * right[below]).sum();
        right[row] = (right[row] - known) / factor[row * n + row];
    }
    for (column, (step, solved)) in step.iter_mut().zip(right.iter()).enumerate() {
        if !fixed[column] {
            *step = *solved;
        }
    }
    step.iter().all(|by| by.is_finite()).then_some(())
}

/// Cholesky's factor in place of the lower triangle; none when it is not positive.
fn factorise(factor: &mut [f64], n: usize) -> Option<()> {
    for row in 0..n {
        for column in 0..=row {
            let (above, below) = factor.split_at_mut(row * n);
            let this = &mut below[..n];
            let other: &[f64] = if column == row { &[] } else { &above[column * n..][..n] };
            if column < row {
                let known: f64 =
                    this[..column].iter().zip(&other[..column]).map(|(a, b)| a * b).sum();
                this[column] = (this[column] - known) / other[column];
            } else {
                let known: f64 = this[..column].iter().map(|a| a * a).sum();
                let left = this[column] - known;
                if left <= this[column] * 1e-14 {
                    return None;
                }
                this[column] = left.sqrt();
            }
        }
    }
    Some(())
}
