//! A cron expression: minute, hour, day of the month, month and day of the week.
//!
//! Each field is `*`, a number, a range `a-b`, either with a step (`*/15`, `8-18/2`), or a list of
//! those. Months and days of the week have names. As in cron since Vixie's, a day fires if it is one
//! of the days of the month *or* one of the days of the week; a field that begins with `*` leaves
//! the choice to the other.

use jiff::civil::{Date, Time};

use crate::fields::At;
use crate::findings::{Findings, Mistake};
use crate::nearest::nearest;
use crate::yaml::brief_text;

/// A cron expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    /// As it was written.
    pub expression: String,
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    week_days: Field,
}

/// The numbers of a field, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    bits: u64,
    /// Whether it was written with a `*` first.
    is_star: bool,
}

/// What a field may be.
struct Kind {
    name: &'static str,
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &[
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const WEEK_DAYS: &[&str] =
    &["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/// The days of the longest month of each name.
const LONGEST: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const MINUTE: Kind = Kind { name: "minute", low: 0, high: 59, names: &[] };
const HOUR: Kind = Kind { name: "hour", low: 0, high: 23, names: &[] };
const DAY: Kind = Kind { name: "day of the month", low: 1, high: 31, names: &[] };
const MONTH: Kind = Kind { name: "month", low: 1, high: 12, names: MONTHS };
/// Sunday is 0 and 7.
const WEEK_DAY: Kind = Kind { name: "day of the week", low: 0, high: 7, names: WEEK_DAYS };

/// What an expression may be, for messages.
const ALLOWED: &str = "five fields: minute, hour, day of the month, month, day of the week";

/// Words for expressions that other tools know.
const MACROS: &[(&str, &str)] = &[
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

impl Cron {
    pub(super) fn read(at: &At<'_>, findings: &mut Findings) -> Option<Self> {
        let text = at.text(findings)?;
        match Self::parse(&text) {
            Ok(cron) => {
                if !cron.days.is_star && !cron.week_days.is_star {
                    let says =
                        "names days of the month and days of the week; both fire, as in cron";
                    findings.notice(at, says);
                }
                Some(cron)
            }
            Err((says, hint)) => {
                let says = format!("is {}, {says}", brief_text(&text));
                findings.problem(at, Mistake::new(says, ALLOWED).hint(hint));
                None
            }
        }
    }

    /// Reads an expression. What is wrong comes as the end of a sentence about it, with what to
    /// write instead.
    fn parse(text: &str) -> Result<Self, (String, String)> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, week_days] = fields.as_slice() else {
            return Err(wrong_number(text, &fields));
        };
        let cron = Self {
            expression: fields.join(" "),
            minutes: Field::parse(minutes, &MINUTE)?,
            hours: Field::parse(hours, &HOUR)?,
            days: Field::parse(days, &DAY)?,
            months: Field::parse(months, &MONTH)?,
            week_days: Field::parse(week_days, &WEEK_DAY)?.with_both_sundays(),
        };
        let has_day = (1..=12).filter(|month| cron.months.has(*month)).any(|month| {
            let longest = LONGEST.get(month as usize - 1).copied().unwrap_or(31);
            (1..=longest).any(|day| cron.days.has(day))
        });
        // With a day of the week beside it, a day that does not exist takes nothing away.
        let by_week_days = !cron.week_days.is_star && !cron.days.is_star;
        if !has_day && !by_week_days {
            let says = "a day that never comes".to_owned();
            return Err((says, "write a day that one of the months has".to_owned()));
        }
        Ok(cron)
    }

    /// Whether a day is one on which it fires.
    pub(super) fn has_day(&self, date: Date) -> bool {
        let by_month = self.days.has(date.day() as u32);
        let by_week = self.week_days.has(date.weekday().to_sunday_zero_offset() as u32);
        let is_day = if self.days.is_star || self.week_days.is_star {
            by_month && by_week
        } else {
            by_month || by_week
        };
        is_day && self.months.has(date.month() as u32)
    }

    /// The times of each such day, in order.
    pub(super) fn times(&self) -> Vec<Time> {
        let minutes: Vec<u32> = (0..60).filter(|minute| self.minutes.has(*minute)).collect();
        let hours = (0..24).filter(|hour| self.hours.has(*hour));
        let at = |hour: u32, minute: u32| Time::constant(hour as i8, minute as i8, 0, 0);
        hours.flat_map(|hour| minutes.iter().map(move |minute| at(hour, *minute))).collect()
    }

    /// Whether it fires in every hour, and so goes on while a clock is turned back.
    pub(super) fn is_every_hour(&self) -> bool {
        (0..24).all(|hour| self.hours.has(hour))
    }
}

fn wrong_number(text: &str, fields: &[&str]) -> (String, String) {
    let word = text.trim().to_ascii_lowercase();
    if let Some((_, meant)) = MACROS.iter().find(|(name, _)| *name == word) {
        return ("which is no cron expression here".to_owned(), format!("write \"{meant}\""));
    }
    let hint = match fields {
        // Other tools put the second first, or the year last.
        ["0", rest @ ..] if rest.len() == 5 => format!("write \"{}\"", rest.join(" ")),
        _ => "write minute, hour, day of the month, month and day of the week: \"0 6 * * 1\""
            .to_owned(),
    };
    let plural = if fields.len() == 1 { "" } else { "s" };
    (format!("which has {} field{plural}, but must have 5", fields.len()), hint)
}

impl Field {
    fn parse(text: &str, kind: &Kind) -> Result<Self, (String, String)> {
        let mut bits = 0;
        for part in text.split(',') {
            bits |= part_bits(part, kind).map_err(|hint| {
                let bounds = format!("from {} to {}", kind.low, kind.high);
                let says = format!("whose {} {} is none {bounds}", kind.name, brief_text(text));
                (says, hint)
            })?;
        }
        Ok(Self { bits, is_star: text.starts_with('*') })
    }

    fn has(self, number: u32) -> bool {
        self.bits & (1 << number) != 0
    }

    fn with_both_sundays(self) -> Self {
        let sunday = u64::from(self.has(7));
        Self { bits: self.bits | sunday, ..self }
    }
}

/// The numbers of one part of a list, or what to write instead.
fn part_bits(part: &str, kind: &Kind) -> Result<u64, String> {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (part, None),
    };
    let step_by = match step.map(str::parse::<u32>) {
        None => 1,
        Some(Ok(step)) if step >= 1 => step,
        Some(_) => return Err(format!("write a step of 1 or more: */{}", kind.high / 4 + 1)),
    };
    let (low, high) = match range.split_once('-') {
        _ if range == "*" => (kind.low, kind.high),
        // Other tools want a ? where cron wants a *.
        _ if range == "?" => return Err("write * for any".to_owned()),
        Some((low, high)) => {
            let (low, high) = (number(low, kind)?, number(high, kind)?);
            // A week may be taken to end with its Sunday.
            let ends_on_sunday = high == 0 && low > 0 && kind.high == 7;
            (low, if ends_on_sunday { 7 } else { high })
        }
        None => {
            let low = number(range, kind)?;
            // `5/15` is every 15th from 5 on.
            (low, if step.is_some() { kind.high } else { low })
        }
    };
    if low > high {
        let (first, last) = (kind.low, kind.high);
        return Err(format!("write it as two: {low}-{last},{first}-{high}"));
    }
    // `*/2` over the days of the week must not count Sunday twice.
    let high = if range == "*" && kind.high == 7 { 6 } else { high };
    Ok((low..=high).step_by(step_by as usize).fold(0, |bits, number| bits | 1 << number))
}

fn number(text: &str, kind: &Kind) -> Result<u32, String> {
    if let Ok(number) = text.parse::<u32>()
        && text.bytes().all(|byte| byte.is_ascii_digit())
    {
        let fits = (kind.low..=kind.high).contains(&number);
        let otherwise = || format!("write one from {} to {}", kind.low, kind.high);
        return fits.then_some(number).ok_or_else(otherwise);
    }
    let lower = text.to_ascii_lowercase();
    let same = |name: &&str| lower.len() >= 3 && name.starts_with(&lower);
    if let Some(index) = kind.names.iter().position(same) {
        return Ok(index as u32 + u32::from(kind.low == 1));
    }
    let short = kind.names.iter().filter_map(|name| name.get(..3));
    Err(match nearest(&lower, short.chain(kind.names.iter().copied())) {
        Some(name) => format!("did you mean {name}?"),
        None => format!("write *, or numbers like {}", example(kind)),
    })
}

fn example(kind: &Kind) -> String {
    let (low, high) = (kind.low, kind.high);
    format!("{low}, {low}-{high}, {low},{high} or */2")
}

#[cfg(test)]
mod tests {
    use super::Cron;

