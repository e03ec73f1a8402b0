//! A backup that is taken while the journal is written, and what is restored from it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use fleetfit_scheduler::Fact;
use fleetfit_scheduler::backup::{self, BackupError, Contents};
use fleetfit_scheduler::journal::{Index, Journal, JournalError, NewStudy, Status, Summary};

use super::formats::{EARLIER, answers, earlier};
use super::recipe::{self, PANEL, SINGLE, SINGLE_CONFIGURATIONS, Writer};
use super::{stored, study};

fn backed_up(journal: &Journal) -> (Vec<u8>, Contents) {
    let mut bytes = Vec::new();
    let contents = backup::write(journal, &mut bytes).unwrap();
    (bytes, contents)
}

fn restored(dir: &Path, bytes: &[u8]) -> Journal {
    let mut rest = bytes;
    backup::read(dir, &mut rest).unwrap();
    assert!(rest.is_empty(), "{} bytes are left", rest.len());
    Journal::open(dir).unwrap()
}

fn assert_same(one: &Journal, other: &Journal) {
    let (one, other) = (answers(one), answers(other));
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one, other);
    }
    assert_eq!(one.len(), other.len());
}

/// Every answer is one that the original gave at some moment of the backup.
#[test]
fn a_backup_of_a_journal_that_is_written_is_one_of_its_moments() {
    let dir = tempfile::tempdir().unwrap();
    recipe::write(dir.path());
    let journal = Journal::open(dir.path()).unwrap();
    let is_over = AtomicBool::new(false);
    let backups: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut writer = Writer::resumed(&journal, SINGLE);
            let mut number = SINGLE_CONFIGURATIONS;
            while !is_over.load(Ordering::SeqCst) {
                writer.append(&recipe::single_group(number));
                number += 1;
            }
        });
        let backups = (0..4).map(|_| backed_up(&journal).0).collect();
        is_over.store(true, Ordering::SeqCst);
        writing.join().unwrap();
        backups
    });
    let mut before = 0;
    for bytes in backups {
        let copy = tempfile::tempdir().unwrap();
        let copy = restored(copy.path(), &bytes);
        let n = copy.find(SINGLE).unwrap().unwrap().summary.proposed;
        assert!(n >= SINGLE_CONFIGURATIONS && n >= before, "{n} after {before}");
        before = n;
        let facts = stored(&copy, SINGLE);
        assert_eq!(facts, stored(&journal, SINGLE)[..facts.len()], "not a prefix");
        let expected = tempfile::tempdir().unwrap();
        recipe::write(expected.path());
        let expected = Journal::open(expected.path()).unwrap();
        let mut writer = Writer::resumed(&expected, SINGLE);
        (SINGLE_CONFIGURATIONS..n).for_each(|number| writer.append(&recipe::single_group(number)));
        assert_same(&copy, &expected);
    }
}

#[test]
fn everything_comes_back_and_goes_on() {
    EARLIER.into_iter().for_each(check_coming_back);
}

fn check_coming_back(format: u32) {
    let dir = tempfile::tempdir().unwrap();
    earlier(format, dir.path());
    let journal = Journal::open(dir.path()).unwrap();
    // The first format does not count winners that could not be fitted; what is written now does.
    Writer::resumed(&journal, PANEL).append(&[Fact::Closed]);
    let long: Vec<u8> = (0..150_000u32).map(|n| n as u8).collect();
    journal.put_document("schedule", "nightly", &long).unwrap();
    journal.put_document("key", "", b"").unwrap();
    journal.create(&NewStudy { warm: vec![Default::default()], ..study("queued", 2) }).unwrap();
    let (bytes, contents) = backed_up(&journal);
    assert_eq!(contents.studies, [SINGLE, PANEL, "queued"]);
    assert_eq!((contents.documents, contents.damaged.len()), (2, 0));
    let copy_dir = tempfile::tempdir().unwrap();
    // What follows in the same file is somebody else's.
    let with_more = [&bytes[..], b"more"].concat();
    let mut rest = with_more.as_slice();
    let read = backup::read(copy_dir.path(), &mut rest).unwrap();
    assert_eq!(rest, b"more");
    assert_eq!(read.studies, contents.studies);
    // Its job is none, so it stands as it stood.
    assert_eq!(read.damaged.len(), 1, "{:?}", read.damaged);
    assert_eq!(read.damaged[0].name, "queued");
    let copy = Journal::open(copy_dir.path()).unwrap();
    assert_eq!(copy.list().unwrap(), journal.list().unwrap());
    for journal in [&journal, &copy] {
        journal.delete(journal.find("queued").unwrap().unwrap().id).unwrap();
    }
    assert_same(&copy, &journal);
    assert_eq!(copy.document("schedule", "nightly").unwrap(), Some(long));
    assert_eq!(copy.documents("key").unwrap(), [(String::new(), Vec::new())]);
    let next = |journal: &Journal| journal.create(&study("next", 1)).unwrap();
    assert_eq!(next(&copy), next(&journal), "numbers go on");
    for journal in [&journal, &copy] {
        let mut writer = Writer::resumed(journal, SINGLE);
        writer.append(&recipe::single_group(SINGLE_CONFIGURATIONS));
        journal.delete(journal.find("next").unwrap().unwrap().id).unwrap();
    }
    assert_same(&copy, &journal);
}

