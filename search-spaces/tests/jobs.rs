//! Whole jobs: what they mean, and what is said about them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use fleetfit_search_spaces::{
    Algorithm, Domain, Goal, Input, Job, Learner, Measure, Output, Priority, Scale, Study, Task,
    Value, Work,
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
    assert_eq!((data.training.place.line, data.training.place.column), (3, 23));
    assert_eq!(data.task, Task::Regression);
    assert_eq!(data.partition_columns, ["store"]);
    let expected = Domain::Int { min: 10, max: 200, step: 1, scale: Scale::Log };
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
fn local_and_remote_addresses_are_told_apart() {
    use fleetfit_search_spaces::data::{is_remote, local_path};
    for local in ["data.csv", "/a/b", "file:///a/b", "a:b", "azureml/x", "./git@x"] {
        assert!(!is_remote(local), "{local}");
    }
    for remote in
        ["azureml:a@latest", "https://a/b", "wasbs://c@a/b", "git@github.com:o/r", "git+ssh"]
    {
        assert!(is_remote(remote), "{remote}");
        assert_eq!(local_path(remote), remote);
    }
    assert_eq!(local_path("file:///a/b.csv"), "/a/b.csv");
    assert_eq!(local_path("a/b.csv"), "a/b.csv");
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
    let plain = "type: sweep\ntrial: {command: run, code: src}\ninputs: {a: {path: x.csv}, b: 3}\n\
                 outputs: {c: {type: uri_file}}\n";
    let described = "\
$schema: x
type: sweep
name: other
display_name: x
description: x
experiment_name: x
tags: {a: b}
properties: {a: b}
compute: azureml:cluster
identity: {type: managed}
services: {}
queue_settings: {job_tier: spot, priority: High}
resources: {instance_count: 1}
trial: {command: run, code: src, environment: e, distribution: {type: mpi}, resources: {}}
inputs: {a: {type: uri_file, mode: download, path: x.csv}, b: 3}
outputs: {c: {type: uri_file, mode: upload, name: x}}
";
    assert_eq!(canonical(plain), canonical(described));
    assert_ne!(canonical(plain), canonical(&plain.replace("x.csv", "y.csv")));
    assert_ne!(canonical(plain), canonical(&plain.replace("uri_file", "uri_folder")));
    let automl =
        "type: automl\ntask: regression\ntraining_data: {path: x.csv}\nlimits: {max_trials: 3}\n";
    let described = "type: automl\ntask: regression\ntraining_data: {type: mltable, path: x.csv}\n\
                     limits: {max_trials: 3, max_nodes: 4}\nlog_verbosity: info\nenvironment_id: e\n";
    assert_eq!(canonical(automl), canonical(described));
}

/// A command job with its sections replaced by `changes`.
fn command(changes: &[(&str, &str)]) -> String {
    let mut sections = vec![
        ("trial", "{command: \"train ${{search_space.x}}\"}"),
        ("search_space", "{x: {type: uniform, min_value: 0, max_value: 1}}"),
        ("objective", "{goal: minimize, primary_metric: loss}"),
        ("limits", "{max_total_trials: 4}"),
    ];
    for (key, text) in changes {
        match sections.iter_mut().find(|(own, _)| own == key) {
            Some(section) => section.1 = text,
            None => sections.push((key, text)),
        }
    }
    let lines = sections.iter().filter(|(_, text)| !text.is_empty());
    let lines: Vec<String> = lines.map(|(key, text)| format!("{key}: {text}\n")).collect();
    format!("type: sweep\n{}", lines.concat())
}

fn notices(changes: &[(&str, &str)]) -> String {
    said(&command(changes))
}

#[test]
fn nothing_is_said_about_a_plain_job() {
    assert_eq!(notices(&[]), "");
}

