//! JSON that a request brings, read strictly: a key that an object has twice is refused, since nobody
//! can tell which of its values was meant, and what is not JSON is refused with its place.

use std::fmt::Formatter;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::{Map, Number, Value};

use super::Refused;

/// What programs write for numbers that JSON does not have, without a sign.
const NO_NUMBERS: [&str; 3] = ["nan", "inf", "infinity"];

/// The value that a text holds.
pub(super) fn read(text: &str) -> Result<Value, Refused> {
    serde_json::from_str(text).map(|Strict(value)| value).map_err(|error| malformed(text, &error))
}

/// A text that cannot be read.
pub(super) fn malformed(text: &str, error: &serde_json::Error) -> Refused {
    let place = format!("line {}, column {}", error.line(), error.column());
    if error.classify() == Category::Data {
        // Only a repeated key is; the place that the reader adds to its words is told once.
        let told = error.to_string();
        let what = told.rsplit_once(" at line ").map_or(told.as_str(), |(what, _)| what);
        return Refused::bad(format!("{what}, the second time at {place}; write it once"));
    }
    Refused::bad(match no_number(text, error) {
        Some(word) => format!(
            "the body has {word} at {place}, and JSON knows no such number; a trial without a value \
             has failed: {{\"trial\": 3, \"failed\": \"the loss is {word}\"}}"
        ),
        None => format!("the body is not JSON from {place} on"),
    })
}

/// The word at which the reader stopped, where it stands for no number or an endless one.
fn no_number<'a>(text: &'a str, error: &serde_json::Error) -> Option<&'a str> {
    let line = text.split('\n').nth(error.line().checked_sub(1)?)?;
    if error.classify() != Category::Syntax {
        return None;
    }
    // A word's second letter may be what was not understood.
    let is_of_word = |byte: &u8| byte.is_ascii_alphabetic() || b"+-".contains(byte);
    let bytes = line.as_bytes();
    let at = error.column().checked_sub(1)?.min(bytes.len().checked_sub(1)?);
    let before = bytes.get(..at)?.iter().rev().take_while(|byte| is_of_word(byte)).count();
    let after = bytes.get(at..)?.iter().take_while(|byte| is_of_word(byte)).count();
    let word = line.get(at - before..at + after)?;
    let plain = word.trim_start_matches(['+', '-']).to_ascii_lowercase();
    NO_NUMBERS.contains(&plain.as_str()).then_some(word)
}

/// A value in which no object has a key twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Seed.deserialize(deserializer).map(Self)
    }
}

struct Seed;

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Value;

    fn expecting(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Seed)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the body has {key:?} twice in one object")));
            }
            let value = entries.next_value_seed(Seed)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(text: &str) -> String {
        read(text).unwrap_err().message
    }

    #[test]
    fn what_is_json_is_read_as_it_stands() {
        for value in
            [json!({"a": [1, -2, 0.5, null, true, "é"], "b": {"a": {}}}), json!(null), json!(7)]
        {
            assert_eq!(read(&value.to_string()), Ok(value));
        }
    }

    #[test]
    fn a_key_that_is_there_twice_is_named() {
        let told = refusal("{\"results\": [{\"trial\": 1,\n \"value\": 1, \"value\": 2}]}");
        assert!(told.starts_with("the body has \"value\" twice in one object, "), "{told}");
        assert!(told.contains("line 2, column") && told.ends_with("write it once"), "{told}");
        // In objects beside or within each other it is another one.
        assert!(read("[{\"a\": {\"a\": 1}}, {\"a\": 2}]").is_ok());
    }

    #[test]
    fn numbers_that_json_does_not_have_are_told_as_such() {
        for word in ["NaN", "nan", "Infinity", "-Infinity", "inf", "-inf"] {
            let told = refusal(&format!("{{\"é\": 1,\n\"value\": {word}}}"));
            assert!(told.starts_with(&format!("the body has {word} at line 2, ")), "{told}");
            assert!(told.contains("\"failed\""), "{told}");
        }
        for other in ["{\"value\": none}", "{\"value\": 1", "", "nul", "\"nan", "-"] {
            let told = refusal(other);
            assert!(told.starts_with("the body is not JSON from line 1, "), "{other}: {told}");
        }
    }
}
