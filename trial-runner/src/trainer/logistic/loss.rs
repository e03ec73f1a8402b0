//! The log loss and the penalty at a point of weights and intercepts: an output's weights, its
//! intercept, and so on.

use std::cell::RefCell;

use crate::model::encoder::Design;
use crate::model::products::dot;
use crate::model::softmax;
use crate::stop::{Stop, Stopped};
use crate::trainer::lesson::Classes;
use crate::trainer::{FitError, smart};

/// The largest slope of the mean loss at which the minimum may count as found.
pub(super) const TOLERANCE: f64 = 1e-6;
/// A tolerance of which less than this share is left would ask for digits that no slope has.
const LEAST_SHARE: f64 = 1e-5;

/// The mean log loss, and the penalty.
pub(crate) struct Loss<'a> {
    pub(crate) design: &'a Design,
    pub(crate) weights: Option<&'a [f64]>,
    /// One for two classes, else one a class.
    pub(crate) n_outputs: usize,
    /// The sum of the rows' weights.
    pub(crate) total: f64,
    /// The penalty, as a share of the total.
    pub(crate) alpha: f64,
    pub(crate) classes: &'a Classes,
}

/// The loss at a point.
#[derive(Clone, Default)]
pub(super) struct Evaluation {
    pub(super) point: Vec<f64>,
    pub(super) loss: f64,
    pub(super) slope: Vec<f64>,
    /// The probability of each output a row, output after output.
    pub(super) shares: Vec<f64>,
    /// What is left to explain of each: probability less truth, times the row's weight.
    residuals: Vec<f64>,
}

impl Evaluation {
    /// Still to be evaluated.
    pub(super) fn of(point: Vec<f64>) -> Self {
        Self { point, ..Self::default() }
    }
}

impl<'a> Loss<'a> {
    pub(crate) fn new(
        design: &'a Design,
        classes: &'a Classes,
        weights: Option<&'a [f64]>,
        c: f64,
    ) -> Self {
        let total = weights.map_or(design.n_rows as f64, |weights| weights.iter().sum());
        let n_classes = classes.present.len();
        let n_outputs = if n_classes == 2 { 1 } else { n_classes };
        Self { design, weights, n_outputs, total, alpha: 1.0 / (c * total), classes }
    }

    /// No weights, and the intercepts that say how frequent each class is.
    pub(crate) fn start(&self) -> Vec<f64> {
        let mut counts = vec![0.0; self.classes.present.len()];
        for (row, &code) in self.classes.codes.iter().enumerate() {
            counts[code as usize] += self.weights.map_or(1.0, |weights| weights[row]);
        }
        // A class without weight has no finite intercept: this is where it begins to fall.
        let logs: Vec<f64> =
            counts.iter().map(|count| (count / self.total).max(1e-3).ln()).collect();
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        let width = self.design.n_columns + 1;
        let mut start = vec![0.0; self.n_outputs * width];
        for (output, part) in start.chunks_exact_mut(width).enumerate() {
            part[width - 1] =
                if self.n_outputs == 1 { logs[1] - logs[0] } else { logs[output] - mean };
        }
        start
    }

    /// The least loss by an L-BFGS.
    pub(super) fn minimise(&self, max_iter: usize, stop: &Stop) -> Result<Vec<f64>, FitError> {
        // The optimiser asks for the loss and the slope at one point several times.
        let last = RefCell::new(Evaluation::default());
        let evaluate = |point: &Vec<f64>| {
            let mut last = last.borrow_mut();
            if last.point != *point {
                last.point.clone_from(point);
                if let Err(stopped) = self.evaluate(&mut last, stop) {
                    // Nothing in the optimiser ends it early. This is no panic: no hook runs and
                    // nothing is printed.
                    std::panic::resume_unwind(Box::new(stopped));
                }
            }
        };
        let loss = |point: &Vec<f64>| {
            evaluate(point);
            last.borrow().loss
        };
        let slope = |out: &mut Vec<f64>, point: &Vec<f64>| {
            evaluate(point);
            out.copy_from_slice(&last.borrow().slope);
        };
        let start = vec![0.0; self.n_outputs * (self.design.n_columns + 1)];
        // The loss curves by alpha at least: weights are no further off than the slope by it.
        let tolerance = TOLERANCE * self.alpha.clamp(LEAST_SHARE, 1.0);
        smart::minimise(loss, slope, &start, (tolerance, max_iter))
    }

    /// Brings an evaluation to its point.
    pub(super) fn evaluate(&self, evaluation: &mut Evaluation, stop: &Stop) -> Result<(), Stopped> {
        let Evaluation { point, loss, slope, shares, residuals } = evaluation;
        let (n_rows, n_columns) = (self.design.n_rows, self.design.n_columns);
        shares.resize(n_rows * self.n_outputs, 0.0);
        residuals.resize(n_rows * self.n_outputs, 0.0);
        slope.resize(point.len(), 0.0);
        let parts = || point.chunks(n_columns + 1);
        for (part, scores) in parts().zip(shares.chunks_mut(n_rows)) {
            stop.check()?;
            scores.fill(part[n_columns]);
            for (column, weight) in part[..n_columns].iter().enumerate() {
                let values = self.design.column(column).iter();
                let pairs = scores.iter_mut().zip(values);
                pairs.for_each(|(score, value)| *score += weight * value);
            }
        }
        *loss = self.explain(shares, residuals) / self.total;
        let slopes = slope.chunks_mut(n_columns + 1);
        for ((part, slopes), residuals) in parts().zip(slopes).zip(residuals.chunks(n_rows)) {
            stop.check()?;
            let weights = &part[..n_columns];
            *loss += 0.5 * self.alpha * dot(weights, weights);
            for (column, weight) in weights.iter().enumerate() {
                let pull = dot(self.design.column(column), residuals);
                slopes[column] = pull / self.total + self.alpha * weight;
            }
            slopes[n_columns] = residuals.iter().sum::<f64>() / self.total;
        }
        Ok(())
    }

    /// Turns scores into shares and residuals, and returns the sum of log losses.
    fn explain(&self, scores: &mut [f64], residuals: &mut [f64]) -> f64 {
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
                scores[row] = share;
                residuals[row] = weight * (share - truth);
                continue;
            }
            for (output, share) in shares.iter_mut().enumerate() {
                *share = scores[output * n_rows + row];
            }
            softmax(&mut shares);
            loss -= weight * shares[class].max(f64::MIN_POSITIVE).ln();
            for (output, share) in shares.iter().enumerate() {
                let truth = f64::from(u8::from(output == class));
                scores[output * n_rows + row] = *share;
                residuals[output * n_rows + row] = weight * (share - truth);
            }
        }
        loss
    }
}
