//! The door of a data directory that is in use: the API on a Unix socket in it, for its owner alone.

use std::fs;
use std::io;
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

/// An open door. It closes when this is dropped.
pub(crate) struct Owner {
    socket: PathBuf,
    close: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Where the door of a data directory is.
pub(crate) fn socket_path(home: &Path) -> PathBuf {
    let socket = home.join("api.sock");
    if socket.as_os_str().len() <= MAX_SOCKET_PATH {
        return socket;
    }
    // Too long for a socket's address: a link of a fixed length leads there.
    let full = home.canonicalize().unwrap_or_else(|_| home.to_owned());
    let digest =
        full.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3_u64)
        });
    std::env::temp_dir().join(format!("fleetfit-{digest:016x}.sock"))
}

impl Owner {
    /// Opens the door.
    pub(crate) fn open(
        home: &Path,
        journal: Journal,
        engine: EngineHandle,
    ) -> Result<Self, Failure> {
        let socket = socket_path(home);
        Self::listen(&socket, Service { journal, engine, studies_dir: source::studies_dir(home) })
            .map_err(|error| {
                let why = plain(&error);
                Failure::Unavailable(format!("{} cannot be opened: {why}", socket.display()))
            })
    }

    fn listen(socket: &Path, service: Service) -> io::Result<Self> {
        // The journal's lock is ours, so a socket that lies here belongs to nobody.
        match fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(socket)?
        };
        fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
        let (close, closed) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("api".into()).spawn(move || {
            runtime.block_on(api::serve(listener, service, async {
                // Closed by a word or by the sender's end alike.
                drop(closed.await);
            }));
        })?;
        Ok(Self { socket: socket.to_owned(), close: Some(close), thread: Some(thread) })
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
