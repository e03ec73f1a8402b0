//! Searches against single fits, scores out of bag, and what frames bring.

use std::sync::Arc;

use fleetfit_search_spaces::{Configuration, Learner};

use super::*;
use crate::folds::Fold;
use crate::frame::{FeatureColumn, FeatureValues, Frame, MISSING, Target};
use crate::model::forest::Forest;
use crate::stop::Stop;
use crate::trainer::{Candidate, LaidOut, Predicted, Spare, trainer};

const LEARNERS: [Learner; 3] = [Learner::DecisionTree, Learner::RandomForest, Learner::ExtraTrees];

fn configuration(json: &str) -> Configuration {
    serde_json::from_str(json).unwrap()
}

fn one(values: FeatureValues, y: Vec<f64>) -> Frame {
    Frame {
        columns: vec![FeatureColumn { name: "x".into(), values }],
        n_rows: y.len(),
        target: Target::Number(y),
        weights: None,
        timeline: None,
    }
}

/// Numbers with gaps, many words, some of them rare, and a target that needs both.
fn frame(n_rows: usize, n_classes: u32) -> Frame {
    let x = |row: usize| (row as f64 * 0.7).sin();
    let values = (0..n_rows).map(|row| if row % 7 == 0 { f64::NAN } else { x(row) });
    let word = |row: u32| if row.is_multiple_of(11) { MISSING } else { row * row % 401 };
    let codes: Vec<u32> = (0..n_rows as u32).map(word).collect();
    let numbers: Vec<f64> = (0..n_rows)
        .map(|row| {
            let word = if codes[row].is_multiple_of(5) { 3.0 } else { 0.0 };
            5.0 + x(row) + word + if row % 7 == 0 { 2.0 } else { 0.0 }
        })
        .collect();
    let target = match n_classes {
        0 => Target::Number(numbers),
        n => Target::Class {
            codes: numbers
                .iter()
                .map(|own| ((own - 4.0) / 2.0) as u32)
                .map(|own| own.min(n - 1))
                .collect(),
            labels: Arc::new((0..=n).map(|label| format!("label {label}")).collect()),
        },
    };
    let levels = Arc::new((0..401).map(|word| format!("word {word:03}")).collect());
    let column = |name: &str, values| FeatureColumn { name: name.into(), values };
    Frame {
        target,
        columns: vec![
            column("x", FeatureValues::Number(values.collect())),
            column("word", FeatureValues::Category { codes, levels }),
            column("y", FeatureValues::Number((0..n_rows).map(|row| (row % 13) as f64).collect())),
        ],
        weights: None,
        n_rows,
        timeline: None,
    }
}

fn folds(n_rows: u32) -> Vec<Fold> {
    folds_of(n_rows, 3)
}

fn folds_of(n_rows: u32, n_folds: u32) -> Vec<Fold> {
    let fold = |fold: u32| {
        let (validate, train) = (0..n_rows).partition(|row| row % n_folds == fold);
        Fold { train, validate }
    };
    (0..n_folds).map(fold).collect()
}

fn fit(learner: Learner, frame: &Frame, json: &str, rows: &[u32], seed: u64) -> Model {
    let job = Fit {
        frame,
        rows,
        parameters: &configuration(json),
        seed,
        stop: &Stop::default(),
        spare: &Spare::default(),
    };
    trainer(learner).unwrap().fit(&job).unwrap()
}

fn numbers(model: &Model, frame: &Frame, rows: &[u32]) -> Vec<f64> {
    let predictions = model.predict(frame, rows).unwrap();
    let (Predicted::Numbers(numbers) | Predicted::Classes(numbers)) = predictions.lend();
    numbers.to_vec()
}

fn forest(model: Model) -> Forest {
    match model.body {
        Body::Forest(forest) => forest,
        body => panic!("not a forest: {body:?}"),
    }
}

type Answered = Result<Vec<f64>, FitError>;

