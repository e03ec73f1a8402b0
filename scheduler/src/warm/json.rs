//! Trials as JSON: an array of objects, one object a line, or one object of columns, as pandas,
//! Optuna's command line, scikit-learn and our own write them.

use fleetfit_search_spaces::Value;
use serde_json::{Map, Value as Json};

use super::cell::{Cell, NONE};
use super::table::{Fault, Found, Rows, Wanted};

/// Where Optuna has the parameters of a trial.
const PARAMETERS: &str = "params.";

/// How deep objects are looked into.
const MAX_DEPTH: usize = 16;

/// Reads a document, or one a line.
pub(super) fn read(text: &str, wanted: Wanted<'_>) -> Result<Found, Fault> {
    let mut rows = Rows::new(wanted);
    match parsed(text) {
        Ok(Json::Array(items)) => items.iter().for_each(|item| push(item, None, &mut rows)),
        Ok(Json::Object(map)) => match (map.get("trials"), map.get("columns"), map.get("data")) {
            (Some(Json::Array(items)), ..) => {
                items.iter().for_each(|item| push(item, None, &mut rows))
            }
            (_, Some(Json::Array(names)), Some(Json::Array(items))) => {
                split(names, items, &mut rows);
            }
            // pandas' form with a schema.
            (_, None, Some(Json::Array(items))) if map.contains_key("schema") => {
                items.iter().for_each(|item| push(item, None, &mut rows));
            }
            _ if map.values().all(Json::is_object) && !map.is_empty() => {
                let labels = labels(map.keys());
                match labels.first() {
                    Some((Some(_), _)) => {
                        labels
                            .iter()
                            .filter_map(|(_, label)| map.get(*label))
                            .for_each(|item| push(item, None, &mut rows));
                    }
                    _ => columns(&map, &mut rows),
                }
            }
            _ if map.values().all(Json::is_array) && !map.is_empty() => lists(&map, &mut rows),
            _ => push(&Json::Object(map), None, &mut rows),
        },
        Ok(_) => rows.broken(None),
        Err(error) => {
            let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
            for (number, line) in lines {
                match parsed(line) {
                    Ok(item) => push(&item, Some(number), &mut rows),
                    Err(_) => rows.broken(Some(number)),
                }
            }
            if rows.is_empty() {
                return Err(broken(&error));
            }
        }
    }
    rows.end()
}

/// What is wrong with a document of which nothing can be read.
fn broken(error: &serde_json::Error) -> Fault {
    let text = error.to_string();
    let (what, _) = text.rsplit_once(" at line ").unwrap_or((&text, ""));
    let says = format!("is no JSON from line {} on: {what}", error.line());
    Fault::new(says, "trials as JSON", "check that the file is whole, or leave it out")
}

fn parsed(text: &str) -> Result<Json, serde_json::Error> {
    serde_json::from_str(text).or_else(|error| match without_words(text) {
        Some(text) => serde_json::from_str(&text),
        None => Err(error),
    })
}

