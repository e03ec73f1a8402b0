//! What the kernels tell is what the CPU engine says.

use super::*;
use crate::cuda::shim::Shim;
use crate::frame::{FeatureValues, Target};
use crate::trainer::LaidOut;
use crate::trainer::linear::Line;
use crate::trainer::linear::tests::{configurations, frame, k_folds, mixed, rolling, tiny, told};

const ALPHAS: [f64; 7] = [0.0, 30.0, 1e-3, 0.2, 1.0, 1e4, 0.7];
const RATIOS: [f64; 3] = [1.0, 0.5, 0.1];

fn form(is_standard: bool, has_intercept: bool) -> Form {
    Form { scaling: Scaling::from(is_standard), has_intercept }
}

/// What the CPU engine misses by, and the largest squared target.
fn expected(line: Line, data: (&Frame, &[Fold]), ask: &Ask<'_>) -> Vec<Option<f64>> {
    let form = format!(
        "standardize={} fit_intercept={}",
        ask.form.scaling == Scaling::Standard,
        ask.form.has_intercept
    );
    let texts: Vec<String> = match ask.penalties {
        Penalties::Ridge(alphas) => alphas.iter().map(|a| format!("{form} alpha={a}")).collect(),
        Penalties::Net(penalties) => penalties
            .iter()
            .map(|own| format!("{form} alpha={} l1_ratio={}", own.alpha, own.l1_ratio))
            .collect(),
    };
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let answers = told(line, data, &configurations(&texts), &LaidOut::default(), false);
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

fn nets(alphas: &[f64], ratios: &[f64]) -> Vec<Penalty> {
    let penalty =
        |l1_ratio: f64, alpha: f64| Penalty { alpha, l1_ratio, tolerance: 1e-4, max_rounds: 1_000 };
    let of_alpha = |&alpha: &f64| ratios.iter().map(move |&ratio| penalty(ratio, alpha));
    alphas.iter().flat_map(of_alpha).collect()
}

fn asked(shim: Shim, data: &[(&Frame, &[Fold])], asks: &[Ask<'_>]) -> Vec<Answers> {
    let entity =
        |(frame, folds): &(&Frame, &[Fold])| Entity::of(frame, folds, &Stop::default()).unwrap();
    let entities: Vec<Option<Entity>> = data.iter().map(entity).collect();
    let machine = Machine::Shim(shim);
    let told = squared_errors((&machine, &Shim::limits(1)), &entities, asks, &mut |_| true);
    let (answers, refused) = told.unwrap();
    assert_eq!(refused, Ok(()));
    answers
}

/// At least this share must be told, all of it within 1e-9 of what the CPU engine says.
#[track_caller]
fn check(what: &str, data: (&Frame, &[Fold]), shim: Shim, least_told: f64) {
    let penalties = nets(&[0.5, 0.003, 0.05, 20.0], &RATIOS);
    let raw = nets(&[0.5, 20.0], &[0.5]);
    let asks = [
        (Line::Ridge, Ask { form: form(true, true), penalties: Penalties::Ridge(&ALPHAS) }),
        (Line::Ridge, Ask { form: form(false, true), penalties: Penalties::Ridge(&ALPHAS) }),
        (Line::Ridge, Ask { form: form(true, false), penalties: Penalties::Ridge(&ALPHAS) }),
        (Line::ElasticNet, Ask { form: form(true, true), penalties: Penalties::Net(&penalties) }),
        (Line::ElasticNet, Ask { form: form(false, false), penalties: Penalties::Net(&raw) }),
    ];
    let (n_told, n_all) = agree(what, &[data], shim, &asks);
    let share = n_told as f64 / n_all.max(1) as f64;
    assert!(share >= least_told, "{what}: {n_told} of {n_all} told");
}

/// How many are told, of how many; all of them must be within 1e-9 of what the CPU engine says.
#[track_caller]
fn agree(
    what: &str,
    data: &[(&Frame, &[Fold])],
    shim: Shim,
    asks: &[(Line, Ask<'_>)],
) -> (usize, usize) {
    let only: Vec<Ask<'_>> = asks.iter().map(|(_, ask)| *ask).collect();
    let (mut n_told, mut n_all) = (0, 0);
    for ((line, ask), found) in asks.iter().zip(asked(shim, data, &only)) {
        for (entity, (data, found)) in data.iter().zip(&found).enumerate() {
            let expected = expected(*line, *data, ask);
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
                let at = format!("{what}: {line:?}, {ask:?}, entity {entity}, {index}");
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
        let ask = Ask { form: form(true, true), penalties: Penalties::Ridge(&ALPHAS) };
        let net = nets(&[0.1], &[0.5]);
        let net = Ask { penalties: Penalties::Net(&net), ..ask };
        asked(plain, &[(frame, folds)], &[ask, net])
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
    let (lasso, half) = (nets(&alphas, &[1.0]), nets(&alphas, &[0.5]));
    for (line, penalties, least_told) in [
        (Line::Ridge, Penalties::Ridge(&alphas), 0.65),
        (Line::Lasso, Penalties::Net(&lasso), 0.8),
        (Line::ElasticNet, Penalties::Net(&half), 0.8),
    ] {
        let forms = [(true, true), (false, true), (true, false), (false, false)];
        let asks = forms.map(|(is_standard, has_intercept)| {
            (line, Ask { form: form(is_standard, has_intercept), penalties })
        });
        let (n_told, n_all) = agree("few rows", &data, Shim::default(), &asks);
        let share = n_told as f64 / n_all as f64;
        assert!(share >= least_told, "{line:?}: {n_told} of {n_all} told");
    }
}

#[test]
fn an_entity_is_told_the_same_in_any_company() {
    let frames = [frame(90, 5), mixed(), frame(60, 35), frame(40, 2)];
    let folds: Vec<Vec<Fold>> = frames.iter().map(|own| k_folds(own.n_rows, 3)).collect();
    let data: Vec<(&Frame, &[Fold])> =
        frames.iter().zip(&folds).map(|(frame, folds)| (frame, folds.as_slice())).collect();
    let penalties = nets(&[0.01, 0.3, 2.0], &[1.0, 0.3]);
    let standard = form(true, true);
    let asks = [
        Ask { form: standard, penalties: Penalties::Ridge(&ALPHAS) },
        Ask { form: standard, penalties: Penalties::Net(&penalties) },
    ];
    let bits = |answers: &Answers| -> Vec<Vec<Option<u64>>> {
        let of = |own: &Vec<Option<f64>>| own.iter().map(|e| e.map(f64::to_bits)).collect();
        answers.iter().map(of).collect()
    };
    let together = asked(Shim::default(), &data, &asks);
    let backwards: Vec<_> = data.iter().rev().copied().collect();
    let backwards = asked(Shim::default(), &backwards, &asks);
    for (ask, (together, backwards)) in together.iter().zip(&backwards).enumerate() {
        let (together, backwards) = (bits(together), bits(backwards));
        assert!(together.iter().flatten().any(Option::is_some));
        for (index, own) in together.iter().enumerate() {
            assert_eq!(&backwards[frames.len() - 1 - index], own);
            let alone = asked(Shim::default(), &data[index..=index], &asks);
            assert_eq!(&bits(&alone[ask])[0], own, "entity {index}");
        }
    }
    // A penalty alone is a penalty among others.
    for (index, penalty) in penalties.iter().enumerate() {
        let one = [*penalty];
        let ask = Ask { form: standard, penalties: Penalties::Net(&one) };
        let alone = asked(Shim::default(), &data[1..2], &[ask]);
        for (fold, alone) in alone[0][0].iter().enumerate() {
            let among = together[1][1][fold * penalties.len() + index];
            assert_eq!(alone.map(f64::to_bits), among.map(f64::to_bits));
        }
    }
}

#[test]
fn whoever_has_heard_enough_is_not_told_more() {
    let (data, folds) = (frame(40, 2), k_folds(40, 2));
    let entity = Entity::of(&data, &folds, &Stop::default()).unwrap();
    let ask = Ask { form: form(true, true), penalties: Penalties::Ridge(&ALPHAS) };
    let mut heard = Vec::new();
    let machine = Machine::Shim(Shim::default());
    let mut hear = |n_done| {
        heard.push(n_done);
        false
    };
    let (found, _) =
        squared_errors((&machine, &Shim::limits(1)), &[None, entity], &[ask], &mut hear).unwrap();
    assert_eq!((found[0][0].len(), found[0][1].len()), (0, 14));
    assert_eq!(heard, [1]);
    let small = Machine::Shim(Shim { max_bytes: Some(1_000), ..Shim::default() });
    let entity = Entity::of(&data, &folds, &Stop::default()).unwrap();
    let full = squared_errors((&small, &Shim::limits(1)), &[entity], &[ask], &mut |_| true);
    assert_eq!(full.unwrap().1, Err(Fault::OutOfMemory));
}
