//! Logistic regression: our loss, minimised by Newton's method, or where there are too many weights
//! for it by an L-BFGS.
//!
//! smartcore's own `LogisticRegression` cannot be stopped, takes no row weights and no bound on its
//! iterations, and reads its matrix a number at a time. The loss is scikit-learn's: ‖w‖²/2 + C × the
//! sum of log losses, intercepts free, one row of weights for two classes and one a class for more.

mod ahead;
mod loss;
mod newton;

use fleetfit_search_spaces::Configuration;

pub(super) use self::ahead::ask;
pub(crate) use self::loss::Loss;
pub(crate) use self::newton::{minimise, rows};
use super::encode::{Scaling, encode};
use super::lesson::{Classes, Lesson};
use super::parameters::Parameters;
use super::trials::{Hear, Heard, Trials};
use super::{Fit, FitError, Trainer};
use crate::model::encoder::{Design, Encoder};
use crate::model::linear::{Linear, Link};
use crate::model::{Answer, Body, Model, PredictError};

/// More weights than this, all classes together, are left to the L-BFGS.
pub(crate) const MAX_NEWTON: usize = 128;

/// Linear classification.
pub(super) struct LogisticRegression;

/// What a configuration asks for.
#[derive(Clone, Copy, Debug)]
struct Settings {
    c: f64,
    max_iter: usize,
    scaling: Scaling,
}

/// What the rows of a fit say.
enum Lessoned {
    /// One thing only.
    Constant(Answer),
    /// Something to learn from.
    Taught(Taught),
}

/// Features and classes of the training rows.
struct Taught {
    answer: Answer,
    encoder: Encoder,
    design: Design,
    classes: Classes,
    weights: Option<Vec<f64>>,
}

impl Trainer for LogisticRegression {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let settings = Settings::read(job.parameters)?;
        match Taught::learn(job, settings.scaling)? {
            Lessoned::Constant(answer) => Ok(Model::constant(answer)),
            Lessoned::Taught(taught) => {
                let linear = taught.line(&settings, job)?;
                Ok(Model { answer: taught.answer, body: Body::Linear(taught.encoder, linear) })
            }
        }
    }

    /// Encodes each fold once for all configurations.
    fn try_all(&self, trials: &Trials<'_>, hear: &mut Hear<'_>) {
        let read = |index: usize| (index, Settings::read(trials.candidates[index].parameters));
        let mut wanted: Vec<_> = (0..trials.candidates.len()).map(read).collect();
        for fold in trials.ahead() {
            for scaling in [Scaling::Standard, Scaling::Raw] {
                let mut lessoned = None;
                wanted.retain(|(candidate, settings)| {
                    let place = (*candidate, fold);
                    match settings {
                        Ok(settings) if settings.scaling != scaling => true,
                        Ok(settings) => {
                            let fold =
                                lessoned.get_or_insert_with(|| Heat::of(trials, place, scaling));
                            match fold {
                                Ok(heat) => heat.run(trials, place, settings, hear),
                                Err(error) => refuse(place, error, hear),
                            }
                        }
                        // Once, with the first of the two.
                        Err(_) if scaling == Scaling::Raw => true,
                        Err(error) => refuse(place, error, hear),
                    }
                });
            }
        }
    }
}

fn refuse((candidate, fold): (usize, usize), error: &FitError, hear: &mut Hear<'_>) -> bool {
    hear(Heard { candidate, fold, answer: Err(error.clone()) })
}

/// A fold that several configurations are tried on.
enum Heat {
    Constant(Model),
    /// What is learnt from, and the rows to predict for.
    Open(Taught, Design),
}