/// The text with null for the numbers that Python writes and JSON does not have; none without any.
pub(super) fn without_words(text: &str) -> Option<String> {
    const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    if !text.contains("Infinity") && !text.contains("NaN") {
        return None;
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    let (mut is_quoted, mut is_changed) = (false, false);
    while let Some(letter) = rest.chars().next() {
        if !is_quoted && let Some(after) = WORDS.iter().find_map(|word| rest.strip_prefix(word)) {
            plain.push_str("null");
            is_changed = true;
            rest = after;
            continue;
        }
        plain.push(letter);
        rest = &rest[letter.len_utf8()..];
        match letter {
            '"' => is_quoted = !is_quoted,
            '\\' if is_quoted => {
                if let Some(escaped) = rest.chars().next() {
                    plain.push(escaped);
                    rest = &rest[escaped.len_utf8()..];
                }
            }
            _ => {}
        }
    }
    is_changed.then_some(plain)
}

fn push(item: &Json, line: Option<usize>, rows: &mut Rows<'_>) {
    let Json::Object(map) = item else {
        rows.broken(line);
        return;
    };
    let mut cells = Vec::new();
    for (name, value) in map {
        match (name.as_str(), value) {
            // An entity is one cell, however many columns it has.
            ("entity", Json::Object(_)) => {
                let value = Value::Text(value.to_string());
                cells.push(Cell { name: name.clone(), value });
            }
            _ => flatten(name, value, &mut cells),
        }
    }
    // A value that is null is a column all the same.
    let names: Vec<String> =
        map.keys().cloned().chain(cells.iter().map(|cell| cell.name.clone())).collect();
    rows.push(&names, &cells);
}

/// pandas' own form: for each column an object from the row's label to the cell.
fn columns(map: &Map<String, Json>, rows: &mut Rows<'_>) {
    let names: Vec<String> = map.keys().cloned().collect();
    let longest = map.values().filter_map(Json::as_object).max_by_key(|column| column.len());
    for (_, label) in labels(longest.into_iter().flat_map(Map::keys)) {
        let mut cells = Vec::new();
        for (name, column) in map {
            if let Some(value) = column.get(label) {
                flatten(name, value, &mut cells);
            }
        }
        rows.push(&names, &cells);
    }
}

/// The labels of rows in their order, where they are numbers as numbers. Words come first.
fn labels<'a>(labels: impl Iterator<Item = &'a String>) -> Vec<(Option<u64>, &'a String)> {
    let mut labels: Vec<_> = labels.map(|label| (label.parse().ok(), label)).collect();
    labels.sort();
    labels
}

/// For each column a list, all of one length: as `cv_results_` of scikit-learn.
fn lists(map: &Map<String, Json>, rows: &mut Rows<'_>) {
    let n_rows = map.values().filter_map(Json::as_array).map(Vec::len).max().unwrap_or_default();
    for row in 0..n_rows {
        let cell =
            |(name, column): (&String, &Json)| Some((name.clone(), column.get(row)?.clone()));
        match map.iter().map(cell).collect() {
            Some(cells) => push(&Json::Object(cells), None, rows),
            None => rows.broken(None),
        }
    }
}

/// pandas' form in parts: the names of the columns, and rows of cells.
fn split(names: &[Json], items: &[Json], rows: &mut Rows<'_>) {
    for item in items {
        match item.as_array().filter(|cells| cells.len() == names.len()) {
            Some(cells) => {
                let named = names
                    .iter()
                    .zip(cells)
                    .filter_map(|(name, cell)| Some((name.as_str()?.to_owned(), cell.clone())));
                push(&Json::Object(named.collect()), None, rows);
            }
            None => rows.broken(None),
        }
    }
}

/// Everything in a value that is no list, object or nothing, under dotted names.
pub(super) fn flatten(name: &str, value: &Json, cells: &mut Vec<Cell>) {
    flatten_to(name, value, MAX_DEPTH, cells);
}

fn flatten_to(name: &str, value: &Json, depth: usize, cells: &mut Vec<Cell>) {
    let value = match value {
        Json::Object(map) if depth > 0 => {
            for (key, value) in map {
                flatten_to(&format!("{name}.{key}"), value, depth - 1, cells);
            }
            return;
        }
        Json::Array(items) if depth > 0 => {
            // The values of several objectives; more is no list of numbers.
            for (index, value) in items.iter().enumerate().take(16) {
                flatten_to(&format!("{name}.{index}"), value, depth - 1, cells);
            }
            return;
        }
        Json::Bool(value) => Value::Bool(*value),
        Json::String(text) => Value::Text(text.clone()),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::Float(number),
            (None, None) => return,
        },
        // A parameter that an object of them sets to nothing has that value.
        Json::Null if depth < MAX_DEPTH && name.starts_with(PARAMETERS) => {
            Value::Text(NONE.to_owned())
        }
        Json::Null | Json::Array(_) | Json::Object(_) => return,
    };
    cells.push(Cell { name: name.to_owned(), value });
}
