//! What many lines are told together is what one fit after the other says.

use std::sync::Arc;

use fleetfit_search_spaces::{Configuration, Setting, Value};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::Line;
use crate::folds::Fold;
use crate::frame::{FeatureColumn, FeatureValues, Frame, MISSING, Target};
use crate::stop::{Stop, Stopped};
use crate::trainer::{Candidate, FitError, Heard, LaidOut, Predicted, Spare, Trainer, Trials};

const LINES: [Line; 3] = [Line::Ridge, Line::Lasso, Line::ElasticNet];

fn number(index: usize, values: Vec<f64>) -> FeatureColumn {
    FeatureColumn { name: format!("x{index}").into(), values: FeatureValues::Number(values) }
}

fn words(index: usize, codes: Vec<u32>, n_levels: u32) -> FeatureColumn {
    let levels = Arc::new((0..n_levels).map(|level| format!("w{level:03}")).collect());
    let values = FeatureValues::Category { codes, levels };
    FeatureColumn { name: format!("x{index}").into(), values }
}

struct Draw(Pcg64Mcg);

impl Draw {
    fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn column(&mut self, n_rows: usize, shift: f64, scale: f64) -> Vec<f64> {
        (0..n_rows).map(|_| shift + scale * (self.unit() + self.unit() - 1.0)).collect()
    }
}

/// Numbers of several sizes, of which the target is a noisy sum.
pub(crate) fn frame(n_rows: usize, n_columns: usize) -> Frame {
    let mut draw = Draw(Pcg64Mcg::seed_from_u64(n_rows as u64 * 31 + n_columns as u64));
    let columns: Vec<Vec<f64>> = (0..n_columns)
        .map(|index| draw.column(n_rows, (index as f64 - 3.0) * 7.0, [1.0, 30.0, 0.2][index % 3]))
        .collect();
    let noise = draw.column(n_rows, 100.0, 2.0);
    let y = (0..n_rows).map(|row| {
        let terms = columns.iter().enumerate();
        let terms = terms.map(|(index, column)| column[row] * ((index * 5 % 7) as f64 - 3.0) / 9.0);
        noise[row] + terms.sum::<f64>()
    });
    let target = Target::Number(y.collect());
    let columns = columns.into_iter().enumerate().map(|(index, values)| number(index, values));
    Frame { columns: columns.collect(), target, weights: None, n_rows, timeline: None }
}

/// With holes and words, of which one is rare.
pub(crate) fn mixed() -> Frame {
    let mut frame = frame(140, 5);
    let mut draw = Draw(Pcg64Mcg::seed_from_u64(5));
    for (index, column) in frame.columns.iter_mut().enumerate().take(2) {
        if let FeatureValues::Number(values) = &mut column.values {
            values.iter_mut().skip(index).step_by(9).for_each(|value| *value = f64::NAN);
            values[77] = f64::INFINITY;
        }
    }
    let mut codes: Vec<u32> = (0..140).map(|_| (draw.unit() * 3.0) as u32).collect();
    codes[17] = 4;
    codes.iter_mut().step_by(13).for_each(|code| *code = MISSING);
    frame.columns.insert(2, words(8, codes, 6));
    frame.columns.push(words(9, (0..140).map(|row| row % 2).collect(), 2));
    frame
}

