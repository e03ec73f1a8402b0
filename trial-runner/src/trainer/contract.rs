//! What every trainer promises, checked over all of them.

mod weightless;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetfit_search_spaces::learner::ParameterKind;
use fleetfit_search_spaces::{Configuration, Learner, Setting, Training, Value, Work};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::{Fit, FitError, Spare, trainer};
use crate::frame::{FeatureColumn, FeatureValues, Frame, MISSING, Target};
use crate::model::{Model, ModelError, PredictError, Predictions};
use crate::stop::{Stop, Stopped};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Task {
    Numbers,
    TwoClasses,
    FourClasses,
}

#[test]
fn the_table_of_learners_is_kept() {
    for &learner in Learner::ALL {
        assert!(trainer(learner).is_some(), "{learner:?}");
    }
    for (learner, task) in cases() {
        let frame = synthetic(task, 60);
        let (train, _) = split(60);
        let fit = |training: &Training| {
            let job = Fit {
                frame: &frame,
                rows: &train,
                parameters: &training.parameters,
                seed: training.seed(),
                stop: &Stop::default(),
                spare: &Spare::default(),
            };
            trainer(learner).unwrap().fit(&job)
        };
        let training =
            |configuration| Work::Learner(learner).training(&configuration).expect("it trains");
        let left_out = training(Configuration::default());
        let plain = fit(&left_out).unwrap();
        for parameter in learner.parameters() {
            let name = parameter.name;
            if let Some(default) = default_of(learner, name, task) {
                let explicit = training(configuration(&[(name, default)]));
                assert_eq!(explicit.seed(), left_out.seed(), "{learner:?}: the seed with {name}");
                let explicit = fit(&explicit).unwrap();
                assert_eq!(explicit, plain, "{learner:?} {task:?}: the default of {name}");
            }
            // Every parameter is read: nonsense is a reason, not ignored.
            let nonsense = Setting::Nested(Configuration::default());
            let parameters = Configuration(vec![(name.to_owned(), nonsense)]);
            let outcome = fit(&Training { learner, parameters });
            let reason = format!("{name} is a map, but one value is needed");
            assert_eq!(outcome, Err(FitError::Failed(reason)), "{learner:?}");
        }
    }
}

/// What a parameter is for a task when it is left out, where that can be written.
fn default_of(learner: Learner, name: &str, task: Task) -> Option<Value> {
    let parameter = learner.parameter(name)?;
    let word = |word: &str| Some(Value::Text(word.to_owned()));
    match parameter.kind {
        _ if parameter.default.is_some() => parameter.default,
        ParameterKind::WordByTask { numbers, .. } if task == Task::Numbers => word(numbers[0]),
        ParameterKind::WordByTask { classes, .. } => word(classes[0]),
        ParameterKind::Share(_) => word(if task == Task::Numbers { "all" } else { "sqrt" }),
        ParameterKind::IntOrNone(..) => word("none"),
        _ => None,
    }
}

/// Every learner that has a trainer, with the tasks it does.
fn cases() -> Vec<(Learner, Task)> {
    let mut cases = Vec::new();
    for learner in [Learner::Ridge, Learner::Lasso, Learner::ElasticNet] {
        cases.push((learner, Task::Numbers));
    }
    for learner in [Learner::LogisticRegression, Learner::NaiveBayes] {
        cases.push((learner, Task::TwoClasses));
        cases.push((learner, Task::FourClasses));
    }
    for learner in [
        Learner::DecisionTree,
        Learner::RandomForest,
        Learner::ExtraTrees,
        Learner::Knn,
        Learner::Svm,
        Learner::GradientBoosting,
        Learner::Mlp,
    ] {
        cases.push((learner, Task::Numbers));
        cases.push((learner, Task::TwoClasses));
        cases.push((learner, Task::FourClasses));
    }
    cases
}

fn unit(rng: &mut Pcg64Mcg) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

fn number(name: &str, values: Vec<f64>) -> FeatureColumn {
    FeatureColumn { name: name.into(), values: FeatureValues::Number(values) }
}

fn words(name: &str, codes: Vec<u32>, levels: &[&str]) -> FeatureColumn {
    FeatureColumn {
        name: name.into(),
        values: FeatureValues::Category {
            codes,
            levels: Arc::new(levels.iter().map(|level| (*level).to_owned()).collect()),
        },
    }
}

/// The labels of the data set; "never" is seen by no entity.
const LABELS: [&str; 5] = ["north", "never", "east", "south", "west"];

