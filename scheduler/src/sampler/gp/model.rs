//! The Gaussian process over what was seen, and what it expects of points not yet seen.
//!
//! Trials that run are seen too, with several joint draws of what they may bring: an improvement is
//! expected on the mean over the draws, so that many trials at once spread out (J. T. Wilson et
//! al., "Maximizing acquisition functions for Bayesian optimization", 2018, one point after the
//! other).

use super::arithmetic::{add_scaled, dot};
use super::factor::{Factor, WIDTH};
use super::kernel::{CONSTANT, Kernel, Points};
use super::likelihood::{SCALE, SHAPE, WEAK_NOISE};
use super::normal::{log_improvement, log_probability};
use super::wide::{Arithmetic, wide};

/// Variance that is never thought to be left, of that of the function.
const LEAST_VARIANCE: f64 = 1e-14;

/// Points, their covariances factored.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) kernel: Kernel,
    pub(super) noise: f64,
    pub(super) points: Points,
    factor: Factor,
}

/// One way things may turn out.
#[derive(Debug)]
struct Draw {
    alpha: Vec<f64>,
    /// The least value that would be known then.
    least: f64,
}

/// What of a point is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Question {
    /// How much less its value is than the least known one.
    Improvement,
    /// How likely its value is to be less than that at all.
    Chance,
}

impl Question {
    /// The logarithm of the answer for a standard normal value above `-z`, and its derivative.
    fn log(self, z: f64) -> (f64, f64) {
        match self {
            Self::Improvement => log_improvement(z),
            Self::Chance => log_probability(z),
        }
    }

    /// How the answer grows with the deviation: as its power.
    fn power(self) -> f64 {
        match self {
            Self::Improvement => 1.0,
            Self::Chance => 0.0,
        }
    }
}

/// What the model expects.
#[derive(Debug)]
pub(super) struct Posterior<'a> {
    model: &'a Model,
    question: Question,
    /// The variance of the function.
    variance: f64,
    draws: Vec<Draw>,
    /// Expected values at the known points.
    pub(super) means: Vec<f64>,
}

impl Model {
    pub(super) fn new(kernel: Kernel, noise: f64) -> Self {
        let points = Points::new(kernel.weights.len());
        Self { kernel, noise, points, factor: Factor::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.points.n
    }

    pub(super) fn push(&mut self, features: &[f64], is_weak: bool) {
        let n = self.points.n;
        let mut row = vec![0.0; n + 1];
        let mut slopes = vec![0.0; n];
        let features = &self.kernel.placed(features);
        self.kernel.covariances(&self.points, features, &mut row[..n], &mut slopes);
        row[n] = 1.0 + CONSTANT + self.noise + if is_weak { WEAK_NOISE } else { 0.0 };
        self.factor.push(&row);
        self.points.push(features);
    }

    pub(super) fn truncate(&mut self, n: usize) {
        self.points.truncate(n);
        self.factor.truncate(n);
    }

    /// The posterior, given the values at the first points; those that count are to be improved
    /// upon. The other points run: each of `draws` has a standard normal number for each of them.
    pub(super) fn posterior(
        &self,
        values: &[f64],
        is_weak: &[bool],
        counts: &[bool],
        draws: &[Vec<f64>],
    ) -> Posterior<'_> {
        let (n, n_known) = (self.len(), values.len());
        let mut solved = values.to_vec();
        self.factor.solve(&mut solved);
        let variance = (dot(&solved, &solved) + SCALE) / (n_known as f64 + SHAPE);
        let mut alpha = solved.clone();
        self.factor.solve_transposed(&mut alpha);
        let mean = |((value, alpha), &is_weak): ((&f64, &f64), &bool)| {
            value - alpha * (self.noise + if is_weak { WEAK_NOISE } else { 0.0 })
        };
        let means: Vec<f64> = values.iter().zip(&alpha).zip(is_weak).map(mean).collect();
        let counting = means.iter().zip(counts).filter(|(_, counts)| **counts);
        let least = counting.map(|(mean, _)| *mean).fold(f64::INFINITY, f64::min);
        let draw = |normals: &Vec<f64>| {
            let mut alpha = solved.clone();
            alpha.extend(normals[..n - n_known].iter().map(|normal| normal * variance.sqrt()));
            let running = (n_known..n).map(|i| dot(self.factor.row(i), &alpha[..i + 1]));
            let least = running.fold(least, f64::min);
            self.factor.solve_transposed(&mut alpha);
            Draw { alpha, least }
        };
        let draws = match n == n_known {
            true => vec![Draw { alpha, least }],
            false => draws.iter().map(draw).collect(),
        };
        Posterior { model: self, question: Question::Improvement, variance, draws, means }
    }

