//! Trials that are given out by rungs: who goes on, and what a kill, a cancel or a lost runner
//! changes.

use std::collections::BTreeMap;

use fleetfit_scheduler::sampler::Earlier;
use fleetfit_scheduler::state::{Phase, StudyState};
use fleetfit_scheduler::{Command, EndedBy, Event, Fact, Step};
use fleetfit_search_spaces::constraint::Side;
use fleetfit_search_spaces::early_termination::Policy;
use fleetfit_search_spaces::wire::{Assignment, Refit};
use fleetfit_search_spaces::{
    Aims, Algorithm, Amount, AssignmentTask, Configuration, Constraint, EarlyTermination, End,
    Goal, Improvement, Ladder, Least, Objective, Outcome, Reached, Resource, Setting, Study, Value,
};

use super::samplers::LEARNING;
use super::studies::{choice, parameter, space, study, unit};

const N_FOLDS: u32 = 5;

fn rungs(policy: Policy, resource: Resource, rungs: &[u32]) -> EarlyTermination {
    let rungs = rungs.iter().map(|rung| Amount::Count(*rung)).collect();
    let ladder = Some(Ladder { resource, rungs });
    EarlyTermination { policy, evaluation_interval: 1, delay_evaluation: 0, ladder }
}

fn asha(factor: u32, resource: Resource) -> EarlyTermination {
    let policy = Policy::Asha { min_resource: 1, reduction_factor: factor };
    rungs(policy, resource, &[1, 3])
}

fn sobol(early: EarlyTermination, max_total_trials: u32) -> Study {
    let mut study = study(space(vec![parameter("x", unit())]), Algorithm::Sobol, max_total_trials);
    study.early_termination = Some(early);
    study
}

/// What a trial comes to on a fold, or on a rung of something else: better for some, by entity.
fn value(configuration: u32, entity: u32, part: u32) -> f64 {
    let best = (entity * 7 + 3) % 16;
    let apart = f64::from((configuration % 16).abs_diff(best));
    apart + 0.1 * f64::from((configuration * 5 + part * 3) % 7)
}

fn trials(assignment: &Assignment) -> Vec<(u32, u32)> {
    let blocks = assignment.task.blocks().iter();
    let trials = blocks.flat_map(|block| {
        let entities = block.entities.iter().cloned().flatten();
        entities.map(|entity| (block.tried.number, entity))
    });
    trials.collect()
}

/// The same in all of the study's metrics.
fn values(study: &Study, configuration: u32, entity: u32, part: u32) -> Vec<f64> {
    let metrics = (0..).take(Aims::of(study).metrics.len());
    metrics.map(|metric| value(configuration + 3 * metric, entity, part)).collect()
}

fn completed((configuration, entity): (u32, u32), values: &[f64]) -> Outcome {
    let (reports, further) = (Vec::new(), values[1..].to_vec());
    let value = values[0];
    let (fits, started_ms, ended_ms) = (N_FOLDS, 1, 2);
    let end = End::Completed { value };
    Outcome { configuration, entity, end, fits, started_ms, ended_ms, reports, further }
}

