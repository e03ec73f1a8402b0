//! The models of a study on new rows.

use serde_json::json;

use crate::harness::Place;
use crate::learner::place;

#[test]
fn predictions_keep_the_order_of_the_rows() {
    let place = place();
    place.json(&["run", "job.yaml"]);
    place.write(
        "next.csv",
        "week,store,price,promo\n41,17,2.5,0\n41,3,2.5,1\n41,999,2.5,0\n42,17,2.1,1\n",
    );
    let ran = place.fleetfit(&["predict", "demand", "--data", "next.csv"]).ok();
    assert!(ran.stderr.contains("1 row is of entities"), "{}", ran.stderr);
    let lines: Vec<Vec<&str>> = ran.stdout.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0], ["store", "prediction"]);
    let stores: Vec<_> = lines[1..].iter().map(|line| line[0]).collect();
    assert_eq!(stores, ["17", "3", "999", "17"]);
    assert_eq!(lines[3][1], "");
    let number = |row: usize| lines[row][1].parse::<f64>().expect("a number");
    assert!(number(4) > number(1), "a lower price and a promotion sell more");
    place.fleetfit(&["predict", "demand", "--data", "next.csv", "--out", "out.csv"]).ok();
    assert_eq!(std::fs::read_to_string(place.path("out.csv")).expect("the file"), ran.stdout);
    let args = ["predict", "demand", "--data", "next.csv", "--interval", "0.8"];
    let refused = place.fleetfit(&args);
    assert_eq!(refused.code, 2, "{}", refused.stdout);
    assert!(refused.stderr.contains("demand does not forecast"), "{}", refused.stderr);
}

/// Flowers whose petals tell what they are, in two gardens.
fn flowers() -> String {
    let mut text = String::from("garden,petal,kind\n");
    for (garden, shift) in [("north", 0.0), ("south", 5.0)] {
        for index in 0..60 {
            let petal = f64::from(index) / 10.0;
            let kind = ["iris", "lily", "wild rose"][index as usize / 20];
            text.push_str(&format!("{garden},{},{kind}\n", petal + shift));
        }
    }
    text
}

#[test]
fn classes_are_predicted_by_their_names() {
    let place = Place::new();
    place.write("flowers.csv", &flowers());
    place.write(
        "job.yaml",
        "\
type: sweep
name: kinds
training_data: {path: flowers.csv}
target_column_name: kind
task: classification
partition_column_names: [garden]
trial: {learner: decision_tree}
search_space:
  max_depth: [1, 4]
sampling_algorithm: grid
objective: {goal: maximize, primary_metric: accuracy}
n_cross_validations: 3
seed: 1
",
    );
    let ran = place.json(&["run", "job.yaml"]);
    assert_eq!(ran["trials"]["completed"], 4);
    assert_eq!(ran["best"]["configuration"], json!({"max_depth": 4}));
    assert!(ran["best"]["value"].as_f64() > Some(0.9), "{ran}");
    // The same petal is another kind in another garden.
    place.write("new.csv", "petal,garden\n5.5,south\n5.5,north\n0.5,north\n8.0,south\n1,west\n");
    let csv = place.fleetfit(&["predict", "kinds", "--data", "new.csv"]).ok().stdout;
    let expected =
        "garden,prediction\nsouth,iris\nnorth,wild rose\nnorth,iris\nsouth,lily\nwest,\n";
    assert_eq!(csv, expected);
    let lines = place.lines(&["predict", "kinds", "--data", "new.csv"]);
    assert_eq!(lines[1], json!({"garden": "north", "prediction": "wild rose"}));
    assert_eq!(lines[4], json!({"garden": "west", "prediction": null}));
    let one = ["predict", "kinds", "--data", "new.csv", "--entity", "north"];
    let of_one = place.fleetfit(&one).ok().stdout;
    assert_eq!(of_one.lines().nth(1).and_then(|line| line.rsplit(',').next()), Some("wild rose"));
}

#[test]
fn a_class_called_none_is_a_class() {
    let place = Place::new();
    let mut rows = String::from("x,severity\n");
    for row in 0..60 {
        let severity = ["none", "mild", "severe"][row / 20];
        rows.push_str(&format!("{row},{severity}\n"));
    }
    place.write("cases.csv", &rows);
    place.write(
        "job.yaml",
        "type: sweep\nname: severity\ntraining_data: {path: cases.csv}\ntarget_column_name: \
         severity\ntask: classification\ntrial: {learner: decision_tree}\nsearch_space: {max_depth: [4, \
         none]}\nsampling_algorithm: grid\nobjective: {goal: maximize, primary_metric: \
         accuracy}\nlimits: {max_total_trials: 2}\n",
    );
    let ran = place.json(&["run", "job.yaml"]);
    assert_eq!(ran["trials"]["completed"], 2, "{ran}");
    place.write("new.csv", "x\n3\n33\n53\n");
    let predicted = place.fleetfit(&["predict", "severity", "--data", "new.csv"]).ok().stdout;
    assert_eq!(predicted, "prediction\nnone\nmild\nsevere\n");
}
