//! The state of a study: a deterministic function from events to facts and commands.
//!
//! `handle` decides, applies its own facts and returns them with what is to be done; `apply`
//! replays one fact of the journal. Both go through the same code, so that a replay ends where the
//! live state was. No clock, no I/O, no randomness but the seed's. Memory is bounded by entities
//! and by configurations in flight. Read `search` for who is tried next, `ends` for what counts as
//! an end, `flight` for what happens when runners die, `refit` for what follows a search.

mod adopt;
mod climb;
mod ends;
mod flight;
mod pace;
mod queue;
mod refit;
mod search;
mod stall;
mod standings;
mod tally;
mod telling;

use std::collections::BTreeMap;

use fleetfit_search_spaces::{Aims, Configuration, Report, Study, StudyId, Work};

use crate::event::{Command, EndedBy, Event, Fact, Step};
use crate::sampler::{self, Converged, Fate, Sampler};
use crate::stopper::{TrialKey, Watch};

use self::climb::Climb;
use self::flight::{Flight, Purpose};
use self::pace::Pace;
use self::queue::Asked;
pub use self::queue::NotQueued;
use self::refit::Refits;
pub use self::refit::Unfitted;
use self::search::Queue;
use self::stall::Stall;
pub use self::standings::Ranked;
use self::standings::Standings;
pub(crate) use self::tally::Mean;
use self::tally::{Cut, Tally};
pub(crate) use self::telling::{Telling, Yardsticks};

/// Where a study stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Configurations are tried.
    Searching,
    /// The search is over; what is in flight comes home, and winners are refitted.
    Refitting,
    /// Nothing happens any more, unless it is resumed.
    Closed,
}

/// How far a study has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Trials that completed.
    pub completed: u64,
    /// Trials that were stopped.
    pub stopped: u64,
    /// Trials that failed.
    pub failed: u64,
    /// Models fitted for trials.
    pub fits: u64,
    /// Configurations proposed.
    pub proposed: u32,
}

/// A configuration some of whose trials have not ended.
#[derive(Debug)]
struct Open {
    tally: Tally,
    /// What the sampler will be told of it.
    told: Telling,
    /// Whether any of it was handed out since the study was started.
    is_handed_out: bool,
}

/// The state of a study.
pub struct StudyState {
    id: StudyId,
    study: Study,
    aims: Aims,
    cut: Cut,
    /// None if the study asks for a sampler that this version does not have: nothing is proposed.
    sampler: Option<Box<dyn Sampler>>,
    /// What is tried before the sampler is asked.
    asked: Asked,
    watch: Option<Watch>,
    /// Trials that are given out by rungs, where they are.
    climb: Option<Climb>,
    phase: Phase,
    ended_by: Option<EndedBy>,
    elapsed_ms: u64,
    journalled_elapsed_ms: u64,
    counts: Counts,
    open: BTreeMap<u32, Open>,
    standings: Standings,
    refits: Refits,
    /// What losses are compared with; empty where nobody learns from several entities.
    yardsticks: Yardsticks,
    /// How long the search has not improved, where that ends it.
    stall: Option<Stall>,
    /// Whether there is anything left to gain, where that is asked.
    converged: Option<Converged>,
    /// What both have not heard of yet, by number.
    unheard: BTreeMap<u32, (Fate, Option<Configuration>)>,
    // What follows is not journalled: it describes what is out, which nobody knows after a restart.
    flight: Flight,
    pace: Pace,
    queue: Queue,
    /// How many points the space has, where they can be counted.
    n_points: Option<u128>,
    /// Whether several configurations are expected to be tried in one fit.
    is_path_searched: bool,
    /// The entities whose trials take much longer than others', the longest first: they begin first,
    /// so that nobody waits for them at the end.
    large: Vec<u32>,
    /// Open configurations that were handed out.
    n_handed_out: u32,
    is_exhausted: bool,
    /// Whether it is left in the middle, to be gone on with later.
    is_left_off: bool,
    /// Whether a trial has failed since it was last seen who stands in for want of a better one.
    has_failed_late: bool,
    /// Assignments below this number may have been stopped by the cancel before the study was
    /// resumed: that says nothing about their trials.
    first_resumed: u64,
}

