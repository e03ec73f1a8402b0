//! Where a study starts from: an earlier study, or a file of earlier trials.

use serde::{Deserialize, Serialize};

use crate::data::is_remote;
use crate::fields::At;
use crate::findings::{Findings, Mistake};
use crate::yaml::Content;

/// What files of trials are called at their end.
const ENDINGS: [&str; 9] =
    ["csv", "json", "jsonl", "ndjson", "log", "journal", "db", "sqlite", "sqlite3"];

/// The most of them that a job names.
const MOST: usize = 64;

/// Earlier trials that a study starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Origin {
    /// A file.
    File {
        /// Where it lies.
        path: String,
        /// Which study's trials in it are meant, where it holds several.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        study: Option<String>,
    },
    /// A study of the same data directory.
    Study {
        /// Its name.
        study: String,
    },
}

impl Origin {
    /// The file's path.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::Study { .. } => None,
        }
    }

    /// What a bare word names: a file where it is a path or ends like one, else a study.
    fn of_word(text: String) -> Self {
        let ending = text.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        let is_file = ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()));
        match is_file || text.contains('/') {
            true => Self::File { path: text, study: None },
            false => Self::Study { study: text },
        }
    }

    /// Reads `start_from`: one, or a list of them, each with its place in the job.
    pub(crate) fn read_all(at: &At<'_>, findings: &mut Findings) -> Vec<(String, Self)> {
        let items = at.one_or_more();
        if items.is_empty() || items.len() > MOST {
            let wanted = format!("1 to {MOST} names of studies or files of trials");
            let found = if items.is_empty() { "empty".to_owned() } else { items.len().to_string() };
            let mistake = Mistake::new(format!("is {found}, but must be {wanted}"), wanted);
            findings.problem(at, mistake.hint("write the name of a study, or the path of a file"));
            return Vec::new();
        }
        let read = |item: &At<'_>| Some((item.path.clone(), Self::read(item, findings)?));
        items.iter().filter_map(read).collect()
    }

    fn read(at: &At<'_>, findings: &mut Findings) -> Option<Self> {
        let origin = match &at.node.content {
            Content::Map(_) => {
                let mut fields = at.map(findings)?;
                let path = fields.take("path", findings).map(|at| at.text(findings));
                let study = fields.take("study", findings).map(|at| at.text(findings));
                let before = findings.problems.len();
                fields.finish(findings);
                match (path, study) {
                    (Some(path), study) => Self::File { path: path?, study: study.flatten() },
                    (None, Some(study)) => Self::Study { study: study? },
                    // What was meant by another key is said there.
                    (None, None) if findings.problems.len() > before => return None,
                    (None, None) => {
                        let mistake = Mistake::new("names nothing", "a path or a study");
                        findings.problem(at, mistake.hint("write path: trials.csv"));
                        return None;
                    }
                }
            }
            _ => Self::of_word(at.text(findings)?),
        };
        if let Some(path) = origin.path().filter(|path| is_remote(path)) {
            let says = format!("is {path}, which lies on another machine");
            let mistake = Mistake::new(says, "a file of this machine, or the name of a study");
            findings.problem(at, mistake.hint("download it, and write its local path"));
            return None;
        }
        Some(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_files_where_they_look_like_it() {
        let is_file = |word: &str| Origin::of_word(word.into()).path().is_some();
        assert!(
            is_file("trials.csv") && is_file("old/trials") && is_file("./a") && is_file("A.DB")
        );
        assert!(!is_file("store-demand") && !is_file("v1.2") && !is_file("csv"));
    }
}
