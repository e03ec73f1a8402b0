//! Runners that come, end, may not do everything, or are too old.

use rustix::process::{Signal, test_kill_process};
use serde_json::json;

use super::contract::{TELL, assert_once, program_job};
use super::fleet::{Deployment, Fleet, PATIENCE};
use crate::harness::{eventually, panel, signal};

#[test]
fn a_runner_that_is_told_to_end_hands_nothing_down_twice() {
    let mut fleet = Fleet::without_runners(Deployment::Nats, &[]);
    let leaver = fleet.runner(&["--drain", "1"]);
    let marks = fleet.place.path("marks").display().to_string();
    let go = fleet.place.path("go").display().to_string();
    let script = format!("echo $$ >> {marks}; while [ ! -e {go} ]; do sleep 0.05; done; {TELL}");
    fleet.place.write("job.yaml", &program_job("drained", &script, 6, ""));
    fleet.json(&["submit", "job.yaml"]);
    let begun = || std::fs::read_to_string(&marks).unwrap_or_default();
    eventually("a program runs", PATIENCE, || !begun().is_empty());
    assert_eq!(fleet.runners[leaver].end(), 0, "{}", fleet.runners[leaver].said());
    let first = begun().lines().next().and_then(|pid| pid.parse().ok()).expect("a process");
    let first = rustix::process::Pid::from_raw(first).expect("a process");
    assert!(test_kill_process(first).is_err(), "its program ended with it");
    fleet.runner(&[]);
    fleet.place.write("go", "");
    let view = fleet.wait_until_over("drained", PATIENCE);
    assert_eq!(view["trials"], json!({"completed": 6, "stopped": 0, "failed": 0}), "{view}");
    assert_once(&fleet.lines(&["trials", "drained"]), 6);
}

#[test]
fn a_runner_that_is_told_to_end_finishes_what_is_quick() {
    let mut fleet = Fleet::without_runners(Deployment::Nats, &[]);
    let leaver = fleet.runner(&["--drain", "60"]);
    let marks = fleet.place.path("marks").display().to_string();
    let script = format!("echo $x >> {marks}; sleep 0.5; {TELL}");
    fleet.place.write("job.yaml", &program_job("finished", &script, 4, ""));
    fleet.json(&["submit", "job.yaml"]);
    let begun = || std::fs::read_to_string(&marks).unwrap_or_default();
    eventually("a program runs", PATIENCE, || !begun().is_empty());
    assert_eq!(fleet.runners[leaver].end(), 0);
    fleet.runner(&[]);
    let view = fleet.wait_until_over("finished", PATIENCE);
    assert_eq!(view["trials"]["completed"], 4, "{view}");
    assert_eq!(begun().lines().count(), 4, "none ran twice");
}

#[test]
fn programs_run_only_where_they_may() {
    let mut fleet = Fleet::without_runners(Deployment::Nats, &[]);
    // An address that stands for every one of this machine is not known to be only ours.
    let port = fleet.nats.as_ref().expect("NATS").port;
    let url = format!("nats://0.0.0.0:{port}");
    fleet.runner_at(&url, &[]);
    let mark = fleet.place.path("mark");
    let script = format!("touch {}; {TELL}", mark.display());
    fleet.place.write("job.yaml", &program_job("programs", &script, 2, ""));
    fleet.json(&["submit", "job.yaml"]);
    let ask = ["status", "programs", "--server", &fleet.url];
    eventually("it is said that nobody runs programs", PATIENCE, || {
        fleet.place.fleetfit(&ask).ok().stderr.contains("no runner that is there runs programs")
    });
    fleet.place.write("sales.csv", &panel(2, 60));
    let fits = "type: sweep\nname: fits\ntraining_data: {path: sales.csv}\n\
                target_column_name: sales\ntask: regression\npartition_column_names: [store]\n\
                trial: {learner: ridge}\nsearch_space: {alpha: [0.1, 1, 10]}\n\
                sampling_algorithm: grid\nobjective: {goal: minimize, primary_metric: rmse}\n\
                seed: 1\n";
    // Others do not wait for what nobody may do.
    let view = fleet.submit("fits.yaml", fits);
    assert_eq!(view["trials"]["completed"], 6, "{view}");
    assert!(!mark.exists(), "no program ran");
    let view = fleet.status("programs");
    assert_eq!(view["trials"]["completed"], 0, "{view}");
    fleet.runner_at(&url, &["--allow-commands"]);
    let view = fleet.wait_until_over("programs", PATIENCE);
    assert_eq!(view["trials"]["completed"], 2, "{view}");
}

