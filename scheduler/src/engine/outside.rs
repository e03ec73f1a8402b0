//! Trials that are run outside: asked for, reported on, told. Each is an assignment of its own, with
//! a lease instead of a runner.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use fleetfit_search_spaces::trial::MAX_REPORTS;
use fleetfit_search_spaces::wire::{Assignment, AssignmentKey, Numbered};
use fleetfit_search_spaces::{End, Objective, Outcome, Report, ValueRule, Work};
use thiserror::Error;

use super::EngineError;
use super::live::{Live, now_ms};
use crate::event::{Command, Event, Fact};
use crate::state::Phase;

/// What came of one trial that was run outside.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialResult {
    /// The configuration's number.
    pub trial: u32,
    /// How it ended.
    pub end: End,
    /// Where it completed, its values of the study's other metrics, in their order.
    pub further: Vec<f64>,
}

/// What became of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It counts.
    Counted,
    /// The trial had ended before; the first end stays.
    Repeated,
    /// The study was over before; nothing counts any more.
    Late,
    /// Nobody was ever offered such a trial.
    Unknown,
}

/// Why a study does not give or take trials.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AskError {
    /// It does not run here.
    #[error("the study does not run here")]
    NotRunning,
    /// Its trials are run by runners.
    #[error(
        "its trials are run by fleetfit; only those of a study with trial: external are asked for and told"
    )]
    NotExternal,
    /// There is no such trial.
    #[error("there is no trial {trial} under way")]
    NoTrial {
        /// The configuration's number.
        trial: u32,
    },
    /// The engine has ended, as the service is about to.
    #[error("the service is about to end")]
    Gone,
    /// The engine has failed.
    #[error("{0}")]
    Failed(EngineError),
}

/// A trial that somebody outside is at.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) key: AssignmentKey,
    pub(super) since_ms: u64,
    pub(super) lease: Duration,
    until: Instant,
    next_step: u64,
    /// The first ones; none where some were made before this life.
    reports: Vec<Report>,
    /// How many there were; none where nobody knows.
    n_reports: Option<u32>,
    /// What it has come to by the study's rule.
    reached: Option<f64>,
    /// Who wants it stopped.
    stop: Option<String>,
}

impl Lent {
    pub(super) fn new(key: AssignmentKey, since_ms: u64, lease: Duration, until: Instant) -> Self {
        Self {
            key,
            since_ms,
            lease,
            until,
            next_step: 0,
            reports: Vec::new(),
            n_reports: Some(0),
            reached: None,
            stop: None,
        }
    }

    /// The same after a restart: what was reported before is not known any more.
    pub(super) fn restored(self) -> Self {
        Self { n_reports: None, ..self }
    }

    /// Takes a report in, and returns which one it is; where nobody knows, one that follows none.
    fn hear(&mut self, report: Report, objective: &Objective) -> u32 {
        self.next_step = report.step.saturating_add(1);
        self.until = Instant::now() + self.lease;
        let loss = |value| objective.goal.loss(value);
        let is_kept = |reached: &f64| {
            objective.value == ValueRule::Best && loss(*reached) <= loss(report.value)
        };
        self.reached = Some(self.reached.filter(is_kept).unwrap_or(report.value));
        let Some(n_reports) = &mut self.n_reports else { return u32::MAX };
        *n_reports = n_reports.saturating_add(1);
        if self.reports.len() < MAX_REPORTS {
            self.reports.push(report);
        }
        *n_reports
    }
}

type AskDone = SyncSender<Result<Vec<Numbered>, AskError>>;
type TellDone = SyncSender<Result<Vec<Told>, AskError>>;

/// Somebody who asks for trials.
#[derive(Debug)]
struct Asker {
    /// How many more.
    left: u32,
    lease: Duration,
    lent: Vec<Numbered>,
    done: AskDone,
}

/// What of a study is run outside.
#[derive(Debug, Default)]
pub(super) struct Outside {
    lent: BTreeMap<u32, Lent>,
    /// Whose trials are not all found yet.
    askers: VecDeque<Asker>,
    /// Whether trials were lent since that was last written down.
    is_changed: bool,
    /// Who waits for trials to be on disk.
    asked: Vec<(Result<Vec<Numbered>, AskError>, AskDone)>,
    told: Vec<(Vec<Told>, TellDone)>,
}

impl Outside {
    /// Who is at which trial.
    pub(super) fn lent(&self) -> impl DoubleEndedIterator<Item = (&u32, &Lent)> {
        self.lent.iter()
    }

    pub(super) fn lend(&mut self, trial: u32, lent: Lent) {
        self.lent.insert(trial, lent);
    }

    /// Whether anything has to be written down; it counts as written from here on.
    pub(super) fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }
}

impl Live {
    pub(super) fn is_external(&self) -> bool {
        matches!(self.state.study().work, Work::External)
    }

    /// Takes a wish for trials in (`serve_askers`).
    pub(super) fn ask(&mut self, trials: u32, lease: Duration, done: AskDone) {
        self.outside.askers.push_back(Asker { left: trials, lease, lent: Vec::new(), done });
    }

    /// Lends trials to those who ask, one after another, and ends soon after a time: others wait, too.
    /// An asker hears of his once all are on disk, and leases begin then. Whether some ask on.
    pub(super) fn serve_askers(&mut self, until: Instant) -> bool {
        while let Some(mut asker) = self.outside.askers.pop_front() {
            loop {
                // A proposal of those who learn may take long.
                let trials = if self.state.learns() { asker.left.min(1) } else { asker.left };
                let n_lent = self.lend_some(trials, &mut asker);
                asker.left -= n_lent;
                if n_lent < trials || asker.left == 0 {
                    break;
                }
                if Instant::now() >= until {
                    self.outside.askers.push_front(asker);
                    return true;
                }
            }
            self.begin_leases(&asker);
            self.outside.is_changed = true;
            // What was lent is nobody's business any more once the study is over.
            let answer = match self.state.phase() {
                Phase::Searching => Ok(asker.lent),
                Phase::Refitting | Phase::Closed => Err(AskError::NotRunning),
            };
            self.outside.asked.push((answer, asker.done));
        }
        false
    }

