//! How likely what was seen is, given lengths of the kernel, noise and a power of the losses.
//!
//! The scale of the function is integrated out under an inverse gamma prior; lengths have
//! log-normal priors that grow with the number of axes (C. Hvarfner et al., "Vanilla Bayesian
//! optimization performs great in high dimensions", 2024).

use super::arithmetic::dot;
use super::kernel::{CONSTANT, Kernel, Points};
use super::stretch::{Stretch, Stretched};
use super::warp::bend;
use super::whole::{Lanes, PANEL, Whole};
use super::wide::{Arithmetic, wide};

/// Noise is this much at least, of the variance of the function.
pub(super) const LEAST_NOISE: f64 = 1e-7;

/// Twice the shape and scale of the prior of the function's variance.
pub(super) const SHAPE: f64 = 2.0;
pub(super) const SCALE: f64 = 2.0;

/// What points with no loss of their own have as noise on top.
pub(super) const WEAK_NOISE: f64 = 0.1;

/// Priors: mean and width of logarithms, of lengths, noise and stretches, and of the power.
pub(super) struct Priors {
    pub(super) log_length: (f64, f64),
    pub(super) log_noise: (f64, f64),
    pub(super) power: (f64, f64),
    pub(super) log_stretch: (f64, f64),
}

impl Priors {
    pub(super) fn new(n_axes: usize) -> Self {
        let root = (n_axes.max(1) as f64).sqrt();
        Self {
            log_length: ((0.4 * root).ln(), 1.0),
            // Wide: what is learnt from data is noisy, functions are not.
            log_noise: (1e-4f64.ln(), 3.0),
            power: (0.5, 0.5),
            // Between half and twice, mostly: what needs more of it shows.
            log_stretch: (0.0, 0.75),
        }
    }

    /// The same where lengths are thought to be alike: where there are many axes, few trials tell them
    /// apart by chance.
    pub(super) fn alike(n_axes: usize) -> Self {
        let priors = Self::new(n_axes);
        Self { log_length: (priors.log_length.0, 0.5), ..priors }
    }

    /// The same where hardly any noise is thought to be there.
    pub(super) fn exact(n_axes: usize) -> Self {
        Self { log_noise: (1e-6f64.ln(), 0.5), ..Self::new(n_axes) }
    }

    /// The same where noise is thought to be most of what there is to see.
    pub(super) fn noisy(n_axes: usize) -> Self {
        Self { log_noise: (2.0, 3.0), ..Self::new(n_axes) }
    }
}

/// What the model is fitted to.
pub(super) struct Evidence<'a> {
    pub(super) points: &'a Points,
    pub(super) is_category: &'a [bool],
    /// The axes that may be stretched.
    pub(super) stretched: &'a [usize],
    /// Losses on one scale.
    pub(super) standard: &'a [f64],
    /// Which of them are weak.
    pub(super) is_weak: &'a [bool],
    pub(super) priors: &'a Priors,
}

/// Lengths, noise, power and stretches as numbers without bounds: one a length, then the two, then
/// two for each axis that may be stretched.
pub(super) struct Hypers {
    pub(super) log_lengths: Vec<f64>,
    pub(super) noise: f64,
    pub(super) power: f64,
    pub(super) stretches: Vec<Stretch>,
}

/// Bounds of logarithms of lengths and noise, and the middle and reach of the powers.
const LOG_LENGTHS: (f64, f64) = (-6.0, 8.0);
const LOG_NOISES: (f64, f64) = (-40.0, 3.0);
const POWERS: (f64, f64) = (0.5, 1.5);

impl Hypers {
    /// From numbers without bounds.
    pub(super) fn new(parameters: &[f64], n_axes: usize) -> Self {
        let (low, high) = LOG_LENGTHS;
        let log_lengths = parameters[..n_axes].iter().map(|log| log.clamp(low, high)).collect();
        let noise = LEAST_NOISE + parameters[n_axes].clamp(LOG_NOISES.0, LOG_NOISES.1).exp();
        let power = POWERS.0 + POWERS.1 * parameters[n_axes + 1].tanh();
        let (pairs, _) = parameters[n_axes + 2..].as_chunks::<2>();
        let stretches = pairs.iter().map(|[a, b]| Stretch::new(*a, *b)).collect();
        Self { log_lengths, noise, power, stretches }
    }

    /// Where a search for them starts.
    pub(super) fn start(priors: &Priors, n_axes: usize) -> Vec<f64> {
        let mut start = vec![priors.log_length.0; n_axes];
        start.push(priors.log_noise.0);
        start.push(0.3);
        start
    }

