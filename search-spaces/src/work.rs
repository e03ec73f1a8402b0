//! What a trial does: run a command, train a built-in learner, or wait for somebody else to tell.
//!
//! `read.rs` reads `trial`; `command.rs` and `placeholder.rs` read commands and what they name.

mod command;
mod placeholder;
mod read;

pub(crate) use read::{Surroundings, TrialKind};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::learner::Learner;
use crate::problem::Place;
use crate::value::Value;

/// What a trial does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Runs a program.
    Command(CommandTrial),
    /// Trains this built-in learner; the whole configuration is its parameters.
    Learner(Learner),
    /// Trains the learner that the configuration's parameter of this name chooses
    /// (`learner: "${{search_space.model}}"`): a nested map's `learner` key names it, its other keys
    /// are the parameters; a plain word is a learner with its defaults.
    ChosenLearner {
        /// The parameter.
        parameter: String,
    },
    /// `trial: external`: asked for and told by the user's own program.
    External,
    /// An AutoML job: the engine chooses learners and featurisation.
    AutoMl,
}

/// A program to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandTrial {
    /// The command line as written, with its placeholders, for `sh -c`.
    pub command: String,
    /// The folder whose files it sees, as written.
    pub code: Option<String>,
    /// Where `code` stands in the job file.
    pub code_place: Place,
    /// By name: what `${{inputs.x}}` becomes.
    pub inputs: Vec<(String, Input)>,
    /// By name: what `${{outputs.x}}` becomes.
    pub outputs: Vec<(String, Output)>,
    /// Set for the program.
    pub environment_variables: BTreeMap<String, String>,
}

/// One input of a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// A literal.
    Value(Value),
    /// A local file or folder, as written, relative to the job file's folder.
    Path {
        /// The path.
        path: String,
        /// Where it stands in the job file.
        place: Place,
    },
    /// Something elsewhere (`azureml:…`, `https://…`, `wasbs://…`), which `run` refuses.
    Remote {
        /// The address.
        address: String,
        /// Where it stands in the job file.
        place: Place,
    },
}

/// One output of a command: a file or a folder in the trial's own folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// A folder that exists before the program starts.
    Folder,
    /// A file that the program writes.
    File,
}
