//! Several losses and what has to hold: who is better than whom.
//!
//! Trials that keep every bound come before those that do not, and these by how far they are from it
//! (K. Deb, "An efficient constraint handling method for genetic algorithms", 2000). Among the former
//! come those first that nobody beats in every loss. `front/order.rs` puts all of them in one order,
//! `front/scalar.rs` makes one loss of several, `front/hypervolume.rs` measures what a front beats.

pub(crate) mod hypervolume;
mod order;
mod scalar;

use fleetfit_search_spaces::Aims;
use fleetfit_search_spaces::objective::MAX_OBJECTIVES;

pub(crate) use self::order::order;
pub(super) use self::scalar::{distances, scalars};

/// What a trial has lost in each objective, and how far it is from what has to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Losses {
    values: [f64; MAX_OBJECTIVES],
    n: u8,
    /// 0 where everything holds.
    pub violation: f64,
    /// The same, and below 0 where everything holds: how much room is left to the nearest bound.
    pub excess: f64,
}

/// What room is taken to be left where nobody tells.
const ROOM: f64 = 0.5;

impl Losses {
    /// The losses, of which so many count as a study may have.
    pub fn new(losses: impl IntoIterator<Item = f64>, violation: f64) -> Self {
        let mut values = [0.0; MAX_OBJECTIVES];
        let mut n = 0;
        for (slot, loss) in values.iter_mut().zip(losses) {
            *slot = loss;
            n += 1;
        }
        Self { values, n, violation, excess: if violation > 0.0 { violation } else { -ROOM } }
    }

    /// What a trial has lost by its values, in the order of the metrics.
    pub fn of(aims: &Aims, value: f64, further: &[f64]) -> Self {
        let losses = Self::new(aims.losses(value, further), aims.violation(value, further));
        match aims.constraints.is_empty() {
            true => losses,
            false => Self { excess: aims.excess(value, further), ..losses },
        }
    }

    /// One for each objective.
    pub fn all(&self) -> &[f64] {
        &self.values[..usize::from(self.n)]
    }

    /// The first objective's.
    pub fn first(&self) -> f64 {
        self.values[0]
    }

    /// Whether all bounds are kept.
    pub fn is_feasible(&self) -> bool {
        self.violation <= 0.0
    }

    /// Whether all of them are numbers.
    pub(super) fn are_finite(&self) -> bool {
        self.n > 0
            && (self.violation + self.excess).is_finite()
            && self.all().iter().all(|loss| loss.is_finite())
    }
}

/// Whether the first ones are nowhere worse than the others, and better somewhere.
pub(crate) fn dominates(losses: &[f64], others: &[f64]) -> bool {
    let mut is_better = false;
    for (loss, other) in losses.iter().zip(others) {
        if loss > other {
            return false;
        }
        is_better |= loss < other;
    }
    is_better
}

/// Those that nobody dominates, as places in the list, in its order. Equal ones stay together.
pub(crate) fn front<T: AsRef<[f64]>>(losses: &[T]) -> Vec<usize> {
    let mut kept: Vec<usize> = Vec::new();
    for (place, own) in losses.iter().enumerate() {
        let own = own.as_ref();
        if kept.iter().any(|&other| dominates(losses[other].as_ref(), own)) {
            continue;
        }
        kept.retain(|&other| !dominates(own, losses[other].as_ref()));
        kept.push(place);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_on_a_front_is_dominated() {
        let points = [[1.0, 4.0], [2.0, 2.0], [3.0, 3.0], [2.0, 2.0], [4.0, 0.0], [1.0, 5.0]];
        assert_eq!(front(&points), [0, 1, 3, 4]);
        assert!(front::<[f64; 2]>(&[]).is_empty());
        assert!(!dominates(&[1.0, 1.0], &[1.0, 1.0]));
    }
}
