//! The small process between fleetfit and a trial's program, and fleetfit's handle on it.
//!
//! It is fleetfit's own executable, started again as `fleetfit __supervise COMMAND`. Its standard
//! input is a socket: what it hears there ends the program's process group, and so does the socket's
//! end, which comes even when fleetfit is killed with -9. On Linux it adopts every descendant of the
//! program, so that nothing outlives a trial, not even what made itself a session of its own; on
//! macOS such a process escapes. A kill -9 of the supervisor itself is answered by fleetfit, which
//! knows the group and kills it.
//!
//! It says, a line each: `group PID`, then `exit CODE`, `signal NUMBER` or `error MESSAGE`.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, test_kill_process_group,
    wait, waitid,
};

/// The hidden subcommand's name.
pub const SUBCOMMAND: &str = "__supervise";

/// How long a program may take to end after SIGTERM, before SIGKILL.
pub const GRACE: Duration = Duration::from_secs(5);

/// The same when fleetfit is gone: nobody will read what the program still writes.
const GRACE_WITHOUT_PARENT: Duration = Duration::from_millis(500);

/// How long killed processes may take to disappear.
const PATIENCE: Duration = Duration::from_secs(2);

/// Put before the command, on its first line: nothing of it runs before fleetfit can know the group.
const STARTING_LINE: &str = "read -r _ || exit 125; exec </dev/null; ";

/// How a supervised program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// fleetfit's handle on one supervised program.
#[derive(Debug)]
pub(super) struct Supervised {
    child: Child,
    control: UnixStream,
    stdout: OwnedFd,
    stderr: OwnedFd,
    heard: Vec<u8>,
    group: Option<Pid>,
    ended: bool,
}

/// Which of the two streams a piece of output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What to start.
pub(super) struct Start<'a> {
    pub(super) supervisor: &'a Path,
    pub(super) command: &'a str,
    pub(super) folder: &'a Path,
    pub(super) environment: &'a [(String, OsString)],
}

impl Supervised {
    /// Starts the command line under a supervisor.
    pub(super) fn start(start: &Start<'_>) -> std::io::Result<Self> {
        let (control, theirs) = UnixStream::pair()?;
        let mut child = Command::new(start.supervisor)
            .arg(SUBCOMMAND)
            .arg(start.command)
            .current_dir(start.folder)
            .envs(start.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(std::io::Error::other("its output could not be captured"));
        };
        let (stdout, stderr) = (OwnedFd::from(stdout), OwnedFd::from(stderr));
        let supervised = Self {
            child,
            control,
            stdout,
            stderr,
            heard: Vec::new(),
            group: None,
            ended: false,
        };
        supervised.control.set_nonblocking(true)?;
        rustix::io::ioctl_fionbio(&supervised.stdout, true)?;
        rustix::io::ioctl_fionbio(&supervised.stderr, true)?;
        Ok(supervised)
    }

    /// Waits until there is something to read or hear, or the time is up.
    pub(super) fn wait(&self, timeout: Duration) {
        let timeout = Timespec {
            tv_sec: timeout.as_secs() as _,
            tv_nsec: timeout.subsec_nanos() as _,
        };
        let mut sources = [
            PollFd::new(&self.stdout, PollFlags::IN),
            PollFd::new(&self.stderr, PollFlags::IN),
            PollFd::new(&self.control, PollFlags::IN),
        ];
        // An interrupted wait is a short one; the caller waits again.
        let _ = poll(&mut sources, Some(&timeout));
    }

    /// Reads a piece of output that has already arrived; 0 when there is none.
    pub(super) fn read(&self, stream: Stream, buffer: &mut [u8]) -> usize {
        let source = match stream {
            Stream::Out => &self.stdout,
            Stream::Err => &self.stderr,
        };
        rustix::io::read(source, buffer).unwrap_or(0)
    }

    /// How the program ended, once the supervisor has said so or has gone.
    pub(super) fn hear(&mut self) -> Option<Exit> {
        let mut buffer = [0; 1024];
        let gone = loop {
            match self.control.read(&mut buffer) {
                Ok(0) => break true,
                Ok(n) => self.heard.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break false,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break true,
            }
        };
        while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let (word, rest) = line.trim_end().split_once(' ').unwrap_or_default();
            match word {
                "group" => self.group = rest.parse().ok().and_then(Pid::from_raw),
                "exit" => return Some(Exit::Code(rest.parse().unwrap_or(-1))),
                "signal" => return Some(Exit::Signal(rest.parse().unwrap_or(0))),
                "error" => return Some(Exit::NotStarted(rest.to_owned())),
                _ => {}
            }
        }
        gone.then(|| {
            self.kill();
            Exit::Lost
        })
    }

    /// Asks the supervisor to end the program: SIGTERM, and SIGKILL after [`GRACE`].
    pub(super) fn stop(&mut self) {
        // When the supervisor is gone already, the next `hear` tells.
        let _ = self.control.write_all(b"stop\n");
    }

    /// Kills the supervisor and the program's group without asking.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Reaps the supervisor, which has told its last.
    pub(super) fn end(&mut self) {
        self.ended = true;
        let _ = self.child.wait();
    }
}

impl Drop for Supervised {
    /// Reached without [`Supervised::end`] only when the thread that follows the trial unwinds.
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.control.shutdown(std::net::Shutdown::Both);
            let _ = self.child.wait();
        }
    }
}

