//! Several objectives and constraints: what samplers that learn find beside chance.

use fleetfit_scheduler::sampler::{self, Fate, Losses};
use fleetfit_search_spaces::{
    Algorithm, Configuration, Domain, Parameter, Scale, SearchSpace, Setting, Value,
};

use crate::studies::study;

const SEEDS: u64 = 10;

fn space(bounds: &[(f64, f64)]) -> SearchSpace {
    let parameter = |(index, &(min, max)): (usize, &(f64, f64))| Parameter {
        name: format!("x{index}"),
        domain: Domain::Float { min, max, step: None, scale: Scale::Linear },
    };
    SearchSpace { parameters: bounds.iter().enumerate().map(parameter).collect() }
}

fn numbers(configuration: &Configuration) -> Vec<f64> {
    let number = |(_, setting): &(String, Setting)| match setting {
        Setting::Value(Value::Float(number)) => *number,
        other => panic!("{other:?}"),
    };
    configuration.0.iter().map(number).collect()
}

/// The losses and the violation of each of so many trials, one after the other.
fn search(
    algorithm: Algorithm,
    bounds: &[(f64, f64)],
    n: u32,
    seed: u64,
    judge: impl Fn(&[f64]) -> Losses,
) -> Vec<Losses> {
    let study = study(space(bounds), algorithm, n);
    let mut sampler = sampler::for_study(&study, seed).expect("the space is no grid");
    let mut all = Vec::new();
    for number in 0..n {
        let configuration = sampler.propose(number).expect("there are more points");
        assert!(study.space.contains(&configuration));
        sampler.seen(number, &configuration);
        let losses = judge(&numbers(&configuration));
        sampler.told(number, Fate::Judged(losses));
        all.push(losses);
    }
    all
}

fn zdt(x: &[f64], shape: impl Fn(f64) -> f64) -> Losses {
    let rest = &x[1..];
    let g = 1.0 + 9.0 * rest.iter().sum::<f64>() / rest.len() as f64;
    Losses::new([x[0], g * shape(x[0] / g)], 0.0)
}

/// Of two losses, up to (1.1, 6).
fn hypervolume(trials: &[Losses]) -> f64 {
    let (end_x, mut low) = (1.1, 6.0);
    let mut points: Vec<&[f64]> = trials.iter().map(Losses::all).collect();
    points.sort_by(|one, other| one[0].total_cmp(&other[0]));
    let mut area = 0.0;
    for point in points {
        if point[1] < low && point[0] < end_x {
            area += (end_x - point[0]) * (low - point[1]);
            low = point[1];
        }
    }
    area
}

fn mean(of: impl Fn(u64) -> f64) -> f64 {
    (0..SEEDS).map(of).sum::<f64>() / SEEDS as f64
}

#[test]
fn fronts_are_found_sooner_than_by_chance() {
    let bounds = [(0.0, 1.0); 6];
    type Shape = fn(f64) -> f64;
    let shapes: [(&str, Shape); 2] =
        [("zdt1", |share| 1.0 - share.sqrt()), ("zdt2", |share| 1.0 - share * share)];
    for (name, shape) in shapes {
        let volume = |algorithm| {
            mean(|seed| hypervolume(&search(algorithm, &bounds, 100, seed, |x| zdt(x, shape))))
        };
        let chance = volume(Algorithm::Random);
        for algorithm in [Algorithm::Tpe, Algorithm::Gp, Algorithm::CmaEs, Algorithm::Auto] {
            let found = volume(algorithm);
            println!("{name} {algorithm:?}: {found:.3}, by chance {chance:.3}");
            // The distribution of CMA-ES has had ten generations by then.
            let margin = if algorithm == Algorithm::CmaEs { 1.02 } else { 1.1 };
            assert!(found > margin * chance, "{name} {algorithm:?}: {found} {chance}");
        }
    }
}

/// Branin within a disc that leaves one of its minima.
fn bounded_branin(x: &[f64]) -> Losses {
    use std::f64::consts::PI;
    let (a, b) = (x[0], x[1]);
    let bend = b - 5.1 / (4.0 * PI * PI) * a * a + 5.0 / PI * a - 6.0;
    let loss = bend * bend + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * a.cos() + 10.0;
    let square = (a - 2.5).powi(2) + (b - 7.5).powi(2) - 50.0;
    Losses::new([loss], square.max(0.0) / 50.0)
}

#[test]
fn bounds_are_kept_and_the_best_within_them_is_found() {
    let bounds = [(-5.0, 10.0), (0.0, 15.0)];
    // What is lost beside the best that keeps the bound.
    let regret = |algorithm| {
        mean(|seed| {
            let trials = search(algorithm, &bounds, 50, seed, bounded_branin);
            let kept = trials.iter().filter(|losses| losses.is_feasible());
            let best = kept.map(|losses| losses.all()[0]).fold(f64::INFINITY, f64::min);
            (best - 0.397_887).min(20.0)
        })
    };
    let chance = regret(Algorithm::Random);
    for algorithm in [Algorithm::Tpe, Algorithm::Gp, Algorithm::CmaEs, Algorithm::Auto] {
        let found = regret(algorithm);
        println!("bounded branin {algorithm:?}: {found:.3}, by chance {chance:.3}");
        assert!(found < 0.8 * chance, "{algorithm:?}: {found} {chance}");
    }
}

#[test]
fn any_losses_are_harmless() {
    let judges: [fn(&[f64]) -> Losses; 6] = [
        |x| Losses::new([f64::NAN, x[0]], 0.0),
        |x| Losses::new([x[0], f64::INFINITY], 0.0),
        |_| Losses::new([1.0, 1.0], 0.0),
        |x| Losses::new([x[0], -x[0]], 1e300),
        |x| Losses::new([f64::MAX * x[0], f64::MIN * x[0]], 0.0),
        |x| Losses::new((0..8).map(|power| x[0].powi(power)), f64::NAN),
    ];
    for judge in judges {
        for algorithm in [Algorithm::Tpe, Algorithm::Gp, Algorithm::CmaEs, Algorithm::Auto] {
            assert_eq!(search(algorithm, &[(0.0, 1.0), (0.0, 1.0)], 40, 3, judge).len(), 40);
        }
    }
}

#[test]
fn eight_objectives_cost_little() {
    for algorithm in [Algorithm::Tpe, Algorithm::Gp] {
        let judge =
            |x: &[f64]| Losses::new((0..8).map(|at| (x[at % 4] - at as f64 / 8.0).powi(2)), 0.0);
        assert_eq!(search(algorithm, &[(0.0, 1.0); 4], 120, 1, judge).len(), 120);
    }
}
