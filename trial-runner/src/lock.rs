//! A lock on a file, given back by name. A program that is being started has every file of its parent
//! until it runs, so that closing ours would leave the lock taken for that while. Where the process
//! dies, the lock goes with the last handle.

use std::fs::{File, TryLockError};
use std::io;

/// Held while it lives.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Waits until nobody else has the file's lock.
    pub(crate) fn alone(file: File) -> io::Result<Self> {
        file.lock().map(|()| Self(file))
    }

    /// Waits until nobody has the file's lock alone.
    pub(crate) fn shared(file: File) -> io::Result<Self> {
        file.lock_shared().map(|()| Self(file))
    }

    /// None where somebody has the file's lock.
    pub(crate) fn at_once(file: File) -> Option<Self> {
        match file.try_lock() {
            Ok(()) => Some(Self(file)),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => None,
        }
    }

    /// What is locked.
    pub(crate) fn file(&self) -> &File {
        &self.0
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // One that cannot be given back goes with the last handle.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_that_a_starting_program_still_has_keeps_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let open = || File::create(&path).unwrap();
        for take in [Lock::alone, Lock::shared] {
            let lock = take(open()).unwrap();
            let inherited = lock.file().try_clone().unwrap();
            assert!(Lock::at_once(open()).is_none());
            drop(lock);
            assert!(Lock::at_once(open()).is_some());
            drop(inherited);
        }
    }
}
