//! What a command trial costs beyond its command: `cargo bench -p fleetfit-trial-runner --bench command`.
//!
//! The peer is the same command under a bare `sh -c`, from the same number of threads.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fleetfit_search_spaces::{
    CommandTrial, Configuration, Goal, Objective, Setting, Value, ValueRule,
};
use fleetfit_trial_runner::command::{CommandJob, Halt, Supervisors, prepare};

const N_TRIALS: u32 = 1_000;
const COMMAND: &str = "echo '{\"metric\": \"loss\", \"value\": 1}' ${{search_space.x}}";

fn main() -> std::io::Result<()> {
    let executable = Path::new(env!("CARGO_BIN_EXE_supervise-for-tests"));
    let supervisors = Supervisors::new(executable);
    println!("threads  sh -c, trials/s  fleetfit, trials/s  overhead, ms a trial");
    for n_threads in [1, 2, 4] {
        let folder = tempfile::tempdir()?;
        let bare = per_second(n_threads, |_| {
            let command = COMMAND.replace("${{search_space.x}}", "0.5");
            let _ = Command::new("/bin/sh").args(["-c", &command]).output();
        });
        let ours = per_second(n_threads, |number| trial(folder.path(), number, &supervisors));
        let overhead_ms = 1000.0 * f64::from(n_threads) * (1.0 / ours - 1.0 / bare);
        println!("{n_threads:>7}  {bare:>15.0}  {ours:>18.0}  {overhead_ms:>20.2}");
    }
    Ok(())
}

fn per_second(n_threads: u32, body: impl Fn(u32) + Sync) -> f64 {
    let next = AtomicU32::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= N_TRIALS {
                        return;
                    }
                    body(number);
                }
            });
        }
    });
    f64::from(N_TRIALS) / started.elapsed().as_secs_f64()
}

fn trial(folder: &Path, number: u32, supervisors: &Supervisors) {
    let trial = CommandTrial {
        command: COMMAND.to_owned(),
        code: None,
        code_place: Default::default(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        environment_variables: Default::default(),
    };
    let objective =
        Objective { metric: "loss".to_owned(), goal: Goal::Minimize, value: ValueRule::Best };
    let value = Setting::Value(Value::Float(0.5));
    let job = CommandJob {
        trial: &trial,
        base_dir: folder,
        code: None,
        trial_dir: &folder.join(number.to_string()),
        study: "bench",
        number,
        configuration: &Configuration(vec![("x".to_owned(), value)]),
        objective: &objective,
        further: &[],
        timeout: Some(Duration::from_secs(60)),
        supervisors,
    };
    let program = prepare(&job).expect("it starts");
    program.run(&Halt::default(), &mut |_| {}).expect("its log is kept");
}
