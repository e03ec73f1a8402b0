//! Several learners in one search, each with parameters of its own.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::harness::{Place, panel};

const JOB: &str = "\
type: sweep
name: several
training_data: {path: sales.csv}
target_column_name: sales
task: regression
partition_column_names: [store]
trial: {learner: \"${{search_space.model}}\"}
search_space:
  model:
    - learner: ridge
      alpha: {type: float, min: 0.001, max: 100, scale: log}
    - learner: decision_tree
      max_depth: [2, 4]
    - knn
sampling_algorithm: random
objective: {goal: minimize, primary_metric: rmse}
n_cross_validations: 3
limits: {max_total_trials: 12}
seed: 5
";

/// The learner that a configuration names, and its parameters' names.
fn chosen(configuration: &Value) -> (String, Vec<String>) {
    match &configuration["model"] {
        Value::String(learner) => (learner.clone(), Vec::new()),
        model => {
            let names = model.as_object().expect("a branch").keys();
            let own = names.filter(|name| *name != "learner").cloned().collect();
            (model["learner"].as_str().expect("a learner").to_owned(), own)
        }
    }
}

#[test]
fn each_trial_trains_what_was_chosen() {
    let place = Place::new();
    place.write("sales.csv", &panel(5, 40));
    place.write("job.yaml", JOB);
    let ran = place.json(&["run", "job.yaml"]);
    assert_eq!(ran["trials"], json!({"completed": 60, "stopped": 0, "failed": 0}));
    let mut seen = HashSet::new();
    for trial in place.lines(&["trials", "several"]) {
        let (learner, own) = chosen(&trial["configuration"]);
        assert_eq!(trial["learner"], learner.as_str(), "{trial}");
        let expected: &[&str] = match learner.as_str() {
            "ridge" => &["alpha"],
            "decision_tree" => &["max_depth"],
            "knn" => &[],
            other => panic!("{other} was not among the choices"),
        };
        assert_eq!(own, expected, "{trial}");
        seen.insert(learner);
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert_eq!(ran["best"]["learner"], chosen(&ran["best"]["configuration"]).0.as_str());
    for best in place.lines(&["best", "several", "--all"]) {
        assert_eq!(best["learner"], chosen(&best["configuration"]).0.as_str(), "{best}");
        assert!(best["model"].is_string());
    }
    let head = place.fleetfit(&["trials", "several", "--output", "csv"]).ok().stdout;
    let head: Vec<&str> = head.lines().next().expect("a head").split(',').skip(9).collect();
    let head: HashSet<&str> = head.into_iter().collect();
    assert!(head.contains("model.alpha") && head.contains("model.max_depth"), "{head:?}");
    let next = "store,week,price,promo\n1,41,2.5,0\n5,41,2.5,0\n";
    place.write("next.csv", next);
    let predicted = place.lines(&["predict", "several", "--data", "next.csv"]);
    assert!(predicted.iter().all(|row| row["prediction"].is_f64()), "{predicted:?}");
}