impl StudyState {
    /// A study of which nothing is known yet.
    pub fn new(study: Study, seed: u64, n_entities: u32) -> Self {
        let is_single = matches!(study.work, Work::Command(_) | Work::External);
        let cut = match Cut::new(n_entities) {
            cut if is_single => Cut { width: 1, ..cut },
            cut => cut,
        };
        let goal = study.objective.goal;
        let aims = Aims::of(&study);
        let policy = study.early_termination.as_ref();
        let sampler = sampler::for_study(&study, seed).ok();
        let learns = sampler.as_ref().is_some_and(|sampler| sampler.learns());
        let stall = study.limits.improvement.map(|rule| Stall::new(rule, n_entities));
        let asks = study.limits.stop_when_converged;
        let n_points = study.space.cardinality();
        // A learner would fit the same again.
        let converged = asks.then(|| Converged::new(study.space.clone(), is_single));
        let is_told = learns || stall.is_some() || converged.is_some();
        let climb = match is_single {
            true => None,
            false => Climb::of(&study, &aims, learns, n_points),
        };
        let n_rungs = climb.as_ref().map_or(0, Climb::n_rungs);
        let yardsticks = match is_told && n_entities > 1 {
            true => Yardsticks::new(n_entities, aims.objectives.len(), n_rungs),
            false => Yardsticks::default(),
        };
        Self {
            id: StudyId::default(),
            cut,
            sampler,
            climb,
            asked: Asked::default(),
            watch: policy.filter(|_| is_single).map(|policy| Watch::new(policy, goal)),
            phase: Phase::Searching,
            ended_by: None,
            elapsed_ms: 0,
            journalled_elapsed_ms: 0,
            counts: Counts::default(),
            open: BTreeMap::new(),
            standings: Standings::new(&aims, n_entities),
            refits: Refits::new(n_entities),
            yardsticks,
            stall,
            converged,
            unheard: BTreeMap::new(),
            flight: Flight::default(),
            pace: Pace::default(),
            queue: Queue::default(),
            n_points,
            is_path_searched: is_path_searched(&study),
            large: Vec::new(),
            n_handed_out: 0,
            is_exhausted: false,
            is_left_off: false,
            has_failed_late: false,
            first_resumed: 0,
            aims,
            study,
        }
    }

    /// Names the study in assignments.
    pub fn identify(&mut self, id: StudyId) {
        self.id = id;
    }

    /// Numbers assignments from here on. They have to differ from those of earlier lives of the
    /// scheduler, and be above them, where messages outlive it: the time will do. Where they do
    /// not, 0 will.
    pub fn number_assignments_from(&mut self, first: u64) {
        self.flight.number_from(first);
    }

    /// Whether this assignment is out.
    pub fn is_out(&self, assignment: u64) -> bool {
        self.flight.piece_out(assignment).is_some()
    }

    /// Which entities are tried first, because their trials take much longer than others'.
    pub fn large_first(&mut self, large: Vec<u32>) {
        self.large = large;
    }

