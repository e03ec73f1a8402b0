//! Brings studies into the journal and out of it again: what `run` and `serve` have in common.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use fleetfit_scheduler::journal::{Journal, NewStudy, StudyRecord};
use fleetfit_scheduler::warm;
use fleetfit_search_spaces::disk::plain;
use fleetfit_search_spaces::{Configuration, EntityKey, Study, Work};
use fleetfit_trial_runner::dataset::Dataset;
use fleetfit_trial_runner::runner::{Keeping, StudyWork};
use fleetfit_trial_runner::trainer::GENERATION;

use crate::failure::Failure;
use crate::home;
use crate::inside::program;
use crate::material::{Material, copy_code};
use crate::outside;
use crate::source;
use crate::start;
use crate::submission::Submission;

/// What a study has besides its job and its material.
#[derive(Clone, Debug, Default)]
pub(crate) struct Descent {
    /// The study that it repeats.
    pub(crate) parent: Option<String>,
    /// What it tries first.
    pub(crate) warm: Vec<Configuration>,
}

/// What the stored job means.
pub(crate) fn stored_study(record: &StudyRecord) -> Result<Study, Failure> {
    record.study().map_err(|problems| {
        let name = &record.head.name;
        Failure::Unavailable(format!("the stored job of {name} cannot be read: {problems}"))
    })
}

/// Refuses to go on with a study under a name that means something else by now.
pub(crate) fn same(
    record: &StudyRecord,
    submission: &Submission,
    material: &Material,
) -> Result<(), Failure> {
    let name = &record.head.name;
    let (at, what) = if record.head.canonical != submission.job.canonical() {
        ("name".to_owned(), "with another job".to_owned())
    } else if let Some((at, what)) = material.difference(record.head.data_digest.as_deref()) {
        (at, format!("and since then {what} changed"))
    } else {
        return Ok(());
    };
    let says = format!("there is a study named {name} already, {what}");
    let hint = format!(
        "run this one as --name {name}-2 (with start_from: {name} it learns from the other), or \
         remove the other: fleetfit delete {name}"
    );
    let allowed = "a name that no other study has";
    Err(Failure::Taken(Box::new(outside::told(&submission.job, &at, &says, allowed, &hint))))
}

/// Stores a study, from where it can be run.
pub(crate) fn create(
    journal: &Journal,
    home: &Path,
    submission: &Submission,
    material: &Material,
    descent: Descent,
) -> Result<StudyRecord, Failure> {
    let entities = match &material.dataset {
        Some(dataset) => dataset.entities().to_vec(),
        None => vec![EntityKey::default()],
    };
    let name = submission.study.name.clone();
    // What lies there belonged to a study of this name that was not deleted to the end.
    let dir = home::study_dir(home, &name);
    match std::fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let why = plain(&error);
            return Err(Failure::Unavailable(format!("{} is in the way: {why}", dir.display())));
        }
        _ => {}
    }
    let seed = submission.study.seed.unwrap_or_else(draw_seed);
    let (warm, notices) = match descent.parent {
        // It starts from the study that it repeats.
        Some(_) => (descent.warm, Vec::new()),
        None => {
            let digest = material.digest.as_deref();
            let (start, notices) = start::gather(Some(journal), submission, digest, seed)?;
            if !submission.study.start_from.is_empty() {
                warm::keep(journal, &name, start.earlier)?;
            }
            (start.first, notices)
        }
    };
    journal.create(&NewStudy {
        name: name.clone(),
        job_file: submission.job.file.clone(),
        base_dir: submission.base_dir.clone(),
        job_text: submission.text.clone(),
        sets: submission.sets.clone(),
        canonical: submission.job.canonical(),
        data_digest: material.digest.clone(),
        seed,
        created_ms: now_ms(),
        entities,
        large: material.dataset.as_ref().map(Dataset::large).unwrap_or_default(),
        material: submission.material.clone(),
        warm,
        parent: descent.parent,
        notices,
        learners: Some(GENERATION),
        extent: material.extent(&submission.study),
    })?;
    source::record(journal, &name)
}

