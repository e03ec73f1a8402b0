//! Configurations that somebody asks for while a study runs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fleetfit_scheduler::state::{NotQueued, Phase, StudyState};
use fleetfit_scheduler::{Command, EndedBy, Event, Fact};
use fleetfit_search_spaces::wire::Numbered;
use fleetfit_search_spaces::{
    Algorithm, Assignment, AssignmentTask, Configuration, Domain, End, Improvement, Least, Outcome,
    Scale, Setting, Study, Value, Work,
};

use super::studies::{choice, parameter, space, study, unit};

const ALL: [Algorithm; 7] = [
    Algorithm::Grid,
    Algorithm::Random,
    Algorithm::Sobol,
    Algorithm::Tpe,
    Algorithm::Gp,
    Algorithm::CmaEs,
    Algorithm::Auto,
];

/// A study whose trials are asked for one by one, and every fact of it.
struct Run {
    study: Study,
    warm: Vec<Configuration>,
    state: StudyState,
    facts: Vec<Fact>,
    proposed: Vec<Configuration>,
    value: fn(&Numbered) -> f64,
}

impl Run {
    fn new(study: Study, warm: Vec<Configuration>) -> Self {
        let study = Study { work: Work::External, ..study };
        let mut state = StudyState::new(study.clone(), 1, 1);
        state.warm_start(warm.clone());
        state.handle(Event::Started);
        let value =
            |at: &Numbered| at.configuration.to_json().len() as f64 + f64::from(at.number % 5);
        Self { study, warm, state, facts: Vec::new(), proposed: Vec::new(), value }
    }

    /// The same from its facts alone.
    fn replayed(&self) -> Self {
        let mut state = StudyState::new(self.study.clone(), 1, 1);
        state.warm_start(self.warm.clone());
        self.facts.iter().for_each(|fact| state.apply(fact));
        state.handle(Event::Started);
        let (facts, proposed) = (self.facts.clone(), self.proposed.clone());
        let (study, warm) = (self.study.clone(), self.warm.clone());
        Self { study, warm, state, facts, proposed, value: self.value }
    }

    fn step(&mut self) -> bool {
        let begun = self.begin();
        begun.is_some_and(|assignment| self.finish(assignment))
    }

    fn begin(&mut self) -> Option<Assignment> {
        let step = self.state.handle(Event::Asked { trials: 1 });
        self.facts.extend(step.facts);
        let assignment = step.commands.into_iter().find_map(|command| match command {
            Command::Dispatch(assignment) => Some(assignment),
            _ => None,
        })?;
        let AssignmentTask::Try(blocks) = &assignment.task else { panic!("no try") };
        let tried = &blocks[0].tried;
        if tried.number as usize == self.proposed.len() {
            self.proposed.push(tried.configuration.clone());
        }
        Some(assignment)
    }

    fn finish(&mut self, assignment: Assignment) -> bool {
        let AssignmentTask::Try(blocks) = &assignment.task else { panic!("no try") };
        let tried = &blocks[0].tried;
        assert_eq!(self.proposed[tried.number as usize], tried.configuration);
        let outcome = Outcome {
            configuration: tried.number,
            entity: 0,
            end: End::Completed { value: (self.value)(tried) },
            fits: 1,
            started_ms: 1,
            ended_ms: 2,
            reports: Vec::new(),
            further: Vec::new(),
        };
        let (number, attempt) = (assignment.key.number, assignment.key.attempt);
        let ended = Event::Ended { assignment: number, outcomes: vec![outcome], launched: false };
        self.facts.extend(self.state.handle(ended).facts);
        let done = Event::Released { assignment: number, attempt, is_blamed: false };
        self.facts.extend(self.state.handle(done).facts);
        true
    }

    fn enqueue(&mut self, points: &[Configuration]) -> Result<Vec<u32>, NotQueued> {
        let (numbers, step) = self.state.enqueue(points.to_vec(), None)?;
        self.facts.extend(step.facts);
        Ok(numbers)
    }
}

fn finite() -> Study {
    study(space(vec![parameter("a", choice(5)), parameter("b", choice(6))]), Algorithm::Grid, 100)
}