/// Answers by candidate and fold.
fn try_all(
    learner: Learner,
    frame: &Frame,
    folds: &[Fold],
    jsons: &[&str],
    spare: &Spare,
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
        stop: &Stop::default(),
        limit: None,
        spare,
    };
    let mut answers = vec![vec![None; folds.len()]; jsons.len()];
    trainer(learner).unwrap().try_all(&trials, &mut |heard| {
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

#[test]
fn a_search_says_what_single_fits_say() {
    let jsons = [
        r#"{"n_estimators": 12}"#,
        r#"{"n_estimators": 3}"#,
        r#"{"n_estimators": 12, "max_bin": 20}"#,
        r#"{"n_estimators": 5, "bootstrap": true, "max_samples": 0.5, "min_samples_leaf": 4}"#,
        r#"{"n_estimators": 6, "bootstrap": false, "max_features": 2, "max_depth": 4}"#,
        r#"{"n_estimators": 6, "min_samples_leaf": 5000}"#,
    ];
    for learner in LEARNERS {
        for n_classes in [0, 2, 3] {
            let frame = frame(1_000, n_classes);
            let folds = folds(1_000);
            let alone = try_all(learner, &frame, &folds, &jsons, &Spare::default());
            for (json, answers) in jsons.iter().zip(&alone) {
                for (fold, answer) in answers.iter().enumerate() {
                    let seed =
                        Candidate { parameters: &configuration(json), seed: 9 }.seed_of(fold);
                    let split = &folds[fold];
                    let model = fit(learner, &frame, json, &split.train, seed);
                    let expected = numbers(&model, &frame, &split.validate);
                    let found = answer.as_ref().unwrap().as_ref().unwrap();
                    assert!(*found == expected, "{learner:?}, {n_classes}: {json}, fold {fold}");
                }
            }
        }
    }
}

#[test]
fn spare_threads_make_no_difference() {
    let frame = frame(3_000, 3);
    let rows: Vec<u32> = (0..3_000).collect();
    let job = |spare| Fit {
        frame: &frame,
        rows: &rows,
        parameters: Box::leak(Box::new(configuration(r#"{"n_estimators": 1500, "max_depth": 2}"#))),
        seed: 4,
        stop: Box::leak(Box::default()),
        spare,
    };
    let (none, some) = (Spare::default(), Spare::of(2));
    let recipe =
        Recipe::read(Forester::ExtraTrees, &job(&some), &Lesson::read(&job(&some)).unwrap());
    assert_eq!(borrow(&job(&some), &recipe.unwrap()).n_threads(), 2);
    let fit = |spare| Forester::ExtraTrees.fit(&job(spare)).unwrap();
    assert!(fit(&none) == fit(&some));
}

#[test]
fn a_forest_is_scored_out_of_bag() {
    for n_classes in [0, 2, 3] {
        let mut frame = frame(600, n_classes);
        if let FeatureValues::Category { codes, .. } = &mut frame.columns[1].values {
            codes.iter_mut().filter(|code| **code != MISSING).for_each(|code| *code %= 15);
        }
        let rows: Vec<u32> = (0..600).collect();
        let bag = [Fold { train: rows.clone(), validate: rows.clone() }];
        let jsons = [
            r#"{"n_estimators": 300, "bootstrap": true}"#,
            r#"{"n_estimators": 1, "bootstrap": true}"#,
            r#"{"n_estimators": 5, "bootstrap": false}"#,
        ];
        let learner = Learner::RandomForest;
        let answers = try_all(learner, &frame, &bag, &jsons, &Spare::default());
        let error = |found: &[f64]| -> f64 {
            let width = found.len() / 600;
            let each = rows.iter().map(|&row| match &frame.target {
                Target::Number(y) => (found[row as usize] - y[row as usize]).powi(2),
                Target::Class { codes, .. } => {
                    1.0 - found[row as usize * width + codes[row as usize] as usize]
                }
                Target::Unknown => 0.0,
            });
            each.sum::<f64>() / 600.0
        };
        let found = |index: usize| error(answers[index][0].as_ref().unwrap().as_ref().unwrap());
        // What a hold-out says of as large a forest, and what the model says of its own rows.
        let folds = folds_of(600, 20);
        let held = try_all(learner, &frame, &folds, &jsons[..1], &Spare::default());
        let mut apart = vec![0.0; answers[0][0].as_ref().unwrap().as_ref().unwrap().len()];
        let width = apart.len() / 600;
        for (fold, answer) in folds.iter().zip(&held[0]) {
            let answer = answer.as_ref().unwrap().as_ref().unwrap();
            for (&row, own) in fold.validate.iter().zip(answer.chunks(width)) {
                apart[row as usize * width..][..width].copy_from_slice(own);
            }
        }
        let model = fit(learner, &frame, jsons[0], &rows, 9);
        let (bag, apart) = (found(0), error(&apart));
        let own = error(&numbers(&model, &frame, &rows));
        // Squared errors; out of bag, words are ordered by half of the rows.
        assert!((0.8..1.3).contains(&(bag / apart)), "{n_classes}: {bag} beside {apart}");
        assert!(own < 0.6 * bag, "{n_classes}: {own} beside {bag}");
        // One tree has no say on most rows, which get the constant model's answer.
        assert!(found(1) > bag);
        let reason = "out_of_bag needs rows that a tree has not seen; write bootstrap: true";
        assert_eq!(answers[2][0], Some(Err(FitError::because(reason))));
    }
}

#[test]
fn missing_values_go_where_they_help() {
    for y in [[1.0, 2.0, 3.0, 1.0], [1.0, 2.0, 3.0, 3.0], [1.0, 2.0, 3.0, 9.0]] {
        let y: Vec<f64> = y.iter().cycle().take(40).copied().collect();
        let x = [0.0, 1.0, 2.0, f64::NAN];
        let x = x.iter().cycle().take(40).copied().collect();
        let frame = one(FeatureValues::Number(x), y.clone());
        let rows: Vec<u32> = (0..40).collect();
        for learner in [Learner::DecisionTree, Learner::ExtraTrees] {
            let model = fit(learner, &frame, "{}", &rows, 3);
            for (found, y) in numbers(&model, &frame, &rows).iter().zip(&y) {
                assert!((found - y).abs() < 1e-12, "{learner:?}: {found} is not {y}");
            }
        }
    }
}

#[test]
fn one_split_parts_words_by_their_mean_target() {
    let codes = [0, 1, 2, 3, MISSING];
    let y = [5.0, 1.0, 5.0, 1.0, 5.0];
    let values = FeatureValues::Category {
        codes: codes.iter().cycle().take(40).copied().collect(),
        levels: Arc::new(["a", "b", "c", "d"].map(str::to_owned).to_vec()),
    };
    let frame = one(values, y.iter().cycle().take(40).copied().collect());
    let rows: Vec<u32> = (0..40).collect();
    let model = fit(Learner::DecisionTree, &frame, "{}", &rows, 3);
    assert_eq!(numbers(&model, &frame, &rows[..5]), y);
    assert_eq!(forest(model).nodes.len(), 3);
}

/// Words of classes lie along the direction in which their shares differ.
#[test]
fn one_split_parts_words_of_three_classes() {
    let classes = [[0, 1], [2, 2], [1, 0], [2, 2], [0, 1], [2, 2]];
    let codes: Vec<u32> = (0..60).map(|row| row % 6).collect();
    let levels = ["a", "b", "c", "d", "e", "f"].map(str::to_owned).to_vec();
    let values = FeatureValues::Category { codes, levels: Arc::new(levels) };
    let mut frame = one(values, vec![0.0; 60]);
    frame.target = Target::Class {
        codes: (0..60).map(|row| classes[row % 6][row / 6 % 2]).collect(),
        labels: Arc::new(["p", "q", "r"].map(str::to_owned).to_vec()),
    };
    let rows: Vec<u32> = (0..60).collect();
    let model = fit(Learner::DecisionTree, &frame, r#"{"max_depth": 1}"#, &rows, 3);
    let found = numbers(&model, &frame, &rows[..6]);
    for (row, shares) in found.chunks(3).enumerate() {
        let expected = if row % 2 == 1 { [0.0, 0.0, 1.0] } else { [0.5, 0.5, 0.0] };
        assert_eq!(shares, expected, "{row}");
    }
}

#[test]
fn limits_are_kept() {
    let x: Vec<f64> = (0..500).map(f64::from).collect();
    let y: Vec<f64> = x.iter().map(|x| (x * 0.7).sin()).collect();
    let frame = one(FeatureValues::Number(x), y);
    let rows: Vec<u32> = (0..500).collect();
    for learner in [Learner::DecisionTree, Learner::ExtraTrees] {
        let n_nodes = |name: &str| {
            let json = format!(r#"{{"{name}": 4, "n_estimators": 1}}"#);
            forest(fit(learner, &frame, &json, &rows, 3)).nodes.len()
        };
        assert!(n_nodes("max_depth") < 32);
        assert!(n_nodes("min_samples_leaf") <= 249);
        assert!(n_nodes("min_samples_split") > 249);
    }
}

#[test]
fn a_small_forest_is_the_beginning_of_a_large_one() {
    let frame = frame(300, 0);
    let rows: Vec<u32> = (0..300).collect();
    for learner in [Learner::RandomForest, Learner::ExtraTrees] {
        let few = forest(fit(learner, &frame, r#"{"n_estimators": 3}"#, &rows, 3));
        let many = forest(fit(learner, &frame, r#"{"n_estimators": 9}"#, &rows, 3));
        assert_eq!(few.nodes[..], many.nodes[..few.nodes.len()]);
        assert_eq!(few.sizes[..], many.sizes[..3]);
        let (first, rest) = many.nodes.split_at(many.sizes[0] as usize);
        assert_ne!(first, &rest[..first.len().min(rest.len())], "{learner:?}");
    }
}
