//! Trials that are run by whoever asks for them.

use serde_json::{Value, json};

use crate::place::{JOB, Place};

fn trials(answer: &Value) -> Vec<u64> {
    let trials = answer["trials"].as_array().unwrap();
    trials.iter().map(|trial| trial["trial"].as_u64().unwrap()).collect()
}

#[test]
fn trials_are_asked_for_and_told() {
    let place = Place::new();
    place.submit(JOB).ok();
    let ask = |n: u32| place.post("/api/v1/studies/demo/ask", &json!({"n": n})).ok();
    let tell =
        |results: Value| place.post("/api/v1/studies/demo/tell", &json!({"results": results})).ok();
    let asked = ask(3);
    assert_eq!(trials(&asked), [0, 1, 2]);
    assert!(asked["trials"][0]["configuration"]["x"].is_f64(), "{asked}");
    let reported =
        place.post("/api/v1/studies/demo/report", &json!({"trial": 0, "step": 3, "value": 0.2}));
    assert_eq!(reported.ok(), json!({"stop": false, "reason": null}));
    let told = tell(json!([
        {"trial": 0, "value": 0.25},
        {"trial": 1, "failed": "out of memory"},
        {"trial": 2, "stopped": "worse than others", "value": 0.75},
        {"trial": 99, "value": 1},
    ]));
    let told: Vec<&str> =
        told["results"].as_array().unwrap().iter().map(|it| it["told"].as_str().unwrap()).collect();
    assert_eq!(told, ["counted", "counted", "counted", "unknown"]);
    let again = tell(json!([{"trial": 0, "value": 0.5}]));
    assert_eq!(again["results"], json!([{"trial": 0, "told": "repeated"}]));
    let status = place.get("/api/v1/studies/demo").ok();
    assert_eq!(status["trials"], json!({"completed": 1, "stopped": 1, "failed": 1}));
    assert_eq!(status["best"]["value"], 0.25);
    for trial in trials(&ask(10)) {
        tell(json!([{"trial": trial, "value": 1.5}]));
    }
    let status = place.get("/api/v1/studies/demo").ok();
    assert_eq!((&status["status"], &status["ended_by"]), (&json!("completed"), &json!("trials")));
    // Whoever comes after the end finds nothing to do, and nothing that he did wrong.
    let late = place.post("/api/v1/studies/demo/ask", &json!({"n": 1}));
    let message = "demo is over; there is nothing more to try";
    assert_eq!(late.ok(), json!({"trials": [], "message": message}));
    let results = json!({"results": [{"trial": 0, "value": 3}, {"trial": 99, "value": 3}]});
    let told = place.post("/api/v1/studies/demo/tell", &results).ok();
    let words = ["repeated", "unknown"];
    assert_eq!([&told["results"][0]["told"], &told["results"][1]["told"]], words);
    let reported = place.post("/api/v1/studies/demo/report", &json!({"trial": 0, "value": 3}));
    assert_eq!(reported.ok()["stop"], true);
}

#[test]
fn values_that_json_does_not_have_and_keys_that_are_there_twice() {
    let place = Place::new();
    place.submit(JOB).ok();
    place.post("/api/v1/studies/demo/ask", &json!({"n": 1})).ok();
    let tell = |body: &str| {
        let form = [("content-type", "application/json")];
        let told = place.send("POST", "/api/v1/studies/demo/tell", &form, body.as_bytes());
        assert_eq!(told.refused(), (400, "bad_request".into()), "{body}");
        told.json()["message"].as_str().unwrap().to_owned()
    };
    let twice = tell("{\"results\": [{\"trial\": 0, \"value\": 1, \"value\": 2}]}");
    assert!(twice.contains("\"value\" twice"), "{twice}");
    let none = tell("{\"results\": [{\"trial\": 0, \"value\": NaN}]}");
    assert!(none.contains("NaN") && none.contains("\"failed\""), "{none}");
    let status = place.get("/api/v1/studies/demo").ok();
    assert_eq!(status["trials"]["completed"], 0, "{status}");
}

