//! A fitted model: plain numbers of our own, which predict the same to the bit in any process.
//!
//! Stored as four letters, a version, a CRC-32 and postcard. Bytes that are damaged or from a newer
//! version are refused. A model finds its columns by name, so the frame it predicts on may have
//! them in another order, with other levels, or with more beside them. Whatever a model computes,
//! a prediction is a finite number: one that overflows becomes the constant model's.

pub(crate) mod bayes;
pub(crate) mod boosted;
pub(crate) mod encoder;
pub(crate) mod errors;
pub(crate) mod forecast;
pub(crate) mod forest;
pub mod importance;
pub(crate) mod kernel;
pub(crate) mod lagged;
pub(crate) mod linear;
pub(crate) mod neighbours;
pub(crate) mod network;
pub(crate) mod products;
pub(crate) mod source;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::frame::Frame;
use crate::stop::{Stop, Stopped};

use bayes::Bayes;
use boosted::Boosted;
use encoder::{Design, Encoder};
use errors::Errors;
use forecast::Forecast;
use forest::Forest;
use kernel::KernelMachine;
use lagged::Lagged;
use linear::Linear;
use neighbours::Neighbours;
use network::Network;

const MAGIC: [u8; 4] = *b"ffmd";
const VERSION: u8 = 1;
/// Letters, version, checksum.
const HEADER_BYTES: usize = 9;
/// Rows that are encoded at once.
const BLOCK_ROWS: usize = 1_024;
/// The same where each row is compared with every training row.
const SLOW_BLOCK_ROWS: usize = 32;
/// Fewer rows of a network at once would read its weights too often.
const NETWORK_BLOCK_ROWS: usize = 16;
/// Steps of arithmetic that rows at once may take: less than a tenth of a second.
const BLOCK_STEPS: usize = 1 << 26;
/// Of a row in a tree, about.
const TREE_STEPS: usize = 32;
/// Steps ahead as far as which methods are asked how their errors grow.
const MOST_GROWTH: u32 = 10_000;

/// A fitted model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    pub(crate) answer: Answer,
    pub(crate) body: Body,
}

/// What a model says about some rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Predictions {
    /// A number a row.
    Numbers(Vec<f64>),
    /// The probabilities of all labels, row after row.
    Classes {
        /// `labels.len()` numbers a row, which sum to one.
        probabilities: Vec<f64>,
        /// The labels of the data set that the model learnt from.
        labels: Arc<Vec<String>>,
    },
}

/// Why a model cannot predict on a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PredictError {
    /// The data lacks a column.
    #[error("the data has no column {name}, which the model needs")]
    MissingColumn {
        /// The column.
        name: String,
    },
    /// A column holds something else than in training.
    #[error("column {name} holds {found}, but the model learnt from {expected}")]
    WrongKind {
        /// The column.
        name: String,
        /// What it holds.
        found: &'static str,
        /// What it held.
        expected: &'static str,
    },
    /// A row number is out of range.
    #[error("row {row} is not in the data, which has {n_rows} rows")]
    NoSuchRow {
        /// The row.
        row: u32,
        /// How many there are.
        n_rows: usize,
    },
    /// The data has no times.
    #[error("the data has no times to forecast by")]
    NoTime,
    /// It was told to stop.
    #[error("the prediction was stopped")]
    Stopped(Stopped),
}

/// Why bytes are not a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Written by a newer version.
    #[error("the model has format {found}; this version reads up to {VERSION}: update fleetfit")]
    Newer {
        /// The format's version.
        found: u8,
    },
    /// Not what was written.
    #[error("the model's bytes are damaged")]
    Damaged,
}

/// What a model answers with, and what it answers when it can say nothing better.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// A number; the mean of the training rows.
    Number { fallback: f64 },
    /// A class.
    Classes {
        /// The labels of the whole data set.
        #[serde(with = "labels")]
        labels: Arc<Vec<String>>,
        /// The codes of those that the training rows have, in ascending order.
        present: Vec<u32>,
        /// Their shares.
        shares: Vec<f64>,
    },
}

/// The fitted algorithm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Body {
    /// Always the fallback.
    Constant,
    /// A linear model, for numbers or, through the softmax, for classes.
    Linear(Encoder, Linear),
    /// The nearest training rows.
    Neighbours(Encoder, Neighbours),
    /// Sums over support vectors.
    Kernel(Encoder, KernelMachine),
    /// Normal densities.
    Bayes(Encoder, Bayes),
    /// One tree or many.
    Forest(Forest),
    /// Trees that add up.
    Boosted(Boosted),
    /// Series that go on.
    Forecast(Forecast),
    /// Another model on the past of series.
    Lagged(Lagged),
    /// Layers of weighted sums.
    Network(Encoder, Network),
}

