//! What the kernels tell is what the CPU engine says.

use std::ops::ControlFlow;

use super::*;
use crate::cuda::company::{fit_alone, order_changes_nothing};
use crate::cuda::shim::{Fates, Shim};
use crate::frame::Target;
use crate::trainer::LaidOut;
use crate::trainer::linear::tests::{configurations, frame, k_folds, mixed, rolling, tiny, told};
use crate::trainer::linear::{Form, Penalty, Scaling};

const ALPHAS: [f64; 7] = [0.0, 30.0, 1e-3, 0.2, 1.0, 1e4, 0.7];
const RATIOS: [f64; 3] = [1.0, 0.5, 0.1];

fn form(is_standard: bool, has_intercept: bool) -> Form {
    Form { scaling: Scaling::from(is_standard), has_intercept }
}

/// What somebody tries on all entities.
struct Ask {
    line: Line,
    tried: Vec<Settings>,
}

fn ridge(form: Form, alphas: &[f64]) -> Ask {
    let penalty = |&alpha: &f64| Penalty { alpha, l1_ratio: 0.0, tolerance: 0.0, max_rounds: 0 };
    let tried = alphas.iter().map(|alpha| Settings { penalty: penalty(alpha), form });
    Ask { line: Line::Ridge, tried: tried.collect() }
}

fn nets(form: Form, alphas: &[f64], ratios: &[f64]) -> Ask {
    let penalty =
        |l1_ratio: f64, alpha: f64| Penalty { alpha, l1_ratio, tolerance: 1e-4, max_rounds: 1_000 };
    let settings = |alpha, ratio| Settings { penalty: penalty(ratio, alpha), form };
    let of_alpha = |&alpha: &f64| ratios.iter().map(move |&ratio| settings(alpha, ratio));
    Ask { line: Line::ElasticNet, tried: alphas.iter().flat_map(of_alpha).collect() }
}

/// What the CPU engine misses by, and the largest squared target.
fn expected(data: (&Frame, &[Fold]), ask: &Ask) -> Vec<Option<f64>> {
    let text = |own: &Settings| {
        let Settings { penalty, form } = own;
        let is_standard = form.scaling == Scaling::Standard;
        let ratio = match ask.line {
            Line::ElasticNet => format!(" l1_ratio={}", penalty.l1_ratio),
            Line::Ridge | Line::Lasso => String::new(),
        };
        format!(
            "standardize={is_standard} fit_intercept={} alpha={}{ratio}",
            form.has_intercept, penalty.alpha
        )
    };
    let texts: Vec<String> = ask.tried.iter().map(text).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let answers = told(ask.line, data, &configurations(&texts), &LaidOut::default(), false);
    let Target::Number(y) = &data.0.target else { panic!("numbers") };
    let mut missed = Vec::new();
    for (index, fold) in data.1.iter().enumerate() {
        for answers in &answers {
            let answer = answers[index].as_ref().unwrap().as_ref().ok();
            missed.push(answer.map(|numbers| {
                let pairs = numbers.iter().zip(&fold.validate);
                pairs.map(|(number, &row)| (y[row as usize] - number).powi(2)).sum()
            }));
        }
    }
    missed
}

fn entity<'a>((frame, folds): (&'a Frame, &'a [Fold])) -> Option<Entity<'a>> {
    Entity::of(frame, folds, &Stop::default()).unwrap()
}

/// What was told of each ask and entity, all in common launches; none of what is not taken.
fn asked(shim: Shim, data: &[(&Frame, &[Fold])], asks: &[Ask]) -> Vec<Vec<Answers>> {
    let entities: Vec<Option<Entity<'_>>> = data.iter().copied().map(entity).collect();
    let (mut wishes, mut places) = (Vec::new(), Vec::new());
    for (ask, Ask { line, tried }) in asks.iter().enumerate() {
        for (at, entity) in entities.iter().enumerate() {
            let Some(entity) = entity else { continue };
            wishes.push(Wish { entity, line: *line, tried });
            places.push((ask, at));
        }
    }
    let mut told = vec![vec![Answers::new(); data.len()]; asks.len()];
    fit_alone::<Lines>(&Machine::Shim(shim), &Shim::limits(1), &wishes, &mut |index, found| {
        let (ask, at) = places[index];
        told[ask][at] = found.unwrap();
        ControlFlow::Continue(())
    })
    .unwrap();
    told
}

