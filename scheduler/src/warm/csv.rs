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
    let is_empty = |cells: &[String]| cells.len() == 1 && cells[0].trim().is_empty();
    let mut first = records.next_record();
    while first.as_ref().is_some_and(|(cells, _)| is_empty(cells)) {
        first = records.next_record();
    }
    let names: Vec<String> = match first {
        Some((cells, true)) => cells.into_iter().map(|cell| cell.trim().to_owned()).collect(),
        _ => Vec::new(),
    };
    if names.len() > MAX_COLUMNS {
        let says = format!("has {} columns, more than {MAX_COLUMNS}", names.len());
        return Err(Fault::new(says, "a table of trials", "leave out what is no parameter"));
    }
    let again: Vec<&str> = twice(&names).into_iter().map(|(_, name)| name).collect();
    if let [first, more @ ..] = again.as_slice() {
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
        if is_empty(&cells) {
            continue;
        }
        if !is_whole || cells.len() != names.len() {
            let line = records.spots.first().map(|spot| spot.line as usize);
            rows.broken(line);
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

/// Where something stands in a text: its line and its column, both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// The line.
    pub line: u32,
    /// The letter in it.
    pub column: u32,
}

/// A table of configurations.
#[derive(Debug, Default)]
pub struct Table {
    names: Vec<String>,
    /// Where the cells of each row begin; none of an empty one.
    spots: Vec<Vec<Option<Spot>>>,
    /// Its rows, as JSON has them.
    pub configurations: Vec<Json>,
}

impl Table {
    /// Where a row has what stands at a path of its configuration: the cell, or the row where no
    /// column is called like it.
    pub fn spot(&self, row: usize, path: &str) -> Spot {
        let Some(spots) = self.spots.get(row) else { return Spot::default() };
        let is_in = |outer: &str, inner: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let cells =
            || self.names.iter().zip(spots).filter_map(|(name, spot)| Some((name, (*spot)?)));
        let own = cells().find(|(name, _)| *name == path);
        let near = || cells().find(|(name, _)| is_in(path, name) || is_in(name, path));
        let (_, spot) = own.or_else(near).or_else(|| cells().next()).unzip();
        spot.unwrap_or_default()
    }
}

/// The rows of a table as configurations: a column is a parameter, dots in its name lead into
/// conditional ones, and an empty cell leaves it open. Everything wrong with it has its place.
pub fn configurations(text: &str) -> Result<Table, Vec<(Spot, Fault)>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut records = Records::new(text);
    let names: Vec<String> = match records.next_record() {
        Some((cells, _)) => cells.into_iter().map(|cell| cell.trim().to_owned()).collect(),
        None => Vec::new(),
    };
    let doubles = twice(&names).into_iter().map(|(at, name)| {
        let says = format!("two columns called {name}");
        (records.spots[at], Fault::new(says, "each parameter once", ONE_TOO_MANY))
    });
    let mut faults: Vec<(Spot, Fault)> = doubles.collect();
    let mut table = Table { names, ..Table::default() };
    while let Some((cells, is_whole)) = records.next_record() {
        let spots = &records.spots;
        if !is_whole {
            let hint = "close it with a quote; two of them mean one";
            let says = "a quote that is not closed";
            faults.push((spots[cells.len() - 1], Fault::new(says, "a whole row", hint)));
        } else if cells.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        } else if cells.len() == table.names.len() {
            match configuration(&table.names, &cells) {
                Ok(configuration) => {
                    table.configurations.push(configuration);
                    let own = spots.iter().zip(&cells);
                    let own = own.map(|(spot, cell)| (!cell.trim().is_empty()).then_some(*spot));
                    table.spots.push(own.collect());
                }
                Err((at, fault)) => faults.push((spots[at], fault)),
            }
        } else {
            let says = format!("{} cells under {} names", cells.len(), table.names.len());
            let hint = "write a cell for each name; an empty one leaves its parameter open";
            faults.push((spots[0], Fault::new(says, "as many cells as the first row names", hint)));
        }
    }
    if table.configurations.is_empty() && faults.is_empty() {
        let hint = "write the parameters' names in the first row, and a configuration a row";
        let fault = Fault::new("no configuration", "a table of configurations", hint);
        faults.push((Spot { line: 1, column: 1 }, fault));
    }
    if faults.is_empty() { Ok(table) } else { Err(faults) }
}

/// The columns that are called as one before them.
fn twice(names: &[String]) -> Vec<(usize, &str)> {
    let mut seen = BTreeSet::new();
    let named = names.iter().enumerate().filter(|(_, name)| !name.is_empty());
    named.filter(|(_, name)| !seen.insert(*name)).map(|(at, name)| (at, name.as_str())).collect()
}

