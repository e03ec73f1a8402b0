//! The thread that runs studies: it takes notes from runners and users, lets the core decide, writes
//! the facts to the journal, and only then carries out the commands.
//!
//! It is the one writer of the journal and the only place in this crate that reads the clock. Notes
//! that wait together are committed together, so the cost of a flush is shared by all of them.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fleetfit_search_spaces::{Assignment, FromRunner, Study, ToRunner};
use thiserror::Error;

use crate::event::{Command, EndedBy, Event, Fact, Step};
use crate::journal::{Index, Journal, JournalError, Status, StudyId, StudyRecord, Summary};
use crate::state::{Phase, StudyState};

/// How often a study's clock is looked at while nothing else happens.
const TICK: Duration = Duration::from_millis(100);

/// How many notes are committed together at most.
const GROUP: usize = 4_096;

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
            let mut desk =
                Desk { journal, outlets, live: Vec::new(), wanted: 0, board: Arc::clone(&posted) };
            let ended = desk.run(&inbox).map_err(|error| EngineError(error.to_string()));
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

/// A study that runs here.
struct Live {
    id: StudyId,
    name: String,
    state: StudyState,
    /// When it was opened here, and how long it had run before.
    opened: Instant,
    ran_before_ms: u64,
    /// What was decided since the last commit.
    pending: Step,
    /// Who waits for a cancel to be on disk.
    waiting: Vec<SyncSender<bool>>,
    /// All assignments that were handed out have lower numbers.
    next_assignment: u64,
}

impl Live {
    fn handle(&mut self, event: Event) {
        let step = self.state.handle(event);
        self.pending.facts.extend(step.facts);
        self.pending.commands.extend(step.commands);
    }

    fn elapsed_ms(&self) -> u64 {
        self.ran_before_ms + self.opened.elapsed().as_millis() as u64
    }
}

/// Where a study stands, for its index.
fn summarise(state: &StudyState) -> Summary {
    let counts = state.counts();
    let status = match (state.phase(), state.ended_by()) {
        (Phase::Searching | Phase::Refitting, _) => Status::Running,
        (Phase::Closed, Some(EndedBy::Cancel)) => Status::Stopped,
        (Phase::Closed, _) if counts.completed == 0 => Status::Failed,
        (Phase::Closed, _) => Status::Completed,
    };
    Summary {
        status,
        ended_by: state.ended_by(),
        elapsed_ms: state.elapsed_ms(),
        completed: counts.completed,
        stopped: counts.stopped,
        failed: counts.failed,
        fits: counts.fits,
        proposed: counts.proposed,
        shared_best: state.shared_best(),
    }
}

/// What follows from what a study's state has just learnt.
fn index(state: &mut StudyState) -> Index {
    let touched = state.touched();
    let best = touched.into_iter().filter_map(|entity| {
        state.best(entity).map(|(value, configuration)| (entity, value, configuration))
    });
    Index { best: best.collect(), summary: summarise(state) }
}

/// The state that a study's facts amount to.
fn replay(
    journal: &Journal,
    id: StudyId,
    study: Study,
    seed: u64,
    n_entities: u32,
) -> Result<StudyState, JournalError> {
    let mut state = StudyState::new(study, seed, n_entities);
    for fact in journal.facts(id) {
        state.apply(&fact?);
    }
    // What the facts touched is indexed already.
    state.touched();
    Ok(state)
}

/// Cancels a study that no engine runs.
pub fn cancel_at_rest(journal: &Journal, record: &StudyRecord) -> Result<(), EngineError> {
    let failed = |error: JournalError| EngineError(error.to_string());
    if record.summary.status.is_over() {
        return Ok(());
    }
    let study = record.study().map_err(|problems| EngineError(problems.to_string()))?;
    let head = &record.head;
    let mut state = replay(journal, record.id, study, head.seed, head.entities).map_err(failed)?;
    let facts = state.handle(Event::Cancelled).facts;
    let index = index(&mut state);
    journal.append(record.id, &facts, &index).map_err(failed)
}

/// The engine's own thread: everything it owns.
struct Desk {
    journal: Journal,
    outlets: Outlets,
    live: Vec<Live>,
    /// How many assignments runners could still take.
    wanted: u32,
    board: Arc<Board>,
}

