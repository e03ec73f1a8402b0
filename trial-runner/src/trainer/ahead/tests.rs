//! What the tests of learners that ask a device have in common.

use std::sync::Arc;

use super::*;
use crate::cuda::shim::Shim;
use crate::frame::{FeatureColumn, FeatureValues, Frame, Target};
use crate::trainer::searched::{configuration, folds_of};
use crate::trainer::{Candidate, LaidOut, Predicted, Spare};

/// What should come of asking.
pub(in crate::trainer) struct Expected<'a> {
    /// Classes of each entity's target, 0 for numbers.
    pub(in crate::trainer) n_classes: &'a [u32],
    /// Configurations that are taken: the first ones.
    pub(in crate::trainer) n_taken: usize,
    /// How far predictions may be off.
    pub(in crate::trainer) tolerance: f64,
}

/// How a learner asks.
type AskOf<'a> = dyn Fn(&Ask<'_>, &[Trials<'_>], &mut [Told]) -> Result<(), Fault> + 'a;

/// Columns with gaps and words, and a target that follows from them.
fn frame(n_rows: usize, n_classes: u32) -> Frame {
    let x = |row: usize| (row as f64 * 0.7).sin();
    let column = |name: &str, values| FeatureColumn { name: name.into(), values };
    let gaps = (0..n_rows).map(|row| if row % 7 == 0 { f64::NAN } else { x(row) });
    let target: Vec<f64> = (0..n_rows).map(|row| x(row) * 3.0 + (row % 5) as f64).collect();
    let labels = (0..n_classes).map(|label| format!("label {label}")).collect();
    let codes = target.iter().map(|y| ((y + 3.0) as u32 / 2).min(n_classes.max(1) - 1));
    let levels = Arc::new(["red", "green", "blue"].map(str::to_owned).to_vec());
    let words = (0..n_rows as u32).map(|row| row * row % 3).collect();
    Frame {
        columns: vec![
            column("x", FeatureValues::Number(gaps.collect())),
            column("words", FeatureValues::Category { codes: words, levels }),
            column("y", FeatureValues::Number((0..n_rows).map(|row| (row % 5) as f64).collect())),
        ],
        target: match n_classes {
            0 => Target::Number(target),
            _ => Target::Class { codes: codes.collect(), labels: Arc::new(labels) },
        },
        weights: None,
        n_rows,
        timeline: None,
    }
}

/// By candidate and fold.
type Answers = Vec<(usize, usize, Result<Vec<f64>, FitError>)>;

fn answers(trainer: &dyn Trainer, trials: &Trials<'_>) -> Answers {
    let mut all = Vec::new();
    trainer.try_all(trials, &mut |heard| {
        let answer = heard.answer.map(|told| match told {
            Predicted::Numbers(own) | Predicted::Classes(own) => own.to_vec(),
        });
        all.push((heard.candidate, heard.fold, answer));
        true
    });
    all.sort_by_key(|(candidate, fold, _)| (*candidate, *fold));
    all
}

#[track_caller]
fn alike(alone: &Answers, found: &Answers, tolerance: f64) {
    assert_eq!(alone.len(), found.len());
    for (alone, found) in alone.iter().zip(found) {
        assert_eq!((alone.0, alone.1), (found.0, found.1));
        match (&alone.2, &found.2) {
            (Ok(alone), Ok(found)) => {
                let far = alone.iter().zip(found).filter(|(alone, found)| {
                    alone.to_bits() != found.to_bits() && (*alone - *found).abs() >= tolerance
                });
                assert_eq!((alone.len(), far.count()), (found.len(), 0));
            }
            (alone, found) => assert_eq!(alone, found),
        }
    }
}

/// How many fits of three folds a device tells, of how many; each is what the entity hears alone.
#[track_caller]
pub(in crate::trainer) fn told_of(
    trainer: &dyn Trainer,
    ask: &AskOf<'_>,
    jsons: &[&str],
    (frames, tolerance): (&[Frame], f64),
) -> (usize, usize) {
    let parameters: Vec<_> = jsons.iter().map(|json| configuration(json)).collect();
    let candidates: Vec<Candidate<'_>> =
        parameters.iter().map(|parameters| Candidate { parameters, seed: 9 }).collect();
    let (stop, spare) = (Stop::default(), Spare::default());
    let beside: Vec<_> =
        frames.iter().map(|frame| (folds_of(frame.n_rows as u32, 3), LaidOut::default())).collect();
    let all: Vec<Trials<'_>> = frames
        .iter()
        .zip(&beside)
        .map(|(frame, (folds, laid_out))| Trials {
            frame,
            folds,
            n_behind: 0,
            laid_out,
            candidates: &candidates,
            stop: &stop,
            limit: None,
            spare: &spare,
        })
        .collect();
    let machine = Machine::Shim(Shim::default());
    let limits = machine.limits(1).unwrap();
    let mut told = vec![Told::new(); all.len()];
    answered(&ask(&Ask::alone(&machine, &limits, &stop), &all, &mut told));
    let n_told = told.iter().map(Told::len).sum();
    for (trials, told) in all.iter().zip(told) {
        let known = Ahead { told, otherwise: trainer };
        alike(&answers(trainer, trials), &answers(&known, trials), tolerance);
    }
    (n_told, 3 * candidates.len() * frames.len())
}

/// What a device tells of many entities is what each hears alone, and who finds no memory there hears
/// All were told but for what the kernel does not take.
#[track_caller]
fn answered(asked: &Result<(), Fault>) {
    assert!(matches!(asked, Ok(()) | Err(Fault::Refused(_))), "{asked:?}");
}

/// it from the CPU.
#[track_caller]
pub(in crate::trainer) fn agrees(
    trainer: &dyn Trainer,
    ask: &AskOf<'_>,
    jsons: &[&str],
    expected: &Expected<'_>,
) {
    let parameters: Vec<_> = jsons.iter().map(|json| configuration(json)).collect();
    let candidates: Vec<Candidate<'_>> =
        parameters.iter().map(|parameters| Candidate { parameters, seed: 9 }).collect();
    let (stop, spare) = (Stop::default(), Spare::default());
    let data: Vec<_> = (70..)
        .step_by(31)
        .zip(expected.n_classes)
        .map(|(n_rows, &own)| (frame(n_rows, own), folds_of(n_rows as u32, 3), LaidOut::default()))
        .collect();
    let mut all = Vec::new();
    for (entity, (frame, folds, laid_out)) in data.iter().enumerate() {
        all.push(Trials {
            frame,
            folds,
            n_behind: usize::from(entity == 1),
            laid_out,
            candidates: &candidates,
            stop: &stop,
            limit: None,
            spare: &spare,
        });
    }
    let asked = |shim: Shim| {
        let machine = Machine::Shim(shim);
        let mut told = vec![Told::new(); all.len()];
        let limits = machine.limits(1).unwrap();
        let asked = ask(&Ask::alone(&machine, &limits, &stop), &all, &mut told);
        (asked, told)
    };
    let known = |told| Ahead { told, otherwise: trainer };
    let (asking, told) = asked(Shim::default());
    answered(&asking);
    for (trials, told) in all.iter().zip(told) {
        assert_eq!(told.len(), expected.n_taken * trials.ahead().len());
        let (alone, found) = (answers(trainer, trials), answers(&known(told), trials));
        alike(&alone, &found, expected.tolerance);
    }
    let (asking, told) = asked(Shim { max_bytes: Some(100), ..Shim::default() });
    assert_eq!(asking, Err(Fault::OutOfMemory));
    assert!(told.iter().all(Told::is_empty));
    stop.cancel();
    let (asking, told) = asked(Shim::default());
    answered(&asking);
    assert!(told.iter().map(Told::len).sum::<usize>() <= 2, "no more is told");
}
