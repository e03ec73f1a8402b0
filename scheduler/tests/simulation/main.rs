//! The core under a seeded simulation: runners that die, messages that are lost, repeated and
//! reordered, schedulers that crash and forget what they had not journalled. However it goes, every
//! trial ends exactly once and the bests are those of an undisturbed run.
//!
//! `FLEETFIT_SIMULATION_SEED=17` runs one seed; `FLEETFIT_SIMULATION_SEEDS=10000` that many.

#[path = "../contracts/studies.rs"]
#[allow(dead_code, reason = "each test binary has its own use for them")]
mod studies;
mod world;

use std::collections::BTreeMap;

use fleetfit_scheduler::state::Ranked;
use fleetfit_scheduler::{EndedBy, Fact};
use fleetfit_search_spaces::early_termination::Policy;
use fleetfit_search_spaces::{
    Algorithm, Amount, EarlyTermination, Goal, Ladder, Resource, Selection, Study, Work,
};

use self::world::{Asked, Dice, Faults, World};

/// A study drawn by a seed, and its number of entities.
fn drawn_study(dice: &mut Dice) -> (Study, u32) {
    let n_configurations = 1 + dice.below(24);
    let (space, algorithm) = match dice.below(4) {
        0 => (studies::conditional(4), Algorithm::Random),
        1 => (studies::conditional(3), Algorithm::Grid),
        2 => (studies::conditional(9), Algorithm::Sobol),
        _ => {
            let x = studies::parameter("x", studies::unit());
            (studies::space(vec![x]), Algorithm::Sobol)
        }
    };
    let mut study = studies::study(space, algorithm, n_configurations);
    study.limits.max_concurrent_trials = 1 + dice.below(20);
    if dice.below(2) == 0 {
        study.objective.goal = Goal::Maximize;
    }
    if dice.below(3) == 0 {
        study.selection = Selection::Shared;
    }
    let n_entities = match dice.below(4) {
        0 => 1,
        1 => 1 + dice.below(9),
        2 => 100 + dice.below(60),
        _ => 150 + dice.below(60),
    };
    if n_entities == 1 && dice.below(2) == 0 {
        study.work = studies::command();
    } else if dice.below(2) == 0 {
        study.early_termination = Some(drawn_rungs(dice));
    }
    (study, n_entities)
}

/// Trials that are given out by rungs.
fn drawn_rungs(dice: &mut Dice) -> EarlyTermination {
    let reduction_factor = 2 + dice.below(3);
    let policy = match dice.below(4) {
        0 => Policy::Asha { min_resource: 1, reduction_factor },
        1 => Policy::Hyperband { min_resource: 1, reduction_factor, max_resource: 9 },
        2 => Policy::FoldRacing { confidence: 0.7 },
        _ => Policy::MedianStopping,
    };
    let by_folds = matches!(policy, Policy::FoldRacing { .. } | Policy::MedianStopping);
    let resource = match dice.below(3) {
        0 => Resource::Rows,
        1 => Resource::Estimators,
        _ => Resource::Folds,
    };
    let resource = if by_folds { Resource::Folds } else { resource };
    let rungs = (0..1 + dice.below(3)).map(|rung| Amount::Count(1 << rung)).collect();
    let ladder = Some(Ladder { resource, rungs });
    EarlyTermination { policy, evaluation_interval: 1, delay_evaluation: 0, ladder }
}

/// What a run left behind.
#[derive(Debug, PartialEq)]
struct Result {
    bests: Vec<Option<(f64, u32)>>,
    shared: Option<Ranked>,
    /// By trial: whether it completed.
    ends: BTreeMap<(u32, u32), bool>,
    /// By entity: whom its last model is of.
    refits: BTreeMap<u32, u32>,
    fits: u64,
    ended_by: Option<EndedBy>,
}

