//! The runner's end of the bus against a real nats-server and a scripted service.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod nats;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fleetfit_search_spaces::wire::join::{DELETED, OVER, Welcome};
use fleetfit_search_spaces::wire::letter::VERSION;
use fleetfit_search_spaces::wire::subjects::Kind;
use fleetfit_search_spaces::wire::{Numbered, StudySpec};
use fleetfit_search_spaces::{
    Assignment, AssignmentKey, AssignmentTask, Block, Configuration, End, FromRunner, Job, Setting,
    StudyId, ToRunner, Value,
};
use fleetfit_trial_runner::material::{Origins, gather};
use fleetfit_trial_runner::runner::{ATTACHED, UPLOADED};

use nats::{LONG, RunnerProcess, Server, Service, wait_for};

/// Long enough that nothing is given to another runner by mistake.
const LEASE: Duration = Duration::from_secs(30);

const STUDY: StudyId = StudyId(7);

fn spec(job_text: String) -> StudySpec {
    StudySpec {
        study: STUDY,
        name: "s".into(),
        job_file: "job.yaml".into(),
        job_text,
        sets: Vec::new(),
        folder: Some("jobs".into()),
        seed: 1,
        entities: 1,
        material: None,
    }
}

fn command(command: &str) -> StudySpec {
    spec(format!(
        "type: sweep\nname: s\ntrial:\n  command: {command:?}\nsearch_space:\n  x: [1, 2, 3]\n\
         sampling_algorithm: grid\nobjective: {{goal: minimize, primary_metric: loss}}\n\
         limits: {{max_total_trials: 3}}\n"
    ))
}

/// A command that notes each run in a file, then does more.
fn noted(runs: &Path, more: &str) -> StudySpec {
    let report = r#"echo '{"metric": "loss", "value": 1}'"#;
    command(&format!("echo run >> {}; {report}; {more}", runs.display()))
}

fn runs(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}

fn key(number: u64) -> AssignmentKey {
    AssignmentKey { study: STUDY, number, attempt: 1 }
}

fn tries(number: u64) -> Assignment {
    let configuration = Configuration::default();
    let tried = Numbered { number: number as u32, configuration };
    let blocks = vec![Block { tried, entities: vec![0..1; 1] }];
    Assignment { key: key(number), task: AssignmentTask::Try(blocks) }
}

/// Where a test keeps its files: the runner's cache, and marks.
fn place() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("bus ").tempdir().unwrap()
}

fn hold(word: &Path) -> String {
    format!("while [ ! -e '{}' ]; do sleep 0.02; done", word.display())
}

#[test]
fn a_trial_is_run_once_and_everything_of_it_arrives() {
    let (server, dir) = (Server::start(), place());
    let marks = tempfile::tempdir().unwrap();
    let runs_file = marks.path().join("runs");
    let service = Service::start(&server, noted(&runs_file, "echo words"), LEASE);
    let runner = service.runner(dir.path(), 2, true);
    service.hand_out(Kind::Command, &tries(1));
    assert_eq!(service.await_end(key(1)), FromRunner::Done { of: key(1) });
    let outcomes = service.outcomes();
    assert_eq!((outcomes.len(), &outcomes[0].end), (1, &End::Completed { value: 1.0 }));
    assert_eq!(runs(&runs_file), 1);
    wait_for("the acknowledgement", || service.n_work() == 0);
    wait_for("the report", || !service.seen.lock().unwrap().reports.is_empty());
    let seen = service.seen.lock().unwrap();
    let log = String::from_utf8_lossy(&seen.files["log.txt"]).into_owned();
    assert!(log.ends_with("words\n"), "{log}");
    drop(seen);
    assert!(runner.said.lock().unwrap()[0].contains("working for service"));
}

#[test]
fn what_comes_a_second_time_is_not_run() {
    let (server, dir) = (Server::start(), place());
    let marks = tempfile::tempdir().unwrap();
    let runs_file = marks.path().join("runs");
    let lease = Duration::from_millis(300);
    let service = Service::start(&server, noted(&runs_file, "true"), lease);
    service.hand_out(Kind::Command, &tries(1));
    service.take_and_die(Kind::Command);
    let _runner = service.runner(dir.path(), 2, true);
    assert_eq!(service.await_end(key(1)), FromRunner::Done { of: key(1) });
    wait_for("the acknowledgement", || service.n_work() == 0);
    assert_eq!((service.outcomes().len(), runs(&runs_file)), (0, 0));
}

