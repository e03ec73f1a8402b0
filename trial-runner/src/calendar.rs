//! Days, and what repeats over them: the steps of a series, and public holidays.
//!
//! Days are counted from 1970 in the proleptic Gregorian calendar; nothing here fails or panics on
//! any number.

pub(crate) mod holidays;
pub(crate) mod step;

/// Seconds of a day.
pub(crate) const DAY: f64 = 86_400.0;

/// Years beyond this are cut: they only come of data that is damaged.
const MOST_DAYS: i64 = 5_000_000;

/// A date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Date {
    pub(crate) year: i64,
    /// From 1.
    pub(crate) month: i64,
    /// From 1.
    pub(crate) day: i64,
}

impl Date {
    /// The date of a count of days since 1970 (Howard Hinnant, *chrono-Compatible Low-Level Date
    /// Algorithms*).
    pub(crate) fn of(days: i64) -> Self {
        let shifted = days.clamp(-MOST_DAYS, MOST_DAYS) + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        Self { year: year_of_era + era * 400 + i64::from(month <= 2), month, day }
    }

    /// The days since 1970.
    pub(crate) fn days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let shifted_month = if self.month > 2 { self.month - 3 } else { self.month + 9 };
        let of_year = (153 * shifted_month + 2) / 5 + self.day - 1;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        era * 146_097 + of_era - 719_468
    }

    /// Months since the year 0.
    pub(crate) fn months(self) -> i64 {
        self.year * 12 + self.month - 1
    }

    /// The first day of a count of months since the year 0.
    pub(crate) fn first_of(months: i64) -> Self {
        let months = months.clamp(-MOST_DAYS, MOST_DAYS);
        Self { year: months.div_euclid(12), month: months.rem_euclid(12) + 1, day: 1 }
    }
}

/// The day on which a point in time lies, since 1970.
pub(crate) fn day_of(seconds: f64) -> i64 {
    ((seconds / DAY).floor() as i64).clamp(-MOST_DAYS, MOST_DAYS)
}

/// The day of the week: Monday is 0, Sunday 6.
pub(crate) fn weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_two_names_of_one_thing() {
        let date = |year, month, day| Date { year, month, day };
        for (days, date, week) in [
            (0, date(1970, 1, 1), 3),
            (19_782, date(2024, 2, 29), 3),
            (-1, date(1969, 12, 31), 2),
            (20_453, date(2025, 12, 31), 2),
        ] {
            assert_eq!((Date::of(days), date.days(), weekday(days)), (date, days, week));
        }
        for days in (-800_000..800_000).step_by(61) {
            assert_eq!(Date::of(days).days(), days);
        }
        assert_eq!(Date::first_of(Date::of(19_782).months()), date(2024, 2, 1));
        assert_eq!(day_of(f64::NAN), 0);
        Date::of(day_of(f64::INFINITY));
    }
}