#[test]
fn bodies_that_begin_with_a_byte_order_mark_and_empty_ones() {
    let place = Place::new();
    place.submit(JOB).ok();
    let send = |path: &str, body: &str| {
        let form = [("content-type", "application/json")];
        place.send("POST", &format!("/api/v1/studies/demo/{path}"), &form, body.as_bytes())
    };
    for (path, body, keys) in [
        ("ask", json!({"n": 1}), "n, lease_s"),
        ("report", json!({"trial": 0, "value": 0.5}), "trial, step, value"),
        ("tell", json!({"results": [{"trial": 0, "value": 0.5}]}), "results"),
        ("enqueue", json!({"configurations": [{"x": 0.5}]}), "configurations"),
    ] {
        for empty in ["", "\u{feff}", " \r\n"] {
            let answer = send(path, empty);
            assert_eq!(answer.refused(), (400, "bad_request".into()), "{path}");
            let says = format!("the body is empty; write a JSON object with {keys}");
            assert_eq!(answer.json()["message"], says, "{path}");
        }
        send(path, &format!("\u{feff}{body}")).ok();
    }
    assert_eq!(place.get("/api/v1/studies/demo").ok()["trials"]["completed"], 1);
}

#[test]
fn after_a_cancel_nothing_counts() {
    let place = Place::new();
    place.submit(JOB).ok();
    place.post("/api/v1/studies/demo/ask", &json!({"n": 1})).ok();
    place.post("/api/v1/studies/demo/cancel", &json!(null)).ok();
    let results = json!({"results": [{"trial": 0, "value": 3}]});
    let told = place.post("/api/v1/studies/demo/tell", &results).ok();
    assert_eq!(told["results"][0]["told"], "late");
    assert_eq!(place.get("/api/v1/studies/demo").ok()["trials"]["completed"], 0);
}

#[test]
fn bodies_that_say_nonsense_are_refused() {
    let place = Place::new();
    place.submit(JOB).ok();
    let check = |path: &str, body: Value, status: u16, says: &str| {
        let path = match path.strip_prefix("../") {
            Some(path) => format!("/api/v1/{path}"),
            None => format!("/api/v1/studies/{path}"),
        };
        let answer = place.post(&path, &body);
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(says), "{body}: {message}");
    };
    check("demo/ask", json!({}), 422, "n is missing; write a whole number from 1 to 1000");
    check("demo/ask", json!({"n": 0}), 422, "n is 0; write");
    check("demo/ask", json!({"n": "8"}), 422, "n is \"8\"; write");
    check("demo/ask", json!({"n": 1.5}), 422, "n is 1.5; write");
    check("demo/ask", json!({"n": 1, "m": 2}), 422, "m is not known; known are n, lease_s");
    check("demo/ask", json!([1]), 422, "the body is no JSON object");
    check("demo/ask", json!({"n": 1, "lease_s": 1e300}), 422, "lease_s is");
    check("demo/report", json!({"trial": 5, "value": 1}), 404, "no trial 5 under way");
    check("demo/report", json!({"trial": 0, "value": "x"}), 422, "value is \"x\"; write a number");
    check("demo/ask", json!(null), 422, "the body is no JSON object; write one with n, lease_s");
    check("demo/tell", json!({}), 422, "results is missing; write a list of 1 to 1000 objects");
    check("demo/tell", json!({"results": []}), 422, "results is []; write a list of 1 to 1000");
    check("demo/tell", json!({"results": "x"}), 422, "results is \"x\"; write a list of 1 to");
    check("demo/report", json!({}), 422, "trial is missing; write a whole number from 0 to");
    check("demo/report", json!({"trial": 0}), 422, "value is missing; write a number");
    check("demo/report", json!({"trial": 0, "value": null}), 422, "value is null; write a number");
    check("demo/rerun", json!({"set": 1}), 422, "set is 1; write an object of dotted paths");
    check("demo/rerun", json!({"name": 1}), 422, "name is 1; write a text");
    check("demo/models/bytes", json!({}), 422, "entities is missing; write a list of entities");
    check("demo/models/bytes", json!({"entities": [1]}), 422, "entities.0 is 1; write its part");
    check("../blobs/missing", json!({}), 422, "digests is missing; write a list of digests");
    check("../blobs/missing", json!({"digests": [1]}), 422, "digests.0 is 1; write a digest");
    check("../blobs/missing", json!({"digest": []}), 422, "digest is not known; known are dig");
    check("demo/tell", json!({"results": [7]}), 422, "results.0 is 7; write an object");
    check("demo/tell", json!({"results": [{"trial": 1}]}), 422, "the result of trial 1 is a value");
    let both = json!({"results": [{"trial": 1, "value": 1, "failed": "x"}]});
    check("demo/tell", both, 422, "write one of them");
    for key in ["failed", "stopped"] {
        for empty in ["", " \n"] {
            let result = json!({"results": [{"trial": 0, key: empty}]});
            check("demo/tell", result, 422, "; write the reason in a few words");
        }
    }
    let unknown = json!({"results": [{"trial": 1, "valeu": 1}]});
    check("demo/tell", unknown, 422, "results.0.valeu is not known");
    check("none/ask", json!({"n": 1}), 404, "there is no study named none");
}