#[test]
fn a_lease_is_kept_for_as_long_as_the_trial_takes() {
    let (server, dir) = (Server::start(), place());
    let marks = tempfile::tempdir().unwrap();
    let runs_file = marks.path().join("runs");
    let service = Service::start(&server, noted(&runs_file, "sleep 15"), Duration::from_secs(6));
    // Two runners: the other one would get what is let go.
    let _runners = [service.runner(dir.path(), 1, true), service.runner(dir.path(), 1, true)];
    service.hand_out(Kind::Command, &tries(1));
    service.await_end(key(1));
    assert_eq!((service.outcomes().len(), runs(&runs_file)), (1, 1));
}

#[test]
fn a_trial_that_ends_while_nats_is_away_is_told_when_it_is_back() {
    let (mut server, dir) = (Server::start(), place());
    let marks = tempfile::tempdir().unwrap();
    let (runs_file, word) = (marks.path().join("runs"), marks.path().join("word"));
    let service = Service::start(&server, noted(&runs_file, &hold(&word)), LEASE);
    let runner = service.runner(dir.path(), 1, true);
    service.hand_out(Kind::Command, &tries(1));
    wait_for("the trial to begin", || runs(&runs_file) == 1);
    server.kill();
    std::fs::write(&word, "").unwrap();
    wait_for("the trial to end", || runner.bus.as_ref().unwrap().busy() == 0);
    server.begin();
    assert_eq!(service.await_end(key(1)), FromRunner::Done { of: key(1) });
    assert_eq!((service.outcomes().len(), runs(&runs_file)), (1, 1));
    wait_for("the acknowledgement", || service.n_work() == 0);
    service.hand_out(Kind::Command, &tries(2));
    assert_eq!(service.await_end(key(2)), FromRunner::Done { of: key(2) });
}

#[test]
fn an_acknowledgement_never_meets_another_assignment_in_a_new_stream() {
    let (mut server, dir) = (Server::start(), place());
    let marks = tempfile::tempdir().unwrap();
    let (runs_file, word) = (marks.path().join("runs"), marks.path().join("word"));
    let service = Service::start(&server, noted(&runs_file, &hold(&word)), LEASE);
    let _runner = service.runner(dir.path(), 1, true);
    service.hand_out(Kind::Command, &tries(1));
    wait_for("the trial to begin", || runs(&runs_file) == 1);
    server.kill();
    server.forget_everything();
    server.begin();
    service.make_streams();
    // It lies where the first one lay.
    service.hand_out(Kind::Command, &tries(2));
    std::fs::write(&word, "").unwrap();
    for number in 1..=2 {
        assert_eq!(service.await_end(key(number)), FromRunner::Done { of: key(number) });
    }
    assert_eq!((service.outcomes().len(), runs(&runs_file)), (2, 2));
    wait_for("the acknowledgement", || service.n_work() == 0);
}

#[test]
fn a_runner_that_ends_hands_back_what_it_cannot_end() {
    let (server, dir) = (Server::start(), place());
    let marks = tempfile::tempdir().unwrap();
    let runs_file = marks.path().join("runs");
    let service = Service::start(&server, noted(&runs_file, "exec sleep 600"), LEASE);
    let mut runner = service.runner(dir.path(), 1, true);
    service.hand_out(Kind::Command, &tries(1));
    wait_for("the trial to begin", || runs(&runs_file) == 1);
    let started = Instant::now();
    runner.bus.take().unwrap().drain(Duration::from_millis(100));
    assert!(started.elapsed() < LONG);
    let returned = FromRunner::Returned { of: key(1), reason: None };
    assert_eq!(service.await_end(key(1)), returned);
    assert!(service.outcomes().is_empty());
    wait_for("the acknowledgement", || service.n_work() == 0);
    assert!(service.seen.lock().unwrap().beats.iter().any(|beat| beat.draining));
    // Nothing is left of it but what others may use.
    assert_eq!(std::fs::read_dir(dir.path().join("work")).unwrap().count(), 0);
}

