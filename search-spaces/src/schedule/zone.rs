//! A time zone by its name: one of the time zone database (`Europe/Berlin`), or one of Windows, as
//! Azure's schedules have them (`Pacific Standard Time`). The database is compiled in, so that a
//! schedule means the same on every machine.
//!
//! Wall clocks are turned back and forward. A time that a clock skips is taken to be the first
//! instant after the gap; one that it shows twice is the first of the two, where not both are asked.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

use super::windows::WINDOWS_ZONES;
use crate::fields::{At, guess_hint};
use crate::findings::{Findings, Mistake};
use crate::nearest::nearest;
use crate::yaml::brief_text;

/// What `time_zone` may be, for messages.
const ALLOWED: &str = "a time zone, like Europe/Berlin or W. Europe Standard Time";

/// A time zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// Its name, as the user wrote it.
    pub name: String,
    rules: TimeZone,
}

/// Which instants a time of a wall clock means where the clock shows it twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twice {
    /// The first.
    First,
    /// Both.
    Both,
}

impl Zone {
    /// The zone of a schedule that names none.
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), rules: TimeZone::UTC }
    }

    /// The zone of this name, in any letter case.
    pub fn named(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("UTC") {
            return Some(Self::utc());
        }
        let windows = WINDOWS_ZONES.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        let known = windows.map_or(name, |(_, known)| known);
        let rules = TimeZoneDatabase::bundled().get(known).ok()?;
        Some(Self { name: name.to_owned(), rules })
    }

    pub(super) fn read(at: &At<'_>, findings: &mut Findings) -> Option<Self> {
        let text = at.text(findings)?;
        let zone = Self::named(text.trim());
        if zone.is_none() {
            let database = TimeZoneDatabase::bundled();
            let names: Vec<_> = database.available().collect();
            let known = WINDOWS_ZONES.iter().map(|(own, _)| *own);
            let known = known.chain(names.iter().map(|name| name.as_str()));
            let guess = nearest(&text, known);
            let mut mistake = Mistake::new(format!("{} is not known", brief_text(&text)), ALLOWED);
            mistake.hint = match fixed_offset(&text) {
                Some(name) => Some(format!("write {name}")),
                None => guess_hint(guess, &format!("write {ALLOWED}")),
            };
            findings.problem(at, mistake);
        }
        zone
    }

    /// What the wall clock shows then.
    pub fn clock(&self, instant: Timestamp) -> DateTime {
        self.rules.to_datetime(instant)
    }

    /// The one instant at which the wall clock shows this, or would have.
    pub fn instant(&self, clock: DateTime) -> Option<Timestamp> {
        self.instants(clock, Twice::First).next()
    }

    /// The instants at which the wall clock shows this, in order.
    pub(super) fn instants(
        &self,
        clock: DateTime,
        twice: Twice,
    ) -> impl Iterator<Item = Timestamp> + use<> {
        let at = |offset: jiff::tz::Offset| offset.to_timestamp(clock).ok();
        let found = match self.rules.to_ambiguous_timestamp(clock).offset() {
            AmbiguousOffset::Unambiguous { offset } => [at(offset), None],
            AmbiguousOffset::Gap { before, .. } => {
                [at(before).and_then(|late| self.last_change(late)), None]
            }
            AmbiguousOffset::Fold { before, after } => {
                [at(before), at(after).filter(|_| twice == Twice::Both)]
            }
        };
        found.into_iter().flatten()
    }

    /// When the clock was last turned, up to this instant.
    fn last_change(&self, instant: Timestamp) -> Option<Timestamp> {
        let just_after = instant.checked_add(SignedDuration::from_nanos(1)).ok()?;
        self.rules.preceding(just_after).next().map(|change| change.timestamp())
    }
}

/// The zone that is always so many hours from UTC, for `UTC+1` and the like. Its sign is the other
/// one: the database counts westwards.
fn fixed_offset(text: &str) -> Option<String> {
    let upper = text.trim().to_ascii_uppercase();
    let offset = upper.trim_start_matches("UTC").trim_start_matches("GMT");
    let (sign, hours) = match offset.split_at_checked(1)? {
        ("+", hours) => ('-', hours),
        ("-", hours) => ('+', hours),
        _ => return None,
    };
    let hours: u8 = hours.trim_end_matches(":00").parse().ok()?;
    Zone::named(&format!("Etc/GMT{sign}{hours}")).map(|zone| zone.name)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZoneDatabase;

    use super::super::windows::WINDOWS_ZONES;
    use super::{Twice, Zone};

    fn check(zone: &str, clock: &str, expected: &[&str]) {
        let zone = Zone::named(zone).expect("a zone");
        let instants: Vec<String> = zone
            .instants(clock.parse().expect("a time"), Twice::Both)
            .map(|instant| instant.to_string())
            .collect();
        assert_eq!(instants, expected, "{clock} in {}", zone.name);
    }

    #[test]
    fn a_skipped_time_is_the_end_of_the_gap_and_a_repeated_one_is_both() {
        check("Europe/Berlin", "2026-03-29T01:59", &["2026-03-29T00:59:00Z"]);
        check("Europe/Berlin", "2026-03-29T02:00", &["2026-03-29T01:00:00Z"]);
        check("Europe/Berlin", "2026-03-29T02:59", &["2026-03-29T01:00:00Z"]);
        check("Europe/Berlin", "2026-03-29T03:00", &["2026-03-29T01:00:00Z"]);
        check(
            "W. Europe Standard Time",
            "2026-10-25T02:30",
            &["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"],
        );
        // Half an hour, from 2:00 to 2:30.
        check("Lord Howe Standard Time", "2026-10-04T02:15", &["2026-10-03T15:30:00Z"]);
        // A whole day.
        check("Pacific/Apia", "2011-12-30T12:00", &["2011-12-30T10:00:00Z"]);
        // A rule of the far future.
        check("America/New_York", "2150-03-08T02:30", &["2150-03-08T07:00:00Z"]);
    }

    #[test]
    fn windows_names_are_zones_of_the_database() {
        let database = TimeZoneDatabase::bundled();
        for (name, known) in WINDOWS_ZONES {
            assert!(database.get(known).is_ok(), "{name}: {known}");
            assert!(Zone::named(&name.to_uppercase()).is_some(), "{name}");
        }
        assert!(WINDOWS_ZONES.is_sorted());
        assert!(Zone::named("Mars/Olympus").is_none());
    }
}
