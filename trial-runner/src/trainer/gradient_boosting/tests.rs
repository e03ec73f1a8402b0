//! Searches against single fits, objectives, and what frames bring.

use std::sync::Arc;

use super::*;
use crate::folds::Fold;
use crate::frame::{FeatureColumn, MISSING, Target};
use crate::trainer::searched::{self, Answered, configuration, folds_of};
use crate::trainer::{Candidate, Predicted, Spare};

fn column(name: &str, values: FeatureValues) -> FeatureColumn {
    FeatureColumn { name: name.into(), values }
}

/// Numbers with gaps, words of three rows or fewer, and a target that needs both.
fn frame(n_rows: usize) -> Frame {
    let x = |row: usize| (row as f64 * 0.7).sin();
    let values = (0..n_rows).map(|row| if row % 7 == 0 { f64::NAN } else { x(row) });
    let codes: Vec<u32> = (0..n_rows as u32)
        .map(|row| if row % 11 == 0 { MISSING } else { row * 13 % (n_rows as u32 / 3) })
        .collect();
    let levels: Vec<String> = (0..300).map(|word| format!("word {word:03}")).collect();
    let target = (0..n_rows).map(|row| {
        let word = if codes[row].is_multiple_of(5) { 3.0 } else { 0.0 };
        5.0 + x(row) + word + if row % 7 == 0 { 2.0 } else { 0.0 }
    });
    Frame {
        target: Target::Number(target.collect()),
        columns: vec![
            column("x", FeatureValues::Number(values.collect())),
            column("word", FeatureValues::Category { codes, levels: Arc::new(levels) }),
            column("y", FeatureValues::Number((0..n_rows).map(|row| (row % 13) as f64).collect())),
        ],
        weights: None,
        n_rows,
        timeline: None,
    }
}

fn in_classes(frame: &mut Frame, n_classes: usize) {
    if let Target::Number(values) = &frame.target {
        let codes = values.iter().map(|value| (*value as u32 / 3).min(n_classes as u32 - 1));
        let labels = (0..n_classes + 1).map(|label| format!("label {label}")).collect();
        frame.target = Target::Class { codes: codes.collect(), labels: Arc::new(labels) };
    }
}

fn folds(n_rows: u32) -> Vec<Fold> {
    folds_of(n_rows, 3)
}

fn fit(frame: &Frame, json: &str, rows: &[u32], seed: u64) -> Result<Model, FitError> {
    GradientBoosting.fit(&Fit {
        frame,
        rows,
        parameters: &configuration(json),
        seed,
        stop: &Stop::default(),
        spare: &Spare::default(),
    })
}

/// Answers by candidate and fold.
fn try_all(
    frame: &Frame,
    folds: &[Fold],
    jsons: &[&str],
    stop: &Stop,
) -> Vec<Vec<Option<Answered>>> {
    searched::try_all(&GradientBoosting, frame, folds, jsons, (stop, &Spare::default()))
}

#[test]
fn a_search_says_what_single_fits_say() {
    let jsons = [
        r#"{"n_estimators": 12, "min_child_samples": 5}"#,
        r#"{"n_estimators": 3, "min_child_samples": 5}"#,
        r#"{"n_estimators": 12, "min_child_samples": 5, "max_bin": 20}"#,
        r#"{"n_estimators": 400, "early_stopping_rounds": 4, "learning_rate": 0.5}"#,
        r#"{"n_estimators": 2, "early_stopping_rounds": 4, "learning_rate": 0.5}"#,
        r#"{"n_estimators": 6, "subsample": 0.5, "colsample_bytree": 0.6}"#,
        r#"{"n_estimators": 6, "min_child_samples": 5000}"#,
    ];
    for n_classes in [0, 2, 3] {
        let mut frame = frame(900);
        if n_classes > 0 {
            in_classes(&mut frame, n_classes);
        }
        let folds = folds(900);
        let answers = try_all(&frame, &folds, &jsons, &Stop::default());
        for (json, answers) in jsons.iter().zip(answers) {
            for (fold, answer) in answers.into_iter().enumerate() {
                let seed = Candidate { parameters: &configuration(json), seed: 9 }.seed_of(fold);
                let split = &folds[fold];
                let model = fit(&frame, json, &split.train, seed).unwrap();
                let predictions = model.predict(&frame, &split.validate).unwrap();
                let (Predicted::Numbers(expected) | Predicted::Classes(expected)) =
                    predictions.lend();
                assert_eq!(answer.unwrap().unwrap(), expected, "{json}, fold {fold}");
            }
        }
    }
}

#[test]
fn who_cannot_be_fitted_hears_why_and_the_others_go_on() {
    let frame = frame(120);
    let folds = folds(120);
    let jsons = [
        r#"{"n_estimators": 5}"#,
        r#"{"n_estimators": 2.5}"#,
        r#"{"objective": "quantile", "alpha": 1.5}"#,
    ];
    let answers = try_all(&frame, &folds, &jsons, &Stop::default());
    assert!(answers[0].iter().all(|answer| matches!(answer, Some(Ok(_)))));
    let reason = |index: usize| match &answers[index][0] {
        Some(Err(FitError::Failed(reason))) => reason.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(1), "n_estimators is 2.5; allowed: a whole number of at least 1");
    assert_eq!(reason(2), "alpha is 1.5, but a quantile lies between 0 and 1");
    // Who has failed is not tried again.
    assert_eq!(answers[1][1..], [None, None]);
    let stop = Stop::default();
    stop.cancel();
    let stopped = FitError::Stopped(Stopped::Cancelled);
    let answers = try_all(&frame, &folds, &jsons[..1], &stop);
    assert_eq!(answers[0][0], Some(Err(stopped)));
}

