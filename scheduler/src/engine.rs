//! The thread that runs studies: it takes notes from runners and users, lets the core decide, writes
//! the facts to the journal, and only then carries out the commands.
//!
//! It is the one writer of the journal and the only place in this crate that reads the clock. Notes
//! that wait together are committed together, so the cost of a flush is shared by all of them. Read
//! next: `engine/desk.rs` for a turn, `engine/live.rs` for one study, `engine/share.rs` for who is
//! served first, `engine/outside.rs` for trials that are run elsewhere.

mod board;
mod desk;
mod leases;
mod live;
mod outside;
mod queue;
mod share;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use fleetfit_search_spaces::wire::Numbered;
use fleetfit_search_spaces::wire::subjects::Kind;
use fleetfit_search_spaces::{Assignment, Configuration, FromRunner, Study, ToRunner, Work};
use thiserror::Error;
use tokio::sync::watch;

use self::board::Board;
use self::desk::Desk;
pub(crate) use self::live::index;
use self::live::replay;
use crate::event::Event;
use crate::journal::{Journal, JournalError, StudyId, StudyRecord, Summary};

pub(crate) use self::leases::forget_leases;
pub use self::outside::{AskError, Told, TrialResult};
pub(crate) use self::queue::enqueued_before;
pub use self::queue::{QueueError, Wish, enqueue_at_rest};

/// What the engine is told.
#[derive(Debug)]
pub enum Note {
    /// What runners tell.
    Heard {
        /// Their messages.
        messages: Vec<FromRunner>,
        /// Given back once the messages count.
        receipt: Option<Receipt>,
    },
    /// How many assignments may be out.
    Capacity(Capacity),
    /// Studies that ask graphics cards for fits, until they are over.
    Asking(BTreeSet<StudyId>),
    /// To run a study that is in the journal, from where it stands.
    Open(Box<OpenStudy>),
    /// To cancel a study that it runs.
    Cancel {
        /// The study's name.
        study: String,
        /// Told whether the study was running here.
        done: SyncSender<bool>,
    },
    /// To forget a study that is over here.
    Leave {
        /// The study's name.
        study: String,
        /// Told whether it is over here, or never was.
        done: SyncSender<bool>,
    },
    /// To let somebody outside run trials.
    Ask {
        /// The study's name.
        study: String,
        /// How many.
        trials: u32,
        /// How long they may take before others are offered them.
        lease: Duration,
        /// Told the trials.
        done: SyncSender<Result<Vec<Numbered>, AskError>>,
    },
    /// To try configurations before the sampler is asked again.
    Enqueue {
        /// The study's name.
        study: String,
        /// The configurations.
        wish: Wish,
        /// Told their numbers.
        done: SyncSender<Result<Vec<u32>, QueueError>>,
    },
    /// What came of trials that were run outside.
    Tell {
        /// The study's name.
        study: String,
        /// The results.
        results: Vec<TrialResult>,
        /// Told what became of each of them.
        done: SyncSender<Result<Vec<Told>, AskError>>,
    },
    /// A metric value of a trial that runs outside.
    Report {
        /// The study's name.
        study: String,
        /// The configuration's number.
        trial: u32,
        /// The step; none counts up.
        step: Option<u64>,
        /// The value.
        value: f64,
        /// Told whether the trial should stop, and who says so.
        done: SyncSender<Result<Option<String>, AskError>>,
    },
    /// To stop everything, leave it resumable, and end.
    Interrupt,
}

/// What a bus gives with a message, and gets back once the message is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Receipt(pub u64);

/// How many assignments may be out at once, by what a runner has to be able to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Assignments of built-in learners.
    pub fits: u32,
    /// How many of these may be of studies that ask graphics cards for fits: so many can wait for one
    /// without taking places from others. The others have the rest, whoever took it before they came.
    pub asking: u32,
    /// Assignments of programs.
    pub commands: u32,
}

impl Capacity {
    fn of(self, kind: Kind) -> u32 {
        match kind {
            Kind::Fit => self.fits,
            Kind::Command => self.commands,
        }
    }
}

