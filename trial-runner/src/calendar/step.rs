//! The steps of a series: which step a point in time belongs to, and when a step is.
//!
//! A step is a bin, as in pandas' `resample`: what lies in the same day, week or month is one step.
//! Where the job names no frequency, the median distance of the data's own stamps is the step, and
//! stamps are rounded to the nearest one.

use fleetfit_search_spaces::data::{Frequency, Unit};
use serde::{Deserialize, Serialize};

use super::{DAY, Date, day_of, weekday};
use crate::frame::TimeKind;

/// How points in time are counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Bins of one size; step 0 begins at the origin.
    Even { origin: f64, size: f64, is_nearest: bool },
    /// Days from Monday to Friday; a weekend belongs to its Friday.
    BusinessDays,
    /// Halves of months, from the 1st and from the 16th, or from the 15th where it is named first.
    HalfMonths { is_end: bool },
    /// So many months; step 0 begins with month `phase` of the year 0.
    Months { every: u32, phase: u32, is_end: bool },
}

/// Indices beyond this come of forged or damaged numbers.
const MOST_STEPS: f64 = 1e15;

impl Step {
    /// Steps of one size, which stamps are rounded to.
    pub(crate) fn nearest(origin: f64, size: f64) -> Self {
        Self::Even { origin, size, is_nearest: true }
    }

    /// The steps that a job asks for. Where the calendar does not say where a step begins (every 3
    /// days, every 2 months), the first stamp does.
    pub(crate) fn of(frequency: Frequency, first: f64) -> Self {
        let every = f64::from(frequency.every.max(1));
        let even = |size: f64| {
            let whole_day = DAY % size == 0.0;
            let origin = if whole_day { 0.0 } else { day_of(first) as f64 * DAY };
            Self::Even { origin, size, is_nearest: false }
        };
        let months = |each: u32, begins: u32, is_end: bool| {
            let every = each.saturating_mul(frequency.every.max(1));
            let phase = match frequency.every {
                0 | 1 => i64::from(begins % each.max(1)),
                _ => Date::of(day_of(first)).months().rem_euclid(i64::from(every)),
            };
            Self::Months { every, phase: phase as u32, is_end }
        };
        match frequency.unit {
            Unit::Second => even(every),
            Unit::Minute => even(60.0 * every),
            Unit::Hour => even(3_600.0 * every),
            Unit::Day if frequency.every <= 1 => even(DAY),
            Unit::Day => Self::Even {
                origin: day_of(first) as f64 * DAY,
                size: every * DAY,
                is_nearest: false,
            },
            Unit::BusinessDay => Self::BusinessDays,
            Unit::Week(day) => {
                // Weeks begin on the day after the one they end with.
                let begins = i64::from(day) % 7;
                let first = day_of(first);
                let start = first - (weekday(first) - begins).rem_euclid(7);
                Self::Even {
                    origin: start as f64 * DAY,
                    size: 7.0 * DAY * every,
                    is_nearest: false,
                }
            }
            Unit::HalfMonthStart => Self::HalfMonths { is_end: false },
            Unit::HalfMonthEnd => Self::HalfMonths { is_end: true },
            Unit::MonthStart => months(1, 0, false),
            Unit::MonthEnd => months(1, 0, true),
            Unit::QuarterStart(month) => months(3, u32::from(month).saturating_sub(1), false),
            Unit::QuarterEnd(month) => months(3, u32::from(month), true),
            Unit::YearStart(month) => months(12, u32::from(month).saturating_sub(1), false),
            Unit::YearEnd(month) => months(12, u32::from(month), true),
        }
    }

