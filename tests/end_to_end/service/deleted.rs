//! What is deleted under a study while it runs.

use std::path::PathBuf;

use serde_json::json;

use super::contract::{TELL, assert_once, program_job};
use super::fleet::{Deployment, Fleet, PATIENCE};
use crate::harness::eventually;

/// A service with a study of eight programs, two of which run until there is a file named `go`.
/// `own` is what the job's `trial` has besides.
fn waiting(name: &str, own: &str, script: &str) -> Fleet {
    let fleet = Fleet::start(Deployment::InProcess);
    let [go, begun] = ["go", "begun"].map(|name| fleet.place.path(name).display().to_string());
    let wait = format!("echo $x >> {begun}; while [ ! -e {go} ]; do sleep 0.05; done");
    let job = program_job(name, &format!("{wait}; {script}"), 8, "");
    fleet.place.write("job.yaml", &job.replace("trial:\n", &format!("trial:\n{own}")));
    fleet.place.write("code/tool.sh", TELL);
    fleet.json(&["submit", "job.yaml"]);
    eventually("two programs run", PATIENCE, || {
        std::fs::read_to_string(&begun).is_ok_and(|begun| begun.lines().count() == 2)
    });
    fleet
}

/// Where a service keeps what belongs to a study.
fn folder(fleet: &Fleet, study: &str) -> PathBuf {
    fleet.place.path("home/studies").join(study)
}

#[test]
fn trials_without_their_code_fail_and_say_so() {
    let fleet = waiting("coded", "  code: code\n", ". ./tool.sh");
    let copies = folder(&fleet, "coded").join("code");
    std::fs::remove_dir_all(&copies).expect("the copy is there");
    fleet.place.write("go", "");
    let view = fleet.wait_until_over("coded", PATIENCE);
    assert_eq!(view["trials"]["failed"].as_u64().map(|failed| failed >= 6), Some(true), "{view}");
    let trials = fleet.lines(&["trials", "coded"]);
    assert_once(&trials, 8);
    let says = "the study's copy of its code, ";
    let told = trials.iter().filter_map(|trial| trial["reason"].as_str());
    let told = told.filter(|reason| reason.starts_with(says)).collect::<Vec<_>>();
    assert_eq!(told.len(), 6, "{trials:?}");
    assert!(told[0].contains("could not be read: no such file or directory"), "{told:?}");
    // The service does what it is for.
    let view = fleet.submit("job.yaml", &program_job("usual", TELL, 2, ""));
    assert_eq!(view["trials"]["completed"], 2, "{view}");
}

#[test]
fn a_study_whose_folder_is_deleted_goes_on() {
    let fleet = waiting("bared", "", TELL);
    std::fs::remove_dir_all(folder(&fleet, "bared")).expect("it is there");
    fleet.place.write("go", "");
    let view = fleet.wait_until_over("bared", PATIENCE);
    assert_eq!(view["trials"], json!({"completed": 8, "stopped": 0, "failed": 0}), "{view}");
    assert_once(&fleet.lines(&["trials", "bared"]), 8);
    let log = fleet.place.fleetfit(&["trials", "bared", "--logs", "7"]).ok().stdout;
    assert!(log.contains("\"metric\": \"loss\""), "{log}");
}
