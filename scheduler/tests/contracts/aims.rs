//! The state of a study with several objectives and constraints: who wins, who never does, and that a
//! replay goes on as the live state does.

use fleetfit_scheduler::state::{Phase, StudyState};
use fleetfit_scheduler::{Command, Event, Fact};
use fleetfit_search_spaces::constraint::Side;
use fleetfit_search_spaces::wire::{Assignment, ModelAddress, Refit};
use fleetfit_search_spaces::{
    Algorithm, AssignmentTask, Configuration, Constraint, End, Goal, Objective, Outcome, Study,
};

use crate::studies::{parameter, space, study, unit};

fn aiming(algorithm: Algorithm) -> Study {
    let mut study =
        study(space(vec![parameter("x", unit()), parameter("y", unit())]), algorithm, 40);
    let metric =
        |metric: &str, goal| Objective { metric: metric.into(), goal, ..study.objective.clone() };
    study.further_objectives = vec![metric("r2_score", Goal::Maximize)];
    study.constraints =
        vec![Constraint { metric: "mean_absolute_error".into(), side: Side::AtMost, bound: 2.0 }];
    study.limits.max_concurrent_trials = 1;
    study
}

/// Some fail, some lack a value or have one that is no number, some break the bound.
fn ended(configuration: u32, entity: u32) -> Outcome {
    let at = f64::from((configuration * 37 + entity * 11) % 23);
    let (end, further) = match (configuration * 5 + entity) % 13 {
        0 => (End::Failed { reason: "no".into() }, vec![1.0]),
        1 => (End::Completed { value: at }, vec![1.0]),
        2 => (End::Completed { value: at }, vec![f64::NAN, 1.0]),
        3 => (End::Stopped { value: Some(-1e9), reason: "policy".into() }, Vec::new()),
        4..=6 => (End::Completed { value: at - 100.0 }, vec![9.0, 2.5]),
        _ => (End::Completed { value: (at / 4.0).floor() }, vec![at % 5.0, 2.0]),
    };
    let (fits, started_ms, ended_ms, reports) = (1, 1, 2, Vec::new());
    Outcome { configuration, entity, end, fits, started_ms, ended_ms, reports, further }
}

fn trials(assignment: &Assignment) -> Vec<(u32, u32)> {
    let trials = assignment.task.blocks().iter().flat_map(|block| {
        let entities = block.entities.iter().cloned().flatten();
        entities.map(|entity| (block.tried.number, entity))
    });
    trials.collect()
}

/// Goes on until so many facts are there, or the study is over.
fn run(state: &mut StudyState, facts: &mut Vec<Fact>, n_facts: usize) {
    while state.phase() != Phase::Closed && facts.len() < n_facts {
        let step = state.handle(Event::Wanted { assignments: 1 });
        facts.extend(step.facts);
        for command in step.commands {
            let Command::Dispatch(assignment) = command else { continue };
            let number = assignment.key.number;
            let model = Ok(ModelAddress { digest: "00".into(), pack: 0, offset: 0, length: 1 });
            let event = match assignment.task {
                AssignmentTask::Try(_) | AssignmentTask::Climb { .. } => Event::Ended {
                    assignment: number,
                    outcomes: trials(&assignment).into_iter().map(|(c, e)| ended(c, e)).collect(),
                    launched: false,
                },
                AssignmentTask::Refit(_) => Event::Refitted {
                    assignment: number,
                    models: trials(&assignment)
                        .into_iter()
                        .map(|(configuration, entity)| Refit {
                            entity,
                            configuration,
                            model: model.clone(),
                        })
                        .collect(),
                },
            };
            facts.extend(state.handle(event).facts);
            let attempt = assignment.key.attempt;
            let released = Event::Released { assignment: number, attempt, is_blamed: false };
            facts.extend(state.handle(released).facts);
        }
    }
}

fn replayed(study: &Study, n_entities: u32, facts: &[Fact]) -> StudyState {
    let mut state = StudyState::new(study.clone(), 1, n_entities);
    facts.iter().for_each(|fact| state.apply(fact));
    state.handle(Event::Started);
    state
}

fn proposals(facts: &[Fact]) -> Vec<&Configuration> {
    let proposed = facts.iter().filter_map(|fact| match fact {
        Fact::Proposed { configuration, .. } => Some(configuration),
        _ => None,
    });
    proposed.collect()
}

#[test]
fn winners_keep_the_bounds_and_a_replay_is_the_live_state() {
    for algorithm in [Algorithm::Random, Algorithm::Tpe, Algorithm::Gp, Algorithm::CmaEs] {
        for n_entities in [1, 5] {
            let study = aiming(algorithm);
            let mut live = replayed(&study, n_entities, &[]);
            let mut facts = Vec::new();
            run(&mut live, &mut facts, usize::MAX);
            assert_eq!(proposals(&facts).len(), 40);
            let told: Vec<&Outcome> = facts
                .iter()
                .flat_map(|fact| match fact {
                    Fact::Ended { outcomes } => outcomes.as_slice(),
                    _ => &[],
                })
                .collect();
            for outcome in &told {
                let n_values = if matches!(outcome.end, End::Completed { .. }) { 2 } else { 0 };
                assert_eq!(outcome.further.len(), n_values, "{outcome:?}");
            }
            for entity in 0..n_entities {
                // The least first loss of those that keep the bound, then the other's, then the number.
                let kept = told.iter().filter_map(|outcome| match outcome.end {
                    End::Completed { value }
                        if outcome.entity == entity && outcome.further[1] <= 2.0 =>
                    {
                        Some((value, -outcome.further[0], outcome.configuration))
                    }
                    _ => None,
                });
                let best = kept.min_by(|one, other| one.partial_cmp(other).unwrap());
                assert_eq!(live.best(entity), best.map(|(value, _, number)| (value, number)));
            }
            let again = replayed(&study, n_entities, &facts);
            assert_eq!(again.counts(), live.counts());
            assert_eq!(again.shared_best(), live.shared_best());
            assert!((0..n_entities).all(|entity| again.best(entity) == live.best(entity)));
            // In the middle: what is proposed next is the same.
            let (mut before, mut rest) = (Vec::new(), Vec::new());
            run(&mut replayed(&study, n_entities, &[]), &mut before, 60);
            let mut resumed = replayed(&study, n_entities, &before);
            run(&mut resumed, &mut rest, usize::MAX);
            let both = [before, rest].concat();
            assert_eq!(proposals(&both), proposals(&facts));
            assert_eq!(resumed.counts(), live.counts());
        }
    }
}
