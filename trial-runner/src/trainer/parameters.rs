//! Reads a learner's parameters out of a configuration, with their defaults.

use fleetfit_search_spaces::{Configuration, Setting, Value};

use super::FitError;
use crate::figure::Figure;

/// A configuration as a learner reads it: a flat map from names to values. The bounds were checked
/// with the job; only what could break a fit is checked again.
pub(super) struct Parameters<'a>(pub(super) &'a Configuration);

/// How many features a tree looks at for each split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Share {
    All,
    Root,
    Log2,
    Fraction(f64),
    Count(usize),
}

impl Share {
    /// How many of `n` features that is: at least one, at most all.
    pub(super) fn of(self, n: usize) -> usize {
        let share = match self {
            Self::All => n,
            Self::Root => (n as f64).sqrt() as usize,
            Self::Log2 => (n as f64).log2() as usize,
            Self::Fraction(fraction) => (n as f64 * fraction) as usize,
            Self::Count(count) => count,
        };
        share.clamp(1, n.max(1))
    }
}

impl<'a> Parameters<'a> {
    fn value(&self, name: &str) -> Result<Option<&'a Value>, FitError> {
        match self.0.0.iter().find(|(key, _)| key == name) {
            None => Ok(None),
            Some((_, Setting::Value(Value::Text(word)))) if is_none(word) => Ok(None),
            Some((_, Setting::Value(value))) => Ok(Some(value)),
            Some((_, Setting::Nested(_))) => {
                Err(FitError::because(format!("{name} is a map, but one value is needed")))
            }
        }
    }

    /// A number; `default` when it is left out.
    pub(super) fn float(&self, name: &str, default: f64) -> Result<f64, FitError> {
        let Some(value) = self.value(name)? else {
            return Ok(default);
        };
        match value.as_f64() {
            Some(number) if number.is_finite() => Ok(number),
            _ => Err(wrong(name, value, "a number")),
        }
    }

    /// A number that is not below zero.
    pub(super) fn penalty(&self, name: &str, default: f64) -> Result<f64, FitError> {
        let number = self.float(name, default)?;
        if number < 0.0 {
            let number = Figure(number);
            return Err(FitError::because(format!("{name} is {number}, but it can't be below 0")));
        }
        Ok(number)
    }

    /// A number above zero.
    pub(super) fn positive(&self, name: &str, default: f64) -> Result<f64, FitError> {
        let number = self.float(name, default)?;
        if number <= 0.0 {
            let number = Figure(number);
            return Err(FitError::because(format!("{name} is {number}, but it must be above 0")));
        }
        Ok(number)
    }

    /// A whole number of at least `least`, or none when it is left out.
    pub(super) fn optional_count(
        &self,
        name: &str,
        least: usize,
    ) -> Result<Option<usize>, FitError> {
        let Some(value) = self.value(name)? else {
            return Ok(None);
        };
        let number = match value {
            Value::Int(number) => Some(*number),
            // A quantised float parameter yields 3.0 where 3 is meant.
            Value::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
                Some(*number as i64)
            }
            _ => None,
        };
        match number.and_then(|number| usize::try_from(number).ok()) {
            Some(count) if count >= least => Ok(Some(count)),
            _ => Err(wrong(name, value, &format!("a whole number of at least {least}"))),
        }
    }

    /// A whole number of at least `least`; `default` when it is left out.
    pub(super) fn count(
        &self,
        name: &str,
        least: usize,
        default: usize,
    ) -> Result<usize, FitError> {
        Ok(self.optional_count(name, least)?.unwrap_or(default))
    }

    /// A whole number of rows of at least `least`, or a fraction of `n_rows` (scikit-learn's two
    /// readings of one parameter).
    pub(super) fn rows(&self, name: &str, least: usize, n_rows: usize) -> Result<usize, FitError> {
        match self.value(name)? {
            Some(Value::Float(share)) if *share > 0.0 && *share < 1.0 => {
                Ok(((share * n_rows as f64).ceil() as usize).max(least))
            }
            _ => self.count(name, least, least),
        }
    }

    /// True or false.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, FitError> {
        match self.value(name)? {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(value) => Err(wrong(name, value, "true or false")),
        }
    }

    /// One of a few words; the first is the default.
    pub(super) fn word(
        &self,
        name: &str,
        words: &[&'static str],
    ) -> Result<&'static str, FitError> {
        let first = words.first().copied().unwrap_or_default();
        match self.value(name)? {
            None => Ok(first),
            Some(value) => {
                let known = match value {
                    Value::Text(text) => words.iter().find(|word| *word == text),
                    _ => None,
                };
                known.copied().ok_or_else(|| wrong(name, value, &words.join(", ")))
            }
        }
    }

    /// The same where `none` is one of the words.
    pub(super) fn exact_word(
        &self,
        name: &str,
        words: &[&'static str],
    ) -> Result<&'static str, FitError> {
        let written = self.0.0.iter().find(|(key, _)| key == name);
        if let Some((_, Setting::Value(Value::Text(word)))) = written
            && is_none(word)
            && let Some(none) = words.iter().find(|word| **word == "none")
        {
            return Ok(none);
        }
        self.word(name, words)
    }

    /// A share of the features: a fraction in (0, 1], a whole number, `sqrt`, `log2` or `all`, which
    /// `none` means too: no limit.
    pub(super) fn share(&self, name: &str, default: Share) -> Result<Share, FitError> {
        match self.value(name)? {
            None if self.0.0.iter().any(|(key, _)| key == name) => Ok(Share::All),
            None => Ok(default),
            Some(Value::Int(count)) if *count >= 1 => Ok(Share::Count(*count as usize)),
            Some(Value::Float(share)) if *share > 0.0 && *share <= 1.0 => {
                Ok(Share::Fraction(*share))
            }
            Some(Value::Float(count)) if count.fract() == 0.0 && *count >= 1.0 => {
                Ok(Share::Count(*count as usize))
            }
            Some(Value::Text(word)) if word == "sqrt" => Ok(Share::Root),
            Some(Value::Text(word)) if word == "log2" => Ok(Share::Log2),
            Some(Value::Text(word)) if word == "all" => Ok(Share::All),
            Some(value) => Err(wrong(
                name,
                value,
                "a fraction of the features, a number of them, sqrt, log2 or all",
            )),
        }
    }

    /// Whether the parameter is set at all.
    pub(super) fn get(&self, name: &str) -> Result<Option<&'a Value>, FitError> {
        self.value(name)
    }
}