fn mean(model: &Model, frame: &Frame) -> f64 {
    let rows: Vec<u32> = (0..frame.n_rows as u32).collect();
    let predictions = model.predict(frame, &rows).unwrap();
    let (Predicted::Numbers(numbers) | Predicted::Classes(numbers)) = predictions.lend();
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

#[test]
fn each_objective_aims_at_its_own() {
    let mut frame = frame(400);
    let rows: Vec<u32> = (0..400).collect();
    let objective = |frame: &Frame, more: &str| {
        fit(frame, &format!(r#"{{"n_estimators": 30, {more}}}"#), &rows, 1)
    };
    let found = |more: &str| mean(&objective(&frame, more).unwrap(), &frame);
    let truth = match &frame.target {
        Target::Number(values) => values.iter().sum::<f64>() / 400.0,
        _ => 0.0,
    };
    for own in
        [r#""objective": "squared""#, r#""objective": "poisson""#, r#""objective": "tweedie""#]
    {
        assert!((found(own) - truth).abs() < 0.02 * truth, "{own}: {} is not {truth}", found(own));
    }
    let low = found(r#""objective": "quantile", "alpha": 0.05"#);
    let high = found(r#""objective": "quantile", "alpha": 0.95"#);
    assert!(low < truth && truth < high, "{low} {truth} {high}");
    for own in [r#""objective": "absolute""#, r#""objective": "huber""#] {
        assert!((low..high).contains(&found(own)), "{own}");
    }
    for (value, told) in [(-3.0, "-3"), (-1e-300, "-1e-300")] {
        if let Target::Number(values) = &mut frame.target {
            values[7] = value;
        }
        let reason = objective(&frame, r#""objective": "poisson""#).unwrap_err().to_string();
        let start = format!("the target has the value {told}, but poisson needs");
        assert!(reason.starts_with(&start), "{reason}");
    }
}

#[test]
fn words_that_training_never_saw_go_with_the_rare_ones() {
    let frame = frame(900);
    let rows: Vec<u32> = (0..900).collect();
    let json = r#"{"n_estimators": 20, "min_child_samples": 3}"#;
    let model = fit(&frame, json, &rows, 1).unwrap();
    let Body::Boosted(boosted) = &model.body else { panic!("not boosted") };
    let own = boosted.sources.iter().find(|own| own.source.name == "word").unwrap();
    assert!(own.has_rare && own.gain > 0.0);
    let mut strange = frame.clone();
    if let FeatureValues::Category { codes, levels } = &mut strange.columns[1].values {
        *levels = Arc::new(vec!["strange".into()]);
        codes.fill(0);
    }
    let mut rare = frame.clone();
    if let FeatureValues::Category { codes, .. } = &mut rare.columns[1].values {
        let crate::model::source::SourceKind::Category(words) = &own.source.kind else {
            panic!("no words")
        };
        let is_rare = |code: &u32| !words.contains(&format!("word {code:03}"));
        codes.fill((0..300).find(is_rare).unwrap());
    }
    assert_eq!(model.predict(&strange, &rows), model.predict(&rare, &rows));
    assert_ne!(model.predict(&frame, &rows), model.predict(&rare, &rows));
}

#[test]
fn gains_tell_which_columns_matter() {
    let mut frame = frame(600);
    let idle = (0..600).map(|row| f64::from(row * 7919 % 601)).collect();
    frame.columns.push(column("idle", FeatureValues::Number(idle)));
    let rows: Vec<u32> = (0..600).collect();
    let model = fit(&frame, r#"{"n_estimators": 20}"#, &rows, 1).unwrap();
    let gains = model.gains();
    assert_eq!(gains[0].0, "word", "{gains:?}");
    assert_eq!(gains[1].0, "x", "{gains:?}");
    assert!(
        gains
            .iter()
            .all(|(name, gain)| *gain >= 0.0 && (*name != "idle" || *gain < 0.1 * gains[1].1))
    );
}

#[test]
fn words_that_stand_in_one_row_each_are_no_key_to_it() {
    let mut frame = frame(10_000);
    let words = |n: u32| FeatureValues::Category {
        codes: (0..10_000).map(|row| row * 7_919 % n).collect(),
        levels: Arc::new((0..n).map(|word| format!("word {word:05}")).collect()),
    };
    let target = Target::Number((0..10_000).map(|row| f64::from(row * 7_919 % 9_973)).collect());
    frame.target = target;
    frame.columns.truncate(1);
    let rows: Vec<u32> = (0..10_000).collect();
    let spread = |frame: &Frame| {
        let model = fit(frame, r#"{"n_estimators": 30}"#, &rows, 1).unwrap();
        let stored = Model::from_bytes(&model.to_bytes()).unwrap();
        assert_eq!(stored, model);
        assert!(model.to_bytes().len() < 400_000, "{} bytes", model.to_bytes().len());
        let Predictions::Numbers(said) = stored.predict(frame, &rows).unwrap() else { panic!() };
        let mean = said.iter().sum::<f64>() / 10_000.0;
        said.iter().map(|said| (said - mean).powi(2)).sum::<f64>() / 10_000.0
    };
    let without = spread(&frame);
    frame.columns.push(column("key", words(10_000)));
    assert_eq!(spread(&frame), without);
    // Three rows a word are taken for what they are worth.
    frame.columns[1].values = words(3_333);
    assert!(spread(&frame).is_finite());
}

#[test]
fn none_stops_early_as_little_as_nothing_said() {
    let frame = frame(200);
    let rows: Vec<u32> = (0..200).collect();
    let said = fit(&frame, r#"{"early_stopping_rounds": "none", "n_estimators": 5}"#, &rows, 1);
    assert_eq!(said, fit(&frame, r#"{"n_estimators": 5}"#, &rows, 1));
}
