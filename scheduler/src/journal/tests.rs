//! What a damaged, foreign or broken store does, seen from inside.

use fleetfit_search_spaces::wire::ModelAddress;
use fleetfit_search_spaces::{Configuration, End, Outcome, Report, Setting, Value};
use proptest::prelude::*;

use super::*;
use crate::engine::{AskError, Engine, Note, OpenStudy, Outlets, Told, TrialResult};
use crate::event::EndedBy;

fn study(name: &str, entities: u32) -> NewStudy {
    let key = |entity| EntityKey(vec![("store".into(), Value::Int(i64::from(entity)))]);
    NewStudy {
        large: Vec::new(),
        name: name.into(),
        job_file: "job.yaml".into(),
        base_dir: "/".into(),
        job_text: "type: sweep".into(),
        sets: Vec::new(),
        canonical: "{}".into(),
        data_digest: None,
        seed: 1,
        created_ms: 0,
        entities: (0..entities).map(key).collect(),
        ..NewStudy::default()
    }
}

fn ended(entity: u32) -> Fact {
    Fact::Ended {
        outcomes: vec![Outcome {
            configuration: 0,
            entity,
            end: End::Completed { value: 0.5 },
            fits: 1,
            started_ms: 1,
            ended_ms: 2,
            reports: Vec::new(),
        }],
    }
}

fn one_fact(dir: &Path) -> (Journal, StudyId) {
    let journal = Journal::open(dir).unwrap();
    let id = journal.create(&study("one", 2)).unwrap();
    let index = Index { best: vec![(0, 0.5, 0)], ..Index::default() };
    journal.append(id, &[ended(0)], &index).unwrap();
    (journal, id)
}

#[test]
fn a_changed_byte_is_an_error_that_names_the_record() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, id) = one_fact(dir.path());
    let length = seal_length(&journal, id);
    for at in 0..length {
        journal.store.damage(Table::Facts, &id.with(0), |value| value[at] ^= 0x10);
        let error = journal.facts(id).next().unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the journal is damaged: the record 000000000000000000000000 of facts; \
             restore it from a backup"
        );
        journal.store.damage(Table::Facts, &id.with(0), |value| value[at] ^= 0x10);
    }
    assert_eq!(journal.facts(id).next().unwrap().unwrap(), ended(0));
    journal.store.damage(Table::Best, &[0; 8], |value| value.truncate(3));
    assert!(matches!(journal.best(id, 0), Err(JournalError::Corrupt { .. })));
    journal.store.damage(Table::Names, b"one", |value| value[1] ^= 1);
    assert!(matches!(journal.find("one"), Err(JournalError::Corrupt { .. })));
}

/// Each kind of damage that keeps a study from being read, and the others are served.
#[test]
fn one_damaged_study_does_not_hide_the_others() {
    let check = |table: Table, key: &[u8]| {
        let dir = tempfile::tempdir().unwrap();
        let (journal, id) = one_fact(dir.path());
        journal.create(&study("before", 1)).unwrap();
        let other = journal.create(&study("zebra", 1)).unwrap();
        let running = Index {
            summary: Summary { status: Status::Running, ..Summary::default() },
            ..Index::default()
        };
        journal.append(other, &[], &running).unwrap();
        journal.append(id, &[], &running).unwrap();
        journal.store.damage(table, key, |value| value[2] ^= 1);
        drop(journal);
        let journal = Journal::open(dir.path()).unwrap();
        let listing = journal.listing().unwrap();
        let names: Vec<&str> = listing.records.iter().map(|r| r.head.name.as_str()).collect();
        assert_eq!(names, ["before", "zebra"]);
        assert_eq!(listing.records[1].summary.status, Status::Interrupted);
        let [damaged] = &listing.damaged[..] else { panic!("{:?}", listing.damaged) };
        assert_eq!(damaged.name, "one");
        let expected = format!("of {}; restore it from a backup", table.name());
        assert!(damaged.reason.ends_with(&expected), "{}", damaged.reason);
        assert!(matches!(journal.find("one"), Err(JournalError::Corrupt { .. })));
        assert!(matches!(
            journal.create(&study("one", 1)),
            Err(JournalError::NameTaken { name }) if name == "one"
        ));
        // It can be removed all the same.
        let found = journal.number_of("one").unwrap().unwrap();
        assert_eq!(found, id);
        journal.delete(found).unwrap();
        let listing = journal.listing().unwrap();
        assert_eq!((listing.records.len(), listing.damaged.len()), (2, 0));
        assert!(journal.store.keys(Table::Facts, &id.key(), 1).unwrap().is_empty());
        journal.create(&study("one", 1)).unwrap();
    };
    check(Table::Names, b"one");
    check(Table::Summaries, &[0, 0, 0, 0]);
    check(Table::Studies, &[0, 0, 0, 0, 0, 0]);
}

