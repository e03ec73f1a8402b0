//! Stops a trial whose best so far is worse than the best of all trials at the same interval by
//! more than a slack. A trial that has not got as far counts with what it has reached: its best can
//! only get better.
//!
//! With a factor, Azure ML documents best / (1 + factor) for a metric to maximise: 0.8 and 0.2 give
//! 0.66. To minimise, the limit is best × (1 + factor), the other way round. Below 0 the two trade
//! places, so that the limit lies always on the losing side, and a metric turned upside down under
//! the opposite goal is judged the same.

use fleetfit_search_spaces::Goal;

use super::{Curve, Stopper, reports, short};

/// How much worse than the best a trial may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Slack {
    /// A share of the best.
    Factor(f64),
    /// An amount of the metric.
    Amount(f64),
}

impl Slack {
    /// The highest loss that goes on.
    fn limit(self, best: f64) -> f64 {
        match self {
            Self::Factor(factor) if best < 0.0 => best / (1.0 + factor),
            Self::Factor(factor) => best * (1.0 + factor),
            Self::Amount(amount) => best + amount,
        }
    }
}

/// Stops what is worse than the best by a slack.
#[derive(Clone, Debug)]
pub struct Bandit {
    slack: Slack,
    goal: Goal,
    /// The lowest loss of any ended trial within so many intervals, from 1 on.
    best_within: Vec<f64>,
}

impl Bandit {
    /// The rule with its slack.
    pub fn new(slack: Slack, goal: Goal) -> Self {
        Self { slack, goal, best_within: Vec::new() }
    }
}

impl Stopper for Bandit {
    fn stands(&self, curve: &Curve, interval: usize) -> Option<f64> {
        curve.lowest_at(interval)
    }

    fn measure(&self, running: &[&Curve], interval: usize) -> Vec<f64> {
        let running = running.iter().filter_map(|curve| curve.lowest_at(interval.min(curve.len())));
        let within = interval.min(self.best_within.len()).checked_sub(1);
        let ended = within.and_then(|last| self.best_within.get(last));
        running.chain(ended.copied()).reduce(f64::min).into_iter().collect()
    }

    fn judge(&self, own: f64, measure: &[f64], interval: usize) -> Option<String> {
        let best = measure.first().map_or(own, |best| best.min(own));
        let limit = self.slack.limit(best);
        (own > limit).then(|| {
            let [own, limit, best] = [own, limit, best].map(|loss| short(self.goal.loss(loss)));
            let after = reports(interval);
            format!(
                "bandit: {own} after {after} is beyond {limit}, the slack around the \
                 best, {best}"
            )
        })
    }

    fn learn(&mut self, curve: &Curve) {
        let reached = self.best_within.last().copied().unwrap_or(f64::INFINITY);
        self.best_within.resize(self.best_within.len().max(curve.len()), reached);
        for (held, interval) in self.best_within.iter_mut().zip(1..) {
            let lowest = curve.lowest_at(interval.min(curve.len()));
            *held = lowest.map_or(*held, |lowest| held.min(lowest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{judged, learn};
    use super::*;

    /// Whether a trial at `value` is stopped when the best is at `best`.
    fn stops(goal: Goal, slack: Slack, best: f64, value: f64) -> bool {
        let mut bandit = Bandit::new(slack, goal);
        learn(&mut bandit, &[goal.loss(best)]);
        judged(&bandit, &[goal.loss(value)], &[]).is_some()
    }

    #[test]
    fn azures_documented_numbers() {
        let factor = Slack::Factor(0.2);
        assert!(stops(Goal::Maximize, factor, 0.8, 0.66));
        assert!(!stops(Goal::Maximize, factor, 0.8, 0.67));
        let amount = Slack::Amount(0.2);
        assert!(stops(Goal::Maximize, amount, 0.8, 0.59));
        assert!(!stops(Goal::Maximize, amount, 0.8, 0.61));
    }

    #[test]
    fn minimise_mirrors_maximise() {
        let factor = Slack::Factor(0.2);
        assert!(stops(Goal::Minimize, factor, 0.8, 0.97));
        assert!(!stops(Goal::Minimize, factor, 0.8, 0.95));
        for (best, value) in [(0.8, 0.7), (0.8, 0.6), (-0.5, -0.55), (-0.5, -0.7)] {
            assert_eq!(
                stops(Goal::Maximize, factor, best, value),
                stops(Goal::Minimize, factor, -best, -value),
                "{best} {value}"
            );
        }
    }

    #[test]
    fn the_limit_lies_on_the_losing_side_of_negative_values() {
        let factor = Slack::Factor(0.2);
        assert!(!stops(Goal::Maximize, factor, -1.0, -1.0));
        assert!(!stops(Goal::Maximize, factor, -1.0, -1.19));
        assert!(stops(Goal::Maximize, factor, -1.0, -1.21));
        assert!(!stops(Goal::Minimize, factor, -1.2, -1.01));
        assert!(stops(Goal::Minimize, factor, -1.2, -0.99));
    }

    #[test]
    fn others_count_as_they_stood_at_the_same_interval() {
        let mut bandit = Bandit::new(Slack::Factor(0.1), Goal::Minimize);
        learn(&mut bandit, &[1.0, 0.5, 0.1]);
        assert_eq!(judged(&bandit, &[1.05], &[&[1.0, 0.2]]), None);
        let reason = judged(&bandit, &[1.05, 0.6], &[]).unwrap();
        assert_eq!(
            reason,
            "bandit: 0.6 after 2 reports is beyond 0.55, the slack around the best, 0.5"
        );
    }

    #[test]
    fn the_best_of_a_trial_counts_not_its_last() {
        assert!(!{
            let mut bandit = Bandit::new(Slack::Factor(0.1), Goal::Minimize);
            learn(&mut bandit, &[1.0, 1.0]);
            judged(&bandit, &[1.0, 9.0], &[]).is_some()
        });
    }
}
