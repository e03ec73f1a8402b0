use fleetfit_search_spaces::seed::mix;
use fleetfit_search_spaces::{Alternative, Choice, Domain, Parameter, Scale, SearchSpace, Value};

use super::super::front::Losses;
use super::super::history::Fate;
use super::*;

fn parameter(name: &str, domain: Domain) -> Parameter {
    Parameter { name: name.into(), domain }
}

fn number(name: &str) -> Parameter {
    let domain = Domain::Float { min: 0.0, max: 1.0, step: None, scale: Scale::Linear };
    parameter(name, domain)
}

fn integer(name: &str, max: i64) -> Parameter {
    parameter(name, Domain::Int { min: 1, max, step: 1, scale: Scale::Linear })
}

fn text(values: &[&str]) -> Domain {
    let value = |text: &&str| Alternative::Value(Value::Text((*text).into()));
    Domain::Choice(Choice::new(values.iter().map(value).collect()))
}

fn cube(n: usize) -> Axes {
    Axes::new(SearchSpace { parameters: (0..n).map(|i| number(&format!("x{i}"))).collect() })
}

/// A number, an integer, a category and a choice of three branches, one of them empty.
fn mixed() -> Axes {
    let branch = |parameters| Alternative::Space(SearchSpace { parameters });
    let branches = vec![
        branch(vec![number("a"), parameter("kind", text(&["x", "y"]))]),
        branch(vec![number("b")]),
        branch(Vec::new()),
    ];
    let model = Domain::Choice(Choice::new(branches));
    let parameters = vec![
        number("x"),
        integer("n", 30),
        parameter("c", text(&["p", "q", "r"])),
        parameter("model", model),
    ];
    Axes::new(SearchSpace { parameters })
}

/// Nothing settled.
fn free(axes: &Axes) -> Vec<f64> {
    vec![f64::NAN; axes.kinds().len()]
}

fn draw(number: u64) -> Pcg64 {
    Pcg64::new(u128::from(number) + 77, 1)
}

fn units(draw: &mut Pcg64, axes: &Axes) -> Vec<f64> {
    let mut units: Vec<f64> = axes.kinds().iter().map(|_| unit(draw.next_u64())).collect();
    axes.settle(&mut units);
    units
}

fn begin(axes: &Axes, history: &mut History, number: u32, units: &[f64]) {
    history.begin(axes, number, &axes.configuration(units));
}

/// A history of points drawn by chance.
fn history(axes: &Axes, n: u32, fate: impl Fn(u32, &[f64]) -> Option<Fate>) -> History {
    let (mut history, mut draw) = (History::default(), draw(1_000));
    for number in 0..n {
        let units = units(&mut draw, axes);
        begin(axes, &mut history, number, &units);
        if let Some(fate) = fate(number, &units) {
            history.end(axes, number, fate);
        }
    }
    history
}

fn bowl(units: &[f64]) -> f64 {
    units.iter().filter(|unit| !unit.is_nan()).map(|unit| (unit - 0.3).powi(2)).sum()
}

fn check_points(axes: &Axes, points: &[Vec<f64>]) {
    assert!(!points.is_empty());
    for point in points {
        let mut settled = point.clone();
        axes.settle(&mut settled);
        for (axis, (unit, settled)) in point.iter().zip(&settled).enumerate() {
            let is_active = axes.is_active(axis, point);
            assert_eq!(is_active, !settled.is_nan());
            assert!(!is_active || (0.0..=1.0).contains(unit), "{point:?}");
        }
        assert!(axes.space().contains(&axes.configuration(point)));
    }
}

/// The least loss after so many trials, one at a time.
fn search(axes: &Axes, n: u32, loss: impl Fn(&[f64]) -> f64) -> f64 {
    seeded_search(0, axes, n, loss)
}

fn seeded_search(seed: u64, axes: &Axes, n: u32, loss: impl Fn(&[f64]) -> f64) -> f64 {
    let mut gp = Gp::default();
    let mut least = f64::INFINITY;
    let mut history = history(axes, 8, |_, units| Some(Fate::Completed(loss(units))));
    for past in history.trials() {
        least = least.min(past.loss().unwrap());
    }
    for number in 8..n {
        let points =
            gp.propose(axes, &history, &free(axes), &mut draw(1_000 * seed + u64::from(number)));
        check_points(axes, &points);
        let mut units = points[0].clone();
        axes.settle(&mut units);
        begin(axes, &mut history, number, &units);
        let loss = loss(&units);
        least = least.min(loss);
        history.end(axes, number, Fate::Completed(loss));
    }
    least
}

