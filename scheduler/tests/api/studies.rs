//! Jobs in, studies listed, ended and gone.

use serde_json::json;

use crate::place::{JOB, Place};

#[test]
fn a_job_is_taken_once() {
    let place = Place::new();
    let first = place.submit(JOB);
    assert_eq!(first.status, 201, "{}", first.text());
    let study = first.json();
    assert_eq!(study["study"], "demo");
    assert_eq!(study["trials"], json!({"completed": 0, "stopped": 0, "failed": 0}));
    assert_eq!(study["metric"], json!({"name": "loss", "goal": "minimize"}));
    assert_eq!(place.submit(JOB).status, 200);
    let other = place.submit(&JOB.replace("max_total_trials: 6", "max_total_trials: 7"));
    assert_eq!(other.refused(), (409, "conflict".into()));
    assert_eq!(place.get("/api/v1/studies/demo").ok()["study"], "demo");
}

#[test]
fn a_job_may_be_json_and_be_changed_on_its_way() {
    let place = Place::new();
    let job = json!({
        "type": "sweep", "name": "json", "trial": "external",
        "search_space": {"x": {"type": "choice", "values": ["é\t\"q\"", "b"]}},
        "sampling_algorithm": "grid",
        "objective": {"goal": "maximize", "primary_metric": "score"},
    });
    let path = "/api/v1/studies?set=limits.max_total_trials%3D2&set=seed=3&file=my.json&material=m";
    let answer = place.post(path, &job);
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.json()["max_total_trials"], 2);
    let submitted = place.submitted.lock().unwrap().remove(0);
    assert_eq!(submitted.file.as_deref(), Some("my.json"));
    assert_eq!(submitted.material.as_deref(), Some("m"));
    let asked = place.post("/api/v1/studies/json/ask", &json!({"n": 2})).ok();
    let mut values: Vec<&str> = asked["trials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trial| trial["configuration"]["x"].as_str().unwrap())
        .collect();
    values.sort_unstable();
    assert_eq!(values, ["b", "é\t\"q\""]);
    let renamed = place.post("/api/v1/studies?name=other", &job).ok();
    assert_eq!(renamed["study"], "other");
}

#[test]
fn problems_are_told_as_check_tells_them() {
    let place = Place::new();
    let wrong = JOB.replace("random", "randm").replace("max_value: 1", "max_value: -1");
    let answer = place.submit(&wrong);
    assert_eq!(answer.refused(), (422, "problems".into()));
    let problems = answer.json()["problems"].clone();
    assert_eq!(problems.as_array().map(Vec::len), Some(2), "{problems}");
    let sampling = problems.as_array().unwrap().iter().find(|p| p["path"] == "sampling_algorithm");
    let sampling = sampling.unwrap();
    assert_eq!((&sampling["line"], &sampling["column"]), (&json!(6), &json!(21)), "{sampling}");
    assert_eq!(sampling["hint"], "did you mean random?");
    for key in ["file", "found", "allowed"] {
        assert!(sampling[key].is_string(), "{sampling}");
    }
    assert_eq!(place.get("/api/v1/studies").ok()["items"], json!([]));
}

#[test]
fn a_marked_request_counts_once() {
    let place = Place::new();
    let send = |mark: &str, job: &str| {
        let headers = [("Content-Type", "application/yaml"), ("Idempotency-Key", mark)];
        place.send("POST", "/api/v1/studies", &headers, job.as_bytes())
    };
    let first = send("a-1", JOB);
    assert_eq!(first.status, 201);
    // The same again, as it was answered the first time, and without asking the door.
    assert_eq!(send("a-1", JOB).status, 201);
    assert_eq!(place.submitted.lock().unwrap().len(), 1);
    assert_eq!(send("a-1", &JOB.replace("demo", "other")).refused(), (422, "unprocessable".into()));
    assert_eq!(send("a-2", JOB).status, 200);
    // A job that was refused can be mended under its mark.
    assert_eq!(send("a-3", "type: nothing").status, 422);
    assert_eq!(send("a-3", &JOB.replace("demo", "third")).status, 201);
    // The study is gone, and what is sent under its mark is another one.
    let end = |study: &str| {
        let path = format!("/api/v1/studies/{study}");
        place.post(&format!("{path}/cancel"), &json!(null)).ok();
        place.send("DELETE", &path, &[], b"").ok();
    };
    end("demo");
    let again = send("a-1", JOB);
    assert_eq!((again.status, &again.json()["study"]), (201, &json!("demo")));
    assert_eq!(send("a-1", JOB).status, 201);
    // One of its name that came otherwise is not the mark's.
    end("demo");
    place.submit(&JOB.replace("seed: 1", "seed: 2")).ok();
    assert_eq!(send("a-1", JOB).refused(), (409, "conflict".into()));
    let long = "x".repeat(256);
    for hostile in ["", "a b", "ü", long.as_str()] {
        assert_eq!(send(hostile, JOB).refused(), (400, "bad_request".into()), "{hostile}");
    }
}

