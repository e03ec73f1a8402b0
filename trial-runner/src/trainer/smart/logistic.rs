//! Logistic regression: our loss, minimised by smartcore's L-BFGS.
//!
//! smartcore's own `LogisticRegression` uses the same optimiser, but cannot be stopped, takes no
//! row weights and no bound on its iterations, and reads its matrix a number at a time. The loss is
//! scikit-learn's: ‖w‖²/2 + C × the sum of log losses, intercepts free, one row of weights for two
//! classes and one a class for more.

use std::cell::RefCell;

use smartcore::optimization::FunctionOrder;
use smartcore::optimization::first_order::FirstOrderOptimizer;
use smartcore::optimization::first_order::lbfgs::LBFGS;
use smartcore::optimization::line_search::Backtracking;

use super::guard;
use crate::model::encoder::Design;
use crate::model::linear::{Linear, Link};
use crate::model::products::dot;
use crate::model::{Body, Model, softmax};
use crate::stop::Stop;
use crate::trainer::encode::{Scaling, encode};
use crate::trainer::lesson::{Classes, Lesson};
use crate::trainer::parameters::Parameters;
use crate::trainer::{Fit, FitError, Trainer};

/// The largest slope of the mean loss at which the minimum counts as found.
const TOLERANCE: f64 = 1e-6;

/// Linear classification.
pub(in crate::trainer) struct LogisticRegression;

impl Trainer for LogisticRegression {
    fn fit(&self, job: &Fit<'_>) -> Result<Model, FitError> {
        let parameters = Parameters(job.parameters);
        let c = parameters.positive("C", 1.0)?;
        let max_iter = parameters.count("max_iter", 1, 100)?;
        let scaling = Scaling::from(parameters.flag("standardize", true)?);
        let lesson = Lesson::read(job)?;
        let answer = lesson.answer();
        let is_constant = lesson.is_constant();
        let (classes, weights) = lesson.classes("logistic_regression")?;
        if is_constant {
            return Ok(Model::constant(answer));
        }
        let (encoder, design) = encode(job, scaling)?;
        if design.n_columns == 0 {
            return Ok(Model::constant(answer));
        }
        let n_classes = classes.present.len();
        let n_outputs = if n_classes == 2 { 1 } else { n_classes };
        let loss = Loss {
            total: weights.as_ref().map_or(design.n_rows as f64, |weights| weights.iter().sum()),
            design: &design,
            classes: &classes,
            weights: weights.as_deref(),
            n_outputs,
            alpha: 1.0 / c,
            stop: job.stop,
            last: RefCell::default(),
        };
        let found = loss.minimise(max_iter)?;
        Ok(Model { answer, body: Body::Linear(encoder, loss.linear(&found)?) })
    }
}

/// The mean log loss and the penalty, at a point of weights and intercepts: an output's weights,
/// its intercept, and so on.
struct Loss<'a> {
    design: &'a Design,
    classes: &'a Classes,
    weights: Option<&'a [f64]>,
    /// The sum of the rows' weights.
    total: f64,
    n_outputs: usize,
    alpha: f64,
    stop: &'a Stop,
    /// The optimiser asks for the loss and the slope at one point several times.
    last: RefCell<Evaluation>,
}

#[derive(Default)]
struct Evaluation {
    point: Vec<f64>,
    loss: f64,
    slope: Vec<f64>,
    /// A score a row, output after output; then what is left to explain.
    scores: Vec<f64>,
}

