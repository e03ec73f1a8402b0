//! Turns the rows of a frame into the dense numbers that linear models, neighbours, support
//! vectors and naive Bayes read. Learnt on the training rows (`trainer/encode.rs`) and stored with
//! the model.

use serde::{Deserialize, Serialize};

use super::PredictError;
use super::source::{Bound, ColumnSource};
use crate::frame::Frame;

/// Encoded values stay within this, so that sums of products of them are finite. Numbers that are
/// larger as they are read are no obstacle where they are scaled.
pub(crate) const MAX_VALUE: f64 = 1e100;
/// The scale of a feature that is as good as constant in training: it is zero, whatever it is later.
pub(crate) const NO_SCALE: f64 = f64::MAX;

/// Which columns are read and which features they become.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Encoder {
    pub(crate) sources: Vec<ColumnSource>,
    pub(crate) features: Vec<Feature>,
}

/// One feature: what it reads, minus `shift`, over `scale`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Feature {
    /// An index into the sources.
    pub(crate) source: u32,
    pub(crate) reads: Reads,
    pub(crate) shift: f64,
    pub(crate) scale: f64,
}

/// What a feature reads from its source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Reads {
    /// The number, or `fill` when it is missing.
    Number { fill: f64 },
    /// One for this word, else zero; `is_fill` says whether a missing word is this one.
    Word { position: u32, is_fill: bool },
    /// One for a word without a feature of its own: a rare one or one that training never saw.
    Others { from: u32 },
}

/// Encoded rows, column after column.
#[derive(Debug, Default)]
pub(crate) struct Design {
    pub(crate) n_rows: usize,
    pub(crate) n_columns: usize,
    pub(crate) values: Vec<f64>,
}

impl Design {
    /// One feature of all rows.
    pub(crate) fn column(&self, column: usize) -> &[f64] {
        &self.values[column * self.n_rows..(column + 1) * self.n_rows]
    }

    /// The same, to change it.
    pub(crate) fn column_mut(&mut self, column: usize) -> &mut [f64] {
        &mut self.values[column * self.n_rows..(column + 1) * self.n_rows]
    }

    /// The same numbers row after row.
    pub(crate) fn row_major(&self) -> Vec<f64> {
        let mut rows = vec![0.0; self.values.len()];
        for column in 0..self.n_columns {
            for (row, value) in self.column(column).iter().enumerate() {
                rows[row * self.n_columns + column] = *value;
            }
        }
        rows
    }
}

impl Encoder {
    /// Finds the columns in a frame.
    pub(crate) fn bind<'a>(&'a self, frame: &'a Frame) -> Result<Encoding<'a>, PredictError> {
        let bound = self.sources.iter().map(|source| source.bind(frame));
        Ok(Encoding { encoder: self, bound: bound.collect::<Result<_, _>>()? })
    }

    /// Whether every index in it is in range, so that bytes from a disk cannot cause a panic.
    pub(crate) fn is_sound(&self) -> bool {
        let n_sources = self.sources.len();
        let mut features = self.features.iter();
        features.all(|feature| (feature.source as usize) < n_sources)
    }
}

/// An encoder and its columns in one frame.
pub(crate) struct Encoding<'a> {
    encoder: &'a Encoder,
    bound: Vec<Bound<'a>>,
}

impl Encoding<'_> {
    /// Encodes some rows into `design`, whose memory is used again.
    pub(crate) fn encode(&self, rows: &[u32], design: &mut Design) {
        self.read(rows, design);
        for (index, feature) in self.encoder.features.iter().enumerate() {
            design.column_mut(index).iter_mut().for_each(|value| *value = feature.scaled(*value));
        }
    }

    /// The same before anything is scaled.
    pub(crate) fn read(&self, rows: &[u32], design: &mut Design) {
        design.n_rows = rows.len();
        design.n_columns = self.encoder.features.len();
        design.values.clear();
        for feature in &self.encoder.features {
            let bound = &self.bound[feature.source as usize];
            design.values.extend(rows.iter().map(|&row| feature.reads.read(bound, row as usize)));
        }
    }
}

impl Feature {
    /// The value on the feature's scale.
    pub(crate) fn scaled(&self, value: f64) -> f64 {
        if self.scale == NO_SCALE {
            return 0.0;
        }
        let apart = value - self.shift;
        // The difference of two of the largest numbers is none.
        let scaled = if apart.is_finite() {
            apart / self.scale
        } else {
            value / self.scale - self.shift / self.scale
        };
        scaled.clamp(-MAX_VALUE, MAX_VALUE)
    }
}

impl Reads {
    fn read(&self, bound: &Bound<'_>, row: usize) -> f64 {
        let value = bound.value(row);
        match self {
            Self::Number { fill } if value.is_nan() => *fill,
            Self::Number { .. } => value,
            Self::Word { is_fill, .. } if value.is_nan() => {
                f64::from(u8::from(*is_fill && !bound.is_unknown(row)))
            }
            Self::Word { position, .. } => f64::from(u8::from(value == f64::from(*position))),
            Self::Others { .. } if value.is_nan() => f64::from(u8::from(bound.is_unknown(row))),
            Self::Others { from } => f64::from(u8::from(value >= f64::from(*from))),
        }
    }
}
