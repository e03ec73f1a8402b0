//! A schedule's form in the journal.

use fleetfit_search_spaces::schedule::{CreateJob, ScheduleFile};
use fleetfit_search_spaces::{Job, Place, Problem, Problems, Study};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::ScheduleError;
use crate::journal::JournalError;

/// The version of the stored form.
const VERSION: u32 = 1;

/// A schedule that somebody wants: its file, and the job that the file names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSchedule {
    /// The schedule file's path as given.
    pub file: String,
    /// The schedule file's text.
    pub text: String,
    /// The job; nothing where it stands in the schedule and needs no files.
    #[serde(default)]
    pub job: Option<StoredJob>,
}

/// The job that a schedule runs, as whoever created it found it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredJob {
    /// The job file's path; the schedule's own where the job stands in it.
    pub file: String,
    /// The job's text.
    pub text: String,
    /// What the schedule changes in it: dotted paths and values.
    #[serde(default)]
    pub sets: Vec<(String, String)>,
    /// The folder of this machine that the job's paths are relative to: its files are read anew each
    /// time. Nothing where they were uploaded.
    #[serde(default)]
    pub base_dir: Option<String>,
    /// The digest of the manifest of what the job names on disk, where that was uploaded.
    #[serde(default)]
    pub material: Option<String>,
}

/// A schedule in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredSchedule {
    /// The version of this form.
    pub version: u32,
    /// Its name.
    pub name: String,
    /// The schedule file's path as given.
    pub file: String,
    /// The schedule file's text.
    pub text: String,
    /// The job.
    pub job: StoredJob,
    /// Schedule, job and files in one canonical form: two are the same when these are equal.
    pub canonical: String,
    /// When it was created.
    pub created: Timestamp,
    /// Whether it runs nothing.
    pub paused: bool,
    /// What is due up to here was run or missed.
    pub considered: Timestamp,
    /// A run that was begun, and of which nobody knows whether its study was submitted.
    pub pending: Option<Timestamp>,
    /// Which of the runs that were asked for within one second the last one is, where it is not the
    /// first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u32>,
    /// The time of the last run that was begun.
    pub last_fired: Option<Timestamp>,
    /// The last study that it made.
    pub last_study: Option<String>,
    /// Why the last run made none.
    pub last_error: Option<String>,
    /// How many runs were missed.
    pub missed: u64,
    /// The time of the last one.
    pub last_missed: Option<Timestamp>,
}

impl NewSchedule {
    /// The stored form of one that begins now. Every problem of the schedule and of its job is said
    /// at once.
    pub(super) fn stored(self, now: Timestamp) -> Result<StoredSchedule, ScheduleError> {
        let file = ScheduleFile::read(&self.file, &self.text).map_err(ScheduleError::Problems)?;
        let judgement = file.judge();
        let created = whole_second(now);
        let schedule = match judgement.schedule {
            Ok(schedule) => schedule,
            Err(Problems(mut problems)) => {
                file.judge_times(created, &mut problems);
                problems.sort_by_key(|problem| (problem.place.line, problem.place.column));
                // The job is judged beside a schedule with problems: one in a file of its own, and
                // one that did not come.
                match (&self.job, &judgement.create_job) {
                    (Some(job), _) if job.file != self.file => {
                        problems.extend(job.read().err().into_iter().flat_map(|of_job| of_job.0));
                    }
                    (None, Some(CreateJob::File { path, place, .. })) => {
                        problems.push(did_not_come(path, place));
                    }
                    _ => {}
                }
                return Err(ScheduleError::Problems(Problems(problems)));
            }
        };
        let beside = |of_job: Vec<Problem>| {
            let mut problems = Vec::new();
            file.judge_times(created, &mut problems);
            problems.extend(of_job);
            ScheduleError::Problems(Problems(problems))
        };
        let job = match (self.job, schedule.create_job) {
            (Some(job), _) => job,
            (None, CreateJob::Inline(job)) => StoredJob {
                file: self.file.clone(),
                text: job.text,
                sets: Vec::new(),
                base_dir: None,
                material: None,
            },
            (None, CreateJob::File { path, place, .. }) => {
                return Err(beside(vec![did_not_come(&path, &place)]));
            }
        };
        let (read, study) = job.judged().map_err(|Problems(of_job)| beside(of_job))?;
        if job.base_dir.is_none() && job.material.is_none() {
            let lost = read.left_behind(&study);
            if !lost.is_empty() {
                return Err(beside(lost));
            }
        }
        let files = [&job.material, &job.base_dir].map(|it| it.as_deref().unwrap_or_default());
        let canonical = format!("{}\n{}\n{}", file.canonical(), read.canonical(), files.join("\n"));
        Ok(StoredSchedule {
            version: VERSION,
            name: schedule.name,
            file: self.file,
            text: self.text,
            job,
            canonical,
            created,
            paused: false,
            considered: created - SignedDuration::from_secs(1),
            pending: None,
            nth: None,
            last_fired: None,
            last_study: None,
            last_error: None,
            missed: 0,
            last_missed: None,
        })
    }
}

