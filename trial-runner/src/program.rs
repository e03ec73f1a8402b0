//! A program's file that was just written. The system starts none that anybody has open for writing
//! ("text file busy"), and a program that another thread is starting has every file of ours until it
//! runs.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long starting another program may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often it is looked whether it runs.
const LOOK: Duration = Duration::from_millis(1);

/// Closes a program's file, and waits until every copy of this handle is closed. A lock shows when
/// that is: it stays with the handle until the last of them is.
pub(crate) fn close(written: File, path: &Path) -> io::Result<()> {
    if written.try_lock().is_err() {
        // A file system without locks, where there is nothing to wait for.
        return Ok(());
    }
    drop(written);
    let file = File::open(path)?;
    let begun = Instant::now();
    while file.try_lock_shared().is_err() && begun.elapsed() < PATIENCE {
        std::thread::sleep(LOOK);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_closed_program_can_be_started_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let mut written =
            File::options().write(true).create_new(true).mode(0o755).open(&path).unwrap();
        written.write_all(b"#!/bin/sh\nexit 7\n").unwrap();
        // As a program has it that another thread is starting.
        let inherited = written.try_clone().unwrap();
        let busy = Command::new(&path).status().unwrap_err();
        assert_eq!(busy.kind(), io::ErrorKind::ExecutableFileBusy);
        let starting = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(inherited);
        });
        close(written, &path).unwrap();
        assert_eq!(Command::new(&path).status().unwrap().code(), Some(7));
        starting.join().unwrap();
    }
}
