//! Seasons taken out of a series: STL, and MSTL where it has several.
//!
//! Cleveland, Cleveland, McRae & Terpenning (1990); Bandara, Hyndman & Bergmeir (2021). The windows are
//! those of R's `forecast::mstl`: 11, 15, … seasons of local constants, and those for trend and low
//! pass that follow from them. The adjusted series may be forecast by any method without a season;
//! [`Seasons`] goes on with the last season of each kind. Deviation: see `decompose/loess.rs`.

mod loess;

use serde::{Deserialize, Serialize};

use super::naive::mean;
use crate::stop::{Stop, Stopped};
use loess::{Degree, Loess};

/// A series as the sum of its parts, each as long as the series.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decomposition {
    pub(crate) trend: Vec<f64>,
    /// One for each season, the shortest first.
    pub(crate) seasonal: Vec<Seasonal>,
    pub(crate) remainder: Vec<f64>,
}

/// What repeats with one season.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seasonal {
    pub(crate) season: usize,
    pub(crate) values: Vec<f64>,
}

/// How seasons go on after the series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seasons {
    /// The last season of each kind.
    last: Vec<Vec<f64>>,
}

/// Whether values far from the rest are given less weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weights {
    /// All values count alike.
    Equal,
    /// Values with large remainders count less.
    Robust,
}

/// Takes the seasons out. A season that does not come twice is left in.
pub(crate) fn decompose(
    y: &[f64],
    seasons: &[usize],
    weights: Weights,
    stop: &Stop,
) -> Result<Decomposition, Stopped> {
    let scale = y.iter().fold(f64::MIN_POSITIVE, |most, value| most.max(value.abs()));
    let mut seasons: Vec<usize> =
        seasons.iter().copied().filter(|season| *season > 1 && *season <= y.len() / 2).collect();
    seasons.sort_unstable();
    seasons.dedup();
    let mut rest: Vec<f64> = y.iter().map(|value| value / scale).collect();
    let mut trend = vec![0.0; y.len()];
    let mut parts = vec![vec![0.0; y.len()]; seasons.len()];
    let n_rounds = if seasons.len() > 1 { 2 } else { 1 };
    for _ in 0..n_rounds {
        for (index, (&season, part)) in seasons.iter().zip(&mut parts).enumerate() {
            add(&mut rest, part, 1.0);
            let window = 11 + 4 * index;
            Stl::new(y.len(), season, window).run(&rest, weights, &mut trend, part, stop)?;
            add(&mut rest, part, -1.0);
        }
    }
    if seasons.is_empty() {
        trend.fill(mean(&rest));
    }
    add(&mut rest, &trend, -1.0);
    for part in parts.iter_mut().chain([&mut trend, &mut rest]) {
        for value in part.iter_mut() {
            *value = (*value * scale).clamp(f64::MIN, f64::MAX);
        }
    }
    let seasonal = seasons.into_iter().zip(parts);
    let seasonal = seasonal.map(|(season, values)| Seasonal { season, values }).collect();
    Ok(Decomposition { trend, seasonal, remainder: rest })
}

/// How much of what is not trend is season, from 0 to 1 (Wang, Smith & Hyndman 2006).
pub(crate) fn strength(y: &[f64], season: usize, stop: &Stop) -> Result<f64, Stopped> {
    let parts = decompose(y, &[season], Weights::Equal, stop)?;
    let Some(seasonal) = parts.seasonal.first() else { return Ok(0.0) };
    let both: Vec<f64> =
        seasonal.values.iter().zip(&parts.remainder).map(|(a, b)| a / 2.0 + b / 2.0).collect();
    let share = variance(&parts.remainder) / (4.0 * variance(&both));
    Ok(if share.is_finite() { (1.0 - share).clamp(0.0, 1.0) } else { 0.0 })
}

fn variance(values: &[f64]) -> f64 {
    let centre = mean(values);
    values.iter().map(|value| (value - centre).powi(2)).sum::<f64>() / values.len() as f64
}

/// sum ← sum + sign · values.
fn add(sum: &mut [f64], values: &[f64], sign: f64) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += sign * value;
    }
}

/// The windows of one season and the buffers of its decomposition.
struct Stl {
    season: usize,
    /// Of the values of one phase; phases differ in length by at most 1.
    phases: [Loess; 2],
    low_pass: Loess,
    trend: Loess,
}

impl Stl {
    fn new(n: usize, season: usize, window: usize) -> Self {
        let odd = |width: usize| width + usize::from(width.is_multiple_of(2));
        let ratio = 1.5 * season as f64 / (1.0 - 1.5 / window as f64);
        let shorter = n / season;
        let phase = |n| Loess::new(n, window, Degree::Constant);
        Self {
            season,
            phases: [phase(shorter), phase(shorter + 1)],
            low_pass: Loess::new(n, odd(season + 1), Degree::Line),
            trend: Loess::new(n, odd(ratio.ceil() as usize), Degree::Line),
        }
    }

