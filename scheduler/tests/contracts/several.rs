//! What every sampler promises holds with several objectives and with constraints, too.

use fleetfit_scheduler::sampler::{Fate, Losses, Sampler};
use fleetfit_search_spaces::seed::mix;
use fleetfit_search_spaces::{Algorithm, Configuration, Domain, Scale, SearchSpace};

use super::samplers::{LEARNING, mixed, sampler, spent_s, uses_up};
use super::studies::{choice, conditional, parameter, space, unit};

/// How many losses there are, and whether there are bounds.
const KINDS: [(usize, bool); 4] = [(1, true), (2, false), (2, true), (4, true)];

/// What a trial comes to: bowls whose best points are apart, within a bound. Some come to nothing.
fn fate(
    space: &SearchSpace,
    (n_losses, is_bounded): (usize, bool),
    number: u32,
    tried: &Configuration,
) -> Fate {
    let units = space.units(tried).expect("the space holds it");
    let units: Vec<f64> = units.into_iter().flatten().collect();
    let bowl = |at: f64| units.iter().map(|unit| (unit - at).powi(2)).sum::<f64>();
    let losses = (0..n_losses).map(|own| bowl(0.2 + 0.6 * own as f64 / n_losses as f64));
    let violation = units.first().map_or(0.0, |unit| (unit - 0.7).max(0.0));
    match number % 11 {
        3 => Fate::Failed,
        5 => Fate::Stopped(Some(0.5)),
        7 => Fate::Judged(Losses::new([f64::NAN, 1.0], 0.0)),
        _ => Fate::Judged(Losses::new(losses, if is_bounded { violation } else { 0.0 })),
    }
}

/// Trials that were proposed and have ended, with so many at once; who ends next is drawn.
struct Search {
    sampler: Box<dyn Sampler>,
    proposed: Vec<Configuration>,
    ended: Vec<u32>,
}

