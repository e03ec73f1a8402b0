//! What every job has: a name, and keys that mean nothing on one's own machines.

use std::path::Path;

use crate::fields::{At, Fields};
use crate::findings::{Findings, Mistake};
use crate::ignored::{DESCRIPTIVE, LABELS, OF_JOBS, RECORDED};
use crate::priority::Priority;
use crate::seed::mix;
use crate::yaml::Content;

/// The longest name.
const MAX_NAME: usize = 128;

/// What every job has.
pub(super) struct Header<'a> {
    /// The name, if it could be read.
    pub(super) name: Option<String>,
    /// How much of the runners it gets.
    pub(super) priority: Priority,
    /// What means nothing here and is worth a notice.
    pub(super) ignored: Vec<At<'a>>,
}

/// Reads what every job has, and takes every key that means nothing here.
pub(super) fn read<'a>(
    root: &mut Fields<'a>,
    default_name: &str,
    findings: &mut Findings,
) -> Header<'a> {
    let name = match root.take("name", findings) {
        Some(at) => read_name(&at, findings),
        None => Some(default_name.to_owned()),
    };
    for key in DESCRIPTIVE {
        if let Some(at) = root.take(key, findings) {
            at.text(findings);
        }
    }
    for key in LABELS {
        if let Some(at) = root.take(key, findings) {
            check_labels(&at, findings);
        }
    }
    root.ignore(RECORDED);
    let mut ignored = root.ignore(OF_JOBS);
    let priority = root.take("queue_settings", findings);
    let priority = priority.and_then(|at| Priority::read(&at, &mut ignored, findings));
    Header { name, priority: priority.unwrap_or_default(), ignored }
}

/// One notice for all keys that mean nothing here.
pub(super) fn notice_ignored(ignored: &[At<'_>], findings: &mut Findings) {
    let Some(first) = ignored.iter().min_by_key(|at| (at.node.line, at.node.column)) else {
        return;
    };
    let mut paths: Vec<&str> = ignored.iter().map(|at| at.path.as_str()).collect();
    paths.sort_unstable();
    let (mean, are) = if paths.len() == 1 { ("means", "is") } else { ("mean", "are") };
    let message =
        format!("{} {mean} nothing on your own machines and {are} ignored", paths.join(", "));
    let place = findings.place(first);
    findings.notices.push(crate::problem::Notice { place, message });
}

/// A name that can be a folder's and a part of a URL.
pub(super) fn read_name(at: &At<'_>, findings: &mut Findings) -> Option<String> {
    read_name_of(at, ("a name", MAX_NAME), findings)
}

/// The same of something whose names may be less long.
pub(crate) fn read_name_of(
    at: &At<'_>,
    (whose, most): (&str, usize),
    findings: &mut Findings,
) -> Option<String> {
    let name = at.text(findings)?;
    if is_name(&name) && name.len() <= most {
        return Some(name);
    }
    // Letters of one byte each, so that it may be cut anywhere.
    let mut sane = sanitized(&name);
    sane.truncate(most);
    let says = format!(
        "is {}; {whose} has at most {most} letters, digits, -, _ and ., and begins with one of the \
         first two",
        at.node.brief()
    );
    let mistake = Mistake::new(says, "letters, digits, -, _ and .");
    findings.problem(at, mistake.hint(format!("write name: {sane}")));
    None
}

/// A map of text to text.
pub(crate) fn check_labels(at: &At<'_>, findings: &mut Findings) {
    let Some(mut fields) = at.map(findings) else {
        return;
    };
    for (_, value) in fields.take_all() {
        match &value.node.content {
            Content::Null | Content::Text { .. } => {}
            _ => {
                let hint = value.plain_text().map(|text| format!("write \"{text}\" in quotes"));
                value.wrong::<()>(findings, "text", hint);
            }
        }
    }
}

/// The file's stem, or its folder's name where the stem says nothing. `folder` is the folder's name,
/// for whoever knows more of it than the file's path says.
pub(crate) fn default_name(file: &str, folder: Option<&str>) -> String {
    let path = Path::new(file);
    let text = |part: Option<&std::ffi::OsStr>| {
        part.and_then(|part| part.to_str()).unwrap_or_default().to_owned()
    };
    let stem = text(path.file_stem());
    let typed = text(path.parent().and_then(Path::file_name));
    let folder = folder.map_or(typed, str::to_owned);
    let is_plain = matches!(stem.as_str(), "job" | "sweep");
    let name = if is_plain && !folder.is_empty() && folder != ".." { folder } else { stem };
    sanitized(&name)
}

fn fits(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// A name is a folder's and a part of a URL.
fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(fits)
}

/// The nearest thing that is a name: what does not fit becomes one `-`. Where nothing fits, a name
/// that differs as the text does.
fn sanitized(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        if fits(c) && c != '-' {
            plain.push(c);
        } else if !plain.ends_with('-') {
            plain.push('-');
        }
    }
    let plain = plain.trim_start_matches(['-', '_', '.']);
    let plain: String = plain.chars().take(MAX_NAME).collect();
    let plain = plain.trim_end_matches('-');
    if !plain.is_empty() {
        return plain.to_owned();
    }
    let letters: Vec<u64> = text.chars().map(u64::from).collect();
    format!("study-{:08x}", mix(&letters) >> 32)
}

#[cfg(test)]
mod tests {
    use super::{default_name, is_name};

    #[test]
    fn names_come_from_the_file_or_its_folder() {
        let check = |file: &str, name: &str| assert_eq!(default_name(file, None), name);
        check("demand.yaml", "demand");
        check("examples/stores/job.yaml", "stores");
        check("job.yaml", "job");
        check("a b/über sweep.yml", "ber-sweep");
        check("my jöb (1).yaml", "my-j-b-1");
        check("a--b.yaml", "a-b");
        check("../job.yaml", "job");
    }

    #[test]
    fn the_folders_name_does_not_depend_on_where_one_stands() {
        for file in ["job.yaml", "P/job.yaml", "../P/job.yaml", "/x/P/sweep.yml"] {
            assert_eq!(default_name(file, Some("P")), "P");
        }
        assert_eq!(default_name("demand.yaml", Some("P")), "demand");
    }

    #[test]
    fn names_without_a_letter_that_fits_differ() {
        let names = ["ééé.yaml", "éé.yaml", "日本.yaml", "-"].map(|file| default_name(file, None));
        for (index, name) in names.iter().enumerate() {
            assert!(name.starts_with("study-") && name.len() == 14 && is_name(name), "{name}");
            assert!(!names[..index].contains(name), "{name}");
        }
        assert_eq!(names[0], default_name("x/ééé.yml", None));
    }
}
