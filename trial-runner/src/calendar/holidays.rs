//! Public holidays by rule, and how many of them a step has.
//!
//! Easter by the method of Meeus, Jones and Butcher. Only what holds in a whole country: regions have
//! more. Rules of the moon (in India, and New Zealand's Matariki after 2030) and exceptions of single
//! years are left out. Read `calendar/holidays/table.rs` for each country's days.

mod table;

use fleetfit_search_spaces::data::Country;
use serde::{Deserialize, Serialize};

use super::step::Step;
use super::{DAY, Date, day_of, weekday};
use crate::frame::{DERIVED, FeatureColumn, FeatureValues};
use table::{Day, Moved, Rule};

/// Whose holidays are features, and how long the steps are that have them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Holidays {
    /// The country.
    pub(crate) country: Country,
    /// How times are counted.
    pub(crate) step: Step,
}

/// Steps are not looked through beyond this many days.
const MOST_DAYS: i64 = 400;

impl Holidays {
    /// The names of the columns, which no column of a file has.
    pub(crate) fn names(time_column: &str) -> [String; 3] {
        ["holidays", "before_holiday", "after_holiday"]
            .map(|name| format!("{time_column}{DERIVED}{name}"))
    }

    /// The columns: holidays in each row's step, and whether the day behind it or before it is one.
    pub(crate) fn columns(self, time_column: &str, time: &[f64]) -> Vec<FeatureColumn> {
        let mut columns = [const { Vec::new() }; 3];
        let mut years = Years { country: self.country, known: Vec::new() };
        for &time in time {
            let numbers = match self.step.days(time) {
                None => [f64::NAN; 3],
                Some((first, last)) => {
                    let last = last.min(first + MOST_DAYS);
                    let n_days = (first..=last).filter(|&day| years.has(day)).count();
                    let flag = |is_one: bool| f64::from(u8::from(is_one));
                    [n_days as f64, flag(years.has(last + 1)), flag(years.has(first - 1))]
                }
            };
            for (column, number) in columns.iter_mut().zip(numbers) {
                column.push(number);
            }
        }
        Self::names(time_column)
            .into_iter()
            .zip(columns)
            .map(|(name, values)| FeatureColumn {
                name: name.into(),
                values: FeatureValues::Number(values),
            })
            .collect()
    }
}

/// The holidays of the years that were asked for.
struct Years {
    country: Country,
    known: Vec<(i64, Vec<i64>)>,
}

impl Years {
    fn has(&mut self, day: i64) -> bool {
        let year = Date::of(day).year;
        if let Some((_, days)) = self.known.iter().rev().find(|(known, _)| *known == year) {
            return days.binary_search(&day).is_ok();
        }
        let days = holidays(self.country, year);
        let is_one = days.binary_search(&day).is_ok();
        self.known.push((year, days));
        is_one
    }
}

/// The public holidays of a year, in ascending order, as days since 1970.
pub(crate) fn holidays(country: Country, year: i64) -> Vec<i64> {
    let (rules, moved) = table::of(country);
    // A holiday of the first days of next year may be observed in this one.
    let mut days: Vec<i64> = (year - 1..=year + 1)
        .flat_map(|year| {
            let mut own: Vec<i64> = rules
                .iter()
                .filter(|rule| rule.from <= year && year <= rule.until)
                .map(|rule| rule.day.of(year))
                .collect();
            own.sort_unstable();
            observed(&own, moved)
        })
        .collect();
    days.sort_unstable();
    days.dedup();
    days.retain(|&day| Date::of(day).year == year);
    days
}

/// The days with those that are observed on another one.
fn observed(days: &[i64], moved: Moved) -> Vec<i64> {
    let mut all = days.to_vec();
    let next_free = |all: &[i64], mut day: i64, is_off: fn(i64) -> bool| {
        while is_off(day) || all.contains(&day) {
            day += 1;
        }
        day
    };
    for &day in days {
        match (moved, weekday(day)) {
            (Moved::ToNearest, 5) => all.push(day - 1),
            (Moved::ToNearest, 6) => all.push(day + 1),
            (Moved::ToMonday, 5 | 6) if is_fixed(day) => {
                let next = next_free(&all, day, |day| weekday(day) > 4);
                all.push(next);
            }
            (Moved::FromSunday, 6) => {
                let next = next_free(&all, day, |day| weekday(day) == 6);
                all.push(next);
            }
            _ => {}
        }
    }
    if moved == Moved::FromSunday {
        // A day between two holidays is one.
        let between: Vec<i64> = all
            .iter()
            .map(|day| day + 1)
            .filter(|day| all.contains(&(day + 1)) && !all.contains(day) && weekday(*day) != 6)
            .collect();
        all.extend(between);
    }
    all
}

/// Easter and the days that hang on it are not made up for when they fall on a weekend.
fn is_fixed(day: i64) -> bool {
    let easter = easter(Date::of(day).year);
    day != easter && day != easter - 1
}

impl Day {
    /// The day of a year.
    fn of(self, year: i64) -> i64 {
        let date = |month, day| Date { year, month, day }.days();
        match self {
            Self::On(month, day) => date(month, day),
            Self::Easter(offset) => easter(year) + offset,
            Self::Nth(n, week, month) => date(month, 1) + ahead(date(month, 1), week) + 7 * (n - 1),
            Self::Last(week, month) => {
                let end = Date::first_of(Date { year, month, day: 1 }.months() + 1).days() - 1;
                end - (weekday(end) - week).rem_euclid(7)
            }
            Self::OnOrAfter(week, month, day) => date(month, day) + ahead(date(month, day), week),
            // Good to a day from 1980 to 2099.
            Self::SpringEquinox => date(3, equinox(20.8431, year)),
            Self::AutumnEquinox => date(9, equinox(23.2488, year)),
        }
    }
}

