//! A table of trials as text: comma-separated values as RFC 4180 has them, with `;` or tabs as well.

use std::collections::BTreeSet;

use fleetfit_search_spaces::Value;
use serde_json::{Map, Value as Json};

use super::cell::{Cell, typed};
use super::json::flatten;
use super::table::{Fault, Found, Rows, Wanted};

/// The most columns that a table may have.
const MAX_COLUMNS: usize = 10_000;

/// Words for a cell without anything in it, where they are no values of a parameter.
const NOTHING: [&str; 4] = ["nan", "NaN", "None", "null"];

/// What to do about two columns of one name.
const ONE_TOO_MANY: &str = "leave one of the columns out";

/// Reads a table whose first row names the columns.
pub(super) fn read(text: &str, wanted: Wanted<'_>) -> Result<Found, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut records = Records::new(text);
    let names: Vec<String> = match records.next_record() {
        Some((cells, true)) => cells.into_iter().map(|cell| cell.trim().to_owned()).collect(),
        _ => Vec::new(),
    };
    if names.len() > MAX_COLUMNS {
        let says = format!("has {} columns, more than {MAX_COLUMNS}", names.len());
        return Err(Fault::new(says, "a table of trials", "leave out what is no parameter"));
    }
    if let [first, more @ ..] = twice(&names).as_slice() {
        let more = if more.is_empty() {
            String::new()
        } else {
            format!(", and more: {}", more.join(", "))
        };
        // Optuna's names of columns in two rows.
        let hint = match *first {
            "params" => "write the table without multi_index",
            _ => ONE_TOO_MANY,
        };
        return Err(Fault::new(
            format!("has two columns called {first}{more}"),
            "each column once",
            hint,
        ));
    }
    let mut rows = Rows::new(wanted);
    rows.learn(&names);
    while let Some((cells, is_whole)) = records.next_record() {
        if cells.len() == 1 && cells[0].trim().is_empty() {
            continue;
        }
        if !is_whole || cells.len() != names.len() {
            rows.broken();
            continue;
        }
        let mut nested: Vec<Cell> = Vec::new();
        let mut own: Vec<Cell> = Vec::new();
        for (name, cell) in names.iter().zip(&cells) {
            let cell = cell.trim();
            if name == "configuration" && cell.starts_with('{') {
                if let Ok(json @ Json::Object(_)) = serde_json::from_str(cell) {
                    flatten(name, &json, &mut nested);
                }
            } else if !cell.is_empty() && (!NOTHING.contains(&cell) || rows.holds(name, cell)) {
                own.push(Cell { name: name.clone(), value: typed(cell) });
            }
        }
        if nested.is_empty() {
            rows.push(&names, &own);
            continue;
        }
        // It says exactly what a column of the same parameter says in words.
        own.retain(|cell| nested.iter().all(|exact| exact.name != cell.name));
        let mut names = names.clone();
        names.extend(nested.iter().map(|cell| cell.name.clone()));
        own.append(&mut nested);
        rows.push(&names, &own);
    }
    rows.end()
}

/// What stands on a line, which counts from 1.
pub type OnLine<T> = (u32, T);

/// The rows of a table as configurations, as JSON has them, each with the number of its line: a
/// column is a parameter, dots in its name lead into conditional ones, and an empty cell leaves it
/// open. Everything wrong with it stands with its line as well.
pub fn configurations(text: &str) -> Result<Vec<OnLine<Json>>, Vec<OnLine<Fault>>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut records = Records::new(text);
    let names: Vec<String> = match records.next_record() {
        Some((cells, _)) => cells.into_iter().map(|cell| cell.trim().to_owned()).collect(),
        None => Vec::new(),
    };
    let doubles = twice(&names).into_iter().map(|name| {
        let says = format!("two columns called {name}");
        (1, Fault::new(says, "each parameter once", ONE_TOO_MANY))
    });
    let mut faults: Vec<(u32, Fault)> = doubles.collect();
    let mut all = Vec::new();
    while let Some((cells, is_whole)) = records.next_record() {
        let line = records.line;
        if !is_whole {
            let hint = "close it with a quote; two of them mean one";
            let says = "a quote that is not closed";
            faults.push((line, Fault::new(says, "a whole row", hint)));
        } else if cells.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        } else if cells.len() == names.len() {
            match configuration(&names, &cells) {
                Ok(configuration) => all.push((line, configuration)),
                Err(fault) => faults.push((line, fault)),
            }
        } else {
            let says = format!("{} cells under {} names", cells.len(), names.len());
            let hint = "write a cell for each name; an empty one leaves its parameter open";
            faults.push((line, Fault::new(says, "as many cells as the first row names", hint)));
        }
    }
    if all.is_empty() && faults.is_empty() {
        let hint = "write the parameters' names in the first row, and a configuration a row";
        faults.push((1, Fault::new("no configuration", "a table of configurations", hint)));
    }
    if faults.is_empty() { Ok(all) } else { Err(faults) }
}

