//! What smartcore fits: logistic regression and naive Bayes. Only this file and its folder name it.
//!
//! It is given standardised features without missing or infinite values and at least two classes,
//! any panic inside it becomes a reason, and its coefficients go into our own structs at once: its
//! stored forms change between versions.

mod watched;

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use smartcore::error::Failed;
use smartcore::linalg::basic::arrays::Array;
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::linear::logistic_regression as logistic;
use smartcore::naive_bayes::gaussian;

use super::encode::{Scaling, encode};
use super::lesson::Lesson;
use super::parameters::Parameters;
use super::{Fit, FitError, Trainer};
use crate::model::bayes::Bayes;
use crate::model::encoder::Design;
use crate::model::linear::{Linear, Link};
use crate::model::{Body, Model};
use crate::stop::{Stop, Stopped};

use watched::Watched;

/// Linear classification.
pub(super) struct LogisticRegression;
/// Normal densities and Bayes' rule.
pub(super) struct NaiveBayes;

impl Trainer for LogisticRegression {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let parameters = Parameters(job.parameters);
        let c = parameters.positive("C", 1.0)?;
        let scaling = Scaling::from(parameters.flag("standardize", true)?);
        let lesson = Lesson::read(job)?;
        lesson.refuse_weights("logistic_regression")?;
        let answer = lesson.answer();
        let is_constant = lesson.is_constant();
        let (classes, _) = lesson.classes("logistic_regression")?;
        if is_constant {
            return Ok(Model::constant(answer));
        }
        let (encoder, design) = encode(job, scaling)?;
        if design.n_columns == 0 {
            return Ok(Model::constant(answer));
        }
        job.stop.check()?;
        let x = matrix(&design, job.stop)?;
        let fitted = guard(|| {
            let parameters = logistic::LogisticRegressionParameters::default().with_alpha(1.0 / c);
            logistic::LogisticRegression::fit(&x, &classes.codes, parameters)
        })?;
        job.stop.check()?;
        let width = classes.present.len();
        let linear = softmax_of(fitted.coefficients(), fitted.intercept(), width)?;
        Ok(Model {
            answer,
            body: Body::Linear(encoder, linear),
        })
    }
}

/// smartcore has one row of coefficients for two classes (the second one's odds), else one a class.
fn softmax_of(
    coefficients: &Watched,
    intercepts: &Watched,
    width: usize,
) -> Result<Linear, FitError> {
    let (n_rows, n_columns) = coefficients.shape();
    let mut weights = vec![0.0; (width - n_rows) * n_columns];
    let mut shifts = vec![0.0; width - n_rows];
    for row in 0..n_rows {
        weights.extend((0..n_columns).map(|column| *coefficients.get((row, column))));
        // One intercept a row of weights, whichever way smartcore lays them out.
        let (n_intercept_rows, _) = intercepts.shape();
        let at = if n_intercept_rows == n_rows {
            (row, 0)
        } else {
            (0, row)
        };
        shifts.push(*intercepts.get(at));
    }
    if weights.iter().chain(&shifts).all(|value| value.is_finite()) {
        Ok(Linear {
            weights,
            intercepts: shifts,
            link: Link::Softmax,
        })
    } else {
        Err(FitError::because(
            "the coefficients grew beyond all bounds; lower C",
        ))
    }
}

impl Trainer for NaiveBayes {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let smoothing = Parameters(job.parameters).penalty("var_smoothing", 1e-9)?;
        let lesson = Lesson::read(job)?;
        lesson.refuse_weights("naive_bayes")?;
        let answer = lesson.answer();
        let is_constant = lesson.is_constant();
        let (classes, _) = lesson.classes("naive_bayes")?;
        if is_constant {
            return Ok(Model::constant(answer));
        }
        // Standardised, because smartcore's variance is the difference of two large numbers; the
        // densities only change by a factor that all classes share.
        let (encoder, design) = encode(job, Scaling::Standard)?;
        if design.n_columns == 0 {
            return Ok(Model::constant(answer));
        }
        job.stop.check()?;
        let x = matrix(&design, job.stop)?;
        let fitted = guard(|| {
            gaussian::GaussianNB::fit(
                &x,
                &classes.codes,
                gaussian::GaussianNBParameters::default(),
            )
        })?;
        // scikit-learn adds a share of the largest variance of all features, in their own units.
        let scales = encoder.features.iter().map(|feature| feature.scale);
        let largest = scales.clone().fold(0.0, f64::max);
        let extra: Vec<f64> = scales
            .map(|scale| smoothing * (largest / scale).powi(2))
            .collect();
        let variances = fitted.var().iter().flat_map(|variances| {
            let padded = variances.iter().zip(&extra);
            // Rounding can leave a variance just below zero.
            padded.map(|(variance, extra)| (variance.max(0.0) + extra).max(1e-12))
        });
        let bayes = Bayes {
            variances: variances.collect(),
            means: fitted.theta().concat(),
            log_priors: fitted
                .class_priors()
                .iter()
                .map(|prior| prior.ln())
                .collect(),
        };
        Ok(Model {
            answer,
            body: Body::Bayes(encoder, bayes),
        })
    }
}

fn matrix(design: &Design, stop: &Stop) -> Result<Watched, FitError> {
    if design.values.iter().any(|value| !value.is_finite()) {
        return Err(FitError::because("a feature is too large to compute with"));
    }
    // Row after row, as smartcore reads them.
    DenseMatrix::new(design.n_rows, design.n_columns, design.row_major(), false)
        .map(|inner| Watched::new(inner, stop.clone()))
        .map_err(|failed| FitError::because(failed.to_string()))
}

thread_local! {
    /// Whether a panic on this thread is caught and told as a reason.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs smartcore; an error or a panic of its becomes a reason, and nothing is printed.
fn guard<T>(fit: impl FnOnce() -> Result<T, Failed>) -> Result<T, FitError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_GUARDED.get() {
                print(info);
            }
        }));
    });
    IS_GUARDED.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(fit));
    IS_GUARDED.set(false);
    match outcome {
        Ok(Ok(fitted)) => Ok(fitted),
        Ok(Err(failed)) => Err(FitError::because(failed.to_string())),
        Err(panic) => {
            if let Some(stopped) = panic.downcast_ref::<Stopped>() {
                return Err(FitError::Stopped(*stopped));
            }
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(FitError::because(format!(
                "the fit broke down: {}",
                text.unwrap_or("no reason given")
            )))
        }
    }
}
