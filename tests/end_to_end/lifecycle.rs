//! Studies while they run, when they are stopped, and when they are gone.

use std::process::Child;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Place, Ran, eventually, signal};

/// How long a loaded machine may take for what takes a moment.
const PATIENCE: Duration = Duration::from_secs(60);

/// Twenty trials, two at once. The first five end at once, the others when there is a file named `go`.
fn place() -> Place {
    let place = Place::new();
    let go = place.path("go").display().to_string();
    place.write(
        "job.yaml",
        &format!(
            "\
type: sweep
name: slow
trial:
  command: |
    while [ $FLEETFIT_TRIAL -ge 5 ] && [ ! -e {go} ]; do sleep 0.05; done
    echo '{{\"metric\": \"loss\", \"value\": ${{{{search_space.x}}}}}}'
search_space:
  x: {{type: uniform, min_value: 0, max_value: 1}}
sampling_algorithm: random
objective: {{goal: minimize, primary_metric: loss}}
limits: {{max_total_trials: 20, max_concurrent_trials: 2}}
seed: 3
"
        ),
    );
    place
}

/// Starts the study and waits until it waits.
fn started(place: &Place) -> Child {
    let child = place.start(&["run", "job.yaml", "--output", "json"]);
    eventually("five trials end", PATIENCE, || {
        let status = place.fleetfit(&["status", "slow", "--output", "json"]);
        status.code == 0 && status.json()["trials"]["completed"] == 5
    });
    child
}

fn go(place: &Place) {
    place.write("go", "");
}

#[test]
fn a_running_study_answers_others() {
    let place = place();
    let mut child = started(&place);
    let status = place.json(&["status", "slow"]);
    assert_eq!(status["status"], "running");
    assert!(status["best"]["value"].is_number());
    assert_eq!(place.lines(&["trials", "slow"]).len(), 5);
    assert_eq!(place.lines(&["studies"]).len(), 1);
    let refused = place.fleetfit(&["delete", "slow"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    let other = place.fleetfit(&["run", "job.yaml", "--name", "second"]);
    assert_eq!(other.code, 3, "{}", other.stderr);
    assert!(other.stderr.contains("in use"), "{}", other.stderr);
    go(&place);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_cancel_stops_a_running_study_and_resume_goes_on() {
    let place = place();
    let child = started(&place);
    let cancelled = place.json(&["cancel", "slow"]);
    assert_eq!(cancelled["status"], "stopped");
    assert_eq!(cancelled["ended_by"], "cancel");
    let ran = Ran::of(child.wait_with_output().expect("it ends")).ok();
    assert_eq!(ran.json()["status"], "stopped");
    go(&place);
    let resumed = place.json(&["resume", "slow"]);
    assert_eq!(resumed["status"], "completed");
    let trials = &resumed["trials"];
    let ended = trials["completed"].as_u64().unwrap_or(0) + trials["stopped"].as_u64().unwrap_or(0);
    assert_eq!(ended, 20, "{trials}");
}

#[test]
fn an_interrupt_is_clean_and_the_same_command_resumes() {
    let place = place();
    let child = started(&place);
    signal(&child, Signal::INT);
    let ran = Ran::of(child.wait_with_output().expect("it ends"));
    assert_eq!(ran.code, 130, "{}", ran.stderr);
    assert_eq!(ran.json()["status"], "interrupted");
    assert_eq!(place.json(&["status", "slow"])["status"], "interrupted");
    go(&place);
    let resumed = place.json(&["run", "job.yaml"]);
    assert_eq!(resumed["status"], "completed");
    assert_eq!(resumed["trials"]["completed"], 20);

    let whole = self::place();
    go(&whole);
    let unbroken = whole.json(&["run", "job.yaml"]);
    assert_eq!(unbroken["best"]["value"], resumed["best"]["value"]);
    assert_eq!(unbroken["best"]["trial"], resumed["best"]["trial"]);
}

#[test]
fn a_study_that_did_not_improve_looks_on_when_it_is_told_to() {
    let place = place();
    go(&place);
    let patience = ["--set", "limits.patience=3", "--set", "limits.min_improvement=5"];
    let first = place.json(&[&["run", "job.yaml"][..], &patience[..]].concat());
    assert_eq!(first["ended_by"], "improvement", "{first}");
    let n_first = first["trials"]["completed"].as_u64().expect("a count");
    assert!(n_first < 10, "{first}");
    let more = place.json(&["resume", "slow"]);
    assert_eq!(more["ended_by"], "improvement", "{more}");
    assert!(more["trials"]["completed"].as_u64().expect("a count") >= n_first + 3, "{more}");
}

#[test]
fn a_deleted_study_is_gone_and_its_name_is_free() {
    let place = place();
    let quick = ["run", "job.yaml", "--set", "limits.max_total_trials=2"];
    place.json(&quick);
    assert!(place.path("home/studies").read_dir().expect("a folder").next().is_some());
    place.json(&["delete", "slow"]);
    assert!(place.path("home/studies").read_dir().expect("a folder").next().is_none());
    assert_eq!(place.fleetfit(&["status", "slow"]).code, 2);
    place.json(&quick);
}

#[test]
fn the_same_seed_resumes_in_another_data_directory_as_if_it_were_new() {
    let place = place();
    go(&place);
    let first = place.json(&["run", "job.yaml"]);
    let there = place.json(&["run", "job.yaml", "--data-dir", "elsewhere"]);
    assert_eq!(there["best"], first["best"]);
    place.json(&["delete", "slow"]);
    assert!(place.lines(&["studies"]).is_empty());
    assert_eq!(place.lines(&["studies", "--data-dir", "elsewhere"]).len(), 1);
    let status = place.json(&["status", "slow", "--data-dir", "elsewhere"]);
    assert_eq!(status["best"], first["best"]);
}

#[test]
fn the_data_directory_is_here_where_nobody_says_otherwise() {
    let place = place();
    go(&place);
    let mut command = place.command(&["run", "job.yaml", "--set", "limits.max_total_trials=1"]);
    let output = command.env_remove("FLEETFIT_HOME").output().expect("fleetfit starts");
    Ran::of(output).ok();
    assert!(place.path(".fleetfit/studies").is_dir());
    assert!(!place.path("home").exists());
}
