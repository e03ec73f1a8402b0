//! The normal distribution that CMA-ES draws from, and how a generation of trials moves it.
//!
//! N. Hansen, "The CMA evolution strategy: a tutorial" (2016). Points
//! need not be drawn from the distribution: those too far away count as nearer (N. Hansen, "Injecting
//! external solutions into CMA-ES", 2011). The step size's path is taken through the Cholesky factor
//! in place of the symmetric root (O. Krause et al., NIPS 2016). With many axes the covariance is
//! diagonal (R. Ros and N. Hansen, PPSN 2008).

use crate::sampler::random::unit;
use rand::Rng;
use rand_pcg::Pcg64;

/// The first step size, as a share of the width of the cube.
const FIRST_STEP: f64 = 0.15;

/// From this many axes on, these are independent.
pub(super) const MANY_AXES: usize = 64;

/// A distribution that is nowhere wider than this has arrived.
const ARRIVED: f64 = 1e-7;

/// A normal distribution over some axes of the cube.
#[derive(Clone, Debug)]
pub(super) struct Distribution {
    pub(super) mean: Vec<f64>,
    step: f64,
    /// Rows of the lower triangle; with many axes the diagonal alone.
    covariance: Vec<Vec<f64>>,
    factor: Vec<Vec<f64>>,
    step_path: Vec<f64>,
    path: Vec<f64>,
    n_generations: u32,
    rates: Rates,
}

/// What follows from the number of axes and the size of a generation.
#[derive(Clone, Debug)]
struct Rates {
    /// The better half's sum up to one, the others' are negative.
    weights: Vec<f64>,
    n_parents: usize,
    mass: f64,
    step: f64,
    damping: f64,
    path: f64,
    rank_one: f64,
    rank_many: f64,
    /// How long a vector of standard normal numbers is on average.
    length: f64,
}

impl Rates {
    fn new(n_axes: usize, n_points: usize) -> Self {
        let n = n_axes as f64;
        let raw = (1..=n_points).map(|rank| ((n_points as f64 + 1.0) / 2.0 / rank as f64).ln());
        let raw: Vec<f64> = raw.collect();
        let n_parents = raw.partition_point(|&weight| weight > 0.0);
        let (sum, mass) = sum_and_mass(&raw[..n_parents]);
        let (sum_against, mass_against) = sum_and_mass(&raw[n_parents..]);
        let step = (mass + 2.0) / (n + mass + 5.0);
        let rank_one = 2.0 / ((n + 1.3).powi(2) + mass);
        let rank_many = 2.0 * (mass - 2.0 + 1.0 / mass) / ((n + 2.0).powi(2) + mass);
        // A diagonal is learnt from fewer points.
        let speed = if n_axes >= MANY_AXES { (n + 2.0) / 3.0 } else { 1.0 };
        let rank_one = (rank_one * speed).min(0.5);
        let rank_many = (rank_many * speed).min(1.0 - rank_one).max(f64::MIN_POSITIVE);
        // How much the worse half may count without the covariance ceasing to be one.
        let against = (1.0 + rank_one / rank_many)
            .min(1.0 + 2.0 * mass_against / (mass + 2.0))
            .min((1.0 - rank_one - rank_many) / (n * rank_many));
        let share = |weight: f64| match weight > 0.0 {
            true => weight / sum,
            false => against * weight / sum_against.abs().max(f64::MIN_POSITIVE),
        };
        let weights = raw.into_iter().map(share).collect();
        Self {
            damping: 1.0 + 2.0 * (((mass - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + step,
            path: (4.0 + mass / n) / (n + 4.0 + 2.0 * mass / n),
            length: n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n)),
            weights,
            mass,
            step,
            rank_one,
            rank_many,
            n_parents,
        }
    }
}

/// Of weights: their sum, and how many equal ones would say as much.
fn sum_and_mass(weights: &[f64]) -> (f64, f64) {
    let sum: f64 = weights.iter().sum();
    let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
    (sum, if squares > 0.0 { sum * sum / squares } else { 0.0 })
}

/// How many trials make a generation.
pub(super) fn generation_size(n_axes: usize) -> usize {
    4 + (3.0 * (n_axes as f64).ln()) as usize
}

impl Distribution {
    pub(super) fn new(mean: Vec<f64>, n_points: usize) -> Self {
        let n = mean.len();
        let covariance: Vec<Vec<f64>> = (0..n)
            .map(|row| match n >= MANY_AXES {
                true => vec![1.0],
                false => (0..=row).map(|column| f64::from(u8::from(row == column))).collect(),
            })
            .collect();
        Self {
            rates: Rates::new(n, n_points),
            step: FIRST_STEP,
            factor: covariance.clone(),
            covariance,
            step_path: vec![0.0; n],
            path: vec![0.0; n],
            n_generations: 0,
            mean,
        }
    }

