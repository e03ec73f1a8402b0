//! What studies work with, by its digest: code, data, lists of files. A blob is written once and never
//! changed.
//!
//! A blob counts once it has its name: its bytes were hashed while they were written, and are on the
//! disk. A big file of this machine may be linked rather than copied; it is a blob as long as it stays
//! as it was.

mod link;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fleetfit_search_spaces::disk::plain;
use fleetfit_search_spaces::material::is_digest;
use fleetfit_search_spaces::wire::join::{Answer, BlobPiece, BlobRequest};

/// The largest blob, in bytes.
pub const MAX_BLOB_BYTES: u64 = 256 << 30;

/// What is younger is kept, whether a study names it or not: its study may be on its way.
pub const MIN_AGE: Duration = Duration::from_secs(60 * 60);

/// Where blobs are written before they have a name.
const INCOMING: &str = "incoming";

/// The most bytes that one message to a runner carries.
pub const MAX_PIECE_BYTES: u64 = 512 << 10;

/// How much is read at once.
const PIECE_BYTES: usize = 1 << 18;

/// The blobs of a service, in a folder of their own that no other process writes.
#[derive(Clone, Debug)]
pub struct Blobs {
    dir: PathBuf,
    max_bytes: u64,
}

/// Why a blob could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Its name is none.
    #[error("{0:?} is not a blake3 digest, which is 64 lower-case hexadecimal digits")]
    NotADigest(String),
    /// Other bytes than its name says.
    #[error("these bytes have the digest {found}, not {wanted}; did the file change meanwhile?")]
    Wrong {
        /// Its name.
        wanted: String,
        /// What the bytes are.
        found: String,
    },
    /// It is larger than anything that is kept.
    #[error("a file may have at most {most} bytes; this one has more")]
    TooLarge {
        /// How many bytes there may be.
        most: u64,
    },
    /// A linked file is not there, or not as it was.
    #[error("{path} has changed since a study was submitted with it; submit the job again")]
    Changed {
        /// The file.
        path: String,
    },
    /// The disk.
    #[error("{path}: {}", plain(source))]
    Disk {
        /// What.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl Blobs {
    /// The blobs in a folder, which is made if it isn't there. What killed processes left half
    /// written is removed.
    pub fn open(dir: &Path) -> Result<Self, BlobError> {
        let incoming = dir.join(INCOMING);
        match fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(disk(&incoming)(error));
            }
            _ => {}
        }
        fs::create_dir_all(&incoming).map_err(disk(&incoming))?;
        Ok(Self { dir: dir.to_owned(), max_bytes: MAX_BLOB_BYTES })
    }

    /// The same, with blobs of at most so many bytes.
    pub fn with_max_bytes(self, max_bytes: u64) -> Self {
        Self { max_bytes, ..self }
    }

    /// Keeps what the reader gives, if it is what its name says. Returns how many bytes it has.
    pub fn put(&self, digest: &str, reader: &mut dyn Read) -> Result<u64, BlobError> {
        let mut incoming = self.begin(digest)?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => return incoming.finish(),
                Ok(n) => incoming.write(&piece[..n])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(disk(&incoming.temp)(error)),
            }
        }
    }

    /// Keeps bytes under their own digest, which is returned.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<String, BlobError> {
        let digest = blake3::hash(bytes).to_hex().to_string();
        if !self.has(&digest)? {
            self.put(&digest, &mut &*bytes)?;
        }
        Ok(digest)
    }

    /// Begins a blob whose bytes come one piece after the other.
    pub fn begin(&self, digest: &str) -> Result<Incoming, BlobError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let path = self.place(digest)?;
        let name = format!("{}-{digest}", COUNT.fetch_add(1, Ordering::Relaxed));
        let temp = self.dir.join(INCOMING).join(name);
        let file =
            OpenOptions::new().write(true).create_new(true).open(&temp).map_err(disk(&temp))?;
        Ok(Incoming {
            file,
            temp,
            path,
            digest: digest.to_owned(),
            hasher: blake3::Hasher::new(),
            n_bytes: 0,
            max_bytes: self.max_bytes,
        })
    }

    /// Makes a file of this machine a blob without copying it, and returns its digest.
    pub fn link(&self, path: &Path) -> Result<String, BlobError> {
        link::make(self, path)
    }

    /// A blob's bytes and how many there are.
    pub fn get(&self, digest: &str) -> Result<Option<(File, u64)>, BlobError> {
        let Some(path) = self.path(digest)? else { return Ok(None) };
        let file = File::open(&path).map_err(disk(&path))?;
        let n_bytes = file.metadata().map_err(disk(&path))?.len();
        Ok(Some((file, n_bytes)))
    }

    /// Where a blob's bytes lie. A linked file counts as long as its size and time say that it is as
    /// it was; who must be sure checks the digest of what it reads.
    pub fn path(&self, digest: &str) -> Result<Option<PathBuf>, BlobError> {
        let path = self.place(digest)?;
        match path.is_file() {
            true => Ok(Some(path)),
            false => link::follow(&path),
        }
    }

    /// Answers a runner that wants a piece of a blob.
    pub fn piece(&self, request: &BlobRequest) -> Answer<(BlobPiece, Vec<u8>)> {
        let read = || -> Result<Option<(BlobPiece, Vec<u8>)>, BlobError> {
            let Some((mut file, total)) = self.get(&request.digest)? else { return Ok(None) };
            let path = Path::new(&request.digest);
            file.seek(SeekFrom::Start(request.offset)).map_err(disk(path))?;
            let mut piece = Vec::new();
            file.take(MAX_PIECE_BYTES).read_to_end(&mut piece).map_err(disk(path))?;
            Ok(Some((BlobPiece { total }, piece)))
        };
        match read() {
            Ok(Some(piece)) => Answer::Done(piece),
            Ok(None) => {
                Answer::Refused { reason: format!("this service has no blob {}", request.digest) }
            }
            // Disks recover.
            Err(error @ BlobError::Disk { .. }) => Answer::Later { reason: error.to_string() },
            Err(error) => Answer::Refused { reason: error.to_string() },
        }
    }

    /// Whether there is such a blob.
    pub fn has(&self, digest: &str) -> Result<bool, BlobError> {
        Ok(self.missing(&[digest])?.is_empty())
    }

    /// Which of these are not there. Those that are will stay for [`MIN_AGE`], long enough for the
    /// study that they are asked for.
    pub fn missing<'d>(&self, digests: &[&'d str]) -> Result<Vec<&'d str>, BlobError> {
        let mut missing = Vec::new();
        for digest in digests {
            let path = self.place(digest)?;
            let is_there = match self.path(digest) {
                Ok(found) => found.is_some(),
                // It can be sent again, as it was.
                Err(BlobError::Changed { .. }) => false,
                Err(error) => return Err(error),
            };
            if !is_there {
                missing.push(*digest);
                continue;
            }
            for kept in [path.clone(), link::record_of(&path)] {
                // What cannot be touched is swept a little early, and sent again.
                let _ = File::open(kept).and_then(|file| file.set_modified(SystemTime::now()));
            }
        }
        Ok(missing)
    }

    /// Removes what is older than `min_age` and not among those to keep, and returns how many blobs
    /// that were.
    pub fn sweep(&self, keep: &HashSet<String>, min_age: Duration) -> Result<usize, BlobError> {
        let mut n_removed = 0;
        for folder in entries(&self.dir)? {
            if folder.file_name() == Some(OsStr::new(INCOMING)) || !folder.is_dir() {
                continue;
            }
            for path in entries(&folder)? {
                let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
                let digest = name.strip_suffix(link::ENDING).unwrap_or(name);
                let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
                let age = modified.ok().and_then(|at| at.elapsed().ok()).unwrap_or_default();
                if !keep.contains(digest) && age >= min_age {
                    fs::remove_file(&path).map_err(disk(&path))?;
                    n_removed += 1;
                }
            }
        }
        Ok(n_removed)
    }

    /// Where a blob lies if it is a file of its own.
    fn place(&self, digest: &str) -> Result<PathBuf, BlobError> {
        match is_digest(digest) {
            true => Ok(self.dir.join(&digest[..2]).join(digest)),
            false => Err(BlobError::NotADigest(digest.chars().take(80).collect())),
        }
    }
}

