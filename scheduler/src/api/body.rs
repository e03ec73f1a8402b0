//! What a request brings: so many bytes and no more, in a form that is read here.

use std::error::Error;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use fleetfit_search_spaces::yaml;
use http_body_util::LengthLimitError;
use serde_json::{Map, Value};

use super::{Refused, Why, json};

/// How long a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(60);

/// What a job may have: what is read of one, whichever way it comes.
pub(super) const MAX_JOB_BYTES: usize = yaml::MAX_BYTES;

/// What any other body may have.
const MAX_BODY_BYTES: usize = 1 << 20;

/// The text that a request brings.
pub(super) async fn text(body: Body, limit: usize) -> Result<String, Refused> {
    let late = |_| {
        let seconds = ARRIVAL.as_secs();
        Refused::new(Why::Timeout, format!("the body did not arrive within {seconds} s"))
    };
    let arrived = tokio::time::timeout(ARRIVAL, to_bytes(body, limit)).await.map_err(late)?;
    let bytes = arrived.map_err(|error| match error.source() {
        Some(source) if source.is::<LengthLimitError>() => too_large(limit),
        _ => Refused::bad("the body ended before its end"),
    })?;
    String::from_utf8(bytes.into()).map_err(|error| {
        let upto = error.utf8_error().valid_up_to();
        Refused::bad(format!("the body is not UTF-8 text from byte {upto} on"))
    })
}

/// The JSON object that a request brings, with these keys at most.
pub(super) async fn object(request: Request, known: &[&str]) -> Result<Object, Refused> {
    object_in(&json_text(request).await?, known)
}

/// The JSON that a request brings, as it was written.
pub(super) async fn json_text(request: Request) -> Result<String, Refused> {
    let (parts, body) = request.into_parts();
    expect(&parts.headers, &["application/json"])?;
    text(body, MAX_BODY_BYTES).await
}

/// The text without the byte order mark that some programs begin with.
pub(super) fn unmarked(text: &str) -> &str {
    text.trim_start_matches('\u{feff}')
}

/// The JSON object of this text, with these keys at most.
pub(super) fn object_in(text: &str, known: &[&str]) -> Result<Object, Refused> {
    let text = unmarked(text);
    if text.trim().is_empty() {
        let known = known.join(", ");
        return Err(Refused::bad(format!("the body is empty; write a JSON object with {known}")));
    }
    match json::read(text)? {
        Value::Object(map) => Object::of(map, "", known),
        _ => {
            let known = known.join(", ");
            Err(unprocessable(format!("the body is no JSON object; write one with {known}")))
        }
    }
}

/// Refuses a body that is packed: a few bytes of one can be any number of bytes.
pub(super) fn expect_unpacked(headers: &HeaderMap) -> Result<(), Refused> {
    let encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let mut words = encodings.flat_map(|words| words.as_bytes().split(|byte| *byte == b','));
    let is_plain = |word: &&[u8]| {
        let word = word.trim_ascii();
        word.is_empty() || word.eq_ignore_ascii_case(b"identity")
    };
    match words.find(|word| !is_plain(word)) {
        None => Ok(()),
        Some(word) => {
            let word = String::from_utf8_lossy(word.trim_ascii()).into_owned();
            let message =
                format!("the body's content-encoding is {word}; send it as it is, without one");
            Err(Refused::new(Why::UnsupportedMediaType, message))
        }
    }
}

/// The body's form, which is one of these.
pub(super) fn expect<'a>(headers: &HeaderMap, known: &[&'a str]) -> Result<&'a str, Refused> {
    expect_unpacked(headers)?;
    let form = headers.get(header::CONTENT_TYPE).and_then(|form| form.to_str().ok());
    let plain = form.and_then(|form| form.split(';').next()).map(str::trim).unwrap_or_default();
    known.iter().find(|known| plain.eq_ignore_ascii_case(known)).copied().ok_or_else(|| {
        let found = form.map_or("names no content-type".to_owned(), |form| format!("is {form}"));
        let message = format!("the body {found}; send {}", known.join(", "));
        Refused::new(Why::UnsupportedMediaType, message)
    })
}

fn too_large(limit: usize) -> Refused {
    let mib = limit >> 20;
    Refused::new(Why::TooLarge, format!("the body has more than {limit} bytes ({mib} MiB)"))
}

/// A body that says what cannot be.
pub(super) fn unprocessable(message: impl Into<String>) -> Refused {
    Refused::new(Why::Unprocessable, message)
}

/// A JSON object whose keys are all known, and where it stands in the body.
#[derive(Debug)]
pub(super) struct Object {
    map: Map<String, Value>,
    at: String,
}

