//! Which branches of a conditional space are tried next.
//!
//! One branch may be easy and another hard but better in the end, so that those whose best is best
//! must not take all trials. Branches take turns in shares that fall with their rank: half, a third
//! and so on of what the first one gets. The rank is by the loss that a branch would reach if as many
//! trials again won as much as the later half of its trials did; so in Y. Li et al., "Efficient
//! automatic CASH via rising bandits" (AAAI 2020), where the worst branches are given up instead.

use crate::sampler::axes::Axes;
use crate::sampler::history::{History, Past};

/// Fixes the coordinates of the choices that other axes hang on. Returned are the trials that chose
/// the same.
pub(in crate::sampler) fn choose_branches<'a>(
    axes: &Axes,
    history: &'a History,
    units: &mut [f64],
) -> Vec<&'a Past> {
    let mut kin: Vec<&Past> = history.trials().iter().collect();
    for &(axis, n) in axes.choices() {
        if !axes.is_active(axis, units) {
            continue;
        }
        let index = |past: &Past| ((past.units[axis] * n as f64) as usize).min(n - 1);
        let mut branches = vec![Branch::default(); n];
        for past in &kin {
            branches[index(past)].add(past);
        }
        let chosen = next(&branches);
        units[axis] = (chosen as f64 + 0.5) / n as f64;
        kin.retain(|past| index(past) == chosen);
    }
    kin
}

#[derive(Clone, Default)]
struct Branch {
    n_trials: usize,
    losses: Vec<f64>,
}

impl Branch {
    fn add(&mut self, past: &Past) {
        self.n_trials += 1;
        self.losses.extend(past.loss());
    }

    /// The loss it may reach; none is known of a branch where nothing completed.
    fn promise(&self) -> f64 {
        let best = |losses: &[f64]| losses.iter().copied().fold(f64::INFINITY, f64::min);
        let all = best(&self.losses);
        match self.losses.len() {
            0 => f64::INFINITY,
            n => all - (best(&self.losses[..n.div_ceil(2)]) - all),
        }
    }
}

/// The branch that is furthest behind its share.
fn next(branches: &[Branch]) -> usize {
    let mut ranked: Vec<(f64, usize)> =
        branches.iter().enumerate().map(|(own, branch)| (branch.promise(), own)).collect();
    ranked.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let served = |rank: usize, own: usize| (branches[own].n_trials * (rank + 1), rank);
    let shares = ranked.iter().enumerate().map(|(rank, &(_, own))| (served(rank, own), own));
    shares.min().map_or(0, |(_, own)| own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(losses: &[f64]) -> Branch {
        Branch { n_trials: losses.len(), losses: losses.to_vec() }
    }

    #[test]
    fn every_branch_is_tried_and_the_most_promising_most_often() {
        let mut branches = vec![branch(&[]); 4];
        let mut counts = [0; 4];
        for _ in 0..100 {
            let own = next(&branches);
            counts[own] += 1;
            branches[own].n_trials += 1;
            branches[own].losses.push([3.0, 1.0, 4.0, 2.0][own]);
        }
        assert_eq!(counts, [16, 48, 12, 24]);
    }

    #[test]
    fn what_still_falls_fast_promises_more_than_what_is_flat() {
        let (flat, falling) =
            (branch(&[1.0; 8]), branch(&[9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]));
        assert!(falling.promise() < flat.promise());
        assert_eq!(flat.promise(), 1.0);
    }

    #[test]
    fn a_branch_where_all_fail_keeps_its_turns_and_no_more() {
        let mut branches = [branch(&[5.0]), branch(&[])];
        branches[1].n_trials = 1;
        assert_eq!(next(&branches), 0);
        branches[0] = branch(&[5.0; 3]);
        assert_eq!(next(&branches), 1);
    }
}
