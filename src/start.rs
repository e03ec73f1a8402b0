//! What a job starts from, read where it lies: files of earlier trials, and earlier studies.

use std::io::Read;
use std::path::Path;

use fleetfit_scheduler::journal::Journal;
use fleetfit_scheduler::warm::{self, Fault, MAX_FILE_BYTES, Sources, Start};
use fleetfit_search_spaces::data::local_path;
use fleetfit_search_spaces::disk::plain;
use fleetfit_search_spaces::{Job, Notice, Origin, Problem, Problems};

use crate::failure::Failure;
use crate::outside;
use crate::submission::Submission;

/// What a study with this seed starts from, and what is worth saying about it.
pub(crate) fn gather(
    journal: Option<&Journal>,
    submission: &Submission,
    digest: Option<&str>,
    seed: u64,
) -> Result<(Start, Vec<Notice>), Failure> {
    let file = |path: &str| read(&submission.base_dir.join(local_path(path)));
    let sources = Sources { journal, file: &file, digest };
    let start = warm::gather(&submission.study, seed, &sources).map_err(|faults| {
        let problems = faults.iter().map(|(index, fault)| problem(submission, *index, fault));
        Failure::Problems(Problems(problems.collect()))
    })?;
    let notices = start.remarks.iter().map(|(index, remark)| {
        let at = submission.study.start_key(*index);
        let place = submission.job.problem_at(&at, "", "", None).place;
        Notice { place, message: format!("{at}: {remark}") }
    });
    let notices = notices.collect();
    Ok((start, notices))
}

/// Reads the files, for whoever wants to know whether they are of use. Studies are not looked for.
pub(crate) fn judge(submission: &Submission) -> Result<Vec<Notice>, Failure> {
    gather(None, submission, None, 0).map(|(_, notices)| notices)
}

/// What was not judged: whether the studies are there, and of use.
pub(crate) fn not_judged(submission: &Submission) -> Vec<Notice> {
    let origins = submission.study.start_from.iter().enumerate();
    let notices = origins.filter_map(|(index, origin)| {
        let Origin::Study { study } = origin else { return None };
        let at = submission.study.start_key(index);
        let place = submission.job.problem_at(&at, "", "", None).place;
        let message = format!("{at}: the study {study} is looked for when the job is started");
        Some(Notice { place, message })
    });
    notices.collect()
}

/// Why a file at this place of the job cannot be read, whatever it is read for.
pub(crate) fn unreadable(job: &Job, at: &str, origin: &Origin, base: &Path) -> Option<Problem> {
    let path = origin.path()?;
    let fault = read(&base.join(local_path(path))).err()?;
    Some(told(job, at, path, &fault))
}

fn problem(submission: &Submission, index: usize, fault: &Fault) -> Problem {
    let name = match submission.study.start_from.get(index) {
        Some(Origin::File { path, .. }) => path.as_str(),
        Some(Origin::Study { study }) => study.as_str(),
        None => "",
    };
    told(&submission.job, &submission.study.start_key(index), name, fault)
}

fn told(job: &Job, at: &str, name: &str, fault: &Fault) -> Problem {
    let says = format!("{name} {}", fault.says);
    outside::told(job, at, &says, &fault.allowed, &fault.hint)
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    let refuse = |says: String, hint: &str| Fault {
        says,
        allowed: "a file of trials".to_owned(),
        hint: hint.to_owned(),
    };
    // To open a pipe waits for whoever writes to it, perhaps for ever.
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            return Err(refuse("is a folder".to_owned(), "name the file inside it"));
        }
        Ok(metadata) if !metadata.is_file() => {
            let says = "is no regular file, but a pipe, a socket or a device".to_owned();
            return Err(refuse(says, "write the trials to a file, and name that"));
        }
        _ => {}
    }
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(path);
    let read = opened.and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let hint =
                "paths start from the job file's folder; a study's name has no / and no ending";
            Err(refuse("does not exist".to_owned(), hint))
        }
        Err(error) => Err(refuse(format!("cannot be read: {}", plain(&error)), "check the path")),
        Ok(n) if n as u64 > MAX_FILE_BYTES => {
            let says = format!("has more than {} MiB", MAX_FILE_BYTES >> 20);
            Err(refuse(says, "leave out what is no parameter, and the worst of its trials"))
        }
        Ok(_) => Ok(bytes),
    }
}