/// The result, out of the journal and the state at once.
fn result(world: &World) -> Result {
    let mut ends = BTreeMap::new();
    let mut refits = BTreeMap::new();
    let mut n_proposed = 0;
    for fact in &world.journal {
        match fact {
            Fact::Proposed { number, .. } => {
                assert_eq!(*number, n_proposed, "numbers count up");
                n_proposed += 1;
            }
            Fact::Ended { outcomes } => {
                for outcome in outcomes {
                    let trial = (outcome.configuration, outcome.entity);
                    let before = ends.insert(trial, outcome.end.state() == world::COMPLETED);
                    assert_eq!(before, None, "{trial:?} ended twice");
                }
            }
            Fact::Refitted { models } => {
                for model in models {
                    let before = refits.insert(model.entity, model.configuration);
                    assert_ne!(before, Some(model.configuration), "refitted twice");
                }
            }
            _ => {}
        }
    }
    let n_entities = world.n_entities;
    assert_eq!(ends.len() as u32, n_proposed * n_entities, "a trial was forgotten");
    let counts = world.state.counts();
    assert_eq!(counts.proposed, n_proposed);
    assert_eq!(world.state.running(), 0);
    assert_eq!(counts.completed as usize, ends.values().filter(|completed| **completed).count());
    Result {
        bests: (0..n_entities).map(|entity| world.state.best(entity)).collect(),
        shared: world.state.shared_best(),
        ends,
        refits,
        fits: counts.fits,
        ended_by: world.state.ended_by(),
    }
}

fn simulate(seed: u64) {
    let mut dice = Dice::new(seed);
    let (study, n_entities) = drawn_study(&mut dice);
    let mut calm = World::new(study.clone(), n_entities, Dice::new(seed), Faults::none());
    calm.run();
    let expected = result(&calm);
    let n_bests = expected.bests.iter().flatten().count();
    let n_refits = match (&study.work, study.selection) {
        (Work::Command(_), _) => 0,
        (_, Selection::Raw) => n_bests,
        (_, Selection::Shared) => expected.shared.map_or(0, |_| n_entities as usize),
    };
    assert_eq!(expected.refits.len(), n_refits);

    let faults = Faults::drawn(&mut dice);
    let mut rough = World::new(study, n_entities, dice, faults);
    rough.run();
    let found = result(&rough);
    let differing = expected.ends.iter().filter(|(trial, end)| found.ends.get(trial) != Some(*end));
    let differing: Vec<_> = differing.collect();
    assert!(differing.is_empty(), "ended otherwise: {differing:?}; {:?}", rough.faults);
    // Piece by piece: a whole result is too long to read.
    let faults = rough.faults;
    assert_eq!(found.ended_by, expected.ended_by, "{faults:?}");
    assert_eq!((found.shared, found.fits), (expected.shared, expected.fits), "{faults:?}");
    let refits: Vec<_> = expected
        .refits
        .iter()
        .filter(|(entity, by)| found.refits.get(entity) != Some(by))
        .collect();
    assert!(refits.is_empty(), "refitted otherwise: {refits:?}; {faults:?}");
    assert!(found == expected, "{faults:?}");
}

/// Restarts alone make nobody do anything twice.
fn simulate_restarts(seed: u64) {
    let mut dice = Dice::new(seed ^ 0xadab);
    let (study, n_entities) = drawn_study(&mut dice);
    let faults = Faults::of_the_scheduler(&mut dice);
    let mut world = World::new(study, n_entities, dice, faults);
    world.run();
    let found = result(&world);
    let has_rungs = world.executions.keys().any(|(asked, ..)| matches!(asked, Asked::Climb(_)));
    let tries = found.ends.keys().map(|&(own, entity)| (Asked::Try, own, entity));
    let refits = found.refits.iter().map(|(&entity, &own)| (Asked::Refit, own, entity));
    let expected: BTreeMap<_, _> = tries.chain(refits).map(|trial| (trial, 1)).collect();
    if has_rungs {
        let again: Vec<_> = world.executions.iter().filter(|(_, n)| **n > 1).collect();
        assert!(again.is_empty(), "done again: {again:?}; {:?}", world.faults);
        return;
    }
    let differing = world.executions.iter().filter(|(trial, n)| expected.get(trial) != Some(*n));
    let differing: Vec<_> = differing.collect();
    assert!(differing.is_empty(), "done again: {differing:?}; {:?}", world.faults);
    assert_eq!(world.executions.len(), expected.len());
}

#[test]
fn a_restart_repeats_nothing_that_is_still_out() {
    each_seed(simulate_restarts);
}

#[test]
fn every_trial_ends_once_whatever_happens() {
    each_seed(simulate);
}

#[expect(clippy::print_stderr, reason = "whoever reads the failure needs the seed")]
fn each_seed(simulate: fn(u64)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seeds = match number("FLEETFIT_SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FLEETFIT_SIMULATION_SEEDS").unwrap_or(300),
    };
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| simulate(seed)) {
            eprintln!("simulation failed: run it again with FLEETFIT_SIMULATION_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
