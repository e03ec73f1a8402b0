//! Threads that take assignments, do them, and tell what came of them.
//!
//! Every assignment is done by one thread from beginning to end, and in one slot. There may be more
//! threads than slots: those beyond make programs ready and wait, or wait for a graphics card
//! (`slots.rs`), and some are left for what asks no card (`askers.rs`). Hints from the scheduler (end
//! this trial, end this study) reach trials in flight through flags.

mod askers;
mod back_test;
mod bench;
mod course;
mod fleet;
mod flight;
mod ground;
mod models;
mod news;
mod part;
mod program;
mod shelf;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fleetfit_search_spaces::wire::Refit;
use fleetfit_search_spaces::{
    Aims, Assignment, AssignmentKey, FromRunner, Study, StudyId, ToRunner, Work,
};

use self::askers::{Aside, Askers, Pass};
use self::bench::Benches;
use self::flight::{Flight, Flights, Landing};
use self::shelf::{Shelf, a_quarter_of_memory};
use crate::command::{CodeSnapshot, GRACE, Supervisors};
use crate::dataset::Dataset;
use crate::devices::Device;
use crate::pack::PackWriter;
use crate::slots::{Slots, Turn};
use crate::trainer::Spare;

/// How often a thread without work looks whether the runner ends.
const LOOK: Duration = Duration::from_millis(100);

/// How often it looks whether one that was set aside may go on.
const LOOK_ASIDE: Duration = Duration::from_millis(10);

/// How long interrupted work may take to end, beyond what a program has for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a thread waits before it hands back what cannot be done here, which will often come back
/// to it.
const BACKOFF: Duration = Duration::from_millis(500);

/// How many assignments, for each slot, may wait for a graphics card while others have their slots:
/// the processor has work as long as any of those that come next is its.
const ASKING_PER_SLOT: usize = 4;

/// Where there are many slots, no more than so many wait, or one for each: a card has enough at once
/// then, and each has threads, and files that are open.
const MANY_ASKING: usize = 64;

/// Bytes of rows that a thread lays out for a device at once, at least and at most; and how long that
/// and what is tried on them should take: whoever waits hears of progress after each.
const LEAST_CHUNK: u64 = 1 << 20;
const FIRST_CHUNK: u64 = 8 << 20;
const MOST_CHUNK: u64 = 128 << 20;
const CHUNK_TIME: Duration = Duration::from_secs(2);

/// What a runner has of a study before it begins with it.
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
    /// What becomes of models, logs and outputs.
    pub keeping: Keeping,
}

/// What becomes of the models, logs and outputs of a study.
#[derive(Debug, Default)]
pub enum Keeping {
    /// They stay in the study's folder.
    #[default]
    Here,
    /// They are taken elsewhere.
    Carried(Carrier),
}

/// Takes elsewhere what a study's trials leave.
pub struct Carrier {
    /// Takes refitted winners and tells the scheduler of them. An address points into the bytes.
    pub models: CarryModels,
    /// Takes what a command trial left in its folder, before its end is told.
    pub files: CarryFiles,
}

/// See [`Carrier::models`].
pub type CarryModels =
    Box<dyn Fn(AssignmentKey, Vec<Refit>, Vec<u8>) -> Result<(), Lacking> + Send + Sync>;

/// See [`Carrier::files`].
pub type CarryFiles = Box<dyn Fn(&Left<'_>) + Send + Sync>;

/// What a command trial left.
#[derive(Clone, Copy, Debug)]
pub struct Left<'a> {
    /// The assignment.
    pub of: AssignmentKey,
    /// The configuration's number.
    pub configuration: u32,
    /// The entity's index.
    pub entity: u32,
    /// Its folder: `log.txt`, and `outputs/` where the job has any.
    pub folder: &'a Path,
}

/// The pack of a model whose bytes travel with the message.
pub const ATTACHED: u32 = u32::MAX;

/// The pack of a model whose bytes were uploaded before the message.
pub const UPLOADED: u32 = u32::MAX - 1;

/// Why work of a study cannot be done here, in the user's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Lacking(pub String);

/// Where a runner tells what happened.
pub type Tell = Box<dyn Fn(FromRunner) + Send + Sync>;

