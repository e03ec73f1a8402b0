//! Properties of every trainer on data that nobody would send on purpose: seeded frames of every
//! kind of trouble, configurations from anywhere within the bounds.
//!
//! Nothing panics, nothing that comes out is not a number, what cannot be fitted has a reason that a
//! user can read, and threads that help change nothing. `hostile/series.rs` has series.

mod series;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use fleetfit_search_spaces::learner::ParameterKind;
use fleetfit_search_spaces::{Configuration, Learner, Measure, Setting, Value};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::laid_out::LaidOut;
use super::{Candidate, FitError, Hand, Heard, Predicted, Spare, Trials};
use crate::folds::Fold;
use crate::frame::{FeatureColumn, FeatureValues, Frame, MISSING, Target};
use crate::metrics::{Judged, Yardstick, measure};
use crate::model::{Model, Predictions};
use crate::stop::Stop;

/// A seeded source of trouble.
struct Trouble(Pcg64Mcg);

impl Trouble {
    fn new(seed: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(seed))
    }

    /// A whole number below this one.
    fn below(&mut self, n: usize) -> usize {
        (self.0.next_u64() % n.max(1) as u64) as usize
    }

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// Once in so many times.
    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// From -1 to 1.
    fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    /// Numbers of one kind, and some of them of another.
    fn numbers(&mut self, n: usize) -> Vec<f64> {
        const ODD: &[f64] = &[
            0.0,
            -0.0,
            1e300,
            -1e300,
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE,
            5e-324,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
        ];
        let scale = self.one_of(&[1.0, 1.0, 1.0, 1e-300, 1e-8, 1e9, 1e150, 1e300]);
        let shift = self.one_of(&[0.0, 0.0, 1.0, -1e15]);
        let kind = self.below(6);
        let constant = self.one_of(ODD);
        let mut values: Vec<f64> = (0..n)
            .map(|row| match kind {
                0 => constant,
                1 => f64::from(row as u32),
                2 => (self.unit() * 3.0).round(),
                _ => shift + scale * self.unit(),
            })
            .collect();
        if self.once_in(2) && n > 0 {
            for _ in 0..self.below(n) {
                values[self.below(n)] = self.one_of(ODD);
            }
        }
        values
    }

    /// Words, of which a model may see a few.
    fn words(&mut self, n: usize) -> FeatureValues {
        let n_levels = self.one_of(&[0, 1, 2, 5, 70, 300, 10_000]);
        let levels: Vec<String> = (0..n_levels).map(|level| format!("word {level:05}")).collect();
        let misses = self.one_of(&[0, 0, 2, 1]);
        let codes = (0..n).map(|_| match n_levels {
            0 => MISSING,
            _ if misses > 0 && self.once_in(misses) => MISSING,
            _ => self.below(n_levels) as u32,
        });
        FeatureValues::Category { codes: codes.collect(), levels: Arc::new(levels) }
    }

    fn columns(&mut self, n_rows: usize) -> Vec<FeatureColumn> {
        let n_columns = self.one_of(&[0, 1, 2, 3, 5, 8, 300]);
        let mut columns: Vec<FeatureColumn> = Vec::new();
        for index in 0..n_columns {
            let values = match self.below(5) {
                0 => self.words(n_rows),
                1 if index > 0 => columns[self.below(index)].values.clone(),
                _ => FeatureValues::Number(self.numbers(n_rows)),
            };
            columns.push(FeatureColumn { name: format!("x{index}").into(), values });
        }
        columns
    }

    /// What a data set hands over: never missing, never infinite.
    fn target(&mut self, n_rows: usize, is_class: bool) -> Target {
        if is_class {
            let n_labels = self.one_of(&[1, 2, 2, 3, 30]);
            let seen = 1 + self.below(n_labels);
            let labels = (0..n_labels).map(|label| format!("label {label:02}")).collect();
            let codes = (0..n_rows).map(|_| match self.once_in(4) {
                true => self.below(seen) as u32,
                false => 0,
            });
            return Target::Class { codes: codes.collect(), labels: Arc::new(labels) };
        }
        let mut values = self.numbers(n_rows);
        let is_counted = self.once_in(3);
        for value in &mut values {
            *value = if value.is_finite() { *value } else { 1.0 };
            if is_counted {
                *value = value.abs().min(1e6).round();
            }
        }
        Target::Number(values)
    }

    fn weights(&mut self, n_rows: usize) -> Option<Vec<f64>> {
        let kinds = [&[1.0][..], &[0.0, 1.0], &[0.0], &[1e100, 1e-300], &[1e-300], &[0.5, 2.0]];
        let kind = self.one_of(&kinds);
        self.once_in(4).then(|| (0..n_rows).map(|_| self.one_of(kind)).collect())
    }

    fn frame(&mut self, is_class: bool) -> Frame {
        let n_rows = self.one_of(&[0, 1, 2, 3, 7, 20, 41, 90]);
        Frame {
            columns: self.columns(n_rows),
            target: self.target(n_rows, is_class),
            weights: self.weights(n_rows),
            timeline: None,
            n_rows,
        }
    }

    /// Two folds over some of the rows.
    fn folds(&mut self, n_rows: usize) -> Vec<Fold> {
        let fold = |trouble: &mut Self| {
            let (train, validate) = (0..n_rows as u32).partition(|_| !trouble.once_in(3));
            Fold { train, validate }
        };
        vec![fold(self), fold(self)]
    }

    /// Some of a learner's parameters, from anywhere within their bounds; counts are small, so that
    /// it does not take long.
    fn configuration(&mut self, learner: Learner) -> Configuration {
        let mut pairs = Vec::new();
        for parameter in learner.parameters() {
            if self.once_in(2) {
                continue;
            }
            let value = self.value(&parameter.kind, parameter.name);
            pairs.push((parameter.name.to_owned(), Setting::Value(value)));
        }
        Configuration(pairs)
    }

    fn value(&mut self, kind: &ParameterKind, name: &str) -> Value {
        let word = |word: &str| Value::Text(word.to_owned());
        match kind {
            ParameterKind::Int(low, high) | ParameterKind::IntOrNone(low, high) => {
                let most = match name {
                    "n_estimators" => 9,
                    "max_iter" => 60,
                    _ => *high,
                };
                let near = low.saturating_add(self.below(9) as i64);
                Value::Int(self.one_of(&[near, near, *low, *high]).min(most))
            }
            // Support vectors of such a precision, or so strict, would take their time.
            ParameterKind::Float(_, high) if name == "tol" => self.float(1e-6, *high),
            ParameterKind::Float(low, _) if name == "C" => self.float(*low, 1e3),
            ParameterKind::Float(low, high) => self.float(*low, *high),
            ParameterKind::FloatOrWord(low, high, words) => match self.once_in(2) {
                true => word(self.one_of(words)),
                false => self.float(*low, *high),
            },
            ParameterKind::Word(words) => word(self.one_of(words)),
            // Of the other task's there is a reason.
            ParameterKind::WordByTask { classes, numbers } => {
                let all = [*classes, *numbers].concat();
                word(self.one_of(&all))
            }
            ParameterKind::Bool => Value::Bool(self.once_in(2)),
            ParameterKind::Share(words) => match self.below(3) {
                0 => word(self.one_of(words)),
                1 => Value::Int(1 + self.below(400) as i64),
                _ => Value::Float((self.unit().abs()).max(1e-9)),
            },
        }
    }

    fn float(&mut self, low: f64, high: f64) -> Value {
        let near = low.max(-10.0) + (self.unit() + 1.0) * 0.5;
        let odd = [low, high, 0.0, 1e-300, 1e-3, 1.0, 10.0, 1e9, 1e300];
        let value = if self.once_in(3) { self.one_of(&odd) } else { near };
        Value::Float(value.clamp(low, high))
    }
}

