//! The command lines of examples/deploy at work: the service as its unit starts it, a runner as
//! Compose does, and NATS with its two users between them.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use super::nats::{PASSWORD, Server};
use super::{Line, PATIENCE, of_unit, of_yaml};
use crate::harness::{Place, Ran, eventually, repository, signal};

const TOKEN: &str = "0123456789abcdef";

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command line with the places of this test in it.
fn placed(line: &Line, place: &Place, server: &Server) -> Vec<String> {
    let mut arguments = line.arguments.clone();
    let home = place.path(&arguments[0]).display().to_string();
    let mut set = |option: &str, value: String| {
        if let Some(at) = arguments.iter().position(|argument| argument == option) {
            arguments[at + 1] = value;
        }
    };
    set("--nats", format!("nats://127.0.0.1:{}", server.port()));
    set("--nats-password-file", place.write("password", PASSWORD).display().to_string());
    set("--token-file", place.write("token", TOKEN).display().to_string());
    set("--data-dir", home);
    set("--listen", "127.0.0.1:0".to_owned());
    arguments
}

fn start(arguments: &[String], place: &Place) -> Running {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = place.command(&words);
    command.env("FLEETFIT_HOME", place.path(&arguments[0]));
    Running(command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("fleetfit starts"))
}

#[test]
fn a_study_goes_through() {
    let (place, server) = (Place::new(), Server::start());
    let unit = of_unit("systemd/fleetfit.service");
    let mut service = start(&placed(&unit[0], &place, &server), &place);
    let mut told = BufReader::new(service.0.stderr.take().expect("what it says")).lines();
    let port = told.by_ref().map_while(Result::ok).find_map(|line| {
        let rest = line.split_once("http://127.0.0.1:")?.1;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u16>().ok()
    });
    let url = format!("http://127.0.0.1:{}", port.expect("the service says where it listens"));
    // Whoever speaks must be heard, or its pipe fills.
    std::thread::spawn(move || told.map_while(Result::ok).for_each(drop));
    let compose = of_yaml("docker/compose.yaml");
    let line = compose.iter().find(|line| line.is("runner")).expect("a runner");
    let mut runner = start(&placed(line, &place, &server), &place);
    let mut said = runner.0.stderr.take().expect("what it says");
    std::thread::spawn(move || said.read_to_end(&mut Vec::new()));

    let ask = |arguments: &[&str], token: &str| -> Ran {
        let mut command = place.command(arguments);
        command.env("FLEETFIT_TOKEN", token).env("FLEETFIT_SERVER", &url);
        Ran::of(command.output().expect("fleetfit starts"))
    };
    let job = repository("examples/stores/job.yaml").display().to_string();
    let strange = ask(&["studies"], "another");
    assert!(strange.code != 0 && strange.stderr.contains("token"), "{strange:?}");
    ask(&["submit", &job], TOKEN).ok();
    let status = || ask(&["status", "store-demand", "--output", "json"], TOKEN).ok().json();
    eventually("the study is over", PATIENCE, || status()["status"] == "completed");
    assert_eq!(status()["trials"]["completed"], 1_920, "{}", status());
    let best = ask(&["best", "store-demand", "--entity", "17", "--output", "json"], TOKEN);
    assert!(best.ok().json()["model"].is_string());

    for running in [&mut runner, &mut service] {
        signal(&running.0, rustix::process::Signal::TERM);
        eventually("it ends when it is told to", PATIENCE, || {
            running.0.try_wait().expect("its state").is_some()
        });
        let status = running.0.wait().expect("its end");
        assert!(status.success(), "{status}");
    }
}
