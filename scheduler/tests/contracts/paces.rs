//! How much of a study travels together, whatever its trials take: on a few threads with clocks.

use std::collections::VecDeque;

use fleetfit_scheduler::state::{Phase, StudyState};
use fleetfit_scheduler::{Command, Event};
use fleetfit_search_spaces::wire::{Assignment, Block};
use fleetfit_search_spaces::{Algorithm, AssignmentTask, End, Learner, Outcome, Study, Work};

use super::studies::{choice, command, parameter, space, study, unit};

/// What the threads did.
struct Done {
    /// How many trials each assignment carried, in the order of hand-out.
    sizes: Vec<usize>,
    /// What the trials took altogether, and how long the threads took.
    work_ms: f64,
    took_ms: f64,
}

/// Runs the search on so many threads, with twice as many assignments out at most.
fn run(study: Study, n_entities: u32, threads: usize, cost_ms: impl Fn(u32, u32) -> f64) -> Done {
    let mut state = StudyState::new(study, 1, n_entities);
    state.handle(Event::Started);
    let mut done = Done { sizes: Vec::new(), work_ms: 0.0, took_ms: 0.0 };
    let mut queue: VecDeque<Assignment> = VecDeque::new();
    // Each thread's time, and what it is at.
    let mut clocks: Vec<(f64, Option<Assignment>, Vec<Outcome>)> =
        vec![(1_000.0, None, Vec::new()); threads];
    loop {
        while state.phase() == Phase::Searching && state.out() < 2 * threads {
            let step = state.handle(Event::Wanted { assignments: 1 });
            let handed_out = step.commands.into_iter().filter_map(|command| match command {
                Command::Dispatch(assignment) => Some(assignment),
                _ => None,
            });
            let before = queue.len();
            queue.extend(handed_out);
            if queue.len() == before {
                break;
            }
        }
        let now_ms = clocks.iter().filter(|(_, at, _)| at.is_some()).map(|(ms, _, _)| *ms);
        let now_ms = now_ms.fold(f64::INFINITY, f64::min);
        for (clock_ms, at, outcomes) in clocks.iter_mut().filter(|(_, at, _)| at.is_none()) {
            let Some(assignment) = queue.pop_front() else { break };
            if now_ms.is_finite() {
                *clock_ms = clock_ms.max(done.took_ms + 1_000.0);
            }
            let began_ms = *clock_ms;
            let AssignmentTask::Try(blocks) = &assignment.task else { return done };
            for block in blocks {
                for entity in block.entities.iter().cloned().flatten() {
                    let number = block.tried.number;
                    let started_ms = *clock_ms as u64;
                    *clock_ms += cost_ms(number, entity);
                    outcomes.push(Outcome {
                        configuration: number,
                        entity,
                        end: End::Completed { value: f64::from(number) },
                        fits: 1,
                        started_ms,
                        ended_ms: *clock_ms as u64,
                        reports: Vec::new(),
                        further: Vec::new(),
                    });
                }
            }
            done.sizes.push(outcomes.len());
            done.work_ms += *clock_ms - began_ms;
            *at = Some(assignment);
        }
        let busy = clocks.iter_mut().filter(|(_, at, _)| at.is_some());
        let Some((clock_ms, at, outcomes)) = busy.min_by(|one, other| one.0.total_cmp(&other.0))
        else {
            return done;
        };
        done.took_ms = *clock_ms - 1_000.0;
        let Some(Assignment { key, .. }) = at.take() else { return done };
        let (assignment, attempt) = (key.number, key.attempt);
        let outcomes = std::mem::take(outcomes);
        state.handle(Event::Ended { assignment, outcomes, launched: false });
        state.handle(Event::Released { assignment, attempt, is_blamed: true });
    }
}

fn drawn(n_configurations: u32) -> Study {
    let space = space(vec![parameter("x", unit())]);
    study(space, Algorithm::Random, n_configurations)
}

#[test]
fn many_tiny_trials_are_few_assignments() {
    for work in [drawn(0).work, command()] {
        let done = run(Study { work, ..drawn(10_000) }, 1, 4, |_, _| 0.1);
        assert_eq!(done.sizes.iter().sum::<usize>(), 10_000);
        assert!(done.sizes.len() < 100, "{} assignments", done.sizes.len());
        assert!(done.took_ms < done.work_ms / 4.0 * 1.1, "threads were idle: {}", done.took_ms);
    }
}

