//! Stops a trial whose best so far is worse than the median of the running averages of all trials.
//!
//! D. Golovin et al., "Google Vizier" (KDD 2017), as Azure ML documents it: at interval k, the
//! averages are those over the intervals 1 to k of every trial that got as far, finished or
//! running, the judged one included. Deviation: only the latest thousand ended trials count.

use fleetfit_search_spaces::Goal;

use super::window::Window;
use super::{Schedule, Stopper, lowest, reports, short};

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
    fn judge(&mut self, curve: &[f64], others: &[&[f64]]) -> Option<String> {
        let interval = curve.len();
        let running = others.iter().filter_map(|other| other.get(..interval));
        let mut averages: Vec<f64> = running
            .chain([curve])
            .filter_map(|curve| Averages::new(curve).last())
            .chain(self.averages.at(interval))
            .collect();
        let median = median(&mut averages);
        let own = lowest(curve);
        (own > median).then(|| {
            let [own, median] = [own, median].map(|loss| short(self.goal.loss(loss)));
            let after = reports(interval);
            format!(
                "median_stopping: {own} after {after} is worse than the median of the \
                 running averages, {median}"
            )
        })
    }

    fn learn(&mut self, curve: &[f64]) {
        self.averages.push(Averages::new(curve));
    }
}

/// The running averages of a curve. By differences: what stays the same has itself as its average, to
/// the last bit, and no sum leaves the range.
struct Averages<'a> {
    losses: std::slice::Iter<'a, f64>,
    n: f64,
    mean: f64,
}

impl<'a> Averages<'a> {
    fn new(curve: &'a [f64]) -> Self {
        Self { losses: curve.iter(), n: 0.0, mean: 0.0 }
    }
}

impl Iterator for Averages<'_> {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        let loss = self.losses.next()?;
        self.n += 1.0;
        let toward = self.mean + (loss / self.n - self.mean / self.n);
        // Rounding takes no average beyond what it is of.
        self.mean = if self.n > 1.0 {
            toward.clamp(self.mean.min(*loss), self.mean.max(*loss))
        } else {
            *loss
        };
        Some(self.mean)
    }
}

/// The middle, or the mean of the two in the middle; infinite for nothing.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
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
    use super::*;

    const ALWAYS: Schedule = Schedule { evaluation_interval: 1, delay_evaluation: 0 };

    #[test]
    fn the_best_is_held_against_running_averages() {
        let mut rule = MedianStopping::new(ALWAYS, Goal::Minimize);
        rule.learn(&[4.0, 2.0]);
        rule.learn(&[5.0, 3.0, 1.0]);
        // The averages at 2 are 3, 4 and 5.
        assert_eq!(rule.judge(&[5.5, 4.0], &[]), None);
        let reason = rule.judge(&[5.8, 4.2], &[]).unwrap();
        assert_eq!(
            reason,
            "median_stopping: 4.2 after 2 reports is worse than the median of the running \
             averages, 4"
        );
    }

    #[test]
    fn running_trials_count_as_far_as_they_got() {
        let mut rule = MedianStopping::new(ALWAYS, Goal::Maximize);
        let losses: [&[f64]; 3] = [&[-9.0, -9.0, -90.0], &[-8.0, -8.0], &[-100.0]];
        assert!(rule.judge(&[-7.0, -7.0], &losses).is_some());
        assert!(rule.judge(&[-7.0, -8.5], &losses).is_none());
    }

    #[test]
    fn a_first_trial_goes_on() {
        let mut rule = MedianStopping::new(ALWAYS, Goal::Minimize);
        assert_eq!(rule.judge(&[1.0, 2.0, 3.0], &[]), None);
    }

    #[test]
    fn who_stays_where_the_others_stay_goes_on() {
        for thousandths in 1..1_000 {
            for value in [0.001, -0.001].map(|unit| unit * f64::from(thousandths)) {
                let mut rule = MedianStopping::new(ALWAYS, Goal::Minimize);
                for n in 1..=20 {
                    let curve = vec![value; n];
                    assert_eq!(rule.judge(&curve, &[]), None, "{value} after {n}");
                    assert_eq!(rule.judge(&curve, &[&curve]), None, "{value} after {n}");
                }
                rule.learn(&[value; 20]);
                assert_eq!(rule.judge(&[value; 20], &[]), None, "{value}");
            }
        }
        let mut rule = MedianStopping::new(ALWAYS, Goal::Minimize);
        for huge in [1e308, -1e308, f64::MAX, f64::MIN] {
            rule.learn(&[huge; 3]);
            assert_eq!(rule.judge(&[-1.7e308; 3], &[&[huge; 3]]), None);
        }
    }
}