/// A study for the engine to run.
#[derive(Debug)]
pub struct OpenStudy {
    /// Its id in the journal.
    pub id: StudyId,
    /// What it means.
    pub study: Study,
    /// The seed that was kept with it.
    pub seed: u64,
    /// How many entities it has.
    pub n_entities: u32,
    /// Those with many more rows than others, the largest first.
    pub large: Vec<u32>,
    /// What it tries first.
    pub warm: Vec<Configuration>,
    /// Whether a study that was cancelled goes on.
    pub reopen: bool,
    /// What of it is still out.
    pub adopted: Vec<Assignment>,
    /// Told once the journal says that it runs.
    pub opened: Option<SyncSender<bool>>,
}

/// Where the engine's commands go.
pub struct Outlets {
    /// Takes assignments.
    pub dispatch: Box<dyn FnMut(Kind, Assignment) + Send>,
    /// Takes hints to runners.
    pub hint: Box<dyn FnMut(ToRunner) + Send>,
    /// Takes the receipts of messages that are on disk.
    pub settled: Box<dyn FnMut(Vec<Receipt>) + Send>,
    /// Whether runners have nobody else to work for: they stop when the engine is interrupted.
    pub ends_runners: bool,
}

/// Why the engine ended before its time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct EngineError(pub String);

impl From<JournalError> for EngineError {
    fn from(error: JournalError) -> Self {
        Self(error.to_string())
    }
}

/// What the engine is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Studies that run here.
    pub live: usize,
    /// Assignments that runners have.
    pub out: usize,
    /// Trials that whoever asked for them runs.
    pub lent: usize,
    /// How many may be.
    pub capacity: Capacity,
    /// Messages of runners that were taken in.
    pub heard: u64,
    /// Groups of facts that were written, and the microseconds that took.
    pub commits: u64,
    /// Microseconds spent writing them.
    pub commit_us: u64,
}

/// A running engine.
pub struct Engine {
    notes: Sender<Note>,
    board: Arc<Board>,
    thread: JoinHandle<()>,
}

/// A door to the engine that can be handed around.
#[derive(Clone)]
pub struct EngineHandle {
    notes: Sender<Note>,
    board: Arc<Board>,
}

impl Engine {
    /// Starts the thread.
    pub fn start(journal: Journal, outlets: Outlets) -> std::io::Result<Self> {
        let (notes, inbox) = mpsc::channel();
        let board = Arc::new(Board::default());
        let posted = Arc::clone(&board);
        let thread = std::thread::Builder::new().name("engine".into()).spawn(move || {
            let mut desk = Desk::new(journal, outlets, Arc::clone(&posted));
            // Whoever waits for a study must hear that nobody runs it any more, whatever happened.
            let ended = catch_unwind(AssertUnwindSafe(|| desk.run(&inbox)))
                .unwrap_or_else(|_| Err(EngineError("the engine ended unexpectedly".into())));
            posted.end(ended);
        })?;
        Ok(Self { notes, board, thread })
    }

    /// A door to it.
    pub fn handle(&self) -> EngineHandle {
        EngineHandle { notes: self.notes.clone(), board: Arc::clone(&self.board) }
    }

    /// Stops everything, leaves it resumable, and waits for the end.
    pub fn interrupt(self) -> Result<(), EngineError> {
        // A send fails only when the engine has ended already, which is what is wanted.
        let _ = self.notes.send(Note::Interrupt);
        if self.thread.join().is_err() {
            return Err(EngineError("the engine ended unexpectedly".into()));
        }
        self.board.ended().unwrap_or(Ok(()))
    }
}

impl EngineHandle {
    /// Tells the engine something. False when it has ended.
    pub fn tell(&self, note: Note) -> bool {
        self.notes.send(note).is_ok()
    }

    /// Cancels a study and waits until that is on disk. False when it does not run here.
    pub fn cancel(&self, study: &str) -> bool {
        self.asked(|done| Note::Cancel { study: study.to_owned(), done }).unwrap_or(false)
    }

