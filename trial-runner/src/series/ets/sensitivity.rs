//! How every one-step mean moves with every number searched: the recursion's derivative, run along
//! with it, one column a number. The rows make the normal equations of a Gauss–Newton step.

use super::form::{ErrorForm, Form};
use super::recursion::{ADD, MUL, NONE, Weights, faded, specialised};
use super::search::Place;

/// Columns are worked on four at a time.
const TILE: usize = 4;
/// Rows that are kept before they are multiplied out: few enough for the nearest cache.
const BLOCK: usize = 64;

/// Which column belongs to which number; alpha is column 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub beta: Option<usize>,
    pub gamma: Option<usize>,
    pub phi: Option<usize>,
    pub level: usize,
    pub trend: Option<usize>,
    /// The first of the searched seasons.
    pub seasons: usize,
    pub n: usize,
}

impl Columns {
    /// The columns of a form whose first `n_seasons` indices are searched.
    pub(super) fn of(form: Form, n_seasons: usize) -> Self {
        let mut n = 1;
        let mut next = |wanted: bool| {
            n += usize::from(wanted);
            wanted.then_some(n - 1)
        };
        let beta = next(form.has_trend());
        let gamma = next(form.has_season());
        let phi = next(form.damped);
        let level = next(true).unwrap_or(0);
        let trend = next(form.has_trend());
        Self { beta, gamma, phi, level, trend, seasons: n, n: n + n_seasons }
    }

    /// Columns of a row: the numbers, the residual, and zeros up to whole tiles.
    fn stride(&self) -> usize {
        (self.n + 1).next_multiple_of(TILE)
    }
}

/// Buffers of the normal equations, kept from one call to the next.
#[derive(Debug, Default)]
pub(super) struct Equations {
    rows: Vec<f64>,
    level: Vec<f64>,
    trend: Vec<f64>,
    seasons: Vec<f64>,
    drift: Vec<f64>,
    stride: usize,
    /// Products of the columns, `stride` a row; both triangles.
    pub products: Vec<f64>,
    /// Half the derivative of the sum of squares by each number.
    pub slope: Vec<f64>,
    /// The sum of squares at the place.
    pub squares: f64,
}

impl Equations {
    /// The product of two columns.
    pub(super) fn product(&self, row: usize, column: usize) -> f64 {
        self.products[row * self.stride + column]
    }

    /// Sets the equations up at a place; false when a number left the range.
    pub(super) fn build(
        &mut self,
        form: Form,
        columns: &Columns,
        y: &[f64],
        place: &Place,
    ) -> bool {
        let stride = columns.stride();
        self.stride = stride;
        refill(&mut self.rows, BLOCK * stride);
        refill(&mut self.products, stride * stride);
        refill(&mut self.level, stride);
        refill(&mut self.trend, stride);
        refill(&mut self.drift, stride);
        refill(&mut self.seasons, place.state.seasons.len().max(1) * stride);
        self.level[columns.level] = 1.0;
        if let Some(trend) = columns.trend {
            self.trend[trend] = 1.0;
        }
        if columns.n > columns.seasons {
            // The last index is what the others leave of a fixed sum.
            let n_searched = columns.n - columns.seasons;
            for phase in 0..n_searched {
                self.seasons[phase * stride + columns.seasons + phase] = 1.0;
                self.seasons[n_searched * stride + columns.seasons + phase] = -1.0;
            }
        }
        let fine = match form.error {
            ErrorForm::Add => specialised!(form, trace::<false>(columns, y, place, self)),
            ErrorForm::Mul => specialised!(form, trace::<true>(columns, y, place, self)),
        };
        self.close(columns, y.len(), form.error);
        fine && self.products.iter().all(|product| product.is_finite())
    }

