//! A job held against the files that it names: do they exist, and do they have the columns?

use std::path::Path;

use fleetfit_search_spaces::data::{is_remote, local_path};
use fleetfit_search_spaces::{
    CommandTrial, DataSource, DataSpec, Folds, Input, Job, Problem, nearest,
};
use fleetfit_trial_runner::dataset::{self, DataError, Fault};
use fleetfit_trial_runner::material::MaterialError;

/// A problem at a path of the job, told in a sentence.
pub(crate) fn told(job: &Job, path: &str, says: &str, allowed: &str, hint: &str) -> Problem {
    let mut problem = job.problem_at(path, says, allowed, Some(hint));
    problem.message = format!("{path}: {says}");
    problem
}

/// The problem that a data source's error means.
pub(crate) fn data_problem(job: &Job, error: &DataError) -> Problem {
    let key = error.key;
    let path = if key.ends_with("_data") { format!("{key}.path") } else { key.to_owned() };
    let hint = error.hint.as_deref().unwrap_or(match error.fault {
        Fault::Missing => "paths start from the job file's folder",
        Fault::Remote => "download the data and write its local path",
        Fault::Unreadable => "check that the file is whole, and that its name says what it is",
        Fault::Content => "mend the data, or name another file or column",
    });
    let mut problem = told(job, &path, &error.to_string(), &error.allowed, hint);
    if !error.found.is_empty() {
        problem.found = error.found.to_string();
    }
    problem
}

/// What keeps a job's files from being sent.
pub(crate) fn material_problem(job: &Job, error: &MaterialError) -> Problem {
    match error {
        MaterialError::Data(error) => data_problem(job, error),
        MaterialError::Command { at, source } => {
            let hint = "name a folder that holds only what the program needs";
            told(job, at, &source.to_string(), "files that can be read", hint)
        }
        MaterialError::Place { at, source } => {
            let hint = "name its folders shorter, or put it further up";
            told(job, at, &source.to_string(), "files that can be sent", hint)
        }
        other => job.problem_at("", &other.to_string(), "files that can be sent", None),
    }
}

/// A path that was not sent along with the job.
pub(crate) fn not_sent(job: &Job, error: &str) -> Problem {
    let hint = "send the job with fleetfit submit, which sends what it names";
    job.problem_at("", error, "", Some(hint))
}

/// The files that a command names and that are not there.
pub(crate) fn command_problems(job: &Job, command: &CommandTrial, base: &Path) -> Vec<Problem> {
    let missing = |at: &str, path: &str, allowed: &str| {
        let start = if Path::new(path).is_absolute() {
            "check the path"
        } else {
            "the path starts from the job file's folder"
        };
        told(job, at, &format!("{path} does not exist"), allowed, start)
    };
    let mut problems = Vec::new();
    if let Some(code) = command.code.as_ref().filter(|code| !is_remote(code))
        && !base.join(local_path(code)).exists()
    {
        problems.push(missing("trial.code", code, "a folder that exists"));
    }
    for (name, input) in &command.inputs {
        if let Input::Path { path, .. } = input
            && !base.join(local_path(path)).exists()
        {
            let at = format!("inputs.{name}.path");
            problems.push(missing(&at, path, "a file or folder that exists"));
        }
    }
    problems
}

/// The tables and columns that a job names and that are not there.
pub(crate) fn data_problems(job: &Job, data: &DataSpec, base: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut header = |key: &'static str, source: &DataSource| {
        if source.paths.iter().any(|path| is_remote(path)) {
            return None;
        }
        match dataset::header(base, source) {
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
        // One mistake, one line: a column that neither table has is told once.
        for problem in missing_columns(job, data, &columns, "the validation data") {
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
        // A name that could not be read is a problem that has been told.
        if name.is_empty() || columns.iter().any(|column| column == name) {
            continue;
        }
        let near = nearest(name, columns.iter().map(String::as_str));
        let listed: Vec<&str> = columns.iter().map(String::as_str).take(20).collect();
        let more = if columns.len() > listed.len() { ", …" } else { "" };
        let listed = format!("{}{more}", listed.join(", "));
        let hint = match near {
            Some(near) => format!("did you mean {near}?"),
            None => format!("its columns are {listed}"),
        };
        let says = format!("{table} has no column {name}");
        problems.push(told(job, &path, &says, &format!("one of {listed}"), &hint));
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
