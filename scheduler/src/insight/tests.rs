//! Importances against shares that are known, and against those that Optuna 5.0 gives the same trials.

use super::*;

/// Points of a sequence that fills the cube evenly and is the same in every language.
fn unit(i: usize, k: usize) -> f64 {
    const STEPS: [f64; 5] = [
        0.618_033_988_749_895,
        0.754_877_666_246_692_7,
        0.569_840_290_998_053_2,
        0.819_172_513_396_164_5,
        0.671_043_606_703_789_3,
    ];
    ((i + 1) as f64 * STEPS[k % 5] + (k / 5) as f64 * 0.37).fract()
}

fn dimension(kind: Kind) -> Dimension {
    Dimension { kind, parent: None }
}

fn levels(n: usize) -> Kind {
    Kind::Levels((0..n).map(|i| (i as f64 + 0.5) / n as f64).collect())
}

fn value(unit: f64, n: usize) -> usize {
    (unit * n as f64) as usize
}

/// Trials of a function; the coordinates it sees are settled, and no numbers where inactive.
fn tried(dimensions: Vec<Dimension>, n: usize, loss: impl Fn(&[f64]) -> f64) -> Tried {
    let mut tried = Tried { dimensions, ..Tried::default() };
    for i in 0..n {
        let mut units: Vec<f64> = Vec::new();
        for (k, dimension) in tried.dimensions.iter().enumerate() {
            let exists = dimension.parent.is_none_or(|(parent, alternative)| {
                tried.dimensions[parent].value_at(units[parent]) == Some(alternative)
            });
            let unit = unit(i, k);
            units.push(match (exists, dimension.n_values()) {
                (false, _) => f64::NAN,
                (true, Some(n)) => (value(unit, n) as f64 + 0.5) / n as f64,
                (true, None) => unit,
            });
        }
        let loss = loss(&units);
        tried.push(&units, loss);
    }
    tried
}

fn shares(insight: &Insight) -> Vec<f64> {
    let shares = &insight.fanova.as_ref().unwrap().shares;
    shares.iter().map(|share| share.unwrap().mean).collect()
}

fn check_near(own: &[f64], others: &[f64], tolerance: f64) {
    assert_eq!(own.len(), others.len());
    let is_near = |(own, other): (&f64, &f64)| (own - other).abs() <= tolerance;
    assert!(own.iter().zip(others).all(is_near), "{own:?} {others:?}");
}

fn numbers(n: usize) -> Vec<Dimension> {
    (0..n).map(|_| dimension(Kind::Number)).collect()
}

fn bowl_and_product(units: &[f64]) -> f64 {
    4.0 * (units[0] - 0.3).powi(2) + units[1] * units[2] + 0.1 * units[3]
}

/// A choice of three with a parameter under two of its alternatives.
fn conditional() -> Vec<Dimension> {
    vec![
        dimension(Kind::Category(3)),
        dimension(Kind::Number),
        Dimension { kind: Kind::Number, parent: Some((0, 0)) },
        Dimension { kind: levels(10), parent: Some((0, 1)) },
    ]
}

fn branches(units: &[f64]) -> f64 {
    let choice = value(units[0], 3);
    let own = match choice {
        0 => 2.0 * (units[2] - 0.3).powi(2),
        1 => 0.02 * value(units[3], 10) as f64,
        _ => 0.0,
    };
    0.3 * units[1] + [0.2, 0.5, 0.8][choice] + own
}

