//! Which entity each row belongs to.

use std::cmp::Ordering;
use std::collections::HashMap;

use fleetfit_search_spaces::entity::EntityKey;
use fleetfit_search_spaces::value::Value;
use serde::{Deserialize, Serialize};

use super::cell::{parse_bool, parse_number, parse_plain_int};
use super::column::{Column, Kind, Storage, Survey};
use crate::frame::MISSING;

/// A partition column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyColumn {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub kind: KeyKind,
}

/// What the values of a partition column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// Numbers; whole ones are integers, however they are written.
    Number,
    /// True and false, however they are written.
    Bool,
    /// Text, taken as it stands; codes with leading zeros as well, and words that elsewhere mean
    /// "missing".
    Text,
}

impl KeyKind {
    pub(crate) fn of(survey: &Survey) -> Self {
        match survey.kind() {
            Kind::Int | Kind::Float if !survey.has_codes => Self::Number,
            Kind::Bool => Self::Bool,
            _ => Self::Text,
        }
    }

    /// How such a column is kept.
    pub(crate) fn storage(self) -> Storage {
        match self {
            Self::Text => Storage::Key,
            Self::Number | Self::Bool => Storage::Word,
        }
    }

    fn value(self, word: &str) -> Value {
        let text = || Value::Text(word.to_owned());
        match self {
            Self::Text => text(),
            Self::Bool => parse_bool(word).map_or_else(text, Value::Bool),
            Self::Number => number_value(word),
        }
    }
}

fn number_value(word: &str) -> Value {
    if let Some(number) = parse_plain_int(word) {
        return Value::Int(number);
    }
    match parse_number(word) {
        Some(number) if number.fract() == 0.0 && number.abs() < 9e15 => Value::Int(number as i64),
        Some(number) if number.is_finite() => Value::Float(number),
        _ => Value::Text(word.to_owned()),
    }
}

/// The combinations of some columns' values, numbered in order of first appearance.
pub(crate) struct Combinations {
    /// The combination of each row; [`MISSING`] where a value is missing.
    pub(crate) rows: Vec<u32>,
    /// For each combination, the position of its value in each column's distinct values.
    parts: Vec<Vec<u32>>,
}

impl Combinations {
    /// Without columns there is one combination, which every row has.
    pub(crate) fn of(columns: &[&[u32]], n_rows: usize) -> Self {
        let mut rows = vec![0; n_rows];
        let mut parts = vec![Vec::new()];
        for codes in columns {
            let mut lookup: HashMap<(u32, u32), u32> = HashMap::new();
            let mut longer: Vec<Vec<u32>> = Vec::new();
            for (row, &code) in rows.iter_mut().zip(*codes) {
                if *row == MISSING || code == MISSING {
                    *row = MISSING;
                    continue;
                }
                *row = *lookup.entry((*row, code)).or_insert_with(|| {
                    let mut part = parts[*row as usize].clone();
                    part.push(code);
                    longer.push(part);
                    longer.len() as u32 - 1
                });
            }
            parts = longer;
        }
        Self { rows, parts }
    }
}

/// The entities of some rows, sorted, and each row's.
pub(crate) struct RowKeys {
    pub(crate) entities: Vec<EntityKey>,
    /// Each row's entity; [`MISSING`] where a partition column is empty.
    pub(crate) rows: Vec<u32>,
}

impl RowKeys {
    /// `n_rows` is needed where there are no partition columns.
    pub(crate) fn of(keys: &[KeyColumn], columns: &[Column], n_rows: usize) -> Self {
        let mut values: Vec<Vec<Value>> = Vec::new();
        let mut codes: Vec<Vec<u32>> = Vec::new();
        for (key, column) in keys.iter().zip(columns) {
            let (distinct, rows) = distinct_values(key.kind, column);
            values.push(distinct);
            codes.push(rows);
        }
        let slices: Vec<&[u32]> = codes.iter().map(Vec::as_slice).collect();
        let combinations = Combinations::of(&slices, n_rows);
        let mut entities: Vec<(EntityKey, u32)> = combinations
            .parts
            .iter()
            .zip(0_u32..)
            .map(|(part, number)| {
                let named = part.iter().zip(keys).zip(&values).map(|((&code, key), values)| {
                    (key.name.clone(), values[code as usize].clone())
                });
                (EntityKey(named.collect()), number)
            })
            .collect();
        entities.sort_by(|(a, _), (b, _)| compare_keys(a, b));
        let mut rank = vec![0_u32; entities.len()];
        for (position, (_, number)) in (0_u32..).zip(&entities) {
            rank[*number as usize] = position;
        }
        let mut rows = combinations.rows;
        for row in &mut rows {
            if *row != MISSING {
                *row = rank[*row as usize];
            }
        }
        Self { entities: entities.into_iter().map(|(key, _)| key).collect(), rows }
    }

