//! The command line as `docs/command-line.md` has it: its commands, options, fields and exit codes.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::{Place, Ran, panel, repository};
use crate::learner::JOB;

fn document() -> String {
    std::fs::read_to_string(repository("docs/command-line.md")).expect("the document")
}

/// What stands between two marks, again and again.
fn between<'t>(text: &'t str, from: &str, to: &str) -> Vec<&'t str> {
    text.split(from).skip(1).filter_map(|rest| rest.split(to).next()).collect()
}

/// The words of the text that look like an option.
fn options(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '-';
    let words = text.split(|c: char| !is_part(c));
    words
        .filter(|word| word.starts_with("--") && word.contains(char::is_alphabetic))
        .map(str::to_owned)
        .collect()
}

/// The commands that `--help` lists.
fn commands(place: &Place) -> BTreeSet<String> {
    let help = place.fleetfit(&["--help"]).ok().stdout;
    let listed = between(&help, "Commands:\n", "\n\n");
    let lines = listed[0].lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned);
    names.filter(|name| name != "help").collect()
}

#[test]
fn every_command_is_told_and_every_told_command_is_there() {
    let document = document();
    let commands = commands(&Place::new());
    assert!(commands.contains("run") && !commands.contains("__supervise"), "{commands:?}");
    let table: BTreeSet<String> =
        between(&document, "| `fleetfit ", "`").into_iter().map(str::to_owned).collect();
    assert_eq!(table, commands);
    let heads: Vec<&str> = document.lines().filter(|line| line.starts_with("## ")).collect();
    let headed: BTreeSet<String> = between(&heads.join("\n"), "`fleetfit ", "`")
        .into_iter()
        .filter_map(|command| command.split(' ').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(headed, commands);
}

#[test]
fn every_told_option_is_there_and_every_option_is_told() {
    let place = Place::new();
    let document = document();
    let told = |command: &str| {
        let sections = document.split("\n## ").skip(1);
        let own = sections.filter(|section| {
            let head = section.lines().next().unwrap_or_default();
            [' ', '`'].iter().any(|end| head.contains(&format!("`fleetfit {command}{end}")))
        });
        own.map(options).fold(BTreeSet::new(), |all, some| all.union(&some).cloned().collect())
    };
    let everywhere = options(document.split("\n## ").next().expect("a beginning"));
    for command in commands(&place) {
        let help = place.fleetfit(&[&command, "--help"]).ok().stdout;
        let usage = help.split("\nExample").next().expect("a beginning");
        let there = options(usage);
        let unknown: Vec<_> = told(&command).difference(&there).cloned().collect();
        assert!(unknown.is_empty(), "{command} has no {unknown:?}");
        let mut known = told(&command).union(&everywhere).cloned().collect::<BTreeSet<_>>();
        if command == "run" {
            known.extend(told("check"));
        }
        let untold: Vec<_> = there.difference(&known).collect();
        assert!(untold.is_empty(), "nothing is said about {untold:?} of {command}");
    }
}

#[test]
fn every_exit_code_is_told() {
    let source = std::fs::read_to_string(repository("src/exit.rs")).expect("the source");
    let codes: Vec<&str> = between(&source, ": i32 = ", ";");
    assert!(codes.contains(&"130"), "{codes:?}");
    let document = document();
    let section = between(&document, "## Exit codes\n", "\n## ")[0];
    let told: Vec<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(' ').next())
        .filter(|word| word.parse::<i32>().is_ok())
        .collect();
    assert_eq!(told, codes);
}

/// Every key of `told` that `got` does not have, or has in another form.
fn missing(path: &str, told: &Value, got: &Value, found: &mut Vec<String>) {
    match (told, got) {
        (Value::Object(told), Value::Object(got)) => {
            for (key, value) in told {
                let path = format!("{path}.{key}");
                match got.get(key) {
                    Some(got) => missing(&path, value, got, found),
                    None => found.push(path),
                }
            }
        }
        (Value::Array(told), Value::Array(got)) => {
            if told.is_empty() != got.is_empty() {
                found.push(format!("{path}: {got:?}"));
            }
            told.iter().zip(got).for_each(|(told, got)| missing(path, told, got, found));
        }
        (told, got) if std::mem::discriminant(told) != std::mem::discriminant(got) => {
            found.push(format!("{path}: {got}"));
        }
        _ => {}
    }
}

