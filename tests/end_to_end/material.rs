//! Jobs for a service elsewhere: what they name on disk goes along, each file once.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use crate::harness::{Place, Ran, panel, signal};

/// A service in a folder of its own.
struct Served {
    child: Child,
    url: String,
    /// Reads on, so that the service is never kept waiting.
    _reader: JoinHandle<()>,
}

impl Served {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut child = place
            .command(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("fleetfit starts");
        let mut lines = BufReader::new(child.stderr.take().expect("its errors")).lines();
        let mut said = Vec::new();
        let url = loop {
            let Some(Ok(line)) = lines.next() else { panic!("it ended: {said:?}") };
            if let Some((_, url)) = line.split_once("listens on ") {
                break url.trim().to_owned();
            }
            said.push(line);
        };
        let reader = std::thread::spawn(move || lines.for_each(drop));
        Self { child, url, _reader: reader }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        signal(&self.child, rustix::process::Signal::TERM);
        self.child.wait().expect("it ends");
    }
}

fn n_files(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry"));
    entries.map(|entry| if entry.path().is_dir() { n_files(&entry.path()) } else { 1 }).sum()
}

/// Runs the binary with a token in its environment.
fn with_token(place: &Place, token: &str, arguments: &[&str]) -> Ran {
    let mut command: Command = place.command(arguments);
    Ran::of(command.env("FLEETFIT_TOKEN", token).output().expect("fleetfit starts"))
}

#[test]
fn a_program_travels_with_its_code_and_its_inputs() {
    let (there, here) = (Place::new(), Place::new());
    there.write("token", "open-sesame\n");
    let served = Served::start(&there, &["--token-file", "token", "--allow-commands"]);
    here.write(
        "jobs/job.yaml",
        "type: sweep\n\
         name: travels\n\
         trial:\n\
         \x20 command: ./bin/measure.sh ${{search_space.x}} ${{inputs.rows}}/rows.csv\n\
         \x20 code: ../src\n\
         inputs: {rows: {type: uri_folder, path: ../some data}}\n\
         search_space: {x: [3, 5]}\n\
         sampling_algorithm: grid\n\
         objective: {goal: minimize, primary_metric: loss}\n\
         limits: {max_total_trials: 2}\n",
    );
    here.write("some data/rows.csv", "1\n2\n3\n4\n");
    here.write("src/.amlignore", "big/\n");
    here.write("src/big/weights.bin", &"x".repeat(1 << 20));
    let script = here.write(
        "src/bin/measure.sh",
        "#!/bin/sh\nn=$(wc -l < \"$2\")\necho \"{\\\"metric\\\": \\\"loss\\\", \\\"value\\\": $(($1 * n))}\"\n",
    );
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("a mode");

    let submit = ["submit", "jobs/job.yaml", "--server", served.url.as_str()];
    let refused = here.fleetfit(&submit);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("--token-file"), "{}", refused.stderr);

    let more = ["--wait", "--output", "json"];
    let view = with_token(&here, "open-sesame", &[&submit[..], &more].concat()).ok().json();
    assert_eq!(view["status"], "completed", "{view}");
    assert_eq!(view["best"]["value"], 12.0, "{view}");
    assert_eq!(view["trials"]["completed"], 2, "{view}");
    // Three files and their list; what the code folder ignores stays here.
    let blobs = there.path("home/blobs");
    assert_eq!(n_files(&blobs), 4);

    // Only what changed is sent; the study that is there keeps what it was submitted with.
    here.write("some data/rows.csv", "1\n");
    let renamed = [&submit[..], &["--name", "again"], &more].concat();
    let view = with_token(&here, "open-sesame", &renamed).ok().json();
    assert_eq!(view["best"]["value"], 3.0, "{view}");
    assert_eq!(n_files(&blobs), 6);
}

#[test]
fn a_study_elsewhere_finds_what_it_would_have_found_here() {
    let (there, here) = (Place::new(), Place::new());
    let served = Served::start(&there, &[]);
    here.write("data/sales 1.csv", &panel(2, 60));
    here.write(
        "jobs/job.yaml",
        "type: sweep\n\
         name: sales\n\
         training_data: {path: '../data/*.csv'}\n\
         target_column_name: sales\n\
         task: regression\n\
         partition_column_names: [store]\n\
         trial: {learner: ridge}\n\
         search_space: {alpha: {type: float, min: 0.001, max: 10, scale: log}}\n\
         sampling_algorithm: random\n\
         objective: {goal: minimize, primary_metric: rmse}\n\
         limits: {max_total_trials: 4}\n\
         seed: 7\n",
    );
    let submit = ["submit", "jobs/job.yaml", "--wait", "--server", served.url.as_str()];
    let far = here.json(&submit);
    let near = here.json(&["run", "jobs/job.yaml"]);
    assert_eq!(far["status"], "completed", "{far}");
    assert_eq!(far["entities"], 2);
    assert_eq!(far["best"]["value"], near["best"]["value"]);
    assert_eq!(far["best"]["configuration"], near["best"]["configuration"]);
    let all = |more: &[&str]| here.lines(&[&["best", "sales", "--all"], more].concat());
    let without_model = |mut best: serde_json::Value| {
        best["model"] = serde_json::Value::Null;
        best
    };
    let far: Vec<_> = all(&["--server", &served.url]).into_iter().map(without_model).collect();
    let near: Vec<_> = all(&[]).into_iter().map(without_model).collect();
    assert_eq!(far, near);
}
