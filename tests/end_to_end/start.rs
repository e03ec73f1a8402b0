//! Studies that start from earlier trials, and configurations that are asked for while one runs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Place, eventually};

/// Its loss is least at 3 for x and 20 for n.
const JOB: &str = "\
type: sweep
name: first
trial:
  command: >-
    echo \"{\\\"metric\\\": \\\"loss\\\", \\\"value\\\": $((
    (${{search_space.x}} - 3) * (${{search_space.x}} - 3)
    + (${{search_space.n}} - 20) * (${{search_space.n}} - 20) ))}\"
search_space:
  x: {type: int, min: 0, max: 9}
  n: {type: int, min: 1, max: 40}
sampling_algorithm: tpe
objective: {goal: minimize, primary_metric: loss}
limits: {max_total_trials: 16, max_concurrent_trials: 1}
seed: 4
";

fn later(name: &str, more: &str) -> String {
    format!("{}{more}\n", JOB.replace("name: first", &format!("name: {name}")))
}

fn rows(place: &Place, study: &str) -> Vec<Value> {
    let mut rows = place.lines(&["trials", study]);
    rows.sort_by_key(|row| row["trial"].as_u64());
    rows
}

#[test]
fn a_study_starts_from_an_earlier_one_and_from_its_exported_trials() {
    let place = Place::new();
    place.write("first.yaml", JOB);
    let first = place.json(&["run", "first.yaml"]);
    let best = &first["best"]["configuration"];
    let exported = place.fleetfit(&["trials", "first", "--output", "csv"]).ok().stdout;
    place.write("old/trials.csv", &exported);
    let lines = place.fleetfit(&["trials", "first", "--output", "json"]).ok().stdout;
    place.write("old/trials.jsonl", &lines);
    for (name, from) in
        [("by-name", "first"), ("by-csv", "old/trials.csv"), ("by-lines", "old/trials.jsonl")]
    {
        place.write("job.yaml", &later(name, &format!("start_from: {from}")));
        let ran = place.json(&["run", "job.yaml"]);
        let rows = rows(&place, name);
        assert_eq!((rows.len(), &rows[0]["configuration"]), (16, best), "{name}");
        let said = ran["notices"].to_string();
        assert!(said.contains("holds 16 completed trials"), "{said}");
        // What it learnt is kept with it: the file may go.
        if from.contains('/') {
            std::fs::remove_file(place.path(from)).expect("it is there");
            let again = place.json(&["run", "job.yaml"]);
            assert_eq!(again["best"], ran["best"]);
        }
    }
    let deleted = place.json(&["delete", "by-name"]);
    assert_eq!(deleted["deleted"], true);
}

#[test]
fn points_come_first_and_what_is_wrong_with_them_is_said() {
    let place = Place::new();
    let points = "points_to_evaluate:\n- {x: 3, n: 20}\n- {n: 7}\n- {n: 20, x: 3}";
    place.write("job.yaml", &later("points", points));
    let ran = place.json(&["run", "job.yaml"]);
    assert_eq!(ran["best"]["trial"], 0);
    assert_eq!(ran["best"]["value"], 0.0);
    let rows = rows(&place, "points");
    assert_eq!(rows[0]["configuration"], json!({"x": 3, "n": 20}));
    assert_eq!(rows[1]["configuration"]["n"], 7);
    assert!(ran["notices"].to_string().contains("and is tried once"), "{}", ran["notices"]);
    let wrong = "points_to_evaluate: [{x: 12}, {m: 3}]\nstart_from: [none.csv, {pth: x}]";
    place.write("wrong.yaml", &later("wrong", wrong));
    let ran = place.fleetfit(&["check", "wrong.yaml"]);
    assert_eq!(ran.code, 2);
    for says in [
        "wrong.yaml:15:26: points_to_evaluate.0.x is 12, but must be a whole number from 0 to 9",
        "hint: write 9",
        "points_to_evaluate.1.m is no parameter of this space, which has x, n",
        "start_from.1.pth is not known; known: path, study",
    ] {
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
    }
}