/// At least this share must be told, all of it within 1e-9 of what the CPU engine says.
#[track_caller]
fn check(what: &str, data: (&Frame, &[Fold]), shim: Shim, least_told: f64) {
    let asks = [
        ridge(form(true, true), &ALPHAS),
        ridge(form(false, true), &ALPHAS),
        ridge(form(true, false), &ALPHAS),
        nets(form(true, true), &[0.5, 0.003, 0.05, 20.0], &RATIOS),
        nets(form(false, false), &[0.5, 20.0], &[0.5]),
    ];
    let (n_told, n_all) = agree(what, &[data], shim, &asks);
    let share = n_told as f64 / n_all.max(1) as f64;
    assert!(share >= least_told, "{what}: {n_told} of {n_all} told");
}

/// How many are told, of how many; all of them must be within 1e-9 of what the CPU engine says.
#[track_caller]
fn agree(what: &str, data: &[(&Frame, &[Fold])], shim: Shim, asks: &[Ask]) -> (usize, usize) {
    let (mut n_told, mut n_all) = (0, 0);
    for (ask, found) in asks.iter().zip(asked(shim, data, asks)) {
        for (entity, (data, found)) in data.iter().zip(&found).enumerate() {
            let expected = expected(*data, ask);
            n_all += expected.len();
            if found.is_empty() {
                continue;
            }
            assert_eq!(found.len(), expected.len());
            for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let Some(found) = found else { continue };
                n_told += 1;
                let expected = expected.unwrap_or(f64::NAN);
                let error = (found / expected - 1.0).abs();
                let fold = index / ask.tried.len();
                let tried = &ask.tried[index % ask.tried.len()];
                let at = format!("{what}: {:?}, {tried:?}, entity {entity}, fold {fold}", ask.line);
                assert!(error < 1e-9, "{at}: {found} is not {expected}");
            }
        }
    }
    (n_told, n_all)
}

#[test]
fn errors_are_the_cpu_engine_s() {
    let plain = Shim::default();
    let (numbers, holes) = (frame(150, 7), mixed());
    check("5 folds", (&numbers, &k_folds(150, 5)), plain, 0.95);
    check("rolling origins", (&numbers, &rolling(150)), plain, 0.95);
    // The words of a column add up to one: without a penalty, only the CPU says what that means.
    check("holes and words", (&holes, &k_folds(140, 4)), plain, 0.85);
    check("holes and words, rolling", (&holes, &rolling(140)), plain, 0.85);
}

/// What the table of schedules (`cuda/tests.rs`) runs.
pub(in crate::cuda) fn under(shim: Shim) {
    let (data, folds) = (mixed(), k_folds(140, 3));
    check("mixed", (&data, &folds[..2]), shim, 0.85);
    check("wide", (&frame(120, 35), &k_folds(120, 2)), shim, 0.9);
    check("wider", (&frame(160, 66), &k_folds(160, 2)), shim, 0.85);
}

#[test]
fn a_lane_may_own_several_columns() {
    check("35 columns", (&frame(200, 35), &k_folds(200, 3)), Shim::default(), 0.95);
    check("70 columns", (&frame(250, 70), &k_folds(250, 2)), Shim::default(), 0.9);
}

