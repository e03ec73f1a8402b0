//! Which branches of a conditional space are tried next.
//!
//! One branch may be easy and another hard but better in the end, so that those whose best is best
//! must not take all trials. Branches take turns in shares that fall with their rank: half, a third
//! and so on of what the first one gets. The rank is by the loss that a branch would reach if as many
//! trials again won as much as the later half of its trials did; so in Y. Li et al., "Efficient
//! automatic CASH via rising bandits" (AAAI 2020), where the worst branches are given up instead.

use crate::sampler::axes::{Axes, Kind};
use crate::sampler::history::{Group, History};

/// Fixes the coordinates of the choices that other axes hang on. Returned are the trials that chose
/// the same, where there are any.
pub(in crate::sampler) fn choose_branches<'a>(
    axes: &Axes,
    history: &'a History,
    units: &mut [f64],
) -> Option<&'a Group> {
    let mut kin: Vec<(&[u32], &Group)> = history.groups().collect();
    for (choice, &(axis, n)) in axes.choices().iter().enumerate() {
        if !axes.is_active(axis, units) {
            continue;
        }
        let mut branches = vec![Branch::default(); n];
        for (alternatives, group) in &kin {
            branches[alternatives[choice] as usize].groups.push(group);
        }
        let chosen = next(&branches.iter().map(Branch::standing).collect::<Vec<_>>());
        units[axis] = (chosen as f64 + 0.5) / n as f64;
        kin.retain(|(alternatives, _)| alternatives[choice] as usize == chosen);
    }
    // All choices are made: who is left took the same alternative of each.
    kin.first().map(|(_, group)| *group)
}

/// Fixes the coordinate of a category that nothing hangs on: its alternatives take turns as branches do,
/// among the trials that share what is fixed already.
pub(in crate::sampler) fn choose_alternative(
    axes: &Axes,
    history: &History,
    axis: usize,
    units: &mut [f64],
) {
    let Some(&Kind::Category(n)) = axes.kinds().get(axis) else { return };
    let mut alternatives = vec![Group::default(); n];
    for (place, past) in history.trials().iter().enumerate() {
        let mut pairs = units.iter().zip(&past.units);
        let unit = past.units[axis];
        if unit.is_nan() || !pairs.all(|(fixed, unit)| fixed.is_nan() || fixed == unit) {
            continue;
        }
        let own = &mut alternatives[((unit * n as f64) as usize).min(n - 1)];
        own.places.push(place);
        own.losses.push(past.loss().unwrap_or(f64::NAN));
    }
    let standing = |group| Branch { groups: vec![group] }.standing();
    let chosen = next(&alternatives.iter().map(standing).collect::<Vec<_>>());
    units[axis] = (chosen as f64 + 0.5) / n as f64;
}

/// The trials of a branch.
#[derive(Clone, Default)]
struct Branch<'a> {
    groups: Vec<&'a Group>,
}

impl Branch<'_> {
    fn standing(&self) -> Standing {
        let n_trials = self.groups.iter().map(|group| group.places.len()).sum();
        Standing { n_trials, promise: self.promise() }
    }

    /// The loss it may reach; none is known of a branch where nothing completed.
    fn promise(&self) -> f64 {
        let is_known = |loss: &&f64| !loss.is_nan();
        let all = self.groups.iter().map(|group| best(&group.losses)).fold(f64::INFINITY, f64::min);
        let n: usize =
            self.groups.iter().map(|group| group.losses.iter().filter(is_known).count()).sum();
        let half = n.div_ceil(2);
        let first = match self.groups.as_slice() {
            _ if n == 0 => return f64::INFINITY,
            // Those without a loss are in between, but rarely.
            [group] if group.losses.len() == n => best(&group.losses[..half]),
            [group] => best_of_first(group.losses.iter().copied(), half),
            groups => {
                let pairs = groups.iter().flat_map(|group| group.places.iter().zip(&group.losses));
                let mut known: Vec<_> = pairs.filter(|(_, loss)| !loss.is_nan()).collect();
                known.select_nth_unstable_by_key(half - 1, |(place, _)| **place);
                best_of_first(known.into_iter().map(|(_, loss)| *loss), half)
            }
        };
        all - (first - all)
    }
}

/// The least of those that are numbers.
fn best(losses: &[f64]) -> f64 {
    // Four side by side; comparisons with what is no number are false.
    let (fours, rest) = losses.as_chunks::<4>();
    let mut least = [f64::INFINITY; 4];
    for four in fours {
        for (least, &loss) in least.iter_mut().zip(four) {
            *least = if loss < *least { loss } else { *least };
        }
    }
    least.iter().chain(rest).copied().fold(f64::INFINITY, f64::min)
}

/// The least of the first so many that are known.
fn best_of_first(losses: impl Iterator<Item = f64>, n: usize) -> f64 {
    losses.filter(|loss| !loss.is_nan()).take(n).fold(f64::INFINITY, f64::min)
}

/// How often a branch was tried, and the loss that it may reach.
#[derive(Clone, Copy)]
struct Standing {
    n_trials: usize,
    promise: f64,
}

/// The branch that is furthest behind its share.
fn next(branches: &[Standing]) -> usize {
    let mut ranked: Vec<(f64, usize)> =
        branches.iter().enumerate().map(|(own, branch)| (branch.promise, own)).collect();
    ranked.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let served = |rank: usize, own: usize| (branches[own].n_trials * (rank + 1), rank);
    let shares = ranked.iter().enumerate().map(|(rank, &(_, own))| (served(rank, own), own));
    shares.min().map_or(0, |(_, own)| own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(losses: &[f64]) -> Group {
        Group { places: (0..losses.len()).collect(), losses: losses.to_vec(), ..Group::default() }
    }

    fn standing(groups: &[&Group]) -> Standing {
        Branch { groups: groups.to_vec() }.standing()
    }

    #[test]
    fn every_branch_is_tried_and_the_most_promising_most_often() {
        let mut branches = vec![group(&[]); 4];
        let mut counts = [0; 4];
        for _ in 0..100 {
            let standings: Vec<Standing> = branches.iter().map(|own| standing(&[own])).collect();
            let own = next(&standings);
            counts[own] += 1;
            branches[own].places.push(counts[own]);
            branches[own].losses.push([3.0, 1.0, 4.0, 2.0][own]);
        }
        assert_eq!(counts, [16, 48, 12, 24]);
    }

    #[test]
    fn what_still_falls_fast_promises_more_than_what_is_flat() {
        let promise = |losses: &[f64]| standing(&[&group(losses)]).promise;
        let falling = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0];
        assert!(promise(&falling) < promise(&[1.0; 8]));
        assert_eq!(promise(&[1.0; 8]), 1.0);
        // Whoever has no loss does not count.
        let gaps = falling.map(|loss| [f64::NAN, loss]).concat();
        assert_eq!(promise(&gaps), promise(&falling));
        // In several groups it is their order that says which came first.
        let part = |first: usize| Group {
            places: (first..8).step_by(2).collect(),
            losses: falling[first..].iter().step_by(2).copied().collect(),
            ..Group::default()
        };
        assert_eq!(standing(&[&part(1), &part(0)]).promise, promise(&falling));
    }

    #[test]
    fn a_branch_where_all_fail_keeps_its_turns_and_no_more() {
        let failed = group(&[f64::NAN]);
        let choose = |other: &[f64]| next(&[standing(&[&group(other)]), standing(&[&failed])]);
        assert_eq!(choose(&[5.0]), 0);
        assert_eq!(choose(&[5.0; 3]), 1);
    }
}
