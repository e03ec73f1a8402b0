//! The winner's forecasts held against what came, fold by fold: how far its models are off.

use fleetfit_search_spaces::Training;

use super::bench::Bench;
use crate::frame::Target;
use crate::model::errors::Errors;
use crate::model::{Model, Predictions};
use crate::stop::Stop;
use crate::trainer::{Candidate, Fit, FitError, Hand, Spare};

/// Who is tried again, and where.
pub(super) struct BackTest<'a> {
    pub(super) hand: Hand,
    pub(super) bench: &'a Bench,
    pub(super) training: &'a Training,
    /// The seed of the winner's trial.
    pub(super) seed: u64,
    pub(super) stop: &'a Stop,
    pub(super) spare: &'a Spare,
}

impl BackTest<'_> {
    /// The errors of the folds, the winner having learnt from `rows`. A fold that learns from the
    /// same rows, as beside validation data, has the winner as its model; one that cannot be fitted
    /// says nothing.
    pub(super) fn errors(&self, winner: &Model, rows: &[u32]) -> Result<Errors, FitError> {
        let Target::Number(truth) = &self.bench.frame.target else {
            return Ok(Errors::default());
        };
        let candidate = Candidate { parameters: &self.training.parameters, seed: self.seed };
        let mut all = Vec::new();
        for (number, fold) in self.bench.folds.iter().flatten().enumerate() {
            let fit = Fit {
                frame: &self.bench.frame,
                rows: &fold.train,
                parameters: candidate.parameters,
                seed: candidate.seed_of(number),
                stop: self.stop,
                spare: self.spare,
            };
            let fitted;
            let model = if fold.train == rows {
                winner
            } else {
                fitted = match self.hand.trainer().fit(&fit) {
                    Ok(model) => model,
                    Err(FitError::Failed(_)) => continue,
                    Err(stopped) => return Err(stopped),
                };
                &fitted
            };
            let ahead = model.steps_ahead(&self.bench.frame, &fold.validate);
            let found = model.predict_until(&self.bench.frame, &fold.validate, self.stop);
            self.stop.check()?;
            let Ok(Predictions::Numbers(found)) = found else { continue };
            for ((&row, ahead), found) in fold.validate.iter().zip(ahead).zip(found) {
                if !self.bench.frame.weighs(row as usize) {
                    continue;
                }
                if let (Some(ahead), Some(truth)) = (ahead, truth.get(row as usize)) {
                    all.push((ahead, truth - found));
                }
            }
        }
        Ok(Errors::of(all))
    }
}
