//! What the journal keeps of a study besides its facts: how it was submitted, and where it stands.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use fleetfit_search_spaces::{
    Configuration, EntityKey, Extent, Job, Notice, Problems, Study, StudyId,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event::EndedBy;
use crate::state::{Ranked, Unfitted};

/// A study about to be stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewStudy {
    /// Its name, unique in the journal.
    pub name: String,
    /// The job file's path as given.
    pub job_file: String,
    /// The folder that the job's paths are relative to.
    pub base_dir: PathBuf,
    /// The job file's text.
    pub job_text: String,
    /// What was set on the command line: dotted paths and values.
    pub sets: Vec<(String, String)>,
    /// The job's canonical form, `sets` applied.
    pub canonical: String,
    /// The digest of the training data.
    pub data_digest: Option<String>,
    /// The seed, drawn if the job names none.
    pub seed: u64,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// The entities in the order of their indices; without partitions one without values.
    pub entities: Vec<EntityKey>,
    /// Entities with many more rows than others, the largest first.
    pub large: Vec<u32>,
    /// The digest of the manifest of what its job names on disk, where that was uploaded.
    pub material: Option<String>,
    /// Configurations to try before the sampler is asked.
    pub warm: Vec<Configuration>,
    /// The study that it is a rerun of.
    pub parent: Option<String>,
    /// What is worth saying about what it starts from.
    pub notices: Vec<Notice>,
    /// The generation of the built-in learners that it begins with.
    pub learners: Option<u32>,
    /// The most that any of its entities has to give out.
    pub extent: Option<Extent>,
}

/// A stored study.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyRecord {
    /// Its number.
    pub id: StudyId,
    /// What was submitted.
    pub head: StudyHead,
    /// Where it stands.
    pub summary: Summary,
}

/// What was submitted, the entities' keys left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyHead {
    /// Its name.
    pub name: String,
    /// The job file's path as given.
    pub job_file: String,
    /// The folder that the job's paths are relative to.
    #[serde(serialize_with = "write_path", deserialize_with = "read_path")]
    pub base_dir: PathBuf,
    /// The job file's text.
    pub job_text: String,
    /// What was set on the command line: dotted paths and values.
    pub sets: Vec<(String, String)>,
    /// The job's canonical form, `sets` applied.
    pub canonical: String,
    /// The digest of the training data.
    pub data_digest: Option<String>,
    /// The seed.
    pub seed: u64,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// How many entities it has; 1 without partitions.
    pub entities: u32,
    /// Entities with many more rows than others, the largest first.
    #[serde(default)]
    pub large: Vec<u32>,
    /// The partition columns, in order.
    pub partition_columns: Vec<String>,
    /// The digest of the manifest of what its job names on disk, where that was uploaded.
    #[serde(default)]
    pub material: Option<String>,
    /// Configurations to try before the sampler is asked.
    #[serde(default)]
    pub warm: Vec<Configuration>,
    /// The study that it is a rerun of.
    #[serde(default)]
    pub parent: Option<String>,
    /// What is worth saying about what it starts from.
    #[serde(default)]
    pub notices: Vec<Notice>,
    /// The generation of the built-in learners that it began with; none where an earlier version
    /// made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learners: Option<u32>,
    /// The most that any of its entities has to give out, where rungs may be of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extent: Option<Extent>,
}

impl StudyRecord {
    /// The study that the stored job means.
    pub fn study(&self) -> Result<Study, Problems> {
        let mut job = Job::read(&self.head.job_file, &self.head.job_text)?;
        job.is_stored = true;
        let folder = self.head.base_dir.file_name();
        job.folder = folder.map(|name| name.to_string_lossy().into_owned());
        for (path, value) in &self.head.sets {
            job.set(path, value).map_err(|problem| Problems(vec![problem]))?;
        }
        Ok(job.study()?.within(self.head.extent))
    }

    /// Whether it was ended because it did not improve, with configurations left to look on with.
    pub fn may_improve(&self, study: &Study) -> bool {
        self.summary.ended_by == Some(EndedBy::Improvement)
            && self.summary.proposed < study.limits.max_total_trials
    }

    /// Whether its entities have keys.
    pub fn is_partitioned(&self) -> bool {
        !self.head.partition_columns.is_empty()
    }
}

/// All studies of a journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// Those that can be read, in order of creation.
    pub records: Vec<StudyRecord>,
    /// Those that cannot, by name.
    pub damaged: Vec<DamagedStudy>,
}

/// A study that is there and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedStudy {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Where a study stands as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not begun.
    #[default]
    Queued,
    /// Under way.
    Running,
    /// At its end, with a completed trial.
    Completed,
    /// Cancelled.
    Stopped,
    /// At its end, without a completed trial.
    Failed,
    /// Left in the middle by its process; it can be resumed.
    Interrupted,
}

impl Status {
    /// Whether the study is at its end.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Stopped | Self::Failed)
    }
}

/// Where a study stands, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// In a word.
    pub status: Status,
    /// Why its search ended.
    pub ended_by: Option<EndedBy>,
    /// How long it ran, interruptions not counted.
    pub elapsed_ms: u64,
    /// Completed trials.
    pub completed: u64,
    /// Trials ended early.
    pub stopped: u64,
    /// Failed trials.
    pub failed: u64,
    /// Models fitted for trials.
    pub fits: u64,
    /// Configurations proposed.
    pub proposed: u32,
    /// The best shared configuration.
    pub shared_best: Option<Ranked>,
    /// Entities whose winners could not be fitted on all rows.
    #[serde(skip_serializing_if = "Unfitted::is_empty")]
    pub unfitted: Unfitted,
}

/// What follows from a group of facts and is looked up without replaying them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Index {
    /// Where the study stands after them.
    pub summary: Summary,
    /// Entities whose best changed: the entity, the metric's value, the configuration's number.
    pub best: Vec<(u32, f64, u32)>,
    /// Entities that had one that does not count any more.
    pub without: Vec<u32>,
}

/// Paths need not be text.
fn write_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    match path.to_str() {
        Some(text) => serializer.serialize_str(text),
        None => path.as_os_str().as_bytes().serialize(serializer),
    }
}

fn read_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Text(String),
        Bytes(Vec<u8>),
    }
    Ok(match Stored::deserialize(deserializer)? {
        Stored::Text(text) => PathBuf::from(text),
        Stored::Bytes(bytes) => PathBuf::from(OsString::from_vec(bytes)),
    })
}
