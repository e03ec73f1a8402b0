//! How far apart the steps of a series are: pandas' offset aliases, old and new.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::nearest::nearest;

/// A number of units: `15min`, `4W`, `QS-FEB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Frequency {
    /// How many units make a step.
    pub every: u32,
    /// The unit.
    pub unit: Unit,
}

/// A unit of steps. Months count from 1, and weekdays from 1, which is Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A day from Monday to Friday.
    BusinessDay,
    /// A week that ends with this day.
    Week(u8),
    /// Half a month, named by its first day.
    HalfMonthStart,
    /// Half a month, named by its last day.
    HalfMonthEnd,
    /// A month, named by its first day.
    MonthStart,
    /// A month, named by its last day.
    MonthEnd,
    /// A quarter, named by its first day; one begins in this month.
    QuarterStart(u8),
    /// A quarter, named by its last day; one ends in this month.
    QuarterEnd(u8),
    /// A year that begins in this month, named by its first day.
    YearStart(u8),
    /// A year that ends in this month, named by its last day.
    YearEnd(u8),
}

/// The aliases without a weekday or month, as pandas 2 writes them; older ones behind them.
const PLAIN: &[(&str, Unit)] = &[
    ("min", Unit::Minute),
    ("h", Unit::Hour),
    ("D", Unit::Day),
    ("B", Unit::BusinessDay),
    ("W", Unit::Week(7)),
    ("SMS", Unit::HalfMonthStart),
    ("SME", Unit::HalfMonthEnd),
    ("MS", Unit::MonthStart),
    ("ME", Unit::MonthEnd),
    ("QS", Unit::QuarterStart(1)),
    ("QE", Unit::QuarterEnd(12)),
    ("YS", Unit::YearStart(1)),
    ("YE", Unit::YearEnd(12)),
    ("s", Unit::Second),
    ("T", Unit::Minute),
    ("SM", Unit::HalfMonthEnd),
    ("M", Unit::MonthEnd),
    ("BM", Unit::MonthEnd),
    ("BME", Unit::MonthEnd),
    ("BMS", Unit::MonthStart),
    ("Q", Unit::QuarterEnd(12)),
    ("BQ", Unit::QuarterEnd(12)),
    ("BQE", Unit::QuarterEnd(12)),
    ("BQS", Unit::QuarterStart(1)),
    ("A", Unit::YearEnd(12)),
    ("Y", Unit::YearEnd(12)),
    ("BA", Unit::YearEnd(12)),
    ("BY", Unit::YearEnd(12)),
    ("BYE", Unit::YearEnd(12)),
    ("AS", Unit::YearStart(1)),
    ("BAS", Unit::YearStart(1)),
    ("BYS", Unit::YearStart(1)),
];

/// How many of [`PLAIN`] messages name.
const N_SHOWN: usize = 13;

/// What people write who do not know the aliases.
const WORDS: &[(&str, &str)] = &[
    ("second", "s"),
    ("secondly", "s"),
    ("minute", "min"),
    ("minutely", "min"),
    ("hour", "h"),
    ("hourly", "h"),
    ("day", "D"),
    ("daily", "D"),
    ("week", "W"),
    ("weekly", "W"),
    ("month", "MS"),
    ("monthly", "MS"),
    ("quarter", "QS"),
    ("quarterly", "QS"),
    ("year", "YS"),
    ("yearly", "YS"),
    ("annual", "YS"),
    ("annually", "YS"),
];

const WEEKDAYS: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/// The most units of a step.
const MOST: u32 = 100_000;

/// Text that is no frequency, with the one that was perhaps meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a frequency; known: {}", known())]
pub struct NotAFrequency {
    /// What to write instead.
    pub guess: Option<String>,
}

/// The aliases that messages name.
pub(crate) fn known() -> String {
    let names: Vec<&str> = PLAIN.iter().take(N_SHOWN).map(|(name, _)| *name).collect();
    names.join(", ")
}

impl FromStr for Frequency {
    type Err = NotAFrequency;

    fn from_str(text: &str) -> Result<Self, NotAFrequency> {
        let text = text.trim();
        let n_digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, alias) = text.split_at(n_digits);
        let every = if digits.is_empty() { Ok(1) } else { digits.parse() };
        match (every, unit(alias)) {
            (Ok(every @ 1..=MOST), Some(unit)) => Ok(Self { every, unit }),
            _ if let Some(sum) = sum(text) => Ok(sum),
            _ => Err(NotAFrequency { guess: guess(digits, alias) }),
        }
    }
}

/// The unit of an alias, in any letter case where no other alias differs from it by that alone.
fn unit(alias: &str) -> Option<Unit> {
    // Milliseconds, and pandas' month periods: neither is meant by what they look like.
    if matches!(alias, "ms" | "m") {
        return None;
    }
    let (name, anchor) = match alias.split_once('-') {
        Some((name, anchor)) => (name, Some(anchor)),
        None => (alias, None),
    };
    let found = PLAIN.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let unit = found.map(|(_, unit)| *unit)?;
    let Some(anchor) = anchor else { return Some(unit) };
    let among = |words: &[&str]| {
        let at = words.iter().position(|word| word.eq_ignore_ascii_case(anchor))?;
        u8::try_from(at + 1).ok()
    };
    Some(match unit {
        Unit::Week(_) => Unit::Week(among(&WEEKDAYS)?),
        Unit::QuarterStart(_) => Unit::QuarterStart(among(&MONTHS)?),
        Unit::QuarterEnd(_) => Unit::QuarterEnd(among(&MONTHS)?),
        Unit::YearStart(_) => Unit::YearStart(among(&MONTHS)?),
        Unit::YearEnd(_) => Unit::YearEnd(among(&MONTHS)?),
        _ => return None,
    })
}

