//! A runner from the outside: assignments in, messages out, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fleetfit_search_spaces::wire::Numbered;
use fleetfit_search_spaces::{
    Assignment, AssignmentKey, AssignmentTask, Block, Configuration, End, FromRunner, Job, Study,
    StudyId, ToRunner,
};
use fleetfit_trial_runner::dataset::Dataset;
use fleetfit_trial_runner::runner::{
    ATTACHED, Allowance, Carrier, Keeping, Lacking, Provide, Runner, StudyWork,
};

const SUPERVISOR: &str = env!("CARGO_BIN_EXE_supervise-for-tests");

/// Longer than anything here takes on a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(60);

fn study(job: &str) -> Study {
    Job::read("job.yaml", job).unwrap().study().unwrap()
}

fn command_study(command: &str) -> Study {
    study(&format!(
        "type: sweep\nname: s\ntrial:\n  command: {command:?}\nsearch_space:\n  x: [1, 2, 3]\n\
         sampling_algorithm: grid\nobjective: {{goal: minimize, primary_metric: loss}}\n\
         limits: {{max_total_trials: 3}}\n"
    ))
}

fn fit_study(dir: &Path) -> Study {
    let rows: String =
        (0..60).map(|row| format!("{},{},{}\n", row % 2, row, row * 3 + 1)).collect();
    std::fs::write(dir.join("data.csv"), format!("store,x,y\n{rows}")).unwrap();
    study(
        "type: sweep\nname: s\ntraining_data: {path: data.csv}\ntarget_column_name: y\n\
         task: regression\npartition_column_names: [store]\ntrial: {learner: ridge}\n\
         search_space:\n  alpha: {type: float, min: 0.1, max: 1.0}\n\
         sampling_algorithm: random\n\
         objective: {goal: minimize, primary_metric: root_mean_squared_error}\n\
         n_cross_validations: 3\nlimits: {max_total_trials: 3}\n",
    )
}

fn work(study: Study, dir: &Path) -> StudyWork {
    let dataset = study.data.as_ref().map(|data| Dataset::load(dir, data).unwrap());
    StudyWork {
        study,
        seed: 1,
        base_dir: dir.to_owned(),
        dir: dir.join("study"),
        supervisor: SUPERVISOR.into(),
        dataset,
        code: None,
        keeping: Keeping::Here,
    }
}

fn key(number: u64) -> AssignmentKey {
    AssignmentKey { study: StudyId(1), number, attempt: 1 }
}

fn block(number: u32, entities: std::ops::Range<u32>) -> Block {
    let configuration: Configuration = Configuration::default();
    Block { tried: Numbered { number, configuration }, entities: vec![entities] }
}

fn tries(number: u64, configurations: &[u32]) -> Assignment {
    let blocks = configurations.iter().map(|number| block(*number, 0..1)).collect();
    Assignment { key: key(number), task: AssignmentTask::Try(blocks) }
}

struct Set {
    runner: Runner,
    assign: Sender<Assignment>,
    told: Receiver<FromRunner>,
}

fn start(allowance: Allowance, provide: Provide) -> Set {
    let (assign, assignments) = channel();
    let (tell, told) = channel();
    let tell = Box::new(move |message| drop(tell.send(message)));
    let runner = Runner::start(allowance, assignments, tell, provide).unwrap();
    Set { runner, assign, told }
}

fn once(work: StudyWork) -> Provide {
    let work = Mutex::new(Some(work));
    Box::new(move |_| work.lock().unwrap().take().ok_or(Lacking("it was given already".into())))
}

impl Set {
    fn next(&self) -> FromRunner {
        self.told.recv_timeout(LONG).unwrap()
    }

    fn ends(&self, n: usize) -> Vec<FromRunner> {
        (0..n).map(|_| self.next()).collect()
    }
}