/// What a runner tells of an assignment.
fn told(study: &Study, given: &Assignment) -> Event {
    let assignment = given.key.number;
    let values = |(own, entity): (u32, u32), part| values(study, own, entity, part);
    let means = |trial| -> Vec<f64> {
        let folds: Vec<Vec<f64>> = (0..N_FOLDS).map(|fold| values(trial, fold)).collect();
        let sum = |metric| folds.iter().map(|fold: &Vec<f64>| fold[metric]).sum::<f64>();
        (0..folds[0].len()).map(|metric| sum(metric) / f64::from(N_FOLDS)).collect()
    };
    match &given.task {
        AssignmentTask::Refit(_) => {
            let trials = trials(given).into_iter();
            let refit = |(configuration, entity)| Refit {
                configuration,
                entity,
                model: Err("no room".into()),
            };
            Event::Refitted { assignment, models: trials.map(refit).collect() }
        }
        AssignmentTask::Try(_) => {
            let trials = trials(given).into_iter();
            let outcomes = trials.map(|trial| completed(trial, &means(trial)));
            Event::Ended { assignment, outcomes: outcomes.collect(), launched: false }
        }
        AssignmentTask::Climb { after, rung, .. } => {
            let ladder = study.early_termination.as_ref().and_then(|own| own.ladder.as_ref());
            let ladder = ladder.expect("a ladder");
            let up_to = |rung: u8| ladder.amount(rung).map_or(5, |own| own.of(5));
            let is_of_folds = ladder.resource == Resource::Folds;
            if !is_of_folds && *rung >= ladder.top() {
                let trials = trials(given).into_iter();
                let outcomes = trials.map(|trial| completed(trial, &values(trial, 9)));
                return Event::Ended { assignment, outcomes: outcomes.collect(), launched: false };
            }
            let reached = trials(given).into_iter().map(|(configuration, entity)| {
                let folds = after.map_or(0, up_to) as u32..up_to(*rung) as u32;
                let fits = if is_of_folds { folds.len() as u32 } else { 1 };
                let of = |part| values((configuration, entity), part);
                let values = match is_of_folds {
                    true => folds.flat_map(of).collect(),
                    false => of(u32::from(*rung)),
                };
                let rung = *rung;
                let (n_folds, started_ms, ended_ms) = (N_FOLDS, 1, 2);
                Reached { configuration, entity, rung, values, n_folds, fits, started_ms, ended_ms }
            });
            Event::Reached { assignment, trials: reached.collect(), launched: false }
        }
    }
}

fn dispatched(step: &Step) -> Vec<Assignment> {
    let commands = step.commands.iter().filter_map(|command| match command {
        Command::Dispatch(assignment) => Some(assignment.clone()),
        _ => None,
    });
    commands.collect()
}

fn released(assignment: &Assignment) -> Event {
    let (assignment, attempt) = (assignment.key.number, assignment.key.attempt);
    Event::Released { assignment, attempt, is_blamed: true }
}

/// Runs a study on to its end, so many assignments at once; `facts` grows by what it decides.
fn run(state: &mut StudyState, at_once: u32, facts: &mut Vec<Fact>) {
    while state.phase() != Phase::Closed {
        let step = state.handle(Event::Wanted { assignments: at_once });
        facts.extend(step.facts.iter().cloned());
        let assignments = dispatched(&step);
        assert!(!assignments.is_empty() || state.phase() == Phase::Closed, "stuck");
        // The last one first, as if it were the fastest.
        for assignment in assignments.iter().rev() {
            let event = told(state.study(), assignment);
            // Twice, as messages come.
            facts.extend(state.handle(event.clone()).facts);
            assert!(
                state
                    .handle(event)
                    .facts
                    .iter()
                    .all(|fact| { !matches!(fact, Fact::Reached { .. } | Fact::Ended { .. }) })
            );
            facts.extend(state.handle(released(assignment)).facts);
        }
    }
}

fn started(study: &Study, n_entities: u32) -> StudyState {
    let mut state = StudyState::new(study.clone(), 1, n_entities);
    state.handle(Event::Started);
    state
}

/// By trial: how it ended, with what, and after how many fits.
type Ends = BTreeMap<(u32, u32), (End, u32)>;

fn ends(facts: &[Fact]) -> Ends {
    let mut ends = BTreeMap::new();
    for fact in facts {
        if let Fact::Ended { outcomes } = fact {
            for outcome in outcomes {
                let trial = (outcome.configuration, outcome.entity);
                let before = ends.insert(trial, (outcome.end.clone(), outcome.fits));
                assert_eq!(before, None, "{trial:?} ended twice");
            }
        }
    }
    ends
}

