//! Where many axes leave a search stuck: a cube around the best trial.
//!
//! D. Eriksson et al., "Scalable global optimization via local Bayesian optimization" (NeurIPS 2019).
//! Deviations: there is one cube, for every second proposal, and only once as many trials as there are
//! axes have brought nothing better; as many later it is half as wide. So it follows from the history
//! alone, and a search that gets on is not held back.

use super::super::axes::{Axes, Kind};
use super::super::history::History;
use super::fit::MANY_AXES;

/// How wide the cube is at first, and how often it becomes half as wide before it starts anew.
const WIDEST: f64 = 0.8;
const N_WIDTHS: usize = 6;

/// About so many axes of a point differ from the center's.
const MOST_MOVED: f64 = 20.0;

/// A cube in the unit cube; the whole of that where there is no center.
#[derive(Debug)]
pub(super) struct Region {
    pub(super) center: Option<Vec<f64>>,
    /// The ends of each axis.
    pub(super) sides: Vec<(f64, f64)>,
}

impl Region {
    /// Where everything may be proposed.
    pub(super) fn everywhere(axes: &Axes) -> Self {
        Self { center: None, sides: vec![(0.0, 1.0); axes.kinds().len()] }
    }

    /// For the next proposal, if this trial is the best.
    pub(super) fn around(axes: &Axes, history: &History, (best, center): (u32, &[f64])) -> Self {
        let n_axes = axes.kinds().len();
        let own = history.own();
        let next = own.last().map_or(0, |past| past.number + 1);
        let n_vain = own.iter().filter(|past| past.number > best && past.fate.is_some()).count();
        let is_for_it = n_axes >= MANY_AXES && axes.choices().is_empty();
        if !is_for_it || next.is_multiple_of(2) || n_vain < n_axes {
            return Self::everywhere(axes);
        }
        let width = WIDEST * 0.5f64.powi(((n_vain / n_axes - 1) % N_WIDTHS) as i32);
        let side = |(kind, &middle): (&Kind, &f64)| {
            let half = match kind {
                Kind::Category(_) => 1.0,
                Kind::Ordered(levels) => (0.5 * width).max(1.0 / levels.len() as f64),
                Kind::Continuous => 0.5 * width,
            };
            ((middle - half).max(0.0), (middle + half).min(1.0))
        };
        let sides = axes.kinds().iter().zip(center).map(side).collect();
        Self { center: Some(center.to_vec()), sides }
    }

    /// Whether a point lies in it.
    pub(super) fn holds(&self, point: &[f64]) -> bool {
        let mut places = point.iter().zip(&self.sides);
        places.all(|(unit, (low, high))| unit.is_nan() || (low..=high).contains(&unit))
    }

    /// Moves a point of the unit cube to its place here; the more axes, the more stay the center's.
    pub(super) fn shrink(&self, units: &mut [f64], mut draw: impl FnMut() -> f64) {
        let Some(center) = &self.center else { return };
        let n_axes = units.len() as f64;
        let always = (draw() * n_axes) as usize;
        for (axis, unit) in units.iter_mut().enumerate() {
            let is_moved = draw() * n_axes < MOST_MOVED || axis == always;
            let (low, high) = self.sides[axis];
            *unit = if is_moved { low + (high - low) * *unit } else { center[axis] };
        }
    }

    /// Moves a point in.
    pub(super) fn clamp(&self, units: &mut [f64]) {
        for (unit, (low, high)) in units.iter_mut().zip(&self.sides) {
            // What is no number stays none.
            *unit = unit.clamp(*low, *high);
        }
    }
}
