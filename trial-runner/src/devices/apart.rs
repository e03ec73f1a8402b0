//! What the driver says of its cards, asked of a process of its own: a driver that stands still, or
//! takes the process with it, takes nobody else.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Card, Looked, Measured};
use crate::caught::caught;
use crate::cuda::machine::Machine;
use crate::cuda::{self, SUBCOMMAND, measure};

const LOOK: &str = "look";
const COMPILER: &str = "compiler";
const MEASURE: &str = "measure";

/// How long a driver may take to tell of its cards, and a card to be measured.
const PATIENCE: Duration = Duration::from_secs(30);
const LONG_PATIENCE: Duration = Duration::from_secs(300);

/// How long a process may take to end that has said all, or nothing.
const FAREWELL: Duration = Duration::from_secs(3);

/// The cards of this machine, or why none can be used; `program` is fleetfit itself.
pub(super) fn look(program: &Path) -> Looked {
    ask(program, &[LOOK.as_ref()], PATIENCE).unwrap_or_else(Looked::nothing)
}

/// Whether CUDA's compiler is here. One that ends whoever loads it, or keeps him waiting, is not.
pub(super) fn has_compiler(program: &Path) -> bool {
    ask(program, &[COMPILER.as_ref()], PATIENCE).unwrap_or(false)
}

/// What a card does in a second.
pub(super) fn measured(
    card: &Card,
    program: &Path,
    kernels: &Path,
) -> Result<Vec<Measured>, String> {
    let about = serde_json::to_string(card).map_err(|error| error.to_string())?;
    ask(program, &[MEASURE.as_ref(), about.as_ref(), kernels.as_os_str()], LONG_PATIENCE)?
}

/// The body of the hidden subcommand: answers such a question, or uses a card.
pub fn work(arguments: impl IntoIterator<Item = OsString>) -> i32 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let texts: Vec<Option<&str>> = arguments.iter().map(|argument| argument.to_str()).collect();
    match (&texts[..], &arguments[..]) {
        ([Some(LOOK)], _) => answer(cuda::look),
        ([Some(COMPILER)], _) => answer(cuda::has_compiler),
        ([Some(MEASURE), Some(about), _], [_, _, kernels]) => {
            let about = serde_json::from_str::<Card>(about).map_err(|error| error.to_string());
            let kernels = PathBuf::from(kernels);
            answer(move || measure(&about?, &kernels))
        }
        _ => cuda::work(arguments),
    }
}

fn measure(card: &Card, kernels: &Path) -> Result<Vec<Measured>, String> {
    let number = card.device.trim_start_matches("cuda:").parse::<usize>();
    let number = number.map_err(|_| format!("{} is not a card", card.device))?;
    let mut all = Vec::new();
    // A driver that lacks something makes cudarc panic.
    let told = caught(|| {
        let machine = Machine::open(number, kernels)?;
        measure::measure(&machine, measure::Amount::of(card), &mut |own| all.push(own))
    });
    match told {
        Ok(told) => told.map_err(|fault| fault.to_string())?,
        Err(panic) => return Err(cuda::failed(&panic)),
    }
    Ok(all)
}

/// Says the answer at the socket on standard input: a driver may say what it likes on standard output.
/// Ends when nobody waits for it any more.
fn answer<T: Serialize>(find: impl FnOnce() -> T) -> i32 {
    let Ok(mut socket) = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else {
        return 3;
    };
    let listen = || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(3);
    };
    if std::thread::Builder::new().name("listen".into()).spawn(listen).is_err() {
        return 3;
    }
    let said = serde_json::to_vec(&find()).map(|bytes| socket.write_all(&bytes));
    // Whatever holds the socket beside this process, that was all.
    let _ = socket.shutdown(Shutdown::Write);
    if matches!(said, Ok(Ok(()))) { 0 } else { 3 }
}

fn ask<T: DeserializeOwned>(
    program: &Path,
    arguments: &[&OsStr],
    patience: Duration,
) -> Result<T, String> {
    let begin = || -> io::Result<(UnixStream, UnixStream, Child)> {
        let (own, theirs) = UnixStream::pair()?;
        let child = Command::new(program)
            .arg(SUBCOMMAND)
            .args(arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Who is interrupted waits no longer, which it hears.
            .process_group(0)
            .spawn()?;
        Ok((own.try_clone()?, own, child))
    };
    let (socket, own, mut child) =
        begin().map_err(|error| format!("its process does not begin: {error}"))?;
    let heard = hear(socket, patience);
    let told = heard.as_deref().map(serde_json::from_slice::<T>);
    let outcome = match told {
        Some(Ok(told)) => Ok(told),
        Some(Err(_)) => Err(format!("its driver ends the process that asks it{}", how(&mut child))),
        None => Err(format!("its driver does not answer within {} s", patience.as_secs())),
    };
    let _ = own.shutdown(Shutdown::Both);
    let _ = child.kill();
    // One that its driver holds ends when that lets go of it, and nobody waits for that.
    std::thread::spawn(move || child.wait());
    outcome
}

/// All that it says; none where it is not done in time.
fn hear(mut socket: UnixStream, patience: Duration) -> Option<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = socket.read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    receiver.recv_timeout(patience).ok()
}

/// How it ended, in brackets, where it does.
fn how(child: &mut Child) -> String {
    let began = Instant::now();
    while began.elapsed() < FAREWELL {
        if let Ok(Some(status)) = child.try_wait() {
            return format!(" ({status})");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    String::new()
}
