//! One process at a time in a journal's directory: a lock that the kernel drops with the process,
//! and that is given back by name. A program that is being started has every file of its parent
//! until it runs, so that closing ours would leave the lock taken for that while.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::JournalError;

/// Held while it lives.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    file: File,
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // One that cannot be given back goes with the last handle.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
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
        Ok(Self { file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_that_a_starting_program_still_has_does_not_keep_it_taken() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::take(dir.path()).unwrap();
        let inherited = lock.file.try_clone().unwrap();
        assert!(DirectoryLock::take(dir.path()).is_err());
        drop(lock);
        DirectoryLock::take(dir.path()).unwrap();
        drop(inherited);
    }
}
