//! What a service promises wherever its trials run.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};
use serde_json::{Value, json};

use super::fleet::{Deployment, Fleet, PATIENCE};
use crate::harness::{Place, eventually, panel};

/// Each promise, in both deployments.
macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        mod in_process {
            $(#[test]
            fn $promise() {
                super::$promise(super::Fleet::start(super::Deployment::InProcess));
            })*
        }
        mod over_nats {
            $(#[test]
            fn $promise() {
                super::$promise(super::Fleet::start(super::Deployment::Nats));
            })*
        }
    };
}

contract!(
    it_finds_what_run_finds,
    programs_run_once_and_their_logs_are_kept,
    a_cancel_reaches_a_running_program,
    a_policy_stops_a_running_program,
    two_studies_share,
    a_cancelled_study_goes_on,
    a_study_is_run_again_and_removed,
    the_same_job_is_one_study,
    names_stay_in_their_place,
    a_service_that_ends_goes_on_where_it_was,
);

/// A search over a learner with a branch for each of two.
fn fleet_job(name: &str, algorithm: &str) -> String {
    let space = match algorithm {
        "grid" => "\x20 max_depth: [1, 2, 3, 4]\n\x20 min_samples_leaf: [1, 5, 20]\n",
        _ => {
            "\x20 model:\n\x20   - learner: ridge\n\x20     alpha: {type: float, min: 0.001, max: 100, \
             scale: log}\n\x20   - learner: decision_tree\n\x20     max_depth: [2, 4]\n"
        }
    };
    let learner = match algorithm {
        "grid" => "decision_tree",
        _ => "\"${{search_space.model}}\"",
    };
    format!(
        "type: sweep\nname: {name}\ntraining_data: {{path: sales.csv}}\ntarget_column_name: sales\n\
         task: regression\npartition_column_names: [store]\ntrial: {{learner: {learner}}}\n\
         search_space:\n{space}sampling_algorithm: {algorithm}\n\
         objective: {{goal: minimize, primary_metric: rmse}}\nn_cross_validations: 3\n\
         limits: {{max_total_trials: 12, max_concurrent_trials: 4}}\nseed: 5\n"
    )
}

/// A grid of programs. `script` may use `$x`.
pub(super) fn program_job(name: &str, script: &str, n_trials: u32, more: &str) -> String {
    let choices: Vec<String> = (1..=n_trials).map(|choice| choice.to_string()).collect();
    let choices = choices.join(", ");
    format!(
        "type: sweep\nname: '{name}'\ntrial:\n  command: |\n    x=${{{{search_space.x}}}}\n    \
         {script}\nsearch_space:\n  x: [{choices}]\nsampling_algorithm: grid\n\
         objective: {{goal: minimize, primary_metric: loss}}\nlimits: {{max_total_trials: {n_trials}, \
         max_concurrent_trials: 2}}\nseed: 1\n{more}"
    )
}

/// Tells `$x` as the loss.
pub(super) const TELL: &str = "echo '{\"metric\": \"loss\", \"value\": '$x'}'";

/// Every trial is there once.
pub(crate) fn assert_once(trials: &[Value], n_trials: usize) {
    let named: HashSet<String> =
        trials.iter().map(|trial| format!("{} {}", trial["trial"], trial["entity"])).collect();
    assert_eq!((trials.len(), named.len()), (n_trials, n_trials));
}

/// Bests as they are everywhere; where a model lies differs.
pub(super) fn bests(lines: Vec<Value>) -> Vec<Value> {
    let without_model = |mut best: Value| {
        assert!(!best["model"].is_null(), "{best}");
        best["model"] = Value::Null;
        best
    };
    lines.into_iter().map(without_model).collect()
}

fn it_finds_what_run_finds(fleet: Fleet) {
    let near = Place::new();
    for place in [&near, &fleet.place] {
        place.write("sales.csv", &panel(6, 60));
        place.write("new.csv", &panel(6, 5));
    }
    for algorithm in ["random", "sobol", "grid"] {
        let job = fleet_job(algorithm, algorithm);
        near.write("job.yaml", &job);
        let expected = near.json(&["run", "job.yaml"]);
        let found = fleet.submit("job.yaml", &job);
        assert_eq!(found["status"], "completed", "{found}");
        for what in ["trials", "entities", "ended_by"] {
            assert_eq!(found[what], expected[what], "{algorithm}: {what}");
        }
        for what in ["value", "configuration", "trial"] {
            assert_eq!(found["best"][what], expected["best"][what], "{algorithm}: {what}");
        }
        assert_once(&fleet.lines(&["trials", algorithm]), 72);
        let expected = bests(near.lines(&["best", algorithm, "--all"]));
        assert_eq!(bests(fleet.lines(&["best", algorithm, "--all"])), expected);
        let predict = ["predict", algorithm, "--data", "new.csv"];
        let expected = near.fleetfit(&predict).ok();
        assert_eq!(fleet.place.fleetfit(&predict).ok().stdout, expected.stdout);
    }
}