/// The body of the hidden subcommand: runs the command line in its own process group, and ends the
/// group when standard input says so or ends. The arguments are those after `__supervise`. The
/// caller must exit with the code returned, at once.
pub fn supervise(arguments: impl IntoIterator<Item = OsString>) -> i32 {
    let mut arguments = arguments.into_iter();
    let (Some(command), None) = (arguments.next(), arguments.next()) else {
        return 2;
    };
    let Ok(control) = std::io::stdin().as_fd().try_clone_to_owned() else {
        return 3;
    };
    let control = UnixStream::from(control);
    let Ok(mut answers) = control.try_clone() else {
        return 3;
    };
    let last_words = match run_group(&command, control) {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit {code}\n"),
            (None, signal) => format!("signal {}\n", signal.unwrap_or(0)),
        },
        Err(error) => format!("error {}\n", error.to_string().replace('\n', " ")),
    };
    match answers.write_all(last_words.as_bytes()) {
        Ok(()) => 0,
        Err(_) => 3,
    }
}

/// What the thread that listens and the thread that waits share.
#[derive(Debug, Default)]
struct Group {
    /// When the group shall be killed, once it has been asked to end.
    kill_at: Option<Instant>,
    /// Whether the leader's number may already belong to somebody else.
    reaped: bool,
}

type Shared = Arc<Mutex<Group>>;

fn lock(group: &Shared) -> MutexGuard<'_, Group> {
    group.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the command line to its end, and everything it started to theirs.
fn run_group(command: &OsStr, control: UnixStream) -> std::io::Result<ExitStatus> {
    adopt_descendants();
    let mut line = OsString::from(STARTING_LINE);
    line.push(command);
    let mut child = Command::new("/bin/sh")
        .arg("-c")
        .arg(line)
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let leader = Pid::from_child(&child);
    // A failed write means that fleetfit is gone, which the listener is about to notice too.
    let _ = (&control).write_all(format!("group {}\n", child.id()).as_bytes());
    if let Some(mut start) = child.stdin.take() {
        let _ = start.write_all(b"\n");
    }
    let shared = Shared::default();
    let listeners = Arc::clone(&shared);
    std::thread::spawn(move || listen(control, leader, &listeners));

    // The leader stays a zombie meanwhile, so that its number, which is the group's, is not reused.
    while let Err(Errno::INTR) = waitid(
        WaitId::Pid(leader),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    ) {}
    let kill_at = {
        let mut group = lock(&shared);
        group.reaped = true;
        group.kill_at
    };
    if kill_at.is_none() {
        let _ = kill_process_group(leader, Signal::KILL);
    }
    let status = child.wait()?;
    if let Some(kill_at) = kill_at {
        // The shell died of SIGTERM at once; what it started may still be saving its work.
        while test_kill_process_group(leader).is_ok() && Instant::now() < kill_at {
            while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = kill_process_group(leader, Signal::KILL);
    }
    end_descendants();
    Ok(status)
}

/// Waits for the word to end the group, or for fleetfit's end, and ends the group.
fn listen(mut control: UnixStream, leader: Pid, shared: &Shared) {
    let mut buffer = [0; 64];
    let grace = loop {
        match control.read(&mut buffer) {
            Ok(0) => break GRACE_WITHOUT_PARENT,
            Ok(_) => break GRACE,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break GRACE_WITHOUT_PARENT,
        }
    };
    signal(leader, shared, Signal::TERM, grace);
    // A stopped process acts on SIGTERM only once it goes on.
    signal(leader, shared, Signal::CONT, grace);
    if grace == GRACE {
        // While the program takes its time, fleetfit may die too.
        let _ = control.set_read_timeout(Some(GRACE));
        if matches!(control.read(&mut buffer), Ok(0)) {
            std::thread::sleep(GRACE_WITHOUT_PARENT);
        }
    } else {
        std::thread::sleep(grace);
    }
    signal(leader, shared, Signal::KILL, Duration::ZERO);
}

fn signal(leader: Pid, shared: &Shared, signal: Signal, grace: Duration) {
    let mut group = lock(shared);
    if !group.reaped {
        group.kill_at = Some(Instant::now() + grace);
        let _ = kill_process_group(leader, signal);
    }
}

/// From here on, descendants whose parents end become children of this process.
fn adopt_descendants() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Kills and reaps whatever is left, which on Linux is every descendant of the program.
fn end_descendants() {
    let give_up = Instant::now() + PATIENCE;
    loop {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        if Instant::now() >= give_up {
            return;
        }
        kill_children();
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Kills every child of this process. Their children become ours, for the next round.
#[cfg(target_os = "linux")]
fn kill_children() {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return;
    };
    let me = std::process::id().to_string();
    for process in processes.flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // `PID (NAME) STATE PARENT …`, where the name may hold anything, brackets included.
        let stat = std::fs::read(process.path().join("stat")).unwrap_or_default();
        let stat = String::from_utf8_lossy(&stat);
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1));
        if parent == Some(me.as_str())
            && let Some(pid) = Pid::from_raw(pid)
        {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

/// Elsewhere nothing is adopted, so there is nothing to kill beyond the group.
#[cfg(not(target_os = "linux"))]
fn kill_children() {}
