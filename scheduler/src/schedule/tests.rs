use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::ticker::Shared;
use super::{
    Clock, Fire, NewSchedule, ScheduleError, Schedules, StoredJob, StoredSchedule, Ticker,
};
use crate::journal::{Journal, NewStudy};

const JOB: &str = "\
type: sweep
trial: {command: 'true ${{search_space.x}}'}
search_space: {x: {type: uniform, min_value: 0, max_value: 1}}
objective: {goal: minimize, primary_metric: loss}
limits: {max_total_trials: 3}
";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn job() -> StoredJob {
    StoredJob {
        file: "job.yaml".into(),
        text: JOB.into(),
        sets: Vec::new(),
        base_dir: None,
        material: None,
    }
}

fn new(name: &str, trigger: &str) -> NewSchedule {
    NewSchedule {
        file: format!("{name}.yaml"),
        text: format!("name: {name}\ntrigger: {{{trigger}}}\ncreate_job: ./job.yaml\n"),
        job: Some(job()),
    }
}

const HOURLY: &str = "type: cron, expression: 0 * * * *";
const DAILY: &str = "type: cron, expression: 0 6 * * *";

/// A service with a clock that is set by hand, and what it submitted.
struct Bench {
    schedules: Schedules,
    passes: Shared,
    now: Arc<AtomicI64>,
    fired: Arc<Mutex<Vec<String>>>,
    fails: Arc<AtomicBool>,
}

fn clock(now: &Arc<AtomicI64>) -> Clock {
    let now = now.clone();
    Box::new(move || Timestamp::from_second(now.load(Ordering::SeqCst)).unwrap())
}

impl Bench {
    fn open(dir: &Path, time: &str) -> Self {
        let schedules = Schedules::open(&Journal::open(dir).unwrap()).unwrap();
        let now = Arc::new(AtomicI64::new(at(time).as_second()));
        let (fired, fails) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicBool>::default());
        let (told, refuses) = (fired.clone(), fails.clone());
        let own = schedules.clone();
        let fire: Fire = Box::new(move |schedule: &StoredSchedule, due| {
            let name = schedule.study_name(due);
            told.lock().unwrap().push(name.clone());
            // On disk before it is submitted.
            let stored = own.inner.journal.document("schedule", &schedule.name).unwrap();
            if let Some(stored) = stored {
                let stored = StoredSchedule::from_bytes(&stored).unwrap();
                assert_eq!((stored.pending, stored.last_fired), (Some(due), Some(due)));
            }
            match refuses.load(Ordering::SeqCst) {
                true => Err(format!("{name}: train.csv is not there")),
                false => Ok(name),
            }
        });
        let passes = Shared::new(schedules.clone(), fire, clock(&now));
        Self { schedules, passes, now, fired, fails }
    }

    fn create(&self, name: &str, trigger: &str) {
        let now = Timestamp::from_second(self.now.load(Ordering::SeqCst)).unwrap();
        self.schedules.create(new(name, trigger), now).unwrap();
    }

    /// What is submitted when the clock shows this.
    fn fired_at(&self, time: &str) -> Vec<String> {
        self.now.store(at(time).as_second(), Ordering::SeqCst);
        self.passes.pass().unwrap();
        std::mem::take(&mut self.fired.lock().unwrap())
    }
}

