//! What a damaged, foreign or broken store does, seen from inside.

mod engine;
mod form;

use fleetfit_search_spaces::{End, Outcome, Value};

use super::*;

fn study(name: &str, entities: u32) -> NewStudy {
    let key = |entity| EntityKey(vec![("store".into(), Value::Int(i64::from(entity)))]);
    NewStudy {
        name: name.into(),
        job_file: "job.yaml".into(),
        base_dir: "/".into(),
        job_text: "type: sweep".into(),
        canonical: "{}".into(),
        seed: 1,
        entities: (0..entities).map(key).collect(),
        ..NewStudy::default()
    }
}

fn outcome(configuration: u32, entity: u32, end: End) -> Outcome {
    let (fits, started_ms, ended_ms) = (1, 1, 2);
    Outcome {
        configuration,
        entity,
        end,
        fits,
        started_ms,
        ended_ms,
        reports: Vec::new(),
        further: Vec::new(),
    }
}

fn ended(entity: u32) -> Fact {
    Fact::Ended { outcomes: vec![outcome(0, entity, End::Completed { value: 0.5 })] }
}

/// A study of two entities, one of whose trials has ended.
fn one_fact(dir: &Path) -> (Journal, StudyId) {
    let journal = Journal::open(dir).unwrap();
    let id = journal.create(&study("one", 2)).unwrap();
    let index = Index { best: vec![(0, 0.5, 0)], ..Index::default() };
    journal.append(id, &[ended(0)], &index).unwrap();
    (journal, id)
}

/// The names of the studies that are there.
fn names(journal: &Journal) -> Vec<String> {
    journal.list().unwrap().into_iter().map(|record| record.head.name).collect()
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
    assert!(matches!(error, JournalError::Newer { found: 4, known: 3, .. }), "{error}");
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
    assert_eq!(names(&journal), ["other"]);
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
    let index = |status| Index { summary: summary(status), ..Index::default() };
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
    assert_eq!(names(&copy), ["other"]);
    for table in [Table::Facts, Table::Entities, Table::Studies, Table::Unfinished] {
        assert!(copy.store.keys(table, &id.key(), 1).unwrap().is_empty());
    }
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
    let nth = |n: u32| {
        let end = match n % 7 {
            0 => End::Failed { reason: "no luck".into() },
            1 => {
                End::Stopped { value: n.is_multiple_of(2).then_some(1.0), reason: "bandit".into() }
            }
            _ => End::Completed { value: f64::from(n).sqrt() },
        };
        outcome(n / 600, n % 600, end)
    };
    let outcomes: Vec<Outcome> = (0..6_000).map(nth).collect();
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