#[test]
fn a_hint_ends_a_trial_at_once() {
    let (server, dir) = (Server::start(), place());
    let marks = tempfile::tempdir().unwrap();
    let runs_file = marks.path().join("runs");
    let service = Service::start(&server, noted(&runs_file, "exec sleep 600"), LEASE);
    let _runner = service.runner(dir.path(), 1, true);
    service.hand_out(Kind::Command, &tries(1));
    wait_for("the report", || !service.seen.lock().unwrap().reports.is_empty());
    let reason = "bandit".to_owned();
    let stop = ToRunner::StopTrial { study: STUDY, before: 2, configuration: 1, entity: 0, reason };
    let asked = Instant::now();
    service.hint(&stop);
    service.await_end(key(1));
    // A second on an idle machine.
    assert!(asked.elapsed() < LONG, "{:?}", asked.elapsed());
    let stopped = End::Stopped { value: Some(1.0), reason: "bandit".into() };
    assert_eq!(service.outcomes()[0].end, stopped);
}

#[test]
fn models_come_in_the_letter_with_data_from_the_service() {
    let (server, dir) = (Server::start(), place());
    let home = tempfile::tempdir().unwrap();
    let job = "type: sweep\nname: s\ntraining_data: {path: data.csv}\ntarget_column_name: y\n\
               task: regression\npartition_column_names: [store]\ntrial: {learner: ridge}\n\
               search_space:\n  alpha: {type: float, min: 0.1, max: 1.0}\n\
               sampling_algorithm: random\n\
               objective: {goal: minimize, primary_metric: root_mean_squared_error}\n\
               n_cross_validations: 3\nlimits: {max_total_trials: 3}\n";
    let rows: String = (0..60).map(|row| format!("{},{},{}\n", row % 2, row, 3 * row)).collect();
    std::fs::write(home.path().join("data.csv"), format!("store,x,y\n{rows}")).unwrap();
    let study = Job::read("job.yaml", job).unwrap().study().unwrap();
    let gathered = gather(&study, home.path(), &dir.path().join("x"), Origins::Untold).unwrap();
    let material = Some(gathered.digest());
    let service = Service::start(&server, StudySpec { material, ..spec(job.into()) }, LEASE);
    {
        let mut answers = service.answers.lock().unwrap();
        answers.blobs.insert(gathered.digest(), gathered.manifest.bytes());
        for (digest, path) in &gathered.sources {
            answers.blobs.insert(digest.clone(), std::fs::read(path).unwrap());
        }
    }
    std::fs::remove_file(home.path().join("data.csv")).unwrap();
    let _runner = service.runner(dir.path(), 2, false);
    let configuration = Configuration(vec![("alpha".into(), Setting::Value(Value::Float(0.5)))]);
    let tried = Numbered { number: 0, configuration };
    let block = Block { tried, entities: vec![0..2; 1] };
    let assignment = |number, task| Assignment { key: key(number), task };
    service.hand_out(Kind::Fit, &assignment(1, AssignmentTask::Try(vec![block.clone()])));
    assert_eq!(service.await_end(key(1)), FromRunner::Done { of: key(1) });
    let completed = |end: &End| matches!(end, End::Completed { value } if value.is_finite());
    assert_eq!(service.outcomes().iter().filter(|outcome| completed(&outcome.end)).count(), 2);

    service.hand_out(Kind::Fit, &assignment(2, AssignmentTask::Refit(vec![block])));
    service.await_end(key(2));
    let seen = service.seen.lock().unwrap();
    let refitted = seen.ends.iter().find_map(|message| match message {
        FromRunner::Refitted { models, .. } => Some(models),
        _ => None,
    });
    let models = refitted.unwrap();
    assert_eq!(models.len(), 2);
    for refit in models {
        let address = refit.model.as_ref().unwrap();
        assert_eq!(address.pack, ATTACHED);
        let bytes = &seen.models[&address.digest];
        assert_eq!(blake3::hash(bytes).to_hex().as_str(), address.digest);
    }
}

