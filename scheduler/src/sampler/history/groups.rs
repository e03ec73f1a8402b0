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
    /// The places in the order of trials, the best first.
    pub(in crate::sampler) ranked: Vec<usize>,
}

/// All groups by their alternatives, one for each choice; 0 where a choice does not exist.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups(BTreeMap<Vec<u32>, Group>);

impl Groups {
    pub(super) fn of(axes: &Axes, trials: &[Past]) -> Self {
        let mut groups = Self::default();
        for (place, past) in trials.iter().enumerate() {
            let group = groups.0.entry(axes.alternatives(&past.units)).or_default();
            group.places.push(place);
            group.losses.push(past.loss().unwrap_or(f64::NAN));
            group.ranked.push(place);
        }
        groups.rank(trials);
        groups
    }

    /// A trial runs that comes after all others.
    pub(super) fn begin(&mut self, axes: &Axes, place: usize, past: &Past) {
        let group = self.0.entry(axes.alternatives(&past.units)).or_default();
        group.places.push(place);
        group.losses.push(f64::NAN);
        group.ranked.push(place);
    }

    /// A trial has ended.
    pub(super) fn end(&mut self, axes: &Axes, place: usize, trials: &[Past]) {
        let past = &trials[place];
        let Some(group) = self.0.get_mut(&axes.alternatives(&past.units)) else { return };
        if let Ok(at) = group.places.binary_search(&place) {
            group.losses[at] = past.loss().unwrap_or(f64::NAN);
        }
        // Whoever runs is among the last.
        if let Some(at) = group.ranked.iter().rposition(|own| *own == place) {
            group.ranked.remove(at);
            let is_better = |own: &usize| trials[*own].compare(past).is_lt();
            group.ranked.insert(group.ranked.partition_point(is_better), place);
        }
    }

    /// Puts all in order: trials have other losses.
    pub(super) fn rank(&mut self, trials: &[Past]) {
        for group in self.0.values_mut() {
            group.ranked.sort_by(|one, other| trials[*one].compare(&trials[*other]));
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u32], &Group)> {
        self.0.iter().map(|(alternatives, group)| (alternatives.as_slice(), group))
    }
}