    /// Multiplies the first rows out and adds them to the upper tiles of the products.
    fn absorb(&mut self, n_rows: usize) {
        let stride = self.stride;
        let rows = &self.rows[..n_rows * stride];
        for top in (0..stride).step_by(TILE) {
            for left in (top..stride).step_by(TILE) {
                let tile = tile(rows, stride, top, left);
                for (row, sums) in tile.iter().enumerate() {
                    let at = (top + row) * stride + left;
                    for (product, sum) in self.products[at..at + TILE].iter_mut().zip(sums) {
                        *product += sum;
                    }
                }
            }
        }
    }

    /// Fills the lower triangle and adds what the geometric mean contributes.
    fn close(&mut self, columns: &Columns, n_steps: usize, error: ErrorForm) {
        let stride = self.stride;
        for row in 0..stride {
            for column in 0..row {
                self.products[row * stride + column] = self.products[column * stride + row];
            }
        }
        let n = columns.n;
        self.squares = self.product(n, n);
        self.slope.clear();
        self.slope.extend((0..n).map(|column| self.products[column * stride + n]));
        if error == ErrorForm::Add {
            return;
        }
        for drift in &mut self.drift {
            *drift /= n_steps.max(1) as f64;
        }
        for row in 0..n {
            for column in 0..n {
                let (down, across) = (self.drift[row], self.drift[column]);
                self.products[row * stride + column] += self.slope[row] * across
                    + down * self.slope[column]
                    + self.squares * down * across;
            }
        }
        for (slope, drift) in self.slope.iter_mut().zip(&self.drift) {
            *slope += self.squares * drift;
        }
    }
}

fn refill(buffer: &mut Vec<f64>, len: usize) {
    buffer.clear();
    buffer.resize(len, 0.0);
}

/// Products of four columns with four others.
fn tile(rows: &[f64], stride: usize, top: usize, left: usize) -> [[f64; TILE]; TILE] {
    let mut sums = [[0.0; TILE]; TILE];
    for row in rows.chunks_exact(stride) {
        let (Some(down), Some(across)) = (row[top..].first_chunk(), row[left..].first_chunk())
        else {
            break;
        };
        let (down, across): (&[f64; TILE], &[f64; TILE]) = (down, across);
        for (sums, down) in sums.iter_mut().zip(down) {
            for (sum, across) in sums.iter_mut().zip(across) {
                *sum += down * across;
            }
        }
    }
    sums
}

/// One step of the recursion, and what one unit of each derivative before it gives after it.
#[derive(Clone, Copy)]
struct Step {
    next: f64,
    fade: f64,
    mean: f64,
    error: f64,
    error_of_level: f64,
    error_of_season: f64,
    next_by_level: f64,
    next_by_trend: f64,
    fade_by_trend: f64,
    beta: f64,
    trend_by_level: f64,
    mean_by_next: f64,
    mean_by_season: f64,
    error_by_season: f64,
    season_by_next: f64,
}

impl Step {
    #[inline(always)]
    fn of<const TREND: u8, const SEASON: u8>(
        value: f64,
        weights: &Weights,
        (level, trend, season): (f64, f64, f64),
    ) -> Self {
        let Weights { beta, gamma, phi, .. } = *weights;
        let fade = if TREND == MUL { faded(trend, phi) } else { phi * trend };
        let next = match TREND {
            NONE => level,
            ADD => level + fade,
            _ => level * fade,
        };
        let (mean, error_of_level) = match SEASON {
            NONE => (next, value - next),
            ADD => (next + season, value - season - next),
            _ => (next * season, value / season - next),
        };
        let error = value - mean;
        let next_by_trend = match TREND {
            NONE => 0.0,
            ADD => phi,
            _ => level * phi * fade / trend,
        };
        let beta = if TREND == MUL { beta / level } else { beta };
        Self {
            next,
            fade,
            mean,
            error,
            error_of_level,
            error_of_season: if SEASON == MUL { value / next - season } else { error },
            next_by_level: if TREND == MUL { fade } else { 1.0 },
            next_by_trend,
            fade_by_trend: if TREND == MUL { next_by_trend / level } else { phi },
            beta,
            trend_by_level: if TREND == MUL { -beta * error_of_level / level } else { 0.0 },
            mean_by_next: if SEASON == MUL { season } else { 1.0 },
            mean_by_season: if SEASON == MUL { next } else { 1.0 },
            error_by_season: if SEASON == MUL { value / (season * season) } else { 1.0 },
            season_by_next: if SEASON == MUL { gamma * value / (next * next) } else { gamma },
        }
    }
}