/// More alternatives than there are cells, of which some hold two, each with a parameter of its own.
#[test]
fn parameters_of_very_many_alternatives_have_no_share_by_another_s_trials() {
    let n = 300;
    let own =
        (0..n).map(|alternative| Dimension { kind: Kind::Number, parent: Some((0, alternative)) });
    let dimensions: Vec<Dimension> =
        std::iter::once(dimension(Kind::Category(n))).chain(own).collect();
    let mut all = Tried { dimensions, ..Tried::default() };
    let (alone, beside) = (150, 2);
    for i in 0..1_200 {
        let alternative = if i % 3 == 0 { i / 3 % n } else { [alone, beside][i % 2] };
        let x = unit(i, 1);
        let mut units = vec![f64::NAN; n + 1];
        units[0] = (alternative as f64 + 0.5) / n as f64;
        units[alternative + 1] = x;
        all.push(&units, if alternative == alone { x } else { 2.0 });
    }
    let insight = Insight::new(&all, 1);
    let shares = insight.fanova.unwrap().shares;
    let share = |alternative: usize| shares[alternative + 1].map_or(0.0, |share| share.mean);
    assert!(share(alone) > 1e-5, "{}", share(alone));
    assert!((0..n).all(|other| other == alone || share(other) < 1e-9));
}

#[test]
fn shares_of_an_analytic_function() {
    // Variances: 16 (0.0341 - 0.01521) of the bowl, 1/48 of each factor and 1/144 of both, 0.01/12.
    let parts = [0.302_222, 1.0 / 48.0, 1.0 / 48.0, 0.01 / 12.0];
    let together = 1.0 / 144.0;
    let whole = parts.iter().sum::<f64>() + together;
    let insight = Insight::new(&tried(numbers(4), 2_000, bowl_and_product), 1);
    check_near(&shares(&insight), &parts.map(|part| part / whole), 0.012);
    let (pair, share) = insight.fanova.as_ref().unwrap().pairs[0];
    assert_eq!(pair, [1, 2]);
    assert!((share.mean - together / whole).abs() < 0.006, "{share:?}");
}

#[test]
fn shares_of_what_does_not_always_exist() {
    // E and variance over all of the cube, where a parameter that does not exist changes nothing.
    let bowl = |x: f64| 2.0 * (x - 0.3) * (x - 0.3);
    let n = 20_000;
    let unit = |i: usize| (i as f64 + 0.5) / f64::from(n);
    let moments = |f: &dyn Fn(usize) -> f64, n: usize| {
        let mean = (0..n).map(f).sum::<f64>() / n as f64;
        (mean, (0..n).map(|i| (f(i) - mean).powi(2)).sum::<f64>() / n as f64)
    };
    let (bowl_mean, bowl_variance) = moments(&|i| bowl(unit(i)), n as usize);
    let (steps_mean, steps_variance) = moments(&|i| 0.02 * i as f64, 10);
    let (_, choice) = moments(&|i| [0.2 + bowl_mean, 0.5 + steps_mean, 0.8][i], 3);
    let x = 0.09 / 12.0;
    let whole = choice + x + (bowl_variance + steps_variance) / 3.0;
    let parts = [choice, x, bowl_variance / 9.0, steps_variance / 9.0];
    let insight = Insight::new(&tried(conditional(), 2_000, branches), 1);
    check_near(&shares(&insight), &parts.map(|part| part / whole), 0.015);
}

#[test]
fn what_exists_under_alternatives_that_are_equally_good_has_its_share() {
    let own = |parent| Dimension { kind: Kind::Number, parent: Some(parent) };
    let choice = |n| dimension(Kind::Category(n));
    let bowl = |x: f64| (x - 0.4).powi(2);
    let under = |n: usize| {
        let dimensions = vec![choice(n), dimension(Kind::Number)];
        dimensions.into_iter().chain((0..n).map(|at| own((0, at)))).collect::<Vec<_>>()
    };
    let loss = |units: &[f64]| units[2..].iter().filter(|x| !x.is_nan()).map(|&x| bowl(x)).sum();
    for (n, n_trials, tolerance) in [(2, 100, 0.1), (2, 1_000, 0.03), (3, 1_000, 0.03)] {
        let insight = Insight::new(&tried(under(n), n_trials, loss), 1);
        // Each is n times less of the cube, and half of what it does there is done with the choice.
        let each = 1.0 / (n * n) as f64;
        let expected: Vec<f64> = [0.0; 2].into_iter().chain(std::iter::repeat_n(each, n)).collect();
        check_near(&shares(&insight), &expected, tolerance);
    }
    // Two choices, one under an alternative of the other.
    let inner = Dimension { kind: Kind::Category(2), parent: Some((0, 1)) };
    let nested = vec![choice(2), dimension(Kind::Number), own((0, 0)), inner, own((3, 1))];
    let loss = |units: &[f64]| if units[4].is_nan() { bowl(0.4) + 0.08 } else { bowl(units[4]) };
    let insight = Insight::new(&tried(nested, 1_000, loss), 1);
    check_near(&shares(&insight), &[0.0, 0.0, 0.0, 0.0, 0.25], 0.03);
}

