//! Copies a data directory that others go on writing.
//!
//! The journal comes first: what it speaks of is on the disk before, so it is in what is copied
//! afterwards. Files only grow, or are written anew under another name; the length that one has when
//! it is opened is what is copied of it.

use std::collections::HashMap;
use std::fs::{self, DirEntry, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use fleetfit_scheduler::backup;
use fleetfit_scheduler::journal::{Journal, StudyId};

use super::archive::{BLOBS, Closing, Damaged, STUDIES, Writing, stays};

/// Writes a backup of a data directory that this process has open.
pub(super) fn write(home: &Path, journal: &Journal, out: &mut dyn Write) -> io::Result<Closing> {
    let home = std::path::absolute(home)?;
    let known: HashMap<String, StudyId> =
        told(journal.list())?.into_iter().map(|record| (record.head.name, record.id)).collect();
    let mut writing = Writing::begin(out)?;
    let mut parts = writing.journal();
    let contents = told(backup::write(journal, &mut parts))?;
    parts.finish()?;
    let mut packing = Packing { home: &home, writing, files: 0 };
    // Not the service's id: what is restored numbers its studies anew from there on, and runners
    // must not take one of them for another of the service that was backed up.
    packing.folder(PathBuf::from(BLOBS))?;
    let mut deleted = Vec::new();
    for study in &contents.studies {
        packing.folder(Path::new(STUDIES).join(study))?;
        // One that was deleted on the way lacks files; another may have its name by now.
        let there = told(journal.find(study))?;
        let is_it = |id| known.get(study).is_none_or(|known| *known == id);
        if !there.is_some_and(|record| is_it(record.id)) {
            deleted.push(study.clone());
        }
    }
    let damaged = contents.damaged.into_iter();
    let Packing { writing, files, .. } = packing;
    writing.close(Closing {
        studies: contents.studies.len() as u64,
        documents: contents.documents,
        files,
        deleted,
        damaged: damaged.map(|d| Damaged { study: d.name, reason: d.reason }).collect(),
        ..Closing::default()
    })
}

fn told<T, E: std::fmt::Display>(result: Result<T, E>) -> io::Result<T> {
    result.map_err(|error| io::Error::other(error.to_string()))
}

/// The files beside the journal, on their way into a backup.
struct Packing<'a, W: Write> {
    home: &'a Path,
    writing: Writing<W>,
    files: u64,
}

impl<W: Write> Packing<'_, W> {
    /// Everything in a folder. Its path is relative to the data directory.
    fn folder(&mut self, path: PathBuf) -> io::Result<()> {
        let mut folders = vec![path];
        while let Some(folder) = folders.pop() {
            let full = self.home.join(&folder);
            let Some(entries) = if_there(fs::read_dir(&full), &full)? else { continue };
            for entry in entries {
                let entry = named(entry, &full)?;
                let path = folder.join(entry.file_name());
                let Some(kind) = if_there(entry.file_type(), &entry.path())? else { continue };
                if is_passing(&folder, &entry) {
                } else if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    self.add(path)?;
                } else if kind.is_symlink() {
                    self.link(path)?;
                }
            }
        }
        Ok(())
    }

    /// A file, if it is there.
    fn add(&mut self, path: PathBuf) -> io::Result<()> {
        let full = self.home.join(&path);
        let Some(found) = if_there(fs::symlink_metadata(&full), &full)? else { return Ok(()) };
        if !found.is_file() {
            return Ok(());
        }
        let Some(mut file) = if_there(File::open(&full), &full)? else { return Ok(()) };
        let opened = named(file.metadata(), &full)?;
        // Somebody put something else in its place in this moment.
        if (opened.dev(), opened.ino()) != (found.dev(), found.ino()) {
            return Ok(());
        }
        let mode = opened.permissions().mode() & 0o777;
        named(self.writing.file(&path, mode, opened.len(), &mut file), &full)?;
        self.files += 1;
        Ok(())
    }

    /// A link, if it leads to something in the same study's folder; others mean something on this
    /// machine only.
    fn link(&mut self, path: PathBuf) -> io::Result<()> {
        let full = self.home.join(&path);
        let Some(target) = if_there(fs::read_link(&full), &full)? else { return Ok(()) };
        let target = self.relative(&path, &target).unwrap_or(target);
        let is_step = |part: &Component<'_>| *part != Component::CurDir;
        let target: PathBuf = target.components().filter(is_step).collect();
        if path.starts_with(STUDIES) && path.components().count() > 2 && stays(&path, &target) {
            self.writing.link(&path, &target)?;
            self.files += 1;
        }
        Ok(())
    }

    /// The same target as seen from the link, where it is named from the root.
    fn relative(&self, path: &Path, target: &Path) -> Option<PathBuf> {
        let study: PathBuf = path.iter().take(2).collect();
        let inside = target.strip_prefix(self.home.join(study)).ok()?;
        let ups = path.components().count().checked_sub(3)?;
        let up: PathBuf = std::iter::repeat_n("..", ups).collect();
        Some(up.join(inside))
    }
}

/// Whether something is only on its way to where it belongs, or to its end.
fn is_passing(folder: &Path, entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let depth = folder.components().count();
    match folder.iter().next().and_then(|first| first.to_str()) {
        Some(BLOBS) => depth == 1 && name == "incoming",
        Some(_) => {
            let in_trials = depth == 3 && folder.ends_with("trials");
            let is_hidden = name.as_bytes().starts_with(b".");
            (depth == 2 && is_hidden) || (in_trials && name.as_bytes().starts_with(b".gone-"))
        }
        None => false,
    }
}

/// Nothing where it was removed meanwhile.
fn if_there<T>(result: io::Result<T>, path: &Path) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => named(result, path).map(Some),
    }
}

fn named<T>(result: io::Result<T>, path: &Path) -> io::Result<T> {
    result.map_err(|error| match error.kind() {
        // The line, not the file.
        ErrorKind::BrokenPipe | ErrorKind::TimedOut => error,
        kind => io::Error::new(kind, format!("{}: {error}", path.display())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home;

    #[test]
    fn places_are_those_of_a_data_directory() {
        let home = Path::new("/home");
        assert_eq!(home::studies_dir(home), home.join(STUDIES));
        assert_eq!(home::blobs_dir(home), home.join(BLOBS));
    }
}
