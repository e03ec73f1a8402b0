//! Requests that are wrong in themselves: each is refused in our form, with the right status.

use serde_json::json;

use crate::place::{JOB, Place};

#[test]
fn addresses_that_are_not_there() {
    let place = Place::new();
    for path in
        ["/", "/api", "/api/v1/studies/", "/api/v1/study", "/api/v2/studies", "/favicon.ico"]
    {
        assert_eq!(place.get(path).refused(), (404, "not_found".into()), "{path}");
    }
    let answer = place.send("PATCH", "/api/v1/studies/x", &[], b"");
    assert_eq!(answer.refused(), (405, "method_not_allowed".into()));
    let allow = answer.header("allow").unwrap();
    for method in ["GET", "HEAD", "DELETE"] {
        assert!(allow.contains(method), "{allow}");
    }
    assert_eq!(place.send("GET", "/api/v1/studies/x/cancel", &[], b"").status, 405);
}

#[test]
fn addresses_that_are_not_text() {
    let place = Place::new();
    for path in [
        "/api/v1/studies/%",
        "/api/v1/studies/%zz",
        "/api/v1/studies/%ff",
        "/api/v1/studies?cursor=%",
        "/api/v1/studies?cursor=%C3%28",
        "/api/v1/studies?limt=3",
        "/api/v1/studies?limit=0",
        "/api/v1/studies?limit=1001",
        "/api/v1/studies?limit=x",
        "/api/v1/studies?limit=1&limit=1",
        "/api/v1/studies?cursor=x",
        "/api/v1/studies?cursor=",
        "/api/v1/schedules?cursor=x",
        "/api/v1/schedules?limit=0",
        "/api/v1/runners?cursor=nobody",
        "/api/v1/runners?limit=1001",
        "/api/v1/studies/x?verbose=1",
    ] {
        assert_eq!(place.get(path).refused(), (400, "bad_request".into()), "{path}");
    }
    let long = format!("/api/v1/studies?cursor={}", "0".repeat(129));
    assert_eq!(place.get(&long).refused(), (400, "bad_request".into()));
    let page = place.get("/api/v1/studies?limit=1001").json();
    assert!(page["message"].as_str().unwrap().contains("from 1 to 1000"), "{page}");
    let long = format!("/api/v1/studies/{}", "x".repeat(9_000));
    assert_eq!(place.get(&long).refused(), (414, "uri_too_long".into()));
    // What no HTTP is, is not answered by us, but it is answered, and the service lives on.
    assert_eq!(place.raw(b"GET /api\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 400);
    assert_eq!(place.get("/healthz").status, 200);
}

#[test]
fn bodies_that_are_not_read() {
    let place = Place::new();
    let send = |form: &str, body: &[u8]| {
        place.send("POST", "/api/v1/studies", &[("Content-Type", form)], body)
    };
    let long = vec![b'#'; (4 << 20) + 1];
    for form in ["application/yaml", "application/json"] {
        let refused = send(form, &long);
        assert_eq!(refused.refused(), (413, "too_large".into()));
        let message = "the body has more than 4194304 bytes (4 MiB)";
        assert_eq!(refused.json()["message"], message);
    }
    // As long as may be, it is read.
    let comment = "#".repeat((4 << 20) - JOB.len());
    let longest = format!("{JOB}{comment}").replace("demo", "long");
    assert_eq!(send("application/yaml", longest.as_bytes()).status, 201);
    let ask = "/api/v1/studies/x/ask";
    let json = [("Content-Type", "application/json")];
    let long = vec![b' '; (1 << 20) + 1];
    assert_eq!(place.send("POST", ask, &json, &long).refused(), (413, "too_large".into()));
    for form in ["text/plain", "application/x-www-form-urlencoded", "application/yamlish", ""] {
        assert_eq!(send(form, b"x").refused(), (415, "unsupported_media_type".into()), "{form}");
    }
    assert_eq!(place.send("POST", ask, &[], b"{}").status, 415);
    assert_eq!(send("application/yaml", b"name: \xff").refused(), (400, "bad_request".into()));
    for broken in ["{", "", "{\"a\": 1,}", "{\"n\": 1e999}", "nul", "\"\\ud800\"", "{}{}"] {
        let answer = place.send("POST", ask, &json, broken.as_bytes());
        assert_eq!(answer.refused(), (400, "bad_request".into()), "{broken}");
        let answer = send("application/json", broken.as_bytes());
        assert!([400, 422].contains(&answer.refused().0), "{broken}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(send("application/json", deep.as_bytes()).status, 400);
    assert_eq!(send("application/yaml", deep.as_bytes()).status, 422);
    assert_eq!(send("application/yaml; charset=utf-8", JOB.as_bytes()).status, 201);
    let marked = "\u{feff}{\"type\": \"sweep\", \"name\": \"marked\", \"trial\": \"external\", \
                  \"search_space\": {\"x\": [1, 2]}, \"limits\": {\"max_total_trials\": 2}, \
                  \"objective\": {\"goal\": \"minimize\", \"primary_metric\": \"loss\"}}";
    assert_eq!(send("application/json", marked.as_bytes()).status, 201);
}

#[test]
fn bodies_that_are_packed() {
    let place = Place::new();
    let send = |method: &str, path: &str, form: &str, encoding: &str, body: &[u8]| {
        let headers = [("Content-Type", form), ("Content-Encoding", encoding)];
        place.send(method, path, &headers, body)
    };
    let blob = format!("/api/v1/blobs/{}", blake3::hash(b"abc").to_hex());
    for encoding in ["gzip", "identity, br", "\u{fc}"] {
        for (method, path, form) in [
            ("POST", "/api/v1/studies", "application/yaml"),
            ("POST", "/api/v1/schedules", "application/yaml"),
            ("POST", "/api/v1/studies/demo/ask", "application/json"),
            ("POST", "/api/v1/blobs/missing", "application/json"),
            ("PUT", &blob, "application/octet-stream"),
        ] {
            let refused = send(method, path, form, encoding, b"\x1f\x8b\x08\0");
            let expected = (415, "unsupported_media_type".into());
            assert_eq!(refused.refused(), expected, "{encoding} {path}");
            let message = refused.json()["message"].as_str().unwrap().to_owned();
            assert!(message.contains("content-encoding"), "{message}");
        }
    }
    let job = JOB.as_bytes();
    assert_eq!(send("POST", "/api/v1/studies", "text/yaml", "Identity", job).status, 201);
    assert_eq!(send("PUT", &blob, "application/octet-stream", "", b"abc").status, 201);
}

#[test]
fn forms_that_are_not_answered() {
    let place = Place::new();
    let accept =
        |path: &str, accept: &str| place.send("GET", path, &[("Accept", accept)], b"").status;
    let list = "/api/v1/studies";
    for fine in ["*/*", "application/json", "text/html, application/*;q=0.8", ""] {
        assert_eq!(accept(list, fine), 200, "{fine}");
    }
    for other in ["text/html", "application/xml", "application/json;q=0"] {
        assert_eq!(accept(list, other), 406, "{other}");
    }
    assert_eq!(accept("/metrics", "text/plain"), 200);
    assert_eq!(accept("/metrics", "application/json"), 406);
    assert_eq!(accept("/api/v1/studies/x/events", "application/json"), 406);
}

#[test]
fn a_head_is_a_get_without_a_body() {
    let place = Place::new();
    for (path, status) in [("/api/v1/studies", 200), ("/nothing", 404), ("/healthz", 200)] {
        let answer = place.send("HEAD", path, &[], b"");
        assert_eq!((answer.status, answer.body.len()), (status, 0), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
    }
}

#[test]
fn every_answer_has_an_id() {
    let place = Place::new();
    let id = |given: &str| {
        let answer = place.send("GET", "/nothing", &[("X-Request-Id", given)], b"");
        answer.refused();
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(id("abc-1.2_3"), "abc-1.2_3");
    let long = "x".repeat(65);
    let mut made = Vec::new();
    for hostile in ["", "a b", "<script>", "ü", "\"", long.as_str()] {
        let id = id(hostile);
        assert_eq!(id.len(), 16, "{hostile}");
        made.push(id);
    }
    made.sort();
    made.dedup();
    assert_eq!(made.len(), 6);
    assert!(place.get("/healthz").header("x-request-id").is_some());
}

#[test]
fn strangers_are_kept_out() {
    let place = Place::new();
    let answer = place.send("GET", "/api/v1/studies", &[("Host", "evil.example")], b"");
    assert_eq!(answer.refused(), (403, "forbidden".into()));
    let origin = [("Host", "localhost:1"), ("Origin", "http://evil.example")];
    let answer = place.send("POST", "/api/v1/studies/demo/cancel", &origin, b"");
    assert_eq!(answer.refused(), (403, "forbidden".into()));
    let same = [("Host", "localhost:1"), ("Origin", "http://localhost:1")];
    assert_eq!(place.send("GET", "/api/v1/studies", &same, b"").status, 200);
    let nameless = place.raw(b"GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(nameless.refused().0, 400);
}

#[test]
fn a_token_opens() {
    let place = Place::with_token("s3cret");
    let closed = place.get("/api/v1/studies");
    assert_eq!(closed.refused(), (401, "unauthorized".into()));
    assert_eq!(closed.header("www-authenticate"), Some("Bearer"));
    assert_eq!(place.get("/metrics").status, 401);
    assert_eq!(place.get("/healthz").status, 200);
    assert_eq!(place.submit(JOB).status, 401);
    let open = [("Authorization", "Bearer s3cret")];
    assert_eq!(place.send("GET", "/api/v1/studies", &open, b"").ok()["items"], json!([]));
}
