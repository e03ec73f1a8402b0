//! Making room: what was used longest ago goes first. A tree in use stays, and so does what it is
//! made of.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Cache, CacheError, disk, try_lock};

/// A fetch that nobody has gone on with for so long is given up.
const MAX_PARTIAL_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A blob.
struct Blob {
    path: PathBuf,
    used: SystemTime,
    bytes: u64,
    /// Whether a tree is made of it too: then removing it frees nothing.
    is_linked: bool,
}

/// Removes what was used longest ago until the cache holds what it may.
pub(super) fn make(cache: &Cache) -> Result<(), CacheError> {
    give_up_fetches(cache)?;
    let mut trees = unused_trees(cache)?;
    trees.sort_by_key(|(_, used)| std::cmp::Reverse(*used));
    loop {
        let mut blobs = blobs(cache)?;
        let mut total: u64 = blobs.iter().map(|blob| blob.bytes).sum();
        blobs.retain(|blob| !blob.is_linked);
        blobs.sort_by_key(|blob| blob.used);
        for blob in blobs {
            if total <= cache.max_bytes {
                return Ok(());
            }
            // Another runner may make room as well.
            if fs::remove_file(&blob.path).is_ok() {
                total -= blob.bytes;
            }
        }
        if total <= cache.max_bytes {
            return Ok(());
        }
        // Everything that is left is in use, which may be more than the cache should hold.
        let Some((tree, _)) = trees.pop() else { return Ok(()) };
        remove_tree(cache, &tree)?;
    }
}

fn blobs(cache: &Cache) -> Result<Vec<Blob>, CacheError> {
    let mut blobs = Vec::new();
    for folder in entries(&cache.blobs())? {
        for path in entries(&folder)? {
            let Ok(metadata) = fs::metadata(&path) else { continue };
            blobs.push(Blob {
                used: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                bytes: metadata.len(),
                is_linked: metadata.nlink() > 1,
                path,
            });
        }
    }
    Ok(blobs)
}

/// The trees that nobody holds, and when they were last used.
fn unused_trees(cache: &Cache) -> Result<Vec<(String, SystemTime)>, CacheError> {
    let mut trees = Vec::new();
    for path in entries(&cache.trees())? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(tree) = name.strip_suffix(".lock") else { continue };
        let used = fs::metadata(&path).and_then(|metadata| metadata.modified());
        if let (Some(_), Ok(used)) = (try_lock(&path), used) {
            trees.push((tree.to_owned(), used));
        }
    }
    Ok(trees)
}

/// Removes a tree, unless somebody uses it by now.
fn remove_tree(cache: &Cache, tree: &str) -> Result<(), CacheError> {
    let path = cache.lock_path(tree);
    let Some(_lock) = try_lock(&path) else { return Ok(()) };
    let folder = cache.trees().join(tree);
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(disk(&folder)(error)),
        _ => {}
    }
    fs::remove_file(&path).map_err(disk(&path))
}

fn give_up_fetches(cache: &Cache) -> Result<(), CacheError> {
    for path in entries(&cache.partial())? {
        let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|at| at.elapsed().ok()).unwrap_or_default();
        if age > MAX_PARTIAL_AGE
            && let Some(_lock) = try_lock(&path)
        {
            let _ = fs::remove_file(&path);
        }
    }
    Ok(())
}

/// What lies in a folder, which another runner may be removing.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, CacheError> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(disk(folder)(error)),
    }
}