#[test]
fn trials_of_built_in_learners_are_not_told_from_outside() {
    let place = Place::new();
    place.with_stores("stores", 2);
    for (what, body) in [
        ("ask", json!({"n": 1})),
        ("tell", json!({"results": [{"trial": 0, "value": 1}]})),
        ("report", json!({"trial": 0, "value": 1})),
    ] {
        let answer = place.post(&format!("/api/v1/studies/stores/{what}"), &body);
        assert_eq!(answer.refused(), (409, "not_external".into()), "{what}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("its trials are run by fleetfit;"), "{message}");
    }
}

/// A study that trades a loss against a time, within bounds.
const SEVERAL: &str = "\
type: sweep
name: several
trial: external
search_space: {x: {type: float, min: 0, max: 1}}
sampling_algorithm: tpe
objective:
  - {goal: minimize, primary_metric: loss}
  - {goal: maximize, primary_metric: speed}
constraints: [\"ms <= 20\"]
limits: {max_total_trials: 6}
";

#[test]
fn values_of_several_metrics_are_told_by_name() {
    let place = Place::new();
    place.submit(SEVERAL).ok();
    let post =
        |path: &str, body: Value| place.post(&format!("/api/v1/studies/several/{path}"), &body);
    post("ask", json!({"n": 6})).ok();
    let wrong = [
        json!({"trial": 0, "value": 1}),
        json!({"trial": 0, "values": {"loss": 1, "speed": 2}}),
        json!({"trial": 0, "values": {"loss": 1, "speed": 2, "ms": 3, "mss": 3}}),
        json!({"trial": 0, "values": {"loss": 1, "speed": null, "ms": 3}}),
        json!({"trial": 0, "values": {"loss": 1, "speed": "NaN", "ms": 3}}),
        json!({"trial": 0, "values": [1, 2, 3]}),
        json!({"trial": 0, "values": {"loss": 1, "speed": 2, "ms": 3}, "value": 1}),
    ];
    for result in wrong {
        let answer = post("tell", json!({"results": [result]}));
        assert_eq!(answer.refused(), (422, "unprocessable".into()), "{result}");
    }
    let status = place.get("/api/v1/studies/several").ok();
    assert_eq!((&status["trials"]["completed"], &status["front"]), (&json!(0), &json!(0)));
    let ends = [(3.0, 1.0, 10.0), (2.0, 1.0, 30.0), (2.0, 2.0, 20.0), (1.0, 0.5, 5.0)];
    for (trial, (loss, speed, ms)) in ends.into_iter().enumerate() {
        let values = json!({"loss": loss, "speed": speed, "ms": ms});
        let told = post("tell", json!({"results": [{"trial": trial, "values": values}]})).ok();
        assert_eq!(told["results"][0]["told"], "counted");
    }
    post("tell", json!({"results": [{"trial": 4, "failed": "no memory"}]})).ok();
    let status = place.get("/api/v1/studies/several").ok();
    assert_eq!(status["objectives"][1], json!({"name": "speed", "goal": "maximize"}));
    assert_eq!(status["constraints"], json!(["ms <= 20"]));
    assert_eq!(status["metrics"], json!(["loss", "speed", "ms"]));
    assert_eq!(status["front"], 2);
    // Between (1, 0.5) and (2, 2), up to the worst of those that keep the bound: (3, 0.5).
    let volume = json!({"value": 1.5, "reference": {"loss": 3.0, "speed": 0.5}});
    assert_eq!(status["hypervolume"], volume);
    assert_eq!(status["best"]["trial"], 3);
    let best = place.get("/api/v1/studies/several/best").ok();
    let trials: Vec<&Value> = best.as_array().unwrap().iter().map(|one| &one["trial"]).collect();
    assert_eq!(trials, [3, 2]);
    assert_eq!(best[1]["values"], json!({"loss": 2.0, "speed": 2.0, "ms": 20.0}));
    let one = place.get("/api/v1/studies/several/best?top=1").ok();
    assert_eq!(one.as_array().unwrap().len(), 1);
    let rows = place.get("/api/v1/studies/several/trials").ok();
    let row = |trial: usize| rows["items"][trial].clone();
    assert_eq!((&row(0)["feasible"], &row(1)["feasible"]), (&json!(true), &json!(false)));
    assert_eq!(row(1)["values"]["ms"], 30.0);
    assert!(row(4).get("values").is_none() && row(4).get("feasible").is_none());
}
