//! What was tried so far, as points of the unit cube.

use fleetfit_search_spaces::Configuration;

use super::axes::Axes;

/// More trials than this are not remembered: the better half of the ended ones and the later half of
/// the others stay.
const MOST: usize = 4_096;

/// What became of a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// Its loss.
    Completed(f64),
    /// It was stopped early, and what it had reached by then.
    Stopped(Option<f64>),
    /// It has no loss.
    Failed,
}

/// A trial as a point.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Past {
    pub(super) number: u32,
    /// A coordinate for each axis; not a number where the axis is inactive.
    pub(super) units: Vec<f64>,
    /// None while it runs.
    pub(super) fate: Option<Fate>,
}

impl Past {
    /// The loss it completed with.
    pub(super) fn loss(&self) -> Option<f64> {
        match self.fate {
            Some(Fate::Completed(loss)) => Some(loss),
            _ => None,
        }
    }
}

/// What was tried so far, by number.
#[derive(Debug, Default)]
pub(super) struct History {
    trials: Vec<Past>,
}

impl History {
    /// A configuration runs from now on. Those that the space does not hold are passed over.
    pub(super) fn begin(&mut self, axes: &Axes, number: u32, configuration: &Configuration) {
        let Some(units) = axes.units(configuration) else { return };
        let place = self.trials.partition_point(|past| past.number < number);
        if self.trials.get(place).is_none_or(|past| past.number != number) {
            self.trials.insert(place, Past { number, units, fate: None });
        }
    }

    /// A configuration has ended.
    pub(super) fn end(&mut self, number: u32, fate: Fate) {
        let place = self.trials.partition_point(|past| past.number < number);
        if let Some(past) = self.trials.get_mut(place).filter(|past| past.number == number) {
            let is_number = |loss: f64| loss.is_finite();
            past.fate = Some(match fate {
                Fate::Completed(loss) if !is_number(loss) => Fate::Failed,
                Fate::Stopped(loss) => Fate::Stopped(loss.filter(|&loss| is_number(loss))),
                fate => fate,
            });
        }
        if self.trials.len() > MOST {
            self.forget();
        }
    }

    /// How many have ended, of those that are remembered.
    pub(super) fn n_ended(&self) -> usize {
        self.trials.iter().filter(|past| past.fate.is_some()).count()
    }

    /// All that is remembered, by number.
    pub(super) fn trials(&self) -> &[Past] {
        &self.trials
    }

    /// Keeps the best quarter, the latest quarter, and whoever runs.
    fn forget(&mut self) {
        let mut losses: Vec<f64> = self.trials.iter().filter_map(Past::loss).collect();
        losses.sort_by(f64::total_cmp);
        let bound = losses.get(MOST / 4).copied().unwrap_or(f64::INFINITY);
        let first_late = self.trials.len() - MOST / 4;
        let mut place = 0;
        self.trials.retain(|past| {
            place += 1;
            let is_good = past.loss().is_some_and(|loss| loss <= bound);
            past.fate.is_none() || place > first_late || is_good
        });
        // Many may have the same loss.
        let n_over = self.trials.len().saturating_sub(MOST * 3 / 4);
        if n_over > 0 {
            let mut n_left = n_over;
            self.trials.retain(|past| {
                let goes = n_left > 0 && past.fate.is_some();
                n_left -= usize::from(goes);
                !goes
            });
        }
    }
}
