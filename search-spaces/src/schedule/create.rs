//! What a schedule runs: the job of a file, perhaps with changes, or a job written out in place.

use crate::fields::At;
use crate::findings::{Findings, Mistake};
use crate::job::Job;
use crate::problem::Place;
use crate::study::Reading;
use crate::yaml::{Content, Node, brief_text};

/// What a job of Azure's workspace begins with.
const WORKSPACE: &str = "azureml:";

/// What a schedule runs.
#[derive(Clone, Debug)]
pub enum CreateJob {
    /// The job of a file.
    File {
        /// The path, relative to the schedule's file.
        path: String,
        /// Where the path stands.
        place: Place,
        /// What is changed in that job, in order.
        changes: Vec<Change>,
    },
    /// A job in the schedule itself. Its nodes keep their places; `text` is the job alone.
    Inline(Box<Job>),
}

/// One value of a job that a schedule changes, as `--set PATH=VALUE` would.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The dotted path in the job.
    pub path: String,
    /// The value, as YAML on one line.
    pub value: String,
    /// Where it stands in the schedule.
    pub place: Place,
}

impl CreateJob {
    /// Reads `create_job`. A job that stands there is judged, too.
    pub(super) fn read(at: &At<'_>, file: &str, findings: &mut Findings) -> Option<Self> {
        match &at.node.content {
            Content::Map(_) => match at.get("job") {
                Some(job) => {
                    let changes = read_changes(at, findings);
                    Self::of_file(&job, changes, findings)
                }
                None => Some(Self::inline(at, file, findings)),
            },
            Content::Text { .. } => Self::of_file(at, Vec::new(), findings),
            _ => {
                let hint = Some("write create_job: ./job.yaml".to_owned());
                at.wrong(findings, "the path of a job file, or a job", hint)
            }
        }
    }

    fn of_file(at: &At<'_>, changes: Vec<Change>, findings: &mut Findings) -> Option<Self> {
        let text = at.text(findings)?;
        if text.starts_with(WORKSPACE) {
            let says = format!("is {}, a job of an Azure workspace", brief_text(&text));
            let hint = format!("write the path of the job's file: {}: ./job.yaml", at.name());
            findings.problem(at, Mistake::new(says, "the path of a job file").hint(hint));
            return None;
        }
        let path = text.trim().to_owned();
        Some(Self::File { path, place: findings.place(at), changes })
    }

    fn inline(at: &At<'_>, file: &str, findings: &mut Findings) -> Self {
        let name = at.name().to_owned();
        // One with problems is told as well: whoever looks for files finds what else is wrong.
        Reading::read(at, &name, findings);
        Self::Inline(Box::new(Job {
            file: file.to_owned(),
            folder: None,
            text: at.node.to_text(),
            document: at.node.clone(),
            overrides: Vec::new(),
            mistakes: Vec::new(),
            is_stored: false,
        }))
    }
}

/// What stands beside `job`: each value by its path, whole lists as one.
fn read_changes(at: &At<'_>, findings: &mut Findings) -> Vec<Change> {
    let mut changes = Vec::new();
    for value in at.entries().filter(|value| value.name() != "job") {
        let name = value.name().to_owned();
        gather(&value, name, &mut changes, findings);
    }
    changes
}

fn gather(at: &At<'_>, path: String, changes: &mut Vec<Change>, findings: &mut Findings) {
    let step = at.key.map_or("", |key| key.name.as_str());
    if step.is_empty() || step.contains('.') {
        let says = "has a dot in its name or none, and cannot be changed here";
        let mistake = Mistake::new(says, "a name without dots");
        findings.key_problem(at, mistake.hint("change it in the job's own file"));
        return;
    }
    match &at.node.content {
        Content::Map(_) => {
            for value in at.entries() {
                let below = format!("{path}.{}", value.name());
                gather(&value, below, changes, findings);
            }
        }
        _ => changes.push(Change { path, value: at.node.to_line(), place: findings.place(at) }),
    }
}

impl Node {
    /// The node as a document of its own that means the same: JSON, but for numbers, which stand as
    /// they were written.
    fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(Some(0), &mut text);
        text.push('\n');
        text
    }

    /// The same on one line.
    fn to_line(&self) -> String {
        let mut text = String::new();
        self.write(None, &mut text);
        text
    }

    /// Writes the node, lines indented by so much where there are any.
    fn write(&self, indent: Option<usize>, out: &mut String) {
        match &self.content {
            Content::Float { written, .. } => out.push_str(written),
            Content::List(items) => {
                let parts = items.iter().map(|item| (String::new(), item));
                write_parts(('[', ']'), parts.collect(), indent, out);
            }
            Content::Map(entries) => {
                let parts =
                    entries.iter().map(|(key, node)| (format!("{}: ", json(&key.name)), node));
                write_parts(('{', '}'), parts.collect(), indent, out);
            }
            Content::Text { text, .. } => out.push_str(&json(text)),
            Content::Null | Content::Bool(_) | Content::Int(_) => {
                out.push_str(&self.to_json().to_string());
            }
        }
    }
}

fn write_parts(
    (open, close): (char, char),
    parts: Vec<(String, &Node)>,
    indent: Option<usize>,
    out: &mut String,
) {
    let new_line = |indent: usize, out: &mut String| {
        out.push('\n');
        out.push_str(&"  ".repeat(indent));
    };
    out.push(open);
    let inner = indent.map(|indent| indent + 1);
    let is_empty = parts.is_empty();
    for (index, (head, node)) in parts.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        match inner {
            Some(inner) => new_line(inner, out),
            None if index > 0 => out.push(' '),
            None => {}
        }
        out.push_str(&head);
        node.write(inner, out);
    }
    if let Some(indent) = indent
        && !is_empty
    {
        new_line(indent, out);
    }
    out.push(close);
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use crate::yaml::{Content, Node, parse};

    fn forget_places(node: &mut Node) {
        (node.line, node.column) = (0, 0);
        match &mut node.content {
            Content::Text { quoted, .. } => *quoted = true,
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

    #[test]
    fn a_node_is_written_so_that_it_is_read_again_as_the_same() {
        let text = "a: {b: [1, 2.50, 1e-3, .inf, '7', yes, null, true]}\n\
                    'c: d': \"tab\\t\\\"quote\\\" \\\\ é\\n\"\nempty: {}\nnone: []\n\
                    big: 123456789012345678901234567890\nlist: [[], {x: 1}]\n";
        let mut document = parse(text).0.unwrap();
        for written in [document.to_text(), document.to_line()] {
            let (again, errors) = parse(&written);
            assert!(errors.is_empty(), "{errors:?}\n{written}");
            let mut again = again.unwrap();
            forget_places(&mut again);
            forget_places(&mut document);
            assert_eq!(again, document, "{written}");
        }
        assert_eq!(document.at_path("a.b").unwrap().to_line().lines().count(), 1);
    }
}
