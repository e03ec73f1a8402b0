//! The journal from outside: what goes in comes out, whole or not at all, whatever is killed.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may")]

#[path = "journal/backup.rs"]
mod backup;
#[path = "journal/flat.rs"]
mod flat;
#[path = "journal/formats.rs"]
mod formats;
#[path = "journal/kill.rs"]
mod kill;
#[path = "journal/recipe.rs"]
mod recipe;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fleetfit_scheduler::journal::{Index, Journal, JournalError, NewStudy, Status, Summary};
use fleetfit_scheduler::{EndedBy, Fact, Mark};
use fleetfit_search_spaces::wire::{ModelAddress, Refit};
use fleetfit_search_spaces::{Configuration, End, EntityKey, Outcome, Report, Setting, Value};
use proptest::prelude::*;

pub(crate) fn study(name: &str, entities: u32) -> NewStudy {
    let key = |entity| EntityKey(vec![("store".into(), Value::Int(i64::from(entity)))]);
    NewStudy {
        large: Vec::new(),
        name: name.into(),
        job_file: "jobs/job.yaml".into(),
        base_dir: "/home/me/jobs".into(),
        job_text: "type: sweep\n".into(),
        sets: vec![("limits.timeout".into(), "60".into())],
        canonical: "{}".into(),
        data_digest: Some("abc".into()),
        seed: 42,
        created_ms: 1_700_000_000_123,
        entities: (0..entities).map(key).collect(),
        ..NewStudy::default()
    }
}

pub(crate) fn completed(configuration: u32, entity: u32, value: f64) -> Outcome {
    Outcome {
        configuration,
        entity,
        end: End::Completed { value },
        fits: 3,
        started_ms: 1_700_000_000_000 + u64::from(configuration),
        ended_ms: 1_700_000_000_250 + u64::from(configuration),
        reports: Vec::new(),
        further: Vec::new(),
    }
}

/// Facts with every block of outcomes and of models joined to its neighbour: what is kept.
fn joined(facts: impl IntoIterator<Item = Fact>) -> Vec<Fact> {
    let mut joined: Vec<Fact> = Vec::new();
    for fact in facts {
        match (joined.last_mut(), fact) {
            (Some(Fact::Ended { outcomes }), Fact::Ended { outcomes: more }) => {
                outcomes.extend(more);
            }
            (Some(Fact::Refitted { models }), Fact::Refitted { models: more }) => {
                models.extend(more);
            }
            (_, Fact::Ended { outcomes }) if outcomes.is_empty() => {}
            (_, fact) => joined.push(fact),
        }
    }
    joined
}

fn stored(journal: &Journal, name: &str) -> Vec<Fact> {
    let id = journal.find(name).unwrap().unwrap().id;
    journal.facts(id).collect::<Result<_, _>>().unwrap()
}

pub(crate) fn bytes_in(dir: &Path) -> u64 {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let about = entry.metadata().unwrap();
        sum += if about.is_dir() { bytes_in(&entry.path()) } else { about.len() };
    }
    sum
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-1e300..1e300f64).prop_map(Value::Float),
        ".{0,8}".prop_map(Value::Text),
    ]
}

fn configuration() -> impl Strategy<Value = Configuration> {
    let flat = prop::collection::vec(("[a-z]{1,4}", value().prop_map(Setting::Value)), 0..4)
        .prop_map(Configuration);
    flat.prop_recursive(2, 8, 3, |inner| {
        let setting =
            prop_oneof![value().prop_map(Setting::Value), inner.prop_map(Setting::Nested)];
        prop::collection::vec(("[a-z]{1,4}", setting), 0..4).prop_map(Configuration)
    })
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<i32>().prop_map(f64::from), -1e300..1e300f64, Just(f64::INFINITY)]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let end = prop_oneof![
        4 => number().prop_map(|value| End::Completed { value }),
        1 => (prop::option::of(number()), "[a-c]{0,2}")
            .prop_map(|(value, reason)| End::Stopped { value, reason }),
        1 => ".{0,12}".prop_map(|reason| End::Failed { reason }),
    ];
    let numbers = prop_oneof![0u32..4, any::<u32>()];
    let report = (any::<u64>(), number()).prop_map(|(step, value)| Report { step, value });
    let reports = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(report, 0..5)];
    let times = (any::<u64>(), any::<u64>());
    let further = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(number(), 1..4)];
    (numbers.clone(), numbers.clone(), end, numbers, times, reports, further).prop_map(
        |(configuration, entity, end, fits, (started_ms, ended_ms), reports, further)| Outcome {
            configuration,
            entity,
            end,
            fits,
            started_ms,
            ended_ms,
            reports,
            further,
        },
    )
}