#[test]
fn schedules_are_created_once_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let now = at("2026-11-20T05:59:00.5Z");
    let schedules = Schedules::open(&Journal::open(dir.path()).unwrap()).unwrap();
    let nightly = schedules.create(new("nightly", DAILY), now).unwrap().0;
    assert_eq!(nightly.next_due.as_deref(), Some("2026-11-20T06:00:00Z"));
    assert_eq!(nightly.trigger, "cron 0 6 * * *, UTC");
    assert_eq!(nightly.job.as_deref(), Some("./job.yaml"));
    let later = now + SignedDuration::from_hours(48);
    let mut same = new("nightly", DAILY);
    same.text.insert_str(0, "# said otherwise\ndescription: the same\n");
    assert_eq!(schedules.create(same, later).unwrap().0.created, nightly.created);
    let with = |job: StoredJob| NewSchedule { job: Some(job), ..new("nightly", DAILY) };
    let others = [
        new("nightly", HOURLY),
        with(StoredJob { sets: vec![("limits.max_total_trials".into(), "4".into())], ..job() }),
        with(StoredJob { material: Some("f00".into()), ..job() }),
        with(StoredJob { base_dir: Some("/jobs".into()), ..job() }),
    ];
    for other in others {
        let error = schedules.create(other, now).unwrap_err();
        assert!(matches!(error, ScheduleError::Exists { .. }), "{error}");
    }
    schedules.create(new("hourly", HOURLY), now).unwrap();
    schedules.pause("nightly").unwrap();
    drop(schedules);

    let schedules = Schedules::open(&Journal::open(dir.path()).unwrap()).unwrap();
    let listed = schedules.list();
    let names: Vec<&str> = listed.iter().map(|view| view.schedule.as_str()).collect();
    assert_eq!(names, ["hourly", "nightly"]);
    assert!(listed[1].paused && listed[1].next_due.is_none(), "{:?}", listed[1]);
    assert!(!schedules.resume("nightly").unwrap().paused);
    schedules.delete("hourly").unwrap();
    let error = schedules.get("nigthly").unwrap_err().to_string();
    assert_eq!(error, "there is no schedule named nigthly; did you mean nightly?");
    assert!(schedules.delete("hourly").is_err());
    drop(schedules);
    let schedules = Schedules::open(&Journal::open(dir.path()).unwrap()).unwrap();
    assert_eq!(schedules.list().len(), 1);
}

#[test]
fn wrong_schedules_are_refused_with_every_problem() {
    let dir = tempfile::tempdir().unwrap();
    let schedules = Schedules::open(&Journal::open(dir.path()).unwrap()).unwrap();
    let now = at("2026-11-20T05:59:00Z");
    let mut wrong = new("nightly", "type: cron, expression: 0 25 * * *");
    wrong.job = Some(StoredJob { text: JOB.replace("max_value: 1", "max_value: -1"), ..job() });
    let said = schedules.create(wrong, now).unwrap_err().to_string();
    assert!(said.contains("nightly.yaml:2:35") && said.contains("job.yaml:3:46"), "{said}");
    assert!(said.ends_with("2 problems; nothing was started"), "{said}");
    let mut wrong = new("nightly", DAILY);
    let sets = vec![("limits.max_total_trials".into(), "0".into())];
    wrong.job = Some(StoredJob { sets, ..job() });
    assert!(matches!(schedules.create(wrong, now), Err(ScheduleError::Problems(_))));
    let over = new("over", "type: cron, expression: 0 6 * * *, end_time: '2026-11-20'");
    let said = schedules.create(over, now).unwrap_err().to_string();
    assert!(said.starts_with("over.yaml:2:"), "{said}");
    assert!(said.contains(": trigger.end_time is \"2026-11-20\", and no time"), "{said}");
    // Whatever else is wrong.
    let over = |trigger: &str, job: Option<StoredJob>| {
        let over =
            NewSchedule { job, ..new("over", &format!("{trigger}, end_time: '2026-11-20'")) };
        let said = schedules.create(over, now).unwrap_err().to_string();
        (said.contains(": trigger.end_time is"), said)
    };
    let wrong = StoredJob { text: JOB.replace("max_value: 1", "max_value: -1"), ..job() };
    for (trigger, job) in [
        (DAILY, Some(wrong)),
        (DAILY, None),
        ("type: cron, expression: 0 25 * * *", Some(job())),
        ("type: cron, expression: 0 6 * * *, tme_zone: UTC", Some(job())),
    ] {
        let (is_told, said) = over(trigger, job);
        assert!(is_told && said.ends_with("2 problems; nothing was started"), "{said}");
    }
    let (_, said) = over(&format!("{DAILY}, start_time: '2026-12-20'"), Some(job()));
    assert!(said.ends_with("1 problem; nothing was started"), "{said}");
    let alone = NewSchedule { job: None, ..new("nightly", DAILY) };
    let said = schedules.create(alone, now).unwrap_err().to_string();
    assert!(said.starts_with("nightly.yaml:3:13: create_job names ./job.yaml"), "{said}");
    // It is not told only once everything else is right.
    let alone = NewSchedule { job: None, ..new("nightly", "type: cron, expression: 0 25 * * *") };
    let said = schedules.create(alone, now).unwrap_err().to_string();
    assert!(said.contains("nightly.yaml:2:35") && said.contains("nightly.yaml:3:13"), "{said}");
    assert_eq!(schedules.list(), []);
}

