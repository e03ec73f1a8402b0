//! Compares what we accept with what `azure-ai-ml` accepts, over jobs in Azure's own vocabulary.
//!
//! Needs a Python that has the package: `FLEETFIT_AZURE_PYTHON=/path/to/python`. Where the two differ
//! the difference is listed here with its reason, and each reason stands in `docs/job-file.md`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use fleetfit_search_spaces::Job;

#[path = "azure/oracle.rs"]
mod oracle;

use oracle::{Case, Meant, are_told, compare};

use Meant::{Same, WeAccept, WeRefuse};

const MIN_ABOVE_MAX: &str = "a lower bound above the upper one";
const GRID: &str = "a grid over a continuous parameter";
const SLACK: &str = "a bandit with no slack, with two above 0, or with one below 0";
const UNDEFINED: &str = "a command that names what is not defined";
const CHOICES: &str = "an empty choice, or one that repeats a value";
const NOT_POSITIVE: &str = "a `q`, a `sigma`, an `upper` or a limit of 0 or less";
const EMPTY_SPACE: &str = "an empty `search_space`, command, metric or name";
const FRACTION: &str = "a fraction where a whole number is wanted";
const PERCENTAGE: &str = "a truncation percentage outside 1 to 99, or an interval below 0";
const LOGBASE: &str = "a `logbase` that is no number above 1 and not `e`";
const BOTH_LISTS: &str = "an algorithm both allowed and blocked";
const NO_PATH: &str = "an input or data set without a path";
const OVERFLOW: &str =
    "a `loguniform` or `lognormal` that no number can hold, or a whole `q` beyond 64 bits";
const SIXTY_FOUR: &str = "a whole number of more than 64 bits";
const HORIZON: &str = "a `forecast_horizon` of 0";
const FREQUENCY: &str = "a `frequency` that is no alias of pandas";
const SEXAGESIMAL: &str = "numbers to the base of 60 (`1:30`)";
const SCHEMA: &str = "a `$schema` that is not text";
const VALIDATION: &str = "`validation_data` beside folds or a validation share";
const NO_FOLDS: &str = "an empty `cv_split_column_names`";
const NO_FORECASTING: &str = "forecasting without its settings";
const DUPLICATES: &str = "a key that is set twice";
const OCTAL: &str = "an integer with a leading zero";
const NAME: &str = "a study name with other characters than letters, digits, `-`, `_` and `.`";
const OUTSIDE_SHARE: &str = "a share outside 0 to 1, or fewer than 2 folds";
const MILD_YAML: &str = "`yes`, `no`, `on`, `off` and dates are text, as in YAML 1.2";
const NO_ENVIRONMENT: &str = "`trial.environment` and `compute` may be left out, or be anything";
const BOOLEANS: &str = "`true` and `false` are values of a choice";
const GRID_LIMITS: &str = "a grid need not name `max_total_trials`";
const PLAIN_DATA: &str = "data sets may be a bare path, csv or parquet";
const SPELLING: &str =
    "names of algorithms, transformers and policies in any letter case, `_` and `-` or not";
const SCALARS: &str = "one word where a list of words is wanted";
const METRICS: &str = "short names of metrics (`rmse`), and every metric of the task";
const EXPONENTS: &str = "`1e1` where a whole number or a number of seconds is wanted";
const SEEDS: &str = "`seed` under `grid` and `bayesian`";
const PARTS: &str =
    "keys and types of `environment`, `distribution` and other ignored keys, null included";
const ROLLING: &str = "`target_rolling_window_size: [1]`";
const META_PARAMETERS: &str = "`stack_meta_learner_kwargs`";
const AUTOML_INPUTS: &str = "`inputs` of an AutoML job";
const ON_COMPUTE: &str = "`path_on_compute` of an input";
const LABEL_KEYS: &str = "numbers as keys of `tags`";
const OTHER_TASKS: &str = "whatever stands beside a task on images or text";
const NESTED_LISTS: &str = "a list inside a branch of a choice, which is a choice";
const STL: &str = "`use_stl: season_trend`, as Azure's own documents write it";

