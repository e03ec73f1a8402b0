//! Which trials are good, and which are not.

use crate::sampler::history::{Class, Group, Past};

/// The share of ended trials that is good, and how many are at most.
const GOOD_SHARE: f64 = 0.2;
const MOST_GOOD: usize = 100;

/// With so many trials running the share is half as large.
const HALVING: f64 = 32.0;

/// Of the others no more than this count, a quarter of them the latest and the rest the best: more
/// would add nothing but time. Those of a branch have their share of it, and at least this many.
const MOST_BAD: usize = 1_000;
const LEAST_BAD: usize = 250;

/// Trials on either side.
#[derive(Default)]
pub(super) struct Standing<'a> {
    /// The good ones, the best first.
    pub(super) good: Vec<&'a Past>,
    /// How much each counts, 1 on average.
    pub(super) weights: Vec<f64>,
    /// All others.
    pub(super) bad: Vec<&'a Past>,
}

impl<'a> Standing<'a> {
    /// Of those of a group among all trials, where so many run.
    pub(super) fn of(trials: &'a [Past], group: Option<&Group>, n_running: usize) -> Self {
        let Some(group) = group else { return Self::default() };
        let n_before = |class: Class| group.ranked.partition_point(|&i| trials[i].class() < class);
        let share = GOOD_SHARE / (1.0 + n_running as f64 / HALVING);
        let n_good = (share * n_before(Class::Running) as f64).ceil() as usize;
        let n_good = n_good.min(MOST_GOOD).min(n_before(Class::Failed));
        let (good, bad) = group.ranked.split_at(n_good);
        let most_bad = (MOST_BAD * group.places.len() / trials.len().max(1)).max(LEAST_BAD);
        let bad = match bad.len() > most_bad {
            true => within_bounds(trials, group, n_good, most_bad),
            false => bad.iter().map(|&place| &trials[place]).collect(),
        };
        let good = good.iter().map(|&place| &trials[place]).collect();
        Self { weights: weights(n_good), good, bad }
    }
}

/// How much each of the good ones counts, by rank.
fn weights(n: usize) -> Vec<f64> {
    let raw: Vec<f64> = (1..=n).map(|rank| ((n as f64 + 0.5) / rank as f64).ln()).collect();
    let sum: f64 = raw.iter().sum();
    raw.into_iter().map(|weight| weight * n as f64 / sum).collect()
}

/// Of those that are not good, the best, and the latest of the rest, running ones among them.
fn within_bounds<'a>(
    trials: &'a [Past],
    group: &Group,
    n_good: usize,
    most: usize,
) -> Vec<&'a Past> {
    let (good, bad) = group.ranked.split_at(n_good);
    let worst = good.last().map(|&place| &trials[place]);
    let is_bad = |past: &&Past| worst.is_none_or(|worst| worst.compare(past).is_lt());
    let latest = group.places.iter().rev().map(|&place| &trials[place]).filter(is_bad);
    let mut chosen: Vec<&Past> = latest.take(most / 4).collect();
    let first = chosen.last().map_or(u32::MAX, |past| past.number);
    let best = bad.iter().map(|&place| &trials[place]).filter(|past| past.number < first);
    chosen.extend(best.take(most - most / 4));
    chosen
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sampler::history::Fate;

    /// All of them.
    fn group(trials: &[Past]) -> Group {
        let mut ranked: Vec<usize> = (0..trials.len()).collect();
        ranked.sort_by(|one, other| trials[*one].compare(&trials[*other]));
        Group { places: (0..trials.len()).collect(), ranked, ..Group::default() }
    }

    fn trial(number: u32, fate: Option<Fate>) -> Past {
        Past { number, units: vec![0.5], fate }
    }

    #[test]
    fn stopped_ones_follow_completed_ones_and_failed_ones_are_never_good() {
        let fates = [
            Some(Fate::Stopped(Some(-9.0))),
            Some(Fate::Completed(3.0)),
            None,
            Some(Fate::Failed),
            Some(Fate::Completed(2.0)),
            Some(Fate::Stopped(None)),
        ];
        let trials: Vec<Past> =
            (0..).zip(fates).map(|(number, fate)| trial(number, fate)).collect();
        let numbers = |n: usize| {
            // The same again and again until so many are good.
            let many: Vec<Past> = trials.iter().cycle().take(n * trials.len()).cloned().collect();
            let standing = Standing::of(&many, Some(&group(&many)), 0);
            standing.good.iter().map(|past| past.number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1), [4]);
        assert_eq!(numbers(3), [4, 4, 4]);
        assert_eq!(numbers(12), [[4; 12].as_slice(), &[1; 0]].concat());
        let failed: Vec<Past> = (0..20).map(|number| trial(number, Some(Fate::Failed))).collect();
        let standing = Standing::of(&failed, Some(&group(&failed)), 0);
        assert!(standing.good.is_empty());
        assert_eq!(standing.bad.len(), 20);
    }

    #[test]
    fn the_more_trials_run_the_fewer_are_good() {
        let trials: Vec<Past> =
            (0..100).map(|number| trial(number, Some(Fate::Completed(1.0)))).collect();
        let all = group(&trials);
        let n_good = |n_running| Standing::of(&trials, Some(&all), n_running).good.len();
        assert_eq!([0, 8, 32].map(n_good), [20, 16, 10]);
    }

    #[test]
    fn both_sides_are_bounded_and_weights_fall_with_rank() {
        let trials: Vec<Past> = (0..4_000u32)
            .map(|number| trial(number, Some(Fate::Completed(f64::from(number * 7 % 4_000)))))
            .collect();
        let mut all = group(&trials);
        let standing = Standing::of(&trials, Some(&all), 0);
        assert_eq!((standing.good.len(), standing.bad.len()), (MOST_GOOD, MOST_BAD));
        let losses: Vec<f64> = standing.good.iter().filter_map(|past| past.loss()).collect();
        assert!(losses.is_sorted());
        assert!(standing.bad.iter().any(|past| past.number == 3_999));
        assert!(standing.weights.is_sorted_by(|one, next| one > next));
        assert!((standing.weights.iter().sum::<f64>() - MOST_GOOD as f64).abs() < 1e-9);
        let numbers: BTreeSet<u32> = standing.bad.iter().map(|past| past.number).collect();
        assert_eq!(numbers.len(), MOST_BAD);
        // A branch has its share of what counts.
        for (every, n_bad) in [(2, MOST_BAD / 2), (8, LEAST_BAD)] {
            all.places.retain(|place| place % every == 0);
            all.ranked.retain(|place| place % every == 0);
            assert_eq!(Standing::of(&trials, Some(&all), 0).bad.len(), n_bad);
        }
    }
}
