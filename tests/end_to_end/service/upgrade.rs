//! What earlier releases left on disk. `release-1/make.sh` wrote it, and says how.

use std::process::Command;

use serde_json::Value;

use super::contract::assert_once;
use super::fleet::{Deployment, Fleet, PATIENCE};
use crate::harness::{Place, repository};

const KEPT: &str = "tests/end_to_end/service/release-1";

fn kept(name: &str) -> String {
    std::fs::read_to_string(repository(KEPT).join(name)).expect("it is kept")
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn unpack(place: &Place) {
    let unpacked = Command::new("tar")
        .arg("-xzf")
        .arg(repository(KEPT).join("home.tar.gz"))
        .arg("-C")
        .arg(place.path(""))
        .status();
    assert!(unpacked.expect("tar starts").success());
    std::fs::copy(repository(KEPT).join("new.csv"), place.path("new.csv")).expect("a copy");
}

/// Every answer that was kept is in the one that is given; more may have come since.
fn assert_holds(given: &Value, kept: &Value) {
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => {
            for (name, kept) in kept {
                let given = given.get(name).unwrap_or_else(|| panic!("{name} is missing"));
                assert_holds(given, kept);
            }
        }
        _ => assert_eq!(given, kept),
    }
}

#[test]
fn a_directory_of_the_first_release_answers_as_it_did() {
    let place = Place::new();
    unpack(&place);
    assert_holds(&place.json(&["status", "fleet"]), &lines(&kept("status.json"))[0]);
    for (arguments, file) in
        [(&["trials", "fleet"][..], "trials.jsonl"), (&["best", "fleet", "--all"], "best.jsonl")]
    {
        let (given, kept) = (place.lines(arguments), lines(&kept(file)));
        assert_eq!(given.len(), kept.len());
        given.iter().zip(&kept).for_each(|(given, kept)| assert_holds(given, kept));
    }
    let predicted = place.fleetfit(&["predict", "fleet", "--data", "new.csv"]).ok().stdout;
    assert_eq!(predicted, kept("predictions.csv"));
    let log = place.fleetfit(&["trials", "half", "--logs", "0"]).ok().stdout;
    assert!(log.contains("measuring"), "{log}");
}

#[test]
fn a_service_goes_on_with_a_directory_of_the_first_release() {
    let mut fleet = Fleet::without_runners(Deployment::InProcess, &[]);
    assert_eq!(fleet.service().end(), 0);
    std::fs::remove_dir_all(fleet.place.path("home")).expect("its own directory goes");
    unpack(&fleet.place);
    let before = fleet.place.json(&["status", "half"])["trials"]["completed"].clone();
    assert!(before.as_u64() < Some(8), "{before}");
    fleet.serve();
    let view = fleet.wait_until_over("half", PATIENCE);
    assert_eq!(view["trials"]["completed"], 8, "{view}");
    assert_eq!(view["best"]["value"], 1.0, "{view}");
    assert_once(&fleet.lines(&["trials", "half"]), 8);
    let again = fleet.json(&["rerun", "fleet", "--wait"]);
    assert_eq!(again["status"], "completed", "{again}");
    assert_eq!(again["trials"]["completed"], 24, "{again}");
}