/// What is worth saying where a study goes on with other learners than it began with.
pub(crate) fn mixed(record: &StudyRecord, study: &Study) -> Option<String> {
    let is_trained = match study.work {
        Work::Learner(_) | Work::ChosenLearner { .. } | Work::AutoMl => true,
        Work::Command(_) | Work::External => false,
    };
    let StudyRecord { head, summary, .. } = record;
    let has_trials = summary.completed + summary.stopped + summary.failed > 0;
    (is_trained && has_trials && head.learners != Some(GENERATION)).then(|| {
        format!(
            "{}: it began with another release of fleetfit, whose learners may give other values \
             for the same configuration; its trials so far count as they are. To compare all of \
             them, run the job anew under another --name",
            head.name
        )
    })
}

/// What a runner in this process needs of a study. Makes its folder, and puts there what models and
/// programs of it need.
pub(crate) fn work(
    home: &Path,
    record: &StudyRecord,
    submission: Submission,
    material: Material,
) -> Result<StudyWork, Failure> {
    let dir = lay_out(home, &record.head.name, &material)?;
    let code = copy_code(&submission, &dir)?;
    let Submission { study, base_dir, .. } = submission;
    let supervisor = program()?;
    let (seed, dataset) = (record.head.seed, material.dataset);
    let keeping = Keeping::Here;
    Ok(StudyWork { study, seed, base_dir, dir, supervisor, dataset, code, keeping })
}

/// Makes a study's folder, with what its models need to be read.
pub(crate) fn lay_out(home: &Path, study: &str, material: &Material) -> Result<PathBuf, Failure> {
    let dir = absolute(&home::study_dir(home, study))?;
    std::fs::create_dir_all(&dir).map_err(|error| {
        Failure::Unavailable(format!("{} cannot be made: {}", dir.display(), plain(&error)))
    })?;
    if let Some(dataset) = &material.dataset {
        dataset.schema().save(&dir).map_err(|error| {
            Failure::Unavailable(format!("{} cannot be written: {}", dir.display(), plain(&error)))
        })?;
    }
    Ok(dir)
}

/// Trials run in folders of their own, so paths must not depend on where fleetfit was started.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::Unavailable(format!("{}: {}", path.display(), plain(&error))))
}

/// What this machine calls itself.
pub(crate) fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "this machine".to_owned(),
        name => name.to_owned(),
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// A number that nobody else draws at the same time.
pub(crate) fn draw() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    // The standard library seeds each of these from the operating system.
    RandomState::new().hash_one((std::process::id(), now_ms()))
}

/// A seed for a job that names none: different each time, and small enough to be typed.
fn draw_seed() -> u64 {
    draw() % 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_study_that_goes_on_with_other_learners_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        let mut n = 0;
        let mut notice = |trial: &str, learners: Option<u32>, completed: u64| {
            n += 1;
            let job_text = format!(
                "type: sweep\n{trial}\nsearch_space: {{alpha: [0.1, 1]}}\n\
                 sampling_algorithm: grid\nobjective: {{goal: minimize, primary_metric: rmse}}\n"
            );
            let (name, job_file) = (format!("study-{n}"), "job.yaml".into());
            let new = NewStudy { name, job_file, job_text, learners, ..NewStudy::default() };
            let mut record = journal.record(journal.create(&new).unwrap()).unwrap();
            record.summary.completed = completed;
            let study = record.study().unwrap_or_else(|problems| panic!("{problems}"));
            mixed(&record, &study)
        };
        let ridge = "training_data: {path: a.csv}\ntarget_column_name: y\ntask: regression\n\
                     trial: {learner: ridge}";
        for earlier in [None, Some(GENERATION - 1), Some(GENERATION + 1)] {
            let notice = notice(ridge, earlier, 3).unwrap();
            assert!(notice.contains("it began with another release"), "{notice}");
        }
        assert_eq!(notice(ridge, Some(GENERATION), 3), None);
        assert_eq!(notice(ridge, None, 0), None, "nothing is mixed");
        assert_eq!(notice("trial: {command: 'echo ${{search_space.alpha}}'}", None, 3), None);
    }
}