/// Finds what a study needs. It may take long.
pub type Provide = Box<dyn Fn(StudyId) -> Result<StudyWork, Lacking> + Send + Sync>;

/// What a runner may do.
#[derive(Clone, Debug)]
pub struct Allowance {
    /// How many assignments at once.
    pub slots: usize,
    /// How many more it takes in and makes ready, so that they begin as soon as there is a slot. One
    /// that waits for long is handed back.
    pub ahead: usize,
    /// Whether it runs programs.
    pub commands: bool,
    /// How much memory data may take before studies that nobody works on are dropped.
    pub data_bytes: u64,
    /// What it trains on beside its threads.
    pub device: Device,
}

impl Allowance {
    /// So many threads, everything else as usual.
    pub fn of(slots: usize) -> Self {
        let (data_bytes, device) = (a_quarter_of_memory(), Device::default());
        Self { slots, ahead: 0, commands: true, data_bytes, device }
    }
}

/// What waits for graphics cards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// How many assignments only wait for one: as many more may be given out.
    pub n: usize,
    /// How many may at most; 0 where there is no card.
    pub most: usize,
    /// How many more came, and are set aside until one of those is done.
    pub n_aside: usize,
    /// The studies that ask one for fits.
    pub studies: BTreeSet<StudyId>,
}

/// A set of training threads.
pub struct Runner {
    desk: Arc<Desk>,
    threads: Vec<JoinHandle<()>>,
    /// How many assignments may wait for the device while others have their slots.
    n_asking: usize,
}

/// What the threads share.
struct Desk {
    shelf: Shelf,
    flights: Flights,
    slots: Slots,
    /// How many threads may be at assignments of built-in learners.
    n_fitting: usize,
    device: Device,
    /// The studies that ask it for fits.
    asking: Mutex<BTreeSet<StudyId>>,
    askers: Arc<Askers>,
    /// Bytes of rows that a thread lays out for the device at once: as many as it is done with in time,
    /// and no more than there is memory for.
    chunk_bytes: AtomicU64,
    most_chunk_bytes: u64,
    spare: Spare,
    /// None once the runner takes no more.
    assignments: Mutex<Option<Receiver<Assignment>>>,
    is_leaving: AtomicBool,
    runs_commands: bool,
    tell: Tell,
}

/// An assignment that a thread begins with, or goes on with.
struct Begun {
    assignment: Assignment,
    flight: Arc<Flight>,
    /// That it may ask a card, where it was set aside before.
    pass: Option<Pass>,
    _turn: Turn,
}

/// A study that this runner works on.
struct Running {
    work: StudyWork,
    /// What its trials are measured by.
    aims: Aims,
    /// Model packs that no thread is writing.
    packs: Mutex<Vec<PackWriter>>,
    supervisors: Supervisors,
    benches: Benches,
}

/// How many assignments may wait for a card.
fn n_asking(slots: usize) -> usize {
    (ASKING_PER_SLOT * slots).min(slots.max(MANY_ASKING))
}

impl Runner {
    /// Starts the threads. They end when the sender of assignments is dropped.
    pub fn start(
        allowance: Allowance,
        assignments: Receiver<Assignment>,
        tell: Tell,
        provide: Provide,
    ) -> std::io::Result<Self> {
        let Allowance { slots, ahead, commands, data_bytes, device } = allowance;
        let n_asking = if device.cards().next().is_some() { n_asking(slots) } else { 0 };
        let n_fitting = slots + n_asking;
        // Threads beyond the slots are never lent: nobody counted on their cores.
        let spare = Spare::default();
        (0..ahead + n_asking).for_each(|_| spare.work());
        let most_chunk_bytes =
            (data_bytes / 8 / n_fitting.max(1) as u64).clamp(LEAST_CHUNK, MOST_CHUNK);
        let desk = Arc::new(Desk {
            shelf: Shelf::new(provide, n_fitting, data_bytes),
            flights: Flights::default(),
            slots: Slots::of(slots, ahead, spare.clone()),
            n_fitting,
            device,
            asking: Mutex::default(),
            askers: Askers::of(n_asking),
            chunk_bytes: AtomicU64::new(most_chunk_bytes.min(FIRST_CHUNK)),
            most_chunk_bytes,
            spare,
            assignments: Mutex::new(Some(assignments)),
            is_leaving: AtomicBool::new(false),
            runs_commands: commands,
            tell,
        });
        let thread = |number| {
            let desk = Arc::clone(&desk);
            let name = format!("runner-{number}");
            std::thread::Builder::new().name(name).spawn(move || desk.work())
        };
        let threads = (0..n_fitting + ahead).map(thread).collect::<Result<_, _>>()?;
        Ok(Self { desk, threads, n_asking })
    }

