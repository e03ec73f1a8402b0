//! Backups: taken while trials are recorded, restored elsewhere, refused where they are not whole; and
//! trials in files for other tools.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Place, Ran, eventually, panel, signal};
use crate::learner;

/// How long a loaded machine may take for what takes a moment.
const PATIENCE: Duration = Duration::from_secs(60);

/// Trials of which the first five end at once and the others when there is a file named `go`.
fn slow(place: &Place) {
    let go = place.path("go").display().to_string();
    place.write("code/tool.txt", "a tool\n");
    place.write(
        "slow.yaml",
        &format!(
            "\
type: sweep
name: slow
trial:
  code: code
  command: |
    while [ $FLEETFIT_TRIAL -ge 5 ] && [ ! -e {go} ]; do sleep 0.05; done
    cat tool.txt
    echo '{{\"metric\": \"loss\", \"value\": ${{{{search_space.x}}}}}}'
search_space:
  x: {{type: uniform, min_value: 0, max_value: 1}}
sampling_algorithm: random
objective: {{goal: minimize, primary_metric: loss}}
limits: {{max_total_trials: 12, max_concurrent_trials: 2}}
seed: 3
"
        ),
    );
}

fn five_end(place: &Place) {
    eventually("five trials end", PATIENCE, || {
        let status = place.fleetfit(&["status", "slow", "--output", "json"]);
        status.code == 0 && status.json()["trials"]["completed"] == 5
    });
}

fn said(place: &Place, arguments: &[&str]) -> String {
    place.fleetfit(arguments).ok().stdout
}

/// What a data directory answers about a study.
fn answers(place: &Place, study: &str, home: &str) -> Vec<String> {
    let questions: [&[&str]; 3] = [&["status", study], &["best", study], &["trials", study]];
    questions
        .iter()
        .map(|words| said(place, &[words, &["--output", "json", "--data-dir", home][..]].concat()))
        .collect()
}

#[test]
fn what_is_restored_answers_as_the_original() {
    let place = learner::place();
    place.json(&["run", "job.yaml"]);
    place.write("next.csv", "week,store,price,promo\n41,17,2.5,0\n41,3,2.1,1\n");
    let backed = place.json(&["backup", "--out", "all.backup"]);
    assert_eq!(backed["studies"], 1);
    assert!(backed["files"].as_u64().is_some_and(|files| files >= 2), "{backed}");
    assert_eq!(backed["bytes"], fs::metadata(place.path("all.backup")).expect("a file").len());
    let restored = place.json(&["restore", "all.backup", "--data-dir", "deep/other"]);
    assert_eq!((&restored["studies"], &restored["files"]), (&backed["studies"], &backed["files"]));
    let home = place.path("home").display().to_string();
    assert_eq!(answers(&place, "demand", "deep/other"), answers(&place, "demand", &home));
    for words in [&["best", "demand", "--all"][..], &["predict", "demand", "--data", "next.csv"]] {
        let there = said(&place, &[words, &["--data-dir", "deep/other"]].concat());
        assert_eq!(there, said(&place, words), "{words:?}");
    }
    // Into nothing that holds anything.
    let again = place.fleetfit(&["restore", "all.backup", "--data-dir", "deep/other"]);
    assert_eq!(again.code, 2, "{}", again.stderr);
    assert!(again.stderr.contains("not empty"), "{}", again.stderr);
    fs::create_dir(place.path("empty")).expect("a folder");
    place.json(&["restore", "all.backup", "--data-dir", "empty"]);
    assert_eq!(place.lines(&["studies", "--data-dir", "empty"]).len(), 1);
    let names = |folder: &str| fs::read_dir(place.path(folder)).expect("a folder").count();
    assert_eq!(names("deep"), 1, "nothing else stays");
}

#[test]
fn a_backup_of_a_running_study_goes_on_elsewhere() {
    let place = Place::new();
    slow(&place);
    let child = place.start(&["run", "slow.yaml", "--output", "json"]);
    five_end(&place);
    let backed = place.json(&["backup", "--out", "running.backup"]);
    assert_eq!(backed["studies"], 1, "{backed}");
    place.json(&["restore", "running.backup", "--data-dir", "other"]);
    let status = place.json(&["status", "slow", "--data-dir", "other"]);
    assert_eq!(
        (&status["status"], &status["trials"]["completed"]),
        (&"interrupted".into(), &5.into())
    );
    let logs = said(&place, &["trials", "slow", "--logs", "2", "--data-dir", "other"]);
    assert!(logs.starts_with("a tool"), "{logs}");
    place.write("go", "");
    let ran = Ran::of(child.wait_with_output().expect("it ends")).ok().json();
    let resumed = place.json(&["resume", "slow", "--data-dir", "other"]);
    assert_eq!(resumed["trials"]["completed"], 12);
    assert_eq!(resumed["best"], ran["best"]);
}

