//! The thread that runs studies: it takes notes from runners and users, lets the core decide, writes
//! the facts to the journal, and only then carries out the commands.
//!
//! It is the one writer of the journal and the only place in this crate that reads the clock. Notes
//! that wait together are committed together, so the cost of a flush is shared by all of them.

mod desk;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Sender, SyncSender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fleetfit_search_spaces::{Assignment, FromRunner, Study, ToRunner};
use thiserror::Error;

use self::desk::{Desk, index, replay};
use crate::event::Event;
use crate::journal::{Journal, JournalError, Status, StudyId, StudyRecord, Summary};

/// What the engine is told.
#[derive(Debug)]
pub enum Note {
    /// By a runner.
    Runner(FromRunner),
    /// To run a study that is in the journal, from where it stands.
    Open(Box<OpenStudy>),
    /// To cancel a study that it runs.
    Cancel {
        /// The study's name.
        study: String,
        /// Told whether the study was running here.
        done: SyncSender<bool>,
    },
    /// To stop everything, leave it resumable, and end.
    Interrupt,
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
    /// Whether a study that was cancelled goes on.
    pub reopen: bool,
}

/// Where the engine's commands go.
pub struct Outlets {
    /// Takes assignments.
    pub dispatch: Box<dyn FnMut(Assignment) + Send>,
    /// Takes hints to runners.
    pub hint: Box<dyn FnMut(ToRunner) + Send>,
}

/// Why the engine ended before its time.
#[derive(Clone, Debug, Error)]
#[error("{0}")]
pub struct EngineError(pub String);

impl From<JournalError> for EngineError {
    fn from(error: JournalError) -> Self {
        Self(error.to_string())
    }
}

/// A running engine.
pub struct Engine {
    notes: Sender<Note>,
    board: Arc<Board>,
    thread: JoinHandle<()>,
}

/// What everybody may look at while studies run.
#[derive(Default)]
struct Board {
    posted: Mutex<Posted>,
    changed: Condvar,
}

#[derive(Default)]
struct Posted {
    summaries: BTreeMap<String, Summary>,
    ended: Option<Result<(), EngineError>>,
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
            posted.lock().ended = Some(ended);
            posted.changed.notify_all();
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
        self.board.lock().ended.clone().unwrap_or(Ok(()))
    }
}

impl EngineHandle {
    /// Tells the engine something. False when it has ended.
    pub fn tell(&self, note: Note) -> bool {
        self.notes.send(note).is_ok()
    }

    /// Cancels a study and waits until that is on disk. False when it does not run here.
    pub fn cancel(&self, study: &str) -> bool {
        let (done, answer) = mpsc::sync_channel(1);
        self.tell(Note::Cancel { study: study.to_owned(), done }) && answer.recv().unwrap_or(false)
    }

    /// How a study that runs (or ran) here stands.
    pub fn summary(&self, study: &str) -> Option<Summary> {
        self.board.lock().summaries.get(study).cloned()
    }

    /// Waits until the study is over, the engine has ended, or the time is up; then tells how the
    /// study stands.
    pub fn wait(&self, study: &str, at_most: Duration) -> Result<Option<Summary>, EngineError> {
        let until = Instant::now() + at_most;
        let mut posted = self.board.lock();
        loop {
            let summary = posted.summaries.get(study).cloned();
            if let Some(ended) = &posted.ended {
                return ended.clone().map(|()| summary);
            }
            let over = summary.as_ref().is_some_and(|summary| summary.status != Status::Running);
            let left = until.saturating_duration_since(Instant::now());
            if over || left.is_zero() {
                return Ok(summary);
            }
            let wait = self.board.changed.wait_timeout(posted, left);
            posted = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Posted> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cancels a study that no engine runs.
pub fn cancel_at_rest(journal: &Journal, record: &StudyRecord) -> Result<(), EngineError> {
    if record.summary.status.is_over() {
        return Ok(());
    }
    let study = record.study().map_err(|problems| EngineError(problems.to_string()))?;
    let head = &record.head;
    let mut state = replay(journal, record.id, study, head.seed, head.entities)?;
    let facts = state.handle(Event::Cancelled).facts;
    let index = index(&mut state);
    Ok(journal.append(record.id, &facts, &index)?)
}