/// The derivatives of one step, a column each.
struct Derivatives<'a> {
    row: &'a mut [f64],
    level: &'a mut [f64],
    trend: &'a mut [f64],
    season: &'a mut [f64],
    drift: &'a mut [f64],
}

impl Derivatives<'_> {
    /// Takes every column one step on; the row becomes minus the derivative of the residual.
    #[inline(always)]
    fn advance<const TREND: u8, const SEASON: u8, const RELATIVE: bool>(
        &mut self,
        step: &Step,
        weights: &Weights,
        value: f64,
    ) {
        let Weights { alpha, gamma, .. } = *weights;
        let of_residual = if RELATIVE { -value / (step.mean * step.mean) } else { -1.0 };
        let of_mean = if RELATIVE { 1.0 / step.mean } else { 0.0 };
        for ((((row, level), trend), season), drift) in self
            .row
            .iter_mut()
            .zip(self.level.iter_mut())
            .zip(self.trend.iter_mut())
            .zip(self.season.iter_mut())
            .zip(self.drift.iter_mut())
        {
            let next = match TREND {
                NONE => *level,
                ADD => *level + step.next_by_trend * *trend,
                _ => step.next_by_level * *level + step.next_by_trend * *trend,
            };
            let (mean, error_of_level) = match SEASON {
                NONE => (next, -next),
                ADD => (next + *season, -(next + *season)),
                _ => (
                    step.mean_by_next * next + step.mean_by_season * *season,
                    -(next + step.error_by_season * *season),
                ),
            };
            *row = of_residual * mean;
            if RELATIVE {
                *drift += of_mean * mean;
            }
            match TREND {
                NONE => {}
                ADD => *trend = step.fade_by_trend * *trend + step.beta * error_of_level,
                _ => {
                    *trend = step.fade_by_trend * *trend
                        + step.beta * error_of_level
                        + step.trend_by_level * *level;
                }
            }
            match SEASON {
                NONE => {}
                ADD => *season += gamma * error_of_level,
                _ => *season = (1.0 - gamma) * *season - step.season_by_next * next,
            }
            *level = next + alpha * error_of_level;
        }
    }
}