    /// The posterior of points that are asked how likely they are below a bound. None run.
    pub(super) fn chances(&self, values: &[f64], is_weak: &[bool], bound: f64) -> Posterior<'_> {
        let mut posterior = self.posterior(values, is_weak, &vec![true; values.len()], &[]);
        posterior.question = Question::Chance;
        posterior.draws.iter_mut().for_each(|draw| draw.least = bound);
        posterior
    }
}

impl Posterior<'_> {
    /// The standard deviation of a value where nothing else is uncertain.
    pub(super) fn noise(&self) -> f64 {
        (self.variance * self.model.noise).sqrt()
    }

    /// Logarithms of what is asked for at several points.
    pub(super) fn logs(&self, xs: &[Vec<f64>]) -> Vec<f64> {
        wide(Logs { posterior: self, xs })
    }

    #[inline(always)]
    fn logs_now(&self, xs: &[Vec<f64>]) -> Vec<f64> {
        let model = self.model;
        let mut block = vec![[0.0; WIDTH]; model.len()];
        let mut logs = Vec::with_capacity(xs.len());
        let mut means = vec![[0.0; WIDTH]; self.draws.len()];
        for xs in xs.chunks(WIDTH) {
            let xs: Vec<Vec<f64>> = xs.iter().map(|x| model.kernel.placed(x)).collect();
            model.kernel.block(&model.points, &xs, &mut block);
            for (means, draw) in means.iter_mut().zip(&self.draws) {
                let mut sums = [0.0; WIDTH];
                for (&alpha, covariances) in draw.alpha.iter().zip(&block) {
                    for lane in 0..WIDTH {
                        sums[lane] += alpha * covariances[lane];
                    }
                }
                *means = sums;
            }
            model.factor.solve_block(&mut block);
            let mut explained = [0.0; WIDTH];
            for solved in &block {
                for lane in 0..WIDTH {
                    explained[lane] += solved[lane] * solved[lane];
                }
            }
            for lane in 0..xs.len() {
                let deviation = self.deviation(explained[lane]);
                let mut log = |draw: usize| {
                    let z = (self.draws[draw].least - means[draw][lane]) / deviation;
                    self.question.log(z).0
                };
                let logs_of_draws: Vec<f64> = (0..self.draws.len()).map(&mut log).collect();
                logs.push(log_mean(&logs_of_draws) + self.question.power() * deviation.ln());
            }
        }
        logs
    }

    fn deviation(&self, explained: f64) -> f64 {
        let left = (1.0 + CONSTANT - explained).max(LEAST_VARIANCE);
        (self.variance * left).sqrt()
    }

    /// The logarithm of what is asked for at a point, and its gradient by some axes, none of them
    /// without an order.
    pub(super) fn slope(&self, x: &[f64], axes: &[usize]) -> (f64, Vec<f64>) {
        wide(Slope { posterior: self, x, axes })
    }

    #[inline(always)]
    fn slope_now(&self, x: &[f64], axes: &[usize]) -> (f64, Vec<f64>) {
        let model = self.model;
        let n = model.len();
        let (mut covariances, mut slopes) = (vec![0.0; n], vec![0.0; n]);
        let placed = model.kernel.placed(x);
        model.kernel.covariances(&model.points, &placed, &mut covariances, &mut slopes);
        let mut solved = covariances.clone();
        model.factor.solve(&mut solved);
        let explained = dot(&solved, &solved);
        let deviation = self.deviation(explained);
        let outcomes: Vec<(f64, f64, f64)> = self
            .draws
            .iter()
            .map(|draw| {
                let z = (draw.least - dot(&draw.alpha, &covariances)) / deviation;
                let (log, slope) = self.question.log(z);
                (log, slope, z)
            })
            .collect();
        let logs: Vec<f64> = outcomes.iter().map(|outcome| outcome.0).collect();
        let log = log_mean(&logs);
        // By the covariances: through the means, and through the deviation.
        model.factor.solve_transposed(&mut solved);
        let (mut by_deviation, power) = (0.0, self.question.power());
        let mut factors = vec![0.0; n];
        for ((own_log, slope, z), draw) in outcomes.iter().zip(&self.draws) {
            let share = (own_log - log).exp() / self.draws.len() as f64;
            by_deviation += share * (power - slope * z);
            add_scaled(&mut factors, -share * slope / deviation, &draw.alpha);
        }
        let scale = -by_deviation * self.variance / (deviation * deviation);
        add_scaled(&mut factors, scale, &solved);
        for (factor, slope) in factors.iter_mut().zip(&slopes) {
            *factor *= slope;
        }
        let by_axis = |&axis: &usize| {
            let column = &model.points.columns[axis];
            let sum: f64 = factors.iter().sum();
            let by_placed =
                model.kernel.weights[axis] * (dot(&factors, column) - sum * placed[axis]);
            by_placed * model.kernel.stretched_by(axis, x[axis])
        };
        (log + power * deviation.ln(), axes.iter().map(by_axis).collect())
    }
}

