//! The door of a data directory that is in use: the API on a Unix socket in it, for its owner alone.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use fleetfit_scheduler::api::{Api, Guard, Service, ServiceInfo};
use fleetfit_scheduler::engine::EngineHandle;
use fleetfit_scheduler::journal::Journal;
use fleetfit_search_spaces::disk::plain;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{oneshot, watch};

use crate::backup;
use crate::failure::Failure;
use crate::home;
use crate::models;

/// How long the last answers may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// An open door. It closes when this is dropped.
pub(crate) struct Owner {
    socket: PathBuf,
    close: Option<oneshot::Sender<()>>,
    closed: Receiver<()>,
}

impl Owner {
    /// Opens the door of a process that runs one study.
    pub(crate) fn open(
        home: &Path,
        journal: Journal,
        engine: EngineHandle,
    ) -> Result<Self, Failure> {
        let service = Service {
            journal: journal.clone(),
            engine,
            studies_dir: home::studies_dir(home),
            doors: None,
            backup: backup::of(home, &journal),
            models: models::reader(),
            guard: Guard::default(),
            info: info(),
        };
        Self::serve(home, Api::new(service), None)
    }

    /// Opens the door of a service, and a door to the network if there is a listener for it.
    pub(crate) fn serve(
        home: &Path,
        api: Api,
        network: Option<std::net::TcpListener>,
    ) -> Result<Self, Failure> {
        Self::listen(home, api, network).map_err(|error| {
            let why = plain(&error);
            Failure::Unavailable(format!(
                "{} cannot be opened: {why}",
                home::socket(home).display()
            ))
        })
    }

    fn listen(home: &Path, api: Api, network: Option<std::net::TcpListener>) -> io::Result<Self> {
        let socket = home::socket(home);
        // The journal's lock is ours, so a socket that lies here belongs to nobody.
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (listener, network) = {
            let _inside = runtime.enter();
            let (way, _dir) = home::way_to_socket(home)?;
            (UnixListener::bind(way)?, network.map(TcpListener::from_std).transpose()?)
        };
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o600))?;
        let (close, closed) = oneshot::channel::<()>();
        let (gone, is_gone) = mpsc::channel();
        std::thread::Builder::new().name("api".into()).spawn(move || {
            runtime.block_on(async {
                let (closing, is_closing) = watch::channel(());
                let until_closed = || {
                    let mut is_closing = is_closing.clone();
                    // Closed by the sender's end.
                    async move { drop(is_closing.changed().await) }
                };
                let inside = api.serve_socket(listener, until_closed());
                let outside = async {
                    if let Some(network) = network {
                        api.serve_network(network, until_closed()).await;
                    }
                };
                let close = async move {
                    // Closed by a word or by the sender's end alike.
                    drop(closed.await);
                    drop(closing);
                };
                tokio::join!(inside, outside, close);
            });
            // Nobody waits any more when this fails.
            let _ = gone.send(());
        })?;
        Ok(Self { socket, close: Some(close), closed: is_gone })
    }
}

/// What we say of ourselves.
pub(crate) fn info() -> ServiceInfo {
    ServiceInfo { version: env!("CARGO_PKG_VERSION").to_owned() }
}

impl Drop for Owner {
    fn drop(&mut self) {
        drop(self.close.take());
        // Answers that are on their way arrive; an asker that does not listen is not waited for.
        let _ = self.closed.recv_timeout(GOODBYE);
        // It may be gone already.
        drop(fs::remove_file(&self.socket));
    }
}
