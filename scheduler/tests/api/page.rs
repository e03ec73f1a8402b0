//! The page on the API tells the truth: its examples are sent, and what it shows is what comes back.

use std::path::Path;

use serde_json::Value;

use crate::place::Place;

/// The blocks of a page: what follows the three ticks, and the text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(block)) => {
                blocks.push(std::mem::take(block));
                open = None;
            }
            (Some(kind), None) => open = Some((kind.to_owned(), String::new())),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// Whether an answer is as shown. `…` stands for anything, as a key for whatever else there is.
fn is_as_shown(shown: &Value, found: &Value) -> bool {
    match (shown, found) {
        (Value::String(text), _) if text == "…" => true,
        (Value::Object(shown), Value::Object(found)) => {
            let is_open = shown.contains_key("…");
            let keys = found.keys().all(|key| is_open || shown.contains_key(key));
            let mut fields = shown.iter().filter(|(key, _)| *key != "…");
            keys && fields
                .all(|(key, shown)| found.get(key).is_some_and(|found| is_as_shown(shown, found)))
        }
        (Value::Array(shown), Value::Array(found)) => {
            shown.len() == found.len()
                && shown.iter().zip(found).all(|(shown, found)| is_as_shown(shown, found))
        }
        (shown, found) => shown == found,
    }
}

#[test]
fn its_examples_are_true() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rest-api.md");
    let page = std::fs::read_to_string(page).unwrap();
    let place = Place::new();
    let mut n_checked = 0;
    let mut answer = None;
    for (kind, text) in blocks(&page) {
        match kind.as_str() {
            "http" => {
                let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
                let mut lines = head.lines();
                let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
                let headers: Vec<(&str, &str)> =
                    lines.map(|line| line.split_once(": ").unwrap()).collect();
                answer = Some(place.send(method, path, &headers, body.as_bytes()));
            }
            "json" => {
                let shown: Value = serde_json::from_str(&text).unwrap();
                let found = answer.take().expect("a request before the answer").json();
                assert!(is_as_shown(&shown, &found), "shown {shown:#}\nfound {found:#}");
                n_checked += 1;
            }
            _ => {}
        }
    }
    assert!(n_checked > 10, "{n_checked}");
    let described = place.get("/openapi.json").ok();
    let codes: Vec<&str> = page.split('`').filter(|word| word.ends_with("_study")).collect();
    assert!(codes.contains(&"unknown_study"));
    for path in described["paths"].as_object().unwrap().keys() {
        let short = path.rsplit_once("{study}").map_or(path.as_str(), |(_, rest)| rest);
        assert!(page.contains(short), "{path} is not on the page");
    }
}