    /// The steps of stamps that stand in ascending order in each of some series.
    pub(crate) fn found(series: &[Vec<f64>], kind: TimeKind) -> Self {
        let mut gaps: Vec<f64> = series
            .iter()
            .flat_map(|stamps| stamps.windows(2).map(|pair| pair[1] - pair[0]))
            .filter(|gap| *gap > 0.0 && gap.is_finite())
            .collect();
        gaps.sort_by(f64::total_cmp);
        let first = series.iter().filter_map(|stamps| stamps.first()).copied();
        let first = first.fold(f64::INFINITY, f64::min);
        let first = if first.is_finite() { first } else { 0.0 };
        let Some(&median) = gaps.get(gaps.len().saturating_sub(1) / 2) else {
            return Self::nearest(first, if kind == TimeKind::Date { DAY } else { 1.0 });
        };
        if kind == TimeKind::Number {
            return Self::nearest(first, median);
        }
        let stamps = || series.iter().flatten().copied();
        let median = usual(median);
        let last_of_its_month = |stamp: f64| Date::of(day_of(stamp) + 1).day == 1;
        // Every 28 days is no month, and every 91 no quarter.
        let is_even = gaps.len() > 1 && gaps.iter().all(|gap| (gap / median).fract() == 0.0);
        let day = stamps().map(|stamp| Date::of(day_of(stamp)).day).max();
        let keeps_its_day = stamps()
            .all(|stamp| Some(Date::of(day_of(stamp)).day) == day || last_of_its_month(stamp));
        match (median / DAY).round() as i64 {
            28.. if is_even && !keeps_its_day => Self::nearest(first, median),
            days @ (28..=31 | 89..=92 | 181..=184 | 365..=366) => {
                let every = match days {
                    28..=31 => 1,
                    89..=92 => 3,
                    181..=184 => 6,
                    _ => 12,
                };
                let is_end = stamps().all(last_of_its_month);
                let month = Date::of(day_of(first)).months();
                // The month that a bin is named by is its last where bins are named by their ends.
                let begins = if is_end { month + 1 } else { month };
                let phase = begins.rem_euclid(every) as u32;
                Self::Months { every: every as u32, phase, is_end }
            }
            1 if median == DAY && works_weekdays(&gaps, stamps()) => Self::BusinessDays,
            _ => Self::nearest(first, median),
        }
    }

    /// The step that a point in time belongs to; none for what no step can be told of.
    pub(crate) fn index(self, time: f64) -> Option<i64> {
        if !time.is_finite() {
            return None;
        }
        let days = day_of(time);
        match self {
            Self::Even { origin, size, is_nearest } => {
                let steps = (time - origin) / size;
                let whole = if is_nearest { steps.round() } else { steps.floor() };
                (whole.abs() <= MOST_STEPS).then_some(whole as i64)
            }
            _ if time.abs() > 4e11 => None,
            Self::BusinessDays => Some((days + 3).div_euclid(7) * 5 + weekday(days).min(4)),
            Self::HalfMonths { is_end } => {
                let date = Date::of(days);
                let second = if is_end { date.day > 15 } else { date.day >= 15 };
                Some(date.months() * 2 + i64::from(second))
            }
            Self::Months { every, phase, .. } => {
                let months = Date::of(days).months() - i64::from(phase);
                Some(months.div_euclid(i64::from(every.max(1))))
            }
        }
    }

    /// When a step is: its first moment, or its last day where steps are named by their ends.
    pub(crate) fn time(self, index: i64) -> f64 {
        match self {
            Self::Even { origin, size, .. } => origin + index as f64 * size,
            Self::BusinessDays => {
                let index = index.clamp(-MOST_INDEX, MOST_INDEX);
                (index.div_euclid(5) * 7 + index.rem_euclid(5) - 3) as f64 * DAY
            }
            Self::HalfMonths { is_end } => {
                let index = index.clamp(-MOST_INDEX, MOST_INDEX);
                let (months, half) = (index.div_euclid(2), index.rem_euclid(2));
                let days = match (is_end, half) {
                    (false, 0) => Date::first_of(months).days(),
                    (_, 0) | (false, _) => Date::first_of(months).days() + 14,
                    (true, _) => Date::first_of(months + 1).days() - 1,
                };
                days as f64 * DAY
            }
            Self::Months { every, phase, is_end } => {
                let index = index.clamp(-MOST_INDEX, MOST_INDEX);
                let months = index * i64::from(every) + i64::from(phase);
                let days = match is_end {
                    false => Date::first_of(months).days(),
                    true => Date::first_of(months + i64::from(every)).days() - 1,
                };
                days as f64 * DAY
            }
        }
    }

