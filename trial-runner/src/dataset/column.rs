//! One column of a table: what its values look like (a survey), and its values, stored typed.
//!
//! A table is read twice: the survey finds each column's kind, then the values go straight into
//! their typed form, so that no text but a column's distinct words is ever kept.

use std::collections::HashMap;

use super::cell::{Cell, MISSING_IN_TEXT, is_code, parse_bool, parse_number, parse_plain_int};
use super::date::{looks_like_date, parse_compact, parse_compact_month, parse_date, parse_date_as};
use super::error::{DataError, DataPlace, shorten};
use crate::frame::{MAX_WEIGHT, MISSING};

/// What the values of a column look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Every value is missing.
    Empty,
    /// `true` and `false`.
    Bool,
    /// Whole numbers.
    Int,
    /// Numbers.
    Float,
    /// Dates, or dates with a time.
    Date,
    /// Anything else.
    Text,
}

/// A count of what was seen in a column.
#[derive(Clone, Debug, Default)]
pub(crate) struct Survey {
    pub(crate) missing: u64,
    ints: u64,
    /// Those of the whole numbers that are dates like 20240131.
    compact: u64,
    /// Those that are months like 202401.
    months: u64,
    floats: u64,
    bools: u64,
    dates: u64,
    words: u64,
    /// Whether some numbers are codes rather than quantities, like 007.
    pub(crate) has_codes: bool,
    /// Whether the user says that the column is text, whatever it looks like.
    pub(crate) is_text: bool,
    /// The first value that is no number, for messages.
    pub(crate) first_word: Option<(String, DataPlace)>,
}

impl Survey {
    /// Counts one value.
    pub(crate) fn see(&mut self, cell: Cell<'_>, place: impl Fn() -> DataPlace) {
        match cell {
            Cell::Missing | Cell::MissingWord(_) | Cell::Empty => self.missing += 1,
            Cell::Int(_) => self.ints += 1,
            Cell::Number(_) => self.floats += 1,
            Cell::Bool(_) => self.bools += 1,
            Cell::Seconds(_) => self.dates += 1,
            Cell::Text(text) => self.see_text(text, place),
            Cell::Word(text) if parse_date(text).is_some() => self.dates += 1,
            Cell::Word(text) => self.see_word(text, place),
        }
    }

    fn see_text(&mut self, text: &str, place: impl Fn() -> DataPlace) {
        if let Some(number) = parse_plain_int(text) {
            self.ints += 1;
            self.compact += u64::from(parse_compact(number).is_some());
            self.months += u64::from(parse_compact_month(number).is_some());
        } else if parse_number(text).is_some() {
            self.floats += 1;
            self.has_codes |= is_code(text);
        } else if parse_bool(text).is_some() {
            self.bools += 1;
        } else if parse_date(text).is_some() {
            self.dates += 1;
        } else {
            self.see_word(text, place);
        }
    }

    fn see_word(&mut self, text: &str, place: impl Fn() -> DataPlace) {
        self.words += 1;
        if self.first_word.is_none() {
            self.first_word = Some((text.to_owned(), place()));
        }
    }

    /// What the column is.
    pub(crate) fn kind(&self) -> Kind {
        let numbers = self.ints + self.floats;
        match (self.words, numbers, self.bools, self.dates) {
            (0, 0, 0, 0) => Kind::Empty,
            _ if self.is_text => Kind::Text,
            (0, _, 0, 0) if self.floats == 0 => Kind::Int,
            (0, _, 0, 0) => Kind::Float,
            (0, 0, _, 0) => Kind::Bool,
            (0, 0, 0, _) => Kind::Date,
            _ => Kind::Text,
        }
    }

    /// What the column is as a feature or as the time: whole numbers that are all dates like
    /// 20240131 are dates there.
    pub(crate) fn feature_kind(&self) -> Kind {
        match self.kind() {
            Kind::Int if self.compact == self.ints => Kind::Date,
            kind => kind,
        }
    }

    /// What the column is as the time: there whole numbers that are all months like 202401 are dates
    /// too, or December and January would lie 89 steps apart.
    pub(crate) fn time_kind(&self) -> Kind {
        match self.feature_kind() {
            Kind::Int if self.months == self.ints => Kind::Date,
            kind => kind,
        }
    }

