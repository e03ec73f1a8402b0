//! Every so many minutes, hours, days, weeks or months, counted from a start.
//!
//! Minutes and hours are counted as time passes; days, weeks and months on the calendar of the
//! schedule's zone. A week begins on Monday, and the week (month) of the start is the first one.

use jiff::civil::{Date, DateTime, Time, Weekday};

use crate::fields::{At, Fields, one_of};
use crate::findings::{Findings, Mistake};

/// The unit that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frequency {
    /// Minutes, as time passes.
    Minute,
    /// Hours, as time passes.
    Hour,
    /// Days of the calendar.
    Day,
    /// Weeks that begin on Monday.
    Week,
    /// Months of the calendar.
    Month,
}

const FREQUENCIES: &[(&str, Frequency)] = &[
    ("minute", Frequency::Minute),
    ("hour", Frequency::Hour),
    ("day", Frequency::Day),
    ("week", Frequency::Week),
    ("month", Frequency::Month),
];

const WEEK_DAYS: &[(&str, Weekday)] = &[
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

/// Every so often, counted from a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurrence {
    /// What is counted.
    pub frequency: Frequency,
    /// How many of them lie between two runs.
    pub interval: u32,
    /// When in such a day, week or month; without one, whenever the start was.
    pub pattern: Option<Pattern>,
}

/// The times of a day, and which days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// From 0 to 23, in order.
    pub hours: Vec<i8>,
    /// From 0 to 59, in order.
    pub minutes: Vec<i8>,
    /// Days of the week, Monday first; empty: that of the start.
    pub week_days: Vec<Weekday>,
    /// Days of the month, in order; empty: that of the start.
    pub month_days: Vec<i8>,
}

impl Frequency {
    /// Its name.
    pub fn name(self) -> &'static str {
        FREQUENCIES.iter().find(|(_, own)| *own == self).map_or("", |(name, _)| name)
    }

    /// How many of them are ten years, the longest interval.
    fn longest(self) -> i64 {
        match self {
            Self::Minute => 5_256_000,
            Self::Hour => 87_600,
            Self::Day => 3_650,
            Self::Week => 520,
            Self::Month => 120,
        }
    }

    /// The seconds of a unit that is counted as time passes.
    pub(super) fn seconds(self) -> Option<i64> {
        match self {
            Self::Minute => Some(60),
            Self::Hour => Some(3600),
            Self::Day | Self::Week | Self::Month => None,
        }
    }
}

impl Recurrence {
    /// Reads what stands beside a trigger's times.
    pub(super) fn read(fields: &mut Fields<'_>, findings: &mut Findings) -> Option<Self> {
        let frequency = fields
            .require("frequency", "frequency: day", findings)
            .map(|at| at.word(FREQUENCIES, findings));
        let longest = frequency.flatten().map_or(i64::from(u32::MAX), Frequency::longest);
        let interval = fields
            .require("interval", "interval: 1", findings)
            .map(|at| at.int_in(1, longest, findings));
        fields.also_called("pattern", "schedule");
        let at = fields.take("schedule", findings);
        let pattern = at.as_ref().map(|at| Pattern::read(at, frequency.flatten(), findings));
        if let (Some(at), Some(Some(frequency))) = (&at, frequency)
            && frequency.seconds().is_some()
        {
            let name = frequency.name();
            let says = format!("means nothing where {name}s are counted");
            let hint = "write frequency: day, or a cron trigger";
            findings.key_problem(at, Mistake::new(says, "no schedule").hint(hint));
        }
        let pattern = pattern.map_or(Some(None), |pattern| pattern.map(Some));
        let interval = interval.flatten().and_then(|interval| u32::try_from(interval).ok());
        Some(Self { frequency: frequency.flatten()?, interval: interval?, pattern: pattern? })
    }

    /// Whether a day is one of those that are counted from the start's, and fires.
    pub(super) fn has_day(&self, date: Date, start: Date) -> bool {
        let interval = i64::from(self.interval);
        let pattern = self.pattern.as_ref();
        match self.frequency {
            Frequency::Minute | Frequency::Hour => false,
            Frequency::Day => days_between(start, date) % interval == 0,
            Frequency::Week => {
                let week_days = pattern.map_or(&[][..], |pattern| &pattern.week_days);
                let is_day = match week_days {
                    [] => date.weekday() == start.weekday(),
                    days => days.contains(&date.weekday()),
                };
                is_day && (days_between(monday(start), monday(date)) / 7) % interval == 0
            }
            Frequency::Month => {
                let month_days = pattern.map_or(&[][..], |pattern| &pattern.month_days);
                let is_day = match month_days {
                    [] => date.day() == start.day().min(date.days_in_month()),
                    days => days.contains(&date.day()),
                };
                is_day && (months(date) - months(start)) % interval == 0
            }
        }
    }

    /// The times of each such day, in order.
    pub(super) fn times(&self, start: DateTime) -> Vec<Time> {
        let Some(pattern) = &self.pattern else {
            return vec![start.time()];
        };
        let at = |hour: i8, minute: i8| Time::constant(hour, minute, 0, 0);
        let hours = pattern.hours.iter();
        hours.flat_map(|hour| pattern.minutes.iter().map(|minute| at(*hour, *minute))).collect()
    }

