//! One thing the user can fix: where it is, what was found, what is allowed, what to write instead.
//!
//! Problems are collected, never thrown one at a time. A [`Notice`] has the same shape and stops
//! nothing.

use serde::{Deserialize, Serialize};

/// A position in a job file and the YAML path that leads to it. Lines and columns count from 1; 0
/// means "the file as a whole".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file, as the user named it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// The YAML path: `search_space.learning_rate.min`.
    pub path: String,
}

/// One thing the user can fix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// The sentence a person reads after the place, the path included.
    pub message: String,
    /// What stands there.
    pub found: String,
    /// What may stand there.
    pub allowed: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// Something worth saying that stops nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// The sentence.
    pub message: String,
}

/// Every problem of a job at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problems(pub Vec<Problem>);

impl std::error::Error for Problems {}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.told("nothing was started"))
    }
}

impl Problems {
    /// All of them, how many they are, and what follows.
    pub fn told(&self, outcome: &str) -> String {
        let mut text = String::new();
        for problem in &self.0 {
            text.push_str(&format!("{problem}\n"));
        }
        text + &self.counted(outcome)
    }

    /// How many they are, and what follows.
    pub fn counted(&self, outcome: &str) -> String {
        let plural = if self.0.len() == 1 { "" } else { "s" };
        format!("{} problem{plural}; {outcome}", self.0.len())
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.line, self.column) {
            (0, _) => write!(f, "{}", self.file),
            (line, column) => write!(f, "{}:{line}:{column}", self.file),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}
