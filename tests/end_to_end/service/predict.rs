//! Predictions with the models of a service elsewhere: those that its own machine would make.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::fleet::{Deployment, Fleet};
use crate::harness::{Ran, panel};
use crate::learner;

/// Rows of stores in no order, one of which is not known.
const NEXT: &str = "week,store,price,promo\n41,17,2.5,0\n41,3,2.5,1\n41,999,2.5,0\n42,17,2.1,1\n";

/// One model for everything.
const POOLED: &str = "\
type: sweep
name: pooled
training_data: {path: sales.csv}
target_column_name: sales
task: regression
trial: {learner: decision_tree}
search_space:
  max_depth: [2, 3]
sampling_algorithm: grid
objective: {goal: minimize, primary_metric: rmse}
n_cross_validations: 3
seed: 1
";

const AHEAD: &str = "\
type: sweep
name: ahead
training_data: {path: sales.csv}
target_column_name: sales
task: forecasting
forecasting: {time_column_name: week, forecast_horizon: 4}
partition_column_names: [store]
trial: {learner: ridge}
search_space:
  alpha: [1.0, 10.0]
sampling_algorithm: grid
objective: {goal: minimize, primary_metric: rmse}
n_cross_validations: 4
seed: 1
";

const EXTERNAL: &str = "\
type: sweep
name: outside
trial: external
search_space:
  x: [1, 2]
sampling_algorithm: grid
objective: {goal: minimize, primary_metric: loss}
limits: {max_total_trials: 2}
";

fn fleet(deployment: Deployment) -> Fleet {
    let fleet = Fleet::start(deployment);
    fleet.place.write("sales.csv", &panel(30, 40));
    fleet.place.write("next.csv", NEXT);
    let ran = fleet.submit("job.yaml", learner::JOB);
    assert_eq!(ran["status"], "completed", "{ran}");
    fleet
}

/// Predicts on a machine that has nothing of the service's.
fn elsewhere(fleet: &Fleet, url: &str, arguments: &[&str]) -> Ran {
    let mut command = fleet.place.command(&[&["predict"], arguments].concat());
    command.env("FLEETFIT_HOME", fleet.place.path("nowhere")).env("FLEETFIT_SERVER", url);
    Ran::of(command.output().expect("fleetfit starts"))
}

/// Predicts on the service's own machine.
fn at_home(fleet: &Fleet, arguments: &[&str]) -> Ran {
    fleet.place.fleetfit(&[&["predict"], arguments].concat())
}

fn it_predicts_what_its_machine_would(deployment: Deployment) {
    let fleet = fleet(deployment);
    fleet.submit("pooled.yaml", POOLED);
    fleet.submit("ahead.yaml", AHEAD);
    fleet.place.write("outside.yaml", EXTERNAL);
    fleet.json(&["submit", "outside.yaml"]);
    for (code, arguments) in [
        (0, &["demand", "--data", "next.csv"][..]),
        (0, &["demand", "--data", "sales.csv", "--output", "json"]),
        (0, &["demand", "--data", "next.csv", "--entity", "17"]),
        (0, &["pooled", "--data", "next.csv"]),
        (0, &["ahead", "--data", "next.csv", "--interval", "0.5"]),
        (2, &["demnd", "--data", "next.csv"]),
        (2, &["demand", "--data", "next.csv", "--entity", "99"]),
        (2, &["demand", "--data", "none.csv"]),
        (2, &["outside", "--data", "next.csv"]),
    ] {
        let (here, there) = (at_home(&fleet, arguments), elsewhere(&fleet, &fleet.url, arguments));
        assert_eq!((here.code, there.code), (code, code), "{here:?}\n{there:?}");
        assert_eq!((here.stdout, here.stderr), (there.stdout, there.stderr), "{arguments:?}");
    }
    assert!(!fleet.place.path("nowhere").exists());
    let out = ["demand", "--data", "next.csv", "--out", "out.csv"];
    elsewhere(&fleet, &fleet.url, &out).ok();
    let written = std::fs::read_to_string(fleet.place.path("out.csv")).expect("the file");
    assert_eq!(written, at_home(&fleet, &out[..3]).ok().stdout);
    assert_eq!(written.lines().count(), 5);
}

#[test]
fn it_predicts_what_its_machine_would_in_process() {
    it_predicts_what_its_machine_would(Deployment::InProcess);
}

#[test]
fn it_predicts_what_its_machine_would_over_nats() {
    it_predicts_what_its_machine_would(Deployment::Nats);
}

/// What happens to an answer with models on its way.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    /// Its line is cut after so many bytes.
    Cut(usize),
    /// This byte is another one.
    Turned(usize),
}

/// A road to a service on which the first answers with models have a mishap; then the road is as it
/// should be, or closed.
fn road(to: &str, n_mishaps: usize, mishap: Mishap, and_then_closed: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let own = listener.local_addr().expect("its address").to_string();
    let url = format!("http://{own}");
    let to = to.strip_prefix("http://").expect("an address").to_owned();
    let left = Arc::new(AtomicUsize::new(n_mishaps));
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let (mut near, far) =
                (near.expect("a client"), TcpStream::connect(&to).expect("the service"));
            let head = head(&mut near);
            let is_hit = head.contains("/models/bytes")
                && left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                    .is_ok();
            let head = head.replacen(&own, &to, 1);
            carry(near, far, &head, is_hit.then_some(mishap));
            if is_hit && and_then_closed {
                return;
            }
        }
    });
    url
}

