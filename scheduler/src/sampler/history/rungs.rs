//! What trials that were stopped would have come to.
//!
//! What a trial had reached when it was stopped can be compared with others at the same rung, and
//! nowhere else: it is fewer folds, other rows, a model that is not done. So each value is carried on
//! from rung to rung to the end by what the trials that passed both gained from one to the next, in
//! the middle of them. From the last rung that nobody left again, it stays what it is.

use std::collections::BTreeMap;

use super::{Fate, Past};

/// Where trials stood on the way, by number: rungs and losses, ascending.
#[derive(Debug, Default)]
pub(super) struct Rungs {
    passed: BTreeMap<u32, Vec<(u32, f64)>>,
}

impl Rungs {
    /// A trial passed a rung, or was stopped there; rungs ascend.
    pub(super) fn pass(&mut self, number: u32, rung: u32, loss: f64) {
        if loss.is_finite() {
            let own = self.passed.entry(number).or_default();
            if own.last().is_none_or(|(last, _)| *last < rung) {
                own.push((rung, loss));
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.passed.is_empty()
    }

    /// Forgets all but these.
    pub(super) fn retain(&mut self, is_kept: impl Fn(u32) -> bool) {
        self.passed.retain(|number, _| is_kept(*number));
    }

    /// Gives each trial that was stopped on a rung the loss that it would have come to: never one
    /// that is better than all that completed.
    pub(super) fn settle(&self, trials: &mut [Past]) {
        let gains = self.gains(trials);
        let best = trials.iter().filter_map(Past::loss).fold(f64::INFINITY, f64::min);
        for past in trials {
            let Some(Fate::Stopped(Some(reached))) = &mut past.fate else { continue };
            if let Some((rung, loss)) = self.passed.get(&past.number).and_then(|own| own.last()) {
                let further: f64 = gains.range(rung..).map(|(_, gain)| gain).sum();
                let end = loss + further;
                *reached = if best.is_finite() { end.max(best) } else { end };
            }
        }
    }

    /// What is gained from each rung to the next, or to the end after the last one.
    fn gains(&self, trials: &[Past]) -> BTreeMap<u32, f64> {
        let mut steps: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for own in self.passed.values() {
            for (rung, _) in own {
                steps.entry(*rung).or_default();
            }
        }
        let rungs: Vec<u32> = steps.keys().copied().collect();
        for past in trials {
            let Some(own) = self.passed.get(&past.number) else { continue };
            for (place, &(rung, loss)) in own.iter().enumerate() {
                let next = rungs.get(rungs.partition_point(|other| *other <= rung));
                let ahead = match own.get(place + 1) {
                    Some((other, ahead)) if Some(other) == next => Some(*ahead),
                    Some(_) => None,
                    None => past.loss().filter(|_| next.is_none()),
                };
                if let (Some(ahead), Some(step)) = (ahead, steps.get_mut(&rung)) {
                    step.push(ahead - loss);
                }
            }
        }
        steps.into_iter().map(|(rung, step)| (rung, middle(step))).collect()
    }
}

/// The median; nothing of nothing.
fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (below, above) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    let at = |place: usize| values.get(place).copied().unwrap_or(0.0);
    0.5 * (at(below) + at(above))
}