fn policies() -> Vec<EarlyTermination> {
    let hyperband =
        Policy::Hyperband { min_resource: 1, reduction_factor: 2, max_resource: N_FOLDS };
    let racing = Policy::FoldRacing { confidence: 0.8 };
    let truncation = Policy::TruncationSelection { percentage: 40 };
    vec![
        asha(3, Resource::Estimators),
        asha(2, Resource::Folds),
        rungs(hyperband.clone(), Resource::Rows, &[1, 2, 4]),
        rungs(hyperband, Resource::Folds, &[1, 2, 4]),
        rungs(racing, Resource::Folds, &[2, 4]),
        rungs(truncation, Resource::Folds, &[1, 2, 3, 4]),
    ]
}

#[test]
fn every_entity_keeps_its_own_best() {
    let study = sobol(asha(4, Resource::Estimators), 16);
    let mut facts = Vec::new();
    let mut state = started(&study, 5);
    run(&mut state, 3, &mut facts);
    let ends = ends(&facts);
    assert_eq!(ends.len(), 16 * 5);
    for entity in 0..5 {
        let own = |wanted: fn(&End) -> bool| {
            let own = ends.iter().filter(|((_, other), (end, _))| *other == entity && wanted(end));
            own.map(|((number, _), (_, fits))| (*number, *fits)).collect::<Vec<_>>()
        };
        // 16 come to the first rung, 4 to the second, 1 to the end: 1, 1 and 5 fits.
        let best = (entity * 7 + 3) % 16;
        assert_eq!(own(|end| matches!(end, End::Completed { .. })), [(best, 7)]);
        assert_eq!(state.best(entity), Some((value(best, entity, 9), best)));
        let stopped = own(|end| matches!(end, End::Stopped { .. }));
        assert_eq!(stopped.len(), 15);
        assert_eq!(stopped.iter().filter(|(_, fits)| *fits == 2).count(), 3);
    }
    assert_eq!(state.counts().fits, 5 * (16 + 4 + 5));
    let Some((End::Stopped { value: Some(value), reason }, 1)) = ends.get(&(11, 0)) else {
        panic!("{:?}", ends.get(&(11, 0)));
    };
    assert!(*value > 8.0);
    assert!(reason.ends_with("after 1 estimator is not among the best 4 of 16 trials"), "{reason}");
}

#[test]
fn whoever_completes_by_folds_has_the_mean_of_all() {
    let study = sobol(asha(2, Resource::Folds), 4);
    let mut facts = Vec::new();
    run(&mut started(&study, 1), 1, &mut facts);
    let ends = ends(&facts);
    let completed = ends.iter().filter(|(_, (end, _))| matches!(end, End::Completed { .. }));
    let completed: Vec<_> = completed.collect();
    let folds: Vec<f64> = (0..N_FOLDS).map(|fold| value(3, 0, fold)).collect();
    let end = End::Completed { value: folds.iter().sum::<f64>() / 5.0 };
    assert_eq!(completed, [(&(3, 0), &(end, N_FOLDS))]);
    assert_eq!(ends[&(0, 0)].1, 1, "stopped after a fold");
}

#[test]
fn it_does_not_matter_how_many_run_at_once() {
    for early in policies() {
        let study = sobol(early, 37);
        let result = |at_once| {
            let mut facts = Vec::new();
            run(&mut started(&study, 6), at_once, &mut facts);
            ends(&facts)
        };
        let one = result(1);
        assert_eq!(one.len(), 37 * 6);
        let n_stopped = one.values().filter(|(end, _)| matches!(end, End::Stopped { .. })).count();
        assert!(n_stopped > 37, "{:?} stops {n_stopped}", study.early_termination);
        for at_once in [2, 7, 40] {
            assert_eq!(result(at_once), one);
        }
    }
}

