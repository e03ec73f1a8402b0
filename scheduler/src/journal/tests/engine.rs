//! What an engine makes of a journal that is damaged, or breaks.

use std::time::{Duration, Instant};

use fleetfit_search_spaces::{End, Job, Study};

use super::super::*;
use super::study;
use crate::engine::{AskError, Engine, EngineHandle, Note, OpenStudy, Outlets, Told, TrialResult};

const LEASE: Duration = Duration::from_secs(600);

/// A study whose trials are asked for.
fn meaning(name: &str) -> Study {
    const JOB: &str = "type: sweep\nname: NAME\ntrial: external\nsearch_space: {x: [1, 2, 3]}\n\
                       sampling_algorithm: grid\n\
                       objective: {goal: minimize, primary_metric: loss}\n\
                       limits: {max_total_trials: 3}\n";
    let job = Job::read("job.yaml", &JOB.replace("NAME", name));
    job.unwrap().study().unwrap()
}

/// An engine whose trials nobody runs.
fn start(journal: &Journal) -> Engine {
    let outlets = Outlets {
        dispatch: Box::new(|_, _| {}),
        hint: Box::new(|_| {}),
        settled: Box::new(|_| {}),
        ends_runners: false,
    };
    Engine::start(journal.clone(), outlets).unwrap()
}

fn open(handle: &EngineHandle, id: StudyId, name: &str) {
    let open = OpenStudy {
        large: Vec::new(),
        id,
        study: meaning(name),
        seed: 1,
        n_entities: 1,
        warm: Vec::new(),
        reopen: false,
        adopted: Vec::new(),
        opened: None,
    };
    assert!(handle.tell(Note::Open(Box::new(open))));
}

/// Damage that comes to light when a study is opened, and damage that does when it is written to.
#[test]
fn a_damaged_study_ends_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let names = ["unread", "unwritten", "whole"];
    let ids = names.map(|name| journal.create(&study(name, 1)).unwrap());
    journal.append(ids[0], &[Fact::Elapsed { elapsed_ms: 1 }], &Index::default()).unwrap();
    journal.store.damage(Table::Facts, &ids[0].with(0), |value| value[1] ^= 1);
    journal.store.damage(Table::Summaries, &ids[1].key(), |value| value[1] ^= 1);
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    let engine = start(&journal);
    let handle = engine.handle();
    for (id, name) in ids.into_iter().zip(names) {
        open(&handle, id, name);
    }
    for name in ["unread", "unwritten"] {
        // Opened, it may wait for its first write.
        let began = Instant::now();
        let trouble = loop {
            if let Some(trouble) = handle.trouble(name) {
                break trouble;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{name}: no trouble");
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(handle.ask(name, 1, LEASE), Err(AskError::NotRunning), "{name}");
        assert!(trouble.contains("the journal is damaged"), "{name}: {trouble}");
    }
    let asked = handle.ask("whole", 3, LEASE).unwrap();
    let end = End::Completed { value: 0.5 };
    let result = |trial: u32| TrialResult { trial, end: end.clone(), further: Vec::new() };
    let results = asked.iter().map(|asked| result(asked.number)).collect();
    assert_eq!(handle.tell_results("whole", results), Ok(vec![Told::Counted; 3]));
    engine.interrupt().unwrap();
    assert_eq!(journal.find("whole").unwrap().unwrap().summary.status, Status::Completed);
    journal.check().unwrap();
}

#[test]
fn who_asks_an_engine_that_failed_hears_why() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let engine = start(&journal);
    let handle = engine.handle();
    let id = journal.create(&study("asked", 1)).unwrap();
    journal.store.break_with("the disk is full");
    open(&handle, id, "asked");
    let said = "the journal stopped after a failed write: the disk is full";
    let result =
        || vec![TrialResult { trial: 0, end: End::Completed { value: 0.5 }, further: Vec::new() }];
    // Whether it has failed by then or does so at this very trial.
    assert_eq!(handle.ask("asked", 1, LEASE).unwrap_err().to_string(), said);
    assert_eq!(handle.ask("asked", 1, LEASE).unwrap_err().to_string(), said);
    assert_eq!(handle.tell_results("asked", result()).unwrap_err().to_string(), said);
    assert_eq!(handle.report("asked", 0, None, 0.5).unwrap_err().to_string(), said);
    assert_eq!(engine.interrupt().unwrap_err().to_string(), said);
}