#[test]
fn what_is_asked_for_comes_next_and_a_replay_goes_on_alike() {
    let endless = space(vec![parameter("x", unit()), parameter("c", choice(3))]);
    for algorithm in ALL {
        let mut studies = vec![finite()];
        if algorithm != Algorithm::Grid {
            studies.push(study(endless.clone(), algorithm, 40));
        }
        for study in studies {
            let mut study = study;
            study.sampling.algorithm = algorithm;
            let at = |unit: f64| study.space.configuration(&[unit, 1.0 - unit]);
            let mut run = Run::new(study.clone(), vec![at(0.01), at(0.35)]);
            assert!(run.step());
            // What waits already keeps its number, also where it is asked for twice.
            let asked = [at(0.9), at(0.35), at(0.55), at(0.9)];
            assert_eq!(run.enqueue(&asked), Ok(vec![2, 1, 3, 2]), "{algorithm:?}");
            let mut later = run.replayed();
            for _ in 0..9 {
                assert!(run.step());
            }
            assert_eq!(run.proposed[..4], [at(0.01), at(0.35), at(0.9), at(0.55)]);
            assert_eq!(run.enqueue(&[at(0.75)]), Ok(vec![10]), "{algorithm:?}");
            let mut middle = run.replayed();
            while run.step() {}
            assert_eq!(run.proposed[10], at(0.75));
            for _ in 0..9 {
                later.step();
            }
            assert_eq!(later.enqueue(&[at(0.75)]), Ok(vec![10]));
            while later.step() {}
            while middle.step() {}
            assert_eq!(later.proposed, run.proposed, "{algorithm:?}");
            assert_eq!(middle.proposed, run.proposed, "{algorithm:?}");
            if let Some(n_points) = study.space.cardinality() {
                let points: BTreeSet<String> =
                    run.proposed.iter().map(Configuration::to_json).collect();
                assert_eq!(points.len() as u128, n_points, "{algorithm:?}");
            }
        }
    }
}

/// What is as good as noise, by where it was or by which trial it was.
fn rough(seed: u64) -> f64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x >> 11) as f64 / (1u64 << 53) as f64
}

fn bowl(at: &Numbered) -> f64 {
    let Some(Setting::Value(Value::Float(x))) = at.configuration.get("x") else { panic!("no x") };
    (x - 0.3).powi(2)
}

fn noisy(at: &Numbered) -> f64 {
    bowl(at) + rough(u64::from(at.number) + 1)
}

fn exact(at: &Numbered) -> f64 {
    bowl(at) + rough(bowl(at).to_bits())
}

fn exact_text(at: &Numbered) -> f64 {
    let letters = at.configuration.to_json();
    rough(letters.bytes().fold(7, |seed, letter| seed * 31 % 1_000_003 + u64::from(letter)))
}

/// How often each configuration was tried more than once.
fn repeated(run: &Run) -> Vec<usize> {
    let mut by_text = BTreeMap::new();
    for configuration in &run.proposed {
        *by_text.entry(configuration.to_json()).or_insert(0) += 1;
    }
    by_text.into_values().filter(|&n| n > 1).collect()
}

#[test]
fn the_best_is_tried_again_before_noise_is_believed_in() {
    let space = space(vec![parameter("x", unit())]);
    for algorithm in ALL.into_iter().filter(|algorithm| *algorithm != Algorithm::Grid) {
        let mut study = study(space.clone(), algorithm, 60);
        study.limits.stop_when_converged = true;
        for n_out in [1, 4] {
            let mut ends = Vec::new();
            for value in [noisy as fn(&Numbered) -> f64, exact] {
                let mut run = Run { value, ..Run::new(study.clone(), Vec::new()) };
                let mut out = VecDeque::new();
                let mut at_each = Vec::new();
                loop {
                    while out.len() < n_out
                        && let Some(begun) = run.begin()
                    {
                        out.push_back(begun);
                    }
                    let Some(first) = out.pop_front() else { break };
                    run.finish(first);
                    if n_out == 1 {
                        at_each.push(run.replayed());
                    }
                }
                assert_eq!(repeated(&run), [3], "{algorithm:?}, {n_out} at once");
                // Whenever it was killed, nothing is asked for twice, and the end is the same.
                for mut later in at_each.into_iter().skip(20) {
                    while later.step() {}
                    assert_eq!(later.proposed, run.proposed, "{algorithm:?}");
                    assert_eq!(later.state.ended_by(), run.state.ended_by());
                }
                ends.push((run.state.ended_by(), run.proposed.len()));
            }
            assert_eq!(ends[1], (Some(EndedBy::Trials), 60), "{algorithm:?}, {n_out} at once");
            assert_eq!(ends[0].0, Some(EndedBy::Improvement), "{algorithm:?}, {n_out} at once");
        }
    }
}

#[test]
fn what_measures_no_noise_is_tried_again_and_a_search_goes_on_without() {
    let mut study = study(space(vec![parameter("x", unit())]), Algorithm::Random, 60);
    study.limits.stop_when_converged = true;
    // Two looks agree after 25; what is no number fails.
    let once = |at: &Numbered| if (25..27).contains(&at.number) { f64::NAN } else { noisy(at) };
    let mut run = Run { value: once, ..Run::new(study.clone(), Vec::new()) };
    while run.step() {}
    assert_eq!(run.state.ended_by(), Some(EndedBy::Improvement));
    assert!(run.proposed.len() > 30, "{}", run.proposed.len());
    let always = |at: &Numbered| if at.number > 24 { f64::NAN } else { noisy(at) };
    let mut run = Run { value: always, ..Run::new(study, Vec::new()) };
    for _ in 0..26 {
        assert!(run.step());
    }
    // The second of the two waits.
    let best = run.proposed[25].clone();
    assert_eq!(run.enqueue(&[best]), Ok(vec![26]));
    while run.step() {}
    assert_eq!((run.state.ended_by(), run.proposed.len()), (Some(EndedBy::Trials), 60));
    assert_eq!(repeated(&run), [9]);
}

