//! Every trial, in the forms that people, programs and other tools read.

use std::collections::BTreeMap;

use crate::learner::{JOB, place};

#[test]
fn trials_come_as_csv_and_parquet() {
    let place = place();
    place.json(&["run", "job.yaml"]);
    let csv = place.fleetfit(&["trials", "demand", "--output", "csv"]).ok().stdout;
    let mut lines = csv.lines();
    assert_eq!(
        lines.next(),
        Some("trial,entity,state,value,configuration,learner,reason,started,ended,alpha")
    );
    assert_eq!(lines.count(), 240);
    let refused = place.fleetfit(&["trials", "demand", "--output", "parquet"]);
    assert_eq!(refused.code, 2);
    place.fleetfit(&["trials", "demand", "--output", "parquet", "--out", "t.parquet"]).ok();
    let bytes = std::fs::read(place.path("t.parquet")).expect("the file");
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
}

/// A search over the trials of another study.
fn of_trials(name: &str, file: &str) -> String {
    format!(
        "\
type: sweep
name: {name}
training_data: {{path: {file}}}
target_column_name: value
task: regression
trial: {{learner: decision_tree}}
search_space:
  max_depth: [2, 5]
sampling_algorithm: grid
objective: {{goal: minimize, primary_metric: mae}}
n_cross_validations: 3
seed: 2
"
    )
}

#[test]
fn trials_are_training_data_as_csv_and_as_parquet() {
    let place = place();
    let one_model = JOB.replace("partition_column_names: [store]\n", "");
    place.write("job.yaml", &one_model);
    place.json(&["run", "job.yaml", "--set", "limits.max_total_trials=40"]);
    let values = |name: &str, file: &str| {
        let form = file.rsplit('.').next().expect("an ending");
        place.fleetfit(&["trials", "demand", "--output", form, "--out", file]).ok();
        place.write("again.yaml", &of_trials(name, file));
        let ran = place.json(&["run", "again.yaml"]);
        assert_eq!(ran["trials"]["completed"], 2, "{ran}");
        let trials = place.lines(&["trials", name]).into_iter();
        trials
            .map(|trial| (trial["trial"].as_u64(), trial["value"].as_f64()))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(values("of-parquet", "trials.parquet"), values("of-csv", "trials.csv"));
}
