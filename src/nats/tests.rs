//! The connection and the private server, against a real nats-server.

use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nkeys::KeyPair;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

use super::{Nats, NatsArgs, Say, Side};
use crate::failure::Failure;

const PATIENCE: Duration = Duration::from_secs(60);

/// A nats-server with a configuration of the test's.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// At a port of the test's, or at any.
    fn start(dir: &TempDir, port: Option<u16>, configuration: &str) -> Self {
        let program = std::env::var_os("FLEETFIT_NATS_SERVER")
            .expect("FLEETFIT_NATS_SERVER names no nats-server; tests/run installs one");
        let asked = port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
        let file = dir.path().join(format!("{asked}.conf"));
        std::fs::write(&file, format!("listen: \"127.0.0.1:{asked}\"\n{configuration}\n")).unwrap();
        let log = dir.path().join(format!("{asked}.log"));
        let mut child = Command::new(program)
            .arg("-c")
            .arg(&file)
            .arg("--ports_file_dir")
            .arg(dir.path())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .expect("nats-server starts");
        // It writes this file once it listens.
        let ports = dir.path().join(format!("nats-server_{}.ports", child.id()));
        let mut port = None;
        eventually("the server listens", || {
            let said = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(child.try_wait().unwrap().is_none(), "it ended: {}", said());
            let told = std::fs::read(&ports).unwrap_or_default();
            let told: serde_json::Value = serde_json::from_slice(&told).unwrap_or_default();
            let url = told["nats"][0].as_str();
            port = url.and_then(|url| url.rsplit(':').next()?.parse().ok());
            port.is_some()
        });
        Self { child, port: port.unwrap() }
    }

    fn with_jetstream(dir: &TempDir, configuration: &str) -> Self {
        Self::with_jetstream_at(dir, None, configuration)
    }

    fn with_jetstream_at(dir: &TempDir, port: Option<u16>, configuration: &str) -> Self {
        let store = dir.path().join("js");
        let jetstream = format!("jetstream {{ store_dir: {:?} }}\n", store.to_str().unwrap());
        Self::start(dir, port, &(jetstream + configuration))
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that nobody listens on, and that the system gives to nobody who asks for any.
fn free_port() -> u16 {
    loop {
        let port = 12_000 + (RandomState::new().hash_one(0) % 20_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn file(dir: &TempDir, name: &str, text: &str) -> Option<PathBuf> {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    Some(path)
}

/// What is said, kept.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn say(&self) -> Say {
        let heard = Arc::clone(&self.0);
        Arc::new(move |text| heard.lock().unwrap().push(text.to_owned()))
    }

    fn has(&self, part: &str) -> bool {
        self.0.lock().unwrap().iter().any(|text| text.contains(part))
    }
}

fn open(args: &NatsArgs) -> Result<Nats, Failure> {
    let until = Instant::now() + PATIENCE;
    let say = Heard::default().say();
    let nats = Nats::open(args, Side::Runner, Path::new("."), &say, &|| Instant::now() < until)?;
    Ok(nats.expect("--nats is given"))
}

fn at(url: String) -> NatsArgs {
    NatsArgs { nats: Some(url), ..NatsArgs::default() }
}

fn refused(args: &NatsArgs, part: &str) {
    let Err(failure) = open(args) else { panic!("connected, and should not: {part}") };
    assert_eq!(failure.exit_code(), crate::exit::UNAVAILABLE);
    assert!(failure.to_string().contains(part), "{failure}");
}

fn takes(args: &NatsArgs) {
    let nats = open(args).unwrap_or_else(|failure| panic!("{failure}"));
    nats.handle().block_on(nats.client.flush()).unwrap();
    nats.close();
}

#[test]
fn users_log_in_with_passwords() {
    let dir = dir();
    let server =
        Server::with_jetstream(&dir, "authorization { user: me, password: \"pass word\" }");
    let args = NatsArgs {
        nats_user: Some("me".into()),
        nats_password_file: file(&dir, "right", "pass word\n"),
        ..at(server.url())
    };
    takes(&args);
    takes(&at(format!("nats://me:pass%20word@127.0.0.1:{}", server.port)));
    let wrong = NatsArgs { nats_password_file: file(&dir, "wrong", "other"), ..args };
    refused(&wrong, "refused a user and a password");
    refused(&at(server.url()), "wants to know who we are");
}

#[test]
fn tokens_are_taken() {
    let dir = dir();
    let server = Server::with_jetstream(&dir, "authorization { token: \"s3cr3t\" }");
    let with =
        |name, token| NatsArgs { nats_token_file: file(&dir, name, token), ..at(server.url()) };
    takes(&with("right", "s3cr3t"));
    takes(&at(format!("nats://s3cr3t@127.0.0.1:{}", server.port)));
    refused(&with("wrong", "guess"), "refused a token");
}

#[test]
fn nkeys_are_taken() {
    let dir = dir();
    let (me, stranger) = (KeyPair::new_user(), KeyPair::new_user());
    let server = Server::with_jetstream(
        &dir,
        &format!("authorization {{ users: [ {{ nkey: {} }} ] }}", me.public_key()),
    );
    let with = |name, key: &KeyPair| NatsArgs {
        nats_nkey: file(&dir, name, &format!("{}\n", key.seed().unwrap())),
        ..at(server.url())
    };
    takes(&with("right", &me));
    refused(&with("wrong", &stranger), "refused an nkey");
}

/// A JWT as an operator's tools would write it.
fn jwt(issuer: &KeyPair, subject: &KeyPair, claims: serde_json::Value) -> String {
    let body = serde_json::json!({
        "jti": "a-test", "iat": 1, "iss": issuer.public_key(), "sub": subject.public_key(),
        "name": "test", "nats": claims,
    });
    let signed = [r#"{"typ":"JWT","alg":"ed25519-nkey"}"#, &body.to_string()]
        .map(|part| base64(part.as_bytes()))
        .join(".");
    let signature = base64(&issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(LETTERS[(bits >> (18 - 6 * place)) as usize & 63]));
        }
    }
    text
}

#[test]
fn credentials_files_are_taken() {
    let dir = dir();
    let operator = KeyPair::new_operator();
    let (account, system) = (KeyPair::new_account(), KeyPair::new_account());
    let limits = serde_json::json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1,
        "consumer": -1,
    });
    let claims = |limits| serde_json::json!({"limits": limits, "type": "account", "version": 2});
    let mut plain = limits.clone();
    for key in ["mem_storage", "disk_storage", "streams", "consumer"] {
        plain.as_object_mut().unwrap().remove(key);
    }
    let server = Server::with_jetstream(
        &dir,
        &format!(
            "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{\n{}: {}\n{}: {}\n}}",
            jwt(&operator, &operator, serde_json::json!({"type": "operator", "version": 2})),
            system.public_key(),
            account.public_key(),
            jwt(&operator, &account, claims(limits)),
            system.public_key(),
            jwt(&operator, &system, claims(plain)),
        ),
    );
    let credentials = |issuer: &KeyPair| {
        let user = KeyPair::new_user();
        let claims = serde_json::json!({
            "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1, "type": "user",
            "version": 2,
        });
        format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            jwt(issuer, &user, claims),
            user.seed().unwrap(),
        )
    };
    let with = |name, text: &str| NatsArgs {
        nats_credentials: file(&dir, name, text),
        ..at(server.url())
    };
    takes(&with("right", &credentials(&account)));
    refused(&with("wrong", &credentials(&KeyPair::new_account())), "refused a credentials file");
    refused(&with("nonsense", "nonsense"), "is not a credentials file");
}

