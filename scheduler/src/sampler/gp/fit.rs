//! Lengths, noise, warp and stretches, fitted to what is known.
//!
//! Every fit starts from the priors and not from the one before it, so that it follows from the
//! trials alone; it is repeated at ever longer intervals.

use std::cell::RefCell;

use super::super::axes::{Axes, Kind};
use super::super::history::History;
use super::kernel::Kernel;
use super::known::{Known, are_weak, chosen, losses, points, sorted_losses};
use super::likelihood::{Evidence, Hypers, Priors, Work};
use super::minimise::{Effort, minimise};
use super::warp::Warp;

/// Points in the model, but for those that came since the fit.
const MOST_POINTS: usize = 448;

/// Points that lengths are fitted to.
const MOST_FITTED: usize = 160;

/// With so many points a second start for lengths brought searches nothing.
const SETTLED: usize = 100;

/// No axis is stretched with fewer trials, or with more axes.
const FEWEST_STRETCHED: usize = 12;
const MOST_STRETCHED: usize = 20;

/// By how much stretched axes have to be more likely than plain ones, as a logarithm, and at least by
/// one for each of their powers (H. Akaike, 1974): most functions need none, and what is fitted to
/// chance misleads.
const LEAST_GAIN: f64 = 12.0;

/// With so many axes in every trial, lengths are taken to be alike until losses say otherwise.
pub(super) const MANY_AXES: usize = 10;

/// By how much lengths of their own have to be more likely than alike ones, as a logarithm: what looks
/// so by chance comes to 15 with 20 or 30 axes; where most axes change nothing, 50 trials show 20.
const LEAST_APART: f64 = 16.0;

/// What one look at the likelihood may cost in pairs of points times axes, where that is less.
const FIT_COST: usize = 1_600_000;

const EFFORT: Effort = Effort { first_step: 0.5, max_steps: 30, tolerance: 1e-5 };

/// Other priors, and by how much the first have to be more likely, as a logarithm, to be preferred.
pub(super) struct Rival {
    pub(super) priors: Priors,
    pub(super) odds: f64,
}

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
    /// How unlikely all of it is, as a logarithm.
    pub(super) cost: f64,
}

/// The number of ended trials of the last fit: at first all of them, later one fit every 32.
pub(super) fn milestone(n: usize) -> usize {
    let step = match n {
        0..40 => 1,
        40..80 => 2,
        80..160 => 4,
        160..640 => 16,
        _ => 32,
    };
    n - n % step
}

impl Fitted {
    /// To trials of which one has completed at least. Who is thorough looks for lengths from two starts
    /// while there are few, and stretches axes where that may be.
    pub(super) fn new(axes: &Axes, history: &History, known: &[Known], is_thorough: bool) -> Self {
        let n_axes = axes.kinds().len();
        let n_common = (0..n_axes).filter(|&axis| axes.parent(axis).is_none()).count();
        let alike = (n_common >= MANY_AXES)
            .then(|| Rival { priors: Priors::alike(n_axes), odds: LEAST_APART });
        Self::under(&Priors::new(n_axes), alike.as_ref(), axes, history, known, is_thorough)
    }

    /// The same under these priors, or under others where these do not explain so much more.
    pub(super) fn under(
        priors: &Priors,
        rival: Option<&Rival>,
        axes: &Axes,
        history: &History,
        known: &[Known],
        is_thorough: bool,
    ) -> Self {
        let n_axes = axes.kinds().len();
        let sorted = sorted_losses(known);
        let all_losses = losses(known, &sorted);
        let n_fitted = (FIT_COST / n_axes.max(1)).isqrt().clamp(16, MOST_FITTED);
        let fitted = chosen(known, &all_losses, n_fitted);
        let mut warp = Warp::new(&sorted);
        let standard: Vec<f64> =
            losses(&fitted, &sorted).iter().map(|&loss| warp.standard(loss)).collect();
        let points = points(axes, history, &fitted);
        let is_category = Kernel::new(axes, &vec![0.0; n_axes]).is_category;
        let is_weak = are_weak(&fitted);
        let under = |priors| Evidence {
            points: &points,
            is_category: &is_category,
            stretched: &[],
            standard: &standard,
            is_weak: &is_weak,
            priors,
        };
        let work = RefCell::new(Work::default());
        let from = |start, evidence: &Evidence<'_>| {
            minimise(start, EFFORT, |parameters| evidence.cost(parameters, &mut work.borrow_mut()))
        };
        let mut evidence = under(priors);
        // There are several minima, and the one nearest to the middle of the priors may be poor.
        let mut minimum = from(Hypers::start(priors, n_axes), &evidence);
        if let Some(rival) = rival {
            let its = under(&rival.priors);
            let other = from(Hypers::start(&rival.priors, n_axes), &its);
            minimum = minimum.or(from(other.x.clone(), &evidence));
            // The cost is for each point.
            if other.cost < minimum.cost + rival.odds / fitted.len() as f64 {
                (minimum, evidence) = (other, its);
            }
        } else if is_thorough && fitted.len() < SETTLED {
            minimum = minimum.or(from(Hypers::noisy_start(priors, n_axes), &evidence));
        }
        let stretched = match is_thorough {
            true => stretchable(axes, fitted.len()),
            false => Vec::new(),
        };
        if !stretched.is_empty() {
            evidence.stretched = &stretched;
            let start = Hypers::stretchable(minimum.x.clone(), stretched.len());
            let other = from(start, &evidence);
            // The cost is for each point.
            let gain = (minimum.cost - other.cost) * fitted.len() as f64;
            if gain > LEAST_GAIN.max(2.0 * stretched.len() as f64) {
                minimum = other;
            }
        }
        let hypers = Hypers::new(&minimum.x, n_axes);
        warp.power = hypers.power;
        let mut kernel = Kernel::new(axes, &hypers.log_lengths);
        kernel.stretches = vec![None; n_axes];
        for (&axis, stretch) in stretched.iter().zip(&hypers.stretches) {
            kernel.stretches[axis] = Some(*stretch);
        }
        Self {
            known: known.to_vec(),
            base: chosen(known, &all_losses, MOST_POINTS),
            warp,
            kernel,
            noise: hypers.noise,
            lengths: hypers.log_lengths.iter().map(|log| log.exp()).collect(),
            cost: minimum.cost * fitted.len() as f64,
        }
    }
}

/// The axes that may be stretched: those that have enough values in order.
fn stretchable(axes: &Axes, n_fitted: usize) -> Vec<usize> {
    let is_one = |kind: &Kind| match kind {
        Kind::Continuous => true,
        Kind::Ordered(levels) => levels.len() > 3,
        Kind::Category(_) => false,
    };
    let n_axes = axes.kinds().len();
    if n_fitted < FEWEST_STRETCHED || n_axes > MOST_STRETCHED {
        return Vec::new();
    }
    (0..n_axes).filter(|&axis| is_one(&axes.kinds()[axis])).collect()
}
