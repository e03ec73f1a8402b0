//! Ctrl-C and its relatives.

use std::io;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Calls `act` at each SIGINT, SIGTERM and SIGHUP, from a thread of its own. SIGHUP stays ignored where
/// it was when this process began: that is what `nohup` asks for. (A shell that starts a job in the
/// background ignores SIGINT for it too, and yet somebody who sends one means it.)
pub(crate) fn watch(mut act: impl FnMut() + Send + 'static) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let ignored = ignored();
    let listen = |kind: SignalKind| -> io::Result<Option<Signal>> {
        let number = kind.as_raw_value();
        let is_ignored = ignored >> (number - 1) & 1 == 1;
        if kind == SignalKind::hangup() && is_ignored { Ok(None) } else { signal(kind).map(Some) }
    };
    let (mut interrupt, mut terminate, mut hang_up) = {
        let _inside = runtime.enter();
        (
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        )
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async move {
            loop {
                tokio::select! {
                    () = next(&mut interrupt) => {}
                    () = next(&mut terminate) => {}
                    () = next(&mut hang_up) => {}
                }
                act();
            }
        });
    })?;
    Ok(())
}

/// Has a write that a limit on the length of files forbids (`ulimit -f`) fail with an error, as one on a
/// full disk does: by default, its signal ends the process without a word. What was listened for once
/// is handled for as long as the process lives, and programs that it starts have the default again.
pub(crate) fn survive_long_files() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// The signals that this process ignores, one bit each, as Linux tells; none elsewhere.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
