//! A private nats-server: started where there is none, found again after a kill, kept alive.
//!
//! It lives in `<home>/nats` and listens on loopback with a password of its own. It belongs to the
//! data directory, not to the process: a service that is killed leaves it running with its runners,
//! and the next one takes it over. Only a clean stop ends it.

mod process;
mod settings;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::process::Process;
use self::settings::{Files, Settings, USER};
use super::Say;
use super::probe::{self, Listener};
use crate::failure::Failure;

/// How long a server may take to answer after its start.
const START: Duration = Duration::from_secs(15);
/// How often it is looked after.
const WATCH_EVERY: Duration = Duration::from_millis(100);
/// The longest pause between two attempts to start it.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often a port is drawn before giving up.
const PORTS: usize = 8;

/// A private nats-server that is looked after.
pub(super) struct Managed {
    /// Dropped to let the server go on by itself.
    end: Option<Sender<Ending>>,
    watcher: JoinHandle<()>,
}

/// What the watcher does before it ends.
enum Ending {
    /// Stops the server.
    Stop,
}

impl Managed {
    /// Finds the server of this data directory, or starts it.
    pub(super) fn start(home: &Path, say: Say) -> Result<Self, Failure> {
        let files = Files::at(home)?;
        let binary = process::find_binary()?;
        let settings = files.settings()?;
        let process = match take_over(&files, &settings) {
            Some(process) => process,
            None => start(&files, settings, &binary)?,
        };
        let (end, ending) = mpsc::channel();
        let mut keeper = Keeper::new(files, binary, process, say);
        let watch = move || {
            loop {
                match ending.recv_timeout(WATCH_EVERY) {
                    Ok(Ending::Stop) => return keeper.stop(),
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => keeper.look_after(),
                }
            }
        };
        let watcher = std::thread::Builder::new().name("nats-server".into()).spawn(watch);
        let watcher = watcher.map_err(|error| Failure::outside(&error))?;
        Ok(Self { end: Some(end), watcher })
    }

    /// Stops the server.
    pub(super) fn stop(mut self) {
        if let Some(end) = self.end.take() {
            // A watcher that is gone has nothing to stop.
            let _ = end.send(Ending::Stop);
        }
        drop(self.watcher.join());
    }
}

/// The address of the private server of a data directory, login included; waits until there is one.
pub(super) fn url(home: &Path, say: &Say, go_on: &dyn Fn() -> bool) -> Result<String, Failure> {
    let file = Files::url_in(home);
    let mut said = false;
    while go_on() {
        match std::fs::read_to_string(&file) {
            Ok(url) => return Ok(url.trim().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let why = Failure::outside(&error);
                return Err(Failure::Unavailable(format!("{}: {why}", file.display())));
            }
        }
        if !said {
            say(&format!(
                "{} is not there yet: waiting for fleetfit serve --nats managed",
                file.display()
            ));
            said = true;
        }
        std::thread::sleep(WATCH_EVERY);
    }
    Err(Failure::Gone("stopped before the private NATS was there".into()))
}

/// The server that an earlier service left running.
fn take_over(files: &Files, settings: &Settings) -> Option<Process> {
    let mut process = Process::recorded(files)?;
    let until = Instant::now() + START;
    while process.is_alive() {
        if look(settings) == Listener::Ours {
            return Some(process);
        }
        if Instant::now() >= until {
            // It runs and does not answer: it must make room.
            process.stop();
            return None;
        }
        std::thread::sleep(WATCH_EVERY);
    }
    None
}

/// Starts the server, on another port where somebody else has the one it had.
fn start(files: &Files, mut settings: Settings, binary: &Path) -> Result<Process, Failure> {
    for _ in 0..PORTS {
        files.write(&settings)?;
        match spawn(files, &settings, binary)? {
            Some(process) => return Ok(process),
            None => settings = settings.on_another_port()?,
        }
    }
    Err(Failure::Unavailable("no port is free for the private nats-server".into()))
}

/// Starts the server and waits until it answers. None where somebody else has its port.
fn spawn(files: &Files, settings: &Settings, binary: &Path) -> Result<Option<Process>, Failure> {
    if look(settings) == Listener::Stranger {
        return Ok(None);
    }
    let log_was = files.log_length();
    let mut child = launch(files, binary)?;
    let until = Instant::now() + START;
    loop {
        if look(settings) == Listener::Ours {
            return Ok(Some(Process::child(child, files)));
        }
        let ended = child.try_wait().map_err(|error| Failure::outside(&error))?;
        let is_late = Instant::now() >= until;
        if ended.is_some() || is_late {
            // Both fail only for a process that has ended already.
            drop(child.kill());
            drop(child.wait());
            let why = files.complaint(log_was);
            if why.contains("address already in use") {
                return Ok(None);
            }
            let verb = if is_late { "does not answer" } else { "does not start" };
            return Err(Failure::Unavailable(format!(
                "the private nats-server {verb}: {why} (see {})",
                files.log().display()
            )));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A process group of its own keeps the terminal's Ctrl-C away from it.
fn launch(files: &Files, binary: &Path) -> Result<Child, Failure> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(binary);
    command.arg("-c").arg(files.configuration());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(files.log_for_start()?);
    command.process_group(0).spawn().map_err(|error| {
        let why = Failure::outside(&error);
        Failure::Unavailable(format!("{} cannot be started: {why}", binary.display()))
    })
}

fn look(settings: &Settings) -> Listener {
    probe::look(settings.port, &settings.server_name, USER, &settings.password)
}

/// What the watcher thread owns.
struct Keeper {
    files: Files,
    binary: PathBuf,
    process: Option<Process>,
    say: Say,
    /// When the next attempt to start it may be.
    next: Instant,
    pause: Duration,
}

impl Keeper {
    fn new(files: Files, binary: PathBuf, process: Process, say: Say) -> Self {
        let process = Some(process);
        Self { files, binary, process, say, next: Instant::now(), pause: WATCH_EVERY }
    }

    /// Starts the server again if it has died, on the port that its clients know.
    fn look_after(&mut self) {
        if self.process.as_mut().is_some_and(Process::is_alive) {
            self.pause = WATCH_EVERY;
            return;
        }
        if self.process.take().is_some() {
            (self.say)("the private nats-server died; starting it again");
        }
        if Instant::now() < self.next {
            return;
        }
        let started = self.files.settings().and_then(|settings| {
            self.files.write(&settings)?;
            spawn(&self.files, &settings, &self.binary)
        });
        match started {
            Ok(Some(process)) => self.process = Some(process),
            Ok(None) => (self.say)("somebody else has taken the private nats-server's port"),
            Err(failure) => (self.say)(&failure.to_string()),
        }
        self.next = Instant::now() + self.pause;
        self.pause = LONGEST_PAUSE.min(self.pause * 2);
    }

    fn stop(self) {
        if let Some(process) = self.process {
            process.stop();
        }
    }
}
