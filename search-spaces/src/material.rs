//! What a study names on disk, as it travels: a list of files by digest, and where each path of the
//! job lies among them.
//!
//! A [`Manifest`] is a blob itself: equal material has equal bytes. Whoever reads one from elsewhere
//! reads it with [`Manifest::read`], which refuses whatever could reach outside of the tree that is
//! built from it. [`crate::Study::relocate`] makes a study mean that tree; nothing here touches a disk.

mod check;
mod relocate;

pub use check::check_place;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version that is written.
pub const VERSION: u32 = 1;

/// The most files, links and folders of one study.
pub const MAX_FILES: usize = 200_000;

/// The longest place in a tree, in bytes, as most systems have it less some room for where the tree
/// itself lies.
pub const MAX_PLACE_BYTES: usize = 2048;

/// The longest name of one file or folder, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// The most paths that a job names.
pub const MAX_PLACES: usize = 10_000;

/// The longest path that a job names, in bytes.
pub const MAX_PATH_BYTES: usize = 4096;

/// The largest manifest, in bytes.
pub const MAX_BYTES: usize = 64 << 20;

/// The place of a path that means the whole tree.
pub const ROOT: &str = ".";

/// The folder of a tree for what lies outside of the job file's folder. No code folder holds it: it
/// is never copied.
pub const OUTSIDE: &str = ".fleetfit";

/// Everything that a study names on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// Its files, in ascending order of `at`.
    pub files: Vec<Entry>,
    /// Links within a code or input folder, in ascending order of `at`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Folders that hold nothing, in ascending order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<String>,
    /// Where each path of the job lies, by the path as the job writes it. A pattern's place is a
    /// pattern.
    pub places: BTreeMap<String, String>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Where it lies in the tree, with `/` between the names.
    pub at: String,
    /// The blake3 digest of its bytes, in hexadecimal.
    pub digest: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// Whether it is a program.
    #[serde(default, skip_serializing_if = "is_false")]
    pub executable: bool,
    /// Where it lies on the machine that the study came from. Who sees the same bytes there need not
    /// fetch them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// A link to something else in the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Where it lies in the tree.
    pub at: String,
    /// Where it leads, from its own folder.
    pub to: String,
}

/// Why a manifest cannot be used, or does not fit its study.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is no manifest.
    #[error("this is no list of a study's files: {0}")]
    Malformed(String),
    /// It was written by a newer version.
    #[error(
        "this list of a study's files has format {0}; this version of fleetfit reads up to format \
         {VERSION}; use the newer version here too"
    )]
    Newer(u32),
    /// It holds too much of something.
    #[error("a study may name at most {most} {what}; this one has {found}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// A place that leads out of the tree, or cannot be made.
    #[error("{place:?} cannot be a file's place: {why}")]
    Place {
        /// The place, shortened.
        place: String,
        /// Why not.
        why: &'static str,
    },
    /// A digest that is none.
    #[error("{at:?} has no blake3 digest, which is 64 lower-case hexadecimal digits")]
    Digest {
        /// Whose.
        at: String,
    },
    /// The study names a path that the manifest does not know.
    #[error("the study names {0:?}, which did not come with it; submit the job again")]
    Unknown(String),
}

fn is_false(value: &bool) -> bool {
    !*value
}

impl Manifest {
    /// One of these files and paths, in order.
    pub fn of(mut files: Vec<Entry>, places: BTreeMap<String, String>) -> Self {
        files.sort_by(|a, b| a.at.cmp(&b.at));
        Self { version: VERSION, files, links: Vec::new(), folders: Vec::new(), places }
    }

    /// The bytes it travels as.
    pub fn bytes(&self) -> Vec<u8> {
        // Text and numbers in structs: nothing of it can fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads one that came from elsewhere, and refuses one that could do harm.
    pub fn read(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let too_many = |what, found: usize, most| match found > most {
            true => Err(ManifestError::TooMany { what, found, most }),
            false => Ok(()),
        };
        too_many("bytes of names", bytes.len(), MAX_BYTES)?;
        let malformed = |error: serde_json::Error| ManifestError::Malformed(error.to_string());
        let Versioned { version } = serde_json::from_slice(bytes).map_err(malformed)?;
        match version {
            VERSION => {}
            0 => return Err(ManifestError::Malformed("it has format 0".to_owned())),
            newer => return Err(ManifestError::Newer(newer)),
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The digests of its files, each once, in ascending order.
    pub fn digests(&self) -> Vec<&str> {
        let mut digests: Vec<&str> = self.files.iter().map(|file| file.digest.as_str()).collect();
        digests.sort_unstable();
        digests.dedup();
        digests
    }

    /// How many bytes its files have.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }
}

/// Whether this is a blake3 digest as it is written here.
pub fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A relative path without `.`, `..` and doubled or trailing slashes; empty where it means the folder
/// that it starts from. None where it is absolute or leads out of that folder.
pub fn tidy(path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop()?;
            }
            name => names.push(name),
        }
    }
    Some(names.join("/"))
}

#[cfg(test)]
mod tests;
