//! The script that is for machines with a card: it passes on an imagined one, and says what is wrong.

use std::process::Command;

use serde_json::{Value, json};

use super::{n_lines, program, with_card};
use crate::harness::{Place, Ran, repository};

/// Runs it on the imagined card.
fn check(place: &Place, driver: &str, arguments: &[&str]) -> Ran {
    let mut command = Command::new("python3");
    command
        .arg(repository("trial-runner/gpu-check"))
        .args(["--quick", "--binary", env!("CARGO_BIN_EXE_fleetfit"), "--report"])
        .arg(place.path("report.md"))
        .args(arguments)
        .env_remove("FLEETFIT_DEVICE");
    let tools = place.path("tools").display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{tools}:{path}"));
    Ran::of(with_card(command, place, driver).output().expect("python3 starts"))
}

/// A compute-sanitizer that finds nothing wrong.
const SANITIZER: &str = "#!/bin/sh\nwhile [ \"$1\" != all ]; do shift; done; shift\n\"$@\" || exit\n\
                         echo '========= ERROR SUMMARY: 0 errors'\n";

#[test]
fn the_check_of_a_card_passes() {
    let place = Place::new();
    program(&place, "tools/compute-sanitizer", SANITIZER);
    let ran = check(&place, "", &[]).ok();
    assert!(ran.stdout.contains("Everything agrees."), "{}", ran.stdout);
    assert!(ran.stdout.contains("\nNone of 8 is judged: sizes are toys.\n"), "{}", ran.stdout);
    for job in ["trees", "trees-three", "trees-two", "mlp", "lines", "logistic", "series"] {
        assert!(ran.stdout.contains(&format!("| racecheck | tiny-{job} | ")), "{}", ran.stdout);
    }
    let report = std::fs::read_to_string(place.path("report.md")).expect("the report");
    for part in ["measured", "parity", "floors", "sanitized", "faults", "benchmarks"] {
        assert!(report.contains(&format!("\n{part}: ")), "{part}: {report}");
    }
    // Another program's memory is not there, so launches are tried by halves.
    assert!(n_lines(&place, "refused") > 0, "{report}");
    let (_, launches) = report.split_once("launches then and otherwise: ").expect("a row");
    let (launches, _) = launches.split_once(" | ").expect("a cell");
    let n = launches.split(" and ").map(|n| n.parse::<u32>().expect("a number"));
    assert!(!n.is_sorted(), "{launches}");
    let says = "\"cuda:0 was lost, and is used anew: an imagined error\"; another process";
    assert_eq!(report.matches(says).count(), 1, "{report}");
    // One that does not pass leaves that report as it is.
    let ran = check(&place, "lost", &["--part", "measured"]);
    assert_eq!((ran.code, ran.stderr.matches("cannot be measured: ").count()), (2, 1), "{ran:?}");
    let failed = std::fs::read_to_string(place.path("report.failed.md")).expect("another report");
    assert!(failed.contains("Imagined Card"), "{failed}");
    assert_eq!(std::fs::read_to_string(place.path("report.md")).expect("it is there"), report);
}

/// The script with parts that only say what benchmarks came to, on a machine that is what they say.
const FIGURES: &str = r#"
import importlib.machinery, importlib.util, json, sys
script, report, told = sys.argv[1:4]
loader = importlib.machinery.SourceFileLoader("check", script)
own = importlib.util.module_from_spec(importlib.util.spec_from_loader("check", loader))
loader.exec_module(own)
told = json.loads(told)
own.CORES = told["cores"]
own.SANITIZED_S = 0
own.measured = own.parity = own.floors = own.faults = lambda check: None
own.shutil.which = lambda name: name
own.stores = own.series = lambda *what: None
def facts(check, _):
    check.card = {"name": told["card"]}
    check.began -= told["seconds"]
    check.say("A card")
def benchmarks(check):
    check.figures.update(told["figures"])
    check.n_wrong = told["wrong"]
own.facts, own.benchmarks = facts, benchmarks
sys.argv[1:] = ["--binary", "none", "--report", report, *told["more"]]
sys.exit(own.main())
"#;

