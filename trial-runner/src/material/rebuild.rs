//! A tree of a study's material, built from its manifest.
//!
//! It is built beside its place and takes the place in one step, so that a tree that is there is
//! whole. Its files are read-only, because all trials share them; where the blobs lie on the same
//! disk they take no room of their own.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fleetfit_search_spaces::Manifest;
use fleetfit_search_spaces::material::Entry;

use super::{MaterialError, digest_file, disk};
use crate::program;

/// A file of the user's own that is at least this large is linked to rather than copied.
const MIN_LINKED_BYTES: u64 = 64 << 20;

/// How much is read at once.
const PIECE_BYTES: usize = 1 << 18;

/// Builds the tree at `into`, unless it is there. `source` tells where the bytes of a digest lie, and
/// gets them there first where they are elsewhere. Every byte is checked.
pub fn rebuild(
    manifest: &Manifest,
    source: &dyn Fn(&str) -> io::Result<PathBuf>,
    into: &Path,
) -> Result<(), MaterialError> {
    manifest.check()?;
    if is_whole(manifest, into) {
        return Ok(());
    }
    let parent = into.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(disk(parent))?;
    remove_leftovers(into);
    let building = beside(into, "building");
    let built = build(manifest, source, &building).and_then(|()| {
        let gone = beside(into, "gone");
        if fs::rename(into, &gone).is_ok() {
            let _ = fs::remove_dir_all(&gone);
        }
        match fs::rename(&building, into) {
            // Somebody else was faster with the same tree.
            Err(_) if is_whole(manifest, into) => Ok(()),
            renamed => renamed.map_err(disk(into)),
        }
    });
    // There only where it did not become the tree.
    let _ = fs::remove_dir_all(&building);
    built
}

/// Whether everything of the manifest is there and looks as it should. Bytes were checked when the
/// tree was built.
fn is_whole(manifest: &Manifest, tree: &Path) -> bool {
    let is_file = |entry: &Entry| {
        fs::metadata(tree.join(&entry.at)).is_ok_and(|metadata| {
            let executable = metadata.permissions().mode() & 0o111 != 0;
            metadata.is_file() && metadata.len() == entry.bytes && (executable || !entry.executable)
        })
    };
    tree.is_dir()
        && manifest.files.iter().all(is_file)
        && manifest.folders.iter().all(|folder| tree.join(folder).is_dir())
        && manifest.links.iter().all(|link| {
            fs::read_link(tree.join(&link.at)).is_ok_and(|to| to == Path::new(&link.to))
        })
}

fn build(
    manifest: &Manifest,
    source: &dyn Fn(&str) -> io::Result<PathBuf>,
    tree: &Path,
) -> Result<(), MaterialError> {
    fs::create_dir_all(tree).map_err(disk(tree))?;
    for folder in &manifest.folders {
        let folder = tree.join(folder);
        fs::create_dir_all(&folder).map_err(disk(&folder))?;
    }
    for entry in &manifest.files {
        let path = tree.join(&entry.at);
        make_parent(&path)?;
        place(entry, source, &path)?;
    }
    for link in &manifest.links {
        let path = tree.join(&link.at);
        make_parent(&path)?;
        symlink(&link.to, &path).map_err(disk(&path))?;
    }
    for place in manifest.places.values().filter(|place| !place.contains(['*', '?', '['])) {
        let path = tree.join(place);
        if !path.exists() {
            fs::create_dir_all(&path).map_err(disk(&path))?;
        }
    }
    Ok(())
}

fn make_parent(path: &Path) -> Result<(), MaterialError> {
    match path.parent() {
        Some(parent) if !parent.is_dir() => fs::create_dir_all(parent).map_err(disk(parent)),
        _ => Ok(()),
    }
}

/// Puts one file in its place.
fn place(
    entry: &Entry,
    source: &dyn Fn(&str) -> io::Result<PathBuf>,
    path: &Path,
) -> Result<(), MaterialError> {
    if let Some(origin) = entry.origin.as_deref().map(Path::new)
        && put(entry, origin, path).is_ok()
    {
        return Ok(());
    }
    let _ = fs::remove_file(path);
    let found = source(&entry.digest).map_err(disk(path))?;
    match put(entry, &found, path) {
        // Somebody made room just then; once more is enough.
        Err(MaterialError::Disk { source: error, .. })
            if error.kind() == io::ErrorKind::NotFound =>
        {
            let _ = fs::remove_file(path);
            let found = source(&entry.digest).map_err(disk(path))?;
            put(entry, &found, path)
        }
        put => put,
    }
}

/// Links or copies bytes to their place, and checks them there.
fn put(entry: &Entry, found: &Path, path: &Path) -> Result<(), MaterialError> {
    let metadata = fs::metadata(found).map_err(disk(found))?;
    let is_ours = metadata.permissions().mode() & 0o333 == 0;
    let wrong = || MaterialError::Wrong { at: entry.at.clone() };
    if !metadata.is_file() || metadata.len() != entry.bytes {
        return Err(wrong());
    }
    let linked = if is_ours && !entry.executable {
        fs::hard_link(found, path).is_ok()
    } else if !is_ours && !entry.executable && entry.bytes >= MIN_LINKED_BYTES {
        let found = fs::canonicalize(found).map_err(disk(found))?;
        symlink(found, path).is_ok()
    } else {
        false
    };
    let digest = match linked {
        true => digest_file(path).map_err(disk(path))?.0,
        false => copy(entry, found, path).map_err(disk(found))?,
    };
    match digest == entry.digest {
        true => Ok(()),
        false => {
            let _ = fs::remove_file(path);
            Err(wrong())
        }
    }
}

/// Copies a file, read-only, and returns the digest of what was copied.
fn copy(entry: &Entry, found: &Path, path: &Path) -> io::Result<String> {
    let mut from = File::open(found)?;
    let mut to = File::options().write(true).create_new(true).open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE_BYTES.min(entry.bytes as usize + 1)];
    loop {
        match from.read(&mut piece)? {
            0 => break,
            n => {
                hasher.update(&piece[..n]);
                to.write_all(&piece[..n])?;
            }
        }
    }
    let mode = if entry.executable { 0o555 } else { 0o444 };
    to.set_permissions(Permissions::from_mode(mode))?;
    // A tree that is there counts as whole, after a power cut too.
    to.sync_data()?;
    if entry.executable {
        program::close(to, path)?;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// A name beside the tree's that nobody else uses.
fn beside(into: &Path, what: &str) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    into.with_file_name(format!("{}{}-{n}", prefix(into, what), std::process::id()))
}

fn prefix(into: &Path, what: &str) -> String {
    format!(".{}.{what}-", into.file_name().unwrap_or_default().to_string_lossy())
}

/// Removes what processes left that were killed while they built this tree.
fn remove_leftovers(into: &Path) {
    let Some(Ok(entries)) = into.parent().map(fs::read_dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let of = |what| name.strip_prefix(&prefix(into, what)).map(str::to_owned);
        let Some(rest) = of("building").or_else(|| of("gone")) else { continue };
        let pid = rest.split('-').next().unwrap_or_default();
        let is_dead = Path::new("/proc/self").exists() && !Path::new("/proc").join(pid).exists();
        if is_dead {
            let _ = fs::remove_dir_all(&path);
        }
    }
}
