//! A nats-server of the test's own.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
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
        loop {
            let port = port();
            if let Some(child) = spawn(dir.path(), port) {
                return Self { child, port, dir };
            }
        }
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
        self.child = spawn(self.dir.path(), self.port).expect("its port is its own");
    }

    pub(crate) fn connect(&self, runtime: &Handle) -> Client {
        let options = ConnectOptions::new()
            .request_timeout(Some(Duration::from_secs(3)))
            .reconnect_delay_callback(|_| Duration::from_millis(50));
        runtime.block_on(options.connect(format!("127.0.0.1:{}", self.port))).unwrap()
    }
}

/// A port that the system gives to nobody who asks for any: it stays free between two servers.
fn port() -> u16 {
    12_000 + (RandomState::new().hash_one(0) % 20_000) as u16
}

/// None where somebody else has the port.
fn spawn(dir: &Path, port: u16) -> Option<Child> {
    let program = std::env::var_os("FLEETFIT_NATS_SERVER")
        .expect("FLEETFIT_NATS_SERVER names no nats-server; tests/run installs one");
    let mut child = Command::new(program)
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
        .arg(dir.join("js"))
        .arg("--ports_file_dir")
        .arg(dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nats-server starts");
    // It writes this file once it listens.
    let ports = dir.join(format!("nats-server_{}.ports", child.id()));
    let listens = eventually("the server listens", || {
        let has_ended = child.try_wait().unwrap().is_some();
        (has_ended || ports.exists()).then_some(!has_ended)
    });
    listens.then_some(child)
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
