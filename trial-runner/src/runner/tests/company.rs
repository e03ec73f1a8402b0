//! Assignments that a runner has at once: those of one data set and trainer go in common launches.

use std::time::Instant;

use super::*;

/// Studies of the same data, and one of other data.
const FIRST: StudyId = StudyId(1);
const SAME: [StudyId; 2] = [StudyId(2), StudyId(3)];
const OTHER: StudyId = StudyId(4);

/// A runner with four slots. Two launches are under way until the gate is open, so that others wait.
struct Crew {
    set: Set,
    gate: &'static AtomicBool,
    device: Device,
    fates: &'static Fates,
    _dirs: [tempfile::TempDir; 4],
    /// What became of the trials of assignments 3 and 4.
    values: [Values; 2],
    /// Assignments that are done.
    done: Vec<u64>,
}

/// The last one means nothing.
fn boosted(number: u32) -> Configuration {
    match number {
        3 => {
            serde_json::from_str(r#"{"model": {"learner": "gradient_boosting", "max_depth": -3}}"#)
                .unwrap()
        }
        number => configuration(number),
    }
}

/// Ridge, elastic net, and the last one means nothing.
fn line(number: u32) -> Configuration {
    let model = match number {
        0 | 1 => format!(r#"{{"learner": "ridge", "alpha": {}}}"#, number + 1),
        2 => r#"{"learner": "elastic_net", "alpha": 0.1}"#.to_owned(),
        _ => r#"{"learner": "elastic_net", "alpha": 0.1, "l1_ratio": 3.0}"#.to_owned(),
    };
    serde_json::from_str(&format!(r#"{{"model": {model}}}"#)).unwrap()
}

fn gate() -> &'static AtomicBool {
    Box::leak(Box::new(AtomicBool::new(false)))
}

fn crew(fates: impl IntoIterator<Item = Fate>) -> Crew {
    let gate = gate();
    let (device, fates) = on([Fate::Waits(gate), Fate::Waits(gate)].into_iter().chain(fates));
    let crew = crew_on(device, fates, gate);
    for number in [1, 2] {
        crew.assign(FIRST, number, 0..1, 0..1);
        crew.wait_for_launches(number as usize);
    }
    crew
}

fn crew_on(device: Device, fates: &'static Fates, gate: &'static AtomicBool) -> Crew {
    let set = start_with(Allowance { device: device.clone(), ..Allowance::of(4) });
    let dirs = [0; 4].map(|_| tempfile::tempdir().unwrap());
    for (dir, id) in dirs.iter().zip([FIRST, SAME[0], SAME[1], OTHER]) {
        let study = study(dir.path(), "");
        if id == OTHER {
            let rows = std::fs::read_to_string(dir.path().join("data.csv")).unwrap();
            std::fs::write(dir.path().join("data.csv"), rows + "0,1.5,2,3\n").unwrap();
        }
        set.runner.add(id, work(study, dir.path()));
    }
    let (values, done) = Default::default();
    Crew { set, gate, device, fates, _dirs: dirs, values, done }
}

impl Crew {
    fn assign(&self, study: StudyId, number: u64, tried: Range<u32>, entities: Range<u32>) {
        self.assign_of(boosted, (study, number), tried, entities);
    }

    fn assign_of(
        &self,
        of: fn(u32) -> Configuration,
        (study, number): (StudyId, u64),
        tried: Range<u32>,
        entities: Range<u32>,
    ) {
        let block = |number| {
            let tried = Numbered { number, configuration: of(number) };
            Block { tried, entities: vec![entities.clone()] }
        };
        let task = AssignmentTask::Try(tried.map(block).collect());
        let key = AssignmentKey { study, ..key(number) };
        self.set.assign.send(Assignment { key, task }).unwrap();
    }

    /// Assigns two of such studies; the first of them would lead both.
    fn assign_two(&self, studies: [StudyId; 2]) {
        self.assign(studies[0], 3, 0..2, 0..3);
        self.wait(1);
        self.assign(studies[1], 4, 1..4, 1..5);
        if studies[1] == OTHER {
            // Nobody else has this data.
            self.wait_for_launches(3);
        } else {
            self.wait(2);
        }
    }

    fn wait(&self, n_waiting: usize) {
        while self.device.n_waiting() < n_waiting {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn wait_for_launches(&self, n_launches: usize) {
        while self.fates.n_launches() < n_launches {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn open(&self) {
        self.gate.store(true, Ordering::SeqCst);
    }

    fn stop(&self, study: StudyId) {
        let reason = "it was cancelled".to_owned();
        self.set.runner.hints()(ToRunner::StopStudy { study, before: 9, reason });
    }

    /// Waits until an assignment is done.
    fn hear_of(&mut self, number: u64) {
        while !self.done.contains(&number) {
            match self.set.told.recv_timeout(LONG).unwrap() {
                FromRunner::Outcomes { of, outcomes, .. } if of.number > 2 => {
                    take_in(&mut self.values[of.number as usize - 3], outcomes);
                }
                FromRunner::Outcomes { .. } => {}
                FromRunner::Done { of } => self.done.push(of.number),
                other => panic!("{other:?}"),
            }
        }
    }

    /// What becomes of the trials of assignments 3 and 4, once all are done.
    fn land(mut self, numbers: Range<u64>) -> [Values; 2] {
        numbers.for_each(|number| self.hear_of(number));
        drop(self.set.assign);
        self.set.runner.join();
        self.values
    }
}

/// The same on the processor.
fn alone(studies: [StudyId; 2]) -> [Values; 2] {
    let crew = crew_on(Device::default(), Fates::of([]), gate());
    crew.assign(studies[0], 3, 0..2, 0..3);
    crew.assign(studies[1], 4, 1..4, 1..5);
    let values = crew.land(3..5);
    assert_eq!(values.each_ref().map(Values::len), [6, 12]);
    assert!(values[0].values().all(Result::is_ok), "{values:?}");
    assert!(values[1].iter().all(|(trial, value)| value.is_ok() == (trial.0 != 3)), "{values:?}");
    values
}

#[test]
fn assignments_of_one_data_set_and_trainer_are_one_launch() {
    for studies in [[SAME[0]; 2], SAME] {
        let crew = crew([]);
        crew.assign_two(studies);
        crew.open();
        let fates = crew.fates;
        assert_eq!(crew.land(1..5), alone(studies));
        assert_eq!(fates.n_launches(), 3, "two by themselves, and two together");
    }
}

#[test]
fn what_others_launches_take_is_no_time_of_who_waits_for_them() {
    let crew = crew([]);
    let began = Instant::now();
    crew.assign(SAME[0], 3, 0..2, 0..3);
    crew.wait(1);
    let waited = Instant::now();
    while waited.elapsed() < Duration::from_millis(300) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let waited = waited.elapsed();
    crew.open();
    let mut spans: Vec<(u64, u64)> = Vec::new();
    loop {
        match crew.set.told.recv_timeout(LONG).unwrap() {
            FromRunner::Outcomes { of, outcomes, launched } if of.number == 3 => {
                assert!(launched);
                spans.extend(outcomes.iter().map(|own| (own.started_ms, own.ended_ms)));
            }
            FromRunner::Done { of } if of.number == 3 => break,
            _ => {}
        }
    }
    let first = spans.iter().map(|span| span.0).min().unwrap();
    let took = Duration::from_millis(spans.iter().map(|span| span.1).max().unwrap() - first);
    let rounded = Duration::from_millis(5);
    assert!(took + waited <= began.elapsed() + rounded, "{took:?}, waited {waited:?}");
}

#[test]
fn assignments_of_different_data_sets_are_launches_of_their_own() {
    let studies = [SAME[0], OTHER];
    let crew = crew([]);
    crew.assign_two(studies);
    crew.open();
    let fates = crew.fates;
    assert_eq!(crew.land(1..5), alone(studies));
    assert_eq!(fates.n_launches(), 4);
}

#[test]
fn a_common_launch_that_fails_loses_nothing() {
    let expected = alone(SAME);
    let memory = || Fate::Fails(Fault::OutOfMemory);
    let refused = Fate::Fails(Fault::Refused("no such kernel".into()));
    let lost = Fate::Fails(Fault::Lost("an illegal address".into()));
    // By itself it finds no memory either, and has two halves then; what is refused is the
    // processor's; what is lost is asked again, by both.
    for (fates, n_launches) in
        [(vec![memory(), memory()], 6..=6), (vec![refused], 3..=3), (vec![lost], 4..=5)]
    {
        let crew = crew(fates.clone());
        crew.assign_two(SAME);
        crew.open();
        let count = crew.fates;
        assert_eq!(crew.land(1..5), expected, "{fates:?}");
        assert!(n_launches.contains(&count.n_launches()), "{fates:?}: {}", count.n_launches());
    }
}

#[test]
fn a_study_that_is_cancelled_ends_its_part_of_a_common_launch() {
    let expected = alone(SAME);
    // The one that leads, then the one that is led; while both wait, then in mid-launch.
    for (stopped, is_launched) in [(0, false), (1, false), (0, true), (1, true)] {
        let last = gate();
        let mut crew = crew([Fate::Waits(last)]);
        crew.assign_two(SAME);
        if is_launched {
            crew.open();
            crew.wait_for_launches(3);
        }
        crew.stop(SAME[stopped]);
        crew.hear_of(3 + stopped as u64);
        crew.open();
        last.store(true, Ordering::SeqCst);
        let values = crew.land(1..5);
        assert_eq!(values[1 - stopped], expected[1 - stopped], "{stopped} {is_launched}");
        assert!(values[stopped].values().all(Result::is_err), "{values:?}");
    }
}

#[test]
fn lines_of_several_assignments_are_one_launch_whatever_their_penalties() {
    // Two others by themselves. Then sums, systems and ridge for both together, and elastic net after
    // it, or with it.
    for (studies, first, n_launches) in
        [([SAME[0]; 2], 1, 6 + 3 + 3), (SAME, 1, 6 + 3 + 3), ([SAME[0]; 2], 2, 6 + 4)]
    {
        let assign = |crew: &Crew, number: u64| {
            let (tried, entities) = if number == 3 { (0..1, 0..3) } else { (first..4, 1..5) };
            crew.assign_of(line, (studies[number as usize - 3], number), tried, entities);
        };
        // One after the other.
        let by_themselves = |device: Device| {
            let mut crew = crew_on(device, Fates::of([]), gate());
            for number in [3, 4] {
                assign(&crew, number);
                crew.hear_of(number);
            }
            crew.land(3..5)
        };
        let gate = gate();
        let (device, fates) = on([Fate::Waits(gate), Fate::Waits(gate)]);
        let crew = crew_on(device, fates, gate);
        for number in [1, 2] {
            crew.assign_of(line, (FIRST, number), 0..1, 0..1);
            crew.wait_for_launches(number as usize);
        }
        assign(&crew, 3);
        crew.wait(1);
        assign(&crew, 4);
        crew.wait(2);
        crew.open();
        let values = crew.land(1..5);
        assert_eq!(fates.n_launches(), n_launches);
        assert_eq!(values.each_ref().map(Values::len), [3, 4 * (4 - first as usize)]);
        assert_eq!(values, by_themselves(on([]).0), "to the bit");
        for (found, expected) in values.iter().zip(by_themselves(Device::default())) {
            for (trial, expected) in expected {
                let (Ok(expected), Ok(found)) = (&expected, &found[&trial]) else {
                    assert_eq!((&found[&trial], trial.0), (&expected, 3));
                    continue;
                };
                assert!((found / expected - 1.0).abs() < 1e-9, "{trial:?}: {found}, {expected}");
            }
        }
    }
}
