//! JSON that a request brings, read strictly: a key that an object has twice is refused, since nobody
//! can tell which of its values was meant, and what is not JSON is refused with its place.

use std::cell::RefCell;
use std::fmt::Formatter;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Deserializer as Reader, Map, Number, Value};

use super::Refused;

/// What programs write for numbers that JSON does not have, without a sign.
const NO_NUMBERS: [&str; 3] = ["nan", "inf", "infinity"];

/// Where the results stand that are told of trials.
const RESULTS: &str = "results.";

/// What the reader says of a number that is too large for any, and of too many levels.
const OUT_OF_RANGE: &str = "number out of range";
const TOO_DEEP: &str = "recursion limit exceeded";

/// How many levels it reads.
const MOST_DEEP: usize = 127;

/// The value that a text holds.
pub(super) fn read(text: &str) -> Result<Value, Refused> {
    let way = RefCell::default();
    let mut reader = Reader::from_str(text);
    let read = Seed { way: &way }.deserialize(&mut reader);
    let read = read.and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| malformed(text, &way.into_inner().join("."), &error))
}

/// A text that cannot be read from somewhere in this field on.
fn malformed(text: &str, field: &str, error: &serde_json::Error) -> Refused {
    if text.trim().is_empty() {
        return Refused::bad("the body is empty; write JSON");
    }
    let place = format!("line {}, column {}", error.line(), error.column());
    let told = error.to_string();
    // The place that the reader adds to its words is told once.
    let what = told.rsplit_once(" at line ").map_or(told.as_str(), |(what, _)| what);
    if error.classify() == Category::Data {
        // Only a repeated key is.
        return Refused::bad(format!("{what}, the second time at {place}; write it once"));
    }
    let of_field = if field.is_empty() { String::new() } else { format!(" ({field})") };
    let word = word(text, error).unwrap_or_default();
    let plain = word.trim_start_matches(['+', '-']).to_ascii_lowercase();
    Refused::bad(if NO_NUMBERS.contains(&plain.as_str()) {
        let instead = match field.starts_with(RESULTS) {
            true => format!(
                "a trial without a value has failed: write \"failed\": \"the loss is {word}\" in its \
                 place"
            ),
            false => "write a number, or leave the key out where there is none".to_owned(),
        };
        format!(
            "the body has {word} at {place}{of_field}, and JSON knows no such number; {instead}"
        )
    } else if what == OUT_OF_RANGE {
        format!(
            "the body has a number at {place}{of_field} that is out of range; write one between \
             -1.8e308 and 1.8e308"
        )
    } else if what == TOO_DEEP {
        format!("the body is nested too deep at {place}; write at most {MOST_DEEP} levels")
    } else {
        format!("the body is not JSON from {place} on")
    })
}

/// The word at which the reader stopped; none where it is no syntax that it stopped at.
fn word<'a>(text: &'a str, error: &serde_json::Error) -> Option<&'a str> {
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
    line.get(at - before..at + after)
}

/// Reads a value in which no object has a key twice, and knows the way to where it stands.
#[derive(Clone, Copy)]
struct Seed<'w> {
    way: &'w RefCell<Vec<String>>,
}

impl Seed<'_> {
    /// Reads what stands one step further. A step that fails stays.
    fn step<T, E>(self, name: String, read: impl FnOnce(Self) -> Result<T, E>) -> Result<T, E> {
        self.way.borrow_mut().push(name);
        let value = read(self)?;
        self.way.borrow_mut().pop();
        Ok(value)
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
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
        let mut next = |list: &[Value]| {
            self.step(list.len().to_string(), |seed| items.next_element_seed(seed))
        };
        while let Some(item) = next(&list)? {
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
            let value = self.step(key.clone(), |seed| entries.next_value_seed(seed))?;
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
            let told = refusal(&format!("{{\"é\": 1,\n\"results\": [{{\"value\": {word}}}]}}"));
            assert!(told.starts_with(&format!("the body has {word} at line 2, ")), "{told}");
            assert!(told.contains(" (results.0.value), "), "{told}");
            let instead = format!("write \"failed\": \"the loss is {word}\" in its place");
            assert!(told.ends_with(&instead), "{told}");
            let told =
                refusal(&format!("{{\"configurations\": [{{\"x\": 1}}, {{\"x\": {word}}}]}}"));
            assert!(told.contains(" (configurations.1.x), "), "{told}");
            assert!(told.ends_with("write a number, or leave the key out where there is none"));
        }
        for other in ["{\"value\": none}", "{\"value\": 1", "nul", "\"nan", "-", "1 2"] {
            let told = refusal(other);
            assert!(told.starts_with("the body is not JSON from line 1, "), "{other}: {told}");
        }
        for empty in ["", " \n"] {
            assert_eq!(refusal(empty), "the body is empty; write JSON");
        }
    }

    #[test]
    fn numbers_out_of_range_and_too_many_levels_are_told_as_such() {
        let digits = "9".repeat(400);
        for number in ["1e999", "-1e999", "1E+400", digits.as_str()] {
            let told = refusal(&format!("{{\"a\": [1,\n{number}]}}"));
            assert!(told.starts_with("the body has a number at line 2, column "), "{told}");
            assert!(told.contains(" (a.1) that is out of range; "), "{told}");
        }
        assert_eq!(read("1e-999"), Ok(json!(0.0)));
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(read(&nested(MOST_DEEP)).is_ok());
        assert!(refusal(&nested(MOST_DEEP + 1)).starts_with("the body is nested too deep"));
    }
}