fn search(
    space: &SearchSpace,
    algorithm: Algorithm,
    kind: (usize, bool),
    n: u32,
    n_parallel: usize,
) -> Search {
    let mut sampler = sampler(space, algorithm, 7);
    let (mut proposed, mut running, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..n {
        let Some(configuration) = sampler.propose(number) else { break };
        assert!(space.contains(&configuration), "{}", configuration.to_json());
        sampler.seen(number, &configuration);
        proposed.push(configuration);
        running.push(number);
        if running.len() >= n_parallel {
            let at = mix(&[u64::from(number)]) as usize % running.len();
            let number = running.swap_remove(at);
            sampler.told(number, fate(space, kind, number, &proposed[number as usize]));
            ended.push(number);
        }
    }
    Search { sampler, proposed, ended }
}

#[test]
fn proposals_follow_from_what_was_seen_and_told_in_any_order() {
    let four: Vec<_> = (0..4).map(|axis| parameter(&format!("x{axis}"), unit())).collect();
    for space in [mixed(), space(four)] {
        for algorithm in LEARNING {
            for (kind, n_parallel) in KINDS.into_iter().zip([1, 5, 1, 5]) {
                let mut search = search(&space, algorithm, kind, 50, n_parallel);
                let next = search.sampler.propose(50);
                assert_eq!(search.sampler.propose(50), next, "{algorithm:?} proposed twice");
                let mut by_number = search.ended.clone();
                by_number.sort_unstable();
                let backwards: Vec<u32> = search.ended.iter().rev().copied().collect();
                for told in [&search.ended, &by_number, &backwards] {
                    let mut rebuilt = sampler(&space, algorithm, 7);
                    for (number, configuration) in (0..).zip(&search.proposed) {
                        rebuilt.seen(number, configuration);
                    }
                    for &number in told {
                        let tried = &search.proposed[number as usize];
                        rebuilt.told(number, fate(&space, kind, number, tried));
                    }
                    assert_eq!(rebuilt.propose(50), next, "{algorithm:?} {kind:?}");
                }
            }
        }
    }
}

/// What is proposed after so many trials that others chose, which ended so many at once, who first being
/// drawn.
fn proposed_after(
    tried: &[Configuration],
    algorithm: Algorithm,
    n_at_once: usize,
    fate: impl Fn(u32) -> Fate,
) -> Option<Configuration> {
    let mut sampler = sampler(&mixed(), algorithm, 7);
    let mut running = Vec::new();
    for (number, configuration) in (0..).zip(tried) {
        sampler.seen(number, configuration);
        running.push(number);
        while running.len() >= n_at_once
            || number as usize + 1 == tried.len() && !running.is_empty()
        {
            let at = mix(&[u64::from(number), running.len() as u64]) as usize % running.len();
            let number = running.swap_remove(at);
            sampler.told(number, fate(number));
        }
    }
    sampler.propose(tried.len() as u32)
}

#[test]
fn what_is_remembered_of_many_trials_does_not_hang_on_who_ended_first() {
    let space = mixed();
    let mut random = sampler(&space, Algorithm::Random, 3);
    let tried: Vec<_> = (0..5_000).map_while(|number| random.propose(number)).collect();
    let completed = |number: u32| match number % 11 {
        3 => Fate::Failed,
        5 => Fate::Stopped(Some(0.5)),
        _ => {
            let units = space.units(&tried[number as usize]).expect("the space holds it");
            Fate::Completed(units.iter().flatten().map(|unit| (unit - 0.3).powi(2)).sum())
        }
    };
    let judged = |number: u32| fate(&space, (2, true), number, &tried[number as usize]);
    for algorithm in LEARNING {
        let one = |n_at_once| proposed_after(&tried, algorithm, n_at_once, completed);
        assert_eq!(one(1), one(60), "{algorithm:?}");
        let several = |n_at_once| proposed_after(&tried[..1_500], algorithm, n_at_once, judged);
        assert_eq!(several(1), several(60), "{algorithm:?}");
    }
}

#[test]
fn nobody_repeats_a_point_of_a_finite_space() {
    let ints = |max| Domain::Int { min: 1, max, step: 1, scale: Scale::Linear };
    let small =
        space(vec![parameter("a", ints(6)), parameter("b", ints(4)), parameter("c", choice(2))]);
    let one = space(vec![parameter("only", choice(1))]);
    for space in [small, conditional(10), one] {
        for algorithm in LEARNING {
            for kind in KINDS {
                let search = search(&space, algorithm, kind, 200, 3);
                uses_up(&space, &search.proposed, algorithm);
            }
        }
    }
}

#[test]
fn a_thousand_parameters_are_no_trouble() {
    let axes = (0..1_000).map(|axis| {
        let domain = if axis % 3 == 0 { choice(4) } else { unit() };
        parameter(&format!("x{axis}"), domain)
    });
    let wide = space(axes.collect());
    for algorithm in LEARNING {
        assert_eq!(search(&wide, algorithm, (2, true), 30, 2).proposed.len(), 30, "{algorithm:?}");
    }
}

#[test]
fn a_list_of_one_objective_is_that_objective() {
    let space = space(vec![parameter("x", unit()), parameter("y", unit())]);
    for algorithm in LEARNING {
        let proposed = |fate: fn(f64) -> Fate| {
            let mut sampler = sampler(&space, algorithm, 7);
            let mut proposed = Vec::new();
            for number in 0..15 {
                let configuration = sampler.propose(number).unwrap();
                sampler.seen(number, &configuration);
                let units = space.units(&configuration).unwrap();
                sampler.told(number, fate(units.iter().flatten().sum()));
                proposed.push(configuration);
            }
            proposed
        };
        let one = proposed(Fate::Completed);
        let listed = proposed(|loss| Fate::Judged(Losses::new([loss], 0.0)));
        assert_eq!(one.len(), listed.len());
        if matches!(algorithm, Algorithm::Tpe | Algorithm::CmaEs) {
            assert_eq!(one, listed, "{algorithm:?} goes by places alone");
        }
    }
}

#[test]
fn a_suggestion_costs_no_more_after_a_hundred_thousand_trials() {
    let eight: Vec<_> = (0..8).map(|axis| parameter(&format!("x{axis}"), unit())).collect();
    let eight = space(eight);
    for algorithm in LEARNING {
        let mut learner = sampler(&eight, algorithm, 7);
        let mut chance = sampler(&eight, Algorithm::Random, 1);
        let mut number = 0;
        let mut tell = |learner: &mut dyn Sampler| {
            let configuration = chance.propose(number).unwrap();
            learner.seen(number, &configuration);
            learner.told(number, fate(&eight, (2, true), number, &configuration));
            number += 1;
            number
        };
        // The least of many, as others use the machine, too; each after one more has ended.
        let mut time = |learner: &mut dyn Sampler, n: u32| {
            while tell(learner) < n {}
            let times = (0..12).map(|_| {
                let number = tell(learner);
                let before_s = spent_s();
                assert!(learner.propose(number).is_some());
                spent_s() - before_s
            });
            times.fold(f64::INFINITY, f64::min)
        };
        let early = time(&mut *learner, 1_000);
        let late = time(&mut *learner, 100_000);
        assert!(late < 3.0 * early, "{algorithm:?}: {early} s became {late} s");
    }
}
