//! Memory, disk and waiting stay flat with the number of trials, also for one entity whose trials
//! end one by one.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use fleetfit_scheduler::Fact;
use fleetfit_scheduler::journal::{Index, Journal, NewStudy, Summary};
use fleetfit_scheduler::state::StudyState;
use fleetfit_search_spaces::{Configuration, Setting, Value};

use super::{bytes_in, completed, recipe, study};

const DIR: &str = "FLEETFIT_TEST_FLAT";
const GROUP: &str = "FLEETFIT_TEST_GROUP";
const TRIALS: &str = "FLEETFIT_TEST_TRIALS";

/// Trials of one entity, each with a configuration of its own; the last one is the best.
fn group(numbers: std::ops::Range<u32>) -> (Vec<Fact>, Index) {
    let last = numbers.end - 1;
    let summary = Summary { completed: u64::from(numbers.end), ..Summary::default() };
    let index = Index { summary, best: vec![(0, value(last), last)] };
    let facts = numbers.flat_map(|number| {
        let rate = Setting::Value(Value::Float(f64::from(number) / 1e7 + 0.123_456_789));
        let depth = Setting::Value(Value::Int(i64::from(number % 12)));
        let configuration =
            Configuration(vec![("learning_rate".into(), rate), ("max_depth".into(), depth)]);
        let outcomes = vec![completed(number, 0, value(number))];
        [Fact::Proposed { number, configuration }, Fact::Ended { outcomes }]
    });
    (facts.collect(), index)
}

fn value(number: u32) -> f64 {
    1e7 - f64::from(number)
}

/// Not a test: the process that is looked at.
#[test]
fn appends_and_tells_what_that_takes() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let dir = Path::new(&dir);
    let number = |name: &str| std::env::var(name).unwrap().parse::<u32>().unwrap();
    let (group_size, trials) = (number(GROUP), number(TRIALS));
    let journal = Journal::open(dir).unwrap();
    let job_text = recipe::COMMAND_JOB.replace("1000,", "10000000,");
    let id = journal.create(&NewStudy { job_text, ..study("flat", 0) }).unwrap();
    let started = Instant::now();
    for first in (0..trials).step_by(group_size as usize) {
        let (facts, index) = group(first..first + group_size);
        journal.append(id, &facts, &index).unwrap();
        let done = first + group_size;
        if done % (trials / 10) == 0 {
            tell(&format!("resident_mb_at_{done}"), proc_number("status", "VmRSS:") / 1e3);
        }
    }
    tell("append_us", started.elapsed().as_secs_f64() * 1e6 / f64::from(trials));
    tell("written_bytes", proc_number("io", "write_bytes:") / f64::from(trials));
    tell("disk_mb", bytes_in(dir) as f64 / 1e6);
    let packed = journal.fact_bytes(id).unwrap() as f64;
    tell("packed_bytes", packed / f64::from(trials));

    let started = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(journal.best(id, 0).unwrap(), Some((value(trials - 1), trials - 1)));
    }
    tell("best_us", started.elapsed().as_secs_f64() * 1e3);
    let started = Instant::now();
    for n in 0..1_000 {
        assert!(journal.configuration(id, n * 7919 % trials).unwrap().is_some());
    }
    tell("configuration_us", started.elapsed().as_secs_f64() * 1e3);
    drop(journal);

    let started = Instant::now();
    let journal = Journal::open(dir).unwrap();
    tell("open_s", started.elapsed().as_secs_f64());
    let started = Instant::now();
    let record = journal.record(id).unwrap();
    let mut state = StudyState::new(record.study().unwrap(), record.head.seed, 1);
    for fact in journal.facts(id) {
        state.apply(&fact.unwrap());
    }
    tell("replay_s", started.elapsed().as_secs_f64());
    assert_eq!(state.counts().completed, u64::from(trials));
    assert_eq!(state.best(0), Some((value(trials - 1), trials - 1)));
}

fn tell(what: &str, number: f64) {
    println!("measured {what} {number:.3}");
}

/// A number that the system knows of this process.
fn proc_number(file: &str, field: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/self/{file}")).unwrap();
    let rest = text.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    rest.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A process of its own appends, so that nobody else's memory is counted.
fn measure(trials: u32, group_size: u32) -> BTreeMap<String, f64> {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "flat::appends_and_tells_what_that_takes", "--nocapture"])
        .env(DIR, dir.path())
        .env(GROUP, group_size.to_string())
        .env(TRIALS, trials.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let lines = text.lines().filter_map(|line| line.strip_prefix("measured "));
    let pairs = lines.filter_map(|line| {
        let (what, number) = line.split_once(' ')?;
        Some((what.to_owned(), number.parse().unwrap()))
    });
    let measured = pairs.collect();
    println!("{trials} trials of one entity in groups of {group_size}: {measured:#?}");
    measured
}

#[test]
fn a_million_trials_of_one_entity_take_bounded_memory() {
    let measured = measure(1_000_000, 500);
    let resident = |trials: u32| measured[&format!("resident_mb_at_{trials}")];
    // What the store keeps of what was read and written last fills up in the beginning.
    assert!(resident(1_000_000) < 1.25 * resident(400_000) + 5.0, "{measured:?}");
    assert!(resident(1_000_000) < 120.0, "{measured:?}");
    assert!(measured["disk_mb"] < 300.0, "{measured:?}");
    assert!(measured["packed_bytes"] < 90.0, "{measured:?}");
    assert!(measured["best_us"] < 1_000.0, "{measured:?}");
    assert!(measured["configuration_us"] < 1_000.0, "{measured:?}");
    assert!(measured["open_s"] < 3.0, "{measured:?}");
}

#[test]
fn trials_that_end_one_by_one_do_not_write_much_more_than_they_are() {
    let measured = measure(3_000, 1);
    // Each append reaches the disk, which takes whole blocks of 4 KB.
    assert!(measured["written_bytes"] < 30_000.0, "{measured:?}");
    assert!(measured["resident_mb_at_3000"] < 60.0, "{measured:?}");
}