#[test]
fn it_finds_minima_on_every_kind_of_axis() {
    let least = search(&cube(3), 35, bowl);
    assert!(least < 1e-4, "{least}");
    // Worst where most points are: the third category and the second branch are best.
    let loss = |units: &[f64]| {
        let category = [0.5, 0.3, 0.0][(units[2] * 3.0) as usize];
        let branch = match (units[3] * 3.0) as usize {
            0 => 0.4 + (units[4] - 0.5).powi(2),
            1 => 4.0 * (units[6] - 0.8).powi(2),
            _ => 0.3,
        };
        (units[0] - 0.2).powi(2) + 2.0 * (units[1] - 0.61).powi(2) + category + branch
    };
    let least = search(&mixed(), 60, loss);
    assert!(least < 2e-3, "{least}");
}

#[test]
fn losses_out_of_all_proportion_do_no_harm() {
    let least = search(&cube(2), 40, |units| (30.0 * bowl(units)).exp() - 1.0);
    assert!(least < 1e-2, "{least}");
}

#[test]
fn axes_on_the_wrong_scale_do_little_harm() {
    let log = |unit: f64| (999.0 * unit).ln_1p() / 1_000f64.ln();
    let valley = |units: &[f64]| {
        let (a, b) = (4.0 * log(units[0]) - 1.5, 4.0 * (1.0 - log(1.0 - units[1])) - 1.5);
        (b - a * a).powi(2) + 0.1 * (1.0 - a).powi(2)
    };
    let mut least: Vec<f64> =
        (0..7).map(|seed| seeded_search(seed, &cube(2), 60, valley)).collect();
    least.sort_by(f64::total_cmp);
    assert!(least[3] < 5e-3, "{least:?}");
}

#[test]
fn what_is_settled_stays_and_is_improved_upon_by_itself() {
    let axes = mixed();
    let fate = |_, units: &[f64]| Some(Fate::Completed(bowl(units)));
    let history = history(&axes, 40, fate);
    for branch in 0..3 {
        let mut fixed = free(&axes);
        fixed[3] = (f64::from(branch) + 0.5) / 3.0;
        let points = Gp::default().propose(&axes, &history, &fixed, &mut draw(1));
        check_points(&axes, &points);
        assert!(points.iter().all(|point| point[3] == fixed[3]), "{branch}");
    }
    // Here nothing has completed: then an improvement is one of all.
    let mut fixed = free(&axes);
    fixed[1] = 0.123;
    assert!(!Gp::default().propose(&axes, &history, &fixed, &mut draw(1)).is_empty());
}

#[test]
fn proposals_follow_from_the_history_and_the_draw() {
    for axes in [cube(2), mixed()] {
        let fate = |number: u32, units: &[f64]| match number {
            50.. => None,
            20 | 33 => Some(Fate::Failed),
            24 => Some(Fate::Stopped(Some(0.5))),
            _ => Some(Fate::Completed(bowl(units))),
        };
        let mut kept = Gp::default();
        for n in [12, 13, 30, 47, 53, 55] {
            let history = history(&axes, n, fate);
            let with_kept = kept.propose(&axes, &history, &free(&axes), &mut draw(u64::from(n)));
            let again = kept.propose(&axes, &history, &free(&axes), &mut draw(u64::from(n)));
            let anew =
                Gp::default().propose(&axes, &history, &free(&axes), &mut draw(u64::from(n)));
            // Bit by bit: coordinates that do not exist are no numbers.
            let bits = |points: &[Vec<f64>]| -> Vec<u64> {
                points.iter().flatten().map(|unit| unit.to_bits()).collect()
            };
            assert_eq!(bits(&with_kept), bits(&anew), "{n}");
            assert_eq!(bits(&with_kept), bits(&again), "{n}");
        }
    }
}

#[test]
fn hostile_histories_give_points() {
    type Fates = fn(u32, &[f64]) -> Option<Fate>;
    let fates: [Fates; 9] = [
        |_, _| None,
        |_, _| Some(Fate::Failed),
        |_, _| Some(Fate::Completed(f64::NAN)),
        |_, _| Some(Fate::Stopped(Some(1.0))),
        |_, _| Some(Fate::Completed(3.0)),
        |number, _| Some(Fate::Completed(if number % 2 == 0 { 1e300 } else { -1e300 })),
        |number, _| (number == 5).then_some(Fate::Completed(1.0)),
        |number, _| match number % 3 {
            0 => Some(Fate::Failed),
            1 => Some(Fate::Stopped(None)),
            _ => Some(Fate::Completed(f64::from(number) * 1e-300)),
        },
        |number, units| Some(Fate::Completed(units[0] + if number == 7 { 1e12 } else { 0.0 })),
    ];
    for axes in [cube(1), cube(5), mixed()] {
        for fate in fates {
            for n in [0, 1, 2, 40] {
                let history = history(&axes, n, fate);
                check_points(
                    &axes,
                    &Gp::default().propose(&axes, &history, &free(&axes), &mut draw(1)),
                );
            }
        }
    }
}