impl Heat {
    fn of(trials: &Trials<'_>, place: (usize, usize), scaling: Scaling) -> Result<Self, FitError> {
        let stop = trials.begin();
        let taught = match Taught::learn(&trials.fit(place, &stop), scaling)? {
            Lessoned::Constant(answer) => return Ok(Self::Constant(Model::constant(answer))),
            Lessoned::Taught(taught) => taught,
        };
        let (frame, rows) = (trials.frame, &trials.folds[place.1].validate);
        if let Some(&row) = rows.iter().find(|&&row| row as usize >= frame.n_rows) {
            let error = PredictError::NoSuchRow { row, n_rows: frame.n_rows };
            return Err(FitError::because(error.to_string()));
        }
        let bound = taught.encoder.bind(frame);
        let mut design = Design::default();
        bound.map_err(|error| FitError::because(error.to_string()))?.encode(rows, &mut design);
        Ok(Self::Open(taught, design))
    }

    fn run(
        &self,
        trials: &Trials<'_>,
        (candidate, fold): (usize, usize),
        settings: &Settings,
        hear: &mut Hear<'_>,
    ) -> bool {
        let stop = trials.begin();
        let predictions = match self {
            Self::Constant(model) => model
                .predict(trials.frame, &trials.folds[fold].validate)
                .map_err(|error| FitError::because(error.to_string())),
            Self::Open(taught, design) => taught
                .line(settings, &trials.fit((candidate, fold), &stop))
                .map(|linear| taught.answer.predict_encoded(&linear, design)),
        };
        let answer = match &predictions {
            Ok(predictions) => Ok(predictions.lend()),
            Err(error) => Err(error.clone()),
        };
        hear(Heard { candidate, fold, answer })
    }
}

impl Settings {
    fn read(configuration: &Configuration) -> Result<Self, FitError> {
        let parameters = Parameters(configuration);
        Ok(Self {
            c: parameters.positive("C", 1.0)?,
            max_iter: parameters.count("max_iter", 1, 100)?,
            scaling: Scaling::from(parameters.flag("standardize", true)?),
        })
    }
}

impl Taught {
    fn learn(job: &Fit<'_>, scaling: Scaling) -> Result<Lessoned, FitError> {
        let lesson = Lesson::read(job)?;
        let answer = lesson.answer();
        let is_constant = lesson.is_constant();
        let (classes, weights) = lesson.classes("logistic_regression")?;
        if is_constant {
            return Ok(Lessoned::Constant(answer));
        }
        let (encoder, design) = encode(job, scaling)?;
        if design.n_columns == 0 {
            return Ok(Lessoned::Constant(answer));
        }
        Ok(Lessoned::Taught(Self { answer, encoder, design, classes, weights }))
    }

    fn loss(&self, settings: &Settings) -> Loss<'_> {
        Loss::new(&self.design, &self.classes, self.weights.as_deref(), settings.c)
    }

    fn line(&self, settings: &Settings, job: &Fit<'_>) -> Result<Linear, FitError> {
        let loss = self.loss(settings);
        let n_outputs = loss.n_outputs;
        let found = if n_outputs * (self.design.n_columns + 1) <= MAX_NEWTON {
            minimise(&loss, settings.max_iter, job.stop)?
        } else {
            loss.minimise(settings.max_iter, job.stop)?
        };
        linear(&found, self.design.n_columns, n_outputs)
    }
}

/// The model; the first of two classes has no weights of its own.
fn linear(point: &[f64], n_columns: usize, n_outputs: usize) -> Result<Linear, FitError> {
    if point.iter().any(|value| !value.is_finite()) {
        let reason = "the coefficients grew beyond all bounds; lower C";
        return Err(FitError::because(reason));
    }
    let n_first = usize::from(n_outputs == 1);
    let mut weights = vec![0.0; n_first * n_columns];
    let mut intercepts = vec![0.0; n_first];
    for part in point.chunks(n_columns + 1) {
        weights.extend(&part[..n_columns]);
        intercepts.push(part[n_columns]);
    }
    Ok(Linear { weights, intercepts, link: Link::Softmax })
}

#[cfg(test)]
mod tests;
