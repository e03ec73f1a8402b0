//! What a study works with besides its job: its data, its code, its inputs. Their digest tells
//! whether a study under the same name is the same study.

use std::path::Path;

use fleetfit_search_spaces::data::local_path;
use fleetfit_search_spaces::{CommandTrial, Extent, Input, Notice, Resource, Study, Work};
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

    /// The most that any entity has to give out, where trials are given out by rungs.
    pub(crate) fn extent(&self, study: &Study) -> Option<Extent> {
        study.early_termination.as_ref()?.ladder.as_ref()?;
        Some(self.dataset.as_ref()?.extent(study.data.as_ref()?))
    }

    /// What is worth saying about the data, beside what is worth saying about the job.
    pub(crate) fn notices(&self, submission: &Submission) -> Vec<Notice> {
        let Some(dataset) = &self.dataset else { return Vec::new() };
        let place = |key| submission.job.problem_at(key, "", "", None).place;
        let of_data = place("training_data");
        let notice = |message: &String| Notice { place: of_data.clone(), message: message.clone() };
        let on_rungs = self.without_rungs(&submission.study);
        let on_rungs =
            on_rungs.map(|message| Notice { place: place("early_termination"), message });
        dataset.notices().iter().map(notice).chain(on_rungs).collect()
    }

    /// That nobody has more than the first rung.
    fn without_rungs(&self, study: &Study) -> Option<String> {
        let extent = self.extent(study)?;
        let ladder = study.early_termination.as_ref()?.ladder.as_ref()?;
        if ladder.within(extent).is_some() {
            return None;
        }
        let first = ladder.describe(ladder.rungs.get(..1)?);
        Some(match ladder.resource {
            Resource::Rows => format!(
                "early_termination stops nobody: its first rung has {first}, and no fold learns \
                 from more than {}",
                extent.rows
            ),
            _ => format!(
                "early_termination stops nobody: it first looks after {first}, and there are {}",
                extent.folds
            ),
        })
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
    if let CodeError::Write { .. } = error {
        return Failure::outside(error);
    }
    let problem = outside::told(&submission.job, path, &error.to_string(), allowed, hint);
    Failure::problem(problem)
}