fn wait_for(what: impl Fn() -> bool) {
    let started = Instant::now();
    while !what() {
        assert!(started.elapsed() < LONG, "it did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_study_is_provided_once_however_many_ask() {
    let dir = tempfile::tempdir().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let (counted, base) = (Arc::clone(&count), dir.path().to_owned());
    let provide = move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        Ok(work(command_study("echo '{\"metric\": \"loss\", \"value\": 1}'"), &base))
    };
    let set = start(Allowance::of(3), Box::new(provide));
    for number in 0..6 {
        set.assign.send(tries(number, &[number as u32])).unwrap();
    }
    let mut done = Vec::new();
    while done.len() < 6 {
        match set.next() {
            FromRunner::Done { of } => done.push(of.number),
            FromRunner::Outcomes { outcomes, .. } => {
                assert_eq!(outcomes[0].end, End::Completed { value: 1.0 });
            }
            FromRunner::Report { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    done.sort_unstable();
    assert_eq!(done, [0, 1, 2, 3, 4, 5]);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn what_cannot_be_provided_is_handed_back_with_the_reason() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let provide = move |study| {
        counted.fetch_add(1, Ordering::SeqCst);
        match study {
            StudyId(1) => Err(Lacking("the data is not there".into())),
            _ => panic!("a reader has a hole"),
        }
    };
    let set = start(Allowance::of(2), Box::new(provide));
    set.assign.send(tries(1, &[1])).unwrap();
    set.assign.send(tries(2, &[2])).unwrap();
    let reason = Some("the data is not there".to_owned());
    for message in set.ends(2) {
        let FromRunner::Returned { reason: told, .. } = &message else { panic!("{message:?}") };
        assert_eq!(*told, reason);
    }
    // Remembered: the second one did not ask again.
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let mut other = tries(3, &[1]);
    other.key.study = StudyId(2);
    set.assign.send(other).unwrap();
    let message = set.next();
    let FromRunner::Returned { reason: Some(reason), .. } = &message else { panic!("{message:?}") };
    assert!(reason.contains("unexpectedly"), "{reason}");
}

#[test]
fn a_runner_without_leave_runs_no_program() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("ran");
    let work = work(command_study(&format!("touch {}", mark.display())), dir.path());
    let set = start(Allowance { commands: false, ..Allowance::of(1) }, once(work));
    set.assign.send(tries(1, &[1])).unwrap();
    let message = set.next();
    let FromRunner::Returned { reason: Some(reason), .. } = &message else { panic!("{message:?}") };
    assert!(reason.contains("--allow-commands"), "{reason}");
    assert!(!mark.exists());
}

#[test]
fn what_is_stopped_before_it_is_known_never_begins() {
    let dir = tempfile::tempdir().unwrap();
    let work = work(command_study("echo '{\"metric\": \"loss\", \"value\": 1}'"), dir.path());
    let set = start(Allowance::of(1), once(work));
    let reason = "the study was cancelled".to_owned();
    set.runner.hints()(ToRunner::StopStudy { study: StudyId(1), before: 5, reason });
    set.assign.send(tries(4, &[1])).unwrap();
    assert_eq!(set.next(), FromRunner::Done { of: key(4) });
    set.assign.send(tries(5, &[1])).unwrap();
    assert!(matches!(set.next(), FromRunner::Report { .. }));
}

#[test]
fn a_trial_is_stopped_only_in_assignments_that_are_meant() {
    let dir = tempfile::tempdir().unwrap();
    let command = "echo '{\"metric\": \"loss\", \"value\": 1}'; exec sleep 600";
    let set = start(Allowance::of(1), once(work(command_study(command), dir.path())));
    set.assign.send(tries(7, &[3])).unwrap();
    assert!(matches!(set.next(), FromRunner::Report { .. }));
    assert_eq!(set.runner.holds(), [key(7)]);
    let hint = set.runner.hints();
    let stop = |before, reason: &str| {
        let reason = reason.to_owned();
        hint(ToRunner::StopTrial {
            study: StudyId(1),
            before,
            configuration: 3,
            entity: 0,
            reason,
        });
    };
    stop(7, "an older hint");
    stop(8, "bandit");
    let message = set.next();
    let FromRunner::Outcomes { outcomes, .. } = &message else { panic!("{message:?}") };
    assert_eq!(outcomes[0].end, End::Stopped { value: Some(1.0), reason: "bandit".into() });
    assert_eq!(set.next(), FromRunner::Done { of: key(7) });
}

#[test]
fn what_drains_ends_within_the_grace_or_is_handed_back() {
    let dir = tempfile::tempdir().unwrap();
    // The first waits for a word; the second goes on for ever; the third is never begun.
    let word = dir.path().join("word");
    let command = format!(
        "echo '{{\"metric\": \"loss\", \"value\": 1}}'; if [ $FLEETFIT_TRIAL = 1 ]; then while \
         [ ! -e {} ]; do sleep 0.01; done; else exec sleep 600; fi",
        word.display()
    );
    let set = start(Allowance::of(2), once(work(command_study(&command), dir.path())));
    for number in 1..=3 {
        set.assign.send(tries(number, &[number as u32])).unwrap();
    }
    for _ in 0..2 {
        assert!(matches!(set.next(), FromRunner::Report { .. }));
    }
    let Set { runner, assign, told } = set;
    let draining = std::thread::spawn(move || runner.drain(Duration::from_secs(12)));
    // The one that was not begun comes back at once.
    let message = told.recv_timeout(LONG).unwrap();
    assert_eq!(message, FromRunner::Returned { of: key(3), reason: None });
    std::fs::write(word, "").unwrap();
    draining.join().unwrap();
    let rest: Vec<_> = told.try_iter().collect();
    assert_eq!(rest.len(), 3, "{rest:?}");
    let FromRunner::Outcomes { of, outcomes, launched: false } = &rest[0] else {
        panic!("{rest:?}")
    };
    assert_eq!((*of, &outcomes[0].end), (key(1), &End::Completed { value: 1.0 }));
    assert_eq!(rest[1], FromRunner::Done { of: key(1) });
    assert_eq!(rest[2], FromRunner::Returned { of: key(2), reason: None });
    wait_for(|| assign.send(tries(4, &[1])).is_err());
}

#[test]
fn one_that_is_ready_begins_in_a_slot_or_is_handed_back() {
    let dir = tempfile::tempdir().unwrap();
    let (word, runs, place) =
        (dir.path().join("word"), dir.path().join("runs"), dir.path().join("place"));
    // The first waits for a word. The others fail where two are at it at once.
    let command = format!(
        "echo $FLEETFIT_TRIAL >> {runs}; mkdir {place} || exit 9; while [ ! -e {word} ]; do sleep \
         0.01; done; rmdir {place}; echo '{{\"metric\": \"loss\", \"value\": 1}}'",
        runs = runs.display(),
        place = place.display(),
        word = word.display(),
    );
    let allowance = Allowance { ahead: 1, ..Allowance::of(1) };
    let set = start(allowance, once(work(command_study(&command), dir.path())));
    set.assign.send(tries(1, &[1])).unwrap();
    wait_for(|| place.exists());
    set.assign.send(tries(2, &[2])).unwrap();
    assert_eq!(set.next(), FromRunner::Returned { of: key(2), reason: None });
    assert_eq!(std::fs::read_to_string(&runs).unwrap(), "1\n");
    assert!(!dir.path().join("study/trials/2").exists());
    std::fs::write(word, "").unwrap();
    let mut open: Vec<u64> = (3..=12).collect();
    for number in &open {
        set.assign.send(tries(*number, &[*number as u32])).unwrap();
    }
    open.push(1);
    while !open.is_empty() {
        match set.next() {
            FromRunner::Outcomes { outcomes, .. } => {
                assert_eq!(outcomes[0].end, End::Completed { value: 1.0 });
            }
            FromRunner::Done { of } => open.retain(|number| *number != of.number),
            // On a slow machine one waits for too long.
            FromRunner::Returned { of, .. } => {
                set.assign.send(tries(of.number, &[of.number as u32])).unwrap();
            }
            _ => {}
        }
    }
    assert_eq!(std::fs::read_to_string(&runs).unwrap().lines().count(), 11);
}

#[test]
fn one_that_is_ready_is_handed_back_where_the_runner_ends() {
    let dir = tempfile::tempdir().unwrap();
    let begun = dir.path().join("begun");
    let command = format!("touch {}; exec sleep 600", begun.display());
    let allowance = Allowance { ahead: 1, ..Allowance::of(1) };
    let set = start(allowance, once(work(command_study(&command), dir.path())));
    set.assign.send(tries(1, &[1])).unwrap();
    wait_for(|| begun.exists());
    set.assign.send(tries(2, &[2])).unwrap();
    set.runner.drain(Duration::ZERO);
    let mut returned: Vec<_> = set.told.try_iter().collect();
    returned.sort_by_key(|message| match message {
        FromRunner::Returned { of, .. } => of.number,
        other => panic!("{other:?}"),
    });
    let back = |number| FromRunner::Returned { of: key(number), reason: None };
    assert_eq!(returned, [back(1), back(2)]);
}

#[test]
fn models_are_carried_with_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (carried, models) = channel();
    let mut work = work(fit_study(dir.path()), dir.path());
    work.keeping = Keeping::Carried(Carrier {
        models: Box::new(move |of, refits, bytes| {
            carried.send((of, refits, bytes)).unwrap();
            Ok(())
        }),
        files: Box::new(|_| {}),
    });
    let set = start(Allowance::of(1), once(work));
    let task = AssignmentTask::Refit(vec![block(0, 0..2)]);
    set.assign.send(Assignment { key: key(1), task }).unwrap();
    assert_eq!(set.next(), FromRunner::Done { of: key(1) });
    let (of, refits, bytes) = models.recv_timeout(LONG).unwrap();
    assert_eq!((of, refits.len()), (key(1), 2));
    for refit in refits {
        let address = refit.model.unwrap();
        assert_eq!(address.pack, ATTACHED);
        let at = address.offset as usize..address.offset as usize + address.length as usize;
        assert_eq!(blake3::hash(&bytes[at]).to_hex().as_str(), address.digest);
    }
    assert!(!dir.path().join("study").exists());
}

#[test]
fn data_that_nobody_uses_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let (given, asked) = channel();
    let base = dir.path().to_owned();
    let study = fit_study(&base);
    let provide = move |id| {
        given.send(id).unwrap();
        Ok(work(study.clone(), &base))
    };
    let set = start(Allowance { data_bytes: 1, ..Allowance::of(1) }, Box::new(provide));
    for (number, study) in [(1, 1), (2, 1), (3, 2), (4, 1)] {
        let mut assignment = tries(number, &[0]);
        assignment.key.study = StudyId(study);
        set.assign.send(assignment).unwrap();
        while !matches!(set.next(), FromRunner::Done { .. }) {}
        wait_for(|| set.runner.holds().is_empty());
    }
    let asked: Vec<_> = asked.try_iter().collect();
    assert_eq!(asked, [StudyId(1), StudyId(2), StudyId(1)]);
}

#[test]
fn a_forgotten_study_is_provided_again() {
    let dir = tempfile::tempdir().unwrap();
    let (given, asked) = channel();
    let base = dir.path().to_owned();
    let study = command_study("echo '{\"metric\": \"loss\", \"value\": 1}'");
    let provide = move |id| {
        given.send(id).unwrap();
        Ok(work(study.clone(), &base))
    };
    let set = start(Allowance::of(1), Box::new(provide));
    for number in 1..=2 {
        set.assign.send(tries(number, &[0])).unwrap();
        while !matches!(set.next(), FromRunner::Done { .. }) {}
        set.runner.hints()(ToRunner::Forget { study: StudyId(1) });
    }
    assert_eq!(asked.try_iter().count(), 2);
}
