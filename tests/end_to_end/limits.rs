//! What a study may spend: the time of all, the time of each.

use crate::harness::{Place, panel};

fn command_job(command: &str, limits: &str) -> String {
    format!(
        "type: sweep\nname: limited\ntrial:\n  command: '{command}; : ${{{{search_space.x}}}}'\n\
         search_space:\n  x: {{type: uniform, min_value: 0, max_value: 1}}\nsampling_algorithm: \
         random\nobjective: {{goal: minimize, primary_metric: loss}}\nlimits: {limits}\nseed: 1\n"
    )
}

/// A trial that reports and ends, the others wait for ever.
const FIRST_REPORTS: &str = "[ $FLEETFIT_TRIAL -gt 0 ] && exec sleep 1000; echo \
                             ''{\"metric\": \"loss\", \"value\": 1}''";

#[test]
fn a_timeout_ends_the_study_with_what_it_has() {
    let place = Place::new();
    let limits = "{max_total_trials: 20, max_concurrent_trials: 2, timeout: 10}";
    place.write("job.yaml", &command_job(FIRST_REPORTS, limits));
    let ran = place.json(&["run", "job.yaml"]);
    assert_eq!(ran["status"], "completed", "{ran}");
    assert_eq!(ran["ended_by"], "timeout");
    assert_eq!(ran["trials"]["completed"], 1);
    assert_eq!(ran["best"]["value"], 1.0);
    assert!(ran["elapsed_s"].as_f64() >= Some(10.0), "{ran}");
}

#[test]
fn a_timeout_of_a_fleet_keeps_its_models() {
    let place = Place::new();
    place.write("sales.csv", &panel(10, 300));
    place.write(
        "job.yaml",
        "type: sweep\nname: short\ntraining_data: {path: sales.csv}\ntarget_column_name: sales\n\
         task: regression\npartition_column_names: [store]\ntrial: {learner: ridge}\n\
         search_space:\n  alpha: {type: float, min: 0.01, max: 100}\nsampling_algorithm: random\n\
         objective: {goal: minimize, primary_metric: rmse}\nlimits: {max_total_trials: 10000000, \
         timeout: 10}\nseed: 1\n",
    );
    let ran = place.json(&["run", "job.yaml"]);
    assert_eq!((&ran["status"], &ran["ended_by"]), (&"completed".into(), &"timeout".into()));
    assert_eq!(ran["trials"]["failed"], 0, "{ran}");
    let bests = place.lines(&["best", "short", "--all"]);
    assert_eq!(bests.len(), 10);
    assert!(bests.iter().all(|best| best["model"].is_string()), "{bests:?}");
}

#[test]
fn a_command_that_takes_too_long_is_ended() {
    let place = Place::new();
    let limits = "{max_total_trials: 2, max_concurrent_trials: 2, trial_timeout: 10}";
    place.write("job.yaml", &command_job(FIRST_REPORTS, limits));
    let ran = place.json(&["run", "job.yaml"]);
    assert_eq!(ran["trials"], serde_json::json!({"completed": 1, "stopped": 0, "failed": 1}));
    assert!(ran["elapsed_s"].as_f64() < Some(500.0), "{ran}");
    let trials = place.lines(&["trials", "limited"]);
    let failed = trials.iter().find(|trial| trial["state"] == "failed").expect("a failed one");
    assert_eq!(failed["trial"], 1);
    let reason = failed["reason"].as_str().expect("a reason");
    assert!(reason.contains("trial_timeout (10 s)"), "{reason}");
}

#[test]
fn a_fit_that_takes_too_long_is_ended() {
    let place = Place::new();
    place.write("sales.csv", &panel(1, 2_000));
    // On one core this is hours of work.
    place.write(
        "job.yaml",
        "type: sweep\nname: forest\ntraining_data: {path: sales.csv}\ntarget_column_name: sales\n\
         task: regression\ntrial: {learner: random_forest}\nsearch_space:\n  n_estimators: \
         [100000]\nsampling_algorithm: grid\nobjective: {goal: minimize, primary_metric: rmse}\n\
         limits: {max_total_trials: 1, trial_timeout: 1}\nn_cross_validations: 2\nseed: 1\n",
    );
    let ran = place.fleetfit(&["run", "job.yaml", "--output", "json"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    let ran = ran.json();
    assert_eq!(ran["trials"]["failed"], 1);
    let elapsed_s = ran["elapsed_s"].as_f64().expect("a number");
    assert!((1.0..200.0).contains(&elapsed_s), "{elapsed_s}");
    let trials = place.lines(&["trials", "forest"]);
    let reason = trials[0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("trial_timeout (1 s)"), "{reason}");
}
