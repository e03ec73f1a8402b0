//! The form of a backup: a plain tar with a description at its beginning and a closing entry that
//! bears witness to everything before it. The only owner of tar and of its checksum.
//!
//! Between the two are the journal's copy in parts, and files under their paths in the data directory.
//! Nothing of what is read is trusted: only plain files and links that stay in their study's folder,
//! only paths that a data directory has, no memory for what is merely promised.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use fleetfit_search_spaces::disk::plain;
use serde::{Deserialize, Serialize};
use tar::{Entries, Entry, EntryType};

use crate::failure::Failure;

mod writing;

pub(super) use self::writing::Writing;

/// The version of the form.
const FORMAT: u32 = 1;
/// The names of the entries that are ours.
const MANIFEST: &str = "manifest.json";
const CLOSING: &str = "closing.json";
/// What the journal's parts are called, before their numbers.
const JOURNAL: &str = "journal";
/// Where files may go.
pub(super) const STUDIES: &str = "studies";
pub(super) const BLOBS: &str = "blobs";
pub(super) const SERVICE_ID: &str = "service-id";

/// The most bytes of a path, of a target, and of our own entries.
const MAX_PATH_BYTES: u64 = 8 << 10;
const MAX_OWN_BYTES: u64 = 64 << 20;

/// What a backup begins with.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    fleetfit: String,
    created: String,
}

/// What a backup ends with.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Closing {
    /// How many entries came before.
    pub(super) entries: u64,
    /// The digest of everything in them.
    pub(super) digest: String,
    /// How many studies the journal's copy has.
    pub(super) studies: u64,
    /// How many documents.
    pub(super) documents: u64,
    /// How many files come from beside the journal.
    pub(super) files: u64,
    /// Studies of the journal's copy that were deleted before their files were copied.
    pub(super) deleted: Vec<String>,
    /// Studies that could not be copied.
    pub(super) damaged: Vec<Damaged>,
}

/// A study that could not be copied.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Damaged {
    /// Its name.
    pub(super) study: String,
    /// Why.
    pub(super) reason: String,
}

impl Closing {
    /// How many studies there are after restoring.
    pub(super) fn n_studies(&self) -> u64 {
        self.studies.saturating_sub(self.deleted.len() as u64)
    }
}

/// Why a backup is not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArchiveError {
    /// It is something else.
    #[error("this is not a backup of fleetfit")]
    Foreign,
    /// A later fleetfit wrote it.
    #[error(
        "the backup was written by a newer fleetfit ({version}, form {found}; this one reads up to \
         {FORMAT}); use that version"
    )]
    Newer { version: String, found: u32 },
    /// Its end is missing.
    #[error("the backup is not whole: it was cut off; use another one")]
    Cut,
    /// Its bytes are not what was written.
    #[error("the backup is damaged; use another one")]
    Damaged,
    /// It holds what no backup holds.
    #[error("{name:?} in the backup {why}; fleetfit did not write it, and nothing was restored")]
    Strange { name: PathBuf, why: &'static str },
    /// The disk, or the line.
    #[error("the backup cannot be read: {0}")]
    Unreadable(String),
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Unreadable(_) => Self::outside(&error),
            _ => Self::Asked { message: error.to_string(), hint: None },
        }
    }
}

/// Everything that was written or read so far, as a digest.
#[derive(Default)]
struct Seal {
    hasher: blake3::Hasher,
    entries: u64,
}

impl Seal {
    fn begin(&mut self, path: &Path, what: &What, size: u64) {
        let path = path.as_os_str().as_bytes();
        self.hasher.update(&(path.len() as u64).to_le_bytes()).update(path);
        match what {
            What::File { mode } => self.hasher.update(b"f").update(&mode.to_le_bytes()),
            What::Link { target } => {
                let target = target.as_os_str().as_bytes();
                self.hasher.update(b"l").update(&(target.len() as u64).to_le_bytes()).update(target)
            }
        };
        self.hasher.update(&size.to_le_bytes());
        self.entries += 1;
    }

    fn digest(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A file with these permissions.
    File { mode: u32 },
    /// A symbolic link.
    Link { target: PathBuf },
}

/// One entry of a backup that is being read. What follows is read through [`Reading::fill`].
pub(super) struct Member<'a, R: Read> {
    /// Where it goes, relative to the data directory.
    pub(super) path: PathBuf,
    /// What it is.
    pub(super) what: What,
    entry: Entry<'a, Watched<R>>,
}

impl<R: Read> Member<'_, R> {
    /// Whether it is the journal's part with this number.
    pub(super) fn is_part(&self, number: u64) -> bool {
        self.path == part_name(number)
    }
}

