//! A job as the user wrote it: a YAML (or JSON) document that knows its places.

use crate::fields::At;
use crate::findings::{Findings, Mistake};
use crate::ignored;
use crate::problem::{Place, Problem, Problems};
use crate::study::Study;
use crate::yaml::{Content, Key, Node, SyntaxError, parse};

/// A job as the user wrote it.
#[derive(Clone, Debug)]
pub struct Job {
    /// The file's name, as the user gave it.
    pub file: String,
    /// The text.
    pub text: String,
    /// The document.
    pub document: Node,
    /// What `set` replaced: path and value, in order.
    pub overrides: Vec<(String, String)>,
}

impl Job {
    /// Parses the text. Syntax errors, duplicate keys and documents that are too large or too deep
    /// are problems. Where the document can be told in spite of them, what else is wrong with it is
    /// said as well.
    pub fn read(file: &str, text: &str) -> Result<Self, Problems> {
        let (document, errors) = parse(text);
        let mut problems: Vec<Problem> =
            errors.into_iter().map(|error| syntax_problem(file, error)).collect();
        let Some(document) = document else {
            return Err(Problems(problems));
        };
        let (file, text) = (file.to_owned(), text.to_owned());
        let job = Self { file, text, document, overrides: Vec::new() };
        if problems.is_empty() {
            return Ok(job);
        }
        if let Err(more) = job.study() {
            problems.extend(more.0);
        }
        problems.sort_by_key(|problem| (problem.place.line, problem.place.column));
        Err(Problems(problems))
    }

    /// Replaces or adds the value at a dotted path, as `--set limits.timeout=60` asks. The value is
    /// YAML; list elements are named by their index.
    #[expect(clippy::result_large_err, reason = "made at most once for each --set")]
    pub fn set(&mut self, path: &str, value: &str) -> Result<(), Problem> {
        let source = format!("--set {path}={value}");
        let (parsed, errors) = parse(value);
        let mut node = match (parsed, errors.into_iter().next()) {
            (Some(node), None) => node,
            (_, Some(error)) if !value.trim().is_empty() => {
                let mut problem = syntax_problem(&source, error);
                (problem.place.line, problem.place.column) = (0, 0);
                path.clone_into(&mut problem.place.path);
                return Err(problem);
            }
            _ => Node { line: 0, column: 0, content: Content::Null },
        };
        forget_places(&mut node);
        let steps: Vec<&str> = path.split('.').collect();
        if steps.iter().any(|step| step.is_empty()) {
            return Err(set_problem(&source, path, "is no path", "write --set limits.timeout=60"));
        }
        insert(&mut self.document, &steps, node).map_err(|says| {
            set_problem(&source, path, &says, "name keys by dots and list elements by their index")
        })?;
        self.overrides.push((path.to_owned(), value.to_owned()));
        Ok(())
    }

    /// The study this job means, or every problem at once.
    pub fn study(&self) -> Result<Study, Problems> {
        let mut findings = Findings::new(&self.file, &self.overrides);
        let study = Study::read(&At::root(&self.document), &self.file, &mut findings);
        let position = |place: &Place| (place.line, place.column);
        findings.problems.sort_by_key(|problem| position(&problem.place));
        match study {
            Some(mut study) if findings.problems.is_empty() => {
                study.notices.sort_by_key(|notice| position(&notice.place));
                study.cannot_run.sort_by_key(|problem| position(&problem.place));
                Ok(study)
            }
            _ => Err(Problems(findings.problems)),
        }
    }

    /// The job in one canonical form (compact JSON, keys sorted, defaults not filled in, its name and
    /// every key without effect left out): two jobs are the same when these are equal.
    pub fn canonical(&self) -> String {
        let mut json = self.document.to_json();
        ignored::strip(&mut json);
        json.to_string()
    }

    /// A problem at the node with this YAML path (`training_data.path`, `trial.code`), or at its
    /// nearest ancestor that exists. For whoever looks at files and finds something wrong. It reads
    /// `PATH is FOUND, but must be ALLOWED`, or `PATH is FOUND` where nothing is to be allowed.
    pub fn problem_at(
        &self,
        path: &str,
        found: &str,
        allowed: &str,
        hint: Option<&str>,
    ) -> Problem {
        let mut node = &self.document;
        for step in path.split('.') {
            match node.at_path(step) {
                Some(child) => node = child,
                None => break,
            }
        }
        let findings = Findings::new(&self.file, &self.overrides);
        let at = At { path: path.to_owned(), ..At::root(node) };
        let says = if allowed.is_empty() {
            format!("is {found}")
        } else {
            format!("is {found}, but must be {allowed}")
        };
        let mut mistake = Mistake::new(says, allowed);
        mistake.hint = hint.map(str::to_owned);
        let mut problem = findings.describe(&at, mistake);
        found.clone_into(&mut problem.found);
        problem
    }
}

fn syntax_problem(file: &str, error: SyntaxError) -> Problem {
    Problem {
        place: Place {
            file: file.to_owned(),
            line: error.line,
            column: error.column,
            path: error.path,
        },
        message: error.message,
        found: error.found,
        allowed: error.allowed,
        hint: error.hint,
    }
}

fn set_problem(source: &str, path: &str, says: &str, hint: &str) -> Problem {
    Problem {
        place: Place { file: source.to_owned(), line: 0, column: 0, path: path.to_owned() },
        message: format!("{path} {says}"),
        found: path.to_owned(),
        allowed: "a path in the job".to_owned(),
        hint: Some(hint.to_owned()),
    }
}

/// Nodes from the command line have no line.
fn forget_places(node: &mut Node) {
    (node.line, node.column) = (0, 0);
    match &mut node.content {
        Content::List(items) => items.iter_mut().for_each(forget_places),
        Content::Map(entries) => {
            for (key, value) in entries {
                (key.line, key.column) = (0, 0);
                forget_places(value);
            }
        }
        _ => {}
    }
}

/// Puts a node where the steps lead, making the maps on the way.
fn insert(target: &mut Node, steps: &[&str], node: Node) -> Result<(), String> {
    let [step, rest @ ..] = steps else {
        *target = node;
        return Ok(());
    };
    if target.content == Content::Null {
        target.content = Content::Map(Vec::new());
    }
    match &mut target.content {
        Content::List(items) => {
            let length = items.len();
            let item = step.parse::<usize>().ok().and_then(|index| items.get_mut(index));
            let says = format!("leads into a list of {length}, where {step} is no index");
            insert(item.ok_or(says)?, rest, node)
        }
        Content::Map(entries) => {
            let index =
                entries.iter().position(|(key, _)| key.name == *step).unwrap_or_else(|| {
                    let key = Key { name: (*step).to_owned(), line: 0, column: 0 };
                    entries.push((key, Node { line: 0, column: 0, content: Content::Null }));
                    entries.len() - 1
                });
            insert(&mut entries[index].1, rest, node)
        }
        _ => Err(format!("leads into {}, which has no {step}", target.brief())),
    }
}
