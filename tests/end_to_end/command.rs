//! Command trials, from the job file to the log.

use crate::harness::Place;

fn job(name: &str, command: &str) -> String {
    format!(
        "type: sweep\nname: {name}\ntrial:\n  command: |\n    {command}\nsearch_space:\n  x: [1, 2, \
         3]\nsampling_algorithm: grid\nobjective: {{goal: maximize, primary_metric: score}}\nlimits: \
         {{max_total_trials: 3, max_concurrent_trials: 1}}\nseed: 1\n"
    )
}

#[test]
fn a_shell_command_is_tuned() {
    let place = Place::new();
    let command = "echo \"hello $AZUREML_SWEEP_x\"; echo '{\"metric\": \"score\", \"value\": ${{search_space.x}}}'";
    place.write("job.yaml", &job("shell", command));
    let ran = place.json(&["run", "job.yaml"]);
    assert_eq!(ran["trials"]["completed"], 3);
    assert_eq!(ran["best"]["value"], 3.0);
    assert_eq!(ran["best"]["configuration"]["x"], 3);
    assert!(
        ran["best"]["command"].as_str().is_some_and(|command| command.contains("\"value\": 3"))
    );
    assert!(ran["best"]["model"].is_null());
    let trial = ran["best"]["trial"].to_string();
    let log = place.fleetfit(&["trials", "shell", "--logs", &trial]).ok().stdout;
    assert!(log.contains("hello 3"), "{log}");
}

#[test]
fn a_failing_program_is_counted_and_the_study_ends_with_4() {
    let place = Place::new();
    place.write("job.yaml", &job("failing", "echo oops ${{search_space.x}} >&2; exit 3"));
    let ran = place.fleetfit(&["run", "job.yaml", "--output", "json"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert_eq!(ran.json()["status"], "failed");
    assert_eq!(ran.json()["trials"]["failed"], 3);
    assert!(ran.json()["best"].is_null());
    let trials = place.lines(&["trials", "failing"]);
    let reason = trials[0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("exit code 3") && reason.contains("oops"), "{reason}");
}