/// Several lengths that add up, `1h30min`, in the largest unit of which they are a whole number.
fn sum(text: &str) -> Option<Frequency> {
    const SIZES: [(Unit, u32); 4] =
        [(Unit::Day, 86_400), (Unit::Hour, 3_600), (Unit::Minute, 60), (Unit::Second, 1)];
    let (mut rest, mut seconds) = (text, 0_u32);
    while !rest.is_empty() {
        let (digits, behind) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
        let n_letters = behind.bytes().take_while(|byte| !byte.is_ascii_digit()).count();
        let (alias, behind) = behind.split_at_checked(n_letters)?;
        let unit = unit(alias.trim())?;
        let (_, size) = SIZES.into_iter().find(|(known, _)| *known == unit)?;
        seconds = seconds.checked_add(digits.parse::<u32>().ok()?.checked_mul(size)?)?;
        rest = behind;
    }
    let (unit, size) = SIZES.into_iter().find(|(_, size)| seconds.is_multiple_of(*size))?;
    let every = seconds / size;
    (1..=MOST).contains(&every).then_some(Frequency { every, unit })
}

fn guess(digits: &str, whole: &str) -> Option<String> {
    let alias = whole.trim();
    let word = WORDS.iter().find(|(word, _)| {
        word.eq_ignore_ascii_case(alias)
            || alias.strip_suffix(['s', 'S']).is_some_and(|one| word.eq_ignore_ascii_case(one))
    });
    let alias = match (word, alias) {
        (Some((_, alias)), _) => alias,
        (None, "ms" | "m") => "MS",
        (None, _) => {
            let (name, _) = alias.split_once('-').unwrap_or((alias, ""));
            nearest(name, PLAIN.iter().map(|(known, _)| *known))?
        }
    };
    // The number is what is wrong with it where the rest is known.
    let digits = if unit(whole).is_some() { "" } else { digits };
    Some(format!("{digits}{alias}"))
}

impl fmt::Display for Frequency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.every != 1 {
            write!(formatter, "{}", self.every)?;
        }
        let bare = match self.unit {
            Unit::Week(_) => Unit::Week(7),
            Unit::QuarterStart(_) => Unit::QuarterStart(1),
            Unit::QuarterEnd(_) => Unit::QuarterEnd(12),
            Unit::YearStart(_) => Unit::YearStart(1),
            Unit::YearEnd(_) => Unit::YearEnd(12),
            other => other,
        };
        let name = PLAIN.iter().find(|(_, unit)| *unit == bare).map_or("", |(name, _)| name);
        formatter.write_str(name)?;
        let anchor = match self.unit {
            Unit::Week(day) => WEEKDAYS.get(usize::from(day).wrapping_sub(1)),
            Unit::QuarterStart(month)
            | Unit::QuarterEnd(month)
            | Unit::YearStart(month)
            | Unit::YearEnd(month) => MONTHS.get(usize::from(month).wrapping_sub(1)),
            _ => None,
        };
        anchor.map_or(Ok(()), |anchor| write!(formatter, "-{anchor}"))
    }
}

impl TryFrom<String> for Frequency {
    type Error = NotAFrequency;

    fn try_from(text: String) -> Result<Self, NotAFrequency> {
        text.parse()
    }
}

impl From<Frequency> for String {
    fn from(frequency: Frequency) -> Self {
        frequency.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_of_all_years_are_read() {
        for (text, every, unit) in [
            ("1h30min", 90, Unit::Minute),
            ("1D12h", 36, Unit::Hour),
            ("1h 60min", 2, Unit::Hour),
            ("1min30s", 90, Unit::Second),
            ("min", 1, Unit::Minute),
            ("T", 1, Unit::Minute),
            ("15min", 15, Unit::Minute),
            ("15T", 15, Unit::Minute),
            ("H", 1, Unit::Hour),
            ("h", 1, Unit::Hour),
            ("D", 1, Unit::Day),
            ("B", 1, Unit::BusinessDay),
            ("W", 1, Unit::Week(7)),
            ("W-THU", 1, Unit::Week(4)),
            ("4W", 4, Unit::Week(7)),
            ("SM", 1, Unit::HalfMonthEnd),
            ("MS", 1, Unit::MonthStart),
            ("M", 1, Unit::MonthEnd),
            ("QS-FEB", 1, Unit::QuarterStart(2)),
            ("Q", 1, Unit::QuarterEnd(12)),
            ("A-JUN", 1, Unit::YearEnd(6)),
            ("YS", 1, Unit::YearStart(1)),
        ] {
            let frequency: Frequency = text.parse().unwrap();
            assert_eq!(frequency, Frequency { every, unit }, "{text}");
            assert_eq!(frequency.to_string().parse(), Ok(frequency), "{text}");
        }
    }

    #[test]
    fn what_is_none_of_them_has_a_guess() {
        for (text, guess) in [
            ("daily", Some("D")),
            ("2 weeks", Some("2W")),
            ("ms", Some("MS")),
            ("W-SUNDAY", Some("W")),
            ("fortnight", None),
            ("0D", Some("D")),
        ] {
            let error = text.parse::<Frequency>().unwrap_err();
            assert_eq!(error.guess.as_deref(), guess, "{text}");
        }
        assert_eq!(
            "D-MON".parse::<Frequency>().unwrap_err().to_string(),
            "is not a frequency; known: min, h, D, B, W, SMS, SME, MS, ME, QS, QE, YS, YE"
        );
    }
}