    fn numbers(text: &str) -> [Vec<u32>; 5] {
        let cron = Cron::parse(text).unwrap_or_else(|(says, hint)| panic!("{says}; {hint}"));
        [cron.minutes, cron.hours, cron.days, cron.months, cron.week_days]
            .map(|field| (0..64).filter(|number| field.has(*number)).collect())
    }

    #[test]
    fn fields_are_lists_of_ranges_with_steps_and_names() {
        let [minutes, hours, days, months, week_days] = numbers("*/15 8-18/5 1,15 jan-MAR mon,FRI");
        assert_eq!(minutes, [0, 15, 30, 45]);
        assert_eq!(hours, [8, 13, 18]);
        assert_eq!(days, [1, 15]);
        assert_eq!(months, [1, 2, 3]);
        assert_eq!(week_days, [1, 5]);
        assert_eq!(numbers("50/5 0 * * *")[0], [50, 55]);
        assert_eq!(numbers("0 0 * * 7")[4], [0, 7]);
        assert_eq!(numbers("0 0 * * sat-sun")[4], [0, 6, 7]);
        assert_eq!(numbers("0 0 * * 5-7")[4], [0, 5, 6, 7]);
        assert_eq!(numbers("0 0 * * */2")[4], [0, 2, 4, 6]);
        assert_eq!(numbers("0 0 * * *")[4], [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(numbers("0 0 * * Wednesday")[4], [3]);
        assert_eq!(numbers("0 0 29 2 *")[2], [29]);
        assert_eq!(numbers("0 0 31 2 mon")[4], [1]);
    }

    #[test]
    fn anything_else_is_refused_with_what_to_write() {
        let check = |text: &str, expected: &str| {
            let (says, hint) = Cron::parse(text).expect_err(text);
            assert_eq!(format!("{says}; {hint}"), expected, "{text}");
        };
        check("60 * * * *", "whose minute \"60\" is none from 0 to 59; write one from 0 to 59");
        check(
            "0 22-4 * * *",
            "whose hour \"22-4\" is none from 0 to 23; write it as two: 22-23,0-4",
        );
        check("0 0 30 2 *", "a day that never comes; write a day that one of the months has");
        check("@daily", "which is no cron expression here; write \"0 0 * * *\"");
        check("0 0 6 * * 1", "which has 6 fields, but must have 5; write \"0 6 * * 1\"");
        check(
            "0 6 * * mom",
            "whose day of the week \"mom\" is none from 0 to 7; did you mean mon?",
        );
        for text in [
            "",
            "* * * *",
            "a * * * *",
            "*/0 * * * *",
            "*/x * * * *",
            "1- * * * *",
            "-1 * * * *",
            "+1 * * * *",
            "1,,2 * * * *",
            "0 0 ? * *",
            "0 0 L * *",
            "0 0 * * 1#2",
            "0 0 * * 8",
            "0 0 0 * *",
            "0 0 * 13 *",
            "0 0 * 0 *",
            "** * * * *",
            "99999999999 * * * *",
        ] {
            assert!(Cron::parse(text).is_err(), "{text}");
        }
    }
}
