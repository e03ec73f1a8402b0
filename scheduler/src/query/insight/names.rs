//! What the axes of a space and their values are called.

use fleetfit_search_spaces::{Alternative, Axis, Domain, SearchSpace, Value};
use serde::{Deserialize, Serialize};

/// Under which choice a parameter exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct When {
    /// The parameter that is chosen.
    pub parameter: String,
    /// Its value, or the name of the nested space: that of its first literal, or its number.
    pub is: Value,
}

/// The axes of a space.
pub(super) struct Names {
    axes: Vec<Axis>,
}

impl Names {
    pub(super) fn new(space: &SearchSpace) -> Self {
        Self { axes: space.axes() }
    }

    /// The dotted path of an axis. Under different choices different ones may have the same.
    pub(super) fn path(&self, axis: usize) -> String {
        self.axes.get(axis).map(|axis| axis.path.clone()).unwrap_or_default()
    }

    pub(super) fn when(&self, axis: usize) -> Option<When> {
        let (parent, alternative) = self.axes.get(axis)?.parent?;
        let domain = &self.axes.get(parent)?.domain;
        Some(When { parameter: self.path(parent), is: named(domain, alternative) })
    }

    /// The path, and under which choice where another axis has the same one.
    pub(super) fn full(&self, axis: usize) -> String {
        let path = self.path(axis);
        let is_shared = self.axes.iter().filter(|axis| axis.path == path).count() > 1;
        match self.when(axis).filter(|_| is_shared) {
            Some(when) => format!("{path} ({}={})", when.parameter, when.is),
            None => path,
        }
    }

    /// The value at a coordinate.
    pub(super) fn value(&self, axis: usize, unit: f64) -> Value {
        let Some(Axis { domain, .. }) = self.axes.get(axis) else {
            return Value::Float(unit);
        };
        match domain.branch(unit) {
            Some(alternative) => named(domain, alternative),
            None => domain.at(unit),
        }
    }
}

fn named(domain: &Domain, alternative: usize) -> Value {
    let number = Value::Text(format!("#{}", alternative + 1));
    let Domain::Choice(choice) = domain else { return number };
    match choice.get(alternative) {
        Some(Alternative::Value(value)) => value.clone(),
        Some(Alternative::Space(space)) => {
            let literal = space.parameters.iter().find_map(|parameter| match &parameter.domain {
                Domain::Fixed(value @ Value::Text(_)) => Some(value.clone()),
                _ => None,
            });
            literal.unwrap_or(number)
        }
        None => number,
    }
}
