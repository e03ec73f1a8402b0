//! A whole runner with a device, which is the shim, beside one without: the same outcomes, to the bit
//! but for lines.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use fleetfit_search_spaces::wire::Numbered;
use fleetfit_search_spaces::{AssignmentTask, Block, Configuration, End, Job, Outcome};

use super::*;
use crate::cuda::machine::Fault;
use crate::cuda::shim::{Fate, Fates, Shim};

/// Longer than anything here takes on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(120);

/// How many stores, and configurations of each, there are.
const STORES: u32 = 5;
const TRIED: u32 = 7;
/// The configuration that is a line, where rows stand by themselves.
const LINE: u32 = 6;

mod company;

/// A study, and its configurations.
type Case = (fn(&Path, &str) -> Study, fn(u32) -> Configuration);

/// Rows that stand by themselves.
const ROWS: Case = (study, configuration);
/// The same rows: boosting, and neighbours, of which a device knows nothing.
const MIXED: Case = (mixed, mixed_configuration);
/// Rows of a series: boosting on lags, and the theta method.
const SERIES: Case = (series, series_configuration);

fn study(dir: &Path, rest: &str) -> Study {
    let row = |row: u32| {
        let (store, x) = (row % STORES, f64::from(row % 37) * 0.7);
        format!(
            "{store},{x},{},{}\n",
            f64::from(row % 11),
            x.sin() * 9.0 + f64::from(store + row % 5)
        )
    };
    // Stores have different numbers of rows.
    let rows: String = (0..400).filter(|n| n % 7 != 3 || n % STORES > 2).map(row).collect();
    std::fs::write(dir.join("data.csv"), format!("store,x,z,y\n{rows}")).unwrap();
    let job = format!(
        "type: sweep\nname: s\ntraining_data: {{path: data.csv}}\ntarget_column_name: y\n\
         task: regression\npartition_column_names: [store]\n\
         trial: {{learner: \"${{{{search_space.model}}}}\"}}\n\
         search_space:\n  model:\n    - {{learner: gradient_boosting, max_depth: [2, 3, 0], \
         n_estimators: [4, 6]}}\n    - {{learner: ridge, alpha: [1.0]}}\n\
         sampling_algorithm: grid\n\
         objective: {{goal: minimize, primary_metric: root_mean_squared_error}}\n\
         n_cross_validations: 3\nseed: 1\nlimits: {{max_total_trials: 7{rest}}}\n"
    );
    Job::read("job.yaml", &job).unwrap().study().unwrap()
}

