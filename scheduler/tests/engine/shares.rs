//! Studies that share the runners get their part of the time, whatever their trials take. The time
//! is that of a clock of our own.

use std::collections::BTreeMap;
use std::time::Duration;

use fleetfit_scheduler::engine::{Capacity, Note};
use fleetfit_search_spaces::{
    Algorithm, AssignmentTask, End, FromRunner, Outcome, Priority, Study, StudyId,
};

use super::Fixture;
use super::studies::{parameter, space, study, unit};

/// What each of two studies has used of a minute and a half on four slots.
fn used_ms(studies: [(Priority, u64); 2]) -> [f64; 2] {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(dir.path());
    let handle = fixture.handle();
    let mut costs: BTreeMap<StudyId, (usize, u64)> = BTreeMap::new();
    for (index, (priority, cost_ms)) in studies.into_iter().enumerate() {
        let space = space(vec![parameter("x", unit())]);
        let name = format!("study-{index}");
        let study = Study { name, priority, ..study(space, Algorithm::Random, 1_000_000) };
        fixture.open(&study);
        let id = fixture.journal.find(&study.name).unwrap().unwrap().id;
        costs.insert(id, (index, cost_ms));
    }
    handle.tell(Note::Capacity(Capacity { fits: 4, asking: 4, commands: 0 }));
    let mut used = [0.0; 2];
    let mut now_ms = 1_000;
    while used.iter().sum::<f64>() < 90_000.0 {
        let assignment = fixture.work.recv_timeout(Duration::from_secs(60)).unwrap();
        let (index, cost_ms) = costs[&assignment.key.study];
        let AssignmentTask::Try(blocks) = &assignment.task else { panic!("a refit") };
        let mut outcomes = Vec::new();
        for block in blocks {
            let started_ms = now_ms;
            now_ms += cost_ms;
            used[index] += cost_ms as f64;
            outcomes.push(Outcome {
                configuration: block.tried.number,
                entity: 0,
                end: End::Completed { value: 1.0 },
                fits: 1,
                started_ms,
                ended_ms: now_ms,
                reports: Vec::new(),
                further: Vec::new(),
            });
        }
        let of = assignment.key;
        let messages =
            vec![FromRunner::Outcomes { of, outcomes, launched: false }, FromRunner::Done { of }];
        handle.tell(Note::Heard { messages, receipt: None });
    }
    fixture.engine.interrupt().unwrap();
    used
}

fn check(studies: [(Priority, u64); 2], ratio: f64) {
    let [first, second] = used_ms(studies);
    let off = first / second / ratio;
    assert!((0.8..=1.25).contains(&off), "{first} and {second} ms for {studies:?}");
}

#[test]
fn equals_get_the_same_time() {
    check([(Priority::Medium, 40), (Priority::Medium, 40)], 1.0);
    check([(Priority::Medium, 200), (Priority::Medium, 3)], 1.0);
}

#[test]
fn a_priority_is_four_times_the_next_lower_one() {
    check([(Priority::High, 30), (Priority::Medium, 30)], 4.0);
    check([(Priority::Low, 2), (Priority::Medium, 150)], 0.25);
}
