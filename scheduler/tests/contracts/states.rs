use fleetfit_scheduler::state::{Counts, Phase, Ranked, StudyState};
use fleetfit_scheduler::{Command, EndedBy, Event, Fact, Step};
use fleetfit_search_spaces::wire::{Assignment, Block, ModelAddress, Refit};
use fleetfit_search_spaces::{
    Algorithm, AssignmentTask, End, Improvement, Least, Outcome, Selection, Study,
};
use proptest::prelude::*;

use super::studies::{choice, command, conditional, parameter, space, study, unit};

pub(crate) fn learner(max_total_trials: u32) -> Study {
    let space = space(vec![parameter("x", unit())]);
    study(space, Algorithm::Random, max_total_trials)
}

pub(crate) fn started(study: &Study, n_entities: u32) -> StudyState {
    let mut state = StudyState::new(study.clone(), 1, n_entities);
    assert_eq!(state.handle(Event::Started), Step::default());
    state
}

pub(crate) fn wanted(state: &mut StudyState, assignments: u32) -> (Vec<Assignment>, Vec<Fact>) {
    let step = state.handle(Event::Wanted { assignments });
    (dispatched(&step), step.facts)
}

fn dispatched(step: &Step) -> Vec<Assignment> {
    let commands = step.commands.iter();
    commands
        .filter_map(|command| match command {
            Command::Dispatch(assignment) => Some(assignment.clone()),
            _ => None,
        })
        .collect()
}

fn blocks(assignment: &Assignment) -> &[Block] {
    assignment.task.blocks()
}

/// A single range. Written in brackets, it looks like a mistake.
fn one(range: std::ops::Range<u32>) -> Vec<std::ops::Range<u32>> {
    vec![range]
}

pub(crate) fn trials(assignment: &Assignment) -> Vec<(u32, u32)> {
    let trials = blocks(assignment).iter().flat_map(|block| {
        let entities = block.entities.iter().cloned().flatten();
        entities.map(|entity| (block.tried.number, entity))
    });
    trials.collect()
}

pub(crate) fn outcome((configuration, entity): (u32, u32), end: End) -> Outcome {
    Outcome {
        configuration,
        entity,
        end,
        fits: 3,
        started_ms: 1,
        ended_ms: 2,
        reports: Vec::new(),
        further: Vec::new(),
    }
}

/// Some trials fail, some are stopped, most complete, with ties among them.
fn ended(trial: (u32, u32)) -> Outcome {
    let (configuration, entity) = trial;
    let reason = || "for a reason".to_owned();
    let end = match (configuration * 31 + entity * 17) % 23 {
        0 => End::Failed { reason: reason() },
        1 => End::Stopped { value: Some(-1e9), reason: reason() },
        rest => End::Completed { value: f64::from(rest) / 7.0 - 1.0 },
    };
    outcome(trial, end)
}

pub(crate) fn tell(state: &mut StudyState, assignment: &Assignment) -> Step {
    let outcomes = trials(assignment).into_iter().map(ended);
    state.handle(Event::Ended {
        assignment: assignment.key.number,
        outcomes: outcomes.collect(),
        launched: false,
    })
}

fn release(state: &mut StudyState, assignment: &Assignment) -> Step {
    state.handle(Event::Released {
        assignment: assignment.key.number,
        attempt: assignment.key.attempt,
        is_blamed: true,
    })
}

fn refit(state: &mut StudyState, assignment: &Assignment) -> Step {
    let model = Ok(ModelAddress { digest: "00".into(), pack: 0, offset: 0, length: 1 });
    let models = trials(assignment).into_iter().map(|(configuration, entity)| Refit {
        entity,
        configuration,
        model: model.clone(),
    });
    state.handle(Event::Refitted { assignment: assignment.key.number, models: models.collect() })
}