fn programs_run_once_and_their_logs_are_kept(fleet: Fleet) {
    let mark = fleet.place.path("marks").display().to_string();
    let script = format!("echo $x >> {mark}; echo working on $x; {TELL}");
    let found = fleet.submit("job.yaml", &program_job("programs", &script, 12, ""));
    assert_eq!(found["trials"], json!({"completed": 12, "stopped": 0, "failed": 0}), "{found}");
    assert_eq!(found["best"]["value"], 1.0);
    let marks = std::fs::read_to_string(mark).expect("marks");
    let mut marks: Vec<u32> = marks.lines().map(|mark| mark.parse().expect("a number")).collect();
    marks.sort_unstable();
    assert_eq!(marks, (1..=12).collect::<Vec<u32>>(), "each program ran once");
    let trials = fleet.lines(&["trials", "programs"]);
    assert_once(&trials, 12);
    for trial in [&trials[0], &trials[11]] {
        let (number, x) = (trial["trial"].to_string(), &trial["configuration"]["x"]);
        for more in [&[][..], &["--server", &fleet.url]] {
            let logs = ["trials", "programs", "--logs", number.as_str()];
            let log = fleet.place.fleetfit(&[&logs[..], more].concat()).ok().stdout;
            assert!(log.contains(&format!("working on {x}")), "{log}");
        }
    }
    let none = ["trials", "programs", "--logs", "99", "--server", &fleet.url];
    let none = fleet.place.fleetfit(&none);
    assert_eq!(none.code, 2, "{}", none.stderr);
    assert!(none.stderr.contains("trial 99 of programs has no log"), "{}", none.stderr);
}

fn process_in(mark: &Path) -> Option<Pid> {
    Pid::from_raw(std::fs::read_to_string(mark).ok()?.trim().parse().ok()?)
}

fn a_cancel_reaches_a_running_program(fleet: Fleet) {
    let mut taken = Vec::new();
    // One of many, because the machine may have something else to do.
    for attempt in 0..10 {
        let name = &format!("attempt-{attempt}");
        let mark = fleet.place.path(&format!("mark-{name}"));
        let script = format!("echo $$ > {}; exec sleep 1000", mark.display());
        let job = program_job(name, &script, 1, "");
        fleet.place.write("job.yaml", &job);
        fleet.json(&["submit", "job.yaml"]);
        eventually("the program runs", PATIENCE, || process_in(&mark).is_some());
        let process = process_in(&mark).expect("a process");
        let begun = Instant::now();
        let (code, view) = fleet.ask("POST", &format!("/api/v1/studies/{name}/cancel"), None);
        assert_eq!(code, 200, "{view}");
        eventually("the program is gone", PATIENCE, || test_kill_process(process).is_err());
        taken.push(begun.elapsed());
        let view = fleet.wait_until_over(name, PATIENCE);
        assert_eq!(view["status"], "stopped", "{view}");
        if taken.last() < Some(&Duration::from_secs(1)) {
            return;
        }
    }
    panic!("cancelling took {taken:?}");
}

fn a_policy_stops_a_running_program(fleet: Fleet) {
    let job = "\
type: sweep
name: early
trial:
  command: |
    value=1; [ $FLEETFIT_TRIAL = 3 ] && value=0
    for step in 1 2 3; do echo '{\"metric\": \"score\", \"value\": '$value'}'; done
    [ $FLEETFIT_TRIAL = 3 ] && exec sleep 1000
    : ${{search_space.x}}
search_space:
  x: [1, 2, 3, 4]
sampling_algorithm: grid
objective: {goal: maximize, primary_metric: score}
early_termination: {type: median_stopping, evaluation_interval: 1}
limits: {max_total_trials: 4, max_concurrent_trials: 1, timeout: 120}
seed: 1
";
    let found = fleet.submit("job.yaml", job);
    assert_eq!(found["trials"], json!({"completed": 3, "stopped": 1, "failed": 0}), "{found}");
    assert_eq!(found["best"]["value"], 1.0);
    let trials = fleet.lines(&["trials", "early"]);
    assert_eq!((&trials[3]["state"], &trials[3]["trial"]), (&json!("stopped"), &json!(3)));
}

