//! Gaussian naive Bayes: weighted means and variances of each class, smoothed as scikit-learn does.
//!
//! Not smartcore's: it joins a class's rows by iterators nested as deep as there are rows, which
//! overflows the stack at some ten thousand, and it knows no weights.

use crate::model::bayes::Bayes;
use crate::model::encoder::{MAX_VALUE, NO_SCALE};
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
        let (answer, is_constant) = (lesson.answer(), lesson.is_constant());
        let (classes, weights) = lesson.classes("naive_bayes")?;
        if is_constant {
            return Ok(Model::constant(answer));
        }
        // Standardised: the densities only change by a factor that all classes share.
        let (encoder, design) = encode(job, Scaling::Standard)?;
        if design.n_columns == 0 {
            return Ok(Model::constant(answer));
        }
        // scikit-learn adds a share of the largest variance of all features, in their own units.
        let scales = encoder.features.iter().map(|feature| feature.scale);
        // Of a feature that is as good as constant it is none.
        let largest = scales.clone().filter(|&scale| scale < NO_SCALE).fold(0.0, f64::max);
        let extra = |scale: f64| smoothing * (largest / scale).min(MAX_VALUE).powi(2);
        let extra: Vec<f64> = scales.map(extra).collect();

        let weight = |row: usize| weights.as_ref().map_or(1.0, |weights| weights[row]);
        let n_classes = classes.present.len();
        let mut totals = vec![0.0; n_classes];
        for (row, &class) in classes.codes.iter().enumerate() {
            totals[class as usize] += weight(row);
        }
        let (mut means, mut variances) =
            (vec![0.0; n_classes * design.n_columns], vec![0.0; n_classes * design.n_columns]);
        for (feature, extra) in extra.iter().enumerate() {
            job.stop.check()?;
            let at = |class: u32| class as usize * design.n_columns + feature;
            let values = || design.column(feature).iter().zip(&classes.codes).enumerate();
            for (row, (value, &class)) in values() {
                means[at(class)] += weight(row) * value / totals[class as usize];
            }
            for (row, (value, &class)) in values() {
                let distance = value - means[at(class)];
                variances[at(class)] += weight(row) * distance * distance / totals[class as usize];
            }
            for class in 0..n_classes as u32 {
                variances[at(class)] = (variances[at(class)] + extra).max(1e-12);
            }
        }
        let total: f64 = totals.iter().sum();
        let log_priors = totals.iter().map(|weight| (weight / total).ln()).collect();
        let bayes = Bayes { means, variances, log_priors };
        Ok(Model { answer, body: Body::Bayes(encoder, bayes) })
    }
}
