//! Studies while they run, when they are stopped, and when they are gone.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Place, Ran, eventually, signal};

/// Twenty trials of a tenth of a second, two at once.
const JOB: &str = "\
type: sweep
name: slow
trial:
  command: 'sleep 0.1; echo ''{\"metric\": \"loss\", \"value\": ${{search_space.x}}}'''
search_space:
  x: {type: uniform, min_value: 0, max_value: 1}
sampling_algorithm: random
objective: {goal: minimize, primary_metric: loss}
limits: {max_total_trials: 20, max_concurrent_trials: 2}
seed: 3
";

fn place() -> Place {
    let place = Place::new();
    place.write("job.yaml", JOB);
    place
}

#[test]
fn a_running_study_answers_others() {
    let place = place();
    let mut child = place.start(&["run", "job.yaml", "--output", "json"]);
    eventually("the study shows", Duration::from_secs(10), || {
        let status = place.fleetfit(&["status", "slow", "--output", "json"]);
        status.code == 0 && status.json()["trials"]["completed"].as_u64() > Some(2)
    });
    let status = place.json(&["status", "slow"]);
    assert_eq!(status["status"], "running");
    assert!(status["best"]["value"].is_number());
    assert!(place.lines(&["trials", "slow"]).len() > 2);
    assert_eq!(place.lines(&["studies"]).len(), 1);
    let refused = place.fleetfit(&["delete", "slow"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    let other = place.fleetfit(&["run", "job.yaml", "--name", "second"]);
    assert_eq!(other.code, 3, "{}", other.stderr);
    assert!(other.stderr.contains("in use"), "{}", other.stderr);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_cancel_stops_a_running_study_and_resume_goes_on() {
    let place = place();
    let child = place.start(&["run", "job.yaml", "--output", "json"]);
    eventually("the study shows", Duration::from_secs(10), || {
        place.fleetfit(&["status", "slow"]).code == 0
    });
    let cancelled = place.json(&["cancel", "slow"]);
    assert_eq!(cancelled["status"], "stopped");
    assert_eq!(cancelled["ended_by"], "cancel");
    let ran = Ran::of(child.wait_with_output().expect("it ends")).ok();
    assert_eq!(ran.json()["status"], "stopped");
    let resumed = place.json(&["resume", "slow"]);
    assert_eq!(resumed["status"], "completed");
    let trials = &resumed["trials"];
    let ended = trials["completed"].as_u64().unwrap_or(0) + trials["stopped"].as_u64().unwrap_or(0);
    assert_eq!(ended, 20, "{trials}");
}

#[test]
fn an_interrupt_is_clean_and_the_same_command_resumes() {
    let place = place();
    let child = place.start(&["run", "job.yaml", "--output", "json"]);
    eventually("some trials end", Duration::from_secs(10), || {
        let status = place.fleetfit(&["status", "slow", "--output", "json"]);
        status.code == 0 && status.json()["trials"]["completed"].as_u64() > Some(3)
    });
    signal(&child, Signal::INT);
    let ran = Ran::of(child.wait_with_output().expect("it ends"));
    assert_eq!(ran.code, 130, "{}", ran.stderr);
    assert_eq!(ran.json()["status"], "interrupted");
    assert_eq!(place.json(&["status", "slow"])["status"], "interrupted");
    let resumed = place.json(&["run", "job.yaml"]);
    assert_eq!(resumed["status"], "completed");
    assert_eq!(resumed["trials"]["completed"], 20);

    let whole = self::place();
    let unbroken = whole.json(&["run", "job.yaml"]);
    assert_eq!(unbroken["best"]["value"], resumed["best"]["value"]);
    assert_eq!(unbroken["best"]["trial"], resumed["best"]["trial"]);
}

#[test]
fn a_deleted_study_is_gone_and_its_name_is_free() {
    let place = place();
    let quick = ["run", "job.yaml", "--set", "limits.max_total_trials=2"];
    place.json(&quick);
    assert!(place.path("home/studies/slow").exists());
    place.json(&["delete", "slow"]);
    assert!(!place.path("home/studies/slow").exists());
    assert_eq!(place.fleetfit(&["status", "slow"]).code, 2);
    place.json(&quick);
}

#[test]
fn a_timeout_ends_the_study_with_what_it_has() {
    let place = place();
    let ran = place.json(&["run", "job.yaml", "--set", "limits.timeout=0.7"]);
    assert_eq!(ran["status"], "completed");
    assert_eq!(ran["ended_by"], "timeout");
    assert!(ran["trials"]["completed"].as_u64() < Some(20), "{ran}");
}

#[test]
fn a_timeout_of_a_fleet_keeps_its_models() {
    let place = Place::new();
    place.write("sales.csv", &crate::harness::panel(10, 300));
    place.write(
        "job.yaml",
        "type: sweep\nname: short\ntraining_data: {path: sales.csv}\ntarget_column_name: sales\n\
         task: regression\npartition_column_names: [store]\ntrial: {learner: random_forest}\n\
         search_space:\n  n_estimators: {type: int, min: 50, max: 400}\nsampling_algorithm: random\n\
         objective: {goal: minimize, primary_metric: rmse}\nlimits: {max_total_trials: 5000, \
         timeout: 2}\nseed: 1\n",
    );
    let ran = place.json(&["run", "job.yaml"]);
    assert_eq!((&ran["status"], &ran["ended_by"]), (&"completed".into(), &"timeout".into()));
    assert_eq!(ran["trials"]["failed"], 0, "{ran}");
    let bests = place.lines(&["best", "short", "--all"]);
    assert_eq!(bests.len(), 10);
    assert!(bests.iter().all(|best| best["model"].is_string()), "{bests:?}");
}