fn seal_length(journal: &Journal, id: StudyId) -> usize {
    let mut length = 0;
    journal.store.damage(Table::Facts, &id.with(0), |value| length = value.len());
    length
}

/// A record whose checksum is right and whose content is nonsense.
#[test]
fn a_sealed_record_that_means_nothing_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, id) = one_fact(dir.path());
    let payloads: [&[u8]; 8] = [
        &[],
        &[0],
        &[0, 1, 5],
        &[record::MORE, 1, 0],
        &[0, 1, 1, 0, 1, 0, 1, 9, 1, 0, 0],
        &[2, 1],
        &[2, 9, 4],
        &[3, 1, 4],
    ];
    for payload in payloads {
        let key = id.with(0);
        journal.store.damage(Table::Facts, &key, |value| *value = store::seal(&key, payload));
        match journal.facts(id).next() {
            Some(Err(JournalError::Corrupt { .. })) => {}
            // The first piece of a fact whose second was never written: the group was not, either.
            None if payload.first() == Some(&record::MORE) => {}
            other => panic!("{payload:?} was read as {other:?}"),
        }
    }
}

#[test]
fn what_a_newer_version_wrote_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, id) = one_fact(dir.path());
    journal.store.damage(Table::Facts, &id.with(0), |value| {
        let body = [&[store::RECORD_VERSION + 1][..], &value[1..value.len() - 4]].concat();
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&id.with(0));
        hasher.update(&body);
        *value = [body, hasher.finalize().to_le_bytes().to_vec()].concat();
    });
    let error = journal.facts(id).next().unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the record 000000000000000000000000 of facts was written by a newer fleetfit (form 2; \
         this one reads up to 1); use that version"
    );
    let format = (FORMAT + 1).to_be_bytes().to_vec();
    journal.store.commit(&[Write::put(Table::Meta, b"format".to_vec(), format)]).unwrap();
    drop(journal);
    let error = Journal::open(dir.path()).err().unwrap();
    assert!(matches!(error, JournalError::Newer { found: 3, known: 2, .. }), "{error}");
    assert!(error.to_string().contains("was written by a newer fleetfit"), "{error}");
}

#[test]
fn a_handle_of_this_process_that_is_still_closing_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    drop(one_fact(dir.path()));
    let closing = std::fs::File::open(dir.path().join("db")).unwrap();
    rustix::fs::flock(&closing, rustix::fs::FlockOperation::LockExclusive).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(200));
            drop(closing);
        });
        assert_eq!(Journal::open(dir.path()).unwrap().list().unwrap().len(), 1);
    });
}

#[test]
fn after_a_failed_write_every_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, id) = one_fact(dir.path());
    journal.store.break_with("the disk is full");
    for _ in 0..2 {
        let error = journal.append(id, &[ended(1)], &Index::default()).unwrap_err();
        assert_eq!(error.to_string(), "the journal stopped after a failed write: the disk is full");
    }
    assert!(journal.delete(id).is_err());
    assert_eq!(journal.facts(id).count(), 1, "reading goes on");
}