fn configuration(number: u32) -> Configuration {
    let model = match number {
        0..6 => format!(
            r#"{{"learner": "gradient_boosting", "max_depth": {}, "n_estimators": {}}}"#,
            [2, 3, 0][number as usize / 2],
            4 + 2 * (number % 2),
        ),
        _ => r#"{"learner": "ridge", "alpha": 1.0}"#.to_owned(),
    };
    serde_json::from_str(&format!(r#"{{"model": {model}}}"#)).unwrap()
}

fn mixed(dir: &Path, rest: &str) -> Study {
    study(dir, "");
    let job = format!(
        "type: sweep\nname: s\ntraining_data: {{path: data.csv}}\ntarget_column_name: y\n\
         task: regression\npartition_column_names: [store]\n\
         trial: {{learner: \"${{{{search_space.model}}}}\"}}\n\
         search_space:\n  model:\n    - {{learner: gradient_boosting, n_estimators: [4, 6]}}\n\
         \x20   - {{learner: knn, n_neighbors: [1, 2, 3, 4, 5]}}\n\
         sampling_algorithm: grid\n\
         objective: {{goal: minimize, primary_metric: root_mean_squared_error}}\n\
         n_cross_validations: 3\nseed: 1\nlimits: {{max_total_trials: 7{rest}}}\n"
    );
    Job::read("job.yaml", &job).unwrap().study().unwrap()
}

/// The first configurations are a device's.
const OF_A_DEVICE: u32 = 2;

fn mixed_configuration(number: u32) -> Configuration {
    let model = match number {
        0..OF_A_DEVICE => {
            format!(r#"{{"learner": "gradient_boosting", "n_estimators": {}}}"#, 4 + 2 * number)
        }
        _ => format!(r#"{{"learner": "knn", "n_neighbors": {}}}"#, number - 1),
    };
    serde_json::from_str(&format!(r#"{{"model": {model}}}"#)).unwrap()
}

fn series(dir: &Path, rest: &str) -> Study {
    let row = |row: u32| {
        let (store, day) = (row % STORES, row / STORES);
        let season = [3.0, 0.0, -2.0, 5.0, 1.0, 0.5, -4.0][day as usize % 7];
        let noise = (f64::from(row) * 12.9898).sin();
        format!("{store},{day},{}\n", 20.0 + f64::from(day) * 0.1 + season + noise)
    };
    let rows: String =
        (0..STORES * 70).filter(|n| n % 13 != 5 || n % STORES > 2).map(row).collect();
    std::fs::write(dir.join("data.csv"), format!("store,day,y\n{rows}")).unwrap();
    let job = format!(
        "type: sweep\nname: s\ntraining_data: {{path: data.csv}}\ntarget_column_name: y\n\
         task: forecasting\npartition_column_names: [store]\n\
         forecasting: {{time_column_name: day, forecast_horizon: 4, target_lags: [1, 7], \
         strategy: direct}}\n\
         trial: {{learner: \"${{{{search_space.model}}}}\"}}\n\
         search_space:\n  model:\n    - {{learner: gradient_boosting, max_depth: [2, 3, 4], \
         n_estimators: [4, 6]}}\n    - {{learner: theta, theta: [optimized]}}\n\
         sampling_algorithm: grid\n\
         objective: {{goal: minimize, primary_metric: root_mean_squared_error}}\n\
         n_cross_validations: 2\nseed: 1\nlimits: {{max_total_trials: 7{rest}}}\n"
    );
    Job::read("job.yaml", &job).unwrap().study().unwrap()
}

fn series_configuration(number: u32) -> Configuration {
    let model = match number {
        0..6 => format!(
            r#"{{"learner": "gradient_boosting", "max_depth": {}, "n_estimators": {}}}"#,
            2 + number / 2,
            4 + 2 * (number % 2),
        ),
        _ => r#"{"learner": "theta", "theta": "optimized"}"#.to_owned(),
    };
    serde_json::from_str(&format!(r#"{{"model": {model}}}"#)).unwrap()
}

/// All configurations for some of the stores.
fn tries(case: Case, number: u64, entities: Range<u32>) -> Assignment {
    tries_some(case, number, 0..TRIED, entities)
}

fn tries_some(case: Case, number: u64, tried: Range<u32>, entities: Range<u32>) -> Assignment {
    let block = |number| {
        let tried = Numbered { number, configuration: case.1(number) };
        Block { tried, entities: vec![entities.clone()] }
    };
    Assignment { key: key(number), task: AssignmentTask::Try(tried.map(block).collect()) }
}

fn key(number: u64) -> AssignmentKey {
    AssignmentKey { study: StudyId(1), number, attempt: 1 }
}

struct Set {
    runner: Runner,
    assign: Sender<Assignment>,
    told: Receiver<FromRunner>,
}

fn start(case: Case, dir: &Path, rest: &str, device: &Device) -> Set {
    let allowance = Allowance { device: device.clone(), ..Allowance::of(2) };
    let set = start_with(allowance);
    set.runner.add(StudyId(1), work(case.0(dir, rest), dir));
    set
}

fn work(study: Study, dir: &Path) -> StudyWork {
    StudyWork {
        dataset: study.data.as_ref().map(|data| Dataset::load(dir, data).unwrap()),
        study,
        seed: 1,
        base_dir: dir.to_owned(),
        dir: dir.join("study"),
        supervisor: PathBuf::new(),
        code: None,
        keeping: Keeping::Here,
    }
}

fn start_with(allowance: Allowance) -> Set {
    let (assign, assignments) = channel();
    let (tell, told) = channel();
    let tell = Box::new(move |message| drop(tell.send(message)));
    let provide = Box::new(|_| Err(Lacking("there is one only".into())));
    let runner = Runner::start(allowance, assignments, tell, provide).unwrap();
    Set { runner, assign, told }
}

/// Value or reason of each trial, by configuration and entity.
type Values = BTreeMap<(u32, u32), Result<f64, String>>;

fn take_in(values: &mut Values, outcomes: Vec<Outcome>) {
    for Outcome { configuration, entity, end, .. } in outcomes {
        let value = match end {
            End::Completed { value } => Ok(value),
            End::Failed { reason } | End::Stopped { reason, .. } => Err(reason),
        };
        assert_eq!(values.insert((configuration, entity), value), None, "told once");
    }
}

/// What becomes of all trials, in two assignments.
fn values(rest: &str, device: &Device) -> Values {
    values_of(ROWS, rest, device)
}

fn values_of(case: Case, rest: &str, device: &Device) -> Values {
    let dir = tempfile::tempdir().unwrap();
    let set = start(case, dir.path(), rest, device);
    set.assign.send(tries(case, 1, 0..3)).unwrap();
    set.assign.send(tries(case, 2, 3..STORES)).unwrap();
    let (mut values, mut n_done) = (Values::new(), 0);
    while n_done < 2 {
        match set.told.recv_timeout(LONG).unwrap() {
            FromRunner::Outcomes { outcomes, .. } => take_in(&mut values, outcomes),
            FromRunner::Done { .. } => n_done += 1,
            other => panic!("{other:?}"),
        }
    }
    drop(set.assign);
    set.runner.join();
    values
}

/// Lines are told within 1e-9 of themselves.
#[track_caller]
fn assert_same(found: &Values, expected: &Values, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (trial, expected) in expected {
        let (Ok(expected), Ok(found)) = (expected, &found[trial]) else {
            assert_eq!(&found[trial], expected, "{what}: {trial:?}");
            continue;
        };
        let tolerance = if trial.0 == LINE { 1e-9 * expected.abs() } else { 0.0 };
        assert!(
            (found - expected).abs() <= tolerance,
            "{what}: {trial:?}: {found}, not {expected}"
        );
    }
}

fn on(fates: impl IntoIterator<Item = Fate>) -> (Device, &'static Fates) {
    let fates = Fates::of(fates);
    (Device::on(Shim { fates: Some(fates), ..Shim::default() }), fates)
}

#[test]
fn a_device_tells_what_the_processor_finds() {
    let expected = values("", &Device::default());
    assert_eq!(expected.len(), (TRIED * STORES) as usize);
    assert!(expected.values().all(Result::is_ok), "{expected:?}");
    let (device, fates) = on([]);
    assert_same(&values("", &device), &expected, "a device");
    // Of each of the two assignments boosting, narrow or wide, and the three kernels of ridge.
    assert!((8..=10).contains(&fates.n_launches()), "{}", fates.n_launches());
    assert_eq!(device.news(), Vec::<String>::new());
}

#[test]
fn series_are_a_device_s_too() {
    let expected = values_of(SERIES, "", &Device::default());
    assert_eq!(expected.len(), (TRIED * STORES) as usize);
    assert!(expected.values().all(Result::is_ok), "{expected:?}");
    let (device, fates) = on([]);
    assert_same(&values_of(SERIES, "", &device), &expected, "series");
    // Of each assignment boosting, narrow or wide, and theta.
    assert!((4..=8).contains(&fates.n_launches()), "{}", fates.n_launches());
}

#[test]
fn what_a_device_knows_nothing_of_is_tried_while_a_launch_stands() {
    let expected = values_of(MIXED, "", &Device::default());
    assert!(expected.values().all(Result::is_ok), "{expected:?}");
    let (device, fates) = on([]);
    assert_same(&values_of(MIXED, "", &device), &expected, "both at once");
    assert!(fates.n_launches() > 0);
    let dir = tempfile::tempdir().unwrap();
    let (device, _) = on([Fate::Stands(Duration::from_secs(3_600))]);
    let set = start(MIXED, dir.path(), "", &device);
    set.assign.send(tries(MIXED, 1, 0..STORES)).unwrap();
    let mut values = Values::new();
    while values.len() < ((TRIED - OF_A_DEVICE) * STORES) as usize {
        match set.told.recv_timeout(LONG).unwrap() {
            FromRunner::Outcomes { outcomes, .. } => take_in(&mut values, outcomes),
            other => panic!("{other:?}"),
        }
    }
    for (trial, value) in &values {
        assert!(trial.0 >= OF_A_DEVICE, "{trial:?}");
        assert_eq!(value, &expected[trial]);
    }
    let of = key(1);
    let reason = "it was cancelled".to_owned();
    set.runner.hints()(ToRunner::StopStudy { study: of.study, before: 2, reason });
    loop {
        match set.told.recv_timeout(LONG).unwrap() {
            FromRunner::Outcomes { outcomes, .. } => take_in(&mut values, outcomes),
            FromRunner::Done { of: done } => break assert_eq!(done, of),
            other => panic!("{other:?}"),
        }
    }
}

/// Each of some configurations of the mixed study for each store.
fn one_by_one(tried: Range<u32>) -> Vec<(u32, u32)> {
    tried.flat_map(|tried| (0..STORES).map(move |store| (tried, store))).collect()
}

/// Assignments of one trial each, and what is told of them.
#[derive(Default)]
struct Singles {
    all: Vec<Assignment>,
    values: Values,
    done: Vec<u64>,
}

impl Singles {
    fn assign<'a>(set: &Set, all: impl IntoIterator<Item = &'a (u32, u32)>) -> Self {
        let one = |(number, &(tried, store)): (u64, &(u32, u32))| {
            tries_some(MIXED, number, tried..tried + 1, store..store + 1)
        };
        let all: Vec<Assignment> = (1..).zip(all).map(one).collect();
        all.iter().for_each(|one| set.assign.send(one.clone()).unwrap());
        Self { all, ..Self::default() }
    }

    /// Hears of them until so many are done.
    fn land(&mut self, set: &Set, n_done: usize) {
        while self.done.len() < n_done {
            match set.told.recv_timeout(LONG).unwrap() {
                FromRunner::Outcomes { outcomes, .. } => take_in(&mut self.values, outcomes),
                FromRunner::Done { of } => self.done.push(of.number),
                // It found no slot in time, because others came back from the card.
                FromRunner::Returned { of, reason: None } => {
                    set.assign.send(self.all[of.number as usize - 1].clone()).unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_slot_whose_assignment_waits_for_its_card_is_free_for_others() {
    let expected = values_of(MIXED, "", &Device::default());
    static GATE: AtomicBool = AtomicBool::new(false);
    // Two launches stand; whoever comes later waits for them.
    let (device, _) = on([Fate::Waits(&GATE), Fate::Waits(&GATE)]);
    let dir = tempfile::tempdir().unwrap();
    let set = start(MIXED, dir.path(), "", &device);
    let (of_device, others) = (one_by_one(0..OF_A_DEVICE), one_by_one(OF_A_DEVICE..TRIED));
    // With two slots, as many as may wait beside them and two more, which are set aside.
    let n_asking = n_asking(2);
    assert_eq!([n_asking, super::n_asking(40), super::n_asking(110)], [8, 64, 110]);
    assert_eq!(of_device.len(), n_asking + 2);
    let mut singles = Singles::assign(&set, of_device.iter().chain(&others));
    singles.land(&set, others.len());
    assert!(singles.values.keys().all(|trial| trial.0 >= OF_A_DEVICE), "{:?}", singles.values);
    GATE.store(true, Ordering::SeqCst);
    singles.land(&set, of_device.len() + others.len());
    assert_same(&singles.values, &expected, "one by one");
    drop(set.assign);
    set.runner.join();
}

impl Set {
    /// How many wait for the card, and how many are set aside, as is told next.
    fn n_waiting(&self, asking: &Receiver<Asking>) -> (usize, usize) {
        let Asking { n, n_aside, .. } = asking.recv_timeout(LONG).unwrap();
        (n, n_aside)
    }
}

/// A runner whose card's launches stand for good, with as many assignments as may wait for it at
/// threads, and two more set aside.
fn with_two_aside(dir: &Path, device: &Device) -> (Set, Singles, Receiver<Asking>) {
    let set = start(MIXED, dir, "", device);
    let (tell, asking) = channel();
    set.runner.hear_of_asking(move |asking| tell.send(asking).unwrap_or_default());
    let singles = Singles::assign(&set, &one_by_one(0..OF_A_DEVICE));
    let (began, mut waiting) = (Instant::now(), (0, 0));
    while waiting != (n_asking(2), 2) {
        assert!(began.elapsed() < LONG, "{waiting:?}");
        if let Ok(Asking { n, n_aside, .. }) = asking.recv_timeout(Duration::from_millis(10)) {
            waiting = (n, n_aside);
        }
        for message in set.told.try_iter() {
            // It found no slot in time, because others came back.
            let FromRunner::Returned { of, reason: None } = message else { panic!("{message:?}") };
            set.assign.send(singles.all[of.number as usize - 1].clone()).unwrap();
        }
    }
    assert_eq!(set.runner.holds().len(), singles.all.len(), "their leases are kept up");
    (set, singles, asking)
}

fn stands() -> Device {
    on([Fate::Stands(Duration::from_secs(3_600)), Fate::Stands(Duration::from_secs(3_600))]).0
}

#[test]
fn what_is_set_aside_goes_on_though_nothing_comes_any_more() {
    let expected = values_of(MIXED, "", &Device::default());
    static GATE: AtomicBool = AtomicBool::new(false);
    let (device, _) = on([Fate::Waits(&GATE), Fate::Waits(&GATE)]);
    let dir = tempfile::tempdir().unwrap();
    let (Set { runner, assign, told }, singles, asking) = with_two_aside(dir.path(), &device);
    drop(assign);
    GATE.store(true, Ordering::SeqCst);
    runner.join();
    let (mut values, mut done) = (Values::new(), BTreeSet::new());
    for message in told.try_iter() {
        match message {
            FromRunner::Outcomes { outcomes, .. } => take_in(&mut values, outcomes),
            // Or it found no slot in time, because others came back from the card.
            FromRunner::Done { of } | FromRunner::Returned { of, reason: None } => {
                assert!(done.insert(of.number), "told once");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(done.len(), singles.all.len());
    assert!(values.len() >= n_asking(2));
    assert!(values.iter().all(|(trial, value)| *value == expected[trial]));
    assert_eq!(asking.try_iter().last().map(|told| (told.n, told.n_aside)), Some((0, 0)));
}

#[test]
fn what_is_set_aside_is_over_with_its_study() {
    let dir = tempfile::tempdir().unwrap();
    let (set, mut singles, asking) = with_two_aside(dir.path(), &stands());
    let reason = "it was cancelled".to_owned();
    set.runner.hints()(ToRunner::StopStudy { study: key(1).study, before: 11, reason });
    singles.land(&set, singles.all.len());
    assert_eq!(singles.done.iter().collect::<BTreeSet<_>>().len(), singles.all.len());
    while set.n_waiting(&asking) != (0, 0) {}
    // That is told first.
    while !set.runner.holds().is_empty() {
        std::thread::yield_now();
    }
}

#[test]
fn what_is_set_aside_ends_at_once_where_others_wait_for_the_card() {
    let dir = tempfile::tempdir().unwrap();
    let (set, singles, asking) = with_two_aside(dir.path(), &stands());
    let study = StudyId(2);
    set.runner.add(study, work(MIXED.0(dir.path(), ""), dir.path()));
    let of = AssignmentKey { study, ..key(1) };
    set.assign.send(Assignment { key: of, ..singles.all[0].clone() }).unwrap();
    while set.n_waiting(&asking) != (n_asking(2), 3) {}
    let reason = "it was cancelled".to_owned();
    set.runner.hints()(ToRunner::StopStudy { study, before: 2, reason });
    assert_eq!(set.told.recv_timeout(LONG), Ok(FromRunner::Done { of }));
    while set.runner.holds().contains(&of) {
        std::thread::yield_now();
    }
    assert_eq!(set.runner.holds().len(), singles.all.len(), "the other study's still wait");
}

#[test]
fn what_is_set_aside_is_handed_back_by_a_runner_that_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (set, singles, _asking) = with_two_aside(dir.path(), &stands());
    set.runner.drain(Duration::ZERO);
    let mut returned = BTreeSet::new();
    for message in set.told.try_iter() {
        match message {
            FromRunner::Returned { of, reason: None } => assert!(returned.insert(of), "told once"),
            FromRunner::Outcomes { outcomes, .. } => assert!(outcomes.is_empty()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(returned, singles.all.iter().map(|own| own.key).collect());
    assert!(set.runner.holds().is_empty());
}

#[test]
fn who_waits_for_its_card_is_told_of_and_gives_way_to_as_many() {
    let (device, _) = on([Fate::Stands(Duration::from_secs(3_600))]);
    let dir = tempfile::tempdir().unwrap();
    let set = start(MIXED, dir.path(), "", &device);
    let (tell, asking) = channel();
    set.runner.hear_of_asking(move |asking| tell.send(asking).unwrap_or_default());
    let expected = Asking { most: n_asking(2), ..Asking::default() };
    assert_eq!(asking.recv_timeout(LONG), Ok(expected.clone()));
    // Of the first one nobody asks the card.
    let mut singles = Singles::assign(&set, &[(OF_A_DEVICE, 0)]);
    singles.land(&set, 1);
    set.assign.send(tries_some(MIXED, 2, 0..1, 0..1)).unwrap();
    let studies = BTreeSet::from([StudyId(1)]);
    assert_eq!(asking.recv_timeout(LONG), Ok(Asking { n: 1, studies, ..expected }));
    // One that is cancelled waits no more.
    let reason = "it was cancelled".to_owned();
    set.runner.hints()(ToRunner::StopStudy { study: key(1).study, before: 3, reason });
    singles.land(&set, 2);
    while asking.recv_timeout(LONG).unwrap().n != 0 {}
}

/// The trials that a device fitted, as is told of them.
fn launched(case: Case, device: &Device) -> BTreeSet<(u32, u32)> {
    let dir = tempfile::tempdir().unwrap();
    let set = start(case, dir.path(), "", device);
    set.assign.send(tries(case, 1, 0..STORES)).unwrap();
    let mut found = BTreeSet::new();
    loop {
        match set.told.recv_timeout(LONG).unwrap() {
            FromRunner::Outcomes { outcomes, launched: true, .. } => {
                found.extend(outcomes.iter().map(|own| (own.configuration, own.entity)));
            }
            FromRunner::Outcomes { .. } => {}
            FromRunner::Done { .. } => return found,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_a_device_fitted_is_told_apart() {
    let all = |tried: Range<u32>| BTreeSet::from_iter(one_by_one(tried));
    assert_eq!(launched(MIXED, &on([]).0), all(0..OF_A_DEVICE));
    assert!(launched(ROWS, &on([]).0).is_superset(&all(LINE..LINE + 1)));
    let refused = Fate::Fails(Fault::Refused("no such kernel".into()));
    assert_eq!(launched(MIXED, &on((0..100).map(|_| refused.clone())).0), BTreeSet::new());
    assert_eq!(launched(MIXED, &Device::default()), BTreeSet::new());
}

#[test]
fn what_a_card_gives_back_is_done_though_every_slot_is_wanted() {
    let expected = values_of(MIXED, "", &Device::default());
    let refused = Fate::Fails(Fault::Refused("no such kernel".into()));
    // The processor does all of it, with more assignments than there are threads.
    let (device, _) = on((0..100).map(|_| refused.clone()));
    let dir = tempfile::tempdir().unwrap();
    let set = start(MIXED, dir.path(), "", &device);
    let all = one_by_one(0..TRIED);
    let mut singles = Singles::assign(&set, &all);
    singles.land(&set, all.len());
    assert_same(&singles.values, &expected, "all of it");
}

#[test]
fn nothing_is_lost_or_told_twice_whatever_a_device_does() {
    let expected = values("", &Device::default());
    let (short, fates) =
        on([Fate::Fails(Fault::OutOfMemory), Fate::Runs, Fate::Fails(Fault::OutOfMemory)]);
    assert_same(&values("", &short), &expected, "memory that ends");
    assert!(fates.n_launches() > 4, "by halves: {}", fates.n_launches());
    assert_eq!(short.news(), [""; 0]);
    let (full, _) = on(std::array::from_fn::<_, 100, _>(|_| Fate::Fails(Fault::OutOfMemory)));
    assert_same(&values("", &full), &expected, "no memory at all");
    let said = ["cuda:0 leaves fits to the processor: it has no memory for them"];
    assert_eq!(full.news(), said);
    let refused = Fate::Fails(Fault::Refused("no such kernel\nat line 3".into()));
    let (picky, _) = on([refused.clone(), refused]);
    assert_same(&values("", &picky), &expected, "a kernel that is refused");
    assert_eq!(picky.news(), ["cuda:0 leaves fits to the processor: no such kernel"]);
}

#[test]
fn a_device_that_is_lost_is_used_anew_until_it_is_lost_too_often() {
    let expected = values("", &Device::default());
    let lost = || Fate::Fails(Fault::Lost("an illegal address".into()));
    let (shaky, fates) = on([lost(), Fate::Runs, lost()]);
    assert_same(&values("", &shaky), &expected, "a kernel that fails twice");
    assert!(fates.n_launches() > 4, "{}", fates.n_launches());
    assert_eq!(shaky.news(), ["cuda:0 was lost, and is used anew: an illegal address"]);
    let (dying, fates) = on((0..100).map(|_| lost()));
    assert_same(&values("", &dying), &expected, "a kernel that always fails");
    let n_launches = fates.n_launches();
    assert_same(&values("", &dying), &expected, "a card that is gone");
    assert_eq!(fates.n_launches(), n_launches, "nobody asks it again");
    let news = dying.news();
    assert_eq!(news.len(), 2, "{news:?}");
    assert!(news[1].contains("lost 3 times within an hour and is used no more"), "{news:?}");
}

#[test]
fn a_fit_s_share_of_a_launch_is_what_it_took() {
    let (device, fates) = on([]);
    // Nothing is so quick, neither there nor here.
    let late = values(", trial_timeout: 0.000001", &device);
    assert!(fates.n_launches() > 0);
    for (trial, value) in late.iter().filter(|(trial, _)| trial.0 != LINE) {
        let reason = value.as_ref().unwrap_err();
        assert!(reason.contains("trial_timeout"), "{trial:?}: {reason}");
    }
}

#[test]
fn a_study_that_is_stopped_has_no_more_launches_than_are_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let (device, fates) = on([Fate::Stands(Duration::from_secs(1))]);
    let set = start(ROWS, dir.path(), "", &device);
    set.assign.send(tries(ROWS, 1, 0..STORES)).unwrap();
    while fates.n_launches() == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let of = key(1);
    let reason = "it was cancelled".to_owned();
    set.runner.hints()(ToRunner::StopStudy { study: of.study, before: 2, reason });
    loop {
        match set.told.recv_timeout(LONG).unwrap() {
            FromRunner::Outcomes { .. } => {}
            FromRunner::Done { of: done } => break assert_eq!(done, of),
            other => panic!("{other:?}"),
        }
    }
    assert!(fates.n_launches() <= 3, "{}", fates.n_launches());
}

#[test]
fn a_runner_that_ends_hands_back_what_its_device_is_at() {
    let dir = tempfile::tempdir().unwrap();
    let (device, fates) = on([Fate::Stands(Duration::from_secs(4))]);
    let set = start(ROWS, dir.path(), "", &device);
    set.assign.send(tries(ROWS, 1, 0..STORES)).unwrap();
    while fates.n_launches() == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    set.runner.drain(Duration::ZERO);
    let mut values = Values::new();
    loop {
        match set.told.recv_timeout(LONG).unwrap() {
            FromRunner::Outcomes { outcomes, .. } => take_in(&mut values, outcomes),
            FromRunner::Returned { of, reason } => {
                assert_eq!((of, reason), (key(1), None));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(values.len() < (TRIED * STORES) as usize);
}
