//! Hostile and broken documents are refused quickly, without a panic and with bounded memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fmt::Write;

use fleetfit_search_spaces::{Job, Problems};
use proptest::prelude::*;
use rustix::time::{ClockId, clock_gettime};

/// What this thread has spent, in seconds: others use the machine, too.
fn spent_s() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Reads the whole job, within a time that no honest file comes near to.
fn refused(text: &str) -> Problems {
    let before_s = spent_s();
    let problems = match Job::read("job.yaml", text) {
        Ok(job) => job.study().expect_err("a hostile job was accepted"),
        Err(problems) => problems,
    };
    let took_s = spent_s() - before_s;
    assert!(took_s < 5.0, "{took_s} s");
    assert!(!problems.0.is_empty());
    problems
}

fn first(text: &str) -> String {
    refused(text).0[0].message.clone()
}

#[test]
fn deep_nesting_is_refused() {
    let deep = "lists and maps are nested deeper than 64 levels here";
    assert_eq!(first(&"[".repeat(100_000)), deep);
    assert_eq!(first(&"{a: ".repeat(100_000)), deep);
    assert_eq!(first(&"- ".repeat(100_000)), deep);
    assert_eq!(first(&format!("{}1{}", "[".repeat(65), "]".repeat(65))), deep);
    let mut stairs = String::new();
    for depth in 0..2_000 {
        writeln!(stairs, "{}a:", " ".repeat(depth)).unwrap();
    }
    assert_eq!(first(&stairs), deep);
    let mut aliases = "a0: &a0 [x]\n".to_owned();
    for step in 1..100 {
        writeln!(aliases, "a{step}: &a{step} [*a{}]", step - 1).unwrap();
    }
    assert_eq!(first(&aliases), deep);
}

#[test]
fn alias_bombs_are_refused() {
    let large = "the document grows past 100000 values here, aliases expanded";
    let mut lists = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    let mut maps = "a0: &a0 {a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8}\n".to_owned();
    for step in 1..12 {
        let last = step - 1;
        let list = vec![format!("*a{last}"); 10].join(", ");
        writeln!(lists, "a{step}: &a{step} [{list}]").unwrap();
        let map: Vec<String> = (0..8).map(|key| format!("k{key}: *a{last}")).collect();
        writeln!(maps, "a{step}: &a{step} {{{}}}", map.join(", ")).unwrap();
    }
    assert_eq!(first(&lists), large);
    assert_eq!(first(&maps), large);
    let text = "x".repeat(1 << 20);
    let copies = "  - *text\n".repeat(1_000);
    assert_eq!(first(&format!("text: &text {text}\ncopies:\n{copies}")), large);
    let anchored: String = (0..60).map(|step| format!("&a{step} [")).collect();
    let inner = "x, ".repeat(60_000);
    assert_eq!(first(&format!("{anchored}{inner}{}", "]".repeat(60))), large);
}

#[test]
fn huge_files_are_refused() {
    let says = "the file has more than 4194304 bytes (4 MiB)";
    assert!(first(&"# \n".repeat(2 << 20)).starts_with(says));
    let mut keys = "type: sweep\n".to_owned();
    for key in 0..45_000 {
        writeln!(keys, "unknown_key_{key}: 1").unwrap();
    }
    let problems = refused(&keys);
    assert!(problems.0.len() < 200, "{} problems", problems.0.len());
    let repeated = "key: 1\n".repeat(45_000);
    let problems = refused(&repeated);
    assert_eq!(problems.0[1].message, "key is set twice; the first is on line 1");
}

#[test]
fn a_choice_of_five_thousand_is_fine() {
    let plain: String = (0..5_000).map(|value| format!("    - {value}\n")).collect();
    let nested: String = (0..5_000)
        .map(|value| {
            format!("    - {{name: n{value}, x: {{type: uniform, min_value: 0, max_value: 1}}}}\n")
        })
        .collect();
    for values in [plain, nested] {
        let text = format!(
            "type: sweep\ntrial: external\nsearch_space:\n  x:\n{values}\
             objective: {{goal: minimize, primary_metric: loss}}\nlimits: {{max_total_trials: 9}}\n"
        );
        let before_s = spent_s();
        let study = Job::read("job.yaml", &text).unwrap().study().unwrap();
        assert_eq!(study.space.parameters.len(), 1);
        let took_s = spent_s() - before_s;
        assert!(took_s < 5.0, "{took_s} s");
    }
}

