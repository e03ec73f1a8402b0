//! Threads that take assignments, do them, and tell what came of them.
//!
//! Every assignment is done by one thread from beginning to end. A thread asks for the next one
//! while it still has work, so that nobody waits for an answer. Hints from the scheduler (end this
//! trial, end this study) reach trials in flight through flags.

mod bench;
mod fleet;
mod program;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use fleetfit_search_spaces::{Assignment, FromRunner, Study, StudyId, ToRunner, Work};

use self::bench::Bench;
use crate::command::{CodeSnapshot, Halt, Supervisors};
use crate::dataset::Dataset;
use crate::pack::PackWriter;
use crate::stop::Stop;

/// What a runner has of a study before it takes the first assignment.
#[derive(Debug)]
pub struct StudyWork {
    /// The study.
    pub study: Study,
    /// The seed that is kept with it.
    pub seed: u64,
    /// The folder that the job's paths start from.
    pub base_dir: PathBuf,
    /// Where trials and models of this study go.
    pub dir: PathBuf,
    /// The program that supervises command trials: fleetfit itself.
    pub supervisor: PathBuf,
    /// The data, for built-in learners.
    pub dataset: Option<Dataset>,
    /// The copy of the job's code folder, for commands that have one.
    pub code: Option<CodeSnapshot>,
}

/// Where a runner tells what happened.
pub type Tell = Box<dyn Fn(FromRunner) + Send + Sync>;

/// A set of training threads.
pub struct Runner {
    desk: Arc<Desk>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads share.
struct Desk {
    studies: Mutex<BTreeMap<StudyId, Arc<Running>>>,
    assignments: Mutex<Receiver<Assignment>>,
    tell: Tell,
}

/// A study that this runner works on.
struct Running {
    work: StudyWork,
    flights: Mutex<Flights>,
    /// Model packs that no thread is writing.
    packs: Mutex<Vec<PackWriter>>,
    supervisors: Supervisors,
    /// The entity that was laid out last. A study of one entity lays it out once.
    bench: Mutex<Option<(u32, Arc<OnceLock<Bench>>)>>,
}

/// The assignments of a study that threads are at.
#[derive(Default)]
struct Flights {
    /// Assignments with lower numbers are over.
    over_before: u64,
    aloft: BTreeMap<u64, Arc<Flight>>,
}

/// An assignment that a thread is at.
#[derive(Default)]
struct Flight {
    /// Raised when the assignment is over: fits give up.
    stop: Stop,
    /// Why it is over.
    over: OnceLock<String>,
    /// Command trials of it that run.
    halts: Mutex<BTreeMap<(u32, u32), Halt>>,
}

impl Runner {
    /// Starts `slots` threads. They end when the sender of assignments is dropped.
    pub fn start(
        slots: usize,
        assignments: Receiver<Assignment>,
        tell: Tell,
    ) -> std::io::Result<Self> {
        let desk = Arc::new(Desk {
            studies: Mutex::default(),
            assignments: Mutex::new(assignments),
            tell,
        });
        let thread = |slot| {
            let desk = Arc::clone(&desk);
            let name = format!("runner-{slot}");
            std::thread::Builder::new().name(name).spawn(move || desk.work())
        };
        let threads = (0..slots).map(thread).collect::<Result<_, _>>()?;
        Ok(Self { desk, threads })
    }

    /// Makes a study known, before its first assignment.
    pub fn add(&self, id: StudyId, work: StudyWork) {
        let running = Running {
            supervisors: Supervisors::new(&work.supervisor),
            work,
            flights: Mutex::default(),
            packs: Mutex::default(),
            bench: Mutex::default(),
        };
        lock(&self.desk.studies).insert(id, Arc::new(running));
    }

    /// A door for hints that can be handed around.
    pub fn hints(&self) -> impl Fn(ToRunner) + Send + Sync + use<> {
        let desk = Arc::clone(&self.desk);
        move |hint| desk.hear(&hint)
    }

    /// Waits until the threads have ended.
    pub fn join(self) {
        for thread in self.threads {
            // A panic of a trainer is caught where it happens; one that comes this far has ended
            // its thread, and there is nothing left to wait for.
            drop(thread.join());
        }
    }
}

impl Desk {
    fn work(&self) {
        loop {
            let next = lock(&self.assignments).recv();
            let Ok(assignment) = next else { return };
            let running = lock(&self.studies).get(&assignment.key.study).cloned();
            if let Some(running) = running
                && let Some(flight) = running.take_off(assignment.key.number)
            {
                // A panic that nothing else caught must not take the thread with it: what the
                // assignment has not told comes back from the scheduler.
                let done = catch_unwind(AssertUnwindSafe(|| {
                    self.carry_out(&running, &flight, &assignment);
                }));
                drop(done);
                lock(&running.flights).aloft.remove(&assignment.key.number);
            }
            (self.tell)(FromRunner::Done { of: assignment.key });
        }
    }

    fn carry_out(&self, running: &Running, flight: &Flight, assignment: &Assignment) {
        match &running.work.study.work {
            Work::Command(command) => {
                program::run(running, flight, command, assignment, &self.tell);
            }
            Work::Learner(_) | Work::ChosenLearner { .. } => {
                fleet::train(running, flight, assignment, &self.tell);
            }
            // Nothing of these ever becomes an assignment.
            Work::External | Work::AutoMl => {}
        }
    }

    fn hear(&self, hint: &ToRunner) {
        let (ToRunner::StopTrial { study, .. }
        | ToRunner::StopStudy { study, .. }
        | ToRunner::Forget { study }) = hint;
        let Some(running) = lock(&self.studies).get(study).cloned() else { return };
        match hint {
            ToRunner::StopTrial { configuration, entity, reason, .. } => {
                for flight in lock(&running.flights).aloft.values() {
                    if let Some(halt) = lock(&flight.halts).get(&(*configuration, *entity)) {
                        halt.ask(reason);
                    }
                }
            }
            ToRunner::StopStudy { before, reason, .. } => running.end(*before, reason),
            ToRunner::Forget { study } => {
                lock(&self.studies).remove(study);
            }
        }
    }
}

impl Running {
    /// Where an entity's rows are laid out, by whoever asks first.
    fn bench(&self, entity: u32) -> Arc<OnceLock<Bench>> {
        let mut latest = lock(&self.bench);
        match &*latest {
            Some((known, bench)) if *known == entity => Arc::clone(bench),
            _ => {
                let bench = Arc::default();
                *latest = Some((entity, Arc::clone(&bench)));
                bench
            }
        }
    }

    /// Enters an assignment, unless it is over.
    fn take_off(&self, number: u64) -> Option<Arc<Flight>> {
        let mut flights = lock(&self.flights);
        if number < flights.over_before {
            return None;
        }
        Some(Arc::clone(flights.aloft.entry(number).or_default()))
    }

    /// Ends the assignments with lower numbers, in flight or still to come.
    fn end(&self, before: u64, reason: &str) {
        let mut flights = lock(&self.flights);
        flights.over_before = flights.over_before.max(before);
        for (_, flight) in flights.aloft.range(..before) {
            // The first reason stays.
            let _ = flight.over.set(reason.to_owned());
            flight.stop.cancel();
            for halt in lock(&flight.halts).values() {
                halt.ask(reason);
            }
        }
    }
}

/// A poisoned lock means that another thread panicked while it held plain data, which is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
