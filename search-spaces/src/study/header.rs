//! What every job has: a name, and keys that mean nothing on one's own machines.

use std::path::Path;

use crate::fields::{At, Fields};
use crate::findings::{Findings, Mistake};
use crate::ignored::{DESCRIPTIVE, LABELS, OF_JOBS};
use crate::yaml::Content;

/// The longest name.
const MAX_NAME: usize = 128;

/// Reads the name and takes every key that means nothing here; those worth a notice are returned.
pub(super) fn read<'a>(
    root: &mut Fields<'a>,
    file: &str,
    findings: &mut Findings,
) -> (Option<String>, Vec<At<'a>>) {
    let name = match root.take("name", findings) {
        Some(at) => read_name(&at, findings),
        None => Some(default_name(file)),
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
    (name, root.ignore(OF_JOBS))
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

fn read_name(at: &At<'_>, findings: &mut Findings) -> Option<String> {
    let name = at.text(findings)?;
    let sane = sanitized(&name);
    if name == sane {
        return Some(name);
    }
    let says = format!(
        "is {}; a name has at most {MAX_NAME} letters, digits, -, _ and ., and begins with one of \
         the first two",
        at.node.brief()
    );
    let mistake = Mistake::new(says, "letters, digits, -, _ and .");
    findings.problem(at, mistake.hint(format!("write name: {sane}")));
    None
}

fn check_labels(at: &At<'_>, findings: &mut Findings) {
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

/// The file's stem, or its folder's name where the stem says nothing.
fn default_name(file: &str) -> String {
    let path = Path::new(file);
    let text = |part: Option<&std::ffi::OsStr>| {
        part.and_then(|part| part.to_str()).unwrap_or_default().to_owned()
    };
    let stem = text(path.file_stem());
    let folder = text(path.parent().and_then(Path::file_name));
    let is_plain = matches!(stem.as_str(), "job" | "sweep");
    let name = if is_plain && !folder.is_empty() && folder != ".." { folder } else { stem };
    sanitized(&name)
}

fn sanitized(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let plain: String = name.chars().map(|c| if fits(c) { c } else { '-' }).collect();
    let plain = plain.trim_start_matches(['-', '_', '.']);
    let plain: String = plain.chars().take(MAX_NAME).collect();
    if plain.is_empty() { "study".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::default_name;

    #[test]
    fn names_come_from_the_file_or_its_folder() {
        assert_eq!(default_name("demand.yaml"), "demand");
        assert_eq!(default_name("examples/stores/job.yaml"), "stores");
        assert_eq!(default_name("job.yaml"), "job");
        assert_eq!(default_name("a b/über sweep.yml"), "ber-sweep");
        assert_eq!(default_name("-"), "study");
    }
}
