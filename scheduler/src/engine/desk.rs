//! The engine's thread from inside: the studies that run, and the turn from notes to facts to commands.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use fleetfit_search_spaces::{FromRunner, Study, ToRunner};

use super::{Board, EngineError, Note, OpenStudy, Outlets};
use crate::event::{Command, EndedBy, Event, Fact, Step};
use crate::journal::{Index, Journal, JournalError, Status, StudyId, Summary};
use crate::state::{Phase, StudyState};

/// How often a study's clock is looked at while nothing else happens.
const TICK: Duration = Duration::from_millis(100);

/// How many notes are committed together at most.
const GROUP: usize = 4_096;

/// Everything the engine's thread owns.
pub(super) struct Desk {
    journal: Journal,
    outlets: Outlets,
    live: Vec<Live>,
    /// How many assignments runners could still take.
    wanted: u32,
    board: Arc<Board>,
    /// Why a runner cannot go on, which ends the engine: a disk that is full, for one.
    unable: Option<String>,
}

impl Desk {
    pub(super) fn new(journal: Journal, outlets: Outlets, board: Arc<Board>) -> Self {
        Self { journal, outlets, live: Vec::new(), wanted: 0, board, unable: None }
    }

    pub(super) fn run(&mut self, inbox: &Receiver<Note>) -> Result<(), EngineError> {
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
            if !interrupted && self.unable.is_none() {
                self.hand_out();
            }
            self.commit()?;
            if let Some(reason) = self.unable.take() {
                self.leave()?;
                return Err(EngineError(reason));
            }
            if interrupted {
                return Ok(self.leave()?);
            }
        }
    }

    fn hear(&mut self, message: FromRunner) {
        let (study, event) = match message {
            FromRunner::Wanted { assignments } => {
                self.wanted = self.wanted.saturating_add(assignments);
                return;
            }
            FromRunner::Unable { reason } => {
                self.unable = Some(reason);
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
        if self.live.iter().any(|live| live.id == id) {
            return Ok(());
        }
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
            if !facts.is_empty() {
                let index = index(&mut live.state);
                journal.append(live.id, &facts, &index)?;
                board.lock().summaries.insert(live.name.clone(), index.summary);
                board.changed.notify_all();
            }
            for command in commands {
                carry_out(outlets, live, command);
            }
            for done in live.waiting.drain(..) {
                // The asker may have gone; then nobody needs the answer.
                let _ = done.send(true);
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
pub(super) fn index(state: &mut StudyState) -> Index {
    let touched = state.touched();
    let best = touched.into_iter().filter_map(|entity| {
        state.best(entity).map(|(value, configuration)| (entity, value, configuration))
    });
    Index { best: best.collect(), summary: summarise(state) }
}

/// The state that a study's facts amount to.
pub(super) fn replay(
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