#[test]
fn a_model_too_large_for_a_letter_goes_ahead_of_it() {
    let (server, dir) = (Server::start(), place());
    let home = tempfile::tempdir().unwrap();
    // Its model is its rows.
    let job = "type: sweep\nname: s\ntraining_data: {path: data.csv}\ntarget_column_name: y\n\
               task: regression\ntrial: {learner: knn}\n\
               search_space:\n  n_neighbors: {type: int, min: 1, max: 5}\n\
               sampling_algorithm: random\n\
               objective: {goal: minimize, primary_metric: root_mean_squared_error}\n\
               n_cross_validations: 3\nlimits: {max_total_trials: 3}\n";
    let rows: String = (0..60_000).map(|row| format!("{row},{},{}\n", row % 7, 3 * row)).collect();
    std::fs::write(home.path().join("data.csv"), format!("a,b,y\n{rows}")).unwrap();
    let study = Job::read("job.yaml", job).unwrap().study().unwrap();
    let gathered = gather(&study, home.path(), &dir.path().join("x"), Origins::Told).unwrap();
    let material = Some(gathered.digest());
    let service = Service::start(&server, StudySpec { material, ..spec(job.into()) }, LEASE);
    // The data itself is on this machine: nobody asks for it.
    let manifest = gathered.manifest.bytes();
    service.answers.lock().unwrap().blobs.insert(gathered.digest(), manifest);
    let _runner = service.runner(dir.path(), 1, false);
    let configuration = Configuration(vec![("n_neighbors".into(), Setting::Value(Value::Int(2)))]);
    let block = Block { tried: Numbered { number: 0, configuration }, entities: vec![0..1; 1] };
    let task = AssignmentTask::Refit(vec![block]);
    service.hand_out(Kind::Fit, &Assignment { key: key(1), task });
    assert_eq!(service.await_end(key(1)), FromRunner::Done { of: key(1) });
    let seen = service.seen.lock().unwrap();
    let FromRunner::Refitted { models, .. } = &seen.ends[0] else { panic!("{:?}", seen.ends) };
    let address = models[0].model.as_ref().unwrap();
    assert_eq!((address.pack, address.offset), (UPLOADED, 0));
    let bytes = &seen.files[&format!("models/{}", address.digest)];
    assert_eq!(bytes.len(), address.length as usize);
    assert_eq!(blake3::hash(bytes).to_hex().as_str(), address.digest);
}

#[test]
fn what_a_program_writes_into_its_outputs_arrives() {
    let (server, dir) = (Server::start(), place());
    let command = "mkdir ${{outputs.model}}/deep; echo weights > ${{outputs.model}}/deep/w.txt; \
                   cd ${{outputs.model}}; ln -s deep/w.txt linked; ln -s /etc/hostname far; \
                   ln -s . round; ln -s deep/.. up; mkdir -p no/thing; cd - > /dev/null; echo loss=1; head -c 1000000 /dev/zero > ${{outputs.model}}/big; \
                   echo '{\"metric\": \"loss\", \"value\": 1}'";
    let job = format!(
        "type: sweep\nname: s\ntrial:\n  command: {command:?}\n\
         outputs:\n  model: {{type: uri_folder}}\nsearch_space:\n  x: [1, 2, 3]\n\
         sampling_algorithm: grid\nobjective: {{goal: minimize, primary_metric: loss}}\n\
         limits: {{max_total_trials: 3}}\n"
    );
    let service = Service::start(&server, spec(job), LEASE);
    let _runner = service.runner(dir.path(), 1, true);
    service.hand_out(Kind::Command, &tries(1));
    assert_eq!(service.await_end(key(1)), FromRunner::Done { of: key(1) });
    // They are there before the end is told.
    let seen = service.seen.lock().unwrap();
    assert_eq!(seen.files["outputs/model/deep/w.txt"], b"weights\n");
    assert_eq!(seen.files["outputs/model/big"], vec![0; 1_000_000]);
    let link = |at: &str| String::from_utf8_lossy(&seen.files[&format!("links/{at}")]).into_owned();
    assert_eq!(link("outputs/model/linked"), "deep/w.txt");
    assert_eq!((link("outputs/model/round"), link("outputs/model/up")), (".".into(), ".".into()));
    assert_eq!(seen.files["folders/outputs/model/no/thing"], b"");
    let log = String::from_utf8_lossy(&seen.files["log.txt"]);
    assert!(log.starts_with("loss=1\n"), "{log}");
    let far = "outputs/model/far";
    assert!(!seen.files.keys().any(|at| at.ends_with(far)), "{:?}", seen.files.keys());
    assert!(log.contains(&format!("{far} was not kept: it is a link")), "{log}");
}

