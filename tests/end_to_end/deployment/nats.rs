//! The accounts of examples/deploy/nats: a real nats-server says what each user may do.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fleetfit_search_spaces::wire::StudyId;
use fleetfit_search_spaces::wire::subjects::{Kind, SERVICES, Subjects};
use serde_json::{Value, json};

use super::PATIENCE;
use crate::harness::{Place, eventually, repository};

/// Looks like a number to whoever reads it without its quotes.
pub(super) const PASSWORD: &str = "5e1";

pub(super) struct Server {
    child: Child,
    port: u16,
    _place: Place,
}

/// A connection of one user.
struct User {
    lines: std::io::Lines<BufReader<TcpStream>>,
    stream: TcpStream,
}

impl Server {
    pub(super) fn start() -> Self {
        let program = std::env::var_os("FLEETFIT_NATS_SERVER")
            .expect("FLEETFIT_NATS_SERVER names no nats-server; tests/run installs one");
        let place = Place::new();
        let ports = place.path("ports");
        std::fs::create_dir(&ports).expect("a folder");
        let quoted = format!("\"{PASSWORD}\"");
        let child = Command::new(program)
            .arg("-c")
            .arg(repository("examples/deploy/nats/nats.conf"))
            .args(["--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir"])
            .arg(&ports)
            .arg("--store_dir")
            .arg(place.path("store"))
            .envs([("NATS_SERVICE_PASSWORD", &quoted), ("NATS_RUNNER_PASSWORD", &quoted)])
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(place.path("log")).expect("a log"))
            .spawn()
            .expect("nats-server starts");
        let file = ports.join(format!("nats-server_{}.ports", child.id()));
        let mut server = Self { child, port: 0, _place: place };
        eventually("the server says where it listens", PATIENCE, || {
            let told = std::fs::read_to_string(&file).unwrap_or_default();
            let told: Value = serde_json::from_str(&told).unwrap_or_default();
            let port =
                told["nats"][0].as_str().and_then(|url| url.rsplit(':').next()?.parse().ok());
            server.port = port.unwrap_or_default();
            server.port != 0
        });
        server
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Logs in; an error is what the server says.
    fn login(&self, user: &str, password: &str) -> Result<User, String> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit");
        let lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
        let mut user_there = User { lines, stream };
        let login = json!({"user": user, "pass": password, "verbose": false, "protocol": 1});
        user_there.ask(&format!("CONNECT {login}\r\n"))?;
        Ok(user_there)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl User {
    /// Says something; an error is what the server has against it.
    fn ask(&mut self, text: &str) -> Result<(), String> {
        self.stream.write_all(format!("{text}PING\r\n").as_bytes()).expect("it is sent");
        let mut against = None;
        loop {
            let line = match self.lines.next() {
                Some(Ok(line)) => line,
                gone => return Err(against.unwrap_or_else(|| format!("{gone:?}"))),
            };
            if line == "PONG" {
                return against.map_or(Ok(()), Err);
            }
            if let Some(error) = line.strip_prefix("-ERR ") {
                against = Some(error.to_owned());
            }
        }
    }

    fn publish(&mut self, subject: &str) -> Result<(), String> {
        self.ask(&format!("PUB {subject} 0\r\n\r\n"))
    }

    fn subscribe(&mut self, subject: &str) -> Result<(), String> {
        self.ask(&format!("SUB {subject} 1\r\nUNSUB 1\r\n"))
    }
}

#[track_caller]
fn assert_refused(answer: Result<(), String>, what: &str) {
    let error = answer.expect_err(what);
    assert!(error.contains("Permissions Violation"), "{what}: {error}");
}

#[test]
fn a_runner_may_do_its_work_and_nothing_else() {
    let server = Server::start();
    let mut runner = server.login("runner", PASSWORD).expect("the runner logs in");
    let names = Subjects::of("abcdefghijkl");
    let (work, ends) = (names.work_stream(), names.ends_stream());
    let mut told = vec!["$JS.API.INFO".to_owned(), names.join(), names.beats(), names.reports()];
    told.extend([names.ends(), names.study(), names.blob(), names.upload()]);
    told.push(format!("$JS.API.STREAM.INFO.{work}"));
    for kind in Kind::ALL.map(Kind::word) {
        told.push(format!("$JS.API.CONSUMER.MSG.NEXT.{work}.{kind}"));
        told.push(format!("$JS.API.CONSUMER.INFO.{work}.{kind}"));
        told.push(format!("$JS.ACK.{work}.{kind}.1.2.3.4.5"));
        told.push(format!("$JS.ACK.domain.account.{work}.{kind}.1.2.3.4.5.6"));
    }
    for subject in told {
        assert_eq!(runner.publish(&subject), Ok(()), "{subject}");
    }
    for subject in [SERVICES.to_owned(), names.hints(), "_INBOX.abc.>".to_owned()] {
        assert_eq!(runner.subscribe(&subject), Ok(()), "{subject}");
    }
    let mut forbidden = vec![names.hints(), names.scheduler(), SERVICES.to_owned()];
    forbidden.extend(Kind::ALL.map(|kind| names.work_of(kind, StudyId(1))));
    for api in ["CREATE", "UPDATE", "DELETE", "PURGE", "MSG.GET", "MSG.DELETE"] {
        forbidden.extend([&work, &ends].map(|stream| format!("$JS.API.STREAM.{api}.{stream}")));
    }
    for api in ["CREATE", "DELETE", "PAUSE"] {
        forbidden.push(format!("$JS.API.CONSUMER.{api}.{work}.fit"));
    }
    forbidden.push(format!("$JS.API.CONSUMER.MSG.NEXT.{ends}.service"));
    forbidden.push(format!("$JS.ACK.{ends}.service.1.2.3.4.5"));
    forbidden.push("_INBOX.somebody.else".to_owned());
    for subject in forbidden {
        assert_refused(runner.publish(&subject), &subject);
    }
    let heard = [names.join(), names.beats(), names.ends(), names.reports(), names.upload()];
    for subject in heard.iter().map(String::as_str).chain([">", "fleetfit.>", "$JS.>"]) {
        assert_refused(runner.subscribe(subject), subject);
    }
}

#[test]
fn the_service_may_do_its_work() {
    let server = Server::start();
    let mut service = server.login("service", PASSWORD).expect("the service logs in");
    let names = Subjects::of("abcdefghijkl");
    let (work, ends) = (names.work_stream(), names.ends_stream());
    let mut told = vec![SERVICES.to_owned(), names.hints(), names.scheduler()];
    told.extend(Kind::ALL.map(|kind| names.work_of(kind, StudyId(1))));
    told.extend([&work, &ends].map(|stream| format!("$JS.API.STREAM.CREATE.{stream}")));
    told.push(format!("$JS.API.CONSUMER.CREATE.{work}.fit"));
    told.push(format!("$JS.ACK.{ends}.service.1.2.3.4.5"));
    told.push("_INBOX.a.runner".to_owned());
    for subject in told {
        assert_eq!(service.publish(&subject), Ok(()), "{subject}");
    }
    let heard = [names.join(), names.beats(), names.reports(), names.study(), names.blob()];
    let more = [names.upload(), names.scheduler(), "_INBOX.abc.>".to_owned()];
    for subject in heard.into_iter().chain(more) {
        assert_eq!(service.subscribe(&subject), Ok(()), "{subject}");
    }
    assert_refused(service.publish("somebody.else"), "a subject that is not fleetfit's");
    assert_refused(service.subscribe(">"), "everything");
}

#[test]
fn nobody_else_is_let_in() {
    let server = Server::start();
    for (user, password) in [("service", "wrong"), ("nobody", PASSWORD), ("", "")] {
        let refused = server.login(user, password).err().unwrap_or_default();
        assert!(refused.contains("Authorization Violation"), "{user}: {refused}");
    }
}
