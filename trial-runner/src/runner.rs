//! Threads that take assignments, do them, and tell what came of them.
//!
//! Every assignment is done by one thread from beginning to end. A thread asks for the next one
//! while it still has work, so that nobody waits for an answer. Hints from the scheduler (end this
//! trial, end this study) reach trials in flight through flags.

mod fleet;
mod program;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use fleetfit_search_spaces::{Assignment, FromRunner, Study, ToRunner, Work};

use crate::command::{CodeSnapshot, Halt};
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
    studies: Mutex<BTreeMap<String, Arc<Running>>>,
    assignments: Mutex<Receiver<Assignment>>,
    tell: Tell,
}

/// A study that this runner works on.
struct Running {
    work: StudyWork,
    /// Raised when the study is over: fits give up.
    stop: Stop,
    /// Why it is over.
    over: OnceLock<String>,
    /// Command trials in flight.
    halts: Mutex<BTreeMap<(u32, u32), Halt>>,
    /// Model packs that no thread is writing.
    packs: Mutex<Vec<PackWriter>>,
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
            std::thread::Builder::new()
                .name(name)
                .spawn(move || desk.work())
        };
        let threads = (0..slots).map(thread).collect::<Result<_, _>>()?;
        Ok(Self { desk, threads })
    }

    /// Makes a study known, before its first assignment.
    pub fn add(&self, work: StudyWork) {
        let name = work.study.name.clone();
        let running = Running {
            work,
            stop: Stop::default(),
            over: OnceLock::new(),
            halts: Mutex::default(),
            packs: Mutex::default(),
        };
        lock(&self.desk.studies).insert(name, Arc::new(running));
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
        // One to do and one to go on with.
        (self.tell)(FromRunner::Wanted { assignments: 2 });
        loop {
            let next = lock(&self.assignments).recv();
            let Ok(assignment) = next else { return };
            let running = lock(&self.studies).get(&assignment.study).cloned();
            if let Some(running) = running {
                match &running.work.study.work {
                    Work::Command(command) => {
                        program::run(&running, command, &assignment, &self.tell)
                    }
                    Work::Learner(_) | Work::ChosenLearner { .. } => {
                        fleet::train(&running, &assignment, &self.tell);
                    }
                    // Nothing of these ever becomes an assignment.
                    Work::External | Work::AutoMl => {}
                }
            }
            let Assignment {
                study,
                number,
                attempt,
                ..
            } = assignment;
            (self.tell)(FromRunner::Done {
                study,
                assignment: number,
                attempt,
            });
            (self.tell)(FromRunner::Wanted { assignments: 1 });
        }
    }

    fn hear(&self, hint: &ToRunner) {
        let (ToRunner::StopTrial { study, .. } | ToRunner::StopStudy { study, .. }) = hint;
        let Some(running) = lock(&self.studies).get(study).cloned() else {
            return;
        };
        match hint {
            ToRunner::StopTrial {
                configuration,
                entity,
                reason,
                ..
            } => {
                if let Some(halt) = lock(&running.halts).get(&(*configuration, *entity)) {
                    halt.ask(reason);
                }
            }
            ToRunner::StopStudy { reason, .. } => running.end(reason),
        }
    }
}

impl Running {
    /// Ends everything of the study that is in flight, and everything that is still to come.
    fn end(&self, reason: &str) {
        // The first reason stays.
        let _ = self.over.set(reason.to_owned());
        self.stop.cancel();
        for halt in lock(&self.halts).values() {
            halt.ask(reason);
        }
    }
}

/// A poisoned lock means that another thread panicked while it held plain data, which is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