fn refit() -> impl Strategy<Value = Refit> {
    let digest = prop_oneof!["[0-9a-f]{64}", "[0-9a-fA-Z]{0,9}"];
    let address = (digest, any::<u32>(), any::<u64>(), any::<u32>())
        .prop_map(|(digest, pack, offset, length)| ModelAddress { digest, pack, offset, length });
    let model = prop_oneof![address.prop_map(Ok), ".{0,12}".prop_map(Err)];
    (any::<u32>(), any::<u32>(), model).prop_map(|(entity, configuration, model)| Refit {
        entity,
        configuration,
        model,
    })
}

fn mark() -> impl Strategy<Value = Mark> {
    (any::<u64>(), any::<u64>(), prop::collection::vec(any::<u32>(), 0..5))
        .prop_map(|(key, request, numbers)| Mark { key, request, numbers })
}

fn fact() -> impl Strategy<Value = Fact> {
    let by = prop_oneof![
        Just(EndedBy::Trials),
        Just(EndedBy::Timeout),
        Just(EndedBy::Space),
        Just(EndedBy::Cancel),
        Just(EndedBy::ExitScore),
        Just(EndedBy::Improvement),
    ];
    prop_oneof![
        (any::<u32>(), configuration())
            .prop_map(|(number, configuration)| Fact::Proposed { number, configuration }),
        prop::collection::vec(outcome(), 0..30).prop_map(|outcomes| Fact::Ended { outcomes }),
        by.prop_map(|by| Fact::SearchEnded { by }),
        prop::collection::vec(refit(), 0..9).prop_map(|models| Fact::Refitted { models }),
        Just(Fact::Closed),
        any::<u64>().prop_map(|from| Fact::Reopened { from }),
        any::<u64>().prop_map(|elapsed_ms| Fact::Elapsed { elapsed_ms }),
        (prop::collection::vec(configuration(), 0..6), prop::option::of(mark()))
            .prop_map(|(configurations, mark)| Fact::Queued { configurations, mark }),
    ]
}

#[test]
fn facts_come_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let round = std::cell::Cell::new(0);
    let strategy = prop::collection::vec(prop::collection::vec(fact(), 0..5), 0..4);
    let config = ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() };
    proptest!(config, |(groups in strategy)| {
        round.set(round.get() + 1);
        let name = format!("study-{}", round.get());
        let id = journal.create(&study(&name, 1)).unwrap();
        for group in &groups {
            journal.append(id, group, &Index::default()).unwrap();
        }
        prop_assert_eq!(joined(stored(&journal, &name)), joined(groups.concat()));
    });
}

#[test]
fn long_facts_are_cut_and_long_texts_shortened() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let id = journal.create(&study("long", 10)).unwrap();
    let text = "é".repeat(100_000);
    let configuration =
        Configuration(vec![("prompt".into(), Setting::Value(Value::Text(text.clone())))]);
    let many: Vec<Outcome> = (0..40_000).map(|n| completed(n / 7, n % 10, f64::from(n))).collect();
    let mut talkative = completed(0, 0, 1.0);
    talkative.reports =
        (0..3_000).map(|step| Report { step: step * 1_000_003, value: 0.1 }).collect();
    talkative.end = End::Failed { reason: text };
    let facts = [
        Fact::Proposed { number: 0, configuration },
        Fact::Ended { outcomes: many },
        Fact::Ended { outcomes: vec![talkative; 3] },
        Fact::Closed,
    ];
    journal.append(id, &facts, &Index::default()).unwrap();
    let back: Vec<Fact> = journal.facts(id).collect::<Result<_, _>>().unwrap();
    assert!(back.len() > 10, "{} facts", back.len());
    let back = joined(back);
    assert_eq!(back[0], facts[0]);
    let (Fact::Ended { outcomes: back_outcomes }, Fact::Ended { outcomes: many }) =
        (&back[1], &facts[1])
    else {
        panic!("the second fact is a block of outcomes");
    };
    assert_eq!(back_outcomes[..many.len()], many[..]);
    let talkative = &back_outcomes[many.len() + 2];
    assert_eq!(talkative.reports.len(), 2_000);
    let End::Failed { reason } = &talkative.end else { panic!("it failed") };
    assert!(reason.len() <= 4096 && reason.ends_with("éé…"));
    assert_eq!(back[2], Fact::Closed);
    let Fact::Proposed { configuration, .. } = &facts[0] else { panic!("the first is proposed") };
    assert_eq!(journal.configuration(id, 0).unwrap().as_ref(), Some(configuration));
}