/// A target of a task, from a signal around zero.
fn target(task: Task, signal: &[f64]) -> Target {
    let class = |value: f64| match task {
        Task::Numbers => 0,
        Task::TwoClasses => [0, 3][usize::from(value > 0.0)],
        Task::FourClasses => [0, 2, 3, 4][((value / 2.0 + 2.0).max(0.0) as usize).min(3)],
    };
    match task {
        Task::Numbers => Target::Number(signal.iter().map(|value| value * 10.0 + 500.0).collect()),
        _ => Target::Class {
            codes: signal.iter().map(|value| class(*value)).collect(),
            labels: Arc::new(LABELS.iter().map(|label| (*label).to_owned()).collect()),
        },
    }
}

/// A seeded task with numbers, words, missing values and noise.
fn synthetic(task: Task, n_rows: usize) -> Frame {
    let mut rng = Pcg64Mcg::seed_from_u64(7);
    let mut draw =
        |scale: f64| -> Vec<f64> { (0..n_rows).map(|_| (unit(&mut rng) - 0.5) * scale).collect() };
    let (mut a, b, useless, noise, which) = (draw(4.0), draw(4.0), draw(1.0), draw(1.0), draw(1.0));
    let codes: Vec<u32> = which.iter().map(|which| ((which + 0.5) * 3.0) as u32).collect();
    let effect = [-1.5, 0.0, 1.5];
    let signal: Vec<f64> = (0..n_rows)
        .map(|row| 1.5 * a[row] - b[row] + effect[codes[row] as usize] + 0.3 * noise[row])
        .collect();
    let mut codes = codes;
    for row in (0..n_rows).step_by(17) {
        a[row] = f64::NAN;
        codes[row / 2] = MISSING;
    }
    Frame {
        columns: vec![
            number("a", a),
            words("kind", codes, &["1 low", "2 middle", "3 high"]),
            number("b", b),
            number("useless", useless),
        ],
        target: target(task, &signal),
        weights: None,
        timeline: None,
        n_rows,
    }
}

fn fit(learner: Learner, frame: &Frame, rows: &[u32], seed: u64) -> Result<Model, FitError> {
    let job = Fit {
        frame,
        rows,
        parameters: &Configuration::default(),
        seed,
        stop: &Stop::default(),
        spare: &Spare::default(),
    };
    trainer(learner).unwrap().fit(&job)
}

fn numbers_of(predictions: &Predictions) -> &[f64] {
    match predictions {
        Predictions::Numbers(numbers) => numbers,
        Predictions::Classes { probabilities, .. } => probabilities,
    }
}

fn bits(model: &Model, frame: &Frame, rows: &[u32]) -> Vec<u64> {
    let predictions = model.predict(frame, rows).unwrap();
    numbers_of(&predictions).iter().map(|value| value.to_bits()).collect()
}

/// The squared error; for classes that of the probabilities (Brier's score).
fn loss(model: &Model, frame: &Frame, rows: &[u32]) -> f64 {
    let each: Vec<f64> = match (model.predict(frame, rows).unwrap(), &frame.target) {
        (Predictions::Numbers(found), Target::Number(y)) => {
            let pairs = rows.iter().zip(found);
            pairs.map(|(&row, found)| (y[row as usize] - found).powi(2)).collect()
        }
        (Predictions::Classes { probabilities, labels }, Target::Class { codes, .. }) => rows
            .iter()
            .zip(probabilities.chunks(labels.len()))
            .map(|(&row, shares)| {
                let is_it = |label: usize| f64::from(u8::from(codes[row as usize] == label as u32));
                let errors = shares.iter().enumerate();
                errors.map(|(label, share)| (share - is_it(label)).powi(2)).sum()
            })
            .collect(),
        _ => panic!("the prediction is of another kind than the target"),
    };
    each.iter().sum::<f64>() / each.len() as f64
}

fn split(n_rows: usize) -> (Vec<u32>, Vec<u32>) {
    (0..n_rows as u32).partition(|row| row % 3 != 0)
}

/// A small fitted model of every kind, and what it can predict on.
pub(crate) fn fitted() -> Vec<(Model, Frame)> {
    let each = cases().into_iter().map(|(learner, task)| {
        let frame = synthetic(task, 20);
        let (train, _) = split(20);
        (fit(learner, &frame, &train, 1).unwrap(), frame)
    });
    each.chain(super::series_contract::fitted()).collect()
}

