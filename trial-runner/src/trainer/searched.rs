//! What the tests of trainers that try many candidates at once have in common.

use fleetfit_search_spaces::Configuration;

use super::{Candidate, FitError, LaidOut, Predicted, Spare, Trainer, Trials};
use crate::folds::Fold;
use crate::frame::Frame;
use crate::stop::Stop;

/// What became of a candidate on a fold.
pub(super) type Answered = Result<Vec<f64>, FitError>;

pub(super) fn configuration(json: &str) -> Configuration {
    serde_json::from_str(json).unwrap()
}

/// Every row is in one of the folds, in turn.
pub(super) fn folds_of(n_rows: u32, n_folds: u32) -> Vec<Fold> {
    let fold = |fold: u32| {
        let (validate, train) = (0..n_rows).partition(|row| row % n_folds == fold);
        Fold { train, validate }
    };
    (0..n_folds).map(fold).collect()
}

/// Answers by candidate and fold. Nobody wants to hear more of whoever could not be fitted.
pub(super) fn try_all(
    trainer: &dyn Trainer,
    frame: &Frame,
    folds: &[Fold],
    jsons: &[&str],
    (stop, spare): (&Stop, &Spare),
) -> Vec<Vec<Option<Answered>>> {
    let parameters: Vec<Configuration> = jsons.iter().map(|json| configuration(json)).collect();
    let candidates: Vec<Candidate<'_>> =
        parameters.iter().map(|parameters| Candidate { parameters, seed: 9 }).collect();
    let trials = Trials {
        frame,
        folds,
        n_behind: 0,
        laid_out: &LaidOut::default(),
        candidates: &candidates,
        stop,
        limit: None,
        spare,
    };
    let mut answers = vec![vec![None; folds.len()]; jsons.len()];
    trainer.try_all(&trials, &mut |heard| {
        let answer = heard.answer.map(|predicted| match predicted {
            Predicted::Numbers(numbers) | Predicted::Classes(numbers) => numbers.to_vec(),
        });
        let place: &mut Option<Answered> = &mut answers[heard.candidate][heard.fold];
        assert!(place.is_none(), "candidate {} was heard twice", heard.candidate);
        let goes_on = answer.is_ok();
        *place = Some(answer);
        goes_on
    });
    answers
}
