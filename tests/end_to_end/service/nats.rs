//! A real nats-server, always at the same port, and the little of its protocol that a stranger needs.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::fleet::PATIENCE;
use crate::harness::{Place, eventually};

/// A nats-server that ends with the test.
pub(crate) struct Nats {
    child: Child,
    pub(crate) port: u16,
    store: PathBuf,
    log: PathBuf,
}

impl Nats {
    pub(crate) fn start(place: &Place) -> Self {
        let (store, log) = (place.path("nats-store"), place.path("nats.log"));
        loop {
            let port = port();
            if let Some(child) = spawn(port, &store, &log) {
                return Self { child, port, store, log };
            }
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Kills it; with `forget` it also loses everything that it has stored.
    pub(crate) fn kill(&mut self, forget: bool) {
        drop(self.child.kill());
        drop(self.child.wait());
        if forget {
            std::fs::remove_dir_all(&self.store).expect("the store is removed");
        }
    }

    pub(crate) fn restart(&mut self) {
        let child = spawn(self.port, &self.store, &self.log);
        self.child = child.unwrap_or_else(|| {
            let said = std::fs::read_to_string(&self.log);
            panic!("nats-server ended: {}", said.unwrap_or_default())
        });
    }

    /// Asks a question as a program of no particular kind, and tells the answer.
    pub(crate) fn request(&self, subject: &str, question: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("NATS");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let mut lines = BufReader::new(stream.try_clone().expect("a socket"));
        let question = question.to_string();
        let length = question.len();
        let told = format!(
            "CONNECT {{\"verbose\":false}}\r\nSUB answers 1\r\n\
             PUB {subject} answers {length}\r\n{question}\r\n"
        );
        stream.write_all(told.as_bytes()).expect("it is sent");
        loop {
            let mut line = String::new();
            assert_ne!(lines.read_line(&mut line).expect("an answer"), 0, "NATS hung up");
            if line.starts_with("MSG ") {
                let length = line.trim().rsplit(' ').next().expect("a length");
                let mut answer = vec![0; length.parse().expect("a number")];
                lines.read_exact(&mut answer).expect("the answer");
                return serde_json::from_slice(&answer).expect("JSON");
            }
        }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill(false);
    }
}

/// A port that the system gives to nobody who asks for any: it stays free between two servers.
fn port() -> u16 {
    12_000 + (RandomState::new().hash_one(0) % 20_000) as u16
}

/// None where it ends at once: somebody else has the port.
fn spawn(port: u16, store: &Path, log: &Path) -> Option<Child> {
    let program = std::env::var_os("FLEETFIT_NATS_SERVER");
    let program = program.expect("FLEETFIT_NATS_SERVER names nats-server; tests/run installs it");
    let ports = log.with_extension("ports");
    std::fs::create_dir_all(&ports).expect("a folder");
    let log = File::options().create(true).append(true).open(log).expect("the log");
    let mut child = Command::new(program)
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
        .arg(store)
        .arg("--ports_file_dir")
        .arg(&ports)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("nats-server starts");
    // It writes this file once it listens.
    let file = ports.join(format!("nats-server_{}.ports", child.id()));
    let mut has_ended = false;
    eventually("nats-server listens", PATIENCE, || {
        has_ended = child.try_wait().expect("its state").is_some();
        has_ended || file.exists()
    });
    (!has_ended).then_some(child)
}