/// A row as a configuration, or which of its cells is in the way of it.
fn configuration(names: &[String], cells: &[String]) -> Result<Json, (usize, Fault)> {
    let mut configuration = Json::Object(Map::new());
    let both = |inner: &str| {
        let (outer, _) = inner.rsplit_once('.').unwrap_or((inner, ""));
        let says = format!("values of both {outer} and {inner}, which lies in it");
        let hint =
            format!("leave the cell of one of them empty: {outer} is a value or a nested space");
        Fault::new(says, "one alternative of each choice", hint)
    };
    for (at, (name, cell)) in names.iter().zip(cells).enumerate() {
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
            let Json::Object(map) = place else { return Err((at, both(name))) };
            place = map.entry(step).or_insert(Json::Null);
        }
        if let Json::Object(map) = place {
            let inner = map.keys().next().map_or("", String::as_str);
            return Err((at, both(&format!("{name}.{inner}"))));
        }
        *place = value;
    }
    Ok(configuration)
}

/// What parts the names of the columns.
fn delimiter(text: &str) -> char {
    let first = text.split(['\n', '\r']).find(|line| !line.is_empty()).unwrap_or_default();
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
    /// Where the cells begin of the row that was read last.
    spots: Vec<Spot>,
    next: Spot,
}

impl<'a> Records<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            delimiter: delimiter(text),
            spots: Vec::new(),
            next: Spot { line: 1, column: 1 },
        }
    }

    /// The cells of the next row, and whether it ends before a quote is closed. None at the end.
    fn next_record(&mut self) -> Option<(Vec<String>, bool)> {
        if self.rest.is_empty() {
            return None;
        }
        self.spots.clear();
        self.spots.push(self.next);
        let mut cells = vec![String::new()];
        let mut is_quoted = false;
        let mut letters = self.rest.char_indices().peekable();
        while let Some((at, letter)) = letters.next() {
            let Some(cell) = cells.last_mut() else { break };
            self.next = match letter {
                '\n' => Spot { line: self.next.line.saturating_add(1), column: 1 },
                _ => Spot { column: self.next.column.saturating_add(1), ..self.next },
            };
            match letter {
                '"' if is_quoted => match letters.peek() {
                    Some((_, '"')) => {
                        letters.next();
                        self.next.column = self.next.column.saturating_add(1);
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
                '\r' if letters.peek().is_some_and(|(_, next)| *next == '\n') => {}
                // Alone it ends a line, as old spreadsheets write it.
                '\r' => {
                    self.next = Spot { line: self.next.line.saturating_add(1), column: 1 };
                    self.rest = &self.rest[at + 1..];
                    return Some((cells, true));
                }
                letter if letter == self.delimiter => {
                    cells.push(String::new());
                    self.spots.push(self.next);
                }
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
        for (text, column, says) in [
            ("x,m,m.C\n1,a,3\n", 5, "values of both m and m.C, which lies in it"),
            ("m.C,m,x\n3,a,1\n", 3, "values of both m and m.C, which lies in it"),
            ("m.n.k,x,m.n\n3,1,b\n", 5, "values of both m.n and m.n.k, which lies in it"),
        ] {
            let faults = configurations(text).unwrap_err();
            let found: Vec<(Spot, &str)> =
                faults.iter().map(|(spot, fault)| (*spot, fault.says.as_str())).collect();
            assert_eq!(found, [(Spot { line: 2, column }, says)], "{text}");
        }
        let table = configurations("m,m.n,m.C\na,,\n,b,3\n").unwrap();
        let rows: Vec<String> = table.configurations.iter().map(Json::to_string).collect();
        assert_eq!(rows, [r#"{"m":"a"}"#, r#"{"m":{"C":3,"n":"b"}}"#]);
    }

    #[test]
    fn what_stands_in_a_row_is_found_again_in_its_cell() {
        let table = configurations("é,m.n,m.C\n\n\"a\nb\", c,3\nb,\"c,d\",4\n").unwrap();
        let at = |row, path| {
            let Spot { line, column } = table.spot(row, path);
            (line, column)
        };
        assert_eq!((at(0, "é"), at(0, "m.n"), at(0, "m.C")), ((3, 1), (4, 4), (4, 7)));
        assert_eq!((at(1, "m.C"), at(1, "m"), at(1, "m.n.k")), ((5, 9), (5, 3), (5, 3)));
        assert_eq!((at(1, "x"), at(1, ""), at(2, "m")), ((5, 1), (5, 1), (0, 0)));
        // What is empty is not what is wrong, and two quotes are two letters.
        let table = configurations("w,m,m.C\n\"a\"\"b\",,3\n").unwrap();
        assert_eq!(table.spot(0, "m"), Spot { line: 2, column: 9 });
    }
}
