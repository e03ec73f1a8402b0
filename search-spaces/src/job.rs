//! A job as the user wrote it: a YAML (or JSON) document that knows its places.

use crate::data::DataSpec;
use crate::fields::At;
use crate::findings::{Findings, Mistake};
use crate::ignored;
use crate::origin::Origin;
use crate::problem::{Notice, Place, Problem, Problems};
use crate::study::{Reading, Study, default_name};
use crate::work::CommandTrial;
use crate::yaml::{Content, Key, Node, SyntaxError, UNNAMED, parse};

/// A job as the user wrote it.
#[derive(Clone, Debug)]
pub struct Job {
    /// The file's name, as the user gave it.
    pub file: String,
    /// The name of the folder that the file lies in, for whoever knows it. A study whose file is
    /// called `job` or `sweep` is named by it, and so the same from wherever it is read.
    pub folder: Option<String>,
    /// The text.
    pub text: String,
    /// The document.
    pub document: Node,
    /// What `set` replaced: path and value, in order.
    pub overrides: Vec<(String, String)>,
    /// What is wrong with the text, though it can be read: keys set twice, leading zeros.
    pub mistakes: Vec<Problem>,
    /// Whether it was taken before: what has come to be refused since is read on.
    pub is_stored: bool,
}

/// A job with everything that can be said about it, and what of it could be read even so.
#[derive(Debug)]
pub struct Judgement {
    /// The study it means, or every problem at once.
    pub study: Result<Study, Problems>,
    /// The data it names, as far as it could be read: names are empty where they could not be.
    pub data: Option<DataSpec>,
    /// The program it runs, as far as it could be read: `command` is empty where it could not be.
    pub command: Option<CommandTrial>,
    /// Earlier trials that it starts from, as far as they could be read, each with its place.
    pub origins: Vec<(String, Origin)>,
    /// What is worth saying about it.
    pub notices: Vec<Notice>,
}

impl Job {
    /// Parses the text. Syntax errors and documents that are too large or too deep are problems.
    /// Mistakes in spite of which the document can be told become problems when it is judged.
    pub fn read(file: &str, text: &str) -> Result<Self, Problems> {
        let (document, errors) = parse(text);
        let of_job = |error: SyntaxError| error.of("a job", "begin with type: sweep");
        let mistakes: Vec<Problem> =
            errors.into_iter().map(|error| syntax_problem(file, of_job(error))).collect();
        let Some(document) = document else {
            return Err(Problems(mistakes));
        };
        let (file, text) = (file.to_owned(), text.to_owned());
        let (folder, overrides) = (None, Vec::new());
        Ok(Self { file, folder, text, document, overrides, mistakes, is_stored: false })
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
                return Err(value_problem(&source, path, error));
            }
            _ => Node { line: 0, column: 0, content: Content::Null },
        };
        forget_places(&mut node);
        let steps: Vec<&str> = path.split('.').collect();
        if steps.iter().any(|step| step.is_empty()) {
            // `--set =3` has no word that a sentence could begin with.
            let path = if path.is_empty() { "\"\"" } else { path };
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
        self.judge().study
    }

    /// The study this job means, or every problem; and in both cases what it names outside, so that
    /// whoever looks at files can say at once what is wrong with those.
    pub fn judge(&self) -> Judgement {
        let mut findings = Findings::new(&self.file, &self.overrides);
        findings.is_stored = self.is_stored;
        let name = default_name(&self.file, self.folder.as_deref());
        let Reading { study, data, command, origins } =
            Reading::read(&At::root(&self.document), &name, &mut findings);
        let position = |place: &Place| (place.line, place.column);
        let Findings { mut problems, mut notices, .. } = findings;
        problems.extend(self.mistakes.iter().cloned());
        problems.sort_by_key(|problem| position(&problem.place));
        notices.sort_by_key(|notice| position(&notice.place));
        let study = match study {
            Some(mut study) if problems.is_empty() => {
                study.notices.clone_from(&notices);
                study.cannot_run.sort_by_key(|problem| position(&problem.place));
                Ok(study)
            }
            _ => Err(Problems(problems)),
        };
        Judgement { study, data, command, origins, notices }
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

pub(crate) fn syntax_problem(file: &str, error: SyntaxError) -> Problem {
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

/// A mistake in a value, whose places mean nothing in the job.
fn value_problem(source: &str, path: &str, error: SyntaxError) -> Problem {
    let below = if error.path.is_empty() { String::new() } else { format!(".{}", error.path) };
    let whole = format!("{path}{below}");
    let is_named = !error.path.is_empty() && error.message.starts_with(&error.path);
    let mut problem = syntax_problem(source, error);
    problem.message = match problem.message.strip_prefix(UNNAMED) {
        Some(rest) => format!("{whole}{rest}"),
        None if is_named => format!("{path}.{}", problem.message),
        None => format!("{whole}: {}", problem.message),
    };
    problem.place = Place { file: source.to_owned(), line: 0, column: 0, path: whole };
    problem
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
