//! Compares the schedules that we accept with those that `azure-ai-ml` accepts.
//!
//! Needs a Python that has the package: `FLEETFIT_AZURE_PYTHON=/path/to/python`. Where the two differ
//! the difference is listed here with its reason, and each reason stands in `docs/schedules.md`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use fleetfit_search_spaces::schedule::ScheduleFile;

#[path = "azure/oracle.rs"]
mod oracle;

use oracle::{Case, Meant, are_told, compare};

use Meant::{Same, WeAccept, WeRefuse};

const EXPRESSION: &str = "an expression that is no cron expression, or that never comes";
const ZONE: &str = "a time zone that nobody knows";
const TIMES: &str = "a `start_time` or `end_time` that is not written in quotes";
const ORDER: &str = "an `end_time` before its `start_time`";
const BOUNDS: &str = "hours, minutes, days and intervals that no clock or calendar has";
const EMPTY: &str = "an empty list of hours, minutes or days";
const MISPLACED: &str = "`week_days` without `frequency: week`, `month_days` without `frequency: month`, and a \
     `schedule` where minutes or hours are counted";
const WEEKDAYS: &str = "`weekdays` for `week_days`";
const WORKSPACE: &str = "jobs of an Azure workspace (`azureml:…`)";
const INLINE: &str = "a sweep or AutoML job, in its own file or in the schedule";
const NAME: &str = "a schedule's name with other characters than letters, digits, `-`, `_` and `.`, or \
                    of more than 100";
const OTHER_KINDS: &str = "schedules that import data or watch models";
const FRACTION: &str = "a fraction where a whole number is wanted";
const LABELS: &str = "numbers as keys of `tags`";
const DATES: &str = "a date without a time";

const CRON: &str = "trigger: {type: cron, expression: \"0 6 * * *\"}";
const JOB: &str = "create_job: ./job.yaml";

struct Variant {
    text: String,
    meant: Meant,
}

fn of_trigger(rest: &str, meant: Meant) -> Variant {
    Variant { text: format!("name: s\ntrigger: {{{rest}}}\n{JOB}\n"), meant }
}

fn cron(rest: &str, meant: Meant) -> Variant {
    of_trigger(&format!("type: cron, {rest}"), meant)
}

fn every(rest: &str, meant: Meant) -> Variant {
    of_trigger(&format!("type: recurrence, {rest}"), meant)
}

fn whole(lines: &[&str], meant: Meant) -> Variant {
    Variant { text: format!("{}\n", lines.join("\n")), meant }
}

fn triggers() -> Vec<Variant> {
    let daily = "expression: \"0 6 * * *\"";
    let with = |rest: &str, meant| cron(&format!("{daily}, {rest}"), meant);
    vec![
        cron(daily, Same),
        cron("expression: '*/15 8-18 * * mon-fri'", Same),
        cron("expression: 0 6 * * *", Same),
        cron("expression: often", WeRefuse(EXPRESSION)),
        cron("expression: '0 0 6 * * *'", WeRefuse(EXPRESSION)),
        cron("expression: '0 0 30 2 *'", WeRefuse(EXPRESSION)),
        cron("expression: '@daily'", WeRefuse(EXPRESSION)),
        cron("expression: 7", Same),
        cron("expression: null", Same),
        cron("", Same),
        cron("expresion: 0 6 * * *", Same),
        of_trigger("type: Cron, expression: 0 6 * * *", Same),
        of_trigger("type: daily, expression: 0 6 * * *", Same),
        of_trigger("expression: 0 6 * * *", Same),
        of_trigger("", Same),
        with("frequency: day", Same),
        with("time_zone: Pacific Standard Time", Same),
        with("time_zone: Europe/Berlin", Same),
        with("time_zone: Mars", WeRefuse(ZONE)),
        with("time_zone: 7", Same),
        with("timezone: UTC", Same),
        with("start_time: '2026-11-20T06:00:00'", Same),
        with("start_time: '2026-11-20T06:00:00Z'", Same),
        with("start_time: '2026-11-20T06:00:00+01:00'", Same),
        with("start_time: '2026-11-20 06:00:00'", Same),
        with("start_time: '2026-11-20T06:00:00.5'", Same),
        with("start_time: '2026-11-20'", WeAccept(DATES)),
        with("start_time: 2026-11-20T06:00:00", WeAccept(TIMES)),
        with("start_time: tomorrow", Same),
        with("start_time: '2026-13-20T06:00:00'", Same),
        with("start_time: 7", Same),
        with("start_time: null", Same),
        with("end_time: '2026-11-20T06:00:00'", Same),
        with("start_time: '2026-11-20T06:00:00', end_time: '2026-11-19T06:00:00'", WeRefuse(ORDER)),
    ]
}

