//! Built-in learners: one model per entity, found, kept, asked for, used.

use std::collections::HashMap;

use crate::harness::{Place, panel};

pub(crate) const JOB: &str = "\
type: sweep
name: demand
training_data: {path: sales.csv}
target_column_name: sales
task: regression
partition_column_names: [store]
trial: {learner: ridge}
search_space:
  alpha: {type: float, min: 0.001, max: 1000, scale: log}
sampling_algorithm: sobol
objective: {goal: minimize, primary_metric: rmse}
n_cross_validations: 3
limits: {max_total_trials: 8}
seed: 7
";

/// Thirty stores, forty weeks each.
pub(crate) fn place() -> Place {
    let place = Place::new();
    place.write("sales.csv", &panel(30, 40));
    place.write("job.yaml", JOB);
    place
}

#[test]
fn every_entity_gets_its_best() {
    let place = place();
    let ran = place.json(&["run", "job.yaml"]);
    assert_eq!(ran["study"], "demand");
    assert_eq!(ran["status"], "completed");
    assert_eq!(ran["ended_by"], "trials");
    assert_eq!(ran["entities"], 30);
    assert_eq!(ran["trials"], serde_json::json!({"completed": 240, "stopped": 0, "failed": 0}));
    assert_eq!(ran["fits"], 720);
    assert_eq!(
        ran["metric"],
        serde_json::json!({"name": "root_mean_squared_error", "goal": "minimize"})
    );
    assert!(ran["elapsed_s"].as_f64().is_some_and(|seconds| seconds > 0.0));
    assert!(ran["best"]["entity"].is_null());
    assert_eq!(ran["best"]["learner"], "ridge");

    let trials = place.lines(&["trials", "demand"]);
    assert_eq!(trials.len(), 240);
    let mut best: HashMap<i64, (f64, u64)> = HashMap::new();
    let mut sums: HashMap<u64, f64> = HashMap::new();
    for trial in &trials {
        assert_eq!(trial["state"], "completed");
        let store = trial["entity"]["store"].as_i64().expect("a store");
        let (value, number) =
            (trial["value"].as_f64().expect("a value"), trial["trial"].as_u64().expect("a number"));
        *sums.entry(number).or_default() += value;
        let leader = best.entry(store).or_insert((value, number));
        if (value, number) < *leader {
            *leader = (value, number);
        }
    }
    let all = place.lines(&["best", "demand", "--all"]);
    assert_eq!(all.len(), 30);
    for one in &all {
        let store = one["entity"]["store"].as_i64().expect("a store");
        let (value, number) = best[&store];
        assert_eq!(one["value"].as_f64(), Some(value));
        assert_eq!(one["trial"].as_u64(), Some(number));
        assert!(one["model"].is_string());
        assert_eq!(one["selection"], "raw");
    }
    let lowest = sums.values().copied().fold(f64::INFINITY, f64::min) / 30.0;
    let shared = ran["best"]["value"].as_f64().expect("a value");
    assert!((shared - lowest).abs() < 1e-9, "{shared} is not {lowest}");

    let one = place.json(&["best", "demand", "--entity", "17"]);
    assert_eq!(one["entity"]["store"], 17);
    for written in ["store=17", "17.0", "store=017"] {
        assert_eq!(one, place.json(&["best", "demand", "--entity", written]), "{written}");
    }
    let top = place.lines(&["best", "demand", "--entity", "17", "--top", "3"]);
    assert_eq!(top.len(), 3);
    assert_eq!(top[0]["value"], one["value"]);
}

#[test]
fn the_same_seed_gives_the_same_result() {
    let bests = |slots: &str| {
        let place = place();
        place.json(&["run", "job.yaml", "--slots", slots]);
        place.lines(&["best", "demand", "--all"])
    };
    assert_eq!(bests("1"), bests("4"));
}

