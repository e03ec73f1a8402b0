//! Ridge, lasso and elastic net: the penalised linear models of numbers, with row weights.
//!
//! Ours rather than smartcore's, whose lasso and elastic net have wrong intercepts on columns that
//! are not centred and another scale of alpha, and whose ridge refuses fewer rows than columns.
//! Features are standardised unless `standardize: false`; the penalty then means the same for all.

use super::descent::{self, Penalty};
use super::encode::{Scaling, encode};
use super::lesson::{Lesson, mean};
use super::parameters::Parameters;
use super::ridge::{self, Centred};
use super::{Fit, FitError, Trainer};
use crate::model::encoder::Design;
use crate::model::linear::{Linear, Link};
use crate::model::{Body, Model};

/// Linear regression with a squared penalty.
pub(super) struct Ridge;
/// Linear regression with an absolute penalty.
pub(super) struct Lasso;
/// Linear regression with both.
pub(super) struct ElasticNet;

impl Trainer for Ridge {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let alpha = Parameters(job.parameters).penalty("alpha", 1.0)?;
        fit(job, ("ridge", WeightScale::AsGiven), |data| {
            ridge::solve(data, alpha, job.stop)?.ok_or_else(|| {
                FitError::because("the features are too large or too alike; raise alpha")
            })
        })
    }
}

impl Trainer for Lasso {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let penalty = penalty(job, 1.0)?;
        fit(job, ("lasso", WeightScale::MeanOne), |data| {
            Ok(descent::solve(data, &penalty, job.stop)?)
        })
    }
}

impl Trainer for ElasticNet {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let l1_ratio = Parameters(job.parameters).penalty("l1_ratio", 0.5)?;
        if l1_ratio > 1.0 {
            return Err(FitError::because(format!(
                "l1_ratio is {l1_ratio}, but it can't be above 1"
            )));
        }
        let penalty = penalty(job, l1_ratio)?;
        fit(job, ("elastic_net", WeightScale::MeanOne), |data| {
            Ok(descent::solve(data, &penalty, job.stop)?)
        })
    }
}

/// What row weights mean beside the penalty, as in scikit-learn: a sum of errors takes them as they
/// are, a mean of errors by their ratios.
#[derive(Clone, Copy)]
enum WeightScale {
    AsGiven,
    MeanOne,
}

fn penalty(job: &Fit<'_>, l1_ratio: f64) -> Result<Penalty, FitError> {
    let parameters = Parameters(job.parameters);
    Ok(Penalty {
        alpha: parameters.penalty("alpha", 1.0)?,
        l1_ratio,
        tolerance: parameters.penalty("tol", 1e-4)?,
        max_rounds: parameters.count("max_iter", 1, 1000)?,
    })
}

/// Centres what is to be learnt, hands it to a solver, and adds the intercept.
fn fit(
    job: &Fit<'_>,
    (learner, weight_scale): (&str, WeightScale),
    solve: impl FnOnce(&Centred<'_>) -> Result<Vec<f64>, FitError>,
) -> Result<Model, FitError> {
    let parameters = Parameters(job.parameters);
    let scaling = Scaling::from(parameters.flag("standardize", true)?);
    let has_intercept = parameters.flag("fit_intercept", true)?;
    let lesson = Lesson::read(job)?;
    let answer = lesson.answer();
    let is_constant = lesson.is_constant();
    let (mut y, weights) = lesson.numbers(learner)?;
    if is_constant && has_intercept {
        return Ok(Model::constant(answer));
    }
    let (encoder, mut design) = encode(job, scaling)?;
    let weights = weights.as_deref();
    let (mut y_mean, mut means) = (0.0, vec![0.0; design.n_columns]);
    if has_intercept {
        y_mean = mean(&y, weights);
        y.iter_mut().for_each(|value| *value -= y_mean);
        means = centre(&mut design, weights);
    }
    if let Some(weights) = weights {
        weigh(&mut design, &mut y, weights, weight_scale);
    }
    let coefficients = solve(&Centred { columns: &design.values, y: &y })?;
    let shift: f64 = means.iter().zip(&coefficients).map(|(mean, weight)| mean * weight).sum();
    let intercept = y_mean - shift;
    if !intercept.is_finite() || coefficients.iter().any(|weight| !weight.is_finite()) {
        return Err(FitError::because("the features are too large to fit a line through"));
    }
    let linear =
        Linear { weights: coefficients, intercepts: vec![intercept], link: Link::Identity };
    Ok(Model { answer, body: Body::Linear(encoder, linear) })
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
fn weigh(design: &mut Design, y: &mut [f64], weights: &[f64], weight_scale: WeightScale) {
    let scale = match weight_scale {
        WeightScale::AsGiven => 1.0,
        WeightScale::MeanOne => weights.len() as f64 / weights.iter().sum::<f64>(),
    };
    let roots: Vec<f64> = weights.iter().map(|weight| (weight * scale).sqrt()).collect();
    for index in 0..design.n_columns {
        let column = design.column_mut(index).iter_mut();
        column.zip(&roots).for_each(|(value, root)| *value *= root);
    }
    y.iter_mut().zip(&roots).for_each(|(value, root)| *value *= root);
}