#[test]
fn beats_the_constant_model() {
    for (learner, task) in cases() {
        let frame = synthetic(task, 900);
        let (train, test) = split(900);
        let model = fit(learner, &frame, &train, 1).unwrap();
        let constant = Model::constant(model.answer.clone());
        let (found, bar) = (loss(&model, &frame, &test), loss(&constant, &frame, &test));
        assert!(found < 0.6 * bar, "{learner:?} {task:?}: {found} is not below 0.6 × {bar}");
    }
}

#[test]
fn round_trips_to_the_bit_and_refuses_damage() {
    for (learner, task) in cases() {
        let frame = synthetic(task, 200);
        let (train, test) = split(200);
        let model = fit(learner, &frame, &train, 1).unwrap();
        let mut bytes = model.to_bytes();
        let again = Model::from_bytes(&bytes).unwrap();
        assert_eq!(again, model, "{learner:?} {task:?}");
        assert_eq!(bits(&again, &frame, &test), bits(&model, &frame, &test));
        let middle = bytes.len() / 2;
        assert_eq!(Model::from_bytes(&bytes[..middle]), Err(ModelError::Damaged));
        bytes[middle] ^= 1;
        assert_eq!(Model::from_bytes(&bytes), Err(ModelError::Damaged));
        bytes[4] = 200;
        assert_eq!(Model::from_bytes(&bytes), Err(ModelError::Newer { found: 200 }));
    }
    assert_eq!(Model::from_bytes(b""), Err(ModelError::Damaged));
}

#[test]
fn repeats_by_seed() {
    for (learner, task) in cases() {
        let frame = synthetic(task, 200);
        let (train, _) = split(200);
        let model = fit(learner, &frame, &train, 5).unwrap();
        assert_eq!(model.to_bytes(), fit(learner, &frame, &train, 5).unwrap().to_bytes());
        let other = fit(learner, &frame, &train, 6).unwrap();
        let is_random =
            matches!(learner, Learner::RandomForest | Learner::ExtraTrees | Learner::Mlp);
        assert_eq!(model != other, is_random, "{learner:?} {task:?}");
    }
}

#[test]
fn finds_its_columns_by_name() {
    for (learner, task) in cases() {
        let frame = synthetic(task, 200);
        let (train, test) = split(200);
        let model = fit(learner, &frame, &train, 1).unwrap();
        let mut other = frame.clone();
        other.target = Target::Unknown;
        other.columns.reverse();
        other.columns.insert(1, number("more", vec![1.0; 200]));
        for column in &mut other.columns {
            if let FeatureValues::Category { codes, .. } = &column.values {
                // "1 low" was 0 and is 1, and so on.
                let codes = codes.iter().map(|&code| [1, 2, 3].get(code as usize).copied());
                let codes = codes.map(|code| code.unwrap_or(MISSING)).collect();
                *column = words("kind", codes, &["0 unheard of", "1 low", "2 middle", "3 high"]);
            }
        }
        assert_eq!(bits(&model, &other, &test), bits(&model, &frame, &test), "{learner:?}");
        // Words and holes that training never saw.
        for column in &mut other.columns {
            match &mut column.values {
                FeatureValues::Category { codes, .. } => codes.fill(0),
                FeatureValues::Number(values) => values[..100].fill(f64::NAN),
            }
        }
        assert_sound(learner, &model, &other);
        other.columns.retain(|column| &*column.name != "b");
        let missing = PredictError::MissingColumn { name: "b".into() };
        assert_eq!(model.predict(&other, &test), Err(missing), "{learner:?} {task:?}");
        other.columns.push(words("b", vec![0; 200], &["many"]));
        let wrong = model.predict(&other, &test).unwrap_err();
        assert_eq!(wrong.to_string(), "column b holds words, but the model learnt from numbers");
    }
}

/// Predictions are numbers, and probabilities sum to one.
#[track_caller]
fn assert_sound(learner: Learner, model: &Model, frame: &Frame) {
    let rows: Vec<u32> = (0..frame.n_rows as u32).collect();
    let predictions = model.predict(frame, &rows).unwrap();
    let numbers = numbers_of(&predictions);
    assert!(numbers.iter().all(|number| number.is_finite()), "{learner:?}: {numbers:?}");
    if let Predictions::Classes { probabilities, labels } = &predictions {
        for row in probabilities.chunks(labels.len()) {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{learner:?}: {row:?}");
            assert!(row.iter().all(|share| (0.0..=1.0).contains(share)), "{learner:?}: {row:?}");
        }
    }
}