/// Few rows, whose words add up to one or nearly, with columns that come twice, that are constant, or
/// sums of others.
pub(crate) fn tiny(seed: u64) -> Frame {
    let mut draw = Draw(Pcg64Mcg::seed_from_u64(seed));
    let mut up_to = |n: u32| (draw.unit() * f64::from(n)) as u32;
    let n_rows = 6 + up_to(25) as usize;
    let (n_levels, n_numbers) = (3 + up_to(6), 1 + up_to(3) as usize);
    let (kind, has_whole_numbers) = (up_to(6), up_to(2) == 0);
    let mut codes: Vec<u32> = (0..n_rows).map(|_| up_to(n_levels)).collect();
    if kind == 0 {
        codes = (0..n_rows as u32).map(|row| row % n_levels).collect();
    }
    if kind == 1 {
        codes[0] = MISSING;
    }
    let mut numbers: Vec<Vec<f64>> =
        (0..n_numbers).map(|_| draw.column(n_rows, 3.0, 2.0)).collect();
    if has_whole_numbers {
        numbers.iter_mut().flatten().for_each(|value| *value = value.round());
    }
    let own = draw.column(9, 0.0, 2.0);
    let noise = draw.column(n_rows, 10.0, 0.5);
    let y = (0..n_rows).map(|row| {
        noise[row] + own.get(codes[row] as usize).unwrap_or(&0.0) + own[8] * numbers[0][row]
    });
    let target = Target::Number(y.collect());
    match kind {
        2 => numbers.push(numbers[0].clone()),
        3 => numbers.push(vec![4.0; n_rows]),
        4 => numbers.push(codes.iter().map(|&code| f64::from(u8::from(code < 2))).collect()),
        _ => {}
    }
    let mut columns = vec![words(0, codes.clone(), n_levels)];
    columns.extend(numbers.into_iter().enumerate().map(|(at, own)| number(at + 1, own)));
    if kind == 5 {
        columns.push(words(9, codes.iter().map(|code| code / 2).collect(), n_levels));
    }
    Frame { columns, target, weights: None, n_rows, timeline: None }
}

pub(crate) fn k_folds(n_rows: usize, k: usize) -> Vec<Fold> {
    let folds = (0..k).map(|fold| {
        let (validate, train) =
            (0..n_rows as u32).partition(|&row| (row as usize * 7 + 3) % k == fold);
        Fold { train, validate }
    });
    folds.collect()
}

pub(crate) fn rolling(n_rows: usize) -> Vec<Fold> {
    let n = n_rows as u32;
    let folds = [n / 3, n / 2, n - n / 8];
    let fold = |&end: &u32| Fold {
        train: (0..end).collect(),
        validate: (end..(end + n / 8).min(n)).collect(),
    };
    folds.iter().map(fold).collect()
}

/// Configurations from `name=value` pairs.
pub(crate) fn configurations(all: &[&str]) -> Vec<Configuration> {
    let value = |text: &str| match (text.parse(), text.parse()) {
        (Ok(number), _) => Value::Float(number),
        (_, Ok(flag)) => Value::Bool(flag),
        _ => Value::Text(text.to_owned()),
    };
    let one = |pairs: &&str| {
        let pairs = pairs.split_whitespace().filter_map(|pair| pair.split_once('='));
        Configuration(
            pairs.map(|(name, text)| (name.to_owned(), Setting::Value(value(text)))).collect(),
        )
    };
    all.iter().map(one).collect()
}

fn usual() -> Vec<Configuration> {
    configurations(&[
        "",
        "alpha=0.01",
        "alpha=100 standardize=false",
        "alpha=0.3 fit_intercept=false",
        "alpha=0.03 fit_intercept=false standardize=false",
        "alpha=1000",
        "alpha=0.001 standardize=false",
        "alpha=3",
        "alpha=0.5",
        "alpha=0.1",
        "alpha=0.05",
        "alpha=7",
    ])
}

pub(crate) type Answers = Vec<Vec<Option<Result<Vec<f64>, FitError>>>>;

pub(crate) fn told(
    line: Line,
    (frame, folds): (&Frame, &[Fold]),
    configurations: &[Configuration],
    laid_out: &LaidOut,
    is_one_by_one: bool,
) -> Answers {
    let candidates: Vec<Candidate<'_>> =
        configurations.iter().map(|parameters| Candidate { parameters, seed: 1 }).collect();
    let trials = Trials {
        frame,
        folds,
        n_behind: 0,
        laid_out,
        candidates: &candidates,
        stop: &Stop::default(),
        limit: None,
        spare: &Spare::default(),
    };
    let mut answers: Answers = vec![vec![None; folds.len()]; candidates.len()];
    let mut hear = |heard: Heard<'_>| {
        let place = &mut answers[heard.candidate][heard.fold];
        assert!(place.is_none(), "heard twice");
        let numbers = heard.answer.map(|predicted| match predicted {
            Predicted::Numbers(numbers) => numbers.to_vec(),
            Predicted::Classes(_) => panic!("classes"),
        });
        *place = Some(numbers);
        true
    };
    if is_one_by_one {
        trials.one_by_one(&line, &mut hear);
    } else {
        line.try_all(&trials, &mut hear);
    }
    answers
}