/// Learners that draw rows and columns, share work between folds and trials, or keep what they saw.
#[test]
fn the_same_models_come_of_any_order_of_entities_and_any_number_of_slots() {
    let job = JOB
        .replace("{learner: ridge}", "{learner: \"${{search_space.model}}\"}")
        .replace(
            "  alpha: {type: float, min: 0.001, max: 1000, scale: log}\n",
            "  model:\n  \
             - {learner: ridge, alpha: [0.1, 10]}\n  \
             - {learner: lasso, alpha: 0.1}\n  \
             - {learner: gradient_boosting, n_estimators: [5, 20], subsample: 0.7, \
                colsample_bytree: 0.5, min_child_samples: 3}\n  \
             - {learner: random_forest, n_estimators: [5, 10], max_features: [1, 0.5]}\n  \
             - {learner: extra_trees, n_estimators: 10}\n  \
             - {learner: svm, C: [1, 10]}\n  \
             - {learner: knn, n_neighbors: [2, 5]}\n",
        )
        .replace("sobol", "grid")
        .replace("limits: {max_total_trials: 8}\n", "");
    let rows = panel(12, 40);
    let (head, rows) = rows.split_once('\n').expect("a head");
    let mut backwards: Vec<&str> = rows.lines().collect();
    // Entities the other way round; the rows of each stay in their order.
    backwards.sort_by_key(|row| {
        let store = row.split(',').next().and_then(|store| store.parse::<i64>().ok());
        std::cmp::Reverse(store.expect("a store"))
    });
    let models = |rows: &str, slots: &str| {
        let place = Place::new();
        place.write("sales.csv", &format!("{head}\n{rows}\n"));
        place.write("job.yaml", &job);
        place.json(&["run", "job.yaml", "--slots", slots]);
        let mut bests = place.lines(&["best", "demand", "--all"]);
        bests.sort_by_key(|best| best["entity"]["store"].as_i64());
        bests
    };
    let found = models(rows.trim_end(), "1");
    assert_eq!(found.len(), 12);
    assert!(found.iter().all(|best| best["model"].is_string()), "{found:?}");
    assert_eq!(found, models(&backwards.join("\n"), "4"));
}

#[test]
fn the_same_job_again_prints_the_stored_result() {
    let place = place();
    let first = place.json(&["run", "job.yaml"]);
    let again = place.json(&["run", "job.yaml"]);
    assert_eq!(first, again);
}

#[test]
fn another_job_or_other_data_under_the_name_is_a_problem() {
    let place = place();
    place.json(&["run", "job.yaml"]);
    let other = place.fleetfit(&["run", "job.yaml", "--set", "limits.max_total_trials=9"]);
    assert_eq!(other.code, 2);
    assert!(other.stderr.contains("job.yaml:2:"), "{}", other.stderr);
    assert!(other.stderr.contains("--name demand-2"), "{}", other.stderr);
    place.write("sales.csv", &panel(30, 41));
    let other = place.fleetfit(&["run", "job.yaml"]);
    assert_eq!(other.code, 2);
    assert!(other.stderr.contains("its data changed"), "{}", other.stderr);
    place.json(&["run", "job.yaml", "--name", "demand-2"]);
    assert_eq!(place.lines(&["studies"]).len(), 2);
}

#[test]
fn a_tiny_entity_fails_with_a_reason_and_the_study_goes_on() {
    let place = Place::new();
    place.write("sales.csv", &format!("{}99,1,2.0,0,5.0\n", panel(4, 30)));
    place.write("job.yaml", JOB);
    let ran = place.json(&["run", "job.yaml"]);
    assert_eq!(ran["trials"]["completed"], 32);
    assert_eq!(ran["trials"]["failed"], 8);
    let trials = place.lines(&["trials", "demand", "--entity", "99"]);
    assert!(trials.iter().all(|trial| {
        trial["reason"].as_str().is_some_and(|reason| reason.contains("single row"))
    }));
    let none = place.fleetfit(&["best", "demand", "--entity", "99"]);
    assert_eq!(none.code, 4);
}