    /// The same rows with the numbers of `known` entities; others become [`MISSING`].
    pub(crate) fn among(mut self, known: &[EntityKey]) -> Self {
        let lookup: HashMap<String, u32> = known.iter().map(EntityKey::text).zip(0_u32..).collect();
        let translation: Vec<u32> = self
            .entities
            .iter()
            .map(|key| lookup.get(&key.text()).copied().unwrap_or(MISSING))
            .collect();
        for row in &mut self.rows {
            if *row != MISSING {
                *row = translation[*row as usize];
            }
        }
        self.entities = known.to_vec();
        self
    }
}

/// A column's distinct values, and each row's position among them. `1` and `1.0` are one value.
fn distinct_values(kind: KeyKind, column: &Column) -> (Vec<Value>, Vec<u32>) {
    let (codes, words) = column.words();
    let mut lookup: HashMap<String, u32> = HashMap::new();
    let mut values = Vec::new();
    let translation: Vec<u32> = words
        .iter()
        .map(|word| {
            let value = kind.value(word);
            *lookup.entry(value.to_string()).or_insert_with(|| {
                values.push(value);
                values.len() as u32 - 1
            })
        })
        .collect();
    let rows = codes
        .iter()
        .map(|&code| match code {
            MISSING => MISSING,
            _ => translation[code as usize],
        })
        .collect();
    (values, rows)
}

/// Numbers by size, then text by bytes; the first column counts most.
fn compare_keys(a: &EntityKey, b: &EntityKey) -> Ordering {
    let pairs = a.0.iter().zip(&b.0);
    pairs
        .map(|((_, a), (_, b))| compare_values(a, b))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn compare_values(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => a.to_string().cmp(&b.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str], codes: &[u32]) -> Column {
        Column::Word {
            codes: codes.to_vec(),
            words: words.iter().map(|&word| word.to_owned()).collect(),
        }
    }

    fn key(name: &str, kind: KeyKind) -> KeyColumn {
        KeyColumn { name: name.to_owned(), kind }
    }

    #[test]
    fn entities_are_sorted_by_value() {
        let keys = [key("store", KeyKind::Number), key("brand", KeyKind::Text)];
        let columns = [
            words(&["10", "9", "9.0"], &[0, 1, 2, 0, MISSING]),
            words(&["b", "a"], &[0, 0, 0, 1, 0]),
        ];
        let found = RowKeys::of(&keys, &columns, 5);
        let shown: Vec<String> = found.entities.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["store=9,brand=b", "store=10,brand=a", "store=10,brand=b"]);
        assert_eq!(found.rows, [2, 0, 0, 1, MISSING]);
    }

    #[test]
    fn without_partition_columns_there_is_one_entity() {
        let found = RowKeys::of(&[], &[], 3);
        assert_eq!(found.entities, [EntityKey::default()]);
        assert_eq!(found.rows, [0, 0, 0]);
    }

    #[test]
    fn rows_of_others_are_not_known() {
        let keys = [key("store", KeyKind::Number)];
        let known = vec![
            EntityKey(vec![("store".to_owned(), Value::Int(1))]),
            EntityKey(vec![("store".to_owned(), Value::Int(3))]),
        ];
        let found = RowKeys::of(&keys, &[words(&["3.0", "2"], &[0, 1])], 2).among(&known);
        assert_eq!(found.rows, [1, MISSING]);
    }
}
