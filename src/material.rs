//! What a study works with besides its job: its data, its code, its inputs. Their digest tells
//! whether a study under the same name is the same study.

use std::path::Path;

use fleetfit_search_spaces::data::local_path;
use fleetfit_search_spaces::{CommandTrial, Input, Notice, Work};
use fleetfit_trial_runner::command::{self, CodeError, CodeSnapshot};
use fleetfit_trial_runner::dataset::Dataset;

use crate::failure::Failure;
use crate::outside;
use crate::submission::Submission;

/// What a study works with besides its job.
pub(crate) struct Material {
    /// The data, for built-in learners.
    pub(crate) dataset: Option<Dataset>,
    /// What tells this material from other material; none where there is none.
    pub(crate) digest: Option<String>,
}

impl Material {
    /// Loads the data, and reads the code and the inputs for their digests. Writes nothing.
    pub(crate) fn gather(submission: &Submission, home: &Path) -> Result<Self, Failure> {
        let Submission { job, study, base_dir, .. } = submission;
        let dataset = match &study.data {
            Some(data) => Some(
                Dataset::load(base_dir, data)
                    .map_err(|error| Failure::problem(outside::data_problem(job, &error)))?,
            ),
            None => None,
        };
        let mut parts = Vec::new();
        parts.extend(dataset.as_ref().map(|dataset| format!("data {}", dataset.digest())));
        if let Work::Command(CommandTrial { code, inputs, .. }) = &study.work {
            if let Some(code) = code {
                let digest = command::digest_code(
                    &base_dir.join(local_path(code)),
                    &base_dir.join(file_name(&job.file)),
                    home,
                );
                let digest = digest.map_err(|error| refused(submission, "trial.code", &error))?;
                parts.push(format!("code {digest}"));
            }
            for (name, input) in inputs {
                let Input::Path { path, .. } = input else { continue };
                let digest = command::digest_input(&base_dir.join(local_path(path)));
                let at = format!("inputs.{name}.path");
                let digest = digest.map_err(|error| refused(submission, &at, &error))?;
                parts.push(format!("input {name} {digest}"));
            }
        }
        let digest = (!parts.is_empty()).then(|| parts.join("\n"));
        Ok(Self { dataset, digest })
    }

    /// Where this material differs from other material, as a path of the job and in words.
    pub(crate) fn difference(&self, other: Option<&str>) -> Option<(String, String)> {
        let parts = |digest: Option<&str>| -> Vec<String> {
            digest.unwrap_or_default().lines().map(str::to_owned).collect()
        };
        let (own, other) = (parts(self.digest.as_deref()), parts(other));
        let changed = own.iter().find(|part| !other.contains(part))?;
        let words: Vec<&str> = changed.split(' ').collect();
        Some(match words.as_slice() {
            ["code", ..] => ("trial.code".into(), "its code".into()),
            ["input", name, ..] => (format!("inputs.{name}.path"), format!("its input {name}")),
            _ => ("training_data.path".into(), "its data".into()),
        })
    }

    /// What is worth saying about the data, beside what is worth saying about the job.
    pub(crate) fn notices(&self, submission: &Submission) -> Vec<Notice> {
        let Some(dataset) = &self.dataset else { return Vec::new() };
        let place = submission.job.problem_at("training_data", "", "", None).place;
        let notice = |message: &String| Notice { place: place.clone(), message: message.clone() };
        dataset.notices().iter().map(notice).collect()
    }
}

/// Copies the code of a command into its study's folder, so that a later edit changes no running
/// study.
pub(crate) fn copy_code(
    submission: &Submission,
    dir: &Path,
) -> Result<Option<CodeSnapshot>, Failure> {
    let Work::Command(CommandTrial { code: Some(code), .. }) = &submission.study.work else {
        return Ok(None);
    };
    let copied = command::snapshot(&submission.base_dir.join(local_path(code)), dir);
    copied.map(Some).map_err(|error| refused(submission, "trial.code", &error))
}

/// The job file itself is no part of the code: what of it matters is compared as a job.
fn file_name(file: &str) -> &Path {
    Path::new(file).file_name().map_or(Path::new("job.yaml"), Path::new)
}

fn refused(submission: &Submission, path: &str, error: &CodeError) -> Failure {
    let hint = "name a folder that holds only what the program needs";
    let allowed = "files that can be read";
    let problem = outside::told(&submission.job, path, &error.to_string(), allowed, hint);
    Failure::problem(problem)
}