/// Frames that break careless code, with what they are.
fn hostile(task: Task) -> Vec<(&'static str, Frame)> {
    let wave =
        |n: usize, step: f64| -> Vec<f64> { (0..n).map(|row| (row as f64 * step).sin()).collect() };
    let frame = |columns: Vec<FeatureColumn>, n: usize, task: Task| Frame {
        columns,
        target: target(task, &wave(n, 1.0).iter().map(|value| value * 4.0).collect::<Vec<_>>()),
        weights: None,
        timeline: None,
        n_rows: n,
    };
    let wide = (0..300).map(|index| number(&format!("x{index}"), wave(20, 0.1 + index as f64)));
    let huge = wave(20, 0.5).iter().map(|value| value * 1e300).collect();
    let tiny = wave(20, 0.5).iter().map(|value| value * 1e-300).collect();
    let mut edge = wave(20, 2.0);
    (edge[0], edge[1], edge[2], edge[3]) = (f64::MAX, f64::MIN, f64::INFINITY, f64::NEG_INFINITY);
    let many: Vec<String> = (0..200).map(|index| format!("word {index:03}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut constant = frame(vec![number("a", wave(20, 0.5))], 20, task);
    constant.target = target(task, &[1.0; 20]);
    let mut heavy = frame(vec![number("a", wave(20, 0.5))], 20, task);
    if let Target::Number(y) = &mut heavy.target {
        y[3] = 1e300;
    }
    vec![
        (
            "constant columns",
            frame(vec![number("a", vec![3.0; 20]), words("b", vec![0; 20], &["x"])], 20, task),
        ),
        ("constant target", constant),
        ("one row", frame(vec![number("a", vec![3.0])], 1, task)),
        ("two rows", frame(vec![number("a", vec![3.0, 4.0])], 2, task)),
        ("no rows", frame(vec![number("a", vec![])], 0, task)),
        (
            "all missing",
            frame(
                vec![number("a", vec![f64::NAN; 20]), words("b", vec![MISSING; 20], &[])],
                20,
                task,
            ),
        ),
        ("no columns", frame(vec![], 20, task)),
        (
            "duplicates",
            frame(
                vec![
                    number("a", wave(20, 0.5)),
                    number("b", wave(20, 0.5)),
                    number("c", wave(20, 0.5)),
                ],
                20,
                task,
            ),
        ),
        ("1e300", frame(vec![number("a", huge), number("b", wave(20, 2.0))], 20, task)),
        ("1e-300", frame(vec![number("a", tiny), number("b", wave(20, 2.0))], 20, task)),
        ("edges of the format", frame(vec![number("a", edge)], 20, task)),
        ("wide", frame(wide.collect(), 20, task)),
        (
            "many words",
            frame(vec![words("a", (0..400).map(|row| row % 200).collect(), &many)], 400, task),
        ),
        ("target of 1e300", heavy),
    ]
}

#[test]
fn survives_hostile_frames() {
    for (learner, task) in cases() {
        for (what, frame) in hostile(task) {
            for standardize in [true, false] {
                let parameters = configuration(&[("standardize", Value::Bool(standardize))]);
                let rows: Vec<u32> = (0..frame.n_rows as u32).collect();
                let job = Fit {
                    frame: &frame,
                    rows: &rows,
                    parameters: &parameters,
                    seed: 1,
                    stop: &Stop::default(),
                    spare: &Spare::default(),
                };
                match trainer(learner).unwrap().fit(&job) {
                    Ok(model) => assert_sound(learner, &model, &frame),
                    Err(FitError::Failed(reason)) => {
                        let allowed = match what {
                            "no rows" => "there are no rows to learn from",
                            "target of 1e300" => "the target has the value 1e300",
                            "1e300" | "edges of the format" if !standardize => "too large",
                            _ => panic!("{learner:?} {task:?} on {what}: {reason}"),
                        };
                        assert!(reason.contains(allowed), "{learner:?} on {what}: {reason}");
                    }
                    Err(stopped) => panic!("{learner:?} on {what}: {stopped}"),
                }
            }
        }
    }
}

#[test]
fn what_is_constant_is_predicted() {
    for (learner, task) in cases() {
        let mut frame = synthetic(task, 60);
        frame.target = target(task, &[0.1; 60]);
        let (train, _) = split(60);
        let model = fit(learner, &frame, &train, 1).unwrap();
        let found = model.predict(&frame, &[0]).unwrap();
        match task {
            Task::Numbers => assert_eq!(found, Predictions::Numbers(vec![501.0])),
            _ => assert_eq!(numbers_of(&found), [0.0, 0.0, 0.0, 1.0, 0.0], "{learner:?}"),
        }
    }
}

fn configuration(pairs: &[(&str, Value)]) -> Configuration {
    let pairs = pairs.iter();
    Configuration(
        pairs.map(|(name, value)| ((*name).to_owned(), Setting::Value(value.clone()))).collect(),
    )
}

#[test]
fn stops_when_told() {
    for (learner, task) in cases() {
        let frame = synthetic(task, 200);
        let (train, _) = split(200);
        let stop = Stop::default();
        stop.cancel();
        let job = Fit {
            frame: &frame,
            rows: &train,
            parameters: &Configuration::default(),
            seed: 1,
            stop: &stop,
            spare: &Spare::default(),
        };
        let stopped = trainer(learner).unwrap().fit(&job);
        assert_eq!(stopped, Err(FitError::Stopped(Stopped::Cancelled)), "{learner:?} {task:?}");
    }
}

#[test]
fn long_fits_end_at_the_deadline() {
    let long = [
        (Learner::RandomForest, Task::Numbers, vec![("n_estimators", Value::Int(100_000))]),
        (Learner::ExtraTrees, Task::FourClasses, vec![("n_estimators", Value::Int(100_000))]),
        (Learner::Svm, Task::Numbers, vec![("C", Value::Float(1e6)), ("tol", Value::Float(1e-12))]),
        (Learner::LogisticRegression, Task::FourClasses, vec![("C", Value::Float(1e9))]),
        (Learner::GradientBoosting, Task::Numbers, vec![("n_estimators", Value::Int(100_000))]),
        (Learner::Mlp, Task::FourClasses, vec![("max_iter", Value::Int(100_000))]),
    ];
    for (learner, task, pairs) in long {
        let frame = synthetic(task, 30_000);
        let rows: Vec<u32> = (0..30_000).collect();
        let start = Instant::now();
        let deadline = start + Duration::from_millis(5);
        let job = Fit {
            frame: &frame,
            rows: &rows,
            parameters: &configuration(&pairs),
            seed: 1,
            stop: &Stop::default().with_deadline(Some(deadline)),
            spare: &Spare::default(),
        };
        let stopped = trainer(learner).unwrap().fit(&job).err();
        assert_eq!(stopped, Some(FitError::Stopped(Stopped::TimedOut)), "{learner:?}");
        assert!(start.elapsed() < Duration::from_secs(1), "{learner:?}: {:?}", start.elapsed());
    }
}

#[test]
fn a_learner_of_numbers_refuses_classes_and_the_reverse() {
    let rows: Vec<u32> = (0..50).collect();
    let classes = synthetic(Task::TwoClasses, 50);
    let reason = fit(Learner::Ridge, &classes, &rows, 1).unwrap_err().to_string();
    assert_eq!(reason, "ridge predicts numbers, but the target is a class");
    let numbers = synthetic(Task::Numbers, 50);
    let reason = fit(Learner::NaiveBayes, &numbers, &rows, 1).unwrap_err().to_string();
    assert_eq!(reason, "naive_bayes predicts classes, but the target is a number");
}

#[test]
fn a_row_of_weight_two_is_two_rows() {
    let mut frame = synthetic(Task::Numbers, 90);
    // Sets of words are judged row by row.
    frame.columns.remove(1);
    let once: Vec<u32> = (0..90).filter(|row| row % 17 != 0).collect();
    let twice: Vec<u32> = once.iter().chain(&once[..30]).copied().collect();
    let weights = (0..90).map(|row| if row <= once[29] { 2.0 } else { 1.0 });
    let weights: Vec<f64> = weights.collect();
    let parameters = configuration(&[
        ("standardize", Value::Bool(false)),
        ("alpha", Value::Float(0.1)),
        ("tol", Value::Float(1e-12)),
    ]);
    for learner in [
        Learner::Ridge,
        Learner::Lasso,
        Learner::ElasticNet,
        Learner::DecisionTree,
        Learner::GradientBoosting,
        Learner::LogisticRegression,
    ] {
        if learner == Learner::LogisticRegression {
            let signal: Vec<f64> = (0..90).map(|row| f64::from(row * 7 % 10) - 4.5).collect();
            frame.target = target(Task::FourClasses, &signal);
        }
        let mut predict = |rows: &[u32], weights: Option<&Vec<f64>>| {
            frame.weights = weights.cloned();
            let job = Fit {
                frame: &frame,
                rows,
                parameters: &parameters,
                seed: 1,
                stop: &Stop::default(),
                spare: &Spare::default(),
            };
            let model = trainer(learner).unwrap().fit(&job).unwrap();
            numbers_of(&model.predict(&frame, &once).unwrap()).to_vec()
        };
        let (expected, found) = (predict(&twice, None), predict(&once, Some(&weights)));
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-6, "{learner:?}: {found} is not {expected}");
        }
    }
    frame.weights = Some(weights);
    let reason = fit(Learner::Knn, &frame, &once, 1).unwrap_err().to_string();
    assert_eq!(reason, "knn can't weigh rows, and the data has a weight column");
}

