//! Command trials from the outside: what programs do, and what is left of them.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fleetfit_search_spaces::{
    CommandTrial, Configuration, End, Goal, Input, Objective, Output, Report, Setting, Value,
    ValueRule,
};
use fleetfit_trial_runner::command::{
    CommandJob, CommandOutcome, Halt, Prepared, Supervisors, prepare, snapshot,
};

const SUPERVISOR: &str = env!("CARGO_BIN_EXE_supervise-for-tests");

/// Longer than anything takes on a machine that is busy, and much less than programs here sleep.
const LONG: Duration = Duration::from_secs(90);

/// A command trial in a folder of its own, whose name has spaces.
struct Trial {
    base: tempfile::TempDir,
    command: CommandTrial,
    configuration: Configuration,
    objective: Objective,
    timeout: Option<Duration>,
    code: Option<PathBuf>,
    halt: Halt,
    supervisors: Supervisors,
}

fn trial(command: &str) -> Trial {
    Trial {
        base: tempfile::Builder::new().prefix("a trial's ").tempdir().unwrap(),
        command: CommandTrial {
            command: command.to_owned(),
            code: None,
            code_place: Default::default(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            environment_variables: BTreeMap::new(),
        },
        configuration: Configuration::default(),
        objective: Objective {
            metric: "loss".to_owned(),
            goal: Goal::Minimize,
            value: ValueRule::Best,
        },
        timeout: None,
        code: None,
        halt: Halt::default(),
        supervisors: Supervisors::new(Path::new(SUPERVISOR)),
    }
}

impl Trial {
    fn dir(&self) -> PathBuf {
        self.base.path().join("trials/7")
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir().join("log.txt")).unwrap()).into_owned()
    }

    fn run(&self) -> CommandOutcome {
        self.run_with(&mut |_| {})
    }

    fn run_with(&self, on_report: &mut dyn FnMut(Report)) -> CommandOutcome {
        self.prepared(|program| program.run(&self.halt, on_report).expect("its log is kept"))
    }

    fn prepared<T>(&self, then: impl FnOnce(Prepared<'_>) -> T) -> T {
        let job = CommandJob {
            trial: &self.command,
            base_dir: self.base.path(),
            code: self.code.as_deref(),
            trial_dir: &self.dir(),
            study: "study",
            number: 7,
            configuration: &self.configuration,
            objective: &self.objective,
            further: &[],
            timeout: self.timeout,
            supervisors: &self.supervisors,
        };
        then(prepare(&job).expect("it starts"))
    }

    /// Why it failed.
    fn failure(&self) -> String {
        match self.run().end {
            End::Failed { reason } => reason,
            end => panic!("it did not fail: {end:?}\n{}", self.log()),
        }
    }
}

/// A command that leaves a mark nothing else on this machine has, to find it by afterwards.
fn marked_sleep() -> (String, String) {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let seconds = format!("{}.{:06}", 1000 + n, std::process::id());
    (format!("sleep {seconds}"), seconds)
}

/// Whether a process with this word on its command line is alive.
fn alive(mark: &str) -> bool {
    command_lines().iter().any(|line| line.split([' ', '\0']).any(|word| word == mark))
}

