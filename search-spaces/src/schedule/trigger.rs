//! When a schedule runs its job: a rule, a time zone, and the time from and until which it counts.
//!
//! Which instants these are is arithmetic; nothing here knows what time it is. Read next: `zone.rs`
//! for clocks that are turned back and forward.

use std::collections::VecDeque;

use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Timestamp};

use super::cron::Cron;
use super::recurrence::Recurrence;
use super::zone::{Twice, Zone};
use crate::fields::{At, Fields};
use crate::findings::{Findings, Mistake};
use crate::yaml::{Content, brief_text};

/// How far the next time is looked for: longer than any rule can pause.
const HORIZON_DAYS: u32 = 41 * 366;

/// What a time may be, for messages.
const ALLOWED: &str = "a time like 2026-11-20T06:00:00";

/// When a schedule runs its job.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// Which times.
    pub rule: Rule,
    /// On whose clock.
    pub zone: Zone,
    /// The first that count. A recurrence is counted from here.
    pub start: Option<Timestamp>,
    /// The last that count.
    pub end: Option<Timestamp>,
}

/// Which times of a wall clock.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// Those of a cron expression.
    Cron(Cron),
    /// Every so often from the start on.
    Recurrence(Recurrence),
}

#[derive(Clone, Copy)]
enum Type {
    Cron,
    Recurrence,
}

/// From and until when a trigger counts, on whose clock: none where nothing stands there, or nothing
/// that can be read.
struct Times {
    zone: Option<Zone>,
    start: Option<Option<Timestamp>>,
    end: Option<Option<Timestamp>>,
}

impl Times {
    fn read(fields: &mut Fields<'_>, findings: &mut Findings) -> Self {
        fields.also_called("timezone", "time_zone");
        let zone_at = fields.take("time_zone", findings);
        let zone = zone_at.map_or_else(|| Some(Zone::utc()), |at| Zone::read(&at, findings));
        let start_at = fields.take("start_time", findings);
        let end_at = fields.take("end_time", findings);
        // The times are looked at even where the zone is not known.
        let clock = zone.clone().unwrap_or_else(Zone::utc);
        let start = start_at.as_ref().map(|at| read_time(at, &clock, findings));
        let end = end_at.as_ref().map(|at| read_time(at, &clock, findings));
        if let (Some(Some(start)), Some(Some(end)), Some(at)) = (start, end, &end_at)
            && end < start
        {
            let says = format!("is {}, which is before start_time", at.node.brief());
            let mistake = Mistake::new(says, "a time after start_time");
            findings.problem(at, mistake.hint("write a later end_time, or an earlier start_time"));
        }
        Self { zone, start, end }
    }
}

impl Trigger {
    /// Reads a schedule's `trigger`.
    pub(super) fn read(at: &At<'_>, findings: &mut Findings) -> Option<Self> {
        let mut fields = at.map(findings)?;
        let rule = read_rule(&mut fields, findings);
        let times = Times::read(&mut fields, findings);
        fields.finish(findings);
        let start = times.start.map_or(Some(None), |start| start.map(Some))?;
        let end = times.end.map_or(Some(None), |end| end.map(Some))?;
        Some(Self { rule: rule?, zone: times.zone?, start, end })
    }

    /// Whether a schedule that is created now with this `trigger` is never due, as far as can be told
    /// of one with mistakes.
    pub(super) fn is_over(at: &At<'_>, now: Timestamp) -> bool {
        let mut findings = Findings::default();
        if let Some(trigger) = Self::read(at, &mut findings) {
            let trigger = trigger.from(now);
            return trigger.next_after(now - SignedDuration::from_secs(1)).is_none();
        }
        let times = at.map(&mut findings).map(|mut fields| Times::read(&mut fields, &mut findings));
        times.and_then(|times| times.end?).is_some_and(|end| end < now)
    }

    /// The same trigger with a start where it has none: a schedule begins when it is created.
    pub fn from(mut self, created: Timestamp) -> Self {
        self.start.get_or_insert(created);
        self
    }

    /// The next instant after this one at which it fires. Without a start, a recurrence is counted
    /// from `after` on.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.dues(after).next()
    }

    /// The instants after this one at which it fires, in order.
    pub fn dues(&self, after: Timestamp) -> Dues<'_> {
        let start = self.start.unwrap_or(after);
        let clock = self.zone.clock(start);
        let first = self.zone.clock(after.max(start)).date();
        let times = match &self.rule {
            Rule::Cron(cron) => cron.times(),
            Rule::Recurrence(recurrence) => recurrence.times(clock),
        };
        Dues {
            trigger: self,
            start,
            start_date: clock.date(),
            times,
            after,
            // A clock that skips a day fires that day's times on the next.
            date: first.yesterday().ok(),
            queue: VecDeque::new(),
        }
    }

    /// In words: `every 2 weeks on monday at 06:00, Europe/Berlin`.
    pub fn words(&self) -> String {
        let rule = match &self.rule {
            Rule::Cron(cron) => format!("cron {}", cron.expression),
            Rule::Recurrence(recurrence) => recurrence.words(),
        };
        format!("{rule}, {}", self.zone.name)
    }
}