    /// How many steps make a season, where the calendar says: a day of hours and minutes, a week of
    /// days, a year of weeks, months and quarters. 1 where there is none.
    pub(crate) fn season(self, kind: TimeKind) -> usize {
        let fits = |whole: f64, size: f64| {
            let steps = (whole / size).round();
            if steps >= 2.0 && steps * size == whole { steps as usize } else { 1 }
        };
        match self {
            Self::Even { .. } if kind == TimeKind::Number => 1,
            Self::Even { size, .. } if size >= 28.0 * DAY => 1,
            // A year is not quite 52 weeks, and everybody counts it so.
            Self::Even { size, .. } if size == 7.0 * DAY => 52,
            Self::Even { size, .. } if size >= DAY => fits(7.0 * DAY, size),
            Self::Even { size, .. } if size >= 300.0 => fits(DAY, size),
            Self::Even { size, .. } if size >= 60.0 => fits(3_600.0, size),
            Self::Even { size, .. } => fits(60.0, size),
            Self::BusinessDays => 5,
            Self::HalfMonths { .. } => 24,
            Self::Months { every, .. } => (12 / every.max(1)).max(1) as usize,
        }
    }

    /// What steps are called in messages: `days`, `steps of 15 minutes`.
    pub(crate) fn name(self, kind: TimeKind) -> String {
        const UNITS: [(f64, &str); 5] = [
            (7.0 * DAY, "weeks"),
            (DAY, "days"),
            (3_600.0, "hours"),
            (60.0, "minutes"),
            (1.0, "seconds"),
        ];
        let several = |n: f64, unit: &str| match n {
            1.0 => unit.to_owned(),
            n => format!("steps of {n} {unit}"),
        };
        match self {
            Self::Even { size, .. } if kind == TimeKind::Number => format!("steps of {size}"),
            Self::Even { size, .. } => {
                let whole = UNITS.into_iter().find(|(unit, _)| size % unit == 0.0);
                let (unit, name) = whole.unwrap_or((1.0, "seconds"));
                several(size / unit, name)
            }
            Self::BusinessDays => "business days".into(),
            Self::HalfMonths { .. } => "half months".into(),
            Self::Months { every: 3, .. } => "quarters".into(),
            Self::Months { every: 12, .. } => "years".into(),
            Self::Months { every, .. } => several(f64::from(every), "months"),
        }
    }

    /// Whether stored numbers count time.
    pub(crate) fn is_sound(self) -> bool {
        match self {
            Self::Even { origin, size, .. } => origin.is_finite() && size.is_finite() && size > 0.0,
            Self::Months { every, .. } => every > 0,
            Self::BusinessDays | Self::HalfMonths { .. } => true,
        }
    }
}

/// So that no forged index overflows.
const MOST_INDEX: i64 = 1 << 30;

/// Sizes that clocks and calendars have, in seconds.
const USUAL: [f64; 20] = [
    1.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_200.0, 1_800.0, 3_600.0,
    7_200.0, 10_800.0, 14_400.0, 21_600.0, 28_800.0, 43_200.0, 86_400.0,
];

/// The usual size that a distance is near to: stamps that jitter must not drift apart from steps.
fn usual(distance: f64) -> f64 {
    let is_near = |size: f64| (distance - size).abs() <= 0.02 * size;
    let days = (distance / DAY).round() * DAY;
    match USUAL.into_iter().find(|&size| is_near(size)) {
        Some(size) => size,
        None if days > 0.0 && is_near(days) => days,
        None => distance,
    }
}

