//! One value of a table as a file gives it, and what its text means.

use jiff::{SignedDuration, civil};

use super::date::EPOCH;

/// One value as a file gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    /// Nothing.
    Missing,
    /// Text that stands for nothing, which keys keep: it may be the code of Namibia.
    MissingWord(&'a str),
    /// Nothing, in a table that asks to tell empty text from missing: no value among numbers, the
    /// empty word among words.
    Empty,
    /// Text out of a csv file: what it means is inferred. Trimmed, and none of [`MISSING_WORDS`].
    Text(&'a str),
    /// Text out of a typed file: text even where it looks like a number.
    Word(&'a str),
    /// A whole number.
    Int(i64),
    /// Any other number, infinities included, NaN not.
    Number(f64),
    /// True or false.
    Bool(bool),
    /// A point in time: seconds since 1970.
    Seconds(f64),
}

/// The words that mean "missing" in a csv file, besides the empty cell, in any letter case: those of
/// pandas and a few more. So does a date of zeros and, in columns that are not text, a dash.
/// In a text column `none` or `?` may well be a word: there only a few of them are missing.
pub const MISSING_WORDS: &[&str] = &[
    "na", "n/a", "#na", "#n/a", "#n/a n/a", "<na>", "nan", "-nan", "1.#ind", "-1.#ind", "1.#qnan",
    "-1.#qnan", "null", "none", "nat", "?",
];

/// Those of them that mean "missing" in a text column too, in exactly this spelling.
pub(crate) const MISSING_IN_TEXT: &[&str] =
    &["NA", "N/A", "n/a", "#NA", "#N/A", "<NA>", "NaN", "nan", "NULL", "null"];

/// A word that means "missing" among numbers, dates and truths, and itself among words, where `+`
/// may be another.
const DASH: &str = "-";

impl<'a> Cell<'a> {
    /// The cell for a field of a csv file.
    pub(crate) fn from_text(text: &'a str) -> Self {
        let text = text.trim();
        if text.is_empty() {
            Self::Missing
        } else if is_missing_word(text) {
            Self::MissingWord(text)
        } else {
            Self::Text(text)
        }
    }

    /// The cell for a text of a typed file.
    pub(crate) fn from_word(text: &'a str) -> Self {
        match text.trim() {
            "" => Self::Missing,
            zeros if is_zero_date(zeros) => Self::MissingWord(zeros),
            text => Self::Word(text),
        }
    }

    /// The cell for a float of a typed file.
    pub(crate) fn from_float(number: f64) -> Self {
        if number.is_nan() { Self::Missing } else { Self::Number(number) }
    }

    /// The value as text, as keys and labels keep it. None where it is missing.
    pub(crate) fn word<'b>(self, buffer: &'b mut String) -> Option<&'b str>
    where
        'a: 'b,
    {
        match self {
            Self::Missing | Self::MissingWord(_) => return None,
            Self::Empty => return Some(""),
            Self::Text(text) | Self::Word(text) => return Some(text),
            Self::Int(number) => *buffer = number.to_string(),
            Self::Number(number) => *buffer = number_text(number),
            Self::Bool(value) => *buffer = value.to_string(),
            Self::Seconds(seconds) => *buffer = date_text(seconds),
        }
        Some(buffer.as_str())
    }
}

fn is_missing_word(text: &str) -> bool {
    const LONGEST: usize = 8;
    let bytes = text.as_bytes();
    // Most cells are numbers, and a look at a byte or two tells them from these words.
    let may_be = match bytes[0] {
        b'0' => return is_zero_date(text),
        b'-' => bytes.len() == 1 || bytes.contains(&b'#') || bytes[1].eq_ignore_ascii_case(&b'n'),
        b'1' => bytes.get(2) == Some(&b'#'),
        first => b"nN#<?".contains(&first),
    };
    may_be
        && bytes.len() <= LONGEST
        && (text == DASH || MISSING_WORDS.iter().any(|word| word.eq_ignore_ascii_case(text)))
}

/// What some databases write where they have no date.
fn is_zero_date(text: &str) -> bool {
    matches!(text, "0000-00-00" | "0000-00-00 00:00:00" | "0000-00-00T00:00:00")
}

/// A number as text: whole numbers without a point, others in the shortest form that reads back.
pub(crate) fn number_text(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 9e15 {
        format!("{}", number as i64)
    } else {
        format!("{number:?}")
    }
}

/// Seconds since 1970 as an ISO date, with the time of day unless it is midnight.
pub(crate) fn date_text(seconds: f64) -> String {
    let Some(moment) = moment(seconds) else {
        return number_text(seconds);
    };
    if moment.time() == civil::Time::midnight() {
        moment.date().to_string()
    } else {
        moment.to_string()
    }
}

/// The civil date and time of seconds since 1970, or none outside the years −9999 to 9999.
pub(crate) fn moment(seconds: f64) -> Option<civil::DateTime> {
    if !seconds.is_finite() || seconds.abs() > 4e11 {
        return None;
    }
    let whole = seconds.floor();
    let nanoseconds = ((seconds - whole) * 1e6).round() as i32 * 1000;
    let since = SignedDuration::new(whole as i64, nanoseconds.min(999_999_999));
    EPOCH.checked_add(since).ok()
}

/// A number as csv files write it. Infinities are numbers here; NaN is not.
pub(crate) fn parse_number(text: &str) -> Option<f64> {
    let number: f64 = fast_float2::parse(text).ok()?;
    (!number.is_nan()).then_some(number)
}

/// `true` or `false` in any letter case.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// A whole number in its plain form: no sign but `-`, no leading zero, no point.
pub(crate) fn parse_plain_int(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits.len() == 1 || !digits.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// Whether a number is written as codes are and quantities are not: with leading zeros, or with
/// more digits than an integer holds. As a number it would no longer be itself.
pub(crate) fn is_code(text: &str) -> bool {
    let digits = text.trim_start_matches(['-', '+']).as_bytes();
    let is_padded = digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit();
    is_padded || (digits.len() > 18 && digits.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_mean_missing() {
        for text in ["", "  "] {
            assert_eq!(Cell::from_text(text), Cell::Missing, "{text:?}");
        }
        // All that pandas takes for missing, and ours.
        for text in [
            "#N/A",
            "#N/A N/A",
            "#NA",
            "-1.#IND",
            "-1.#QNAN",
            "-NaN",
            "-nan",
            "1.#IND",
            "1.#QNAN",
            "<NA>",
            "N/A",
            "NA",
            "NULL",
            "NaN",
            "None",
            "n/a",
            "nan",
            "null",
            "?",
            "NaT",
            "-",
            "0000-00-00",
            "0000-00-00 00:00:00",
        ] {
            assert_eq!(Cell::from_text(text), Cell::MissingWord(text), "{text:?}");
        }
        for text in ["0", "no", "nana", "--", "-1", "1.5", "unknown", "#", "<", "0000-00-01"] {
            assert_eq!(Cell::from_text(text), Cell::Text(text), "{text:?}");
        }
    }

    #[test]
    fn numbers_as_files_write_them() {
        for (text, expected) in [
            ("1", Some(1.0)),
            ("-1.5e3", Some(-1500.0)),
            ("007", Some(7.0)),
            ("inf", Some(f64::INFINITY)),
            ("nan", None),
            ("1,5", None),
            ("1_000", None),
            ("0x10", None),
            ("12abc", None),
        ] {
            assert_eq!(parse_number(text), expected, "{text}");
        }
        assert_eq!(parse_plain_int("-12"), Some(-12));
        assert_eq!(parse_plain_int("007"), None);
        assert_eq!(parse_plain_int("0"), Some(0));
        assert_eq!(parse_plain_int("99999999999999999999"), None);
        for text in ["007", "-01", "99999999999999999999"] {
            assert!(is_code(text), "{text}");
        }
        for text in ["0.5", "0", "10", "0.1234567890123456789012"] {
            assert!(!is_code(text), "{text}");
        }
    }

    #[test]
    fn numbers_and_moments_outside_all_bounds() {
        for seconds in [f64::NAN, f64::INFINITY, 1e300, -1e300, 3.9e11, -3.9e11] {
            let _ = date_text(seconds);
        }
        assert_eq!(number_text(2.0), "2");
        assert_eq!(number_text(0.1), "0.1");
        assert_eq!(number_text(1e300), "1e300");
    }
}
