//! What a runner has fetched from its service: blobs, and the trees that are built from them.
//!
//! All runners of a machine may share one. Whoever fetches a blob holds its half-written file locked,
//! so the others wait for it; a fetch that was cut off goes on where it ended. Whoever uses a tree
//! holds its lock, so that it is not removed when room is made. Where locks die, so do their holders:
//! nothing is left to clean up.

mod room;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fleetfit_search_spaces::Manifest;
use fleetfit_search_spaces::disk::plain;
use fleetfit_search_spaces::material::{MAX_BYTES, is_digest};

use crate::lock::Lock;
use crate::material::{MaterialError, digest, digest_file, rebuild};

/// How much a cache holds when nothing else is said, in bytes.
pub const DEFAULT_BYTES: u64 = 10 << 30;

/// How often a blob is fetched anew that came damaged.
const MAX_TRIES: usize = 3;

/// Gets a piece of a blob: from a digest and where the piece begins, its bytes and how many the whole
/// blob has. A piece that is empty before the end is an error.
pub type Fetch<'f> = dyn Fn(&str, u64) -> io::Result<(Vec<u8>, u64)> + 'f;

/// The cache of the runners of one machine.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
    max_bytes: u64,
}

/// A tree that stays as long as this is held.
#[derive(Debug)]
pub struct Tree {
    /// Where it lies.
    pub path: PathBuf,
    /// What it is.
    pub manifest: Manifest,
    /// Shared with others that use it.
    _lock: Lock,
}

/// Why something could not be had.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The service, or the way to it.
    #[error("{digest} could not be fetched: {source}")]
    Fetch {
        /// What.
        digest: String,
        /// Why.
        source: io::Error,
    },
    /// What comes is not what was asked for.
    #[error("{0} came damaged, {MAX_TRIES} times in a row")]
    Damaged(String),
    /// What is asked for has no digest.
    #[error("{0:?} is not a blake3 digest, which is 64 lower-case hexadecimal digits")]
    NotADigest(String),
    /// The tree.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// The disk.
    #[error("{path}: {}", plain(source))]
    Disk {
        /// What.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl Cache {
    /// The cache in a folder, which is made if it isn't there.
    pub fn open(dir: &Path, max_bytes: u64) -> Result<Self, CacheError> {
        let dir = std::path::absolute(dir).map_err(disk(dir))?;
        let cache = Self { dir, max_bytes };
        for folder in [cache.blobs(), cache.partial(), cache.trees()] {
            fs::create_dir_all(&folder).map_err(disk(&folder))?;
        }
        Ok(cache)
    }

    /// Where the blob lies, fetched first if it is not there. Making room may remove it again.
    pub fn blob(&self, digest: &str, fetch: &Fetch<'_>) -> Result<PathBuf, CacheError> {
        if !is_digest(digest) {
            return Err(CacheError::NotADigest(digest.chars().take(80).collect()));
        }
        let path = self.blobs().join(&digest[..2]).join(digest);
        for _ in 0..MAX_TRIES {
            if touch(&path) {
                return Ok(path);
            }
            let Some(partial) = self.lock_partial(digest)? else { continue };
            // Somebody may have brought it while we waited for the lock.
            if touch(&path) {
                let _ = fs::remove_file(&partial.path);
                return Ok(path);
            }
            if partial.complete(digest, fetch)? {
                partial.take_name(&path)?;
                return Ok(path);
            }
        }
        Err(CacheError::Damaged(digest.to_owned()))
    }

    /// The tree of the manifest with this digest, fetched and built first where it is not there.
    pub fn tree(&self, manifest: &str, fetch: &Fetch<'_>) -> Result<Tree, CacheError> {
        if !is_digest(manifest) {
            return Err(CacheError::NotADigest(manifest.chars().take(80).collect()));
        }
        let path = self.trees().join(manifest);
        let lock = self.lock_tree(manifest)?;
        let listed = self.manifest(manifest, fetch)?;
        // What could not be fetched says so itself, rather than as a fault of the disk.
        let failed = RefCell::new(None);
        let source = |digest: &str| {
            self.blob(digest, fetch).map_err(|error| {
                let text = io::Error::other(error.to_string());
                failed.replace(Some(error));
                text
            })
        };
        let mut built = rebuild(&listed, &source, &path);
        if let Err(MaterialError::Wrong { .. }) = &built {
            // The disk has lost something of a blob.
            self.remove_damaged(&listed);
            built = rebuild(&listed, &source, &path);
        }
        if let Err(error) = built {
            return Err(failed.take().unwrap_or(CacheError::Material(error)));
        }
        room::make(self)?;
        Ok(Tree { path, manifest: listed, _lock: lock })
    }

    fn manifest(&self, digest_of_it: &str, fetch: &Fetch<'_>) -> Result<Manifest, CacheError> {
        let mut tried = false;
        loop {
            let path = self.blob(digest_of_it, fetch)?;
            let mut bytes = Vec::new();
            let read = File::open(&path)
                .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes));
            match read {
                // Somebody made room just then.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !tried => tried = true,
                Err(error) => return Err(disk(&path)(error)),
                Ok(_) if digest(&bytes) == digest_of_it => {
                    return Ok(Manifest::read(&bytes).map_err(MaterialError::from)?);
                }
                Ok(_) if tried => return Err(CacheError::Damaged(digest_of_it.to_owned())),
                // The disk has lost something of it.
                Ok(_) => {
                    tried = true;
                    fs::remove_file(&path).map_err(disk(&path))?;
                }
            }
        }
    }

    /// Removes those blobs that are not what their names say, to be fetched anew.
    fn remove_damaged(&self, manifest: &Manifest) {
        for digest in manifest.digests() {
            let path = self.blobs().join(&digest[..2]).join(digest);
            if digest_file(&path).is_ok_and(|(found, _)| found != digest) {
                let _ = fs::remove_file(&path);
            }
        }
    }

    /// The tree's lock, which keeps it in place.
    fn lock_tree(&self, manifest: &str) -> Result<Lock, CacheError> {
        let path = self.lock_path(manifest);
        loop {
            let lock = open_lock(&path).and_then(Lock::shared).map_err(disk(&path))?;
            let _ = lock.file().set_modified(SystemTime::now());
            if is_still(&lock, &path) {
                return Ok(lock);
            }
        }
    }

    /// The half-written file of a blob, once nobody else writes it. None where that is over.
    fn lock_partial(&self, digest: &str) -> Result<Option<Partial>, CacheError> {
        let path = self.partial().join(digest);
        let lock = open_lock(&path).and_then(Lock::alone).map_err(disk(&path))?;
        Ok(is_still(&lock, &path).then_some(Partial { lock, path }))
    }

    fn blobs(&self) -> PathBuf {
        self.dir.join("blobs")
    }

    fn partial(&self) -> PathBuf {
        self.dir.join("partial")
    }

    fn trees(&self) -> PathBuf {
        self.dir.join("trees")
    }

    fn lock_path(&self, tree: &str) -> PathBuf {
        self.trees().join(format!("{tree}.lock"))
    }
}

