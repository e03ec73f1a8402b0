//! A service with a private nats-server and two runners, of which everything is killed once.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::fleet::Process;
use crate::harness::{Place, Ran, eventually, panel};

const PATIENCE: Duration = Duration::from_secs(120);

const JOB: &str = "\
type: sweep
name: fleet
training_data: {path: sales.csv}
target_column_name: sales
task: regression
partition_column_names: [store]
trial: {learner: decision_tree}
search_space:
  max_depth: {type: int, min: 1, max: 12}
  min_samples_leaf: {type: int, min: 1, max: 40}
sampling_algorithm: random
objective: {goal: minimize, primary_metric: mae}
n_cross_validations: 3
limits: {max_total_trials: 60, max_concurrent_trials: 8}
seed: 11
";

/// The processes of the test; what is left of them is killed.
struct Fleet {
    place: Place,
    children: Vec<Process>,
}

impl Fleet {
    fn nats_pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.place.path("home/nats/pid")).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    }

    fn start(&mut self, arguments: &[&str]) -> usize {
        self.children.push(Process::start(self.place.command(arguments)));
        self.children.len() - 1
    }

    fn serve(&mut self) -> usize {
        let service =
            self.start(&["serve", "--nats", "managed", "--listen", "127.0.0.1:0", "--lease", "2"]);
        self.children[service].hear("listens on ");
        service
    }

    fn runner(&mut self) -> usize {
        self.start(&["runner", "--nats", "managed", "--slots", "1", "--quiet"])
    }

    fn completed(&self) -> u64 {
        let ran: Ran = self.place.fleetfit(&["status", "fleet", "--output", "json"]);
        let is_there = ran.code == 0;
        if is_there { ran.json()["trials"]["completed"].as_u64().unwrap_or(0) } else { 0 }
    }

    fn wait_for(&self, completed: u64) {
        eventually("the study goes on", PATIENCE, || self.completed() >= completed);
    }

    fn kill(&mut self, which: usize) {
        self.children[which].kill();
    }

    fn end(&mut self, which: usize) -> i32 {
        self.children[which].end()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.children.clear();
        if let Some(pid) = self.nats_pid()
            && fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero()))
                .is_ok_and(|name| name.trim() == "nats-server")
        {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[test]
fn everything_is_killed_once_and_nothing_is_lost_or_doubled() {
    let unbroken = Place::new();
    unbroken.write("sales.csv", &panel(20, 400));
    unbroken.write("job.yaml", JOB);
    let expected = unbroken.json(&["run", "job.yaml"]);

    let place = Place::new();
    place.write("sales.csv", &panel(20, 400));
    place.write("job.yaml", JOB);
    let mut fleet = Fleet { place, children: Vec::new() };
    let service = fleet.serve();
    let runner = fleet.runner();
    fleet.runner();
    fleet.place.fleetfit(&["submit", "job.yaml"]).ok();
    fleet.wait_for(100);

    fleet.kill(runner);
    let runner = fleet.runner();
    fleet.wait_for(250);

    let first = fleet.nats_pid().expect("the private server runs");
    kill_process(first, Signal::KILL).expect("it is there");
    fleet.wait_for(450);
    let second = fleet.nats_pid().expect("it runs again");
    assert_ne!(first, second);

    fleet.kill(service);
    let service = fleet.serve();
    assert_eq!(fleet.nats_pid(), Some(second), "the private server was taken over");
    fleet.wait_for(1_200);

    let status = || fleet.place.json(&["status", "fleet"]);
    eventually("the study is over", PATIENCE, || status()["status"] == "completed");
    let status = status();
    assert_eq!(status["trials"], expected["trials"]);
    assert_eq!(status["best"]["value"], expected["best"]["value"]);
    assert_eq!(status["best"]["configuration"], expected["best"]["configuration"]);
    let trials = fleet.place.lines(&["trials", "fleet"]);
    assert_eq!(trials.len(), 1_200);

    // Who is told to end ends, and the private server with its service.
    assert_eq!(fleet.end(runner), 0);
    assert_eq!(fleet.end(service), 0);
    // One whose parent was killed may be left as a name without a program.
    let program = format!("/proc/{}/cmdline", second.as_raw_nonzero());
    eventually("the private server has ended", PATIENCE, || {
        fs::read(&program).unwrap_or_default().is_empty()
    });
}