/// Whether days are those on which people work: none on a weekend, and weekends between them.
fn works_weekdays(gaps: &[f64], mut stamps: impl Iterator<Item = f64>) -> bool {
    gaps.contains(&(3.0 * DAY)) && stamps.all(|stamp| weekday(day_of(stamp)) < 5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::date::parse_date;

    fn at(text: &str) -> f64 {
        parse_date(text).unwrap()
    }

    fn stamps(texts: &[&str]) -> Vec<f64> {
        texts.iter().map(|text| at(text)).collect()
    }

    /// The indices of some stamps, counted from the first one's.
    fn indices(step: Step, texts: &[&str]) -> Vec<i64> {
        let all: Vec<i64> = texts.iter().map(|text| step.index(at(text)).unwrap()).collect();
        all.iter().map(|index| index - all[0]).collect()
    }

    #[test]
    fn frequencies_make_bins() {
        for (frequency, texts, expected) in [
            ("D", &["2024-02-28", "2024-02-29T23:59", "2024-03-01"][..], &[0, 1, 2][..]),
            ("15min", &["2024-01-01T00:07", "2024-01-01T00:15", "2024-01-01T01:00"], &[0, 1, 4]),
            ("h", &["2024-01-01T23:30", "2024-01-02T00:00"], &[0, 1]),
            ("B", &["2024-01-05", "2024-01-06", "2024-01-08", "2024-01-09"], &[0, 0, 1, 2]),
            // Weeks that end on Sunday: the 7th of January 2024 is one.
            ("W", &["2024-01-07", "2024-01-08", "2024-01-14", "2024-01-15"], &[0, 1, 1, 2]),
            ("W-THU", &["2024-01-04", "2024-01-05", "2024-01-11"], &[0, 1, 1]),
            ("2W", &["2024-01-07", "2024-01-14", "2024-01-21"], &[0, 0, 1]),
            ("SMS", &["2024-01-01", "2024-01-14", "2024-01-15", "2024-02-01"], &[0, 0, 1, 2]),
            ("SM", &["2024-01-15", "2024-01-31", "2024-02-15"], &[0, 1, 2]),
            ("MS", &["2023-12-01", "2024-01-01", "2024-02-29"], &[0, 1, 2]),
            ("M", &["2023-12-31", "2024-01-31", "2024-02-01"], &[0, 1, 2]),
            ("2MS", &["2023-11-01", "2023-12-31", "2024-01-01"], &[0, 0, 1]),
            ("QS", &["2024-01-01", "2024-03-31", "2024-04-01"], &[0, 0, 1]),
            ("Q-JAN", &["2024-01-31", "2024-02-01", "2024-04-30", "2024-05-01"], &[0, 1, 1, 2]),
            ("YS", &["2022-12-31", "2023-01-01", "2024-12-31"], &[0, 1, 2]),
            ("A-JUN", &["2023-06-30", "2023-07-01", "2024-06-30"], &[0, 1, 1]),
        ] {
            let step = Step::of(frequency.parse().unwrap(), at(texts[0]));
            assert_eq!(indices(step, texts), expected, "{frequency}");
            assert!(step.is_sound());
        }
    }

    #[test]
    fn a_step_is_where_its_time_is() {
        for frequency in
            ["D", "15min", "h", "B", "W", "W-THU", "SMS", "SM", "MS", "M", "QS", "Q-JAN", "A-JUN"]
        {
            let step = Step::of(frequency.parse().unwrap(), at("2024-03-31"));
            let first = step.index(at("2024-03-31")).unwrap();
            for index in first - 100..first + 100 {
                assert_eq!(step.index(step.time(index)), Some(index), "{frequency}");
                assert!(step.time(index) < step.time(index + 1));
            }
        }
        let months = Step::of("M".parse().unwrap(), 0.0);
        let february = months.index(at("2024-02-10")).unwrap();
        assert_eq!(months.time(february), at("2024-02-29"));
    }

    #[test]
    fn steps_are_found_in_the_data() {
        let found = |texts: &[&str]| Step::found(&[stamps(texts)], TimeKind::Date);
        let monthly = ["2023-11-30", "2023-12-31", "2024-01-31", "2024-02-29", "2024-04-30"];
        let step = found(&monthly);
        assert!(matches!(step, Step::Months { every: 1, is_end: true, .. }), "{step:?}");
        assert_eq!(indices(step, &monthly), [0, 1, 2, 3, 5]);
        let quarters = ["2023-03-01", "2023-06-01", "2023-09-01", "2023-12-01"];
        assert_eq!(indices(found(&quarters), &quarters), [0, 1, 2, 3]);
        let years = ["2020-01-01", "2021-01-01", "2023-01-01"];
        assert_eq!(indices(found(&years), &years), [0, 1, 3]);
        let work = ["2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09", "2024-01-10"];
        assert_eq!(found(&work), Step::BusinessDays);
        let weeks = ["2024-01-02", "2024-01-09", "2024-01-24", "2024-01-30", "2024-02-06"];
        // The third is a day late.
        assert_eq!(indices(found(&weeks), &weeks), [0, 1, 3, 4, 5]);
        // Every so many days, which are no month, quarter or half of a year.
        for days in [28, 30, 91, 182] {
            let first = at("2024-01-01");
            let stamp = |index: i32| first + f64::from(index * days) * DAY;
            let step = Step::found(&[[0, 1, 2, 4, 7].map(stamp).to_vec()], TimeKind::Date);
            assert_eq!([0, 2, 3, 9].map(|own| step.index(stamp(own)).unwrap()), [0, 2, 3, 9]);
            assert_eq!(step.time(9), stamp(9));
        }
        let summer = ["2024-07-15", "2024-08-15", "2024-09-15"];
        let step = found(&summer);
        assert!(matches!(step, Step::Months { every: 1, .. }), "{step:?}");
        let hours = ["2024-01-01T00:00", "2024-01-01T01:01", "2024-01-01T02:00"];
        assert_eq!(indices(found(&hours), &hours), [0, 1, 2]);
        let numbers = Step::found(&[vec![10.0, 20.0, 40.0, 50.0]], TimeKind::Number);
        assert_eq!(numbers.index(60.0), Some(5));
        assert_eq!(
            Step::found(&[vec![at("2024-01-01")]], TimeKind::Date).time(1),
            at("2024-01-02")
        );
        assert_eq!(Step::found(&[], TimeKind::Number).index(3.0), Some(3));
    }

    #[test]
    fn seasons_are_those_of_the_calendar() {
        for (frequency, season) in [
            ("s", 60),
            ("min", 60),
            ("15min", 96),
            ("h", 24),
            ("7h", 1),
            ("D", 7),
            ("B", 5),
            ("W", 52),
            ("4W", 1),
            ("SM", 24),
            ("MS", 12),
            ("QS", 4),
            ("YS", 1),
        ] {
            let step = Step::of(frequency.parse().unwrap(), 0.0);
            assert_eq!(step.season(TimeKind::Date), season, "{frequency}");
        }
        assert_eq!(Step::nearest(0.0, 3_600.0).season(TimeKind::Number), 1);
    }

    #[test]
    fn no_number_does_harm() {
        for step in [
            Step::nearest(0.0, f64::MIN_POSITIVE),
            Step::nearest(1e300, 1e300),
            Step::BusinessDays,
            Step::HalfMonths { is_end: true },
            Step::Months { every: u32::MAX, phase: u32::MAX, is_end: true },
        ] {
            for time in [0.0, -1e300, 1e300, f64::NAN, f64::INFINITY, 4e11, -4e11] {
                if let Some(index) = step.index(time) {
                    step.time(index);
                }
            }
            step.time(i64::MAX);
            step.time(i64::MIN);
        }
        assert!(!Step::nearest(0.0, 0.0).is_sound());
    }

    #[test]
    fn steps_have_names() {
        for (frequency, name) in [
            ("D", "days"),
            ("3D", "steps of 3 days"),
            ("2W", "steps of 2 weeks"),
            ("90min", "steps of 90 minutes"),
            ("h", "hours"),
            ("s", "seconds"),
            ("B", "business days"),
            ("SMS", "half months"),
            ("MS", "months"),
            ("2ME", "steps of 2 months"),
            ("QS", "quarters"),
            ("YE", "years"),
        ] {
            let step = Step::of(frequency.parse().unwrap(), 0.0);
            assert_eq!(step.name(TimeKind::Date), name, "{frequency}");
        }
        assert_eq!(Step::nearest(0.0, 86_400.0).name(TimeKind::Number), "steps of 86400");
    }
}
