//! Asynchronous successive halving: at each rung, one trial in `reduction_factor` goes on.
//!
//! L. Li et al., "A System for Massively Parallel Hyperparameter Tuning" (MLSys 2020), in the form
//! that stops instead of pausing, as Ray Tune and Optuna have it. Rungs lie at `first` reports and
//! that times every power of the factor. Of n trials that reached a rung, running ones and the judged
//! one included, the floor(n / factor) best go on, at least one, a tie counting in a trial's favour;
//! each stands with its loss at the rung. A trial is judged once a rung, when it comes there: the first
//! ones have few to be measured by, which costs steps and spares who starts slowly. Deviation: only
//! the latest thousand ended trials count.

use fleetfit_search_spaces::Goal;

use super::curve::ascending;
use super::window::Window;
use super::{Curve, Schedule, Stopper, reports, short};

/// The rungs of one bracket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rungs {
    /// The first one, in reports.
    pub first: u64,
    /// How many times as many reports the next one takes.
    pub factor: u64,
    /// There is none from so many reports on.
    pub end: u64,
}

impl Rungs {
    /// Whether there is a rung at so many reports.
    fn is_at(self, interval: usize) -> bool {
        let interval = interval as u64;
        let mut rung = self.first.max(1);
        while rung < interval {
            rung = rung.saturating_mul(self.factor.max(2));
        }
        rung == interval && rung < self.end
    }
}

/// Successive halving in one bracket.
#[derive(Clone, Debug)]
pub struct Halving {
    name: &'static str,
    rungs: Rungs,
    goal: Goal,
    losses: Window,
}

impl Halving {
    /// The rule under the name of its policy.
    pub fn new(name: &'static str, rungs: Rungs, schedule: Schedule, goal: Goal) -> Self {
        Self { name, rungs, goal, losses: Window::new(schedule) }
    }
}

impl Stopper for Halving {
    fn looks_at(&self, interval: usize) -> bool {
        self.rungs.is_at(interval)
    }

    fn looks_back(&self) -> bool {
        false
    }

    fn stands(&self, curve: &Curve, interval: usize) -> Option<f64> {
        curve.loss_at(interval)
    }

    fn measure(&self, running: &[&Curve], interval: usize) -> Vec<f64> {
        let running = running.iter().filter_map(|curve| curve.loss_at(interval));
        ascending(running.chain(self.losses.at(interval)))
    }

    fn judge(&self, own: f64, measure: &[f64], interval: usize) -> Option<String> {
        let n_trials = measure.len();
        let n_better = measure.partition_point(|other| *other < own);
        let factor = usize::try_from(self.rungs.factor.max(2)).unwrap_or(usize::MAX);
        let n_on = (n_trials / factor).max(1);
        (n_better >= n_on).then(|| {
            let own = short(self.goal.loss(own));
            let (name, best) =
                (self.name, if n_on == 1 { String::new() } else { format!("{n_on} ") });
            let after = reports(interval);
            format!(
                "{name}: {own} after {after} is not among the best {best}of {n_trials} \
                 trials"
            )
        })
    }

    fn learn(&mut self, curve: &Curve) {
        for (interval, &loss) in (1..).zip(curve.losses()) {
            if self.rungs.is_at(interval) {
                self.losses.put(interval, loss);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{judged, learn};
    use super::*;

    fn rule(first: u64, factor: u64) -> Halving {
        let schedule = Schedule { evaluation_interval: 1, delay_evaluation: 0 };
        Halving::new("asha", Rungs { first, factor, end: u64::MAX }, schedule, Goal::Minimize)
    }

    #[test]
    fn rungs_lie_at_powers_of_the_factor() {
        let at = |rungs: Rungs| (0..100).filter(|&n| rungs.is_at(n)).collect::<Vec<usize>>();
        assert_eq!(at(Rungs { first: 1, factor: 4, end: u64::MAX }), [1, 4, 16, 64]);
        assert_eq!(at(Rungs { first: 5, factor: 3, end: 45 }), [5, 15]);
        assert_eq!(at(Rungs { first: u64::MAX, factor: 3, end: u64::MAX }), [0; 0]);
    }

    #[test]
    fn one_in_so_many_goes_on() {
        let mut rule = rule(1, 3);
        let goes_on = |rule: &mut Halving, loss: f64| {
            let goes_on = judged(rule, &[loss], &[]).is_none();
            learn(rule, &[loss]);
            goes_on
        };
        // Up to the fifth the best goes on, then the best two, and from the ninth on three.
        let came = [5.0, 6.0, 4.0, 4.0, 4.5, 4.2, 3.0, 4.1, 4.0, 4.0, 3.5];
        let went: Vec<bool> = came.iter().map(|&loss| goes_on(&mut rule, loss)).collect();
        let by_hand = [true, false, true, true, false, false, true, false, true, true, true];
        assert_eq!(went, by_hand);
    }

    #[test]
    fn the_loss_at_the_rung_counts_and_reasons_say_so() {
        let mut rule = rule(2, 2);
        for loss in [1.0, 2.0, 3.0] {
            learn(&mut rule, &[0.5, loss, 0.0]);
        }
        assert_eq!(judged(&rule, &[8.0, 2.0], &[]), None);
        assert_eq!(
            judged(&rule, &[0.1, 2.5], &[]).unwrap(),
            "asha: 2.5 after 2 reports is not among the best 2 of 4 trials"
        );
        let running: [&[f64]; 2] = [&[9.0, 1.5, 9.0], &[0.1]];
        assert_eq!(
            judged(&rule, &[2.0, 2.0], &running[1..]),
            None,
            "who has not come to the rung does not count there"
        );
        let reason = judged(&rule, &[2.0, 2.0], &running).unwrap();
        assert_eq!(reason, "asha: 2 after 2 reports is not among the best 2 of 5 trials");
    }
}
