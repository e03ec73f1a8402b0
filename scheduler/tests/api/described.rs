//! The API and its description say the same.

use std::path::Path;

use serde_json::{Value, json};

use crate::form::check;
use crate::place::{Answer, JOB, Place};
use crate::schedules::SCHEDULE;

/// Where the description is kept. `FLEETFIT_WRITE_GOLDEN=1` writes it again.
const KEPT: &str = "tests/api/openapi.json";

#[test]
fn the_description_is_the_one_that_is_kept() {
    let described = Place::new().get("/openapi.json").ok();
    let text = format!("{}\n", serde_json::to_string_pretty(&described).unwrap());
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(KEPT);
    if std::env::var_os("FLEETFIT_WRITE_GOLDEN").is_some() {
        std::fs::write(&kept, &text).unwrap();
    }
    let known = std::fs::read_to_string(&kept).unwrap_or_default();
    assert!(known == text, "{KEPT} differs; look at it after FLEETFIT_WRITE_GOLDEN=1");
}

/// The operations of a document.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, operation)| {
                (method.to_uppercase(), path.clone(), operation.clone())
            })
        })
        .collect()
}

/// Holds an answer against what its operation says.
fn hold(document: &Value, method: &str, template: &str, answer: &Answer) {
    let operation = &document["paths"][template][method.to_lowercase()];
    let said = &operation["responses"][answer.status.to_string()];
    assert!(!said.is_null(), "{method} {template}: {} is not documented", answer.status);
    let reference = said["$ref"].as_str().map(|name| name.trim_start_matches('#'));
    let said = reference.map_or(Some(said), |name| document.pointer(name)).unwrap();
    if let Some(schema) = said["content"]["application/json"].get("schema") {
        let held = check(document, schema, &answer.json());
        held.unwrap_or_else(|error| panic!("{method} {template}: {error}: {}", answer.text()));
    }
}

#[test]
fn answers_have_the_forms_that_are_described() {
    let place = Place::new();
    let document = place.get("/openapi.json").ok();
    place.with_stores("stores", 5);
    let folder = place.dir.path().join("studies/stores/trials/0");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("log.txt"), "hello").unwrap();
    let get = |template: &str, path: &str| {
        hold(&document, "GET", template, &place.get(path));
    };
    let created = place.submit(JOB);
    assert_eq!(created.status, 201);
    hold(&document, "POST", "/api/v1/studies", &created);
    hold(&document, "POST", "/api/v1/studies", &place.submit(JOB));
    hold(&document, "POST", "/api/v1/studies", &place.submit("type: sweep\nx: 1"));
    let post = |rest: &str, body: Value| {
        let answer = place.post(&format!("/api/v1/studies/demo{rest}"), &body);
        assert!(answer.status < 300, "{rest}: {}", answer.text());
        hold(&document, "POST", &format!("/api/v1/studies/{{study}}{rest}"), &answer);
    };
    post("/ask", json!({"n": 4}));
    post("/report", json!({"trial": 0, "value": 0.5}));
    post("/tell", json!({"results": [{"trial": 0, "value": 0.5}, {"trial": 1, "failed": "x"}]}));
    post("/enqueue", json!({"configurations": [{"x": 0.5}, {}]}));
    post("/cancel", json!(null));
    post("/resume", json!(null));
    post("/rerun", json!({"name": "again"}));
    let new = json!({"file": "s.yaml", "text": SCHEDULE, "job": {"file": "j.yaml", "text": JOB}});
    let create = "/api/v1/schedules";
    hold(&document, "POST", create, &place.post(create, &new));
    hold(&document, "POST", create, &place.post(create, &new));
    hold(&document, "POST", create, &place.post(create, &json!({"text": 1})));
    for rest in ["/pause", "/resume", "/trigger"] {
        let answer = place.post(&format!("/api/v1/schedules/nightly{rest}"), &json!(null));
        assert!(answer.status < 300, "{rest}: {}", answer.text());
        hold(&document, "POST", &format!("/api/v1/schedules/{{schedule}}{rest}"), &answer);
    }
    get(create, create);
    get("/api/v1/schedules/{schedule}", "/api/v1/schedules/nightly");
    get("/api/v1/studies", "/api/v1/studies");
    get("/api/v1/runners", "/api/v1/runners");
    get("/healthz", "/healthz");
    for study in ["demo", "stores", "none"] {
        for list in [
            "",
            "/trials",
            "/best",
            "/bests",
            "/models",
            "/schema",
            "/insight",
            "/entities",
            "/trials/{trial}/logs",
        ] {
            let path = format!("/api/v1/studies/{study}{}", list.replace("{trial}", "0"));
            get(&format!("/api/v1/studies/{{study}}{list}"), &path);
        }
    }
    get("/api/v1/studies/{study}/best", "/api/v1/studies/stores/best?entity=2");
    get("/api/v1/studies/{study}/best", "/api/v1/studies/stores/best?top=x");
    get("/api/v1/studies/{study}/insight", "/api/v1/studies/stores/insight?entity=2");
    get("/api/v1/studies/{study}/insight", "/api/v1/studies/stores/insight?objective=none");
}

#[test]
fn every_address_that_is_described_is_there() {
    let place = Place::new();
    let document = place.get("/openapi.json").ok();
    let operations = operations(&document);
    assert!(operations.len() > 20);
    for (method, path, operation) in operations {
        let there = path.replace("{study}", "none").replace("{trial}", "0");
        let there = there.replace("{schedule}", "none");
        let there = there.replace("{digest}", &"0".repeat(64));
        let answer = place.send(&method, &there, &[], b"");
        assert_ne!(answer.status, 405, "{method} {path}");
        hold(&document, &method, &path, &answer);
        let unknown = answer.status == 404 && answer.json()["code"] == "not_found";
        assert!(!unknown, "{method} {path}");
        for status in ["400", "401", "403", "406", "414", "500", "503"] {
            assert!(!operation["responses"][status].is_null(), "{method} {path}: {status}");
        }
    }
}
