//! Stops the worst so many percent at each look.
//!
//! At interval k, every trial that got as far, running or ended, stands with its best within the
//! first k reports. Of n such trials, the judged one included, floor(n × percentage / 100) are cut;
//! the judged trial is stopped if it is one of them, a tie counting in its favour. Trials come to
//! an interval one after another, so each is judged among those that came before it: Azure ML
//! documents the rule and not the moment. Only the latest thousand ended trials count.

use fleetfit_search_spaces::Goal;

use super::curve::ascending;
use super::window::Window;
use super::{Curve, Schedule, Stopper, reports, short};

/// Stops the worst so many percent.
#[derive(Clone, Debug)]
pub struct TruncationSelection {
    percentage: u8,
    goal: Goal,
    bests: Window,
}

impl TruncationSelection {
    /// The rule at the intervals of a schedule.
    pub fn new(percentage: u8, schedule: Schedule, goal: Goal) -> Self {
        Self { percentage, goal, bests: Window::new(schedule) }
    }
}

impl Stopper for TruncationSelection {
    fn stands(&self, curve: &Curve, interval: usize) -> Option<f64> {
        curve.lowest_at(interval)
    }

    fn measure(&self, running: &[&Curve], interval: usize) -> Vec<f64> {
        let running = running.iter().filter_map(|curve| curve.lowest_at(interval));
        ascending(running.chain(self.bests.at(interval)))
    }

    fn judge(&self, own: f64, measure: &[f64], interval: usize) -> Option<String> {
        let n_trials = measure.len();
        let n_better = measure.partition_point(|other| *other < own);
        let n_cut = n_trials * usize::from(self.percentage) / 100;
        // It is one of them itself.
        (n_trials - n_better <= n_cut).then(|| {
            let own = short(self.goal.loss(own));
            let percentage = self.percentage;
            let after = reports(interval);
            format!(
                "truncation_selection: {own} after {after} is among the worst \
                 {percentage} % of {n_trials} trials"
            )
        })
    }

    fn learn(&mut self, curve: &Curve) {
        self.bests.push(curve.lowest());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{judged, learn};
    use super::*;

    const ALWAYS: Schedule = Schedule { evaluation_interval: 1, delay_evaluation: 0 };

    #[test]
    fn the_worst_fifth_is_cut() {
        let mut rule = TruncationSelection::new(20, ALWAYS, Goal::Minimize);
        for loss in 1..=9 {
            learn(&mut rule, &[f64::from(loss)]);
        }
        // Ten trials, two of them cut.
        assert!(judged(&rule, &[8.5], &[]).is_some());
        assert!(judged(&rule, &[7.5], &[]).is_none());
        let reason = judged(&rule, &[10.0], &[]).unwrap();
        assert_eq!(
            reason,
            "truncation_selection: 10 after 1 report is among the worst 20 % of 10 trials"
        );
    }

    #[test]
    fn too_few_trials_cut_nobody_and_ties_go_on() {
        let rule = TruncationSelection::new(20, ALWAYS, Goal::Maximize);
        assert!(judged(&rule, &[9.0], &[&[1.0], &[2.0], &[3.0]]).is_none());
        let equal = [9.0];
        assert!(judged(&rule, &equal, &[&equal[..]; 9]).is_none());
    }
}
