//! The axes of the unit cube as samplers that learn see them.

use std::collections::BTreeSet;

use fleetfit_search_spaces::{Alternative, Axis, Configuration, Domain, SearchSpace};

use super::sobol::Sequence;

/// Ordered values up to this many are told apart; more count as a continuum.
const MOST_LEVELS: u128 = 1 << 12;

/// How points of an axis relate to each other.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Every coordinate is a value of its own.
    Continuous,
    /// Values in order, each with the middle of its interval of coordinates, ascending.
    Ordered(Vec<f64>),
    /// So many values without an order; the coordinate of each is `(index + 0.5) / n`.
    Category(usize),
}

/// A space as its axes.
#[derive(Debug)]
pub(super) struct Axes {
    space: SearchSpace,
    axes: Vec<Axis>,
    kinds: Vec<Kind>,
    choices: Vec<(usize, usize)>,
    sequence: Sequence,
}

impl Axes {
    pub(super) fn new(space: SearchSpace) -> Self {
        let axes = space.axes();
        let kinds: Vec<Kind> = axes.iter().map(|axis| kind(&axis.domain)).collect();
        let parents: BTreeSet<usize> =
            axes.iter().filter_map(|axis| axis.parent).map(|(parent, _)| parent).collect();
        let choices = parents.into_iter().filter_map(|axis| match kinds.get(axis) {
            Some(&Kind::Category(n)) => Some((axis, n)),
            _ => None,
        });
        let choices = choices.collect();
        let sequence = Sequence::new(axes.len());
        Self { space, axes, kinds, choices, sequence }
    }

    pub(super) fn space(&self) -> &SearchSpace {
        &self.space
    }

    pub(super) fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// Evenly spread points.
    pub(super) fn sequence(&self) -> &Sequence {
        &self.sequence
    }

    /// The axes that others hang on, in order, and how many alternatives each has.
    pub(super) fn choices(&self) -> &[(usize, usize)] {
        &self.choices
    }

    /// The axis and the alternative of it under which each axis exists; the former comes earlier.
    pub(super) fn parent(&self, axis: usize) -> Option<(usize, usize)> {
        self.axes.get(axis)?.parent
    }

    /// Whether an axis exists at a point whose earlier coordinates are as given.
    pub(super) fn is_active(&self, axis: usize, units: &[f64]) -> bool {
        self.parent(axis).is_none_or(|(parent, alternative)| {
            let unit = units[parent];
            !unit.is_nan() && self.axes[parent].domain.branch(unit) == Some(alternative)
        })
    }

    /// Which alternative a point takes of each choice that other axes hang on; 0 where that does not
    /// exist.
    pub(super) fn alternatives(&self, units: &[f64]) -> Vec<u32> {
        let alternative = |&(axis, n): &(usize, usize)| {
            let unit = units.get(axis).copied().unwrap_or(f64::NAN);
            ((unit * n as f64) as usize).min(n.saturating_sub(1)) as u32
        };
        self.choices.iter().map(alternative).collect()
    }

    /// The same point with every coordinate in the middle of its value's interval, and none on
    /// inactive axes.
    pub(super) fn settle(&self, units: &mut [f64]) {
        for axis in 0..self.kinds.len() {
            if !self.is_active(axis, units) {
                units[axis] = f64::NAN;
                continue;
            }
            let unit = if units[axis].is_nan() { 0.5 } else { units[axis].clamp(0.0, 1.0) };
            units[axis] = match &self.kinds[axis] {
                Kind::Continuous => unit,
                Kind::Ordered(_) | Kind::Category(_) => self.middle(axis, unit),
            };
        }
    }

    fn middle(&self, axis: usize, unit: f64) -> f64 {
        let domain = &self.axes[axis].domain;
        match domain {
            Domain::Choice(choice) => {
                let n = choice.len().max(1) as f64;
                let index = domain.branch(unit).unwrap_or_default() as f64;
                (index + 0.5) / n
            }
            domain => domain.unit(&domain.at(unit)).unwrap_or(unit),
        }
    }

    /// The point of a configuration; none if the space does not hold it.
    pub(super) fn units(&self, configuration: &Configuration) -> Option<Vec<f64>> {
        let units = self.space.units(configuration)?;
        Some(units.into_iter().map(|unit| unit.unwrap_or(f64::NAN)).collect())
    }

    /// The configuration at a point.
    pub(super) fn configuration(&self, units: &[f64]) -> Configuration {
        self.space.configuration(units)
    }
}

/// How the points of a domain relate to each other.
pub(crate) fn kind(domain: &Domain) -> Kind {
    match domain {
        Domain::Choice(choice) => {
            let number = |alternative: &Alternative| match alternative {
                Alternative::Value(value) => value.as_f64(),
                Alternative::Space(_) => None,
            };
            let numbers: Option<Vec<f64>> = choice.iter().map(number).collect();
            let is_ordered = |numbers: &[f64]| {
                let ascends = numbers.windows(2).all(|pair| pair[0] < pair[1]);
                ascends || numbers.windows(2).all(|pair| pair[0] > pair[1])
            };
            match numbers {
                Some(numbers) if numbers.len() > 2 && is_ordered(&numbers) => {
                    let n = numbers.len() as f64;
                    Kind::Ordered((0..numbers.len()).map(|i| (i as f64 + 0.5) / n).collect())
                }
                _ => Kind::Category(choice.len().max(1)),
            }
        }
        domain => match domain.cardinality() {
            Some(n) if n <= MOST_LEVELS => {
                Kind::Ordered((0..n).filter_map(|i| domain.unit(&domain.nth(i))).collect())
            }
            _ => Kind::Continuous,
        },
    }
}