    /// Makes a study known before its first assignment, so that it need not be provided.
    pub fn add(&self, id: StudyId, work: StudyWork) {
        self.desk.shelf.put(id, work);
    }

    /// A door for hints that can be handed around.
    pub fn hints(&self) -> impl Fn(ToRunner) + Send + Sync + use<> {
        let desk = Arc::clone(&self.desk);
        move |hint| desk.hear(&hint)
    }

    /// Tells what waits for the device, and again whenever that changes.
    pub fn hear_of_asking(&self, hear: impl Fn(Asking) + Send + 'static) {
        let (most, desk) = (self.n_asking, Arc::downgrade(&self.desk));
        let tell = move |n_resting: usize| {
            let Some(desk) = desk.upgrade() else { return };
            let studies = {
                let mut studies = lock(&desk.asking);
                studies.retain(|study| desk.flights.has(*study));
                studies.clone()
            };
            let n_aside = desk.askers.n_aside();
            hear(Asking { n: n_resting.min(most), most, n_aside, studies });
        };
        self.desk.slots.hear(Box::new(tell));
    }

    /// The assignments that threads are at, and those that are set aside.
    pub fn holds(&self) -> Vec<AssignmentKey> {
        self.desk.flights.keys()
    }

    /// Takes no more and ends. What runs may go on for a while; then it is interrupted and handed
    /// back, like everything that was not begun. Returns once all of it has been told.
    pub fn drain(&self, grace: Duration) {
        let desk = &self.desk;
        desk.is_leaving.store(true, Ordering::SeqCst);
        let waiting = lock(&desk.assignments).take();
        for assignment in waiting.iter().flat_map(Receiver::try_iter) {
            (desk.tell)(FromRunner::Returned { of: assignment.key, reason: None });
        }
        for Aside { assignment, .. } in desk.askers.close() {
            (desk.tell)(FromRunner::Returned { of: assignment.key, reason: None });
            desk.flights.land(assignment.key);
        }
        desk.flights.wait(grace);
        desk.flights.hand_back();
        desk.flights.wait(GRACE + PATIENCE);
        for key in desk.flights.keys() {
            // Its thread cannot be interrupted; it will find that the assignment is gone.
            desk.flights.land(key);
            (desk.tell)(FromRunner::Returned { of: key, reason: None });
        }
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
            self.spare.wait();
            let next = self.next();
            self.spare.work();
            let Some(Begun { assignment, flight, mut pass, _turn }) = next else { return };
            let key = assignment.key;
            if pass.is_some() {
                self.slots.tell();
            }
            // A panic that nothing else caught must not take the thread with it: what the
            // assignment has not told comes back from the scheduler.
            let carry_out = || self.carry_out(&flight, &assignment, &mut pass);
            let landing = catch_unwind(AssertUnwindSafe(carry_out)).unwrap_or(Landing::Done);
            if let Landing::Lacking(_) = landing {
                std::thread::sleep(BACKOFF);
            }
            if !self.flights.is_aloft(key) {
                continue;
            }
            let returned = |reason| FromRunner::Returned { of: key, reason };
            (self.tell)(match landing {
                Landing::Done => FromRunner::Done { of: key },
                Landing::Aside => match self.askers.put(Aside { assignment, flight }) {
                    Ok(()) => {
                        self.slots.tell();
                        continue;
                    }
                    Err(_) => returned(None),
                },
                Landing::HandedBack => returned(None),
                Landing::Lacking(reason) => returned(Some(reason)),
                Landing::Unable(reason) => {
                    (self.tell)(FromRunner::Unable { reason: reason.clone() });
                    returned(Some(reason))
                }
            });
            self.flights.land(key);
        }
    }

    fn next(&self) -> Option<Begun> {
        loop {
            let inbox = lock(&self.assignments);
            if self.is_leaving() {
                return None;
            }
            if !self.slots.has_turn(LOOK) {
                continue;
            }
            if let Some((Aside { assignment, flight }, pass)) = self.askers.next() {
                let _turn = self.slots.begin();
                return Some(Begun { assignment, flight, pass: Some(pass), _turn });
            }
            let has_aside = self.askers.n_aside() > 0;
            let patience = if has_aside { LOOK_ASIDE } else { LOOK };
            match inbox.as_ref()?.recv_timeout(patience) {
                Ok(assignment) => {
                    // Before the inbox is let go, so that whoever drains the runner sees it.
                    let flight = self.flights.take_off(assignment.key);
                    let _turn = self.slots.begin();
                    return Some(Begun { assignment, flight, pass: None, _turn });
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) if has_aside => std::thread::sleep(patience),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Has chunks be as large as is done in time, after one took so long.
    fn size_chunks(&self, taken: Duration, was_full: bool) {
        let own = self.chunk_bytes.load(Ordering::Relaxed);
        let next = match taken {
            long if long > 2 * CHUNK_TIME => own / 2,
            short if short < CHUNK_TIME / 2 && was_full => own * 2,
            _ => return,
        };
        let next = next.clamp(LEAST_CHUNK, self.most_chunk_bytes);
        self.chunk_bytes.store(next, Ordering::Relaxed);
    }

    fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::SeqCst)
    }

    fn carry_out(
        &self,
        flight: &Flight,
        assignment: &Assignment,
        pass: &mut Option<Pass>,
    ) -> Landing {
        if flight.over().is_some() {
            return if flight.is_handed_back() { Landing::HandedBack } else { Landing::Done };
        }
        let running = match self.shelf.get(assignment.key.study, &self.flights) {
            Ok(running) => running,
            // Nobody wants it any more, or nobody waits for it.
            Err(_) if flight.is_handed_back() => return Landing::HandedBack,
            Err(_) if flight.over().is_some() => return Landing::Done,
            Err(Lacking(reason)) => return Landing::Lacking(reason),
        };
        match &running.work.study.work {
            Work::Command(_) if !self.runs_commands => Landing::Lacking(
                "this runner runs no programs; start it with --allow-commands".into(),
            ),
            Work::Command(command) => program::run(self, &running, flight, command, assignment),
            Work::Learner(_) | Work::ChosenLearner { .. } => {
                if pass.is_none() && fleet::may_ask(self, &running, assignment) {
                    *pass = self.askers.admit();
                    if pass.is_none() {
                        return Landing::Aside;
                    }
                }
                let is_wanted = || flight.over().is_none() && !self.is_leaving();
                let Some(slot) = self.slots.take(is_wanted) else { return Landing::HandedBack };
                fleet::train(self, &running, (flight, pass.as_ref()), &slot, assignment)
            }
            // Nothing of these ever becomes an assignment.
            Work::External | Work::AutoMl => Landing::Done,
        }
    }

    fn hear(&self, hint: &ToRunner) {
        match hint {
            ToRunner::StopTrial { study, before, configuration, entity, reason } => {
                self.flights.end_trial(*study, *before, (*configuration, *entity), reason);
            }
            ToRunner::StopStudy { study, before, reason } => {
                self.flights.end(*study, *before, reason);
            }
            ToRunner::Forget { study } => {
                self.flights.forget(*study);
                self.shelf.remove(*study);
            }
        }
    }
}

impl Running {
    fn new(work: StudyWork, n_threads: usize) -> Self {
        Self {
            supervisors: Supervisors::new(&work.supervisor),
            aims: Aims::of(&work.study),
            work,
            packs: Mutex::default(),
            benches: Benches::new(n_threads),
        }
    }
}

impl std::fmt::Debug for Carrier {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Carrier").finish_non_exhaustive()
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