/// To the bit, where the size is a power of two.
#[test]
fn the_size_of_features_changes_nothing() {
    for (learner, task) in [
        (Learner::Ridge, Task::Numbers),
        (Learner::Lasso, Task::Numbers),
        (Learner::Knn, Task::Numbers),
        (Learner::Svm, Task::Numbers),
        (Learner::Mlp, Task::Numbers),
        (Learner::LogisticRegression, Task::FourClasses),
    ] {
        let mut frame = synthetic(task, 60);
        let (train, test) = split(60);
        let expected = bits(&fit(learner, &frame, &train, 1).unwrap(), &frame, &test);
        for power in [-300, 1_000, 21] {
            for column in &mut frame.columns {
                if let FeatureValues::Number(values) = &mut column.values {
                    values.iter_mut().for_each(|value| *value *= 2.0_f64.powi(power));
                }
            }
            let found = bits(&fit(learner, &frame, &train, 1).unwrap(), &frame, &test);
            assert_eq!(found, expected, "{learner:?}, 2^{power} times as much");
        }
    }
    let mut frame = synthetic(Task::Numbers, 60);
    frame.columns[2] = number("b", (0..60).map(|row| f64::from(row) * 1e200).collect());
    let raw = configuration(&[("standardize", Value::Bool(false))]);
    let (rows, stop, spare) = ([0, 1, 2], Stop::default(), Spare::default());
    let job =
        Fit { frame: &frame, rows: &rows, parameters: &raw, seed: 1, stop: &stop, spare: &spare };
    for learner in [Learner::Ridge, Learner::Knn, Learner::Svm] {
        let reason = trainer(learner).unwrap().fit(&job).unwrap_err().to_string();
        let expected = "column b has the value 1e200, too large for this learner as it is; \
                        write standardize: true";
        assert_eq!(reason, expected);
    }
}

