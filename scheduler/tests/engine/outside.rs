//! Trials that are run outside: asked for, reported on, told, over restarts and expired leases.

use std::time::Duration;

use fleetfit_scheduler::Fact;
use fleetfit_scheduler::engine::{AskError, EngineHandle, Told, TrialResult};
use fleetfit_scheduler::journal::Status;
use fleetfit_search_spaces::early_termination::Policy;
use fleetfit_search_spaces::{Algorithm, EarlyTermination, End, Goal, Study, ValueRule, Work};

use super::studies::{parameter, space, study, unit};
use super::{Fixture, until};

const LONG: Duration = Duration::from_secs(3_600);

fn external(n_trials: u32) -> Study {
    let space = space(vec![parameter("x", unit())]);
    Study { work: Work::External, ..study(space, Algorithm::Sobol, n_trials) }
}

fn ask(handle: &EngineHandle, trials: u32, lease: Duration) -> Vec<u32> {
    let asked = handle.ask("test", trials, lease).unwrap();
    asked.into_iter().map(|tried| tried.number).collect()
}

fn tell(handle: &EngineHandle, trial: u32, value: f64) -> Told {
    let results = vec![TrialResult { trial, end: End::Completed { value }, further: Vec::new() }];
    handle.tell_results("test", results).unwrap()[0]
}

#[test]
fn trials_are_asked_for_and_told_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(dir.path());
    let handle = fixture.handle();
    assert_eq!(handle.ask("test", 1, LONG), Err(AskError::NotRunning));
    fixture.open(&external(5));
    assert_eq!(ask(&handle, 3, LONG), [0, 1, 2]);
    assert_eq!(ask(&handle, 9, LONG), [3, 4], "as many as there are");
    assert!(ask(&handle, 9, LONG).is_empty(), "all are out");
    assert_eq!(tell(&handle, 1, 0.5), Told::Counted);
    assert_eq!(tell(&handle, 1, 0.1), Told::Repeated);
    assert_eq!(tell(&handle, 99, 0.1), Told::Unknown);
    assert_eq!(handle.report("test", 0, None, 0.3), Ok(None));
    assert_eq!(handle.report("test", 99, None, 0.3), Err(AskError::NoTrial { trial: 99 }));
    let Fixture { engine, journal, .. } = fixture;
    engine.interrupt().unwrap();
    drop(journal);

    let fixture = Fixture::new(dir.path());
    let handle = fixture.handle();
    fixture.open(&external(5));
    assert_eq!(tell(&handle, 0, 0.4), Told::Counted, "told after the restart");
    assert_eq!(tell(&handle, 1, 0.1), Told::Repeated);
    assert!(ask(&handle, 9, LONG).is_empty(), "whoever asked for them has them still");
    assert_eq!(handle.report("test", 2, None, 0.3), Ok(None));
    assert_eq!(handle.report("test", 1, None, 0.3), Err(AskError::NoTrial { trial: 1 }));
    for trial in [2, 3, 4] {
        assert_eq!(tell(&handle, trial, f64::from(trial)), Told::Counted);
    }
    let summary = handle.wait("test", Duration::from_secs(60)).unwrap().unwrap();
    assert_eq!((summary.status, summary.completed), (Status::Completed, 5));
    assert_eq!(handle.ask("test", 1, LONG), Err(AskError::NotRunning));
    assert_eq!(fixture.journal.documents("leases").unwrap(), [], "nothing stays of leases");
    fixture.engine.interrupt().unwrap();
}