impl Model {
    /// The model that always gives the mean, or the shares of the classes.
    pub(crate) fn constant(answer: Answer) -> Self {
        Self { answer, body: Body::Constant }
    }

    /// Predicts for some rows of a frame.
    pub fn predict(&self, frame: &Frame, rows: &[u32]) -> Result<Predictions, PredictError> {
        self.predict_until(frame, rows, &Stop::default())
    }

    /// The same, given up when it is time: neighbours and support vectors can be slow.
    pub fn predict_until(
        &self,
        frame: &Frame,
        rows: &[u32],
        stop: &Stop,
    ) -> Result<Predictions, PredictError> {
        if let Some(&row) = rows.iter().find(|&&row| row as usize >= frame.n_rows) {
            return Err(PredictError::NoSuchRow { row, n_rows: frame.n_rows });
        }
        let raw = self.raw(frame, rows, stop)?;
        Ok(self.answer.finish(raw))
    }

    /// `width` numbers a row: one, or a probability for each class that training saw.
    fn raw(&self, frame: &Frame, rows: &[u32], stop: &Stop) -> Result<Vec<f64>, PredictError> {
        let fallback = self.answer.fallback();
        let width = fallback.len();
        let mut raw = vec![0.0; rows.len() * width];
        if let Body::Forecast(forecast) = &self.body {
            let timeline = frame.timeline.as_ref().ok_or(PredictError::NoTime)?;
            forecast.predict(timeline, rows, &mut raw, stop).map_err(PredictError::Stopped)?;
        }
        if let Body::Lagged(lagged) = &self.body {
            lagged.predict(frame, rows, &mut raw, stop)?;
        }
        let n_block = self.body.block_rows();
        let outs = raw.chunks_mut(n_block * width);
        let blocks = rows.chunks(n_block).zip(outs);
        let blocks =
            blocks.map(|block| stop.check().map(|()| block).map_err(PredictError::Stopped));
        match &self.body {
            Body::Constant | Body::Forecast(_) | Body::Lagged(_) => {}
            Body::Forest(forest) => {
                let bound = forest.bind(frame)?;
                for block in blocks {
                    let (rows, out) = block?;
                    forest.predict(&bound, rows, out, width);
                }
            }
            Body::Boosted(boosted) => {
                let bound = boosted.bind(frame)?;
                for block in blocks {
                    let (rows, out) = block?;
                    boosted.predict(&bound, rows, out, width);
                }
            }
            Body::Linear(encoder, linear) => {
                over(encoder, frame, blocks, |design, out| linear.predict(design, out, width))?;
            }
            Body::Neighbours(encoder, neighbours) => {
                let search = neighbours.search(rows.len());
                over(encoder, frame, blocks, |design, out| search.predict(design, out, width))?;
            }
            Body::Kernel(encoder, kernel) => {
                over(encoder, frame, blocks, |design, out| kernel.predict(design, out, width))?;
            }
            Body::Network(encoder, network) => {
                over(encoder, frame, blocks, |design, out| network.predict(design, out, width))?;
            }
            Body::Bayes(encoder, bayes) => {
                over(encoder, frame, blocks, |design, out| bayes.predict(design, out, width))?;
            }
        }
        let is_constant = self.body == Body::Constant;
        for row in raw.chunks_mut(width.max(1)) {
            if is_constant || !row.iter().all(|value| value.is_finite()) {
                row.copy_from_slice(&fallback);
            }
        }
        Ok(raw)
    }

    /// What the splits by each feature gained in training, the most first; empty for models that do
    /// not know. Features that nothing was gained by are left out.
    pub fn gains(&self) -> Vec<(&str, f64)> {
        let Body::Boosted(boosted) = &self.body else {
            return Vec::new();
        };
        let each = boosted.sources.iter().map(|own| (own.source.name.as_str(), own.gain));
        let mut gains: Vec<(&str, f64)> = each.collect();
        gains.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        gains
    }