/// An authority and what it signed: a server's certificate and a user's.
fn certificates(dir: &TempDir) {
    let script = "set -e
        make() { openssl req -newkey rsa:2048 -nodes -keyout $1.key -out $1.csr -subj /CN=$1
            openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -out $1.pem -days 2 \\
                -CAcreateserial -extfile names; }
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 \\
            -subj /CN=authority
        echo 'subjectAltName=IP:127.0.0.1' > names
        make server
        make user";
    let mut openssl = Command::new("sh");
    let output = openssl.args(["-c", script]).current_dir(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the test needs openssl: {said}");
}

#[test]
fn tls_is_checked_on_both_sides() {
    let dir = dir();
    certificates(&dir);
    let path = |name: &str| dir.path().join(name);
    let tls = |more: &str| {
        format!(
            "tls {{ cert_file: {:?}, key_file: {:?} {more} }}",
            path("server.pem"),
            path("server.key")
        )
    };
    let server = Server::with_jetstream(&dir, &tls(""));
    let trusting = |server: &Server| NatsArgs {
        nats_ca: Some(path("ca.pem")),
        ..at(format!("tls://127.0.0.1:{}", server.port))
    };
    takes(&trusting(&server));
    refused(&NatsArgs { nats_ca: None, ..trusting(&server) }, "signed by nobody that we trust");
    refused(
        &NatsArgs { nats: Some(format!("tls://localhost:{}", server.port)), ..trusting(&server) },
        "for another host name",
    );

    drop(server);
    let server = Server::with_jetstream(
        &dir,
        &tls(&format!(", ca_file: {:?}, verify: true", path("ca.pem"))),
    );
    let known = NatsArgs {
        nats_cert: Some(path("user.pem")),
        nats_key: Some(path("user.key")),
        ..trusting(&server)
    };
    takes(&known);
    refused(&trusting(&server), "refused our certificate");

    drop(server);
    let plain = Server::with_jetstream(&dir, "");
    refused(&trusting(&plain), "does not speak TLS");
}

#[test]
fn a_server_without_jetstream_is_refused() {
    let dir = dir();
    let server = Server::start(&dir, None, "");
    refused(&at(server.url()), "has no JetStream");
}

#[test]
fn an_old_server_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let info = r#"{"server_id":"x","version":"2.9.10","max_payload":1048576,"jetstream":true}"#;
        write!(stream, "INFO {info}\r\n").unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        for line in lines.map_while(Result::ok) {
            if line == "PING" {
                stream.write_all(b"PONG\r\n").unwrap();
            }
        }
    });
    let told =
        format!("nats-server 2.9.10 at nats://127.0.0.1:{port} is too old: fleetfit needs 2.11");
    refused(&at(format!("nats://127.0.0.1:{port}")), &told);
    server.join().unwrap();
}