#[test]
fn a_kill_between_any_two_facts_changes_nothing() {
    for early in policies() {
        let study = sobol(early, 11);
        let mut facts = Vec::new();
        run(&mut started(&study, 3), 2, &mut facts);
        let expected = ends(&facts);
        for cut in 0..facts.len() {
            let mut state = StudyState::new(study.clone(), 1, 3);
            let mut kept = facts[..cut].to_vec();
            kept.iter().for_each(|fact| state.apply(fact));
            kept.extend(state.handle(Event::Started).facts);
            run(&mut state, 3, &mut kept);
            assert_eq!(ends(&kept), expected, "cut after {cut} facts of {}", facts.len());
        }
    }
}

#[test]
fn a_space_that_ends_within_a_bracket_is_judged() {
    let mut study = sobol(asha(4, Resource::Rows), 100);
    study.space = space(vec![parameter("x", choice(5))]);
    study.sampling.algorithm = Algorithm::Grid;
    let mut state = started(&study, 2);
    let mut facts = Vec::new();
    run(&mut state, 1, &mut facts);
    assert_eq!(state.ended_by(), Some(EndedBy::Space));
    let ends = ends(&facts);
    let n_completed = ends.values().filter(|(end, _)| matches!(end, End::Completed { .. })).count();
    assert_eq!((ends.len(), n_completed), (10, 2));
}

#[test]
fn a_cancelled_climb_is_taken_up_again() {
    let study = sobol(asha(4, Resource::Folds), 16);
    let mut undisturbed = Vec::new();
    run(&mut started(&study, 4), 2, &mut undisturbed);
    let mut state = started(&study, 4);
    let mut facts = Vec::new();
    for _ in 0..5 {
        let step = state.handle(Event::Wanted { assignments: 2 });
        facts.extend(step.facts.iter().cloned());
        for assignment in dispatched(&step) {
            let event = told(&study, &assignment);
            facts.extend(state.handle(event).facts);
            facts.extend(state.handle(released(&assignment)).facts);
        }
    }
    facts.extend(state.handle(Event::Cancelled).facts);
    assert_eq!(state.phase(), Phase::Closed);
    facts.extend(state.handle(Event::Resumed).facts);
    run(&mut state, 3, &mut facts);
    assert_eq!(ends(&facts), ends(&undisturbed));
}

#[test]
fn a_trial_that_kills_its_runners_on_a_rung_fails_and_the_others_go_on() {
    let study = sobol(asha(4, Resource::Estimators), 16);
    let mut state = started(&study, 1);
    let mut facts = Vec::new();
    // The best of the entity dies on the second rung.
    let deadly = 3;
    while state.phase() != Phase::Closed {
        let step = state.handle(Event::Wanted { assignments: 2 });
        facts.extend(step.facts.iter().cloned());
        for assignment in dispatched(&step) {
            let is_deadly = trials(&assignment).contains(&(deadly, 0));
            let is_second = matches!(assignment.task, AssignmentTask::Climb { rung: 1, .. });
            if !(is_deadly && is_second) {
                facts.extend(state.handle(told(&study, &assignment)).facts);
            }
            facts.extend(state.handle(released(&assignment)).facts);
        }
    }
    let ends = ends(&facts);
    assert!(matches!(&ends[&(deadly, 0)], (End::Failed { .. }, 1)), "{:?}", ends[&(deadly, 0)]);
    assert_eq!(state.counts().completed, 1);
    assert_eq!(ends.len(), 16);
}

/// Whoever came to a rung: the rung, the entity, the value there and the configuration.
fn furthest(facts: &[Fact]) -> Vec<(u8, u32, f64, u32)> {
    let reached = facts.iter().filter_map(|fact| match fact {
        Fact::Reached { trials } => Some(trials),
        _ => None,
    });
    let own = |own: &Reached| (own.rung, own.entity, own.values[0], own.configuration);
    reached.flatten().map(own).collect()
}