#[test]
fn nothing_is_wrong_with_what_a_deleted_study_leaves() {
    let (server, dir) = (Server::start(), place());
    let marks = tempfile::tempdir().unwrap();
    let (runs_file, word) = (marks.path().join("runs"), marks.path().join("word"));
    let service = Service::start(&server, noted(&runs_file, &hold(&word)), LEASE);
    let runner = service.runner(dir.path(), 1, true);
    service.hand_out(Kind::Command, &tries(1));
    wait_for("the trial to begin", || runs(&runs_file) == 1);
    service.answers.lock().unwrap().refusal = Some(DELETED);
    std::fs::write(&word, "").unwrap();
    assert_eq!(service.await_end(key(1)), FromRunner::Done { of: key(1) });
    // Nor with one that is over before anything of it was here.
    for (number, refusal) in [(2, DELETED), (3, OVER)] {
        service.answers.lock().unwrap().refusal = Some(refusal);
        // NATS tells assignments apart by their numbers alone.
        let of = AssignmentKey { study: StudyId(number), number: number.into(), attempt: 1 };
        service.hand_out(Kind::Command, &Assignment { key: of, ..tries(1) });
        let end = service.await_end(of);
        let FromRunner::Returned { reason: Some(reason), .. } = &end else { panic!("{end:?}") };
        assert!(reason.ends_with(refusal), "{reason}");
    }
    no_trouble(&service, &runner);
}

#[test]
fn a_trial_without_a_log_is_no_trouble() {
    let (server, dir) = (Server::start(), place());
    let marks = tempfile::tempdir().unwrap();
    let runs_file = marks.path().join("runs");
    let work = dir.path().join("work");
    // As one whose folder went with its study.
    let remove = format!("find '{}' -name log.txt -delete", work.display());
    let service = Service::start(&server, noted(&runs_file, &remove), LEASE);
    let runner = service.runner(dir.path(), 1, true);
    service.hand_out(Kind::Command, &tries(1));
    assert_eq!(service.await_end(key(1)), FromRunner::Done { of: key(1) });
    assert_eq!(runs(&runs_file), 1);
    assert!(!service.seen.lock().unwrap().files.contains_key("log.txt"));
    no_trouble(&service, &runner);
}

/// Waits until the runner has told how it is since, which is well.
fn no_trouble(service: &Service, runner: &RunnerProcess) {
    let n_beats = || service.seen.lock().unwrap().beats.len();
    let before = n_beats();
    wait_for("two more beats", || n_beats() >= before + 2);
    let said = runner.said.lock().unwrap();
    assert!(said.iter().all(|text| text.contains("working for service")), "{said:?}");
    let seen = service.seen.lock().unwrap();
    assert!(seen.beats.iter().all(|beat| beat.troubles.is_empty()), "{:?}", seen.beats);
}

#[test]
fn programs_are_left_to_runners_that_run_them() {
    let (server, dir) = (Server::start(), place());
    let marks = tempfile::tempdir().unwrap();
    let runs_file = marks.path().join("runs");
    let service = Service::start(&server, noted(&runs_file, "true"), LEASE);
    let _runner = service.runner(dir.path(), 1, false);
    service.hand_out(Kind::Command, &tries(1));
    // Whoever says that a program is a fit is not believed.
    service.hand_out(Kind::Fit, &tries(2));
    let end = service.await_end(key(2));
    let FromRunner::Returned { reason: Some(reason), .. } = &end else { panic!("{end:?}") };
    assert!(reason.contains("--allow-commands"), "{reason}");
    wait_for("the trouble to be told", || {
        let seen = service.seen.lock().unwrap();
        seen.beats.iter().any(|beat| beat.troubles.iter().any(|it| it == reason))
    });
    wait_for("the acknowledgement", || service.n_work() == 1);
    assert_eq!(runs(&runs_file), 0);
}

