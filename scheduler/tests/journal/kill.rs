//! The process is killed at random moments, again and again. Whatever it had acknowledged is there,
//! and the indexes agree with the facts.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime};

use fleetfit_scheduler::Fact;
use fleetfit_scheduler::journal::{Index, Journal, JournalError, Summary};

use super::{completed, joined, study};

const DIR: &str = "FLEETFIT_TEST_JOURNAL";
const FULL: &str = "FLEETFIT_TEST_FULL";
const ENTITIES: u32 = 700;

/// Not a test: the process that is killed. It goes on where the journal ends, and says what is on
/// disk.
#[test]
fn appends_until_it_is_killed() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let journal = Journal::open(Path::new(&dir)).unwrap();
    let id = match journal.find("killed").unwrap() {
        Some(record) => record.id,
        None => journal.create(&study("killed", ENTITIES)).unwrap(),
    };
    let mut best = Vec::new();
    let mut next = check(&journal, &mut best);
    let mut out = std::io::stdout();
    loop {
        let mut index = Index { summary: summary(next + 1), ..Index::default() };
        let (facts, improved) = group(next);
        index.best.extend(improved);
        if let Err(error) = journal.append(id, &facts, &index) {
            assert!(std::env::var_os(FULL).is_some(), "{error}");
            let again = journal.append(id, &facts, &index);
            assert!(matches!(again, Err(JournalError::Broken { .. })), "{again:?}");
            writeln!(out, "refused: {error}").unwrap();
            // As a process does that sees its journal fail.
            std::process::exit(3);
        }
        next += 1;
        writeln!(out, "acked {next}").unwrap();
        out.flush().unwrap();
    }
}

/// The group of this number: a few blocks, and an entity whose best it is.
fn group(n: u32) -> (Vec<Fact>, Option<(u32, f64, u32)>) {
    let value = -f64::from(n);
    let entity = n % ENTITIES;
    let mut facts = vec![Fact::Elapsed { elapsed_ms: u64::from(n) }];
    let outcomes = (0..1 + n % 300).map(|more| completed(n, (entity + more) % ENTITIES, value));
    facts.push(Fact::Ended { outcomes: outcomes.collect() });
    facts.push(Fact::Elapsed { elapsed_ms: u64::from(n) });
    (facts, Some((entity, value, n)))
}

fn summary(groups: u32) -> Summary {
    Summary { completed: u64::from(groups), ..Summary::default() }
}

/// Reads everything, compares it with what must be there, and says how many groups there are.
fn check(journal: &Journal, best: &mut Vec<Option<u32>>) -> u32 {
    let record = journal.find("killed").unwrap().unwrap();
    best.clear();
    best.resize(ENTITIES as usize, None);
    let facts = joined(journal.facts(record.id).map(Result::unwrap));
    let mut facts = facts.into_iter().peekable();
    let mut groups = 0;
    while facts.peek().is_some() {
        let (expected, improved) = group(groups);
        for fact in expected {
            assert_eq!(facts.next(), Some(fact), "group {groups} is torn");
        }
        if let Some((entity, _, n)) = improved {
            best[entity as usize] = Some(n);
        }
        groups += 1;
    }
    assert_eq!(record.summary, summary(groups), "the summary is of another group");
    for (entity, expected) in best.iter().enumerate() {
        let stored = journal.best(record.id, entity as u32).unwrap();
        assert_eq!(stored.map(|(_, n)| n), *expected, "the best of {entity}");
    }
    groups
}

#[test]
fn what_was_acknowledged_survives_twenty_kills() {
    let dir = tempfile::tempdir().unwrap();
    let mut total = 0;
    for round in 0..20 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::appends_until_it_is_killed", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (acknowledge, acknowledged) = channel::<()>();
        let killer = std::thread::spawn(move || {
            // Every other one goes on from something that it wrote, however slow the machine is.
            if round % 2 == 0 {
                acknowledged.iter().take(3).for_each(drop);
            }
            let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            std::thread::sleep(Duration::from_millis(40 + u64::from(clock.subsec_micros()) % 260));
            child.kill().unwrap();
            child.wait().unwrap();
        });
        let mut acked = 0;
        for line in output.lines().map_while(Result::ok) {
            // On a machine with one core the test's name is on the first line, too.
            let told = line.split_once("acked ");
            if let Some(number) = told.and_then(|(_, number)| number.parse().ok()) {
                acked = number;
                // Nobody may wait for it.
                let _ = acknowledge.send(());
            }
        }
        drop(acknowledge);
        killer.join().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        if journal.find("killed").unwrap().is_none() {
            assert_eq!(acked, 0, "round {round}");
            continue;
        }
        let stored = check(&journal, &mut Vec::new());
        assert!(stored >= acked.max(total), "round {round}: {acked} acknowledged, {stored} stored");
        total = stored;
    }
    println!("20 kills, {total} groups");
    assert!(total > 20, "only {total} groups were written in all");
}

/// Files may not grow beyond a limit, which is what a full disk looks like.
#[test]
fn a_full_disk_stops_the_journal_and_keeps_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 24000; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "kill::appends_until_it_is_killed", "--nocapture"])
        .env(DIR, dir.path())
        .env(FULL, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(text.contains("refused: the journal's disk failed while"), "{text}{errors}");
    let acked = text.lines().rev().find_map(|line| Some(line.split_once("acked ")?.1)).unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let stored = check(&journal, &mut Vec::new());
    println!("{acked} acknowledged before the disk was full, {stored} stored");
    assert!(stored >= acked.parse().unwrap());
}
