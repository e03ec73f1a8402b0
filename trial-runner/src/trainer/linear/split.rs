//! What lines need of one fold, whatever their penalty: sums over the training rows, and the rows to
//! predict for.
//!
//! Made from sums (`basis.rs`), or where that would cost digits or rows are fewer than columns,
//! from the training rows themselves, as one fit does it.

use super::panels::Panels;
use super::system::{System, gram_of_rows};
use super::taught::{Form, Lessoned, Taught};
use super::tridiagonal::Tridiagonal;
use crate::folds::Fold;
use crate::frame::Frame;
use crate::model::encoder::Design;
use crate::model::{Answer, PredictError};
use crate::stop::{Stop, Stopped};
use crate::trainer::{Fit, FitError};

/// A fold, ready to be fitted.
#[derive(Debug)]
pub(in crate::trainer) enum Split {
    /// Every row has this target.
    Constant(f64),
    /// There is something to learn.
    Open(Open),
}

/// A fold that has something to learn from.
#[derive(Debug)]
pub(in crate::trainer) struct Open {
    /// What a line predicts where every feature has its mean.
    pub(super) start: f64,
    /// The rows to predict for, on the scale of the weights.
    pub(super) validate: Panels,
    /// The weight of all training rows.
    pub(super) total: f64,
    pub(super) system: System,
}

/// A fold of which ridge knows all but alpha.
#[derive(Debug)]
pub(in crate::trainer) struct Ready {
    pub(super) tridiagonal: Tridiagonal,
    /// With more columns than rows, the rows to predict for are known by their products with the
    /// training rows, and so is the system.
    pub(super) by_rows: Option<(Panels, Vec<f64>)>,
}

impl Split {
    /// From the training rows.
    pub(super) fn learn(
        job: &Fit<'_>,
        fold: &Fold,
        form: Form,
        learner: &str,
    ) -> Result<Self, FitError> {
        let taught = match Taught::learn(job, form, learner)? {
            Lessoned::Constant(Answer::Number { fallback }) => return Ok(Self::Constant(fallback)),
            Lessoned::Constant(Answer::Classes { .. }) => return Ok(Self::Constant(0.0)),
            Lessoned::Taught(taught) => taught,
        };
        let validate = panels(&taught, job.frame, &fold.validate)?;
        let Taught { design, y, y_mean, total, .. } = taught;
        let system = System::of(design, y, job.stop)?;
        Ok(Self::Open(Open { start: y_mean, validate, total, system }))
    }
}

/// The rows to predict for, with the means of the training rows taken off.
fn panels(taught: &Taught, frame: &Frame, rows: &[u32]) -> Result<Panels, FitError> {
    if let Some(&row) = rows.iter().find(|&&row| row as usize >= frame.n_rows) {
        let error = PredictError::NoSuchRow { row, n_rows: frame.n_rows };
        return Err(FitError::because(error.to_string()));
    }
    let bound = taught.encoder.bind(frame);
    let bound = bound.map_err(|error| FitError::because(error.to_string()))?;
    let mut design = Design::default();
    bound.encode(rows, &mut design);
    let mut panels = Panels::new(rows.len(), design.n_columns);
    for (index, mean) in taught.means.iter().enumerate() {
        let cells = panels.column_mut(index).zip(design.column(index));
        cells.for_each(|(cell, value)| *cell = value - mean);
    }
    Ok(panels)
}

impl Open {
    /// How many numbers it holds, with what ridge adds to them.
    pub(super) fn n_numbers(&self) -> usize {
        let n_rows = self.validate.n_rows();
        let own = n_rows * self.validate.n_columns();
        own + match &self.system {
            System::Sums(sums) => 3 * sums.gram.len(),
            System::Rows { columns, y } => columns.len() + y.len() * (3 * y.len() + n_rows),
        }
    }

    /// Everything that ridge can do before it knows an alpha.
    pub(super) fn ready(&self, stop: &Stop) -> Result<Ready, Stopped> {
        match &self.system {
            System::Sums(sums) => {
                let tridiagonal = Tridiagonal::of(&sums.gram, &sums.moments, stop)?;
                Ok(Ready { tridiagonal, by_rows: None })
            }
            System::Rows { columns, y } => self.ready_by_rows(columns, y, stop),
        }
    }

    /// (XXᵀ + alpha I) u = y and w = Xᵀu, so a row's prediction is a sum of its products with the
    /// training rows.
    fn ready_by_rows(&self, columns: &[f64], y: &[f64], stop: &Stop) -> Result<Ready, Stopped> {
        let n_rows = y.len();
        let gram = gram_of_rows(columns, n_rows, stop)?;
        let mut products = Panels::new(self.validate.n_rows(), n_rows);
        for (index, column) in columns.chunks_exact(n_rows).enumerate() {
            stop.check()?;
            products.add_products(self.validate.column(index), column);
        }
        let tridiagonal = Tridiagonal::of(&gram, y, stop)?;
        Ok(Ready { tridiagonal, by_rows: Some((products, gram)) })
    }
}
