//! Holds what we accept against what `azure-ai-ml` accepts: one Python process for all files.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use fleetfit_search_spaces::Problems;

/// What the two sides are meant to say.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Meant {
    /// The same, whatever it is.
    Same,
    /// Azure accepts it and we refuse it, for this reason.
    WeRefuse(&'static str),
    /// We accept it and Azure refuses it, for this reason.
    WeAccept(&'static str),
}

/// A file that both sides judge.
pub(crate) struct Case<'a> {
    /// The file's name.
    pub(crate) file: String,
    /// What it holds.
    pub(crate) text: &'a str,
    /// What a failure calls it.
    pub(crate) shown: &'a str,
    /// What the two sides are meant to say of it.
    pub(crate) meant: Meant,
}

/// Writes the files beside what lies in the folder, has both sides judge them, and fails where one
/// says what it is not meant to.
pub(crate) fn compare(
    folder: &Path,
    cases: &[Case<'_>],
    judge: impl Fn(&str, &str) -> Result<(), Problems>,
) {
    for case in cases {
        std::fs::write(folder.join(&case.file), case.text).unwrap();
    }
    let names: Vec<String> = cases.iter().map(|case| case.file.clone()).collect();
    let azure = ask_azure(folder, &names);
    let mut surprises = Vec::new();
    for Case { file, text, shown, meant } in cases {
        let (azure_accepts, azure_says) = &azure[file];
        let ours = judge(file, text);
        let expected = match meant {
            Meant::Same => *azure_accepts == ours.is_ok(),
            Meant::WeRefuse(_) => *azure_accepts && ours.is_err(),
            Meant::WeAccept(_) => !*azure_accepts && ours.is_ok(),
        };
        if !expected {
            let we_say = ours.err().map(|problems| problems.to_string()).unwrap_or_default();
            surprises.push(format!(
                "{shown}\n  meant {meant:?}; azure accepts: {azure_accepts} {azure_says}\n  we: {we_say}"
            ));
        }
    }
    assert!(surprises.is_empty(), "{} surprises:\n{}", surprises.len(), surprises.join("\n"));
}

/// Fails where a difference is not told in the document.
pub(crate) fn are_told(document: &str, all: impl Iterator<Item = Meant>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(document);
    let reference = std::fs::read_to_string(path).unwrap();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let reference = words(&reference);
    for meant in all {
        if let Meant::WeRefuse(reason) | Meant::WeAccept(reason) = meant {
            assert!(reference.contains(&words(reason)), "{document} does not list: {reason}");
        }
    }
}

/// What Azure says of each file: whether it accepts it, and its words.
fn ask_azure(folder: &Path, names: &[String]) -> BTreeMap<String, (bool, String)> {
    let Ok(python) = std::env::var("FLEETFIT_AZURE_PYTHON") else {
        panic!(
            "FLEETFIT_AZURE_PYTHON is not set; make one with: python3 -m venv .venv && \
             .venv/bin/pip install -U pip && .venv/bin/pip install azure-ai-ml==1.35.2, then set \
             FLEETFIT_AZURE_PYTHON=$PWD/.venv/bin/python"
        );
    };
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/azure/oracle.py");
    let mut child = Command::new(&python)
        .arg(oracle)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{python} does not start: {error}"));
    child.stdin.take().unwrap().write_all(names.join("\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the oracle failed: {:?}", output.status);
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| {
            let answer: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| answer[key].as_str().unwrap().to_owned();
            (text("file"), (answer["ok"].as_bool().unwrap(), text("said")))
        })
        .collect()
}