#[track_caller]
fn check(what: &str, frame: &Frame, folds: &[Fold], tolerance: f64) {
    let configurations = usual();
    // Digits are counted from the largest target: beneath its last one a single fit is a guess too.
    let targets = match &frame.target {
        Target::Number(y) => y.clone(),
        _ => Vec::new(),
    };
    for line in LINES {
        let found = told(line, (frame, folds), &configurations, &LaidOut::default(), false);
        let expected = told(line, (frame, folds), &configurations, &LaidOut::default(), true);
        for (candidate, (found, expected)) in found.iter().zip(&expected).enumerate() {
            for (fold, (found, expected)) in found.iter().zip(expected).enumerate() {
                let at = format!("{what}: {line:?}, candidate {candidate}, fold {fold}");
                match (found.as_ref().unwrap(), expected.as_ref().unwrap()) {
                    (Ok(found), Ok(expected)) => {
                        assert_eq!(found.len(), expected.len());
                        let sizes = expected.iter().chain(&targets).map(|value| value.abs());
                        let size = sizes.fold(f64::MIN_POSITIVE, f64::max);
                        for (found, expected) in found.iter().zip(expected) {
                            let error = (found - expected).abs() / size;
                            assert!(error <= tolerance, "{at}: {found} is not {expected}");
                        }
                    }
                    (found, expected) => assert_eq!(found, expected, "{at}"),
                }
            }
        }
    }
}

#[test]
fn numbers_on_every_kind_of_fold() {
    let frame = frame(150, 7);
    check("5 folds", &frame, &k_folds(150, 5), 1e-10);
    check("2 folds", &frame, &k_folds(150, 2), 1e-10);
    check("rolling origins", &frame, &rolling(150), 1e-10);
    let mut twice = k_folds(150, 3);
    twice[1].train.extend(0..20);
    twice[2].validate = vec![3, 3, 149];
    check("rows that come twice", &frame, &twice, 1e-10);
    let none = [Fold { train: vec![], validate: vec![1] }, Fold::default()];
    check("no rows to learn from", &frame, &none, 0.0);
    let beyond = [
        Fold { train: vec![1, 2, 3, 150], validate: vec![1] },
        Fold { train: vec![1, 2, 3, 14], validate: vec![1, 150] },
    ];
    check("rows that are not there", &frame, &beyond, 0.0);
}

#[test]
fn holes_and_words() {
    check("mixed", &mixed(), &k_folds(140, 4), 1e-10);
    check("mixed, rolling", &mixed(), &rolling(140), 1e-10);
    let mut many = mixed();
    many.columns.push(words(10, (0..140).map(|row| row * 3 % 90).collect(), 90));
    check("many words", &many, &k_folds(140, 4), 1e-9);
    let mut constant = mixed();
    constant.columns.push(number(11, vec![4.0; 140]));
    constant.columns.push(number(12, vec![f64::NAN; 140]));
    constant.columns.push(words(13, vec![MISSING; 140], 0));
    constant.columns.push(words(14, vec![1; 140], 2));
    check("constant columns", &constant, &k_folds(140, 4), 1e-10);
}

#[test]
fn weights() {
    for mut frame in [frame(120, 6), mixed()] {
        let weights = (0..frame.n_rows).map(|row| [1.0, 0.5, 0.0, 3.0, 1.7][row % 5]);
        frame.weights = Some(weights.collect());
        check("weights", &frame, &k_folds(frame.n_rows, 4), 1e-10);
        // One fold has nothing but zeros to learn from.
        let zeros = (0..frame.n_rows as u32).filter(|row| row % 5 == 2).collect();
        let fold = Fold { train: zeros, validate: vec![0, 1] };
        check("weights of 0", &frame, &[fold], 0.0);
        // One row weighs more than all others.
        frame.weights.as_mut().unwrap()[8] = 1e12;
        check("a heavy row", &frame, &k_folds(frame.n_rows, 4), 1e-6);
    }
}

