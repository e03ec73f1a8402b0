//! What the scheduler and the runners say to each other, whatever carries it.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::configuration::Configuration;
use crate::trial::{Outcome, Report};

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
    /// The study's name.
    pub study: String,
    /// Unique within the study.
    pub number: u64,
    /// From 1; grows each time the assignment is handed out again.
    pub attempt: u32,
    /// What to do.
    pub task: Task,
}

/// What an assignment asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Try configurations for entities.
    Try(Vec<Block>),
    /// Fit each entity's winner on all of its rows and keep the model.
    Refit(Vec<Block>),
}

/// What a runner tells the scheduler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromRunner {
    /// The runner can take this many more assignments.
    Wanted {
        /// How many.
        assignments: u32,
    },
    /// The runner cannot go on for a reason outside of any trial: a disk that is full, for one. What
    /// it has not told stays open.
    Unable {
        /// Why, in the user's words.
        reason: String,
    },
    /// Trials that ended. An assignment may send several of these.
    Outcomes {
        /// The study's name.
        study: String,
        /// The assignment.
        assignment: u64,
        /// Which hand-out of it.
        attempt: u32,
        /// The ends.
        outcomes: Vec<Outcome>,
    },
    /// A metric value of a running trial.
    Report {
        /// The study's name.
        study: String,
        /// The configuration's number.
        configuration: u32,
        /// The entity's index.
        entity: u32,
        /// The report.
        report: Report,
    },
    /// Winners that were fitted on all rows, or why one could not be.
    Refitted {
        /// The study's name.
        study: String,
        /// The assignment.
        assignment: u64,
        /// The models.
        models: Vec<Refit>,
    },
    /// The assignment is done; every trial of it has been told.
    Done {
        /// The study's name.
        study: String,
        /// The assignment.
        assignment: u64,
        /// Which hand-out of it.
        attempt: u32,
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

/// Where a stored model lies.
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

/// The form in which users see a model's id; it reads back.
impl std::fmt::Display for ModelAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}-{}", self.pack, self.offset, self.length, self.digest)
    }
}

impl std::str::FromStr for ModelAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("{text:?} is not a model id");
        let mut parts = text.splitn(4, '-');
        let mut part = || parts.next().ok_or_else(refuse);
        Ok(Self {
            pack: part()?.parse().map_err(|_| refuse())?,
            offset: part()?.parse().map_err(|_| refuse())?,
            length: part()?.parse().map_err(|_| refuse())?,
            digest: part()?.to_owned(),
        })
    }
}

/// What the scheduler tells a runner about work in flight. A hint: losing one costs time, never
/// correctness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToRunner {
    /// End this trial early.
    StopTrial {
        /// The study's name.
        study: String,
        /// The configuration's number.
        configuration: u32,
        /// The entity's index.
        entity: u32,
        /// Who stops it.
        reason: String,
    },
    /// End what was handed out of this study; what is handed out later is not meant.
    StopStudy {
        /// The study's name.
        study: String,
        /// Assignments with lower numbers are over, whether begun or not.
        before: u64,
        /// Why.
        reason: String,
    },
}
