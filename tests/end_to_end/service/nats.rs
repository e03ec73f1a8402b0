//! A real nats-server, always at the same port, and the little of its protocol that a stranger needs.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
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
        let port = free_port();
        let child = spawn(port, &store, &log);
        let mut nats = Self { child, port, store, log };
        nats.wait();
        nats
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
        self.child = spawn(self.port, &self.store, &self.log);
        self.wait();
    }

    fn wait(&mut self) {
        eventually("nats-server listens", PATIENCE, || {
            if self.child.try_wait().expect("its state").is_some() {
                panic!("nats-server ended: {}", self.said());
            }
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
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

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

fn spawn(port: u16, store: &Path, log: &Path) -> Child {
    let program = std::env::var_os("FLEETFIT_NATS_SERVER");
    let program = program.expect("FLEETFIT_NATS_SERVER names nats-server; tests/run installs it");
    let log = File::options().create(true).append(true).open(log).expect("the log");
    Command::new(program)
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
        .arg(store)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("nats-server starts")
}