#[test]
fn what_deserves_a_notice_gets_one() {
    let check = |changes: &[(&str, &str)], expected: &str| assert_eq!(notices(changes), expected);
    check(
        &[("search_space", "{x: {type: loguniform, min_value: 0.0001, max_value: 0.1}}")],
        "job.yaml:3:19: search_space.x yields 1.0001e0 to 1.1052e0, e to the power of 0.0001 and 0.1; \
         bounds are exponents of e; for values write {type: float, min: 0.0001, max: 0.1, scale: log}",
    );
    check(
        &[("search_space", "{x: [1, 2, 3], y: [1, 2]}"), ("sampling_algorithm", "grid")],
        "job.yaml:3:33: search_space.y is not named in the command; the program finds it only in \
         AZUREML_SWEEP_y\n\
         job.yaml:5:28: limits.max_total_trials is 4, but the grid has 6 configurations; the first 4 \
         in seeded order are tried",
    );
    let many = "{x: {type: int, min: 1, max: 100000}, y: {type: int, min: 1, max: 100000}}";
    check(
        &[
            ("search_space", many),
            ("sampling_algorithm", "grid"),
            ("limits", "{timeout: 60}"),
            ("trial", "{command: \"train $AZUREML_SWEEP_x $AZUREML_SWEEP_y\"}"),
        ],
        "job.yaml:6:21: sampling_algorithm is grid, and the grid has 10000000000 configurations; the \
         first 4294967295 in seeded order are tried",
    );
    check(
        &[
            ("search_space", "{x: [1, 2, 3], y: [1, 2]}"),
            ("trial", "{command: \"train $AZUREML_SWEEP_x $AZUREML_SWEEP_y\"}"),
        ],
        "",
    );
    check(
        &[("limits", "{max_total_trials: 4, max_concurrent_trials: 9}")],
        "job.yaml:5:54: limits.max_concurrent_trials is 9, more than max_total_trials 4; at most 4 run",
    );
    check(
        &[("search_space", "{x: [{type: uniform, min_value: 0, max_value: 1}]}")],
        "job.yaml:3:20: search_space.x.0 looks like a uniform distribution, but a map inside a choice \
         is a nested space with these fixed values; give the distribution a name of its own",
    );
}

#[test]
fn what_cannot_run_yet_is_valid_and_says_so() {
    let check = |changes: &[(&str, &str)], expected: &str| {
        let text = command(changes);
        let study = study(&text);
        let reasons: Vec<&str> =
            study.cannot_run.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(reasons, [expected]);
        assert!(study.cannot_run[0].hint.is_some());
        assert!(study.notices.iter().any(|notice| notice.message == expected));
    };
    check(
        &[("trial", "{command: \"train ${{search_space.x}}\", code: \"https://github.com/a/b\"}")],
        "trial.code is \"https://github.com/a/b\", which is not on this machine",
    );
    check(&[("selection", "shrunk")], "selection is \"shrunk\", which this version cannot run");
}

#[test]
fn other_tools_names_of_parameters_are_read() {
    let boosting = STORES
        .replace("random_forest", "gradient_boosting")
        .replace("  n_estimators: {type: int, min: 10", "  num_boost_round: {type: int, min: 10")
        .replace("  max_features: {type: uniform, min_value: 0.5, max_value: 1.0}\n", "");
    let read = study(&boosting);
    assert_eq!(read.cannot_run.len(), 0);
    let [notice] = read.notices.as_slice() else { panic!("{:?}", read.notices) };
    assert_eq!(
        notice.message,
        "search_space.num_boost_round is read as n_estimators, our name for it"
    );
    let notices = |more: &str| {
        let text = boosting.replace("  max_depth: [3, 4, 5, 6]\n", more);
        let read = study(&text).notices;
        let others = read.iter().filter(|notice| !notice.message.contains("num_boost_round"));
        others.map(|notice| notice.message.clone()).collect::<Vec<_>>().join("\n")
    };
    let checks = [
        ("  max_depth: [-1, 3]\n", "search_space.max_depth.0 is -1, which is read as none"),
        (
            "  gamma: {type: float, min: 0, max: 2}\n",
            "search_space.gamma is read as min_split_gain, 2 times as much",
        ),
        (
            "  objective: [squared, \"reg:absoluteerror\"]\n",
            "search_space.objective.1 is \"reg:absoluteerror\", which is read as absolute",
        ),
        (
            "  n_jobs: [4]\n",
            "search_space.n_jobs has no meaning here: the cores are shared among all fits",
        ),
        (
            "  booster: [gbtree]\n",
            "search_space.booster has no meaning here: it says what is done anyway",
        ),
        ("  max_bin: [63, 256]\n", "search_space.max_bin.1 is 256, which is read as 255"),
        (
            "  max_bin: {type: int, min: 15, max: 511}\n",
            "search_space.max_bin yields 511, which is read as 255",
        ),
        (
            "  min_child_samples: [0, 5]\n",
            "search_space.min_child_samples.0 is 0, which is read as 1",
        ),
        (
            "  min_data_in_leaf: {type: int, min: 0, max: 20}\n",
            "search_space.min_data_in_leaf is read as min_child_samples, our name for it\n\
             search_space.min_data_in_leaf yields 0, which is read as 1",
        ),
        (
            "  max_depth: {type: int, min: -1, max: 8}\n",
            "search_space.max_depth yields -1, which is read as none",
        ),
    ];
    for (more, expected) in checks {
        assert_eq!(notices(more), expected);
    }
    let problem = |more: &str| {
        let text = boosting.replace("  max_depth: [3, 4, 5, 6]\n", more);
        let problems = Job::read("job.yaml", &text).unwrap().study().unwrap_err();
        let messages: Vec<String> =
            problems.0.iter().map(|problem| problem.message.clone()).collect();
        messages.join("\n")
    };
    assert_eq!(
        problem("  n_estimators: [3]\n"),
        "search_space.num_boost_round means n_estimators, and so does n_estimators"
    );
    assert_eq!(
        problem("  eta: [3.0]\n"),
        "search_space.eta.0 is 3.0, but learning_rate of gradient_boosting must be a number above 0 \
         and at most 1"
    );
}