#[test]
fn open_finishes_a_study_that_was_half_deleted_or_half_created() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, id) = one_fact(dir.path());
    let other = journal.create(&study("other", 600)).unwrap();
    journal.append(other, &[ended(599)], &Index::default()).unwrap();
    let half = StudyId(7);
    journal.write_entities(half, 0, &study("half", 10).entities).unwrap();
    let mark = |id: StudyId| Write::put(Table::Unfinished, id.key().to_vec(), Vec::new());
    journal
        .store
        .commit(&[mark(half), mark(id), Write::remove(Table::Names, b"one".to_vec())])
        .unwrap();
    assert!(matches!(journal.record(id), Err(JournalError::NoStudy { number: 0 })));
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    let names: Vec<String> =
        journal.list().unwrap().into_iter().map(|record| record.head.name).collect();
    assert_eq!(names, ["other"]);
    for table in [Table::Facts, Table::Best, Table::Entities, Table::EntityByKey, Table::Unfinished]
    {
        for gone in [id, half] {
            assert!(journal.store.keys(table, &gone.key(), 1).unwrap().is_empty());
        }
    }
    assert_eq!(journal.facts(other).count(), 1);
    assert_eq!(journal.create(&study("one", 1)).unwrap(), StudyId(2), "numbers are not reused");
}

#[test]
fn a_study_that_was_running_is_interrupted_when_nobody_runs_it() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, id) = one_fact(dir.path());
    let other = journal.create(&study("done", 1)).unwrap();
    let summary = |status| Summary { status, completed: 3, ..Summary::default() };
    let index = |status| Index { summary: summary(status), best: Vec::new() };
    journal.append(id, &[], &index(Status::Running)).unwrap();
    journal.append(other, &[], &index(Status::Completed)).unwrap();
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    assert_eq!(journal.summary(id).unwrap(), summary(Status::Interrupted));
    assert_eq!(journal.summary(other).unwrap(), summary(Status::Completed));
}

#[test]
fn a_deleted_study_takes_no_more_facts() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, id) = one_fact(dir.path());
    journal.delete(id).unwrap();
    let error = journal.append(id, &[ended(1)], &Index::default()).unwrap_err();
    assert!(matches!(error, JournalError::NoStudy { number: 0 }), "{error}");
    assert!(journal.store.keys(Table::Facts, &[], 1).unwrap().is_empty());
}

#[test]
fn a_backup_leaves_out_what_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, id) = one_fact(dir.path());
    journal.create(&study("other", 2)).unwrap();
    journal.store.damage(Table::Facts, &id.with(0), |value| value[3] ^= 1);
    let mut bytes = Vec::new();
    let contents = crate::backup::write(&journal, &mut bytes).unwrap();
    assert_eq!(contents.studies, ["other"]);
    assert_eq!(contents.damaged[0].name, "one");
    let copy = tempfile::tempdir().unwrap();
    crate::backup::read(copy.path(), &mut bytes.as_slice()).unwrap();
    let copy = Journal::open(copy.path()).unwrap();
    let names: Vec<_> = copy.list().unwrap().into_iter().map(|record| record.head.name).collect();
    assert_eq!(names, ["other"]);
    for table in [Table::Facts, Table::Entities, Table::Studies, Table::Unfinished] {
        assert!(copy.store.keys(table, &id.key(), 1).unwrap().is_empty());
    }
}

/// A study whose trials are asked for.
fn meaning(name: &str) -> fleetfit_search_spaces::Study {
    const JOB: &str = "type: sweep\nname: NAME\ntrial: external\nsearch_space: {x: [1, 2, 3]}\n\
                       sampling_algorithm: grid\n\
                       objective: {goal: minimize, primary_metric: loss}\n\
                       limits: {max_total_trials: 3}\n";
    let job = fleetfit_search_spaces::Job::read("job.yaml", &JOB.replace("NAME", name));
    job.unwrap().study().unwrap()
}