    /// How far ahead of its series' end each row lies; none where that cannot be told.
    pub(crate) fn steps_ahead(&self, frame: &Frame, rows: &[u32]) -> Vec<Option<u32>> {
        match (&self.body, &frame.timeline) {
            (Body::Forecast(forecast), Some(timeline)) => forecast.steps_ahead(timeline, rows),
            (Body::Lagged(lagged), Some(timeline)) => lagged.steps_ahead(timeline, rows),
            _ => vec![None; rows.len()],
        }
    }

    /// Whether it forecasts series, so that errors of back-tests tell how far it may be off.
    pub(crate) fn forecasts_series(&self) -> bool {
        matches!(self.body, Body::Forecast(_) | Body::Lagged(_))
    }

    /// The same model, which knows how far it was off.
    pub(crate) fn with_errors(mut self, errors: Errors) -> Self {
        match &mut self.body {
            Body::Forecast(forecast) => forecast.errors = errors,
            Body::Lagged(lagged) => lagged.errors = errors,
            _ => {}
        }
        self
    }

    /// How far each row's prediction may be off at a level between 0 and 1: in so large a share of
    /// the back-tests it was no more. None for rows that are not ahead, and for models without
    /// back-tests.
    pub fn widths(&self, frame: &Frame, rows: &[u32], level: f64) -> Vec<Option<f64>> {
        let ahead = self.steps_ahead(frame, rows);
        let widths = match &self.body {
            Body::Forecast(forecast) => {
                let furthest = ahead.iter().flatten().copied().max().unwrap_or(0);
                let n_ahead = forecast.errors.furthest().max(furthest).min(MOST_GROWTH);
                forecast.errors.widths(level, &forecast.growth(n_ahead as usize))
            }
            Body::Lagged(lagged) => lagged.errors.widths(level, &[]),
            _ => return vec![None; rows.len()],
        };
        ahead.into_iter().map(|ahead| widths.at(ahead?)).collect()
    }

    /// Rows that it cannot tell anything of, because they have no time.
    pub fn without_time(&self, frame: &Frame, rows: &[u32]) -> Vec<bool> {
        let needs_time = match &self.body {
            Body::Forecast(_) => true,
            Body::Lagged(lagged) => lagged.needs_time(),
            _ => false,
        };
        let time = frame.timeline.as_ref().map(|timeline| timeline.time.as_slice());
        let has_none = |row: u32| {
            time.and_then(|time| time.get(row as usize)).is_none_or(|time| !time.is_finite())
        };
        rows.iter().map(|&row| needs_time && has_none(row)).collect()
    }

    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        // A vector of plain numbers and words always serialises into memory.
        let payload = postcard::to_stdvec(self).unwrap_or_default();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.push(VERSION);
        bytes.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
        bytes.extend_from_slice(&payload);
        bytes
    }

    /// Reads the stored form; bytes that are damaged or newer are refused.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let (header, payload) = bytes.split_at_checked(HEADER_BYTES).ok_or(ModelError::Damaged)?;
        if header[..4] != MAGIC {
            return Err(ModelError::Damaged);
        }
        if header[4] > VERSION {
            return Err(ModelError::Newer { found: header[4] });
        }
        if header[4] < VERSION || header[5..] != crc32fast::hash(payload).to_le_bytes() {
            return Err(ModelError::Damaged);
        }
        let model: Self = postcard::from_bytes(payload).map_err(|_| ModelError::Damaged)?;
        if model.is_sound() { Ok(model) } else { Err(ModelError::Damaged) }
    }

    /// Whether every index and size in it fits, so that no bytes can make `predict` panic.
    fn is_sound(&self) -> bool {
        let width = self.answer.fallback().len();
        let encoder_is_sound = |encoder: &Encoder| encoder.is_sound();
        self.answer.is_sound()
            && match &self.body {
                Body::Constant => true,
                Body::Linear(encoder, linear) => {
                    encoder_is_sound(encoder) && linear.is_sound(encoder.features.len(), width)
                }
                Body::Neighbours(encoder, neighbours) => {
                    encoder_is_sound(encoder) && neighbours.is_sound(encoder.features.len(), width)
                }
                Body::Kernel(encoder, kernel) => {
                    encoder_is_sound(encoder) && kernel.is_sound(encoder.features.len(), width)
                }
                Body::Bayes(encoder, bayes) => {
                    encoder_is_sound(encoder) && bayes.is_sound(encoder.features.len(), width)
                }
                Body::Network(encoder, network) => {
                    encoder_is_sound(encoder) && network.is_sound(encoder.features.len(), width)
                }
                Body::Forest(forest) => forest.is_sound(width),
                Body::Boosted(boosted) => boosted.is_sound(width),
                Body::Forecast(forecast) => width == 1 && forecast.is_sound(),
                Body::Lagged(lagged) => width == 1 && lagged.is_sound(),
            }
    }
}