    fn run(
        &self,
        y: &[f64],
        weights: Weights,
        trend: &mut [f64],
        seasonal: &mut [f64],
        stop: &Stop,
    ) -> Result<(), Stopped> {
        let (n_inner, n_outer) = match weights {
            Weights::Equal => (5, 1),
            Weights::Robust => (2, 15),
        };
        let mut own = None;
        trend.fill(0.0);
        for outer in 0..n_outer {
            for _ in 0..n_inner {
                stop.check()?;
                self.improve(y, own.as_deref(), trend, seasonal);
            }
            if outer + 1 < n_outer {
                let parts = trend.iter().zip(seasonal.iter());
                own = Some(robust(y.iter().zip(parts).map(|(y, (t, s))| (y - t - s).abs())));
            }
        }
        Ok(())
    }

    /// One round of the inner loop.
    fn improve(&self, y: &[f64], own: Option<&[f64]>, trend: &mut [f64], seasonal: &mut [f64]) {
        let (n, season) = (y.len(), self.season);
        let mut cycle = vec![0.0; n + 2 * season];
        let (mut phase, mut phase_weights) = (Vec::new(), Vec::new());
        let mut smoothed = Vec::new();
        for first in 0..season {
            let places = || (first..n).step_by(season);
            phase.clear();
            phase.extend(places().map(|t| y[t] - trend[t]));
            let weights = own.map(|own| {
                phase_weights.clear();
                phase_weights.extend(places().map(|t| own[t]));
                phase_weights.as_slice()
            });
            let loess = &self.phases[phase.len() - n / season];
            smoothed.resize(phase.len(), 0.0);
            loess.smooth(&phase, weights, &mut smoothed);
            cycle[first + (phase.len() + 1) * season] = loess.beyond(&phase, weights, true);
            cycle[first] = loess.beyond(&phase, weights, false);
            for (turn, value) in smoothed.iter().enumerate() {
                cycle[first + (turn + 1) * season] = *value;
            }
        }
        let averaged = moving_mean(&moving_mean(&moving_mean(&cycle, season), season), 3);
        let mut low = vec![0.0; n];
        self.low_pass.smooth(&averaged, None, &mut low);
        for t in 0..n {
            seasonal[t] = cycle[season + t] - low[t];
        }
        let adjusted: Vec<f64> = y.iter().zip(seasonal.iter()).map(|(y, s)| y - s).collect();
        self.trend.smooth(&adjusted, own, trend);
    }
}

/// The means of every `width` values in a row.
fn moving_mean(values: &[f64], width: usize) -> Vec<f64> {
    let mut sum: f64 = values[..width].iter().sum();
    let mut means = Vec::with_capacity(values.len() - width + 1);
    means.push(sum / width as f64);
    for (new, old) in values[width..].iter().zip(values) {
        sum += new - old;
        means.push(sum / width as f64);
    }
    means
}

/// The bisquare weights of remainders.
fn robust(remainders: impl Iterator<Item = f64>) -> Vec<f64> {
    let remainders: Vec<f64> = remainders.collect();
    let mut sorted = remainders.clone();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let middle = f64::midpoint(sorted[n / 2], sorted[(n - 1) / 2]);
    let reach = 6.0 * middle;
    let weight = |remainder: f64| {
        if remainder <= 0.001 * reach {
            1.0
        } else if remainder <= 0.999 * reach {
            (1.0 - (remainder / reach).powi(2)).powi(2)
        } else {
            0.0
        }
    };
    remainders.into_iter().map(weight).collect()
}

impl Decomposition {
    /// The series without its seasons.
    pub(crate) fn adjusted(&self) -> Vec<f64> {
        let both = self.trend.iter().zip(&self.remainder);
        both.map(|(trend, rest)| (trend + rest).clamp(f64::MIN, f64::MAX)).collect()
    }

    /// How the seasons go on.
    pub(crate) fn seasons(&self) -> Seasons {
        let last = self.seasonal.iter().map(|Seasonal { season, values }| {
            values[values.len() - season.min(&values.len())..].to_vec()
        });
        Seasons { last: last.collect() }
    }
}

impl Seasons {
    /// What the seasons add to each step after the series.
    pub(crate) fn forecast(&self, n_ahead: usize) -> Vec<f64> {
        let mut sums = vec![0.0_f64; n_ahead];
        for season in &self.last {
            for (sum, value) in sums.iter_mut().zip(season.iter().cycle()) {
                *sum = (*sum + value).clamp(f64::MIN, f64::MAX);
            }
        }
        sums
    }

    /// Whether stored numbers make a forecast.
    pub(crate) fn is_sound(&self) -> bool {
        let is_sound =
            |season: &Vec<f64>| !season.is_empty() && season.iter().all(|value| value.is_finite());
        self.last.iter().all(is_sound)
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn show() {
        let s = |n: usize| -> Vec<f64> { (0..n).map(|t| 3.0*(t as f64/3.0).sin()+((t*7)%11) as f64/4.0+[5.0,-2.0,1.0,0.0][t%4]+t as f64*0.1).collect() };
        for (n,p,w) in [(50,vec![4],Weights::Equal),(50,vec![4],Weights::Robust),(61,vec![12],Weights::Equal),(240,vec![5,24],Weights::Equal),(600,vec![110],Weights::Equal)] {
            let d = decompose(&s(n),&p,w,&Stop::default()).unwrap();
            for c in std::iter::once(&d.trend).chain(d.seasonal.iter().map(|s| &s.values)).chain([&d.remainder]) { print!("{:?} {:?} {:?} ", c[0],c[7],c[n-1]); }
            println!("\n strength {}", strength(&s(n),p[0],&Stop::default()).unwrap());
        }
    }
}
