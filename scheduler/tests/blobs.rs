//! Blobs through the door that clients use.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetfit_scheduler::api::{Api, Guard, Models, Service, ServiceInfo};
use fleetfit_scheduler::blobs::Blobs;
use fleetfit_scheduler::engine::{Engine, Outlets};
use fleetfit_scheduler::journal::Journal;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service in a folder of its own.
struct Place {
    dir: tempfile::TempDir,
    address: SocketAddr,
    _engine: Engine,
    close: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Place {
    fn new(has_blobs: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(&dir.path().join("journal")).unwrap();
        let outlets = Outlets {
            dispatch: Box::new(|_, _| {}),
            hint: Box::new(|_| {}),
            settled: Box::new(|_| {}),
            ends_runners: false,
        };
        let engine = Engine::start(journal.clone(), outlets).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let service = Service {
            journal,
            engine: engine.handle(),
            studies_dir: dir.path().join("studies"),
            doors: None,
            backup: Arc::new(|out| out.write_all(b"everything")),
            models: Models {
                read: Arc::new(|_, _| Err("none is kept".into())),
                schema: Arc::new(|_| Ok(None)),
            },
            guard: Guard::new(address, None, &[]),
            info: ServiceInfo::default(),
        };
        let api = match has_blobs {
            true => Api::with_blobs(service, Blobs::open(&dir.path().join("blobs")).unwrap()),
            false => Api::new(service),
        };
        let (close, closed) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            runtime.block_on(api.serve_network(listener, async { drop(closed.await) }));
        });
        Self { dir, address, _engine: engine, close: Some(close), thread: Some(thread) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request with these headers and this body, and reads the answer to its end.
    fn ask(&self, line: &str, headers: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
        let mut stream = self.connect();
        let head = format!(
            "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\
             {headers}\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // Whoever refuses early need not read to the end.
        let _ = stream.write_all(body);
        read(stream)
    }

    fn put(&self, digest: &str, body: &[u8]) -> u16 {
        self.ask(&format!("PUT /api/v1/blobs/{digest}"), "", body).0
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        files(&self.dir.path().join("blobs"), &mut found);
        found
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.close.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

fn read(mut stream: TcpStream) -> (u16, String, Vec<u8>) {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, answer[end + 4..].to_vec())
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.is_dir() {
            true => files(&entry, found),
            false => found.push(entry),
        }
    }
}

fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

#[test]
fn a_blob_goes_in_and_out() {
    let place = Place::new(true);
    let big: Vec<u8> = (0..20_000_000_u32).map(|index| (index % 251) as u8).collect();
    for bytes in [&b""[..], b"one", &big] {
        let name = digest(bytes);
        let at = format!("/api/v1/blobs/{name}");
        assert_eq!(place.ask(&format!("HEAD {at}"), "", b"").0, 404);
        let (status, _, body) = place.ask(&format!("PUT {at}"), "", bytes);
        assert_eq!(status, 201);
        let kept: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(kept, json!({"digest": name, "bytes": bytes.len()}));
        assert_eq!(place.put(&name, bytes), 201);
        let (status, head, body) = place.ask(&format!("GET {at}"), "", b"");
        assert_eq!((status, body == bytes), (200, true));
        assert!(head.contains(&format!("content-length: {}", bytes.len())), "{head}");
        assert!(head.contains("content-type: application/octet-stream"), "{head}");
        let (status, head, body) = place.ask(&format!("HEAD {at}"), "", b"");
        assert_eq!((status, body.len()), (200, 0));
        assert!(head.contains(&format!("content-length: {}", bytes.len())), "{head}");
    }
    assert_eq!(place.files().len(), 3);
}

#[test]
fn what_is_not_what_it_says_is_refused() {
    let place = Place::new(true);
    let refusal = |line: &str, body: &[u8]| -> (u16, String) {
        let (status, _, body) = place.ask(line, "content-type: application/json\r\n", body);
        let refusal: Value = serde_json::from_slice(&body).unwrap();
        (status, format!("{}: {}", refusal["code"], refusal["message"]))
    };
    let (status, says) = refusal(&format!("PUT /api/v1/blobs/{}", digest(b"a")), b"b");
    assert_eq!(status, 422);
    assert!(says.contains("these bytes have the digest"), "{says}");
    assert_eq!(refusal("PUT /api/v1/blobs/..%2f..%2fx", b"b").0, 400);
    assert_eq!(refusal("GET /api/v1/blobs/abc", b"").0, 400);
    assert_eq!(refusal(&format!("GET /api/v1/blobs/{}", digest(b"a")), b"").0, 404);
    assert_eq!(refusal("POST /api/v1/blobs/missing", b"{").0, 400);
    assert_eq!(refusal("POST /api/v1/blobs/missing", br#"{"digests": ["x"]}"#).0, 422);
    assert_eq!(refusal("POST /api/v1/blobs/missing", br#"{"digest": []}"#).0, 422);
    assert_eq!(place.files(), Vec::<PathBuf>::new());

    let runs_one_study = Place::new(false);
    assert_eq!(runs_one_study.put(&digest(b"a"), b"a"), 409);
}

#[test]
fn only_what_is_missing_is_asked_for() {
    let place = Place::new(true);
    let (one, other) = (digest(b"one"), digest(b"other"));
    assert_eq!(place.put(&one, b"one"), 201);
    let asked = json!({"digests": [one, other]}).to_string();
    let form = "content-type: application/json\r\n";
    let (status, _, body) = place.ask("POST /api/v1/blobs/missing", form, asked.as_bytes());
    assert_eq!(status, 200);
    let missing: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(missing, json!({"missing": [other]}));
}

#[test]
fn a_sender_that_hangs_up_leaves_nothing() {
    let place = Place::new(true);
    let name = digest(b"whole");
    let mut stream = place.connect();
    let head = format!(
        "PUT /api/v1/blobs/{name} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n"
    );
    stream.write_all(format!("{head}who").as_bytes()).unwrap();
    let begun = Instant::now();
    // The file that is arriving, then nothing.
    while place.files().is_empty() && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(place.files().len(), 1);
    stream.shutdown(Shutdown::Both).unwrap();
    drop(stream);
    while !place.files().is_empty() && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(place.files(), Vec::<PathBuf>::new());
    assert_eq!(place.ask(&format!("HEAD /api/v1/blobs/{name}"), "", b"").0, 404);
}