/// What came of each candidate on each fold: bits, or a reason.
type Found = Vec<((usize, usize), Result<Vec<u64>, String>)>;

/// Tries candidates on folds, and says what was heard.
fn heard(
    learner: Learner,
    frame: &Frame,
    folds: &[Fold],
    configurations: &[Configuration],
    n_spare: usize,
) -> Found {
    let candidates: Vec<Candidate<'_>> =
        configurations.iter().map(|parameters| Candidate { parameters, seed: 3 }).collect();
    let trials = Trials {
        frame,
        folds,
        n_behind: 0,
        laid_out: &LaidOut::default(),
        candidates: &candidates,
        stop: &Stop::default(),
        limit: None,
        spare: &Spare::of(n_spare),
    };
    let mut found: Found = Vec::new();
    let hand = Hand::of(learner, frame).unwrap();
    hand.trainer().try_all(&trials, &mut |heard: Heard<'_>| {
        let answer = match heard.answer {
            Ok(predicted) => {
                assert_sound(frame, &folds[heard.fold].validate, predicted);
                let (Predicted::Numbers(all) | Predicted::Classes(all)) = predicted;
                Ok(all.iter().map(|value| value.to_bits()).collect())
            }
            Err(FitError::Failed(reason)) => {
                assert_readable(&reason);
                Err(reason)
            }
            Err(stopped) => panic!("nobody stopped it: {stopped}"),
        };
        found.push(((heard.candidate, heard.fold), answer));
        true
    });
    found.sort_by_key(|(at, _)| *at);
    let each: Vec<(usize, usize)> = found.iter().map(|(at, _)| *at).collect();
    let all =
        (0..configurations.len()).flat_map(|own| (0..folds.len()).map(move |fold| (own, fold)));
    assert_eq!(each, all.collect::<Vec<_>>(), "each fold of each is heard once");
    found
}