#[test]
fn a_service_is_backed_up_while_it_serves() {
    let place = Place::new();
    slow(&place);
    let child = place.start(&["serve", "--listen", "127.0.0.1:0", "--slots", "2", "--quiet"]);
    eventually("the service is there", PATIENCE, || place.path("home/api.sock").exists());
    place.fleetfit(&["submit", "slow.yaml", "--quiet"]).ok();
    five_end(&place);
    let url = format!("unix:{}", place.path("home/api.sock").display());
    let backed = place.json(&["backup", "--out", "served.backup", "--server", &url]);
    assert_eq!(backed["studies"], 1, "{backed}");
    let piped = place.command(&["backup", "--out", "-", "--server", &url]).output();
    fs::write(place.path("piped.backup"), piped.expect("it starts").stdout).expect("a file");
    place.write("go", "");
    signal(&child, Signal::TERM);
    child.wait_with_output().expect("it ends");
    for file in ["served", "piped"] {
        place.json(&["restore", &format!("{file}.backup"), "--data-dir", file]);
        let resumed = place.json(&["resume", "slow", "--data-dir", file]);
        assert_eq!(resumed["trials"]["completed"], 12, "{file}");
    }
}

#[test]
fn what_is_not_whole_is_refused_and_leaves_nothing() {
    let place = Place::new();
    slow(&place);
    place.write("go", "");
    place.json(&["run", "slow.yaml"]);
    place.json(&["backup", "--out", "all.backup"]);
    let whole = fs::read(place.path("all.backup")).expect("the backup");
    let refused = |bytes: &[u8], word: &str| {
        fs::write(place.path("bad.backup"), bytes).expect("a file");
        let ran = place.fleetfit(&["restore", "bad.backup", "--data-dir", "other"]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(word), "{}", ran.stderr);
        let is_ours = |entry: fs::DirEntry| entry.file_name().to_string_lossy().contains("other");
        let left = fs::read_dir(place.path(".")).expect("a folder");
        assert!(!left.map_while(Result::ok).any(is_ours), "something stays");
    };
    for part in 1..8 {
        refused(&whole[..whole.len() * part / 8], "cut off");
    }
    let mut changed = whole.clone();
    let middle = whole.windows(6).position(|bytes| bytes == b"a tool").expect("the tool");
    changed[middle] = b'A';
    refused(&changed, "damaged");
    refused(b"type: sweep", "not a backup");
    let missing = place.fleetfit(&["restore", "none.backup", "--data-dir", "other"]);
    assert_eq!(missing.code, 2, "{}", missing.stderr);
}

/// The lines of a file.
fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).expect("a file").lines().map(str::to_owned).collect()
}

#[test]
fn trials_are_exported_as_they_are_told() {
    let place = learner::place();
    place.json(&["run", "job.yaml"]);
    place.write("sales.csv", &panel(2, 40));
    place.json(&["run", "job.yaml", "--name", "small", "--set", "limits.max_total_trials=1"]);
    let exported = place.json(&["export", "demand", "--out", "t.csv"]);
    assert_eq!(exported["trials"], 240);
    let told = said(&place, &["trials", "demand", "--output", "csv"]);
    assert_eq!(fs::read_to_string(place.path("t.csv")).expect("a file"), told);
    let one = place.json(&["export", "demand", "--entity", "17", "--out", "one.jsonl"]);
    assert_eq!(one["trials"], 8);
    let told = said(&place, &["trials", "demand", "--entity", "17", "--output", "json"]);
    assert_eq!(fs::read_to_string(place.path("one.jsonl")).expect("a file"), told);
    let each = place.lines(&["export", "--out", "all", "--format", "jsonl"]);
    assert_eq!(each.len(), 2);
    assert_eq!(lines(&place.path("all/demand.jsonl")).len(), 240);
    assert_eq!(lines(&place.path("all/small.jsonl")).len(), 2);
    place.json(&["export", "small", "--out", "all"]);
    place.fleetfit(&["trials", "small", "--output", "parquet", "--out", "small.parquet"]).ok();
    let bytes = |file: &str| fs::read(place.path(file)).expect("a file");
    assert_eq!(bytes("all/small.parquet"), bytes("small.parquet"));
    for wrong in [
        &["export", "--out", "all.csv"][..],
        &["export", "demand", "--out", "t.xlsx"],
        &["export", "demand", "--out", "t.csv", "--format", "jsonl"],
        &["export", "nobody", "--out", "n.csv"],
    ] {
        assert_eq!(place.fleetfit(wrong).code, 2, "{wrong:?}");
    }
    assert!(!place.path("n.csv").exists() && !place.path("n.csv.part").exists());
}
