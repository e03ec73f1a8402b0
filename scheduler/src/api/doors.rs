//! What a service does besides answering from the journal: closures that the process around it
//! gives, and the forms of what goes in and comes out. They are called on blocking threads.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Refused;
use crate::schedule::Ticker;

/// What the process around the API can do. Each may wait for a disk or for the engine.
pub struct Doors {
    /// Takes a job.
    pub submit: Door<Submitted, Accepted>,
    /// Goes on with a study that was cancelled, failed or was left in the middle.
    pub resume: Door<String, ()>,
    /// Starts a study like another one, on the data as they are by then.
    pub rerun: Door<Rerun, Accepted>,
    /// What is run again and again, by whoever keeps it.
    pub schedules: Option<Arc<Ticker>>,
    /// Who can run trials.
    pub runners: Box<dyn Fn() -> Vec<RunnerView> + Send + Sync>,
    /// What else has to work, besides the journal and the engine.
    pub health: Box<dyn Fn() -> Vec<Component> + Send + Sync>,
}

/// One thing that the process around the API can do.
pub type Door<T, U> = Box<dyn Fn(T) -> Result<U, Refused> + Send + Sync>;

/// A part of the service, and what is wrong with it if anything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// One word: `nats`.
    pub name: &'static str,
    /// What is wrong with it.
    pub state: Result<(), String>,
}

/// A job on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The job as YAML. JSON that was sent arrives as YAML that means the same.
    pub text: String,
    /// The job file's name, if the sender told it.
    pub file: Option<String>,
    /// Dotted paths and the values that stand there instead.
    pub sets: Vec<(String, String)>,
    /// The study's name instead of the job's own.
    pub name: Option<String>,
    /// The digest of the manifest that lists what the job names on disk.
    pub material: Option<String>,
    /// The sender's mark: two jobs with the same one are one job.
    pub idempotency_key: Option<String>,
}

/// A job that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The study's name.
    pub study: String,
    /// False where this very study was there already.
    pub created: bool,
}

/// A study to be run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rerun {
    /// The study that is repeated.
    pub study: String,
    /// The name of the one that follows; one is made if there is none.
    pub name: Option<String>,
    /// Dotted paths and the values that stand there instead.
    pub sets: Vec<(String, String)>,
    /// The digest of another manifest.
    pub material: Option<String>,
    /// When the same request came before, in milliseconds since 1970, and nobody knows how far it got:
    /// a study that was made since may be its own.
    pub begun_ms: Option<u64>,
}

/// A process that runs trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunnerView {
    /// Its name.
    pub name: String,
    /// The machine that it runs on.
    pub host: String,
    /// What it trains on.
    pub device: String,
    /// How many trials it runs at once.
    pub slots: u32,
    /// How many it runs.
    pub busy: u32,
    /// The program's version.
    pub version: String,
    /// Whether it runs programs, besides built-in trainers.
    pub commands: bool,
    /// How it is: working, draining, gone, or refused.
    pub state: String,
    /// The machine's load over the last minute.
    pub load: Option<f64>,
    /// What it lacks to do more.
    pub troubles: Vec<String>,
    /// How long ago it was heard of.
    pub heard_s: f64,
}
