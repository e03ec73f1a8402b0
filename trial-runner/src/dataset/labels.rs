//! The classes of a target column.
//!
//! `1` and `1.0`, or `True` and `true`, are one class where the whole column is numbers or truths. A
//! class is called what the training data calls it first.

use std::collections::HashMap;

use super::cell::{is_code, parse_bool, parse_number};
use super::column::{Kind, Survey};
use super::keys::KeyKind;

/// What makes two spellings one class.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sense {
    Number,
    Bool,
    Text,
}

impl Sense {
    /// Numbers and truths in one form each; other words as they stand.
    fn canonical(self, word: &str) -> String {
        match self {
            Self::Number => parse_number(word).map(super::cell::number_text),
            Self::Bool => parse_bool(word).map(|value| value.to_string()),
            Self::Text => None,
        }
        .unwrap_or_else(|| word.to_owned())
    }
}

/// The names of a class column's classes, in order: numbers by size, false before true, and others
/// by their bytes. `words` stand in order of first appearance.
pub(super) fn names(survey: &Survey, words: &[String]) -> Vec<String> {
    let sense = match (KeyKind::of(survey), survey.kind()) {
        (KeyKind::Number, _) => Sense::Number,
        (_, Kind::Bool) => Sense::Bool,
        _ => Sense::Text,
    };
    let mut seen = std::collections::HashSet::new();
    let mut named: Vec<(String, &String)> = words
        .iter()
        .map(|word| (sense.canonical(word), word))
        .filter(|(canonical, _)| seen.insert(canonical.clone()))
        .collect();
    named.sort_by(|(a, _), (b, _)| match (parse_number(a), parse_number(b)) {
        (Some(a), Some(b)) if sense == Sense::Number => a.total_cmp(&b),
        _ => a.cmp(b),
    });
    named.into_iter().map(|(_, word)| word.clone()).collect()
}

/// Finds classes by any of their spellings.
pub(super) struct Classes {
    exact: HashMap<String, u32>,
    sense: Sense,
    canonical: HashMap<String, u32>,
}

impl Classes {
    pub(super) fn of(names: &[String]) -> Self {
        let sense = if names.iter().all(|name| parse_bool(name).is_some()) {
            Sense::Bool
        } else if names.iter().all(|name| parse_number(name).is_some() && !is_code(name)) {
            Sense::Number
        } else {
            Sense::Text
        };
        // Of typed text, "1" and "1.0" may be two classes: then the first has other spellings.
        let mut canonical = HashMap::new();
        for (name, code) in names.iter().zip(0_u32..) {
            canonical.entry(sense.canonical(name)).or_insert(code);
        }
        Self { exact: names.iter().cloned().zip(0_u32..).collect(), sense, canonical }
    }

    /// The position of a class among the names.
    pub(super) fn position(&self, word: &str) -> Option<u32> {
        let exact = self.exact.get(word);
        exact.or_else(|| self.canonical.get(&self.sense.canonical(word))).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::cell::Cell;
    use super::super::error::DataPlace;
    use super::*;

    #[test]
    fn a_class_keeps_its_first_spelling() {
        for (words, expected, other, position) in [
            (["2.50", "1.0", "2.5"], vec!["1.0", "2.50"], "1", Some(0)),
            (["True", "FALSE", "true"], vec!["FALSE", "True"], "false", Some(0)),
            (["yes", "no", "Yes"], vec!["Yes", "no", "yes"], "YES", None),
            (["007", "7", "8"], vec!["007", "7", "8"], "8.0", None),
        ] {
            let words = words.map(str::to_owned);
            let mut survey = Survey::default();
            for word in &words {
                let place = || DataPlace { file: "t.csv".to_owned(), at: None };
                survey.see(Cell::from_text(word), place);
            }
            let names = names(&survey, &words);
            assert_eq!(names, expected);
            let classes = Classes::of(&names);
            assert_eq!(classes.position(other), position, "{other}");
            assert!(words.iter().all(|word| classes.position(word).is_some()), "{words:?}");
        }
    }
}
