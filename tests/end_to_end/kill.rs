//! `kill -9` at random moments: nothing recorded is lost, nothing counts twice.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::harness::{Place, eventually, panel};

/// How long a loaded machine may take for what takes a moment.
const PATIENCE: Duration = Duration::from_secs(60);

const JOB: &str = "\
type: sweep
name: killed
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
limits: {max_total_trials: 100, max_concurrent_trials: 10}
seed: 11
";

fn place() -> Place {
    let place = Place::new();
    place.write("sales.csv", &panel(20, 400));
    place.write("job.yaml", JOB);
    place
}

/// `FLEETFIT_KILL_SEED`, else another one each time.
fn seed() -> u64 {
    let drawn = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |t| t.as_nanos() as u64);
    match std::env::var("FLEETFIT_KILL_SEED") {
        Ok(seed) => seed.parse().expect("FLEETFIT_KILL_SEED is a whole number"),
        Err(_) => drawn(),
    }
}

#[test]
fn twenty_kills_lose_nothing_and_double_nothing() {
    let seed = seed();
    println!("FLEETFIT_KILL_SEED={seed} repeats these moments");
    let mut state = seed | 1;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let unbroken = place();
    let begun = Instant::now();
    let expected = unbroken.json(&["run", "job.yaml"]);
    assert_eq!(expected["trials"]["completed"], 2_000);
    // On a machine of any speed the twenty moments are spread over most of the work.
    let mut longest_ms = (begun.elapsed().as_millis() as u64 / 14).max(10);
    let place = loop {
        let place = self::place();
        let kills = (0..20).take_while(|_| is_killed(&place, random(longest_ms))).count();
        println!("{kills} kills within {longest_ms} ms each");
        if kills >= 15 {
            break place;
        }
        // The machine had more to do before: the study ended too soon, and another one begins.
        longest_ms /= 2;
        assert!(longest_ms > 0, "the study ended after {kills} kills");
    };
    let ran = place.json(&["run", "job.yaml"]);
    assert_eq!(ran["trials"], expected["trials"]);
    assert_eq!(ran["fits"], expected["fits"]);
    assert_eq!(ran["best"]["value"], expected["best"]["value"]);
    assert_eq!(ran["best"]["trial"], expected["best"]["trial"]);
    let trials = place.lines(&["trials", "killed"]);
    let distinct: HashSet<String> =
        trials.iter().map(|trial| format!("{} {}", trial["trial"], trial["entity"])).collect();
    assert_eq!((trials.len(), distinct.len()), (2_000, 2_000));
    let values = |place: &Place| {
        let bests = place.lines(&["best", "killed", "--all"]);
        let value = |best: &serde_json::Value| (best["value"].clone(), best["trial"].clone());
        bests.iter().map(value).collect::<Vec<_>>()
    };
    assert_eq!(values(&place), values(&unbroken));
}

/// Runs the job, and kills that after so long. False where it ended before.
fn is_killed(place: &Place, after_ms: u64) -> bool {
    let mut child = place.start(&["run", "job.yaml", "--quiet"]);
    std::thread::sleep(Duration::from_millis(after_ms));
    if child.try_wait().expect("its state").is_some() {
        return false;
    }
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    true
}

#[test]
fn no_program_outlives_a_killed_fleetfit() {
    let place = Place::new();
    let mark = place.path("mark").display().to_string();
    place.write(
        "job.yaml",
        &format!(
            "type: sweep\nname: orphan\ntrial:\n  command: 'echo $$ > {mark}; exec sleep 1000; \
             : ${{{{search_space.x}}}}'\nsearch_space:\n  x: [1, 2]\nsampling_algorithm: grid\n\
             objective: {{goal: minimize, primary_metric: loss}}\nlimits: {{max_total_trials: 2, \
             max_concurrent_trials: 1}}\n"
        ),
    );
    let mut child = place.start(&["run", "job.yaml"]);
    let pid = || std::fs::read_to_string(&mark).ok()?.trim().parse::<i32>().ok();
    eventually("the program starts", PATIENCE, || pid().is_some());
    let pid = rustix::process::Pid::from_raw(pid().expect("a pid")).expect("a process");
    rustix::process::test_kill_process(pid).expect("the program runs");
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    eventually("the program is gone", PATIENCE, || {
        rustix::process::test_kill_process(pid).is_err()
    });
}

#[test]
fn the_same_job_in_another_order_goes_on_with_the_same_trials() {
    let place = Place::new();
    let job = |first: &str, second: &str| {
        format!(
            "type: sweep\nname: reordered\ntrial:\n  command: 'sleep 0.03; echo ''{{\"metric\": \
             \"loss\", \"value\": ${{{{search_space.a}}}}}}'' # ${{{{search_space.b}}}}'\nsearch_space:\n\
             {first}{second}sampling_algorithm: grid\nobjective: {{goal: minimize, primary_metric: \
             loss}}\nlimits: {{max_total_trials: 36, max_concurrent_trials: 1}}\nseed: 1\n"
        )
    };
    let (a, b) = ("  a: [1, 2, 3, 4, 5, 6]\n", "  b: [10, 20, 30, 40, 50, 60]\n");
    place.write("job.yaml", &job(a, b));
    let mut child = place.start(&["run", "job.yaml", "--quiet"]);
    eventually("some trials end", PATIENCE, || {
        let status = place.fleetfit(&["status", "reordered", "--output", "json"]);
        status.code == 0 && status.json()["trials"]["completed"].as_u64() > Some(5)
    });
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    place.write("job.yaml", &job(b, a));
    let ran = place.json(&["run", "job.yaml"]);
    assert_eq!(ran["trials"]["completed"], 36);
    let trials = place.lines(&["trials", "reordered"]);
    let distinct: HashSet<String> = trials
        .iter()
        .map(|trial| format!("{} {}", trial["configuration"]["a"], trial["configuration"]["b"]))
        .collect();
    assert_eq!((trials.len(), distinct.len()), (36, 36));
}
