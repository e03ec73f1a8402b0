//! Makes a data directory of a backup: beside the place where it goes, checked to its end, put on the
//! disk, and only then moved there.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use fleetfit_scheduler::backup::{self, BackupError};
use fleetfit_scheduler::journal::{DamagedStudy, Journal};
use fleetfit_search_spaces::disk::plain;

use super::archive::{ArchiveError, BLOBS, Reading, SERVICE_ID, STUDIES, What};
use crate::failure::Failure;
use crate::home;

/// What a data directory is made of until it is whole, inside an empty one that cannot be replaced.
const STAGING: &str = ".restoring";

/// What was restored.
pub(super) struct Restored {
    pub(super) studies: u64,
    pub(super) documents: u64,
    pub(super) files: u64,
    /// Studies whose job cannot be read.
    pub(super) damaged: Vec<DamagedStudy>,
}

/// Makes a data directory of a backup.
pub(super) fn restore(home: &Path, input: &mut dyn Read) -> Result<Restored, Failure> {
    let home = std::path::absolute(home).map_err(|error| Failure::Unavailable(plain(&error)))?;
    let staging = Staging::begin(&home)?;
    let restored = Reading::of(input, |reading| fill(reading, &staging.dir))?;
    staging.move_in(&home).map_err(|error| unwritten(&home, &error))?;
    Ok(restored)
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::outside(&format!("{} cannot be written: {}", path.display(), plain(error)))
}

/// A folder for what is not whole yet. Unless it is moved, it is removed.
struct Staging {
    dir: PathBuf,
    /// Whether it is inside the directory that it becomes.
    is_inside: bool,
}

impl Staging {
    fn begin(home: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| unwritten(home, &error);
        let parent = home.parent().unwrap_or(home);
        let is_there = match fs::metadata(home) {
            Ok(there) if !there.is_dir() => {
                let message = format!("{} is a file, not a data directory", home.display());
                return Err(Failure::asked(message, "name a new folder with --data-dir"));
            }
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(failed(error)),
        };
        if is_there {
            for entry in fs::read_dir(home).map_err(failed)? {
                let name = entry.map_err(failed)?.file_name();
                // A disk of its own has that.
                if name != "lost+found" {
                    let (home, name) = (home.display(), name.display());
                    let message = format!("{home} is not empty: it holds {name}");
                    return Err(Failure::asked(message, "name a new folder with --data-dir"));
                }
            }
        } else {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
        // A link, or where a disk is mounted: neither can be replaced.
        let is_inside = is_there && (home.is_symlink() || device(home) != device(parent));
        let dir = match is_inside {
            true => home.join(STAGING),
            false => {
                let name = home.file_name().unwrap_or_default().to_string_lossy();
                parent.join(format!(".{name}.restoring-{}", std::process::id()))
            }
        };
        DirBuilder::new().mode(0o777).create(&dir).map_err(failed)?;
        Ok(Self { dir, is_inside })
    }

    /// Puts everything on the disk, and in its place. The journal comes last: without one, nobody
    /// takes a folder for a data directory.
    fn move_in(mut self, home: &Path) -> io::Result<()> {
        rustix::fs::syncfs(File::open(&self.dir)?)?;
        if self.is_inside {
            let journal = home::journal_dir(&self.dir);
            for entry in fs::read_dir(&self.dir)? {
                let entry = entry?;
                if entry.path() != journal {
                    fs::rename(entry.path(), home.join(entry.file_name()))?;
                }
            }
            File::open(home)?.sync_all()?;
            fs::rename(journal, home::journal_dir(home))?;
            File::open(home)?.sync_all()
        } else {
            fs::rename(&self.dir, home)?;
            self.dir = PathBuf::new();
            File::open(home.parent().unwrap_or(home))?.sync_all()
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.dir.as_os_str().is_empty() {
            // Nobody takes it for a data directory.
            drop(fs::remove_dir_all(&self.dir));
        }
    }
}

/// Fills a new folder with what a backup holds.
fn fill<R: Read>(reading: &mut Reading<'_, R>, dir: &Path) -> Result<Restored, Failure> {
    let journal_dir = home::journal_dir(dir);
    let mut parts = Parts { reading, number: 0, is_over: false, failed: None };
    let read = backup::read(&journal_dir, &mut parts);
    let (is_over, failed) = (parts.is_over, parts.failed.take());
    let contents = match (failed, read) {
        (Some(error), _) => return Err(error.into()),
        (None, Err(error)) => return Err(of_journal(error)),
        (None, Ok(contents)) => contents,
    };
    // The journal's end is the end of its last part.
    if !is_over && reading.fill(&mut [0])? > 0 {
        return Err(ArchiveError::Damaged.into());
    }
    let mut files = Files { dir, links: Vec::new(), n: 0 };
    while let Some(member) = reading.next()? {
        let (path, what) = (member.path.clone(), member.what.clone());
        let has_place = [STUDIES, BLOBS, SERVICE_ID].iter().any(|place| path.starts_with(place));
        // The journal, or a beginning, once more.
        if !has_place {
            return Err(ArchiveError::Damaged.into());
        }
        files.add(path, what, |bytes| reading.fill(bytes))?;
    }
    let closing = reading.closing()?;
    files.add_links()?;
    let journal = match closing.deleted.is_empty() {
        true => None,
        false => Some(Journal::open(&journal_dir)?),
    };
    let mut damaged = contents.damaged;
    for study in &closing.deleted {
        let found = journal.as_ref().map(|journal| journal.find(study)).transpose()?.flatten();
        if let (Some(journal), Some(record)) = (&journal, found) {
            journal.delete(record.id)?;
        }
        damaged.retain(|damaged| damaged.name != *study);
        // The name was checked: it is one that files were restored under, or there is no folder.
        if contents.studies.contains(study) {
            drop(fs::remove_dir_all(home::study_dir(dir, study)));
        }
    }
    Ok(Restored {
        studies: closing.n_studies(),
        documents: contents.documents,
        files: files.n,
        damaged,
    })
}

fn of_journal(error: BackupError) -> Failure {
    match error {
        BackupError::Journal(error) => error.into(),
        BackupError::Read(_) | BackupError::Write(_) => Failure::outside(&error),
        _ => Failure::Asked { message: error.to_string(), hint: None },
    }
}

/// The journal's copy, put together again.
struct Parts<'r, 'a, R: Read> {
    reading: &'r mut Reading<'a, R>,
    number: u64,
    is_over: bool,
    failed: Option<ArchiveError>,
}

impl<R: Read> Parts<'_, '_, R> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<usize, ArchiveError> {
        while !self.is_over {
            if self.number > 0 {
                let n = self.reading.fill(bytes)?;
                if n > 0 || bytes.is_empty() {
                    return Ok(n);
                }
            }
            match self.reading.next()? {
                Some(member) if member.is_part(self.number) => self.number += 1,
                _ => self.is_over = true,
            }
        }
        Ok(0)
    }
}

impl<R: Read> Read for Parts<'_, '_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.fill(bytes).map_err(|error| {
            let text = error.to_string();
            self.failed = Some(error);
            io::Error::other(text)
        })
    }
}

