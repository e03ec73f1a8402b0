//! The folder of this process in the cache that runners share: one room for each study, gone with the
//! study, or with the next runner that finds its owner dead.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::lock::Lock;

/// This process's folder.
pub(super) struct Workplace {
    dir: PathBuf,
    lock_path: PathBuf,
    n_rooms: AtomicU32,
    /// Held for as long as this process lives.
    _lock: Lock,
}

/// Keeps a room until it is dropped.
pub(super) struct Room(PathBuf);

impl Workplace {
    /// Makes the folder, and removes those whose processes are gone.
    pub(super) fn open(cache: &Path, runner: &str) -> io::Result<Self> {
        let all = std::path::absolute(cache)?.join("work");
        fs::create_dir_all(&all)?;
        for entry in fs::read_dir(&all)?.flatten() {
            let path = entry.path();
            // Held until its folder is gone: one that begins at this moment waits.
            if path.extension().is_some_and(|extension| extension == "lock")
                && let Some(_lock) = File::open(&path).ok().and_then(Lock::at_once)
            {
                // What cannot be removed is in nobody's way.
                let _ = fs::remove_dir_all(path.with_extension(""));
                let _ = fs::remove_file(&path);
            }
        }
        let dir = all.join(runner);
        let lock_path = dir.with_extension("lock");
        let lock = Lock::alone(File::create(&lock_path)?)?;
        fs::create_dir_all(&dir)?;
        Ok(Self { dir, lock_path, n_rooms: AtomicU32::new(0), _lock: lock })
    }

    /// A room of its own.
    pub(super) fn room(&self, name: &str) -> io::Result<(PathBuf, Room)> {
        let n = self.n_rooms.fetch_add(1, Ordering::Relaxed);
        let room = self.dir.join(format!("{name}-{n}"));
        fs::create_dir_all(&room)?;
        Ok((room.clone(), Room(room)))
    }

    /// Leaves nothing behind. What cannot be removed is removed by the next runner.
    pub(super) fn clear(&self) {
        let _ = fs::remove_dir_all(&self.dir);
        let _ = fs::remove_file(&self.lock_path);
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_of_the_dead_are_cleared() {
        let cache = tempfile::tempdir().unwrap();
        let living = Workplace::open(cache.path(), "living").unwrap();
        let (kept, _room) = living.room("study").unwrap();
        let dead = cache.path().join("work/dead");
        fs::create_dir_all(dead.join("study-0")).unwrap();
        fs::write(cache.path().join("work/dead.lock"), "").unwrap();
        let other = Workplace::open(cache.path(), "other").unwrap();
        assert!(kept.is_dir() && !dead.exists());
        let (gone, room) = other.room("study").unwrap();
        assert!(gone.is_dir());
        drop(room);
        assert!(!gone.exists());
        drop(other);
        assert!(!cache.path().join("work/other").exists());
    }
}