#[test]
fn settings_that_cannot_run_yet_are_valid() {
    let reasons = |text: &str| {
        let study = study(text);
        study.cannot_run.iter().map(|problem| problem.place.path.clone()).collect::<Vec<_>>()
    };
    let forecasting = STORES.replace("task: regression", "task: forecasting");
    let settings = "forecasting: {time_column_name: week, target_lags: [1, 2], use_stl: season, \
                    country_or_region_for_holidays: AR}\n";
    assert_eq!(
        reasons(&format!("{forecasting}{settings}")),
        ["forecasting.country_or_region_for_holidays"],
    );
    let plain = "forecasting: {time_column_name: week, forecast_horizon: 4}\n";
    assert_eq!(reasons(&format!("{forecasting}{plain}")), [""; 0]);
}

#[test]
fn a_grid_has_a_size_of_its_own() {
    let text = command(&[
        ("sampling_algorithm", "grid"),
        ("search_space", "{x: [1, 2, 3], y: {type: float, min: 0, max: 1, step: 0.25}}"),
        ("limits", ""),
    ]);
    let limits = study(&text).limits;
    assert_eq!((limits.max_total_trials, limits.max_concurrent_trials), (15, 15));
}

#[test]
fn an_external_study_can_come_as_json() {
    let text = r#"{"type": "sweep", "trial": "external", "name": "mine",
        "search_space": {"x": {"type": "float", "min": -1e-3, "max": 1}, "y": ["a", true, 3]},
        "objective": {"goal": "maximize", "primary_metric": "score", "value": "last"},
        "limits": {"max_total_trials": 10}, "seed": 0}"#;
    let study = study(text);
    assert_eq!(study.work, Work::External);
    assert_eq!(study.cannot_run, []);
    let [notice] = study.notices.as_slice() else { panic!("one notice") };
    assert!(notice.message.starts_with("trial is external: your own program"), "{notice}");
    assert_eq!(study.seed, Some(0));
    let Domain::Choice(values) = &study.space.parameters[1].domain else {
        panic!("not a choice");
    };
    assert_eq!(values.len(), 3);
    let stored = serde_json::to_string(&study).unwrap();
    assert_eq!(serde_json::from_str::<Study>(&stored).unwrap(), study);
}

#[test]
fn priorities_are_read_in_any_letter_case() {
    let of = |settings: &str| study(&command(&[("queue_settings", settings)]));
    for (settings, priority) in [
        ("{priority: low}", Priority::Low),
        ("{priority: MEDIUM, job_tier: Standard}", Priority::Medium),
        ("{priority: High}", Priority::High),
        ("{job_tier: spot}", Priority::Medium),
    ] {
        let study = of(settings);
        assert_eq!(study.priority, priority, "{settings}");
        let is_noticed = study.notices.iter().any(|notice| {
            let start = "queue_settings.job_tier means nothing";
            notice.message.starts_with(start)
        });
        assert_eq!(is_noticed, settings.contains("job_tier"), "{settings}");
    }
    let automl = "type: automl\ntask: regression\ntarget_column_name: y\n\
                  training_data: x.csv\nlimits: {max_trials: 3}\n";
    assert_eq!(study(automl).priority, Priority::Medium);
    assert_eq!(
        study(&format!("{automl}queue_settings: {{priority: low}}\n")).priority,
        Priority::Low
    );
}

#[test]
fn anchors_and_merge_keys_work() {
    let text = "\
type: sweep
trial: external
search_space:
  a: &rate {type: float, min: 0.1, max: 1}
  b: *rate
  c: {<<: *rate, max: 2}
objective: {goal: minimize, primary_metric: loss}
limits: {max_total_trials: 10}
";
    let maxima: Vec<f64> = study(text)
        .space
        .parameters
        .iter()
        .map(|parameter| parameter.domain.extent().unwrap().1)
        .collect();
    assert_eq!(maxima, [1.0, 1.0, 2.0]);
}