impl Body {
    /// Rows between two questions whether to stop, by the work that they are.
    fn block_rows(&self) -> usize {
        let (n_steps, least, most) = match self {
            Self::Constant | Self::Forecast(_) | Self::Lagged(_) => (1, 1, BLOCK_ROWS),
            Self::Forest(forest) => (TREE_STEPS * forest.sizes.len(), 1, BLOCK_ROWS),
            Self::Boosted(boosted) => (TREE_STEPS * boosted.sizes.len(), 1, BLOCK_ROWS),
            Self::Linear(_, linear) => (linear.weights.len(), 1, BLOCK_ROWS),
            Self::Bayes(_, bayes) => (bayes.means.len(), 1, BLOCK_ROWS),
            Self::Network(_, network) => (network.n_weights(), NETWORK_BLOCK_ROWS, BLOCK_ROWS),
            Self::Neighbours(_, neighbours) => (neighbours.rows.len(), 1, SLOW_BLOCK_ROWS),
            Self::Kernel(_, kernel) => (kernel.vectors.len(), 1, SLOW_BLOCK_ROWS),
        };
        (BLOCK_STEPS / n_steps.max(1)).clamp(least, most)
    }
}

/// Encodes block after block and hands each to a model.
fn over<'a>(
    encoder: &Encoder,
    frame: &Frame,
    blocks: impl Iterator<Item = Result<(&'a [u32], &'a mut [f64]), PredictError>>,
    mut predict: impl FnMut(&Design, &mut [f64]),
) -> Result<(), PredictError> {
    let encoding = encoder.bind(frame)?;
    let mut design = Design::default();
    for block in blocks {
        let (rows, out) = block?;
        encoding.encode(rows, &mut design);
        predict(&design, out);
    }
    Ok(())
}

impl Answer {
    /// The constant model's answer: one number, or one a class that training saw.
    pub(crate) fn fallback(&self) -> Vec<f64> {
        match self {
            Self::Number { fallback } => vec![*fallback],
            Self::Classes { shares, .. } => shares.clone(),
        }
    }

    /// What a linear model says about rows that are encoded.
    pub(crate) fn predict_encoded(&self, linear: &Linear, design: &Design) -> Predictions {
        let fallback = self.fallback();
        let mut raw: Vec<f64> = vec![0.0; design.n_rows * fallback.len()];
        linear.predict(design, &mut raw, fallback.len());
        for row in raw.chunks_mut(fallback.len().max(1)) {
            if !row.iter().all(|value| value.is_finite()) {
                row.copy_from_slice(&fallback);
            }
        }
        self.finish(raw)
    }

    fn is_sound(&self) -> bool {
        match self {
            Self::Number { .. } => true,
            Self::Classes { labels, present, shares } => {
                !present.is_empty()
                    && present.len() == shares.len()
                    && present.iter().all(|&code| (code as usize) < labels.len())
            }
        }
    }

    /// Spreads the classes that training saw over all labels.
    pub(crate) fn finish(&self, raw: Vec<f64>) -> Predictions {
        match self {
            Self::Number { .. } => Predictions::Numbers(raw),
            Self::Classes { labels, present, .. } => {
                let n_rows = raw.len() / present.len();
                let mut probabilities = vec![0.0; n_rows * labels.len()];
                let rows = probabilities.chunks_mut(labels.len());
                for (row, raw) in rows.zip(raw.chunks(present.len())) {
                    for (&code, probability) in present.iter().zip(raw) {
                        row[code as usize] = *probability;
                    }
                }
                Predictions::Classes { probabilities, labels: Arc::clone(labels) }
            }
        }
    }
}

/// Shared labels as a plain list.
mod labels {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        labels: &Arc<Vec<String>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        labels.as_slice().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<Vec<String>>, D::Error> {
        Vec::deserialize(deserializer).map(Arc::new)
    }
}

/// Turns scores into probabilities, in place.
pub(crate) fn softmax(scores: &mut [f64]) {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut total = 0.0;
    for score in &mut *scores {
        *score = (*score - top).exp();
        total += *score;
    }
    for score in scores {
        *score /= total;
    }
}

