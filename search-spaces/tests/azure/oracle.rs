//! Asks `azure-ai-ml` what it says of files: one Python process for all of them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What Azure says of each file: whether it accepts it, and its words.
pub(crate) fn ask_azure(folder: &Path, names: &[String]) -> BTreeMap<String, (bool, String)> {
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