#[test]
fn where_time_runs_out_on_the_first_rung_who_is_best_there_wins() {
    let mut study = sobol(asha(4, Resource::Estimators), 16);
    study.limits.timeout_s = 1.0;
    let mut state = started(&study, 2);
    let mut facts = Vec::new();
    // Some trials come to the first rung, and more are out.
    for _ in 0..2 {
        let step = state.handle(Event::Wanted { assignments: 1 });
        facts.extend(step.facts.iter().cloned());
        let assignment = dispatched(&step).remove(0);
        facts.extend(state.handle(told(&study, &assignment)).facts);
        facts.extend(state.handle(released(&assignment)).facts);
    }
    let last = dispatched(&state.handle(Event::Wanted { assignments: 1 })).remove(0);
    assert_eq!(state.best(0), None, "the search goes on");
    facts.extend(state.handle(Event::Elapsed { elapsed_ms: 1_000 }).facts);
    facts.extend(state.handle(released(&last)).facts);
    assert_eq!((state.ended_by(), state.phase()), (Some(EndedBy::Timeout), Phase::Refitting));
    let reached: Vec<(u32, u32)> = ends(&facts).keys().copied().collect();
    assert_eq!(reached.len() as u64, state.counts().stopped);
    let touched = state.touched();
    for entity in 0..2 {
        // Somebody may be on the way from there to the second.
        let own = furthest(&facts).into_iter().filter(|trial| trial.1 == entity);
        let values = own.map(|(rung, _, value, number)| (rung, value, number));
        let best = values.max_by(|one, other| one.0.cmp(&other.0).then(other.1.total_cmp(&one.1)));
        let best = best.map(|(_, value, number)| (value, number));
        assert_eq!(state.best(entity), best);
        assert_eq!(touched.contains(&entity), best.is_some());
    }
    let (end, _) = ends(&facts).into_values().next().expect("one that was stopped");
    let End::Stopped { reason, .. } = end else { panic!("{end:?}") };
    assert_eq!(reason, "the study's timeout ran out after 1 estimator");
    // Its winners are fitted on all rows, and a replay comes to the same.
    let mut again = StudyState::new(study.clone(), 1, 2);
    facts.iter().for_each(|fact| again.apply(fact));
    assert_eq!([0, 1].map(|entity| again.best(entity)), [0, 1].map(|entity| state.best(entity)));
    run(&mut state, 2, &mut facts);
    let refitted = facts.iter().filter_map(|fact| match fact {
        Fact::Refitted { models } => Some(models.len()),
        _ => None,
    });
    assert_eq!(refitted.sum::<usize>(), touched.len());
    assert_eq!(state.shared_best().map(|best| best.completed), Some(0));
}

#[test]
fn a_cancel_on_the_first_rung_leaves_a_best_and_nothing_ended() {
    let study = sobol(asha(4, Resource::Folds), 16);
    let mut state = started(&study, 1);
    let mut reached = Vec::new();
    for _ in 0..2 {
        let assignment = dispatched(&state.handle(Event::Wanted { assignments: 1 })).remove(0);
        reached.extend(trials(&assignment).into_iter().map(|(own, _)| (value(own, 0, 0), own)));
        state.handle(told(&study, &assignment));
        state.handle(released(&assignment));
    }
    state.handle(Event::Cancelled);
    let best = reached.into_iter().min_by(|one, other| one.0.total_cmp(&other.0));
    assert_eq!((state.best(0), state.counts().stopped), (best, 0));
    assert_eq!(state.shared_best().map(|own| own.configuration), best.map(|best| best.1));
    state.handle(Event::Resumed);
    assert_eq!(state.best(0), None);
}

#[test]
fn who_learns_or_has_patience_has_one_bracket_under_way() {
    for (algorithm, patience) in [(Algorithm::Tpe, None), (Algorithm::Sobol, Some(5))] {
        let mut study = sobol(asha(4, Resource::Estimators), 64);
        study.sampling.algorithm = algorithm;
        study.limits.max_concurrent_trials = 64;
        let least = Least::By(0.0);
        study.limits.improvement =
            patience.map(|patience| Improvement { patience, least, after: 0 });
        let mut state = started(&study, 1);
        let step = state.handle(Event::Wanted { assignments: 40 });
        assert_eq!((dispatched(&step).len(), state.counts().proposed), (16, 16));
    }
}