/// A half-written blob, which nobody else writes.
struct Partial {
    lock: Lock,
    path: PathBuf,
}

impl Partial {
    /// Fetches what is missing. False where the whole turned out to be something else, and is gone.
    fn complete(&self, digest: &str, fetch: &Fetch<'_>) -> Result<bool, CacheError> {
        let failed = |source| CacheError::Fetch { digest: digest.to_owned(), source };
        let mut hasher = blake3::Hasher::new();
        let mut file = self.lock.file();
        file.seek(SeekFrom::Start(0)).map_err(disk(&self.path))?;
        hasher.update_reader(file).map_err(disk(&self.path))?;
        loop {
            let (piece, total) = fetch(digest, hasher.count()).map_err(failed)?;
            if hasher.count() + piece.len() as u64 > total {
                break;
            }
            if piece.is_empty() && hasher.count() < total {
                return Err(failed(io::Error::other("the service sent nothing")));
            }
            file.write_all(&piece).map_err(disk(&self.path))?;
            hasher.update(&piece);
            if hasher.count() == total {
                break;
            }
        }
        if hasher.finalize().to_hex().as_str() == digest {
            return Ok(true);
        }
        fs::remove_file(&self.path).map_err(disk(&self.path))?;
        Ok(false)
    }

    /// The blob is whole: gives it its name, once it is on the disk.
    fn take_name(&self, path: &Path) -> Result<(), CacheError> {
        let folder = path.parent().unwrap_or(path);
        fs::create_dir_all(folder).map_err(disk(folder))?;
        let file = self.lock.file();
        file.set_permissions(Permissions::from_mode(0o444)).map_err(disk(&self.path))?;
        file.sync_all().map_err(disk(&self.path))?;
        fs::rename(&self.path, path).map_err(disk(path))
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

/// Whether a locked file is still the one with this name: its last holder may have renamed or removed
/// it.
fn is_still(lock: &Lock, path: &Path) -> bool {
    match (lock.file().metadata(), fs::metadata(path)) {
        (Ok(held), Ok(named)) => held.ino() == named.ino() && held.dev() == named.dev(),
        _ => false,
    }
}

/// Notes that a file is used. False where it is not there.
fn touch(path: &Path) -> bool {
    File::open(path).map(|file| file.set_modified(SystemTime::now())).is_ok()
}

/// Whether nobody holds this lock; then nobody can before what is returned is dropped.
fn try_lock(path: &Path) -> Option<Lock> {
    Lock::at_once(File::open(path).ok()?).filter(|lock| is_still(lock, path))
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> CacheError {
    let path = path.display().to_string();
    |source| CacheError::Disk { path, source }
}