    /// Lends so many trials, or as many as there are.
    fn lend_some(&mut self, trials: u32, asker: &mut Asker) -> u32 {
        let step = self.state.handle(Event::Asked { trials });
        self.pending.facts.extend(step.facts);
        let mut n_lent = 0;
        for command in step.commands {
            let Command::Dispatch(assignment) = command else {
                self.pending.commands.push(command);
                continue;
            };
            if let Some(tried) = self.lend(assignment, asker.lease) {
                asker.lent.push(tried);
                n_lent += 1;
            }
        }
        n_lent
    }

    fn lend(&mut self, assignment: Assignment, lease: Duration) -> Option<Numbered> {
        let tried = assignment.task.blocks().first()?.tried.clone();
        let (key, since_ms) = (assignment.key, now_ms());
        let until = Instant::now() + lease;
        self.outside.lend(tried.number, Lent::new(key, since_ms, lease, until));
        Some(tried)
    }

    fn begin_leases(&mut self, asker: &Asker) {
        let until = Instant::now() + asker.lease;
        for tried in &asker.lent {
            if let Some(lent) = self.outside.lent.get_mut(&tried.number) {
                lent.until = until;
            }
        }
    }

    /// Takes results in; the teller hears of them once they are on disk.
    pub(super) fn told(&mut self, results: Vec<TrialResult>, done: TellDone) {
        let told = results.into_iter().map(|result| self.take(result)).collect();
        self.outside.told.push((told, done));
    }

    fn take(&mut self, result: TrialResult) -> Told {
        if result.trial >= self.state.counts().proposed {
            return Told::Unknown;
        }
        let lent = self.outside.lent.remove(&result.trial);
        let ended_ms = now_ms();
        let end = match result.end {
            // What it had reached is what it reported.
            End::Stopped { value: None, reason } => {
                End::Stopped { value: lent.as_ref().and_then(|lent| lent.reached), reason }
            }
            end => end,
        };
        let outcome = Outcome {
            configuration: result.trial,
            entity: 0,
            end,
            fits: 0,
            started_ms: lent.as_ref().map_or(ended_ms, |lent| lent.since_ms),
            ended_ms,
            reports: lent.as_ref().map(|lent| lent.reports.clone()).unwrap_or_default(),
            further: result.further,
        };
        // No cancel stops what is run outside: whoever says that it was stopped has decided so.
        let assignment = u64::MAX;
        let before = self.pending.facts.len();
        self.handle(Event::Ended { assignment, outcomes: vec![outcome], launched: false });
        let counts =
            self.pending.facts[before..].iter().any(|fact| matches!(fact, Fact::Ended { .. }));
        if let Some(Lent { key, .. }) = lent {
            let (assignment, attempt) = (key.number, key.attempt);
            self.handle(Event::Released { assignment, attempt, is_blamed: false });
        }
        if counts { Told::Counted } else { Told::Repeated }
    }

    /// Takes a value in, and says who wants the trial stopped.
    pub(super) fn report(
        &mut self,
        trial: u32,
        step: Option<u64>,
        value: f64,
    ) -> Result<Option<String>, AskError> {
        let lent = self.outside.lent.get_mut(&trial).ok_or(AskError::NoTrial { trial })?;
        let report = Report { step: step.unwrap_or(lent.next_step), value };
        let nth = lent.hear(report, &self.state.study().objective);
        let (assignment, attempt) = (lent.key.number, lent.key.attempt);
        let (configuration, entity) = (trial, 0);
        self.handle(Event::Reported { assignment, attempt, nth, configuration, entity, report });
        let commands = std::mem::take(&mut self.pending.commands);
        for command in commands {
            match command {
                Command::StopTrial { configuration, reason, .. } => {
                    if let Some(lent) = self.outside.lent.get_mut(&configuration) {
                        lent.stop.get_or_insert(reason);
                    }
                }
                other => self.pending.commands.push(other),
            }
        }
        Ok(self.outside.lent.get(&trial).and_then(|lent| lent.stop.clone()))
    }

    /// Trials whose lease has run out are offered to others.
    pub(super) fn expire_leases(&mut self) {
        let now = Instant::now();
        // Once the search is over, nobody is waited for.
        let is_over = self.state.phase() != Phase::Searching;
        // Nor does a lease run out that has not begun.
        let askers = self.outside.askers.iter();
        let unknown: BTreeSet<u32> =
            askers.flat_map(|asker| asker.lent.iter().map(|tried| tried.number)).collect();
        let expired: Vec<u32> = self
            .outside
            .lent
            .iter()
            .filter(|(trial, lent)| is_over || lent.until <= now && !unknown.contains(trial))
            .map(|(&trial, _)| trial)
            .collect();
        for trial in expired {
            if let Some(Lent { key, .. }) = self.outside.lent.remove(&trial) {
                let (assignment, attempt) = (key.number, key.attempt);
                self.handle(Event::Released { assignment, attempt, is_blamed: false });
            }
        }
    }

    /// Everything decided is on disk: whoever waits may go on.
    pub(super) fn answer_outside(&mut self) {
        // An asker may have gone; then its trials wait for their lease to run out.
        for (answer, done) in self.outside.asked.drain(..) {
            let _ = done.send(answer);
        }
        for (told, done) in self.outside.told.drain(..) {
            let _ = done.send(Ok(told));
        }
    }
}
