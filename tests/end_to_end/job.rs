//! Where a job comes from, and what is said about it.

use std::collections::HashSet;
use std::io::Write;
use std::process::Stdio;

use serde_json::json;

use crate::harness::{Place, Ran};
use crate::learner::{JOB, place};

/// Runs the binary with this on its standard input.
fn with_input(place: &Place, arguments: &[&str], input: &str) -> Ran {
    let mut command = place.command(arguments);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("fleetfit starts");
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(input.as_bytes()).expect("the job is read");
    drop(stdin);
    Ran::of(child.wait_with_output().expect("it ends"))
}

#[test]
fn set_changes_and_adds_values() {
    let place = place();
    let sets = [
        "--set",
        "limits.max_total_trials=3",
        "--set",
        "search_space={alpha: [1, 10, 100]}",
        "--set",
        "sampling_algorithm=grid",
        "--set",
        "n_cross_validations=2",
        "--set",
        "limits.max_concurrent_trials=1",
    ];
    let ran = place.json(&[&["run", "job.yaml"], &sets[..]].concat());
    assert_eq!(ran["trials"]["completed"], 90);
    assert_eq!(ran["fits"], 180);
    assert_eq!(ran["max_total_trials"], 3);
    let tried: HashSet<String> = place
        .lines(&["trials", "demand", "--entity", "1"])
        .iter()
        .map(|trial| trial["configuration"]["alpha"].to_string())
        .collect();
    assert_eq!(tried, ["1", "10", "100"].map(str::to_owned).into());
}

#[test]
fn set_of_what_cannot_be_is_a_problem() {
    let place = place();
    for (set, says) in [
        ("limits.max_totl_trials=3", "max_totl_trials"),
        ("limits.max_total_trials=many", "max_total_trials"),
        ("seed", "no \"=\""),
        ("search_space.alpha.min=5000", "search_space.alpha"),
    ] {
        let ran = place.fleetfit(&["run", "job.yaml", "--set", set]);
        assert_eq!(ran.code, 2, "{set}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{set}: {}", ran.stderr);
    }
    assert!(!place.path("home/studies").exists());
}

#[test]
fn a_job_comes_from_standard_input() {
    let place = place();
    let ran = with_input(&place, &["run", "-", "--output", "json"], JOB).ok().json();
    assert_eq!((&ran["study"], &ran["status"]), (&json!("demand"), &json!("completed")));
    // The same job from a file is the same job.
    assert_eq!(place.json(&["run", "job.yaml"]), ran);
    let wrong = with_input(&place, &["check", "-"], &JOB.replace("rmse", "rmsy"));
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("standard input:11:"), "{}", wrong.stderr);
}

#[test]
fn a_job_may_be_json() {
    let place = place();
    let job = json!({
        "type": "sweep",
        "name": "in-json",
        "training_data": {"path": "sales.csv"},
        "target_column_name": "sales",
        "task": "regression",
        "partition_column_names": ["store"],
        "trial": {"learner": "ridge"},
        "search_space": {"alpha": {"type": "float", "min": 0.001, "max": 1000, "scale": "log"}},
        "sampling_algorithm": "sobol",
        "objective": {"goal": "minimize", "primary_metric": "rmse"},
        "n_cross_validations": 3,
        "limits": {"max_total_trials": 8},
        "seed": 7
    });
    place.write("job.json", &job.to_string());
    let of_json = place.json(&["run", "job.json"]);
    let of_yaml = place.json(&["run", "job.yaml"]);
    assert_eq!(of_json["best"]["value"], of_yaml["best"]["value"]);
}

#[test]
fn each_notice_is_told_once() {
    let place = place();
    let text = format!("compute: azureml:cluster\ntags: {{team: sales}}\n{JOB}");
    let text = text.replace("search_space:", "search_space:\n  fit_intercept: [true, false]");
    // A column without a single value is noticed when the data is read.
    let sales = std::fs::read_to_string(place.path("sales.csv")).expect("the data");
    let sales: Vec<String> = sales
        .lines()
        .enumerate()
        .map(|(row, line)| format!("{line},{}", if row == 0 { "empty" } else { "" }))
        .collect();
    place.write("sales.csv", &(sales.join("\n") + "\n"));
    place.write("job.yaml", &text);
    for ran in [place.json(&["run", "job.yaml"]), place.json(&["run", "job.yaml"])] {
        let notices = ran["notices"].as_array().expect("a list");
        let distinct: HashSet<String> = notices.iter().map(ToString::to_string).collect();
        assert_eq!(distinct.len(), notices.len(), "{notices:#?}");
        let all = ran["notices"].to_string();
        assert!(all.contains("compute"), "{all}");
    }
}