#[test]
fn a_server_that_comes_later_is_waited_for() {
    let dir = dir();
    let (port, heard) = (free_port(), Heard::default());
    let (say, until) = (heard.say(), Instant::now() + PATIENCE);
    let args = at(format!("nats://127.0.0.1:{port}"));
    let waiting = std::thread::spawn(move || {
        Nats::open(&args, Side::Runner, Path::new("."), &say, &|| Instant::now() < until)
    });
    eventually("it is said that nobody is there", || heard.has("nobody listens at"));
    let _server = Server::with_jetstream_at(&dir, Some(port), "");
    let nats = waiting.join().unwrap().unwrap().unwrap();
    assert!(heard.has("connected to NATS at"));
    nats.close();
}

#[test]
fn waiting_ends_when_it_is_told_to() {
    let args = at(format!("nats://127.0.0.1:{}", free_port()));
    let heard = Heard::default();
    let go_on = || !heard.has("nobody listens at");
    let stopped = Nats::open(&args, Side::Runner, Path::new("."), &heard.say(), &go_on);
    assert!(matches!(stopped, Err(Failure::Gone(_))));
}

#[test]
fn a_server_that_dies_is_found_again() {
    let dir = dir();
    let (port, heard) = (free_port(), Heard::default());
    let server = Server::with_jetstream_at(&dir, Some(port), "");
    let until = Instant::now() + PATIENCE;
    let args = at(server.url());
    let go_on = || Instant::now() < until;
    let nats = Nats::open(&args, Side::Runner, Path::new("."), &heard.say(), &go_on);
    let nats = nats.unwrap().unwrap();
    drop(server);
    eventually("the loss is told", || heard.has("is lost; trying again"));
    let _server = Server::with_jetstream_at(&dir, Some(port), "");
    eventually("the return is told", || heard.has("again"));
    eventually("it works again", || nats.handle().block_on(nats.client.flush()).is_ok());
    eventually("the return is told", || heard.has("connected to NATS at"));
    nats.close();
}

