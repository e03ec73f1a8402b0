//! Training on a graphics card that is imagined (`card/`): the binary, its driver calls and its
//! kernels are the real ones, and the processor runs them.

mod gpu_check;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};

use crate::harness::{Place, Ran, eventually, panel, repository, signal};
use crate::service::contract::assert_once;
use crate::service::fleet::{Deployment, Fleet, PATIENCE, Process};

/// The folder of the imagined driver and compiler, made once for all tests, and of the kernels that
/// they ran.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("imagined-card");
        make(&folder, ("driver.cc", "libcuda.so.1"), &[]);
        make(&folder, ("compiler.cc", "libnvrtc.so.13"), &[]);
        folder
    })
}

/// Compiles a library.
fn make(folder: &Path, (source, library): (&str, &str), flags: &[String]) {
    std::fs::create_dir_all(folder).expect("a folder");
    let made = folder.join(format!("{library}-{}", std::process::id()));
    let compiled = Command::new("g++")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"])
        .args(flags)
        .arg("-o")
        .args([&made, &repository("tests/end_to_end/card").join(source)])
        .status()
        .expect("g++, which tests/run installs on Debian");
    assert!(compiled.success(), "{source}");
    std::fs::rename(&made, folder.join(library)).expect("the library in its place");
}

/// A command on a machine with the card, whose driver does so.
pub(crate) fn with_card(mut command: Command, place: &Place, driver: &str) -> Command {
    command
        .env("LD_LIBRARY_PATH", folder())
        .env("KERNELS", folder())
        .env("SHIM", repository("trial-runner/src/cuda/shim"))
        .env("DRIVER", driver)
        .env("XDG_CACHE_HOME", place.path("user-cache"))
        .env("BROUGHT", place.path("brought"))
        .env("COMPILED", place.path("compiled"))
        .env("FIRST", place.path("first"))
        .env("HOLD", place.path("hold"))
        .env("LAUNCHES", place.path("launches"))
        .env("REFUSED", place.path("refused"))
        .env("MEMORY", place.path("memory"));
    command
}

/// A script that can be run, and its path.
fn program(place: &Place, name: &str, text: &str) -> String {
    let path = place.write(name, text);
    let allowed = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, allowed).expect("a program");
    path.display().to_string()
}

fn n_launches(place: &Place) -> usize {
    n_lines(place, "launches")
}

fn n_lines(place: &Place, name: &str) -> usize {
    std::fs::read_to_string(place.path(name)).unwrap_or_default().lines().count()
}

fn job(name: &str) -> String {
    format!(
        "type: sweep\nname: {name}\ntraining_data: {{path: sales.csv}}\n\
         target_column_name: sales\ntask: regression\npartition_column_names: [store]\n\
         trial: {{learner: gradient_boosting}}\n\
         search_space:\n  max_depth: [2, 3]\n  learning_rate: [0.1, 0.3]\n  \
         n_estimators: [5, 8]\nsampling_algorithm: grid\n\
         objective: {{goal: minimize, primary_metric: root_mean_squared_error}}\n\
         n_cross_validations: 2\nseed: 7\n"
    )
}

const STORES: u32 = 6;
const TRIALS: usize = 8 * STORES as usize;