#[test]
fn a_job_in_its_schedule_needs_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let schedules = Schedules::open(&Journal::open(dir.path()).unwrap()).unwrap();
    let inline: String = JOB.lines().map(|line| format!("  {line}\n")).collect();
    let text = format!("name: inline\ntrigger: {{{DAILY}}}\ncreate_job:\n{inline}");
    let new = |text: &str| NewSchedule { file: "s.yaml".into(), text: text.into(), job: None };
    let view = schedules.create(new(&text), at("2026-11-20T05:59:00Z")).unwrap().0;
    assert_eq!(view.job, None);
    let stored = schedules.stored("inline").unwrap();
    assert_eq!(stored.job.read().unwrap().canonical(), job().read().unwrap().canonical());
    let wrong = text.replace("random", "radnom").replace("max_total_trials: 3", "max_trials: 3");
    let error = schedules.create(new(&wrong), at("2026-11-20T05:59:00Z")).unwrap_err();
    assert!(error.to_string().starts_with("s.yaml:8:"), "{error}");
}

#[test]
fn each_time_is_run_once() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path(), "2026-11-20T05:59:00Z");
    bench.create("hourly", HOURLY);
    bench.create("daily", DAILY);
    assert_eq!(bench.fired_at("2026-11-20T05:59:59Z"), [""; 0]);
    let both = ["daily-20261120T060000Z", "hourly-20261120T060000Z"];
    assert_eq!(bench.fired_at("2026-11-20T06:00:00Z"), both);
    assert_eq!(bench.fired_at("2026-11-20T06:00:01Z"), [""; 0]);
    assert_eq!(bench.fired_at("2026-11-20T07:00:30Z"), ["hourly-20261120T070000Z"]);
    // The clock is set back, and comes forward again.
    assert_eq!(bench.fired_at("2026-11-20T05:30:00Z"), [""; 0]);
    assert_eq!(bench.fired_at("2026-11-20T06:00:00Z"), [""; 0]);
    assert_eq!(bench.fired_at("2026-11-20T07:00:00Z"), [""; 0]);
    assert_eq!(bench.fired_at("2026-11-20T08:00:00Z"), ["hourly-20261120T080000Z"]);
    let view = bench.schedules.get("hourly").unwrap();
    assert_eq!(view.last_fired.as_deref(), Some("2026-11-20T08:00:00Z"));
    assert_eq!(view.last_study.as_deref(), Some("hourly-20261120T080000Z"));
    assert_eq!(view.next_due.as_deref(), Some("2026-11-20T09:00:00Z"));
    assert_eq!(view.missed, 0);
}

#[test]
fn of_missed_times_the_latest_is_made_up_for_unless_it_is_old() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path(), "2026-11-20T05:30:00Z");
    bench.create("hourly", HOURLY);
    bench.create("daily", DAILY);
    bench.create("minutely", "type: recurrence, frequency: minute, interval: 1");
    drop(bench);
    let bench = Bench::open(dir.path(), "2026-11-20T05:30:00Z");
    let fired = bench.fired_at("2026-11-22T07:20:10Z");
    assert_eq!(fired, ["hourly-20261122T070000Z", "minutely-20261122T072000Z"]);
    let told = |name: &str| {
        let view = bench.schedules.get(name).unwrap();
        (view.missed, view.last_missed.unwrap(), view.next_due.unwrap())
    };
    let expected = |missed: u64, last: &str, next: &str| (missed, last.to_owned(), next.to_owned());
    assert_eq!(told("hourly"), expected(49, "2026-11-22T06:00:00Z", "2026-11-22T08:00:00Z"));
    assert_eq!(told("daily"), expected(3, "2026-11-22T06:00:00Z", "2026-11-23T06:00:00Z"));
    let minutes = 2 * 24 * 60 + 110;
    assert_eq!(told("minutely"), expected(minutes, "2026-11-22T07:19:00Z", "2026-11-22T07:21:00Z"));
    // An hour late is not too late, a second more is.
    assert_eq!(bench.fired_at("2026-11-23T07:00:00Z").len(), 3);
    bench.schedules.delete("minutely").unwrap();
    bench.schedules.delete("hourly").unwrap();
    assert_eq!(bench.fired_at("2026-11-24T07:00:01Z"), [""; 0]);
    // A century of minutes is not counted one by one.
    bench.create("minutely", "type: recurrence, frequency: minute, interval: 1");
    assert_eq!(bench.fired_at("2126-11-24T07:00:01Z"), ["minutely-21261124T070001Z"]);
    assert_eq!(bench.schedules.get("minutely").unwrap().missed, 100_000);
}

