//! Tree-structured Parzen estimators: the next trial is where good trials are dense and others are
//! not.
//!
//! J. Bergstra et al., "Algorithms for hyper-parameter optimization" (NIPS 2011); over all axes at
//! once as in S. Falkner et al., "BOHB" (ICML 2018); its parts as compared by S. Watanabe,
//! "Tree-structured Parzen estimator" (2023). Deviations: a fifth of the trials is good, weighted by
//! rank as the parents in CMA-ES are; kernels are as wide as the trials they stand for are spread,
//! narrower for those that are not good; branches of a conditional space take turns (`branches`), and
//! each has estimators of its own. Trials that still run count a little among those that are not good, so
//! that others keep away from them, and the more of them there are, the fewer of the others are good:
//! where few steps are left, each has to be larger.

mod branches;
mod normal;
mod parzen;
mod standing;

use rand_pcg::Pcg64;

pub(super) use self::branches::{choose_alternative, choose_branches};
use self::parzen::{Parzen, Scratch};
use self::standing::Standing;
use super::axes::Axes;
use super::history::{History, Past};

/// Trials before the first proposal.
const N_FIRST: usize = 10;

/// How wide the kernels of good trials are, as a share of how far these are spread.
const GOOD_WIDTH: f64 = 0.6;

/// The same of all others.
const BAD_WIDTH: f64 = 0.5;

/// What a trial that runs counts among those that are not good: enough to tell two of the same place
/// apart, and not so much that many of them drive the others away from where the good ones are.
const RUNNING_WEIGHT: f64 = 0.05;

/// Points that are compared. More of them find the best known place again and again.
const N_CANDIDATES: usize = 16;

/// Tree-structured Parzen estimators.
#[derive(Default)]
pub(super) struct Tpe {
    scratch: Scratch,
}

impl Tpe {
    /// How many trials end before the first that this proposes.
    pub(super) fn n_first(&self) -> usize {
        N_FIRST
    }

    /// Points to try next, the best first.
    pub(super) fn propose(
        &mut self,
        axes: &Axes,
        history: &History,
        draw: &mut Pcg64,
    ) -> Vec<Vec<f64>> {
        let mut units = vec![f64::NAN; axes.kinds().len()];
        let kin = choose_branches(axes, history, &mut units);
        let is_free = |&axis: &usize| units[axis].is_nan() && axes.is_active(axis, &units);
        let free: Vec<usize> = (0..units.len()).filter(is_free).collect();
        let n_running = history.trials().len() - history.n_ended();
        let standing = Standing::of(history.trials(), kin, n_running);
        let good = Parzen::new(axes, &free, &standing.good, &standing.weights, GOOD_WIDTH);
        let weight = |past: &&Past| if past.fate.is_none() { RUNNING_WEIGHT } else { 1.0 };
        let weights: Vec<f64> = standing.bad.iter().map(weight).collect();
        let bad = Parzen::new(axes, &free, &standing.bad, &weights, BAD_WIDTH);
        let mut candidates: Vec<(f64, Vec<f64>)> = (0..N_CANDIDATES)
            .map(|_| {
                let mut candidate = units.clone();
                good.draw(&free, draw, &mut candidate);
                axes.settle(&mut candidate);
                let log_good = good.log_density(&free, &candidate, &mut self.scratch);
                (log_good - bad.log_density(&free, &candidate, &mut self.scratch), candidate)
            })
            .collect();
        candidates.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        candidates.into_iter().map(|(_, candidate)| candidate).collect()
    }
}
