//! Letters that the first release sent. Each later one must read them as they were meant.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fmt::Debug;
use std::path::Path;

use fleetfit_search_spaces::wire::join::{Announcement, Answer, BlobPiece, BlobRequest};
use fleetfit_search_spaces::wire::join::{Hello, SpecRequest, Upload, Welcome};
use fleetfit_search_spaces::wire::letter;
use fleetfit_search_spaces::wire::{
    Assignment, AssignmentKey, Block, FromRunner, ModelAddress, Numbered, Refit, StudyId,
    StudySpec, Task, ToRunner,
};
use fleetfit_search_spaces::{Configuration, End, Outcome, Report, Setting, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn stored(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/letters/version-1");
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The stored letter says this.
fn reads<T>(name: &str, meant: &T, attached: &[u8])
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let bytes = stored(&format!("{name}.letter"));
    let (message, attachment) = letter::open::<T>(&bytes).unwrap();
    assert_eq!((&message, attachment), (meant, attached), "{name}");
}

/// The same for what travels as plain JSON.
fn reads_plain<T>(name: &str, meant: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let message: T = serde_json::from_slice(&stored(&format!("{name}.json"))).unwrap();
    assert_eq!(&message, meant, "{name}");
}

fn key() -> AssignmentKey {
    AssignmentKey { study: StudyId(7), number: 1 << 40, attempt: 2 }
}

fn configuration() -> Configuration {
    let value = |name: &str, value| (name.to_owned(), Setting::Value(value));
    let branch = vec![
        value("learner", Value::Text("ridge".into())),
        value("alpha", Value::Float(0.1 + 0.2)),
    ];
    Configuration(vec![
        ("model".into(), Setting::Nested(Configuration(branch))),
        value("depth", Value::Int(-3)),
        value("bagging", Value::Bool(true)),
    ])
}

fn block() -> Block {
    let tried = Numbered { number: 4, configuration: configuration() };
    Block { tried, entities: vec![0..5, 9..10] }
}

fn outcomes() -> Vec<Outcome> {
    let outcome = |entity, end| Outcome {
        configuration: 4,
        entity,
        end,
        fits: 3,
        started_ms: 1_790_000_000_000,
        ended_ms: 1_790_000_000_250,
        reports: vec![Report { step: 1, value: 0.5 }],
        further: Vec::new(),
    };
    vec![
        outcome(0, End::Completed { value: 1.0e-9 }),
        outcome(1, End::Stopped { value: None, reason: "bandit: 9 is more than 8".into() }),
        outcome(2, End::Failed { reason: "it said \"no\"\n".into() }),
    ]
}

fn from_runner() -> Vec<FromRunner> {
    let address = ModelAddress { digest: "0af1".into(), pack: 0, offset: 5, length: 12 };
    let refit = |entity, model| Refit { entity, configuration: 4, model };
    let models = vec![refit(0, Ok(address)), refit(1, Err("no rows".into()))];
    let report = Report { step: 12, value: -2.5 };
    vec![
        FromRunner::Outcomes { of: key(), outcomes: outcomes(), launched: false },
        FromRunner::Report { of: key(), configuration: 4, entity: 9, report, nth: 0 },
        FromRunner::Refitted { of: key(), models },
        FromRunner::Done { of: key() },
        FromRunner::Returned { of: key(), reason: None },
        FromRunner::Returned { of: key(), reason: Some("no programs here".into()) },
    ]
}

#[test]
fn work_is_read() {
    for (name, task) in
        [("try", Task::Try(vec![block(), block()])), ("refit", Task::Refit(vec![block()]))]
    {
        reads(name, &Assignment { key: key(), task }, b"");
    }
    reads(
        "spec",
        &StudySpec {
            study: StudyId(7),
            name: "demand".into(),
            job_file: "jobs/job.yaml".into(),
            job_text: "type: sweep\n".into(),
            sets: vec![("limits.timeout".into(), "60".into())],
            folder: Some("jobs".into()),
            seed: u64::MAX,
            entities: 300,
            material: Some("66ab".into()),
        },
        b"",
    );
}

#[test]
fn what_runners_tell_is_read() {
    reads("told", &from_runner(), b"bytes of a model");
    reads("done", &FromRunner::Done { of: key() }, b"");
}

#[test]
fn hints_and_requests_are_read() {
    let (study, before) = (StudyId(7), 41);
    let stop = ToRunner::StopTrial {
        study,
        before,
        configuration: 4,
        entity: 0,
        reason: "median_stopping".into(),
    };
    reads("stop-trial", &stop, b"");
    reads("stop-study", &ToRunner::StopStudy { study, before, reason: "cancelled".into() }, b"");
    reads("forget", &ToRunner::Forget { study }, b"");
    reads("ask-spec", &SpecRequest { study }, b"");
    reads("ask-blob", &BlobRequest { digest: "66ab".into(), offset: 524_288 }, b"");
    reads("blob", &Answer::Done(BlobPiece { total: 600_000 }), b"a piece");
    reads("refused", &Answer::<BlobPiece>::Refused { reason: "it is gone".into() }, b"");
    reads("later", &Answer::<BlobPiece>::Later { reason: "busy".into() }, b"");
    let upload = Upload {
        of: key(),
        configuration: 4,
        entity: 0,
        at: "outputs/model.bin".into(),
        offset: 0,
        total: 3,
        digest: "9c".into(),
        executable: true,
    };
    reads("upload", &upload, b"abc");
}

#[test]
fn introductions_are_read() {
    let hello = Hello {
        runner: "00000000000000aa".into(),
        name: "attic-1".into(),
        host: "attic".into(),
        pid: 17,
        version: "0.1.0".into(),
        wire: 1,
        device: "cpu".into(),
        slots: 4,
        busy: 3,
        asking: 0,
        asking_most: 0,
        asking_for: Vec::new(),
        load: Some(1.25),
        commands: true,
        draining: false,
        holds: vec![key()],
        troubles: vec!["no space".into()],
    };
    reads_plain("hello", &hello);
    reads_plain("welcome", &Welcome::Accepted { lease_s: 30.0 });
    reads_plain("unwelcome", &Welcome::Refused { reason: "update the runner".into() });
    let announcement = Announcement {
        service: "abcdefghijkl".into(),
        version: "0.1.0".into(),
        wire: 1,
        host: "cellar".into(),
        instance: String::new(),
        since_ms: 0,
    };
    reads_plain("announcement", &announcement);
}
