//! What is wrong with a text before it has a meaning, in the user's words.

use saphyr_parser::ScanError;

use super::{MAX_DEPTH, MAX_NODES};

/// How a sentence begins about the value of a document that is one value.
pub(crate) const UNNAMED: &str = "the value";

/// A mistake found before the document has a meaning.
#[derive(Debug)]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// The YAML path, where one is known.
    pub path: String,
    /// The sentence; it begins with the path where there is one.
    pub message: String,
    /// What stands there.
    pub found: String,
    /// What may stand there.
    pub allowed: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// What a text without a node holds.
pub(super) const NOTHING: &str = "nothing";

impl SyntaxError {
    /// The same of a text that is to be this: where it holds nothing, what to begin with.
    pub(crate) fn of(mut self, what: &str, begin: &str) -> Self {
        if self.found == NOTHING {
            (self.allowed, self.hint) = (what.to_owned(), Some(begin.to_owned()));
        }
        self
    }
}

/// Nothing, or the mistake after which the text cannot be read on.
pub(super) type Step = Result<(), Box<SyntaxError>>;

pub(super) fn error(
    at: (u32, u32),
    message: String,
    found: &str,
    allowed: &str,
) -> Box<SyntaxError> {
    Box::new(SyntaxError {
        line: at.0,
        column: at.1,
        path: String::new(),
        message,
        found: found.to_owned(),
        allowed: allowed.to_owned(),
        hint: Some(format!("write {allowed}")),
    })
}

pub(super) fn too_deep(at: (u32, u32)) -> Box<SyntaxError> {
    let message = format!("lists and maps are nested deeper than {MAX_DEPTH} levels here");
    let mut deep = error(at, message, "deeper nesting", "a flatter document");
    deep.hint = Some("nest less".into());
    deep
}

pub(super) fn too_large(at: (u32, u32)) -> Box<SyntaxError> {
    let message = format!("the document grows past {MAX_NODES} values here, aliases expanded");
    let mut large = error(at, message, "too many values", "a smaller document");
    large.hint = Some("use fewer aliases, or shorter lists".into());
    large
}

/// Control characters would end the document early or hide in names.
pub(super) fn check_characters(text: &str) -> Step {
    for (index, line) in text.lines().enumerate() {
        let control = |c: char| c.is_control() && !matches!(c, '\t' | '\r' | '\u{85}');
        if let Some(column) = line.chars().position(control) {
            let at = (index as u32 + 1, column as u32 + 1);
            let message = "a control character stands here".into();
            let mut invisible = error(at, message, "a control character", "printable text");
            invisible.hint = Some("delete it, or write it as an escape in double quotes".into());
            return Err(invisible);
        }
    }
    Ok(())
}

/// The parser's complaint in the user's words.
pub(super) fn scan_error(scan: &ScanError, text: &str) -> Box<SyntaxError> {
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let at = (small(scan.marker().line()), small(scan.marker().col()).saturating_add(1));
    if let Some(tab) = tab_indentation(text, at.0) {
        let message = "a tab in the indentation; YAML is indented with spaces".into();
        let mut wrong = error(tab, message, "a tab", "spaces");
        wrong.hint = Some("replace the tab by spaces".into());
        return wrong;
    }
    let info = scan.info();
    let (message, hint) = if info.contains("unknown anchor") {
        ("the alias names no anchor that stands before it", "define it before with &name")
    } else if info.contains("mapping values are not allowed") || info.contains("simple key expect")
    {
        (
            "a \"key: value\" is not possible here",
            "check the indentation, or quote text with \": \"",
        )
    } else if info.contains("block mapping") || info.contains("block collection") {
        (
            "this line's indentation fits no line above it",
            "indent it like the lines that it belongs with",
        )
    } else if info.contains("indentation") {
        ("the indentation is wrong here", "indent it like the lines that it belongs with")
    } else if info.contains("flow mapping") {
        ("a { that was opened before is not closed", "close it with }, entries parted by commas")
    } else if info.contains("flow sequence") {
        ("a [ that was opened before is not closed", "close it with ], elements parted by commas")
    } else if info.contains("end of stream") || info.contains("unexpected eof") {
        ("the text ends inside quotes or brackets", "close what was opened")
    } else if info.contains("recursion limit") {
        return too_deep(at);
    } else if info.contains("escape") {
        ("this escape is not known in double quotes", "use single quotes, or write \\\\")
    } else if info.contains("trailing content") {
        ("text follows the closing quote", "quote the whole value")
    } else {
        let message = format!("this is not valid YAML: {info}");
        return error(at, message, "invalid YAML", "valid YAML");
    };
    let mut wrong = error(at, message.to_owned(), "invalid YAML", "valid YAML");
    wrong.hint = Some(hint.to_owned());
    wrong
}

/// Where a tab stands in the indentation of the line, or of the nearest line above with text.
fn tab_indentation(text: &str, line: u32) -> Option<(u32, u32)> {
    let last = (line as usize).min(text.lines().count());
    let lines: Vec<&str> = text.lines().take(last).collect();
    let candidates = lines.iter().enumerate().rev().filter(|(_, line)| !line.trim().is_empty());
    for (index, line) in candidates.take(2) {
        let indentation = line.len() - line.trim_start().len();
        if let Some(column) = line[..indentation].find('\t') {
            return Some((index as u32 + 1, column as u32 + 1));
        }
    }
    None
}
