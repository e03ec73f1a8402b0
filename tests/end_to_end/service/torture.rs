//! Everything that can break is broken at random moments, and nothing is lost or done twice.
//!
//! `FLEETFIT_TORTURE_ROUNDS` sets how often (3), `FLEETFIT_TORTURE_SEED` repeats a printed seed.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::json;

use super::contract::{TELL, assert_once, bests, program_job};
use super::fleet::{Deployment, Fleet};
use super::proxy::Proxy;
use crate::harness::{Place, eventually, panel, signal};

const ENTITIES: u32 = 100;
const CONFIGURATIONS: u32 = 200;
const TRIALS: u64 = (ENTITIES * CONFIGURATIONS) as u64;
const PROGRAMS: u32 = 40;
const RUNNERS: usize = 4;
const LEASE: Duration = Duration::from_secs(2);
/// How long the whole may stand still.
const STANDSTILL: Duration = Duration::from_secs(120);

/// The more rounds, the longer the trials take, so that each round finds something to break.
fn job(rounds: u64) -> String {
    let most_trees = if rounds > 3 { 20 * rounds } else { 30 };
    format!(
        "type: sweep\nname: fleet\ntraining_data: {{path: sales.csv}}\ntarget_column_name: sales\n\
         task: regression\npartition_column_names: [store]\ntrial: {{learner: random_forest}}\n\
         search_space:\n\x20 n_estimators: {{type: int, min: 5, max: {most_trees}}}\n\
         \x20 min_samples_leaf: {{type: int, min: 1, max: 20}}\nsampling_algorithm: random\n\
         objective: {{goal: minimize, primary_metric: mae}}\nn_cross_validations: 3\n\
         limits: {{max_total_trials: {CONFIGURATIONS}, max_concurrent_trials: 16}}\nseed: 11\n"
    )
}

/// What is done to the fleet.
#[derive(Clone, Copy, Debug)]
enum Blow {
    KillRunner,
    KillService,
    KillNats,
    ForgetNats,
    Sleep,
    Cut,
    Slow,
}

const BLOWS: [Blow; 7] = [
    Blow::KillRunner,
    Blow::KillService,
    Blow::KillNats,
    Blow::ForgetNats,
    Blow::Sleep,
    Blow::Cut,
    Blow::Slow,
];

struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn pause(&mut self, least_ms: u64, most_ms: u64) {
        std::thread::sleep(Duration::from_millis(least_ms + self.below(most_ms - least_ms)));
    }

    /// The blows of so many rounds: all kinds in some order, again and again.
    fn blows(&mut self, rounds: usize) -> Vec<Blow> {
        let mut blows = Vec::new();
        while blows.len() < rounds {
            let mut kinds = BLOWS.to_vec();
            while !kinds.is_empty() {
                blows.push(kinds.swap_remove(self.below(kinds.len() as u64) as usize));
            }
        }
        blows.truncate(rounds);
        blows
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

fn strike(fleet: &mut Fleet, proxy: &Proxy, blow: Blow, chance: &mut Chance) {
    let nats = fleet.nats.as_mut().expect("NATS");
    match blow {
        Blow::KillRunner => {
            let which = chance.below(fleet.runners.len() as u64) as usize;
            fleet.runners.swap_remove(which).kill();
            fleet.runner_at(&proxy.url(), &[]);
        }
        Blow::KillService => {
            fleet.service().kill();
            chance.pause(0, 1_000);
            fleet.serve();
        }
        Blow::KillNats | Blow::ForgetNats => {
            nats.kill(matches!(blow, Blow::ForgetNats));
            chance.pause(0, 1_000);
            nats.restart();
        }
        Blow::Sleep => {
            let which = chance.below(fleet.runners.len() as u64) as usize;
            signal(&fleet.runners[which].child, Signal::STOP);
            std::thread::sleep(LEASE + LEASE / 2);
            signal(&fleet.runners[which].child, Signal::CONT);
        }
        Blow::Cut => {
            proxy.cut();
            chance.pause(0, 4_000);
            proxy.mend();
        }
        Blow::Slow => {
            proxy.delay(Duration::from_millis(20 + chance.below(300)));
            chance.pause(500, 2_000);
            proxy.mend();
        }
    }
}

/// The processes that run in a folder, or that name it.
fn processes_of(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
    let mut found = Vec::new();
    for process in entries.map(|entry| entry.path()).filter(|path| is_other(path.as_path())) {
        let words = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        let is_inside =
            std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        if is_inside || words.contains(&folder.display().to_string()) {
            found.push(format!("{}: {words}", process.display()));
        }
    }
    found
}

fn is_other(process: &Path) -> bool {
    let name = process.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.parse::<u32>().is_ok_and(|pid| pid != std::process::id())
}

/// Waits until as many trials are there; nothing may stand still for long.
fn wait_for(fleet: &Fleet, completed: u64) {
    let mut last = fleet.completed("fleet");
    while last < completed {
        let before = last;
        eventually(&format!("more than {before} of {completed} trials"), STANDSTILL, || {
            last = fleet.completed("fleet");
            last > before
        });
    }
}

#[test]
fn nothing_is_lost_and_nothing_is_done_twice() {
    let rounds = number("FLEETFIT_TORTURE_ROUNDS").unwrap_or(3);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos() as u64;
    let seed = number("FLEETFIT_TORTURE_SEED").unwrap_or(now % 1_000_000);
    println!("FLEETFIT_TORTURE_SEED={seed} FLEETFIT_TORTURE_ROUNDS={rounds}");
    let mut chance = Chance(seed);

    let unbroken = Place::new();
    let lease = LEASE.as_secs().to_string();
    let mut fleet = Fleet::without_runners(Deployment::Nats, &["--lease", &lease]);
    for place in [&unbroken, &fleet.place] {
        place.write("sales.csv", &panel(ENTITIES, 36));
        place.write("job.yaml", &job(rounds));
    }
    let expected = unbroken.json(&["run", "job.yaml", "--quiet"]);
    assert_eq!(expected["trials"]["completed"], TRIALS);

    let proxy = Proxy::to(fleet.nats.as_ref().expect("NATS").port);
    for _ in 0..RUNNERS {
        fleet.runner_at(&proxy.url(), &[]);
    }
    let script = format!("sleep 0.2; {TELL}");
    fleet.place.write("programs.yaml", &program_job("programs", &script, PROGRAMS, ""));
    fleet.json(&["submit", "job.yaml"]);
    fleet.json(&["submit", "programs.yaml"]);
    let mut struck = 0;
    for (round, blow) in (1..).zip(chance.blows(rounds as usize)) {
        wait_for(&fleet, TRIALS * round / (rounds + 2));
        chance.pause(0, 300);
        let completed = fleet.completed("fleet");
        struck += u64::from(completed < TRIALS);
        println!("round {round} at {completed} trials: {blow:?}");
        strike(&mut fleet, &proxy, blow, &mut chance);
    }
    println!("{struck} of {rounds} rounds found the study under way");
    assert!(struck > 0, "the study was over before anything broke");
    wait_for(&fleet, TRIALS);
    let view = fleet.wait_until_over("fleet", STANDSTILL);
    assert_eq!(view["status"], "completed", "{view}");
    assert_eq!(view["trials"], json!({"completed": TRIALS, "stopped": 0, "failed": 0}), "{view}");
    assert_once(&fleet.lines(&["trials", "fleet"]), TRIALS as usize);
    let expected = bests(unbroken.lines(&["best", "fleet", "--all"]));
    assert_eq!(expected.len(), ENTITIES as usize);
    assert_eq!(bests(fleet.lines(&["best", "fleet", "--all"])), expected);
    let view = fleet.wait_until_over("programs", STANDSTILL);
    let all = json!({"completed": PROGRAMS, "stopped": 0, "failed": 0});
    assert_eq!(view["trials"], all, "{view}");
    assert_once(&fleet.lines(&["trials", "programs"]), PROGRAMS as usize);

    // Who is told to end ends, and leaves nobody behind.
    for runner in &mut fleet.runners {
        assert_eq!(runner.end(), 0);
    }
    assert_eq!(fleet.service().end(), 0);
    fleet.nats.as_mut().expect("NATS").kill(false);
    eventually("no process is left", STANDSTILL, || processes_of(&fleet.place.path("")).is_empty());
}
