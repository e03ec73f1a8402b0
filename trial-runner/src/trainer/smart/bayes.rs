//! Gaussian naive Bayes: means and variances by smartcore, smoothed as scikit-learn does.

use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::naive_bayes::gaussian;

use super::guard;
use crate::model::bayes::Bayes;
use crate::model::encoder::Design;
use crate::model::{Body, Model};
use crate::trainer::encode::{Scaling, encode};
use crate::trainer::lesson::Lesson;
use crate::trainer::parameters::Parameters;
use crate::trainer::{Fit, FitError, Trainer};

/// Normal densities and Bayes' rule.
pub(in crate::trainer) struct NaiveBayes;

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
        let x = matrix(&design)?;
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

/// The design as smartcore's matrix.
fn matrix(design: &Design) -> Result<DenseMatrix<f64>, FitError> {
    let values = design.values.clone();
    DenseMatrix::new(design.n_rows, design.n_columns, values, true)
        .map_err(|failed| FitError::because(failed.to_string()))
}
