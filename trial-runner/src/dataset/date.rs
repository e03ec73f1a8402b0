//! Dates in the forms that can be read in one way only.
//!
//! ISO dates, with a time and an offset or without; year, month and day in this order, apart by `-`,
//! `/` or `.`, padded or not; `31.01.2024`; `31-Jan-2024`. Each may have a time behind it.
//! `01/02/2024` is January to some and February to others: an `MLTable` file says which.

use jiff::civil;
use jiff::fmt::temporal::Pieces;

/// Seconds count from here.
pub(crate) const EPOCH: civil::DateTime = civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// A date or a date and time, as seconds since 1970. One with an offset is that instant.
pub(crate) fn parse_date(text: &str) -> Option<f64> {
    const LONGEST: usize = 48;
    let bytes = text.as_bytes();
    if !(8..=LONGEST).contains(&bytes.len()) || !bytes[0].is_ascii_digit() {
        return None;
    }
    let is_iso = bytes.len() >= 10
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[7] == b'-';
    let utc = text.strip_suffix(" UTC");
    if is_iso && utc.is_none() {
        return parse_iso(text);
    }
    parse_iso(&to_iso(utc.unwrap_or(text))?)
}

fn parse_iso(text: &str) -> Option<f64> {
    let pieces = Pieces::parse(text).ok()?;
    let time = pieces.time();
    let seconds = seconds_of(pieces.date().to_datetime(time.unwrap_or_default()));
    match (time, pieces.to_numeric_offset()) {
        (_, None) => Some(seconds),
        (Some(_), Some(offset)) => Some(seconds - f64::from(offset.seconds())),
        (None, Some(_)) => None,
    }
}

/// The ISO form of a date in another form that can be read in one way only.
fn to_iso(text: &str) -> Option<String> {
    let is_digit = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    // The T of a time has a digit on either side, that of October has not.
    let parts = text.split_once(' ').or_else(|| {
        let at = text.find('T').filter(|&at| is_digit(at.wrapping_sub(1)) && is_digit(at + 1))?;
        Some((&text[..at], &text[at + 1..]))
    });
    let (date, time) = parts.unwrap_or((text, ""));
    let separator = date.chars().find(|letter| "-/.".contains(*letter))?;
    let mut fields = date.split(separator);
    let (first, second, third) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() {
        return None;
    }
    let (year, month, day) = match (first.len(), third.len()) {
        (4, 1 | 2) => (first, number(second)?, number(third)?),
        (1 | 2, 4) if separator == '.' => (third, number(second)?, number(first)?),
        (1 | 2, 4) if separator == '-' => {
            let month = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(second))?;
            (third, month as u32 + 1, number(first)?)
        }
        _ => return None,
    };
    let year = year.bytes().all(|byte| byte.is_ascii_digit()).then_some(year)?;
    let separator = if time.is_empty() { "" } else { "T" };
    Some(format!("{year}-{month:02}-{day:02}{separator}{time}"))
}

/// One or two digits.
fn number(text: &str) -> Option<u32> {
    let is_short = matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_short { text.parse().ok() } else { None }
}

/// A date of eight digits, 20240131, as seconds since 1970. A number like any other, unless all of
/// its column are such dates.
pub(crate) fn parse_compact(digits: i64) -> Option<f64> {
    let (year, month, day) = (digits / 10_000, digits / 100 % 100, digits % 100);
    if !(1800..2200).contains(&year) {
        return None;
    }
    let date = civil::Date::new(year as i16, month as i8, day as i8).ok()?;
    Some(seconds_of(date.to_datetime(civil::Time::midnight())))
}

/// A month of six digits, 202401, as the seconds since 1970 of its first moment. A number like any
/// other, unless all of a time column are such months.
pub(crate) fn parse_compact_month(digits: i64) -> Option<f64> {
    parse_compact(digits.checked_mul(100)?.checked_add(1)?)
}

/// A date in one of these `strptime` formats, as seconds since 1970.
pub(crate) fn parse_date_as(text: &str, formats: &[String]) -> Option<f64> {
    formats.iter().find_map(|format| {
        let parsed = jiff::fmt::strtime::parse(format, text).ok()?;
        match parsed.to_datetime() {
            Ok(moment) => Some(seconds_of(moment)),
            Err(_) => Some(seconds_of(parsed.to_date().ok()?.to_datetime(civil::Time::midnight()))),
        }
    })
}

