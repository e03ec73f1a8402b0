//! What jobs name on disk, sent and fetched by its digest.

use serde_json::json;

use crate::place::Place;

fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

#[test]
fn what_is_sent_can_be_fetched() {
    let place = Place::new();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let path = format!("/api/v1/blobs/{}", digest(&bytes));
    assert_eq!(place.get(&path).refused(), (404, "unknown_blob".into()));
    let put = || place.send("PUT", &path, &[("Content-Type", "application/octet-stream")], &bytes);
    let kept = put();
    assert_eq!(kept.status, 201, "{}", kept.text());
    assert_eq!(kept.json(), json!({"digest": digest(&bytes), "bytes": bytes.len()}));
    assert_eq!(put().status, 200);
    let got = place.get(&path);
    assert!(got.status == 200 && got.body == bytes);
    assert_eq!(got.header("content-length"), Some("3000000"));
    let head = place.send("HEAD", &path, &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("3000000")));
    let empty = format!("/api/v1/blobs/{}", digest(b""));
    assert_eq!(place.send("PUT", &empty, &[], b"").status, 201);
    assert_eq!(place.get(&empty).body, b"");
}

#[test]
fn other_bytes_than_the_digest_says_are_not_kept() {
    let place = Place::new();
    let path = format!("/api/v1/blobs/{}", digest(b"right"));
    let wrong = place.send("PUT", &path, &[], b"wrong");
    assert_eq!(wrong.refused(), (422, "unprocessable".into()));
    assert_eq!(place.get(&path).status, 404);
    for strange in ["x", "..%2f..%2fetc", &"A".repeat(64), &"0".repeat(63)] {
        let path = format!("/api/v1/blobs/{strange}");
        assert_eq!(place.send("PUT", &path, &[], b"x").status, 400, "{strange}");
        assert_eq!(place.get(&path).status, 400, "{strange}");
    }
}

#[test]
fn what_is_missing_is_told() {
    let place = Place::new();
    let (here, gone) = (digest(b"here"), digest(b"gone"));
    place.send("PUT", &format!("/api/v1/blobs/{here}"), &[], b"here").ok();
    let ask = |body| place.post("/api/v1/blobs/missing", &body);
    let missing = ask(json!({"digests": [here, gone]})).ok();
    assert_eq!(missing, json!({"missing": [gone]}));
    assert_eq!(ask(json!({"digests": []})).refused().0, 422);
    assert_eq!(ask(json!({"digests": [1]})).refused().0, 422);
    assert_eq!(ask(json!({"digests": ["x"]})).refused().0, 400);
    assert_eq!(Place::no_service().get(&format!("/api/v1/blobs/{here}")).refused().0, 409);
}