#[test]
fn a_branch_without_values_is_no_part_of_the_cube() {
    // Trials that failed have no value.
    let of = |keeps: fn(usize) -> bool| {
        let whole = tried(conditional(), 900, branches);
        let mut kept = Tried { dimensions: conditional(), ..Tried::default() };
        for trial in 0..whole.n() {
            let row = whole.row(trial);
            if keeps(value(row[0], 3)) {
                kept.push(row, whole.losses[trial]);
            }
        }
        Insight::new(&kept, 1)
    };
    let [unit, bowl]: [fn(usize) -> f64; 2] =
        [|i| (i as f64 + 0.5) / 1_000.0, |i| 2.0 * ((i as f64 + 0.5) / 1_000.0 - 0.3).powi(2)];
    let moments = |f: fn(usize) -> f64, n: usize| {
        let mean = (0..n).map(f).sum::<f64>() / n as f64;
        (mean, (0..n).map(|i| (f(i) - mean).powi(2)).sum::<f64>() / n as f64)
    };
    let line = 0.09 * moments(unit, 1_000).1;
    let (bowl_mean, bowl_variance) = moments(bowl, 1_000);
    let (steps_mean, steps_variance) = moments(|i| 0.02 * i as f64, 10);
    let choice = (0.5 + steps_mean - 0.2 - bowl_mean).powi(2) / 4.0;
    let two = of(|choice| choice < 2);
    let whole = choice + line + (bowl_variance + steps_variance) / 2.0;
    let parts = [choice, line, bowl_variance / 4.0, steps_variance / 4.0];
    check_near(&shares(&two), &parts.map(|part| part / whole), 0.03);
    let curves = two.fanova.unwrap().curves;
    assert_eq!(curves[0].points.len(), 2);
    // One alternative alone: what hangs on it is always there.
    let one = of(|choice| choice == 0);
    let whole = line + bowl_variance;
    let parts = [0.0, line / whole, bowl_variance / whole, 0.0];
    check_near(&shares(&one), &parts, 0.03);
}

#[test]
fn close_to_optuna() {
    // FanovaImportanceEvaluator, the mean of three seeds.
    let four = Insight::new(&tried(numbers(4), 200, bowl_and_product), 1);
    check_near(&shares(&four), &[0.8674, 0.0347, 0.0368, 0.0008], 0.02);
    let mixed = [Kind::Number, levels(8), Kind::Category(5), Kind::Category(2)].map(dimension);
    let loss = |units: &[f64]| {
        let category = [0.0, 0.5, 0.1, 0.9, 0.2][value(units[2], 5)];
        (units[0] - 0.3).powi(2) + 0.1 * value(units[1], 8) as f64 + category
    };
    let mixed = Insight::new(&tried(mixed.to_vec(), 200, loss), 1);
    check_near(&shares(&mixed), &[0.0704, 0.2338, 0.6369, 0.0004], 0.05);
    // What they are.
    check_near(&shares(&mixed), &[0.106, 0.295, 0.598, 0.0], 0.03);
    // PedAnovaImportanceEvaluator, brought to a sum of 1.
    let conditional = Insight::new(&tried(conditional(), 300, branches), 1);
    let expected = [
        (&four, [0.6118, 0.09891, 0.2739, 0.0154]),
        (&mixed, [0.15829, 0.75312, 0.08349, 0.00511]),
        (&conditional, [0.10718, 0.15514, 0.73768, 0.0]),
    ];
    for (own, others) in expected {
        check_near(own.ped_anova.as_ref().unwrap(), &others, 2e-4);
    }
}