    /// In words: `every 2 weeks on monday and friday at 06:00`.
    pub(super) fn words(&self) -> String {
        let name = self.frequency.name();
        let every = match self.interval {
            1 => format!("every {name}"),
            n => format!("every {n} {name}s"),
        };
        let Some(pattern) = &self.pattern else {
            return every;
        };
        let week_days: Vec<&str> =
            pattern.week_days.iter().map(|day| week_day_name(*day)).collect();
        let month_days: Vec<String> = pattern.month_days.iter().map(i8::to_string).collect();
        let on = match (week_days.as_slice(), month_days.as_slice()) {
            ([], []) => String::new(),
            ([], days) => format!(" on day {}", all_of(days)),
            (days, _) => format!(" on {}", all_of(days)),
        };
        let mut times: Vec<String> = Vec::new();
        for hour in &pattern.hours {
            times.extend(pattern.minutes.iter().map(|minute| format!("{hour:02}:{minute:02}")));
        }
        const SHOWN: usize = 6;
        let more = times.len().saturating_sub(SHOWN);
        if more > 0 {
            times.truncate(SHOWN);
            times.push(format!("{more} more times"));
        }
        format!("{every}{on} at {}", all_of(&times))
    }
}

impl Pattern {
    fn read(at: &At<'_>, frequency: Option<Frequency>, findings: &mut Findings) -> Option<Self> {
        let mut fields = at.map(findings)?;
        let hours = fields.require("hours", "hours: 6", findings);
        let hours = hours.map(|at| numbers(&at, 0, 23, findings));
        let minutes = fields.require("minutes", "minutes: 0", findings);
        let minutes = minutes.map(|at| numbers(&at, 0, 59, findings));
        let week_days_at = match fields.has("weekdays") && !fields.has("week_days") {
            true => fields.take("weekdays", findings),
            false => fields.take("week_days", findings),
        };
        let month_days_at = fields.take("month_days", findings);
        let week_days = week_days_at.as_ref().map(|at| {
            let items = some_of(at, "one or more days of the week", "monday", findings)?;
            let words = items.iter().map(|item| item.word(WEEK_DAYS, findings));
            // Each is looked at, so that every mistake is found.
            let mut days: Vec<Weekday> =
                words.collect::<Vec<_>>().into_iter().collect::<Option<_>>()?;
            days.sort_by_key(|day| day.to_monday_zero_offset());
            days.dedup();
            Some(days)
        });
        let month_days = month_days_at.as_ref().map(|at| numbers(at, 1, 31, findings));
        let misplaced = [
            (week_days_at, Frequency::Week, "days of the week"),
            (month_days_at, Frequency::Month, "days of the month"),
        ];
        for (at, home, what) in misplaced {
            if let (Some(at), Some(frequency)) = (at, frequency)
                && frequency != home
            {
                let says = format!("counts only under frequency: {}", home.name());
                let hint =
                    format!("write frequency: {}, or a cron trigger for other {what}", home.name());
                findings.key_problem(&at, Mistake::new(says, "nothing").hint(hint));
            }
        }
        fields.finish(findings);
        Some(Self {
            hours: hours.flatten()?,
            minutes: minutes.flatten()?,
            week_days: week_days.map_or(Some(Vec::new()), |days| days)?,
            month_days: month_days.map_or(Some(Vec::new()), |days| days)?,
        })
    }
}

/// A list, or a single one, and not an empty one.
fn some_of<'a>(
    at: &At<'a>,
    wanted: &str,
    example: &str,
    findings: &mut Findings,
) -> Option<Vec<At<'a>>> {
    let items = at.one_or_more();
    if items.is_empty() {
        let mistake = Mistake::new(format!("is empty, but must be {wanted}"), wanted);
        findings.problem(at, mistake.hint(format!("write {}: {example}", at.name())));
        return None;
    }
    Some(items)
}

/// A number or a list of numbers between two bounds, in order and each once.
fn numbers(at: &At<'_>, low: i64, high: i64, findings: &mut Findings) -> Option<Vec<i8>> {
    let wanted = format!("one or more numbers from {low} to {high}");
    let items = some_of(at, &wanted, &low.to_string(), findings)?;
    let read = items.iter().map(|item| item.int_in(low, high, findings));
    let read: Vec<Option<i64>> = read.collect();
    let mut numbers =
        read.into_iter().map(|number| i8::try_from(number?).ok()).collect::<Option<Vec<i8>>>()?;
    numbers.sort_unstable();
    numbers.dedup();
    Some(numbers)
}

fn days_between(from: Date, to: Date) -> i64 {
    from.duration_until(to).as_hours() / 24
}

fn monday(date: Date) -> Date {
    let since = i64::from(date.weekday().to_monday_zero_offset());
    date.checked_sub(jiff::Span::new().days(since)).unwrap_or(date)
}

fn months(date: Date) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month())
}

fn week_day_name(day: Weekday) -> &'static str {
    WEEK_DAYS.iter().find(|(_, own)| *own == day).map_or("", |(name, _)| name)
}

/// `a, b and c`.
fn all_of<T: AsRef<str>>(words: &[T]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    one_of(&words).replace(" or ", " and ")
}
