//! The data directory: where it is, and what lies where in it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// The longest socket path that every system takes.
const MAX_SOCKET_PATH: usize = 100;

/// The socket's name in the data directory.
const SOCKET: &str = "api.sock";

/// `--data-dir`, else `$FLEETFIT_HOME`, else `./.fleetfit`.
pub(crate) fn find(given: Option<PathBuf>) -> PathBuf {
    given
        .or_else(|| {
            std::env::var_os("FLEETFIT_HOME").filter(|home| !home.is_empty()).map(Into::into)
        })
        .unwrap_or_else(|| Path::new(".fleetfit").to_owned())
}

/// Where a runner keeps what it fetches: `--data-dir`, else in the user's cache.
pub(crate) fn cache(given: Option<PathBuf>) -> PathBuf {
    given.unwrap_or_else(|| user_cache().join("runner"))
}

/// Where compiled kernels are kept.
pub(crate) fn kernels() -> PathBuf {
    user_cache().join("kernels")
}

/// Our folder in the user's cache.
fn user_cache() -> PathBuf {
    // The specification has relative paths left out.
    let from =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let user = from("XDG_CACHE_HOME").or_else(|| from("HOME").map(|home| home.join(".cache")));
    user.unwrap_or_else(std::env::temp_dir).join("fleetfit")
}

/// The journal's folder.
pub(crate) fn journal_dir(home: &Path) -> PathBuf {
    home.join("journal")
}

/// Whether anything was ever run with this data directory.
pub(crate) fn has_studies(home: &Path) -> bool {
    journal_dir(home).exists()
}

/// Whether studies were run with this data directory, and its journal was taken away since.
pub(crate) fn has_lost_journal(home: &Path) -> bool {
    !has_studies(home) && studies_dir(home).exists()
}

/// The folder that holds the folders of studies.
pub(crate) fn studies_dir(home: &Path) -> PathBuf {
    home.join("studies")
}

/// The folder of one study: models, trials, logs.
pub(crate) fn study_dir(home: &Path, study: &str) -> PathBuf {
    studies_dir(home).join(study)
}

/// The folder of what jobs name, by digest.
pub(crate) fn blobs_dir(home: &Path) -> PathBuf {
    home.join("blobs")
}

/// The folder of what jobs name, laid out.
pub(crate) fn trees_dir(home: &Path) -> PathBuf {
    home.join("trees")
}

/// Where what one job names is laid out.
pub(crate) fn tree_dir(home: &Path, manifest: &str) -> PathBuf {
    trees_dir(home).join(manifest)
}

/// The socket where whoever has the directory open answers.
pub(crate) fn socket(home: &Path) -> PathBuf {
    home.join(SOCKET)
}

/// The way to the socket of a data directory. Where the path is too long for a socket's address, it
/// leads through the open directory that comes with it, which must stay open as long as it is used.
pub(crate) fn way_to_socket(home: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let socket = home.join(SOCKET);
    if socket.as_os_str().len() <= MAX_SOCKET_PATH {
        return Ok((socket, None));
    }
    let dir = File::open(home)?;
    let way = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd()));
    Ok((way, Some(dir)))
}
