//! The door of a data directory that is in use: the API on a Unix socket in it, for its owner alone.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use fleetfit_scheduler::api::{self, Service};
use fleetfit_scheduler::engine::EngineHandle;
use fleetfit_scheduler::journal::Journal;
use tokio::net::UnixListener;
use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::source;
use crate::submission::plain;

/// The longest socket path that every system takes.
const MAX_SOCKET_PATH: usize = 100;

/// The socket's name in the data directory.
const SOCKET: &str = "api.sock";

/// An open door. It closes when this is dropped.
pub(crate) struct Owner {
    socket: PathBuf,
    close: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
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

impl Owner {
    /// Opens the door.
    pub(crate) fn open(
        home: &Path,
        journal: Journal,
        engine: EngineHandle,
    ) -> Result<Self, Failure> {
        let service = Service { journal, engine, studies_dir: source::studies_dir(home) };
        Self::listen(home, service).map_err(|error| {
            let why = plain(&error);
            Failure::Unavailable(format!("{} cannot be opened: {why}", home.join(SOCKET).display()))
        })
    }

    fn listen(home: &Path, service: Service) -> io::Result<Self> {
        let socket = home.join(SOCKET);
        // The journal's lock is ours, so a socket that lies here belongs to nobody.
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            let (way, _dir) = way_to_socket(home)?;
            UnixListener::bind(way)?
        };
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o600))?;
        let (close, closed) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("api".into()).spawn(move || {
            runtime.block_on(api::serve(listener, service, async {
                // Closed by a word or by the sender's end alike.
                drop(closed.await);
            }));
        })?;
        Ok(Self { socket, close: Some(close), thread: Some(thread) })
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        drop(self.close.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
        // It may be gone already.
        drop(fs::remove_file(&self.socket));
    }
}
