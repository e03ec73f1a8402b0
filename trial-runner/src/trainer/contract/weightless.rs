//! A row of weight 0 is as none, whatever it holds.

use std::sync::Arc;

use super::{Task, cases, fit, numbers_of, synthetic};
use crate::folds::Fold;
use crate::frame::{FeatureValues, Frame, MISSING, Target};
use crate::stop::Stop;
use crate::trainer::searched::try_all;
use crate::trainer::{Spare, trainer};

use fleetfit_search_spaces::Learner;

/// One row in so many of the wild frame is of weight 0.
const STEP: usize = 6;
const N_ROWS: usize = 120;
const ODD: [f64; 6] = [1e12, -1e300, f64::NAN, f64::INFINITY, 5e-324, -1e12];

/// Where a row of the plain frame stands in the wild one.
fn place(row: u32) -> u32 {
    row + row / (STEP as u32 - 1) + 1
}

/// A task with weights; and the same with rows of weight 0 among the others that hold what no other
/// row does.
fn frames(task: Task) -> (Frame, Frame) {
    let mut plain = synthetic(task, N_ROWS);
    plain.weights = Some((0..N_ROWS).map(|row| [0.5, 1.0, 2.0][row % 3]).collect());
    let n_rows = place(N_ROWS as u32 - 1) as usize + 1;
    let mut of_row = vec![None; n_rows];
    (0..N_ROWS).for_each(|row| of_row[place(row as u32) as usize] = Some(row));
    let odd = |place: usize| ODD[place / STEP % ODD.len()];
    let numbers = |values: &[f64]| {
        let each = of_row.iter().enumerate();
        each.map(|(place, row)| row.map_or(odd(place), |row| values[row])).collect::<Vec<f64>>()
    };
    let codes = |codes: &[u32], others: &[u32]| {
        let each = of_row.iter().enumerate();
        let odd = |place: usize| others[place / STEP % others.len()];
        each.map(|(place, row)| row.map_or(odd(place), |row| codes[row])).collect::<Vec<u32>>()
    };
    let mut wild = plain.clone();
    wild.n_rows = n_rows;
    for column in &mut wild.columns {
        match &mut column.values {
            FeatureValues::Number(values) => *values = numbers(values),
            FeatureValues::Category { codes: own, levels } => {
                let first = std::iter::once("0 of no weight".to_owned());
                *levels = Arc::new(first.chain(levels.iter().cloned()).collect());
                own.iter_mut().filter(|code| **code != MISSING).for_each(|code| *code += 1);
                *own = codes(own, &[0, 1, MISSING]);
            }
        }
    }
    match &mut wild.target {
        Target::Number(values) => *values = numbers(values),
        // "never" is a label that no row with a weight has.
        Target::Class { codes: own, .. } => *own = codes(own, &[1, MISSING]),
        Target::Unknown => {}
    }
    let weights = plain.weights.iter().flatten();
    let mut weights = weights.copied();
    wild.weights =
        Some(of_row.iter().map(|row| row.map_or(0.0, |_| weights.next().unwrap())).collect());
    (plain, wild)
}

