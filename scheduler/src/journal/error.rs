//! What can go wrong between the scheduler and its disk.

use std::io;
use std::path::PathBuf;

use fleetfit_search_spaces::disk::plain;

/// What can go wrong between the scheduler and its disk.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process has the directory open.
    #[error("{} is in use by another fleetfit{}", dir.display(), process(*pid))]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The process, where it is known.
        pid: Option<u32>,
    },
    /// The directory cannot be made or written.
    #[error("cannot write in {}: {}{}", dir.display(), plain(source), elsewhere(source))]
    NotWritable {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A later fleetfit wrote this.
    #[error(
        "{what} was written by a newer fleetfit (form {found}; this one reads up to {known}); \
         use that version"
    )]
    Newer {
        /// The journal, or a part of it.
        what: String,
        /// Its form's version.
        found: u32,
        /// The newest version that is known.
        known: u32,
    },
    /// Bytes on disk are not what was written.
    #[error("the journal is damaged: {what}; restore it from a backup")]
    Corrupt {
        /// Which part.
        what: String,
    },
    /// Writes that were acknowledged are gone.
    #[error(
        "the journal is damaged: its last {writes} writes are missing; restore it from a backup, \
         or remove {} to go on with what is left",
        witness.display()
    )]
    Lost {
        /// How many groups.
        writes: u64,
        /// The file that knows of them.
        witness: PathBuf,
    },
    /// A backup was being restored when its process died.
    #[error(
        "the journal in {} was not restored to its end; remove it and restore again",
        dir.display()
    )]
    Unrestored {
        /// The directory.
        dir: PathBuf,
    },
    /// The disk refuses.
    #[error("the journal's disk failed while {doing}: {}{}", plain(source), elsewhere(source))]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// An earlier write failed, so that nobody knows what is on disk.
    #[error("the journal stopped after a failed write: {first}")]
    Broken {
        /// The first failure.
        first: String,
    },
    /// The directory is not where it was.
    #[error(
        "the journal in {} was removed or replaced while it was open; end fleetfit, put it back or \
         restore it from a backup, and start again",
        dir.display()
    )]
    Removed {
        /// The directory.
        dir: PathBuf,
    },
    /// There is a study of that name.
    #[error("a study named {name} exists")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The study is not there, or not any more.
    #[error("there is no study with number {number} in the journal")]
    NoStudy {
        /// The number that the journal gave it.
        number: u32,
    },
    /// Something is longer than the journal keeps.
    #[error("{what} has {bytes} bytes, more than the {limit} that are kept")]
    TooLong {
        /// What it is.
        what: String,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
}

impl JournalError {
    /// Whether it is about one study alone: the others can be read and written.
    pub(crate) fn is_of_one_study(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Newer { .. } | Self::NoStudy { .. })
    }
}

/// What to do where nothing can be written.
fn elsewhere(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "; copy the data directory to a place that can be written"
        }
        _ => "",
    }
}

fn process(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}
