//! When schedules are due, held against looking at every minute of the clock.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::Path;

use fleetfit_search_spaces::schedule::{CreateJob, Schedule, ScheduleFile, Trigger, Zone};
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

fn schedule(text: &str) -> Schedule {
    let file = ScheduleFile::read("schedule.yaml", text).unwrap();
    file.schedule().unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn trigger(rest: &str) -> Trigger {
    schedule(&format!("name: s\ntrigger: {{{rest}}}\ncreate_job: ./job.yaml\n")).trigger
}

fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The first due times after an instant, on the trigger's own clock.
#[track_caller]
fn check(rest: &str, after: &str, expected: &[&str]) {
    let trigger = trigger(rest);
    let dues = trigger.dues(instant(after)).take(expected.len());
    let shown: Vec<String> = dues.map(|due| trigger.zone.clock(due).to_string()).collect();
    let full = |text: &&str| {
        let clock: DateTime = text.parse().unwrap();
        clock.to_string()
    };
    assert_eq!(shown, expected.iter().map(full).collect::<Vec<_>>(), "{rest}");
}

#[test]
fn cron_expressions_are_due_on_their_clock() {
    let cron = |expression: &str| format!("type: cron, expression: '{expression}'");
    let after = "2026-11-20T05:59:59Z";
    check(&cron("0 6 * * *"), after, &["2026-11-20T06:00", "2026-11-21T06:00"]);
    check(&cron("0 6 * * *"), "2026-11-20T06:00:00Z", &["2026-11-21T06:00"]);
    check(&cron("30 */12 * * mon-fri"), after, &["2026-11-20T12:30", "2026-11-23T00:30"]);
    check(&cron("0 0 29 2 *"), after, &["2028-02-29T00:00", "2032-02-29T00:00"]);
    check(&cron("0 0 29 2 *"), "2097-01-01T00:00:00Z", &["2104-02-29T00:00"]);
    // A day of the month or a day of the week; with a * both must agree.
    check(
        &cron("0 0 1 * mon"),
        after,
        &["2026-11-23T00:00", "2026-11-30T00:00", "2026-12-01T00:00"],
    );
    check(&cron("0 0 */10 * mon"), after, &["2026-12-21T00:00", "2027-01-11T00:00"]);
    let berlin = format!("{}, time_zone: Europe/Berlin", cron("0 6 * * *"));
    check(&berlin, after, &["2026-11-21T06:00"]);
    let pacific = format!("{}, time_zone: Pacific Standard Time", cron("0 6 * * *"));
    check(&pacific, after, &["2026-11-20T06:00"]);
}

#[test]
fn start_and_end_are_included() {
    let bounded = "type: cron, expression: '0 6 * * *', time_zone: Asia/Tokyo, \
                   start_time: '2026-11-22T06:00:00', end_time: '2026-11-23T06:00:00'";
    let trigger = trigger(bounded);
    let dues: Vec<Timestamp> = trigger.dues(instant("2020-01-01T00:00:00Z")).collect();
    assert_eq!(dues, ["2026-11-21T21:00:00Z", "2026-11-22T21:00:00Z"].map(instant));
}

#[test]
fn recurrences_are_counted_from_their_start() {
    let every = |frequency: &str, interval: u32, rest: &str| {
        format!("type: recurrence, frequency: {frequency}, interval: {interval}{rest}")
    };
    let start = ", start_time: '2026-01-31T10:15:30'";
    let after = "2026-01-01T00:00:00Z";
    let check = |rest: String, expected: &[&str]| check(&rest, after, expected);
    check(every("minute", 90, start), &["2026-01-31T10:15:30", "2026-01-31T11:45:30"]);
    check(every("hour", 36, start), &["2026-01-31T10:15:30", "2026-02-01T22:15:30"]);
    check(every("day", 10, start), &["2026-01-31T10:15:30", "2026-02-10T10:15:30"]);
    check(every("week", 2, start), &["2026-01-31T10:15:30", "2026-02-14T10:15:30"]);
    // The last day of a shorter month.
    check(
        every("month", 1, start),
        &["2026-01-31T10:15:30", "2026-02-28T10:15:30", "2026-03-31T10:15:30"],
    );
    let with = |pattern: &str| format!("{start}, schedule: {{{pattern}}}");
    check(
        every("day", 2, &with("hours: [6, 18], minutes: 0")),
        &["2026-01-31T18:00", "2026-02-02T06:00", "2026-02-02T18:00"],
    );
    // The week of the start is the first, and begins on Monday, January 26th.
    check(
        every("week", 2, &with("hours: 6, minutes: [0, 30], week_days: [Sunday, monday]")),
        &["2026-02-01T06:00", "2026-02-01T06:30", "2026-02-09T06:00", "2026-02-09T06:30"],
    );
    // A month without such a day is left out.
    check(
        every("month", 1, &with("hours: 0, minutes: 0, month_days: [30, 31]")),
        &["2026-03-30T00:00", "2026-03-31T00:00", "2026-04-30T00:00", "2026-05-30T00:00"],
    );
    check(
        every("month", 1, &with("hours: 0, minutes: 0")),
        &["2026-02-28T00:00", "2026-03-31T00:00", "2026-04-30T00:00"],
    );
}

#[test]
fn a_recurrence_without_a_start_begins_with_its_creation() {
    let trigger = trigger("type: recurrence, frequency: hour, interval: 6");
    let created = instant("2026-11-20T07:08:09Z");
    let before = instant("2026-11-20T07:08:08Z");
    let dues: Vec<Timestamp> = trigger.from(created).dues(before).take(2).collect();
    assert_eq!(dues, ["2026-11-20T07:08:09Z", "2026-11-20T13:08:09Z"].map(instant));
}

#[test]
fn a_skipped_time_is_due_after_the_gap_and_a_repeated_one_once() {
    let check = |expression: &str, zone: &str, after: &str, expected: &[&str]| {
        let text = format!("type: cron, expression: '{expression}', time_zone: {zone}");
        let trigger = trigger(&text);
        let dues = trigger.dues(instant(after)).take(expected.len()).collect::<Vec<_>>();
        let expected: Vec<Timestamp> = expected.iter().map(|text| instant(text)).collect();
        assert_eq!(dues, expected, "{text}");
    };
    let berlin = "Europe/Berlin";
    let spring = "2026-03-28T12:00:00Z";
    check("30 2 * * *", berlin, spring, &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    // Two times that become one are one.
    check("30 2,3 * * *", berlin, spring, &["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]);
    check("0 2,3 * * *", berlin, spring, &["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]);
    let autumn = "2026-10-24T12:00:00Z";
    check("30 2 * * *", berlin, autumn, &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    // What is due every hour goes on as time passes.
    let in_the_night = "2026-10-24T23:45:00Z";
    check(
        "30 * * * *",
        berlin,
        in_the_night,
        &["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"],
    );
    check(
        "0 12 * * *",
        "Samoa Standard Time",
        "2011-12-29T12:00:00Z",
        &["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"],
    );
}

#[test]
fn a_trigger_that_is_over_or_never_comes_is_never_due() {
    let over = trigger("type: cron, expression: '0 6 * * *', end_time: '2026-01-01'");
    assert_eq!(over.next_after(instant("2026-01-01T00:00:00Z")), None);
    let never = "type: recurrence, frequency: month, interval: 12, start_time: '2026-02-01', \
                 schedule: {hours: 0, minutes: 0, month_days: 31}";
    assert_eq!(trigger(never).next_after(instant("2026-01-01T00:00:00Z")), None);
    let late = trigger("type: cron, expression: '0 0 1 1 *'");
    assert_eq!(late.next_after(instant("9999-12-30T00:00:00Z")), None);
}

#[test]
fn triggers_are_told_in_words() {
    let check = |rest: &str, words: &str| assert_eq!(trigger(rest).words(), words);
    check("type: cron, expression: ' 0  6 * * 1 '", "cron 0 6 * * 1, UTC");
    check(
        "type: recurrence, frequency: week, interval: 2, time_zone: Europe/Berlin, \
         schedule: {hours: [18, 6], minutes: 0, week_days: [friday, monday]}",
        "every 2 weeks on monday and friday at 06:00 and 18:00, Europe/Berlin",
    );
    check("type: recurrence, frequency: Hour, interval: 1", "every hour, UTC");
    check(
        "type: recurrence, frequency: month, interval: 1, \
         schedule: {hours: 6, minutes: [0, 5, 10, 15, 20, 25, 30, 35], month_days: [15, 1]}",
        "every month on day 1 and 15 at 06:00, 06:05, 06:10, 06:15, 06:20, 06:25 and 2 more times, \
         UTC",
    );
}

#[test]
fn what_is_run_is_a_file_with_changes_or_a_job() {
    let with = |create_job: &str| {
        let head = "name: s\ntrigger: {type: cron, expression: 0 6 * * *}\n";
        schedule(&format!("{head}create_job: {create_job}\n")).create_job
    };
    let CreateJob::File { path, changes, .. } = with("./jobs/demand.yaml") else {
        panic!("no file");
    };
    assert_eq!((path.as_str(), changes.len()), ("./jobs/demand.yaml", 0));
    let CreateJob::File { path, changes, place } =
        with("{type: sweep, job: ./job.yaml, limits: {timeout: 60}, inputs: {}, tags: [a, 1.50]}")
    else {
        panic!("no file");
    };
    let told: Vec<_> = changes.iter().map(|it| (it.path.as_str(), it.value.as_str())).collect();
    let expected = [("type", "\"sweep\""), ("limits.timeout", "60"), ("tags", "[\"a\", 1.50]")];
    assert_eq!((path.as_str(), told.as_slice()), ("./job.yaml", expected.as_slice()));
    assert_eq!((place.line, place.column), (3, 32));
    assert_eq!((changes[1].place.line, changes[1].place.column), (3, 62));
    let job = "{type: sweep, trial: {command: 'true ${{search_space.x}}'}, \
               search_space: {x: {type: uniform, min_value: 0, max_value: 1.50}}, \
               objective: {goal: minimize, primary_metric: loss}, limits: {max_total_trials: 2}}";
    let CreateJob::Inline(inline) = with(job) else {
        panic!("no job");
    };
    let own = fleetfit_search_spaces::Job::read("job.yaml", &inline.text).unwrap();
    assert_eq!(own.study().unwrap().space, inline.study().unwrap().space);
    assert_eq!(own.canonical(), inline.canonical());
    assert!(inline.text.contains("1.50"), "{}", inline.text);
}

#[test]
fn what_only_describes_a_schedule_does_not_make_another_one() {
    let text = "name: s\ntrigger: {type: cron, expression: 0 6 * * *}\ncreate_job: ./job.yaml\n";
    let canonical = |text: &str| ScheduleFile::read("s.yaml", text).unwrap().canonical();
    let described = format!("$schema: x\ntags: {{a: b}}\ndescription: d\n# why\n{text}");
    assert_eq!(canonical(text), canonical(&described));
    assert_ne!(canonical(text), canonical(&text.replace("0 6", "0 7")));
}

/// The zones whose clocks do the strangest things.
const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "Pacific/Apia",
];

/// One field of an expression, and the numbers that it means.
fn field(low: u32, high: u32) -> impl Strategy<Value = (String, Vec<u32>)> {
    let all: Vec<u32> = (low..=high).collect();
    let stepped = (1..=high / 2, Just(all.clone())).prop_map(move |(step, all)| {
        (format!("*/{step}"), all.into_iter().step_by(step as usize).collect())
    });
    let range = (low..=high, low..=high).prop_map(|(a, b)| {
        let (a, b) = (a.min(b), a.max(b));
        (format!("{a}-{b}"), (a..=b).collect::<Vec<u32>>())
    });
    let listed = proptest::collection::btree_set(low..=high, 1..4).prop_map(|numbers| {
        let words: Vec<String> = numbers.iter().map(u32::to_string).collect();
        (words.join(","), numbers.into_iter().collect())
    });
    prop_oneof![2 => Just(("*".to_owned(), all)), 1 => stepped, 1 => range, 2 => listed]
}

/// Whether a clock that shows this minute is one of an expression's.
struct Meant {
    fields: [(String, Vec<u32>); 5],
}

impl Meant {
    fn fits(&self, clock: DateTime) -> bool {
        let [minutes, hours, days, months, week_days] = &self.fields;
        let has = |field: &(String, Vec<u32>), number: i8| field.1.contains(&(number as u32));
        let by_day = has(days, clock.day());
        let by_week_day = has(week_days, clock.weekday().to_sunday_zero_offset());
        let is_day = match days.0.starts_with('*') || week_days.0.starts_with('*') {
            true => by_day && by_week_day,
            false => by_day || by_week_day,
        };
        has(minutes, clock.minute())
            && has(hours, clock.hour())
            && has(months, clock.month())
            && is_day
    }
}

/// Every minute in turn: it is due if the clock shows a time that is meant, for the first time or
/// in an expression of every hour; or if the clock has just skipped such a time.
fn by_looking(meant: &Meant, zone: &str, from: Timestamp, minutes: i64) -> Vec<Timestamp> {
    let rules = TimeZone::get(zone).unwrap();
    let minute = SignedDuration::from_mins(1);
    let every_hour = meant.fields[1].1.len() == 24;
    let mut dues = Vec::new();
    // Times are seen from two days before, so that a clock turned back is known to be.
    let mut now = from - SignedDuration::from_hours(48);
    let mut latest = rules.to_datetime(now - minute);
    while now < from + SignedDuration::from_mins(minutes) {
        let clock = rules.to_datetime(now);
        let is_first = clock > latest;
        let mut skipped = latest + minute;
        let mut is_due = meant.fits(clock) && (is_first || every_hour);
        while skipped < clock {
            is_due |= meant.fits(skipped);
            skipped += minute;
        }
        if is_due && now >= from {
            dues.push(now);
        }
        latest = latest.max(clock);
        now += minute;
    }
    dues
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn cron_is_what_looking_at_every_minute_finds(
        fields in (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)),
        zone in proptest::sample::select(ZONES),
        // Hours from 2010 on; every third begins near a change of some clock.
        hour in 0i64..200_000,
    ) {
        let (minute, hours, day, month, week_day) = fields;
        let meant = Meant { fields: [minute, hours, day, month, week_day] };
        let expression: Vec<&str> = meant.fields.iter().map(|field| field.0.as_str()).collect();
        let expression = expression.join(" ");
        let rules = TimeZone::get(zone).unwrap();
        let mut from = instant("2010-01-01T00:00:00Z") + SignedDuration::from_hours(hour);
        if hour % 3 == 0 && let Some(change) = rules.following(from).next() {
            from = change.timestamp() - SignedDuration::from_hours(hour % 24);
        }
        let text = format!(
            "name: s\ntrigger: {{type: cron, expression: '{expression}', time_zone: {zone}}}\n\
             create_job: ./job.yaml\n"
        );
        let Ok(schedule) = ScheduleFile::read("s.yaml", &text).unwrap().schedule() else {
            // A day that never comes: nothing to find in eight years.
            let first = from.to_zoned(rules).date();
            let found = (0..2922).map(|n| first.checked_add(jiff::Span::new().days(n)).unwrap())
                .any(|date| meant.fields[3].1.contains(&(date.month() as u32))
                    && meant.fields[2].1.contains(&(date.day() as u32)));
            prop_assert!(!found, "{expression} is refused");
            return Ok(());
        };
        let minutes = 9 * 24 * 60;
        let expected = by_looking(&meant, zone, from, minutes);
        let until = from + SignedDuration::from_mins(minutes);
        let just_before = from - SignedDuration::from_secs(1);
        let dues: Vec<Timestamp> =
            schedule.trigger.dues(just_before).take_while(|due| *due < until).collect();
        prop_assert_eq!(&dues, &expected, "{} in {}", expression, zone);
        // Asking again from each is the same.
        for pair in dues.windows(2).take(50) {
            prop_assert_eq!(schedule.trigger.next_after(pair[0]), Some(pair[1]));
        }
    }

    #[test]
    fn recurrences_by_the_calendar_are_what_looking_at_every_day_finds(
        frequency in proptest::sample::select(&["day", "week", "month"][..]),
        interval in 1u32..5,
        offset in 0i32..1500,
        days in proptest::collection::btree_set(0u32..31, 0..4),
    ) {
        let begin = Date::constant(2024, 1, 1).checked_add(jiff::Span::new().days(offset)).unwrap();
        let week_days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        let chosen: Vec<u32> = days.into_iter().collect();
        let own: Vec<&str> = chosen.iter().map(|day| week_days[*day as usize % 7]).collect();
        let extra = match frequency {
            "week" if !own.is_empty() => format!(", week_days: [{}]", own.join(", ")),
            "month" if !chosen.is_empty() => {
                let days: Vec<String> = chosen.iter().map(|day| (day + 1).to_string()).collect();
                format!(", month_days: [{}]", days.join(", "))
            }
            _ => String::new(),
        };
        let trigger = trigger(&format!(
            "type: recurrence, frequency: {frequency}, interval: {interval}, \
             start_time: '{begin}T12:00:00', schedule: {{hours: [6, 18], minutes: 30{extra}}}"
        ));
        let mut expected = Vec::new();
        let first_monday = begin.checked_sub(
            jiff::Span::new().days(begin.weekday().since(Weekday::Monday))).unwrap();
        let month_of = |date: Date| i32::from(date.year()) * 12 + i32::from(date.month());
        for n in 0..400i32 {
            let date = begin.checked_add(jiff::Span::new().days(n)).unwrap();
            let counted = match frequency {
                "day" => n,
                "week" => (n + i32::from(begin.weekday().since(Weekday::Monday))) / 7,
                _ => month_of(date) - month_of(begin),
            };
            let last = date.last_of_month().day();
            let is_day = match frequency {
                "day" => true,
                "week" if own.is_empty() => date.weekday() == begin.weekday(),
                "week" => own.contains(&week_days[date.weekday().since(Weekday::Monday) as usize]),
                _ if chosen.is_empty() => date.day() == begin.day().min(last),
                _ => chosen.contains(&(date.day() as u32 - 1)),
            };
            if is_day && counted % interval as i32 == 0 {
                let hours = if n == 0 { &[18][..] } else { &[6, 18][..] };
                expected.extend(hours.iter().map(|hour| date.at(*hour, 30, 0, 0)));
            }
        }
        prop_assert!(first_monday <= begin);
        let utc = Zone::utc();
        let start = utc.instant(begin.at(0, 0, 0, 0)).unwrap();
        let until = start + SignedDuration::from_hours(400 * 24);
        let dues: Vec<DateTime> = trigger.dues(start - SignedDuration::from_secs(1))
            .take_while(|due| *due < until).map(|due| utc.clock(due)).collect();
        prop_assert_eq!(dues, expected);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(name|trigger|create_job|: |\\{|\\}|type|cron|, |[0-9*/,-]{1,6}|\n| |recurrence|expression|start_time|'|2026-01-01)*") {
        if let Ok(file) = ScheduleFile::read("s.yaml", &text) {
            drop(file.judge());
            drop(file.canonical());
        }
    }
}

#[test]
fn a_job_in_the_place_of_a_schedule_is_told_so() {
    let job = "type: sweep\nname: demo\ntrial: external\nsearch_space: {x: [1, 2]}\n\
               sampling_algorithm: grid\n";
    for job in [job, "task: regression\ntraining_data: {path: x.csv}\n"] {
        let file = ScheduleFile::read("jobs/job.yaml", job).unwrap();
        let problems = file.schedule().unwrap_err().0;
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        assert_eq!(problem.message, "this is a job, not a schedule");
        let hint = problem.hint.as_ref().unwrap();
        assert!(hint.contains("trigger: ") && hint.contains("create_job: ./job.yaml"), "{hint}");
    }
    // One that has both is a schedule with keys too many.
    let both = format!("{job}create_job: ./job.yaml\n");
    let problems = ScheduleFile::read("s.yaml", &both).unwrap().schedule().unwrap_err().0;
    assert!(problems.len() > 1, "{problems:?}");
}

#[test]
fn every_block_of_the_reference_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schedules.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut n_schedules = 0;
    for block in text.split("```yaml").skip(1) {
        let (head, rest) = block.split_once('\n').unwrap();
        let (yaml, _) = rest.split_once("```").unwrap();
        if head.trim() == "fragment" {
            let around = format!("name: s\ncreate_job: ./job.yaml\n{yaml}");
            schedule(if yaml.starts_with("trigger") { &around } else { yaml });
            continue;
        }
        n_schedules += 1;
        schedule(yaml);
    }
    assert!(n_schedules >= 3, "{n_schedules} schedules");
}