/// A whole weight is so many rows in what features are filled with, centred and scaled by, too.
#[test]
fn features_are_made_of_weighed_rows() {
    let once: Vec<u32> = (0..90).collect();
    let weigh = |row: u32| [1, 3, 0, 2][row as usize % 4];
    let repeated: Vec<u32> = once.iter().flat_map(|&row| vec![row; weigh(row) as usize]).collect();
    let scaled = configuration(&[("alpha", Value::Float(0.1)), ("tol", Value::Float(1e-12))]);
    for (learner, task) in [
        (Learner::Ridge, Task::Numbers),
        (Learner::Lasso, Task::Numbers),
        (Learner::ElasticNet, Task::Numbers),
        (Learner::LogisticRegression, Task::FourClasses),
        (Learner::NaiveBayes, Task::FourClasses),
    ] {
        let mut frame = synthetic(task, 90);
        // What weighs nothing is far away, and has a word of its own.
        for column in &mut frame.columns {
            match &mut column.values {
                FeatureValues::Number(values) => {
                    values.iter_mut().skip(2).step_by(4).for_each(|value| *value += 1e3);
                }
                FeatureValues::Category { codes, levels } => {
                    codes.iter_mut().skip(2).step_by(4).for_each(|code| *code = 3);
                    Arc::make_mut(levels).push("4 weightless".into());
                }
            }
        }
        let fit = |frame: &Frame, rows: &[u32]| {
            let (stop, spare) = (Stop::default(), Spare::default());
            let job = Fit { frame, rows, parameters: &scaled, seed: 1, stop: &stop, spare: &spare };
            let model = trainer(learner).unwrap().fit(&job).unwrap();
            numbers_of(&model.predict(frame, &once).unwrap()).to_vec()
        };
        let expected = fit(&frame, &repeated);
        frame.weights = Some(once.iter().map(|&row| f64::from(weigh(row))).collect());
        for (found, expected) in fit(&frame, &once).iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-6, "{learner:?}: {found} is not {expected}");
        }
    }
}