#[test]
fn a_target_that_is_missed_is_no_success() {
    let place = Place::new();
    let report = place.path("report.md");
    let judged = |what: Value| {
        let mut command = Command::new("python3");
        command.args(["-B", "-c", FIGURES]).arg(repository("trial-runner/gpu-check"));
        command.arg(&report).arg(what.to_string());
        Ran::of(command.output().expect("python3 starts"))
    };
    let boosting = |ours: f64| json!({"× processor": ours, "× peer": 44.0, "launches, s": 3.0});
    let machine = |ours: f64| {
        json!({"card": "NVIDIA H200", "cores": 16, "seconds": 300, "wrong": 0, "more": [], "figures": {
            "gradient boosting, 32 bins": boosting(ours), "gradient boosting, 64 bins": boosting(12.0),
            "exponential smoothing": {"× peer": "statsforecast is not installed"},
            "ridge": {"launches, s": 0.7}, "end to end": {"× processor": 10.0}}})
    };
    let with = |what: &str, value: Value| {
        let mut told = machine(31.0);
        told[what] = value;
        told
    };
    for (told, code, says) in [
        (machine(31.0), 0, "Targets: 7 met, 0 not met, 1 not measured.\n"),
        (machine(31.0), 0, "| ≥ 10 | ≥ 30 | 31.00 | met, stretch met |\n"),
        (machine(31.0), 0, "| — | not measured: statsforecast is not installed |\n"),
        (machine(9.0), 3, "| ≥ 10 | ≥ 30 | 9.00 | **not met**, stretch not met |\n"),
        (machine(9.0), 3, "Targets: 6 met, **1 not met**, 1 not measured.\n"),
        (with("seconds", json!(481)), 3, "| wall, s | ≤ 480 | — | 48"),
        (with("seconds", json!(481)), 3, ", more than 8 minutes.\n"),
        (
            with("more", json!(["--part", "benchmarks"])),
            0,
            "not measured: only a part of it was run",
        ),
        (with("more", json!(["--quick"])), 0, "None of 8 is judged: sizes are toys.\n"),
        (with("cores", json!(4)), 0, "None of 8 is judged: they are of an H200 with 16 cores"),
        (with("card", json!("Other")), 0, "and this is Other with 16.\n"),
        (
            machine(31.0),
            0,
            "Not checked: tiny-trees, tiny-trees-three, tiny-trees-two, tiny-mlp, tiny-lines, \
             tiny-logistic, tiny-series under compute-sanitizer's racecheck, for want of time.\n",
        ),
        (with("wrong", json!(1)), 1, "**1 wrong.**\n"),
    ] {
        let ran = judged(told);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stdout.contains(says), "{says}: {}", ran.stdout);
        // What was measured is told, good or bad; what is wrong stands beside it.
        let beside =
            report.with_file_name(if code == 1 { "report.failed.md" } else { "report.md" });
        let written = std::fs::read_to_string(&beside).expect("a report");
        assert!(ran.stdout.ends_with(&written), "{written}");
        std::fs::remove_file(&beside).expect("it is there");
    }
}

#[test]
fn a_check_of_a_card_that_cannot_begin_says_why_in_a_line() {
    let place = Place::new();
    let here = place.path("").display().to_string();
    for (arguments, says) in [
        (["--device", "gpu"], "there is no gpu: this machine has cuda:0 (Imagined Card)"),
        (["--device", "cuda:7"], "there is no cuda:7: this machine has cuda:0 (Imagined Card)"),
        (["--binary", "/nowhere"], "/nowhere does not start: No such file or directory"),
        (["--binary", "/bin/true"], "/bin/true is not fleetfit"),
        (["--binary", ""], "--binary is empty"),
        (["--report", &here], "is not a file: the report cannot be written to it"),
        (["--report", "/nowhere/report.md"], "the report cannot be written: /nowhere is no folder"),
    ] {
        let ran = check(&place, "", &arguments);
        assert_eq!((ran.code, ran.stderr.lines().count()), (2, 1), "{ran:?}");
        assert!(ran.stderr.starts_with("gpu-check: ") && ran.stderr.contains(says), "{ran:?}");
        assert!(!place.path("report.md").exists());
    }
}

#[test]
fn a_binary_that_hangs_or_talks_nonsense_ends_the_check_and_the_report_says_so() {
    let place = Place::new();
    for (does, limit_s, says) in [
        ("sleep 3600", "1", "did not end within 1 s and was ended"),
        ("echo hello", "600", "fleetfit run boost.yaml prints no JSON: hello"),
        ("echo []", "600", "fleetfit run says something else than it should"),
    ] {
        let script = format!("[ \"$1\" = --version ] && echo fleetfit 1 && exit\n{does}\n");
        let odd = program(&place, "odd", &format!("#!/bin/sh\n{script}"));
        let arguments = ["--device", "cpu", "--call-limit", limit_s, "--binary", odd.as_str()];
        let ran = check(&place, "", &arguments);
        let last = ran.stderr.lines().last().unwrap_or_default();
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(last.starts_with("gpu-check: fleetfit run") && last.contains(says), "{ran:?}");
        let report = std::fs::read_to_string(place.path("report.failed.md")).expect("a report");
        assert!(report.contains("**Not finished: ") && report.contains(says), "{report}");
        assert!(!place.path("report.md").exists());
    }
}