#[test]
fn what_no_program_can_be_started_with_is_refused() {
    let job = |command: &str, variables: &str| {
        format!(
            "type: sweep\ntrial:\n  command: \"{command} ${{{{search_space.x}}}}\"\n  \
             environment_variables: {{{variables}}}\nsearch_space: {{x: [1, 2]}}\n\
             objective: {{goal: minimize, primary_metric: loss}}\nlimits: {{max_total_trials: 2}}\n"
        )
    };
    let nul = "has a NUL byte (\\0), with which no program starts";
    assert_eq!(first(&job("a\\0b", "")), format!("trial.command {nul}"));
    let said = first(&job("a", "A: \"b\\0c\""));
    assert_eq!(said, format!("trial.environment_variables.A {nul}"));
    assert!(first(&job("a", "\"A\\0\": b")).contains("is no name for a variable"));
    let long = "x".repeat(128 << 10);
    let said = first(&job(&long, ""));
    assert!(said.contains("has 131073 bytes, more than a program can be started with"), "{said}");
    let said = first(&job("a", &format!("A: {long}")));
    assert!(said.contains("has 131074 bytes with its name, too many for a program"), "{said}");
    let long = "x".repeat(130_000);
    Job::read("job.yaml", &job(&long, &format!("A: {long}"))).unwrap().study().unwrap();
}

#[test]
fn values_that_no_program_can_be_given_are_refused() {
    let job = |command: &str, x: &str, inputs: &str| {
        format!(
            "type: sweep\ntrial: {{command: \"{command}\"}}\nsearch_space:\n  x: {x}\n\
             inputs: {{a: {inputs}}}\nobjective: {{goal: minimize, primary_metric: loss}}\n\
             limits: {{max_total_trials: 2}}\n"
        )
    };
    let runs = "echo ${{search_space.x}} ${{inputs.a}}";
    let check = |x: &str, path: &str, says: &str| {
        let problems = Job::read("job.yaml", &job(runs, x, "b")).unwrap().study().unwrap_err();
        let problem = problems.0.iter().find(|problem| problem.message.contains(says));
        let problem = problem.unwrap_or_else(|| panic!("{problems}"));
        assert_eq!((problem.place.path.as_str(), problem.place.line), (path, 4), "{problems}");
        assert!(problem.hint.is_some(), "{problems}");
    };
    let nul = "has a NUL byte (\\0), with which no program starts";
    check("[a, \"b\\0\"]", "search_space.x.1", nul);
    check("[a, \"b\\u0000c\"]", "search_space.x.1", nul);
    check("{type: choice, values: [\"\\0\", b]}", "search_space.x.values.0", nul);
    check("[a, {name: \"n\\0\", k: [1]}]", "search_space.x.1.name", nul);
    check("[a, {name: n, k: [1, \"\\0\"]}]", "search_space.x.1.k.1", nul);
    let long = |n: usize| "v".repeat(n);
    let too_many = "bytes with its name, too many for a program";
    let full = (128 << 10) - "AZUREML_SWEEP_x=".len();
    check(&format!("[a, {}]", long(full)), "search_space.x.1", too_many);
    // As JSON a branch is one value.
    let two = format!("[a, {{j: {}, k: [{}]}}]", long(70_000), long(70_000));
    check(&two, "search_space.x.1", too_many);
    let said = first(&job(runs, "[a, b]", "\"c\\0\""));
    assert_eq!(said, format!("inputs.a {nul}"));
    // What is written in several places adds up, and what does not come together does not.
    let said = |command: &str, x: &str, a: &str| {
        let study = Job::read("job.yaml", &job(command, x, a)).unwrap().study();
        study.err().map(|problems| problems.0[0].message.clone())
    };
    let says = "trial.command has up to 140006 bytes with what its placeholders stand for, more than \
                a program can be started with";
    assert_eq!(said(runs, &format!("[a, {}]", long(70_000)), &long(70_000)).as_deref(), Some(says));
    let twice = "echo ${{search_space.x}}${{search_space.x}}.";
    assert_eq!(said(twice, &format!("[a, {}]", long(70_000)), "b").as_deref(), Some(says));
    let branches = format!("[{{j: {}}}, {{k: {}}}]", long(70_000), long(70_000));
    assert_eq!(said("echo ${{search_space.x.j}} ${{search_space.x.k}}", &branches, "b"), None);
    assert_eq!(said("true ${{inputs.a}}", &format!("[a, {}]", long(full - 1)), "b"), None);
    // So does what the shell needs around them, and a branch counts as its JSON.
    let quotes = "'".repeat(40_000);
    let of_quotes = said(runs, &format!("[a, \"{quotes}\"]"), "b").unwrap();
    assert!(of_quotes.contains("has up to 160009 bytes with what its placeholders"), "{of_quotes}");
    assert_eq!(said(runs, &format!("[a, \"{}\"]", &quotes[..30_000]), "b"), None);
    let branch = format!("[a, {{j: {}}}]", long(70_000));
    let of_branch = said(runs, &branch, &long(70_000)).unwrap();
    assert!(of_branch.contains("bytes with what its placeholders stand for"), "{of_branch}");
    // All variables together have an end, too.
    let job = |n: usize| {
        let own = (0..n).map(|own| format!("  x{own}: [a, {}]\n", long(100 << 10)));
        let (space, rest) = (own.collect::<String>(), "limits: {max_total_trials: 2}\n");
        format!(
            "type: sweep\ntrial: {{command: run}}\nsearch_space:\n{space}\
             objective: {{goal: minimize, primary_metric: loss}}\n{rest}"
        )
    };
    Job::read("job.yaml", &job(15)).unwrap().study().unwrap();
    let said = first(&job(16));
    assert!(said.starts_with("search_space comes to variables of up to 1638"), "{said}");
    assert!(said.ends_with("bytes, more than a program can be started with"), "{said}");
}