    /// A step away from the mean.
    pub(super) fn draw(&self, generator: &mut Pcg64) -> Vec<f64> {
        let drawn: Vec<f64> = (0..self.mean.len()).map(|_| normal(generator)).collect();
        let step = |(row, axis): (&Vec<f64>, usize)| {
            let along = match row.len() {
                1 => row[0] * drawn[axis],
                _ => row.iter().zip(&drawn).map(|(factor, drawn)| factor * drawn).sum(),
            };
            self.step * along
        };
        self.factor.iter().zip(0..).map(step).collect()
    }

    /// The standard deviation along an axis.
    pub(super) fn deviation(&self, axis: usize) -> f64 {
        let variance = self.covariance.get(axis).and_then(|row| row.last());
        self.step * variance.copied().unwrap_or(1.0).max(0.0).sqrt()
    }

    /// Whether nothing is left to be found near the mean.
    pub(super) fn has_arrived(&self) -> bool {
        let widest = (0..self.mean.len()).map(|axis| self.deviation(axis)).fold(0.0, f64::max);
        !(ARRIVED..=10.0).contains(&widest)
    }

    /// Moves by a generation, the best point first. False if it cannot go on.
    pub(super) fn update(&mut self, points: &[Vec<f64>]) -> bool {
        self.n_generations += 1;
        let n = self.mean.len() as f64;
        let rates = self.rates.clone();
        let longest = n.sqrt() + 2.0 * n / (n + 2.0);
        let mut weights = rates.weights.clone();
        let steps: Vec<Vec<f64>> = points
            .iter()
            .zip(&mut weights)
            .map(|(point, weight)| {
                let mut step: Vec<f64> = point
                    .iter()
                    .zip(&self.mean)
                    .map(|(at, mean)| (at - mean) / self.step)
                    .collect();
                let from_mean = length(&self.whitened(&step));
                let share = (longest / from_mean).min(1.0);
                step.iter_mut().for_each(|step| *step *= share);
                if *weight < 0.0 {
                    // What is bad counts by where it lies, not by how far away.
                    *weight *= n / (from_mean * share).powi(2).max(1e-9);
                }
                step
            })
            .collect();
        let mut shift = vec![0.0; self.mean.len()];
        for (step, weight) in steps.iter().zip(&rates.weights[..rates.n_parents]) {
            shift.iter_mut().zip(step).for_each(|(shift, step)| *shift += weight * step);
        }
        for (mean, shift) in self.mean.iter_mut().zip(&shift) {
            *mean = (*mean + self.step * shift).clamp(0.0, 1.0);
        }
        let gain = (rates.step * (2.0 - rates.step) * rates.mass).sqrt();
        let white = self.whitened(&shift);
        for (path, white) in self.step_path.iter_mut().zip(&white) {
            *path = (1.0 - rates.step) * *path + gain * white;
        }
        let path_length = length(&self.step_path);
        let fade = 1.0 - (1.0 - rates.step).powi(2 * self.n_generations.min(10_000) as i32);
        let is_steady = path_length / fade.sqrt() < (1.4 + 2.0 / (n + 1.0)) * rates.length;
        let gain =
            if is_steady { (rates.path * (2.0 - rates.path) * rates.mass).sqrt() } else { 0.0 };
        for (path, shift) in self.path.iter_mut().zip(&shift) {
            *path = (1.0 - rates.path) * *path + gain * shift;
        }
        let lost = if is_steady { 0.0 } else { rates.rank_one * rates.path * (2.0 - rates.path) };
        let sum: f64 = rates.weights.iter().sum();
        let kept = 1.0 - rates.rank_one - rates.rank_many * sum + lost;
        let is_diagonal = self.mean.len() >= MANY_AXES;
        for (row, entries) in self.covariance.iter_mut().enumerate() {
            let first = if is_diagonal { row } else { 0 };
            for (column, entry) in (first..).zip(entries) {
                let many = steps.iter().zip(&weights);
                let many: f64 = many.map(|(step, weight)| weight * step[row] * step[column]).sum();
                let one = self.path[row] * self.path[column];
                *entry = kept * *entry + rates.rank_one * one + rates.rank_many * many;
            }
        }
        self.step *=
            (rates.step / rates.damping * (path_length / rates.length - 1.0)).min(1.0).exp();
        self.refactor()
    }