    /// Another start, where short lengths and much noise explain what was seen.
    pub(super) fn noisy_start(priors: &Priors, n_axes: usize) -> Vec<f64> {
        let mut start = vec![priors.log_length.0 - 0.7; n_axes];
        start.push(-2.0);
        start.push(0.3);
        start
    }

    /// The same with so many axes that are not stretched yet.
    pub(super) fn stretchable(mut parameters: Vec<f64>, n_stretched: usize) -> Vec<f64> {
        parameters.resize(parameters.len() + 2 * n_stretched, 0.0);
        parameters
    }
}

/// What looking at the likelihood writes to, kept from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Work {
    points: Points,
    covariances: Whole,
    /// What differences are multiplied with in gradients, panel after panel.
    slopes: Vec<Lanes>,
    /// The same by how the likelihood changes with the covariances of a panel.
    pulls: Vec<Lanes>,
    alpha: Vec<f64>,
}

/// One look.
struct Cost<'a> {
    evidence: &'a Evidence<'a>,
    parameters: &'a [f64],
    work: &'a mut Work,
}

impl Arithmetic for Cost<'_> {
    type Output = (f64, Vec<f64>);

    #[inline(always)]
    fn run(self) -> Self::Output {
        self.evidence.cost_now(self.parameters, self.work)
    }
}