impl Desk {
    fn run(&mut self, inbox: &Receiver<Note>) -> Result<(), JournalError> {
        loop {
            let first = match inbox.recv_timeout(TICK) {
                Ok(note) => Some(note),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            let mut interrupted = false;
            for live in &mut self.live {
                let elapsed_ms = live.elapsed_ms();
                live.handle(Event::Elapsed { elapsed_ms });
            }
            for note in
                first.into_iter().chain(std::iter::from_fn(|| inbox.try_recv().ok())).take(GROUP)
            {
                match note {
                    Note::Runner(message) => self.hear(message),
                    Note::Open(open) => self.open(*open)?,
                    Note::Cancel { study, done } => self.cancel(&study, done),
                    Note::Interrupt => interrupted = true,
                }
            }
            if !interrupted {
                self.hand_out();
            }
            self.commit()?;
            if interrupted {
                return self.leave();
            }
        }
    }

    fn hear(&mut self, message: FromRunner) {
        let (study, event) = match message {
            FromRunner::Wanted { assignments } => {
                self.wanted = self.wanted.saturating_add(assignments);
                return;
            }
            FromRunner::Outcomes { study, assignment, attempt: _, outcomes } => {
                (study, Event::Ended { assignment, outcomes })
            }
            FromRunner::Report { study, configuration, entity, report } => {
                (study, Event::Reported { configuration, entity, report })
            }
            FromRunner::Refitted { study, assignment, models } => {
                (study, Event::Refitted { assignment, models })
            }
            FromRunner::Done { study, assignment, attempt } => {
                (study, Event::Released { assignment, attempt })
            }
        };
        // A study that is not live has ended or was deleted: what is still told of it is late.
        if let Some(live) = self.live.iter_mut().find(|live| live.name == study) {
            live.handle(event);
        }
    }

    /// Rebuilds the state from the journal and starts the study.
    fn open(&mut self, open: OpenStudy) -> Result<(), JournalError> {
        let OpenStudy { id, study, seed, n_entities, reopen } = open;
        let name = study.name.clone();
        let state = replay(&self.journal, id, study, seed, n_entities)?;
        let ran_before_ms = state.elapsed_ms();
        let mut live = Live {
            id,
            name,
            state,
            opened: Instant::now(),
            ran_before_ms,
            // Written first of all, so that the journal says "running" from the start.
            pending: Step {
                facts: vec![Fact::Elapsed { elapsed_ms: ran_before_ms }],
                commands: vec![],
            },
            waiting: Vec::new(),
            next_assignment: 0,
        };
        if reopen {
            live.handle(Event::Resumed);
        }
        live.handle(Event::Started);
        self.live.push(live);
        Ok(())
    }

    fn cancel(&mut self, study: &str, done: SyncSender<bool>) {
        match self.live.iter_mut().find(|live| live.name == study) {
            Some(live) => {
                live.handle(Event::Cancelled);
                live.waiting.push(done);
            }
            // The asker may have gone; then nobody needs the answer.
            None => {
                let _ = done.send(false);
            }
        }
    }

    /// Lets studies turn what runners want into assignments, one assignment each in turn.
    fn hand_out(&mut self) {
        let mut idle = 0;
        while self.wanted > 0 && idle < self.live.len() {
            idle = 0;
            for live in &mut self.live {
                if self.wanted == 0 {
                    break;
                }
                let before = live.pending.commands.len();
                live.handle(Event::Wanted { assignments: 1 });
                let dispatched = live.pending.commands[before..]
                    .iter()
                    .filter(|command| matches!(command, Command::Dispatch(_)))
                    .count();
                self.wanted -= dispatched.min(self.wanted as usize) as u32;
                idle += usize::from(dispatched == 0);
            }
        }
    }

    /// Facts to the disk, then commands to the world.
    fn commit(&mut self) -> Result<(), JournalError> {
        let Self { journal, outlets, live, board, .. } = self;
        for live in live.iter_mut() {
            let Step { facts, commands } = std::mem::take(&mut live.pending);
            let index = index(&mut live.state);
            if !facts.is_empty() {
                journal.append(live.id, &facts, &index)?;
            }
            for command in commands {
                carry_out(outlets, live, command);
            }
            for done in live.waiting.drain(..) {
                // The asker may have gone; then nobody needs the answer.
                let _ = done.send(true);
            }
            if !facts.is_empty() {
                board.lock().summaries.insert(live.name.clone(), index.summary);
                board.changed.notify_all();
            }
        }
        live.retain(|live| live.state.phase() != Phase::Closed);
        Ok(())
    }

    /// Marks what still runs as interrupted and stops the runners.
    fn leave(&mut self) -> Result<(), JournalError> {
        for live in &mut self.live {
            let reason = "interrupted".to_owned();
            let (study, before) = (live.name.clone(), live.next_assignment);
            (self.outlets.hint)(ToRunner::StopStudy { study, before, reason });
            let summary = Summary { status: Status::Interrupted, ..summarise(&live.state) };
            let elapsed = [Fact::Elapsed { elapsed_ms: live.elapsed_ms() }];
            let index = Index { summary: summary.clone(), best: Vec::new() };
            self.journal.append(live.id, &elapsed, &index)?;
            self.board.lock().summaries.insert(live.name.clone(), summary);
        }
        Ok(())
    }
}

fn carry_out(outlets: &mut Outlets, live: &mut Live, command: Command) {
    let study = live.name.clone();
    match command {
        Command::Dispatch(assignment) => {
            live.next_assignment = live.next_assignment.max(assignment.number + 1);
            (outlets.dispatch)(assignment);
        }
        Command::StopTrial { configuration, entity, reason } => {
            (outlets.hint)(ToRunner::StopTrial { study, configuration, entity, reason });
        }
        Command::StopStudy { reason } => {
            let before = live.next_assignment;
            (outlets.hint)(ToRunner::StopStudy { study, before, reason });
        }
        Command::Finished => {}
    }
}
