//! Trials, winners, entities, logs; and what the service says of itself.

use fleetfit_scheduler::api::RunnerView;
use serde_json::{Value, json};

use crate::place::{JOB, Place};

/// Every row of a list, page by page.
fn rows(place: &Place, path: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = place.get(&format!("{path}{cursor}")).ok();
        rows.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

#[test]
fn trials_are_listed_by_entity_and_state() {
    let place = Place::new();
    place.with_stores("stores", 7);
    let path = "/api/v1/studies/stores/trials";
    assert_eq!(rows(&place, &format!("{path}?limit=3")).len(), 14);
    let failed = rows(&place, &format!("{path}?limit=1&state=failed"));
    assert_eq!(failed.len(), 2);
    assert_eq!(failed[0]["reason"], "no rows");
    let of_one = rows(&place, &format!("{path}?limit=1&entity=store%3D3"));
    let trials: Vec<_> = of_one.iter().map(|row| (&row["trial"], &row["entity"])).collect();
    let store = json!({"store": 3});
    assert_eq!(trials, [(&json!(0), &store), (&json!(1), &store)]);
    assert_eq!(place.get(&format!("{path}?entity=99")).refused(), (404, "unknown_entity".into()));
}

#[test]
fn winners_are_found() {
    let place = Place::new();
    place.with_stores("stores", 7);
    let best = place.get("/api/v1/studies/stores/best?entity=3&top=2").ok();
    let values: Vec<_> = best.as_array().unwrap().iter().map(|row| &row["value"]).collect();
    assert_eq!(values, [&json!(4.0), &json!(5.0)]);
    assert_eq!(rows(&place, "/api/v1/studies/stores/bests?limit=4").len(), 6);
    assert_eq!(rows(&place, "/api/v1/studies/stores/models?limit=4").len(), 7);
}

#[test]
fn entities_are_sorted_by_key_or_by_value() {
    let place = Place::new();
    place.with_stores("stores", 5);
    let stores = |sort: &str| -> Vec<(i64, Value)> {
        let rows = rows(&place, &format!("/api/v1/studies/stores/entities?limit=2{sort}"));
        let store = |row: &Value| row["entity"]["store"].as_i64().unwrap();
        rows.iter().map(|row| (store(row), row["value"].clone())).collect()
    };
    let value = |value: f64| json!(value);
    let by_key =
        vec![(0, json!(null)), (1, value(4.0)), (2, value(3.0)), (3, value(2.0)), (4, value(1.0))];
    let mut by_value = by_key.clone();
    by_value.reverse();
    assert_eq!(stores(""), by_key);
    assert_eq!(stores("&sort=key"), by_key);
    assert_eq!(stores("&sort=value"), by_value);
    let first = place.get("/api/v1/studies/stores/entities?limit=1").ok()["items"][0].clone();
    assert_eq!(first["trials"], json!({"completed": 0, "stopped": 0, "failed": 2}));
    for wrong in ["sort=size", "cursor=x", "sort=value&cursor=zz-1", "sort=value&cursor=none-"] {
        let answer = place.get(&format!("/api/v1/studies/stores/entities?{wrong}"));
        assert_eq!(answer.refused(), (400, "bad_request".into()), "{wrong}");
    }
}

#[test]
fn logs_are_streamed() {
    let place = Place::new();
    place.submit(JOB).ok();
    let path = "/api/v1/studies/demo/trials/3/logs";
    let none = place.get(path);
    assert_eq!(none.refused(), (404, "unknown_trial".into()));
    let message = none.json()["message"].as_str().unwrap().to_owned();
    assert!(message.ends_with("only trials that run a command have one"), "{message}");
    let folder = place.dir.path().join("studies/demo/trials/3");
    std::fs::create_dir_all(&folder).unwrap();
    let text = "a line of output\n".repeat(50_000);
    std::fs::write(folder.join("log.txt"), &text).unwrap();
    let answer = place.get(path);
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(answer.text() == text);
    for strange in ["x", "-1", "4294967296", "..%2f3"] {
        let path = format!("/api/v1/studies/demo/trials/{strange}/logs");
        assert_eq!(place.get(&path).refused(), (400, "bad_request".into()), "{strange}");
    }
    assert_eq!(place.get("/api/v1/studies/..%2fdemo/trials/3/logs").status, 404);
}

#[test]
fn why_there_is_no_log_is_said() {
    let place = Place::new();
    let job_text = JOB.replace("trial: external", "trial: {command: 'echo ${{search_space.x}}'}");
    let job = fleetfit_search_spaces::Job::read("job.yaml", &job_text).unwrap();
    let study = fleetfit_scheduler::journal::NewStudy {
        name: "demo".into(),
        job_file: "job.yaml".into(),
        canonical: job.canonical(),
        job_text,
        ..Default::default()
    };
    let id = place.journal.create(&study).unwrap();
    let mut index = fleetfit_scheduler::journal::Index::default();
    let mut check = |status, proposed, trial: u32, expected: &str| {
        (index.summary.status, index.summary.proposed) = (status, proposed);
        place.journal.append(id, &[], &index).unwrap();
        let none = place.get(&format!("/api/v1/studies/demo/trials/{trial}/logs"));
        assert_eq!(none.refused(), (404, "unknown_trial".into()));
        assert_eq!(none.json()["message"], expected);
    };
    use fleetfit_scheduler::journal::Status::{Completed, Running};
    check(Running, 0, 0, "trial 0 of demo has no log: the study has no trials yet");
    let early = "trial 1 of demo has no log yet: it has written nothing, or a runner elsewhere has \
                 it and brings its log when it ends";
    check(Running, 2, 1, early);
    check(Running, 2, 2, "trial 2 of demo has no log: its trials so far are 0 to 1");
    check(Completed, 2, 1, "trial 1 of demo has no log: it wrote nothing");
}

#[test]
fn a_study_that_nobody_can_run_says_so() {
    let notices = |job: &str, change: fn(&mut RunnerView)| {
        let place = Place::new();
        place.runners.lock().unwrap().iter_mut().for_each(change);
        let view = place.submit(job).ok();
        assert_eq!(place.get("/api/v1/studies/demo").ok()["notices"], view["notices"]);
        let notices = view["notices"].as_array().unwrap().iter();
        let of_the_service = notices.filter(|notice| notice["file"] == "");
        of_the_service.map(|it| it["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let program = JOB.replace("trial: external", "trial: {command: 'echo ${{search_space.x}}'}");
    assert!(notices(&program, |_| {}).is_empty());
    let told = notices(&program, |runner| runner.commands = false);
    assert!(told.len() == 1 && told[0].contains("--allow-commands"), "{told:?}");
    let told = notices(&program, |runner| runner.state = "gone".into());
    assert!(told.len() == 1 && told[0].contains("no runner is there"), "{told:?}");
    let told = notices(&program, |runner| {
        runner.state = "refused".into();
        runner.troubles = vec!["it speaks version 1".into(), "other".into()];
    });
    let expected = "the only runner is refused and gets no work: it speaks version 1";
    assert!(told.len() == 1 && told[0].contains(expected), "{told:?}");
    assert!(notices(JOB, |runner| runner.state = "gone".into()).is_empty(), "none is needed");
}

#[test]
fn health_is_the_truth() {
    let place = Place::new();
    let healthy = json!({"status": "ok", "journal": "ok", "engine": "ok", "runner": "ok"});
    assert_eq!(place.get("/healthz").ok(), healthy);
    *place.bus.lock().unwrap() = Err("nats://localhost:4222 does not answer".into());
    let ill = place.get("/healthz");
    assert_eq!(ill.refused(), (503, "unhealthy".into()));
    assert_eq!(ill.json()["message"], "runner: nats://localhost:4222 does not answer");
}

#[test]
fn a_journal_that_is_gone_is_noticed() {
    let place = Place::new();
    place.submit(JOB).ok();
    std::fs::rename(place.dir.path().join("journal"), place.dir.path().join("elsewhere")).unwrap();
    let message = || {
        let ill = place.get("/healthz");
        assert_eq!(ill.refused(), (503, "unhealthy".into()));
        ill.json()["message"].as_str().unwrap().to_owned()
    };
    let said = message();
    assert!(said.starts_with("journal: ") && said.contains("was removed"), "{said}");
    // What cannot be kept is not taken, and the engine says why it is at its end.
    let other = JOB.replace("demo", "other");
    assert_eq!(place.submit(&other).refused(), (503, "unavailable".into()));
    let asked = place.post("/api/v1/studies/demo/ask", &json!({"n": 1}));
    assert_eq!(asked.refused(), (503, "unavailable".into()));
    crate::place::until(|| message().contains("engine: "));
    let view = place.get("/api/v1/studies/demo").ok();
    assert_eq!(view["status"], "interrupted", "{view}");
    let notice = view["notices"].as_array().unwrap().last().unwrap()["message"].as_str().unwrap();
    assert!(notice.contains("was removed") && notice.contains("start"), "{notice}");
    assert_eq!(place.get("/api/v1/studies").ok()["items"], json!([view]));
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let place = Place::new();
    place.with_stores("stores", 7);
    place.submit(JOB).ok();
    place.get("/api/v1/studies/none").refused();
    place.send("BREW", "/healthz", &[], b"").refused();
    let asked = place.post("/api/v1/studies/demo/ask", &json!({"n": 1}));
    assert_eq!(asked.ok()["trials"].as_array().unwrap().len(), 1, "the engine has written");
    // What was written is on the board a moment after it is answered.
    let has_written = |page: &crate::place::Answer| {
        !page.text().contains("fleetfit_journal_commit_seconds_count 0\n")
    };
    crate::place::until(|| has_written(&place.get("/metrics")));
    let page = place.get("/metrics");
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let value = |series: &str| -> f64 {
        let line =
            page.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series}: {}", page.text())).parse().unwrap()
    };
    assert_eq!(value("fleetfit_studies{status=\"completed\"}"), 1.0);
    assert_eq!(value("fleetfit_trials_ended{state=\"completed\"}"), 12.0);
    assert_eq!(value("fleetfit_trials_ended{state=\"failed\"}"), 2.0);
    assert_eq!(value("fleetfit_engine_up"), 1.0);
    assert_eq!(value("fleetfit_slots"), 4.0);
    // The trial that was asked for takes nobody's slot.
    assert_eq!(value("fleetfit_trials_lent"), 1.0);
    assert_eq!(value("fleetfit_assignments_out"), 0.0);
    assert!(value("fleetfit_journal_commit_seconds_count") >= 1.0);
    assert!(value("process_resident_memory_bytes") > 1e6);
    let labels = "route=\"/api/v1/studies/{study}\",method=\"GET\",status=\"404\"";
    assert_eq!(value(&format!("fleetfit_http_request_seconds_count{{{labels}}}")), 1.0);
    let labels = "route=\"/healthz\",method=\"other\",status=\"405\"";
    assert_eq!(value(&format!("fleetfit_http_request_seconds_count{{{labels}}}")), 1.0);
    for line in page.text().lines().filter(|line| !line.starts_with('#')) {
        let (series, number) = line.rsplit_once(' ').unwrap();
        assert!(number.parse::<f64>().is_ok(), "{line}");
        assert!(series.starts_with("fleetfit_") || series.starts_with("process_"), "{line}");
    }
}

#[test]
fn runners_are_listed() {
    let runners = Place::new().get("/api/v1/runners").ok();
    assert_eq!(runners["items"][0]["name"], "one");
}