#[test]
fn what_is_told_as_stopped_counts_after_a_resume_and_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut study = external(5);
    study.objective.goal = Goal::Minimize;
    study.objective.value = ValueRule::Last;
    study.early_termination = Some(EarlyTermination {
        policy: Policy::MedianStopping,
        evaluation_interval: 1,
        delay_evaluation: 0,
        ladder: None,
    });
    let fixture = Fixture::new(dir.path());
    let handle = fixture.handle();
    fixture.open(&study);
    assert_eq!(ask(&handle, 2, LONG), [0, 1]);
    assert!(handle.cancel("test"));
    let summary = handle.wait("test", Duration::from_secs(60)).unwrap().unwrap();
    assert_eq!(summary.status, Status::Stopped);
    fixture.reopen(&study);
    let mut asked = ask(&handle, 2, LONG);
    asked.sort_unstable();
    assert_eq!(asked, [0, 1], "what was out is offered again");
    assert_eq!(handle.report("test", 0, None, 0.5), Ok(None));
    let Fixture { engine, journal, .. } = fixture;
    engine.interrupt().unwrap();
    drop(journal);

    let fixture = Fixture::new(dir.path());
    let handle = fixture.handle();
    fixture.open(&study);
    // The curve before the restart is gone, so its rest is nobody's measure and not measured.
    for value in [0.1, 0.9] {
        assert_eq!(handle.report("test", 0, None, value), Ok(None));
        assert_eq!(handle.report("test", 1, None, value), Ok(None));
    }
    let stopped = |trial| {
        let end = End::Stopped { value: None, reason: "enough".into() };
        let results = vec![TrialResult { trial, end, further: Vec::new() }];
        handle.tell_results("test", results).unwrap()[0]
    };
    assert_eq!((stopped(0), stopped(0)), (Told::Counted, Told::Repeated));
    let Fixture { engine, journal, .. } = fixture;
    engine.interrupt().unwrap();
    let id = journal.find("test").unwrap().unwrap().id;
    let facts: Vec<Fact> = journal.facts(id).map(|fact| fact.unwrap()).collect();
    let ended = facts.iter().find_map(|fact| match fact {
        Fact::Ended { outcomes } => outcomes.first(),
        _ => None,
    });
    let told = ended.unwrap();
    assert_eq!((told.configuration, told.reports.len()), (0, 0));
    assert!(matches!(told.end, End::Stopped { value: Some(0.9), .. }), "{told:?}");
}

#[test]
fn a_lease_begins_anew_with_a_restart_and_runs_out_then() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(dir.path());
    let mut study = external(4);
    study.limits.max_concurrent_trials = 3;
    fixture.open(&study);
    assert_eq!(ask(&fixture.handle(), 1, LONG), [0]);
    let short = Duration::from_secs(1);
    assert_eq!(ask(&fixture.handle(), 2, short), [1, 2]);
    assert_eq!(tell(&fixture.handle(), 2, 0.5), Told::Counted);
    let Fixture { engine, journal, .. } = fixture;
    engine.interrupt().unwrap();
    let name = journal.find("test").unwrap().unwrap().id.0.to_string();
    assert!(journal.document("leases", &name).unwrap().is_some());
    drop(journal);

    let fixture = Fixture::new(dir.path());
    let handle = fixture.handle();
    fixture.open(&study);
    let mut asked = Vec::new();
    until(|| {
        asked.extend(ask(&handle, 9, LONG));
        asked.sort_unstable();
        asked.contains(&1).then_some(())
    });
    assert_eq!(asked, [1, 3], "one's second is over, the hour of the other one is not");
    let Fixture { engine, journal, .. } = fixture;
    engine.interrupt().unwrap();
    // What nobody can read is no lease, and no reason not to go on.
    journal.put_document("leases", &name, b"nonsense").unwrap();
    drop(journal);

    let fixture = Fixture::new(dir.path());
    let handle = fixture.handle();
    fixture.open(&study);
    assert_eq!(ask(&handle, 9, LONG), [0, 1, 3]);
    fixture.engine.interrupt().unwrap();
}

