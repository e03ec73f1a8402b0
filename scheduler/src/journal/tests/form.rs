//! The stored form of facts: what it is, and that nothing else is read.

use fleetfit_search_spaces::wire::ModelAddress;
use fleetfit_search_spaces::{Configuration, End, Outcome, Reached, Report, Setting, Value};
use proptest::prelude::*;

use super::super::*;
use super::{one_fact, outcome};
use crate::event::{EndedBy, Mark};

/// One of each kind, for the golden below.
fn every_kind() -> Vec<Fact> {
    let outcome = |configuration, entity, end| Outcome {
        fits: 3,
        started_ms: 1_700_000_000_000 + u64::from(entity),
        ended_ms: 1_700_000_000_300,
        ..outcome(configuration, entity, end)
    };
    let stopped = |value| End::Stopped { value, reason: "bandit".into() };
    let mut reporting = outcome(8, 2, stopped(Some(0.5)));
    reporting.reports = [1, 2, 9].map(|step| Report { step, value: 1.0 }).to_vec();
    let model = ModelAddress { digest: "00ff".into(), pack: 1, offset: 300, length: 44 };
    let setting = Setting::Value(Value::Float(1e-7));
    let queued = Configuration(vec![("r".into(), setting.clone())]);
    let mark = Mark { key: 1, request: 300, numbers: vec![301] };
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
        Fact::Reopened { from: 1 << 40 },
        Fact::Ended {
            outcomes: vec![
                Outcome {
                    further: vec![0.5, -2.0],
                    ..outcome(9, 0, End::Completed { value: 1.0 })
                },
                outcome(9, 1, End::Failed { reason: "one row".into() }),
                Outcome { further: vec![1.5, 3.0], ..outcome(9, 2, End::Completed { value: 2.0 }) },
            ],
        },
        Fact::Queued { configurations: vec![queued], mark: Some(mark) },
        Fact::Reached {
            trials: vec![Reached {
                configuration: 9,
                entity: 4,
                rung: 1,
                values: vec![0.5, -2.0],
                n_folds: 5,
                fits: 2,
                started_ms: 1_700_000_000_000,
                ended_ms: 1_700_000_000_300,
            }],
        },
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
        "0a808080808020",
        "070309030003000103010001000000000000f03f000000000000004001076f6e6520726f7700030380a0abfe\
         f962d80402d60402d40400020100010201000000000000e03f000000000000f83f00000000000000c0000000\
         0000000840",
        "09010a7b2272223a31652d377d0101ac0201ad02",
        "0801090108010105010201020180a0abfef962d804000000000000e03f00000000000000c0",
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
    // Before it was told which assignments were of before.
    assert_eq!(fact::decode(&[5]), Ok(Fact::Reopened { from: u64::MAX }));
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