#[test]
fn the_same_point_again_and_again_is_harmless() {
    for axes in [cube(3), mixed()] {
        let mut history = History::default();
        let mut point = vec![0.5; axes.kinds().len()];
        axes.settle(&mut point);
        for number in 0..30 {
            begin(&axes, &mut history, number, &point);
            if number < 25 {
                history.end(&axes, number, Fate::Completed(f64::from(number % 3)));
            }
        }
        check_points(&axes, &Gp::default().propose(&axes, &history, &free(&axes), &mut draw(1)));
    }
}

#[test]
fn spaces_of_one_point_and_of_a_thousand_axes() {
    let one = Axes::new(SearchSpace {
        parameters: vec![parameter("only", text(&["one"])), integer("n", 1)],
    });
    let empty = Axes::new(SearchSpace { parameters: Vec::new() });
    let choices: Vec<Parameter> =
        (0..1_000).map(|i| parameter(&format!("c{i}"), text(&["p", "q", "r"]))).collect();
    let wide = [cube(1_000), Axes::new(SearchSpace { parameters: choices })];
    for axes in wide.iter().chain([&one, &empty]) {
        let history = history(axes, 14, |number, units| {
            (number < 12).then_some(Fate::Completed(bowl(units)))
        });
        check_points(axes, &Gp::default().propose(axes, &history, &free(axes), &mut draw(1)));
    }
}

#[test]
fn trials_that_run_are_kept_away_from() {
    let axes = cube(2);
    let mut history = history(&axes, 12, |_, units| Some(Fate::Completed(bowl(units))));
    let mut gp = Gp::default();
    let mut points: Vec<Vec<f64>> = Vec::new();
    for number in 12..28 {
        let proposed = gp.propose(&axes, &history, &free(&axes), &mut draw(u64::from(number)));
        begin(&axes, &mut history, number, &proposed[0]);
        points.push(proposed[0].clone());
    }
    let mut nearest = f64::INFINITY;
    for (i, point) in points.iter().enumerate() {
        for other in &points[..i] {
            let distance = (point[0] - other[0]).hypot(point[1] - other[1]);
            nearest = nearest.min(distance);
        }
    }
    assert!(nearest > 1e-3, "{nearest}");
    // Most of them look where the minimum is thought to be.
    let is_near = |point: &&Vec<f64>| bowl(point) < 0.1;
    assert!(points.iter().filter(is_near).count() > 4, "{points:?}");
}

#[test]
fn many_that_run_do_not_crowd_where_losses_are_noisy() {
    let axes = cube(2);
    let noisy = |number: u32, units: &[f64]| {
        let noise = unit(mix(&[u64::from(number)])) - 0.5;
        units.iter().sum::<f64>() + noise
    };
    let mut history =
        history(&axes, 30, |number, units| Some(Fate::Completed(noisy(number, units))));
    let mut gp = Gp::default();
    for number in 30..230 {
        let points = gp.propose(&axes, &history, &free(&axes), &mut draw(u64::from(number)));
        begin(&axes, &mut history, number, &points[0]);
    }
    let running = || history.trials()[30..].iter();
    let n_near =
        |past: &Past| running().filter(|other| is_within(APART, &past.units, &other.units)).count();
    let most = running().map(n_near).max();
    assert!(most < Some(12), "{most:?}");
}

#[test]
fn where_trials_are_stopped_is_not_tried_again_and_again() {
    let axes = cube(1);
    // Bounds are kept on the right, where losses rise and most are stopped.
    let fate = |units: &[f64]| match units[0] {
        x if x > 0.75 => Fate::Stopped(None),
        x => {
            let mut losses = Losses::new([(x - 0.3).powi(2)], (0.5 - x).max(0.0));
            losses.excess = 0.5 - x;
            Fate::Judged(losses)
        }
    };
    let mut history = history(&axes, 6, |_, units| Some(fate(units)));
    let mut gp = Gp::default();
    let mut n_stopped = 0;
    for number in 6..30 {
        history.settle(&axes);
        let points = gp.propose(&axes, &history, &free(&axes), &mut draw(u64::from(number)));
        let units = points[0].clone();
        begin(&axes, &mut history, number, &units);
        n_stopped += u32::from(matches!(fate(&units), Fate::Stopped(_)));
        history.end(&axes, number, fate(&units));
    }
    assert!(n_stopped < 6, "{n_stopped}");
    let units: Vec<f64> = history.trials().iter().map(|past| past.units[0]).collect();
    assert!(units.iter().any(|unit| (0.5..0.51).contains(unit)), "{units:?}");
}

