//! The rows of one fit as lines learn them: encoded, centred, weighted.

use crate::model::Answer;
use crate::model::encoder::{Design, Encoder};
use crate::trainer::encode::{Scaling, encode};
use crate::trainer::lesson::{Lesson, mean};
use crate::trainer::parameters::Parameters;
use crate::trainer::{Fit, FitError};

/// What a line makes of the features and the target before it is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) scaling: Scaling,
    pub(crate) has_intercept: bool,
}

/// What the rows of a fit say.
pub(super) enum Lessoned {
    /// One thing only.
    Constant(Answer),
    /// Something to learn from.
    Taught(Taught),
}

/// Features and target of the training rows.
pub(super) struct Taught {
    pub(super) encoder: Encoder,
    /// Centred where there is an intercept, each row times the root of its weight; so is `y`.
    pub(super) design: Design,
    pub(super) y: Vec<f64>,
    /// What was taken off each column, and off the target.
    pub(super) means: Vec<f64>,
    pub(super) y_mean: f64,
    /// The mean of the target.
    pub(super) fallback: f64,
    /// The weight of all rows.
    pub(super) total: f64,
}

impl Form {
    pub(super) fn read(parameters: &Parameters<'_>) -> Result<Self, FitError> {
        let scaling = Scaling::from(parameters.flag("standardize", true)?);
        Ok(Self { scaling, has_intercept: parameters.flag("fit_intercept", true)? })
    }
}

impl Taught {
    pub(super) fn learn(job: &Fit<'_>, form: Form, learner: &str) -> Result<Lessoned, FitError> {
        let lesson = Lesson::read(job)?;
        let answer = lesson.answer();
        let is_constant = lesson.is_constant();
        let (mut y, weights) = lesson.numbers(learner)?;
        if is_constant && form.has_intercept {
            return Ok(Lessoned::Constant(answer));
        }
        let (encoder, mut design) = encode(job, form.scaling)?;
        let weights = weights.as_deref();
        let fallback = mean(&y, weights);
        let (mut y_mean, mut means) = (0.0, vec![0.0; design.n_columns]);
        if form.has_intercept {
            y_mean = fallback;
            y.iter_mut().for_each(|value| *value -= y_mean);
            means = centre(&mut design, weights);
        }
        let mut total = y.len() as f64;
        if let Some(weights) = weights {
            weigh(&mut design, &mut y, weights);
            total = weights.iter().sum();
        }
        Ok(Lessoned::Taught(Self { encoder, design, y, means, y_mean, fallback, total }))
    }
}

/// Takes the mean off every column.
fn centre(design: &mut Design, weights: Option<&[f64]>) -> Vec<f64> {
    (0..design.n_columns)
        .map(|index| {
            let column = design.column_mut(index);
            let mean = mean(column, weights);
            column.iter_mut().for_each(|value| *value -= mean);
            mean
        })
        .collect()
}

/// Multiplies every row by the root of its weight.
fn weigh(design: &mut Design, y: &mut [f64], weights: &[f64]) {
    let roots: Vec<f64> = weights.iter().map(|weight| weight.sqrt()).collect();
    for index in 0..design.n_columns {
        let column = design.column_mut(index).iter_mut();
        column.zip(&roots).for_each(|(value, root)| *value *= root);
    }
    y.iter_mut().zip(&roots).for_each(|(value, root)| *value *= root);
}
