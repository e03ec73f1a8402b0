//! Keys that are accepted and change nothing, by where they stand. Two jobs that differ in nothing
//! else are the same job.

use serde_json::{Map, Value};

/// Keys that only describe a job; they are kept with it and not worth a notice.
pub(crate) const DESCRIPTIVE: &[&str] =
    &["$schema", "display_name", "description", "experiment_name"];

/// What Azure adds to a job that it has run.
pub(crate) const RECORDED: &[&str] = &["id", "status", "creation_context"];

/// Maps of text to text that describe a job.
pub(crate) const LABELS: &[&str] = &["tags", "properties"];

/// Keys that say where and how Azure runs a job.
pub(crate) const OF_JOBS: &[&str] = &["compute", "identity", "services", "resources"];

/// Keys that say when a job runs, not what it is.
const OF_QUEUES: &[&str] = &["queue_settings"];

/// The same keys of an AutoML job.
pub(crate) const OF_AUTOML: &[&str] = &["environment", "environment_id", "environment_variables"];

/// Keys of an AutoML job that are not worth a notice.
pub(crate) const SILENT_OF_AUTOML: &[&str] = &["inputs", "outputs"];

/// Keys of an AutoML job's `limits`.
pub(crate) const OF_AUTOML_LIMITS: &[&str] = &["max_nodes"];

/// Keys of `trial`.
pub(crate) const OF_TRIALS: &[&str] =
    &["environment", "distribution", "resources", "queue_settings"];

/// Keys of an input, or of a data set, beside its path.
pub(crate) const OF_PATHS: &[&str] = &["datastore", "path_on_compute"];

/// Keys of an output.
pub(crate) const OF_OUTPUTS: &[&str] = &["name", "version", "description"];

/// Takes every such key out of a job's document, and those whose words are checked and then mean
/// nothing.
pub(crate) fn strip(job: &mut Value) {
    let is_automl = job.get("type").and_then(Value::as_str) == Some("automl");
    let Some(root) = job.as_object_mut() else {
        return;
    };
    remove(root, &[&["name"], DESCRIPTIVE, RECORDED, LABELS, OF_JOBS, OF_QUEUES]);
    for key in ["training_data", "validation_data", "test_data"] {
        strip_map(root.get_mut(key), &[&["type", "mode"], OF_PATHS]);
    }
    if is_automl {
        remove(root, &[&["log_verbosity"], OF_AUTOML, SILENT_OF_AUTOML]);
        strip_map(root.get_mut("limits"), &[OF_AUTOML_LIMITS]);
        return;
    }
    strip_map(root.get_mut("trial"), &[&["$schema"], OF_TRIALS]);
    strip_each(root.get_mut("inputs"), &[&["type", "mode"], OF_PATHS]);
    strip_each(root.get_mut("outputs"), &[&["path", "mode"], OF_OUTPUTS]);
}

fn strip_each(map: Option<&mut Value>, lists: &[&[&str]]) {
    for value in map.and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        strip_map(Some(value), lists);
    }
}

fn strip_map(map: Option<&mut Value>, lists: &[&[&str]]) {
    if let Some(map) = map.and_then(Value::as_object_mut) {
        remove(map, lists);
    }
}

fn remove(map: &mut Map<String, Value>, lists: &[&[&str]]) {
    map.retain(|key, _| !lists.iter().any(|list| list.contains(&key.as_str())));
}
