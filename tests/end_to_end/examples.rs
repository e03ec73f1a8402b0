//! The examples, held against what their READMEs promise.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Place, repository};

/// Every JSON object that a README promises, in order.
fn promises(readme: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(repository(readme)).expect("the README");
    let blocks = text.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter_map(|block| serde_json::from_str(block).ok()).collect()
}

/// Whether everything in `promised` is in `got`.
fn holds(promised: &Value, got: &Value) -> bool {
    match promised {
        Value::Object(fields) => fields.iter().all(|(key, value)| holds(value, &got[key])),
        other => other == got,
    }
}

fn run(place: &Place, job: &str) -> Value {
    let path = repository(job).display().to_string();
    place.json(&["run", &path])
}

fn assert_promised(readme: &str, ran: &Value) {
    let promised = promises(readme);
    let study = promised.iter().find(|promise| promise["study"] == ran["study"]);
    let study = study.unwrap_or_else(|| panic!("{readme} promises nothing about {}", ran["study"]));
    assert!(holds(study, ran), "{readme} promises {study}, and this came: {ran}");
}

/// The front page shows the first of what a run says and of what it prints, its time apart.
fn assert_shown(readme: &str, said: &str, printed: &str) {
    let text = std::fs::read_to_string(repository(readme)).expect("the README");
    let (_, shown) = text.split_once("which prints, ").expect("what it prints");
    let shown = shown.split("```").nth(1).expect("a block").trim();
    let (says, shown) = shown.split_once('\n').expect("several lines");
    if !Path::new("/dev/nvidiactl").exists() {
        assert_eq!(said.lines().next(), Some(says));
    }
    let timeless = |line: &str| line.split(" after ").next().map(str::to_owned);
    let printed = printed.lines().map(timeless);
    let shown: Vec<_> = shown.lines().take_while(|&line| line != "…").map(timeless).collect();
    assert_eq!(printed.take(shown.len()).collect::<Vec<_>>(), shown);
    assert!(shown.len() > 8, "{shown:?}");
}

#[test]
fn stores() {
    let place = Place::new();
    let path = repository("examples/stores/job.yaml").display().to_string();
    let ran = place.fleetfit(&["run", &path, "--output", "json"]).ok();
    assert_promised("examples/stores/README.md", &ran.json());
    let printed = place.fleetfit(&["run", &path]).ok().stdout;
    assert_shown("README.md", &ran.stderr, &printed);
    let one = place.json(&["best", "store-demand", "--entity", "17"]);
    assert_eq!(one["entity"]["store"], 17);
    assert!(one["learner"].is_string() && one["model"].is_string(), "{one}");
    assert_eq!(place.lines(&["best", "store-demand", "--all"]).len(), 120);
    let data = repository("examples/stores/sales.csv");
    let predict = ["predict", "store-demand", "--data", &data.display().to_string()];
    let predicted = place.fleetfit(&predict).ok().stdout;
    let rows = std::fs::read_to_string(data).expect("the data").lines().count();
    assert_eq!(predicted.lines().count(), rows);
    assert!(
        predicted.lines().skip(1).all(|line| {
            line.rsplit(',').next().is_some_and(|value| value.parse::<f64>().is_ok())
        })
    );
}

#[test]
fn the_next_weeks_of_the_stores() {
    let place = Place::new();
    let ran = run(&place, "examples/stores/forecast.yaml");
    assert_promised("examples/stores/README.md", &ran);
    let data = repository("examples/stores/next-weeks.csv").display().to_string();
    let predict = ["predict", "store-forecast", "--data", &data, "--interval", "0.8"];
    let rows = place.lines(&predict);
    assert_eq!(rows.len(), 12);
    for row in rows {
        let number = |name: &str| row[name].as_f64().expect("a number");
        assert!(number("lower") < number("prediction"), "{row}");
        assert!(number("prediction") < number("upper"), "{row}");
        assert!((0.0..2_000.0).contains(&number("prediction")), "{row}");
    }
}

#[test]
fn a_python_script() {
    let place = Place::new();
    let ran = run(&place, "examples/command/job.yaml");
    assert_promised("examples/command/README.md", &ran);
    let trials = &ran["trials"];
    assert_eq!(trials["failed"], 0, "{ran}");
    assert_eq!(
        trials["completed"].as_u64().zip(trials["stopped"].as_u64()).map(|(a, b)| a + b),
        Some(20)
    );
    let log = place.fleetfit(&["trials", "ring-network", "--logs", "0"]).ok().stdout;
    assert!(log.contains("val_loss"), "{log}");
    let notices = ran["notices"].to_string();
    assert!(notices.contains("compute") && notices.contains("environment"), "{notices}");
}

#[test]
fn a_shell_script() {
    let place = Place::new();
    let ran = run(&place, "examples/command/job-shell.yaml");
    assert_promised("examples/command/README.md", &ran);
    assert_eq!(ran["best"]["configuration"], serde_json::json!({"alpha": 0.3, "beta": 0.2}));
    let value = ran["best"]["value"].as_f64().expect("a value");
    assert!((value - 89.78).abs() < 0.005, "{value}");
}

#[test]
fn several_algorithms() {
    let place = Place::new();
    let ran = run(&place, "examples/conditional/job.yaml");
    assert_promised("examples/conditional/README.md", &ran);
    let learner = ran["best"]["learner"].as_str().expect("a learner");
    assert!(["decision_tree", "random_forest"].contains(&learner), "trees win: {learner}");
    assert!(ran["best"]["value"].as_f64() > Some(0.8), "{ran}");
}

#[test]
fn the_data_is_what_the_generators_make() {
    for (folder, file) in [("stores", "sales.csv"), ("conditional", "machines.csv")] {
        let place = Place::new();
        let made = place.path(file);
        let generator = repository(&format!("examples/{folder}/generate.py"));
        let status = Command::new("python3").arg(generator).arg(&made).status();
        assert!(status.expect("python3 starts").success());
        let committed = repository(&format!("examples/{folder}/{file}"));
        let read = |path| std::fs::read(path).expect("the file");
        assert!(read(made) == read(committed), "{folder}/{file}");
    }
}
