//! What a search still has to gain, as the process sees it.

use rand_pcg::Pcg64;

use super::super::axes::Axes;
use super::super::history::History;
use super::fit::{Fitted, Rival};
use super::kernel::features;
use super::known::{Known, are_weak};
use super::likelihood::Priors;
use super::model::Model;
use super::warp::Warp;
use super::{Gp, Kept};

/// Nothing is said before so many trials for each axis: in fewer, a function that is exact but rough
/// looks like noise. In fewer than twice as many it is thought to be one where it may be, and nothing
/// is said where that cannot be measured.
const ENOUGH: usize = 10;

/// What so many trials, the latest, brought is expected of others, too.
const LATEST: usize = 12;

/// By how much a function has to be more likely than noise, as a logarithm: 20 to 1.
const LEAST_ODDS: f64 = 3.0;

/// Noise is rough ground where trials of the same configuration differ by less than this share of it.
const ROUGH: f64 = 0.1;

/// What is less than this, in the unit of the warped losses, is nothing to whoever knows no noise.
const NOTHING: f64 = 1e-3;

/// Both in the unit of the warped losses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::sampler) struct Gain {
    /// The most improvement that is expected anywhere, or came of the latest trials.
    pub(in crate::sampler) expected: f64,
    /// The standard deviation between trials of the same configuration.
    pub(in crate::sampler) noise: f64,
}

impl Gp {
    /// What there is to gain when these trials have ended; none as long as nothing has completed. Losses
    /// that are `repeated` are those of one configuration each; none where they would be the same.
    pub(in crate::sampler) fn gain(
        axes: &Axes,
        history: &History,
        repeated: Option<&[Vec<f64>]>,
        draw: &mut Pcg64,
    ) -> Option<Gain> {
        // What failed tells neither what there is to gain nor how much chance matters.
        let known = Known::all(history).into_iter().filter(|known| !known.has_failed);
        let known: Vec<Known> = known.collect();
        let n_axes = axes.kinds().len();
        let has_completed = known.iter().any(|known| known.has_completed);
        let enough = if repeated.is_some() { ENOUGH } else { 2 * ENOUGH };
        if n_axes == 0 || known.len() < enough * n_axes || !has_completed {
            return None;
        }
        // Where points are far from each other, short lengths explain noise as well as noise does.
        let noisy = Rival { priors: Priors::noisy(n_axes), odds: LEAST_ODDS };
        // Plain axes: a search is not to end because of what chance looks like.
        let priors = Priors::new(n_axes);
        let fitted = Fitted::under(&priors, Some(&noisy), axes, history, &known, false);
        let exact = || Fitted::under(&Priors::exact(n_axes), None, axes, history, &known, false);
        // What is as likely to be exact and rough goes on, for as long again.
        let rough = (known.len() < 2 * ENOUGH * n_axes)
            .then(exact)
            .filter(|rough| rough.cost < fitted.cost + LEAST_ODDS);
        let fitted = rough.unwrap_or(fitted);
        let measured = repeated.and_then(|repeated| deviation(repeated, fitted.warp));
        let gain = Gain::under(fitted, axes, history, &known, draw)?;
        if repeated.is_none() {
            return Some(Gain { noise: gain.noise.max(NOTHING), ..gain });
        }
        // What came of the same configuration is above whatever a process believes.
        match measured.filter(|measured| *measured < ROUGH * gain.noise) {
            None => Some(gain),
            Some(measured) => {
                let gain = Gain::under(exact(), axes, history, &known, draw)?;
                Some(Gain { noise: measured.max(NOTHING), ..gain })
            }
        }
    }
}

impl Gain {
    fn under(
        fitted: Fitted,
        axes: &Axes,
        history: &History,
        known: &[Known],
        draw: &mut Pcg64,
    ) -> Option<Self> {
        let brought = brought(known, fitted.warp);
        let free = vec![f64::NAN; axes.kinds().len()];
        let model = Model::new(fitted.kernel.clone(), fitted.noise);
        let kept = Kept { fitted, seen: Vec::new(), model }.extended(axes, history, known);
        let points = kept.proposals((axes, history, &free), None, false, draw);
        let mut best = points.into_iter().next()?;
        axes.settle(&mut best);
        let values = kept.values();
        let counts = kept.counting(history, &free);
        let posterior = kept.model.posterior(&values, &are_weak(&kept.seen), &counts, &[]);
        let log = posterior.logs(&[features(axes, &best)]).first().copied()?;
        Some(Self { expected: brought.max(log.exp()), noise: posterior.noise() })
    }
}

/// By how much the latest trials made the best better; all that they are, where none was before.
fn brought(known: &[Known], warp: Warp) -> f64 {
    let counting = known.iter().filter(|known| known.has_completed && known.keeps != Some(false));
    let values: Vec<f64> = counting.filter_map(|known| Some(warp.apply(known.loss?))).collect();
    let (before, latest) = values.split_at(values.len().saturating_sub(LATEST));
    let least = |of: &[f64]| of.iter().copied().fold(f64::INFINITY, f64::min);
    (least(before) - least(latest)).max(0.0)
}

/// How far trials of the same configuration are from their mean, as a standard deviation; none where
/// each was tried once.
fn deviation(repeated: &[Vec<f64>], warp: Warp) -> Option<f64> {
    let (mut n_free, mut squares) = (0, 0.0);
    for losses in repeated {
        let values: Vec<f64> = losses.iter().map(|&loss| warp.apply(loss)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        n_free += values.len().saturating_sub(1);
        squares += values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    }
    (n_free > 0).then(|| (squares / n_free as f64).sqrt())
}
