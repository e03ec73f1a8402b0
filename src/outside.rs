//! A study held against the files that it names: do they exist, and do they have the columns?

use std::path::Path;

use fleetfit_search_spaces::{
    DataSource, DataSpec, Folds, Input, Job, Problem, Study, Work, nearest,
};
use fleetfit_trial_runner::dataset::{self, DataError};

/// Everything that the study names and that is not there.
pub(crate) fn problems(job: &Job, study: &Study, base_dir: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Work::Command(command) = &study.work {
        if let Some(code) = command.code.as_ref().filter(|code| !is_remote(code)) {
            let folder = base_dir.join(code);
            if !folder.is_dir() {
                let found = if folder.exists() { "is a file" } else { "does not exist" };
                problems.push(job.problem_at(
                    "trial.code",
                    &format!("{code} {found}"),
                    "a folder that exists",
                    Some("the path starts from the job file's folder"),
                ));
            }
        }
        for (name, input) in &command.inputs {
            if let Input::Path { path, .. } = input
                && !base_dir.join(path).exists()
            {
                problems.push(job.problem_at(
                    &format!("inputs.{name}.path"),
                    &format!("{path} does not exist"),
                    "a file or folder that exists",
                    Some("the path starts from the job file's folder"),
                ));
            }
        }
    }
    if let Some(data) = &study.data {
        problems.extend(data_problems(job, data, base_dir));
    }
    problems
}

fn is_remote(path: &str) -> bool {
    path.contains("://") || path.starts_with("azureml:") || path.starts_with("git+")
}

/// The problem that a data source's error means.
pub(crate) fn data_problem(job: &Job, error: &DataError) -> Problem {
    let key = error.key;
    let path = if key.ends_with("_data") { format!("{key}.path") } else { key.to_owned() };
    job.problem_at(&path, &error.to_string(), &error.allowed, error.hint.as_deref())
}

fn data_problems(job: &Job, data: &DataSpec, base_dir: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut header = |key: &'static str, source: &DataSource| {
        if source.paths.iter().any(|path| is_remote(path)) {
            return None;
        }
        match dataset::header(base_dir, source) {
            Ok(columns) => Some(columns),
            Err(error) => {
                problems.push(data_problem(job, &DataError { key, ..error }));
                None
            }
        }
    };
    let training = header("training_data", &data.training);
    let validation = data.validation.as_ref().and_then(|source| header("validation_data", source));
    if let Some(source) = &data.test {
        header("test_data", source);
    }
    if let Some(columns) = training {
        problems.extend(missing_columns(job, data, &columns, "the training data"));
    }
    if let Some(columns) = validation {
        let more = missing_columns(job, data, &columns, "the validation data");
        // One mistake, one line: a column that neither table has is told once.
        for problem in more {
            if !problems.iter().any(|told| told.place == problem.place) {
                problems.push(problem);
            }
        }
    }
    problems
}

fn missing_columns(job: &Job, data: &DataSpec, columns: &[String], table: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, name) in named_columns(data) {
        if columns.iter().any(|column| column == name) {
            continue;
        }
        let near = nearest(name, columns.iter().map(String::as_str));
        let listed: Vec<&str> = columns.iter().map(String::as_str).take(20).collect();
        let more = if columns.len() > listed.len() { ", …" } else { "" };
        let hint = match near {
            Some(near) => format!("did you mean {near}?"),
            None => format!("its columns are {}{more}", listed.join(", ")),
        };
        problems.push(job.problem_at(
            &path,
            &format!("{table} has no column {name}"),
            &format!("one of {}{more}", listed.join(", ")),
            Some(&hint),
        ));
    }
    problems
}

/// Every column that the job names, with the YAML path of the name.
fn named_columns(data: &DataSpec) -> Vec<(String, &str)> {
    let mut named: Vec<(String, &str)> = vec![("target_column_name".into(), &data.target)];
    named.extend(each("partition_column_names", &data.partition_columns));
    named.extend(data.weight_column.as_deref().map(|name| ("weight_column_name".to_owned(), name)));
    if let Folds::Columns(columns) = &data.folds {
        named.extend(each("cv_split_column_names", columns));
    }
    if let Some(forecasting) = &data.forecasting {
        named.push(("forecasting.time_column_name".into(), &forecasting.time_column));
        let series = "forecasting.time_series_id_column_names";
        named.extend(each(series, &forecasting.series_columns));
        let unknown = "forecasting.features_unknown_at_forecast_time";
        named.extend(each(unknown, &forecasting.unknown_columns));
    }
    named
}

fn each<'a>(key: &str, names: &'a [String]) -> impl Iterator<Item = (String, &'a str)> {
    names.iter().enumerate().map(move |(index, name)| (format!("{key}.{index}"), name.as_str()))
}