fn two_studies_share(fleet: Fleet) {
    // They begin together: another one has all the slots until both are there.
    let [go, begun] = ["go", "begun"].map(|name| fleet.place.path(name).display().to_string());
    let hold = format!("echo $x >> {begun}; while [ ! -e {go} ]; do sleep 0.05; done; {TELL}");
    fleet.place.write("job.yaml", &program_job("before", &hold, 2, ""));
    fleet.json(&["submit", "job.yaml"]);
    eventually("the slots are taken", PATIENCE, || {
        std::fs::read_to_string(&begun).is_ok_and(|begun| begun.lines().count() == 2)
    });
    let script = format!("sleep 0.1; {TELL}");
    for name in ["one", "two"] {
        fleet.place.write("job.yaml", &program_job(name, &script, 200, ""));
        fleet.json(&["submit", "job.yaml"]);
    }
    fleet.place.write("go", "");
    let both = || ["one", "two"].map(|name| fleet.completed(name));
    eventually("both get on", PATIENCE, || both().iter().all(|&done| done >= 10));
    let [one, two] = both();
    assert!(one < 200 && two < 200, "neither waits for the other: {one} and {two}");
    assert!(one.abs_diff(two) <= 40, "{one} and {two}");
    for name in ["one", "two"] {
        fleet.json(&["cancel", name]);
        fleet.wait_until_over(name, PATIENCE);
    }
}

fn a_cancelled_study_goes_on(fleet: Fleet) {
    // It cannot be over before it is cancelled.
    let go = fleet.place.path("go").display().to_string();
    let wait = format!("while [ $FLEETFIT_TRIAL -ge 20 ] && [ ! -e {go} ]; do sleep 0.05; done");
    let script = format!("{wait}; sleep 0.05; {TELL}");
    fleet.place.write("job.yaml", &program_job("resumed", &script, 30, ""));
    fleet.json(&["submit", "job.yaml"]);
    fleet.wait_for("resumed", 3);
    fleet.json(&["cancel", "resumed"]);
    let view = fleet.wait_until_over("resumed", PATIENCE);
    assert_eq!(view["status"], "stopped", "{view}");
    fleet.place.write("go", "");
    fleet.json(&["resume", "resumed"]);
    eventually("it is completed", PATIENCE, || fleet.status("resumed")["status"] == "completed");
    let view = fleet.status("resumed");
    assert_eq!(view["best"]["value"], 1.0, "{view}");
    let trials = fleet.lines(&["trials", "resumed"]);
    let completed: Vec<Value> =
        trials.into_iter().filter(|trial| trial["state"] == "completed").collect();
    let n_completed = view["trials"]["completed"].as_u64().expect("a number") as usize;
    assert_once(&completed, n_completed);
    assert!(n_completed >= 28, "what was under way may have been stopped: {view}");
}

fn a_study_is_run_again_and_removed(fleet: Fleet) {
    fleet.place.write("sales.csv", &panel(3, 60));
    fleet.submit("job.yaml", &fleet_job("weekly", "random"));
    let again = fleet.json(&["rerun", "weekly", "--wait"]);
    assert_eq!((&again["study"], &again["status"]), (&json!("weekly-2"), &json!("completed")));
    let sent = "it has the data and code that were sent with weekly";
    assert!(again["notices"].to_string().contains(sent), "{again}");
    // The panel has grown since.
    fleet.place.write("sales.csv", &panel(5, 60));
    let anew = fleet.json(&["rerun", "weekly", "job.yaml", "--name", "anew", "--wait"]);
    assert_eq!((&anew["entities"], &anew["status"]), (&json!(5), &json!("completed")), "{anew}");
    assert!(!anew["notices"].to_string().contains(sent), "{anew}");
    fleet.place.write("sales.csv", &panel(3, 60));
    let more = ["rerun", "weekly", "--set", "limits.max_total_trials=3", "--name", "little"];
    let little = fleet.json(&[&more[..], &["--wait"]].concat());
    assert_eq!(little["trials"]["completed"], 9, "{little}");
    let taken = ["rerun", "weekly", "--name", "little", "--server", &fleet.url];
    let taken = fleet.place.fleetfit(&taken);
    assert_eq!(taken.code, 2, "{}", taken.stderr);
    assert!(taken.stderr.contains("there is a study named little already"), "{}", taken.stderr);
    let body = json!({"name": "little"});
    let (code, refusal) = fleet.ask("POST", "/api/v1/studies/weekly/rerun", Some(&body));
    assert_eq!((code, &refusal["code"]), (409, &json!("conflict")), "{refusal}");
    for name in ["weekly", "weekly-2", "anew", "little"] {
        fleet.json(&["delete", name]);
        assert!(!fleet.place.path("home/studies").join(name).exists());
    }
    assert!(fleet.lines(&["studies"]).is_empty());
    let gone = fleet.place.fleetfit(&["status", "weekly", "--server", &fleet.url]);
    assert_eq!(gone.code, 2, "{}", gone.stderr);
    // The name is free again, for a study of its own.
    let view = fleet.submit("job.yaml", &fleet_job("weekly", "sobol"));
    assert_eq!(view["trials"]["completed"], 36, "{view}");
}