    /// Why a column is text that people may take for something else; none where it is just text.
    pub(crate) fn surprise(&self) -> Option<String> {
        let (word, place) = self.first_word.as_ref()?;
        if self.is_text {
            return None;
        }
        let numbers = self.ints + self.floats;
        let n_values = numbers + self.bools + self.dates + self.words;
        let word = shorten(word);
        let odd = [(numbers, "numbers"), (self.dates, "dates")];
        if let Some((n, what)) = odd.into_iter().find(|(n, _)| n * 10 >= n_values * 9) {
            return Some(format!(
                "is text because of {word:?} at {place}, though {n} of its {n_values} values are \
                 {what} (leave such cells empty to have {what})"
            ));
        }
        looks_like_date(&word).then(|| {
            format!(
                "is text because {word:?} at {place} is a date in a form that is not read (an \
                 MLTable file's convert_column_types says how)"
            )
        })
    }
}

/// A conversion that an `MLTable` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Convert {
    /// To a number.
    Number,
    /// To text.
    Text,
    /// To true or false.
    Bool {
        /// The words for true.
        true_words: Vec<String>,
        /// The words for false.
        false_words: Vec<String>,
    },
    /// To a date, by these `strptime` formats; none means ISO.
    Date(Vec<String>),
}

impl Convert {
    /// The cell as the conversion wants it.
    pub(crate) fn apply<'a>(&self, cell: Cell<'a>) -> Result<Cell<'a>, &'static str> {
        let text = match (self, cell) {
            (_, Cell::Missing | Cell::MissingWord(_) | Cell::Empty) => return Ok(cell),
            (Self::Text, Cell::Text(text)) => return Ok(Cell::Word(text)),
            (_, Cell::Text(text) | Cell::Word(text)) => text,
            _ => return Ok(cell),
        };
        match self {
            Self::Text => Ok(Cell::Word(text)),
            Self::Number => parse_number(text).map(Cell::Number).ok_or("a number"),
            Self::Bool { true_words, false_words } => {
                let among = |words: &[String]| words.iter().any(|word| word == text);
                if among(true_words) {
                    Ok(Cell::Bool(true))
                } else if among(false_words) {
                    Ok(Cell::Bool(false))
                } else {
                    parse_bool(text).map(Cell::Bool).ok_or("true or false")
                }
            }
            Self::Date(formats) if formats.is_empty() => {
                parse_date(text).map(Cell::Seconds).ok_or("a date like 2024-01-31")
            }
            Self::Date(formats) => parse_date_as(text, formats)
                .or_else(|| parse_date(text))
                .map(Cell::Seconds)
                .ok_or("a date in the table's formats"),
        }
    }
}

/// How a column is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// As numbers; true and false are 1 and 0, dates their seconds since 1970.
    Number,
    /// As seconds since 1970.
    Date,
    /// As indices into the distinct words, in order of first appearance.
    Word,
    /// The same for a column of text, where most words that mean "missing" elsewhere are words.
    Text,
    /// The same for keys, where every word that may mean "missing" is a word.
    Key,
    /// As weights: numbers from 0 to [`MAX_WEIGHT`], none missing.
    Weight,
    /// As marks of a fold: 0, 1 or missing.
    Mark,
}

/// The values of a column.
#[derive(Clone, Debug)]
pub(crate) enum Column {
    /// Numbers or seconds; NaN means missing.
    Number(Vec<f64>),
    /// Indices into the words; [`MISSING`] means missing.
    Word { codes: Vec<u32>, words: Vec<String> },
}

/// A column being read.
pub(crate) struct ColumnBuilder {
    name: String,
    storage: Storage,
    numbers: Vec<f64>,
    codes: Vec<u32>,
    words: Vec<String>,
    lookup: HashMap<String, u32>,
    buffer: String,
}