#[test]
fn studies_are_found_listed_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let mut zebra = study("zebra", 3_000);
    zebra.job_text = "# a long job\n".repeat(20_000);
    let id = journal.create(&zebra).unwrap();
    journal.create(&study("ant", 0)).unwrap();
    assert!(matches!(
        journal.create(&study("ant", 1)),
        Err(JournalError::NameTaken { name }) if name == "ant"
    ));
    let names = |journal: &Journal| -> Vec<String> {
        journal.list().unwrap().into_iter().map(|record| record.head.name).collect()
    };
    assert_eq!(names(&journal), ["zebra", "ant"]);
    let record = journal.find("zebra").unwrap().unwrap();
    assert_eq!(record.head.job_text, zebra.job_text);
    assert_eq!((record.head.seed, record.head.entities), (42, 3_000));
    assert_eq!(record.head.partition_columns, ["store"]);
    assert_eq!(record.summary.status, Status::Queued);
    assert_eq!(journal.entity_index(id, "2999").unwrap(), Some(2999));
    assert_eq!(journal.entity(id, 17).unwrap().as_ref(), Some(&zebra.entities[17]));
    assert_eq!(journal.entities(id).map(Result::unwrap).collect::<Vec<_>>(), zebra.entities);
    let ant = journal.find("ant").unwrap().unwrap();
    assert_eq!((ant.head.entities, ant.is_partitioned()), (1, false));

    let model = Ok(ModelAddress { digest: "ab".repeat(32), pack: 3, offset: 9, length: 8 });
    let refit = Refit { entity: 2, configuration: 1, model };
    let summary = Summary { status: Status::Stopped, completed: 5, ..Summary::default() };
    let index = Index { summary: summary.clone(), best: vec![(2, 0.25, 1)], ..Index::default() };
    let facts = [Fact::Refitted { models: vec![refit.clone()] }];
    journal.append(id, &facts, &index).unwrap();
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(journal.best(id, 2).unwrap(), Some((0.25, 1)));
    assert_eq!(journal.best(id, 1).unwrap(), None);
    assert_eq!(journal.model(id, 2, 1).unwrap(), Some(refit.model));
    assert_eq!(journal.find("zebra").unwrap().unwrap().summary, summary);

    journal.delete(id).unwrap();
    assert_eq!(names(&journal), ["ant"]);
    assert!(journal.find("zebra").unwrap().is_none());
    assert_eq!(journal.facts(id).count(), 0);
    assert_eq!(journal.entity_index(id, "17").unwrap(), None);
    assert!(matches!(journal.delete(id), Err(JournalError::NoStudy { .. })));
    assert_ne!(journal.create(&study("zebra", 1)).unwrap(), id);
}

/// A study with much to remove, and one that is made with many entities: others are written
/// meanwhile.
#[test]
fn who_creates_or_deletes_lets_others_write() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let live = journal.create(&study("live", 1)).unwrap();
    let large = study("large", 30_000);
    let is_over = AtomicBool::new(false);
    let count_while = |job: &dyn Fn()| {
        is_over.store(false, Ordering::SeqCst);
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                let mut n = 0;
                while !is_over.load(Ordering::SeqCst) {
                    let elapsed = [Fact::Elapsed { elapsed_ms: n }];
                    journal.append(live, &elapsed, &Index::default()).unwrap();
                    n += 1;
                }
                n
            });
            job();
            is_over.store(true, Ordering::SeqCst);
            writing.join().unwrap()
        })
    };
    let written = count_while(&|| assert!(journal.create(&large).is_ok()));
    assert!(written >= 3, "{written} groups were written while a study was created");
    let id = journal.find("large").unwrap().unwrap().id;
    let written = count_while(&|| journal.delete(id).unwrap());
    assert!(written >= 3, "{written} groups were written while a study was deleted");
    assert!(journal.find("large").unwrap().is_none());
    assert_eq!(journal.entities(id).count(), 0);
}

