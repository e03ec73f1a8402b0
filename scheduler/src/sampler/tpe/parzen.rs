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
pub(super) type Scratch = Vec<f32>;

/// A density.
pub(super) struct Parzen {
    columns: Vec<Column>,
    /// The weight of each kernel, the even one's last, and their sum.
    weights: Vec<f64>,
    sum: f64,
    /// The logarithm of each kernel's share and of its height. Logarithms are short numbers: twice as
    /// many are added up at once, and points are only put in order by them.
    heights: Vec<f32>,
}

/// The kernels along an axis.
enum Column {
    /// Means, and the same in units of the common deviation.
    Number { means: Vec<f64>, scaled: Vec<f32>, deviation: f64 },
    /// Values, and how likely each kernel is to have its own.
    Word { values: Vec<f32>, n: usize, own: f64 },
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
        let own: f64 = weights.iter().sum();
        // The even one.
        weights.push(1.0);
        let sum = own + 1.0;
        // Most weigh the same.
        let (mut last, mut log) = (f64::NAN, f64::NAN);
        let height = |&weight: &f64| {
            if weight != last {
                (last, log) = (weight, (weight / sum).ln());
            }
            log
        };
        let mut heights: Vec<f64> = weights.iter().map(height).collect();
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
                    let deviation = (width * spread(&units, &weights, own)).max(narrowest);
                    Column::numbers(units, deviation, &mut heights)
                }
                Kind::Continuous => {
                    let deviation = (width * spread(&units, &weights, own)).max(narrowest);
                    Column::numbers(units, deviation, &mut heights)
                }
            }
        });
        let columns = columns.collect();
        let heights = heights.into_iter().map(|height| height as f32).collect();
        Self { columns, weights, sum, heights }
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
        let whole = -(deviation * (2.0 * PI).sqrt()).ln();
        let height = |mean: f64| match normal::mass(mean, deviation) {
            // That of most, where deviations are small.
            1.0 => whole,
            mass => whole - mass.ln(),
        };
        if means.len() <= N_MASSES {
            for (own, &mean) in heights.iter_mut().zip(&means) {
                *own += height(mean);
            }
        } else {
            // What is left of a normal between the bounds is the same from either of them.
            let half: [f64; N_MASSES / 2 + 1] =
                std::array::from_fn(|i| height(i as f64 / N_MASSES as f64));
            let table: [f64; N_MASSES + 2] = std::array::from_fn(|i| {
                let cell = i.min(N_MASSES);
                half[cell.min(N_MASSES - cell)]
            });
            for (own, &mean) in heights.iter_mut().zip(&means) {
                let place = mean * N_MASSES as f64;
                let cell = (place as usize).min(N_MASSES);
                let (low, high) = (table[cell], table[cell + 1]);
                *own += low + (high - low) * (place - cell as f64);
            }
        }
        let scaled = means.iter().map(|mean| (mean / deviation) as f32).collect();
        Self::Number { means, scaled, deviation }
    }

    fn words(units: Vec<f64>, n: usize, heights: &mut [f64]) -> Self {
        // The even kernel counts for one trial.
        let prior = 1.0 / (units.len() as f64 + 1.0);
        let own = if n < 2 { 1.0 } else { (1.0 + prior) / (1.0 + n as f64 * prior) };
        if let Some(even) = heights.last_mut() {
            *even -= (n as f64).ln();
        }
        let values = units.into_iter().map(|unit| (unit * n as f64).floor() as f32).collect();
        Self::Word { values, n, own }
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
                match values.get(kernel).map(|value| f64::from(*value)) {
                    Some(value) if is_own < *own => (value + 0.5) / *n as f64,
                    Some(value) => {
                        let other = (other * (*n as f64 - 1.0)).floor();
                        (other + f64::from(other >= value) + 0.5) / *n as f64
                    }
                    None => other,
                }
            }
        }
    }

    fn add_logs(&self, at: f64, logs: &mut [f32]) {
        match self {
            Self::Number { scaled, deviation, .. } => {
                let at = (at / deviation) as f32;
                for (log, mean) in logs.iter_mut().zip(scaled) {
                    let distance = at - mean;
                    *log -= 0.5 * distance * distance;
                }
            }
            Self::Word { values, n, own } => {
                let at = (at * *n as f64).floor() as f32;
                let other = ((1.0 - own) / (*n as f64 - 1.0).max(1.0)).max(f64::MIN_POSITIVE);
                let (own, other) = (own.ln() as f32, other.ln() as f32);
                for (log, value) in logs.iter_mut().zip(values) {
                    *log += if *value == at { own } else { other };
                }
            }
        }
    }
}

/// The deviation of coordinates of these weights, `n` together, with a few that are spread evenly.
fn spread(units: &[f64], weights: &[f64], n: f64) -> f64 {
    let mean = (sum_of(units, weights, |unit, weight| unit * weight) + 0.5) / (n + 1.0);
    let squares = sum_of(units, weights, |unit, weight| weight * (unit - mean) * (unit - mean));
    ((squares + EVEN_SPREAD * EVEN_VARIANCE) / (n + EVEN_SPREAD)).sqrt()
}