/// A blob whose bytes are arriving. It leaves nothing behind unless it is finished.
#[derive(Debug)]
pub struct Incoming {
    file: File,
    temp: PathBuf,
    path: PathBuf,
    digest: String,
    hasher: blake3::Hasher,
    n_bytes: u64,
    max_bytes: u64,
}

impl Incoming {
    /// Adds a piece.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), BlobError> {
        self.n_bytes += piece.len() as u64;
        if self.n_bytes > self.max_bytes {
            return Err(BlobError::TooLarge { most: self.max_bytes });
        }
        self.hasher.update(piece);
        self.file.write_all(piece).map_err(disk(self.folder()))
    }

    /// The blob is whole: gives it its name, once it is on the disk. Returns how many bytes it has.
    pub fn finish(self) -> Result<u64, BlobError> {
        let found = self.hasher.finalize().to_hex();
        if found.as_str() != self.digest {
            let (wanted, found) = (self.digest.clone(), found.to_string());
            return Err(BlobError::Wrong { wanted, found });
        }
        let read_only = Permissions::from_mode(0o444);
        self.file.set_permissions(read_only).map_err(disk(&self.temp))?;
        self.file.sync_all().map_err(disk(self.folder()))?;
        take_name(&self.temp, &self.path)?;
        Ok(self.n_bytes)
    }
}

impl Incoming {
    /// Where it arrives, which says more than its name there.
    fn folder(&self) -> &Path {
        self.temp.parent().unwrap_or(&self.temp)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Gone already where it was finished.
        let _ = fs::remove_file(&self.temp);
    }
}

/// Renames what is on the disk, so that the name survives a power cut too.
fn take_name(temp: &Path, path: &Path) -> Result<(), BlobError> {
    let folder = path.parent().unwrap_or(path);
    if !folder.is_dir() {
        fs::create_dir_all(folder).map_err(disk(folder))?;
        sync_dir(folder.parent().unwrap_or(folder))?;
    }
    fs::rename(temp, path).map_err(disk(path))?;
    sync_dir(folder)
}

fn sync_dir(dir: &Path) -> Result<(), BlobError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(disk(dir))
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, BlobError> {
    let entries = fs::read_dir(dir).map_err(disk(dir))?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(disk(dir))).collect()
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> BlobError {
    let path = path.display().to_string();
    |source| BlobError::Disk { path, source }
}
