//! Small networks of one to a few hidden layers, trained by Adam (Kingma and Ba, 2015) on small
//! batches of rows.
//!
//! Features and a numeric target are brought to zero mean and unit deviation. Losses are half the
//! squared error and the log loss, with scikit-learn's penalty: `alpha`/2 · ‖weights‖² over the rows
//! of a batch. With `early_stopping_rounds` a tenth of the rows is held back; its squared errors (for
//! classes those of the probabilities) say when it is enough, and the best epoch's weights are kept.
//! Deviations from scikit-learn: shuffles are keyed permutations, two classes share an output, and
//! sums are in single precision.

mod shuffle;
#[cfg(test)]
mod tests;
pub(crate) mod train;

use std::ops::ControlFlow;

use super::encode::{Scaling, encode};
use super::lesson::{Learnt, Lesson};
use super::parameters::Parameters;
use super::{Fit, FitError, Trainer};
use crate::model::network::{Curve, Network, Output};
use crate::model::{Body, Model};
use train::{Course, Settings, Targets};

/// More weights than this would make a model of 80 MB.
const MAX_WEIGHTS: usize = 20_000_000;

/// Networks.
pub(super) struct Mlp;

impl Trainer for Mlp {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let settings = settings(&Parameters(job.parameters))?;
        let lesson = Lesson::read(job)?;
        let answer = lesson.answer();
        if lesson.is_constant() {
            return Ok(Model::constant(answer));
        }
        let (encoder, design) = encode(job, Scaling::Standard)?;
        if design.n_columns == 0 {
            return Ok(Model::constant(answer));
        }
        let (targets, output) = targets(&lesson);
        let n_outputs = targets.n_outputs();
        let mut n_weights = 0_usize;
        let mut n_below = design.n_columns;
        for n_units in settings.hidden.iter().copied().chain([n_outputs]) {
            n_weights = n_weights.saturating_add(n_below.saturating_mul(n_units));
            n_below = n_units;
        }
        if n_weights > MAX_WEIGHTS {
            return Err(FitError::because(format!(
                "the network has {n_weights} weights; it may have up to {MAX_WEIGHTS}: lower \
                 hidden_units or n_layers"
            )));
        }
        let weights = lesson.weights.as_deref();
        let course = Course::new(&design, &targets, weights, &settings, job.seed);
        let layers = course.run(job.stop, &mut |_| ControlFlow::Continue(()))?;
        let is_sound = layers
            .iter()
            .all(|layer| layer.weights.iter().chain(&layer.biases).all(|x| x.is_finite()));
        if !is_sound {
            let reason = "the weights grew beyond all bounds; lower learning_rate";
            return Err(FitError::because(reason));
        }
        let network = Network { layers, curve: settings.curve, output };
        Ok(Model { answer, body: Body::Network(encoder, network) })
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
            let shift = super::lesson::mean(y, lesson.weights.as_deref());
            let squares = y.iter().map(|y| (y - shift).powi(2));
            let deviation = (squares.sum::<f64>() / y.len() as f64).sqrt();
            let scale = if deviation > 0.0 { deviation } else { 1.0 };
            let own = y.iter().map(|y| ((y - shift) / scale) as f32).collect();
            (Targets::Numbers(own), Output::Number { shift, scale })
        }
        Learnt::Classes(classes) => {
            let n_classes = classes.present.len();
            let output = if n_classes == 2 { Output::TwoClasses } else { Output::Classes };
            (Targets::Classes { codes: classes.codes.clone(), n_classes }, output)
        }
    }
}