/// Whether a word is a date to people, in a form that is not read here: a year, and two more fields
/// that are a day, a month or its name.
pub(crate) fn looks_like_date(text: &str) -> bool {
    let is_year = |field: &&str| {
        field.len() == 4 && field.parse().is_ok_and(|year: u32| (1800..2200).contains(&year))
    };
    let is_day = |field: &&str| number(field).is_some_and(|day| (1..=31).contains(&day));
    let is_month = |field: &&str| {
        field.get(..3).is_some_and(|name| MONTHS.iter().any(|m| m.eq_ignore_ascii_case(name)))
    };
    let fields: Vec<&str> = text
        .split(|letter: char| "-/., ".contains(letter))
        .filter(|field| !field.is_empty())
        .take(3)
        .collect();
    let days = fields.iter().filter(|field| is_day(field)).count();
    let months = fields.iter().filter(|field| is_month(field)).count();
    let years = fields.iter().filter(|field| is_year(field)).count();
    fields.len() == 3
        && match (years, months) {
            (1, 0) => days == 2,
            (1, 1) => days == 1,
            // 31/01/24, but not 1.2.3, which is a version.
            (0, 0) => days >= 2 && text.contains('/') && fields.iter().all(|f| number(f).is_some()),
            _ => false,
        }
}

fn seconds_of(moment: civil::DateTime) -> f64 {
    moment.duration_since(EPOCH).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::super::cell::date_text;
    use super::*;

    #[test]
    fn dates_read_and_write() {
        for (text, seconds, back) in [
            ("1970-01-02", 86_400.0, "1970-01-02"),
            ("1969-12-31", -86_400.0, "1969-12-31"),
            ("2020-02-29 06:30", 1_582_957_800.0, "2020-02-29T06:30:00"),
            ("2020-02-29T06:30:00.5", 1_582_957_800.5, "2020-02-29T06:30:00.5"),
            ("2020-02-29T06:30:00+01:00", 1_582_954_200.0, "2020-02-29T05:30:00"),
            ("2020-02-29T06:30:00Z", 1_582_957_800.0, "2020-02-29T06:30:00"),
            ("9999-12-31", 253_402_214_400.0, "9999-12-31"),
            ("9999-12-31T23:59:59Z", 253_402_300_799.0, "9999-12-31T23:59:59"),
            ("0001-01-01", -62_135_596_800.0, "0001-01-01"),
        ] {
            assert_eq!(parse_date(text), Some(seconds), "{text}");
            assert_eq!(date_text(seconds), back, "{text}");
        }
        for text in [
            "2020-02-30",
            "20200101",
            "abcd-ef-gh",
            "2020-01-01x",
            "2020-01-01Z",
            "2020-01-01+01:00",
            "é020-01-01",
            "2020-01-01é",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn other_forms_with_one_reading() {
        let day = parse_date("2024-01-05");
        for text in [
            "2024/01/05",
            "2024/1/5",
            "2024.01.05",
            "2024-1-5",
            "05.01.2024",
            "5.1.2024",
            "05-Jan-2024",
            "5-JAN-2024",
        ] {
            assert_eq!(parse_date(text), day, "{text}");
            assert_eq!(parse_date(&format!("{text} 06:30")), parse_date("2024-01-05T06:30"));
        }
        assert_eq!(parse_date("05-OCT-2024"), parse_date("2024-10-05"));
        assert_eq!(parse_date("2024/01/05T06:30:00Z"), parse_date("2024-01-05T06:30"));
        assert_eq!(parse_date("2024-01-05 06:30:00 UTC"), parse_date("2024-01-05T06:30"));
        assert_eq!(parse_compact(20_240_105), day);
        assert_eq!(parse_compact_month(202_402), parse_compact(20_240_201));
        assert_eq!(parse_compact_month(202_413), None);
        assert_eq!(parse_compact_month(i64::MAX), None);
        for text in
            ["05/01/2024", "05-01-2024", "31.31.2024", "1.2.3.2024", "2024-001-5", "2024/1/5 x"]
        {
            assert_eq!(parse_date(text), None, "{text}");
        }
        for digits in [20_241_301, 20_240_230, 12_345_678, 2_024_010, -20_240_105, i64::MIN] {
            assert_eq!(parse_compact(digits), None, "{digits}");
        }
    }

    #[test]
    fn forms_of_the_user() {
        let formats = vec!["%d/%m/%Y".to_owned(), "%Y%m%d %H:%M".to_owned()];
        assert_eq!(parse_date_as("02/01/1970", &formats), Some(86_400.0));
        assert_eq!(parse_date_as("19700102 01:00", &formats), Some(90_000.0));
        assert_eq!(parse_date_as("1970-01-02", &formats), None);
    }

    #[test]
    fn what_looks_like_a_date() {
        for text in ["31/01/2024", "01-31-2024", "Jan 5, 2024", "5 January 2024", "31/01/24 10:00"]
        {
            assert!(looks_like_date(text), "{text}");
        }
        for text in
            ["1.2.3", "10 Main St", "2024", "may be so", "a/b/c", "192.168.1.1", "é1/é/2024"]
        {
            assert!(!looks_like_date(text), "{text}");
        }
    }
}