/// Predictions are finite, shares sum to one, and every measure of them is a number or a reason.
fn assert_sound(frame: &Frame, rows: &[u32], predicted: Predicted<'_>) {
    let judged = |measured: Measure, judged: Judged<'_>, yardstick: Yardstick| {
        let weights: Option<Vec<f64>> = frame
            .weights
            .as_ref()
            .map(|weights| rows.iter().map(|&row| weights[row as usize]).collect());
        match measure(measured, judged, weights.as_deref(), yardstick) {
            Ok(value) => assert!(value.is_finite(), "{measured:?} is {value}"),
            Err(error) => assert_readable(&error.to_string()),
        }
    };
    match (predicted, &frame.target) {
        (Predicted::Numbers(predicted), Target::Number(y)) => {
            assert!(predicted.iter().all(|value| value.is_finite()), "{predicted:?}");
            let truth: Vec<f64> = rows.iter().map(|&row| y[row as usize]).collect();
            assert_eq!(truth.len(), predicted.len());
            let yardstick = Yardstick::new(y, y, None, 1);
            for own in Measure::ALL.iter().filter(|own| !own.is_classification()) {
                judged(*own, Judged::Numbers { truth: &truth, predicted }, yardstick);
            }
        }
        (Predicted::Classes(shares), Target::Class { codes, labels }) => {
            assert_eq!(shares.len(), rows.len() * labels.len());
            for row in shares.chunks(labels.len()) {
                assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{row:?}");
                assert!(row.iter().all(|share| (0.0..=1.0).contains(share)), "{row:?}");
            }
            let truth: Vec<u32> = rows.iter().map(|&row| codes[row as usize]).collect();
            let n_classes = labels.len();
            for own in Measure::ALL.iter().filter(|own| own.is_classification()) {
                let of = Judged::Classes { truth: &truth, probabilities: shares, n_classes };
                judged(*own, of, Yardstick::default());
            }
        }
        _ => panic!("the prediction is of another kind than the target"),
    }
}

/// A reason is a short sentence in small letters, without the innards of a program.
fn assert_readable(reason: &str) {
    let is_plain = |letter: char| !letter.is_control() && letter != '{' && letter != '}';
    let has_words = reason.split(' ').count() >= 3;
    let begins = reason.chars().next().is_some_and(|first| !first.is_uppercase());
    assert!(begins && has_words && reason.chars().all(is_plain), "{reason:?}");
    assert!(reason.len() < 300, "{reason:?}");
    for innards in ["Some(", "None", "Error", "panic", "NaN", "unexpected", "::", "index out of"] {
        assert!(!reason.contains(innards), "{reason:?}");
    }
}

/// A fitted model is stored and read, and tells what matters to it.
fn assert_kept(model: &Model, frame: &Frame) {
    let bytes = model.to_bytes();
    assert_eq!(Model::from_bytes(&bytes).unwrap().to_bytes(), bytes);
    let all: Vec<u32> = (0..frame.n_rows as u32).collect();
    match model.predict(frame, &all).unwrap() {
        Predictions::Numbers(numbers) => assert!(numbers.iter().all(|value| value.is_finite())),
        Predictions::Classes { probabilities, .. } => {
            assert!(probabilities.iter().all(|share| share.is_finite()));
        }
    }
    if let Some(importance) = model.importance() {
        let total: f64 = importance.shares.iter().map(|own| own.1).sum();
        let is_one = (total - 1.0).abs() < 1e-9;
        assert!(importance.shares.is_empty() || is_one, "{:?}", importance.shares);
    }
}

