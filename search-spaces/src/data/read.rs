//! The data keys of a job: `training_data`, `target_column_name`, partitions and folds.

use super::{DataSource, DataSpec, Folds, Forecasting, Task};
use crate::fields::{At, Fields, same_word};
use crate::findings::{Findings, Mistake};
use crate::ignored::OF_PATHS;
use crate::yaml::Content;

/// The keys that describe data, which a command job does not have.
pub(crate) const DATA_KEYS: &[&str] = &[
    "training_data",
    "validation_data",
    "test_data",
    "target_column_name",
    "task",
    "partition_column_names",
    "weight_column_name",
    "positive_label",
    "n_cross_validations",
    "validation_data_size",
    "cv_split_column_names",
    "forecasting",
];

impl DataSpec {
    /// Reads the data keys that stand at the root of a job, if it names any data. What else could
    /// not be read is empty, and a problem.
    pub(crate) fn read(
        root: &mut Fields<'_>,
        task: Option<Task>,
        findings: &mut Findings,
    ) -> Option<Self> {
        let example = "training_data: {path: data.csv}";
        let training = root.require("training_data", example, findings);
        let training = training.and_then(|at| DataSource::read(&at, findings));
        let validation_at = root.take("validation_data", findings);
        let validation = validation_at.as_ref().map(|at| DataSource::read(at, findings));
        let test = root.take("test_data", findings).map(|at| {
            findings.notice(&at, "is not used by this version: no model is tested on it");
            DataSource::read(&at, findings)
        });
        let target_at = root.require("target_column_name", "target_column_name: sales", findings);
        let target = target_at.as_ref().and_then(|at| at.text(findings));
        let partition_at = root.take("partition_column_names", findings);
        let partitions = partition_at.as_ref().map_or_else(Vec::new, |at| columns(at, findings));
        if let Some(at) = &partition_at
            && at.one_or_more().is_empty()
        {
            findings.notice(at, "is an empty list; there is one model for all rows");
        }
        let weight_at = root.take("weight_column_name", findings);
        let weight = weight_at.as_ref().map(|at| at.text(findings));
        let positive_label = read_positive_label(root, task, findings);
        let folds = read_folds(root, validation_at.as_ref(), task, findings);
        let forecasting = Forecasting::read_for(root, task, findings);

        let assumed = if forecasting.is_some() { Task::Forecasting } else { Task::Regression };
        let mut spec = Self {
            training: training?,
            validation: validation.flatten(),
            test: test.flatten(),
            target: target.unwrap_or_default(),
            task: task.unwrap_or(assumed),
            partition_columns: Vec::new(),
            weight_column: weight.flatten(),
            positive_label,
            folds: folds.unwrap_or(Folds::Auto),
            forecasting,
        };
        let partition_at = partition_at.map(|at| at.one_or_more()).unwrap_or_default();
        check_partitions(&spec, &partitions, &partition_at, findings);
        if let Some(at) = &weight_at
            && spec.weight_column.as_ref() == Some(&spec.target)
        {
            let mistake = Mistake::new("is the target column too", "another column");
            findings.problem(at, mistake.hint("name the column that holds the weights"));
        }
        spec.partition_columns = partitions;
        Some(spec)
    }
}

impl DataSource {
    /// Reads a path, a list of paths, or Azure's map with a `path`.
    pub(crate) fn read(at: &At<'_>, findings: &mut Findings) -> Option<Self> {
        let path_at = match &at.node.content {
            Content::Map(_) => {
                let mut fields = at.map(findings)?;
                fields.also_called("file", "path");
                if let Some(kind) = fields.take("type", findings) {
                    kind.word(TYPES, findings);
                }
                fields.ignore(&["mode"]);
                fields.ignore(OF_PATHS);
                let path = fields.require("path", "path: data.csv", findings);
                fields.finish(findings);
                path?
            }
            _ => at.clone(),
        };
        let items = path_at.one_or_more();
        if items.is_empty() {
            return path_at.wrong(findings, "at least one path", None);
        }
        let paths: Vec<String> = items.iter().filter_map(|item| item.text(findings)).collect();
        for (item, path) in items.iter().zip(&paths) {
            if paths.len() == items.len() && is_remote(path) {
                let says = format!("is {}, which is not on this machine", item.node.brief());
                let hint = format!("fetch it, then --set {}=LOCAL_PATH", item.path);
                findings.cannot_run(item, Mistake::new(says, "a local path").hint(hint));
            }
        }
        if paths.len() < items.len() {
            return None;
        }
        Some(Self { paths, place: findings.place(&path_at) })
    }
}

const TYPES: &[(&str, ())] = &[("mltable", ()), ("uri_file", ()), ("uri_folder", ())];

/// What a local address begins with where it has a scheme.
const FILE: &str = "file://";

/// A local path without the scheme that it may have.
pub fn local_path(path: &str) -> &str {
    path.trim_start().strip_prefix(FILE).unwrap_or(path)
}

