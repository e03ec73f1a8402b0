//! What a service does besides answering from the journal: closures that the process around it
//! gives, and the forms of what goes in and comes out. They are called on blocking threads.

use fleetfit_search_spaces::Configuration;
use serde::{Deserialize, Serialize};

use super::Refused;

/// What the process around the API can do. Each may wait for a disk or for the engine.
pub struct Doors {
    /// Takes a job.
    pub submit: Door<Submitted, Accepted>,
    /// Goes on with a study that was cancelled, failed or was left in the middle.
    pub resume: Door<String, ()>,
    /// Starts a study like another one, on the data as they are by then.
    pub rerun: Door<Rerun, Accepted>,
    /// Forgets a study that is over or does not run, with everything it has.
    pub delete: Door<String, ()>,
    /// Proposes trials of a study whose trials run elsewhere.
    pub ask: Door<Ask, AskedTrials>,
    /// Takes the ends of such trials.
    pub tell: Door<Tell, Told>,
    /// Takes a value of such a trial on its way.
    pub report: Door<Report, Reported>,
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
    /// One word: `bus`.
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
}

/// Trials are wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The study.
    pub study: String,
    /// How many at most.
    pub n: u32,
    /// How long the asker may stay silent before they are proposed to somebody else.
    pub lease_s: Option<f64>,
}

/// Trials to be run by the asker: fewer than were asked for where the search has no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AskedTrials {
    /// The trials.
    pub trials: Vec<AskedTrial>,
}

/// One trial to be run by the asker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AskedTrial {
    /// The configuration's number.
    pub trial: u32,
    /// The configuration.
    pub configuration: Configuration,
}

/// Trials that ended elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Tell {
    /// The study.
    pub study: String,
    /// Their ends.
    pub results: Vec<TrialResult>,
}

/// How one trial ended.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialResult {
    /// The configuration's number.
    pub trial: u32,
    /// Its value, or why there is none.
    pub end: Ended,
}

/// A trial's value, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// It has a value.
    Completed(f64),
    /// It has none.
    Failed(String),
}

/// What became of results: each counts once, however often it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Recorded now.
    pub recorded: u32,
    /// Known before; nothing changed.
    pub repeated: u32,
}

/// A value on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The study.
    pub study: String,
    /// The configuration's number.
    pub trial: u32,
    /// The step it was measured at.
    pub step: u64,
    /// The value.
    pub value: f64,
}

/// What is to become of the trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// Whether it is not worth going on.
    pub stop: bool,
}

/// A process that runs trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunnerView {
    /// Its name.
    pub name: String,
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
    /// How long ago it was heard of.
    pub heard_s: f64,
}