#[test]
fn fewer_rows_than_columns() {
    check("30 columns", &frame(25, 30), &k_folds(25, 5), 1e-8);
    // Some folds have as many rows, some fewer.
    check("rolling", &frame(60, 25), &rolling(60), 1e-8);
    let mut weighted = frame(20, 40);
    weighted.weights = Some((0..20).map(|row| f64::from(row % 3)).collect());
    check("weighted", &weighted, &k_folds(20, 4), 1e-8);
}

#[test]
fn what_only_one_fold_has() {
    let edit = |act: &dyn Fn(&mut Frame)| {
        let mut frame = frame(100, 4);
        act(&mut frame);
        frame
    };
    let set = |column: usize, row: usize, value: f64| {
        edit(&move |frame: &mut Frame| {
            if let FeatureValues::Number(values) = &mut frame.columns[column].values {
                values[row] = value;
            }
        })
    };
    let folds = k_folds(100, 5);
    for value in [1e5, 1e8, 1e15, 1e30] {
        check("an outlier", &set(1, 40, value), &folds, 1e-7);
    }
    let flag = edit(&|frame| {
        let values = (0..100).map(|row| f64::from(u8::from(row == 40))).collect();
        frame.columns.push(number(7, values));
    });
    check("a flag that one row has", &flag, &folds, 1e-10);
    let far = edit(&|frame| {
        if let Target::Number(y) = &mut frame.target {
            y[40] = 1e14;
        }
    });
    check("a target far away", &far, &folds, 1e-9);
    let alike = edit(&|frame| {
        if let Target::Number(y) = &mut frame.target {
            let others = y.iter_mut().enumerate().filter(|(row, _)| *row != 40);
            others.for_each(|(_, value)| *value = 7.0);
        }
    });
    check("a target that one row has", &alike, &folds, 1e-9);
}

#[test]
fn numbers_far_from_zero() {
    for shift in [1e6, 1e9, 1e13] {
        let mut frame = frame(100, 4);
        for column in &mut frame.columns {
            if let FeatureValues::Number(values) = &mut column.values {
                values.iter_mut().for_each(|value| *value += shift);
            }
        }
        if let Target::Number(y) = &mut frame.target {
            y.iter_mut().for_each(|value| *value -= 1e4);
        }
        // Without an intercept such columns are nearly one: a single fit has no more digits.
        check("far from zero", &frame, &k_folds(100, 4), 1e-6);
    }
}

#[test]
fn hostile_frames() {
    let wave = |step: f64, scale: f64| -> Vec<f64> {
        (0..40).map(|row| (f64::from(row) * step).sin() * scale).collect()
    };
    let y = Target::Number(wave(1.0, 4.0));
    let frame = |columns: Vec<FeatureColumn>| Frame {
        timeline: None,
        columns,
        target: y.clone(),
        weights: None,
        n_rows: 40,
    };
    let folds = k_folds(40, 4);
    check("no columns", &frame(vec![]), &folds, 1e-12);
    for scale in [1e-300, 1e-60, 1e60, 1e99, 1e300] {
        let columns = vec![number(0, wave(0.5, scale)), number(1, wave(2.0, 1.0))];
        check("a column of another size", &frame(columns), &folds, 1e-9);
    }
    let columns = vec![number(0, wave(0.5, 1.0)), number(1, wave(0.5, 1.0))];
    check("duplicates", &frame(columns), &folds, 1e-6);
    let nearly = wave(0.5, 1.0).iter().zip(wave(2.3, 1e-7)).map(|(a, b)| a + b).collect();
    let nearly = frame(vec![number(0, wave(0.5, 1.0)), number(1, nearly)]);
    for alpha in ["alpha=0", "alpha=1e-14", "alpha=1e-12", "alpha=1e-9"] {
        let together = configurations(&[alpha, "alpha=1"]);
        let told =
            |alone| told(Line::Ridge, (&nearly, &folds), &together, &LaidOut::default(), alone);
        let both = told(false).into_iter().zip(told(true));
        let both = both.flat_map(|(found, expected)| found.into_iter().zip(expected));
        for (found, expected) in both.map(|(a, b)| (a.unwrap().unwrap(), b.unwrap().unwrap())) {
            let pairs = found.iter().zip(&expected);
            let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-7, "{alpha}: {worst}");
        }
    }
    let mut constant = frame(vec![number(0, wave(0.5, 1.0))]);
    constant.target = Target::Number(vec![0.1; 40]);
    check("a constant target", &constant, &folds, 1e-12);
    constant.target = Target::Number(wave(0.3, 1e300));
    check("a target too large", &constant, &folds, 0.0);
    constant.target = Target::Number(wave(0.3, 1e80));
    check("a large target", &constant, &folds, 1e-9);
    let labels = Arc::new(vec!["a".to_owned(), "b".to_owned()]);
    constant.target = Target::Class { codes: vec![1; 40], labels };
    check("classes", &constant, &folds, 0.0);
}