fn part_name(number: u64) -> PathBuf {
    Path::new(JOURNAL).join(format!("{number:08}"))
}

/// How reading ended, shared with whoever asks why an entry could not be read.
type Ending = Rc<RefCell<Option<ArchiveError>>>;

/// What is read, and how that ended.
struct Watched<R> {
    input: R,
    end: Ending,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(bytes);
        match &read {
            Ok(0) if !bytes.is_empty() => *self.end.borrow_mut() = Some(ArchiveError::Cut),
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                *self.end.borrow_mut() = Some(ArchiveError::Unreadable(plain(error)));
            }
            _ => {}
        }
        read
    }
}

/// A backup being read.
pub(super) struct Reading<'a, R: Read> {
    entries: Entries<'a, Watched<R>>,
    seal: Seal,
    end: Ending,
    last: Option<Member<'a, R>>,
    closing: Option<Closing>,
}

impl<'a, R: Read> Reading<'a, R> {
    /// Reads a backup, whose beginning is looked at here.
    pub(super) fn of<T, E: From<ArchiveError>>(
        input: R,
        act: impl for<'b> FnOnce(&mut Reading<'b, R>) -> Result<T, E>,
    ) -> Result<T, E> {
        let end = Ending::default();
        let input = Watched { input, end: Rc::clone(&end) };
        let mut archive = tar::Archive::new(input);
        let entries = archive.entries().map_err(|_| ArchiveError::Damaged)?.raw(true);
        let (seal, last, closing) = (Seal::default(), None, None);
        let mut reading = Reading { entries, seal, end, last, closing };
        reading.begin()?;
        act(&mut reading)
    }

    fn begin(&mut self) -> Result<(), ArchiveError> {
        // Whatever is wrong with the very first entry: it is none of ours.
        let mut first = match self.member() {
            Err(ArchiveError::Unreadable(why)) => return Err(ArchiveError::Unreadable(why)),
            Ok(Some(first)) if first.path == Path::new(MANIFEST) => first,
            _ => return Err(ArchiveError::Foreign),
        };
        let text = self.own(&mut first)?;
        let value: serde_json::Value =
            serde_json::from_slice(&text).map_err(|_| ArchiveError::Foreign)?;
        let found = value["format"].as_u64().and_then(|format| u32::try_from(format).ok());
        match found {
            Some(FORMAT) => Ok(()),
            Some(found) if found > FORMAT => {
                let version = value["fleetfit"].as_str().unwrap_or("unknown").to_owned();
                Err(ArchiveError::Newer { version, found })
            }
            _ => Err(ArchiveError::Foreign),
        }
    }

    /// The next entry, once everything of the one before was read; nothing behind the closing entry,
    /// which has to be there.
    pub(super) fn next(&mut self) -> Result<Option<&mut Member<'a, R>>, ArchiveError> {
        if let Some(mut before) = self.last.take() {
            let mut rest = vec![0; 64 << 10];
            while self.fill_of(&mut before, &mut rest)? > 0 {}
        }
        if self.closing.is_some() {
            return Ok(None);
        }
        let (entries, digest) = (self.seal.entries, self.seal.digest());
        let Some(mut member) = self.member()? else { return Err(ArchiveError::Cut) };
        if member.path == Path::new(CLOSING) {
            let text = self.own(&mut member)?;
            let closing: Closing =
                serde_json::from_slice(&text).map_err(|_| ArchiveError::Damaged)?;
            if closing.entries != entries || closing.digest != digest {
                return Err(ArchiveError::Damaged);
            }
            if self.member()?.is_some() {
                return Err(ArchiveError::Damaged);
            }
            self.closing = Some(closing);
            return Ok(None);
        }
        Ok(Some(self.last.insert(member)))
    }

    /// Reads of the entry that [`Self::next`] returned last.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) -> Result<usize, ArchiveError> {
        let Some(mut member) = self.last.take() else { return Ok(0) };
        let filled = self.fill_of(&mut member, bytes);
        self.last = Some(member);
        filled
    }

    /// The end, which is there once nothing is next.
    pub(super) fn closing(&mut self) -> Result<Closing, ArchiveError> {
        self.closing.take().ok_or(ArchiveError::Damaged)
    }

    fn fill_of(
        &mut self,
        member: &mut Member<'a, R>,
        bytes: &mut [u8],
    ) -> Result<usize, ArchiveError> {
        let n = member.entry.read(bytes).map_err(|_| self.why())?;
        self.seal.hasher.update(&bytes[..n]);
        // An entry that promised more ends where the file ends.
        if n == 0 && !bytes.is_empty() && matches!(*self.end.borrow(), Some(ArchiveError::Cut)) {
            return Err(ArchiveError::Cut);
        }
        Ok(n)
    }

    /// All of an entry of ours.
    fn own(&mut self, member: &mut Member<'a, R>) -> Result<Vec<u8>, ArchiveError> {
        let (mut text, mut piece) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            match self.fill_of(member, &mut piece)? {
                0 => return Ok(text),
                n => text.extend_from_slice(&piece[..n]),
            }
            if text.len() as u64 > MAX_OWN_BYTES {
                return Err(ArchiveError::Damaged);
            }
        }
    }

    /// The next entry with the long names that tar puts before it.
    fn member(&mut self) -> Result<Option<Member<'a, R>>, ArchiveError> {
        let (mut long_path, mut long_target) = (None, None);
        loop {
            let Some(entry) = self.entries.next() else { return Ok(None) };
            let mut entry = entry.map_err(|_| self.why())?;
            let kind = entry.header().entry_type();
            let slot = match kind {
                EntryType::GNULongName => Some(&mut long_path),
                EntryType::GNULongLink => Some(&mut long_target),
                _ => None,
            };
            if let Some(slot) = slot {
                let mut name = Vec::new();
                entry
                    .by_ref()
                    .take(MAX_PATH_BYTES)
                    .read_to_end(&mut name)
                    .map_err(|_| self.why())?;
                if name.pop() != Some(0) || slot.replace(name).is_some() {
                    return Err(self.why());
                }
                continue;
            }
            let path = long_path.unwrap_or_else(|| entry.path_bytes().into_owned());
            let path = PathBuf::from(OsStr::from_bytes(&path));
            let strange = |why| ArchiveError::Strange { name: path.clone(), why };
            let what = match kind {
                EntryType::Regular => {
                    What::File { mode: entry.header().mode().map_err(|_| ArchiveError::Damaged)? }
                }
                EntryType::Symlink => {
                    let bytes = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
                    let target = long_target.or(bytes).unwrap_or_default();
                    What::Link { target: PathBuf::from(OsStr::from_bytes(&target)) }
                }
                _ => return Err(strange("is neither a file nor a link")),
            };
            check(&path, &what).map_err(strange)?;
            self.seal.begin(&path, &what, entry.size());
            return Ok(Some(Member { path, what, entry }));
        }
    }

    /// Why an entry could not be read: it ended, the disk failed, or it is no tar.
    fn why(&self) -> ArchiveError {
        self.end.borrow_mut().take().unwrap_or(ArchiveError::Damaged)
    }
}

