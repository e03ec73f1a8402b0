//! Lengths, noise and warp, fitted to what is known.
//!
//! Every fit starts from the priors and not from the one before it, so that it follows from the
//! trials alone; it is repeated at ever longer intervals.

use super::super::axes::Axes;
use super::super::history::History;
use super::kernel::Kernel;
use super::known::{Known, are_weak, chosen, losses, points, sorted_losses};
use super::likelihood::{Evidence, Hypers, Priors};
use super::minimise::{Effort, minimise};
use super::warp::Warp;

/// Points in the model, but for those that came since the fit.
const MOST_POINTS: usize = 448;

/// Points that lengths are fitted to.
const MOST_FITTED: usize = 160;

/// What one look at the likelihood may cost in pairs of points times axes, where that is less.
const FIT_COST: usize = 1_600_000;

const EFFORT: Effort = Effort { first_step: 0.5, max_steps: 30, tolerance: 1e-5 };

/// What was fitted, and to what.
#[derive(Debug)]
pub(super) struct Fitted {
    pub(super) known: Vec<Known>,
    /// Those of `known` that stay in the model.
    pub(super) base: Vec<Known>,
    pub(super) warp: Warp,
    pub(super) kernel: Kernel,
    pub(super) noise: f64,
    /// How far the function reaches along each axis.
    pub(super) lengths: Vec<f64>,
}

/// The number of ended trials of the last fit: at first all of them, later one fit every 32.
pub(super) fn milestone(n: usize) -> usize {
    let step = match n {
        0..40 => 1,
        40..80 => 2,
        80..160 => 4,
        160..320 => 8,
        320..640 => 16,
        _ => 32,
    };
    n - n % step
}

impl Fitted {
    /// To trials of which one has completed at least.
    pub(super) fn new(axes: &Axes, history: &History, known: &[Known]) -> Self {
        let n_axes = axes.kinds().len();
        let sorted = sorted_losses(known);
        let all_losses = losses(known, &sorted);
        let n_fitted = (FIT_COST / n_axes.max(1)).isqrt().clamp(16, MOST_FITTED);
        let fitted = chosen(known, &all_losses, n_fitted);
        let mut warp = Warp::new(&sorted);
        let standard: Vec<f64> =
            losses(&fitted, &sorted).iter().map(|&loss| warp.standard(loss)).collect();
        let priors = Priors::new(n_axes);
        let start = Hypers::start(&priors, n_axes);
        let evidence = Evidence {
            points: &points(axes, history, &fitted),
            is_category: &Kernel::new(axes, &start[..n_axes]).is_category,
            standard: &standard,
            is_weak: &are_weak(&fitted),
            priors: &priors,
        };
        let minimum = minimise(start, EFFORT, |parameters| evidence.cost(parameters));
        let hypers = Hypers::new(&minimum.x);
        warp.power = hypers.power;
        Self {
            known: known.to_vec(),
            base: chosen(known, &all_losses, MOST_POINTS),
            warp,
            kernel: Kernel::new(axes, &hypers.log_lengths),
            noise: hypers.noise,
            lengths: hypers.log_lengths.iter().map(|log| log.exp()).collect(),
        }
    }
}
