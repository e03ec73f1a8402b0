//! Streams of events: nothing twice, nothing missed, and an end.

use std::io::{BufReader, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::place::{JOB, Place, chunk, head};

/// An open stream.
struct Stream {
    reader: BufReader<TcpStream>,
    buffered: String,
}

#[derive(Debug)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

impl Stream {
    fn open(place: &Place, study: &str, last: Option<&str>) -> (u16, Self) {
        let header = last.map(|last| format!("Last-Event-ID: {last}\r\n")).unwrap_or_default();
        Self::open_at(place, &format!("{study}/events"), &header)
    }

    fn open_at(place: &Place, at: &str, header: &str) -> (u16, Self) {
        let mut stream = place.connect();
        write!(
            stream,
            "GET /api/v1/studies/{at} HTTP/1.1\r\nHost: localhost\r\n{header}\
             Accept: text/event-stream\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut reader = BufReader::new(stream);
        let (status, headers) = head(&mut reader);
        if status == 200 {
            let form = headers.iter().find(|(name, _)| name == "content-type");
            assert_eq!(form.map(|(_, form)| form.as_str()), Some("text/event-stream"));
        }
        (status, Self { reader, buffered: String::new() })
    }

    /// The next event; nothing at the end of the stream.
    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.buffered.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.buffered = rest;
                let field = |name: &str| {
                    let lines = block.lines();
                    let mut found = lines.filter_map(|line| line.strip_prefix(name));
                    found.next().map(|value| value.trim_start_matches([':', ' ']).to_owned())
                };
                let Some(data) = field("data") else { continue };
                return Some(Event {
                    name: field("event").unwrap(),
                    id: field("id").unwrap_or_default(),
                    data: serde_json::from_str(&data).unwrap(),
                });
            }
            let piece = chunk(&mut self.reader)?;
            self.buffered.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    /// The next event of this name, whatever comes before.
    fn until(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().unwrap_or_else(|| panic!("the stream ended before {name}"));
            if event.name == name {
                return event;
            }
        }
    }
}

fn ask(place: &Place, n: u32) -> Vec<u64> {
    let asked = place.post("/api/v1/studies/demo/ask", &json!({"n": n})).ok();
    let trials = asked["trials"].as_array().unwrap();
    trials.iter().map(|trial| trial["trial"].as_u64().unwrap()).collect()
}

fn tell(place: &Place, trial: u64, value: f64) {
    let results = json!({"results": [{"trial": trial, "value": value}]});
    place.post("/api/v1/studies/demo/tell", &results).ok();
}

fn told(event: &Event) -> Vec<u64> {
    let trials = event.data["trials"].as_array().unwrap();
    trials.iter().map(|trial| trial["trial"].as_u64().unwrap()).collect()
}

#[test]
fn a_place_behind_the_end_is_one_of_another_study() {
    let place = Place::new();
    place.submit(JOB).ok();
    let asked = ask(&place, 2);
    tell(&place, asked[0], 0.5);
    for last in ["700-0", "18446744073709551615-3"] {
        let (status, mut stream) = Stream::open(&place, "demo", Some(last));
        assert_eq!(status, 200);
        assert_eq!(told(&stream.until("trials")), [0], "{last}");
    }
    tell(&place, asked[1], 0.25);
    place.post("/api/v1/studies/demo/cancel", &json!({})).ok();
    let results = json!({"results": [{"trial": asked[1], "value": 0.25}]});
    let again = place.post("/api/v1/studies/demo/tell", &results).ok();
    assert_eq!(again["results"][0]["told"], "repeated", "{again}");
}

#[test]
fn what_happens_is_told_as_it_happens_and_ends_with_the_study() {
    let place = Place::new();
    place.submit(JOB).ok();
    let (status, mut stream) = Stream::open(&place, "demo", None);
    assert_eq!(status, 200);
    let first = stream.until("status");
    assert_eq!((&first.data["trials"]["completed"], first.id.as_str()), (&json!(0), "0-0-0"));
    let asked = ask(&place, 2);
    tell(&place, asked[0], 0.5);
    assert_eq!(told(&stream.until("trials")), [0]);
    let best = stream.until("best");
    assert_eq!((&best.data["trial"], &best.data["value"]), (&json!(0), &json!(0.5)));
    tell(&place, asked[1], 0.25);
    assert_eq!(told(&stream.until("trials")), [1]);
    assert_eq!(stream.until("best").data["value"], 0.25);
    for trial in ask(&place, 4) {
        tell(&place, trial, 0.75);
    }
    let mut rest = Vec::new();
    loop {
        let event = stream.next().unwrap();
        match event.name.as_str() {
            "trials" => rest.extend(told(&event)),
            "ended" => {
                assert_eq!(event.data["status"], "completed");
                break;
            }
            "best" => panic!("the best one did not change: {event:?}"),
            _ => {}
        }
    }
    assert_eq!(rest, [2, 3, 4, 5]);
    assert!(stream.next().is_none());
}