#[test]
fn a_run_that_was_begun_and_not_settled_is_done_once_more_under_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path(), "2026-11-20T05:59:00Z");
    bench.create("daily", DAILY);
    let begun = bench.schedules.begin("daily", at("2026-11-20T06:00:00Z")).unwrap().unwrap();
    assert_eq!(begun.0.study_name(begun.1), "daily-20261120T060000Z");
    // Killed before anybody was told; up again only the day after, later than it may be late.
    drop(bench);
    let bench = Bench::open(dir.path(), "2026-11-20T06:00:00Z");
    assert_eq!(bench.fired_at("2026-11-21T05:00:00Z"), ["daily-20261120T060000Z"]);
    assert_eq!(bench.fired_at("2026-11-21T05:00:00Z"), [""; 0]);
    let view = bench.schedules.get("daily").unwrap();
    assert_eq!(view.last_study.as_deref(), Some("daily-20261120T060000Z"));
    assert_eq!(view.missed, 0);
}

#[test]
fn runs_that_are_asked_for_within_one_second_have_names_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path(), "2026-11-20T05:59:00Z");
    bench.create("daily", DAILY);
    let (first, second) = ("daily-20261120T060000Z", "daily-20261120T060000Z-2");
    let now = at("2026-11-20T06:00:00Z");
    let taken = |bench: &Bench, name: &str| {
        let new = NewStudy { name: name.into(), ..NewStudy::default() };
        bench.schedules.inner.journal.create(&new).unwrap();
    };
    let asked = |bench: &Bench| {
        let (begun, due) = bench.schedules.begin_now("daily", now).unwrap();
        (begun.study_name(due), begun, due)
    };
    let (name, begun, due) = asked(&bench);
    assert_eq!((name.as_str(), due), (first, now));
    taken(&bench, first);
    bench.schedules.settle(&begun, due, &Ok(name)).unwrap();
    assert_eq!(asked(&bench).0, second);
    // Killed before it was settled, whether its study was made or not: it is done under its name.
    drop(bench);
    let bench = Bench::open(dir.path(), "2026-11-20T06:00:00Z");
    taken(&bench, second);
    assert_eq!(asked(&bench).0, second);
    assert_eq!(bench.fired_at("2026-11-20T06:00:00Z"), [second]);
    // What is due by the clock is that second's, whoever asked for more then.
    assert_eq!(bench.fired_at("2026-11-20T06:00:00Z"), [first]);
    assert_eq!(bench.fired_at("2026-11-21T06:00:00Z"), ["daily-20261121T060000Z"]);
}

#[test]
fn a_run_that_fails_is_told_and_the_next_one_is_not_held_up() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path(), "2026-11-20T05:59:00Z");
    bench.create("hourly", HOURLY);
    bench.fails.store(true, Ordering::SeqCst);
    assert_eq!(bench.fired_at("2026-11-20T06:00:00Z").len(), 1);
    let view = bench.schedules.get("hourly").unwrap();
    let error = "hourly-20261120T060000Z: train.csv is not there";
    assert_eq!(view.last_error.as_deref(), Some(error));
    assert_eq!((view.last_study, view.missed), (None, 0));
    assert_eq!(bench.fired_at("2026-11-20T06:30:00Z"), [""; 0]);
    bench.fails.store(false, Ordering::SeqCst);
    assert_eq!(bench.fired_at("2026-11-20T07:00:00Z").len(), 1);
    assert_eq!(bench.schedules.get("hourly").unwrap().last_error, None);
}

#[test]
fn a_paused_schedule_runs_nothing_and_makes_up_for_the_latest_time_when_it_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path(), "2026-11-20T05:59:00Z");
    bench.create("hourly", HOURLY);
    bench.schedules.pause("hourly").unwrap();
    assert_eq!(bench.fired_at("2026-11-20T09:10:00Z"), [""; 0]);
    bench.schedules.resume("hourly").unwrap();
    assert_eq!(bench.fired_at("2026-11-20T09:10:00Z"), ["hourly-20261120T090000Z"]);
    assert_eq!(bench.schedules.get("hourly").unwrap().missed, 3);
}

