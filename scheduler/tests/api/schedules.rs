//! Schedules are kept, shown, paused, run and removed.

use serde_json::json;

use crate::place::{JOB, Place};

/// A schedule that names its job.
pub(crate) const SCHEDULE: &str = "\
name: nightly
trigger: {type: cron, expression: 0 6 * * *}
create_job: ./job.yaml
";

fn yaml(place: &Place, text: &str) -> crate::place::Answer {
    let headers = [("content-type", "application/yaml")];
    place.send("POST", "/api/v1/schedules?file=nightly.yaml", &headers, text.as_bytes())
}

fn with_its_job() -> String {
    let job: String = JOB.lines().map(|line| format!("  {line}\n")).collect();
    SCHEDULE.replace("./job.yaml\n", &format!("\n{job}"))
}

#[test]
fn a_schedule_goes_its_way() {
    let place = Place::new();
    let created = yaml(&place, &with_its_job());
    assert_eq!(created.status, 201, "{}", created.text());
    let view = created.json();
    assert_eq!((&view["schedule"], &view["paused"]), (&json!("nightly"), &json!(false)));
    assert_eq!(view["next_due"], "2026-11-20T06:00:00Z");
    assert_eq!(yaml(&place, &with_its_job()).status, 200);
    let other = with_its_job().replace("0 6", "0 7");
    assert_eq!(yaml(&place, &other).refused(), (409, "conflict".into()));

    let at = |rest: &str| format!("/api/v1/schedules/nightly{rest}");
    assert_eq!(place.get(&at("")).ok(), view);
    assert_eq!(place.get("/api/v1/schedules").ok()["items"], json!([view]));
    let paused = place.post(&at("/pause"), &json!(null)).ok();
    assert_eq!((&paused["paused"], &paused["next_due"]), (&json!(true), &json!(null)));
    assert_eq!(place.post(&at("/resume"), &json!(null)).ok(), view);
    let run = place.post(&at("/trigger"), &json!(null)).ok();
    let study = "nightly-20261120T055900Z";
    assert_eq!(run["last_study"], study);
    assert_eq!(place.get(&format!("/api/v1/studies/{study}")).ok()["study"], study);
    // The clock stands still, and each time is a study of its own.
    for number in 2..5 {
        let study = format!("{study}-{number}");
        assert_eq!(place.post(&at("/trigger"), &json!(null)).ok()["last_study"], study);
        assert_eq!(place.get(&format!("/api/v1/studies/{study}")).ok()["study"], study);
    }
    assert_eq!(place.send("DELETE", &at(""), &[], b"").ok()["deleted"], true);
    assert_eq!(place.get(&at("")).refused(), (404, "unknown_schedule".into()));
    assert_eq!(place.get(&format!("/api/v1/studies/{study}")).status, 200);
}

#[test]
fn they_come_in_pages() {
    let place = Place::new();
    for name in ["noon", "nightly", "an-hour"] {
        let schedule = with_its_job().replace("name: nightly", &format!("name: {name}"));
        assert_eq!(yaml(&place, &schedule).status, 201);
    }
    let page = |at: &str| {
        let page = place.get(&format!("/api/v1/schedules?limit=2{at}")).ok();
        let items = page["items"].as_array().unwrap();
        let names: Vec<String> =
            items.iter().map(|item| item["schedule"].as_str().unwrap().to_owned()).collect();
        (names, page["next"].as_str().map(str::to_owned))
    };
    let (names, next) = page("");
    assert_eq!(names, ["an-hour", "nightly"]);
    let (names, end) = page(&format!("&cursor={}", next.unwrap()));
    assert_eq!((names, end), (vec!["noon".to_owned()], None));
    let runners = place.get("/api/v1/runners?limit=1").ok();
    assert_eq!((&runners["items"][0]["name"], &runners["next"]), (&json!("one"), &json!(null)));
    assert_eq!(place.get("/api/v1/runners?cursor=1.one").ok()["items"], json!([]));
}