#[test]
fn curves_and_planes_follow_the_function() {
    let insight = Insight::new(&tried(numbers(4), 2_000, bowl_and_product), 1);
    let fanova = insight.fanova.unwrap();
    // E of the rest: 1/4 of the product and 0.05 of the line.
    for &(unit, Expected { loss, deviation }) in &fanova.curves[0].points {
        let expected = 4.0 * (unit - 0.3).powi(2) + 0.3;
        assert!((loss - expected).abs() < 0.06, "{unit}: {loss} {expected}");
        assert!(deviation < 0.1, "{deviation}");
    }
    let plane = fanova.plane.unwrap();
    assert_eq!((plane.dimensions, plane.expected.len()), ([1, 2], 144));
    let at = |i: usize, j: usize| plane.expected[i * 12 + j].loss;
    assert!(at(11, 11) - at(0, 11) > 0.5, "{} {}", at(11, 11), at(0, 11));
    assert!((at(11, 0) - at(0, 0)).abs() < 0.2, "{} {}", at(11, 0), at(0, 0));
    let conditional = Insight::new(&tried(conditional(), 500, branches), 1).fanova.unwrap();
    let choice: Vec<f64> = conditional.curves[0].points.iter().map(|point| point.1.loss).collect();
    // With what the branches add on average.
    check_near(&choice, &[0.2 + 0.15 + 0.246_667, 0.5 + 0.15 + 0.09, 0.8 + 0.15], 0.04);
}

#[test]
fn what_tells_nothing() {
    let none = Insight::default();
    assert_eq!(Insight::new(&tried(numbers(3), 50, |_| 2.5), 1), none);
    assert_eq!(Insight::new(&tried(numbers(3), 4, bowl), 1), none);
    assert_eq!(Insight::new(&tried(Vec::new(), 50, |_| 1.0), 1), none);
    // One point, again and again, with other losses: nothing to cut.
    let mut same = Tried { dimensions: numbers(2), ..Tried::default() };
    (0..20).for_each(|i| same.push(&[0.5, 0.5], f64::from(i)));
    let insight = Insight::new(&same, 1);
    assert_eq!(insight.fanova, None);
    // Losses that are no numbers are not there.
    let broken = tried(numbers(2), 60, |units| if units[0] < 0.9 { f64::NAN } else { units[1] });
    assert!(broken.n() < 10 && broken.losses.iter().all(|loss| loss.is_finite()));
}

fn bowl(units: &[f64]) -> f64 {
    (units[0] - 0.3).powi(2)
}

#[test]
fn one_parameter_has_everything() {
    let insight = Insight::new(&tried(numbers(1), 100, bowl), 1);
    check_near(&shares(&insight), &[1.0], 1e-9);
    assert_eq!(insight.ped_anova, Some(vec![1.0]));
    let fanova = insight.fanova.unwrap();
    assert_eq!((fanova.pairs, fanova.plane), (Vec::new(), None));
}

#[test]
fn hostile_losses_give_finite_shares() {
    type Loss = fn(&[f64]) -> f64;
    let losses: [Loss; 4] = [
        |units| if units[0] < 0.5 { 1e300 } else { -1e300 },
        |units| 1e12 + units[0] * 1e-2,
        |units| units[0] * 1e-300,
        |units| units[0] + if units[1] > 0.98 { f64::MAX } else { 0.0 },
    ];
    for loss in losses {
        for dimensions in [numbers(2), conditional()] {
            let insight = Insight::new(&tried(dimensions, 100, loss), 1);
            let Some(fanova) = &insight.fanova else { continue };
            assert!(fanova.shares.iter().flatten().all(|s| (0.0..=1.0).contains(&s.mean)));
            let points = fanova.curves.iter().flat_map(|curve| &curve.points);
            assert!(points.clone().all(|(_, e)| e.loss.is_finite() && e.deviation.is_finite()));
            assert!(insight.ped_anova.unwrap().iter().all(|share| share.is_finite()));
        }
    }
}