/// Logarithms at several points.
struct Logs<'a> {
    posterior: &'a Posterior<'a>,
    xs: &'a [Vec<f64>],
}

impl Arithmetic for Logs<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run(self) -> Vec<f64> {
        self.posterior.logs_now(self.xs)
    }
}

/// The logarithm at a point with its gradient.
struct Slope<'a> {
    posterior: &'a Posterior<'a>,
    x: &'a [f64],
    axes: &'a [usize],
}

impl Arithmetic for Slope<'_> {
    type Output = (f64, Vec<f64>);

    #[inline(always)]
    fn run(self) -> Self::Output {
        self.posterior.slope_now(self.x, self.axes)
    }
}

/// The logarithm of the mean of what these are the logarithms of.
fn log_mean(logs: &[f64]) -> f64 {
    if let [log] = logs {
        return *log;
    }
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.iter().map(|log| (log - most).exp()).sum();
    most + (sum / logs.len() as f64).ln()
}

#[cfg(test)]
mod tests {
    use super::super::stretch::Stretch;
    use super::*;

    fn model(n_known: usize, n_running: usize) -> (Model, Vec<f64>) {
        stretched(n_known, n_running, Vec::new())
    }

    fn stretched(
        n_known: usize,
        n_running: usize,
        stretches: Vec<Option<Stretch>>,
    ) -> (Model, Vec<f64>) {
        let kernel = Kernel {
            weights: vec![9.0, 4.0, 0.5],
            is_category: vec![false, false, true],
            stretches,
        };
        let mut model = Model::new(kernel, 1e-4);
        let mut values = Vec::new();
        for i in 0..n_known + n_running {
            let x = [(i * 7 % 11) as f64 / 11.0, (i * 5 % 13) as f64 / 13.0, (i % 2) as f64];
            model.push(&x, i == 3);
            values.push((x[0] - 0.4).powi(2) * 9.0 + x[1] - x[2]);
        }
        values.truncate(n_known);
        (model, values)
    }

