//! Several configurations of one learner, tried on every fold of one entity.
//!
//! What they have in common is done once: columns are laid out, binned and multiplied for all of
//! them, and configurations that lie on one path (numbers of trees, strengths of a penalty) are one
//! fit. What a trial's value is must not depend on who else is tried beside it.

use std::ops::Range;
use std::time::{Duration, Instant};

use fleetfit_search_spaces::Configuration;
use fleetfit_search_spaces::seed::mix;

use super::laid_out::LaidOut;
use super::spare::Spare;
use super::{Fit, FitError, Trainer};
use crate::folds::Fold;
use crate::frame::Frame;
use crate::model::{PredictError, Predictions};
use crate::stop::Stop;

/// What is tried, and on what.
#[derive(Clone, Copy, Debug)]
pub struct Trials<'a> {
    /// The entity's rows.
    pub frame: &'a Frame,
    /// The splits that every configuration is judged on.
    pub folds: &'a [Fold],
    /// How many of them, the first ones, were tried before.
    pub n_behind: usize,
    /// What earlier trials made of the frame.
    pub laid_out: &'a LaidOut,
    /// The configurations.
    pub candidates: &'a [Candidate<'a>],
    /// When to give up.
    pub stop: &'a Stop,
    /// How long one fit may take.
    pub limit: Option<Duration>,
    /// Threads that have nothing else to do.
    pub spare: &'a Spare,
}

/// One configuration.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The learner's parameters by name.
    pub parameters: &'a Configuration,
    /// Seeds are derived from it; configurations that lie on one path have the same.
    pub seed: u64,
}

/// What came of a candidate's fit on a fold.
#[derive(Debug)]
pub struct Heard<'a> {
    /// The candidate's index.
    pub candidate: usize,
    /// The fold's index.
    pub fold: usize,
    /// Predictions for the rows that the fold validates on.
    pub answer: Result<Predicted<'a>, FitError>,
}

/// Predictions, lent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Predicted<'a> {
    /// A number a row.
    Numbers(&'a [f64]),
    /// The probabilities of all labels of the data set, row after row.
    Classes(&'a [f64]),
}

/// Hears what came of each candidate on each fold ahead, once for each pair, in any order. False: nobody
/// wants to hear more of this candidate.
pub type Hear<'a> = dyn FnMut(Heard<'_>) -> bool + 'a;

impl Candidate<'_> {
    /// The seed of the fit on a fold.
    pub fn seed_of(&self, fold: usize) -> u64 {
        mix(&[self.seed, fold as u64])
    }
}

impl Trials<'_> {
    /// The folds that are tried.
    pub(super) fn ahead(&self) -> Range<usize> {
        self.n_behind..self.folds.len()
    }

    /// The flag of a fit that begins, with its own time limit.
    pub fn begin(&self) -> Stop {
        // A limit that no clock can count to is none.
        self.stop.with_deadline(self.limit.and_then(|limit| Instant::now().checked_add(limit)))
    }

    /// Tries each candidate by itself: fits on every fold, and predicts.
    pub fn one_by_one<T: Trainer + ?Sized>(&self, trainer: &T, hear: &mut Hear<'_>) {
        for index in 0..self.candidates.len() {
            for fold in self.ahead() {
                if !self.one_of(trainer, (index, fold), hear) {
                    break;
                }
            }
        }
    }

    /// Tries a candidate on a fold by itself; whether more of it is wanted.
    pub(super) fn one_of<T: Trainer + ?Sized>(
        &self,
        trainer: &T,
        (candidate, fold): (usize, usize),
        hear: &mut Hear<'_>,
    ) -> bool {
        let predictions = self.fit_and_predict(trainer, candidate, fold);
        let answer = match &predictions {
            Ok(predictions) => Ok(predictions.lend()),
            Err(error) => Err(error.clone()),
        };
        hear(Heard { candidate, fold, answer })
    }

    /// The fit of a candidate on a fold.
    pub(super) fn fit<'a>(&'a self, (candidate, fold): (usize, usize), stop: &'a Stop) -> Fit<'a> {
        let candidate = &self.candidates[candidate];
        Fit {
            frame: self.frame,
            rows: &self.folds[fold].train,
            parameters: candidate.parameters,
            seed: candidate.seed_of(fold),
            stop,
            spare: self.spare,
        }
    }

    fn fit_and_predict<T: Trainer + ?Sized>(
        &self,
        trainer: &T,
        index: usize,
        fold: usize,
    ) -> Result<Predictions, FitError> {
        let stop = self.begin();
        let model = trainer.fit(&self.fit((index, fold), &stop))?;
        let rows = &self.folds[fold].validate;
        model.predict_until(self.frame, rows, &stop).map_err(|error| match error {
            PredictError::Stopped(stopped) => FitError::Stopped(stopped),
            other => FitError::because(other.to_string()),
        })
    }
}

impl Predictions {
    /// The same, lent.
    pub fn lend(&self) -> Predicted<'_> {
        match self {
            Self::Numbers(numbers) => Predicted::Numbers(numbers),
            Self::Classes { probabilities, .. } => Predicted::Classes(probabilities),
        }
    }
}
