//! Where words go: data to standard output, everything else to standard error.

use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal, Write};

use fleetfit_search_spaces::{Notice, Place, Problem};
use serde::Serialize;
use serde_json::json;

use crate::cli::Output;
use crate::failure::Failure;

/// Prints what a command has to say, for people or for programs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    /// For whom.
    pub(crate) output: Output,
    /// Whether notices and progress are left out.
    pub(crate) quiet: bool,
}

impl Printer {
    /// Whether programs read standard output.
    pub(crate) fn is_json(&self) -> bool {
        self.output == Output::Json
    }

    /// One line (or block of lines) of data.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        let out = std::io::stdout();
        let text = if out.is_terminal() { harmless(text) } else { Cow::Borrowed(text) };
        write_line(&mut out.lock(), &text)
    }

    /// One JSON document.
    pub(crate) fn json(&self, document: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(document)
            .map_err(|error| Failure::Unexpected(format!("the answer cannot be shown: {error}")))?;
        self.line(&text)
    }

    /// Something beside the data.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            // Standard error may be closed; then nobody wants to know.
            drop(writeln!(std::io::stderr(), "{}", harmless(text)));
        }
    }

    /// What is wrong with the input: said whatever the user wants to hear.
    pub(crate) fn complain(&self, text: &str) {
        drop(writeln!(std::io::stderr(), "{}", harmless(text)));
    }

    /// The notices of a job.
    pub(crate) fn notices(&self, notices: &[Notice]) {
        for notice in notices {
            self.note(&format!("notice: {notice}"));
        }
    }

    /// Why the command could not do what was asked: for people on standard error, and for programs
    /// on standard output as well.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.complain(&failure.to_string());
        if self.is_json() {
            let asked;
            let problems: &[Problem] = match failure {
                Failure::Problems(problems) | Failure::NotTaken(problems) => &problems.0,
                Failure::Taken(problem) => std::slice::from_ref(problem.as_ref()),
                Failure::Asked { message, hint } => {
                    let (message, hint) = (message.clone(), hint.clone());
                    let found = message.clone();
                    let place = Place { file: "the command line".into(), ..Place::default() };
                    asked = [Problem { place, message, found, allowed: String::new(), hint }];
                    &asked
                }
                Failure::NameTaken { .. }
                | Failure::Gone(_)
                | Failure::Unavailable(_)
                | Failure::Unexpected(_) => &[],
            };
            let document = json!({"error": failure.to_string(), "problems": problems});
            drop(writeln!(std::io::stdout(), "{document}"));
        }
    }

    /// Whether a moving picture on standard error makes sense.
    pub(crate) fn can_animate(&self) -> bool {
        !self.quiet && std::io::stderr().is_terminal()
    }
}

/// The text with its control characters spelt out, which a terminal would obey: names come from files
/// that others wrote.
fn harmless(text: &str) -> Cow<'_, str> {
    let is_obeyed = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut spelt = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_obeyed(c) { spelt.extend(c.escape_default()) } else { spelt.push(c) }
    }
    Cow::Owned(spelt)
}

/// A reader that went away (`| head`) ends the command quietly; any other error is one.
pub(crate) fn write_line(out: &mut impl Write, text: &str) -> Result<(), Failure> {
    match writeln!(out, "{text}") {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            std::process::exit(crate::exit::DONE)
        }
        Err(error) => Err(Failure::outside(&format!("standard output cannot be written: {error}"))),
    }
}