#[test]
fn files_that_are_of_no_use_are_problems() {
    let place = Place::new();
    place.write("empty.csv", "");
    place.write("wrong.csv", "a,b\n1,2\n");
    place.write("old.db", "SQLite format 3\0");
    let start = "start_from: [empty.csv, wrong.csv, old.db, none.csv]";
    place.write("job.yaml", &later("second", start));
    for command in [["check", "job.yaml"], ["run", "job.yaml"]] {
        let ran = place.fleetfit(&command);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        for says in [
            "start_from.0: empty.csv holds no trials",
            "start_from.1: wrong.csv has no value of a trial among its columns (a, b)",
            "start_from.2: old.db is a database of SQLite, which fleetfit does not read",
            "optuna trials --study-name NAME --storage sqlite:///old.db -f json > NAME.json",
            "start_from.3: none.csv does not exist",
            "4 problems; nothing was started",
        ] {
            assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
        }
    }
    // Where the job itself is wrong, what cannot be read is told with that, in its place.
    let start = "start_from: [{pth: old.db}, frist, wrong.csv, none.csv]\npriorty: high";
    place.write("job.yaml", &later("second", start));
    for command in [["check", "job.yaml"], ["run", "job.yaml"]] {
        let ran = place.fleetfit(&command);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        for says in [
            "start_from.0.pth is not known; known: path, study",
            "job.yaml:15:47: start_from.3: none.csv does not exist",
            "priorty is not known",
            "3 problems; nothing was started",
        ] {
            assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
        }
    }
    place.write("job.yaml", &later("second", "start_from: none.csv\npriorty: high"));
    let ran = place.fleetfit(&["check", "job.yaml"]);
    let says = "job.yaml:15:13: start_from: none.csv does not exist";
    assert!(ran.stderr.contains(says), "{}", ran.stderr);
    place.write("job.yaml", &later("second", "start_from: frist"));
    let ran = place.fleetfit(&["check", "job.yaml"]);
    let says = "start_from: the study frist is looked for when the job is started";
    assert!(ran.code == 0 && ran.stderr.contains(says), "{}", ran.stderr);
    let ran = place.fleetfit(&["run", "job.yaml"]);
    assert!(ran.stderr.contains("start_from: frist is no study here"), "{}", ran.stderr);
}

#[test]
fn a_service_is_sent_the_files_and_takes_what_is_asked_for() {
    let place = Place::new();
    let external = "type: sweep\ntrial: external\nsearch_space: {x: {type: float, min: 0, max: 1}}\n\
                    sampling_algorithm: tpe\nobjective: {goal: minimize, primary_metric: loss}\n\
                    limits: {max_total_trials: 9}\nseed: 2\n";
    place.write("old.csv", "x,loss\n0.25,1\n0.5,3\n0.9,7\n");
    place.write("outside.yaml", &format!("name: outside\n{external}start_from: old.csv\n"));
    let mut service = place.start(&["serve", "--listen", "127.0.0.1:0"]);
    eventually("it takes jobs", Duration::from_secs(60), || {
        place.fleetfit(&["submit", "outside.yaml"]).code == 0
    });
    let status = place.json(&["status", "outside"]);
    assert!(status["notices"].to_string().contains("3 completed trials"), "{status}");
    let queued = place.json(&["enqueue", "outside", "--set", "x=0.125"]);
    assert_eq!(queued["trials"], json!([1]));
    place.write("points.csv", "x\n0.375\n\n0.625\n");
    assert_eq!(place.json(&["enqueue", "outside", "points.csv"])["trials"], json!([2, 3]));
    place.write("points.yaml", "- {x: 0.7}\n- {y: 0.7}\n");
    let wrong = place.fleetfit(&["enqueue", "outside", "points.yaml"]);
    assert_eq!(wrong.code, 2);
    let says = "points.yaml:2:7: 1.y is no parameter of this space, which has x";
    assert!(wrong.stderr.contains(says), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("1 problem; no configuration was taken"), "{}", wrong.stderr);
    place.write("both.yaml", "configurations: [{x: 0.7}]\npoints_to_evaluate: [{x: 0.8}]\n");
    let both = place.fleetfit(&["enqueue", "outside", "both.yaml"]);
    let says = "both.yaml:2:21: points_to_evaluate is a second list beside configurations";
    assert!(both.code == 2 && both.stderr.contains(says), "{}", both.stderr);
    place.write("more.yaml", "configurations: [{x: 0.7}]\nconfigurattions: [{x: 0.8}]\n");
    let more = place.fleetfit(&["enqueue", "outside", "more.yaml"]);
    let says = "more.yaml:2:18: configurattions is not known beside configurations";
    assert!(more.code == 2 && more.stderr.contains(says), "{}", more.stderr);
    place.write("both.csv", "x,x.y\n0.5,1\n");
    let both = place.fleetfit(&["enqueue", "outside", "both.csv"]);
    let says = "both.csv:2:5: values of both x and x.y, which lies in it";
    assert!(both.code == 2 && both.stderr.contains(says), "{}", both.stderr);
    place.write("far.csv", "loss,x\n,0.5\n,7\n");
    let far = place.fleetfit(&["enqueue", "outside", "far.csv"]);
    assert!(far.code == 2 && far.stderr.contains("far.csv:3:2: x"), "{}", far.stderr);
    let nothing = place.fleetfit(&["enqueue", "outside"]);
    let says = "name either a file of configurations or the values of one";
    assert!(nothing.code == 2 && nothing.stderr.contains(says), "{}", nothing.stderr);
    // Whatever was answered is there after a kill.
    service.kill().expect("it is killed");
    service.wait().expect("it is gone");
    let queued = place.json(&["enqueue", "outside", "--set", "x=0.875"]);
    assert_eq!(queued["trials"], json!([4]));
    let again = place.json(&["enqueue", "outside", "--set", "x=0.375"]);
    assert_eq!(again["trials"], json!([2]), "it waits still");
    place.json(&["cancel", "outside"]);
    let over = place.fleetfit(&["enqueue", "outside", "--set", "x=0.875"]);
    assert_eq!(over.code, 2);
    assert!(over.stderr.contains("search is over"), "{}", over.stderr);
}