/// Refuses what does not belong in a data directory, or leads out of it.
fn check(path: &Path, what: &What) -> Result<(), &'static str> {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let parts: Vec<&OsStr> = path.iter().collect();
    let rebuilt: PathBuf = parts.iter().collect();
    if !path.components().all(is_plain)
        || rebuilt.as_os_str() != path.as_os_str()
        || path.as_os_str().as_bytes().contains(&0)
    {
        return Err("leads out of the data directory");
    }
    let first = parts.first().map(|first| first.as_bytes()).unwrap_or_default();
    let has_place = match parts.len() {
        1 => [MANIFEST, CLOSING, SERVICE_ID].iter().any(|name| name.as_bytes() == first),
        2 => [JOURNAL, BLOBS].iter().any(|name| name.as_bytes() == first),
        _ => [STUDIES, BLOBS].iter().any(|name| name.as_bytes() == first),
    };
    match what {
        _ if !has_place => Err("is nothing that a data directory holds"),
        What::File { .. } => Ok(()),
        What::Link { .. } if first != STUDIES.as_bytes() => Err("is a link"),
        What::Link { target } if stays(path, target) => Ok(()),
        What::Link { .. } => Err("is a link that leads out of its study"),
    }
}

/// Whether a link at this path, below `studies/NAME`, leads to something in the same study's folder.
/// Steps up come first: behind another link they would lead from where that one leads.
pub(super) fn stays(path: &Path, target: &Path) -> bool {
    let depth = path.components().count().saturating_sub(3);
    let mut ups = 0;
    let mut is_down = false;
    for part in target.components() {
        match part {
            Component::ParentDir if !is_down => ups += 1,
            Component::Normal(_) => is_down = true,
            _ => return false,
        }
    }
    let text = target.as_os_str().as_bytes();
    ups <= depth && !text.is_empty() && !text.contains(&0)
}

#[cfg(test)]
mod tests;