impl Object {
    fn of(map: Map<String, Value>, at: &str, known: &[&str]) -> Result<Self, Refused> {
        match map.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => {
                let known = known.join(", ");
                Err(unprocessable(format!("{at}{key} is not known; known are {known}")))
            }
            None => Ok(Self { map, at: at.to_owned() }),
        }
    }

    /// All of it, in one form however it was written.
    pub(super) fn json(&self) -> String {
        Value::Object(self.map.clone()).to_string()
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    fn refuse(&self, key: &str, allowed: &str) -> Refused {
        let found = match self.map.get(key) {
            Some(value) => format!("is {}", shortened(value)),
            None => "is missing".to_owned(),
        };
        unprocessable(format!("{}{key} {found}; write {allowed}", self.at))
    }

    /// A whole number of this range.
    pub(super) fn whole(&self, key: &str, least: u64, most: u64) -> Result<u64, Refused> {
        let number = self.get(key).and_then(|value| match value {
            Value::Number(number) => number.as_u64().or_else(|| {
                let number = number.as_f64().filter(|number| number.fract() == 0.0)?;
                // What a double holds exactly; larger ones do not come from a count.
                (0.0..9e15).contains(&number).then_some(number as u64)
            }),
            _ => None,
        });
        number
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| self.refuse(key, &format!("a whole number from {least} to {most}")))
    }

    pub(super) fn number(&self, key: &str) -> Result<f64, Refused> {
        let number = self.get(key).and_then(Value::as_f64).filter(|number| number.is_finite());
        number.ok_or_else(|| self.refuse(key, "a number"))
    }

    /// A map from names to numbers.
    pub(super) fn numbers(&self, key: &str) -> Result<Vec<(String, f64)>, Refused> {
        let Some(Value::Object(map)) = self.get(key) else {
            return Err(self.refuse(key, "an object of metrics and their numbers"));
        };
        let number = |(name, value): (&String, &Value)| {
            let number = value.as_f64().filter(|number| number.is_finite());
            number.map(|number| (name.clone(), number)).ok_or_else(|| {
                let found = shortened(value);
                unprocessable(format!("{}{key}.{name} is {found}; write a number", self.at))
            })
        };
        map.iter().map(number).collect()
    }

    pub(super) fn text(&self, key: &str) -> Result<String, Refused> {
        self.text_like(key, "a text")
    }

    /// A text that is described so.
    pub(super) fn text_like(&self, key: &str, allowed: &str) -> Result<String, Refused> {
        let text = self.get(key).and_then(Value::as_str).map(str::to_owned);
        text.ok_or_else(|| self.refuse(key, allowed))
    }

    /// A text with something in it.
    pub(super) fn reason(&self, key: &str) -> Result<String, Refused> {
        const ALLOWED: &str = "the reason in a few words";
        let text = self.text_like(key, ALLOWED)?;
        match text.trim().is_empty() {
            true => Err(self.refuse(key, ALLOWED)),
            false => Ok(text),
        }
    }

    pub(super) fn optional_text(&self, key: &str) -> Result<Option<String>, Refused> {
        if self.has(key) { self.text(key).map(Some) } else { Ok(None) }
    }

    /// A list of things, each read in its own way; an empty one, too.
    pub(super) fn list<T>(
        &self,
        key: &str,
        (allowed, of_each): (&str, &str),
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<T>, Refused> {
        let list = self.get(key).and_then(Value::as_array);
        let list = list.ok_or_else(|| self.refuse(key, allowed))?;
        let each = list.iter().enumerate().map(|(index, value)| {
            read(value).ok_or_else(|| {
                let (at, found) = (&self.at, shortened(value));
                unprocessable(format!("{at}{key}.{index} is {found}; write {of_each}"))
            })
        });
        each.collect()
    }

    /// An object with these keys at most, if there is one.
    pub(super) fn object(&self, key: &str, known: &[&str]) -> Result<Option<Self>, Refused> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(map)) => {
                Self::of(map.clone(), &format!("{}{key}.", self.at), known).map(Some)
            }
            Some(_) => Err(self.refuse(key, &format!("an object with {}", known.join(", ")))),
        }
    }

    /// A list of so many objects with these keys at most.
    pub(super) fn objects(
        &self,
        key: &str,
        most: usize,
        known: &[&str],
    ) -> Result<Vec<Self>, Refused> {
        let list = self.get(key).and_then(Value::as_array);
        let list = list.filter(|list| (1..=most).contains(&list.len()));
        let list =
            list.ok_or_else(|| self.refuse(key, &format!("a list of 1 to {most} objects")))?;
        let object = |(index, value): (usize, &Value)| {
            let at = format!("{}{key}.{index}", self.at);
            match value {
                Value::Object(map) => Self::of(map.clone(), &format!("{at}."), known),
                other => {
                    Err(unprocessable(format!("{at} is {}; write an object", shortened(other))))
                }
            }
        };
        list.iter().enumerate().map(object).collect()
    }

    /// A map from dotted paths to values, as `--set` takes them.
    pub(super) fn sets(&self, key: &str) -> Result<Vec<(String, String)>, Refused> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Object(map)) => Ok(map
                .iter()
                .map(|(path, value)| match value {
                    Value::String(text) => (path.clone(), text.clone()),
                    other => (path.clone(), other.to_string()),
                })
                .collect()),
            Some(_) => Err(self.refuse(key, "an object of dotted paths and their values")),
        }
    }
}

/// A value as a message shows it.
fn shortened(value: &Value) -> String {
    const MAX_SHOWN: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