#[test]
fn a_runner_says_that_its_service_is_not_there() {
    let (server, dir) = (Server::start(), place());
    let service = Service::start(&server, command("true"), LEASE);
    let runner = service.runner_for(Some("nosuchservice"), dir.path(), 1, true);
    let there = service.subjects.service().to_owned();
    let told = || {
        let said = runner.said.lock().unwrap();
        let told = said.iter().filter(|text| text.contains("service nosuchservice is not there"));
        told.cloned().collect::<Vec<String>>()
    };
    wait_for("it says so", || !told().is_empty());
    assert!(told()[0].contains(&format!("there is {there}.")), "{:?}", told());
    assert_eq!(runner.bus.as_ref().unwrap().refused(), None, "it waits");
    // It is not told again with every look.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(told().len(), 1);
}

#[test]
fn what_runs_is_told_to_a_service_that_was_updated() {
    let (server, dir) = (Server::start(), place());
    let marks = tempfile::tempdir().unwrap();
    let (runs_file, word) = (marks.path().join("runs"), marks.path().join("word"));
    let lease = Duration::from_secs(1);
    let service = Service::start(&server, noted(&runs_file, &hold(&word)), lease);
    let runner = service.runner(dir.path(), 2, true);
    service.hand_out(Kind::Command, &tries(1));
    wait_for("the trial to begin", || runs(&runs_file) == 1);
    let newer = VERSION + 1;
    service.answers.lock().unwrap().welcome = Welcome::Refused { reason: "too old".into() };
    service.wire.store(newer, Ordering::Relaxed);
    wait_for("the runner to notice", || {
        let said = runner.said.lock().unwrap();
        let both = [format!("with wire version {newer}"), format!("with wire version {VERSION}")];
        said.iter().any(|text| both.iter().all(|one| text.contains(one)))
    });
    service.hand_out_as(newer, Kind::Command, &tries(2));
    // The lease is kept, and the service hears who is at it.
    let noticed = Instant::now();
    wait_for("more beats", || {
        let seen = service.seen.lock().unwrap();
        let beats = seen.beats.iter().filter(|beat| beat.holds.contains(&key(1))).count();
        noticed.elapsed() > 3 * lease && beats > 1
    });
    let bus = runner.bus.as_ref().unwrap();
    assert_eq!((bus.refused(), bus.busy(), service.outcomes().len()), (None, 1, 0));
    std::fs::write(&word, "").unwrap();
    assert_eq!(service.await_end(key(1)), FromRunner::Done { of: key(1) });
    wait_for("the end of a runner that nobody takes", || bus.refused().is_some());
    assert_eq!((service.outcomes().len(), runs(&runs_file)), (1, 1), "nothing ran twice");
    // The other one is left to others, or went back where it met a request that stood already.
    let back = FromRunner::Returned { of: key(2), reason: None };
    let went_back = service.seen.lock().unwrap().ends.contains(&back);
    assert_eq!(service.n_work(), u64::from(!went_back));
}

#[test]
fn work_in_a_letter_of_a_later_version_goes_back_at_once() {
    let (server, dir) = (Server::start(), place());
    let service = Service::start(&server, command("true"), LEASE);
    let _runner = service.runner(dir.path(), 1, true);
    service.hand_out_as(VERSION + 1, Kind::Command, &tries(1));
    // Held against nothing.
    assert_eq!(service.await_end(key(1)), FromRunner::Returned { of: key(1), reason: None });
    wait_for("the acknowledgement", || service.n_work() == 0);
}

#[test]
fn a_runner_that_nobody_takes_says_why_and_ends() {
    let (server, dir) = (Server::start(), place());
    let service = Service::start(&server, command("true"), LEASE);
    service.answers.lock().unwrap().welcome =
        Welcome::Refused { reason: "it speaks version 0 of the wire, not 1".into() };
    let runner = service.runner(dir.path(), 1, true);
    let mut refused = None;
    wait_for("the refusal", || {
        refused = runner.bus.as_ref().unwrap().refused();
        refused.is_some()
    });
    let said = runner.said.lock().unwrap();
    let times = said.iter().filter(|text| text.contains("speaks version 0")).count();
    assert_eq!(times, 1, "{said:?}");
}