#[test]
fn what_is_wrong_with_a_schedule_is_said() {
    let place = Place::new();
    let wrong = with_its_job().replace("0 6 *", "0 25 *").replace("goal: minimize", "goal: min");
    let refused = yaml(&place, &wrong);
    assert_eq!(refused.refused(), (422, "problems".into()));
    let problems = refused.json()["problems"].clone();
    let places: Vec<_> = problems.as_array().unwrap().iter().map(|it| it["line"].clone()).collect();
    assert_eq!(places, [2, 10], "{problems}");
    let alone = yaml(&place, SCHEDULE);
    assert_eq!(alone.refused(), (422, "problems".into()));
    let problem = alone.json()["problems"][0].clone();
    assert_eq!((&problem["line"], &problem["found"]), (&json!(3), &json!("./job.yaml")));
    let post = |body| place.post("/api/v1/schedules", &body).refused();
    assert_eq!(post(json!({"text": SCHEDULE})), (422, "unprocessable".into()));
    assert_eq!(post(json!([1])), (422, "unprocessable".into()));
    let over = with_its_job().replace("}\ncreate", ", end_time: '2026-01-01'}\ncreate");
    let over = yaml(&place, &over);
    assert_eq!(over.refused(), (422, "problems".into()));
    let problem = over.json()["problems"][0].clone();
    assert_eq!((&problem["line"], &problem["path"]), (&json!(2), &json!("trigger.end_time")));
    let empty = yaml(&place, "# nothing yet\n").json()["problems"][0].clone();
    let said = ["allowed", "hint"].map(|key| empty[key].clone());
    assert_eq!(said, [json!("a schedule"), json!("begin with name: weekly-demand")]);
    let gone = place.post("/api/v1/schedules/nighly/pause", &json!(null));
    assert_eq!(gone.refused(), (404, "unknown_schedule".into()));
    assert_eq!(place.get("/api/v1/schedules").ok()["items"], json!([]));
}

#[test]
fn bodies_that_are_no_schedule_are_refused_in_our_words() {
    let place = Place::new();
    let job = |job: serde_json::Value| json!({"file": "s.yaml", "text": SCHEDULE, "job": job});
    for (body, says) in [
        (json!({}), "file is missing; write the schedule file's name, like nightly.yaml"),
        (json!({"file": "s.yaml"}), "text is missing; write the schedule file's text"),
        (json!({"file": 7, "text": ""}), "file is 7; write the schedule file's name"),
        (json!({"file": "s.yaml", "text": [1]}), "text is [1]; write the schedule file's text"),
        (json!({"files": "s.yaml"}), "files is not known; known are file, text, job"),
        (job(json!("job.yaml")), "job is \"job.yaml\"; write an object with file, text, sets"),
        (job(json!({})), "job.file is missing; write the job file's name, like job.yaml"),
        (job(json!({"file": "j.yaml"})), "job.text is missing; write the job file's text"),
        (job(json!({"base": "."})), "job.base is not known; known are file, text, sets"),
        (
            job(json!({"file": "j.yaml", "text": JOB, "sets": {"a": 1}})),
            "job.sets is {\"a\":1}; write a list of pairs of a dotted path and a value",
        ),
        (
            job(json!({"file": "j.yaml", "text": JOB, "sets": [["a", "1"], ["b", 1]]})),
            "job.sets.1 is [\"b\",1]; write a pair of two texts",
        ),
        (job(json!({"file": "j.yaml", "text": JOB, "material": 1})), "job.material is 1; write"),
    ] {
        let answer = place.post("/api/v1/schedules", &body);
        assert_eq!(answer.refused(), (422, "unprocessable".into()), "{body}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(says), "{body}: {message}");
    }
    // One that could never run is told so at once.
    let text = "type: sweep\ntrial: {command: 'true ${{search_space.x}}', code: src}\n\
                search_space: {x: [1]}\nobjective: {goal: minimize, primary_metric: loss}\n\
                limits: {max_total_trials: 1}\n";
    for (key, value, status, says) in [
        ("base_dir", "jobs", 422, "job.base_dir is jobs; write the path of a folder"),
        ("base_dir", "/nowhere/at/all", 422, "job.base_dir is /nowhere/at/all; write the path"),
        ("material", "f00", 400, "is not a blake3 digest"),
        ("sets", "", 422, "1 problem; nothing was started"),
    ] {
        let mut own = json!({"file": "job.yaml", "text": text});
        own[key] = if key == "sets" { json!([]) } else { json!(value) };
        let answer = place.post("/api/v1/schedules", &job(own));
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(says), "{}", answer.text());
    }
    let sets = json!([["limits.max_total_trials", "3"]]);
    let body = job(json!({"file": "job.yaml", "text": JOB, "sets": sets, "material": null}));
    assert_eq!(place.post("/api/v1/schedules", &body).status, 201);
}

#[test]
fn a_process_that_runs_one_study_keeps_no_schedules() {
    let place = Place::no_service();
    assert_eq!(place.get("/api/v1/schedules").refused(), (409, "not_a_service".into()));
    assert_eq!(yaml(&place, &with_its_job()).refused(), (409, "not_a_service".into()));
}
