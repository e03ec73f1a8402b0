//! Minima are minima, and configurations together say what each says alone.

use std::sync::Arc;

use fleetfit_search_spaces::{Setting, Value};

use super::*;
use crate::folds::Fold;
use crate::frame::{FeatureColumn, FeatureValues, Frame, Target};
use crate::model::Predictions;
use crate::stop::Stop;
use crate::trainer::{Candidate, LaidOut, Predicted, Spare};

/// Numbers that look like chance, with holes, and classes that follow from them and noise.
fn frame(n_rows: usize, n_columns: usize, n_classes: u32) -> Frame {
    let value = |row: usize, column: usize| ((row * 37 + row * column * 11 + column) as f64).sin();
    let columns = (0..n_columns).map(|column| {
        let mut values: Vec<f64> = (0..n_rows).map(|row| value(row, column) * 3.0 + 1.0).collect();
        values[column] = f64::NAN;
        FeatureColumn { name: format!("x{column}").into(), values: FeatureValues::Number(values) }
    });
    let code = |row: usize| {
        let score = value(row, 0) - value(row, 1) + 0.7 * value(row, 977);
        ((score + 1.5) / 3.0 * f64::from(n_classes)).clamp(0.0, f64::from(n_classes) - 1.0) as u32
    };
    let labels = Arc::new((0..n_classes).map(|class| format!("c{class:02}")).collect());
    let codes = (0..n_rows).map(code).collect();
    Frame {
        timeline: None,
        columns: columns.collect(),
        target: Target::Class { codes, labels },
        weights: None,
        n_rows,
    }
}

fn configuration(pairs: &[(&str, f64)]) -> Configuration {
    let pairs = pairs.iter().map(|(name, number)| match *name {
        "standardize" => ((*name).to_owned(), Setting::Value(Value::Bool(*number != 0.0))),
        _ => ((*name).to_owned(), Setting::Value(Value::Float(*number))),
    });
    Configuration(pairs.collect())
}

fn folds(n_rows: u32) -> Vec<Fold> {
    let fold = |fold: u32| {
        let (validate, train) = (0..n_rows).partition(|row| row % 3 == fold);
        Fold { train, validate }
    };
    (0..3).map(fold).collect()
}

#[test]
fn newton_finds_where_the_slope_is_zero() {
    for (n_classes, c) in [(2, 1e-3), (2, 1.0), (2, 1e4), (3, 0.5), (5, 100.0)] {
        for is_weighted in [false, true] {
            let mut frame = frame(150, 6, n_classes);
            if is_weighted {
                frame.weights = Some((0..150).map(|row| f64::from(row % 4)).collect());
            }
            let rows: Vec<u32> = (0..150).collect();
            let job = Fit {
                frame: &frame,
                rows: &rows,
                parameters: &Configuration::default(),
                seed: 1,
                stop: &Stop::default(),
                spare: &Spare::default(),
            };
            let Ok(Lessoned::Taught(taught)) = Taught::learn(&job, Scaling::Standard) else {
                panic!("nothing to learn");
            };
            let weights = taught.weights.as_deref();
            let loss = Loss::new(&taught.design, &taught.classes, weights, c);
            let steepest = |point: Vec<f64>| {
                let mut found = loss::Evaluation::of(point);
                loss.evaluate(&mut found, job.stop).unwrap();
                found.slope.iter().map(|slope| slope.abs()).fold(0.0, f64::max)
            };
            let newton = newton::minimise(&loss, 100, job.stop).unwrap();
            assert!(steepest(newton.clone()) < 1e-11, "{n_classes} {c} {}", steepest(newton));
            // The L-BFGS finds the same, as nearly as it looks.
            let other = loss.minimise(1_000, job.stop).unwrap();
            assert!(steepest(other) < 1e-5);
        }
    }
}

