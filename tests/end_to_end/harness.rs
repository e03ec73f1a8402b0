//! A folder of its own for each test, and the binary run in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A folder that goes away with the test.
pub(crate) struct Place {
    dir: TempDir,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder for the test") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(&path, text).expect("the file");
        path
    }

    /// The binary with these arguments, its data directory in this folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetfit"));
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env_remove("FLEETFIT_SERVER")
            .env("FLEETFIT_HOME", self.path("home"))
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn fleetfit(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().expect("fleetfit starts");
        Ran::of(output)
    }

    /// Starts the binary and leaves it running.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("fleetfit starts")
    }

    /// Runs the binary, which must succeed, and reads the one JSON document it prints.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.fleetfit(&[arguments, &["--output", "json"]].concat()).ok().json()
    }

    /// Runs the binary, which must succeed, and reads one JSON document a line.
    pub(crate) fn lines(&self, arguments: &[&str]) -> Vec<Value> {
        self.fleetfit(&[arguments, &["--output", "json"]].concat()).ok().lines()
    }
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{}", self.stdout, self.stderr);
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        let line = |line: &str| serde_json::from_str(line).expect("a JSON document a line");
        self.stdout.lines().map(line).collect()
    }
}

/// A file or folder of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Waits until something holds; panics when it does not within the time.
pub(crate) fn eventually(what: &str, at_most: Duration, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < at_most, "not within {at_most:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends a signal to a child.
pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(child.id() as i32).expect("a process");
    rustix::process::kill_process(pid, signal).expect("the signal is sent");
}

/// A seeded panel: one row a store and week, sales that follow price and season.
pub(crate) fn panel(stores: u32, weeks: u32) -> String {
    let mut text = String::from("store,week,price,promo,sales\n");
    let mut state = 12_345_u64;
    let mut random = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    for store in 1..=stores {
        for week in 1..=weeks {
            let price = 2.0 + random();
            let promo = u32::from(random() < 0.2);
            let season = (f64::from(week) / 52.0 * std::f64::consts::TAU).sin();
            let sales = 50.0 + f64::from(store) - 8.0 * price
                + 12.0 * f64::from(promo)
                + 10.0 * season
                + 2.0 * random();
            text.push_str(&format!("{store},{week},{price:.3},{promo},{sales:.3}\n"));
        }
    }
    text
}