#[cfg(test)]
mod tests {
    use super::neighbours::Voting;
    use super::network::{Curve, Layer, Output};
    use super::*;
    use crate::frame::{FeatureColumn, FeatureValues, Target};
    use crate::trainer::contract;

    fn frame() -> Frame {
        Frame {
            columns: vec![FeatureColumn {
                name: "price".into(),
                values: FeatureValues::Number(vec![1.0, 2.5, f64::NAN]),
            }],
            target: Target::Unknown,
            weights: None,
            timeline: None,
            n_rows: 3,
        }
    }

    /// Version 1, as it is on people's disks: 2 × price + 1, where a missing price is 1.5.
    const VERSION_1: &str = "\
        66666d64011fc89131000000000000001440010105707269636500010000000000000000f83f\
        0000000000000000000000000000f03f01000000000000004001000000000000f03f00";

    #[test]
    fn it_asks_for_so_much_work_whether_to_stop() {
        let network = |n: u32| {
            let layer =
                |n_below, n_units| Layer { n_below, n_units, weights: vec![], biases: vec![] };
            let layers = vec![layer(n, n), layer(n, 1)];
            let output = Output::TwoClasses;
            Body::Network(Encoder::default(), Network { layers, curve: Curve::Relu, output })
        };
        // A few units are asked as seldom as ever, the largest network every 16 rows.
        assert_eq!([64, 1_000, 4_400].map(|n| network(n).block_rows()), [1_024, 67, 16]);
        let neighbours = |n: usize| {
            let rows = vec![0.0; n];
            let (voting, targets) = (Voting::Uniform, Vec::new());
            let own = Neighbours { k: 1, p: 2.0, voting, rows, targets, is_class: false };
            Body::Neighbours(Encoder::default(), own)
        };
        assert_eq!([100, 1 << 22].map(|n| neighbours(n).block_rows()), [32, 16]);
        for (model, _) in contract::fitted() {
            assert!((1..=BLOCK_ROWS).contains(&model.body.block_rows()));
        }
    }

    #[test]
    fn files_of_version_1_still_open() {
        let bytes: Vec<u8> = (0..VERSION_1.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&VERSION_1[at..at + 2], 16).unwrap())
            .collect();
        let model = Model::from_bytes(&bytes).unwrap();
        let found = model.predict(&frame(), &[0, 1, 2]).unwrap();
        assert_eq!(found, Predictions::Numbers(vec![3.0, 6.0, 4.0]));
        assert_eq!(model.to_bytes(), bytes);
    }

    #[test]
    fn a_row_that_is_not_there_is_an_error() {
        let model = Model::constant(Answer::Number { fallback: 1.0 });
        let missing = PredictError::NoSuchRow { row: 3, n_rows: 3 };
        assert_eq!(model.predict(&frame(), &[0, 3]), Err(missing));
        let none = model.predict(&frame(), &[]);
        assert_eq!(none, Ok(Predictions::Numbers(Vec::new())));
    }

    #[test]
    fn a_prediction_stops_when_told() {
        let stop = Stop::default();
        stop.cancel();
        for (model, frame) in contract::fitted() {
            if model.body != Body::Constant {
                let stopped = Err(PredictError::Stopped(Stopped::Cancelled));
                assert_eq!(model.predict_until(&frame, &[0], &stop), stopped);
            }
        }
    }

    /// Whoever can write a pack can also write its checksum.
    #[test]
    fn forged_bytes_cannot_make_it_panic() {
        let mut n_read = 0;
        for (model, frame) in contract::fitted() {
            let bytes = model.to_bytes();
            let rows: Vec<u32> = (0..frame.n_rows as u32).collect();
            let stride = (bytes.len() / 400).max(1);
            for at in (HEADER_BYTES..bytes.len()).step_by(stride) {
                for value in [0, 1, 127, 255, bytes[at] ^ 4] {
                    let mut forged = bytes.clone();
                    forged[at] = value;
                    let sum = crc32fast::hash(&forged[HEADER_BYTES..]).to_le_bytes();
                    forged[5..HEADER_BYTES].copy_from_slice(&sum);
                    if let Ok(model) = Model::from_bytes(&forged) {
                        n_read += usize::from(model.predict(&frame, &rows).is_ok());
                    }
                }
            }
        }
        assert!(n_read > 1_000, "{n_read}");
    }
}
