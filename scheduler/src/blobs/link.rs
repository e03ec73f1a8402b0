//! Files of this machine that are blobs where they lie.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{BlobError, Blobs, INCOMING, disk, take_name};

/// How the names of links end.
pub(super) const ENDING: &str = ".link";

/// A file as it was when it was linked.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    path: PathBuf,
    #[serde(flatten)]
    state: State,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    bytes: u64,
    modified_s: i64,
    modified_ns: i64,
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        Self {
            bytes: metadata.len(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
        }
    }
}

/// Links a file, which is read once for its digest.
pub(super) fn make(blobs: &Blobs, path: &Path) -> Result<String, BlobError> {
    let path = fs::canonicalize(path).map_err(disk(path))?;
    let mut file = File::open(&path).map_err(disk(&path))?;
    let before = file.metadata().map_err(disk(&path))?;
    if !before.is_file() {
        return Err(disk(&path)(io::Error::other("it is not a file")));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut file).map_err(disk(&path))?;
    let after = fs::metadata(&path).map_err(disk(&path))?;
    if State::of(&before) != State::of(&after) {
        return Err(BlobError::Changed { path: path.display().to_string() });
    }
    let digest = hasher.finalize().to_hex().to_string();
    let place = blobs.place(&digest)?;
    if place.is_file() {
        return Ok(digest);
    }
    let record = serde_json::to_vec(&Record { path, state: State::of(&after) });
    let record = record.map_err(|error| disk(&place)(io::Error::other(error)))?;
    let temp = blobs.dir.join(INCOMING).join(format!("{digest}{ENDING}"));
    let mut file = File::create(&temp).map_err(disk(&temp))?;
    file.write_all(&record).and_then(|()| file.sync_all()).map_err(disk(&temp))?;
    take_name(&temp, &record_of(&place))?;
    Ok(digest)
}

/// Where the blob of this place lies, if it is a linked file that is as it was.
pub(super) fn follow(place: &Path) -> Result<Option<PathBuf>, BlobError> {
    let at = record_of(place);
    let record = match fs::read(&at) {
        Ok(record) => record,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(disk(&at)(error)),
    };
    let record: Record =
        serde_json::from_slice(&record).map_err(|error| disk(&at)(io::Error::other(error)))?;
    match fs::metadata(&record.path) {
        Ok(metadata) if State::of(&metadata) == record.state => Ok(Some(record.path)),
        _ => Err(BlobError::Changed { path: record.path.display().to_string() }),
    }
}

/// Where a blob's link is recorded.
pub(super) fn record_of(place: &Path) -> PathBuf {
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(ENDING);
    place.with_file_name(name)
}