/// The names of the columns that are called as one before them.
fn twice(names: &[String]) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    let mut again = Vec::new();
    for name in names.iter().filter(|name| !name.is_empty()) {
        if !seen.insert(name) {
            again.push(name.as_str());
        }
    }
    again
}

fn configuration(names: &[String], cells: &[String]) -> Result<Json, Fault> {
    let mut configuration = Json::Object(Map::new());
    let both = |inner: &str| {
        let (outer, _) = inner.rsplit_once('.').unwrap_or((inner, ""));
        let says = format!("values of both {outer} and {inner}, which lies in it");
        let hint =
            format!("leave the cell of one of them empty: {outer} is a value or a nested space");
        Fault::new(says, "one alternative of each choice", hint)
    };
    for (name, cell) in names.iter().zip(cells) {
        let value = match typed(cell.trim()) {
            Value::Text(text) if text.is_empty() => continue,
            Value::Text(text) => Json::from(text),
            Value::Bool(value) => Json::from(value),
            Value::Int(value) => Json::from(value),
            Value::Float(value) => Json::from(value),
        };
        let mut place = &mut configuration;
        for step in name.split('.') {
            if place.is_null() {
                *place = Json::Object(Map::new());
            }
            let Json::Object(map) = place else { return Err(both(name)) };
            place = map.entry(step).or_insert(Json::Null);
        }
        if let Json::Object(map) = place {
            let inner = map.keys().next().map_or("", String::as_str);
            return Err(both(&format!("{name}.{inner}")));
        }
        *place = value;
    }
    Ok(configuration)
}

/// What parts the names of the columns.
fn delimiter(text: &str) -> char {
    let first = text.lines().next().unwrap_or_default();
    let count = |delimiter: char| first.matches(delimiter).count();
    let mut best = ',';
    for other in [';', '\t'] {
        if count(other) > count(best) {
            best = other;
        }
    }
    best
}

struct Records<'a> {
    rest: &'a str,
    delimiter: char,
    /// The line that the row begins in which was read last, from 1.
    line: u32,
    next_line: u32,
}

impl<'a> Records<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text, delimiter: delimiter(text), line: 0, next_line: 1 }
    }

    /// The cells of the next row, and whether it ends before a quote is closed. None at the end.
    fn next_record(&mut self) -> Option<(Vec<String>, bool)> {
        if self.rest.is_empty() {
            return None;
        }
        self.line = self.next_line;
        let mut cells = vec![String::new()];
        let mut is_quoted = false;
        let mut letters = self.rest.char_indices().peekable();
        while let Some((at, letter)) = letters.next() {
            let Some(cell) = cells.last_mut() else { break };
            self.next_line = self.next_line.saturating_add(u32::from(letter == '\n'));
            match letter {
                '"' if is_quoted => match letters.peek() {
                    Some((_, '"')) => {
                        letters.next();
                        cell.push('"');
                    }
                    _ => is_quoted = false,
                },
                letter if is_quoted => cell.push(letter),
                '"' if cell.trim().is_empty() => {
                    cell.clear();
                    is_quoted = true;
                }
                '\n' => {
                    self.rest = &self.rest[at + 1..];
                    return Some((cells, true));
                }
                '\r' => {}
                letter if letter == self.delimiter => cells.push(String::new()),
                letter => cell.push(letter),
            }
        }
        self.rest = "";
        Some((cells, !is_quoted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_contradicts_itself_is_refused_whatever_the_order_of_its_columns() {
        for (text, says) in [
            ("x,m,m.C\n1,a,3\n", "values of both m and m.C, which lies in it"),
            ("m.C,m,x\n3,a,1\n", "values of both m and m.C, which lies in it"),
            ("m.n.k,x,m.n\n3,1,b\n", "values of both m.n and m.n.k, which lies in it"),
        ] {
            let faults = configurations(text).unwrap_err();
            assert_eq!(faults.len(), 1);
            assert_eq!((faults[0].0, faults[0].1.says.as_str()), (2, says), "{text}");
        }
        let rows = configurations("m,m.n,m.C\na,,\n,b,3\n").unwrap();
        let rows: Vec<String> = rows.iter().map(|(_, row)| row.to_string()).collect();
        assert_eq!(rows, [r#"{"m":"a"}"#, r#"{"m":{"C":3,"n":"b"}}"#]);
    }
}
