//! The set of configurations: parameters, their domains, and the mapping to the unit cube that every
//! sampler works in.
//!
//! A nested (conditional) space is flattened into axes; an axis with a parent counts only where the
//! parent's choice fell on its branch. [`SearchSpace::configuration`] and [`SearchSpace::units`] go
//! both ways.

mod choice;
mod cube;
mod domain;
mod fill;
pub mod normal;
mod read;

pub use choice::Choice;
pub(crate) use cube::branches;
pub use fill::Adopted;
pub(crate) use read::number;

use serde::{Deserialize, Serialize};

use crate::value::Value;

/// The set of configurations a study searches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchSpace {
    /// One axis each, in the order of the file.
    pub parameters: Vec<Parameter>,
}

/// One named parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The values it may take.
    pub domain: Domain,
}

/// How the values between two bounds are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Evenly.
    #[default]
    Linear,
    /// Evenly in the logarithm.
    Log,
}

/// The values one parameter may take, and with what weight. `q` rounds to its multiples; a whole `q`
/// yields integers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// A literal inside a nested space.
    Fixed(Value),
    /// One of a list.
    Choice(Choice),
    /// An integer from 0 up to, and without, `upper`.
    RandInt {
        /// The exclusive bound.
        upper: i64,
    },
    /// Evenly between two values.
    Uniform {
        /// The lower bound.
        min: f64,
        /// The upper bound.
        max: f64,
        /// The rounding step.
        q: Option<f64>,
    },
    /// `base` to the power of a number drawn evenly between two exponents.
    LogUniform {
        /// The lower exponent.
        min: f64,
        /// The upper exponent.
        max: f64,
        /// The rounding step.
        q: Option<f64>,
        /// The base, e unless the sampling algorithm names a `logbase`.
        base: f64,
    },
    /// Normally distributed.
    Normal {
        /// The mean.
        mu: f64,
        /// The standard deviation.
        sigma: f64,
        /// The rounding step.
        q: Option<f64>,
    },
    /// The exponential of a normally distributed number.
    LogNormal {
        /// The mean of the logarithm.
        mu: f64,
        /// The standard deviation of the logarithm.
        sigma: f64,
        /// The rounding step.
        q: Option<f64>,
        /// The base, e unless the sampling algorithm names a `logbase`.
        base: f64,
    },
    /// Our integers: both bounds are values and included.
    Int {
        /// The lower bound.
        min: i64,
        /// The upper bound.
        max: i64,
        /// The distance between neighbours, counted from `min`.
        step: i64,
        /// The spread.
        scale: Scale,
    },
    /// Our floats: both bounds are values and included.
    Float {
        /// The lower bound.
        min: f64,
        /// The upper bound.
        max: f64,
        /// The distance between neighbours, counted from `min`.
        step: Option<f64>,
        /// The spread.
        scale: Scale,
    },
}

/// One element of a choice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alternative {
    /// A plain value.
    Value(Value),
    /// A nested space, whose parameters exist only when it is chosen.
    Space(SearchSpace),
}

/// One axis of a flattened space. Fixed parameters have none.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The dotted path: `model.C`.
    pub path: String,
    /// The values.
    pub domain: Domain,
    /// The axis and the alternative of it under which this one exists.
    pub parent: Option<(usize, usize)>,
}
