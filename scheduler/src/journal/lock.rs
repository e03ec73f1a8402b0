//! One process at a time in a journal's directory: a lock that the kernel drops with the process.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::JournalError;

/// Held while it lives.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    /// Closing it is the unlock.
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock or says who has it. The file stays behind; only the lock on it counts.
    pub(super) fn take(dir: &Path) -> Result<Self, JournalError> {
        let refused = |source: std::io::Error| match source.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                JournalError::NotWritable { dir: dir.to_owned(), source }
            }
            _ => JournalError::Disk { doing: "locking", source },
        };
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join("lock"))
            .map_err(refused)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                // Whoever holds the lock may be about to write its number; then it is not known.
                let _ = file.take(32).read_to_string(&mut holder);
                return Err(JournalError::InUse {
                    dir: dir.to_owned(),
                    pid: holder.trim().parse().ok(),
                });
            }
            Err(errno) => return Err(refused(errno.into())),
        }
        file.set_len(0).map_err(refused)?;
        file.seek(SeekFrom::Start(0)).map_err(refused)?;
        writeln!(file, "{}", std::process::id()).map_err(refused)?;
        Ok(Self { _file: file })
    }
}
