//! How a runner introduces itself, and what it asks a service for on the way.
//!
//! These must stay readable by every version: fields are only ever added, with defaults. They travel
//! as plain JSON, without the version of [`super::letter`].

use serde::{Deserialize, Serialize};

use super::{AssignmentKey, StudyId};

/// That a service is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Announcement {
    /// Its id.
    pub service: String,
    /// The version of fleetfit that it is.
    pub version: String,
    /// The version of the wire that it speaks.
    pub wire: u8,
    /// The machine that it runs on.
    #[serde(default)]
    pub host: String,
    /// Tells this process of the service from any other.
    #[serde(default)]
    pub instance: String,
    /// When it began, in milliseconds since 1970.
    #[serde(default)]
    pub since_ms: u64,
}

/// A runner that wants work; and, every few seconds, that it is still there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The runner's id, different for every process.
    pub runner: String,
    /// Its name for people.
    pub name: String,
    /// The machine that it runs on.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// The version of fleetfit that it is.
    pub version: String,
    /// The version of the wire that it speaks.
    pub wire: u8,
    /// What it trains on.
    pub device: String,
    /// How many assignments it does at once.
    pub slots: u32,
    /// How many it is at.
    #[serde(default)]
    pub busy: u32,
    /// How many more it does meanwhile, because as many only wait for its graphics card.
    #[serde(default)]
    pub asking: u32,
    /// How many may so wait at most: more of [`Self::asking_for`] would take places from others. 0
    /// where it has no card, or says nothing of it.
    #[serde(default)]
    pub asking_most: u32,
    /// The studies that ask its graphics card for fits.
    #[serde(default)]
    pub asking_for: Vec<StudyId>,
    /// The machine's load over the last minute.
    #[serde(default)]
    pub load: Option<f64>,
    /// Whether it runs programs.
    #[serde(default)]
    pub commands: bool,
    /// Whether it is about to end and takes no more.
    #[serde(default)]
    pub draining: bool,
    /// What it is at.
    #[serde(default)]
    pub holds: Vec<AssignmentKey>,
    /// What it lacks to do more, in the user's words.
    #[serde(default)]
    pub troubles: Vec<String>,
}

/// What a service answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Welcome {
    /// Work waits in these places.
    Accepted {
        /// How long a runner may stay silent about an assignment, in seconds.
        lease_s: f64,
    },
    /// No work for this runner.
    Refused {
        /// Why, in the user's words.
        reason: String,
    },
}

/// Asks for the [`super::StudySpec`] of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpecRequest {
    /// The study.
    pub study: StudyId,
}

/// Asks for a piece of a blob, which comes as the answer's attachment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlobRequest {
    /// The blob's digest.
    pub digest: String,
    /// Where the piece begins.
    pub offset: u64,
}

/// A piece of a blob.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlobPiece {
    /// How many bytes the whole blob has.
    pub total: u64,
}

/// A piece of a file that a trial left, in the attachment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Upload {
    /// The assignment.
    pub of: AssignmentKey,
    /// The configuration's number.
    pub configuration: u32,
    /// The entity's index.
    pub entity: u32,
    /// Where in the trial's folder the file goes; or what it is instead, see [`FOLDERS`] and [`LINKS`].
    pub at: String,
    /// Where the piece begins.
    pub offset: u64,
    /// How many bytes the whole file has.
    pub total: u64,
    /// The digest of the whole file.
    pub digest: String,
    /// Whether it is a program.
    #[serde(default)]
    pub executable: bool,
}

/// What an upload's place begins with that is an empty folder; the folder's own place follows.
pub const FOLDERS: &str = "folders/";

/// What an upload's place begins with whose bytes say where a link leads from its own folder; the
/// link's own place follows.
pub const LINKS: &str = "links/";

/// Why what belongs to a study that is over is refused, and to one that was deleted. Nothing is wrong
/// then: runners know these by the word.
pub const OVER: &str = "the study is over";
/// See [`OVER`].
pub const DELETED: &str = "the study was deleted";
/// What the reason ends with where a file is wanted from its beginning.
pub const ANEW: &str = "send it again from its beginning";

/// The answer to a request that may be refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer<T> {
    /// It was done.
    Done(T),
    /// It was not, and asking again is of no use.
    Refused {
        /// Why, in the user's words.
        reason: String,
    },
    /// It was not; asking again later may be of use.
    Later {
        /// Why, in the user's words.
        reason: String,
    },
}
