//! What `auto` and `bayesian` stand for where there are few axes: a Gaussian process, which needs
//! the fewest trials, and in between the Parzen estimators, which go on looking where the process is
//! sure that there is nothing to be found. Branches of a conditional space take turns then, for each
//! of both: the process alone settles on one of them too soon.

use fleetfit_search_spaces::sampling::estimators_from;
use rand_pcg::Pcg64;

use super::axes::Axes;
use super::gp::Gp;
use super::history::History;
use super::tpe::{Tpe, choose_branches};

/// Once the estimators have a say, every so manieth proposal is theirs.
const EVERY: usize = 3;

/// Both methods.
#[derive(Default)]
pub(super) struct Auto {
    gp: Gp,
    tpe: Tpe,
}

impl Auto {
    /// How many trials come from the sequence first.
    pub(super) fn n_first(&self, axes: &Axes) -> usize {
        self.gp.n_first(axes)
    }

    /// Points to try next, the best first.
    pub(super) fn propose(
        &mut self,
        axes: &Axes,
        history: &History,
        draw: &mut Pcg64,
    ) -> Vec<Vec<f64>> {
        let next = history.trials().last().map_or(0, |past| past.number as usize + 1);
        let mut fixed = vec![f64::NAN; axes.kinds().len()];
        if history.n_ended() >= estimators_from(axes.kinds().len()) {
            if next % EVERY == EVERY - 1 {
                return self.tpe.propose(axes, history, draw);
            }
            choose_branches(axes, history, &mut fixed);
        }
        let points = self.gp.propose(axes, history, &fixed, draw);
        match points.is_empty() {
            true => self.tpe.propose(axes, history, draw),
            false => points,
        }
    }
}