impl ColumnBuilder {
    pub(crate) fn new(name: &str, storage: Storage, n_rows: usize) -> Self {
        let (n_numbers, n_codes) = match storage {
            Storage::Word | Storage::Text | Storage::Key => (0, n_rows),
            _ => (n_rows, 0),
        };
        Self {
            name: name.to_owned(),
            storage,
            numbers: Vec::with_capacity(n_numbers),
            codes: Vec::with_capacity(n_codes),
            words: Vec::new(),
            lookup: HashMap::new(),
            buffer: String::new(),
        }
    }

    /// Appends one value.
    pub(crate) fn push(
        &mut self,
        cell: Cell<'_>,
        place: impl Fn() -> DataPlace,
    ) -> Result<(), DataError> {
        let wrong = |allowed: &str, buffer: &mut String| {
            let found = cell.word(buffer).unwrap_or("nothing").to_owned();
            DataError::content(format!(
                "column {:?} holds {:?}, which is not {allowed}",
                shorten(&self.name),
                shorten(&found)
            ))
            .at(place())
            .found(found)
            .allowed(allowed)
        };
        match self.storage {
            Storage::Word | Storage::Text | Storage::Key => {
                let word = match (self.storage, cell) {
                    (Storage::Key, Cell::MissingWord(word)) => Some(word),
                    (Storage::Text, Cell::MissingWord(word))
                        if !MISSING_IN_TEXT.contains(&word) =>
                    {
                        Some(word)
                    }
                    _ => cell.word(&mut self.buffer),
                };
                let code = match word {
                    None => MISSING,
                    Some(word) => intern(&mut self.lookup, &mut self.words, word),
                };
                self.codes.push(code);
            }
            Storage::Number => match number_of(cell) {
                Some(number) => self.numbers.push(number),
                None => return Err(wrong("a number", &mut String::new())),
            },
            Storage::Date => match date_of(cell) {
                Some(seconds) => self.numbers.push(seconds),
                None => return Err(wrong("a date like 2024-01-31", &mut String::new())),
            },
            Storage::Weight => match number_of(cell) {
                Some(weight) if (0.0..=MAX_WEIGHT).contains(&weight) => self.numbers.push(weight),
                _ => {
                    let allowed = format!("a weight: a number from 0 to {MAX_WEIGHT:e}");
                    return Err(wrong(&allowed, &mut String::new()).key("weight_column_name"));
                }
            },
            Storage::Mark => match number_of(cell) {
                Some(mark) if mark.is_nan() || mark == 0.0 || mark == 1.0 => {
                    self.numbers.push(mark);
                }
                _ => {
                    return Err(wrong("0 (trains) or 1 (validates)", &mut String::new())
                        .key("cv_split_column_names"));
                }
            },
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Column {
        match self.storage {
            Storage::Word | Storage::Text | Storage::Key => {
                Column::Word { codes: self.codes, words: self.words }
            }
            _ => Column::Number(self.numbers),
        }
    }
}

fn intern(lookup: &mut HashMap<String, u32>, words: &mut Vec<String>, word: &str) -> u32 {
    if let Some(&code) = lookup.get(word) {
        return code;
    }
    let code = words.len() as u32;
    words.push(word.to_owned());
    lookup.insert(word.to_owned(), code);
    code
}

/// The value as a number; NaN where it is missing or infinite, none where it is something else.
fn number_of(cell: Cell<'_>) -> Option<f64> {
    let number = match cell {
        Cell::Missing | Cell::MissingWord(_) | Cell::Empty => return Some(f64::NAN),
        Cell::Int(number) => return Some(number as f64),
        Cell::Number(number) => number,
        // A point in time is a number only to those who store it.
        Cell::Seconds(_) => return None,
        Cell::Bool(value) => f64::from(u8::from(value)),
        Cell::Text(text) | Cell::Word(text) => match parse_number(text) {
            Some(number) => number,
            None => f64::from(u8::from(parse_bool(text)?)),
        },
    };
    Some(if number.is_finite() { number } else { f64::NAN })
}

fn date_of(cell: Cell<'_>) -> Option<f64> {
    match cell {
        Cell::Missing | Cell::MissingWord(_) | Cell::Empty => Some(f64::NAN),
        Cell::Seconds(seconds) => Some(seconds),
        Cell::Text(text) => parse_date(text).or_else(|| parse_plain_int(text).and_then(compact)),
        Cell::Word(text) => parse_date(text),
        Cell::Int(number) => compact(number),
        Cell::Number(_) | Cell::Bool(_) => None,
    }
}

fn compact(digits: i64) -> Option<f64> {
    parse_compact(digits).or_else(|| parse_compact_month(digits))
}

impl Column {
    /// The rows in this order, which need not name every row.
    pub(crate) fn gather(self, order: &[u32]) -> Self {
        let n_rows = self.numbers().len() + self.words().0.len();
        if order.len() == n_rows && order.iter().zip(0_u32..).all(|(row, at)| *row == at) {
            return self;
        }
        match self {
            Self::Number(values) => {
                Self::Number(order.iter().map(|&row| values[row as usize]).collect())
            }
            Self::Word { codes, words } => {
                Self::Word { codes: order.iter().map(|&row| codes[row as usize]).collect(), words }
            }
        }
    }

    /// The numbers; empty for words.
    pub(crate) fn numbers(&self) -> &[f64] {
        match self {
            Self::Number(values) => values,
            Self::Word { .. } => &[],
        }
    }

    /// The numbers themselves; none for words.
    pub(crate) fn into_numbers(self) -> Vec<f64> {
        match self {
            Self::Number(values) => values,
            Self::Word { .. } => Vec::new(),
        }
    }

    /// The codes and the words; empty for numbers.
    pub(crate) fn words(&self) -> (&[u32], &[String]) {
        match self {
            Self::Number(_) => (&[], &[]),
            Self::Word { codes, words } => (codes, words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::At;
    use super::*;

    fn place() -> DataPlace {
        DataPlace { file: "t.csv".to_owned(), at: None }
    }

    fn kind_of(cells: &[&str]) -> Kind {
        let mut survey = Survey::default();
        for cell in cells {
            survey.see(Cell::from_text(cell), place);
        }
        survey.kind()
    }

    #[test]
    fn kinds_are_inferred() {
        assert_eq!(kind_of(&["1", "", "-3"]), Kind::Int);
        assert_eq!(kind_of(&["1", "2.5", "inf"]), Kind::Float);
        assert_eq!(kind_of(&["007"]), Kind::Float);
        assert_eq!(kind_of(&["True", "false", "NA"]), Kind::Bool);
        assert_eq!(kind_of(&["2020-01-01", "2020-01-01T10:00:00"]), Kind::Date);
        assert_eq!(kind_of(&["2020-01-01", "5"]), Kind::Text);
        assert_eq!(kind_of(&["true", "1"]), Kind::Text);
        assert_eq!(kind_of(&["1", "x", "2"]), Kind::Text);
        assert_eq!(kind_of(&["", "?"]), Kind::Empty);
    }

    #[test]
    fn numbers_that_are_not_say_where() {
        let mut builder = ColumnBuilder::new("price", Storage::Number, 4);
        for cell in ["1.5", "", "inf", "true"] {
            builder.push(Cell::from_text(cell), place).unwrap();
        }
        let error = builder.push(Cell::Text("cheap"), place).unwrap_err();
        assert_eq!(
            error.to_string(),
            "t.csv: column \"price\" holds \"cheap\", which is not a number"
        );
        let column = builder.finish();
        let numbers = column.numbers();
        assert_eq!((numbers[0], numbers[3]), (1.5, 1.0));
        assert!(numbers[1].is_nan() && numbers[2].is_nan());
    }

    #[test]
    fn weights_are_numbers_from_0_to_1e100() {
        let mut builder = ColumnBuilder::new("w", Storage::Weight, 1);
        builder.push(Cell::Int(0), place).unwrap();
        builder.push(Cell::Text("1e100"), place).unwrap();
        let line = || DataPlace { at: Some(At::Line(7)), ..place() };
        assert_eq!(
            builder.push(Cell::Text("1e101"), line).unwrap_err().to_string(),
            "t.csv:7: column \"w\" holds \"1e101\", which is not a weight: a number from 0 to 1e100"
        );
        for cell in [Cell::Missing, Cell::Int(-1), Cell::Number(f64::INFINITY)] {
            let error = builder.push(cell, place).unwrap_err();
            assert_eq!(error.key, "weight_column_name");
        }
    }
}