/// Runs a study to its end; every fact, and every assignment that was handed out.
fn run(state: &mut StudyState) -> (Vec<Fact>, Vec<Assignment>) {
    let (mut facts, mut all) = (Vec::new(), Vec::new());
    while state.phase() != Phase::Closed {
        let (assignments, proposed) = wanted(state, 3);
        facts.extend(proposed);
        assert!(!assignments.is_empty() || state.phase() == Phase::Closed, "stuck");
        for assignment in assignments {
            let step = match assignment.task {
                AssignmentTask::Refit(_) => refit(state, &assignment),
                _ => tell(state, &assignment),
            };
            facts.extend(step.facts);
            facts.extend(release(state, &assignment).facts);
            all.push(assignment);
        }
    }
    (facts, all)
}

/// What an observer sees.
#[derive(Debug, PartialEq)]
struct Standing {
    bests: Vec<Option<(f64, u32)>>,
    counts: Counts,
    shared: Option<Ranked>,
    touched: Vec<u32>,
    ended_by: Option<EndedBy>,
    phase: Phase,
}

fn standing(state: &mut StudyState, n_entities: u32) -> Standing {
    let mut touched = state.touched();
    touched.sort_unstable();
    Standing {
        bests: (0..n_entities).map(|entity| state.best(entity)).collect(),
        counts: state.counts(),
        shared: state.shared_best(),
        touched,
        ended_by: state.ended_by(),
        phase: state.phase(),
    }
}

