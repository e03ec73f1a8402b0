//! What a request asks besides its address: the words after the question mark, read strictly, and
//! the thread on which the answer is found.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Path, RawQuery};
use axum::http::request::Parts;
use fleetfit_search_spaces::{TrialState, nearest};

use super::{App, MAX_PAGE, Refused, Why};

/// The longest cursor that any list gives.
pub(super) const MAX_CURSOR_BYTES: usize = 128;

pub(super) type Answer<T> = Result<Json<T>, Refused>;

/// Runs what may wait for the disk where it may.
pub(super) async fn ask<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    let span = tracing::Span::current();
    let asked = tokio::task::spawn_blocking(move || span.in_scope(act)).await;
    asked.unwrap_or_else(|_| {
        Err(Refused::new(Why::Unexpected, "the request failed unexpectedly; the log says more"))
    })
}

/// The words after the question mark, each name once unless it is `set`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Question(Vec<(String, String)>);

impl Question {
    /// Reads those that this address takes.
    pub(super) fn read(query: RawQuery, known: &[&str]) -> Result<Self, Refused> {
        let mut words: Vec<(String, String)> = Vec::new();
        let query = query.0.unwrap_or_default();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            if !known.contains(&name.as_str()) {
                return Err(unknown(&name, known));
            }
            if name != "set" && words.iter().any(|(before, _)| *before == name) {
                return Err(Refused::bad(format!("{name} is there twice; write it once")));
            }
            words.push((name, value));
        }
        Ok(Self(words))
    }

    pub(super) fn word(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.word(name).map(str::to_owned)
    }

    /// Where a page begins.
    pub(super) fn cursor(&self) -> Result<Option<String>, Refused> {
        match self.word("cursor") {
            Some(cursor) if cursor.is_empty() || cursor.len() > MAX_CURSOR_BYTES => {
                Err(Refused::bad("this cursor is none that a page before had as its next"))
            }
            cursor => Ok(cursor.map(str::to_owned)),
        }
    }

    /// How many rows are wanted at most.
    pub(super) fn limit(&self) -> Result<usize, Refused> {
        self.count("limit", MAX_PAGE)
    }

    /// A number from 1 to the most that one answer holds.
    pub(super) fn count(&self, name: &str, usual: usize) -> Result<usize, Refused> {
        Ok(self.count_if_any(name)?.unwrap_or(usual))
    }

    /// The same where nobody need say.
    pub(super) fn count_if_any(&self, name: &str) -> Result<Option<usize>, Refused> {
        let Some(text) = self.word(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if (1..=MAX_PAGE).contains(&number) => Ok(Some(number)),
            _ => {
                // Only lists have pages.
                let hint = if name == "limit" { "; further rows are on the next page" } else { "" };
                Err(Refused::bad(format!(
                    "{name}={text} is not a whole number from 1 to {MAX_PAGE}{hint}"
                )))
            }
        }
    }

    pub(super) fn state(&self) -> Result<Option<TrialState>, Refused> {
        let Some(text) = self.word("state") else {
            return Ok(None);
        };
        serde_json::from_value(text.into()).map(Some).map_err(|_| {
            Refused::bad(format!(
                "state={text} is not a state; a trial is completed, stopped or failed"
            ))
        })
    }

    /// Every `set=PATH=VALUE`.
    pub(super) fn sets(&self) -> Result<Vec<(String, String)>, Refused> {
        let sets = self.0.iter().filter(|(name, _)| name == "set");
        sets.map(|(_, set)| match set.split_once('=') {
            Some((path, value)) => Ok((path.trim().to_owned(), value.to_owned())),
            None => Err(Refused::bad(format!(
                "set={set} has no \"=\" between a path and a value; write \
                 set=limits.timeout=60"
            ))),
        })
        .collect()
    }
}

fn unknown(name: &str, known: &[&str]) -> Refused {
    let hint = match (nearest(name, known.iter().copied()), known) {
        (_, []) => "this address takes none".to_owned(),
        (Some(near), _) => format!("did you mean {near}?"),
        (None, known) => format!("known are {}", known.join(", ")),
    };
    Refused::bad(format!("the parameter {name} is not known here; {hint}"))
}

/// Text as it stands after a question mark: `%41` is A, and a plus is a space.
fn decode(text: &str) -> Result<String, Refused> {
    let spaced = text.replace('+', " ");
    plain(&spaced).ok_or_else(|| {
        Refused::bad(
            "a % in the address is followed by two hexadecimal digits, and what comes out \
                      is UTF-8 text",
        )
    })
}

/// The text without percent signs; nothing where they mean no text.
pub(super) fn plain(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => (digit(rest.next())? * 16 + digit(rest.next())?) as u8,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A study's name in the address.
pub(super) struct StudyName(pub(super) String);

impl FromRequestParts<Arc<App>> for StudyName {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refused> {
        let words = Path::<Vec<(String, String)>>::from_request_parts(parts, app).await;
        let words = words.map_err(|_| Refused::bad("the address is not UTF-8 text"))?;
        let study = words.0.into_iter().find(|(name, _)| name == "study");
        study.map(|(_, study)| Self(study)).ok_or_else(|| Refused::bad("which study?"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Result<Question, Refused> {
        let known = ["entity", "limit", "set", "state"];
        Question::read(RawQuery(Some(query.to_owned())), &known)
    }

    #[test]
    fn words_are_read_strictly() {
        let read = |query: &str| asked(query).map_err(|refused| refused.message);
        let question = read("entity=a%2Cb+c%26&limit=3&set=x=1&set=y=%F0%9F%98%80&").unwrap();
        assert_eq!(question.word("entity"), Some("a,b c&"));
        assert_eq!(question.limit(), Ok(3));
        let sets = [("x", "1"), ("y", "😀")].map(|(p, v)| (p.to_owned(), v.to_owned()));
        assert_eq!(question.sets(), Ok(sets.to_vec()));
        assert!(read("limi=3").unwrap_err().contains("did you mean limit?"));
        assert!(read("limit=3&limit=4").unwrap_err().contains("twice"));
        for broken in ["entity=%", "entity=%4", "entity=%zz", "entity=%FF", "%=1"] {
            assert!(read(broken).unwrap_err().contains('%'), "{broken}");
        }
        assert!(
            Question::read(RawQuery(Some("x=1".into())), &[])
                .unwrap_err()
                .message
                .contains("takes none")
        );
    }

    #[test]
    fn numbers_have_their_limits() {
        for (text, expected) in [
            ("1", Some(1)),
            ("1000", Some(1000)),
            ("0", None),
            ("1001", None),
            ("-1", None),
            ("", None),
            ("99999999999999999999", None),
            ("1e3", None),
        ] {
            let question = asked(&format!("limit={text}")).unwrap();
            assert_eq!(question.limit().ok(), expected, "{text}");
        }
        assert_eq!(Question::default().limit(), Ok(MAX_PAGE));
        let said = asked("limit=0").unwrap().limit().unwrap_err().message;
        assert!(said.ends_with("from 1 to 1000; further rows are on the next page"), "{said}");
        let top = Question::read(RawQuery(Some("top=0".into())), &["top"]).unwrap();
        let said = top.count("top", 1).unwrap_err().message;
        assert_eq!(said, "top=0 is not a whole number from 1 to 1000");
    }

    #[test]
    fn states_have_names() {
        let state = |text: &str| asked(text).unwrap().state().ok();
        assert_eq!(state("state=failed"), Some(Some(TrialState::Failed)));
        assert_eq!(state(""), Some(None));
        assert_eq!(state("state=Failed"), None);
    }
}
