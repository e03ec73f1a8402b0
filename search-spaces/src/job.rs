//! A job as the user wrote it: a YAML (or JSON) document that knows its places.

use crate::problem::{Problem, Problems};
use crate::study::Study;
use crate::yaml::Node;

/// A job as the user wrote it.
#[derive(Clone, Debug)]
pub struct Job {
    /// The file's name, as the user gave it.
    pub file: String,
    /// The text.
    pub text: String,
    /// The document.
    pub document: Node,
}

impl Job {
    /// Parses the text. Syntax errors, duplicate keys and documents that are too large or too deep
    /// are problems.
    pub fn read(file: &str, text: &str) -> Result<Self, Problems> {
        let _ = (file, text);
        todo!()
    }

    /// Replaces or adds the value at a dotted path, as `--set limits.timeout=60` asks.
    pub fn set(&mut self, path: &str, value: &str) -> Result<(), Problem> {
        let _ = (path, value);
        todo!()
    }

    /// The study this job means, or every problem at once.
    pub fn study(&self) -> Result<Study, Problems> {
        todo!()
    }

    /// The job in one canonical form (compact JSON, keys sorted, defaults not filled in, `name`,
    /// `display_name`, `description` and `tags` left out): two jobs are the same when these are equal.
    pub fn canonical(&self) -> String {
        todo!()
    }

    /// A problem at the node with this YAML path (`training_data.path`, `trial.code`), or at its
    /// nearest ancestor that exists. For whoever looks at files and finds something wrong.
    pub fn problem_at(
        &self,
        path: &str,
        found: &str,
        allowed: &str,
        hint: Option<&str>,
    ) -> Problem {
        let _ = (path, found, allowed, hint);
        todo!()
    }
}