/// The command lines of all processes; empty for one that has ended and waits to be reaped.
#[cfg(target_os = "linux")]
fn command_lines() -> Vec<String> {
    let read = |process: std::fs::DirEntry| std::fs::read(process.path().join("cmdline")).ok();
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(read)
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn command_lines() -> Vec<String> {
    let output = Command::new("ps").args(["-eo", "stat=,args="]).output().unwrap();
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let living = lines.lines().filter(|line| !line.starts_with('Z'));
    living.map(str::to_owned).collect()
}

fn wait_until(mut done: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < LONG {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    done()
}

#[test]
fn a_program_reports_and_completes() {
    let trial = trial(
        "echo hello; echo oops >&2; echo '{\"metric\": \"loss\", \"value\": 0.5}'; \
         echo '{\"metric\": \"loss\", \"value\": 0.25, \"step\": 9}'; \
         echo '{\"metric\": \"loss\", \"value\": 0.75}'",
    );
    let mut heard = Vec::new();
    let outcome = trial.run_with(&mut |report| heard.push(report));
    assert_eq!(outcome.end, End::Completed { value: 0.25 });
    let steps: Vec<_> = heard.iter().map(|report| (report.step, report.value)).collect();
    assert_eq!(steps, [(1, 0.5), (9, 0.25), (10, 0.75)]);
    assert_eq!(outcome.reports, heard);
    assert!(trial.log().contains("hello\n") && trial.log().contains("oops\n"));
}

#[test]
fn python_reports_arrive_while_it_runs() {
    let trial = trial(
        "python3 -c 'import json, time\nprint(json.dumps({\"metric\": \"loss\", \"value\": 1}))\n\
         time.sleep(1000)'",
    );
    let halt = trial.halt.clone();
    let outcome = trial.run_with(&mut |_| halt.ask("bandit"));
    let reason = "bandit".to_owned();
    assert_eq!(outcome.end, End::Stopped { value: Some(1.0), reason });
}

#[test]
fn the_old_sdk_s_two_lines_count() {
    let outcome = trial("echo 'Attempted to log scalar metric loss:'; echo 0.125; echo done").run();
    assert_eq!(outcome.end, End::Completed { value: 0.125 });
}

#[test]
fn an_exit_code_outranks_every_report() {
    let report = "echo '{\"metric\": \"loss\", \"value\": 0.5}'";
    assert_eq!(
        trial(&format!("{report}; printf '\\033cannot open x' >&2; exit 3")).failure(),
        "exit code 3; last line of its output: cannot open x"
    );
    assert_eq!(trial("exit 255").failure(), "exit code 255");
    assert_eq!(trial("kill -9 $$").failure(), "killed by signal 9 (SIGKILL)");
    assert_eq!(
        trial("sh -c 'kill -9 $$'; exit $?").failure().split(';').next().unwrap(),
        "exit code 137 (killed by signal 9 (SIGKILL))"
    );
    let missing = trial("no-such-program-at-all").failure();
    assert!(missing.starts_with("exit code 127; last line of its output: "), "{missing}");
    assert!(missing.contains("no-such-program-at-all"), "{missing}");
}

#[test]
fn a_trial_without_its_metric_says_what_there_was() {
    assert_eq!(
        trial("true").failure(),
        "the program ended without reporting loss, or any other metric"
    );
    assert_eq!(
        trial("echo '{\"metric\":\"acc\",\"value\":1}'; echo '{\"metric\":\"Loss\",\"value\":1}'")
            .failure(),
        "the program ended without reporting loss; it reported: acc, Loss"
    );
    assert_eq!(
        trial("echo '{\"metric\":\"loss\",\"value\":NaN}'").failure(),
        "every loss it reported was NaN or infinite"
    );
}

#[test]
fn a_trial_that_runs_too_long_has_failed() {
    let (sleep, mark) = marked_sleep();
    let mut trial =
        trial(&format!("echo '{{\"metric\":\"loss\",\"value\":1}}'; {sleep} & {sleep}"));
    trial.timeout = Some(Duration::from_millis(500));
    let started = Instant::now();
    assert_eq!(trial.failure(), "ran longer than trial_timeout (0.5 s)");
    assert!(started.elapsed() < LONG);
    assert!(!alive(&mark));
}

#[test]
fn a_program_may_save_its_work_before_it_stops() {
    let trial = trial(
        "python3 -c '
import signal, sys, time
def save(*_):
    time.sleep(0.3)
    open(\"saved\", \"w\").write(\"x\")
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print(\"{\\\"metric\\\": \\\"loss\\\", \\\"value\\\": 2}\")
time.sleep(1000)
'; echo 'the shell waits'",
    );
    let halt = trial.halt.clone();
    let outcome = trial.run_with(&mut |_| halt.ask("median_stopping"));
    let reason = "median_stopping".to_owned();
    assert_eq!(outcome.end, End::Stopped { value: Some(2.0), reason });
    assert!(trial.dir().join("work/saved").exists());
}

#[test]
fn a_program_that_ignores_the_request_is_killed() {
    let (sleep, mark) = marked_sleep();
    let trial = trial(&format!(
        "trap '' TERM; echo '{{\"metric\":\"loss\",\"value\":2}}'; while true; do {sleep}; done"
    ));
    let halt = trial.halt.clone();
    let started = Instant::now();
    let outcome = trial.run_with(&mut |_| halt.ask("cancelled"));
    assert!(matches!(outcome.end, End::Stopped { value: Some(2.0), .. }));
    assert!(started.elapsed() < LONG);
    assert!(!alive(&mark));
}

#[test]
fn a_trial_halted_before_it_starts_runs_nothing() {
    let trial = trial("touch here");
    trial.halt.ask("timeout");
    let reason = "timeout".to_owned();
    assert_eq!(trial.run().end, End::Stopped { value: None, reason });
    assert!(!trial.dir().join("work/here").exists());
}

#[test]
fn nothing_that_a_program_started_outlives_it() {
    let (sleep, mark) = marked_sleep();
    let report = "echo '{\"metric\":\"loss\",\"value\":1}'";
    let started = Instant::now();
    let outcome = trial(&format!("{sleep} & {report}")).run();
    assert_eq!(outcome.end, End::Completed { value: 1.0 });
    assert!(!alive(&mark));
    if cfg!(target_os = "linux") {
        // A session of its own, with a child, disowned.
        let escape = format!("setsid sh -c '{sleep} & {sleep}; true' >/dev/null 2>&1 &");
        let outcome = trial(&format!("{escape} sleep 0.2; {report}")).run();
        assert_eq!(outcome.end, End::Completed { value: 1.0 });
        assert!(!alive(&mark));
    }
    assert!(started.elapsed() < LONG);
}

#[test]
fn a_killed_fleetfit_leaves_no_orphan() {
    let (sleep, mark) = marked_sleep();
    let base = tempfile::tempdir().unwrap();
    let stubborn = format!("trap '' TERM; setsid {sleep} & {sleep} & while true; do {sleep}; done");
    let mut parent = Command::new(SUPERVISOR)
        .arg("parent")
        .arg(base.path().join("trial"))
        .arg(stubborn)
        .spawn()
        .unwrap();
    assert!(wait_until(|| alive(&mark)));
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(wait_until(|| !alive(&mark)));
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_supervisor_takes_along_what_left_the_group() {
    let (sleep, mark) = marked_sleep();
    let supervisor = "kill -9 $PPID";
    let mut trial = trial(&format!("setsid {sleep} >/dev/null 2>&1 & sleep 0.3; {supervisor}"));
    trial.timeout = Some(LONG);
    assert_eq!(trial.failure(), "the process that supervised it was killed");
    assert!(wait_until(|| !alive(&mark)));
}

#[test]
fn a_killed_supervisor_takes_its_group_along() {
    let (sleep, mark) = marked_sleep();
    let mut trial = trial(&format!("kill -9 $PPID; {sleep}"));
    trial.timeout = Some(LONG);
    assert_eq!(trial.failure(), "the process that supervised it was killed");
    assert!(wait_until(|| !alive(&mark)));
}

#[test]
fn a_panic_in_the_middle_of_a_trial_ends_its_program() {
    let (sleep, mark) = marked_sleep();
    let trial = trial(&format!("echo '{{\"metric\":\"loss\",\"value\":1}}'; {sleep}"));
    let running = std::panic::AssertUnwindSafe(|| {
        trial.run_with(&mut |_| panic!("on purpose"));
    });
    assert!(std::panic::catch_unwind(running).is_err());
    assert!(!alive(&mark));
}

#[test]
fn a_program_that_is_ready_does_nothing_until_it_is_told_to() {
    let (sleep, mark) = marked_sleep();
    let trial = trial(&format!("touch ran; echo '{{\"metric\":\"loss\",\"value\":1}}'; : {sleep}"));
    let ran = trial.dir().join("work/ran");
    trial.prepared(|program| {
        // Its shell is there, with the command.
        assert!(wait_until(|| alive(&mark)));
        drop(program);
    });
    assert!(!alive(&mark) && !ran.exists());
    trial.prepared(|program| {
        assert!(wait_until(|| alive(&mark)));
        assert!(!ran.exists());
        let outcome = program.run(&trial.halt, &mut |_| {}).unwrap();
        assert_eq!(outcome.end, End::Completed { value: 1.0 });
    });
    assert!(!alive(&mark) && ran.exists());
}

#[test]
fn a_supervisor_serves_one_trial_after_another() {
    let report = "echo '{\"metric\":\"loss\",\"value\":1}'; echo $PPID";
    let mut trial = trial(report);
    let mut supervisors = Vec::new();
    for round in 0..4 {
        assert_eq!(trial.run().end, End::Completed { value: 1.0 });
        let pid = trial.log().lines().last().unwrap().to_owned();
        if round == 1 {
            // One that dies while it has nothing to do costs nobody a trial.
            let killed = Command::new("kill").args(["-9", &pid]).status().unwrap();
            assert!(killed.success());
            // Its first thread may have ended before its others.
            let gone = || {
                let n_threads = std::fs::read_dir(format!("/proc/{pid}/task")).map(Iterator::count);
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
                n_threads.unwrap_or(0) <= 1 && stat.map_or(true, |stat| stat.contains(") Z "))
            };
            assert!(wait_until(gone));
        }
        if round == 2 {
            trial.command.command = format!("{report}; (sleep 1000 &) ; exit 4");
            assert!(trial.failure().starts_with("exit code 4"));
            trial.command.command = report.to_owned();
        }
        supervisors.push(pid);
    }
    if cfg!(target_os = "linux") {
        assert_eq!(supervisors[0], supervisors[1]);
        assert_ne!(supervisors[1], supervisors[2]);
        assert_eq!(supervisors[2], supervisors[3]);
    }
}

#[test]
fn hostile_values_stay_values() {
    let mut trial = trial(
        "printf '%s\\n' ${{search_space.text}} '${{ search_space.text }}' \
         \"${{search_space.text}}\" ${{search_space.model}} ${{search_space.model.C}} \
         ${{search_space.absent}} \"$AZUREML_SWEEP_text\" \"$AZUREML_SWEEP_model\" \
         $AZUREML_SWEEP_model_C $AZUREML_SWEEP_n > args; ls",
    );
    let text = |text: &str| Setting::Value(Value::Text(text.to_owned()));
    let hostile = "'; touch x #\"$(touch y)`touch z`";
    let branch =
        vec![("name".to_owned(), text("svm")), ("C".to_owned(), Setting::Value(Value::Float(1.0)))];
    trial.configuration = Configuration(vec![
        ("text".to_owned(), text(hostile)),
        ("model".to_owned(), Setting::Nested(Configuration(branch))),
        ("n".to_owned(), Setting::Value(Value::Int(-3))),
    ]);
    trial.failure();
    assert_eq!(trial.log(), "args\n");
    let json = "{\"name\":\"svm\",\"C\":1.0}";
    let expected =
        [hostile, hostile, hostile, json, "1.0", "", hostile, json, "1.0", "-3", ""].join("\n");
    assert_eq!(std::fs::read_to_string(trial.dir().join("work/args")).unwrap(), expected);
}

#[test]
fn inputs_outputs_and_variables_reach_the_program() {
    let mut trial = trial(
        "cat ${{inputs.data}} && echo ${{inputs.n}} $GREETING $FLEETFIT_STUDY $FLEETFIT_TRIAL && \
         cp \"${{inputs.data}}\" ${{outputs.model}}/kept && echo 1 > ${{outputs.scores}} && \
         test \"$FLEETFIT_OUTPUT_DIR/model\" = '${{outputs.model}}' && pwd",
    );
    std::fs::write(trial.base.path().join("some data.csv"), "a,b\n").unwrap();
    let path = "./some data.csv".to_owned();
    let place = Default::default();
    trial.command.inputs = vec![
        ("data".to_owned(), Input::Path { path, place }),
        ("n".to_owned(), Input::Value(Value::Int(5))),
    ];
    trial.command.outputs =
        vec![("model".to_owned(), Output::Folder), ("scores".to_owned(), Output::File)];
    let variables = [("GREETING", "good day"), ("FLEETFIT_TRIAL", "mine")];
    trial.command.environment_variables =
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let reason = trial.failure();
    assert!(reason.contains("without reporting loss"), "{reason}\n{}", trial.log());
    let work = trial.dir().join("work");
    assert_eq!(trial.log(), format!("a,b\n5 good day study 7\n{}\n", work.display()));
    let kept = trial.dir().join("outputs/model/kept");
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "a,b\n");
    assert!(trial.dir().join("outputs/scores").exists());
}

#[test]
fn what_is_not_defined_starts_nothing() {
    assert_eq!(
        trial("echo ${{inputs.absent}}").failure(),
        "the command names ${{inputs.absent}}, which is not defined"
    );
    let mut remote = trial("echo ${{inputs.data}}");
    let address = "azureml:data:1".to_owned();
    let place = Default::default();
    remote.command.inputs = vec![("data".to_owned(), Input::Remote { address, place })];
    assert_eq!(remote.failure(), "input data is not on this machine");
}

#[test]
fn the_program_sees_its_code_and_keeps_its_files_to_itself() {
    let mut trial = trial("python3 train.py && echo more >> train.py; ls");
    let code = trial.base.path().join("my code");
    std::fs::create_dir_all(code.join("lib")).unwrap();
    std::fs::write(code.join("lib/helper.py"), "VALUE = 0.5").unwrap();
    let script = "from lib.helper import VALUE\n\
        print('{\"metric\": \"loss\", \"value\": %s}' % VALUE)\nopen('model.txt', 'w')\n";
    std::fs::write(code.join("train.py"), script).unwrap();
    let kept = snapshot(&code, &trial.base.path().join("study")).unwrap();
    trial.code = Some(kept.folder.clone());
    assert_eq!(trial.run().end, End::Completed { value: 0.5 });
    assert!(trial.dir().join("work/model.txt").exists());
    assert!(!kept.folder.join("model.txt").exists() && !code.join("model.txt").exists());
    assert_eq!(std::fs::read_to_string(code.join("train.py")).unwrap(), script);
}

#[test]
fn a_copy_of_the_code_that_is_gone_fails_the_trial() {
    let mut trial = trial("true");
    let gone = trial.base.path().join("study/code/0123");
    trial.code = Some(gone.clone());
    let reason = trial.failure();
    let says = format!("the study's copy of its code, {}, could not be read: ", gone.display());
    assert_eq!(reason, format!("{says}no such file or directory"));
}

#[test]
fn a_folder_that_cannot_be_made_fails_the_trial() {
    let mut trial = trial("true");
    trial.command.outputs = vec![("o".repeat(256), Output::Folder)];
    let reason = trial.failure();
    assert!(
        reason.starts_with("its folder ") && reason.contains(" could not be made: "),
        "{reason}"
    );
    assert!(reason.ends_with("too long"), "{reason}");
}

#[test]
fn a_hundred_megabytes_without_a_newline_do_no_harm() {
    let trial = trial(
        "head -c 100000000 /dev/zero; echo; head -c 3000000 /dev/urandom >&2; \
         echo; echo '{\"metric\": \"loss\", \"value\": 4}'",
    );
    assert_eq!(trial.run().end, End::Completed { value: 4.0 });
    let size = std::fs::metadata(trial.dir().join("log.txt")).unwrap().len();
    assert!((10 << 20..(10 << 20) + 100).contains(&size), "{size}");
    assert!(trial.log().contains("bytes are left out here]"));
}

#[test]
fn a_missing_supervisor_is_a_reason_not_a_panic() {
    let trial = trial("true");
    let job = CommandJob {
        trial: &trial.command,
        base_dir: trial.base.path(),
        code: None,
        trial_dir: &trial.dir(),
        study: "study",
        number: 7,
        configuration: &trial.configuration,
        objective: &trial.objective,
        further: &[],
        timeout: None,
        supervisors: &Supervisors::new(Path::new("/no/such/program")),
    };
    // It is nobody's fate: whoever runs trials must stop and say why.
    let error = prepare(&job).expect_err("it cannot start").to_string();
    assert!(error.contains("its program could not be started: "), "{error}");
}

#[test]
fn a_trial_leaves_no_descriptor_and_no_thread_behind() {
    let count = |folder: &str| std::fs::read_dir(folder).map_or(0, Iterator::count);
    // Other tests of this process open and close theirs meanwhile; the least seen is ours.
    let least = |folder: &str| (0..50).map(|_| count(folder)).min().unwrap();
    let before = least("/proc/self/fd");
    let mut after = usize::MAX;
    for _ in 0..60 {
        trial("ls -l /proc/self/fd").run();
        after = after.min(least("/proc/self/fd"));
    }
    assert!(after <= before + 10, "{before} descriptors became {after}");
}

#[test]
fn the_program_inherits_no_descriptor_of_ours() {
    // Not our own, but those that were open in whoever started this test are everybody's.
    let descriptors = "ls /proc/self/fd | tr '\\n' ' '";
    let inherited = Command::new("sh").args(["-c", descriptors]).output().unwrap();
    let trial = trial(descriptors);
    trial.failure();
    assert_eq!(trial.log().as_bytes(), inherited.stdout);
}