#[test]
fn what_is_not_a_whole_backup_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let id = journal.create(&study("one", 3)).unwrap();
    let running = Summary { status: Status::Running, ..Summary::default() };
    let index = Index { summary: running, ..Index::default() };
    for elapsed_ms in 0..20 {
        journal.append(id, &[Fact::Elapsed { elapsed_ms }], &index).unwrap();
    }
    journal.put_document("kind", "name", b"text").unwrap();
    let (bytes, _) = backed_up(&journal);
    let copy = tempfile::tempdir().unwrap();
    let refused = |bytes: &[u8]| {
        let error = backup::read(copy.path(), &mut &bytes[..]).unwrap_err();
        assert_eq!(copy.path().read_dir().unwrap().count(), 0, "left behind after: {error}");
        error
    };
    for end in (0..bytes.len()).step_by(bytes.len() / 20).chain([bytes.len() - 1]) {
        let error = refused(&bytes[..end]);
        let expected = matches!(error, BackupError::Truncated { .. } | BackupError::Foreign);
        assert!(expected, "cut at {end}: {error}");
    }
    for at in (0..bytes.len()).step_by(bytes.len() / 30) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x20;
        refused(&bytes);
    }
    let mut newer = bytes.clone();
    // It has the version of the journal's records, which one that knows fewer kinds cannot read.
    assert_eq!(newer[8], 3);
    newer[8] = 4;
    let error = refused(&newer);
    assert!(matches!(error, BackupError::Newer { found: 4, known: 3 }), "{error}");
    assert!(matches!(refused(b"PK\x03\x04 something else"), BackupError::Foreign));

    std::fs::write(copy.path().join("mine"), "").unwrap();
    let error = backup::read(copy.path(), &mut bytes.as_slice()).unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty { .. }), "{error}");
    assert!(copy.path().join("mine").exists());
}

/// A reader that fails in the middle, as when the process that reads is killed: nothing is removed.
#[test]
fn a_journal_that_was_restored_in_part_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    recipe::write(dir.path());
    let (bytes, _) = backed_up(&Journal::open(dir.path()).unwrap());
    let copy = tempfile::tempdir().unwrap();
    let kept = tempfile::tempdir().unwrap();
    let mut reader = Watching { bytes: &bytes, at: 0, from: copy.path(), to: kept.path() };
    backup::read(copy.path(), &mut reader).unwrap();
    let error = Journal::open(kept.path()).err().unwrap();
    assert!(matches!(error, JournalError::Unrestored { .. }), "{error}");
    Journal::open(copy.path()).unwrap();
}

/// Copies the directory as a kill would leave it when half of the bytes are read.
struct Watching<'a> {
    bytes: &'a [u8],
    at: usize,
    from: &'a Path,
    to: &'a Path,
}

impl std::io::Read for Watching<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = (&self.bytes[self.at..]).read(buffer)?;
        let half = self.bytes.len() / 2;
        if (self.at..self.at + n).contains(&half) {
            for entry in self.from.read_dir()? {
                let path = entry?.path();
                if path.is_file() {
                    std::fs::copy(&path, self.to.join(path.file_name().unwrap()))?;
                }
            }
        }
        self.at += n;
        Ok(n)
    }
}
