//! Narrowing: ever fewer go on, from everybody at the first look to one in twenty at the last.
//!
//! Halving looks seldom and stops many at once, when a curve has told little. Here every report is
//! looked at, and who is stopped is worst by what it has told so far: of n trials that came to the
//! first look the (1/20 + 19/20 × (1 - x)²) n best go on, x from 0 at the first look to 1 at the last
//! report but one; rounded up, a tie in a trial's favour. Who was stopped before counts as worse.
//! Steps where curves still cross stop few, and the last ones, which cost most where steps are sizes
//! of a sample, are for the few that may be best. The shape was chosen on every other one of the 197
//! data sets of LCDB; the others had the same from it. Only the latest thousand ended trials count.

use std::collections::VecDeque;

use fleetfit_search_spaces::Goal;

use super::curve::ascending;
use super::{Curve, Stopper, reports, short};

/// Who goes on at the last look, as a share of those who came to the first.
const LAST_SHARE: f64 = 0.05;

/// Ended trials that are remembered.
const MAX_REMEMBERED: usize = 1_000;

/// The rule with what it remembers.
#[derive(Clone, Debug)]
pub struct Narrowing {
    /// The first look, in reports.
    first: usize,
    /// The reports of a whole trial, which ends there by itself.
    whole: usize,
    goal: Goal,
    /// The curves of ended trials that came to the first look.
    ended: VecDeque<Box<[f64]>>,
}

impl Narrowing {
    /// The rule from one report to another.
    pub fn new(first: u32, whole: u32, goal: Goal) -> Self {
        let (first, whole) = (first.max(1) as usize, whole as usize);
        Self { first, whole, goal, ended: VecDeque::new() }
    }

    /// How many of so many go on there.
    fn n_on(&self, n_trials: usize, interval: usize) -> usize {
        let left = self.whole.saturating_sub(1 + interval) as f64;
        let all = self.whole.saturating_sub(1 + self.first).max(1) as f64;
        let share = LAST_SHARE + (1.0 - LAST_SHARE) * (left / all).powi(2);
        // What rounding adds is no trial.
        ((n_trials as f64 * share - 1e-9).ceil() as usize).max(1)
    }
}

impl Stopper for Narrowing {
    fn looks_at(&self, interval: usize) -> bool {
        (self.first..self.whole).contains(&interval)
    }

    fn looks_back(&self) -> bool {
        false
    }

    fn stands(&self, curve: &Curve, interval: usize) -> Option<f64> {
        curve.loss_at(interval)
    }

    fn measure(&self, running: &[&Curve], interval: usize) -> Vec<f64> {
        let ended = self.ended.iter().map(Box::as_ref);
        let all = running.iter().map(|curve| curve.losses()).chain(ended);
        let all = all.filter(|losses| losses.len() >= self.first);
        ascending(all.map(|losses| losses.get(interval - 1).copied().unwrap_or(f64::INFINITY)))
    }

    fn judge(&self, own: f64, measure: &[f64], interval: usize) -> Option<String> {
        let n_trials = measure.len();
        let n_better = measure.partition_point(|other| *other < own);
        let n_on = self.n_on(n_trials, interval);
        (n_better >= n_on).then(|| {
            let (own, after) = (short(self.goal.loss(own)), reports(interval));
            let best = if n_on == 1 { String::new() } else { format!("{n_on} ") };
            format!(
                "narrowing: {own} after {after} is not among the best {best}of {n_trials} trials"
            )
        })
    }

    fn learn(&mut self, curve: &Curve) {
        if curve.len() < self.first {
            return;
        }
        if self.ended.len() == MAX_REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back(curve.losses()[..curve.len().min(self.whole)].into());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{judged, learn};
    use super::*;

    #[test]
    fn ever_fewer_go_on() {
        let rule = Narrowing::new(4, 25, Goal::Minimize);
        assert!(!rule.looks_at(3) && rule.looks_at(4) && rule.looks_at(24) && !rule.looks_at(25));
        let of_twenty: Vec<usize> = (4..25).map(|interval| rule.n_on(20, interval)).collect();
        let by_hand = [20, 19, 17, 15, 14, 12, 11, 10, 8, 7, 6, 5, 5, 4, 3, 3, 2, 2, 2, 2, 1];
        assert_eq!(of_twenty, by_hand);
        assert_eq!((rule.n_on(1, 24), rule.n_on(1, 4)), (1, 1));
        // With one look it is the last as well; none is without a look.
        let short = Narrowing::new(4, 5, Goal::Minimize);
        assert_eq!((short.looks_at(4), short.n_on(20, 4), short.n_on(20, 9)), (true, 1, 1));
        assert!((0..9).all(|interval| !Narrowing::new(4, 4, Goal::Minimize).looks_at(interval)));
    }

    #[test]
    fn who_was_stopped_counts_as_worse_and_reasons_say_so() {
        let mut rule = Narrowing::new(1, 4, Goal::Maximize);
        for curve in [&[-0.9, -0.8, -0.9, -0.9][..], &[-0.5], &[-0.4, -0.6], &[-0.7, -0.7]] {
            learn(&mut rule, curve);
        }
        // At the second of three looks a share of 0.2875: of five and a running one the best two.
        let running: &[&[f64]] = &[&[-0.7]];
        assert_eq!(judged(&rule, &[-0.1, -0.75], running), None);
        assert_eq!(judged(&rule, &[-0.1, -0.7], running), None, "a tie");
        assert_eq!(
            judged(&rule, &[-0.8, -0.65], running).unwrap(),
            "narrowing: 0.65 after 2 reports is not among the best 2 of 6 trials"
        );
        assert_eq!(
            judged(&rule, &[-0.8, -0.8, -0.8], &[]).unwrap(),
            "narrowing: 0.8 after 3 reports is not among the best of 5 trials"
        );
        // Before the first look nobody is counted.
        let mut late = Narrowing::new(3, 9, Goal::Minimize);
        learn(&mut late, &[0.0, 0.0]);
        assert!(late.ended.is_empty());
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut rule = Narrowing::new(1, 3, Goal::Minimize);
        (0..2 * MAX_REMEMBERED).for_each(|trial| learn(&mut rule, &[trial as f64; 9]));
        assert_eq!((rule.ended.len(), rule.ended[0].len()), (MAX_REMEMBERED, 3));
        assert_eq!(rule.ended[0][0], MAX_REMEMBERED as f64);
    }
}
