//! Configurations that are asked for while a study runs.

use serde_json::{Value, json};

use crate::place::{JOB, Place};

const PATH: &str = "/api/v1/studies/demo/enqueue";

fn send(place: &Place, mark: &str, body: &Value) -> crate::place::Answer {
    let headers = [("content-type", "application/json"), ("idempotency-key", mark)];
    place.send("POST", PATH, &headers, body.to_string().as_bytes())
}

fn ask(place: &Place, n: u32) -> Vec<(u64, f64)> {
    let asked = place.post("/api/v1/studies/demo/ask", &json!({"n": n})).ok();
    let trials = asked["trials"].as_array().unwrap().iter();
    trials
        .map(|it| (it["trial"].as_u64().unwrap(), it["configuration"]["x"].as_f64().unwrap()))
        .collect()
}

#[test]
fn they_come_next_with_the_numbers_that_were_told() {
    let place = Place::new();
    place.submit(JOB).ok();
    assert_eq!(ask(&place, 1)[0].0, 0);
    let body = json!({"configurations": [{"x": 0.25}, {}, {"x": 0.75}]});
    let queued = place.post(PATH, &body).ok();
    assert_eq!(queued["trials"], json!([1, 2, 3]));
    let asked = ask(&place, 3);
    assert_eq!((asked[0], asked[2]), ((1, 0.25), (3, 0.75)));
    assert!((0.0..1.0).contains(&asked[1].1));
    // One that runs is not tried twice.
    let body = json!({"configurations": [{"x": 0.75}, {"x": 0.5}, {"x": 0.75}, {"x": 0.5}]});
    let again = place.post(PATH, &body).ok();
    assert_eq!(again["trials"], json!([3, 4, 3, 4]));
    let full = place.post(PATH, &json!({"configurations": [{"x": 0.1}, {"x": 0.2}]}));
    assert_eq!(full.refused(), (422, "unprocessable".into()));
    let message = full.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("6 configurations in all, and 1 more can be asked for"), "{message}");
    place.post("/api/v1/studies/demo/cancel", &json!(null)).ok();
    let over = place.post(PATH, &json!({"configurations": [{"x": 0.1}]}));
    assert_eq!(over.refused(), (409, "not_running".into()));
}

#[test]
fn a_marked_request_counts_once() {
    let place = Place::new();
    place.submit(JOB).ok();
    let body = json!({"configurations": [{"x": 0.25}, {}]});
    let first = send(&place, "mark-1", &body).ok();
    assert_eq!(first["trials"], json!([0, 1]));
    assert_eq!(send(&place, "mark-1", &body).ok()["trials"], first["trials"]);
    assert_eq!(ask(&place, 2).len(), 2);
    assert_eq!(send(&place, "mark-1", &body).ok()["trials"], first["trials"]);
    let other = send(&place, "mark-1", &json!({"configurations": [{"x": 0.5}]}));
    assert_eq!(other.refused(), (422, "unprocessable".into()));
    assert_eq!(send(&place, "mark-2", &body).ok()["trials"], json!([0, 2]));
}

#[test]
fn a_marked_request_has_its_first_answer_after_the_study_too() {
    let place = Place::new();
    place.submit(JOB).ok();
    let body = json!({"configurations": [{"x": 0.25}, {}]});
    assert_eq!(send(&place, "mark-1", &body).ok()["trials"], json!([0, 1]));
    place.post("/api/v1/studies/demo/cancel", &json!(null)).ok();
    let check = |place: &Place| {
        assert_eq!(send(place, "mark-1", &body).ok()["trials"], json!([0, 1]));
        let other = send(place, "mark-1", &json!({"configurations": [{"x": 0.5}]}));
        assert_eq!(other.refused(), (422, "unprocessable".into()));
        let over = send(place, "mark-2", &body);
        assert_eq!(over.refused(), (409, "not_running".into()));
        assert!(over.text().contains("search is over"), "{}", over.text());
    };
    check(&place);
    let place = place.restarted();
    check(&place);
}

#[test]
fn what_does_not_fit_is_a_problem_at_its_place() {
    let place = Place::new();
    place.submit(JOB).ok();
    let check = |body: Value, path: &str, says: &str, hint: &str| {
        let answer = place.post(PATH, &body);
        assert_eq!(answer.refused(), (422, "problems".into()), "{}", answer.text());
        assert_eq!(answer.json()["message"], "1 problem; no configuration was taken");
        let problem = answer.json()["problems"][0].clone();
        assert_eq!(problem["path"], path, "{problem}");
        assert!(problem["message"].as_str().unwrap().contains(says), "{problem}");
        assert!(problem["hint"].as_str().unwrap().contains(hint), "{problem}");
    };
    let points = |points: Value| json!({"configurations": points});
    let range = "is 7, but must be a number from 0 to 1";
    check(points(json!([{"x": 0.5}, {"x": 7}])), "configurations.1.x", range, "write 1");
    let written = b"{\n \"configurations\": [\n  {\"x\": 7}]}";
    let answer = place.send("POST", PATH, &[("content-type", "application/json")], written).json();
    let problem = &answer["problems"][0];
    assert_eq!((&problem["line"], &problem["column"]), (&json!(3), &json!(9)), "{answer}");
    let name = "is no parameter of this space, which has x";
    check(points(json!([{"X": 0.5}])), "configurations.0.X", name, "did you mean x?");
    check(points(json!([7])), "configurations.0", "but must be a map", "as in {x: 1}");
    check(points(json!([{"x": "high"}])), "configurations.0.x", "but must be a number", "write");
    check(points(json!({"x": 1})), "configurations", "but must be a list", "write a list");
    let empty = place.post(PATH, &points(json!([])));
    assert_eq!(empty.refused(), (422, "unprocessable".into()));
    let none = place.post("/api/v1/studies/none/enqueue", &points(json!([{"x": 1}])));
    assert_eq!(none.refused(), (404, "unknown_study".into()));
    assert_eq!(ask(&place, 1)[0].0, 0, "nothing was taken");
}

/// What is left open is drawn so that it was not tried, as long as there is such a point.
#[test]
fn a_grid_is_visited_whole_though_some_of_it_was_asked_for_in_part() {
    let job = JOB.replace("random", "grid");
    let place = Place::new();
    let space = "search_space:\n  x: {type: int, min: 0, max: 2}\n  y: [a, b]\n";
    let start = job.find("search_space:").unwrap();
    let end = start + job[start..].find("sampling_algorithm").unwrap();
    let job = format!("{}{space}{}", &job[..start], &job[end..]);
    place.submit(&job).ok();
    let mut seen = std::collections::BTreeSet::new();
    let mut ask = |place: &Place, n: u32| {
        let asked = place.post("/api/v1/studies/demo/ask", &json!({"n": n})).ok();
        for trial in asked["trials"].as_array().unwrap() {
            assert!(seen.insert(trial["configuration"].to_string()), "{trial} of {seen:?}");
            let told = json!({"results": [{"trial": trial["trial"], "value": 1.0}]});
            place.post("/api/v1/studies/demo/tell", &told).ok();
        }
        seen.len()
    };
    assert_eq!(ask(&place, 2), 2);
    let body = json!({"configurations": [{"y": "a"}, {"y": "b"}, {}]});
    assert_eq!(place.post(PATH, &body).ok()["trials"], json!([2, 3, 4]));
    assert_eq!(ask(&place, 4), 6);
}
