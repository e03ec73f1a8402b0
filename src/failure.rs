//! Why a command could not do what was asked, and the exit code that says so.

use std::io;

use fleetfit_search_spaces::disk;
use fleetfit_search_spaces::{Problem, Problems};
use thiserror::Error;

use crate::exit;

/// Why a command could not do what was asked.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The job has problems; they name their places themselves.
    #[error("{0}")]
    Problems(Problems),
    /// Configurations for a study have problems.
    #[error("{}", .0.told("no configuration was taken"))]
    NotTaken(Problems),
    /// The job's name means something else already.
    #[error("{}", Problems(vec![(**.0).clone()]))]
    Taken(Box<Problem>),
    /// The name that was asked for is a study's already.
    #[error(
        "there is a study named {name} already\n  hint: give this one another name, or leave the \
         name out for the next free one"
    )]
    NameTaken {
        /// The name.
        name: String,
    },
    /// What was asked for on the command line cannot be: no such study, no such entity.
    #[error("{message}{}", hint_line(.hint))]
    Asked {
        /// What is wrong.
        message: String,
        /// What to write instead.
        hint: Option<String>,
    },
    /// Whoever was asked is not there, or not any more.
    #[error("{0}")]
    Gone(String),
    /// Something outside is not available.
    #[error("{0}")]
    Unavailable(String),
    /// Anything else.
    #[error("{0}")]
    Unexpected(String),
}

fn hint_line(hint: &Option<String>) -> String {
    hint.as_ref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default()
}

impl Failure {
    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> i32 {
        match self {
            Self::Problems(_)
            | Self::NotTaken(_)
            | Self::Taken(_)
            | Self::NameTaken { .. }
            | Self::Asked { .. } => exit::PROBLEMS,
            Self::Gone(_) | Self::Unavailable(_) => exit::UNAVAILABLE,
            Self::Unexpected(_) => exit::UNEXPECTED,
        }
    }

    /// Something outside is not available, in the words of whoever met it, with what to do in the place
    /// of the operating system's number.
    pub(crate) fn outside(error: &impl std::fmt::Display) -> Self {
        let text = error.to_string();
        let (plain, remedy) = match text.split_once(" (os error ") {
            Some((before, rest)) => {
                let (number, after) = rest.split_once(')').unwrap_or((rest, ""));
                let error = number.parse().ok().map(io::Error::from_raw_os_error);
                (format!("{before}{after}"), error.as_ref().map_or("", disk::remedy))
            }
            None => (text, ""),
        };
        Self::Unavailable(format!("{plain}{remedy}"))
    }

    /// One problem that ends the command.
    pub(crate) fn problem(problem: Problem) -> Self {
        Self::Problems(Problems(vec![problem]))
    }

    /// Something asked for that cannot be, with what to write instead.
    pub(crate) fn asked(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Asked { message: message.into(), hint: Some(hint.into()) }
    }
}