/// Runs the recursion with its derivatives and fills the rows.
fn trace<const TREND: u8, const SEASON: u8, const RELATIVE: bool>(
    columns: &Columns,
    y: &[f64],
    place: &Place,
    equations: &mut Equations,
) -> bool {
    let weights = place.weights();
    let (mut level, mut trend) = (place.state.level, place.state.trend);
    let mut seasons = place.state.seasons.clone();
    if SEASON == NONE || seasons.is_empty() {
        match equations.stride {
            TILE => return trace_flat::<TREND, RELATIVE, TILE>(columns, y, place, equations),
            WIDE => return trace_flat::<TREND, RELATIVE, WIDE>(columns, y, place, equations),
            _ => seasons = vec![0.0],
        }
    }
    let stride = equations.stride;
    let mut phase = 0;
    for values in y.chunks(BLOCK) {
        for (&value, row) in values.iter().zip(equations.rows.chunks_exact_mut(stride)) {
            let season = seasons[phase];
            let step = Step::of::<TREND, SEASON>(value, &weights, (level, trend, season));
            let mut derivatives = Derivatives {
                row,
                level: &mut equations.level[..stride],
                trend: &mut equations.trend[..stride],
                season: &mut equations.seasons[phase * stride..][..stride],
                drift: &mut equations.drift[..stride],
            };
            // phi enters by the fading; as much of it goes into the trend's column as gives the same.
            if let (true, Some(column)) = (TREND != NONE, columns.phi) {
                let unit = if TREND == MUL { trend * trend.ln() } else { trend };
                derivatives.trend[column] += unit / weights.phi;
            }
            derivatives.advance::<TREND, SEASON, RELATIVE>(&step, &weights, value);
            derivatives.level[0] += step.error_of_level;
            if let (true, Some(column)) = (TREND != NONE, columns.beta) {
                let divisor = if TREND == MUL { level } else { 1.0 };
                derivatives.trend[column] += step.error_of_level / divisor;
            }
            if let (true, Some(column)) = (SEASON != NONE, columns.gamma) {
                derivatives.season[column] += step.error_of_season;
            }
            row[columns.n] = if RELATIVE { step.error / step.mean } else { step.error };
            in_shares(columns, place, row);

            level = step.next + weights.alpha * step.error_of_level;
            if TREND != NONE {
                trend = step.fade + step.beta * step.error_of_level;
            }
            if SEASON != NONE {
                seasons[phase] = season + weights.gamma * step.error_of_season;
            }
            phase = if phase + 1 == seasons.len() { 0 } else { phase + 1 };
        }
        equations.absorb(values.len());
    }
    in_shares(columns, place, &mut equations.drift);
    level.is_finite() && trend.is_finite()
}

/// Columns of a row of a form without a season that has a trend.
const WIDE: usize = 2 * TILE;

/// The same without a season: few columns, whose derivatives stay in registers.
fn trace_flat<const TREND: u8, const RELATIVE: bool, const STRIDE: usize>(
    columns: &Columns,
    y: &[f64],
    place: &Place,
    equations: &mut Equations,
) -> bool {
    let weights = place.weights();
    let (mut level, mut trend) = (place.state.level, place.state.trend);
    let mut by_level = [0.0; STRIDE];
    let mut by_trend = [0.0; STRIDE];
    let mut drift = [0.0; STRIDE];
    let unit = |column: Option<usize>| {
        let mut units = [0.0; STRIDE];
        if let Some(unit) = column.and_then(|column| units.get_mut(column)) {
            *unit = 1.0;
        }
        units
    };
    let (of_alpha, of_beta, of_phi) = (unit(Some(0)), unit(columns.beta), unit(columns.phi));
    let of_error = unit(Some(columns.n));
    by_level.copy_from_slice(&equations.level[..STRIDE]);
    by_trend.copy_from_slice(&equations.trend[..STRIDE]);
    for values in y.chunks(BLOCK) {
        for (&value, row) in values.iter().zip(equations.rows.chunks_exact_mut(STRIDE)) {
            let step = Step::of::<TREND, NONE>(value, &weights, (level, trend, 0.0));
            let of_phi_now = match TREND {
                ADD => trend / weights.phi,
                MUL if columns.phi.is_some() => trend * trend.ln() / weights.phi,
                _ => 0.0,
            };
            let of_beta_now = step.error_of_level / if TREND == MUL { level } else { 1.0 };
            let of_residual = if RELATIVE { -value / (step.mean * step.mean) } else { -1.0 };
            let of_mean = if RELATIVE { 1.0 / step.mean } else { 0.0 };
            let residual = if RELATIVE { step.error * of_mean } else { step.error };
            let mut fresh = [0.0; STRIDE];
            for column in 0..STRIDE {
                if TREND != NONE {
                    by_trend[column] += of_phi_now * of_phi[column];
                }
                let next = match TREND {
                    NONE => by_level[column],
                    ADD => by_level[column] + step.next_by_trend * by_trend[column],
                    _ => {
                        step.next_by_level * by_level[column]
                            + step.next_by_trend * by_trend[column]
                    }
                };
                fresh[column] = of_residual * next + residual * of_error[column];
                if RELATIVE {
                    drift[column] += of_mean * next;
                }
                if TREND != NONE {
                    by_trend[column] = step.fade_by_trend * by_trend[column] - step.beta * next
                        + of_beta_now * of_beta[column];
                }
                if TREND == MUL {
                    by_trend[column] += step.trend_by_level * by_level[column];
                }
                by_level[column] =
                    (1.0 - weights.alpha) * next + step.error_of_level * of_alpha[column];
            }
            row.copy_from_slice(&fresh);
            level = step.next + weights.alpha * step.error_of_level;
            if TREND != NONE {
                trend = step.fade + step.beta * step.error_of_level;
            }
        }
        for row in equations.rows.chunks_exact_mut(STRIDE).take(values.len()) {
            in_shares(columns, place, row);
        }
        equations.absorb(values.len());
    }
    equations.drift.copy_from_slice(&drift);
    in_shares(columns, place, &mut equations.drift);
    level.is_finite() && trend.is_finite()
}

