//! A service whose disk is full: it answers, and ends once there is room, to be started anew.

use std::process::{Command, Output};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

use super::fleet::{PATIENCE, Process, ask};
use crate::harness::{Place, eventually, panel};

/// The service. The limit on the length of its files is its disk: a file that may not grow is an error,
/// as on a disk that is full, and not the end of the process.
fn serve(place: &Place) -> (Process, String) {
    let own = ["serve", "--listen", "127.0.0.1:0", "--slots", "1"];
    let mut process = Process::start(place.command(&own));
    let url = process.hear("listens on ");
    (process, url)
}

/// How long any file of the process may become.
fn limit(process: &Process, bytes: Option<u64>) {
    let pid = Pid::from_child(&process.child);
    prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("a limit");
}

#[test]
fn it_answers_until_there_is_room_and_goes_on_after_the_next_start() {
    let place = Place::new();
    let (mut service, url) = serve(&place);
    let job = json!({
        "type": "sweep", "name": "first", "trial": "external", "search_space": {"x": [1, 2, 3]},
        "sampling_algorithm": "grid", "objective": {"goal": "minimize", "primary_metric": "loss"},
        "limits": {"max_total_trials": 3}, "seed": 1,
    });
    let send = |url: &str, method, path: &str, body| {
        ask(url, method, &format!("/api/v1/studies{path}"), body).expect("an answer")
    };
    assert_eq!(send(&url, "POST", "", Some(&job)).0, 201);
    limit(&service, Some(1));
    let one = json!({"n": 1});
    assert_eq!(send(&url, "POST", "/first/ask", Some(&one)).0, 503);
    eventually("it is not well", PATIENCE, || {
        ask(&url, "GET", "/healthz", None).expect("an answer").0 == 503
    });
    let why = service.hear("nothing is recorded any more");
    assert!(why.contains("file too large; ") && why.contains("ulimit -f"), "{why}");
    let (code, view) = send(&url, "GET", "/first", None);
    assert_eq!((code, &view["status"]), (200, &json!("interrupted")), "{view}");
    assert!(service.child.try_wait().expect("its state").is_none(), "{}", service.said());

    limit(&service, None);
    let mut ended = None;
    eventually("it ends", PATIENCE, || {
        ended = service.child.try_wait().expect("its state");
        ended.is_some()
    });
    assert_eq!(ended.and_then(|status| status.code()), Some(3), "{}", service.said());
    eventually("it says why", PATIENCE, || {
        service.said().contains("takes writes again: start the service again")
    });
    let (_service, url) = serve(&place);
    let (code, asked) = send(&url, "POST", "/first/ask", Some(&one));
    assert_eq!((code, asked["trials"].as_array().map(Vec::len)), (200, Some(1)), "{asked}");
}

#[test]
fn what_a_job_names_is_not_taken_and_submit_says_why() {
    let place = Place::new();
    let (service, _) = serve(&place);
    place.write("sales.csv", &panel(2, 60));
    place.write("job.yaml", RIDGE);
    // Longer than what lies between the two: it is refused while it is sent.
    place.write("code/model.bin", &"0123456789abcdef".repeat(1 << 20));
    place.write(
        "long.yaml",
        "type: sweep\ntrial: {command: 'true ${{search_space.x}}', code: code}\n\
         search_space: {x: [1]}\nsampling_algorithm: grid\n\
         objective: {goal: minimize, primary_metric: loss}\n",
    );
    limit(&service, Some(1));
    for (job, file) in [("job.yaml", "sales.csv"), ("long.yaml", "model.bin")] {
        let ran = place.fleetfit(&["submit", job]);
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        let taken = format!("{file} was not taken: ");
        for says in [taken.as_str(), " says: ", "file too large; ", "ulimit -f"] {
            assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
        }
        assert!(!ran.stderr.contains("os error"), "{}", ran.stderr);
    }
    limit(&service, None);
    place.fleetfit(&["submit", "job.yaml", "--wait"]).ok();
}

/// What `run` comes to where no file may be longer than so many blocks of the shell's.
fn run_within(place: &Place, n_blocks: u32) -> Output {
    let own = place.command(&["run", "job.yaml"]);
    let mut command = Command::new("sh");
    let limit = format!("ulimit -f {n_blocks}; exec \"$0\" \"$@\"");
    command.args(["-c", &limit]).arg(own.get_program());
    command.args(own.get_args()).current_dir(place.path(""));
    command.env_remove("FLEETFIT_SERVER").env("FLEETFIT_HOME", place.path("home"));
    command.output().expect("it starts")
}

const RIDGE: &str = "type: sweep\ntraining_data: {path: sales.csv}\ntarget_column_name: sales\n\
     task: regression\ntrial: {learner: ridge}\nsearch_space: {alpha: [0.1, 1, 10]}\n\
     sampling_algorithm: grid\nobjective: {goal: minimize, primary_metric: rmse}\n";

#[test]
fn a_run_whose_files_may_not_grow_says_so() {
    let place = Place::new();
    place.write("sales.csv", &panel(2, 60));
    place.write("job.yaml", RIDGE);
    let output = run_within(&place, 4);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("file too large; ") && said.contains("ulimit -f"), "{said}");
}

#[test]
fn a_program_s_log_ends_where_files_may_not_grow() {
    let place = Place::new();
    place.write(
        "job.yaml",
        "type: sweep\nsearch_space: {x: [1, 2]}\nsampling_algorithm: grid\n\
         objective: {goal: minimize, primary_metric: loss}\ntrial:\n  command: >-\n    \
         head -c 3000000 /dev/zero | tr '\\0' x; echo;\n    \
         echo '{\"metric\": \"loss\", \"value\": ${{search_space.x}}}'\n",
    );
    let output = run_within(&place, 1024);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