    /// Takes in what happened. The facts are applied already; they have to be on disk before the
    /// commands are carried out. A `Wanted` that could not be met is not remembered.
    pub fn handle(&mut self, event: Event) -> Step {
        let mut step = Step::default();
        match event {
            Event::Started => self.start(&mut step),
            Event::Wanted { assignments } => {
                let left = self.hand_out(assignments, &mut step);
                // Finding nothing to try may end the search, and then there are winners to refit.
                self.settle(&mut step);
                self.hand_out(left, &mut step);
            }
            Event::Ended { assignment, outcomes, launched } => {
                let spans = outcomes.iter().map(|one| (one.started_ms, one.ended_ms));
                self.hear_pace(assignment, spans, launched);
                self.end(assignment, outcomes, &mut step)
            }
            Event::Reached { assignment, trials, launched } => {
                let spans = trials.iter().map(|trial| (trial.started_ms, trial.ended_ms));
                self.hear_pace(assignment, spans, launched);
                self.reach(assignment, trials, &mut step)
            }
            Event::Reported { assignment, attempt, nth, configuration, entity, report } => {
                let hand_out = self.flight.piece_out(assignment).map(|piece| piece.attempt);
                // What an earlier hand-out does meanwhile is nobody's business.
                if hand_out == Some(attempt) {
                    self.report(TrialKey { configuration, entity }, nth, report, &mut step);
                }
            }
            Event::Refitted { assignment, models } => {
                self.take_models(models, &mut step);
                self.drop_if_done(assignment);
            }
            Event::Released { assignment, attempt, is_blamed } => {
                self.release(assignment, attempt, is_blamed, &mut step)
            }
            Event::Adopted { assignment } => self.adopt(assignment, &mut step),
            Event::Asked { trials } => {
                self.hand_out(trials, &mut step);
            }
            Event::Queued { configurations, mark } => self.queue(configurations, mark, &mut step),
            Event::Elapsed { elapsed_ms } => self.elapsed_ms = self.elapsed_ms.max(elapsed_ms),
            Event::Cancelled => self.cancel(&mut step),
            Event::Resumed => self.resume(&mut step),
        }
        self.settle(&mut step);
        step
    }