fn recurrences() -> Vec<Variant> {
    let day = "frequency: day, interval: 1";
    let at = |rest: &str, meant| every(&format!("{day}, schedule: {{{rest}}}"), meant);
    let week = |rest: &str, meant| {
        let pattern = format!("schedule: {{hours: 6, minutes: 0, {rest}}}");
        every(&format!("frequency: week, interval: 1, {pattern}"), meant)
    };
    let month = |rest: &str, meant| {
        let pattern = format!("schedule: {{hours: 6, minutes: 0, {rest}}}");
        every(&format!("frequency: month, interval: 1, {pattern}"), meant)
    };
    vec![
        every(day, Same),
        every("frequency: Minute, interval: 5", Same),
        every("frequency: hour, interval: 5", Same),
        every("frequency: WEEK, interval: '2'", Same),
        every("frequency: month, interval: 2.0", Same),
        every("frequency: month, interval: 2.5", WeRefuse(FRACTION)),
        every("frequency: month, interval: two", Same),
        every("frequency: year, interval: 1", Same),
        every("frequency: daily, interval: 1", Same),
        every("frequency: day", Same),
        every("interval: 1", Same),
        every("frequency: day, interval: 0", WeRefuse(BOUNDS)),
        every("frequency: day, interval: -1", WeRefuse(BOUNDS)),
        every("frequency: day, interval: 4000", WeRefuse(BOUNDS)),
        every(&format!("{day}, expression: 0 6 * * *"), Same),
        every(&format!("{day}, pattern: {{hours: 6, minutes: 0}}"), Same),
        every(&format!("{day}, schedule: 6"), Same),
        every(
            "frequency: minute, interval: 5, schedule: {hours: 6, minutes: 0}",
            WeRefuse(MISPLACED),
        ),
        at("hours: 6, minutes: 0", Same),
        at("hours: [6, 18], minutes: [0, 30]", Same),
        at("hours: '6', minutes: 0", Same),
        at("hours: six, minutes: 0", Same),
        at("hours: 6", Same),
        at("minutes: 6", Same),
        at("hours: 6, minutes: []", WeRefuse(EMPTY)),
        at("hours: 24, minutes: 0", WeRefuse(BOUNDS)),
        at("hours: 6, minutes: -1", WeRefuse(BOUNDS)),
        at("hours: [6.5], minutes: 0", WeRefuse(FRACTION)),
        at("hours: 6, minutes: 0, week_days: monday", WeRefuse(MISPLACED)),
        at("hours: 6, minutes: 0, month_days: 1", WeRefuse(MISPLACED)),
        at("hours: 6, minutes: 0, days: 1", Same),
        week("week_days: Monday", Same),
        week("week_days: [monday, FRIDAY]", Same),
        week("week_days: [mondy]", Same),
        week("week_days: [mon]", Same),
        week("week_days: []", WeRefuse(EMPTY)),
        week("week_days: 1", Same),
        week("weekdays: [monday]", WeAccept(WEEKDAYS)),
        month("month_days: 31", Same),
        month("month_days: [1, 15]", Same),
        month("month_days: 32", WeRefuse(BOUNDS)),
        month("month_days: first", Same),
        month("week_days: [monday]", WeRefuse(MISPLACED)),
    ]
}

