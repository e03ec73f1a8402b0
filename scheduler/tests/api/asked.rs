//! Trials, winners, entities, logs; and what the service says of itself.

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
    assert_eq!(place.get(path).refused(), (404, "unknown_trial".into()));
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
fn metrics_are_what_prometheus_reads() {
    let place = Place::new();
    place.with_stores("stores", 7);
    place.submit(JOB).ok();
    place.get("/api/v1/studies/none").refused();
    place.send("BREW", "/healthz", &[], b"").refused();
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
