//! Trials by what they take of the choices that other axes hang on, kept up to date as trials begin
//! and end, so that a proposal need not go through all of them.

use std::collections::BTreeMap;

use super::Past;
use crate::sampler::axes::Axes;

/// Trials that take the same alternatives.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::sampler) struct Group {
    /// Their places among all trials, ascending.
    pub(in crate::sampler) places: Vec<usize>,
    /// The loss of each that completed; not a number for the others.
    pub(in crate::sampler) losses: Vec<f64>,
}

/// All groups by their alternatives, one for each choice; 0 where a choice does not exist.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups(BTreeMap<Vec<u32>, Group>);

impl Groups {
    pub(super) fn of(axes: &Axes, trials: &[Past]) -> Self {
        let mut groups = Self::default();
        for (place, past) in trials.iter().enumerate() {
            groups.push(axes, place, past);
        }
        groups
    }

    /// A trial that comes after all others.
    pub(super) fn push(&mut self, axes: &Axes, place: usize, past: &Past) {
        let group = self.0.entry(axes.alternatives(&past.units)).or_default();
        group.places.push(place);
        group.losses.push(past.loss().unwrap_or(f64::NAN));
    }

    /// A trial has another loss.
    pub(super) fn set(&mut self, axes: &Axes, place: usize, past: &Past) {
        if let Some(group) = self.0.get_mut(&axes.alternatives(&past.units))
            && let Ok(at) = group.places.binary_search(&place)
        {
            group.losses[at] = past.loss().unwrap_or(f64::NAN);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u32], &Group)> {
        self.0.iter().map(|(alternatives, group)| (alternatives.as_slice(), group))
    }
}