#[test]
fn a_bracket_that_nobody_joins_any_more_is_judged() {
    let policies = [
        asha(4, Resource::Estimators),
        asha(4, Resource::Folds),
        rungs(Policy::FoldRacing { confidence: 0.95 }, Resource::Folds, &[2, 4]),
    ];
    for policy in policies {
        let mut study = sobol(policy, 200);
        let least = Least::By(0.0);
        study.limits.improvement = Some(Improvement { patience: 3, least, after: 0 });
        let mut state = started(&study, 1);
        // It is asked for while the bracket runs after which nothing is drawn any more.
        let step = state.handle(Event::Wanted { assignments: 1 });
        let mut facts = step.facts.clone();
        let asked = Setting::Value(Value::Float(0.123));
        let asked = Configuration(vec![("x".into(), asked)]);
        let (numbers, step_of_queue) = state.enqueue(vec![asked], None).unwrap();
        facts.extend(step_of_queue.facts);
        for assignment in dispatched(&step) {
            facts.extend(state.handle(told(&study, &assignment)).facts);
            facts.extend(state.handle(released(&assignment)).facts);
        }
        run(&mut state, 1, &mut facts);
        assert_eq!(state.ended_by(), Some(EndedBy::Improvement));
        assert!(ends(&facts).contains_key(&(numbers[0], 0)));
    }
}

/// What was proposed, by number.
fn proposed(facts: &[Fact]) -> Vec<(u32, Configuration)> {
    let proposed = facts.iter().filter_map(|fact| match fact {
        Fact::Proposed { number, configuration } => Some((*number, configuration.clone())),
        _ => None,
    });
    proposed.collect()
}

#[test]
fn who_learns_proposes_the_same_however_many_run_at_once() {
    let mut study = sobol(asha(4, Resource::Folds), 40);
    study.sampling.algorithm = Algorithm::Tpe;
    let result = |at_once| {
        let mut facts = Vec::new();
        run(&mut started(&study, 1), at_once, &mut facts);
        (proposed(&facts), ends(&facts))
    };
    let one = result(1);
    assert_eq!(one.0.len(), 40);
    assert!([3, 16].into_iter().all(|at_once| result(at_once) == one));
}

/// A study that is killed again and again: after the first fact of a step, or of what a runner tells.
/// What was not recorded has not happened.
fn killed(study: &Study, earlier: &[Earlier]) -> Vec<Fact> {
    let mut kept: Vec<Fact> = Vec::new();
    for life in 0..1_000 {
        let mut state = StudyState::new(study.clone(), 1, 1);
        state.learn_from(earlier);
        kept.iter().for_each(|fact| state.apply(fact));
        kept.extend(state.handle(Event::Started).facts);
        if state.phase() == Phase::Closed {
            return kept;
        }
        let step = state.handle(Event::Wanted { assignments: 1 });
        if life % 2 == 0 {
            kept.extend(step.facts.into_iter().take(1));
            continue;
        }
        kept.extend(step.facts.iter().cloned());
        if let Some(assignment) = dispatched(&step).first() {
            kept.extend(state.handle(told(study, assignment)).facts.into_iter().take(1));
        }
    }
    panic!("it does not come to its end");
}