#[test]
fn bad_parameters_fail_alone() {
    let (frame, folds) = (frame(60, 3), k_folds(60, 3));
    let configurations = configurations(&["alpha=1", "alpha=-1", "alpha=high", "alpha=2"]);
    let answers = told(Line::Ridge, (&frame, &folds), &configurations, &LaidOut::default(), false);
    let is_fitted: Vec<bool> =
        answers.iter().flatten().map(|answer| answer.as_ref().unwrap().is_ok()).collect();
    assert_eq!(is_fitted, [[true; 3], [false; 3], [false; 3], [true; 3]].concat());
    let reason = "alpha is -1, but it can't be below 0";
    assert_eq!(answers[1][0], Some(Err(FitError::Failed(reason.into()))));
}

#[test]
fn a_candidate_is_told_the_same_in_any_company() {
    let (frame, folds) = (mixed(), k_folds(140, 3));
    let configurations = usual();
    let bits = |answers: &Answers| -> Vec<Vec<u64>> {
        let numbers = |answer: &Option<Result<Vec<f64>, FitError>>| {
            let numbers = answer.as_ref().unwrap().as_ref().unwrap();
            numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>()
        };
        answers.iter().map(|folds| folds.iter().flat_map(numbers).collect()).collect()
    };
    for line in LINES {
        let data = (&frame, folds.as_slice());
        let kept = LaidOut::default();
        let together = bits(&told(line, data, &configurations, &kept, false));
        assert_eq!(bits(&told(line, data, &configurations, &kept, false)), together);
        for (index, configuration) in configurations.iter().enumerate() {
            let alone = std::slice::from_ref(configuration);
            let alone = bits(&told(line, data, alone, &LaidOut::default(), false));
            assert_eq!(alone[0], together[index], "{line:?} {index}");
        }
    }
}

#[test]
fn whoever_is_not_wanted_is_not_heard_again() {
    let (frame, folds) = (frame(60, 3), k_folds(60, 3));
    let configurations = usual();
    let candidates: Vec<Candidate<'_>> =
        configurations.iter().map(|parameters| Candidate { parameters, seed: 1 }).collect();
    {
        let stop = Stop::default();
        let mut n_heard = vec![0; candidates.len()];
        let trials = Trials {
            frame: &frame,
            folds: &folds,
            n_behind: 0,
            laid_out: &LaidOut::default(),
            candidates: &candidates,
            stop: &stop,
            limit: None,
            spare: &Spare::default(),
        };
        Line::ElasticNet.try_all(&trials, &mut |heard| {
            n_heard[heard.candidate] += 1;
            heard.candidate % 2 == 0
        });
        let expected: Vec<usize> = (0..candidates.len()).map(|at| [3, 1][at % 2]).collect();
        assert_eq!(n_heard, expected);
    }
    let stop = Stop::default();
    stop.cancel();
    let trials = Trials {
        frame: &frame,
        folds: &folds,
        n_behind: 0,
        laid_out: &LaidOut::default(),
        candidates: &candidates,
        stop: &stop,
        limit: None,
        spare: &Spare::default(),
    };
    for line in LINES {
        line.try_all(&trials, &mut |heard| {
            assert_eq!(heard.answer, Err(FitError::Stopped(Stopped::Cancelled)));
            false
        });
    }
}