/// The examples, each after the arguments that make it: "```json best store-demand --all".
fn examples(document: &str) -> Vec<(Vec<&str>, Value)> {
    let example = |block: &'_ str| {
        let (head, text) = block.split_once('\n').expect("a line");
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {head}\n{text}"))
    };
    let blocks = between(document, "\n```json ", "\n```").into_iter();
    blocks
        .map(|block| {
            let arguments = block.lines().next().unwrap_or_default();
            (arguments.split_whitespace().collect(), example(block))
        })
        .collect()
}

#[test]
fn every_example_is_what_the_command_prints() {
    let place = Place::new();
    place.write("sales.csv", &panel(20, 40));
    place.write("job.yaml", &JOB.replace("name: demand", "name: store-demand"));
    place.write("wrong.yaml", &JOB.replace("min: 0.001", "min: 0"));
    place.write("next.csv", "week,store,price,promo\n41,17,2.5,0\n");
    place.write(
        "script.yaml",
        "type: sweep\nname: script\ntrial:\n  command: 'echo ''{\"metric\": \"score\", \"value\": \
         ${{search_space.x}}}'''\nsearch_space:\n  x: {type: uniform, min_value: 0, max_value: 1}\n\
         objective: {goal: minimize, primary_metric: score}\nlimits: {max_total_trials: 2}\nseed: 1\n",
    );
    let document = document();
    let examples = examples(&document);
    let shown: BTreeSet<&str> = examples.iter().map(|(words, _)| words[0]).collect();
    let all = [
        "best",
        "check",
        "delete",
        "devices",
        "importance",
        "insight",
        "predict",
        "run",
        "status",
        "studies",
        "trials",
    ];
    assert_eq!(shown, all.into());
    for (words, told) in examples {
        if words[0] == "best" {
            place.json(&["run", "script.yaml"]);
        }
        let ran = place.fleetfit(&[&words, &["--output", "json"][..]].concat());
        assert_eq!(ran.code, if words[1..] == ["wrong.yaml"] { 2 } else { 0 }, "{}", ran.stderr);
        let got = ran.stdout.lines().next().expect("a line");
        let got: Value = match serde_json::from_str(&ran.stdout) {
            Ok(document) => document,
            Err(_) => serde_json::from_str(got).expect("a JSON document a line"),
        };
        let mut found = Vec::new();
        missing("", &told, &got, &mut found);
        assert!(found.is_empty(), "{words:?} differs in {found:?}: {got}");
        // A whole object is told whole.
        if told.get("created").is_some() || told.get("started").is_some() {
            let mut found = Vec::new();
            missing("", &got, &told, &mut found);
            found.retain(|path| {
                !path.starts_with(".configuration") && !path.contains("ation.alpha")
            });
            assert!(found.is_empty(), "nothing is said about {found:?} of {words:?}");
        }
        if words[..] == ["check", "wrong.yaml"] {
            assert_eq!(told["problems"], got["problems"]);
        }
    }
}

#[test]
fn a_variable_that_is_empty_counts_as_not_set() {
    let place = Place::new();
    place.write("sales.csv", &panel(2, 40));
    place.write("job.yaml", &JOB.replace("max_total_trials: 8", "max_total_trials: 2"));
    let mut command = place.command(&["run", "job.yaml"]);
    for name in ["FLEETFIT_DEVICE", "FLEETFIT_NATS", "FLEETFIT_SERVER", "FLEETFIT_TOKEN"] {
        command.env(name, "");
    }
    Ran::of(command.output().expect("fleetfit starts")).ok();
    let mut command = place.command(&["status", "demand"]);
    Ran::of(command.env("FLEETFIT_SERVER", "").output().expect("fleetfit starts")).ok();
}

#[test]
fn what_trains_is_said_where_it_trains() {
    let place = Place::new();
    for (option, value) in [("--slots", "2"), ("--device", "cpu")] {
        let ran = place.fleetfit(&["serve", "--nats", "nats://localhost:1", option, value]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        let says = format!("{option} says what trains in this process, and with --nats runners");
        assert!(ran.stderr.contains(&says), "{}", ran.stderr);
        assert!(ran.stderr.contains("give it to fleetfit runner"), "{}", ran.stderr);
    }
}

#[test]
fn completions_are_there_for_each_shell() {
    let place = Place::new();
    let commands = commands(&place);
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = place.fleetfit(&["completions", shell]).ok().stdout;
        for command in &commands {
            assert!(script.contains(command.as_str()), "{shell} does not complete {command}");
        }
    }
    assert_eq!(place.fleetfit(&["completions", "cmd"]).code, 2);
}