#[test]
fn kills_change_no_proposal_of_who_has_learnt_from_earlier_trials() {
    let earlier = |number: u32| {
        let x = f64::from(number * 7 % 20) / 20.0;
        let configuration = Configuration(vec![("x".into(), Setting::Value(Value::Float(x)))]);
        let loss = 3.0 + (x - 0.6).powi(2);
        Earlier {
            configuration,
            loss,
            source: (number % 2) as u16,
            is_same: number.is_multiple_of(2),
        }
    };
    let earlier: Vec<Earlier> = (0..20).map(earlier).collect();
    let policies = [None, Some(asha(2, Resource::Folds)), Some(asha(2, Resource::Estimators))];
    for (algorithm, early) in
        LEARNING.into_iter().flat_map(|own| policies.clone().map(|it| (own, it)))
    {
        let mut study = sobol(asha(2, Resource::Folds), 14);
        study.early_termination = early;
        study.sampling.algorithm = algorithm;
        study.limits.max_concurrent_trials = 1;
        let undisturbed = |earlier: &[Earlier]| {
            let mut state = StudyState::new(study.clone(), 1, 1);
            state.learn_from(earlier);
            state.handle(Event::Started);
            let mut facts = Vec::new();
            run(&mut state, 1, &mut facts);
            facts
        };
        let (expected, killed) = (undisturbed(&earlier), killed(&study, &earlier));
        assert_eq!(proposed(&killed), proposed(&expected), "{study:?}");
        assert_eq!(ends(&killed), ends(&expected), "{study:?}");
        assert_eq!(proposed(&expected).len(), 14);
        assert_ne!(proposed(&undisturbed(&[])), proposed(&expected), "they count for nothing");
    }
}

#[test]
fn patience_ends_at_the_same_bracket_however_many_run_at_once() {
    for early in policies() {
        let mut study = sobol(early, 300);
        study.limits.improvement =
            Some(Improvement { patience: 3, least: Least::By(0.0), after: 0 });
        let result = |at_once| {
            let mut facts = Vec::new();
            let mut state = started(&study, 1);
            run(&mut state, at_once, &mut facts);
            (state.counts().proposed, ends(&facts))
        };
        let one = result(1);
        assert!([3, 7, 40].into_iter().all(|at_once| result(at_once) == one));
    }
}

/// The sobol study with a second objective, which is made large, and a bound on a third metric.
fn bounded(early: EarlyTermination) -> Study {
    let mut study = sobol(early, 16);
    let second =
        Objective { metric: "size".into(), goal: Goal::Maximize, ..study.objective.clone() };
    study.further_objectives = vec![second];
    study.constraints = vec![Constraint { metric: "ms".into(), side: Side::AtMost, bound: 9.0 }];
    study
}

#[test]
fn with_several_objectives_and_bounds_who_came_furthest_stays_as_well() {
    for resource in [Resource::Folds, Resource::Estimators] {
        let study = bounded(asha(4, resource));
        let aims = Aims::of(&study);
        let mut state = started(&study, 1);
        let mut reached = Vec::new();
        let mut n_fits = 0;
        for _ in 0..5 {
            let assignment = dispatched(&state.handle(Event::Wanted { assignments: 1 })).remove(0);
            let event = told(&study, &assignment);
            if let Event::Reached { trials, .. } = &event {
                n_fits += trials.iter().map(|own| u64::from(own.fits)).sum::<u64>();
                let feasible =
                    trials.iter().filter(|own| aims.keeps(own.values[0], &own.values[1..]));
                reached.extend(feasible.map(|own| (own.values[0], own.configuration)));
            }
            state.handle(event);
            state.handle(released(&assignment));
        }
        assert_eq!(state.best(0), None, "the search goes on");
        let best = reached.into_iter().min_by(|one, other| one.0.total_cmp(&other.0));
        assert!(best.is_some_and(|best| best.0 > 0.0), "{best:?}");
        state.touched();
        state.leave_off();
        assert_eq!((state.best(0), state.touched()), (best, vec![0]));
        state.handle(Event::Started);
        assert_eq!((state.best(0), state.touched()), (None, vec![0]), "it goes on");
        state.handle(Event::Cancelled);
        assert_eq!((state.best(0), state.counts().fits), (best, n_fits));
    }
}
