//! The engine's thread from inside: the studies that run, and the turn from notes to facts to commands.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use fleetfit_search_spaces::wire::subjects::Kind;
use fleetfit_search_spaces::{FromRunner, StudyId, ToRunner};

use super::board::Board;
use super::leases::forget_leases;
use super::live::{Live, index};
use super::outside::AskError;
use super::{Capacity, EngineError, Note, OpenStudy, Outlets, QueueError, Receipt, Stats};
use crate::event::{Command, Event, Fact, Step};
use crate::journal::{Journal, JournalError, Status};
use crate::state::Phase;

/// How often a study's clock is looked at while nothing else happens.
const TICK: Duration = Duration::from_millis(100);

/// How many notes are committed together at most.
const GROUP: usize = 4_096;

/// After so many ended trials a group takes no more notes. What a group takes besides its facts is
/// given back in pieces between pages that the store keeps, so that memory grows to a multiple of
/// the largest group there ever was; and how much waits depends on what else the machine does.
const GROUP_TRIALS: usize = 4_096;

/// So long proposals are made at a time before others have their turn: one of a sampler that learns may
/// take a tenth of a second, and somebody may ask for a thousand.
const SLICE: Duration = Duration::from_millis(25);

/// Everything the engine's thread owns.
pub(super) struct Desk {
    journal: Journal,
    outlets: Outlets,
    live: Vec<Live>,
    capacity: Capacity,
    /// The studies that ask graphics cards for fits, as runners say.
    asking: BTreeSet<StudyId>,
    board: Arc<Board>,
    stats: Stats,
    /// Of messages that were taken in since the last commit.
    receipts: Vec<Receipt>,
    /// Whether proposals are waited for that there was no time for.
    is_behind: bool,
    /// Why a runner cannot go on, which ends the engine: a disk that is full, for one.
    unable: Option<String>,
}

impl Desk {
    pub(super) fn new(journal: Journal, outlets: Outlets, board: Arc<Board>) -> Self {
        Self {
            journal,
            outlets,
            live: Vec::new(),
            capacity: Capacity::default(),
            asking: BTreeSet::new(),
            board,
            stats: Stats::default(),
            receipts: Vec::new(),
            is_behind: false,
            unable: None,
        }
    }