    /// Gaussian elimination with the covariances written out.
    fn dense(model: &Model, values: &[f64], x: &[f64]) -> (f64, f64) {
        let n = values.len();
        let covariance = |a: &[f64], b: &[f64]| {
            let mut square = 0.5 * f64::from(u8::from(a[2] != b[2]));
            square += 9.0 * (a[0] - b[0]).powi(2) + 4.0 * (a[1] - b[1]).powi(2);
            let r = (5.0 * square).sqrt();
            (1.0 + r + r * r / 3.0) * (-r).exp() + CONSTANT
        };
        let points: Vec<Vec<f64>> =
            (0..n).map(|i| [0, 1, 2].map(|axis| model.points.at(i, axis)).to_vec()).collect();
        let mut rows: Vec<Vec<f64>> = (0..n)
            .map(|i| {
                let mut row: Vec<f64> =
                    points.iter().map(|other| covariance(&points[i], other)).collect();
                row[i] += model.noise + if i == 3 { WEAK_NOISE } else { 0.0 };
                row.extend([values[i], covariance(&points[i], x)]);
                row
            })
            .collect();
        for i in 0..n {
            let pivot = rows[i].clone();
            for (j, row) in rows.iter_mut().enumerate() {
                let factor = row[i] / pivot[i];
                if j != i {
                    add_scaled(row, -factor, &pivot);
                }
            }
        }
        let ks: Vec<f64> = points.iter().map(|point| covariance(point, x)).collect();
        let solved =
            |column: usize| -> Vec<f64> { (0..n).map(|i| rows[i][column] / rows[i][i]).collect() };
        let left = 1.0 + CONSTANT - dot(&ks, &solved(n + 1));
        let fit = dot(values, &solved(n));
        (dot(&ks, &solved(n)), left * (fit + 2.0) / (n as f64 + 2.0))
    }

    #[test]
    fn the_posterior_is_that_of_a_dense_solution() {
        let (model, values) = model(17, 0);
        let is_weak: Vec<bool> = (0..17).map(|i| i == 3).collect();
        let is_strong: Vec<bool> = is_weak.iter().map(|is_weak| !is_weak).collect();
        let posterior = model.posterior(&values, &is_weak, &is_strong, &[]);
        let least = posterior.draws[0].least;
        for x in [[0.1, 0.9, 0.0], [0.5, 0.5, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 5.0]] {
            let (mean, variance) = dense(&model, &values, &x);
            let expected = log_improvement((least - mean) / variance.sqrt()).0;
            let expected = expected + variance.sqrt().ln();
            let found = posterior.logs(&[x.to_vec()])[0];
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn slopes_agree_with_differences_and_blocks() {
        let bent = vec![Some(Stretch::new(0.7, -0.4)), None, None];
        for (n_running, stretches) in
            [(0, Vec::new()), (3, Vec::new()), (0, bent.clone()), (3, bent)]
        {
            let (model, values) = stretched(17, n_running, stretches);
            let draws = [vec![0.5, -0.3, 1.0], vec![-0.5, 0.3, -1.0]];
            let mut posteriors = vec![model.posterior(&values, &[false; 17], &[true; 17], &draws)];
            if n_running == 0 {
                posteriors.push(model.chances(&values, &[false; 17], 0.3));
            }
            let points = [[0.13, 0.9, 0.0], [0.5, 0.52, 1.0], [0.9, 0.03, 0.0]];
            for (posterior, x) in
                posteriors.iter().flat_map(|posterior| points.map(|x| (posterior, x)))
            {
                let (log, gradient) = posterior.slope(&x, &[1, 0]);
                assert!((log - posterior.logs(&[x.to_vec()])[0]).abs() < 1e-9);
                for (&axis, slope) in [1, 0].iter().zip(gradient) {
                    let at = |step: f64| {
                        let mut moved = x;
                        moved[axis] += step;
                        posterior.slope(&moved, &[]).0
                    };
                    let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
                    assert!(
                        (difference - slope).abs() < 1e-4 * (1.0 + slope.abs()),
                        "{x:?} {axis}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_running_trial_makes_its_neighbourhood_less_worthwhile() {
        let (mut model, values) = model(17, 0);
        let xs: Vec<Vec<f64>> = (0..200).map(|i| vec![f64::from(i) / 200.0, 0.05, 1.0]).collect();
        let best =
            |logs: &[f64]| (0..logs.len()).max_by(|&a, &b| logs[a].total_cmp(&logs[b])).unwrap();
        let first = {
            let posterior = model.posterior(&values, &[false; 17], &[true; 17], &[]);
            best(&posterior.logs(&xs))
        };
        model.push(&xs[first], false);
        let draws = [vec![0.8], vec![-0.8]];
        let posterior = model.posterior(&values, &[false; 17], &[true; 17], &draws);
        let second = best(&posterior.logs(&xs));
        assert!(first.abs_diff(second) > 10, "{first} {second}");
    }
}