/// One job in sections; a variant replaces some of them.
type Sections = Vec<(&'static str, String)>;

struct Variant {
    name: String,
    text: String,
    meant: Meant,
}

fn sweep() -> Sections {
    let section = |name, text: &str| (name, text.to_owned());
    vec![
        section("type", "type: sweep"),
        section(
            "trial",
            "trial:\n  command: python train.py ${{search_space.x}}\n  code: src\n  environment: \
             azureml:env@latest",
        ),
        section("compute", "compute: azureml:cpu-cluster"),
        section("sampling", "sampling_algorithm: random"),
        section("space", "search_space:\n  x: {type: uniform, min_value: 0, max_value: 1}"),
        section("objective", "objective: {goal: minimize, primary_metric: loss}"),
        section("early", ""),
        section("limits", "limits: {max_total_trials: 20}"),
        section("inputs", ""),
        section("extra", ""),
    ]
}

fn automl() -> Sections {
    let section = |name, text: &str| (name, text.to_owned());
    vec![
        section("type", "type: automl"),
        section("task", "task: regression"),
        section("compute", "compute: azureml:cpu-cluster"),
        section("data", "training_data: {type: mltable, path: train}"),
        section("target", "target_column_name: y"),
        section("metric", ""),
        section("limits", "limits: {max_trials: 5, timeout_minutes: 30}"),
        section("training", ""),
        section("forecasting", ""),
        section("extra", ""),
    ]
}

fn variant(name: &str, base: &Sections, changes: &[(&str, &str)], meant: Meant) -> Variant {
    let mut sections = base.clone();
    for (section, text) in changes {
        let own = sections.iter_mut().find(|(name, _)| name == section);
        (*text).clone_into(&mut own.unwrap_or_else(|| panic!("no section {section}")).1);
    }
    let lines: Vec<String> =
        sections.into_iter().map(|(_, text)| text).filter(|text| !text.is_empty()).collect();
    Variant { name: name.to_owned(), text: format!("{}\n", lines.join("\n")), meant }
}

/// Every distribution under every sampler and early termination.
fn sweeps_crossed() -> Vec<Variant> {
    let samplers = [
        ("random", "sampling_algorithm: random"),
        ("grid", "sampling_algorithm: grid"),
        ("bayesian", "sampling_algorithm: bayesian"),
        ("map", "sampling_algorithm: {type: random, rule: sobol, seed: 3, logbase: e}"),
        ("none", ""),
    ];
    let spaces = [
        ("choice", "{type: choice, values: [1, 2.5, three]}", true),
        ("randint", "{type: randint, upper: 9}", true),
        ("uniform", "{type: uniform, min_value: 0.5, max_value: 2}", false),
        ("quniform", "{type: quniform, min_value: 1, max_value: 9, q: 2}", true),
        ("loguniform", "{type: loguniform, min_value: -6, max_value: -1}", false),
        ("qloguniform", "{type: qloguniform, min_value: 0, max_value: 3, q: 1}", true),
        ("normal", "{type: normal, mu: 0, sigma: 1.5}", false),
        ("qnormal", "{type: qnormal, mu: 5, sigma: 2, q: 0.5}", false),
        ("lognormal", "{type: lognormal, mu: 0, sigma: 1}", false),
        ("qlognormal", "{type: qlognormal, mu: 0, sigma: 1, q: 1}", false),
        ("nested", "{type: choice, values: [{name: a, C: {type: randint, upper: 3}}, 4]}", true),
    ];
    let policies = [
        ("", ""),
        ("bandit", "early_termination: {type: bandit, slack_factor: 0.2, evaluation_interval: 2}"),
        ("median", "early_termination: {type: median_stopping, delay_evaluation: 5}"),
    ];
    let mut variants = Vec::new();
    for (sampler, sampling) in samplers {
        for (space, expression, countable) in spaces {
            for (policy, early) in policies {
                let meant = if sampler == "grid" && !countable { WeRefuse(GRID) } else { Same };
                let name = format!("{sampler} {space} {policy}");
                let space = format!("search_space:\n  x: {expression}");
                let changes = [("sampling", sampling), ("space", &space), ("early", early)];
                variants.push(variant(&name, &sweep(), &changes, meant));
            }
        }
    }
    variants
}

fn spaces() -> Vec<Variant> {
    let cases: &[(&str, Meant)] = &[
        ("{type: Uniform, min_value: 0, max_value: 1}", Same),
        ("{type: CHOICE, values: [1]}", Same),
        ("{type: log_uniform, min_value: 0, max_value: 1}", Same),
        ("{type: triangular, min_value: 0, max_value: 1}", Same),
        ("{type: uniform, min_value: 1, max_value: 0}", WeRefuse(MIN_ABOVE_MAX)),
        ("{type: loguniform, min_value: 1, max_value: 0}", WeRefuse(MIN_ABOVE_MAX)),
        ("{type: quniform, min_value: 9, max_value: 1, q: 1}", WeRefuse(MIN_ABOVE_MAX)),
        ("{type: uniform, min_value: 1, max_value: 1}", Same),
        ("{type: uniform, min_value: '1', max_value: '2.5'}", Same),
        ("{type: uniform, min_value: 1e-3, max_value: 1e-1}", Same),
        ("{type: uniform, min_value: one, max_value: 2}", Same),
        ("{type: uniform, min_value: 0}", Same),
        ("{type: uniform, max_value: 1}", Same),
        ("{type: uniform, min: 0, max: 1}", Same),
        ("{type: uniform, min_value: 0, max_value: 1, q: 1}", Same),
        ("{type: uniform, min_value: null, max_value: 1}", Same),
        ("{min_value: 0, max_value: 1}", Same),
        ("{type: quniform, min_value: 0, max_value: 1}", Same),
        ("{type: quniform, min_value: 0, max_value: 1, q: 0}", WeRefuse(NOT_POSITIVE)),
        ("{type: quniform, min_value: 0, max_value: 1, q: -1}", WeRefuse(NOT_POSITIVE)),
        ("{type: normal, mu: 0, sigma: 0}", WeRefuse(NOT_POSITIVE)),
        ("{type: normal, mu: 0, sigma: -2}", WeRefuse(NOT_POSITIVE)),
        ("{type: qlognormal, mu: 0, sigma: 1, q: 0}", WeRefuse(NOT_POSITIVE)),
        ("{type: normal, mu: 0}", Same),
        ("{type: normal, sigma: 1}", Same),
        ("{type: loguniform, min_value: 0, max_value: 5000}", WeRefuse(OVERFLOW)),
        ("{type: loguniform, min_value: 0.001, max_value: 0.1}", Same),
        ("{type: lognormal, mu: 1000, sigma: 1}", WeRefuse(OVERFLOW)),
        ("{type: qlognormal, mu: 50, sigma: 1, q: 1}", WeRefuse(OVERFLOW)),
        ("{type: quniform, min_value: 0, max_value: 1e19, q: 1}", WeRefuse(OVERFLOW)),
        ("{type: quniform, min_value: 0, max_value: 1_000, q: 1}", Same),
        ("{type: uniform, min_value: 0, max_value: '1_000'}", Same),
        ("{type: uniform, min_value: 0, max_value: 1:30}", WeRefuse(SEXAGESIMAL)),
        ("{type: randint, upper: 1_000}", Same),
        ("{type: randint, upper: 1e3}", WeAccept(EXPONENTS)),
        ("{type: randint, upper: 99999999999999999999}", WeRefuse(SIXTY_FOUR)),
        ("{type: choice, values: [1_000, 1]}", Same),
        ("{type: choice, values: [1, '1']}", Same),
        ("{type: [choice], values: [1]}", Same),
        ("{type: choice, values: [{a: [1, 2]}, {a: 1}]}", WeAccept(NESTED_LISTS)),
        ("{type: randint, upper: 0}", WeRefuse(NOT_POSITIVE)),
        ("{type: randint, upper: -3}", WeRefuse(NOT_POSITIVE)),
        ("{type: randint, upper: 3.5}", WeRefuse(FRACTION)),
        ("{type: randint, upper: 3.0}", Same),
        ("{type: randint, upper: '3'}", Same),
        ("{type: randint, upper: 012}", WeRefuse(OCTAL)),
        ("{type: randint, lower: 1, upper: 3}", Same),
        ("{type: randint}", Same),
        ("{type: choice, values: []}", WeRefuse(CHOICES)),
        ("{type: choice, values: [1, 2, 1]}", WeRefuse(CHOICES)),
        ("{type: choice, values: [a, b, a]}", WeRefuse(CHOICES)),
        ("{type: choice, values: [{a: 1}, {a: 1}]}", WeRefuse(CHOICES)),
        ("{type: choice, values: 3}", Same),
        ("{type: choice}", WeRefuse(CHOICES)),
        ("{type: choice, values: [null]}", Same),
        ("{type: choice, values: [[1, 2], [3]]}", Same),
        ("{type: choice, values: [true, false]}", WeAccept(BOOLEANS)),
        ("{type: choice, values: [yes, no]}", WeAccept(MILD_YAML)),
        ("{type: choice, values: ['yes', 'no']}", Same),
        ("{type: choice, values: [2024-01-01]}", WeAccept(MILD_YAML)),
        ("{type: choice, values: [a, b], extra: 1}", Same),
        ("{type: choice, values: [{a-b: {type: uniform, min_value: 0, max_value: 1}}]}", Same),
        (
            "{type: choice, values: [{a: {type: uniform, min_value: 2, max_value: 1}}]}",
            WeRefuse(MIN_ABOVE_MAX),
        ),
        ("{type: choice, values: [{a: {type: choice, values: [{b: 1}, 2]}}]}", Same),
        ("{type: choice, values: [{a: {type: wrong}}]}", Same),
        ("{type: choice, values: [{a: true}]}", WeAccept(BOOLEANS)),
        ("{type: choice, values: [{type: uniform, min_value: 0, max_value: 1}]}", Same),
        ("0.1", Same),
        ("word", Same),
        ("{}", Same),
    ];
    let numbered = cases.iter().enumerate();
    numbered
        .map(|(index, (expression, meant))| {
            let space = format!("search_space:\n  x: {expression}");
            variant(&format!("space {index} {expression}"), &sweep(), &[("space", &space)], *meant)
        })
        .collect()
}

fn sweep_sections() -> Vec<Variant> {
    let trial = |rest: &str| format!("trial:\n  environment: azureml:env@latest\n{rest}");
    let plain = trial("  command: python train.py");
    let cases: Vec<(&str, String, Meant)> = vec![
        ("sampling", "sampling_algorithm: RANDOM".into(), Same),
        ("sampling", "sampling_algorithm: latin".into(), Same),
        ("sampling", "sampling_algorithm: {type: bayesian}".into(), Same),
        ("sampling", "sampling_algorithm: {type: random, rule: latin}".into(), Same),
        ("sampling", "sampling_algorithm: {type: random, logbase: 10}".into(), Same),
        ("sampling", "sampling_algorithm: {type: random, logbase: 1}".into(), WeRefuse(LOGBASE)),
        ("sampling", "sampling_algorithm: {type: random, logbase: ten}".into(), WeRefuse(LOGBASE)),
        ("sampling", "sampling_algorithm: {type: random, sed: 1}".into(), Same),
        ("sampling", "sampling_algorithm: null".into(), Same),
        ("sampling", "sampling_algorithm: {type: random, seed: -1}".into(), Same),
        ("sampling", "sampling_algorithm: {type: random, seed: 1.5}".into(), WeRefuse(FRACTION)),
        ("sampling", "sampling_algorithm: {type: bayesian, seed: 3}".into(), WeAccept(SEEDS)),
        ("objective", "objective: {goal: Maximize, primary_metric: acc}".into(), Same),
        ("objective", "objective: {goal: min, primary_metric: acc}".into(), Same),
        ("objective", "objective: {goal: minimize}".into(), Same),
        ("objective", "objective: {primary_metric: acc}".into(), Same),
        ("objective", "objective: {goal: minimize, primary_metric: 3}".into(), Same),
        ("objective", "".into(), Same),
        ("objective", "objective: {goal: minimize, primary_metric: ''}".into(), WeRefuse(EMPTY_SPACE)),
        ("objective", "objective: {goal: minimize, metric: acc}".into(), Same),
        ("limits", "".into(), Same),
        ("limits", "limits: {}".into(), Same),
        ("limits", "limits: {max_total_trials: '7'}".into(), Same),
        ("limits", "limits: {max_total_trials: 7.0}".into(), Same),
        ("limits", "limits: {max_total_trials: 7.5}".into(), WeRefuse(FRACTION)),
        ("limits", "limits: {max_total_trials: 0}".into(), WeRefuse(NOT_POSITIVE)),
        ("limits", "limits: {max_total_trials: -1}".into(), WeRefuse(NOT_POSITIVE)),
        ("limits", "limits: {max_total_trials: many}".into(), Same),
        ("limits", "limits: {max_total_trials: 1_000}".into(), Same),
        ("limits", "limits: {max_total_trials: 1e1}".into(), WeAccept(EXPONENTS)),
        ("limits", "limits: {max_total_trials: 4, timeout: 1e2}".into(), WeAccept(EXPONENTS)),
        ("limits", "limits: {max_trials: 4}".into(), Same),
        ("limits", "limits: {max_total_trials: null}".into(), Same),
        ("limits", "limits: {max_total_trials: 4, max_concurrent_trials: 9}".into(), Same),
        ("limits", "limits: {max_total_trials: 4, max_concurrent_trials: 0}".into(), WeRefuse(NOT_POSITIVE)),
        ("limits", "limits: {max_total_trials: 4, timeout: 1h}".into(), Same),
        ("limits", "limits: {max_total_trials: 4, timeout: 7200, trial_timeout: 30}".into(), Same),
        ("limits", "limits: {max_total_trials: 4, timeout: 0}".into(), WeRefuse(NOT_POSITIVE)),
        ("limits", "limits: {max_total_trials: 4, max_nodes: 2}".into(), Same),
        ("limits", "limits: {max_total_trials: 4, max_total_trials: 5}".into(), WeRefuse(DUPLICATES)),
        ("early", "early_termination: {type: bandit, slack_amount: 0.2}".into(), Same),
        ("early", "early_termination: {type: bandit}".into(), WeRefuse(SLACK)),
        ("early", "early_termination: {type: bandit, slack_amount: 0.2, slack_factor: 0.1}".into(), WeRefuse(SLACK)),
        ("early", "early_termination: {type: bandit, slack_factor: 0}".into(), WeRefuse(SLACK)),
        ("early", "early_termination: {type: bandit, slack_factor: -1}".into(), WeRefuse(SLACK)),
        ("early", "early_termination: {type: bandit, slack_factor: 0.1, slack_amount: 0}".into(), Same),
        ("early", "early_termination: {type: bandit, slack_factor: 0.1, slack_amount: 0.0}".into(), Same),
        ("early", "early_termination: {type: bandit, slack_factor: 0.1, slack_amount: null}".into(), Same),
        ("early", "early_termination: {type: bandit, slack_factor: 0.0, slack_amount: 2}".into(), Same),
        ("early", "early_termination: {type: bandit, slack_factor: null, slack_amount: 2}".into(), Same),
        ("early", "early_termination: {type: median_stopping, evaluation_interval: null, delay_evaluation: null}".into(), Same),
        ("early", "early_termination: {type: median_stopping, evaluation_interval: 1.5}".into(), WeRefuse(FRACTION)),
        ("early", "early_termination: {type: medianstopping}".into(), WeAccept(SPELLING)),
        ("early", "early_termination: {type: median-stopping}".into(), WeAccept(SPELLING)),
        ("early", "early_termination: {type: MedianStopping}".into(), Same),
        ("early", "early_termination: {type: median}".into(), Same),
        ("early", "early_termination: {type: median_stopping, slack_factor: 1}".into(), Same),
        ("early", "early_termination: {type: median_stopping, evaluation_interval: 0}".into(), Same),
        ("early", "early_termination: {type: median_stopping, evaluation_interval: -1}".into(), WeRefuse(PERCENTAGE)),
        ("early", "early_termination: {type: truncation_selection, truncation_percentage: 20}".into(), Same),
        ("early", "early_termination: {type: truncation_selection}".into(), Same),
        ("early", "early_termination: {type: truncation_selection, truncation_percentage: 0}".into(), WeRefuse(PERCENTAGE)),
        ("early", "early_termination: {type: truncation_selection, truncation_percentage: 100}".into(), WeRefuse(PERCENTAGE)),
        ("early", "early_termination: {type: truncation_selection, truncation_percentage: 9.5}".into(), WeRefuse(FRACTION)),
        ("early", "early_termination: {type: truncation_selection, truncation_percentage: 9, exclude_finished_jobs: true}".into(), Same),
        ("early", "early_termination: null".into(), Same),
        ("space", "search_space: {}".into(), WeRefuse(EMPTY_SPACE)),
        ("space", "".into(), Same),
        ("space", "search_space: [1, 2]".into(), Same),
        ("space", "search_space:\n  x: {type: uniform, min_value: 0, max_value: 1}\n  a-b: {type: randint, upper: 3}".into(), Same),
        ("trial", trial("  command: python train.py"), Same),
        ("trial", trial("  command: echo ${{search_space.y}}"), WeRefuse(UNDEFINED)),
        ("trial", trial("  command: echo {search_space.x}"), Same),
        ("trial", trial("  command: echo ${{inputs.a}}"), Same),
        ("trial", trial("  command: echo {inputs.a}"), Same),
        ("trial", trial("  command: echo ${{outputs.a}}"), WeRefuse(UNDEFINED)),
        ("trial", trial("  command: echo ${{parent.a}}"), WeRefuse(UNDEFINED)),
        ("trial", trial("  command: ''"), WeRefuse(EMPTY_SPACE)),
        ("trial", trial("  code: src"), Same),
        ("trial", trial("  command: a\n  environment_variables: {A: b, C: '3'}"), Same),
        ("trial", trial("  command: a\n  environment_variables: [A]"), Same),
        ("trial", trial("  command: a\n  resources: {instance_count: 2}"), Same),
        ("trial", trial("  command: a\n  distribution: {type: pytorch, process_count_per_instance: 2}"), Same),
        ("trial", trial("  command: a\n  comand: b"), Same),
        ("trial", trial("  comand: b"), Same),
        ("trial", trial("  command: a\n  environment_variables: {A: null}"), Same),
        ("trial", trial("  command: a\n  $schema: https://x.org/y.json"), Same),
        ("trial", trial("  command: a\n  code: src/train.py"), Same),
        ("trial", trial("  command: a\n  distribution: {type: foo}"), WeAccept(PARTS)),
        ("trial", "trial:\n  command: a\n  environment: {image: 'python:3', foo: 1}".into(), WeAccept(PARTS)),
        ("compute", "compute: null".into(), WeAccept(PARTS)),
        ("extra", "id: azureml:x".into(), Same),
        ("extra", "status: Completed".into(), Same),
        ("extra", "creation_context: {created_by: a, created_at: '2024-01-01T00:00:00'}".into(), Same),
        ("extra", "$schema: 5".into(), WeRefuse(SCHEMA)),
        ("extra", "name: ''".into(), WeRefuse(EMPTY_SPACE)),
        ("extra", "tags: {1: a}".into(), WeAccept(LABEL_KEYS)),
        ("inputs", "inputs: {a: {type: uri_file, path: data.csv, path_on_compute: /x}}".into(), WeAccept(ON_COMPUTE)),
        ("inputs", "inputs: {a: 2020-01-01}".into(), WeAccept(MILD_YAML)),
        ("trial", "trial:\n  command: python train.py".into(), WeAccept(NO_ENVIRONMENT)),
        ("trial", "trial:\n  command: python train.py\n  environment: env".into(), WeAccept(NO_ENVIRONMENT)),
        ("trial", "trial:\n  command: python train.py\n  environment: {image: 'python:3'}".into(), Same),
        ("trial", "trial: train.yml".into(), Same),
        ("trial", "".into(), Same),
        ("compute", "".into(), Same),
        ("compute", "compute: local".into(), Same),
        ("type", "type: swep".into(), Same),
        ("type", "type: Sweep".into(), Same),
        ("extra", "name: my-study_1.2".into(), Same),
        ("extra", "name: my study".into(), WeRefuse(NAME)),
        ("extra", "name: 34".into(), Same),
        ("extra", "display_name: 34".into(), Same),
        ("extra", "description: any text\nexperiment_name: e\ntags: {a: b, c: null}\nproperties: {d: e}".into(), Same),
        ("extra", "tags: {a: 3}".into(), Same),
        ("extra", "tags: [a]".into(), Same),
        ("extra", "resources: {instance_type: Standard_D2, instance_count: 1}".into(), Same),
        ("extra", "queue_settings: {job_tier: spot}".into(), Same),
        ("extra", "identity: {type: user_identity}".into(), Same),
        ("extra", "sampling: random".into(), Same),
        ("extra", "max_total_trials: 3".into(), Same),
        ("inputs", "inputs: {a: 3, b: 2.5, c: text, d: true}".into(), Same),
        ("inputs", "inputs: {a: {type: uri_file, path: 'https://x.org/y.csv'}}".into(), Same),
        ("inputs", "inputs: {a: {path: data.csv}}".into(), Same),
        ("inputs", "inputs: {a: {type: uri_folder, path: src, mode: ro_mount}}".into(), Same),
        ("inputs", "inputs: {a: {type: uri_file}}".into(), WeRefuse(NO_PATH)),
        ("inputs", "inputs: {a: {type: csv, path: data.csv}}".into(), Same),
        ("inputs", "inputs: {a: {type: uri_file, path: data.csv, mode: fast}}".into(), Same),
        ("inputs", "inputs: {a: null}".into(), Same),
        ("inputs", "inputs: {a-b: 3}".into(), Same),
        ("inputs", "inputs: [a]".into(), Same),
        ("inputs", "outputs: {a: null}".into(), Same),
        ("inputs", "outputs: {a: {type: uri_file}}".into(), Same),
        ("inputs", "outputs: {a: {type: uri_folder, mode: rw_mount}}".into(), Same),
        ("inputs", "outputs: {a: {type: csv}}".into(), Same),
    ];
    let numbered = cases.into_iter().enumerate();
    let mut variants: Vec<Variant> = numbered
        .map(|(index, (section, text, meant))| {
            let name = format!("sweep {index} {text}");
            // Without a space there must be no command that names a parameter of it.
            let changes = [("trial", plain.as_str()), (section, text.as_str())];
            let changes = if section == "space" { &changes[..] } else { &changes[1..] };
            variant(&name, &sweep(), changes, meant)
        })
        .collect();
    let choice = "search_space:\n  x: {type: choice, values: [1, 2]}";
    for limits in ["", "limits: {max_concurrent_trials: 2}"] {
        let changes =
            [("sampling", "sampling_algorithm: grid"), ("space", choice), ("limits", limits)];
        let name = format!("grid with limits: {limits}");
        variants.push(variant(&name, &sweep(), &changes, WeAccept(GRID_LIMITS)));
    }
    let seeded = [("sampling", "sampling_algorithm: {type: grid, seed: 3}"), ("space", choice)];
    variants.push(variant("grid with a seed", &sweep(), &seeded, WeAccept(SEEDS)));
    variants
}

fn automl_sections() -> Vec<Variant> {
    let forecast = "task: forecasting";
    let settings = "forecasting: {time_column_name: date, forecast_horizon: 7";
    let training = |text: &str| vec![("training", format!("training: {{{text}}}"))];
    let extra = |text: &str| vec![("extra", text.to_owned())];
    let forecasting = |text: &str| {
        vec![("task", forecast.to_owned()), ("forecasting", format!("{settings}{text}}}"))]
    };
    let one = |section, text: &str| vec![(section, text.to_owned())];
    let cases: Vec<(Vec<(&str, String)>, Meant)> = vec![
        (vec![], Same),
        (one("task", "task: Regression"), Same),
        (one("task", "task: ranking"), Same),
        (one("task", ""), Same),
        (one("task", "task: classification"), Same),
        (one("metric", "primary_metric: r2_score"), Same),
        (one("metric", "primary_metric: R2Score"), Same),
        (one("metric", "primary_metric: accuracy"), Same),
        (one("metric", "primary_metric: normalized_mean_absolute_error"), Same),
        (one("metric", "primary_metric: spearman_correlation"), Same),
        (one("metric", "primary_metric: rmse"), WeAccept(METRICS)),
        (one("metric", "primary_metric: mean_squared_error"), WeAccept(METRICS)),
        (one("target", ""), Same),
        (one("target", "target_column_name: 3"), Same),
        (one("data", ""), Same),
        (one("data", "training_data: train"), WeAccept(PLAIN_DATA)),
        (one("data", "training_data: {type: uri_file, path: data.csv}"), WeAccept(PLAIN_DATA)),
        (one("data", "training_data: {path: train}"), Same),
        (one("data", "training_data: {type: mltable}"), WeRefuse(NO_PATH)),
        (one("data", "training_data: {type: mltable, path: train, pat: x}"), Same),
        (one("limits", ""), Same),
        (one("limits", "limits: {max_trials: 0}"), WeRefuse(NOT_POSITIVE)),
        (one("limits", "limits: {max_trials: 5, max_concurrent_trials: 9}"), Same),
        (one("limits", "limits: {timeout_minutes: 0}"), WeRefuse(NOT_POSITIVE)),
        (one("limits", "limits: {max_cores_per_trial: -1, max_nodes: 4}"), Same),
        (one("limits", "limits: {exit_score: 0.9, enable_early_termination: true}"), Same),
        (one("limits", "limits: {max_total_trials: 5}"), Same),
        (one("limits", "limits: {max_cores_per_trial: 0}"), WeRefuse(NOT_POSITIVE)),
        (one("limits", "limits: {enable_early_termination: 1}"), Same),
        (one("limits", "limits: {enable_early_termination: 2}"), Same),
        (one("limits", "limits: {enable_early_termination: '0'}"), Same),
        (training("allowed_training_algorithms: []"), Same),
        (training("blocked_training_algorithms: []"), Same),
        (training("allowed_training_algorithms: knn"), WeAccept(SCALARS)),
        (training("stack_ensemble_settings: {stack_meta_learner_kwargs: {a: 1}}"), WeAccept(META_PARAMETERS)),
        (extra("inputs: {a: 1}"), WeAccept(AUTOML_INPUTS)),
        (vec![("task", "task: image_classification".to_owned()), ("extra", "forecasting: {time_column_name: d}".to_owned())], WeAccept(OTHER_TASKS)),
        (extra("n_cross_validations: Auto"), Same),
        (extra("n_cross_validations: AUTO"), Same),
        (extra("n_cross_validations: 1_0"), Same),
        (extra("cv_split_column_names: a"), WeAccept(SCALARS)),
        (extra("cv_split_column_names: []"), WeRefuse(NO_FOLDS)),
        (forecasting(", frequency: fortnight"), WeRefuse(FREQUENCY)),
        (forecasting(", frequency: 15T, country_or_region_for_holidays: AR"), Same),
        (forecasting(", target_lags: []"), Same),
        (forecasting(", target_lags: Auto"), Same),
        (forecasting(", seasonality: AUTO"), Same),
        (forecasting(", target_rolling_window_size: Auto"), Same),
        (forecasting(", target_rolling_window_size: [1]"), WeAccept(ROLLING)),
        (vec![("task", forecast.to_owned()), ("forecasting", "forecasting: {time_column_name: d, forecast_horizon: Auto}".to_owned())], Same),
        (vec![("task", forecast.to_owned()), ("forecasting", "forecasting: {time_column_name: d, forecast_horizon: 0}".to_owned())], WeRefuse(HORIZON)),
        (training("allowed_training_algorithms: [light_gbm, LightGBM, XGBoostRegressor]"), Same),
        (training("allowed_training_algorithms: [lightgbm]"), WeAccept(SPELLING)),
        (training("allowed_training_algorithms: [logistic_regression]"), Same),
        (training("blocked_training_algorithms: [knn, sgd]"), Same),
        (training("allowed_training_algorithms: [knn], blocked_training_algorithms: [knn]"), WeRefuse(BOTH_LISTS)),
        (training("allowed_training_algorithms: [knn], blocked_training_algorithms: [sgd]"), Same),
        (training("enable_stack_ensemble: false, enable_vote_ensemble: true"), Same),
        (training("enable_model_explainability: true, enable_onnx_compatible_models: false"), Same),
        (training("stack_ensemble_settings: {stack_meta_learner_type: elastic_net, stack_meta_learner_train_percentage: 0.2}"), Same),
        (training("stack_ensemble_settings: {stack_meta_learner_type: svm}"), Same),
        (training("training_mode: auto"), Same),
        (training("training_mode: fast"), Same),
        (training("enable_everything: true"), Same),
        (extra("enable_model_explainability: true"), Same),
        (extra("n_cross_validations: 5"), Same),
        (extra("n_cross_validations: auto"), Same),
        (extra("n_cross_validations: some"), Same),
        (extra("n_cross_validations: 1"), WeRefuse(OUTSIDE_SHARE)),
        (extra("validation_data_size: 0.2"), Same),
        (extra("validation_data_size: 20"), WeRefuse(OUTSIDE_SHARE)),
        (extra("n_cross_validations: 3\nvalidation_data_size: 0.2"), Same),
        (extra("validation_data: {type: mltable, path: train}"), Same),
        (extra("validation_data: {type: mltable, path: train}\nn_cross_validations: 3"), WeRefuse(VALIDATION)),
        (extra("validation_data: {type: mltable, path: train}\nvalidation_data_size: 0.1"), WeRefuse(VALIDATION)),
        (extra("test_data: {type: mltable, path: train}"), Same),
        (extra("test_data_size: 0.1"), Same),
        (extra("cv_split_column_names: [a, b]"), Same),
        (extra("weight_column_name: w"), Same),
        (extra("positive_label: a"), Same),
        (extra("log_verbosity: debug"), Same),
        (extra("log_verbosity: loud"), Same),
        (extra("featurization: {mode: auto}"), Same),
        (extra("featurization: {mode: 'off'}"), Same),
        (extra("featurization: {mode: off}"), WeAccept(MILD_YAML)),
        (extra("featurization: {mode: custom, blocked_transformers: [LabelEncoder, tf_idf]}"), Same),
        (extra("featurization: {mode: custom, blocked_transformers: [Scaler]}"), Same),
        (extra("featurization: {mode: custom, column_name_and_types: {a: Numeric}}"), Same),
        (extra("featurization: {mode: custom, transformer_params: {imputer: [{fields: [a], parameters: {strategy: median}}]}}"), Same),
        (extra("featurization: {mode: some}"), Same),
        (extra("featurization: {dataset_language: eng, enable_dnn_featurization: true}"), Same),
        (extra("search_space: {}"), Same),
        (extra("environment_variables: {A: b}"), Same),
        (extra("outputs: {best_model: {type: mlflow_model}}"), Same),
        (extra("forecasting: {time_column_name: date}"), Same),
        (one("task", forecast), WeRefuse(NO_FORECASTING)),
        (vec![("task", forecast.to_owned()), ("forecasting", "forecasting: {forecast_horizon: 3}".to_owned())], WeRefuse(NO_FORECASTING)),
        (forecasting(""), Same),
        (forecasting(", time_series_id_column_names: [store, brand], frequency: W-THU"), Same),
        (forecasting(", time_series_id_column_names: store"), Same),
        (forecasting(", target_lags: auto, target_rolling_window_size: auto, seasonality: auto"), Same),
        (forecasting(", target_lags: [1, 7], target_rolling_window_size: 7, seasonality: 52"), Same),
        (forecasting(", target_lags: 7"), Same),
        (forecasting(", target_lags: some"), Same),
        (forecasting(", feature_lags: auto, use_stl: season"), Same),
        (forecasting(", use_stl: SeasonTrend"), Same),
        (forecasting(", use_stl: season_trend"), WeAccept(STL)),
        (forecasting(", use_stl: trend"), Same),
        (forecasting(", short_series_handling_config: pad, target_aggregate_function: mean"), Same),
        (forecasting(", short_series_handling_config: keep"), Same),
        (forecasting(", country_or_region_for_holidays: US, cv_step_size: 7"), Same),
        (forecasting(", features_unknown_at_forecast_time: [a]"), Same),
        (forecasting(", horizon: 3"), Same),
        (one("forecasting", "forecasting: {time_column_name: a}"), Same),
        (vec![("task", forecast.to_owned()), ("forecasting", "forecasting: {time_column_name: d, forecast_horizon: auto}".to_owned()), ("training", "training: {blocked_training_algorithms: [extreme_random_trees, Prophet], enable_dnn_training: true}".to_owned())], Same),
    ];
    let numbered = cases.into_iter().enumerate();
    numbered
        .map(|(index, (changes, meant))| {
            let changes: Vec<(&str, &str)> =
                changes.iter().map(|(section, text)| (*section, text.as_str())).collect();
            let shown: Vec<&str> = changes.iter().map(|(_, text)| *text).collect();
            let name = format!("automl {index} {}", shown.join("; "));
            variant(&name, &automl(), &changes, meant)
        })
        .collect()
}

fn variants() -> Vec<Variant> {
    let parts = [sweeps_crossed(), spaces(), sweep_sections(), automl_sections()];
    parts.into_iter().flatten().collect()
}

#[test]
fn azure_and_we_accept_the_same_jobs() {
    let variants = variants();
    assert!(variants.len() >= 200, "{} variants", variants.len());

    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| folder.path().join(name);
    std::fs::create_dir(inside("src")).unwrap();
    std::fs::write(inside("src/train.py"), "").unwrap();
    std::fs::create_dir(inside("train")).unwrap();
    std::fs::write(inside("train/MLTable"), "paths: [{file: ./x.csv}]\n").unwrap();
    std::fs::write(inside("data.csv"), "a,y\n1,2\n").unwrap();
    let cases = variants.iter().enumerate().map(|(index, variant)| Case {
        file: format!("job{index}.yml"),
        text: &variant.text,
        shown: &variant.name,
        meant: variant.meant,
    });
    compare(folder.path(), &cases.collect::<Vec<_>>(), |name, text| {
        Job::read(name, text).and_then(|job| job.study()).map(drop)
    });
}

#[test]
fn every_difference_is_in_the_reference() {
    are_told("job-file.md", variants().iter().map(|variant| variant.meant));
}

#[test]
fn every_refusal_says_what_to_write_instead() {
    for variant in variants() {
        let Err(problems) = Job::read("job.yml", &variant.text).and_then(|job| job.study()) else {
            continue;
        };
        assert!(!problems.0.is_empty(), "{}", variant.name);
        for problem in problems.0 {
            let hint = problem.hint.clone().unwrap_or_default();
            let parts = [&problem.message, &problem.found, &problem.allowed, &hint];
            assert!(parts.iter().all(|part| !part.is_empty()), "{problem:?}");
        }
    }
}