#[test]
fn a_stream_goes_on_where_it_broke_off() {
    let place = Place::new();
    place.submit(JOB).ok();
    let (_, mut stream) = Stream::open(&place, "demo", None);
    let asked = ask(&place, 4);
    tell(&place, asked[0], 0.5);
    let seen = stream.until("trials");
    drop(stream);
    tell(&place, asked[1], 0.4);
    tell(&place, asked[2], 0.3);
    let (_, mut stream) = Stream::open(&place, "demo", Some(&seen.id));
    let missed = stream.until("trials");
    assert_eq!(told(&missed), [1, 2]);
    // An event's id is where the list of trials goes on, too.
    let page = place.get(&format!("/api/v1/studies/demo/trials?cursor={}", seen.id)).ok();
    assert_eq!(page["items"].as_array().map(Vec::len), Some(2));
    place.send("POST", "/api/v1/studies/demo/cancel", &[], b"").ok();
    let ended = stream.until("ended");
    let (status, _) = Stream::open(&place, "demo", Some(&ended.id));
    assert_eq!(status, 204);
    let (status, mut stream) = Stream::open(&place, "demo", None);
    assert_eq!(status, 200);
    assert_eq!(told(&stream.until("trials"))[..3], [0, 1, 2]);
    for strange in ["x", "1-", "-", "0-1-2-3", "0-1-", "!"] {
        assert_eq!(Stream::open(&place, "demo", Some(strange)).0, 400, "{strange}");
    }
    assert_eq!(Stream::open(&place, "none", None).0, 404);
}

#[test]
fn another_study_of_the_same_name_begins_at_its_beginning() {
    let place = Place::new();
    place.submit(JOB).ok();
    let (_, mut stream) = Stream::open(&place, "demo", None);
    ask(&place, 3).into_iter().take(2).for_each(|trial| tell(&place, trial, 0.5));
    place.post("/api/v1/studies/demo/cancel", &json!({})).ok();
    let end = stream.until("ended").id;
    let seen = end.trim_end_matches('!');
    place.send("DELETE", "/api/v1/studies/demo", &[], b"").ok();

    place.submit(JOB).ok();
    let asked = ask(&place, 3);
    asked.iter().for_each(|&trial| tell(&place, trial, 0.5));
    for last in [seen, &end] {
        let (status, mut stream) = Stream::open(&place, "demo", Some(last));
        assert_eq!(status, 200);
        let mut trials = Vec::new();
        while trials.len() < asked.len() {
            trials.extend(told(&stream.until("trials")));
        }
        assert_eq!(trials, asked, "{last}");
    }
    let page = |cursor: &str| place.get(&format!("/api/v1/studies/demo/trials?cursor={cursor}"));
    assert_eq!(page(seen).refused(), (400, "bad_request".into()));
    // Ids without the study's number, as version 0.1.0 gave them.
    let plain = seen.split_once('-').unwrap().1;
    let (_, mut stream) = Stream::open(&place, "demo", Some(plain));
    assert!(!told(&stream.until("trials")).contains(&asked[0]));
    assert_eq!(page(plain).ok()["items"][0]["trial"], asked[2]);
    // The end of the other one is not the end of this one, whatever there is to tell.
    place.post("/api/v1/studies/demo/cancel", &json!({})).ok();
    assert_eq!(Stream::open(&place, "demo", Some(&end)).0, 200);
}

#[test]
fn many_trials_at_once_are_counted_and_the_first_ones_listed() {
    let place = Place::new();
    place.with_stores("stores", 400);
    let (_, mut stream) = Stream::open(&place, "stores", None);
    let event = stream.until("trials");
    assert_eq!(event.data["ended"], json!({"completed": 798, "stopped": 0, "failed": 2}));
    let listed = told(&event).len();
    assert_eq!(listed, 100);
    // The list goes on right behind the last one of them, and the next event behind all of them.
    let mut cursor = event.data["cursor"].as_str().unwrap().to_owned();
    let first = place.get("/api/v1/studies/stores/trials?limit=101").ok();
    let rest = format!("/api/v1/studies/stores/trials?limit=1000&cursor={cursor}");
    let rest = place.get(&rest).ok()["items"].as_array().cloned().unwrap();
    assert_eq!((rest.len(), &rest[0]), (700, &first["items"][100]));
    // Whoever has seen a part goes on behind it, with the header or without.
    let (_, mut by_header) = Stream::open(&place, "stores", Some(&cursor));
    let (_, mut by_cursor) = Stream::open_at(&place, &format!("stores/events?cursor={cursor}"), "");
    for stream in [&mut by_header, &mut by_cursor] {
        let event = stream.until("trials");
        assert_eq!(event.data["trials"][0], rest[0]);
        let ended = json!({"completed": 699, "stopped": 0, "failed": 1});
        assert_eq!(event.data["ended"], ended);
    }
    // A browser that connects again asks as before, and its header counts.
    let again = format!("Last-Event-ID: {}\r\n", event.id);
    let (_, mut reader) =
        Stream::open_at(&place, &format!("stores/events?cursor={cursor}"), &again);
    assert_ne!(reader.next().unwrap().name, "trials", "all of them were told");
    cursor.push('x');
    assert_eq!(Stream::open_at(&place, &format!("stores/events?cursor={cursor}"), "").0, 400);
    assert_eq!(stream.until("ended").data["status"], "completed");
}

#[test]
fn streams_end_with_the_service_and_with_the_study() {
    let place = Place::new();
    place.submit(JOB).ok();
    let (_, mut deleted) = Stream::open(&place, "demo", None);
    deleted.until("status");
    place.send("POST", "/api/v1/studies/demo/cancel", &[], b"").ok();
    place.send("DELETE", "/api/v1/studies/demo", &[], b"").ok();
    while deleted.next().is_some() {}
    place.submit(JOB).ok();
    let (_, mut open) = Stream::open(&place, "demo", None);
    open.until("status");
    drop(place);
    while open.next().is_some() {}
}
