//! Trials of built-in learners that are given out by rungs, from the job file to the result.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::harness::Place;

const JOB: &str = "\
type: sweep
training_data: {path: sales.csv}
target_column_name: y
task: regression
partition_column_names: [store]
trial: {learner: gradient_boosting}
search_space:
  learning_rate: {type: float, min: 0.03, max: 0.3, scale: log}
  max_depth: [2, 3, 4, 6]
  min_samples_leaf: {type: int, min: 2, max: 40, scale: log}
  reg_lambda: {type: float, min: 0.01, max: 100, scale: log}
sampling_algorithm: sobol
objective: {goal: minimize, primary_metric: rmse}
n_cross_validations: 5
limits: {max_total_trials: 48}
seed: 3
";

/// Six stores whose demand bends and jumps.
fn place() -> Place {
    let place = Place::new();
    let mut text = "store,a,b,c,y\n".to_owned();
    let mut state = 17_u64;
    let mut drawn = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    };
    for row in 0..1_200 {
        let store = row % 6;
        let (a, b, c) = (drawn(), drawn(), drawn());
        let jump = if b > 0.3 + 0.05 * f64::from(store) { 2.0 } else { 0.0 };
        let y = (6.0 * a).sin() + jump * c + 0.3 * (drawn() + drawn() - 1.0);
        writeln!(text, "{store},{a:.4},{b:.4},{c:.4},{y:.4}").expect("text");
    }
    place.write("sales.csv", &text);
    place
}

fn run(place: &Place, name: &str, early: &str, slots: &str) -> Value {
    place.write(&format!("{name}.yaml"), &format!("{JOB}name: {name}\n{early}"));
    place.json(&["run", &format!("{name}.yaml"), "--slots", slots])
}

/// The mean of the entities' best values.
fn best(place: &Place, name: &str) -> f64 {
    let all = place.lines(&["best", name, "--all"]);
    assert_eq!(all.len(), 6);
    let values = all.iter().map(|one| {
        assert!(one["model"].is_string(), "{one}");
        one["value"].as_f64().expect("a value")
    });
    values.sum::<f64>() / 6.0
}

/// By trial and entity: how it ended, with what, and why.
fn ends(place: &Place, name: &str) -> BTreeMap<(u64, i64), (String, String, String)> {
    let rows = place.lines(&["trials", name]);
    let end = |row: Value| {
        let trial = row["trial"].as_u64().expect("a number");
        let store = row["entity"]["store"].as_i64().expect("a store");
        let text = |key: &str| row[key].to_string();
        ((trial, store), (text("state"), text("value"), text("reason")))
    };
    rows.into_iter().map(end).collect()
}

#[test]
fn halving_finds_what_the_full_search_finds_for_a_third_of_the_work() {
    let place = place();
    let full = run(&place, "full", "", "2");
    assert_eq!(full["fits"], 48 * 6 * 5);
    let full_best = best(&place, "full");

    let trees =
        run(&place, "trees", "early_termination: {type: asha, resource: estimators}\n", "2");
    // 16 stay for the first rung, 4 for the second, one goes to the end.
    let [completed, stopped] = [3 * 6, 45 * 6];
    let expected = serde_json::json!({"completed": completed, "stopped": stopped, "failed": 0});
    assert_eq!(trees["trials"], expected);
    assert_eq!(trees["fits"], 6 * 5 * (48 + 12 + 3));
    let grown = 6 * 5 * (48 * 13 + 12 * 52 + 3 * 100);
    assert!(3 * grown <= 48 * 6 * 5 * 100, "{grown} trees");
    assert!(best(&place, "trees") <= 1.05 * full_best);

    let early = "early_termination: {type: asha, resource: folds, reduction_factor: 4}\n";
    let folds = run(&place, "folds", early, "2");
    assert_eq!(folds["trials"], expected);
    // A quarter of 48 after 1 fold, an 8th after 2, a 12th and a 16th: what is fitted is not fitted
    // again.
    assert_eq!(folds["fits"], 6 * (48 + 12 + 6 + 4 + 3));
    assert!(3 * folds["fits"].as_u64().expect("a count") <= 48 * 6 * 5);
    assert!(best(&place, "folds") <= 1.05 * full_best);

    // What completes is what it is without rungs, to the last bit.
    let whole = ends(&place, "full");
    for name in ["trees", "folds"] {
        let rungs = ends(&place, name);
        assert_eq!(rungs.len(), 48 * 6);
        let mut n_completed = 0;
        for (trial, (state, value, reason)) in rungs {
            if state == "\"completed\"" {
                n_completed += 1;
                assert_eq!(value, whole[&trial].1, "{name} {trial:?}");
            } else {
                assert!(reason.contains("asha: ") && reason.contains(" is not among the best "));
                assert_ne!(value, "null");
            }
        }
        assert_eq!(n_completed, completed);
    }
}

#[test]
fn the_same_trials_are_stopped_however_many_run_at_once() {
    let place = place();
    for (number, early) in [
        "early_termination: {type: hyperband, resource: estimators}\n",
        "early_termination: {type: asha, resource: rows}\n",
        "early_termination: {type: fold_racing, min_folds: 3}\n",
        "early_termination: {type: truncation_selection, truncation_percentage: 30}\n",
    ]
    .into_iter()
    .enumerate()
    {
        let names = [format!("one{number}"), format!("many{number}")];
        let ran = [run(&place, &names[0], early, "1"), run(&place, &names[1], early, "4")];
        assert_eq!(ran[0]["trials"], ran[1]["trials"]);
        assert_eq!(ran[0]["fits"], ran[1]["fits"]);
        assert_eq!(ran[0]["best"]["value"], ran[1]["best"]["value"]);
        let [one, many] = [ends(&place, &names[0]), ends(&place, &names[1])];
        assert_eq!(one.len(), 48 * 6, "{early}");
        assert_eq!(one, many, "{early}");
        let n_stopped = ran[0]["trials"]["stopped"].as_u64().expect("a count");
        assert!(n_stopped > 48, "{early}: {}", ran[0]["trials"]);
    }
}

#[test]
fn a_sampler_that_learns_goes_on_by_what_was_stopped() {
    let place = place();
    let early = "early_termination: {type: asha}\n";
    place.write(
        "job.yaml",
        &format!("{JOB}name: learns\n{early}")
            .replace("sobol", "tpe")
            .replace("partition_column_names: [store]\n", ""),
    );
    let ran = place.json(&["run", "job.yaml"]);
    let expected = serde_json::json!({"completed": 3, "stopped": 45, "failed": 0});
    assert_eq!(ran["trials"], expected, "{ran}");
    assert!(ran["best"]["model"].is_string());
}