/// Damage that comes to light when a study is opened, and damage that does when it is written to.
#[test]
fn a_damaged_study_ends_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let names = ["unread", "unwritten", "whole"];
    let ids = names.map(|name| journal.create(&study(name, 1)).unwrap());
    journal.append(ids[0], &[Fact::Elapsed { elapsed_ms: 1 }], &Index::default()).unwrap();
    journal.store.damage(Table::Facts, &ids[0].with(0), |value| value[1] ^= 1);
    journal.store.damage(Table::Summaries, &ids[1].key(), |value| value[1] ^= 1);
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    let outlets = Outlets {
        dispatch: Box::new(|_, _| {}),
        hint: Box::new(|_| {}),
        settled: Box::new(|_| {}),
        ends_runners: false,
    };
    let engine = Engine::start(journal.clone(), outlets).unwrap();
    let handle = engine.handle();
    for (id, name) in ids.into_iter().zip(names) {
        let open = OpenStudy {
            large: Vec::new(),
            id,
            study: meaning(name),
            seed: 1,
            n_entities: 1,
            warm: Vec::new(),
            reopen: false,
            adopted: Vec::new(),
            opened: None,
        };
        assert!(handle.tell(Note::Open(Box::new(open))));
    }
    let lease = std::time::Duration::from_secs(600);
    for name in ["unread", "unwritten"] {
        // Opened, it may wait for its first write.
        let began = std::time::Instant::now();
        let trouble = loop {
            if let Some(trouble) = handle.trouble(name) {
                break trouble;
            }
            assert!(began.elapsed() < std::time::Duration::from_secs(60), "{name}: no trouble");
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        assert_eq!(handle.ask(name, 1, lease), Err(AskError::NotRunning), "{name}");
        assert!(trouble.contains("the journal is damaged"), "{name}: {trouble}");
    }
    let asked = handle.ask("whole", 3, lease).unwrap();
    let end = End::Completed { value: 0.5 };
    let result = |trial: u32| TrialResult { trial, end: end.clone() };
    let results = asked.iter().map(|asked| result(asked.number)).collect();
    assert_eq!(handle.tell_results("whole", results), Ok(vec![Told::Counted; 3]));
    engine.interrupt().unwrap();
    assert_eq!(journal.find("whole").unwrap().unwrap().summary.status, Status::Completed);
    journal.check().unwrap();
}

#[test]
fn who_asks_an_engine_that_failed_hears_why() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let outlets = Outlets {
        dispatch: Box::new(|_, _| {}),
        hint: Box::new(|_| {}),
        settled: Box::new(|_| {}),
        ends_runners: false,
    };
    let engine = Engine::start(journal.clone(), outlets).unwrap();
    let handle = engine.handle();
    let id = journal.create(&study("asked", 1)).unwrap();
    journal.store.break_with("the disk is full");
    let open = OpenStudy {
        large: Vec::new(),
        id,
        study: meaning("asked"),
        seed: 1,
        n_entities: 1,
        warm: Vec::new(),
        reopen: false,
        adopted: Vec::new(),
        opened: None,
    };
    assert!(handle.tell(Note::Open(Box::new(open))));
    let said = "the journal stopped after a failed write: the disk is full";
    let lease = std::time::Duration::from_secs(600);
    let result = || vec![TrialResult { trial: 0, end: End::Completed { value: 0.5 } }];
    // Whether it has failed by then or does so at this very trial.
    assert_eq!(handle.ask("asked", 1, lease).unwrap_err().to_string(), said);
    assert_eq!(handle.ask("asked", 1, lease).unwrap_err().to_string(), said);
    assert_eq!(handle.tell_results("asked", result()).unwrap_err().to_string(), said);
    assert_eq!(handle.report("asked", 0, None, 0.5).unwrap_err().to_string(), said);
    assert_eq!(engine.interrupt().unwrap_err().to_string(), said);
}

#[test]
fn a_journal_whose_folder_is_gone_takes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("journal");
    let (journal, id) = one_fact(&at);
    journal.check().unwrap();
    std::fs::remove_dir_all(&at).unwrap();
    assert!(matches!(journal.check(), Err(JournalError::Removed { dir }) if dir == at));
    // Nor does another one in its place.
    let other = Journal::open(&at).unwrap();
    assert!(matches!(journal.check(), Err(JournalError::Removed { .. })));
    let refused = journal.append(id, &[ended(1)], &Index::default());
    assert!(matches!(refused, Err(JournalError::Removed { .. })));
    let refused = journal.append(id, &[ended(1)], &Index::default());
    assert!(matches!(refused, Err(JournalError::Broken { .. })));
    assert!(matches!(journal.check(), Err(JournalError::Broken { .. })));
    other.check().unwrap();
}

