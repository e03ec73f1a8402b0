//! One cell of a table of trials: what its text or number stands for.

use fleetfit_search_spaces::{SearchSpace, Value};

/// Words for a good end of a trial.
const GOOD_ENDS: [&str; 9] =
    ["complete", "completed", "finished", "terminated", "success", "succeeded", "ok", "done", "1"];

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) name: String,
    pub(super) value: Value,
}

/// What stands for nothing as a value, in the word that the space has for it.
pub(super) const NONE: &str = "none";

/// A value of a parameter, nothing as the space calls it.
pub(super) fn in_its_words(space: &SearchSpace, path: &str, value: Value) -> Value {
    let is_none = matches!(&value, Value::Text(text) if text == NONE);
    let called =
        [NONE, "None", "null"].into_iter().find(|word| is_none && space.has_word(path, word));
    called.map_or(value, |word| Value::Text(word.to_owned()))
}

/// Whether a column is one of Optuna's constraints, and has a value that breaks it: one above 0,
/// alone or in a list.
pub(super) fn breaks_bound(name: &str, value: &Value) -> bool {
    let own = name.strip_prefix("system_attrs").and_then(|own| own.strip_prefix(['_', '.']));
    let Some(rest) = own.and_then(|own| own.strip_prefix("constraints")) else { return false };
    let list = match value {
        Value::Text(text) => serde_json::from_str::<Vec<f64>>(text).unwrap_or_default(),
        _ => Vec::new(),
    };
    (rest.is_empty() || rest.starts_with([':', '.']))
        && list.iter().chain(&number(value)).any(|value| *value > 0.0)
}

/// Whether a trial ended well, as `COMPLETE`, `TrialState.COMPLETE` or 1 say.
pub(super) fn is_good_end(state: &Value) -> bool {
    let word = match state {
        Value::Float(number) => number.to_string(),
        other => other.to_string(),
    };
    let word = word.strip_prefix("TrialState.").unwrap_or(&word);
    GOOD_ENDS.iter().any(|good| word.eq_ignore_ascii_case(good))
}

/// A cell as a number.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Text(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    }
}

/// A text as the value that it was probably written from.
pub(super) fn typed(text: &str) -> Value {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    if is_number {
        if let Ok(number) = text.parse::<i64>() {
            return Value::Int(number);
        }
        if let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite()) {
            return Value::Float(number);
        }
    }
    match text {
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        text => Value::Text(text.to_owned()),
    }
}