#[test]
fn the_model_stays_small() {
    let axes = cube(2);
    let history = history(&axes, 1_500, |_, units| Some(Fate::Completed(bowl(units))));
    let mut gp = Gp::default();
    check_points(&axes, &gp.propose(&axes, &history, &free(&axes), &mut draw(1)));
    let kept = gp.kept.unwrap();
    assert!(kept.model.len() <= 480, "{}", kept.model.len());
    // The best one is among them.
    let least = |known: &[Known]| sorted_losses(known)[0];
    let all = Known::all(&history);
    assert_eq!(least(&kept.seen), least(&all));
}

/// How far each of so many proposals is from all trials before it, along the axis that they differ
/// most on.
fn distances(axes: &Axes, n: u32, loss: impl Fn(u32, &[f64]) -> f64) -> Vec<f64> {
    let mut gp = Gp::default();
    let mut history = history(axes, 6, |number, units| Some(Fate::Completed(loss(number, units))));
    let mut distances = Vec::new();
    for number in 6..n {
        let points = gp.propose(axes, &history, &free(axes), &mut draw(u64::from(number)));
        let units = points[0].clone();
        let from = |past: &Past| {
            let pairs = past.units.iter().zip(&units);
            pairs.map(|(one, other)| (one - other).abs()).fold(0.0, f64::max)
        };
        distances.push(history.trials().iter().map(from).fold(f64::INFINITY, f64::min));
        begin(axes, &mut history, number, &units);
        history.end(axes, number, Fate::Completed(loss(number, &units)));
    }
    distances
}

#[test]
fn what_is_exact_is_not_tried_twice() {
    let wave = |units: &[f64]| (17.0 * units[0]).sin() + units[0];
    let edge = |units: &[f64]| units[0];
    let steep_edge = |units: &[f64]| -(1.0 - units[0]).sqrt();
    for (axes, loss) in [
        (cube(1), bowl as fn(&[f64]) -> f64),
        (cube(1), wave),
        (cube(1), edge),
        (cube(1), steep_edge),
        (cube(2), bowl),
    ] {
        let distances = distances(&axes, 80, |_, units| loss(units));
        let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(least > 0.99 * CLOSE, "{least}: {distances:?}");
    }
    // What is noisy may well be measured again where it is best.
    let noise = |number: u32| 0.2 * (unit(mix(&[u64::from(number)])) - 0.5);
    let distances = distances(&cube(1), 60, |number, units| bowl(units) + noise(number));
    assert!(distances.iter().any(|distance| *distance < 1e-2), "{distances:?}");
}

/// How far the longest of the fitted lengths is from the shortest, as a logarithm, and whose that is.
fn lengths(axes: &Axes, n: u32, loss: impl Fn(&[f64]) -> f64) -> (f64, usize) {
    let history = history(axes, n, |_, units| Some(Fate::Completed(loss(units))));
    let lengths = Fitted::new(axes, &history, &Known::all(&history), false).lengths;
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by(|&a, &b| lengths[a].total_cmp(&lengths[b]));
    let (shortest, longest) = (order[0], order[lengths.len() - 1]);
    ((lengths[longest] / lengths[shortest]).ln(), shortest)
}

#[test]
fn with_many_axes_lengths_are_alike_until_losses_say_otherwise() {
    let (of_nine, of_ten) = (lengths(&cube(9), 24, bowl), lengths(&cube(10), 24, bowl));
    assert!(of_ten.0 < 0.7 * of_nine.0, "{of_nine:?} {of_ten:?}");
    let one = |units: &[f64]| (9.0 * units[5]).sin();
    let (few, many) = (lengths(&cube(16), 8, one), lengths(&cube(16), 48, one));
    assert!(many.0 > 3.0 && many.1 == 5 && many.0 > 2.0 * few.0, "{few:?} {many:?}");
    // A branch with nine axes of its own beside another: no trial has more than ten, and one is common.
    let parameters: Vec<Parameter> = (0..9).map(|i| number(&format!("x{i}"))).collect();
    let branch = || Alternative::Space(SearchSpace { parameters: parameters.clone() });
    let model = Domain::Choice(Choice::new(vec![branch(), branch()]));
    let axes = Axes::new(SearchSpace { parameters: vec![parameter("model", model)] });
    let of_branches = lengths(&axes, 24, bowl);
    assert!(of_branches.0 > of_nine.0, "{of_nine:?} {of_branches:?}");
}

