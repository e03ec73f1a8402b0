//! Memory, disk and waiting stay flat with the number of trials: for one entity whose trials end one
//! by one, and for a thousand whose trials end in large blocks.

use std::collections::BTreeMap;
use std::ops::Range;
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
const ENTITIES: &str = "FLEETFIT_TEST_ENTITIES";

/// Trials: each configuration for every entity; the last one of an entity is its best.
fn group(trials: Range<u32>, entities: u32) -> (Vec<Fact>, Index) {
    let summary = Summary { completed: u64::from(trials.end), ..Summary::default() };
    let last = trials.end - entities.min(trials.end - trials.start)..trials.end;
    let best = last.map(|trial| (trial % entities, value(trial), trial / entities));
    let index = Index { summary, best: best.collect(), ..Index::default() };
    let mut facts = Vec::new();
    for trial in trials {
        let (number, entity) = (trial / entities, trial % entities);
        if entity == 0 {
            let rate = Setting::Value(Value::Float(f64::from(number) / 1e7 + 0.123_456_789));
            let depth = Setting::Value(Value::Int(i64::from(number % 12)));
            let configuration =
                Configuration(vec![("learning_rate".into(), rate), ("max_depth".into(), depth)]);
            facts.push(Fact::Proposed { number, configuration });
        }
        let outcomes = vec![completed(number, entity, value(trial))];
        facts.push(Fact::Ended { outcomes });
    }
    (facts, index)
}

/// Of a trial: the later, the better.
fn value(trial: u32) -> f64 {
    1e7 - f64::from(trial) * 1.000_000_1
}

/// Not a test: the process that is looked at.
#[test]
fn appends_and_tells_what_that_takes() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let dir = Path::new(&dir);
    let number = |name: &str| std::env::var(name).unwrap().parse::<u32>().unwrap();
    let (group_size, trials, entities) = (number(GROUP), number(TRIALS), number(ENTITIES));
    let journal = Journal::open(dir).unwrap();
    let job_text = recipe::COMMAND_JOB.replace("1000,", "10000000,");
    let id = journal.create(&NewStudy { job_text, ..study("flat", entities) }).unwrap();
    let started = Instant::now();
    for first in (0..trials).step_by(group_size as usize) {
        let (facts, index) = group(first..first + group_size, entities);
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

    let last = ((trials - 1) % entities, (value(trials - 1), (trials - 1) / entities));
    let started = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(journal.best(id, last.0).unwrap(), Some(last.1));
    }
    tell("best_us", started.elapsed().as_secs_f64() * 1e3);
    let started = Instant::now();
    for n in 0..1_000 {
        assert!(journal.configuration(id, n * 7919 % (trials / entities)).unwrap().is_some());
    }
    tell("configuration_us", started.elapsed().as_secs_f64() * 1e3);
    drop(journal);

    let started = Instant::now();
    let journal = Journal::open(dir).unwrap();
    tell("open_s", started.elapsed().as_secs_f64());
    let started = Instant::now();
    let record = journal.record(id).unwrap();
    let mut state = StudyState::new(record.study().unwrap(), record.head.seed, entities);
    for fact in journal.facts(id) {
        state.apply(&fact.unwrap());
    }
    tell("replay_s", started.elapsed().as_secs_f64());
    tell("resident_mb_after_replay", proc_number("status", "VmRSS:") / 1e3);
    assert_eq!(state.counts().completed, u64::from(trials));
    assert_eq!(state.best(last.0), Some(last.1));
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
fn measure(trials: u32, group_size: u32, entities: u32) -> BTreeMap<String, f64> {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "flat::appends_and_tells_what_that_takes", "--nocapture"])
        .env(DIR, dir.path())
        .env(GROUP, group_size.to_string())
        .env(TRIALS, trials.to_string())
        .env(ENTITIES, entities.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let pairs = text.lines().filter_map(|line| {
        // On a machine with one core the test's name is on the first line, too.
        let (what, number) = line.split_once("measured ")?.1.split_once(' ')?;
        Some((what.to_owned(), number.parse().unwrap()))
    });
    let measured = pairs.collect();
    println!("{trials} trials of {entities} entities by {group_size}: {measured:#?}");
    measured
}

#[test]
fn a_million_trials_of_one_entity_take_bounded_memory() {
    let measured = measure(1_000_000, 500, 1);
    let resident = |trials: u32| measured[&format!("resident_mb_at_{trials}")];
    // What the store keeps of what was read and written last fills up in the beginning.
    assert!(resident(1_000_000) < 1.25 * resident(400_000) + 5.0, "{measured:?}");
    assert!(resident(1_000_000) < 120.0, "{measured:?}");
    // 80 MB were read for it.
    assert!(measured["resident_mb_after_replay"] < resident(1_000_000) + 35.0, "{measured:?}");
    assert!(measured["disk_mb"] < 300.0, "{measured:?}");
    assert!(measured["packed_bytes"] < 90.0, "{measured:?}");
    assert!(measured["best_us"] < 1_000.0, "{measured:?}");
    assert!(measured["configuration_us"] < 1_000.0, "{measured:?}");
    assert!(measured["open_s"] < 3.0, "{measured:?}");
}

#[test]
fn large_blocks_of_a_thousand_entities_take_bounded_memory() {
    let measured = measure(1_000_000, 4_000, 1_000);
    let resident = |trials: u32| measured[&format!("resident_mb_at_{trials}")];
    // The blocks alone are 18 MB. What is kept of them has to be much less, and soon there.
    assert!(resident(1_000_000) < resident(100_000) + 9.0, "{measured:?}");
    assert!(resident(1_000_000) < resident(500_000) + 3.0, "{measured:?}");
    assert!(measured["packed_bytes"] < 25.0, "{measured:?}");
}

#[test]
fn trials_that_end_one_by_one_do_not_write_much_more_than_they_are() {
    let measured = measure(3_000, 1, 1);
    // Each append reaches the disk, which takes whole blocks of 4 KB.
    assert!(measured["written_bytes"] < 30_000.0, "{measured:?}");
    assert!(measured["resident_mb_at_3000"] < 60.0, "{measured:?}");
}
