//! A service whose disk failed: it answers questions and records nothing, until a fresh start helps.
//!
//! What such a disk holds is unknown to the process that saw it fail, so the service never goes on by
//! itself: it ends once the disk takes writes again, and whoever keeps it running starts it anew.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fleetfit_scheduler::engine::EngineHandle;
use fleetfit_scheduler::journal::{Journal, JournalError};

use crate::home;

/// How often the disk is tried.
const TRY_EVERY: Duration = Duration::from_secs(5);

/// How much room a start and its first studies need.
const ROOM_BYTES: usize = 8 << 20;

/// The file that the disk is tried with.
const TRIAL: &str = ".room";

/// Watches for the time to end.
pub(crate) struct Standstill {
    home: PathBuf,
    /// The journal's folder as it was at the start; where it is another one, somebody has to look.
    journal: Option<(u64, u64)>,
    /// When the disk was tried last; none while everything works.
    tried: Option<Instant>,
}

impl Standstill {
    /// Of the service that keeps its things here.
    pub(crate) fn of(home: &Path) -> Self {
        // A process that was killed while it tried the disk may have left it.
        drop(fs::remove_file(home.join(TRIAL)));
        Self { home: home.to_owned(), journal: identity(home), tried: None }
    }

    /// Why the service should be started anew, once that helps.
    pub(crate) fn is_to_end(&mut self, engine: &EngineHandle, journal: &Journal) -> Option<String> {
        let why = match (engine.ended(), journal.check()) {
            (Some(Err(error)), _) => error.to_string(),
            (_, Err(error @ JournalError::Broken { .. })) => error.to_string(),
            _ => return None,
        };
        match self.tried {
            None => tracing::error!(
                "nothing is recorded any more: {why}. Questions are answered until the disk takes \
                 writes again; then the service ends with exit code 3, to be started again"
            ),
            Some(tried) if tried.elapsed() < TRY_EVERY => return None,
            Some(_) => {}
        }
        self.tried = Some(Instant::now());
        let is_ours = self.journal.is_some() && identity(&self.home) == self.journal;
        let takes_writes = is_ours && takes_writes(&self.home).is_ok();
        takes_writes.then(|| {
            let home = self.home.display();
            format!("{why}; the disk of {home} takes writes again: start the service again")
        })
    }
}

/// Which folder the journal's is.
fn identity(home: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(home::journal_dir(home)).ok()?;
    Some((found.dev(), found.ino()))
}

fn takes_writes(home: &Path) -> io::Result<()> {
    let path = home.join(TRIAL);
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&vec![1; ROOM_BYTES])?;
        file.sync_all()
    });
    let removed = fs::remove_file(&path);
    written.and(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_tried_without_a_trace() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path();
        fs::create_dir(home::journal_dir(home)).unwrap();
        fs::write(home.join(TRIAL), "left").unwrap();
        let standstill = Standstill::of(home);
        takes_writes(home).unwrap();
        assert_eq!(fs::read_dir(home).unwrap().count(), 1);
        assert!(takes_writes(&home.join("none")).is_err());
        // Another folder in its place.
        fs::rename(home::journal_dir(home), home.join("away")).unwrap();
        assert_eq!(identity(home), None);
        fs::create_dir(home::journal_dir(home)).unwrap();
        assert_ne!(identity(home), standstill.journal);
    }
}