#[test]
fn a_marked_rerun_counts_once() {
    let place = Place::new();
    place.submit(JOB).ok();
    let send = |mark: &str, body: &str| {
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", mark)];
        place.send("POST", "/api/v1/studies/demo/rerun", &headers, body.as_bytes())
    };
    let begun = || -> Vec<bool> {
        place.reruns.lock().unwrap().iter().map(|rerun| rerun.begun_ms.is_some()).collect()
    };
    let body = r#"{"name": "again", "set": {"seed": 9}}"#;
    assert_eq!(send("r-1", body).status, 201);
    // The same again, as it was answered the first time, and without asking the door.
    let again = send("r-1", body);
    assert_eq!((again.status, &again.json()["study"]), (201, &json!("again")));
    assert_eq!(begun(), [false]);
    let other = send("r-1", r#"{"name": "again", "set": {"seed": 8}}"#);
    assert_eq!(other.refused(), (422, "unprocessable".into()));
    // Nor is it a job's, or another study's.
    let headers = [("Content-Type", "application/yaml"), ("Idempotency-Key", "r-1")];
    let job = place.send("POST", "/api/v1/studies", &headers, JOB.as_bytes());
    assert_eq!(job.refused(), (422, "unprocessable".into()));
    // What was refused can be mended under its mark.
    assert_eq!(send("r-2", r#"{"set": {"sampling_algorithm": "none"}}"#).status, 422);
    assert_eq!(send("r-2", r#"{"set": {"seed": 3}}"#).status, 201);
    assert_eq!(send("a b", "{}").refused(), (400, "bad_request".into()));
    assert_eq!(begun(), [false; 3]);
    // The service was killed before it had noted the study: the door hears since when.
    let noted = place.journal.document("idempotency-key", "r-1").unwrap().unwrap();
    let mut noted: serde_json::Value = serde_json::from_slice(&noted).unwrap();
    let at_ms = noted["at_ms"].as_u64();
    noted["study"] = json!(null);
    place.journal.put_document("idempotency-key", "r-1", noted.to_string().as_bytes()).unwrap();
    assert_eq!(send("r-1", body).json()["study"], "again");
    assert_eq!(place.reruns.lock().unwrap().last().unwrap().begun_ms, at_ms);
    assert_eq!(send("r-1", body).json()["study"], "again");
    assert_eq!(begun(), [false, false, false, true]);
}

#[test]
fn studies_are_listed_page_by_page() {
    let place = Place::new();
    for name in ["a", "b", "c", "d", "e"] {
        place.submit(&JOB.replace("demo", name)).ok();
    }
    let mut names = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = place.get(&format!("/api/v1/studies?limit=2{cursor}")).ok();
        let items = page["items"].as_array().unwrap();
        names.extend(items.iter().map(|item| item["study"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
}

#[test]
fn a_study_is_cancelled_resumed_run_again_and_deleted() {
    let place = Place::new();
    place.submit(JOB).ok();
    let running = place.send("DELETE", "/api/v1/studies/demo", &[], b"");
    assert_eq!(running.refused(), (409, "running".into()));
    let cancelled = place.send("POST", "/api/v1/studies/demo/cancel", &[], b"").ok();
    assert_eq!(
        (&cancelled["status"], &cancelled["ended_by"]),
        (&json!("stopped"), &json!("cancel"))
    );
    assert_eq!(place.send("POST", "/api/v1/studies/demo/cancel", &[], b"").ok(), cancelled);
    assert_eq!(place.send("POST", "/api/v1/studies/demo/resume", &[], b"").status, 200);
    place.post("/api/v1/studies/demo/ask", &json!({"n": 1})).ok();
    place.send("POST", "/api/v1/studies/demo/cancel", &[], b"").ok();
    let again = place.post("/api/v1/studies/demo/rerun", &json!({"set": {"seed": 9}}));
    assert_eq!((again.status, &again.json()["study"]), (201, &json!("demo-2")));
    let gone = place.send("DELETE", "/api/v1/studies/demo", &[], b"").ok();
    assert_eq!(gone, json!({"study": "demo", "deleted": true}));
    assert_eq!(place.get("/api/v1/studies/demo").refused(), (404, "unknown_study".into()));
    place.submit(JOB).ok();
}

#[test]
fn a_process_that_is_no_service_takes_no_jobs() {
    let place = Place::no_service();
    assert_eq!(place.submit(JOB).refused(), (409, "not_a_service".into()));
    assert_eq!(place.get("/api/v1/studies").ok(), json!({"items": [], "next": null}));
    assert_eq!(place.get("/api/v1/runners").ok(), json!({"items": [], "next": null}));
    assert_eq!(place.get("/healthz").ok()["engine"], "ok");
}
