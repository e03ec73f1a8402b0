//! What a search still has to gain, as the process sees it.

use super::super::axes::Axes;
use super::super::history::History;
use super::kernel::features;
use super::known::{Known, are_weak};
use super::{Gp, Kept};
use rand_pcg::Pcg64;

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
        let known: Vec<Known> = Known::all(history);
        if axes.kinds().is_empty() || !known.iter().any(|known| known.has_completed) {
            return None;
        }
        // Plain axes: a search is not to end because of what chance looks like.
        let kept = Kept::new(axes, history, &known, false);
        let free = vec![f64::NAN; axes.kinds().len()];
        let mut best = kept.proposals(axes, history, &free, None, draw).into_iter().next()?;
        axes.settle(&mut best);
        let values = kept.values();
        let counts = kept.counting(history, &free);
        let posterior = kept.model.posterior(&values, &are_weak(&kept.seen), &counts, &[]);
        let log = posterior.logs(&[features(axes, &best)]).first().copied()?;
        Some(Gain { expected: log.exp(), noise: posterior.noise() })
    }
}