#[test]
fn a_finite_space_that_is_exact_is_used_up_all_the_same() {
    let numbers =
        |n| Domain::Float { min: 0.0, max: 1.0, step: Some(1.0 / n), scale: Scale::Linear };
    let space = space(vec![parameter("x", numbers(8.0)), parameter("y", numbers(10.0))]);
    for algorithm in [Algorithm::Grid, Algorithm::Random] {
        let mut study = study(space.clone(), algorithm, 110);
        study.limits.stop_when_converged = true;
        let mut run = Run { value: exact_text, ..Run::new(study.clone(), Vec::new()) };
        while run.step() {}
        let ended = (run.state.ended_by(), run.proposed.len(), repeated(&run));
        assert_eq!(ended, (Some(EndedBy::Space), 101, vec![3]), "{algorithm:?}");
        let value = |at: &Numbered| rough(u64::from(at.number) + 1);
        let mut run = Run { value, ..Run::new(study, Vec::new()) };
        while run.step() {}
        assert_eq!(run.state.ended_by(), Some(EndedBy::Improvement), "{algorithm:?}");
    }
}

#[test]
fn a_marked_request_counts_once_and_others_may_not_have_its_mark() {
    let mut run = Run::new(finite(), Vec::new());
    run.step();
    let point = |index| run.study.space.grid_point(index);
    let points = vec![point(7), point(9)];
    let (numbers, step) = run.state.enqueue(points.clone(), Some((5, 6))).unwrap();
    assert_eq!((numbers.as_slice(), step.facts.len()), (&[1, 2][..], 1));
    run.facts.extend(step.facts);
    let mut replayed = run.replayed();
    for run in [&mut run, &mut replayed] {
        for _ in 0..5 {
            run.step();
        }
        let again = run.state.enqueue(points.clone(), Some((5, 6))).unwrap();
        assert_eq!((again.0.as_slice(), again.1.facts.len()), (&[1, 2][..], 0));
        let other = run.state.enqueue(points.clone(), Some((5, 7)));
        assert_eq!(other.err(), Some(NotQueued::OtherMark));
    }
}

#[test]
fn there_is_no_more_room_than_the_study_has_trials() {
    let mut study = finite();
    study.limits.max_total_trials = 6;
    let mut run = Run::new(study, Vec::new());
    run.step();
    let points: Vec<Configuration> =
        (10..20).map(|index| run.study.space.grid_point(index)).collect();
    assert_eq!(run.enqueue(&points), Err(NotQueued::Full { limit: 6, left: 5 }));
    assert_eq!(run.enqueue(&points[..4]), Ok(vec![1, 2, 3, 4]));
    assert_eq!(run.enqueue(&points[4..6]), Err(NotQueued::Full { limit: 6, left: 1 }));
    while run.step() {}
    assert_eq!((run.state.phase(), run.proposed.len()), (Phase::Closed, 6));
    assert_eq!(run.enqueue(&points[8..9]), Err(NotQueued::Over));
}

#[test]
fn a_space_that_is_used_up_has_what_is_asked_for_besides() {
    let study = study(space(vec![parameter("a", choice(3))]), Algorithm::Random, 10);
    let mut run = Run::new(study, Vec::new());
    let step = run.state.handle(Event::Asked { trials: 4 });
    run.facts.extend(step.facts);
    // All three are out: nothing is left to propose, and the search is not over.
    let again = run.study.space.grid_point(0);
    assert_eq!(run.enqueue(std::slice::from_ref(&again)).map(|numbers| numbers[0] < 3), Ok(true));
    assert_eq!(run.state.ended_by(), None::<EndedBy>);
}

#[test]
fn what_is_asked_for_is_tried_though_nothing_improves() {
    let mut study = finite();
    study.limits.improvement = Some(Improvement { patience: 2, least: Least::By(0.0), after: 0 });
    let mut run = Run::new(study, Vec::new());
    run.step();
    let points: Vec<Configuration> =
        (10..20).map(|index| run.study.space.grid_point(index)).collect();
    assert_eq!(run.enqueue(&points).map(|numbers| numbers.len()), Ok(10));
    let mut replayed = run.replayed();
    for run in [&mut run, &mut replayed] {
        while run.step() {}
        assert_eq!(run.proposed[1..11], points[..]);
        assert_eq!(run.state.ended_by(), Some(EndedBy::Improvement));
        assert!(run.proposed.len() < 30, "{}", run.proposed.len());
    }
}
