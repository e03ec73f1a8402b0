use std::collections::BTreeSet;

use fleetfit_scheduler::sampler::{self, Sampler};
use fleetfit_search_spaces::{Algorithm, Configuration, Domain, Scale, SearchSpace};

use super::studies::{choice, conditional, parameter, space, study, unit};

const ALL: [Algorithm; 3] = [Algorithm::Random, Algorithm::Sobol, Algorithm::Grid];
const ENDLESS: [Algorithm; 2] = [Algorithm::Random, Algorithm::Sobol];

fn sampler(space: &SearchSpace, algorithm: Algorithm, seed: u64) -> Box<dyn Sampler> {
    let study = study(space.clone(), algorithm, 1);
    sampler::for_study(&study, seed).expect("the algorithm can run")
}

/// The proposals from `number` on, as the state of a study asks for them.
fn proposals(sampler: &mut dyn Sampler, from: u32, n: u32) -> Vec<Configuration> {
    let mut proposed = Vec::new();
    for number in from..from + n {
        let Some(configuration) = sampler.propose(number) else {
            break;
        };
        sampler.seen(number, &configuration);
        proposed.push(configuration);
    }
    proposed
}

/// In space, repeatable by seed, the same after a restart at any point, and no point of a finite
/// space twice.
fn check(space: &SearchSpace, algorithm: Algorithm, n: u32) {
    let proposed = proposals(&mut *sampler(space, algorithm, 7), 0, n);
    let size = space.cardinality().unwrap_or(u128::MAX);
    assert_eq!(proposed.len() as u128, size.min(u128::from(n)), "{algorithm:?}");
    for configuration in &proposed {
        assert!(space.contains(configuration), "{}", configuration.to_json());
    }
    let again = proposals(&mut *sampler(space, algorithm, 7), 0, n);
    assert_eq!(proposed, again, "{algorithm:?} is not repeatable");
    for at in [0, 1, proposed.len() / 2, proposed.len()] {
        let mut rebuilt = sampler(space, algorithm, 7);
        for (number, configuration) in (0..).zip(&proposed[..at.min(proposed.len())]) {
            rebuilt.seen(number, configuration);
        }
        let rest = proposals(&mut *rebuilt, at as u32, n - at as u32);
        let expected = proposed.get(at..).unwrap_or_default();
        assert_eq!(rest, expected, "{algorithm:?} rebuilt at {at}");
    }
    if space.cardinality().is_some() {
        let distinct: BTreeSet<String> = proposed.iter().map(Configuration::to_json).collect();
        assert_eq!(distinct.len(), proposed.len(), "{algorithm:?} repeats a point");
    }
}

#[test]
fn finite_spaces_are_used_up_without_a_repeat() {
    let quantised =
        Domain::LogUniform { min: 0.0, max: 5.0, q: Some(1.0), base: std::f64::consts::E };
    let logarithmic = Domain::Int { min: 1, max: 1_000, step: 1, scale: Scale::Log };
    let spaces = [
        space(Vec::new()),
        space(vec![parameter("only", choice(1))]),
        space(vec![parameter("a", choice(3)), parameter("b", choice(7))]),
        conditional(1),
        conditional(200),
        space(vec![parameter("quantised", quantised)]),
        space(vec![parameter("log", logarithmic)]),
    ];
    for space in &spaces {
        for algorithm in ALL {
            check(space, algorithm, 5_000);
        }
    }
}

#[test]
fn an_exhausted_space_stays_exhausted() {
    let space = conditional(5);
    for algorithm in ALL {
        let mut sampler = sampler(&space, algorithm, 1);
        let n = proposals(&mut *sampler, 0, 1_000).len() as u32;
        assert_eq!(n, 21);
        assert_eq!(sampler.propose(n), None);
        assert_eq!(sampler.propose(n + 1), None);
    }
}

#[test]
fn proposing_twice_gives_the_same() {
    for space in [conditional(5), space(vec![parameter("x", unit())])] {
        for algorithm in ENDLESS {
            let mut sampler = sampler(&space, algorithm, 1);
            assert_eq!(sampler.propose(0), sampler.propose(0));
        }
    }
}

#[test]
fn endless_and_huge_spaces() {
    let model = vec![parameter("model", choice(3)), parameter("x", unit())];
    let wide: Vec<_> = (0..1_100).map(|axis| parameter(&format!("x{axis}"), unit())).collect();
    let huge: Vec<_> = (0..1_000).map(|axis| parameter(&format!("x{axis}"), choice(3))).collect();
    for algorithm in ENDLESS {
        check(&space(model.clone()), algorithm, 500);
        check(&space(wide.clone()), algorithm, 20);
    }
    for algorithm in ALL {
        check(&space(huge.clone()), algorithm, 20);
    }
}

#[test]
fn seeds_matter_and_the_samplers_own_goes_first() {
    let space = space(vec![parameter("x", choice(1_000))]);
    for algorithm in ALL {
        let first = proposals(&mut *sampler(&space, algorithm, 1), 0, 20);
        let second = proposals(&mut *sampler(&space, algorithm, 2), 0, 20);
        assert_ne!(first, second, "{algorithm:?}");
        let mut own = study(space.clone(), algorithm, 1);
        own.sampling.seed = Some(1);
        let mut own = sampler::for_study(&own, 2).unwrap();
        assert_eq!(proposals(&mut *own, 0, 20), first, "{algorithm:?}");
    }
}

#[test]
fn sobol_spreads_more_evenly_than_chance() {
    let space = space(vec![parameter("x", unit()), parameter("y", unit())]);
    let empty_cells = |algorithm| {
        let mut hit = [false; 256];
        for configuration in proposals(&mut *sampler(&space, algorithm, 3), 0, 256) {
            let units = space.units(&configuration).unwrap();
            let cell = |axis: usize| (units[axis].unwrap() * 16.0) as usize;
            hit[16 * cell(0) + cell(1)] = true;
        }
        hit.iter().filter(|hit| !**hit).count()
    };
    // The first two axes are a (0, 2)-sequence: one point in each cell.
    assert_eq!(empty_cells(Algorithm::Sobol), 0);
    assert!(empty_cells(Algorithm::Random) > 50);
}

#[test]
fn what_cannot_run_is_an_error() {
    let endless = space(vec![parameter("x", unit())]);
    let error = |algorithm| {
        let study = study(endless.clone(), algorithm, 1);
        sampler::for_study(&study, 1).err().map(|error| error.to_string())
    };
    assert_eq!(
        error(Algorithm::Grid).unwrap(),
        "a grid needs every parameter to have a finite number of values"
    );
    assert_eq!(
        error(Algorithm::Bayesian).unwrap(),
        "sampling_algorithm bayesian cannot run yet; these can: random, sobol, grid, tpe"
    );
}
