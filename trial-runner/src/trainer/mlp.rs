//! Small networks of one to a few hidden layers, trained by Adam (Kingma and Ba, 2015) on small
//! batches of rows.
//!
//! Rows of weight 0 are as if they were not there. Features and a numeric target are brought to zero mean and unit deviation. Losses are half the
//! squared error and the log loss, with scikit-learn's penalty: `alpha`/2 · ‖weights‖² over the rows
//! of a batch. With `early_stopping_rounds` a tenth of the rows is held back; its squared errors (for
//! classes those of the probabilities) say when it is enough, and the best epoch's weights are kept.
//! Deviations from scikit-learn: shuffles are keyed permutations, two classes share an output, and
//! sums are in single precision.

mod ahead;
mod shuffle;
#[cfg(test)]
mod tests;
pub(crate) mod train;

use std::ops::ControlFlow;

use super::encode::{Scaling, encode};
use super::lesson::{Learnt, Lesson};
use super::parameters::Parameters;
use super::{Fit, FitError, Trainer};
use crate::model::encoder::Encoder;
use crate::model::network::{Curve, Network, Output, single};
use crate::model::{Answer, Body, Model};
use train::{Course, Ground, Settings, Targets};

/// The bits of a number's power of two.
const EXPONENT: u64 = 0x7ff0_0000_0000_0000;
/// More weights than this would make a model of 80 MB.
const MAX_WEIGHTS: usize = 20_000_000;

pub(super) use ahead::ask;

/// Networks.
pub(super) struct Mlp;

/// What the rows of a fit say.
enum Lessoned {
    /// One thing only.
    Constant(Answer),
    /// Something to learn from.
    Taught(Taught),
}

/// Features and targets of the training rows.
struct Taught {
    answer: Answer,
    encoder: Encoder,
    ground: Ground,
    output: Output,
}

impl Trainer for Mlp {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let settings = settings(&Parameters(job.parameters))?;
        let taught = match Taught::learn(job)? {
            Lessoned::Constant(answer) => return Ok(Model::constant(answer)),
            Lessoned::Taught(taught) => taught,
        };
        let Taught { answer, encoder, ground, output } = taught;
        let units = ground.units(&settings);
        let products = units.windows(2).map(|pair| pair[0].saturating_mul(pair[1]));
        let n_weights = products.fold(0, usize::saturating_add);
        if n_weights > MAX_WEIGHTS {
            return Err(FitError::because(format!(
                "the network has {n_weights} weights; it may have up to {MAX_WEIGHTS}: lower \
                 hidden_units or n_layers"
            )));
        }
        let course = Course { ground: &ground, settings: &settings, seed: job.seed };
        let layers = course.run(job.stop, &mut |_| ControlFlow::Continue(()))?;
        let mut all = layers.iter().flat_map(|layer| layer.weights.iter().chain(&layer.biases));
        if !all.all(|weight| weight.is_finite()) {
            let reason = "the weights grew beyond all bounds; lower learning_rate";
            return Err(FitError::because(reason));
        }
        let network = Network { layers, curve: settings.curve, output };
        Ok(Model { answer, body: Body::Network(encoder, network) })
    }
}

impl Taught {
    fn learn(job: &Fit<'_>) -> Result<Lessoned, FitError> {
        let lesson = Lesson::read(job)?;
        let answer = lesson.answer();
        if lesson.is_constant() {
            return Ok(Lessoned::Constant(answer));
        }
        let (encoder, design) = encode(job, Scaling::Standard)?;
        if design.n_columns == 0 {
            return Ok(Lessoned::Constant(answer));
        }
        let (targets, output) = targets(&lesson);
        let ground = Ground::new(&design, targets, lesson.weights.as_deref());
        Ok(Lessoned::Taught(Self { answer, encoder, ground, output }))
    }
}

fn settings(parameters: &Parameters<'_>) -> Result<Settings, FitError> {
    let n_units = parameters.count("hidden_units", 1, 64)?;
    let n_layers = parameters.count("n_layers", 1, 2)?;
    if n_layers > 16 {
        return Err(FitError::because(format!("n_layers is {n_layers}, but it can't be above 16")));
    }
    let curve = match parameters.word("activation", &["relu", "tanh"])? {
        "tanh" => Curve::Tanh,
        _ => Curve::Relu,
    };
    Ok(Settings {
        hidden: vec![n_units; n_layers],
        curve,
        learning_rate: parameters.positive("learning_rate", 1e-3)?,
        alpha: parameters.penalty("alpha", 1e-4)?,
        batch_size: parameters.count("batch_size", 1, 256)?,
        n_epochs: parameters.count("max_iter", 1, 200)?,
        early_stopping: parameters.optional_count("early_stopping_rounds", 1)?,
    })
}

/// What the last layer is to say, and what that means.
fn targets(lesson: &Lesson) -> (Targets, Output) {
    match &lesson.learnt {
        Learnt::Numbers(y) => {
            let weights = lesson.weights.as_deref();
            let shift = super::lesson::mean(y, weights);
            // Squares of the numbers themselves may be too large or too small; a power of two costs
            // no digit.
            let most = y.iter().fold(0.0, |most: f64, y| most.max((y - shift).abs()));
            let size = f64::from_bits(most.to_bits() & EXPONENT).max(f64::MIN_POSITIVE);
            let weight = |row: usize| weights.map_or(1.0, |weights| weights[row]);
            let squares = y.iter().enumerate();
            let squares = squares.map(|(row, y)| weight(row) * ((y - shift) / size).powi(2));
            let total = weights.map_or(y.len() as f64, |weights| weights.iter().sum());
            let deviation = size * (squares.sum::<f64>() / total).sqrt();
            let scale = if deviation > 0.0 { deviation } else { size };
            let own = y.iter().map(|y| single((y - shift) / scale)).collect();
            (Targets::Numbers(own), Output::Number { shift, scale })
        }
        Learnt::Classes(classes) => {
            let n_classes = classes.present.len();
            let output = if n_classes == 2 { Output::TwoClasses } else { Output::Classes };
            (Targets::Classes { codes: classes.codes.clone(), n_classes }, output)
        }
    }
}
