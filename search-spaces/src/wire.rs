//! What the scheduler and the runners say to each other, whatever carries it.
//!
//! `wire/letter.rs` is the form in which it crosses a network; `wire/subjects.rs` says where to;
//! `wire/join.rs` is how a runner introduces itself.

pub mod join;
pub mod letter;
pub mod subjects;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::configuration::Configuration;
use crate::trial::{Outcome, Reached, Report};

/// The number that the journal gives a study. Never given twice.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct StudyId(pub u32);

/// One hand-out of one assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AssignmentKey {
    /// The study.
    pub study: StudyId,
    /// The assignment, unique within the study.
    pub number: u64,
    /// From 1; grows each time the assignment is handed out again.
    pub attempt: u32,
}

/// One configuration with its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numbered {
    /// The number, from 0 in the order of proposal.
    pub number: u32,
    /// The configuration.
    pub configuration: Configuration,
}

/// The trials of one configuration in an assignment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// The configuration.
    pub tried: Numbered,
    /// The entities to try it for, in ascending ranges that do not touch.
    pub entities: Vec<Range<u32>>,
}

/// A block of work that travels as one message and is done by one thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// Which one it is.
    pub key: AssignmentKey,
    /// What to do.
    pub task: Task,
}

/// What an assignment asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Try configurations for entities.
    Try(Vec<Block>),
    /// Try a part of what a trial is: up to a rung of the study's ladder.
    Climb {
        /// The rung they have been at; none where they begin.
        after: Option<u8>,
        /// The rung they are tried up to, from 0.
        rung: u8,
        /// Whose trials.
        blocks: Vec<Block>,
    },
    /// Fit each entity's winner on all of its rows and keep the model.
    Refit(Vec<Block>),
}

impl Task {
    /// Whose trials or winners it is about.
    pub fn blocks(&self) -> &[Block] {
        match self {
            Self::Try(blocks) | Self::Climb { blocks, .. } | Self::Refit(blocks) => blocks,
        }
    }
}

/// What a runner tells the scheduler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromRunner {
    /// Trials that ended. An assignment may send several of these.
    Outcomes {
        /// The assignment.
        of: AssignmentKey,
        /// The ends.
        outcomes: Vec<Outcome>,
        /// Whether a graphics card fitted them: what each took is its share of a launch.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        launched: bool,
    },
    /// Trials that came to the rung that they were tried up to.
    Reached {
        /// The assignment.
        of: AssignmentKey,
        /// What they did there.
        trials: Vec<Reached>,
        /// See [`Self::Outcomes`].
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        launched: bool,
    },
    /// A metric value of a running trial.
    Report {
        /// The assignment.
        of: AssignmentKey,
        /// The configuration's number.
        configuration: u32,
        /// The entity's index.
        entity: u32,
        /// The report.
        report: Report,
        /// Which one of the trial it is, from 1: some may be lost, and then this tells. 0 of runners
        /// that do not say.
        #[serde(default)]
        nth: u32,
    },
    /// Winners that were fitted on all rows, or why one could not be.
    Refitted {
        /// The assignment.
        of: AssignmentKey,
        /// The models.
        models: Vec<Refit>,
    },
    /// The runner is through with the assignment, or has died of it: what it has not told by now is
    /// held against the assignment.
    Done {
        /// The assignment.
        of: AssignmentKey,
    },
    /// The runner hands the assignment back: it is about to end, or lacks what it needs. What it has
    /// not told is open again, and nothing is held against it.
    Returned {
        /// The assignment.
        of: AssignmentKey,
        /// What the runner lacks, in the user's words; none where it ends.
        reason: Option<String>,
    },
    /// The runner cannot go on for a reason outside of any trial: a disk that is full, for one. What
    /// it has not told stays open. Only a runner in the scheduler's process says so: any other one
    /// hands back what it has.
    Unable {
        /// Why, in the user's words.
        reason: String,
    },
}

/// One refitted winner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refit {
    /// The entity's index.
    pub entity: u32,
    /// The configuration's number.
    pub configuration: u32,
    /// Where its model lies, or why there is none.
    pub model: Result<ModelAddress, String>,
}

/// Where a stored model lies. In a message that crosses a network, in the message's attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelAddress {
    /// The digest of its bytes, in hexadecimal.
    pub digest: String,
    /// The pack that holds it.
    pub pack: u32,
    /// Where in the pack it begins.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u32,
}

/// What the scheduler tells a runner about work in flight. A hint: losing one costs time, never
/// correctness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToRunner {
    /// End this trial early, in assignments that were handed out so far.
    StopTrial {
        /// The study.
        study: StudyId,
        /// Assignments with lower numbers are meant.
        before: u64,
        /// The configuration's number.
        configuration: u32,
        /// The entity's index.
        entity: u32,
        /// Who stops it.
        reason: String,
    },
    /// End what was handed out of this study; what is handed out later is not meant.
    StopStudy {
        /// The study.
        study: StudyId,
        /// Assignments with lower numbers are over, whether begun or not.
        before: u64,
        /// Why.
        reason: String,
    },
    /// The study is over or deleted: what is kept of it here may go.
    Forget {
        /// The study.
        study: StudyId,
    },
}

/// What a runner has to know of a study before its first assignment. The job is told as the user
/// wrote it, as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudySpec {
    /// The study.
    pub study: StudyId,
    /// Its name.
    pub name: String,
    /// The job file's path as given.
    pub job_file: String,
    /// The job file's text.
    pub job_text: String,
    /// What was set on the command line: dotted paths and values.
    pub sets: Vec<(String, String)>,
    /// The name of the folder that the job file lay in.
    pub folder: Option<String>,
    /// The seed that is kept with the study.
    pub seed: u64,
    /// How many entities it has.
    pub entities: u32,
    /// The digest of the manifest of what the job names on disk.
    pub material: Option<String>,
}