/// From derivatives by the weights to those by the shares that are searched.
fn in_shares(columns: &Columns, place: &Place, row: &mut [f64]) {
    let alpha = place.shares.alpha;
    if let Some(beta) = columns.beta {
        row[0] += place.shares.beta * row[beta];
        row[beta] *= alpha;
    }
    if let Some(gamma) = columns.gamma {
        row[0] -= place.shares.gamma * row[gamma];
        row[gamma] *= 1.0 - alpha;
    }
}

#[cfg(test)]
mod tests {
    use super::super::search::{Region, Shares};
    use super::*;
    use crate::series::ets::form::Component;
    use crate::series::ets::recursion::State;

    /// The slope of half the sum must be what differences of the sum say, in every form.
    #[test]
    fn slopes_agree_with_differences() {
        let y: Vec<f64> = (0..23)
            .map(|t| {
                1.0 + 0.02 * t as f64
                    + [0.2, -0.1, 0.05, -0.15][t % 4]
                    + 0.03 * ((t * t) % 7) as f64
            })
            .collect();
        for error in [ErrorForm::Add, ErrorForm::Mul] {
            for (trend, slope) in
                [(Component::None, 0.0), (Component::Add, 0.03), (Component::Mul, 1.02)]
            {
                for (season, seasons) in [
                    (Component::None, vec![]),
                    (Component::Add, vec![0.1, -0.2, 0.3, -0.2]),
                    (Component::Mul, vec![1.1, 0.8, 1.2, 0.9]),
                ] {
                    for damped in [false, true] {
                        if damped && trend == Component::None {
                            continue;
                        }
                        let form = Form { error, trend, damped, season };
                        let phi = if damped { 0.9 } else { 1.0 };
                        let shares = Shares { alpha: 0.3, beta: 0.05, gamma: 0.4, phi };
                        let state = State { level: 1.1, trend: slope, seasons: seasons.clone() };
                        check(form, &y, Place { shares, state });
                    }
                }
            }
        }
    }

    fn check(form: Form, y: &[f64], place: Place) {
        let columns = Columns::of(form, place.state.seasons.len().saturating_sub(1));
        let mut equations = Equations::default();
        assert!(equations.build(form, &columns, y, &place));
        let mut after = place.state.clone();
        let sum = place.sum(form, y, &mut after);
        // A multiplicative error's equations leave out the squared geometric mean.
        let scale = sum / equations.squares;
        for column in 0..columns.n {
            let mut step = vec![0.0; columns.n];
            step[column] = 1e-6;
            let up = place.moved(&columns, Region::of(1_000), &step).sum(form, y, &mut after);
            step[column] = -1e-6;
            let down = place.moved(&columns, Region::of(1_000), &step).sum(form, y, &mut after);
            let difference = (up - down) / 4e-6;
            let slope = equations.slope[column] * scale;
            let far = (difference - slope).abs() / (slope.abs() + 1e-3 * sum);
            assert!(far < 1e-4, "{form:?} column {column}: {slope}, not {difference}");
        }
    }
}