    /// Replays one fact of the journal. `Event::Started` comes after the last one.
    pub fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::Proposed { number, configuration } => self.apply_proposed(*number, configuration),
            Fact::Queued { configurations, mark } => {
                self.apply_queued(configurations, mark.as_ref())
            }
            Fact::Ended { outcomes } => {
                for outcome in outcomes {
                    self.apply_outcome(outcome);
                }
                self.choose_winners();
            }
            Fact::Reached { trials } => {
                for trial in trials {
                    self.apply_reached(trial);
                }
            }
            Fact::SearchEnded { by } => {
                self.ended_by = Some(*by);
                self.phase = Phase::Refitting;
                self.take_unfinished();
                self.choose_winners();
            }
            Fact::Refitted { models } => self.apply_refitted(models),
            Fact::Closed => self.phase = Phase::Closed,
            Fact::Reopened { from } => {
                self.ended_by = None;
                self.phase = Phase::Searching;
                self.first_resumed = *from;
                self.standings.touch_unfinished();
                self.standings.forget_open();
                if let Some(stall) = &mut self.stall {
                    stall.restart();
                }
                if let Some(converged) = &mut self.converged {
                    converged.restart();
                }
            }
            Fact::Elapsed { elapsed_ms } => {
                self.elapsed_ms = self.elapsed_ms.max(*elapsed_ms);
                self.journalled_elapsed_ms = self.elapsed_ms;
            }
        }
    }

    /// An entity's best value, and the number of the configuration that reached it. Where the search
    /// ended or was left off before any trial completed, of those that came furthest.
    pub fn best(&self, entity: u32) -> Option<(f64, u32)> {
        let unfinished = || self.standings.unfinished(entity).filter(|_| !self.is_searching());
        self.standings.best(entity).or_else(unfinished)
    }

    /// Whether somebody who has not completed may yet do so.
    fn is_searching(&self) -> bool {
        self.phase == Phase::Searching && !self.is_left_off
    }

    /// Nothing is handed out until the study is started again: who came furthest stands in for those
    /// who have not completed yet.
    pub fn leave_off(&mut self) {
        if self.phase == Phase::Searching {
            self.is_left_off = true;
            self.take_unfinished();
        }
    }

    /// The configuration that is best over all entities: the one that completed for most of them,
    /// then the one with the best mean, then the lower number. One that is still being tried counts
    /// with what it has completed. Where the search ended before any trial completed, the one that is
    /// the best of most entities; none is counted as completed then.
    pub fn shared_best(&self) -> Option<Ranked> {
        let open =
            self.open.iter().filter_map(|(&number, open)| Ranked::new(number, open.tally.mean()));
        let goal = self.standings.goal();
        let best = open.chain(self.standings.shared());
        let best = best.min_by(|first, second| first.rank(second, goal));
        let unfinished = || self.standings.shared_unfinished().filter(|_| !self.is_searching());
        best.or_else(unfinished)
    }

    /// The settings of a configuration that is open, leads an entity, or is the shared best.
    pub fn configuration(&self, number: u32) -> Option<&Configuration> {
        self.standings.configuration(number)
    }

    /// How far the study has come.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many trials are handed out and have not ended. Asks after each of them.
    pub fn running(&self) -> u64 {
        let out = self.flight.pieces_out();
        let tried = out.filter(|piece| matches!(piece.purpose, Purpose::Try(_)));
        tried.map(|piece| flight::n_trials(&self.left(piece))).sum()
    }

    /// How many assignments are handed out.
    pub fn out(&self) -> usize {
        self.flight.pieces_out().count()
    }

    /// The entities whose best has changed since this was last asked.
    pub fn touched(&mut self) -> Vec<u32> {
        self.standings.take_touched()
    }

    /// Why the search ended.
    pub fn ended_by(&self) -> Option<EndedBy> {
        self.ended_by
    }

    /// Where the study stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// How long the study has run, interruptions not counted.
    pub fn elapsed_ms(&self) -> u64 {
        self.elapsed_ms
    }

    /// The study.
    pub fn study(&self) -> &Study {
        &self.study
    }

    fn record(&mut self, fact: Fact, step: &mut Step) {
        self.apply(&fact);
        step.facts.push(fact);
    }

    /// Whether a trial is one of this study's that has not ended.
    fn is_open(&self, configuration: u32, entity: u32) -> bool {
        let open = self.open.get(&configuration);
        open.is_some_and(|open| !open.tally.has_ended(entity))
    }

    fn start(&mut self, step: &mut Step) {
        self.forget_flight();
        self.is_left_off = false;
        if self.first_resumed == u64::MAX {
            self.first_resumed = self.flight.next_number();
        }
        // Whatever the clock says that numbers are made of.
        self.flight.number_from(self.first_resumed);
        if self.phase == Phase::Searching {
            // Whoever stood in when it was left off does not any more.
            self.take_unfinished();
            self.standings.forget_open();
        }
        self.judge_anew(step);
        if self.phase == Phase::Closed {
            step.commands.push(Command::Finished);
        }
    }

    /// Nothing is out: every open trial waits to be handed out.
    fn forget_flight(&mut self) {
        self.flight.clear();
        self.is_exhausted = false;
        for open in self.open.values_mut() {
            open.is_handed_out = false;
        }
        self.n_handed_out = 0;
        self.queue = Queue::of_open(self.open.keys().copied());
        self.refits.rewind();
        if let Some(watch) = &mut self.watch {
            watch.restart_all();
        }
        if let Some(climb) = &mut self.climb {
            climb.forget_flight();
        }
    }

    /// Has the journal know how long the study ran, where that has changed.
    fn note_elapsed(&mut self, step: &mut Step) {
        let elapsed_ms = self.elapsed_ms;
        if elapsed_ms > self.journalled_elapsed_ms {
            self.record(Fact::Elapsed { elapsed_ms }, step);
        }
    }

    fn apply_proposed(&mut self, number: u32, configuration: &Configuration) {
        if number != self.counts.proposed {
            return;
        }
        self.counts.proposed += 1;
        if let Some(climb) = &mut self.climb {
            climb.join();
        }
        let is_asked = self.asked.take(number);
        if let Some(sampler) = &mut self.sampler
            && (!is_asked || sampler.learns())
        {
            sampler.seen(number, configuration);
        }
        self.standings.open(number, configuration.clone());
        let told = Telling::default();
        let open = Open { tally: Tally::new(self.cut), told, is_handed_out: false };
        self.open.insert(number, open);
    }

    fn report(&mut self, trial: TrialKey, nth: u32, report: Report, step: &mut Step) {
        if self.phase != Phase::Searching || !self.is_open(trial.configuration, trial.entity) {
            return;
        }
        let Some(watch) = &mut self.watch else { return };
        if !watch.follows(trial, nth) {
            return;
        }
        let judged = match self.study.work {
            Work::Command(_) => watch.report_of_program(trial, report),
            _ => watch.report(trial, report),
        };
        step.commands.extend(judged.into_iter().map(stop_trial));
    }

    fn cancel(&mut self, step: &mut Step) {
        if self.phase == Phase::Closed {
            return;
        }
        self.note_elapsed(step);
        let by = EndedBy::Cancel;
        self.record(Fact::SearchEnded { by }, step);
        self.record(Fact::Closed, step);
        self.flight.clear();
        step.commands.push(Command::StopStudy { reason: "the study was cancelled".into() });
        step.commands.push(Command::Finished);
    }

    fn resume(&mut self, step: &mut Step) {
        let has_more = match self.ended_by {
            None => return,
            Some(EndedBy::Cancel | EndedBy::Timeout | EndedBy::ExitScore) => true,
            Some(EndedBy::Space) => false,
            Some(EndedBy::Trials | EndedBy::Improvement) => {
                self.counts.proposed < self.study.limits.max_total_trials
            }
        };
        if has_more {
            if self.first_resumed < u64::MAX {
                self.flight.number_from(self.first_resumed);
            }
            let from = self.flight.next_number();
            self.record(Fact::Reopened { from }, step);
            self.forget_flight();
            self.judge_anew(step);
        } else if self.phase == Phase::Closed {
            step.commands.push(Command::Finished);
        }
    }

    /// Ends the search and closes the study once there is nothing left to do.
    fn settle(&mut self, step: &mut Step) {
        if self.phase == Phase::Searching && self.converged.as_mut().is_some_and(Converged::look) {
            self.measure(step);
        }
        if self.phase == Phase::Searching
            && let Some(by) = self.search_end()
        {
            self.note_elapsed(step);
            self.record(Fact::SearchEnded { by }, step);
            self.queue = Queue::default();
            self.flight.drop_back();
            self.drop_done();
            if by == EndedBy::Timeout {
                self.end_under_way(step);
                if !self.flight.is_empty() {
                    step.commands.push(Self::stop_for_timeout());
                }
            }
        }
        if self.phase == Phase::Refitting && self.flight.is_empty() && !self.has_refits_left() {
            self.note_elapsed(step);
            self.record(Fact::Closed, step);
            step.commands.push(Command::Finished);
        }
    }

    fn stop_for_timeout() -> Command {
        Command::StopStudy { reason: "the study's timeout has run out".into() }
    }

    /// Whether the search no longer improves: nothing is drawn, and what runs or was asked for is waited
    /// for.
    fn is_stalled(&self) -> bool {
        let has_converged = self.converged.as_ref().is_some_and(Converged::is_over);
        has_converged || self.stall.as_ref().is_some_and(Stall::is_over)
    }

    /// Whether nobody joins those who are compared with each other: no configuration is left, or none is
    /// drawn any more and none was asked for.
    fn has_proposed_all(&self) -> bool {
        let n_waiting = || self.asked.n_waiting(self.counts.proposed);
        self.is_exhausted || self.n_unproposed() == 0 || self.is_stalled() && n_waiting() == 0
    }

    fn search_end(&self) -> Option<EndedBy> {
        let limits = &self.study.limits;
        // A conversion to whole numbers saturates, so that an endless timeout is a very long one.
        let timeout_ms = (limits.timeout_s * 1e3) as u64;
        let is_idle = self.open.is_empty();
        if is_idle && self.counts.proposed >= limits.max_total_trials {
            Some(EndedBy::Trials)
        } else if is_idle && self.is_exhausted {
            Some(EndedBy::Space)
        } else if is_idle && self.is_stalled() && self.asked.n_waiting(self.counts.proposed) == 0 {
            Some(EndedBy::Improvement)
        } else if self.elapsed_ms >= timeout_ms {
            Some(EndedBy::Timeout)
        } else {
            None
        }
    }
}

fn stop_trial((trial, reason): (TrialKey, String)) -> Command {
    let TrialKey { configuration, entity } = trial;
    Command::StopTrial { configuration, entity, reason }
}

fn is_path_searched(study: &Study) -> bool {
    let n_points = study.space.cardinality().unwrap_or(u128::MAX);
    let n_tried = n_points.min(study.limits.max_total_trials.into());
    study.work.families(&study.space).is_some_and(|families| families < n_tried)
}
