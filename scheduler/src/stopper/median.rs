//! Stops a trial whose best so far is worse than the median of the running averages of all trials.
//!
//! D. Golovin et al., "Google Vizier" (KDD 2017), as Azure ML documents it: at interval k, the
//! averages are those over the intervals 1 to k of every trial that got as far, finished or
//! running, the judged one included. Deviation: only the latest thousand ended trials count.

use fleetfit_search_spaces::Goal;

use super::curve::ascending;
use super::window::Window;
use super::{Curve, Schedule, Stopper, reports, short};

/// Stops what is worse than the median of the running averages.
#[derive(Clone, Debug)]
pub struct MedianStopping {
    goal: Goal,
    averages: Window,
}

impl MedianStopping {
    /// The rule at the intervals of a schedule.
    pub fn new(schedule: Schedule, goal: Goal) -> Self {
        Self { goal, averages: Window::new(schedule) }
    }
}

impl Stopper for MedianStopping {
    fn stands(&self, curve: &Curve, interval: usize) -> Option<f64> {
        curve.lowest_at(interval)
    }

    fn measure(&self, running: &[&Curve], interval: usize) -> Vec<f64> {
        let running = running.iter().filter_map(|curve| curve.average_at(interval));
        ascending(running.chain(self.averages.at(interval)))
    }

    fn judge(&self, own: f64, measure: &[f64], interval: usize) -> Option<String> {
        let median = median(measure);
        (own > median).then(|| {
            let [own, median] = [own, median].map(|loss| short(self.goal.loss(loss)));
            let after = reports(interval);
            format!(
                "median_stopping: {own} after {after} is worse than the median of the \
                 running averages, {median}"
            )
        })
    }

    fn learn(&mut self, curve: &Curve) {
        self.averages.push(curve.averages());
    }
}

/// The middle of what ascends, or the mean of the two in the middle; infinite for nothing.
fn median(values: &[f64]) -> f64 {
    let middle = values.len() / 2;
    match (values.get(middle), middle.checked_sub(1)) {
        (Some(upper), Some(lower)) if values.len().is_multiple_of(2) => {
            f64::midpoint(values[lower], *upper)
        }
        (Some(upper), _) => *upper,
        (None, _) => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{judged, learn};
    use super::*;

    const ALWAYS: Schedule = Schedule { evaluation_interval: 1, delay_evaluation: 0 };

    #[test]
    fn the_best_is_held_against_running_averages() {
        let mut rule = MedianStopping::new(ALWAYS, Goal::Minimize);
        learn(&mut rule, &[4.0, 2.0]);
        learn(&mut rule, &[5.0, 3.0, 1.0]);
        // The averages at 2 are 3, 4 and 5.
        assert_eq!(judged(&rule, &[5.5, 4.0], &[]), None);
        let reason = judged(&rule, &[5.8, 4.2], &[]).unwrap();
        assert_eq!(
            reason,
            "median_stopping: 4.2 after 2 reports is worse than the median of the running \
             averages, 4"
        );
    }

    #[test]
    fn running_trials_count_as_far_as_they_got() {
        let rule = MedianStopping::new(ALWAYS, Goal::Maximize);
        let losses: [&[f64]; 3] = [&[-9.0, -9.0, -90.0], &[-8.0, -8.0], &[-100.0]];
        assert!(judged(&rule, &[-7.0, -7.0], &losses).is_some());
        assert!(judged(&rule, &[-7.0, -8.5], &losses).is_none());
    }

    #[test]
    fn a_first_trial_goes_on() {
        let rule = MedianStopping::new(ALWAYS, Goal::Minimize);
        assert_eq!(judged(&rule, &[1.0, 2.0, 3.0], &[]), None);
    }

    #[test]
    fn who_stays_where_the_others_stay_goes_on() {
        for thousandths in 1..1_000 {
            for value in [0.001, -0.001].map(|unit| unit * f64::from(thousandths)) {
                let mut rule = MedianStopping::new(ALWAYS, Goal::Minimize);
                for n in 1..=20 {
                    let curve = vec![value; n];
                    assert_eq!(judged(&rule, &curve, &[]), None, "{value} after {n}");
                    assert_eq!(judged(&rule, &curve, &[&curve]), None, "{value} after {n}");
                }
                learn(&mut rule, &[value; 20]);
                assert_eq!(judged(&rule, &[value; 20], &[]), None, "{value}");
            }
        }
        let mut rule = MedianStopping::new(ALWAYS, Goal::Minimize);
        for huge in [1e308, -1e308, f64::MAX, f64::MIN] {
            learn(&mut rule, &[huge; 3]);
            assert_eq!(judged(&rule, &[-1.7e308; 3], &[&[huge; 3]]), None);
        }
    }
}