#[test]
fn many_names_that_nothing_defines_are_cheap() {
    let mut text = "type: sweep\ntrial:\n  command: >-\n    train".to_owned();
    for name in 0..20_000 {
        write!(text, "\n    ${{{{search_space.{}{name}}}}}", "y".repeat(40)).unwrap();
    }
    text.push_str("\nsearch_space:\n");
    for name in 0..20_000 {
        writeln!(text, "  {}{name}: [1, 2]", "x".repeat(40)).unwrap();
    }
    text.push_str("objective: {goal: minimize, primary_metric: loss}\n");
    text.push_str("limits: {max_total_trials: 9}\n");
    let problems = refused(&text);
    assert_eq!(problems.0.len(), 100);
    assert!(problems.0.iter().all(|problem| problem.message.len() < 2_000));
}

const JOB: &str = "\
type: sweep
trial: {command: \"train ${{search_space.lr}} ${{inputs.a}}\", code: src}
inputs: {a: {path: x.csv}, b: 3}
search_space:
  lr: {type: loguniform, min_value: -3, max_value: 1}
  model: [{name: a, C: {type: qnormal, mu: 0, sigma: 1, q: 2}}, b, 3]
  d: {type: int, min: 1, max: 9, step: 2, scale: log}
sampling_algorithm: {type: random, seed: 1}
objective: {goal: minimize, primary_metric: loss}
early_termination: {type: bandit, slack_factor: 0.1}
limits: {max_total_trials: 20, timeout: 60}
";

const WORDS: &[&str] = &[
    "null",
    "[]",
    "{}",
    "-1",
    "0",
    "1e400",
    ".nan",
    "012",
    "yes",
    "\"\"",
    "*a",
    "&a x",
    "<<",
    "grid",
    "choice",
    "forecasting",
    "automl",
    "learner",
    "ridge",
    "task",
    "é",
    "\t",
    "\u{0}",
    "${{",
    "9223372036854775808",
    "type",
    "values",
    "forecasting: {}",
    "- - -",
    "? a",
    "|",
    "%",
    "---",
    "!!int 3",
    "true",
    "5.0",
    "external",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        judge(&text)?;
    }

    #[test]
    fn any_change_of_a_job_is_read_or_refused(
        changes in prop::collection::vec((0..120usize, 0..WORDS.len(), 0..3usize), 1..6),
    ) {
        let mut words: Vec<String> = split(JOB);
        for (place, word, way) in changes {
            let place = place % words.len();
            match way {
                0 => words[place] = WORDS[word].to_owned(),
                1 => { words.remove(place); }
                _ => words.insert(place, WORDS[word].to_owned()),
            }
        }
        judge(&words.concat())?;
    }
}

/// The text cut between words and marks.
fn split(text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut was_word = false;
    for c in text.chars() {
        let is_word = c.is_alphanumeric() || c == '_' || c == '.';
        if is_word != was_word || !is_word {
            pieces.push(String::new());
        }
        was_word = is_word;
        pieces.last_mut().unwrap().push(c);
    }
    pieces
}

/// Either a study whose space works, or at least one problem.
fn judge(text: &str) -> Result<(), TestCaseError> {
    match Job::read("job.yaml", text).and_then(|job| job.study()) {
        Ok(study) => {
            let axes = study.space.axes();
            for unit in [0.0, 0.3, 0.999] {
                let configuration = study.space.configuration(&vec![unit; axes.len()]);
                prop_assert!(study.space.contains(&configuration), "{}", configuration.to_json());
            }
        }
        Err(problems) => {
            prop_assert!(!problems.0.is_empty(), "refused without a problem: {text}");
            for problem in problems.0 {
                let hint = problem.hint.clone().unwrap_or_default();
                let parts = [&problem.message, &problem.found, &problem.allowed, &hint];
                prop_assert!(parts.iter().all(|part| !part.is_empty()), "{problem:?}\n{text}");
            }
        }
    }
    Ok(())
}
