//! A density made of kernels, one on each trial, and of an even one over the whole cube.
//!
//! A kernel is a product over the axes: a normal distribution cut off at the bounds on those with an
//! order, where the values of a discrete one count as the points in the middle of their intervals;
//! on categories a share for the trial's own value and the same for each other (J. Aitchison and
//! C. Aitken, 1976).

use std::f64::consts::PI;

use rand::Rng;
use rand_pcg::Pcg64;

use super::normal;
use crate::sampler::axes::{Axes, Kind};
use crate::sampler::history::Past;
use crate::sampler::random::unit;

/// How many trials the even spread counts for when the spread of trials is taken.
const EVEN_SPREAD: f64 = 0.3;

/// The variance of an even spread.
const EVEN_VARIANCE: f64 = 1.0 / 12.0;

/// No kernel is narrower than this share of the distance between ordered values.
const NARROWEST_STEPS: f64 = 0.5;

/// Masses of normal distributions are looked up between so many means.
const N_MASSES: usize = 64;

/// The logarithm of each kernel at a point.
pub(super) type Scratch = Vec<f64>;

/// A density.
pub(super) struct Parzen {
    columns: Vec<Column>,
    /// The weight of each kernel, the even one's last, and their sum.
    weights: Vec<f64>,
    sum: f64,
    /// The logarithm of each kernel's share and of its height.
    heights: Vec<f64>,
}

/// The kernels along an axis.
enum Column {
    /// Means, and the same in units of the common deviation.
    Number { means: Vec<f64>, scaled: Vec<f64>, deviation: f64 },
    /// Values, and how likely each kernel is to have its own.
    Word { values: Vec<f64>, n: usize, own: f64 },
}

impl Parzen {
    /// Kernels on these trials, along the free axes. Those without a weight count 1.
    pub(super) fn new(
        axes: &Axes,
        free: &[usize],
        trials: &[&Past],
        weights: &[f64],
        width: f64,
    ) -> Self {
        let n = trials.len();
        let mut weights = weights.to_vec();
        weights.resize(n, 1.0);
        // The even one.
        weights.push(1.0);
        let sum: f64 = weights.iter().sum();
        let mut heights: Vec<f64> = weights.iter().map(|weight| (weight / sum).ln()).collect();
        // D. W. Scott, "Multivariate density estimation" (1992): how fast kernels may narrow.
        let width = width * (n as f64 + 1.0).powf(-1.0 / (free.len() as f64 + 4.0));
        // So few trials do not tell more than this.
        let narrowest = 1.0 / (n as f64 + 2.0);
        let columns = free.iter().map(|&axis| {
            let units = trials.iter().map(|past| past.units[axis]).collect();
            match &axes.kinds()[axis] {
                Kind::Category(n) => Column::words(units, *n, &mut heights),
                Kind::Ordered(levels) => {
                    let narrowest = narrowest.max(NARROWEST_STEPS / levels.len() as f64);
                    let deviation = (width * spread(&units, &weights)).max(narrowest);
                    Column::numbers(units, deviation, &mut heights)
                }
                Kind::Continuous => {
                    let deviation = (width * spread(&units, &weights)).max(narrowest);
                    Column::numbers(units, deviation, &mut heights)
                }
            }
        });
        Self { columns: columns.collect(), weights, sum, heights }
    }

    /// Draws the free coordinates of a point.
    pub(super) fn draw(&self, free: &[usize], generator: &mut Pcg64, units: &mut [f64]) {
        let mut left = unit(generator.next_u64()) * self.sum;
        let is_it = |weight: &f64| {
            left -= weight;
            left < 0.0
        };
        let kernel = self.weights.iter().position(is_it).unwrap_or(self.weights.len() - 1);
        for (&axis, column) in free.iter().zip(&self.columns) {
            units[axis] = column.draw(kernel, generator);
        }
    }