#[test]
fn logbase_is_the_base_of_exponents() {
    let text = command(&[
        ("search_space", "{x: {type: loguniform, min_value: -3, max_value: -1}}"),
        ("sampling_algorithm", "{type: random, logbase: 10, rule: sobol, seed: 5}"),
    ]);
    let study = study(&text);
    assert_eq!(study.sampling.algorithm, Algorithm::Sobol);
    let (low, high) = study.space.parameters[0].domain.extent().unwrap();
    assert!((low - 0.001).abs() < 1e-15 && (high - 0.1).abs() < 1e-15);
}

#[test]
fn an_automl_job_is_represented_in_full() {
    let text = "\
type: automl
task: classification
training_data: {type: mltable, path: ./train}
validation_data: {type: mltable, path: ./valid}
target_column_name: y
primary_metric: AUCWeighted
limits: {max_trials: 9, timeout_minutes: 2, trial_timeout_minutes: 1, exit_score: 0.92}
featurization:
  mode: custom
  transformer_params:
    imputer:
      - fields: [job]
        parameters: {strategy: most_frequent}
training: {allowed_training_algorithms: [GradientBoosting, logistic_regression]}
";
    let study = study(text);
    assert_eq!(study.work, Work::AutoMl);
    assert_eq!(study.objective.metric, "auc_weighted");
    assert_eq!((study.limits.max_total_trials, study.limits.timeout_s), (9, 120.0));
    let automl = study.automl.unwrap();
    assert_eq!(automl.allowed_algorithms, ["gradient_boosting", "logistic_regression"]);
    assert_eq!(automl.exit_score, Some(0.92));
    assert_eq!(study.cannot_run[0].place.path, "type");
    let images = "type: automl\ntask: image_classification\ntraining_parameters: {epochs: 3}\n";
    assert_eq!(Job::read("i.yaml", images).unwrap().study().unwrap().work, Work::AutoMl);
}

