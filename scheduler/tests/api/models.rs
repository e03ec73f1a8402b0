//! The bytes of models, one and many, and what rows have to look like.

use std::io::{Read, Write};

use fleetfit_scheduler::Fact;
use fleetfit_scheduler::journal::Index;
use fleetfit_search_spaces::wire::{ModelAddress, Refit};
use serde_json::{Value, json};

use crate::place::{Answer, JOB, Place};

const ONE: &str = "/api/v1/studies/stores/model";
const MANY: &str = "/api/v1/studies/stores/models/bytes";

/// What the model of a store is made of.
fn bytes_of(store: u32) -> Vec<u8> {
    vec![store as u8; 100_000 * store as usize]
}

/// Five stores: 1 to 3 have models, that of 4 could not be fitted, and 0 completed nothing.
fn place() -> Place {
    let place = Place::new();
    place.with_stores("stores", 5);
    let folder = place.dir.path().join("studies/stores/models");
    std::fs::create_dir_all(&folder).unwrap();
    let mut models = vec![Refit { entity: 4, configuration: 0, model: Err("no rows".into()) }];
    for entity in 1..4 {
        let (digest, length) = (format!("{entity:064}"), bytes_of(entity).len() as u32);
        std::fs::write(folder.join(&digest), bytes_of(entity)).unwrap();
        let address = ModelAddress { digest, pack: 0, offset: 8, length };
        models.push(Refit { entity, configuration: 0, model: Ok(address) });
    }
    let record = place.journal.find("stores").unwrap().unwrap();
    let index = Index { summary: record.summary, ..Index::default() };
    place.journal.append(record.id, &[Fact::Refitted { models }], &index).unwrap();
    place
}

fn ask(place: &Place, stores: &[Value]) -> Answer {
    let keys: Vec<Value> = stores.iter().map(|store| json!({ "store": store })).collect();
    place.post(MANY, &json!({ "entities": keys }))
}

/// The models of an answer.
fn models(answer: &Answer) -> Vec<&[u8]> {
    let (mut rest, mut models) = (answer.body.as_slice(), Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (model, after) = after.split_at(u32::from_le_bytes(*length) as usize);
        models.push(model);
        rest = after;
    }
    assert!(rest.is_empty());
    models
}

#[test]
fn a_model_is_had_by_its_entity() {
    let place = place();
    for entity in ["2", "2.0", "store%3D2"] {
        let answer = place.get(&format!("{ONE}?entity={entity}"));
        assert_eq!((answer.status, &answer.body), (200, &bytes_of(2)), "{entity}");
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
        assert_eq!(answer.header("content-length"), Some("200000"));
    }
    let refused = |query: &str, expected: (u16, &str), words: &str| {
        let answer = place.get(&format!("{ONE}{query}"));
        assert_eq!(answer.refused(), (expected.0, expected.1.to_owned()), "{query}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(words), "{query}: {message}");
    };
    refused("?entity=9", (404, "unknown_entity"), "stores has no entity 9");
    refused("?entity=0", (404, "unknown_model"), "0 of stores has no model");
    refused("?entity=4", (404, "unknown_model"), "4 of stores has no model: no rows");
    refused("?entity=..%2f..%2fjournal", (404, "unknown_entity"), "has no entity");
    refused("", (400, "bad_request"), "an entity of stores is written store=…, not left out");
    refused("?pack=1", (400, "bad_request"), "pack is not known here");
    for name in ["none", "..", "..%2fstores", "stores%2f.."] {
        assert_eq!(place.get(&format!("/api/v1/studies/{name}/model")).status, 404, "{name}");
    }
    let as_json = place.send("GET", &format!("{ONE}?entity=2"), &[("Accept", "text/html")], b"");
    assert_eq!(as_json.refused(), (406, "not_acceptable".into()));
    assert_eq!(place.send("HEAD", &format!("{ONE}?entity=2"), &[], b"").status, 200);
}

#[test]
fn many_models_come_in_the_order_asked_for() {
    let place = place();
    let answer = ask(&place, &[json!(3), json!(1), json!(3.0), json!("2")]);
    assert_eq!(answer.header("content-length"), Some("900016"));
    let expected = [bytes_of(3), bytes_of(1), bytes_of(3), bytes_of(2)];
    assert_eq!(models(&answer), expected.iter().map(Vec::as_slice).collect::<Vec<_>>());
    // Nothing is sent where one of them is none.
    let refused = |stores: &[Value]| ask(&place, stores).refused();
    assert_eq!(refused(&[json!(3), json!(9)]), (404, "unknown_entity".into()));
    assert_eq!(refused(&[json!(3), json!(4)]), (404, "unknown_model".into()));
    assert_eq!(refused(&[]), (422, "unprocessable".into()));
    assert_eq!(refused(&vec![json!(3); 1001]), (422, "unprocessable".into()));
    assert_eq!(models(&ask(&place, &vec![json!(1); 1000])).len(), 1000);
    for (body, expected) in [
        (json!({"entities": [{}]}), 400),
        (json!({"entities": [{"shop": 3}]}), 400),
        (json!({"entities": [{"store": 3, "brand": 1}]}), 400),
        (json!({"entities": [{"store": [3]}]}), 422),
        (json!({"entities": ["3"]}), 422),
        (json!({"entities": [{"store": 3}], "more": 1}), 422),
        (json!(null), 422),
    ] {
        assert_eq!(place.post(MANY, &body).refused().0, expected, "{body}");
    }
    let yaml = place.send("POST", MANY, &[("Content-Type", "application/yaml")], b"entities: []");
    assert_eq!(yaml.refused().0, 415);
}

#[test]
fn a_damaged_model_is_told_or_cuts_the_answer_off() {
    let place = place();
    let folder = place.dir.path().join("studies/stores/models");
    std::fs::remove_file(folder.join(format!("{:064}", 2))).unwrap();
    for answer in [ask(&place, &[json!(2), json!(1)]), place.get(&format!("{ONE}?entity=2"))] {
        assert_eq!(answer.refused(), (503, "unavailable".into()));
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("2 is damaged"), "{message}");
    }
    // By then the first one is on its way.
    let body = r#"{"entities": [{"store": 3}, {"store": 2}, {"store": 1}]}"#;
    let mut stream = place.connect();
    let head = format!(
        "POST {MANY} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}",
        place.address,
        body.len()
    );
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
    let mut answer = Vec::new();
    // The line is cut, not closed.
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.len() < 600_012, "what follows is not sent as if it were that");
}

#[test]
fn a_study_has_one_schema_or_none() {
    let place = place();
    let path = "/api/v1/studies/stores/schema";
    assert_eq!(place.get(path).refused(), (404, "unknown_model".into()));
    let schema = json!({"version": 1, "schema": {"features": []}});
    std::fs::write(place.dir.path().join("studies/stores/schema.json"), schema.to_string())
        .unwrap();
    assert_eq!(place.get(path).ok(), schema);
    assert_eq!(place.get("/api/v1/studies/none/schema").refused().1, "unknown_study");
    place.submit(JOB).ok();
    assert_eq!(place.get("/api/v1/studies/demo/model").refused().1, "unknown_model");
    let many = place.post("/api/v1/studies/demo/models/bytes", &json!({"entities": [{}]}));
    assert_eq!(many.refused().1, "unknown_model");
    let many = json!({"entities": [{"store": 1}]});
    let many = place.post("/api/v1/studies/demo/models/bytes", &many);
    assert_eq!(many.refused().1, "bad_request");
}
