//! The supervisor's own end: what the hidden subcommand does.
//!
//! One thread listens for orders, the other runs programs. Each program has a process group, which
//! is ended when an order says so or when fleetfit is gone. On Linux the supervisor adopts every
//! descendant of a program, so that nothing outlives a trial, not even what made itself a session of
//! its own; on macOS such a process escapes.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, test_kill_process_group,
    wait, waitid,
};

use super::{Answer, Exit, GRACE, Order, Program};

/// [`GRACE`] when fleetfit is gone: nobody will read what the program still writes.
const GRACE_WITHOUT_PARENT: Duration = Duration::from_millis(500);

/// How long killed processes may take to disappear.
const PATIENCE: Duration = Duration::from_secs(2);

/// Put before the command, on its first line: nothing of it runs before fleetfit says so, and before
/// fleetfit can know the group.
const STARTING_LINE: &str = "read -r _ || exit 125; exec </dev/null; ";

/// The body of the hidden subcommand: runs programs, one after another, as the socket on standard
/// input orders. The caller exits with the code returned, at once. There are no arguments yet.
pub fn supervise(arguments: impl IntoIterator<Item = OsString>) -> i32 {
    if arguments.into_iter().next().is_some() {
        return 2;
    }
    let Ok(control) = std::io::stdin().as_fd().try_clone_to_owned() else {
        return 3;
    };
    let control = UnixStream::from(control);
    let Ok(answers) = control.try_clone() else {
        return 3;
    };
    adopt_descendants();
    let group = Shared::default();
    let (sender, programs) = channel();
    let listeners = Arc::clone(&group);
    std::thread::spawn(move || listen(BufReader::new(control), &sender, &listeners));
    while let Ok(program) = programs.recv() {
        let exit = match run(&program, &answers, &group) {
            Ok(status) => match status.code() {
                Some(code) => Exit::Code(code),
                None => Exit::Signal(status.signal().unwrap_or(0)),
            },
            Err(error) => Exit::NotStarted(error.to_string()),
        };
        let is_clean = end_descendants();
        if say(&answers, &Answer::Ended(exit)).is_err() {
            return 3;
        }
        if !is_clean || lock(&group).kill_at.is_some() {
            return 0;
        }
    }
    0
}

fn say(mut answers: &UnixStream, answer: &Answer) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    answers.write_all(&line)
}

/// What the thread that listens and the thread that runs programs share.
#[derive(Debug, Default)]
struct Group {
    /// The running program's shell, not yet reaped: its number is the group's, and nobody else's.
    leader: Option<Pid>,
    /// Whether the running program has been told to begin.
    has_begun: bool,
    /// Where it is told, once it is there.
    start: Option<ChildStdin>,
    /// When the group shall be killed, once it has been asked to end.
    kill_at: Option<Instant>,
}

type Shared = Arc<Mutex<Group>>;

impl Group {
    /// Lets the program go over its starting line, if it is at it and may.
    fn start(&mut self) {
        if self.has_begun
            && self.kill_at.is_none()
            && let Some(mut start) = self.start.take()
        {
            // A shell that is gone has ended, which shows elsewhere.
            let _ = start.write_all(b"\n");
        }
    }
}

fn lock(group: &Shared) -> MutexGuard<'_, Group> {
    group.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands on programs until it is told to stop or fleetfit is gone, and then ends what is running.
fn listen(mut orders: BufReader<UnixStream>, programs: &Sender<Program>, group: &Shared) {
    let grace = loop {
        match hear(&mut orders) {
            Some(Order::Prepare(program)) => {
                lock(group).has_begun = false;
                if programs.send(program).is_err() {
                    return;
                }
            }
            Some(Order::Begin) => {
                let mut group = lock(group);
                group.has_begun = true;
                group.start();
            }
            Some(Order::Stop) => break GRACE,
            None => break GRACE_WITHOUT_PARENT,
        }
    };
    {
        let mut group = lock(group);
        group.kill_at = Some(Instant::now() + grace);
        // What has not begun never will.
        group.start = None;
        if group.leader.is_none() {
            return;
        }
    }
    signal(group, Signal::TERM);
    // A stopped process acts on SIGTERM only once it goes on.
    signal(group, Signal::CONT);
    if grace == GRACE {
        // While the program takes its time, fleetfit may go too.
        let _ = orders.get_ref().set_read_timeout(Some(GRACE));
        let asked = Instant::now();
        if hear(&mut orders).is_none() && asked.elapsed() < GRACE {
            std::thread::sleep(GRACE_WITHOUT_PARENT);
        }
    } else {
        std::thread::sleep(grace);
    }
    signal(group, Signal::KILL);
}

/// The next order; none when fleetfit is gone, or says nothing in time.
fn hear(orders: &mut BufReader<UnixStream>) -> Option<Order> {
    let mut line = String::new();
    match orders.read_line(&mut line) {
        Ok(n) if n > 0 => serde_json::from_str(&line).ok(),
        _ => None,
    }
}

fn signal(group: &Shared, signal: Signal) {
    if let Some(leader) = lock(group).leader {
        let _ = kill_process_group(leader, signal);
    }
}

/// Makes the program ready and, once it may begin, runs it to its end, and its process group to its.
fn run(program: &Program, answers: &UnixStream, group: &Shared) -> std::io::Result<ExitStatus> {
    let mut child = Command::new("/bin/sh")
        .arg("-c")
        .arg(format!("{STARTING_LINE}{}", program.command))
        .current_dir(&program.folder)
        .envs(program.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let leader = Pid::from_child(&child);
    lock(group).leader = Some(leader);
    // A failed write means that fleetfit is gone, which the listener is about to notice too.
    let _ = say(answers, &Answer::Group(leader.as_raw_pid()));
    {
        let mut group = lock(group);
        group.start = child.stdin.take().filter(|_| group.kill_at.is_none());
        group.start();
    }
    // The shell stays a zombie until the group is seen to, so that its number is not reused.
    let only_look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(Errno::INTR) = waitid(WaitId::Pid(leader), only_look) {}
    let kill_at = {
        let mut group = lock(group);
        group.leader = None;
        group.start = None;
        group.kill_at
    };
    end_group(&mut child, leader, kill_at)
}

/// Reaps the shell and kills the rest of its group; later, if the group is being asked to end.
fn end_group(
    child: &mut Child,
    leader: Pid,
    kill_at: Option<Instant>,
) -> std::io::Result<ExitStatus> {
    let Some(kill_at) = kill_at else {
        let _ = kill_process_group(leader, Signal::KILL);
        return child.wait();
    };
    let status = child.wait()?;
    // The shell may have died of SIGTERM at once; what it started may still be saving its work.
    while test_kill_process_group(leader).is_ok() && Instant::now() < kill_at {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = kill_process_group(leader, Signal::KILL);
    Ok(status)
}

/// From here on, descendants whose parents end become children of this process.
fn adopt_descendants() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Kills and reaps whatever is left, which on Linux is every descendant of the program. False when
/// something would not go.
fn end_descendants() -> bool {
    let give_up = Instant::now() + PATIENCE;
    loop {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return true,
            }
        }
        if Instant::now() >= give_up {
            return false;
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
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // `PID (NAME) STATE PARENT …`, where the name may hold anything, brackets included.
        let stat = std::fs::read(process.path().join("stat")).unwrap_or_default();
        let stat = String::from_utf8_lossy(&stat);
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields);
        let parent = fields.and_then(|fields| fields.split_whitespace().nth(1));
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
