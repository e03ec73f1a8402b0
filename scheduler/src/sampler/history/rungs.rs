//! What trials that were stopped would have come to.
//!
//! What a trial had reached when it was stopped can be compared with others at the same rung, and
//! nowhere else: it is fewer folds, other rows, a model that is not done. So each value is carried on
//! from rung to rung to the end by what the trials that passed both gained from one to the next, in
//! the middle of them; and as whoever went further did so for being better, it comes to no less than
//! the middle of those. From the last rung that nobody left again, it stays what it is.

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

    /// Gives each trial that was stopped on a rung the loss that it would have come to. Whoever went
    /// further did so for being better: it is no better than the middle of those.
    pub(super) fn settle(&self, trials: &mut [Past]) {
        let gains = self.gains(trials);
        let mut further: Vec<f64> = trials.iter().filter_map(Past::loss).collect();
        for (rung, _) in gains.iter().rev() {
            let gain: f64 = gains.range(rung..).map(|(_, gain)| gain).sum();
            let is_any = !further.is_empty();
            let bound = if is_any { middle(&mut further) } else { f64::NEG_INFINITY };
            for past in trials.iter_mut() {
                let Some(Fate::Stopped(Some(reached))) = &mut past.fate else { continue };
                let last = self.passed.get(&past.number).and_then(|own| own.last());
                if let Some((_, loss)) = last.filter(|(last, _)| last == rung) {
                    *reached = (loss + gain).max(bound);
                    further.push(*reached);
                }
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
        steps.into_iter().map(|(rung, mut step)| (rung, middle(&mut step))).collect()
    }
}

/// The median; nothing of nothing.
fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let (below, above) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    let at = |place: usize| values.get(place).copied().unwrap_or(0.0);
    0.5 * (at(below) + at(above))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What became of trials that passed the rungs 0, 1 and so on with these losses.
    fn settled(trials: &[(&[f64], Fate)]) -> Vec<Option<Fate>> {
        let mut rungs = Rungs::default();
        let mut pasts = Vec::new();
        for (number, (passed, fate)) in (0..).zip(trials) {
            for (rung, loss) in (0..).zip(*passed) {
                rungs.pass(number, rung, *loss);
            }
            pasts.push(Past { number, units: vec![0.5], fate: Some(*fate) });
        }
        rungs.settle(&mut pasts);
        pasts.into_iter().map(|past| past.fate).collect()
    }

    fn stopped(loss: f64) -> Fate {
        Fate::Stopped(Some(loss))
    }

    #[test]
    fn what_was_stopped_is_carried_on_from_rung_to_rung() {
        let trials: [(&[f64], Fate); 6] = [
            // An easy fold first: all are worse on the next, and a little better at the end.
            (&[1.0, 3.0], Fate::Completed(2.5)),
            (&[1.1, 3.3], stopped(3.3)),
            (&[1.2, 3.0], stopped(3.0)),
            (&[1.5], stopped(1.5)),
            (&[0.1], stopped(0.1)),
            (&[], stopped(7.0)),
        ];
        let ends = settled(&trials);
        let end = |place: usize| match ends[place] {
            Some(Fate::Stopped(Some(loss))) => loss,
            other => panic!("{other:?}"),
        };
        let wanted = [(1, 2.8), (2, 2.5), (3, 1.5 + 2.0 - 0.5), (4, 2.5), (5, 7.0)];
        for (place, wanted) in wanted {
            assert!((end(place) - wanted).abs() < 1e-9, "{place}: {}", end(place));
        }
        assert_eq!(ends[0], Some(Fate::Completed(2.5)));
    }

    #[test]
    fn where_nobody_went_on_values_stay_what_they_are() {
        let trials: [(&[f64], Fate); 3] =
            [(&[2.0], stopped(2.0)), (&[], Fate::Failed), (&[f64::NAN], Fate::Stopped(None))];
        assert_eq!(settled(&trials), trials.map(|(_, fate)| Some(fate)));
    }

    #[test]
    fn brackets_that_begin_later_count_from_where_they_begin() {
        let mut rungs = Rungs::default();
        for (number, rung, loss) in [(0, 1, 4.0), (1, 0, 5.0), (1, 1, 4.5), (2, 0, 6.0)] {
            rungs.pass(number, rung, loss);
        }
        let fates = [Fate::Completed(3.0), stopped(4.5), stopped(6.0)];
        let mut pasts: Vec<Past> = (0..)
            .zip(fates)
            .map(|(number, fate)| Past { number, units: vec![0.5], fate: Some(fate) })
            .collect();
        rungs.settle(&mut pasts);
        let ends: Vec<Option<Fate>> = pasts.into_iter().map(|past| past.fate).collect();
        let wanted = [Fate::Completed(3.0), stopped(3.5), stopped(4.5)];
        assert_eq!(ends, wanted.map(Some));
    }
}