impl Evidence<'_> {
    /// Minus the logarithm of the posterior density of parameters (up to a constant) and its
    /// gradient, both divided by the number of points.
    pub(super) fn cost(&self, parameters: &[f64], work: &mut Work) -> (f64, Vec<f64>) {
        wide(Cost { evidence: self, parameters, work })
    }

    #[inline(always)]
    fn cost_now(&self, parameters: &[f64], work: &mut Work) -> (f64, Vec<f64>) {
        let n = self.points.n;
        let n_axes = self.points.columns.len();
        let hypers = Hypers::new(parameters, n_axes);
        let kernel = Kernel {
            weights: hypers.log_lengths.iter().map(|log| (-2.0 * log).exp()).collect(),
            is_category: self.is_category.to_vec(),
            stretches: Vec::new(),
        };
        work.points.clone_from(self.points);
        let mut stretches: Vec<Slopes> = Vec::with_capacity(self.stretched.len());
        for (&axis, stretch) in self.stretched.iter().zip(&hypers.stretches) {
            let column = &mut work.points.columns[axis];
            let stretched: Vec<Stretched> =
                column.iter().map(|&x| stretch.with_slopes(x)).collect();
            column.iter_mut().zip(&stretched).for_each(|(x, stretched)| *x = stretched.at);
            stretches.push(stretched.iter().map(|one| [one.by_log_a, one.by_log_b]).collect());
        }
        self.factor(&kernel, hypers.noise, work);
        let bent: Vec<(f64, f64)> = self.standard.iter().map(|&x| bend(x, hypers.power)).collect();
        let targets: Vec<f64> = bent.iter().map(|bent| bent.0).collect();
        work.alpha.clone_from(&targets);
        work.covariances.solve(&mut work.alpha);
        let fit = dot(&targets, &work.alpha[..n]) + SCALE;
        let weight = (n as f64 + SHAPE) / fit;
        let folded = |x: &f64| x.signum() * x.abs().ln_1p();
        let jacobian: f64 = self.standard.iter().map(folded).sum();
        let half_log_determinant = work.covariances.half_log_determinant();
        let mut cost = 0.5 * (n as f64 + SHAPE) * fit.ln() + half_log_determinant
            - (hypers.power - 1.0) * jacobian;

        let mut gradient = vec![0.0; parameters.len()];
        work.covariances.invert();
        let noise_slope = self.slope_by_noise(weight, work);
        let (lengths, others) = gradient.split_at_mut(n_axes);
        let (by_stretches, _) = others[2..].as_chunks_mut::<2>();
        self.slopes_by_places(&kernel, &stretches, weight, work, (lengths, by_stretches));
        let tanh = parameters[n_axes + 1].tanh();
        let power_slope = weight
            * work.alpha.iter().zip(&bent).map(|(alpha, bent)| alpha * bent.1).sum::<f64>()
            - jacobian;
        let by_parameter = POWERS.1 * (1.0 - tanh * tanh);
        gradient[n_axes] = noise_slope * (hypers.noise - LEAST_NOISE);
        gradient[n_axes + 1] = power_slope * by_parameter;

        for (parameter, slope) in parameters[..n_axes].iter().zip(&mut gradient) {
            cost += penalty(*parameter, self.priors.log_length, 1.0, slope);
        }
        cost += penalty(parameters[n_axes], self.priors.log_noise, 1.0, &mut gradient[n_axes]);
        let slope = &mut gradient[n_axes + 1];
        cost += penalty(hypers.power, self.priors.power, by_parameter, slope);
        for (parameter, slope) in parameters[n_axes + 2..].iter().zip(&mut gradient[n_axes + 2..]) {
            cost += penalty(*parameter, self.priors.log_stretch, 1.0, slope);
        }
        let scale = 1.0 / n.max(1) as f64;
        gradient.iter_mut().for_each(|slope| *slope *= scale);
        (cost * scale, gradient)
    }

    /// The factor of the covariances, and for each pair what differences are multiplied with.
    #[inline(always)]
    fn factor(&self, kernel: &Kernel, noise: f64, work: &mut Work) {
        let n = self.points.n;
        work.covariances.resize(n);
        work.slopes.clear();
        for panel in 0..work.covariances.n_panels() {
            let first = panel * PANEL;
            let covariances = work.covariances.panel_mut(panel);
            let start = work.slopes.len();
            work.slopes.resize(start + covariances.len(), [0.0; PANEL]);
            let slopes = &mut work.slopes[start..];
            kernel.panel(&work.points, first, covariances, slopes);
            // No point differs from itself, and what fills up the last panel differs from none.
            slopes[first..]
                .iter_mut()
                .enumerate()
                .for_each(|(row, slopes)| slopes[..=row].fill(0.0));
            for lane in 0..PANEL {
                let i = first + lane;
                if i < n {
                    let weak = if self.is_weak[i] { WEAK_NOISE } else { 0.0 };
                    covariances[i][lane] = 1.0 + CONSTANT + noise + weak;
                } else {
                    covariances.iter_mut().for_each(|row| row[lane] = 0.0);
                    covariances[i][lane] = 1.0;
                    slopes.iter_mut().for_each(|row| row[lane] = 0.0);
                }
            }
        }
        work.covariances.factor();
    }

    /// How the likelihood changes with the noise.
    fn slope_by_noise(&self, weight: f64, work: &Work) -> f64 {
        let alphas = work.alpha[..self.points.n].iter().enumerate();
        let slope = |(i, alpha): (usize, &f64)| {
            let inverse = work.covariances.panel(i / PANEL)[i][i % PANEL];
            0.5 * (inverse - weight * alpha * alpha)
        };
        alphas.map(slope).sum()
    }

    /// How the likelihood changes with the logarithms of lengths, and with those of the powers of
    /// axes that may be stretched.
    #[inline(always)]
    fn slopes_by_places(
        &self,
        kernel: &Kernel,
        stretches: &[Slopes],
        weight: f64,
        work: &mut Work,
        (lengths, powers): (&mut [f64], &mut [[f64; 2]]),
    ) {
        let mut start = 0;
        for panel in 0..work.covariances.n_panels() {
            let first = panel * PANEL;
            let inverse = work.covariances.panel(panel);
            let slopes = &work.slopes[start..start + inverse.len()];
            start += inverse.len();
            // Each pair counts twice; by the logarithm of a length, covariances change by
            // slope * weight * difference².
            let own = &work.alpha[first..first + PANEL];
            work.pulls.clear();
            for ((inverse, slopes), alpha) in inverse.iter().zip(slopes).zip(&work.alpha) {
                let mut pulls = [0.0; PANEL];
                for lane in 0..PANEL {
                    pulls[lane] = (inverse[lane] - weight * alpha * own[lane]) * slopes[lane];
                }
                work.pulls.push(pulls);
            }
            for (axis, column) in work.points.columns.iter().enumerate() {
                let x: Lanes = std::array::from_fn(|lane| work.points.at(first + lane, axis));
                let mut sums = [0.0; PANEL];
                if kernel.is_category[axis] {
                    for (pulls, &other) in work.pulls.iter().zip(column) {
                        for lane in 0..PANEL {
                            sums[lane] += if other == x[lane] { 0.0 } else { pulls[lane] };
                        }
                    }
                } else {
                    for (pulls, &other) in work.pulls.iter().zip(column) {
                        for lane in 0..PANEL {
                            let difference = other - x[lane];
                            sums[lane] += pulls[lane] * difference * difference;
                        }
                    }
                }
                lengths[axis] += kernel.weights[axis] * total(sums);
            }
            for ((powers, slopes), &axis) in powers.iter_mut().zip(stretches).zip(self.stretched) {
                let column = &work.points.columns[axis];
                let x: Lanes = std::array::from_fn(|lane| work.points.at(first + lane, axis));
                let own: [Lanes; 2] = [0, 1].map(|power| {
                    let slope =
                        |lane| slopes.get(first + lane).map_or(0.0, |own: &[f64; 2]| own[power]);
                    std::array::from_fn(slope)
                });
                let mut sums = [[0.0; PANEL]; 2];
                for ((pulls, &other), slopes) in work.pulls.iter().zip(column).zip(slopes) {
                    for lane in 0..PANEL {
                        let pull = pulls[lane] * (other - x[lane]);
                        sums[0][lane] += pull * (slopes[0] - own[0][lane]);
                        sums[1][lane] += pull * (slopes[1] - own[1][lane]);
                    }
                }
                powers[0] -= kernel.weights[axis] * total(sums[0]);
                powers[1] -= kernel.weights[axis] * total(sums[1]);
            }
        }
    }
}

