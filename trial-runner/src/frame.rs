//! One entity's rows as columns: what every trainer reads.

mod date_part;
mod layout;
mod schema;
mod timeline;

use std::sync::Arc;

pub use crate::calendar::holidays::Holidays;
pub use date_part::DatePart;
pub(crate) use date_part::{DERIVED, readable};
pub(crate) use layout::Layout;
pub use schema::{Feature, FeatureKind, FeatureSchema, TargetKind, TimeSchema};
pub use timeline::{ForecastPlan, TimeKind, Timeline};

/// One entity's rows as columns. Folds are lists of row indices into it; nothing is copied per
/// trial.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The features.
    pub columns: Vec<FeatureColumn>,
    /// What is predicted. At prediction time it may be [`Target::Unknown`].
    pub target: Target,
    /// Row weights.
    pub weights: Option<Vec<f64>>,
    /// When the rows are, for forecasting.
    pub timeline: Option<Timeline>,
    /// How many rows there are.
    pub n_rows: usize,
}

/// Heavier rows may not be: sums of products with their weights could overflow.
pub const MAX_WEIGHT: f64 = 1e100;

impl Frame {
    /// Whether a row weighs anything. One that does not is as none.
    pub(crate) fn weighs(&self, row: usize) -> bool {
        let weight = self.weights.as_ref().and_then(|weights| weights.get(row));
        weight != Some(&0.0)
    }
}

/// One feature.
#[derive(Clone, Debug)]
pub struct FeatureColumn {
    /// Its name: its column's, or for a derived feature one that no column has.
    pub name: Arc<str>,
    /// Its values.
    pub values: FeatureValues,
}

/// The values of a feature.
#[derive(Clone, Debug)]
pub enum FeatureValues {
    /// Numbers; NaN means missing.
    Number(Vec<f64>),
    /// Indices into the levels; [`MISSING`] means missing.
    Category {
        /// One index a row.
        codes: Vec<u32>,
        /// The words, in ascending order of their bytes.
        levels: Arc<Vec<String>>,
    },
}

/// The code of a missing category.
pub const MISSING: u32 = u32::MAX;

/// What is predicted.
#[derive(Clone, Debug)]
pub enum Target {
    /// A number, never missing or infinite: such rows are left out of a frame.
    Number(Vec<f64>),
    /// A class: an index into the labels of the whole data set, of which an entity may see a few.
    Class {
        /// One index a row.
        codes: Vec<u32>,
        /// The labels.
        labels: Arc<Vec<String>>,
    },
    /// Not known: these rows are to be predicted.
    Unknown,
}
