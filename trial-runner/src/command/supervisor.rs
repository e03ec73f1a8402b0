//! The small process between fleetfit and a trial's program: fleetfit's end of it.
//!
//! It is fleetfit's own executable, started again as `fleetfit __supervise`, and serves one trial
//! after another. Its standard input is a socket: orders come in, answers go out, a line of JSON
//! each. A program is made ready first, and begins when it is told to. The socket's end, which comes even when fleetfit is killed with -9, ends the program's
//! process group. A kill -9 of the supervisor itself is answered here: the group was named before
//! anything of the program ran, and is killed; what has left the group is found by a mark in its
//! environment. The other end is in `process`.

mod mark;
mod process;

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use mark::Mark;
pub use process::supervise;

/// The hidden subcommand's name.
pub const SUBCOMMAND: &str = "__supervise";

/// How long a program may take to end after SIGTERM, before SIGKILL.
pub const GRACE: Duration = Duration::from_secs(5);

/// What a supervisor is told.
#[derive(Debug, Serialize, Deserialize)]
enum Order {
    /// Make the program ready: all that costs time, short of running anything of it.
    Prepare(Program),
    /// Let the program begin.
    Begin,
    /// End the program: SIGTERM, and SIGKILL after [`GRACE`]. The last order of a supervisor.
    Stop,
}

/// What a supervisor says.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// The program's process group; said before anything of the program runs.
    Group(i32),
    /// The program and everything it started have ended.
    Ended(Exit),
}

/// What to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Program {
    /// The command line, for `sh -c`.
    pub(super) command: String,
    /// The working directory.
    pub(super) folder: String,
    /// What its environment has beyond fleetfit's; of two with one name, the later counts.
    pub(super) environment: Vec<(String, String)>,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It never ran.
    NotStarted(String),
    /// The supervisor was killed; the program's group has been killed after it.
    Lost,
}

/// The supervisors of this process. Starting one costs as much as a short program, so those that
/// have nothing to do wait for the next trial; dropping this ends them.
#[derive(Debug)]
pub struct Supervisors {
    executable: PathBuf,
    idle: Mutex<Vec<Supervisor>>,
}

impl Supervisors {
    /// None yet. The executable is given by its absolute path, and calls [`supervise`] when its first
    /// argument is [`SUBCOMMAND`]: our own does.
    pub fn new(executable: &Path) -> Self {
        Self { executable: executable.to_owned(), idle: Mutex::default() }
    }

    /// Makes the program ready under an idle supervisor, or a new one.
    pub(super) fn prepare(&self, program: &Program) -> std::io::Result<Supervisor> {
        let mark = Mark::new();
        let mut program = program.clone();
        program.environment.push(mark.variable());
        let order = Order::Prepare(program);
        while let Some(mut supervisor) = self.take_idle() {
            if supervisor.order(&order).is_ok() {
                supervisor.mark = mark;
                return Ok(supervisor);
            }
        }
        let mut supervisor = Supervisor::start(&self.executable, mark)?;
        supervisor.order(&order)?;
        Ok(supervisor)
    }

    /// Takes back a supervisor whose program has ended.
    pub(super) fn give_back(&self, mut supervisor: Supervisor) {
        // Elsewhere a process that left its group may still hold the pipes.
        if cfg!(target_os = "linux") && supervisor.is_fit {
            supervisor.group = None;
            self.lock().push(supervisor);
        }
    }

    fn take_idle(&self) -> Option<Supervisor> {
        loop {
            let mut supervisor = self.lock().pop()?;
            if matches!(supervisor.child.try_wait(), Ok(None)) {
                return Some(supervisor);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Supervisor>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// fleetfit's handle on one supervisor and its program.
#[derive(Debug)]
pub(super) struct Supervisor {
    child: Child,
    control: UnixStream,
    stdout: OwnedFd,
    stderr: OwnedFd,
    heard: Vec<u8>,
    group: Option<Pid>,
    mark: Mark,
    is_fit: bool,
}

/// Which of the two streams a piece of output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Supervisor {
    fn start(executable: &Path, mark: Mark) -> std::io::Result<Self> {
        let (control, theirs) = UnixStream::pair()?;
        let mut child = Command::new(executable)
            .arg(SUBCOMMAND)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(std::io::Error::other("its output could not be captured"));
        };
        let supervisor = Self {
            child,
            control,
            stdout: stdout.into(),
            stderr: stderr.into(),
            heard: Vec::new(),
            group: None,
            mark,
            is_fit: true,
        };
        rustix::io::ioctl_fionbio(&supervisor.stdout, true)?;
        rustix::io::ioctl_fionbio(&supervisor.stderr, true)?;
        Ok(supervisor)
    }

    /// Lets the program begin. Where its supervisor is gone, [`Supervisor::wait`] says so.
    pub(super) fn begin(&mut self) {
        let _ = self.order(&Order::Begin);
    }

    /// Waits for output or an answer, and returns how the program ended once the supervisor has said
    /// so, or has gone. What is there to read then is all there will be.
    pub(super) fn wait(&mut self, timeout: Duration) -> Option<Exit> {
        let timeout =
            Timespec { tv_sec: timeout.as_secs() as _, tv_nsec: timeout.subsec_nanos() as _ };
        let mut sources = [
            PollFd::new(&self.control, PollFlags::IN),
            PollFd::new(&self.stdout, PollFlags::IN),
            PollFd::new(&self.stderr, PollFlags::IN),
        ];
        // An interrupted wait is a short one; the caller waits again.
        let ready = poll(&mut sources, Some(&timeout)).unwrap_or(0);
        if ready > 0 && !sources[0].revents().is_empty() {
            return self.hear();
        }
        None
    }

    /// Reads a piece of output that has already arrived; 0 when there is none.
    pub(super) fn read(&self, stream: Stream, buffer: &mut [u8]) -> usize {
        let source = match stream {
            Stream::Out => &self.stdout,
            Stream::Err => &self.stderr,
        };
        rustix::io::retry_on_intr(|| rustix::io::read(source, &mut *buffer)).unwrap_or(0)
    }

    /// Asks for the program's end. Whether it comes shows in [`Supervisor::wait`].
    pub(super) fn stop(&mut self) {
        self.is_fit = false;
        let _ = self.order(&Order::Stop);
    }

    /// Kills the supervisor and everything of the program without asking.
    pub(super) fn kill(&mut self) -> Exit {
        self.is_fit = false;
        let _ = self.child.kill();
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        self.mark.kill_bearers();
        Exit::Lost
    }

    fn order(&mut self, order: &Order) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.control.write_all(&line)
    }

    /// Reads what the supervisor has said; only called when it has.
    fn hear(&mut self) -> Option<Exit> {
        let mut buffer = [0; 4096];
        match self.control.read(&mut buffer) {
            Ok(0) => return Some(self.kill()),
            Ok(n) => self.heard.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Some(self.kill()),
        }
        while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(Answer::Group(group)) => self.group = Pid::from_raw(group),
                Ok(Answer::Ended(exit)) => return Some(exit),
                Err(_) => return Some(self.kill()),
            }
        }
        None
    }
}

impl Drop for Supervisor {
    /// Ends the supervisor, and its program if a thread unwinds in the middle of a trial.
    fn drop(&mut self) {
        let _ = self.control.shutdown(std::net::Shutdown::Both);
        let _ = self.child.wait();
    }
}