/// How the places of points along a stretched axis change with the logarithms of its two powers.
type Slopes = Vec<[f64; 2]>;

fn total([a, b, c, d]: Lanes) -> f64 {
    (a + c) + (b + d)
}

/// Minus the logarithm of a normal density (up to a constant); adds its slope.
fn penalty(x: f64, (mean, width): (f64, f64), inner: f64, slope: &mut f64) -> f64 {
    let distance = (x - mean) / width;
    *slope += distance / width * inner;
    0.5 * distance * distance
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(n: usize, parameters: &[f64]) {
        let mut points = Points::new(3);
        let mut standard = Vec::new();
        for i in 0..n {
            let x = [(i * 7 % 11) as f64 / 11.0, (i * 5 % 13) as f64 / 13.0, (i % 3) as f64];
            points.push(&x);
            standard.push((x[0] - 0.3).powi(2) * 20.0 - x[1] + 0.3 * x[2]);
        }
        let evidence = Evidence {
            points: &points,
            is_category: &[false, false, true],
            stretched: &[0, 1],
            standard: &standard,
            is_weak: &(0..n).map(|i| i == 4).collect::<Vec<_>>(),
            priors: &Priors::new(3),
        };
        let mut work = Work::default();
        let (cost, gradient) = evidence.cost(parameters, &mut work);
        // Neither what was looked at before nor the width of vectors changes anything.
        assert_eq!((cost, gradient.clone()), evidence.cost_now(parameters, &mut Work::default()));
        evidence.cost(&vec![0.1; parameters.len()], &mut work);
        assert_eq!((cost, gradient.clone()), evidence.cost(parameters, &mut work));
        for (i, slope) in gradient.iter().enumerate() {
            let mut at = |step: f64| {
                let mut moved = parameters.to_vec();
                moved[i] += step;
                evidence.cost(&moved, &mut work).0
            };
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!(
                (difference - slope).abs() < 1e-5 * (1.0 + slope.abs()),
                "{i}: {difference} {slope}"
            );
        }
    }

    #[test]
    fn the_gradient_agrees_with_differences() {
        check(23, &[-1.0, 0.5, 0.2, -5.0, 0.3, 0.3, -0.2, 0.5, 1.1]);
        check(8, &[-1.0, 0.5, 0.2, -5.0, 0.3, 0.3, -0.2, 0.5, 1.1]);
        check(10, &[0.3, -1.5, 1.2, -9.0, -0.7, 0.0, 0.0, -0.7, 0.4]);
        check(1, &[0.0, 0.0, 0.0, -3.0, 0.1, 0.1, 0.2, 0.0, 0.0]);
    }

    #[test]
    fn far_off_parameters_have_finite_costs() {
        let mut points = Points::new(1);
        (0..5).for_each(|i| points.push(&[f64::from(i) / 5.0]));
        let evidence = Evidence {
            points: &points,
            is_category: &[false],
            stretched: &[0],
            standard: &[0.0, 1e9, -1e9, 0.0, 1.0],
            is_weak: &[false; 5],
            priors: &Priors::new(1),
        };
        let off = [[1e3; 5], [-1e3; 5], [0.0, -1e3, 0.0, 0.0, 9.0], [0.0, 0.0, 0.0, 3.0, -3.0]];
        for parameters in off {
            let (cost, gradient) = evidence.cost(&parameters, &mut Work::default());
            assert!(cost.is_finite() && gradient.iter().all(|slope| slope.is_finite()));
        }
    }
}