/// Configurations of a learner that read rows in different ways, and are soon fitted.
fn jsons(learner: Learner) -> &'static [&'static str] {
    match learner {
        Learner::Ridge | Learner::Lasso | Learner::ElasticNet => &[
            r#"{"alpha": 0.1}"#,
            r#"{"alpha": 0.1, "standardize": false}"#,
            r#"{"alpha": 0.1, "fit_intercept": false}"#,
        ],
        Learner::LogisticRegression => &["{}", r#"{"standardize": false}"#],
        Learner::GradientBoosting => &[
            r#"{"n_estimators": 8}"#,
            r#"{"n_estimators": 8, "early_stopping_rounds": 2, "min_child_samples": 3}"#,
            r#"{"n_estimators": 8, "subsample": 0.7, "colsample_bytree": 0.5, "max_bin": 16}"#,
        ],
        Learner::DecisionTree => &["{}", r#"{"min_samples_leaf": 0.05, "max_bin": 16}"#],
        Learner::RandomForest | Learner::ExtraTrees => {
            &[r#"{"n_estimators": 5}"#, r#"{"n_estimators": 5, "max_bin": 16}"#]
        }
        Learner::Mlp => &[
            r#"{"max_iter": 5, "hidden_units": 4}"#,
            r#"{"max_iter": 9, "hidden_units": 4, "early_stopping_rounds": 2}"#,
        ],
        _ => &["{}"],
    }
}

fn near(one: &[f64], other: &[f64]) -> bool {
    let mut pairs = one.iter().zip(other);
    one.len() == other.len()
        && pairs.all(|(one, other)| (one - other).abs() <= 1e-9 * one.abs().max(1.0))
}

#[test]
fn rows_of_weight_0_are_as_none_whatever_they_hold() {
    let can_weigh = |learner: Learner| !matches!(learner, Learner::Knn | Learner::Svm);
    for (learner, task) in cases().into_iter().filter(|(learner, _)| can_weigh(*learner)) {
        let (plain, wild) = frames(task);
        let n_labels = if task == Task::Numbers { 1 } else { super::LABELS.len() };
        let fold = |n: u32| {
            let (validate, train) = (0..N_ROWS as u32).partition(|row| row % 3 == n);
            Fold { train, validate }
        };
        let folds: Vec<Fold> = (0..3).map(fold).collect();
        // Those without a weight train in every fold, and are predicted for after the others.
        let weightless = (0..wild.n_rows as u32).step_by(STEP);
        let wilder = |fold: &Fold| {
            let known = |rows: &[u32]| rows.iter().map(|&row| place(row)).collect::<Vec<u32>>();
            let mut train = [known(&fold.train), weightless.clone().collect()].concat();
            train.sort_unstable();
            let validate = [known(&fold.validate), weightless.clone().collect()].concat();
            Fold { train, validate }
        };
        let wild_folds: Vec<Fold> = folds.iter().map(wilder).collect();
        let (stop, spare) = (Stop::default(), Spare::default());
        let tried = |frame: &Frame, folds: &[Fold]| {
            let trainer = trainer(learner).unwrap();
            try_all(trainer, frame, folds, jsons(learner), (&stop, &spare))
        };
        let (expected, found) = (tried(&plain, &folds), tried(&wild, &wild_folds));
        for (json, (expected, found)) in jsons(learner).iter().zip(expected.iter().zip(&found)) {
            for (expected, found) in expected.iter().zip(found) {
                let expected = expected.as_ref().unwrap().as_ref().unwrap();
                let found = found.as_ref().unwrap().as_ref().unwrap();
                let (known, others) = found.split_at(expected.len());
                assert!(near(expected, known), "{learner:?} {task:?} {json}");
                assert!(!others.is_empty() && others.iter().all(|value| value.is_finite()));
            }
        }
        let all: Vec<u32> = (0..N_ROWS as u32).collect();
        let wild_all: Vec<u32> = (0..wild.n_rows as u32).collect();
        let expected = fit(learner, &plain, &all, 1).unwrap().predict(&plain, &all).unwrap();
        let model = fit(learner, &wild, &wild_all, 1).unwrap();
        let found = model.predict(&wild, &wild_all).unwrap();
        let found = numbers_of(&found);
        let of_row = |&row: &u32| &found[place(row) as usize * n_labels..][..n_labels];
        let found_there: Vec<f64> = all.iter().flat_map(of_row).copied().collect();
        assert!(near(numbers_of(&expected), &found_there), "{learner:?} {task:?}, fitted");
        assert!(found.iter().all(|value| value.is_finite()), "{learner:?} {task:?}");
        let none: Vec<u32> = weightless.collect();
        let refused = fit(learner, &wild, &none, 1).unwrap_err().to_string();
        assert_eq!(refused, "the weights of all rows to learn from are 0");
    }
}

#[test]
fn a_weight_that_is_too_heavy_says_what_to_write() {
    let (mut plain, _) = frames(Task::Numbers);
    if let Some(weights) = &mut plain.weights {
        weights[3] = 2e100;
    }
    let rows: Vec<u32> = (0..N_ROWS as u32).collect();
    let refused = fit(Learner::Ridge, &plain, &rows, 1).unwrap_err().to_string();
    assert_eq!(refused, "a row has the weight 2e100; write a number from 0 to 1e100");
}
