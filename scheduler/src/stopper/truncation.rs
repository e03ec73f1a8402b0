//! Stops the worst so many percent at each look.
//!
//! At interval k, every trial that got as far, running or ended, stands with its best within the
//! first k reports. Of n such trials, the judged one included, floor(n × percentage / 100) are cut;
//! the judged trial is stopped if it is one of them, a tie counting in its favour. Trials come to
//! an interval one after another, so each is judged among those that came before it: Azure ML
//! documents the rule and not the moment. Only the latest thousand ended trials count.

use fleetfit_search_spaces::Goal;

use super::window::Window;
use super::{Schedule, Stopper, lowest, reports, short};

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
    fn judge(&mut self, curve: &[f64], others: &[&[f64]]) -> Option<String> {
        let interval = curve.len();
        let own = lowest(curve);
        let running = others.iter().filter_map(|other| other.get(..interval));
        let (mut n_trials, mut n_not_better) = (1, 0);
        for other in running.map(lowest).chain(self.bests.at(interval)) {
            n_trials += 1;
            n_not_better += usize::from(other >= own);
        }
        let n_cut = n_trials * usize::from(self.percentage) / 100;
        (n_not_better < n_cut).then(|| {
            let own = short(self.goal.loss(own));
            let percentage = self.percentage;
            let after = reports(interval);
            format!(
                "truncation_selection: {own} after {after} is among the worst \
                 {percentage} % of {n_trials} trials"
            )
        })
    }

    fn learn(&mut self, curve: &[f64]) {
        let mut best = f64::INFINITY;
        let bests = curve.iter().map(|&loss| {
            best = best.min(loss);
            best
        });
        self.bests.push(bests);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALWAYS: Schedule = Schedule { evaluation_interval: 1, delay_evaluation: 0 };

    #[test]
    fn the_worst_fifth_is_cut() {
        let mut rule = TruncationSelection::new(20, ALWAYS, Goal::Minimize);
        for loss in 1..=9 {
            rule.learn(&[f64::from(loss)]);
        }
        // Ten trials, two of them cut.
        assert!(rule.judge(&[8.5], &[]).is_some());
        assert!(rule.judge(&[7.5], &[]).is_none());
        let reason = rule.judge(&[10.0], &[]).unwrap();
        assert_eq!(
            reason,
            "truncation_selection: 10 after 1 report is among the worst 20 % of 10 trials"
        );
    }

    #[test]
    fn too_few_trials_cut_nobody_and_ties_go_on() {
        let mut rule = TruncationSelection::new(20, ALWAYS, Goal::Maximize);
        assert!(rule.judge(&[9.0], &[&[1.0], &[2.0], &[3.0]]).is_none());
        let equal = [9.0];
        assert!(rule.judge(&equal, &[&equal[..]; 9]).is_none());
    }
}