#[test]
fn of_many_parameters_those_that_tell_are_looked_at() {
    let loss = |units: &[f64]| 2.0 * units[150] + (units[7] - 0.5).powi(2);
    let insight = Insight::new(&tried(numbers(200), 300, loss), 1);
    let fanova = insight.fanova.unwrap();
    assert_eq!(fanova.shares.iter().flatten().count(), 64);
    assert!(fanova.shares[150].unwrap().mean > 0.7);
    assert_eq!(insight.ped_anova.unwrap().len(), 200);
}

#[test]
fn categories_without_number() {
    let mut dimensions = numbers(1);
    dimensions.extend([dimension(Kind::Category(1_000)), dimension(Kind::Category(1))]);
    let insight = Insight::new(&tried(dimensions, 400, |units| units[0] + units[1]), 1);
    let shares = shares(&insight);
    assert!(shares[0] > 0.3 && shares[1] > 0.3 && shares[2] == 0.0, "{shares:?}");
}

#[test]
fn it_follows_from_the_seed() {
    let tried = tried(conditional(), 200, branches);
    assert_eq!(format!("{:?}", Insight::new(&tried, 5)), format!("{:?}", Insight::new(&tried, 5)));
}

fn ended(number: u32, loss: Option<f64>) -> Ended {
    Ended { number, loss, elapsed_s: Some(f64::from(number)) }
}

#[test]
fn improvements_and_what_they_add_up_to() {
    let losses = [None, Some(5.0), Some(6.0), Some(3.0), None, Some(3.0), Some(1.0), Some(4.0)];
    let all: Vec<Ended> = (0..).zip(losses).map(|(i, loss)| ended(i, loss)).collect();
    let found = Convergence::new(&all);
    let steps: Vec<(usize, u32, f64)> =
        found.steps.iter().map(|step| (step.nth, step.ended.number, step.loss)).collect();
    assert_eq!(steps, [(2, 1, 5.0), (4, 3, 3.0), (7, 6, 1.0)]);
    // The median is 4: 1 for the one that failed, 1 twice, 2/3 three times, 0 twice.
    assert!((found.area.unwrap() - 5.0 / 8.0).abs() < 1e-12, "{found:?}");
    assert_eq!(Convergence::new(&[]), Convergence::default());
    let failed = Convergence::new(&[ended(0, None)]);
    assert_eq!((failed.steps.len(), failed.n, failed.area), (0, 1, None));
    assert_eq!(Convergence::new(&[ended(0, Some(1.0)), ended(1, Some(1.0))]).area, None);
    let first: Vec<Ended> = (0..9).map(|i| ended(i, Some(f64::from(i)))).collect();
    assert_eq!(Convergence::new(&first).area, Some(0.0));
    let falling: Vec<Ended> = (0..5_000).map(|i| ended(i, Some(-f64::from(i)))).collect();
    let steps = Convergence::new(&falling).steps;
    assert!(steps.len() <= 1_001, "{}", steps.len());
    assert_eq!((steps[0].nth, steps[steps.len() - 1].nth), (1, 5_000));
}

#[test]
fn a_value_that_was_tried_once_is_in_every_tree() {
    // The third branch brings 3 and has nothing of its own, the first one a bowl, the second steps.
    let far = |units: &[f64]| if value(units[0], 3) == 2 { 3.0 } else { branches(units) };
    let whole = tried(conditional(), 300, far);
    let mut kept = Tried { dimensions: conditional(), ..Tried::default() };
    let mut is_there = false;
    for trial in 0..whole.n() {
        let is_third = value(whole.row(trial)[0], 3) == 2;
        if !is_third || !std::mem::replace(&mut is_there, true) {
            kept.push(whole.row(trial), whole.losses[trial]);
        }
    }
    let choice = |tried: &Tried| Insight::new(tried, 1).fanova.unwrap().shares[0].unwrap();
    let (all, once) = (choice(&whole), choice(&kept));
    assert!((once.mean - all.mean).abs() < 0.02, "{once:?} {all:?}");
    assert!(once.deviation < 0.05, "{once:?}");
}
