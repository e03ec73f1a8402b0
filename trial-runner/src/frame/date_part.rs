//! The numbers that a date becomes.

use serde::{Deserialize, Serialize};

use crate::dataset::cell::moment;

/// What stands between a column's name and what is derived from it: a character (unit separator)
/// that columns of files may not have in their names, so that no column is taken for a part.
pub(crate) const DERIVED: char = '\u{1f}';

/// A feature's name for people: `date.month`.
pub(crate) fn readable(name: &str) -> String {
    name.replace(DERIVED, ".")
}

/// One number out of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatePart {
    /// The year.
    Year,
    /// The month, from 1.
    Month,
    /// The day of the month, from 1.
    Day,
    /// The day of the week: Monday is 1, Sunday 7.
    Weekday,
    /// The day of the year, from 1.
    DayOfYear,
    /// The hour, from 0.
    Hour,
    /// The minute, from 0.
    Minute,
    /// The days since 1970, with the time of day as a fraction.
    Elapsed,
}

impl DatePart {
    /// Every part, in the order of a frame's columns.
    pub const ALL: [Self; 8] = [
        Self::Year,
        Self::Month,
        Self::Day,
        Self::Weekday,
        Self::DayOfYear,
        Self::Hour,
        Self::Minute,
        Self::Elapsed,
    ];

    /// The name of the feature that the part of a column becomes, which no column has.
    pub fn feature_name(self, column: &str) -> String {
        format!("{column}{DERIVED}{}", self.name())
    }

    fn name(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day",
            Self::Weekday => "weekday",
            Self::DayOfYear => "day_of_year",
            Self::Hour => "hour",
            Self::Minute => "minute",
            Self::Elapsed => "elapsed",
        }
    }

    /// The part of a date, which is given in seconds since 1970. NaN stays NaN.
    pub fn of(self, seconds: f64) -> f64 {
        if self == Self::Elapsed {
            return seconds / 86_400.0;
        }
        let Some(moment) = moment(seconds) else {
            return f64::NAN;
        };
        match self {
            Self::Year => f64::from(moment.year()),
            Self::Month => f64::from(moment.month()),
            Self::Day => f64::from(moment.day()),
            Self::Weekday => f64::from(moment.weekday().to_monday_one_offset()),
            Self::DayOfYear => f64::from(moment.day_of_year()),
            Self::Hour => f64::from(moment.hour()),
            Self::Minute => f64::from(moment.minute()),
            Self::Elapsed => seconds / 86_400.0,
        }
    }

    /// The parts that differ between these dates; no others are worth a feature.
    pub(crate) fn that_vary(seconds: &[f64]) -> Vec<Self> {
        Self::ALL
            .into_iter()
            .filter(|part| {
                let mut values = seconds.iter().map(|&s| part.of(s)).filter(|v| !v.is_nan());
                match values.next() {
                    Some(first) => values.any(|value| value != first),
                    None => false,
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::date::parse_date;

    #[test]
    fn parts_of_a_leap_day() {
        let seconds = parse_date("2024-02-29T18:30:00").unwrap();
        let parts = DatePart::ALL.map(|part| part.of(seconds));
        assert_eq!(parts[..7], [2024.0, 2.0, 29.0, 4.0, 60.0, 18.0, 30.0]);
        assert_eq!(parts[7], 19782.0 + 18.5 / 24.0);
        assert!(DatePart::Month.of(f64::NAN).is_nan());
        assert!(DatePart::Month.of(1e300).is_nan());
    }

    #[test]
    fn constant_parts_are_left_out() {
        let dates = ["2024-01-01", "2024-01-08"].map(|date| parse_date(date).unwrap());
        assert_eq!(
            DatePart::that_vary(&dates),
            [DatePart::Day, DatePart::DayOfYear, DatePart::Elapsed]
        );
        assert_eq!(DatePart::that_vary(&[f64::NAN]), []);
    }
}
