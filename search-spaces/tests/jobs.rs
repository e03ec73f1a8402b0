//! Whole jobs: what they mean, and what is said about them.

use fleetfit_search_spaces::{
    Algorithm, Domain, Goal, Input, Job, Learner, Measure, Output, Scale, Study, Task, Value, Work,
};

fn study(text: &str) -> Study {
    let job = Job::read("demand.yaml", text).unwrap_or_else(|problems| panic!("{problems}"));
    job.study().unwrap_or_else(|problems| panic!("{problems}"))
}

fn said(text: &str) -> String {
    match Job::read("job.yaml", text).and_then(|job| job.study()) {
        Ok(study) => {
            let notices: Vec<String> = study.notices.iter().map(ToString::to_string).collect();
            notices.join("\n")
        }
        Err(problems) => problems.to_string(),
    }
}

const STORES: &str = "\
type: sweep
name: store-demand
training_data: {path: sales.csv}
target_column_name: sales
task: regression
partition_column_names: [store]
trial:
  learner: random_forest
search_space:
  n_estimators: {type: int, min: 10, max: 200, scale: log}
  max_depth: [3, 4, 5, 6]
  max_features: {type: uniform, min_value: 0.5, max_value: 1.0}
sampling_algorithm: sobol
objective: {goal: minimize, primary_metric: rmse}
n_cross_validations: 3
limits: {max_total_trials: 100, max_concurrent_trials: 8, timeout: 600, trial_timeout: 60}
selection: raw
seed: 1
";

#[test]
fn a_learner_study_is_understood() {
    let study = study(STORES);
    assert_eq!(study.name, "store-demand");
    assert_eq!(study.work, Work::Learner(Learner::RandomForest));
    assert_eq!(study.sampling.algorithm, Algorithm::Sobol);
    assert_eq!(study.objective.metric, Measure::RootMeanSquaredError.name());
    assert_eq!(study.objective.goal, Goal::Minimize);
    assert_eq!(study.limits.timeout_s, 600.0);
    assert_eq!(study.seed, Some(1));
    let data = study.data.unwrap();
    assert_eq!(data.training.paths, ["sales.csv"]);
    assert_eq!(
        (data.training.place.line, data.training.place.column),
        (3, 23)
    );
    assert_eq!(data.task, Task::Regression);
    assert_eq!(data.partition_columns, ["store"]);
    let expected = Domain::Int {
        min: 10,
        max: 200,
        step: 1,
        scale: Scale::Log,
    };
    assert_eq!(study.space.parameters[0].domain, expected);
    assert_eq!(study.notices, []);
    assert_eq!(study.cannot_run, []);
}

const COMMAND: &str = "\
$schema: https://azuremlschemas.azureedge.net/latest/sweepJob.schema.json
type: sweep
trial:
  code: src
  command: >-
    python main.py
    --iris-csv ${{inputs.iris_csv}}
    --C ${{ search_space.C }} --kernel {search_space.kernel} --out ${{outputs.model}}
  environment: azureml:AzureML-sklearn@latest
inputs:
  iris_csv:
    type: uri_file
    path: wasbs://datasets@azuremlexamples.blob.core.windows.net/iris.csv
  rounds: 3
outputs:
  model:
compute: azureml:cpu-cluster
sampling_algorithm: random
search_space:
  C: {type: uniform, min_value: 0.5, max_value: 0.9}
  kernel: {type: choice, values: [rbf, linear, no]}
objective: {goal: maximize, primary_metric: training_f1_score}
limits: {max_total_trials: 20, max_concurrent_trials: 10, timeout: 7200}
display_name: sklearn-iris-sweep-example
";

#[test]
fn an_azure_sweep_is_understood() {
    let study = study(COMMAND);
    assert_eq!(study.name, "demand");
    let Work::Command(command) = study.work else {
        panic!("not a command");
    };
    let expected = "python main.py --iris-csv ${{inputs.iris_csv}} --C ${{search_space.C}} \
                    --kernel ${{search_space.kernel}} --out ${{outputs.model}}";
    assert_eq!(command.command, expected);
    assert_eq!(command.outputs, [("model".to_owned(), Output::Folder)]);
    assert!(matches!(command.inputs[0].1, Input::Remote { .. }));
    assert_eq!(command.inputs[1].1, Input::Value(Value::Int(3)));
    assert_eq!((command.code_place.line, command.code_place.column), (4, 9));
    assert_eq!(study.cannot_run.len(), 1);
    let expected = "\
job.yaml:6:5: trial.command has placeholders in single braces, read as ${{…}}
job.yaml:9:16: compute, trial.environment mean nothing on your own machines and are ignored
job.yaml:13:11: inputs.iris_csv.path is \"wasbs://datasets@azuremlexamples.blob.core.windows.net/iris.\
…\", which is not on this machine
job.yaml:21:48: search_space.kernel.values.2: no is text here, not false; quote it to silence this";
    assert_eq!(said(COMMAND), expected);
}

#[test]
fn the_path_of_an_input_can_be_set() {
    let mut job = Job::read("job.yaml", COMMAND).unwrap();
    job.set("inputs.iris_csv.path", "data/iris.csv").unwrap();
    job.set("limits.max_total_trials", "5").unwrap();
    job.set("search_space.kernel.values.2", "poly").unwrap();
    let study = job.study().unwrap();
    assert_eq!(study.cannot_run, []);
    assert_eq!(study.limits.max_total_trials, 5);
    job.set("limits.timeout", "-1").unwrap();
    let problem = job.study().unwrap_err().0.remove(0);
    let expected = "--set limits.timeout=-1: limits.timeout is -1, but must be above 0 seconds\n  \
                    hint: write a number of seconds, or remove the line";
    assert_eq!(problem.to_string(), expected);
    assert!(job.set("limits.timeout.x", "1").is_err());
    assert!(job.set("search_space.kernel.values.9", "1").is_err());
}

#[test]
fn canonical_forms_ignore_order_and_names() {
    let canonical = |text: &str| Job::read("job.yaml", text).unwrap().canonical();
    assert_eq!(
        canonical("type: sweep\nname: a\nlimits: {timeout: 1e1, max_total_trials: 2}\n"),
        canonical(
            "{\"limits\": {\"max_total_trials\": 2, \"timeout\": 10.0}, \"type\": \"sweep\"}"
        ),
    );
    assert_ne!(canonical("seed: 1"), canonical("seed: 2"));
}