/// A data directory whose private server ends with the test, however that ends.
struct Home(PathBuf);

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(pid) = managed_pid_now(&self.0)
            && let Ok(line) =
                std::fs::read_to_string(format!("/proc/{}/cmdline", pid.as_raw_nonzero()))
            && line.contains("nats-server")
        {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

impl std::ops::Deref for Home {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

fn managed_pid(home: &Path) -> Pid {
    let text = std::fs::read_to_string(home.join("nats/pid")).unwrap();
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

#[test]
fn a_private_server_outlives_its_service_and_is_kept_alive() {
    let dir = dir();
    let home = Home(dir.path().join("a \"home\""));
    let (heard, until) = (Heard::default(), Instant::now() + PATIENCE);
    let go_on = || Instant::now() < until;
    let args = at("managed".into());
    let open = |side| Nats::open(&args, side, &home, &heard.say(), &go_on).unwrap().unwrap();

    let service = open(Side::Service);
    assert!(service.is_loopback);
    for name in ["url", "nats.conf", "server.json"] {
        let mode = home.join("nats").join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(service.client.server_info().max_payload, 8 << 20);

    // A service that is killed does nothing any more, and the server stays.
    let first = managed_pid(&home);
    let url = std::fs::read_to_string(home.join("nats/url")).unwrap();
    drop(service);
    let service = open(Side::Service);
    assert_eq!(managed_pid(&home), first, "the server was taken over");

    // A server that is killed comes back where it was.
    let runner = open(Side::Runner);
    kill_process(first, Signal::KILL).unwrap();
    eventually("another server", || {
        managed_pid_now(&home).is_some_and(|pid| pid != first)
            && runner.handle().block_on(runner.client.flush()).is_ok()
    });
    assert!(heard.has("the private nats-server died"));
    assert_eq!(std::fs::read_to_string(home.join("nats/url")).unwrap(), url);

    // A clean stop ends it.
    let second = managed_pid(&home);
    runner.close();
    service.close();
    assert!(test_kill_process(second).is_err(), "the server has ended");

    // And it starts again where it was.
    let service = open(Side::Service);
    assert_eq!(std::fs::read_to_string(home.join("nats/url")).unwrap(), url);
    service.close();
}

fn managed_pid_now(home: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(home.join("nats/pid")).ok()?;
    Pid::from_raw(text.trim().parse().ok()?)
}

#[test]
fn a_private_server_leaves_a_port_to_whoever_took_it() {
    let dir = dir();
    let home = Home(dir.path().join("home"));
    let (heard, until) = (Heard::default(), Instant::now() + PATIENCE);
    let go_on = || Instant::now() < until;
    let args = at("managed".into());
    let open = || Nats::open(&args, Side::Service, &home, &heard.say(), &go_on).unwrap().unwrap();
    let service = open();
    let port = service.client.server_info().port;
    service.close();
    let stranger = Server::start(&dir, Some(port), "");
    let service = open();
    assert_ne!(service.client.server_info().port, port);
    service.close();
    drop(stranger);
}
