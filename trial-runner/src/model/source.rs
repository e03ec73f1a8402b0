//! A column that a model reads: found by name in whatever frame it predicts on.

use serde::{Deserialize, Serialize};

use super::PredictError;
use crate::frame::{FeatureColumn, FeatureValues, Frame, MISSING, readable};

/// A column that a model reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ColumnSource {
    pub(crate) name: String,
    pub(crate) kind: SourceKind,
}

/// What the column held in training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum SourceKind {
    /// Numbers.
    Number,
    /// These words; a category is known by its position here.
    Category(Vec<String>),
}

/// A source and its column in one frame.
pub(crate) enum Bound<'a> {
    /// Numbers; what is not finite counts as missing.
    Number(&'a [f64]),
    /// The frame's codes, and for each of them the position among the source's words.
    Category(&'a [u32], Vec<u32>),
    /// A column without a single value.
    Empty,
}

impl ColumnSource {
    /// Finds the column, whatever its place and its other levels.
    pub(crate) fn bind<'a>(&self, frame: &'a Frame) -> Result<Bound<'a>, PredictError> {
        let column = find(frame, &self.name)
            .ok_or_else(|| PredictError::MissingColumn { name: readable(&self.name) })?;
        match (&self.kind, &column.values) {
            (SourceKind::Number, FeatureValues::Number(values)) => Ok(Bound::Number(values)),
            (SourceKind::Category(words), FeatureValues::Category { codes, levels }) => {
                // A model knows the words of its entity, and the levels are those of all data: few
                // are looked up among many.
                let mut positions = vec![MISSING; levels.len()];
                for (position, word) in words.iter().enumerate() {
                    if let Ok(level) = levels.binary_search(word) {
                        positions[level] = position as u32;
                    }
                }
                Ok(Bound::Category(codes, positions))
            }
            // A column that happens to be empty is read as either kind.
            (_, values) if is_empty(values) => Ok(Bound::Empty),
            (SourceKind::Number, _) => Err(PredictError::WrongKind {
                name: readable(&self.name),
                found: "words",
                expected: "numbers",
            }),
            (SourceKind::Category(_), _) => Err(PredictError::WrongKind {
                name: readable(&self.name),
                found: "numbers",
                expected: "words",
            }),
        }
    }
}

impl Bound<'_> {
    /// The number or the position of the word in a row; NaN when it is missing.
    pub(crate) fn value(&self, row: usize) -> f64 {
        match self {
            Self::Number(values) => {
                let value = values[row];
                if value.is_finite() { value } else { f64::NAN }
            }
            Self::Category(codes, positions) => match positions.get(codes[row] as usize) {
                Some(&position) if position != MISSING => f64::from(position),
                _ => f64::NAN,
            },
            Self::Empty => f64::NAN,
        }
    }

    /// Whether the row holds a word that training never saw.
    pub(crate) fn is_unknown(&self, row: usize) -> bool {
        match self {
            Self::Category(codes, positions) => {
                positions.get(codes[row] as usize) == Some(&MISSING)
            }
            Self::Number(_) | Self::Empty => false,
        }
    }
}

fn find<'a>(frame: &'a Frame, name: &str) -> Option<&'a FeatureColumn> {
    frame.columns.iter().find(|column| &*column.name == name)
}

fn is_empty(values: &FeatureValues) -> bool {
    match values {
        FeatureValues::Number(values) => values.iter().all(|value| value.is_nan()),
        FeatureValues::Category { codes, .. } => codes.iter().all(|&code| code == MISSING),
    }
}
