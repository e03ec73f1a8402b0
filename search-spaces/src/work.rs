//! What a trial does: run a command, train a built-in learner, or wait for somebody else to tell.
//!
//! `read.rs` reads `trial`; `command.rs` and `placeholder.rs` read commands and what they name;
//! `training.rs` says what a configuration trains.

mod command;
pub mod placeholder;
mod read;
mod training;

pub(crate) use read::{Surroundings, TrialKind};
pub use training::Training;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::configuration::{Configuration, Setting};
use crate::learner::Learner;
use crate::problem::Place;
use crate::value::Value;
use placeholder::{Piece, Root, pieces};

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

/// The command with every `${{search_space.x}}` replaced by the configuration's setting: a value as
/// it stands in a command line, a nested choice as compact JSON. Placeholders of other kinds, and of
/// parameters that the configuration does not have, stay as they are.
pub fn fill_search_space(command: &str, configuration: &Configuration) -> String {
    let mut filled = String::with_capacity(command.len());
    for piece in pieces(command) {
        match piece {
            Piece::Text(text) | Piece::Open(text) => filled.push_str(text),
            Piece::Named(Root::SearchSpace, path) => match configuration.get(path) {
                Some(Setting::Value(value)) => filled.push_str(&value.to_string()),
                Some(Setting::Nested(nested)) => filled.push_str(&nested.to_json()),
                None => filled.extend(["${{search_space.", path, "}}"]),
            },
            Piece::Named(root, name) => filled.extend(["${{", root.word(), ".", name, "}}"]),
            Piece::Unknown(body) => filled.extend(["${{", body, "}}"]),
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &str, filled: &str) {
        let json = r#"{"rate": 1e-7, "depth": 3, "model": {"name": "svm", "C": 1.0}}"#;
        let configuration: Configuration = serde_json::from_str(json).unwrap();
        assert_eq!(fill_search_space(command, &configuration), filled);
    }

    #[test]
    fn placeholders_of_the_search_space_are_filled() {
        check("train --rate ${{search_space.rate}}", "train --rate 1e-7");
        check("${{ search_space.depth }}${{search_space.depth}}", "33");
        check("--c=${{search_space.model.C}}", "--c=1.0");
        check("m '${{search_space.model}}'", r#"m '{"name":"svm","C":1.0}'"#);
    }

    #[test]
    fn everything_else_stays() {
        for command in [
            "",
            "cat ${{inputs.data}} > ${{outputs.x}} ${{parent.x}}",
            "${{search_space.missing}}",
            "${{search_space.rate",
            "a ${{",
            "$HOME ${x} }} {{",
        ] {
            check(command, command);
        }
    }
}