#[test]
fn windows_lines_marks_and_escapes_are_read() {
    let text = format!("\u{feff}{}", command(&[("description", "\"\\ud83d\\ude00 \\u00e9\"")]));
    study(&text.replace('\n', "\r\n"));
    let job = Job::read("job.json", "{\n\t\"type\": \"sweep\",\n\t\"seed\": 1\n}").unwrap();
    assert_eq!(job.canonical(), r#"{"seed":1,"type":"sweep"}"#);
}

#[test]
fn a_repeated_key_does_not_hide_other_problems() {
    let text = command(&[("limits", "{max_total_trials: 0, max_total_trials: 1}"), ("sed", "1")]);
    let problems = Job::read("job.yaml", &text).unwrap().study().unwrap_err();
    assert_eq!(problems.0.len(), 3, "{problems}");
}

#[test]
fn what_set_says_names_the_path() {
    let said = |path: &str, value: &str| {
        let mut job = Job::read("job.yaml", &command(&[])).unwrap();
        let problem = job.set(path, value).unwrap_err();
        assert!(!problem.found.is_empty() && !problem.allowed.is_empty() && problem.hint.is_some());
        problem.message
    };
    let zero = "a leading zero means octal to some readers and not to others";
    assert_eq!(said("seed", "012"), format!("seed is 012; {zero}"));
    assert_eq!(said("limits", "{timeout: 012}"), format!("limits.timeout is 012; {zero}"));
    assert_eq!(said("", "3"), "\"\" is no path");
    assert_eq!(said("limits..timeout", "3"), "limits..timeout is no path");
    assert_eq!(said("limits", "{a: 1, a: 2}"), "limits.a is set twice on this line",);
    assert_eq!(said("limits", "{a: 1"), "limits: a { that was opened before is not closed",);
}

#[test]
fn halving_is_read_with_its_defaults() {
    use fleetfit_search_spaces::early_termination::Policy;
    let policy = |text: &str| {
        study(&command(&[("early_termination", text)])).early_termination.unwrap().policy
    };
    let asha = |min_resource, reduction_factor| Policy::Asha { min_resource, reduction_factor };
    assert_eq!(policy("{type: asha}"), asha(4, 2));
    assert_eq!(policy("{type: asha, min_resource: 1}"), asha(1, 2));
    assert_eq!(policy("{type: asha, min_resource: 5, reduction_factor: 2}"), asha(5, 2));
    let set = "{type: hyperband, min_resource: 2, max_resource: 50, evaluation_interval: null}";
    let hyperband = Policy::Hyperband { min_resource: 2, reduction_factor: 3, max_resource: 50 };
    assert_eq!(policy(set), hyperband);
    let narrowing = |min_resource| Policy::Narrowing { min_resource, max_resource: 50 };
    assert_eq!(policy("{type: narrowing, max_resource: 50}"), narrowing(4));
    let set = "{type: narrowing, min_resource: 9, max_resource: 50, resource: epochs}";
    assert_eq!(policy(set), narrowing(9));
}

#[test]
fn what_azures_tool_writes_itself_is_read() {
    use fleetfit_search_spaces::early_termination::Policy;
    let stopped = |policy: &str| study(&command(&[("early_termination", policy)]));
    let policy = |text: &str| stopped(text).early_termination.unwrap().policy;
    let factor = Policy::BanditFactor(0.1);
    for other in ["0", "0.0", "null", "\"0\""] {
        let text = format!("{{type: bandit, slack_factor: 0.1, slack_amount: {other}}}");
        assert_eq!(policy(&text), factor);
        let text = format!("{{type: bandit, slack_factor: {other}, slack_amount: 3}}");
        assert_eq!(policy(&text), Policy::BanditAmount(3.0));
    }
    let nulls = "{type: median_stopping, evaluation_interval: null, delay_evaluation: null}";
    let own = stopped(nulls).early_termination.unwrap();
    assert_eq!((own.evaluation_interval, own.delay_evaluation), (1, 0));
    let seeded = study(&command(&[("sampling_algorithm", "{type: random, seed: -1}")]));
    assert_eq!(seeded.sampling.seed, Some(-1));
    let text = command(&[
        (
            "trial",
            "{command: \"train ${{search_space.x}}\", environment_variables: {A: null, B: 2}, $schema: s}",
        ),
        ("id", "azureml:x"),
        ("status", "Completed"),
        ("creation_context", "{created_by: a}"),
    ]);
    let Work::Command(own) = study(&text).work else {
        panic!("not a command");
    };
    assert_eq!(
        own.environment_variables.into_iter().collect::<Vec<_>>(),
        [("B".into(), "2".into())]
    );
}

#[test]
fn underscores_part_digits_where_a_number_is_wanted() {
    let text =
        command(&[("limits", "{max_total_trials: 1_000}"), ("search_space", "{x: [1_000, 1]}")]);
    assert_eq!(study(&text).limits.max_total_trials, 1_000);
    assert_eq!(
        said(&text),
        "job.yaml:3:20: search_space.x.0: 1_000 is text here; write 1000, or quote it\n\
         job.yaml:5:28: limits.max_total_trials is 1_000, read as 1000",
    );
    for wrong in ["_1", "1_x", "a_1", "1__e_"] {
        let text = command(&[("limits", &format!("{{max_total_trials: {wrong}}}"))]);
        assert!(said(&text).contains("must be a whole number"), "{wrong}");
    }
}

#[test]
fn values_that_look_alike_get_a_notice() {
    let text = command(&[("search_space", "{x: [1, \"1\", true, \"true\", a]}")]);
    let says = "but for its type; a program cannot tell the two apart";
    assert_eq!(
        said(&text),
        format!(
            "job.yaml:3:23: search_space.x.1 is \"1\", as search_space.x.0 is {says}\n\
             job.yaml:3:34: search_space.x.3 is \"true\", as search_space.x.2 is {says}"
        ),
    );
    let text = STORES.replace("[store]", "[]");
    assert_eq!(
        said(&text),
        "job.yaml:6:25: partition_column_names is an empty list; there is one model for all rows",
    );
}

#[test]
fn automl_reads_auto_and_truth_as_azure_does() {
    let text = "\
type: automl
task: forecasting
training_data: {type: mltable, path: train}
target_column_name: y
n_cross_validations: AUTO
forecasting: {time_column_name: d, forecast_horizon: Auto, seasonality: Auto, target_lags: []}
training: {allowed_training_algorithms: []}
limits: {enable_early_termination: 1}
";
    let study = study(text);
    let data = study.data.unwrap();
    assert_eq!(data.folds, fleetfit_search_spaces::Folds::Auto);
    let settings = data.forecasting.unwrap();
    assert_eq!((settings.horizon, settings.target_lags), (None, None));
    assert_eq!(settings.seasonality, Some(fleetfit_search_spaces::data::Steps::Auto));
    let automl = study.automl.unwrap();
    assert_eq!(automl.enable_early_termination, Some(true));
    assert!(automl.allowed_algorithms.is_empty());
}