#[test]
fn a_damaged_record_is_left_alone_when_the_study_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, id) = one_fact(dir.path());
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    journal.store.damage(Table::Facts, &id.with(0), |value| value[3] ^= 1);
    journal.append(id, &[ended(1)], &Index::default()).unwrap();
    journal.append(id, &[Fact::Closed], &Index::default()).unwrap();
    let mut facts = journal.facts(id);
    assert!(matches!(facts.next(), Some(Err(JournalError::Corrupt { .. }))));
    assert_eq!(facts.map(Result::unwrap).collect::<Vec<_>>(), [ended(1), Fact::Closed]);
}

#[test]
fn small_facts_share_a_record_whatever_is_closed_in_between() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path()).unwrap();
    let id = journal.create(&study("many", 600)).unwrap();
    let mut expected = Vec::new();
    for n in 0..300 {
        let facts = [ended(n % 600), Fact::Elapsed { elapsed_ms: u64::from(n) }];
        journal.append(id, &facts, &Index::default()).unwrap();
        expected.extend(facts);
        if n % 20 == 0 {
            drop(journal);
            journal = Journal::open(dir.path()).unwrap();
        }
    }
    let records = journal.store.keys(Table::Facts, &id.key(), 1_000).unwrap().len();
    assert!((2..15).contains(&records), "{records} records");
    assert_eq!(journal.facts(id).map(Result::unwrap).collect::<Vec<_>>(), expected);
    let record = journal.record(id).unwrap();
    for entity in [0, 255, 256, 299] {
        let found = journal.blocks(&record, Some(entity), 0).map(Result::unwrap);
        let own = found.flat_map(|(_, outcomes)| outcomes).filter(|o| o.entity == entity);
        assert_eq!(own.count(), 1);
    }
}

#[test]
fn large_blocks_become_short_records_whose_ends_are_counted_unread() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let id = journal.create(&study("large", 600)).unwrap();
    let outcome = |n: u32| {
        let end = match n % 7 {
            0 => End::Failed { reason: "no luck".into() },
            1 => {
                End::Stopped { value: n.is_multiple_of(2).then_some(1.0), reason: "bandit".into() }
            }
            _ => End::Completed { value: f64::from(n).sqrt() },
        };
        let (configuration, entity) = (n / 600, n % 600);
        Outcome {
            configuration,
            entity,
            end,
            fits: 1,
            started_ms: 7,
            ended_ms: 9,
            reports: Vec::new(),
        }
    };
    let outcomes: Vec<Outcome> = (0..6_000).map(outcome).collect();
    let facts = [Fact::Closed, Fact::Ended { outcomes: outcomes.clone() }];
    journal.append(id, &facts, &Index::default()).unwrap();
    let lengths = journal.store.scan(Table::Facts, &id.key(), &[]).map(|r| r.unwrap().1.len());
    let lengths: Vec<usize> = lengths.collect();
    assert!(lengths.iter().all(|&length| length <= fact::FULL_BYTES + 16), "{lengths:?}");
    assert!(lengths.len() < 80_000 / fact::FULL_BYTES, "{lengths:?}");
    let record = journal.record(id).unwrap();
    let mut counted = journal.blocks(&record, None, 0);
    let mut found = Vec::new();
    for block in journal.blocks(&record, None, 0) {
        let (sequence, block) = block.unwrap();
        assert_eq!(counted.next_ends().unwrap().unwrap(), (sequence, Ends::of(&block)));
        found.extend(block);
    }
    assert!(counted.next_ends().is_none());
    assert_eq!(found, outcomes);
}

#[test]
fn a_journal_keeps_the_segments_that_it_was_made_with() {
    let check = |made: fn(&Path) -> Result<Journal, JournalError>, expected: usize| {
        let dir = tempfile::tempdir().unwrap();
        let journal = made(dir.path()).unwrap();
        journal.end_restore(StudyId(5)).unwrap();
        drop(journal);
        let journal = Journal::open(dir.path()).unwrap();
        assert_eq!(journal.create(&study("one", 2)).unwrap(), StudyId(5));
        let conf = std::fs::read(dir.path().join("conf")).unwrap();
        let conf = String::from_utf8_lossy(&conf).into_owned();
        assert!(conf.contains(&format!("segment_size: {expected}\n")), "{conf}");
    };
    check(Journal::open, store::SEGMENT_BYTES);
    // What is restored may have longer records.
    check(Journal::begin_restore, store::LONG_SEGMENT_BYTES);
}