/// A job whose file did not come with the schedule that names it.
fn did_not_come(path: &str, place: &Place) -> Problem {
    let message =
        format!("{} names {path}, and that file did not come with the schedule", place.path);
    let hint = "send it along, as fleetfit schedule create does, or write the job in its place";
    Problem {
        place: place.clone(),
        message,
        found: path.to_owned(),
        allowed: "a job that comes with the schedule".to_owned(),
        hint: Some(hint.to_owned()),
    }
}

impl StoredJob {
    /// The job, changes applied. What is valid and cannot run is a problem, too.
    pub fn read(&self) -> Result<Job, Problems> {
        self.judged().map(|(job, _)| job)
    }

    fn judged(&self) -> Result<(Job, Study), Problems> {
        let mut job = Job::read(&self.file, &self.text)?;
        for (path, value) in &self.sets {
            job.set(path, value).map_err(|problem| Problems(vec![problem]))?;
        }
        let study = job.study()?;
        if !study.cannot_run.is_empty() {
            return Err(Problems(study.cannot_run));
        }
        Ok((job, study))
    }
}

impl StoredSchedule {
    /// What the study of a time is called: `nightly-20261120T060000Z`, and `nightly-20261120T060000Z-2`
    /// where another one was asked for in that second.
    pub fn study_name(&self, due: Timestamp) -> String {
        let name = format!("{}-{}", self.name, due.strftime("%Y%m%dT%H%M%SZ"));
        match self.nth {
            Some(nth) => format!("{name}-{nth}"),
            None => name,
        }
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let damaged =
            |_| "what is stored of it is damaged; delete it and create it again".to_owned();
        let head: Head = serde_json::from_slice(bytes).map_err(damaged)?;
        if head.version > VERSION {
            return Err("a newer fleetfit wrote it; use that version".to_owned());
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, JournalError> {
        serde_json::to_vec(self).map_err(|error| JournalError::Disk {
            doing: "encoding a schedule",
            source: error.into(),
        })
    }

    pub(super) fn begin(&mut self, due: Timestamp, nth: Option<u32>) {
        self.pending = Some(due);
        self.nth = nth;
        self.last_fired = Some(due);
    }

    pub(super) fn settle(&mut self, outcome: &Result<String, String>) {
        self.pending = None;
        match outcome {
            Ok(study) => {
                self.last_study = Some(study.clone());
                self.last_error = None;
            }
            Err(error) => self.last_error = Some(error.clone()),
        }
    }
}

/// The second that has begun.
pub(super) fn whole_second(instant: Timestamp) -> Timestamp {
    let second = instant.as_nanosecond().div_euclid(1_000_000_000);
    let second = i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok());
    second.unwrap_or(instant)
}