/// The sum over pairs, four side by side.
fn sum_of(units: &[f64], weights: &[f64], part: impl Fn(f64, f64) -> f64) -> f64 {
    let (fours, rest) = units.as_chunks::<4>();
    let (weights_of_fours, _) = weights.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (units, weights) in fours.iter().zip(weights_of_fours) {
        for (sum, (&unit, &weight)) in sums.iter_mut().zip(units.iter().zip(weights)) {
            *sum += part(unit, weight);
        }
    }
    let rest = rest.iter().zip(weights.iter().skip(4 * fours.len()));
    sums.iter().sum::<f64>() + rest.map(|(&unit, &weight)| part(unit, weight)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::{Alternative, Domain, Parameter, Scale, SearchSpace, Value};

    use super::*;

    fn axes() -> Axes {
        let words = ["a", "b", "c"].map(|word| Alternative::Value(Value::Text(word.into())));
        let domains = [
            Domain::Uniform { min: 0.0, max: 1.0, q: None },
            Domain::Int { min: 1, max: 20, step: 1, scale: Scale::Linear },
            Domain::Choice(words.into_iter().collect()),
        ];
        let parameters = domains.into_iter().zip(["x", "n", "word"]);
        let parameters = parameters.map(|(domain, name)| Parameter { name: name.into(), domain });
        Axes::new(SearchSpace { parameters: parameters.collect() })
    }

    fn trials(n: u32) -> Vec<Past> {
        let trial = |number: u32| {
            let unit = f64::from(number * 7 % n) / f64::from(n);
            let n_th = (unit * 8.0).floor();
            let word = f64::from(number % 2);
            let units = vec![0.1 + 0.3 * unit, (n_th + 0.5) / 20.0, (word + 0.5) / 3.0];
            Past { number, units, fate: None }
        };
        (0..n).map(trial).collect()
    }

    #[test]
    fn densities_sum_up_to_one() {
        let axes = axes();
        for n in [0, 3, 200] {
            let trials = trials(n);
            let trials: Vec<&Past> = trials.iter().collect();
            let density = Parzen::new(&axes, &[0, 1, 2], &trials, &[], 0.7);
            let mut scratch = Scratch::new();
            let mut sum = 0.0;
            for i in 0..200 {
                for level in 0..20 {
                    for word in 0..3 {
                        let x = (f64::from(i) + 0.5) / 200.0;
                        let at =
                            [x, (f64::from(level) + 0.5) / 20.0, (f64::from(word) + 0.5) / 3.0];
                        sum += density.log_density(&[0, 1, 2], &at, &mut scratch).exp();
                    }
                }
            }
            // Levels stand for their intervals, which is not quite exact.
            let mean = sum / (200.0 * 20.0);
            assert!((mean - 1.0).abs() < 0.05, "{n} trials: {mean}");
        }
    }

    #[test]
    fn what_weighs_little_widens_no_kernel_at_either_end() {
        let low: Vec<f64> = (0..80).map(|i| 0.15 + 0.001 * f64::from(i % 9 - 4)).collect();
        let high: Vec<f64> = low.iter().map(|unit| 1.0 - unit).collect();
        let weights: Vec<f64> = (0..80).map(|i| if i < 48 { 1.0 } else { 0.05 }).collect();
        let n = weights.iter().sum();
        let spreads = [&low, &high].map(|units| spread(units, &weights, n));
        assert!((spreads[0] - spreads[1]).abs() < 1e-9, "{spreads:?}");
        let alone = spread(&high[..48], &weights[..48], 48.0);
        assert!((spreads[1] / alone - 1.0).abs() < 0.05, "{spreads:?} {alone}");
    }

    #[test]
    fn draws_come_from_where_the_density_is() {
        let axes = axes();
        let trials = trials(40);
        let trials: Vec<&Past> = trials.iter().collect();
        let density = Parzen::new(&axes, &[0, 1, 2], &trials, &[], 0.7);
        let mut generator = Pcg64::new(3, 5);
        let mut n_low = [0; 3];
        for _ in 0..1_000 {
            let mut units = vec![f64::NAN; 3];
            density.draw(&[0, 1, 2], &mut generator, &mut units);
            axes.settle(&mut units);
            assert!(units.iter().all(|unit| (0.0..=1.0).contains(unit)));
            let bounds = [0.5, 0.5, 2.0 / 3.0];
            for (n, (unit, bound)) in n_low.iter_mut().zip(units.iter().zip(bounds)) {
                *n += i32::from(*unit < bound);
            }
        }
        assert!(n_low.iter().all(|n| *n > 900 && *n < 1_000), "{n_low:?}");
    }

    #[test]
    fn a_trial_of_much_weight_draws_more() {
        let axes = axes();
        let trials = trials(2);
        let trials: Vec<&Past> = trials.iter().collect();
        let density = Parzen::new(&axes, &[2], &trials, &[0.1, 1.9], 0.7);
        let mut scratch = Scratch::new();
        let mut at =
            |word: f64| density.log_density(&[2], &[0.5, 0.5, (word + 0.5) / 3.0], &mut scratch);
        assert!(at(1.0) > at(0.0) && at(0.0) > at(2.0));
    }
}
