//! Trials that are asked for and told over REST.

use serde_json::json;

use super::fleet::{Deployment, Fleet, PATIENCE};
use crate::harness::eventually;

const JOB: &str = "\
type: sweep
name: asked
trial: external
search_space:
  x: [1, 2, 3, 4]
sampling_algorithm: grid
objective: {goal: minimize, primary_metric: loss}
limits: {max_total_trials: 4, max_concurrent_trials: 2}
seed: 1
";

fn who_asks_tells(deployment: Deployment) {
    let fleet = Fleet::without_runners(deployment, &[]);
    fleet.place.write("job.yaml", JOB);
    fleet.json(&["submit", "job.yaml"]);
    let post = |what: &str, body: serde_json::Value| {
        let (code, answer) =
            fleet.ask("POST", &format!("/api/v1/studies/asked/{what}"), Some(&body));
        assert_eq!(code, 200, "{answer}");
        answer
    };
    let ask = |lease_s: u64| {
        let answer = post("ask", json!({"n": 4, "lease_s": lease_s}));
        answer["trials"].as_array().expect("trials").clone()
    };
    // As many as may be under way; whoever is silent for too long loses them to the next one.
    let first = ask(1);
    assert_eq!(first.len(), 2);
    let mut second = Vec::new();
    eventually("the leases end", PATIENCE, || {
        second = ask(600);
        !second.is_empty()
    });
    eventually("both leases end", PATIENCE, || {
        second.extend(ask(600));
        second.len() == 2
    });
    second.sort_by_key(|trial| trial["trial"].as_u64());
    assert_eq!(second, first);
    let tell = |trial: &serde_json::Value| {
        let result = json!({"trial": trial["trial"], "value": trial["configuration"]["x"]});
        post("tell", json!({"results": [result]}))["results"][0]["told"].clone()
    };
    assert_eq!(tell(&second[0]), "counted");
    assert_eq!(tell(&second[0]), "repeated");
    assert_eq!(tell(&second[1]), "counted");
    assert_eq!(tell(&json!({"trial": 77, "configuration": {"x": 1}})), "unknown");
    let rest = ask(600);
    assert_eq!(rest.len(), 2);
    for trial in &rest {
        assert_eq!(tell(trial), "counted");
    }
    let view = fleet.wait_until_over("asked", PATIENCE);
    assert_eq!(view["trials"]["completed"], 4, "{view}");
    assert_eq!(view["best"]["value"], 1.0, "{view}");
}

#[test]
fn who_asks_tells_in_process() {
    who_asks_tells(Deployment::InProcess);
}

#[test]
fn who_asks_tells_over_nats() {
    who_asks_tells(Deployment::Nats);
}
