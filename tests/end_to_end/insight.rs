//! What a study's trials tell: the same from the data directory and from a service elsewhere.

use serde_json::{Value, json};

use crate::harness::{Place, panel};

pub(crate) const JOB: &str = "\
type: sweep
name: tell
training_data: {path: sales.csv}
target_column_name: sales
task: regression
partition_column_names: [store]
trial: {learner: \"${{search_space.model}}\"}
search_space:
  model:
    - {learner: ridge, alpha: {type: float, min: 0.001, max: 1000, scale: log}}
    - {learner: decision_tree, max_depth: [1, 2, 4, 8]}
sampling_algorithm: random
objective: {goal: minimize, primary_metric: rmse}
n_cross_validations: 2
limits: {max_total_trials: 16}
seed: 5
";

#[test]
fn trials_tell_what_matters() {
    let place = Place::new();
    place.write("sales.csv", &panel(3, 40));
    place.write("job.yaml", JOB);
    place.json(&["run", "job.yaml"]);
    let told = place.json(&["insight", "tell"]);
    assert_eq!((&told["scale"], &told["entity"]), (&json!("relative"), &Value::Null));
    assert_eq!(told["configurations"]["used"], 16);
    assert_eq!(told["configurations"]["entities"], 3);
    let rows = told["parameters"].as_array().expect("parameters");
    let mut names: Vec<&str> = rows.iter().map(|row| row["parameter"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["model", "model.alpha", "model.max_depth"]);
    let share = |row: &Value| row["fanova"].as_f64().expect("a share");
    assert!(rows.iter().map(share).sum::<f64>() <= 1.0, "{rows:?}");
    assert!(rows.is_sorted_by(|one, other| share(one) >= share(other)), "{rows:?}");
    let alpha = rows.iter().find(|row| row["parameter"] == "model.alpha").expect("alpha");
    assert_eq!(alpha["when"], json!({"parameter": "model", "is": "ridge"}));
    // Of one entity, values are those of its trials.
    let one = place.json(&["insight", "tell", "--entity", "1"]);
    assert_eq!(one["scale"], "metric");
    let best = place.json(&["best", "tell", "--entity", "1"]);
    let improvements = one["convergence"]["improvements"].as_array().expect("improvements");
    let last = improvements.last().expect("one at least");
    assert_eq!(last["value"], best["value"]);
    let text = place.fleetfit(&["insight", "tell"]).ok().stdout;
    assert!(text.contains("PED-ANOVA") && text.contains("model.alpha (model=ridge)"), "{text}");
    assert_eq!(place.fleetfit(&["insight", "tell", "--entity", "nobody"]).code, 2);
    assert_eq!(place.fleetfit(&["insight", "other"]).code, 2);
}