#[test]
fn a_search_that_is_stuck_looks_around_the_best_every_second_time() {
    let slope = |units: &[f64]| units.iter().sum::<f64>();
    let region = |axes: &Axes, n: u32, best: u32| {
        let loss = |number, units: &[f64]| if number == best { 2.0 } else { slope(units) };
        let history = history(axes, n, |number, units| Some(Fate::Completed(loss(number, units))));
        let center = history.trials()[best as usize].units.clone();
        let region = Region::around(axes, &history, (best, &center));
        let points = Gp::default().propose(axes, &history, &free(axes), &mut draw(5));
        // What is proposed lies in it.
        assert!(points.iter().all(|point| region.holds(point)), "{region:?}");
        region.center.map(|center| (center, region.sides))
    };
    let axes = cube(12);
    // As many trials as there are axes after the best; others' turn; the best one later; fewer axes.
    let first = region(&axes, 21, 8);
    assert!(region(&axes, 22, 8).is_none() && region(&axes, 21, 9).is_none());
    assert!(region(&cube(9), 33, 8).is_none());
    let (first, later) = (first.unwrap(), region(&axes, 33, 8).unwrap());
    let widths = [(0.4, first), (0.2, later)];
    for (half, (center, sides)) in widths {
        for (middle, side) in center.iter().zip(sides) {
            assert_eq!(side, ((middle - half).max(0.0), (middle + half).min(1.0)));
        }
    }
    // Trials of earlier studies brought nothing, but took no time of this one's.
    let mut warm = history(&axes, 21, |_, units| Some(Fate::Completed(slope(units))));
    let center = warm.trials()[8].units.clone();
    assert!(Region::around(&axes, &warm, (8, &center)).center.is_some());
    let earlier = warm.trials()[..15].to_vec();
    warm.begin_with(earlier, 15);
    assert!(Region::around(&axes, &warm, (8, &center)).center.is_none());
    // Alternatives are all in it, and of integers the neighbours at least.
    let kinds = (0..10).map(|i| number(&format!("x{i}")));
    let others = [parameter("c", text(&["p", "q", "r"])), integer("n", 2)];
    let axes = Axes::new(SearchSpace { parameters: kinds.chain(others).collect() });
    let (center, sides) = region(&axes, 71, 8).unwrap();
    assert!(sides[0].1 - sides[0].0 <= 0.1 + 1e-9, "{sides:?}");
    assert_eq!(sides[10], (0.0, 1.0));
    assert_eq!(sides[11], ((center[11] - 0.5).max(0.0), (center[11] + 0.5).min(1.0)));
}

/// How many of so many trials complete and how many fail, where those fail that are told so.
fn ends(axes: &Axes, n: u32, fails: impl Fn(u32, &[f64]) -> bool) -> (u32, f64) {
    let (mut gp, mut past, mut draw) = (Gp::default(), History::default(), draw(3));
    let (mut n_completed, mut best) = (0, f64::INFINITY);
    for number in 0..n {
        let mut units = match number {
            0..10 => units(&mut draw, axes),
            _ => gp.propose(axes, &past, &free(axes), &mut draw).swap_remove(0),
        };
        axes.settle(&mut units);
        begin(axes, &mut past, number, &units);
        past.end(
            axes,
            number,
            match fails(number, &units) {
                true => Fate::Failed,
                false => {
                    n_completed += 1;
                    best = f64::min(best, bowl(&units));
                    Fate::Completed(bowl(&units))
                }
            },
        );
    }
    (n_completed, best)
}

#[test]
fn where_trials_fail_no_more_are_tried() {
    // Nine tenths of the cube fail, all but a corner of it that has the best point at its edge.
    let axes = cube(3);
    let is_outside = |units: &[f64]| units.iter().any(|unit| *unit > 0.46);
    let (n_completed, best) = ends(&axes, 50, |_, units| is_outside(units));
    assert!(n_completed >= 30, "{n_completed}");
    assert!(best < 0.01, "{best}");
}

#[test]
fn what_fails_by_chance_misleads_nobody() {
    let axes = cube(3);
    let (_, best) = ends(&axes, 50, |number, _| mix(&[9, u64::from(number)]).is_multiple_of(4));
    assert!(best < 0.001, "{best}");
}