#[test]
fn what_loses_digits_is_left_to_the_cpu() {
    let plain = Shim::default();
    let folds = k_folds(40, 4);
    let none = |frame: &Frame, folds: &[Fold]| {
        let own = form(true, true);
        asked(plain, &[(frame, folds)], &[ridge(own, &ALPHAS), nets(own, &[0.1], &[0.5])])
            .into_iter()
            .flatten()
            .flatten()
            .all(|answer| answer.is_none())
    };
    let mut constant = frame(40, 3);
    constant.target = Target::Number(vec![7.0; 40]);
    assert!(none(&constant, &folds), "a constant target");
    constant.target = Target::Number(vec![0.0; 40]);
    assert!(none(&constant, &folds), "all zero");
    assert!(none(&frame(20, 30), &k_folds(20, 4)), "more features than rows");
    assert!(none(&frame(3, 1), &[Fold { train: vec![0], validate: vec![1] }]), "one row");
    let gone = [Fold { train: vec![], validate: vec![1] }, Fold::default()];
    assert!(none(&frame(30, 2), &gone), "no rows");
    let mut weighted = frame(40, 3);
    weighted.weights = Some(vec![1.0; 40]);
    assert!(none(&weighted, &folds), "weights");
    assert!(none(&frame(300, 110), &k_folds(300, 2)), "too wide for a block");
    // One column twice is singular: what small alphas make of it, the CPU has to say.
    let mut twice = frame(60, 3);
    twice.columns.push(twice.columns[0].clone());
    check("a column twice", (&twice, &k_folds(60, 3)), plain, 0.5);
    let mut outlier = frame(60, 3);
    if let FeatureValues::Number(values) = &mut outlier.columns[1].values {
        values[7] = 1e9;
    }
    check("an outlier", (&outlier, &k_folds(60, 3)), plain, 0.0);
    let mut bare = frame(60, 3);
    bare.columns.clear();
    check("no columns", (&bare, &k_folds(60, 3)), plain, 0.9);
}

#[test]
fn errors_that_are_lost_beside_the_target_are_the_cpu_s() {
    let mut far = frame(90, 4);
    let Target::Number(near) = far.target.clone() else { panic!("numbers") };
    let folds = k_folds(90, 3);
    let asks = [ridge(form(true, true), &ALPHAS), nets(form(true, true), &[0.003, 0.05], &RATIOS)];
    // Of those between, the lines that miss by much are told.
    for (offset, least, most) in [
        (1e3, 0.95, 1.0),
        (1e5, 0.95, 1.0),
        (1e6, 0.0, 1.0),
        (1e7, 0.0, 1.0),
        (-1e9, 0.0, 0.0),
        (1e9, 0.0, 0.0),
    ] {
        far.target = Target::Number(near.iter().map(|own| own + offset).collect());
        let (n_told, n_all) = agree("far", &[(&far, &folds)], Shim::default(), &asks);
        let share = n_told as f64 / n_all as f64;
        assert!((least..=most).contains(&share), "{offset}: {n_told} of {n_all}");
    }
    // Without an intercept errors are of the target's size.
    let asks = [ridge(form(true, false), &ALPHAS)];
    let (n_told, n_all) = agree("far", &[(&far, &folds)], Shim::default(), &asks);
    assert_eq!(n_told, n_all);
}

/// Where columns depend on each other a lasso has many minima, and which of them is found depends on
/// the order of the columns and on how ties are decided.
#[test]
fn few_rows_and_columns_that_depend_on_each_other_are_the_cpu_engine_s() {
    // Rounding decided ties of the later ones.
    let seeds = (0..120).chain([174, 211, 327, 529, 1_026, 1_205, 1_542]);
    let frames: Vec<Frame> = seeds.map(tiny).collect();
    let folds: Vec<Vec<Fold>> = frames.iter().map(|own| k_folds(own.n_rows, 3)).collect();
    let data: Vec<(&Frame, &[Fold])> =
        frames.iter().zip(&folds).map(|(frame, folds)| (frame, folds.as_slice())).collect();
    let alphas = [1.8, 0.3, 0.05, 0.01, 1e-3, 5e-5, 1e-5];
    let forms = [(true, true), (false, true), (true, false), (false, false)];
    let forms = forms.map(|(is_standard, has_intercept)| form(is_standard, has_intercept));
    for (line, asks, least_told) in [
        (Line::Ridge, forms.map(|own| ridge(own, &alphas)), 0.65),
        (Line::Lasso, forms.map(|own| nets(own, &alphas, &[1.0])), 0.8),
        (Line::ElasticNet, forms.map(|own| nets(own, &alphas, &[0.5])), 0.8),
    ] {
        let asks = asks.map(|ask| Ask { line, ..ask });
        let (n_told, n_all) = agree("few rows", &data, Shim::default(), &asks);
        let share = n_told as f64 / n_all as f64;
        assert!(share >= least_told, "{line:?}: {n_told} of {n_all} told");
    }
}

