//! What a search still has to gain, as the process sees it.

use super::super::axes::Axes;
use super::super::history::History;
use super::fit::{Fitted, Rival};
use super::kernel::features;
use super::known::{Known, are_weak};
use super::likelihood::Priors;
use super::model::Model;
use super::{Gp, Kept};
use rand_pcg::Pcg64;

/// Noise is not thought to be all there is before so many trials for each axis: in fewer, a function
/// that is exact but rough looks the same.
const FOR_NOISE: usize = 10;

/// By how much a function has to be more likely than noise, as a logarithm: 20 to 1.
const LEAST_ODDS: f64 = 3.0;

/// Both in the unit of the warped losses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::sampler) struct Gain {
    /// The most improvement that is expected anywhere.
    pub(in crate::sampler) expected: f64,
    /// The standard deviation between trials of the same configuration.
    pub(in crate::sampler) noise: f64,
}

impl Gp {
    /// What there is to gain when these trials have ended; none as long as nothing has completed.
    pub(in crate::sampler) fn gain(
        axes: &Axes,
        history: &History,
        draw: &mut Pcg64,
    ) -> Option<Gain> {
        // What failed tells neither what there is to gain nor how much chance matters.
        let known = Known::all(history).into_iter().filter(|known| !known.has_failed);
        let known: Vec<Known> = known.collect();
        if axes.kinds().is_empty() || !known.iter().any(|known| known.has_completed) {
            return None;
        }
        let n_axes = axes.kinds().len();
        // Where points are far from each other, short lengths explain noise as well as noise does.
        let noisy = (known.len() >= FOR_NOISE * n_axes)
            .then(|| Rival { priors: Priors::noisy(n_axes), odds: LEAST_ODDS });
        // Plain axes: a search is not to end because of what chance looks like.
        let priors = Priors::new(n_axes);
        let fitted = Fitted::under(&priors, noisy.as_ref(), axes, history, &known, false);
        // What is as likely to be exact and rough goes on, for as long again.
        let exact = (known.len() < 2 * FOR_NOISE * n_axes)
            .then(|| Fitted::under(&Priors::exact(n_axes), None, axes, history, &known, false))
            .filter(|exact| exact.cost < fitted.cost + LEAST_ODDS);
        let fitted = exact.unwrap_or(fitted);
        let model = Model::new(fitted.kernel.clone(), fitted.noise);
        let kept = Kept { fitted, seen: Vec::new(), model }.extended(axes, history, &known);
        let free = vec![f64::NAN; n_axes];
        let points = kept.proposals((axes, history, &free), None, false, draw);
        let mut best = points.into_iter().next()?;
        axes.settle(&mut best);
        let values = kept.values();
        let counts = kept.counting(history, &free);
        let posterior = kept.model.posterior(&values, &are_weak(&kept.seen), &counts, &[]);
        let log = posterior.logs(&[features(axes, &best)]).first().copied()?;
        Some(Gain { expected: log.exp(), noise: posterior.noise() })
    }
}