/// What a study found, trial by trial and entity by entity, its name apart.
fn found(place: &Place, study: &str) -> (Vec<Value>, Vec<Value>) {
    let part = |line: Value, names: &[&str]| -> Value {
        names
            .iter()
            .map(|&name| (name.to_owned(), line[name].clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let trials = place.lines(&["trials", study]);
    let trials = trials.into_iter().map(|line| part(line, &["trial", "entity", "state", "value"]));
    let mut trials: Vec<Value> = trials.collect();
    trials.sort_by_key(ToString::to_string);
    let bests = place.lines(&["best", study, "--all"]).into_iter();
    let bests = bests.map(|line| part(line, &["entity", "value", "configuration", "model"]));
    (trials, bests.collect())
}

#[test]
fn a_card_finds_what_the_processor_finds_whatever_becomes_of_it() {
    let place = Place::new();
    place.write("sales.csv", &panel(STORES, 60));
    let run = |name: &str, device: &str, driver: &str| {
        place.write("job.yaml", &job(name));
        let command = place.command(&["run", "job.yaml", "--device", device, "--slots", "2"]);
        let mut command = with_card(command, &place, driver);
        Ran::of(command.output().expect("fleetfit starts")).ok().stderr
    };
    run("on-the-processor", "cpu", "");
    assert_eq!(n_launches(&place), 0);
    let expected = found(&place, "on-the-processor");
    assert_eq!((expected.0.len(), expected.1.len()), (TRIALS, STORES as usize));
    let mut n_before = 0;
    for (name, device, driver, says) in [
        ("on-the-card", "cuda:0", "", "trains on cuda:0 (Imagined Card, 3.0 GiB)"),
        ("by-itself", "auto", "", "trains on cuda:0"),
        ("short-of-memory", "auto", "short", "trains on cuda:0"),
        ("lost-once", "cuda", "lost-once", "cuda:0 was lost, and is used anew: an imagined error"),
        ("lost", "auto", "lost", "cuda:0 was lost 3 times within an hour and is used no more"),
    ] {
        let said = run(name, device, driver);
        assert_eq!(said.matches(says).count(), 1, "{name}: {said}");
        assert_eq!(said.matches(" launches, ").count(), 1, "{name}: {said}");
        assert_eq!(found(&place, name), expected, "{name}: {said}");
        assert!(n_launches(&place) > n_before, "{name}: {said}");
        n_before = n_launches(&place);
        assert_eq!(n_lines(&place, "compiled"), 1, "{name}: what was compiled is kept: {said}");
    }
}

#[test]
fn a_card_that_is_not_there_is_a_mistake_only_where_it_is_asked_for() {
    let place = Place::new();
    place.write("sales.csv", &panel(2, 40));
    place.write("job.yaml", &job("asked"));
    let run = |device: &str, driver: &str| {
        let command = place.command(&["run", "job.yaml", "--device", device]);
        Ran::of(with_card(command, &place, driver).output().expect("fleetfit starts"))
    };
    for (device, driver, says) in [
        ("cuda:3", "", "there is no cuda:3: this machine has cuda:0 (Imagined Card)"),
        ("cuda:0", "bare", "cuda:0 cannot be used: the driver finds no card"),
        ("cuda", "bare", "cuda cannot be used: the driver finds no card"),
        ("cuda:0,1", "", "there is no cuda:1: this machine has cuda:0 (Imagined Card)"),
        ("gpu", "", "write auto, cpu, cuda for every card, or some as cuda:0 or cuda:0,1"),
    ] {
        let ran = run(device, driver);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
    let ran = run("auto", "old").ok();
    let says = "no graphics card is used: the driver is for CUDA 12.8, but 13.0 or later is needed";
    assert_eq!(ran.stderr.matches(says).count(), 1, "{}", ran.stderr);
}

#[test]
fn a_run_says_once_why_it_uses_no_card_where_one_might_train() {
    let place = Place::new();
    place.write("sales.csv", &panel(2, 40));
    place.write("job.yaml", &job("boosted"));
    place.write("neighbours.yaml", &of_neighbours("1, 2"));
    place.write("mixed.yaml", &mixed());
    let command = "type: sweep\nname: command\ntrial: {command: \"echo \
                   '{\\\"metric\\\": \\\"loss\\\", \\\"value\\\": ${{search_space.a}}}'\"}\n\
                   search_space: {a: [1, 2]}\nlimits: {max_total_trials: 2}\n\
                   objective: {goal: minimize, primary_metric: loss}\n";
    place.write("command.yaml", command);
    let patience = "limits={max_total_trials: 8, max_concurrent_trials: 1, patience: 1}";
    // One whose driver finds no card, and one without a driver.
    let machines = [
        ("bare", "no graphics card is used: the driver finds no card\n"),
        ("", "no graphics card is used: the driver's library (libcuda.so.1) is not found\n"),
    ];
    for (driver, says) in machines {
        if driver.is_empty() && Path::new("/dev/nvidiactl").exists() {
            continue;
        }
        let told = |arguments: &[&str]| {
            let mut command = with_card(place.command(arguments), &place, driver);
            if driver.is_empty() {
                command.env_remove("LD_LIBRARY_PATH");
            }
            let ran = Ran::of(command.output().expect("fleetfit starts")).ok();
            assert!(!ran.stdout.contains("graphics card"), "{arguments:?}: {}", ran.stdout);
            ran.stderr
        };
        let data_dir = place.path(&format!("data-{driver}")).display().to_string();
        for (arguments, n_told) in [
            (&["run", "job.yaml"][..], 1),
            (&["run", "job.yaml", "--name", "quiet", "--quiet"], 0),
            (&["run", "job.yaml", "--name", "processor", "--device", "cpu"], 0),
            (&["run", "job.yaml", "--name", "document", "--output", "json"], 1),
            (&["run", "job.yaml", "--name", "patient", "--set", patience], 1),
            (&["resume", "patient"], 1),
            (&["run", "mixed.yaml"], 1),
            (&["run", "neighbours.yaml"], 0),
            (&["run", "command.yaml"], 0),
            // Nothing is trained.
            (&["run", "job.yaml"], 0),
        ] {
            let told = told(&[arguments, &["--data-dir", &data_dir]].concat());
            assert_eq!(told.matches(says).count(), n_told, "{arguments:?}: {told}");
            assert_eq!(told.matches("graphics card").count(), n_told, "{arguments:?}: {told}");
        }
    }
}

#[test]
fn a_runner_and_a_service_say_once_why_they_use_no_card() {
    let says = "no graphics card is used: ";
    let submit = |fleet: &Fleet| {
        fleet.place.write("sales.csv", &panel(2, 40));
        for name in ["first", "second"] {
            let view = fleet.submit("job.yaml", &job(name));
            assert_eq!(view["status"], "completed", "{view}");
        }
    };
    let mut fleet = Fleet::without_runners(Deployment::Nats, &[]);
    let url = fleet.nats.as_ref().expect("NATS").url();
    let command = fleet.runner_command(&url, &["--device", "auto"]);
    fleet.runners.push(Process::start(with_card(command, &fleet.place, "bare")));
    submit(&fleet);
    let said = fleet.runners[0].said();
    assert_eq!(said.matches(says).count(), 1, "{said}");
    assert!(said.contains("no graphics card is used: the driver finds no card"), "{said}");
    // Where there is not even a driver, too.
    if !Path::new("/dev/nvidiactl").exists() {
        let mut fleet = Fleet::without_runners(Deployment::InProcess, &["--device", "auto"]);
        submit(&fleet);
        let said = fleet.service().said();
        assert_eq!(said.matches(says).count(), 1, "{said}");
        assert!(said.contains("the driver's library (libcuda.so.1) is not found"), "{said}");
    }
}

#[test]
fn a_runner_whose_card_is_lost_uses_it_anew_and_nothing_is_done_twice() {
    let mut fleet = Fleet::without_runners(Deployment::Nats, &[]);
    fleet.place.write("sales.csv", &panel(STORES, 60));
    runner(&mut fleet, "lost-once");
    let view = fleet.submit("job.yaml", &job("survivor"));
    assert_eq!(view["trials"], json!({"completed": TRIALS, "stopped": 0, "failed": 0}), "{view}");
    assert_once(&fleet.lines(&["trials", "survivor"]), TRIALS);
    eventually("the runner says so", PATIENCE, || {
        fleet.runners[0].said().matches("cuda:0 was lost, and is used anew").count() == 1
    });
    let n_before = n_launches(&fleet.place);
    let view = fleet.submit("job.yaml", &job("successor"));
    assert_eq!(view["trials"], json!({"completed": TRIALS, "stopped": 0, "failed": 0}), "{view}");
    assert!(n_launches(&fleet.place) > n_before, "the new process uses the card");
    assert_eq!(fleet.runners[0].said().matches("takes work").count(), 1);
    let (_, runners) = fleet.ask("GET", "/api/v1/runners", None);
    let devices = runners["items"].as_array().into_iter().flatten().map(|one| &one["device"]);
    assert!(devices.clone().any(|device| device == "cuda:0 (Imagined Card, 3.0 GiB)"), "{runners}");
}

#[test]
fn data_that_a_card_has_is_not_brought_again() {
    let mut fleet = Fleet::without_runners(Deployment::Nats, &[]);
    fleet.place.write("sales.csv", &panel(STORES, 3_000));
    runner(&mut fleet, "");
    let brought = |name: &str, job: &str| {
        std::fs::remove_file(fleet.place.path("brought")).ok();
        let view = fleet.submit("job.yaml", job);
        assert_eq!(view["trials"]["completed"], TRIALS, "{name}: {view}");
        let told = std::fs::read_to_string(fleet.place.path("brought")).expect("the card is used");
        told.lines().filter_map(|line| line.parse::<u64>().ok()).sum::<u64>()
    };
    let first = brought("first", &job("first"));
    // Other configurations of the same entities.
    let second = brought("second", &job("second").replace("[0.1, 0.3]", "[0.2, 0.25]"));
    assert!(second * 4 < first, "{second} bytes after {first}");
}

#[test]
fn a_card_that_is_lost_again_and_again_is_left_alone() {
    let mut fleet = Fleet::without_runners(Deployment::Nats, &[]);
    fleet.place.write("sales.csv", &panel(STORES, 60));
    let at = runner(&mut fleet, "lost");
    for name in ["orphaned", "adopted"] {
        let view = fleet.submit("job.yaml", &job(name));
        let all = json!({"completed": TRIALS, "stopped": 0, "failed": 0});
        assert_eq!(view["trials"], all, "{view}");
        assert_once(&fleet.lines(&["trials", name]), TRIALS);
    }
    let says = "cuda:0 was lost 3 times within an hour and is used no more; the processor goes on: an \
                imagined error";
    eventually("the runner says so", PATIENCE, || fleet.runners[at].said().contains(says));
    assert_eq!(fleet.runners[at].said().matches(says).count(), 1);
    // Each time a process of its own, in which several launches may have been under way.
    assert_eq!(processes(&fleet.place).len(), 3);
}

/// The processes that launched anything.
fn processes(place: &Place) -> std::collections::BTreeSet<String> {
    let told = std::fs::read_to_string(place.path("launches")).unwrap_or_default();
    told.lines().map(str::to_owned).collect()
}

/// The cards that were launched on, each with the last process that did.
fn used(place: &Place) -> Vec<(u32, i32)> {
    let told = std::fs::read_to_string(place.path("launches")).unwrap_or_default();
    let launch = |line: &str| {
        let (card, process) = line.split_once(' ')?;
        Some((card.parse().ok()?, process.parse().ok()?))
    };
    let latest: std::collections::BTreeMap<u32, i32> = told.lines().filter_map(launch).collect();
    latest.into_iter().collect()
}

/// Begins the job on a device, of two cards, on which launches stand while the file is there.
fn begin(place: &Place, mut command: Command, name: &str, device: &str) -> Child {
    place.write("job.yaml", &job(name));
    command.args(["run", "job.yaml", "--device", device, "--slots", "4"]);
    let mut command = with_card(command, place, "held");
    command.env("CARDS", "2").stderr(Stdio::piped()).stdout(Stdio::null());
    command.spawn().expect("fleetfit starts")
}

/// The processes of these cards, once a launch of each stands.
fn standing(place: &Place, cards: &[u32]) -> Vec<Pid> {
    eventually("launches stand", PATIENCE, || {
        used(place).iter().map(|(card, _)| card).eq(cards.iter())
    });
    let process = |(_, process): &(u32, i32)| Pid::from_raw(*process).expect("a process");
    used(place).iter().map(process).collect()
}

/// What a run said, which has to end well.
fn said(running: Child) -> String {
    let ended = running.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{said}");
    said
}

#[test]
fn processes_of_cards_that_end_or_stand_in_mid_launch_lose_nothing() {
    let place = Place::new();
    place.write("sales.csv", &panel(STORES, 60));
    said(begin(&place, place.command(&[]), "plain", "cpu"));
    let expected = found(&place, "plain");
    for (name, device, cards, sent, says) in [
        ("one", "cuda:1", vec![1], Signal::KILL, "its process ended"),
        ("both", "cuda", vec![0, 1], Signal::KILL, "its process ended"),
        ("stands", "cuda:0", vec![0], Signal::STOP, "its process does not answer"),
    ] {
        std::fs::remove_file(place.path("launches")).ok();
        place.write("hold", "");
        let running = begin(&place, place.command(&[]), name, device);
        let hit = standing(&place, &cards);
        hit.iter().for_each(|&process| kill_process(process, sent).expect("it is there"));
        std::fs::remove_file(place.path("hold")).expect("it is there");
        let said = said(running);
        assert_eq!(found(&place, name), expected, "{name}");
        for ((card, before), (_, after)) in cards.iter().zip(hit).zip(used(&place)) {
            let says = format!("cuda:{card} was lost, and is used anew: {says}");
            assert_eq!(said.matches(&says).count(), 1, "{said}");
            assert_ne!(
                before.as_raw_nonzero().get(),
                after,
                "the new process of cuda:{card} did it"
            );
            assert!(test_kill_process(before).is_err(), "the process that stood is gone");
        }
    }
}

/// As many trials as may wait for the card of one slot, and no more.
const FEW: u32 = 4;

/// A trial of each store that is the card's, and then five that are the processor's.
fn mixed() -> String {
    job("mixed")
        .replace("learner: gradient_boosting", "learner: \"${{search_space.model}}\"")
        .replace(
            "  max_depth: [2, 3]\n  learning_rate: [0.1, 0.3]\n  n_estimators: [5, 8]\n",
            "  model:\n    - {learner: gradient_boosting, n_estimators: [5]}\n    \
             - {learner: knn, n_neighbors: [1, 2, 3, 4, 5]}\n",
        )
}

/// Waits until all trials of the processor's are over, while launches stand; what is told of them.
fn wait_for_the_processor(study: impl Fn() -> Vec<Value>) {
    let completed = || -> Vec<Value> {
        let over = |trial: &Value| trial["state"] == "completed";
        study().into_iter().filter(over).map(|trial| trial["trial"].clone()).collect()
    };
    let all = 5 * FEW as usize;
    eventually("what is not the card's is done", PATIENCE, || completed().len() >= all);
    assert_eq!(completed().len(), all);
    assert!(completed().iter().all(|trial| *trial != json!(0)), "the card's stands");
}

#[test]
fn the_processor_goes_on_while_launches_stand() {
    let place = Place::new();
    place.write("sales.csv", &panel(FEW, 60));
    place.write("hold", "");
    place.write("job.yaml", &mixed());
    let run = |device: &str| {
        let command = ["run", "job.yaml", "--device", device, "--slots", "1", "--name", device];
        let mut command = with_card(place.command(&command), &place, "held");
        command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("fleetfit starts")
    };
    said(run("cpu"));
    let running = run("cuda");
    wait_for_the_processor(|| match place.fleetfit(&["trials", "cuda", "--output", "json"]) {
        told if told.code == 0 => told.lines(),
        // It is not stored yet.
        _ => Vec::new(),
    });
    std::fs::remove_file(place.path("hold")).expect("it is there");
    said(running);
    assert_eq!(found(&place, "cuda"), found(&place, "cpu"));
    // A runner at NATS gets as many more assignments as wait for its card.
    let mut fleet = Fleet::without_runners(Deployment::Nats, &[]);
    fleet.place.write("sales.csv", &panel(FEW, 60));
    fleet.place.write("hold", "");
    runner(&mut fleet, "held");
    fleet.place.write("job.yaml", &mixed());
    fleet.json(&["submit", "job.yaml"]);
    wait_for_the_processor(|| fleet.lines(&["trials", "mixed"]));
    std::fs::remove_file(fleet.place.path("hold")).expect("it is there");
    fleet.wait_until_over("mixed", PATIENCE);
    assert_once(&fleet.lines(&["trials", "mixed"]), 6 * FEW as usize);
}

/// A service with one slot, whose card's launches stand.
fn with_held_card(deployment: Deployment) -> Fleet {
    let mut fleet = Fleet::without_runners(deployment, &[]);
    fleet.place.write("sales.csv", &panel(STORES, 60));
    fleet.place.write("hold", "");
    if deployment == Deployment::Nats {
        runner(&mut fleet, "held");
    } else {
        assert_eq!(fleet.service().end(), 0);
        let command = ["serve", "--listen", "127.0.0.1:0", "--slots", "1", "--device", "cuda:0"];
        let command = with_card(fleet.place.command(&command), &fleet.place, "held");
        let mut service = Process::start(command);
        fleet.url = service.hear("listens on ");
        fleet.service = Some(service);
    }
    fleet
}

/// A job of the processor's alone.
fn of_neighbours(counts: &str) -> String {
    job("neighbours").replace("gradient_boosting", "knn").replace(
        "  max_depth: [2, 3]\n  learning_rate: [0.1, 0.3]\n  n_estimators: [5, 8]\n",
        &format!("  n_neighbors: [{counts}]\n"),
    )
}

/// Trials of the processor's, from beginning to end.
fn neighbours(fleet: &Fleet) {
    fleet.place.write("neighbours.yaml", &of_neighbours("1, 2, 3, 4, 5"));
    fleet.json(&["submit", "neighbours.yaml"]);
    fleet.wait_until_over("neighbours", PATIENCE);
    assert_once(&fleet.lines(&["trials", "neighbours"]), 5 * STORES as usize);
}

#[test]
fn a_study_of_the_processor_s_goes_on_beside_one_whose_launches_stand() {
    for deployment in [Deployment::InProcess, Deployment::Nats] {
        let fleet = with_held_card(deployment);
        fleet.place.write("job.yaml", &job("boosted"));
        fleet.json(&["submit", "job.yaml"]);
        eventually("a launch stands", PATIENCE, || n_launches(&fleet.place) > 0);
        neighbours(&fleet);
        assert_eq!(fleet.completed("boosted"), 0, "its launches stand");
        std::fs::remove_file(fleet.place.path("hold")).expect("it is there");
        fleet.wait_until_over("boosted", PATIENCE);
        assert_once(&fleet.lines(&["trials", "boosted"]), TRIALS);
    }
}

#[test]
fn a_study_of_the_processor_s_begins_though_one_whose_launches_stand_has_all_places() {
    // All that it chooses among are the card's.
    let chosen = job("chosen")
        .replace("learner: gradient_boosting", "learner: \"${{search_space.model}}\"")
        .replace(
            "  max_depth: [2, 3]\n  learning_rate: [0.1, 0.3]\n  n_estimators: [5, 8]\n",
            "  model:\n    - {learner: gradient_boosting, n_estimators: [5], max_depth: [2, 3]}\n    \
             - {learner: ridge, alpha: [0.1, 1.0]}\n",
        );
    // Two for the slot, or three over NATS, and as many more as may wait for the card.
    for (deployment, n_places) in [(Deployment::InProcess, 6), (Deployment::Nats, 7)] {
        let fleet = with_held_card(deployment);
        fleet.place.write("job.yaml", &chosen);
        fleet.json(&["submit", "job.yaml"]);
        eventually("all places are taken", PATIENCE, || {
            let (_, page) = fleet.ask("GET", "/metrics", None);
            let page = page.as_str().expect("a text");
            page.contains(&format!("\nfleetfit_assignments_out {n_places}\n"))
        });
        neighbours(&fleet);
        assert_eq!(fleet.completed("chosen"), 0, "its launches stand");
        std::fs::remove_file(fleet.place.path("hold")).expect("it is there");
        fleet.wait_until_over("chosen", PATIENCE);
        assert_once(&fleet.lines(&["trials", "chosen"]), 4 * STORES as usize);
    }
}

#[test]
fn whoever_interrupts_a_run_does_not_wait_for_a_card_that_stands() {
    let place = Place::new();
    place.write("sales.csv", &panel(STORES, 60));
    place.write("hold", "");
    let running = begin(&place, place.command(&[]), "interrupted", "cuda:0");
    let process = standing(&place, &[0])[0];
    kill_process(process, Signal::STOP).expect("it is there");
    signal(&running, Signal::INT);
    let ended = running.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(130), "{told}");
    // That takes half a minute.
    assert!(!told.contains("does not answer"), "{told}");
    eventually("the process that stood is gone", PATIENCE, || test_kill_process(process).is_err());
    std::fs::remove_file(place.path("hold")).expect("it is there");
    said(begin(&place, place.command(&[]), "interrupted", "cuda:0"));
    assert_once(&place.lines(&["trials", "interrupted"]), TRIALS);
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_whose_program_is_replaced_begins_processes_of_its_own() {
    let place = Place::new();
    place.write("sales.csv", &panel(STORES, 60));
    place.write("hold", "");
    // Beside the binary, so that it can be a link: a copy would be open for writing in whatever other
    // tests begin meanwhile.
    let beside = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let program = beside.path().join("fleetfit");
    std::fs::hard_link(env!("CARGO_BIN_EXE_fleetfit"), &program).expect("a link");
    let mut command = Command::new(&program);
    command.current_dir(place.path("")).env("FLEETFIT_HOME", place.path("home"));
    let running = begin(&place, command, "replaced", "cuda:0");
    let process = standing(&place, &[0])[0];
    std::fs::remove_file(&program).expect("it is there");
    std::fs::write(&program, "another version").expect("a file");
    kill_process(process, Signal::KILL).expect("it is there");
    std::fs::remove_file(place.path("hold")).expect("it is there");
    let said = said(running);
    let says = "cuda:0 was lost, and is used anew: its process ended";
    assert_eq!(said.matches("cuda:0 was lost").count(), 1, "{said}");
    assert_eq!(said.matches(says).count(), 1, "{said}");
    assert_once(&place.lines(&["trials", "replaced"]), TRIALS);
    assert_ne!(used(&place)[0].1, process.as_raw_nonzero().get());
}

#[test]
fn a_driver_that_lacks_something_is_told_of_in_a_sentence() {
    let place = Place::new();
    for (lacks, arguments, code, says) in [
        ("cuDeviceTotalMem_v2", &["devices"][..], 0, "No graphics card: the driver lacks "),
        (
            "cuStreamCreate",
            &["devices", "--measure"][..],
            3,
            "cannot be measured: the driver lacks ",
        ),
        (
            "cuMemsetD8Async",
            &["devices", "--measure"][..],
            3,
            "cannot be measured: the driver lacks ",
        ),
    ] {
        let own = folder().join(format!("without-{lacks}"));
        let flags = [format!("-D{lacks}=anything_else")];
        make(&own, ("driver.cc", "libcuda.so.1"), &flags);
        let mut command = with_card(place.command(arguments), &place, "");
        command.env("LD_LIBRARY_PATH", format!("{}:{}", own.display(), folder().display()));
        let ran = Ran::of(command.output().expect("fleetfit starts"));
        let told = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, code, "{told}");
        let says = format!("{says}{lacks}, which fleetfit needs");
        assert_eq!(told.matches(&says).count(), 1, "{told}");
        assert!(!told.contains("panicked"), "{told}");
    }
}

#[test]
fn what_a_driver_and_a_variable_say_is_told_as_it_is() {
    let place = Place::new();
    let ran = |command: Command, driver: &str| {
        Ran::of(with_card(command, &place, driver).output().expect("fleetfit starts"))
    };
    let told = ran(place.command(&["devices"]), "rude").ok().stdout;
    assert!(told.contains("cuda:0  Imagined\\n\\u{1b}[31mCard, 3.0 GiB"), "{told}");
    // A library that is none is here all the same.
    let own = place.path("drivers");
    std::fs::create_dir_all(&own).expect("a folder");
    std::fs::write(own.join("libcuda.so.1"), "no library").expect("a file");
    let mut broken = place.command(&["devices"]);
    broken.env("LD_LIBRARY_PATH", &own);
    let told = Ran::of(broken.output().expect("fleetfit starts")).ok().stdout;
    let says = "No graphics card: the driver's library (libcuda.so.1) cannot be loaded: ";
    assert!(told.contains(says) && told.contains("libcuda.so.1: file too short"), "{told}");
    place.write("sales.csv", &panel(2, 40));
    place.write("job.yaml", &job("asked"));
    for (value, says, hint) in [
        ("gpu", "invalid value 'gpu' for 'FLEETFIT_DEVICE': write auto, cpu,", ""),
        ("cuda:3", "there is no cuda:3: this machine has", "FLEETFIT_DEVICE asks for it"),
    ] {
        let mut command = place.command(&["run", "job.yaml"]);
        command.env("FLEETFIT_DEVICE", value);
        let ran = ran(command, "");
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains(says) && ran.stderr.contains(hint), "{}", ran.stderr);
        assert!(!ran.stderr.contains("--device"), "{}", ran.stderr);
    }
}

#[test]
fn a_runner_that_is_killed_in_mid_launch_loses_nothing() {
    let mut fleet = Fleet::without_runners(Deployment::Nats, &["--lease", "1"]);
    fleet.place.write("sales.csv", &panel(STORES, 60));
    fleet.place.write("hold", "");
    let at = runner(&mut fleet, "held");
    fleet.place.write("job.yaml", &job("killed"));
    fleet.json(&["submit", "job.yaml"]);
    eventually("a launch stands", PATIENCE, || n_launches(&fleet.place) > 0);
    signal(&fleet.runners[at].child, Signal::KILL);
    fleet.runners[at].kill();
    std::fs::remove_file(fleet.place.path("hold")).expect("the launch is gone");
    runner(&mut fleet, "held");
    let view = fleet.wait_until_over("killed", PATIENCE);
    assert_eq!(view["trials"], json!({"completed": TRIALS, "stopped": 0, "failed": 0}), "{view}");
    assert_once(&fleet.lines(&["trials", "killed"]), TRIALS);
}

#[test]
fn a_runner_that_ends_hands_back_what_waits_for_its_card() {
    let mut fleet = Fleet::without_runners(Deployment::Nats, &[]);
    fleet.place.write("sales.csv", &panel(STORES, 60));
    fleet.place.write("hold", "");
    let at = runner_with(&mut fleet, "held", &["--drain", "0"]);
    fleet.place.write("job.yaml", &job("drained"));
    fleet.json(&["submit", "job.yaml"]);
    eventually("a launch stands", PATIENCE, || n_launches(&fleet.place) > 0);
    assert_eq!(fleet.runners[at].end(), 0);
    std::fs::remove_file(fleet.place.path("hold")).expect("it is there");
    runner(&mut fleet, "held");
    let view = fleet.wait_until_over("drained", PATIENCE);
    assert_eq!(view["trials"], json!({"completed": TRIALS, "stopped": 0, "failed": 0}), "{view}");
    assert_once(&fleet.lines(&["trials", "drained"]), TRIALS);
}

/// Starts a runner on the card; tells which one it is.
fn runner(fleet: &mut Fleet, driver: &str) -> usize {
    runner_with(fleet, driver, &[])
}

fn runner_with(fleet: &mut Fleet, driver: &str, more: &[&str]) -> usize {
    let url = fleet.nats.as_ref().expect("NATS").url();
    let command = fleet.runner_command(&url, &[&["--device", "cuda:0"], more].concat());
    fleet.runners.push(Process::start(with_card(command, &fleet.place, driver)));
    fleet.runners.len() - 1
}