    pub(super) fn run(&mut self, inbox: &Receiver<Note>) -> Result<(), EngineError> {
        loop {
            let patience = if self.is_behind { Duration::ZERO } else { TICK };
            let first = match inbox.recv_timeout(patience) {
                Ok(note) => Some(note),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            let mut interrupted = false;
            for live in &mut self.live {
                live.tick();
            }
            let mut n_trials = 0;
            for note in
                first.into_iter().chain(std::iter::from_fn(|| inbox.try_recv().ok())).take(GROUP)
            {
                interrupted |= matches!(note, Note::Interrupt);
                n_trials += trials(&note);
                self.read(note);
                if n_trials >= GROUP_TRIALS {
                    break;
                }
            }
            self.is_behind = false;
            if !interrupted && self.unable.is_none() {
                for kind in Kind::ALL {
                    self.hand_out(kind);
                }
                for live in &mut self.live {
                    self.is_behind |= live.serve_askers(Instant::now() + SLICE);
                }
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

    fn read(&mut self, note: Note) {
        // Whoever asked may have gone; then nobody needs the answer.
        match note {
            Note::Heard { messages, receipt } => {
                for message in messages {
                    self.hear(message);
                }
                self.receipts.extend(receipt);
            }
            Note::Capacity(capacity) => self.capacity = capacity,
            Note::Asking(studies) => self.asking.extend(studies),
            Note::Open(open) => self.open(*open),
            Note::Cancel { study, done } => self.cancel(&study, done),
            Note::Leave { study, done } => {
                let is_over = !self.live.iter().any(|live| live.name == study);
                if is_over {
                    self.board.remove(&study);
                }
                let _ = done.send(is_over);
            }
            Note::Ask { study, trials, lease, done } => match self.external(&study) {
                Ok(live) => live.ask(trials, lease, done),
                Err(error) => drop(done.send(Err(error))),
            },
            Note::Enqueue { study, wish, done } => {
                match self.live.iter_mut().find(|live| live.name == study) {
                    Some(live) => live.enqueue(wish, done),
                    None => drop(done.send(Err(QueueError::NotRunning))),
                }
            }
            Note::Tell { study, results, done } => match self.external(&study) {
                Ok(live) => live.told(results, done),
                Err(error) => drop(done.send(Err(error))),
            },
            Note::Report { study, trial, step, value, done } => {
                let answer = self.external(&study).and_then(|live| live.report(trial, step, value));
                let _ = done.send(answer);
            }
            Note::Interrupt => {}
        }
    }

    fn external(&mut self, study: &str) -> Result<&mut Live, AskError> {
        let live = self.live.iter_mut().find(|live| live.name == study);
        let live = live.ok_or(AskError::NotRunning)?;
        if live.is_external() { Ok(live) } else { Err(AskError::NotExternal) }
    }

    fn hear(&mut self, message: FromRunner) {
        self.stats.heard += 1;
        if let FromRunner::Unable { reason } = message {
            self.unable = Some(reason);
            return;
        }
        // A study that is not live has ended or was deleted: what is still told of it is late.
        if let Some(id) = study_of(&message)
            && let Some(live) = self.live.iter_mut().find(|live| live.id == id)
        {
            live.hear(message);
        }
    }

    /// A study that cannot be opened is in trouble; the others go on.
    fn open(&mut self, open: OpenStudy) {
        if self.live.iter().any(|live| live.id == open.id) {
            return;
        }
        let name = open.study.name.clone();
        let level = self.live.iter().map(|live| live.share.charged());
        let level = level.min_by(f64::total_cmp).unwrap_or(0.0);
        match Live::open(&self.journal, open, level) {
            Ok(live) => self.live.push(live),
            Err(error) => self.board.post_trouble(&name, error.to_string()),
        }
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

    /// Lets studies fill the capacity with assignments, one at a time, the study first that has had
    /// the least for its priority. What waits for graphics cards leaves places for others, who have
    /// them also where it took them before they were there.
    fn hand_out(&mut self, kind: Kind) {
        let of_kind = |live: &&mut Live| live.kind == Some(kind);
        let asking = &self.asking;
        let asks = |live: &Live| live.may_ask || asking.contains(&live.id);
        let has_others = self.live.iter().any(|live| live.kind == Some(kind) && !asks(live));
        // Where somebody chooses learners, what is the processor's may come behind what waits.
        let leaves_places = |live: &Live| asks(live) && (has_others || !live.chooses_learners);
        let (mut out, mut out_asking) = (0, 0);
        for live in self.live.iter_mut().filter(of_kind) {
            out += live.state.out();
            out_asking += if leaves_places(live) { live.state.out() } else { 0 };
        }
        let most_asking = self.capacity.asking as usize;
        let taken = if has_others { out_asking.saturating_sub(most_asking) } else { 0 };
        let most = self.capacity.of(kind) as usize + taken;
        let mut idle: Vec<StudyId> = Vec::new();
        let mut level: Option<f64> = None;
        let until = Instant::now() + SLICE;
        while out < most {
            if Instant::now() >= until {
                self.is_behind = true;
                break;
            }
            let is_full = out_asking >= most_asking;
            let is_out = |live: &Live| idle.contains(&live.id) || is_full && leaves_places(live);
            let candidates = self.live.iter_mut().filter(of_kind).filter(|live| !is_out(live));
            let next = candidates
                .min_by(|one, other| one.share.charged().total_cmp(&other.share.charged()));
            let Some(live) = next else { break };
            let asks = leaves_places(live);
            let before = live.pending.commands.len();
            live.handle(Event::Wanted { assignments: 1 });
            let dispatched = live.pending.commands[before..]
                .iter()
                .filter(|command| matches!(command, Command::Dispatch(_)))
                .count();
            if dispatched == 0 {
                idle.push(live.id);
                continue;
            }
            out += dispatched;
            out_asking += if asks { dispatched } else { 0 };
            level =
                Some(level.map_or(live.share.charged(), |level| level.min(live.share.charged())));
            live.share.charge();
        }
        if let Some(level) = level {
            let idlers = self.live.iter_mut().filter(|live| idle.contains(&live.id));
            idlers.for_each(|live| live.share.catch_up(level));
            // Who is held back has no arrears either, but for what they owe each other.
            if out_asking >= most_asking {
                let held = self.live.iter_mut().filter(of_kind).filter(|live| leaves_places(live));
                let mut held: Vec<&mut Live> = held.collect();
                let least = held.iter().map(|live| live.share.charged()).min_by(f64::total_cmp);
                let by = least.map_or(0.0, |least| (level - least).max(0.0));
                held.iter_mut().for_each(|live| live.share.put_off(by));
            }
        }
    }

    /// Facts to the disk, then commands to the world, then receipts to whoever waits for them.
    fn commit(&mut self) -> Result<(), JournalError> {
        let Self { journal, outlets, live, asking, board, stats, .. } = self;
        let mut is_changed = false;
        let mut lost = Vec::new();
        for live in live.iter_mut() {
            let Step { facts, commands } = std::mem::take(&mut live.pending);
            if !facts.is_empty() {
                let index = index(&mut live.state);
                let began = Instant::now();
                match journal.append(live.id, &facts, &index) {
                    Err(error) if error.is_of_one_study() => {
                        let reason = error.to_string();
                        board.post_trouble(&live.name, reason.clone());
                        carry_out(outlets, live, Command::StopStudy { reason });
                        lost.push(live.id);
                        continue;
                    }
                    appended => appended?,
                }
                stats.commits += 1;
                stats.commit_us += began.elapsed().as_micros() as u64;
                board.post(&live.name, index.summary);
                is_changed = true;
            }
            for command in commands {
                carry_out(outlets, live, command);
            }
            for done in live.waiting.drain(..) {
                // The asker may have gone; then nobody needs the answer.
                let _ = done.send(true);
            }
            live.keep_leases(journal)?;
            live.answer_outside();
            live.answer_queued();
        }
        live.retain(|live| {
            let is_over = live.state.phase() == Phase::Closed;
            if is_over {
                asking.remove(&live.id);
                (outlets.hint)(ToRunner::Forget { study: live.id });
                if live.is_external()
                    && let Err(error) = forget_leases(journal, live.id)
                {
                    tracing::warn!("the leases of {} were not removed: {error}", live.name);
                }
            }
            !is_over && !lost.contains(&live.id)
        });
        if !self.receipts.is_empty() {
            (outlets.settled)(std::mem::take(&mut self.receipts));
        }
        stats.live = live.len();
        let out_of = |is_external| -> usize {
            let of_kind = live.iter().filter(|live| live.is_external() == is_external);
            of_kind.map(|live| live.state.out()).sum()
        };
        (stats.out, stats.lent) = (out_of(false), out_of(true));
        stats.capacity = self.capacity;
        if is_changed {
            board.tick(*stats);
        }
        Ok(())
    }

    /// Marks what still runs as interrupted and stops the runners.
    fn leave(&mut self) -> Result<(), JournalError> {
        for live in &mut self.live {
            let reason = "interrupted".to_owned();
            let (study, before) = (live.id, live.next_assignment);
            if self.outlets.ends_runners {
                (self.outlets.hint)(ToRunner::StopStudy { study, before, reason });
            }
            live.state.leave_off();
            let mut index = index(&mut live.state);
            index.summary.status = Status::Interrupted;
            let elapsed = [Fact::Elapsed { elapsed_ms: live.elapsed_ms() }];
            self.journal.append(live.id, &elapsed, &index)?;
            self.board.post(&live.name, index.summary);
        }
        Ok(())
    }
}

fn carry_out(outlets: &mut Outlets, live: &mut Live, command: Command) {
    let study = live.id;
    let before = live.next_assignment;
    match command {
        Command::Dispatch(assignment) => {
            live.next_assignment = before.max(assignment.key.number + 1);
            if let Some(kind) = live.kind {
                (outlets.dispatch)(kind, assignment);
            }
        }
        Command::StopTrial { configuration, entity, reason } => {
            (outlets.hint)(ToRunner::StopTrial { study, before, configuration, entity, reason });
        }
        Command::StopStudy { reason } => {
            (outlets.hint)(ToRunner::StopStudy { study, before, reason });
        }
        Command::Finished => {}
    }
}

/// How many trials a note ends.
fn trials(note: &Note) -> usize {
    let Note::Heard { messages, .. } = note else { return 0 };
    let ended = |message: &FromRunner| match message {
        FromRunner::Outcomes { outcomes, .. } => outcomes.len(),
        _ => 0,
    };
    messages.iter().map(ended).sum()
}

fn study_of(message: &FromRunner) -> Option<StudyId> {
    match message {
        FromRunner::Outcomes { of, .. }
        | FromRunner::Reached { of, .. }
        | FromRunner::Report { of, .. }
        | FromRunner::Refitted { of, .. }
        | FromRunner::Done { of }
        | FromRunner::Returned { of, .. } => Some(of.study),
        FromRunner::Unable { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use fleetfit_search_spaces::wire::AssignmentKey;
    use fleetfit_search_spaces::{End, Outcome};

    use super::*;

    /// How many of these notes the engine takes at once, by their numbers of ended trials.
    fn groups(notes: impl IntoIterator<Item = u32>) -> Vec<usize> {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        let (inbox, notes_in) = channel();
        let of = AssignmentKey { study: StudyId(0), number: 0, attempt: 1 };
        for (n_trials, receipt) in notes.into_iter().zip(0..) {
            let ended = |entity| Outcome {
                configuration: 0,
                entity,
                end: End::Completed { value: 0.5 },
                fits: 1,
                started_ms: 1,
                ended_ms: 2,
                reports: Vec::new(),
                further: Vec::new(),
            };
            let outcomes = (0..n_trials).map(ended).collect();
            let messages = vec![FromRunner::Outcomes { of, outcomes, launched: false }];
            inbox.send(Note::Heard { messages, receipt: Some(Receipt(receipt)) }).unwrap();
        }
        drop(inbox);
        let (settled, groups) = channel();
        let outlets = Outlets {
            dispatch: Box::new(|_, _| {}),
            hint: Box::new(|_| {}),
            settled: Box::new(move |receipts| settled.send(receipts.len()).unwrap()),
            ends_runners: false,
        };
        Desk::new(journal, outlets, Arc::default()).run(&notes_in).unwrap();
        groups.try_iter().collect()
    }

    #[test]
    fn a_group_is_full_after_so_many_notes_or_trials() {
        assert_eq!(groups([1_500; 10]), [3, 3, 3, 1]);
        assert_eq!(groups([1, 9_000, 4_095, 1, 1]), [2, 2, 1]);
        assert_eq!(groups(vec![0; GROUP + 9]), [GROUP, 9]);
    }
}
