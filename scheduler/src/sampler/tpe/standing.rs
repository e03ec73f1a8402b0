//! Which trials are good, and which are not.
//!
//! Completed ones stand by their loss, then stopped ones by what they had reached, then those without
//! a loss, then those that still run.

use crate::sampler::history::{Fate, Past};

/// The share of ended trials that is good, and how many are at most.
const GOOD_SHARE: f64 = 0.2;
const MOST_GOOD: usize = 100;

/// With so many trials running the share is half as large.
const HALVING: f64 = 32.0;

/// Of the others no more than this count, the best of them and the latest: more would add nothing but
/// time.
const MOST_BAD: usize = 1_000;
const LATEST_BAD: usize = 250;

/// Trials on either side.
pub(super) struct Standing<'a> {
    /// The good ones, the best first.
    pub(super) good: Vec<&'a Past>,
    /// How much each counts, 1 on average.
    pub(super) weights: Vec<f64>,
    /// All others.
    pub(super) bad: Vec<&'a Past>,
}

impl<'a> Standing<'a> {
    pub(super) fn of(mut trials: Vec<&'a Past>, n_running: usize) -> Self {
        let (mut n_ended, mut n_rankable) = (0, 0);
        for past in &trials {
            let class = rank(past).0;
            n_ended += usize::from(class < Class::Running);
            n_rankable += usize::from(class < Class::Failed);
        }
        let share = GOOD_SHARE / (1.0 + n_running as f64 / HALVING);
        let n_good = (share * n_ended as f64).ceil() as usize;
        let n_good = n_good.min(MOST_GOOD).min(n_rankable);
        if n_good > 0 && n_good < trials.len() {
            trials.select_nth_unstable_by(n_good - 1, |one, other| compare(one, other));
        }
        let bad = trials.split_off(n_good);
        let mut good = trials;
        good.sort_unstable_by(|one, other| compare(one, other));
        Self { weights: weights(n_good), good, bad: within_bounds(bad) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Completed,
    Stopped,
    Failed,
    Running,
}

fn rank(past: &Past) -> (Class, f64) {
    match past.fate {
        Some(Fate::Completed(loss)) => (Class::Completed, loss),
        Some(Fate::Judged(losses)) => (Class::Completed, losses.first()),
        Some(Fate::Stopped(Some(loss))) => (Class::Stopped, loss),
        Some(Fate::Stopped(None) | Fate::Failed) => (Class::Failed, 0.0),
        None => (Class::Running, 0.0),
    }
}

/// Whether one is better than the other: then it is less.
pub(in crate::sampler) fn compare(one: &Past, other: &Past) -> std::cmp::Ordering {
    let ((class, loss), (other_class, other_loss)) = (rank(one), rank(other));
    let by_rank = class.cmp(&other_class).then(loss.total_cmp(&other_loss));
    by_rank.then(one.number.cmp(&other.number))
}

/// How much each of the good ones counts, by rank.
fn weights(n: usize) -> Vec<f64> {
    let raw: Vec<f64> = (1..=n).map(|rank| ((n as f64 + 0.5) / rank as f64).ln()).collect();
    let sum: f64 = raw.iter().sum();
    raw.into_iter().map(|weight| weight * n as f64 / sum).collect()
}

/// The latest ones, running ones among them, and the best of the rest.
fn within_bounds(mut bad: Vec<&Past>) -> Vec<&Past> {
    if bad.len() > MOST_BAD {
        let n_best = MOST_BAD - LATEST_BAD;
        bad.select_nth_unstable_by_key(LATEST_BAD, |past| std::cmp::Reverse(past.number));
        bad[LATEST_BAD..].select_nth_unstable_by(n_best - 1, |one, other| compare(one, other));
        bad.truncate(MOST_BAD);
        // The selections leave them in any order, and sums depend on it.
        bad.sort_unstable_by_key(|past| past.number);
    }
    bad
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let many: Vec<&Past> = trials.iter().cycle().take(n * trials.len()).collect();
            let standing = Standing::of(many, 0);
            standing.good.iter().map(|past| past.number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1), [4]);
        assert_eq!(numbers(3), [4, 4, 4]);
        assert_eq!(numbers(12), [[4; 12].as_slice(), &[1; 0]].concat());
        let failed: Vec<Past> = (0..20).map(|number| trial(number, Some(Fate::Failed))).collect();
        let standing = Standing::of(failed.iter().collect(), 0);
        assert!(standing.good.is_empty());
        assert_eq!(standing.bad.len(), 20);
    }

    #[test]
    fn the_more_trials_run_the_fewer_are_good() {
        let trials: Vec<Past> =
            (0..100).map(|number| trial(number, Some(Fate::Completed(1.0)))).collect();
        let n_good = |n_running| Standing::of(trials.iter().collect(), n_running).good.len();
        assert_eq!([0, 8, 32].map(n_good), [20, 16, 10]);
    }

    #[test]
    fn both_sides_are_bounded_and_weights_fall_with_rank() {
        let trials: Vec<Past> = (0..4_000u32)
            .map(|number| trial(number, Some(Fate::Completed(f64::from(number * 7 % 4_000)))))
            .collect();
        let standing = Standing::of(trials.iter().collect(), 0);
        assert_eq!((standing.good.len(), standing.bad.len()), (MOST_GOOD, MOST_BAD));
        let losses: Vec<f64> = standing.good.iter().filter_map(|past| past.loss()).collect();
        assert!(losses.is_sorted());
        assert!(standing.bad.iter().any(|past| past.number == 3_999));
        assert!(standing.weights.is_sorted_by(|one, next| one > next));
        assert!((standing.weights.iter().sum::<f64>() - MOST_GOOD as f64).abs() < 1e-9);
    }
}