    /// The logarithm of the density at a point, but for a factor that is the same for all densities
    /// over the same axes.
    pub(super) fn log_density(&self, free: &[usize], units: &[f64], scratch: &mut Scratch) -> f64 {
        scratch.clear();
        scratch.extend_from_slice(&self.heights);
        for (&axis, column) in free.iter().zip(&self.columns) {
            column.add_logs(units[axis], scratch);
        }
        normal::log_sum_exp(scratch)
    }
}

impl Column {
    fn numbers(means: Vec<f64>, deviation: f64, heights: &mut [f64]) -> Self {
        let height =
            |mean: f64| -(normal::mass(mean, deviation) * deviation * (2.0 * PI).sqrt()).ln();
        if means.len() <= N_MASSES {
            for (own, &mean) in heights.iter_mut().zip(&means) {
                *own += height(mean);
            }
        } else {
            let table: [f64; N_MASSES + 2] =
                std::array::from_fn(|i| height((i as f64 / N_MASSES as f64).min(1.0)));
            for (own, &mean) in heights.iter_mut().zip(&means) {
                let place = mean * N_MASSES as f64;
                let cell = (place as usize).min(N_MASSES);
                let (low, high) = (table[cell], table[cell + 1]);
                *own += low + (high - low) * (place - cell as f64);
            }
        }
        let scaled = means.iter().map(|mean| mean / deviation).collect();
        Self::Number { means, scaled, deviation }
    }

    fn words(mut units: Vec<f64>, n: usize, heights: &mut [f64]) -> Self {
        // The even kernel counts for one trial.
        let prior = 1.0 / (units.len() as f64 + 1.0);
        let own = if n < 2 { 1.0 } else { (1.0 + prior) / (1.0 + n as f64 * prior) };
        for unit in &mut units {
            *unit = (*unit * n as f64).floor();
        }
        if let Some(even) = heights.last_mut() {
            *even -= (n as f64).ln();
        }
        Self::Word { values: units, n, own }
    }

    /// A coordinate from a kernel; the even one has no place.
    fn draw(&self, kernel: usize, generator: &mut Pcg64) -> f64 {
        match self {
            Self::Number { means, deviation, .. } => match means.get(kernel) {
                Some(&mean) => normal::draw(mean, *deviation, generator),
                None => unit(generator.next_u64()),
            },
            Self::Word { values, n, own } => {
                let (is_own, other) = (unit(generator.next_u64()), unit(generator.next_u64()));
                match values.get(kernel) {
                    Some(value) if is_own < *own => (value + 0.5) / *n as f64,
                    Some(value) => {
                        let other = (other * (*n as f64 - 1.0)).floor();
                        (other + f64::from(other >= *value) + 0.5) / *n as f64
                    }
                    None => other,
                }
            }
        }
    }

    fn add_logs(&self, at: f64, logs: &mut [f64]) {
        match self {
            Self::Number { scaled, deviation, .. } => {
                let at = at / deviation;
                for (log, mean) in logs.iter_mut().zip(scaled) {
                    let distance = at - mean;
                    *log -= 0.5 * distance * distance;
                }
            }
            Self::Word { values, n, own } => {
                let at = (at * *n as f64).floor();
                let other = ((1.0 - own) / (*n as f64 - 1.0).max(1.0)).max(f64::MIN_POSITIVE);
                let (own, other) = (own.ln(), other.ln());
                for (log, value) in logs.iter_mut().zip(values) {
                    *log += if *value == at { own } else { other };
                }
            }
        }
    }
}

/// The deviation of weighted coordinates together with a few that are spread evenly.
fn spread(units: &[f64], weights: &[f64]) -> f64 {
    let n = units.len() as f64;
    let weighted = || units.iter().zip(weights);
    let mean = (weighted().map(|(unit, weight)| unit * weight).sum::<f64>() + 0.5) / (n + 1.0);
    let squares: f64 = weighted().map(|(unit, weight)| weight * (unit - mean).powi(2)).sum();
    ((squares + EVEN_SPREAD * EVEN_VARIANCE) / (n + EVEN_SPREAD)).sqrt()
}