    /// Has a study forgotten that is over here. False when it runs.
    pub fn leave(&self, study: &str) -> bool {
        // An engine that has ended runs nothing.
        self.asked(|done| Note::Leave { study: study.to_owned(), done }).unwrap_or(true)
    }

    /// Asks for trials that are run outside. They are on disk when this returns.
    pub fn ask(
        &self,
        study: &str,
        trials: u32,
        lease: Duration,
    ) -> Result<Vec<Numbered>, AskError> {
        let study = study.to_owned();
        self.asked(|done| Note::Ask { study, trials, lease, done }).unwrap_or_else(|| self.gone())
    }

    /// Asks for configurations to be tried next, and tells their numbers. They are on disk when
    /// this returns.
    pub fn enqueue(&self, study: &str, wish: Wish) -> Result<Vec<u32>, QueueError> {
        let study = study.to_owned();
        let answer = self.asked(|done| Note::Enqueue { study, wish, done });
        answer.unwrap_or_else(|| match self.ended() {
            Some(Err(error)) => Err(QueueError::Failed(error)),
            _ => Err(QueueError::Gone),
        })
    }

    /// Tells what came of trials that were run outside. It is on disk when this returns.
    pub fn tell_results(
        &self,
        study: &str,
        results: Vec<TrialResult>,
    ) -> Result<Vec<Told>, AskError> {
        let study = study.to_owned();
        self.asked(|done| Note::Tell { study, results, done }).unwrap_or_else(|| self.gone())
    }

    /// Tells a value of a trial that runs outside; who wants it stopped, if anybody does.
    pub fn report(
        &self,
        study: &str,
        trial: u32,
        step: Option<u64>,
        value: f64,
    ) -> Result<Option<String>, AskError> {
        let study = study.to_owned();
        self.asked(|done| Note::Report { study, trial, step, value, done })
            .unwrap_or_else(|| self.gone())
    }

    /// Why nobody answers.
    fn gone<T>(&self) -> Result<T, AskError> {
        match self.ended() {
            Some(Err(error)) => Err(AskError::Failed(error)),
            _ => Err(AskError::Gone),
        }
    }

    fn asked<T>(&self, note: impl FnOnce(SyncSender<T>) -> Note) -> Option<T> {
        let (done, answer) = mpsc::sync_channel(1);
        if !self.tell(note(done)) {
            return None;
        }
        answer.recv().ok()
    }

    /// How a study that runs (or ran) here stands.
    pub fn summary(&self, study: &str) -> Option<Summary> {
        self.board.summary(study)
    }

    /// Why a study cannot go on here, although others can.
    pub fn trouble(&self, study: &str) -> Option<String> {
        self.board.trouble(study)
    }

    /// What the engine is at.
    pub fn stats(&self) -> Stats {
        self.board.stats()
    }

    /// How the engine ended; none while it runs.
    pub fn ended(&self) -> Option<Result<(), EngineError>> {
        self.board.ended()
    }

    /// Changes whenever facts were written.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.board.changes()
    }

    /// Waits until the study is over, the engine has ended, or the time is up; then tells how the
    /// study stands.
    pub fn wait(&self, study: &str, at_most: Duration) -> Result<Option<Summary>, EngineError> {
        self.board.wait(study, at_most)
    }
}

/// What a runner has to be able to do for a study; none where no runner is needed.
pub fn kind(study: &Study) -> Option<Kind> {
    match study.work {
        Work::Command(_) => Some(Kind::Command),
        Work::Learner(_) | Work::ChosenLearner { .. } | Work::AutoMl => Some(Kind::Fit),
        Work::External => None,
    }
}

/// Cancels a study that no engine runs.
pub fn cancel_at_rest(journal: &Journal, record: &StudyRecord) -> Result<(), EngineError> {
    if record.summary.status.is_over() {
        return Ok(());
    }
    let study = record.study().map_err(|problems| EngineError(problems.to_string()))?;
    let head = &record.head;
    let mut state = replay(journal, record.id, study, head.seed, head.entities, head.warm.clone())?;
    let facts = state.handle(Event::Cancelled).facts;
    let index = index(&mut state);
    Ok(journal.append(record.id, &facts, &index)?)
}