    fn refactor(&mut self) -> bool {
        if self.mean.len() >= MANY_AXES {
            for (factor, variance) in self.factor.iter_mut().zip(&self.covariance) {
                factor[0] = variance[0].max(0.0).sqrt();
            }
            return self.factor.iter().all(|factor| factor[0] > 0.0 && factor[0].is_finite());
        }
        for row in 0..self.mean.len() {
            for column in 0..=row {
                let (own, other) = (&self.factor[row], &self.factor[column]);
                let known: f64 = (0..column).map(|k| own[k] * other[k]).sum();
                let rest = self.covariance[row][column] - known;
                let is_diagonal = row == column;
                if is_diagonal && !(rest > 1e-20 && rest < 1e20) {
                    return false;
                }
                let entry = if is_diagonal { rest.sqrt() } else { rest / other[column] };
                self.factor[row][column] = entry;
            }
        }
        true
    }

    /// A step in the coordinates in which the distribution is round.
    fn whitened(&self, step: &[f64]) -> Vec<f64> {
        let mut white: Vec<f64> = Vec::with_capacity(step.len());
        for (row, step) in self.factor.iter().zip(step) {
            let (known, diagonal) = match row.as_slice() {
                [diagonal] => (0.0, *diagonal),
                [known @ .., diagonal] => (
                    known.iter().zip(&white).map(|(factor, white)| factor * white).sum(),
                    *diagonal,
                ),
                [] => (0.0, 1.0),
            };
            white.push((step - known) / diagonal);
        }
        white
    }
}

fn length(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE)
}

/// A standard normal number.
pub(super) fn normal(generator: &mut Pcg64) -> f64 {
    let radius = (-2.0 * (1.0 - unit(generator.next_u64())).ln()).sqrt();
    radius * (2.0 * std::f64::consts::PI * unit(generator.next_u64())).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The best value after so many generations.
    fn minimise(n: usize, n_generations: usize, f: impl Fn(&[f64]) -> f64) -> f64 {
        let n_points = generation_size(n);
        let mut distribution = Distribution::new(vec![0.4; n], n_points);
        let mut generator = Pcg64::new(1, 2);
        let mut best = f64::INFINITY;
        for _ in 0..n_generations {
            let mut points: Vec<Vec<f64>> = (0..n_points)
                .map(|_| {
                    let step = distribution.draw(&mut generator);
                    step.iter().zip(&distribution.mean).map(|(step, mean)| mean + step).collect()
                })
                .collect();
            points.sort_by(|one, other| f(one).total_cmp(&f(other)));
            best = best.min(f(&points[0]));
            if !distribution.update(&points) {
                break;
            }
        }
        best
    }

    #[test]
    fn spheres_and_narrow_valleys_are_solved() {
        let sphere = |x: &[f64]| x.iter().map(|x| (x - 0.6).powi(2)).sum::<f64>();
        assert!(minimise(8, 150, sphere) < 1e-9);
        assert!(minimise(80, 500, sphere) < 1e-3);
        let valley = |x: &[f64]| {
            let z: Vec<f64> = x.iter().map(|x| 4.0 * x - 1.5).collect();
            z.windows(2).map(|w| 100.0 * (w[1] - w[0] * w[0]).powi(2) + (1.0 - w[0]).powi(2)).sum()
        };
        assert!(minimise(5, 400, valley) < 1e-6);
        let cigar = |x: &[f64]| (x[0] + x[1] - 1.1).powi(2) * 1e4 + (x[0] - x[1] - 0.2).powi(2);
        assert!(minimise(2, 200, cigar) < 1e-8);
    }
}