fn schedules() -> Vec<Variant> {
    let long = format!("name: {}", "n".repeat(101));
    let sweep = "{type: sweep, trial: {command: 'true ${{search_space.x}}', environment: \
                 'azureml:env@latest'}, compute: 'azureml:c', search_space: {x: {type: uniform, \
                 min_value: 0, max_value: 1}}, sampling_algorithm: random, objective: {goal: \
                 minimize, primary_metric: loss}, limits: {max_total_trials: 3}}";
    let inline = format!("create_job: {sweep}");
    let described = ["$schema: x", "display_name: S", "description: d", "tags: {a: b}"];
    let mut lines = vec!["name: s", CRON, JOB, "properties: {a: b}"];
    lines.extend(described);
    vec![
        whole(&lines, Same),
        whole(&["name: s", CRON, JOB, "tags: {1: a}"], WeAccept(LABELS)),
        whole(&["name: s", CRON, JOB, "displayname: S"], Same),
        whole(&["name: s", CRON, JOB, "display_name: 7"], Same),
        whole(&["name: s", CRON, JOB, "version: 3"], Same),
        whole(&[CRON, JOB], Same),
        whole(&["name: every monday", CRON, JOB], WeRefuse(NAME)),
        whole(&[&long, CRON, JOB], WeRefuse(NAME)),
        whole(&["name: 7", CRON, JOB], Same),
        whole(&["name: s", JOB], Same),
        whole(&["name: s", CRON], Same),
        whole(&["name: s", "trigger: often", JOB], Same),
        whole(&["name: s", CRON, "create_job: azureml:simple"], WeRefuse(WORKSPACE)),
        whole(&["name: s", CRON, "create_job: {type: pipeline, job: ./job.yaml}"], Same),
        whole(
            &["name: s", CRON, "create_job: {type: pipeline, job: ./job.yaml, tags: {a: b}}"],
            Same,
        ),
        whole(
            &["name: s", CRON, "create_job: {type: pipeline, job: azureml:simple}"],
            WeRefuse(WORKSPACE),
        ),
        whole(&["name: s", CRON, "create_job: ./sweep.yaml"], WeAccept(INLINE)),
        whole(&["name: s", CRON, &inline], WeAccept(INLINE)),
        whole(&["name: s", CRON, "create_job: {type: sweep, job: ./sweep.yaml}"], WeAccept(INLINE)),
        whole(&["name: s", CRON, "create_job: {type: pipeline}"], Same),
        whole(&["name: s", CRON, "create_job: 7"], Same),
        whole(&["name: s", CRON, "create_job: [./job.yaml]"], Same),
        whole(
            &[
                "name: s",
                CRON,
                "import_data: {type: mltable, name: d, source: {type: database, \
               query: q, connection: 'azureml:c'}, path: 'azureml://datastores/d'}",
            ],
            WeRefuse(OTHER_KINDS),
        ),
    ]
}

fn variants() -> Vec<Variant> {
    [triggers(), recurrences(), schedules()].into_iter().flatten().collect()
}

#[test]
fn azure_and_we_accept_the_same_schedules() {
    let variants = variants();
    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| folder.path().join(name);
    let step = "{type: command, command: echo hi, environment: 'azureml:env@latest', compute: \
                'azureml:c'}";
    std::fs::write(inside("job.yaml"), format!("type: pipeline\njobs: {{a: {step}}}\n")).unwrap();
    let sweep =
        variants.iter().find_map(|it| it.text.split_once("create_job: {type: sweep, trial"));
    let (_, sweep) = sweep.unwrap();
    std::fs::write(inside("sweep.yaml"), format!("{{type: sweep, trial{sweep}")).unwrap();
    let cases = variants.iter().enumerate().map(|(index, variant)| Case {
        file: format!("schedule{index}.yml"),
        text: &variant.text,
        shown: &variant.text,
        meant: variant.meant,
    });
    compare(folder.path(), &cases.collect::<Vec<_>>(), |name, text| {
        ScheduleFile::read(name, text).and_then(|file| file.schedule()).map(drop)
    });
}

#[test]
fn every_difference_is_in_the_reference() {
    are_told("schedules.md", variants().iter().map(|variant| variant.meant));
}