#[test]
fn tiny_trials_of_many_entities_travel_in_wide_blocks() {
    let done = run(drawn(40), 5_000, 8, |_, _| 0.2);
    assert_eq!(done.sizes.iter().sum::<usize>(), 200_000);
    let typical = {
        let mut sizes = done.sizes.clone();
        sizes.sort_unstable();
        sizes[sizes.len() / 2]
    };
    assert!((250..=1_000).contains(&typical), "{typical} trials an assignment");
    assert!(done.took_ms < done.work_ms / 8.0 * 1.05, "threads were idle: {}", done.took_ms);
}

#[test]
fn slow_trials_travel_alone() {
    for (n_configurations, n_entities) in [(60, 1), (3, 20), (40, 7)] {
        let done = run(drawn(n_configurations), n_entities, 4, |_, _| 1_000.0);
        assert!(done.sizes.iter().all(|&size| size == 1), "{:?}", done.sizes);
    }
}

#[test]
fn blocks_shrink_once_slow_trials_show_up() {
    let slow_from = 5_000;
    let done = run(drawn(5_200), 1, 4, |number, _| if number < slow_from { 0.1 } else { 500.0 });
    let mut first = 0;
    let slow = done.sizes.iter().filter(|&&size| {
        first += size;
        first - size >= slow_from as usize
    });
    let slow: Vec<usize> = slow.copied().collect();
    // What was out already may hold slow ones; what follows does not hold two.
    let n_shrunk = slow.iter().skip(8).filter(|&&size| size > 1).count();
    assert_eq!(n_shrunk, 0, "{slow:?}");
}

#[test]
fn the_end_of_a_study_is_shared_by_all_threads() {
    for threads in [1, 3, 16] {
        let done = run(drawn(600), 1, threads, |_, _| 4.0);
        let even_ms = done.work_ms / threads as f64;
        assert!(done.took_ms < even_ms + 200.0, "{} instead of {even_ms}", done.took_ms);
    }
}

#[test]
fn a_limit_of_trials_at_once_goes_round() {
    let mut study = drawn(400);
    study.limits.max_concurrent_trials = 8;
    let done = run(study, 1, 8, |_, _| 2.0);
    assert!(done.took_ms < done.work_ms / 8.0 * 1.2, "{} of {}", done.took_ms, done.work_ms);
}

/// What the next assignment tries.
fn next(state: &mut StudyState) -> Option<Vec<Block>> {
    let step = state.handle(Event::Wanted { assignments: 1 });
    step.commands.into_iter().find_map(|command| match command {
        Command::Dispatch(Assignment { task: AssignmentTask::Try(blocks), .. }) => Some(blocks),
        _ => None,
    })
}

#[test]
fn those_that_one_fit_answers_for_travel_together() {
    let space = space(vec![parameter("n_estimators", choice(10)), parameter("depth", choice(4))]);
    let mut study = study(space, Algorithm::Grid, 40);
    study.work = Work::Learner(Learner::GradientBoosting);
    let mut state = StudyState::new(study, 1, 2);
    state.handle(Event::Started);
    for _ in 0..8 {
        let blocks = next(&mut state).unwrap();
        let depths = blocks.iter().map(|block| block.tried.configuration.get("depth").cloned());
        let mut depths: Vec<_> = depths.collect();
        assert_eq!(depths.len(), 10);
        depths.dedup();
        assert_eq!(depths.len(), 1, "of one depth");
    }
    assert_eq!(next(&mut state), None);
}

#[test]
fn what_takes_long_begins_first() {
    let mut state = StudyState::new(drawn(3), 1, 6);
    state.large_first(vec![4, 2]);
    state.handle(Event::Started);
    let mut tried = Vec::new();
    while let Some(blocks) = next(&mut state) {
        for block in &blocks {
            let entities = block.entities.iter().cloned().flatten();
            tried.extend(entities.map(|entity| (entity, block.tried.number)));
        }
    }
    let entities: Vec<u32> = tried.iter().map(|(entity, _)| *entity).collect();
    // Each batch has its own turn.
    assert_eq!(entities[..6], [4, 2, 0, 1, 3, 5], "{tried:?}");
    tried.sort_unstable();
    tried.dedup();
    assert_eq!(tried.len(), 18, "each once");
}