/// Two want one name at a time: one gets it, and nothing of the other is left.
#[test]
fn a_name_goes_to_one_of_two() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    for round in 0..10 {
        let wanted = study(&format!("wanted-{round}"), 3_000);
        let made: Vec<_> = std::thread::scope(|scope| {
            let makers = [(); 2].map(|()| scope.spawn(|| journal.create(&wanted)));
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        let winners: Vec<_> = made.iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{made:?}");
        let found = journal.find(&wanted.name).unwrap().unwrap();
        assert_eq!(found.id, *winners[0]);
    }
    assert_eq!(journal.list().unwrap().len(), 10);
}

/// Groups are whole for readers too, at any moment.
#[test]
fn readers_see_whole_groups_while_one_writes() {
    check_readers(400, 600);
}

/// So small that many share a record, and some begin in one and end in the next.
#[test]
fn readers_see_whole_groups_that_share_a_record() {
    check_readers(400, 1);
}

fn check_readers(groups: u32, entities: u32) {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let id = journal.create(&study("read", 600)).unwrap();
    let writer = journal.clone();
    let writing = std::thread::spawn(move || {
        for n in 0..groups {
            let outcomes = (0..entities).map(|entity| completed(n, entity, 1.0)).collect();
            let elapsed = Fact::Elapsed { elapsed_ms: u64::from(n) };
            let facts = [elapsed.clone(), Fact::Ended { outcomes }, elapsed];
            let best = vec![(n, 1.0, n), (n + 100, 1.0, n)];
            writer.append(id, &facts, &Index { best, ..Index::default() }).unwrap();
        }
    });
    let mut seen = 0;
    while seen < groups as usize {
        let facts: Vec<Fact> = joined(journal.facts(id).map(Result::unwrap));
        assert_eq!(facts.len() % 3, 0, "a torn group");
        let is_whole = |fact: &Fact| match fact {
            Fact::Ended { outcomes } => outcomes.len() == entities as usize,
            _ => true,
        };
        assert!(facts.iter().all(is_whole), "a torn block");
        assert!(facts.len() / 3 >= seen, "groups vanished");
        seen = facts.len() / 3;
        for n in 0..seen as u32 {
            assert!(journal.best(id, n).unwrap().is_some(), "the index is behind the facts");
        }
    }
    writing.join().unwrap();
}

#[test]
fn a_second_opener_is_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let reader = journal.clone();
    let refused = |dir: &Path| match Journal::open(dir) {
        Err(JournalError::InUse { pid, .. }) => pid,
        Err(other) => panic!("refused with {other}"),
        Ok(_) => panic!("opened twice"),
    };
    assert_eq!(refused(dir.path()), Some(std::process::id()));
    drop(journal);
    assert_eq!(refused(dir.path()), Some(std::process::id()), "a clone holds it");
    drop(reader);
    Journal::open(dir.path()).unwrap();
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let error = Journal::open(&dir.path().join("file/journal")).err().unwrap();
    assert!(matches!(error, JournalError::NotWritable { .. }), "{error}");
    assert!(error.to_string().contains("file/journal"), "{error}");
}

#[test]
fn leftovers_of_a_killed_process_do_not_keep_it_closed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("conf"), "half a conf").unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let id = journal.create(&study("kept", 1)).unwrap();
    journal.append(id, &[Fact::Closed], &Index::default()).unwrap();
    drop(journal);
    std::fs::write(dir.path().join("snap.0000000000000999.generating"), "").unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(stored(&journal, "kept"), [Fact::Closed]);
    assert!(!dir.path().join("snap.0000000000000999.generating").exists());
}