/// Files beside the journal, on their way into a folder.
struct Files<'a> {
    dir: &'a Path,
    /// They are made last, so that nothing is ever written through one.
    links: Vec<(PathBuf, PathBuf)>,
    n: u64,
}

impl Files<'_> {
    fn add(
        &mut self,
        path: PathBuf,
        what: What,
        mut fill: impl FnMut(&mut [u8]) -> Result<usize, ArchiveError>,
    ) -> Result<(), Failure> {
        let mode = match what {
            What::Link { target } => {
                self.links.push((path, target));
                return Ok(());
            }
            What::File { mode } => mode,
        };
        let full = self.dir.join(&path);
        let failed = |error: io::Error| trouble(&path, &error);
        self.make_folder(&path)?;
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create_new(true).mode(0o666).open(&full).map_err(failed)?;
        let mut piece = vec![0; 256 << 10];
        loop {
            match fill(&mut piece)? {
                0 => break,
                n => file.write_all(&piece[..n]).map_err(failed)?,
            }
        }
        // Programs stay programs, and what nobody should write stays that way; nothing more is taken
        // over.
        let given = file.metadata().map_err(failed)?.permissions().mode();
        let run = mode & 0o111 & (given >> 2);
        let write = if mode & 0o200 == 0 { 0 } else { 0o222 };
        let kept = (given & (0o444 | write)) | run;
        file.set_permissions(Permissions::from_mode(kept)).map_err(failed)?;
        self.n += 1;
        Ok(())
    }

    fn add_links(&mut self) -> Result<(), Failure> {
        for (path, target) in std::mem::take(&mut self.links) {
            self.make_folder(&path)?;
            symlink(&target, self.dir.join(&path)).map_err(|error| trouble(&path, &error))?;
            self.n += 1;
        }
        Ok(())
    }

    /// The folder that a file goes into, which is no link and behind none.
    fn make_folder(&self, path: &Path) -> Result<(), Failure> {
        let mut folder = self.dir.to_owned();
        for part in path.parent().unwrap_or(path) {
            folder.push(part);
            match fs::create_dir(&folder) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(trouble(path, &error));
                }
                Err(error) if !fs::symlink_metadata(&folder).is_ok_and(|there| there.is_dir()) => {
                    return Err(trouble(path, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What is wrong with a path: the backup's doing, or the disk's.
fn trouble(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            ArchiveError::Strange { name: path.to_owned(), why: "is there twice" }.into()
        }
        _ => unwritten(path, error),
    }
}
