//! Command trials that a policy ends before their end.

use serde_json::{Value, json};

use crate::harness::Place;

/// Four trials, one after the other. The first three report 1 and end; the last one reports 0 and
/// waits for whoever stops it.
fn last_of_four(policy: &str) -> Value {
    let place = Place::new();
    place.write(
        "job.yaml",
        &format!(
            "\
type: sweep
name: early
trial:
  command: |
    value=1; [ $FLEETFIT_TRIAL = 3 ] && value=0
    for step in 1 2 3; do echo '{{\"metric\": \"score\", \"value\": '$value'}}'; done
    [ $FLEETFIT_TRIAL = 3 ] && exec sleep 1000
    : ${{{{search_space.x}}}}
search_space:
  x: [1, 2, 3, 4]
sampling_algorithm: grid
objective: {{goal: maximize, primary_metric: score}}
early_termination: {policy}
limits: {{max_total_trials: 4, max_concurrent_trials: 1, timeout: 120}}
seed: 1
"
        ),
    );
    let ran = place.json(&["run", "job.yaml"]);
    assert_eq!(ran["trials"], json!({"completed": 3, "stopped": 1, "failed": 0}), "{ran}");
    assert_ne!(ran["ended_by"], "timeout");
    assert_eq!(ran["best"]["value"], 1.0);
    let mut trials = place.lines(&["trials", "early"]);
    let last = trials.pop().expect("a trial");
    assert_eq!((&last["trial"], &last["state"]), (&json!(3), &json!("stopped")), "{last}");
    assert_eq!(last["value"], 0.0, "what it had reached");
    last["reason"].clone()
}

#[test]
fn by_the_median_of_the_others() {
    let reason = last_of_four("{type: median_stopping, evaluation_interval: 1}");
    let reason = reason.as_str().expect("a reason");
    assert!(reason.starts_with("median_stopping: 0 after"), "{reason}");
}

#[test]
fn as_one_of_the_worst() {
    let policy = "{type: truncation_selection, truncation_percentage: 30, delay_evaluation: 2}";
    let reason = last_of_four(policy);
    let reason = reason.as_str().expect("a reason");
    assert!(reason.starts_with("truncation_selection: 0 after"), "{reason}");
    assert!(reason.contains("worst 30 % of 4 trials"), "{reason}");
}

#[test]
fn as_worse_than_the_best_by_more_than_the_slack() {
    let reason = last_of_four("{type: bandit, slack_amount: 0.5, evaluation_interval: 3}");
    let reason = reason.as_str().expect("a reason");
    assert!(reason.starts_with("bandit: 0 after 3"), "{reason}");
}

#[test]
fn while_the_other_still_runs() {
    let place = Place::new();
    // Each would report for ten minutes; the good one ends once it has shown what it can do, the other
    // one only if somebody stops it.
    place.write(
        "job.yaml",
        "\
type: sweep
name: early
trial:
  command: |
    for i in $(seq 12000); do
      echo '{\"metric\": \"score\", \"value\": ${{search_space.x}}}'; sleep 0.05
      [ ${{search_space.x}} = 3 ] && [ $i = 9 ] && exit 0
    done
search_space:
  x: [1, 3]
sampling_algorithm: grid
objective: {goal: maximize, primary_metric: score}
early_termination: {type: bandit, slack_factor: 0.1, evaluation_interval: 1}
limits: {max_total_trials: 3, max_concurrent_trials: 2, timeout: 300}
seed: 1
",
    );
    let ran = place.json(&["run", "job.yaml", "--slots", "2"]);
    assert_eq!(ran["ended_by"], "space", "{ran}");
    assert_eq!(ran["best"]["value"], 3.0);
    assert_eq!(ran["trials"], json!({"completed": 1, "stopped": 1, "failed": 0}));
    let trials = place.lines(&["trials", "early"]);
    let stopped = trials.iter().find(|trial| trial["state"] == "stopped").expect("a stopped one");
    assert_eq!(stopped["configuration"]["x"], 1);
    let reason = stopped["reason"].as_str().expect("a reason");
    assert!(reason.contains("bandit"), "{reason}");
}
