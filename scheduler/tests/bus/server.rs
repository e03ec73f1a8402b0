//! A nats-server of the test's own.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::{Client, ConnectOptions};
use tempfile::TempDir;
use tokio::runtime::Handle;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A nats-server that ends with the test.
pub(crate) struct Server {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = spawn(&dir.path().join("js"), port);
        Self { child, port, dir }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it in order: what it knows is written down.
    pub(crate) fn stop(&mut self) {
        let kill = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(kill.success());
        self.child.wait().unwrap();
    }

    pub(crate) fn lose_store(&self) {
        std::fs::remove_dir_all(self.dir.path().join("js")).unwrap();
    }

    pub(crate) fn start_again(&mut self) {
        self.child = spawn(&self.dir.path().join("js"), self.port);
    }

    pub(crate) fn connect(&self, runtime: &Handle) -> Client {
        let options = ConnectOptions::new()
            .request_timeout(Some(Duration::from_secs(3)))
            .reconnect_delay_callback(|_| Duration::from_millis(50));
        runtime.block_on(options.connect(format!("127.0.0.1:{}", self.port))).unwrap()
    }
}

fn spawn(store: &std::path::Path, port: u16) -> Child {
    let program: PathBuf = std::env::var_os("FLEETFIT_NATS_SERVER")
        .expect("FLEETFIT_NATS_SERVER names no nats-server; tests/run installs one")
        .into();
    let child = Command::new(program)
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
        .arg(store)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nats-server starts");
    eventually("the server listens", || {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        line.starts_with("INFO ").then_some(())
    });
    child
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until something is there.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
