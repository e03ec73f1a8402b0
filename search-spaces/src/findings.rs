//! What reading a job brings to light: problems, notices, and what this version cannot run.
//!
//! Readers add to it and carry on, so that every mistake is reported at once. One line a mistake.

use crate::fields::At;
use crate::problem::{Notice, Place, Problem};

/// What is said about a required key that is not there.
pub(crate) const MISSING: &str = "is missing";

/// Everything found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    file: String,
    /// What the command line set: path and value.
    overrides: Vec<(String, String)>,
    /// What the user must fix.
    pub problems: Vec<Problem>,
    /// What is worth saying.
    pub notices: Vec<Notice>,
    /// What is valid and cannot run yet.
    pub cannot_run: Vec<Problem>,
    /// Whether the job was taken before.
    pub is_stored: bool,
}

/// The parts of a problem after its place.
pub(crate) struct Mistake {
    /// The sentence after the path: `is 0, but must be at least 1`.
    pub says: String,
    /// What may stand there.
    pub allowed: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Mistake {
    /// A mistake without a hint.
    pub(crate) fn new(says: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { says: says.into(), allowed: allowed.into(), hint: None }
    }

    /// The same with a hint.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Findings {
    /// Nothing found yet in this file.
    pub(crate) fn new(file: &str, overrides: &[(String, String)]) -> Self {
        Self { file: file.to_owned(), overrides: overrides.to_vec(), ..Self::default() }
    }

    /// The same file, and nothing found in it.
    pub(crate) fn empty(&self) -> Self {
        Self { is_stored: self.is_stored, ..Self::new(&self.file, &self.overrides) }
    }

    /// The place of a node.
    pub(crate) fn place(&self, at: &At<'_>) -> Place {
        self.place_of((at.node.line, at.node.column), &at.path)
    }

    /// The place of a line and column with a path.
    pub(crate) fn place_of(&self, (line, column): (u32, u32), path: &str) -> Place {
        let file = if line == 0 { self.override_of(path) } else { None };
        Place {
            file: file.unwrap_or_else(|| self.file.clone()),
            line,
            column,
            path: path.to_owned(),
        }
    }

    /// The `--set` that made the node at this path.
    fn override_of(&self, path: &str) -> Option<String> {
        let covers = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let (set, value) =
            self.overrides.iter().rev().find(|(set, _)| covers(set, path) || covers(path, set))?;
        Some(format!("--set {set}={value}"))
    }

    /// A problem with a node: its path, then what the mistake says.
    pub(crate) fn problem(&mut self, at: &At<'_>, mistake: Mistake) {
        let problem = self.describe(at, mistake);
        self.problems.push(problem);
    }

    /// A problem with the key of a node rather than with its value.
    pub(crate) fn key_problem(&mut self, at: &At<'_>, mistake: Mistake) {
        let mut problem = self.describe(at, mistake);
        if let Some(key) = at.key {
            problem.place = self.place_of((key.line, key.column), &at.path);
            let is_empty = key.name.is_empty();
            problem.found = if is_empty { "\"\"".to_owned() } else { key.name.clone() };
        }
        self.problems.push(problem);
    }

    /// Takes back that the key at this path is missing.
    pub(crate) fn forget_missing(&mut self, path: &str) {
        let missing = sentence(path, MISSING);
        self.problems.retain(|problem| problem.message != missing);
    }

    /// Replaces the hint of the problems at this path, for whoever knows better what was meant.
    pub(crate) fn advise(&mut self, path: &str, hint: &str) {
        for problem in self.problems.iter_mut().filter(|problem| problem.place.path == path) {
            problem.hint = Some(hint.to_owned());
        }
    }

    /// Something that is valid and cannot run: kept aside, and said in a notice.
    pub(crate) fn cannot_run(&mut self, at: &At<'_>, mistake: Mistake) {
        let problem = self.describe(at, mistake);
        self.notices
            .push(Notice { place: problem.place.clone(), message: problem.message.clone() });
        self.cannot_run.push(problem);
    }

    /// A notice about a node: its path, then the words.
    pub(crate) fn notice(&mut self, at: &At<'_>, says: &str) {
        let message = sentence(&at.path, says);
        self.notices.push(Notice { place: self.place(at), message });
    }

    /// The problem that a mistake at a node makes.
    pub(crate) fn describe(&self, at: &At<'_>, mistake: Mistake) -> Problem {
        let otherwise = || format!("write {}", mistake.allowed);
        let hint = mistake.hint.or_else(|| (!mistake.allowed.is_empty()).then(otherwise));
        Problem {
            place: self.place(at),
            message: sentence(&at.path, &mistake.says),
            found: at.node.brief(),
            allowed: mistake.allowed,
            hint,
        }
    }
}

fn sentence(path: &str, says: &str) -> String {
    match path {
        "" => format!("the job {says}"),
        path if says.starts_with(':') => format!("{path}{says}"),
        path => format!("{path} {says}"),
    }
}