/// How many days until this weekday.
fn ahead(day: i64, week: i64) -> i64 {
    (week - weekday(day)).rem_euclid(7)
}

fn equinox(day_1980: f64, year: i64) -> i64 {
    let years = (year - 1980) as f64;
    (day_1980 + 0.242_194 * years - (years / 4.0).floor()).floor().clamp(1.0, 30.0) as i64
}

/// Easter Sunday.
pub(crate) fn easter(year: i64) -> i64 {
    let a = year.rem_euclid(19);
    let (b, c) = (year.div_euclid(100), year.rem_euclid(100));
    let (d, e) = (b.div_euclid(4), b.rem_euclid(4));
    let f = (b + 8).div_euclid(25);
    let g = (b - f + 1).div_euclid(3);
    let h = (19 * a + b - d - g + 15).rem_euclid(30);
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k).rem_euclid(7);
    let m = (a + 11 * h + 22 * l) / 451;
    let n = h + l - 7 * m + 114;
    Date { year, month: n / 31, day: n % 31 + 1 }.days()
}

/// A rule that always held.
const fn always(day: Day) -> Rule {
    Rule { day, from: i64::MIN, until: i64::MAX }
}

impl Step {
    /// The first and the last day of the step that a point in time belongs to.
    fn days(self, time: f64) -> Option<(i64, i64)> {
        let index = self.index(time)?;
        let day = day_of(time);
        Some(match self {
            Self::Even { size, .. } if size < 2.0 * DAY => (day, day),
            // The stamp is all that is known of where such a step begins.
            Self::Even { size, is_nearest: true, .. } => (day, day + (size / DAY) as i64 - 1),
            Self::Even { .. } => (day_of(self.time(index)), day_of(self.time(index + 1)) - 1),
            Self::BusinessDays => (day, day),
            Self::HalfMonths { is_end: true } | Self::Months { is_end: true, .. } => {
                (day_of(self.time(index - 1)) + 1, day_of(self.time(index)))
            }
            Self::HalfMonths { .. } | Self::Months { .. } => {
                (day_of(self.time(index)), day_of(self.time(index + 1)) - 1)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::cell::date_text;

    fn shown(country: Country, year: i64) -> String {
        let days = holidays(country, year).into_iter();
        let days = days.map(|day| date_text(day as f64 * DAY)[5..].to_owned());
        days.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn easter_is_where_the_church_has_it() {
        for (year, month, day) in [(2000, 4, 23), (2011, 4, 24), (2024, 3, 31), (2038, 4, 25)] {
            assert_eq!(Date::of(easter(year)), Date { year, month, day });
        }
    }

    #[test]
    fn the_holidays_of_some_years() {
        for (country, year, expected) in [
            (
                Country::Us,
                2021,
                "01-01 01-18 02-15 05-31 06-18 06-19 07-04 07-05 09-06 10-11 11-11 11-25 12-24 \
                 12-25 12-31",
            ),
            (Country::Gb, 2021, "01-01 04-02 04-05 05-03 05-31 08-30 12-25 12-26 12-27 12-28"),
            (Country::De, 2024, "01-01 03-29 04-01 05-01 05-09 05-20 10-03 12-25 12-26"),
            (
                Country::Fr,
                2023,
                "01-01 04-10 05-01 05-08 05-18 05-29 07-14 08-15 11-01 11-11 12-25",
            ),
            (
                Country::Jp,
                2023,
                "01-01 01-02 01-09 02-11 02-23 03-21 04-29 05-03 05-04 05-05 07-17 08-11 09-18 \
                 09-23 10-09 11-03 11-23",
            ),
            (
                Country::Se,
                2024,
                "01-01 01-06 03-29 03-31 04-01 05-01 05-09 05-19 06-06 06-22 11-02 12-25 12-26",
            ),
            (Country::In, 2024, "01-26 08-15 10-02"),
        ] {
            assert_eq!(shown(country, year), expected, "{country} {year}");
        }
    }

    #[test]
    fn every_country_has_some_in_any_year() {
        for country in Country::all() {
            for year in [-5_000, 1, 1900, 2024, 2100, 9_999] {
                let days = holidays(country, year);
                assert!((3..=24).contains(&days.len()), "{country} {year}: {}", days.len());
            }
        }
    }

    #[test]
    fn steps_count_their_holidays() {
        let at = |text| crate::dataset::date::parse_date(text).unwrap();
        let columns = |frequency: &str, time: &[f64]| {
            let step = Step::of(frequency.parse().unwrap(), time[0]);
            let columns = Holidays { country: Country::De, step }.columns("day", time);
            columns
                .into_iter()
                .map(|column| match column.values {
                    FeatureValues::Number(values) => values,
                    FeatureValues::Category { .. } => Vec::new(),
                })
                .collect::<Vec<_>>()
        };
        let days = [at("2024-04-30"), at("2024-05-01"), at("2024-05-02"), f64::NAN];
        let found = columns("D", &days);
        assert_eq!(found[0][..3], [0.0, 1.0, 0.0]);
        assert_eq!(found[1][..3], [1.0, 0.0, 0.0]);
        assert_eq!(found[2][..3], [0.0, 0.0, 1.0]);
        assert!(found[0][3].is_nan());
        assert_eq!(columns("ME", &[at("2024-05-31")])[0], [3.0]);
        assert_eq!(columns("W", &[at("2024-05-12")])[0], [1.0]);
        assert_eq!(columns("h", &[at("2024-05-01T13:00")])[0], [1.0]);
    }
}
