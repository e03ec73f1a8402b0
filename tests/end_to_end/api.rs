//! The API of a real service: held against its own description by schemathesis, and still itself
//! afterwards.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command};

use rustix::process::Signal;

use crate::harness::{Place, repository, signal};

/// A service that listens on a port of its own.
struct Served {
    child: Child,
    url: String,
}

impl Served {
    fn start(place: &Place) -> Self {
        let mut child = place.start(&["serve", "--listen", "127.0.0.1:0", "--slots", "2"]);
        let errors = BufReader::new(child.stderr.take().expect("its standard error"));
        let mut url = None;
        let mut lines = errors.lines();
        for line in lines.by_ref().map_while(Result::ok) {
            if let Some((_, address)) = line.split_once("http://") {
                url = Some(format!("http://{}", address.trim()));
                break;
            }
        }
        // What it goes on saying is read, so that it can say it.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, url: url.expect("the address that it listens on") }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        signal(&self.child, Signal::TERM);
        drop(self.child.wait());
    }
}

#[test]
fn the_description_holds_under_schemathesis() {
    let program = std::env::var_os("FLEETFIT_SCHEMATHESIS");
    let program = program.expect("FLEETFIT_SCHEMATHESIS names schemathesis; tests/run installs it");
    let place = Place::new();
    let served = Served::start(&place);
    let ran = Command::new(program)
        .arg("--config-file")
        .arg(repository("tests/end_to_end/schemathesis.toml"))
        .args(["run", &format!("{}/openapi.json", served.url), "--no-color"])
        .current_dir(place.path("."))
        .output()
        .expect("schemathesis starts");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    // Thousands of strange requests later, it does what it is for.
    place.write(
        "job.yaml",
        "\
type: sweep
name: afterwards
trial:
  command: >-
    echo '{\"metric\": \"loss\", \"value\": ${{search_space.x}}}'
search_space:
  x: [1, 2, 3]
sampling_algorithm: grid
objective: {goal: minimize, primary_metric: loss}
limits: {max_total_trials: 3}
",
    );
    let submit = ["submit", "job.yaml", "--wait", "--server", &served.url, "--output", "json"];
    let ended = place.fleetfit(&submit).ok().json();
    assert_eq!((&ended["status"], &ended["best"]["value"]), (&"completed".into(), &1.0.into()));
}