/// Runs a property over seeds; says which seed broke it.
fn for_seeds(what: &str, seeds: std::ops::Range<u64>, mut property: impl FnMut(u64)) {
    for seed in seeds {
        let held = catch_unwind(AssertUnwindSafe(|| property(seed)));
        assert!(held.is_ok(), "{what}: see above what broke with seed {seed}");
    }
}

/// Every learner of tables, with the kinds of target that it has.
fn learners() -> Vec<(Learner, bool)> {
    use fleetfit_search_spaces::data::Task;
    let tables = Learner::ALL.iter().filter(|own| !own.forecasts_series());
    let with_tasks = tables.flat_map(|own| {
        let tasks = own.tasks().iter().filter(|task| **task != Task::Forecasting);
        tasks.map(|task| (*own, *task == Task::Classification))
    });
    with_tasks.collect()
}

const CASES: u64 = 60;

#[test]
fn any_table_is_fitted_or_refused_with_a_reason_by_every_learner() {
    for (learner, is_class) in learners() {
        let what = format!("{learner:?}, classes: {is_class}");
        let mut n_fitted = 0;
        for_seeds(&what, 0..CASES, |seed| {
            let trouble = &mut Trouble::new(seed);
            let frame = trouble.frame(is_class);
            let folds = trouble.folds(frame.n_rows);
            let both = [trouble.configuration(learner), Configuration::default()];
            let alone = heard(learner, &frame, &folds, &both, 0);
            assert_eq!(alone, heard(learner, &frame, &folds, &both, 3), "helped by threads");
            n_fitted += alone.iter().filter(|(_, answer)| answer.is_ok()).count();

            let rows = &folds[0].train;
            let (stop, spare) = (Stop::default(), Spare::default());
            for parameters in &both {
                let job = super::Fit {
                    frame: &frame,
                    rows,
                    parameters,
                    seed,
                    stop: &stop,
                    spare: &spare,
                };
                match Hand::of(learner, &frame).unwrap().trainer().fit(&job) {
                    Ok(model) => assert_kept(&model, &frame),
                    Err(FitError::Failed(reason)) => assert_readable(&reason),
                    Err(stopped) => panic!("nobody stopped it: {stopped}"),
                }
            }
        });
        assert!(n_fitted > CASES as usize / 2, "{what}: {n_fitted} fits");
    }
}

/// Each row has a word of its own, so that no word of a row to predict for was ever seen.
#[test]
fn ten_thousand_words_do_no_harm() {
    let levels = Arc::new((0..10_000).map(|level| format!("word {level:05}")).collect::<Vec<_>>());
    for (learner, is_class) in learners() {
        // These compare each row with each.
        let step = if matches!(learner, Learner::Svm | Learner::Knn) { 10 } else { 1 };
        let codes: Vec<u32> = (0..10_000).step_by(step).collect();
        let n_rows = codes.len();
        let x: Vec<f64> = codes.iter().map(|&code| (f64::from(code) * 0.7).sin()).collect();
        let target = if is_class {
            let labels = Arc::new(vec!["low".to_owned(), "high".to_owned()]);
            Target::Class { codes: x.iter().map(|x| u32::from(*x > 0.2)).collect(), labels }
        } else {
            Target::Number(x.iter().map(|x| 3.0 * x).collect())
        };
        let words = FeatureValues::Category { codes, levels: Arc::clone(&levels) };
        let columns = [("word", words), ("x", FeatureValues::Number(x))];
        let columns = columns.map(|(name, values)| FeatureColumn { name: name.into(), values });
        let frame =
            Frame { columns: columns.into(), target, weights: None, timeline: None, n_rows };
        let (validate, train) = (0..n_rows as u32).partition(|row| row % 4 == 0);
        let rounds = if learner == Learner::Mlp { "max_iter" } else { "n_estimators" };
        let few = (rounds.to_owned(), Setting::Value(Value::Int(3)));
        let has_rounds = learner.parameter(rounds).is_some();
        let parameters = Configuration(Vec::from_iter(has_rounds.then_some(few)));
        let found = heard(learner, &frame, &[Fold { train, validate }], &[parameters], 0);
        assert!(found.iter().all(|(_, answer)| answer.is_ok()), "{learner:?}: {found:?}");
    }
}