#[test]
fn an_older_runner_is_told_so() {
    let fleet = Fleet::without_runners(Deployment::Nats, &[]);
    let id = std::fs::read_to_string(fleet.place.path("home/service-id")).expect("the id");
    let hello = json!({
        "runner": "00000000000000aa", "name": "veteran", "host": "attic", "pid": 1,
        "version": "0.0.1", "wire": 0, "device": "cpu", "slots": 4, "commands": true,
    });
    let nats = fleet.nats.as_ref().expect("NATS");
    let answer = nats.request(&format!("fleetfit.{}.join", id.trim()), &hello);
    let reason = answer["refused"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("older") && reason.contains("0.0.1"), "{answer}");
    let (code, runners) = fleet.ask("GET", "/api/v1/runners", None);
    assert_eq!(code, 200);
    let veteran = runners["items"].as_array().and_then(|all| all.first()).cloned();
    let veteran = veteran.unwrap_or_else(|| panic!("no runner is shown: {runners}"));
    assert_eq!(veteran["state"], "refused", "{runners}");
    // One of another service's is nobody's business.
    let newer = json!({"wire": 99, "runner": "00000000000000ab", "name": "young", "host": "x",
        "pid": 1, "version": "9.0.0", "device": "cpu", "slots": 1});
    let answer = nats.request(&format!("fleetfit.{}.join", id.trim()), &newer);
    assert!(answer["refused"]["reason"].is_string(), "{answer}");
}

#[test]
fn a_runner_that_slept_through_its_lease_counts_for_nothing() {
    let mut fleet = Fleet::without_runners(Deployment::Nats, &["--lease", "1"]);
    let sleeper = fleet.runner(&[]);
    let script = format!("sleep 0.2; {TELL}");
    fleet.place.write("job.yaml", &program_job("slept", &script, 12, ""));
    fleet.json(&["submit", "job.yaml"]);
    fleet.wait_for("slept", 2);
    signal(&fleet.runners[sleeper].child, Signal::STOP);
    fleet.runner(&[]);
    fleet.wait_for("slept", 11);
    signal(&fleet.runners[sleeper].child, Signal::CONT);
    let view = fleet.wait_until_over("slept", PATIENCE);
    assert_eq!(view["trials"], json!({"completed": 12, "stopped": 0, "failed": 0}), "{view}");
    assert_once(&fleet.lines(&["trials", "slept"]), 12);
}

#[test]
fn a_service_without_its_nats_still_answers() {
    let mut fleet = Fleet::start(Deployment::Nats);
    fleet.submit("job.yaml", &program_job("before", TELL, 3, ""));
    fleet.nats.as_mut().expect("NATS").kill(true);
    eventually("the service says that NATS is away", PATIENCE, || {
        let (code, health) = fleet.ask("GET", "/healthz", None);
        code == 503 && health.to_string().contains("NATS")
    });
    // Asked at its socket too, and jobs are taken as ever.
    let view = fleet.place.json(&["status", "before"]);
    assert_eq!(view["trials"]["completed"], 3, "{view}");
    fleet.place.write("job.yaml", &program_job("meanwhile", TELL, 3, ""));
    fleet.place.json(&["submit", "job.yaml"]);
    fleet.nats.as_mut().expect("NATS").restart();
    let view = fleet.wait_until_over("meanwhile", PATIENCE);
    assert_eq!(view["trials"]["completed"], 3, "{view}");
    eventually("it is well again", PATIENCE, || fleet.ask("GET", "/healthz", None).0 == 200);
}