#[test]
fn what_cannot_be_read_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    journal.put_document("schedule", "torn", b"{\"version\":1,\"na").unwrap();
    journal.put_document("schedule", "later", b"{\"version\":2,\"cron\":[]}").unwrap();
    drop(journal);
    let bench = Bench::open(dir.path(), "2026-11-20T05:59:00Z");
    bench.create("hourly", HOURLY);
    assert_eq!(bench.fired_at("2026-11-20T06:00:00Z").len(), 1);
    let why = |name: &str| bench.schedules.get(name).unwrap().last_error.unwrap();
    assert_eq!(why("later"), "a newer fleetfit wrote it; use that version");
    assert!(why("torn").contains("damaged"), "{}", why("torn"));
    assert!(matches!(bench.schedules.pause("torn"), Err(ScheduleError::Unreadable { .. })));
    let mut same = new("torn", DAILY);
    same.file.clear();
    assert!(bench.schedules.create(same, at("2026-11-20T06:00:00Z")).is_err());
    bench.schedules.delete("torn").unwrap();
    assert_eq!(bench.schedules.list().len(), 2);
}

#[test]
fn a_deleted_schedule_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::open(dir.path(), "2026-11-20T05:59:00Z");
    bench.create("daily", DAILY);
    let (begun, due) = bench.schedules.begin("daily", at("2026-11-20T06:00:00Z")).unwrap().unwrap();
    bench.schedules.delete("daily").unwrap();
    bench.schedules.settle(&begun, due, &Ok("daily".into())).unwrap();
    assert_eq!(bench.schedules.list(), []);
    // Nor does its run become another one's.
    bench.now.store(at("2026-11-20T07:00:00Z").as_second(), Ordering::SeqCst);
    bench.create("daily", DAILY);
    bench.schedules.settle(&begun, due, &Ok("daily".into())).unwrap();
    assert_eq!(bench.schedules.get("daily").unwrap().last_study, None);
}

#[test]
fn the_ticker_runs_what_is_due_and_what_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let schedules = Schedules::open(&Journal::open(dir.path()).unwrap()).unwrap();
    let now = Arc::new(AtomicI64::new(at("2026-11-20T05:59:00Z").as_second()));
    let (told, heard) = mpsc::channel();
    let told = Mutex::new(told);
    let fire: Fire = Box::new(move |schedule: &StoredSchedule, due| {
        let name = schedule.study_name(due);
        told.lock().unwrap().send(name.clone()).unwrap();
        if name.starts_with("broken") {
            panic!("as it was asked to")
        }
        if name.starts_with("refused") { Err("no".to_owned()) } else { Ok(name) }
    });
    let ticker = Ticker::start(schedules.clone(), fire, clock(&now)).unwrap();
    let next = || heard.recv_timeout(Duration::from_secs(60)).unwrap();
    // One that is created while it sleeps, and is due at once.
    let created = at("2026-11-20T05:59:00Z");
    let every_day = "type: recurrence, frequency: day, interval: 1";
    schedules.create(new("early", every_day), created).unwrap();
    assert_eq!(next(), "early-20261120T055900Z");
    schedules.create(new("daily", DAILY), created).unwrap();
    schedules.create(new("broken", "type: cron, expression: 1 6 * * *"), created).unwrap();
    now.store(at("2026-11-20T06:00:00Z").as_second(), Ordering::SeqCst);
    ticker.look();
    assert_eq!(next(), "daily-20261120T060000Z");
    // A panic is a failed run, and the thread goes on.
    now.store(at("2026-11-20T06:01:00Z").as_second(), Ordering::SeqCst);
    ticker.look();
    assert_eq!(next(), "broken-20261120T060100Z");
    now.store(at("2026-11-20T06:07:08Z").as_second(), Ordering::SeqCst);
    let view = ticker.trigger("daily").unwrap();
    assert_eq!(next(), "daily-20261120T060708Z");
    assert_eq!(view.last_study.as_deref(), Some("daily-20261120T060708Z"));
    assert_eq!(view.next_due.as_deref(), Some("2026-11-21T06:00:00Z"));
    schedules.create(new("refused", DAILY), created).unwrap();
    schedules.pause("refused").unwrap();
    assert_eq!(ticker.trigger("refused").unwrap_err().to_string(), "no");
    assert_eq!(schedules.get("refused").unwrap().last_error.as_deref(), Some("no"));
    assert!(matches!(ticker.trigger("nobody"), Err(ScheduleError::Unknown { .. })));
    let broken = schedules.get("broken").unwrap().last_error.unwrap();
    assert_eq!(broken, "submitting its job failed unexpectedly");
    assert_eq!(ticker.trouble(), None);
    drop(ticker);
    assert!(heard.try_iter().all(|name| name.starts_with("refused")));
}
