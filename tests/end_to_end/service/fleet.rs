//! A service of the test's own, in one process or over NATS. Nothing of it outlives the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::nats::Nats;
use crate::harness::{Place, eventually, signal};

/// How long anything may take on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How long what a process said may be on its way after its end.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Where the trials run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deployment {
    /// In the service.
    InProcess,
    /// On two runners over a real nats-server.
    Nats,
}

/// A process of the test, and what it says.
pub(crate) struct Process {
    pub(crate) child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        let spawned = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.expect("it starts");
        let lines = BufReader::new(child.stderr.take().expect("its errors")).lines();
        let said = Arc::<Mutex<Vec<String>>>::default();
        let hears = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                hears.lock().expect("no panic").push(line);
            }
        });
        Self { child, said }
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().expect("no panic").join("\n")
    }

    /// Waits until it says something, and tells what stands behind it on the line.
    pub(crate) fn hear(&mut self, mark: &str) -> String {
        let (mut found, mut ended) = (None, None);
        eventually(&format!("it says {mark:?}"), PATIENCE, || {
            if ended.is_none() && self.child.try_wait().expect("its state").is_some() {
                ended = Some(Instant::now());
            }
            let said = self.said();
            found = said.lines().find_map(|line| Some(line.split_once(mark)?.1.trim().to_owned()));
            // Its last words may still be on their way.
            let is_silent = ended.is_some_and(|at| at.elapsed() > LAST_WORDS);
            assert!(found.is_some() || !is_silent, "it ended: {said}");
            found.is_some()
        });
        found.unwrap_or_default()
    }

    pub(crate) fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Tells it to end, and waits for its exit code.
    pub(crate) fn end(&mut self) -> i32 {
        signal(&self.child, Signal::TERM);
        let mut code = None;
        let what = "it ends when it is told to";
        eventually(what, PATIENCE, || {
            code = self.child.try_wait().expect("its state");
            code.is_some()
        });
        code.and_then(|status| status.code()).unwrap_or(-1)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            drop(writeln!(std::io::stderr(), "{}", self.said()));
        }
    }
}

/// A service, with its runners and its NATS.
pub(crate) struct Fleet {
    // In the order in which they end.
    pub(crate) runners: Vec<Process>,
    pub(crate) service: Option<Process>,
    pub(crate) nats: Option<Nats>,
    pub(crate) place: Place,
    pub(crate) url: String,
    /// What `fleetfit serve` is told more.
    more: Vec<String>,
    n_runners: usize,
}

impl Fleet {
    pub(crate) fn start(deployment: Deployment) -> Self {
        let mut fleet = Self::without_runners(deployment, &[]);
        if deployment == Deployment::Nats {
            fleet.runner(&[]);
            fleet.runner(&[]);
        }
        fleet
    }

    pub(crate) fn without_runners(deployment: Deployment, more: &[&str]) -> Self {
        let place = Place::new();
        let nats = match deployment {
            Deployment::InProcess => None,
            Deployment::Nats => Some(Nats::start(&place)),
        };
        let more = more.iter().map(|&argument| argument.to_owned()).collect();
        let (runners, url) = (Vec::new(), String::new());
        let mut fleet = Self { runners, service: None, nats, place, url, more, n_runners: 0 };
        fleet.serve();
        fleet
    }

    /// Starts the service, which answers when this returns.
    pub(crate) fn serve(&mut self) {
        let url = self.nats.as_ref().map(Nats::url);
        let mut arguments = vec!["serve", "--listen", "127.0.0.1:0"];
        arguments.extend(url.as_ref().map_or(["--slots", "2"], |url| ["--nats", url]));
        arguments.extend(self.more.iter().map(String::as_str));
        let mut service = Process::start(self.place.command(&arguments));
        self.url = service.hear("listens on ");
        self.service = Some(service);
    }

    /// Starts a runner with one slot; tells which one it is.
    pub(crate) fn runner(&mut self, more: &[&str]) -> usize {
        let url = self.nats.as_ref().expect("runners meet at NATS").url();
        self.runner_at(&url, more)
    }

    pub(crate) fn runner_at(&mut self, url: &str, more: &[&str]) -> usize {
        let command = self.runner_command(url, more);
        self.runners.push(Process::start(command));
        self.runners.len() - 1
    }

    /// A runner with one slot that has not begun.
    pub(crate) fn runner_command(&mut self, url: &str, more: &[&str]) -> Command {
        self.n_runners += 1;
        let cache = self.place.path(&format!("cache-{}", self.n_runners)).display().to_string();
        let name = format!("runner-{}", self.n_runners);
        let own = ["runner", "--nats", url, "--slots", "1", "--data-dir", &cache, "--name", &name];
        self.place.command(&[&own[..], more].concat())
    }

    pub(crate) fn service(&mut self) -> &mut Process {
        self.service.as_mut().expect("a service")
    }

    /// Asks the service over TCP, and must be answered with success.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.place.json(&[arguments, &["--server", &self.url]].concat())
    }

    pub(crate) fn lines(&self, arguments: &[&str]) -> Vec<Value> {
        self.place.lines(&[arguments, &["--server", &self.url]].concat())
    }

    /// Sends a job and waits until its study is over.
    pub(crate) fn submit(&self, file: &str, job: &str) -> Value {
        self.place.write(file, job);
        self.json(&["submit", file, "--wait"])
    }

    /// How a study stands.
    pub(crate) fn status(&self, study: &str) -> Value {
        let (code, view) = self.ask("GET", &format!("/api/v1/studies/{study}"), None);
        assert_eq!(code, 200, "{view}");
        view
    }

    pub(crate) fn completed(&self, study: &str) -> u64 {
        self.status(study)["trials"]["completed"].as_u64().expect("a number")
    }

    pub(crate) fn wait_for(&self, study: &str, completed: u64) {
        eventually(&format!("{study} has {completed} trials"), PATIENCE, || {
            self.completed(study) >= completed
        });
    }

    pub(crate) fn wait_until_over(&self, study: &str, at_most: Duration) -> Value {
        eventually(&format!("{study} is over"), at_most, || {
            let status = self.status(study)["status"].clone();
            ["completed", "stopped", "failed"].iter().any(|&over| status == over)
        });
        self.status(study)
    }

    /// Asks the API itself.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        ask(&self.url, method, path, body).expect("the service answers")
    }
}

/// One request. The older protocol has its answers come in one piece. What is no JSON is a text.
pub(crate) fn ask(
    url: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> std::io::Result<(u16, Value)> {
    let address = url.strip_prefix("http://").unwrap_or(url);
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let cut = || std::io::Error::other("the answer was cut off");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(cut)?;
    Ok((code, serde_json::from_str(body).unwrap_or_else(|_| body.into())))
}