/// A frame of which one column has this number in all rows but these.
fn flat(n_rows: usize, value: f64, others: impl Fn(usize) -> bool) -> Frame {
    let mut own = frame(n_rows, 4);
    if let FeatureValues::Number(values) = &mut own.columns[1].values {
        let all = values.iter_mut().enumerate();
        all.filter(|(row, _)| !others(*row)).for_each(|(_, own)| *own = value);
    }
    own
}

#[test]
fn a_column_that_is_constant_in_a_fold_is_left_out_of_it() {
    let plain = Shim::default();
    let (folds, origins) = (k_folds(60, 3), rolling(60));
    let validates = |fold: usize| move |row: usize| (row * 7 + 3) % 3 == fold;
    check("in one fold", (&flat(60, 0.3, validates(0)), &folds), plain, 0.95);
    // As the first rows of all origins have it.
    let last = *origins[2].train.last().unwrap() as usize;
    check("in all folds", (&flat(60, -1e5, |row| row > last), &origins), plain, 0.95);
    check("in two of three", (&flat(60, 0.3, |row| row > last - 3), &origins), plain, 0.95);
    // Where a number is missing its column is constant all the same.
    let mut holes = flat(60, 0.3, validates(1));
    let mut none = flat(60, f64::NAN, validates(2));
    for (own, step) in [(&mut holes, 5), (&mut none, 60)] {
        if let FeatureValues::Number(values) = &mut own.columns[1].values {
            values.iter_mut().step_by(step).for_each(|value| *value = f64::NAN);
        }
    }
    check("holes", (&holes, &folds), plain, 0.95);
    check("only holes", (&none, &folds), plain, 0.95);
    let mut two = mixed();
    for place in [3, 4] {
        let FeatureValues::Number(values) = &mut two.columns[place].values else { panic!() };
        values
            .iter_mut()
            .enumerate()
            .filter(|(row, _)| row % 4 != place - 3)
            .for_each(|(_, value)| *value = 2.5);
    }
    check("two, beside words", (&two, &k_folds(140, 4)), plain, 0.8);
}

#[test]
fn a_column_that_is_nearly_constant_in_a_fold_is_the_cpu_s() {
    let (plain, folds) = (Shim::default(), k_folds(60, 3));
    let own = flat(60, 0.3, |row| (row * 7 + 3) % 3 == 0);
    let ask = [ridge(form(true, true), &ALPHAS)];
    for (row, is_told) in [(0, true), (1, false)] {
        let mut nearly = own.clone();
        let FeatureValues::Number(values) = &mut nearly.columns[1].values else { panic!() };
        // The first row validates in the fold of which all others train, the second one trains.
        values[row] = 0.3_f64.next_up();
        let found = asked(plain, &[(&nearly, &folds)], &ask).remove(0).remove(0);
        let (first, others) = found.split_at(ALPHAS.len());
        assert!(first.iter().all(|answer| answer.is_some() == is_told), "row {row}");
        assert!(others.iter().all(Option::is_some));
        agree("nearly constant", &[(&nearly, &folds)], plain, &ask);
    }
}

/// What was told, to the bit.
fn bits(answers: &Answers) -> Vec<Option<u64>> {
    answers.iter().map(|answer| answer.map(f64::to_bits)).collect()
}