/// One of each kind, for the golden below.
fn every_kind() -> Vec<Fact> {
    let outcome = |configuration, entity, end| Outcome {
        configuration,
        entity,
        end,
        fits: 3,
        started_ms: 1_700_000_000_000 + u64::from(entity),
        ended_ms: 1_700_000_000_300,
        reports: Vec::new(),
    };
    let stopped = |value| End::Stopped { value, reason: "bandit".into() };
    let mut reporting = outcome(8, 2, stopped(Some(0.5)));
    reporting.reports = [1, 2, 9].map(|step| Report { step, value: 1.0 }).to_vec();
    let model = ModelAddress { digest: "00ff".into(), pack: 1, offset: 300, length: 44 };
    let setting = Setting::Value(Value::Float(1e-7));
    vec![
        Fact::Proposed { number: 300, configuration: Configuration(vec![("r".into(), setting)]) },
        Fact::Ended {
            outcomes: vec![
                outcome(7, 0, End::Completed { value: 0.25 }),
                outcome(7, 1, End::Completed { value: -1.0 }),
                outcome(7, 9, End::Failed { reason: "one row".into() }),
                reporting,
                outcome(8, 3, stopped(None)),
            ],
        },
        Fact::SearchEnded { by: EndedBy::Space },
        Fact::Refitted {
            models: vec![
                Refit { entity: 4, configuration: 7, model: Ok(model) },
                Refit { entity: 5, configuration: 7, model: Err("no".into()) },
            ],
        },
        Fact::Elapsed { elapsed_ms: 60_000 },
        Fact::Closed,
        Fact::Reopened,
    ]
}

/// Journals are read for years: what this version writes, later ones must read. If this fails, a new
/// form needs a new tag or version, and this text stays as one that is still read.
#[test]
fn the_stored_form_stays() {
    let golden = [
        "00ac020a7b2272223a31652d377d",
        "01050703080200020e010f020002030101010201000000000000d03f000000000000f0bf000000000000e03f\
         020662616e646974076f6e6520726f77010000030580a0abfef962d80402d60410c6040dd40402d204010303\
         00000000000000f03f00000000000000f03f0c000000000000f03f",
        "0202",
        "03020807010200ff01ac022c000700026e6f",
        "06e0d403",
        "04",
        "05",
    ];
    let encoded = fact::encode(&every_kind());
    let text: Vec<String> = encoded
        .iter()
        .map(|encoded| encoded.bytes.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    assert_eq!(text, golden);
    let decoded: Vec<Fact> =
        encoded.iter().map(|encoded| fact::decode(&encoded.bytes).unwrap()).collect();
    assert_eq!(decoded, every_kind());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Bytes that pass their checksum and mean nothing are refused, with bounded memory.
    #[test]
    fn nonsense_is_refused_without_a_panic(
        nonsense in prop::collection::vec(any::<u8>(), 0..60),
        at in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let _ = fact::decode(&nonsense);
        for encoded in fact::encode(&every_kind()) {
            let mut bytes = encoded.bytes;
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = fact::decode(&bytes);
            prop_assert!(fact::decode(&bytes[..at]).is_err());
        }
    }
}

#[test]
fn a_fact_of_a_later_version_is_told_from_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, id) = one_fact(dir.path());
    let check = |fact: &[u8], expected: &str| {
        let record = [&[0], fact].concat();
        journal.store.commit(&[Write::put(Table::Facts, id.with(1), record)]).unwrap();
        let error = journal.facts(id).nth(1).unwrap().unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    };
    check(&[200, 1, 2], "a fact of the journal was written by a newer fleetfit (form 200;");
    check(&[4, 1, 2], "the journal is damaged: the record 000000000000000000000001 of facts");
}