#[test]
fn many_weights_are_found_however_small_the_penalty() {
    for (n_columns, n_classes, c) in [(30, 6, 1.0), (30, 6, 1e3), (60, 4, 100.0), (60, 4, 1e3)] {
        let frame = frame(80, n_columns, n_classes);
        let rows: Vec<u32> = (0..80).collect();
        let job = Fit {
            frame: &frame,
            rows: &rows,
            parameters: &Configuration::default(),
            seed: 1,
            stop: &Stop::default(),
            spare: &Spare::default(),
        };
        let Ok(Lessoned::Taught(taught)) = Taught::learn(&job, Scaling::Standard) else {
            panic!("nothing to learn");
        };
        let loss = Loss::new(&taught.design, &taught.classes, None, c);
        let mut found = loss::Evaluation::of(loss.minimise(1_000, job.stop).unwrap());
        loss.evaluate(&mut found, job.stop).unwrap();
        let steepest = found.slope.iter().map(|slope| slope.abs()).fold(0.0, f64::max);
        // The loss curves by alpha at least, so the weights are as far off at most.
        let far = steepest / loss.alpha;
        assert!(far < 1e-3, "{n_columns} {n_classes} {c} {far}");
    }
}

#[test]
fn classes_that_a_line_parts_have_finite_weights() {
    let mut frame = frame(60, 2, 2);
    let FeatureValues::Number(values) = &frame.columns[0].values else { panic!("words") };
    let codes = values.iter().map(|value| u32::from(*value > 1.0)).collect();
    let labels = Arc::new(vec!["a".to_owned(), "b".to_owned()]);
    frame.target = Target::Class { codes, labels };
    let rows: Vec<u32> = (0..60).collect();
    for c in [1.0, 1e6, 1e12, 1e300] {
        let job = Fit {
            frame: &frame,
            rows: &rows,
            parameters: &configuration(&[("C", c)]),
            seed: 1,
            stop: &Stop::default(),
            spare: &Spare::default(),
        };
        let model = LogisticRegression.fit(&job).unwrap();
        let found = model.predict(&frame, &rows).unwrap();
        let Predictions::Classes { probabilities, .. } = found else { panic!("numbers") };
        assert!(probabilities.iter().all(|share| (0.0..=1.0).contains(share)));
    }
}

type Answers = Vec<Vec<Option<Result<Vec<u64>, FitError>>>>;

fn told(frame: &Frame, configurations: &[Configuration], is_one_by_one: bool) -> Answers {
    let mut folds = folds(frame.n_rows as u32);
    folds.push(Fold { train: vec![1, 2, 3], validate: vec![0, frame.n_rows as u32] });
    folds.push(Fold { train: vec![], validate: vec![0] });
    folds.push(Fold { train: vec![5], validate: vec![0, 1] });
    let candidates: Vec<Candidate<'_>> =
        configurations.iter().map(|parameters| Candidate { parameters, seed: 1 }).collect();
    let trials = Trials {
        frame,
        folds: &folds,
        n_behind: 0,
        laid_out: &LaidOut::default(),
        candidates: &candidates,
        stop: &Stop::default(),
        limit: None,
        spare: &Spare::default(),
    };
    let mut answers: Answers = vec![vec![None; folds.len()]; candidates.len()];
    let mut hear = |heard: Heard<'_>| {
        let place = &mut answers[heard.candidate][heard.fold];
        assert!(place.is_none(), "heard twice");
        *place = Some(heard.answer.map(|predicted| match predicted {
            Predicted::Classes(shares) => shares.iter().map(|share| share.to_bits()).collect(),
            Predicted::Numbers(_) => panic!("numbers"),
        }));
        true
    };
    if is_one_by_one {
        trials.one_by_one(&LogisticRegression, &mut hear);
    } else {
        LogisticRegression.try_all(&trials, &mut hear);
    }
    answers
}

#[test]
fn together_is_the_same_as_alone() {
    let configurations = [
        configuration(&[]),
        configuration(&[("C", 0.01)]),
        configuration(&[("C", 30.0), ("standardize", 0.0)]),
        configuration(&[("C", -1.0)]),
        configuration(&[("C", 5.0), ("max_iter", 2.0)]),
    ];
    // The last has too many weights for Newton's method.
    for (n_columns, n_classes) in [(4, 2), (4, 3), (30, 6)] {
        let frame = frame(90, n_columns, n_classes);
        let together = told(&frame, &configurations, false);
        assert_eq!(together, told(&frame, &configurations, true));
        assert!(together[0][0].as_ref().unwrap().is_ok());
        assert!(together[3][0].as_ref().unwrap().is_err());
    }
}
