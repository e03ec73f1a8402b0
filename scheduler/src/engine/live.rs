//! A study that the engine runs: its state, its clock, and what was decided since the last commit.

use std::sync::mpsc::SyncSender;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use fleetfit_search_spaces::wire::subjects::Kind;
use fleetfit_search_spaces::{Configuration, FromRunner, Study, Work};

use super::outside::Outside;
use super::queue::QueueDone;
use super::share::Share;
use super::{OpenStudy, kind};
use crate::event::{EndedBy, Event, Fact, Step};
use crate::journal::{Index, Journal, JournalError, Status, StudyId, Summary};
use crate::state::{Phase, StudyState};
use crate::warm;

/// How much of a study's running time a kill may forget.
const REMEMBER_EVERY_MS: u64 = 1_000;

/// A study that runs here.
pub(super) struct Live {
    pub(super) id: StudyId,
    pub(super) name: String,
    pub(super) kind: Option<Kind>,
    /// Whether its trials may be of several learners.
    pub(super) chooses_learners: bool,
    /// Whether they may be graphics cards' work, as far as is known.
    pub(super) may_ask: bool,
    pub(super) state: StudyState,
    pub(super) seed: u64,
    pub(super) share: Share,
    pub(super) outside: Outside,
    /// When it was opened here, and how long it had run before.
    opened: Instant,
    ran_before_ms: u64,
    /// What the journal knows of its running time at least.
    remembered_ms: u64,
    /// What was decided since the last commit.
    pub(super) pending: Step,
    /// Who waits for a cancel to be on disk.
    pub(super) waiting: Vec<SyncSender<bool>>,
    /// Who waits for configurations to be on disk, and their numbers.
    pub(super) queued: Vec<(Vec<u32>, QueueDone)>,
    /// All assignments that were handed out have lower numbers.
    pub(super) next_assignment: u64,
}

impl Live {
    /// Rebuilds the state from the journal and starts the study.
    pub(super) fn open(
        journal: &Journal,
        open: OpenStudy,
        charged: f64,
    ) -> Result<Self, JournalError> {
        let OpenStudy { id, study, seed, n_entities, large, warm, reopen, adopted, opened } = open;
        let name = study.name.clone();
        let kind = kind(&study);
        let chooses_learners = matches!(study.work, Work::ChosenLearner { .. } | Work::AutoMl);
        let may_ask = study.is_of_cards();
        let weight = study.priority.weight();
        let mut state = replay(journal, id, study, seed, n_entities, warm)?;
        state.large_first(large);
        // Above those of every earlier life, whose messages may still be under way.
        let first = now_ms() << 20;
        state.number_assignments_from(first);
        let ran_before_ms = state.elapsed_ms();
        let mut live = Self {
            id,
            name,
            kind,
            chooses_learners,
            may_ask,
            state,
            seed,
            share: Share::new(weight, charged),
            outside: Outside::default(),
            opened: Instant::now(),
            ran_before_ms,
            remembered_ms: ran_before_ms,
            // Written first of all, so that the journal says "running" from the start.
            pending: Step {
                facts: vec![Fact::Elapsed { elapsed_ms: ran_before_ms }],
                commands: vec![],
            },
            waiting: opened.into_iter().collect(),
            queued: Vec::new(),
            next_assignment: first,
        };
        if reopen {
            live.handle(Event::Resumed);
        }
        live.handle(Event::Started);
        for assignment in adopted {
            live.handle(Event::Adopted { assignment });
        }
        live.restore_leases(journal)?;
        Ok(live)
    }

    pub(super) fn hear(&mut self, message: FromRunner) {
        let event = match message {
            FromRunner::Outcomes { of, outcomes, launched } => {
                let spans = outcomes.iter().map(|one| (one.started_ms, one.ended_ms));
                self.share.hear(of.number, spans);
                self.hear_of_launch(launched);
                Event::Ended { assignment: of.number, outcomes, launched }
            }
            FromRunner::Reached { of, trials, launched } => {
                let spans = trials.iter().map(|one| (one.started_ms, one.ended_ms));
                self.share.hear(of.number, spans);
                self.hear_of_launch(launched);
                Event::Reached { assignment: of.number, trials, launched }
            }
            FromRunner::Report { of, configuration, entity, report, nth } => {
                let (assignment, attempt) = (of.number, of.attempt);
                Event::Reported { assignment, attempt, nth, configuration, entity, report }
            }
            FromRunner::Refitted { of, models } => {
                Event::Refitted { assignment: of.number, models }
            }
            FromRunner::Done { of } => {
                self.share.close(of.number);
                let (assignment, attempt) = (of.number, of.attempt);
                Event::Released { assignment, attempt, is_blamed: true }
            }
            FromRunner::Returned { of, reason: _ } => {
                self.share.close(of.number);
                let (assignment, attempt) = (of.number, of.attempt);
                Event::Released { assignment, attempt, is_blamed: false }
            }
            FromRunner::Unable { .. } => return,
        };
        self.handle(event);
    }

    /// Whoever has one learner, and had trials of it tried elsewhere, does not wait for graphics cards,
    /// unless runners say so.
    fn hear_of_launch(&mut self, launched: bool) {
        self.may_ask &= launched || self.chooses_learners;
    }

    /// Tells the study how long it has run, and the journal now and then, so that its timeout counts
    /// on after a kill.
    pub(super) fn tick(&mut self) {
        let elapsed_ms = self.elapsed_ms();
        self.handle(Event::Elapsed { elapsed_ms });
        if elapsed_ms >= self.remembered_ms + REMEMBER_EVERY_MS {
            self.remembered_ms = elapsed_ms;
            self.pending.facts.push(Fact::Elapsed { elapsed_ms });
        }
        self.expire_leases();
    }

    pub(super) fn handle(&mut self, event: Event) {
        let step = self.state.handle(event);
        self.pending.facts.extend(step.facts);
        self.pending.commands.extend(step.commands);
    }

    pub(super) fn elapsed_ms(&self) -> u64 {
        self.ran_before_ms + self.opened.elapsed().as_millis() as u64
    }
}

/// Where a study stands, for its index.
fn summarise(state: &StudyState) -> Summary {
    let counts = state.counts();
    let status = match (state.phase(), state.ended_by()) {
        (Phase::Searching | Phase::Refitting, _) => Status::Running,
        (Phase::Closed, Some(EndedBy::Cancel)) => Status::Stopped,
        (Phase::Closed, _) if counts.completed == 0 && state.shared_best().is_none() => {
            Status::Failed
        }
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
        unfitted: state.unfitted(),
    }
}

/// What follows from what a study's state has just learnt.
pub(crate) fn index(state: &mut StudyState) -> Index {
    let (mut best, mut without) = (Vec::new(), Vec::new());
    for entity in state.touched() {
        match state.best(entity) {
            Some((value, configuration)) => best.push((entity, value, configuration)),
            None => without.push(entity),
        }
    }
    Index { best, without, summary: summarise(state) }
}

/// The state that a study's facts amount to.
pub(crate) fn replay(
    journal: &Journal,
    id: StudyId,
    study: Study,
    seed: u64,
    n_entities: u32,
    warm: Vec<Configuration>,
) -> Result<StudyState, JournalError> {
    let earlier = match study.start_from.is_empty() {
        true => Vec::new(),
        false => warm::kept(journal, &study.name)?,
    };
    let mut state = StudyState::new(study, seed, n_entities);
    state.learn_from(&earlier);
    state.warm_start(warm);
    state.identify(id);
    for fact in journal.facts(id) {
        state.apply(&fact?);
    }
    // What the facts touched is indexed already.
    state.touched();
    Ok(state)
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
