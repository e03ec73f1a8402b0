//! What is wrong with data, in a form from which a caller makes a problem of the job file.

use std::fmt;

/// Where in a data file something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataPlace {
    /// The file, as the user named it.
    pub file: String,
    /// The line or the row; none means the file as a whole.
    pub at: Option<At>,
}

/// A position inside a data file, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// A line of text; the header is line 1.
    Line(u64),
    /// A row of a parquet file.
    Row(u64),
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A file or column that isn't there.
    Missing,
    /// An address that this machine cannot read.
    Remote,
    /// A file that is there and cannot be read.
    Unreadable,
    /// Data that reads well and cannot be used.
    Content,
}

/// One thing that is wrong with the data. The caller knows where `key` stands in the job file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DataError {
    /// What kind of thing is wrong.
    pub fault: Fault,
    /// The job's key to blame: `training_data`, `target_column_name`, ….
    pub key: &'static str,
    /// Where in the data.
    pub place: Option<Box<DataPlace>>,
    /// The sentence.
    pub message: String,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub allowed: String,
    /// What to do about it.
    pub hint: Option<Box<str>>,
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for DataPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(At::Line(line)) => write!(f, "{}:{line}", self.file),
            Some(At::Row(row)) => write!(f, "{}, row {row}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

impl DataError {
    pub(crate) fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self {
            fault,
            key: "training_data",
            place: None,
            message: message.into(),
            found: String::new(),
            allowed: String::new(),
            hint: None,
        }
    }

    pub(crate) fn content(message: impl Into<String>) -> Self {
        Self::new(Fault::Content, message)
    }

    pub(crate) fn key(mut self, key: &'static str) -> Self {
        self.key = key;
        self
    }

    pub(crate) fn file(self, file: &str) -> Self {
        self.at(DataPlace { file: file.to_owned(), at: None })
    }

    pub(crate) fn at(mut self, place: DataPlace) -> Self {
        self.place = Some(Box::new(place));
        self
    }

    pub(crate) fn found(mut self, found: impl Into<String>) -> Self {
        self.found = shorten(&found.into());
        self
    }

    pub(crate) fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.allowed = allowed.into();
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<Box<str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A value for a message: cut where it is long, without line breaks.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String =
        text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

/// Names for a message: the first ones, and how many more there are.
pub(crate) fn list_names<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 12;
    let mut text =
        names.iter().take(SHOWN).map(|name| shorten(name.as_ref())).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