fn read_rule(fields: &mut Fields<'_>, findings: &mut Findings) -> Option<Rule> {
    let types = &[("cron", Type::Cron), ("recurrence", Type::Recurrence)];
    // Without a type, what the trigger has tells what it was meant to be.
    let meant = if fields.has("expression") {
        Some(Type::Cron)
    } else if fields.has("frequency") || fields.has("interval") {
        Some(Type::Recurrence)
    } else {
        None
    };
    let own = match fields.require("type", "type: cron", findings) {
        Some(at) => at.word(types, findings),
        None => None,
    };
    match own.or(meant) {
        Some(Type::Cron) => {
            let at = fields.require("expression", "expression: \"0 6 * * *\"", findings)?;
            Cron::read(&at, findings).map(Rule::Cron)
        }
        Some(Type::Recurrence) => Recurrence::read(fields, findings).map(Rule::Recurrence),
        None => {
            for at in fields.ignore(&["expression", "frequency", "interval", "schedule"]) {
                drop(at);
            }
            None
        }
    }
}

/// A time on the schedule's clock, or an instant where an offset stands behind it. What is shorter
/// than a second is cut off.
fn read_time(at: &At<'_>, zone: &Zone, findings: &mut Findings) -> Option<Timestamp> {
    let Content::Text { text, .. } = &at.node.content else {
        return at.wrong(findings, ALLOWED, None);
    };
    let text = text.trim();
    let instant = if text.contains('[') {
        None
    } else if let Ok(instant) = text.parse::<Timestamp>() {
        Some(instant)
    } else {
        text.parse::<DateTime>().ok().and_then(|clock| zone.instant(clock))
    };
    let whole = instant.and_then(|instant| Timestamp::from_second(instant.as_second()).ok());
    if whole.is_none() {
        let says = format!("is {}, but must be {ALLOWED}", brief_text(text));
        let hint = "write a time of time_zone's clock, or one with an offset: \
                    2026-11-20T06:00:00+01:00";
        findings.problem(at, Mistake::new(says, ALLOWED).hint(hint));
    }
    whole
}

/// The instants at which a trigger fires, in order.
#[derive(Debug)]
pub struct Dues<'a> {
    trigger: &'a Trigger,
    start: Timestamp,
    start_date: Date,
    /// The times of a day on which it fires.
    times: Vec<Time>,
    /// The last one.
    after: Timestamp,
    /// The next day that is looked at.
    date: Option<Date>,
    /// Of the days that were looked at.
    queue: VecDeque<Timestamp>,
}

impl Iterator for Dues<'_> {
    type Item = Timestamp;

    fn next(&mut self) -> Option<Timestamp> {
        let next = match &self.trigger.rule {
            // What is counted from the start begins with it.
            Rule::Recurrence(Recurrence { pattern: None, .. }) if self.after < self.start => {
                Some(self.start)
            }
            Rule::Recurrence(rule) => match rule.frequency.seconds() {
                Some(seconds) => self.next_by_time(seconds * i64::from(rule.interval)),
                None => self.next_by_calendar(),
            },
            Rule::Cron(_) => self.next_by_calendar(),
        }?;
        self.after = next;
        self.trigger.end.is_none_or(|end| next <= end).then_some(next)
    }
}

impl Dues<'_> {
    fn next_by_time(&self, period_s: i64) -> Option<Timestamp> {
        let passed = self.start.duration_until(self.after).as_secs();
        let next = (passed / period_s + 1).checked_mul(period_s)?;
        self.start.checked_add(SignedDuration::from_secs(next)).ok()
    }

    fn next_by_calendar(&mut self) -> Option<Timestamp> {
        for _ in 0..HORIZON_DAYS {
            while let Some(instant) = self.queue.pop_front() {
                if instant > self.after && instant >= self.start {
                    return Some(instant);
                }
            }
            let date = self.date?;
            self.date = date.tomorrow().ok();
            if self.has_day(date) {
                self.look_at(date);
            }
        }
        None
    }

    fn has_day(&self, date: Date) -> bool {
        match &self.trigger.rule {
            Rule::Cron(cron) => cron.has_day(date),
            Rule::Recurrence(recurrence) => {
                date >= self.start_date && recurrence.has_day(date, self.start_date)
            }
        }
    }

    fn look_at(&mut self, date: Date) {
        let twice = match &self.trigger.rule {
            Rule::Cron(cron) if cron.is_every_hour() => Twice::Both,
            _ => Twice::First,
        };
        let zone = &self.trigger.zone;
        let clocks = self.times.iter().map(|time| date.to_datetime(*time));
        let mut instants: Vec<Timestamp> =
            clocks.flat_map(|clock| zone.instants(clock, twice)).collect();
        instants.sort_unstable();
        self.queue.extend(instants);
    }
}