fn the_same_job_is_one_study(fleet: Fleet) {
    let part = if fleet.nats.is_some() { "nats" } else { "runner" };
    let (code, health) = fleet.ask("GET", "/healthz", None);
    let healthy = json!({"status": "ok", "journal": "ok", "engine": "ok", part: "ok"});
    assert_eq!((code, health), (200, healthy));
    let job = program_job("same", TELL, 4, "");
    let first = fleet.submit("job.yaml", &job);
    let second = fleet.submit("job.yaml", &job);
    assert_eq!(first["trials"], second["trials"]);
    assert_eq!(fleet.lines(&["studies"]).len(), 1);
    assert_once(&fleet.lines(&["trials", "same"]), 4);
    fleet.place.write("job.yaml", &program_job("same", TELL, 5, ""));
    let other = fleet.place.fleetfit(&["submit", "job.yaml", "--server", &fleet.url]);
    assert_eq!(other.code, 2, "{}", other.stderr);
    let (code, refusal) = fleet.ask(
        "POST",
        "/api/v1/studies",
        Some(&json!({
            "type": "sweep", "name": "same", "trial": "external",
            "search_space": {"x": [1, 2]}, "sampling_algorithm": "grid",
            "objective": {"goal": "minimize", "primary_metric": "loss"},
        })),
    );
    assert_eq!(code, 409, "{refusal}");
    assert_once(&fleet.lines(&["trials", "same"]), 4);
}

fn names_stay_in_their_place(fleet: Fleet) {
    let names = ["..", "../../out", "a/b", "*", ">", "a.b.c", "a b", "ünï", "-rf", "$(touch out)"];
    let mut accepted = 0;
    for name in names {
        fleet.place.write("job.yaml", &program_job(name, TELL, 2, ""));
        let ran = fleet.place.fleetfit(&["submit", "job.yaml", "--wait", "--server", &fleet.url]);
        assert!(ran.code == 0 || ran.code == 2, "{name}: {} {}", ran.code, ran.stderr);
        accepted += usize::from(ran.code == 0);
    }
    assert_eq!(fleet.lines(&["studies"]).len(), accepted);
    let studies = fleet.place.path("home/studies");
    let there = std::fs::read_dir(&studies).map(|entries| entries.count()).unwrap_or(0);
    assert!(there <= accepted + 1, "{there} folders of {accepted} studies");
    for outside in ["out", "home/out", "home/studies/out"] {
        assert!(!fleet.place.path(outside).exists(), "{outside}");
    }
    // And the service is what it was.
    let view = fleet.submit("job.yaml", &program_job("usual", TELL, 2, ""));
    assert_eq!(view["status"], "completed");
}

fn a_service_that_ends_goes_on_where_it_was(mut fleet: Fleet) {
    let near = Place::new();
    for place in [&near, &fleet.place] {
        place.write("sales.csv", &panel(20, 300));
        place.write("job.yaml", &fleet_job("interrupted", "sobol"));
    }
    let longer = ["--set", "limits.max_total_trials=60"];
    let expected = near.json(&[&["run", "job.yaml"], &longer[..]].concat());
    fleet.json(&[&["submit", "job.yaml"], &longer[..]].concat());
    fleet.wait_for("interrupted", 20);
    assert_eq!(fleet.service().end(), 0);
    // At rest, the data directory answers itself.
    let at_rest = fleet.place.json(&["status", "interrupted"]);
    assert_ne!(at_rest["status"], "failed", "{at_rest}");
    fleet.serve();
    let view = fleet.wait_until_over("interrupted", PATIENCE);
    assert_eq!(view["status"], "completed", "{view}");
    assert_eq!(view["trials"], expected["trials"]);
    assert_eq!(view["best"]["configuration"], expected["best"]["configuration"]);
    assert_once(&fleet.lines(&["trials", "interrupted"]), 1_200);
    let expected = bests(near.lines(&["best", "interrupted", "--all"]));
    assert_eq!(bests(fleet.lines(&["best", "interrupted", "--all"])), expected);
}
