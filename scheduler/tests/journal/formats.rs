//! Journals that earlier versions wrote are read, give the same answers, and go on.

use std::fs::File;
use std::path::{Path, PathBuf};

use fleetfit_scheduler::Fact;
use fleetfit_scheduler::journal::Journal;
use fleetfit_scheduler::query::{self, Page, TrialFilter};

use super::recipe::{self, PANEL, SINGLE, SINGLE_CONFIGURATIONS, Writer};
use super::{joined, stored};

/// The formats of earlier versions.
pub(crate) const EARLIER: [u32; 2] = [1, 2];

/// A copy of the journal of an earlier format to work on.
pub(crate) fn earlier(format: u32, dir: &Path) {
    let kept = format!("tests/journal/format-{format}");
    let kept = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(kept);
    for name in ["conf", "committed"] {
        std::fs::copy(kept.join(name), dir.join(name)).unwrap();
    }
    let mut db = flate2::read::GzDecoder::new(File::open(kept.join("db.gz")).unwrap());
    std::io::copy(&mut db, &mut File::create(dir.join("db")).unwrap()).unwrap();
}

/// Everything that users can ask, as text.
pub(crate) fn answers(journal: &Journal) -> Vec<String> {
    let mut answers = Vec::new();
    for status in query::studies(journal).unwrap() {
        let name = &status.study;
        let is_panel = status.entities > 1;
        answers.push(format!("{status:?}"));
        let entities = [None, Some("17"), Some("299")];
        for entity in &entities[..if is_panel { 3 } else { 1 }] {
            answers.push(format!("{:?}", query::best(journal, name, *entity, 9).unwrap()));
        }
        for best in query::best_all(journal, name).unwrap() {
            answers.push(format!("{:?}", best.unwrap()));
        }
        answers.push(format!("{:?}", query::models_page(journal, name, None, None, 999).unwrap()));
        for entity in [None, is_panel.then(|| "280".to_owned())] {
            let filter = TrialFilter { entity, ..TrialFilter::default() };
            for row in query::trials(journal, name, &filter).unwrap() {
                answers.push(format!("{:?}", row.unwrap()));
            }
        }
    }
    answers
}

#[test]
fn a_journal_of_an_earlier_format_answers_as_one_of_today() {
    EARLIER.into_iter().for_each(check_answers);
}

fn check_answers(format: u32) {
    let old = tempfile::tempdir().unwrap();
    earlier(format, old.path());
    let new = tempfile::tempdir().unwrap();
    recipe::write(new.path());
    let (old, new) = (Journal::open(old.path()).unwrap(), Journal::open(new.path()).unwrap());
    for name in [SINGLE, PANEL] {
        assert_eq!(joined(stored(&old, name)), joined(stored(&new, name)));
    }
    // The first format does not count winners that could not be fitted; what is written now does.
    for journal in [&old, &new] {
        Writer::resumed(journal, PANEL).append(&[Fact::Closed]);
    }
    let (old, new) = (answers(&old), answers(&new));
    assert!(old.len() > 1_600, "{} answers", old.len());
    for (old, new) in old.iter().zip(&new) {
        assert_eq!(old, new, "format {format}");
    }
    assert_eq!(old.len(), new.len());
}

#[test]
fn a_study_of_an_earlier_format_goes_on() {
    EARLIER.into_iter().for_each(check_going_on);
}

fn check_going_on(format: u32) {
    let dir = tempfile::tempdir().unwrap();
    earlier(format, dir.path());
    let page = |journal: &Journal, cursor: Option<&str>| -> Page<query::TrialRow> {
        query::trials_page(journal, SINGLE, &TrialFilter::default(), cursor, 40).unwrap()
    };
    let journal = Journal::open(dir.path()).unwrap();
    let before = stored(&journal, SINGLE);
    let first = page(&journal, None);
    let mut writer = recipe::Writer::resumed(&journal, SINGLE);
    let more: Vec<u32> = (SINGLE_CONFIGURATIONS..SINGLE_CONFIGURATIONS + 200).collect();
    for &number in &more {
        writer.append(&recipe::single_group(number));
    }
    drop(journal);
    let journal = Journal::open(dir.path()).unwrap();
    let facts = stored(&journal, SINGLE);
    assert_eq!(facts[..before.len()], before);
    let added: Vec<_> = more.iter().flat_map(|&number| recipe::single_group(number)).collect();
    assert_eq!(facts[before.len()..], added);
    let id = journal.find(SINGLE).unwrap().unwrap().id;
    for number in 0..SINGLE_CONFIGURATIONS + 200 {
        let fleetfit_scheduler::Fact::Proposed { configuration, .. } =
            &recipe::single_group(number)[0]
        else {
            panic!("a group begins with its proposal");
        };
        assert_eq!(journal.configuration(id, number).unwrap().as_ref(), Some(configuration));
    }
    assert_eq!(journal.configuration(id, SINGLE_CONFIGURATIONS + 200).unwrap(), None);
    assert_eq!(page(&journal, None), first, "a page that was given is given again");
    let (mut seen, mut cursor) = (first.items, first.next);
    while let Some(at) = cursor {
        let page = page(&journal, Some(&at));
        seen.extend(page.items);
        cursor = page.next;
    }
    let trials: Vec<u32> = seen.iter().map(|row| row.trial).collect();
    assert_eq!(trials, (0..SINGLE_CONFIGURATIONS + 200).collect::<Vec<_>>());
    assert_eq!(query::best(&journal, SINGLE, None, 1).unwrap()[0].value, 0.0);
}

/// A page's cursor points into a record that has grown since.
#[test]
fn a_cursor_holds_while_the_study_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    recipe::write(dir.path());
    let journal = Journal::open(dir.path()).unwrap();
    let mut writer = recipe::Writer::resumed(&journal, SINGLE);
    let mut cursor: Option<String> = None;
    let mut seen = Vec::new();
    for number in SINGLE_CONFIGURATIONS..3 * SINGLE_CONFIGURATIONS {
        let filter = TrialFilter::default();
        let page = query::trials_page(&journal, SINGLE, &filter, cursor.as_deref(), 1).unwrap();
        seen.extend(page.items.into_iter().map(|row| row.trial));
        cursor = page.next;
        assert!(cursor.is_some());
        writer.append(&recipe::single_group(number));
    }
    assert_eq!(seen, (0..2 * SINGLE_CONFIGURATIONS).collect::<Vec<_>>());
}
