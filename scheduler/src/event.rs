//! Why the core wakes up, what it then knows, and what it asks for.

use fleetfit_search_spaces::wire::{Assignment, Refit};
use fleetfit_search_spaces::{Configuration, Outcome, Reached, Report};

/// Every reason for a study's state to change. Time enters here and nowhere else.
#[derive(Clone, Debug)]
pub enum Event {
    /// The engine has replayed the journal and is about to run the study.
    Started,
    /// Runners can take this many more assignments. What cannot be met is not remembered: ask again
    /// once something has ended, been refitted or been released.
    Wanted {
        /// How many.
        assignments: u32,
    },
    /// Trials of an assignment ended.
    Ended {
        /// The assignment.
        assignment: u64,
        /// Their ends, duplicates and strangers included.
        outcomes: Vec<Outcome>,
        /// Whether a graphics card fitted them.
        launched: bool,
    },
    /// Trials of an assignment came to the rung that they were tried up to.
    Reached {
        /// The assignment.
        assignment: u64,
        /// What they did, duplicates and strangers included.
        trials: Vec<Reached>,
        /// Whether a graphics card fitted them.
        launched: bool,
    },
    /// A running trial reported.
    Reported {
        /// The assignment.
        assignment: u64,
        /// Which hand-out of it.
        attempt: u32,
        /// Which report of the trial it is, from 1; 0 where nobody says.
        nth: u32,
        /// The configuration's number.
        configuration: u32,
        /// The entity's index.
        entity: u32,
        /// The report.
        report: Report,
    },
    /// Winners were refitted.
    Refitted {
        /// The assignment.
        assignment: u64,
        /// The models.
        models: Vec<Refit>,
    },
    /// The runner is through with an assignment, or it is lost: what it did not tell is open again.
    /// Every assignment that is handed out has to end in this.
    Released {
        /// The assignment.
        assignment: u64,
        /// Which hand-out of it.
        attempt: u32,
        /// Whether what it left undone is held against it: not where it was handed back.
        is_blamed: bool,
    },
    /// An assignment of an earlier life of the scheduler is still out: it is not handed out again.
    Adopted {
        /// The assignment.
        assignment: Assignment,
    },
    /// Somebody outside asks for so many trials of a study whose trials are run elsewhere. Each
    /// comes as an assignment of its own.
    Asked {
        /// How many.
        trials: u32,
    },
    /// Somebody asks for configurations to be tried before the sampler is asked again: points of the
    /// space, none of which waits already.
    Queued {
        /// The configurations.
        configurations: Vec<Configuration>,
        /// What the request was marked with.
        mark: Option<Mark>,
    },
    /// Time has passed; the study has run for so long, interruptions not counted.
    Elapsed {
        /// Milliseconds.
        elapsed_ms: u64,
    },
    /// Somebody cancels the study.
    Cancelled,
    /// Somebody resumes a cancelled or failed study.
    Resumed,
}

/// What the journal remembers. Applying the facts in order rebuilds the state.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A configuration was proposed; numbers count up from 0.
    Proposed {
        /// Its number.
        number: u32,
        /// The configuration.
        configuration: Configuration,
    },
    /// Configurations are tried before the sampler is asked again.
    Queued {
        /// The configurations.
        configurations: Vec<Configuration>,
        /// What the request was marked with.
        mark: Option<Mark>,
    },
    /// Trials ended, each for the first time.
    Ended {
        /// Their ends.
        outcomes: Vec<Outcome>,
    },
    /// Trials came to a rung, each for the first time.
    Reached {
        /// What they did.
        trials: Vec<Reached>,
    },
    /// The search is over; what follows are refits.
    SearchEnded {
        /// Why.
        by: EndedBy,
    },
    /// Winners were refitted.
    Refitted {
        /// The models.
        models: Vec<Refit>,
    },
    /// The study is over.
    Closed,
    /// The study goes on after a cancel.
    Reopened {
        /// What a cancel may have stopped are assignments with lower numbers; the largest number where
        /// nobody knows, which are all of earlier lives then.
        from: u64,
    },
    /// The study has run for so long.
    Elapsed {
        /// Milliseconds.
        elapsed_ms: u64,
    },
}

/// A request that counts once, however often it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// A hash of what it was marked with.
    pub key: u64,
    /// A hash of what it asked for.
    pub request: u64,
    /// What it was answered: the numbers of its configurations.
    pub numbers: Vec<u32>,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// `max_total_trials` were tried.
    Trials,
    /// `timeout` ran out.
    Timeout,
    /// Every point of a finite space was tried.
    Space,
    /// It was cancelled.
    Cancel,
    /// A model reached the exit score.
    ExitScore,
    /// The best has not improved for as long as `patience` says, or is not expected to.
    Improvement,
}

/// What the core asks the engine to do once the facts are on disk.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Hand out an assignment.
    Dispatch(Assignment),
    /// End one trial early.
    StopTrial {
        /// The configuration's number.
        configuration: u32,
        /// The entity's index.
        entity: u32,
        /// Who stops it.
        reason: String,
    },
    /// End everything in flight.
    StopStudy {
        /// Why.
        reason: String,
    },
    /// The study is over.
    Finished,
}

/// What one event led to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// To be journalled, already applied to the state.
    pub facts: Vec<Fact>,
    /// To be carried out after the facts are on disk.
    pub commands: Vec<Command>,
}