/// Whether a path names something on another machine.
pub fn is_remote(path: &str) -> bool {
    let path = path.trim_start();
    if path.starts_with(FILE) {
        return false;
    }
    let scheme = path.split_once("://").map(|(scheme, _)| scheme);
    let is_scheme = |scheme: &str| {
        !scheme.is_empty()
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    scheme.is_some_and(is_scheme)
        || path.starts_with("azureml:")
        || path.starts_with("git@")
        || path.starts_with("git+")
}

/// A list of different column names, or one.
pub(crate) fn columns(at: &At<'_>, findings: &mut Findings) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for item in at.one_or_more() {
        let Some(name) = item.text(findings) else {
            continue;
        };
        if names.contains(&name) {
            let says = format!("repeats {}", item.node.brief());
            let mistake = Mistake::new(says, "each column once").hint("remove one of the two");
            findings.problem(&item, mistake);
        }
        names.push(name);
    }
    names
}

fn check_partitions(
    spec: &DataSpec,
    partitions: &[String],
    places: &[At<'_>],
    findings: &mut Findings,
) {
    let forecasting = spec.forecasting.as_ref();
    for (name, at) in partitions.iter().zip(places) {
        let role = if *name == spec.target {
            "the target column"
        } else if spec.weight_column.as_ref() == Some(name) {
            "the weight column"
        } else if forecasting.is_some_and(|settings| settings.time_column == *name) {
            "the time column"
        } else {
            continue;
        };
        let says = format!("is {}, {role}; a partition needs a column of its own", at.node.brief());
        let mistake = Mistake::new(says, "another column");
        findings.problem(at, mistake.hint("name the columns that tell entities apart"));
    }
}

fn read_positive_label(
    root: &mut Fields<'_>,
    task: Option<Task>,
    findings: &mut Findings,
) -> Option<String> {
    let at = root.take("positive_label", findings)?;
    if let Some(task) = task
        && task != Task::Classification
    {
        let says = format!("is for classification, and the task is {}", task.name());
        findings.problem(&at, Mistake::new(says, "nothing").hint("remove positive_label"));
        return None;
    }
    at.text(findings)
}

fn read_folds(
    root: &mut Fields<'_>,
    validation: Option<&At<'_>>,
    task: Option<Task>,
    findings: &mut Findings,
) -> Option<Folds> {
    let count_at = root.take("n_cross_validations", findings);
    let size_at = root.take("validation_data_size", findings);
    let columns_at = root.take("cv_split_column_names", findings);
    let out_of_bag = count_at.as_ref().is_some_and(is_out_of_bag);
    if let (Some(at), true, Some(Task::Forecasting)) = (&count_at, out_of_bag, task) {
        let says =
            "is out_of_bag, which judges rows by later ones; forecasts are judged by the past";
        findings.problem(at, Mistake::new(says, "a number of folds").hint("write auto"));
    }
    let count = match &count_at {
        Some(_) if out_of_bag => Some(None),
        Some(at) => at
            .int_or_auto(2, 1_000, findings)
            .map(|count| count.and_then(|count| u32::try_from(count).ok())),
        None => Some(None),
    };
    let size = match &size_at {
        Some(at) => share(at, findings).map(Some),
        None => Some(None),
    };
    let names = columns_at.as_ref().map(|at| columns(at, findings));
    if let (Some(at), Some([])) = (&columns_at, names.as_deref())
        && at.one_or_more().is_empty()
    {
        let mistake = Mistake::new("is an empty list; it makes no folds", "at least one column");
        findings.problem(at, mistake.hint("name a column, or remove cv_split_column_names"));
    }
    if validation.is_some() {
        for at in [&count_at, &size_at, &columns_at].into_iter().flatten() {
            let says = "stands beside validation_data, which leaves nothing to split";
            let hint = format!("remove {} or validation_data", at.name());
            findings.problem(at, Mistake::new(says, "nothing").hint(hint));
        }
        return Some(Folds::Given);
    }
    let (count, size) = (count?, size?);
    let is_counted = count.is_some() || out_of_bag;
    match (names, count, size) {
        (Some(names), _, size) => {
            for (at, _) in [(&count_at, is_counted), (&size_at, size.is_some())]
                .into_iter()
                .filter(|(_, is_set)| *is_set)
            {
                if let Some(at) = at {
                    findings.notice(at, "is not used: cv_split_column_names makes the folds");
                }
            }
            Some(Folds::Columns(names))
        }
        (None, count, size) if is_counted => {
            if let (Some(at), Some(_)) = (&size_at, size) {
                findings.notice(at, "is not used: n_cross_validations makes the folds");
            }
            Some(count.map_or(Folds::OutOfBag, Folds::Count))
        }
        (None, _, Some(size)) => Some(Folds::HoldOut(size)),
        (None, _, None) => Some(Folds::Auto),
    }
}

/// Whether it says that no folds are made, but each row is judged by the trees that have not seen it.
pub(crate) fn is_out_of_bag(at: &At<'_>) -> bool {
    at.plain_text().is_some_and(|text| same_word(&text, "out_of_bag"))
}

/// A share strictly between 0 and 1.
pub(crate) fn share(at: &At<'_>, findings: &mut Findings) -> Option<f64> {
    let number = at.float(findings)?;
    if number > 0.0 && number < 1.0 {
        return Some(number);
    }
    at.wrong(findings, "a share between 0 and 1", Some(format!("write {}: 0.2", at.name())))
}