#[test]
fn an_entity_is_told_the_same_in_any_company() {
    let frames = [frame(90, 5), mixed(), frame(60, 35), frame(40, 2)];
    let folds: Vec<Vec<Fold>> = frames.iter().map(|own| k_folds(own.n_rows, 3)).collect();
    let data: Vec<(&Frame, &[Fold])> =
        frames.iter().zip(&folds).map(|(frame, folds)| (frame, folds.as_slice())).collect();
    // Two want other penalties of the same systems, and one of others.
    let asks = [
        ridge(form(true, true), &ALPHAS),
        nets(form(true, true), &[0.01, 0.3, 2.0], &[1.0, 0.3]),
        ridge(form(true, true), &[0.5, 7.0]),
        nets(form(true, true), &[0.02, 0.3], &[0.3]),
        nets(form(false, true), &[0.02], &[0.3]),
    ];
    let alone = |ask: &Ask, index: usize| {
        let ask = Ask { line: ask.line, tried: ask.tried.clone() };
        asked(Shim::default(), &data[index..=index], &[ask]).remove(0).remove(0)
    };
    let together = asked(Shim::default(), &data, &asks);
    let backwards: Vec<_> = data.iter().rev().copied().collect();
    let backwards = asked(Shim::default(), &backwards, &asks);
    for ((ask, together), backwards) in asks.iter().zip(&together).zip(&backwards) {
        assert!(together.iter().flatten().any(Option::is_some));
        for (index, own) in together.iter().enumerate() {
            assert_eq!(bits(&backwards[frames.len() - 1 - index]), bits(own));
            assert_eq!(bits(&alone(ask, index)), bits(own), "entity {index}");
        }
    }
    // A penalty alone is a penalty among others.
    for (ask, together) in asks.iter().zip(&together) {
        for (at, own) in ask.tried.iter().enumerate() {
            let one = alone(&Ask { line: ask.line, tried: vec![*own] }, 1);
            let among: Answers =
                together[1].iter().skip(at).step_by(ask.tried.len()).copied().collect();
            assert_eq!(bits(&one), bits(&among));
        }
    }
    let entities: Vec<Entity<'_>> = data.iter().copied().filter_map(entity).collect();
    let wishes: Vec<Wish<'_>> = asks
        .iter()
        .flat_map(|Ask { line, tried }| {
            entities.iter().map(|entity| Wish { entity, line: *line, tried })
        })
        .collect();
    order_changes_nothing::<Lines>(
        (&Machine::Shim(Shim::default()), &Shim::limits(1)),
        &wishes,
        |found| bits(found).into_iter().map(|own| own.unwrap_or(1)).collect(),
    );
}

#[test]
fn sums_are_made_once_whoever_wants_them() {
    let frames = [frame(40, 3), frame(50, 3)];
    let folds: Vec<Vec<Fold>> = frames.iter().map(|own| k_folds(own.n_rows, 2)).collect();
    let entities: Vec<Entity<'_>> =
        frames.iter().zip(&folds).filter_map(|(frame, folds)| entity((frame, folds))).collect();
    let asks = [ridge(form(true, true), &[1.0]), nets(form(true, true), &[0.1], &[0.5])];
    let mut batch = Batch::default();
    for Ask { line, tried } in &asks {
        for entity in &entities {
            batch.add(&Wish { entity, line: *line, tried });
        }
    }
    let n_numbers: usize = entities.iter().map(|own| own.shape.n_rows * own.shape.width).sum();
    assert_eq!((batch.entities.len(), batch.rows.len()), (2, 8 * n_numbers));
    let fates = Fates::of([]);
    let machine = Machine::Shim(Shim { fates: Some(fates), ..Shim::default() });
    let found = batch.begin(&machine, Shim::limits(1).max_shared).unwrap()().unwrap();
    assert!(found.iter().all(|own| own.len() == 2 && own.iter().all(Option::is_some)));
    assert_eq!(fates.n_launches(), 4);
}

#[test]
fn whoever_has_heard_enough_is_not_told_more() {
    let (data, folds) = (frame(40, 2), k_folds(40, 2));
    let entities = [(); 2].map(|()| entity((&data, &folds)).unwrap());
    let Ask { line, tried } = ridge(form(true, true), &ALPHAS);
    let wishes = [0, 1].map(|at| Wish { entity: &entities[at], line, tried: &tried });
    let mut heard = Vec::new();
    let machine = Machine::Shim(Shim::default());
    fit_alone::<Lines>(&machine, &Shim::limits(1), &wishes, &mut |index, found| {
        heard.push((index, found.unwrap().len()));
        ControlFlow::Break(())
    })
    .unwrap();
    assert_eq!(heard, [(0, 14)]);
    let small = Machine::Shim(Shim { max_bytes: Some(1_000), ..Shim::default() });
    let mut faults = Vec::new();
    fit_alone::<Lines>(&small, &Shim::limits(1), &wishes, &mut |index, found| {
        faults.push((index, found.map(drop)));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(faults, [0, 1].map(|index| (index, Err(Fault::OutOfMemory))));
}