/// A request up to its body.
fn head(near: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && near.read(&mut byte).is_ok_and(|n| n == 1) {
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("a request")
}

fn carry(near: TcpStream, far: TcpStream, head: &str, mishap: Option<Mishap>) {
    let (mut from, mut to) = (near.try_clone().expect("near"), far.try_clone().expect("far"));
    to.write_all(head.as_bytes()).expect("the service hears");
    std::thread::spawn(move || {
        drop(std::io::copy(&mut from, &mut to));
        // The asker has hung up.
        drop(to.shutdown(Shutdown::Both));
    });
    let (mut from, mut to, mut n_carried) = (far, near, 0);
    let mut piece = vec![0; 1 << 12];
    while let Ok(n @ 1..) = from.read(&mut piece) {
        let mut n_sent = n;
        match mishap {
            Some(Mishap::Cut(at)) => n_sent = at.saturating_sub(n_carried).min(n),
            Some(Mishap::Turned(at)) if (n_carried..n_carried + n).contains(&at) => {
                piece[at - n_carried] ^= 1;
            }
            _ => {}
        }
        n_carried += n;
        if to.write_all(&piece[..n_sent]).is_err() || n_sent < n {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Both));
}

#[test]
fn what_is_cut_off_is_asked_for_again_or_told() {
    let fleet = fleet(Deployment::InProcess);
    let (_, listed) = fleet.ask("GET", "/api/v1/studies/demand/models", None);
    let models = listed["items"].as_array().expect("models").iter();
    let n_bytes: u64 = models.map(|item| item["model"]["length"].as_u64().expect("a length")).sum();
    let half = n_bytes as usize / 2;
    let arguments = ["demand", "--data", "sales.csv"];
    let whole = at_home(&fleet, &arguments).ok().stdout;
    let through = |n_mishaps, mishap, and_then_closed| {
        let road = road(&fleet.url, n_mishaps, mishap, and_then_closed);
        elsewhere(&fleet, &road, &[&arguments[..], &["--out", "out.csv"]].concat())
    };
    let out = fleet.place.path("out.csv");
    let is_whole = |path: &Path| std::fs::read_to_string(path).expect("the file") == whole;
    // In the middle, again and again, and before the first byte.
    for mishap in [Mishap::Cut(half), Mishap::Cut(half / 4), Mishap::Cut(0)] {
        through(1, mishap, false).ok();
        assert!(is_whole(&out), "{mishap:?}");
        std::fs::remove_file(&out).expect("the file");
    }
    through(3, Mishap::Cut(half), false).ok();
    std::fs::remove_file(&out).expect("the file");
    for (ran, words) in [
        (through(1, Mishap::Cut(half), true), "does not answer"),
        (through(100, Mishap::Cut(0), false), "does not answer"),
        (through(1, Mishap::Turned(half), false), "of demand changed while it was fetched"),
    ] {
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(ran.stderr.contains(words), "{ran:?}");
        assert!(ran.stdout.is_empty() && !out.exists(), "{ran:?}");
    }
}

#[test]
fn a_model_is_had_by_whoever_asks() {
    let fleet = fleet(Deployment::InProcess);
    let (_, listed) = fleet.ask("GET", "/api/v1/studies/demand/models?entity=17", None);
    let model = &listed["items"][0]["model"];
    let address = fleet.url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("the service");
    let path = "/api/v1/studies/demand/model?entity=17";
    let request = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it hears");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let bytes = &answer[end + 4..];
    assert_eq!(Some(bytes.len() as u64), model["length"].as_u64());
    assert_eq!(Some(blake3::hash(bytes).to_hex().as_str()), model["digest"].as_str());
    let (code, schema) = fleet.ask("GET", "/api/v1/studies/demand/schema", None);
    assert_eq!((code, &schema["schema"]["target"]), (200, &json!("sales")));
    // What a pack holds besides is damaged: the rest of the study is asked for as before.
    let packs = fleet.place.path("home/studies/demand/models");
    for pack in std::fs::read_dir(packs).expect("packs").flatten() {
        let mut bytes = std::fs::read(pack.path()).expect("a pack");
        bytes.iter_mut().skip(8).for_each(|byte| *byte ^= 1);
        std::fs::write(pack.path(), bytes).expect("a pack");
    }
    let (code, refusal) = fleet.ask("GET", path, None);
    assert_eq!((code, &refusal["code"]), (503, &Value::from("unavailable")), "{refusal}");
    let arguments = ["demand", "--data", "next.csv"];
    let (here, there) = (at_home(&fleet, &arguments), elsewhere(&fleet, &fleet.url, &arguments));
    assert_eq!((here.code, there.code), (3, 3), "{here:?}\n{there:?}");
    assert!(here.stderr.contains("is damaged") && there.stderr.contains("is damaged"), "{there:?}");
}
