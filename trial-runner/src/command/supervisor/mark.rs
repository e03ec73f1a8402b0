//! A word in the environment of a program and of everything that it starts, to find them by where
//! their supervisor was killed. What clears its environment is not found.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The variable.
const NAME: &str = "FLEETFIT_MARK";

/// How long killed processes may take to disappear.
const PATIENCE: Duration = Duration::from_secs(2);

/// Different for every run of a program.
#[derive(Debug)]
pub(super) struct Mark(String);

impl Mark {
    pub(super) fn new() -> Self {
        // The standard library seeds each of these from the operating system.
        let number = RandomState::new().hash_one(std::process::id());
        Self(format!("{}-{number:016x}", std::process::id()))
    }

    /// What the program gets.
    pub(super) fn variable(&self) -> (String, String) {
        (NAME.to_owned(), self.0.clone())
    }

    /// Kills whatever bears it, until nothing does: what is killed may just have started another.
    pub(super) fn kill_bearers(&self) {
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            let bearers = self.bearers();
            if bearers.is_empty() {
                return;
            }
            for bearer in bearers {
                let _ = kill_process(bearer, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The processes that bear it; on systems without `/proc`, none that anybody knows of.
    fn bearers(&self) -> Vec<Pid> {
        let word = format!("{NAME}={}", self.0);
        let mut bearers = Vec::new();
        for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = process.file_name();
            let pid = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            let Some(pid) = pid else { continue };
            // Empty for those of others, and for those that have ended.
            let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
            if environment.split(|byte| *byte == 0).any(|entry| entry == word.as_bytes()) {
                bearers.push(pid);
            }
        }
        bearers
    }
}