impl Loss<'_> {
    fn minimise(&self, max_iter: usize) -> Result<Vec<f64>, FitError> {
        let start = vec![0.0; self.n_outputs * (self.design.n_columns + 1)];
        let optimiser = LBFGS { max_iter, g_atol: TOLERANCE, ..LBFGS::default() };
        let line_search: Backtracking<f64> =
            Backtracking { order: FunctionOrder::THIRD, ..Backtracking::default() };
        let loss = |point: &Vec<f64>| self.at(point, |evaluation| evaluation.loss);
        let slope = |out: &mut Vec<f64>, point: &Vec<f64>| {
            self.at(point, |evaluation| out.copy_from_slice(&evaluation.slope));
        };
        guard(|| Ok(optimiser.optimize(&loss, &slope, &start, &line_search).x))
    }

    fn at<T>(&self, point: &[f64], read: impl FnOnce(&Evaluation) -> T) -> T {
        let mut last = self.last.borrow_mut();
        if last.point != point {
            last.point.clear();
            last.point.extend_from_slice(point);
            self.evaluate(&mut last);
        }
        read(&last)
    }

    fn evaluate(&self, evaluation: &mut Evaluation) {
        let Evaluation { point, loss, slope, scores } = evaluation;
        let (n_rows, n_columns) = (self.design.n_rows, self.design.n_columns);
        scores.resize(n_rows * self.n_outputs, 0.0);
        slope.resize(point.len(), 0.0);
        let parts = || point.chunks(n_columns + 1);
        for (part, scores) in parts().zip(scores.chunks_mut(n_rows)) {
            self.give_up_in_time();
            scores.fill(part[n_columns]);
            for (column, weight) in part[..n_columns].iter().enumerate() {
                let values = self.design.column(column).iter();
                let pairs = scores.iter_mut().zip(values);
                pairs.for_each(|(score, value)| *score += weight * value);
            }
        }
        *loss = self.explain(scores) / self.total;
        let alpha = self.alpha / self.total;
        let slopes = slope.chunks_mut(n_columns + 1);
        for ((part, slopes), residuals) in parts().zip(slopes).zip(scores.chunks(n_rows)) {
            self.give_up_in_time();
            let weights = &part[..n_columns];
            *loss += 0.5 * alpha * dot(weights, weights);
            for (column, weight) in weights.iter().enumerate() {
                let pull = dot(self.design.column(column), residuals);
                slopes[column] = pull / self.total + alpha * weight;
            }
            slopes[n_columns] = residuals.iter().sum::<f64>() / self.total;
        }
    }

    /// Turns scores into residuals, probability less truth, and returns the sum of log losses.
    fn explain(&self, scores: &mut [f64]) -> f64 {
        let n_rows = self.design.n_rows;
        let mut loss = 0.0;
        let mut shares = vec![0.0; self.n_outputs];
        for row in 0..n_rows {
            let weight = self.weights.map_or(1.0, |weights| weights[row]);
            let class = self.classes.codes[row] as usize;
            if self.n_outputs == 1 {
                let (score, truth) = (scores[row], class as f64);
                let tail = (-score.abs()).exp();
                loss += weight * (tail.ln_1p() + score.max(0.0) - truth * score);
                let share = if score > 0.0 { 1.0 } else { tail } / (1.0 + tail);
                scores[row] = weight * (share - truth);
                continue;
            }
            for (output, share) in shares.iter_mut().enumerate() {
                *share = scores[output * n_rows + row];
            }
            softmax(&mut shares);
            loss -= weight * shares[class].max(f64::MIN_POSITIVE).ln();
            for (output, share) in shares.iter().enumerate() {
                let truth = f64::from(u8::from(output == class));
                scores[output * n_rows + row] = weight * (share - truth);
            }
        }
        loss
    }

    /// Nothing in the optimiser ends it early, so this unwinds to `guard`. It is no panic: no hook
    /// runs and nothing is printed.
    fn give_up_in_time(&self) {
        if let Err(stopped) = self.stop.check() {
            std::panic::resume_unwind(Box::new(stopped));
        }
    }

    /// The model; the first of two classes has no weights of its own.
    fn linear(&self, point: &[f64]) -> Result<Linear, FitError> {
        if point.iter().any(|value| !value.is_finite()) {
            let reason = "the coefficients grew beyond all bounds; lower C";
            return Err(FitError::because(reason));
        }
        let n_columns = self.design.n_columns;
        let n_first = usize::from(self.n_outputs == 1);
        let mut weights = vec![0.0; n_first * n_columns];
        let mut intercepts = vec![0.0; n_first];
        for part in point.chunks(n_columns + 1) {
            weights.extend(&part[..n_columns]);
            intercepts.push(part[n_columns]);
        }
        Ok(Linear { weights, intercepts, link: Link::Softmax })
    }
}