#[test]
fn a_lease_that_runs_out_offers_the_trial_again_and_the_first_end_counts() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(dir.path());
    let handle = fixture.handle();
    fixture.open(&external(2));
    assert_eq!(ask(&handle, 2, Duration::ZERO), [0, 1]);
    let again = until(|| Some(ask(&handle, 1, LONG)).filter(|asked| !asked.is_empty()));
    // Whoever had it first is late, and still the first to tell.
    assert_eq!(tell(&handle, again[0], 0.5), Told::Counted);
    assert_eq!(tell(&handle, again[0], 0.1), Told::Repeated);
    let other = 1 - again[0];
    assert_eq!(tell(&handle, other, 0.7), Told::Counted, "nobody has it now");
    let summary = handle.wait("test", Duration::from_secs(60)).unwrap().unwrap();
    assert_eq!(summary.completed, 2);
    assert_eq!(summary.shared_best.map(|best| best.value), Some(0.5));
    fixture.engine.interrupt().unwrap();
}

/// A study whose proposals take long, as 40 trials of it have ended.
fn open_learning(fixture: &Fixture) {
    let axes = (0..8).map(|axis| parameter(&format!("x{axis}"), unit()));
    let work = Work::External;
    fixture.open(&Study { work, ..study(space(axes.collect()), Algorithm::Gp, 10_000) });
    let handle = fixture.handle();
    for trial in ask(&handle, 40, LONG) {
        tell(&handle, trial, f64::from(trial * 37 % 11));
    }
}

#[test]
fn whoever_asks_for_many_leaves_others_their_turn() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(dir.path());
    let handle = fixture.handle();
    open_learning(&fixture);
    let other = Study { name: "other".into(), ..external(2) };
    fixture.open(&other);
    let asker = std::thread::spawn({
        let handle = handle.clone();
        move || handle.ask("test", 1_000, LONG)
    });
    until(|| handle.summary("test").filter(|summary| summary.proposed > 40));
    let asked = handle.ask("other", 2, LONG).unwrap();
    let results = asked.iter().map(|tried| TrialResult {
        trial: tried.number,
        end: End::Completed { value: 1.0 },
        further: Vec::new(),
    });
    assert_eq!(handle.tell_results("other", results.collect()).unwrap(), [Told::Counted; 2]);
    let summary = handle.wait("other", Duration::from_secs(60)).unwrap().unwrap();
    assert_eq!(summary.completed, 2);
    assert!(!asker.is_finished(), "a thousand proposals take longer");
    assert!(handle.cancel("test"));
    assert_eq!(
        asker.join().unwrap(),
        Err(AskError::NotRunning),
        "nobody waits for a study that is over"
    );
    fixture.engine.interrupt().unwrap();
}

#[test]
fn a_lease_begins_once_all_that_was_asked_for_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(dir.path());
    let handle = fixture.handle();
    open_learning(&fixture);
    // Each of the proposals takes longer than its lease.
    let asked = ask(&handle, 20, Duration::from_millis(1));
    assert!(asked.iter().copied().eq(40..60), "{asked:?}");
    fixture.engine.interrupt().unwrap();
}

#[test]
fn what_is_reported_stops_trials_and_a_cancel_ends_them_all() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(dir.path());
    let handle = fixture.handle();
    let mut study = external(6);
    study.objective.goal = Goal::Maximize;
    study.limits.max_concurrent_trials = 2;
    study.early_termination = Some(EarlyTermination {
        policy: Policy::BanditFactor(0.2),
        evaluation_interval: 1,
        delay_evaluation: 0,
        ladder: None,
    });
    fixture.open(&study);
    assert_eq!(ask(&handle, 9, LONG), [0, 1], "as many at once as the job allows");
    assert_eq!(handle.report("test", 0, Some(1), 0.9), Ok(None));
    let stop = handle.report("test", 1, Some(1), 0.1).unwrap();
    assert!(stop.is_some_and(|reason| reason.starts_with("bandit")));
    assert!(handle.cancel("test"));
    assert_eq!(handle.ask("test", 1, LONG), Err(AskError::NotRunning));
    let told = handle.tell_results("test", Vec::new());
    assert_eq!(told, Err(AskError::NotRunning));
    fixture.engine.interrupt().unwrap();
}