pub(crate) fn replayed(study: &Study, n_entities: u32, facts: &[Fact]) -> StudyState {
    let mut state = StudyState::new(study.clone(), 1, n_entities);
    for fact in facts {
        state.apply(fact);
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Any order and repetition of ends leaves one end a trial and the same bests.
    #[test]
    fn order_and_repetition_do_not_matter(
        n_entities in prop_oneof![1..4u32, 120..300u32],
        n_configurations in 1..12u32,
        order in any::<u64>(),
        chunk in 1..50usize,
    ) {
        let study = learner(n_configurations);
        let mut straight = started(&study, n_entities);
        let (assignments, _) = wanted(&mut straight, u32::MAX);
        let all: Vec<_> = assignments.iter().flat_map(trials).collect();
        prop_assert_eq!(all.len() as u32, n_entities * n_configurations);
        let mut shuffled = started(&study, n_entities);
        wanted(&mut shuffled, u32::MAX);

        for &trial in &all {
            let outcomes = vec![ended(trial)];
            straight.handle(Event::Ended { assignment: 0, outcomes, launched: false });
        }
        let mut told: Vec<_> = all.iter().chain(&all).chain(&all[..all.len() / 2]).collect();
        let key = |index: usize| (index as u64).wrapping_mul(order | 1).rotate_left(29) ^ order;
        let mut keyed: Vec<_> = told.drain(..).enumerate().collect();
        keyed.sort_by_key(|(index, _)| key(*index).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut n_recorded = 0;
        for chunk in keyed.chunks(chunk) {
            let outcomes = chunk.iter().map(|(_, trial)| ended(**trial)).collect();
            for fact in shuffled.handle(Event::Ended { assignment: 9, outcomes, launched: false }).facts {
                if let Fact::Ended { outcomes } = fact {
                    n_recorded += outcomes.len();
                }
            }
        }
        prop_assert_eq!(n_recorded, all.len());
        let (straight, shuffled) =
            (standing(&mut straight, n_entities), standing(&mut shuffled, n_entities));
        prop_assert_eq!(straight, shuffled);
    }

    /// A replay of any prefix ends where the live state was, and goes on as it would have.
    #[test]
    fn replay_equals_live(
        n_entities in prop_oneof![Just(1u32), 2..40u32],
        n_configurations in 1..20u32,
        n_steps in 0..60u32,
        is_shared in any::<bool>(),
        algorithm in prop_oneof![
            Just(Algorithm::Random), Just(Algorithm::Sobol), Just(Algorithm::Grid)
        ],
    ) {
        let mut study = study(conditional(4), algorithm, n_configurations);
        study.limits.max_concurrent_trials = 6;
        if is_shared {
            study.selection = Selection::Shared;
        }
        let mut live = started(&study, n_entities);
        let mut facts = Vec::new();
        for step in 0..n_steps {
            live.handle(Event::Elapsed { elapsed_ms: u64::from(step) });
            let (assignments, proposed) = wanted(&mut live, 1);
            facts.extend(proposed);
            for assignment in assignments {
                let told = match assignment.task {
                    AssignmentTask::Refit(_) => refit(&mut live, &assignment),
                    _ => tell(&mut live, &assignment),
                };
                facts.extend(told.facts);
                facts.extend(release(&mut live, &assignment).facts);
            }
        }
        let mut replay = replayed(&study, n_entities, &facts);
        let (before, after) = (standing(&mut live, n_entities), standing(&mut replay, n_entities));
        prop_assert_eq!(before, after);
        let proposed = |facts: Vec<Fact>| -> Vec<Fact> {
            facts.into_iter().filter(|fact| matches!(fact, Fact::Proposed { .. })).collect()
        };
        live.handle(Event::Started);
        replay.handle(Event::Started);
        prop_assert_eq!(proposed(run(&mut live).0), proposed(run(&mut replay).0));
        let (before, after) = (standing(&mut live, n_entities), standing(&mut replay, n_entities));
        prop_assert_eq!(before, after);
    }
}

#[test]
fn many_entities_are_walked_batch_by_batch() {
    let mut study = learner(40);
    study.limits.max_concurrent_trials = 40;
    let mut state = started(&study, 100_000);
    let mut next = || {
        let (mut assignments, facts) = wanted(&mut state, 1);
        let assignment = assignments.pop().unwrap();
        // Each takes a fifth of a millisecond.
        let outcomes = trials(&assignment).into_iter().zip(0..).map(|(trial, index)| {
            let (started_ms, ended_ms) = (1_000 + index / 5, 1_000 + (index + 1) / 5);
            Outcome { started_ms, ended_ms, ..ended(trial) }
        });
        let outcomes = outcomes.collect();
        state.handle(Event::Ended { assignment: assignment.key.number, outcomes, launched: false });
        release(&mut state, &assignment);
        (assignment, facts)
    };
    let numbers = |assignment: &Assignment| -> Vec<u32> {
        let blocks = blocks(assignment).iter();
        blocks.map(|block| block.tried.number).collect()
    };
    let (first, facts) = next();
    assert_eq!((trials(&first), facts.len()), (vec![(0, 0)], 1));
    let (second, facts) = next();
    assert_eq!((numbers(&second), facts.len()), (vec![0], 0));
    assert_eq!(blocks(&second)[0].entities, one(1..5));
    // Nothing is known of what they take when the first batch is drawn: it is one configuration.
    let (batch, facts) =
        std::iter::from_fn(|| Some(next())).find(|(_, facts)| !facts.is_empty()).unwrap();
    assert_eq!(facts.len(), 16, "proposed before they are needed");
    assert_eq!(numbers(&batch), (1..17).collect::<Vec<_>>());
    let width = blocks(&batch)[3].entities[0].end;
    assert!((25..=35).contains(&width), "{width}");
    let (beside, facts) = next();
    assert_eq!((numbers(&beside), facts.len()), (numbers(&batch), 0));
    assert_eq!(blocks(&beside)[3].entities[0].start, width);
}

#[test]
fn concurrency_counts_configurations_in_flight() {
    for (n_entities, max_concurrent) in [(1, 1), (1, 5), (200, 1), (200, 5), (200, 33)] {
        let mut study = learner(64);
        study.limits.max_concurrent_trials = max_concurrent;
        let mut state = started(&study, n_entities);
        let (assignments, facts) = wanted(&mut state, u32::MAX);
        assert!(!facts.is_empty() && facts.len() <= max_concurrent as usize);
        assert_eq!(state.running(), u64::from(n_entities) * facts.len() as u64);
        let (more, _) = wanted(&mut state, u32::MAX);
        assert!(more.is_empty());
        for assignment in &assignments {
            tell(&mut state, assignment);
        }
        assert_eq!(state.running(), 0);
        let (more, _) = wanted(&mut state, 1);
        assert_eq!(more.len(), 1);
        tell(&mut state, &more[0]);
        run(&mut state);
        assert_eq!(state.counts().proposed, 64);
    }
}

#[test]
fn strangers_and_numbers_that_are_none() {
    let mut state = started(&learner(2), 2);
    wanted(&mut state, 9);
    let completed = |trial, value| outcome(trial, End::Completed { value });
    let step = state.handle(Event::Ended {
        assignment: 0,
        outcomes: vec![
            completed((2, 0), 1.0),
            completed((0, 2), 1.0),
            completed((u32::MAX, u32::MAX), 1.0),
            completed((0, 0), f64::NAN),
            completed((0, 0), 5.0),
            completed((1, 0), f64::INFINITY),
        ],
        launched: false,
    });
    let failed = |trial| {
        let reason = "the metric is not a finite number".into();
        outcome(trial, End::Failed { reason })
    };
    let outcomes = vec![failed((0, 0)), failed((1, 0))];
    assert_eq!(step.facts, [Fact::Ended { outcomes }]);
    assert_eq!(state.best(0), None);
    assert_eq!(state.counts().failed, 2);
}

#[test]
fn a_trial_that_kills_three_runners_fails() {
    let mut state = started(&learner(1), 1);
    let (mut handed_out, _) = wanted(&mut state, 1);
    for attempt in 1..=3 {
        assert_eq!(handed_out[0].key.attempt, attempt);
        let step = release(&mut state, &handed_out[0]);
        assert_eq!(release(&mut state, &handed_out[0]), Step::default());
        if attempt < 3 {
            assert_eq!(step, Step::default());
            (handed_out, _) = wanted(&mut state, 5);
            assert_eq!(handed_out.len(), 1);
            continue;
        }
        let reason = "the runner died 3 times while on it".into();
        let mut failed = outcome((0, 0), End::Failed { reason });
        (failed.fits, failed.started_ms, failed.ended_ms) = (0, 0, 0);
        let outcomes = vec![failed];
        let by = EndedBy::Trials;
        let expected = [Fact::Ended { outcomes }, Fact::SearchEnded { by }, Fact::Closed];
        assert_eq!(step.facts, expected);
        assert_eq!(step.commands, [Command::Finished]);
    }
}

#[test]
fn what_an_assignment_did_not_tell_is_handed_out_again() {
    let mut state = started(&learner(1), 1_000);
    let (handed_out, _) = wanted(&mut state, 1);
    tell(&mut state, &handed_out[0]);
    release(&mut state, &handed_out[0]);
    let (handed_out, _) = wanted(&mut state, 1);
    let [second] = handed_out.as_slice() else {
        panic!("one assignment was wanted");
    };
    assert_eq!(blocks(second)[0].entities, one(1..5));
    let told = vec![ended((0, 2))];
    state.handle(Event::Ended { assignment: second.key.number, outcomes: told, launched: false });
    release(&mut state, second);
    let (again, _) = wanted(&mut state, 1);
    assert_eq!((again[0].key.number, again[0].key.attempt), (second.key.number, 2));
    assert_eq!(blocks(&again[0])[0].entities, [1..2, 3..5]);
}

#[test]
fn a_timeout_stops_what_runs_and_refits_what_there_is() {
    let mut study = learner(10);
    study.limits.timeout_s = 1.5;
    study.limits.max_concurrent_trials = 2;
    let mut state = started(&study, 1);
    let (running, _) = wanted(&mut state, 2);
    state.handle(Event::Elapsed { elapsed_ms: 1_499 });
    let step = tell(&mut state, &running[1]);
    assert_eq!(step.facts[1..], [Fact::Elapsed { elapsed_ms: 1_499 }]);
    let step = state.handle(Event::Elapsed { elapsed_ms: 1_500 });
    let by = EndedBy::Timeout;
    let elapsed = Fact::Elapsed { elapsed_ms: 1_500 };
    assert_eq!(step.facts, [elapsed, Fact::SearchEnded { by }]);
    assert!(matches!(step.commands[..], [Command::StopStudy { .. }]));
    assert_eq!(wanted(&mut state, 5).0, [], "the search is over and not yet home");

    let reason = "the study's timeout has run out".into();
    let stopped = outcome((0, 0), End::Stopped { value: None, reason });
    let outcomes = vec![stopped];
    state.handle(Event::Ended { assignment: running[0].key.number, outcomes, launched: false });
    assert_eq!(state.counts().stopped, 1);
    let (refits, _) = wanted(&mut state, 5);
    assert_eq!(trials(&refits[0]), [(1, 0)]);
    let step = refit(&mut state, &refits[0]);
    assert_eq!(step.facts[1..], [Fact::Closed]);
    assert_eq!(step.commands, [Command::Finished]);

    // Nothing has changed: it ends at once again. With more time it goes on.
    let step = state.handle(Event::Resumed);
    assert!(is_reopened(&step.facts[..1]));
    assert_eq!(step.facts[1..], [Fact::SearchEnded { by }, Fact::Closed]);
    assert_eq!(state.phase(), Phase::Closed);
}

fn is_reopened(facts: &[Fact]) -> bool {
    matches!(facts, [Fact::Reopened { .. }])
}

#[test]
fn a_cancelled_study_is_over_until_it_is_resumed() {
    let mut study = learner(3);
    study.limits.max_concurrent_trials = 2;
    let mut state = started(&study, 1);
    let (old, _) = wanted(&mut state, 2);
    tell(&mut state, &old[0]);
    let step = state.handle(Event::Cancelled);
    let by = EndedBy::Cancel;
    assert_eq!(step.facts, [Fact::SearchEnded { by }, Fact::Closed]);
    assert!(matches!(step.commands[..], [Command::StopStudy { .. }, Command::Finished]));
    assert_eq!(state.handle(Event::Cancelled), Step::default());
    assert_eq!(tell(&mut state, &old[1]), Step::default());
    assert_eq!(wanted(&mut state, 5), (vec![], vec![]));

    assert!(is_reopened(&state.handle(Event::Resumed).facts));
    let reason = "the study was cancelled".into();
    let stopped = outcome((1, 0), End::Stopped { value: None, reason });
    let late = state.handle(Event::Ended {
        assignment: old[1].key.number,
        outcomes: vec![stopped],
        launched: false,
    });
    assert_eq!(late, Step::default(), "a cancel ended a trial of a resumed study");
    let (facts, _) = run(&mut state);
    let by = EndedBy::Trials;
    assert!(facts.contains(&Fact::SearchEnded { by }));
    assert_eq!(state.counts().completed, 3 - state.counts().failed);
    assert_eq!(state.ended_by(), Some(EndedBy::Trials));
}

#[test]
fn a_search_that_no_longer_improves_ends_when_what_runs_is_home() {
    for (n_entities, algorithm) in
        [(1, Algorithm::Random), (3, Algorithm::Sobol), (2, Algorithm::Tpe)]
    {
        let mut study = learner(60);
        study.sampling.algorithm = algorithm;
        study.limits.max_concurrent_trials = 4;
        let rule = Improvement { patience: 7, least: Least::By(0.0), after: 0 };
        study.limits.improvement = Some(rule);
        let mut state = started(&study, n_entities);
        let (mut facts, _) = run(&mut state);
        let proposed = state.counts().proposed;
        assert_eq!(state.ended_by(), Some(EndedBy::Improvement), "{n_entities}");
        assert!((8..60).contains(&proposed), "{proposed}");
        let Counts { completed, stopped, failed, .. } = state.counts();
        assert_eq!(completed + stopped + failed, u64::from(proposed * n_entities));
        let by = EndedBy::Improvement;
        assert_eq!(facts.iter().filter(|fact| **fact == Fact::SearchEnded { by }).count(), 1);
        let mut again = replayed(&study, n_entities, &facts);
        assert_eq!(standing(&mut again, n_entities), standing(&mut state, n_entities));

        // A replay up to any point goes on as the study did.
        let before: Vec<&Fact> = facts.iter().take_while(|fact| !is_search_end(fact)).collect();
        let mut cut = StudyState::new(study.clone(), 1, n_entities);
        before.iter().for_each(|fact| cut.apply(fact));
        assert_eq!(cut.handle(Event::Started).facts.first(), Some(&Fact::SearchEnded { by }));

        // Whoever resumes it gets as many again, at least.
        let reopened = again.handle(Event::Resumed);
        assert!(is_reopened(&reopened.facts));
        facts.extend(reopened.facts);
        let (more, _) = run(&mut again);
        facts.extend(more);
        assert!(again.counts().proposed >= (proposed + 7).min(60), "{}", again.counts().proposed);
        assert!(again.ended_by().is_some());
    }
}

fn is_search_end(fact: &Fact) -> bool {
    matches!(fact, Fact::SearchEnded { .. })
}

#[test]
fn what_runs_while_patience_is_out_may_still_improve() {
    let mut study = learner(30);
    study.work = command();
    study.limits.max_concurrent_trials = 3;
    let rule = Improvement { patience: 2, least: Least::Share(0.01), after: 0 };
    study.limits.improvement = Some(rule);
    let mut state = started(&study, 1);
    let (running, _) = wanted(&mut state, 3);
    assert_eq!(running.len(), 3);
    let tell = |state: &mut StudyState, assignment: &Assignment, value: f64| {
        let outcomes = vec![outcome(trials(assignment)[0], End::Completed { value })];
        let step = state.handle(Event::Ended {
            assignment: assignment.key.number,
            outcomes,
            launched: false,
        });
        release(state, assignment);
        step
    };
    tell(&mut state, &running[0], 1.0);
    let (more, _) = wanted(&mut state, 3);
    assert_eq!(more.len(), 1);
    tell(&mut state, &running[1], 1.0);
    tell(&mut state, &running[2], 0.995);
    assert_eq!(wanted(&mut state, 3).0, [], "patience is out");
    assert_eq!(state.phase(), Phase::Searching);
    assert_eq!(tell(&mut state, &more[0], 0.5).facts.len(), 1);
    assert_eq!(state.phase(), Phase::Searching, "the last one improved");
    let (more, _) = wanted(&mut state, 3);
    assert_eq!(more.len(), 3);
    tell(&mut state, &more[0], 0.499);
    let step = tell(&mut state, &more[1], 0.6);
    assert!(step.commands.is_empty(), "what runs is waited for: {step:?}");
    let step = tell(&mut state, &more[2], 0.7);
    let by = EndedBy::Improvement;
    assert!(step.facts.contains(&Fact::SearchEnded { by }), "{step:?}");
}

#[test]
fn more_trials_reopen_a_finished_study() {
    let mut study = learner(3);
    let mut state = started(&study, 5);
    let (mut facts, _) = run(&mut state);
    assert_eq!(state.handle(Event::Resumed).commands, [Command::Finished]);
    study.limits.max_total_trials = 20;
    let mut state = replayed(&study, 5, &facts);
    assert_eq!(state.handle(Event::Started).commands, [Command::Finished]);
    let before: Vec<_> = (0..5).map(|entity| state.best(entity)).collect();
    facts.extend(state.handle(Event::Resumed).facts);
    let (more, all) = run(&mut state);
    facts.extend(more);
    assert_eq!(state.counts().proposed, 20);
    // Only those whose winner has changed are refitted.
    let mut refitted: Vec<u32> = all
        .iter()
        .filter(|assignment| matches!(assignment.task, AssignmentTask::Refit(_)))
        .flat_map(trials)
        .map(|(_, entity)| entity)
        .collect();
    assert!(!refitted.is_empty());
    refitted.sort_unstable();
    let changed = (0..5).filter(|&entity| state.best(entity) != before[entity as usize]);
    assert_eq!(refitted, changed.collect::<Vec<_>>());
}

#[test]
fn a_finite_space_ends_the_search() {
    let grid = space(vec![parameter("x", choice(7))]);
    for algorithm in [Algorithm::Grid, Algorithm::Random, Algorithm::Sobol] {
        for n_entities in [1, 300] {
            let mut state = started(&study(grid.clone(), algorithm, 100), n_entities);
            run(&mut state);
            assert_eq!(state.counts().proposed, 7);
            assert_eq!(state.ended_by(), Some(EndedBy::Space));
        }
    }
}

#[test]
fn every_entity_is_refitted_with_its_winner() {
    for selection in [Selection::Raw, Selection::Shared] {
        let mut study = learner(9);
        study.selection = selection;
        let mut state = started(&study, 500);
        let (facts, all) = run(&mut state);
        let mut winners = vec![None; 500];
        for fact in &facts {
            let Fact::Refitted { models } = fact else {
                continue;
            };
            for model in models {
                let before = winners[model.entity as usize].replace(model.configuration);
                assert_eq!(before, None, "refitted twice");
            }
        }
        for entity in 0..500u32 {
            let expected = match selection {
                Selection::Raw => state.best(entity).map(|best| best.1),
                Selection::Shared => state.shared_best().map(|best| best.configuration),
            };
            assert_eq!(winners[entity as usize], expected);
        }
        for assignment in &all {
            let numbers: Vec<u32> = blocks(assignment).iter().map(|b| b.tried.number).collect();
            assert!(numbers.is_sorted_by(|first, second| first < second));
            let is_known = |block: &Block| !block.tried.configuration.0.is_empty();
            assert!(blocks(assignment).iter().all(is_known));
        }
    }
}

#[test]
fn a_study_without_a_completed_trial_closes_at_once() {
    let mut state = started(&learner(1), 1);
    let (running, _) = wanted(&mut state, 1);
    let reason = "no rows".into();
    let step = state.handle(Event::Ended {
        assignment: running[0].key.number,
        outcomes: vec![outcome((0, 0), End::Failed { reason })],
        launched: false,
    });
    assert_eq!(step.commands, [Command::Finished]);
    assert_eq!(state.shared_best(), None);
}

#[test]
fn a_sampler_that_is_missing_ends_the_search_instead_of_the_program() {
    let space = space(vec![parameter("x", unit())]);
    let mut state = started(&study(space, Algorithm::Grid, 5), 1);
    let step = state.handle(Event::Wanted { assignments: 1 });
    assert_eq!(step.commands, [Command::Finished]);
    assert_eq!(state.ended_by(), Some(EndedBy::Space));
}

#[test]
fn a_warm_start_comes_first_and_is_not_repeated() {
    let points = space(vec![parameter("x", choice(12))]);
    for algorithm in [Algorithm::Grid, Algorithm::Random, Algorithm::Sobol] {
        let study = study(points.clone(), algorithm, 100);
        let point = |index| study.space.grid_point(index);
        let stranger = space(vec![parameter("y", choice(3))]).grid_point(1);
        let warm = vec![point(7), stranger, point(2), point(7), point(11)];
        let begun = || {
            let mut state = StudyState::new(study.clone(), 1, 3);
            state.warm_start(warm.clone());
            state
        };
        let mut state = begun();
        state.handle(Event::Started);
        let (facts, _) = run(&mut state);
        let proposed = |facts: &[Fact]| -> Vec<_> {
            let proposed = facts.iter().filter_map(|fact| match fact {
                Fact::Proposed { configuration, .. } => Some(configuration.clone()),
                _ => None,
            });
            proposed.collect()
        };
        let all = proposed(&facts);
        assert_eq!(all[..3], [point(7), point(2), point(11)]);
        let points: std::collections::BTreeSet<String> =
            all.iter().map(|configuration| configuration.to_json()).collect();
        assert_eq!((all.len(), points.len()), (12, 12), "{algorithm:?}");
        // From anywhere on, a later life goes on as this one.
        for n_proposed in 0..12 {
            let cut = facts.iter().position(
                |fact| matches!(fact, Fact::Proposed { number, .. } if *number == n_proposed),
            );
            let (before, _) = facts.split_at(cut.unwrap());
            let mut replay = begun();
            for fact in before {
                replay.apply(fact);
            }
            replay.handle(Event::Started);
            let mut again = proposed(before);
            again.extend(proposed(&run(&mut replay).0));
            assert_eq!(again, all, "{algorithm:?} after {n_proposed}");
        }
    }
}
