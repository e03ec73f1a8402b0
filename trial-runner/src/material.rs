//! What a study names on disk, on its way to another machine: gathered where the job was written,
//! rebuilt as a tree wherever its trials run.
//!
//! The tree is the job file's folder as far as the study is concerned: the study, relocated by its
//! manifest, finds the same data, the same code and the same inputs in it. What lies outside of the
//! job file's folder has a folder of its own below [`OUTSIDE`].

mod gather;
mod layout;
mod rebuild;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use fleetfit_search_spaces::ManifestError;
use fleetfit_search_spaces::disk::plain;

use crate::command::CodeError;
use crate::dataset::DataError;

pub use fleetfit_search_spaces::material::OUTSIDE;
pub use gather::{Gathered, Origins, confined, gather};
pub use rebuild::rebuild;

/// Why material could not be gathered or rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// A data file.
    #[error("{0}")]
    Data(DataError),
    /// A file or folder of a command.
    #[error("{at}: {source}")]
    Command {
        /// The job's key to blame.
        at: String,
        /// What is wrong.
        source: CodeError,
    },
    /// A file that would lie too deep, or whose name is too long.
    #[error("{at}: {source}")]
    Place {
        /// The job's key to blame.
        at: String,
        /// What is wrong.
        source: ManifestError,
    },
    /// An `MLTable` that means nothing on another machine.
    #[error(
        "{recipe} names {path}, which is a place on one machine only; write the path so that it \
         starts at the MLTable's folder"
    )]
    Rooted {
        /// The file.
        recipe: String,
        /// The path in it.
        path: String,
    },
    /// A pattern that means nothing in a tree.
    #[error("{0:?} leads upwards after a pattern; write it without ..")]
    Pattern(String),
    /// A tree that would have two different files in one place.
    #[error("two different files would lie at {0}; name one of them by an absolute path")]
    Twice(String),
    /// A path that leads out of its tree.
    #[error("{0:?} leads out of what was submitted with the job")]
    Escapes(String),
    /// A name that is not text.
    #[error("{0} has a name that is not UTF-8, and cannot be sent to another machine; rename it")]
    Name(String),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Bytes that are not those that were meant.
    #[error("{at} is not the file that was submitted; submit the job again")]
    Wrong {
        /// Its place in the tree.
        at: String,
    },
    /// The disk.
    #[error("{path}: {}", plain(source))]
    Disk {
        /// What.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl From<DataError> for MaterialError {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

/// The digest of bytes, as blobs are named.
pub fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// The digest of a file's bytes, and how many it has.
pub(crate) fn digest_file(path: &Path) -> io::Result<(String, u64)> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path)?)?;
    Ok((hasher.finalize().to_hex().to_string(), hasher.count()))
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> MaterialError {
    let path = path.display().to_string();
    |source| MaterialError::Disk { path, source }
}