/// Whatever byte of sled's own file is hit: an error or the whole truth, never a panic and never
/// something else.
#[test]
fn a_hit_on_the_file_is_an_error_or_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let id = journal.create(&study("hit", 600)).unwrap();
    for n in 0..60u32 {
        let outcomes = (0..600).map(|entity| completed(n, entity, f64::from(n))).collect();
        journal.append(id, &[Fact::Ended { outcomes }], &Index::default()).unwrap();
    }
    let whole = stored(&journal, "hit");
    drop(journal);
    let bytes = std::fs::read(dir.path().join("db")).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let mut errors = 0;
    for round in 0..60usize {
        let copy = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
            }
        }
        if round > 0 {
            let mut bytes = bytes.clone();
            bytes[(round * used / 60 + round).min(used)] ^= 0x5a;
            std::fs::write(copy.path().join("db"), &bytes).unwrap();
        }
        let read = Journal::open(copy.path())
            .and_then(|journal| journal.facts(id).collect::<Result<Vec<Fact>, _>>());
        match read {
            Err(error) if round == 0 => panic!("the untouched copy: {error}"),
            Err(_) => errors += 1,
            Ok(facts) => assert!(facts == whole, "round {round}: {} facts", facts.len()),
        }
    }
    println!("59 hits: {errors} errors, the rest harmless");
    assert!(errors > 0);
}

#[test]
fn a_trial_of_a_block_takes_at_most_16_bytes() {
    const ENTITIES: u32 = 1_000;
    const CONFIGURATIONS: u32 = 100;
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let empty = bytes_in(dir.path());
    let id = journal.create(&study("panel", ENTITIES)).unwrap();
    let mut noise = 1u64;
    let mut random = move || {
        noise =
            noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        noise >> 33
    };
    let mut best = vec![f64::INFINITY; ENTITIES as usize];
    for configuration in 0..CONFIGURATIONS {
        let mut started_ms = 1_700_000_000_000 + random() % 10_000;
        let mut index = Index::default();
        let outcomes: Vec<Outcome> = (0..ENTITIES)
            .map(|entity| {
                let value = random() as f64 / 1e6;
                if value < best[entity as usize] {
                    best[entity as usize] = value;
                    index.best.push((entity, value, configuration));
                }
                started_ms += random() % 200;
                let ended_ms = started_ms + random() % 300;
                Outcome { started_ms, ended_ms, ..completed(configuration, entity, value) }
            })
            .collect();
        journal.append(id, &[Fact::Ended { outcomes }], &index).unwrap();
    }
    let trials = u64::from(ENTITIES * CONFIGURATIONS);
    let packed = journal.fact_bytes(id).unwrap() as f64 / trials as f64;
    drop(journal);
    let on_disk = bytes_in(dir.path());
    println!(
        "{trials} trials: {packed:.1} bytes a trial packed, {:.1} MB on disk ({:.1} MB when empty)",
        on_disk as f64 / 1e6,
        empty as f64 / 1e6
    );
    assert!(packed <= 16.0, "{packed} bytes a trial");
    assert!(!dir.path().join("blobs").read_dir().is_ok_and(|mut files| files.next().is_some()));
}

#[test]
fn a_million_single_trials_are_appended_and_the_best_is_one_lookup() {
    const GROUP: u32 = 200;
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let id = journal.create(&study("single", 1_000)).unwrap();
    let started = Instant::now();
    for group in 0..1_000_000 / GROUP {
        let facts: Vec<Fact> = (group * GROUP..(group + 1) * GROUP)
            .map(|n| Fact::Ended { outcomes: vec![completed(n / 1_000, n % 1_000, f64::from(n))] })
            .collect();
        let best = vec![(group % 1_000, f64::from(group), group / 1_000)];
        journal.append(id, &facts, &Index { best, ..Index::default() }).unwrap();
    }
    let took = started.elapsed();
    let mut lookups: Vec<Duration> = (0..1_000)
        .map(|entity| {
            let started = Instant::now();
            assert!(journal.best(id, entity * 7 % 1_000).unwrap().is_some());
            started.elapsed()
        })
        .collect();
    lookups.sort_unstable();
    let median = lookups[500];
    println!(
        "1,000,000 trials in groups of {GROUP}: {:.4} ms each, {:.0} MB; best: median {median:?}",
        took.as_secs_f64() / 1e3,
        bytes_in(dir.path()) as f64 / 1e6
    );
    assert!(median < Duration::from_millis(1), "{median:?}");
    let counted: usize = journal
        .facts(id)
        .map(|fact| match fact.unwrap() {
            Fact::Ended { outcomes } => outcomes.len(),
            other => panic!("{other:?} was never appended"),
        })
        .sum();
    assert_eq!(counted, 1_000_000);
}