/// scikit-learn's `None`, as people write it in YAML.
fn is_none(word: &str) -> bool {
    matches!(word, "none" | "None" | "null")
}

pub(super) fn wrong(name: &str, value: &Value, allowed: &str) -> FitError {
    FitError::because(format!("{name} is {value}; allowed: {allowed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(pairs: &[(&str, Value)]) -> Configuration {
        Configuration(
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Setting::Value(value.clone())))
                .collect(),
        )
    }

    #[test]
    fn a_wrong_type_is_a_reason() {
        let given = configuration(&[
            ("alpha", Value::Text("big".into())),
            ("max_depth", Value::Float(3.5)),
            ("n", Value::Int(-1)),
            ("max_features", Value::Float(1.5)),
        ]);
        let read = Parameters(&given);
        let reason = |error: FitError| error.to_string();
        assert_eq!(
            reason(read.float("alpha", 1.0).unwrap_err()),
            "alpha is big; allowed: a number"
        );
        assert!(read.count("max_depth", 1, 3).is_err());
        assert!(read.count("n", 1, 3).is_err());
        assert!(read.share("max_features", Share::All).is_err());
    }

    #[test]
    fn defaults_and_both_spellings_of_a_whole_number() {
        let given = configuration(&[
            ("max_depth", Value::Float(3.0)),
            ("max_features", Value::Int(2)),
            ("min_samples_leaf", Value::Float(0.1)),
            ("bootstrap", Value::Text("None".into())),
            ("depth", Value::Text("none".into())),
            ("features", Value::Text("none".into())),
        ]);
        let read = Parameters(&given);
        assert_eq!(read.share("features", Share::Root), Ok(Share::All));
        assert_eq!(read.share("other", Share::Root), Ok(Share::Root));
        assert_eq!(read.optional_count("max_depth", 1), Ok(Some(3)));
        assert_eq!(read.optional_count("depth", 1), Ok(None));
        assert_eq!(read.share("max_features", Share::All), Ok(Share::Count(2)));
        assert_eq!(read.rows("min_samples_leaf", 1, 95), Ok(10));
        assert_eq!(read.flag("bootstrap", true), Ok(true));
        assert_eq!(Share::Root.of(10), 3);
        assert_eq!(Share::Fraction(0.01).of(10), 1);
        assert_eq!(Share::Count(99).of(10), 10);
    }
}
