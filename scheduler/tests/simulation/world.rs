//! A scheduler, some runners, and everything that goes wrong between them, on a virtual clock.

use std::collections::{BTreeMap, VecDeque};

use fleetfit_scheduler::state::{Phase, StudyState};
use fleetfit_scheduler::{Command, EndedBy, Event, Fact, Step};
use fleetfit_search_spaces::wire::{Assignment, Block, ModelAddress, Refit};
use fleetfit_search_spaces::{
    AssignmentTask, Configuration, End, Ladder, Outcome, Reached, Resource, Study, TrialState,
};
use rand::Rng;
use rand_pcg::Pcg64;

pub(crate) const COMPLETED: TrialState = TrialState::Completed;

/// Chance, by seed.
pub(crate) struct Dice(Pcg64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Pcg64::new(u128::from(seed) << 64 | 0x5eed, 7))
    }

    pub(crate) fn below(&mut self, n: u32) -> u32 {
        (self.0.next_u64() >> 32) as u32 % n.max(1)
    }

    fn happens(&mut self, per_mille: u32) -> bool {
        self.below(1_000) < per_mille
    }
}

/// How likely each thing is to go wrong, per thousand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    loss: u32,
    repetition: u32,
    death: u32,
    /// A runner hands an assignment back, half done.
    hand_back: u32,
    crash: u32,
    cancel: u32,
    /// Whether assignments and messages outlive the scheduler, as in NATS, or not, as in a process.
    bus_survives: bool,
    /// How far messages may overtake each other.
    jitter_ms: u32,
    n_runners: u32,
}

impl Faults {
    pub(crate) fn none() -> Self {
        Self {
            loss: 0,
            repetition: 0,
            death: 0,
            hand_back: 0,
            crash: 0,
            cancel: 0,
            bus_survives: true,
            jitter_ms: 0,
            n_runners: 1,
        }
    }

    /// Nothing but crashes of the scheduler, whose messages outlive it, late and repeated.
    pub(crate) fn of_the_scheduler(dice: &mut Dice) -> Self {
        Self {
            repetition: dice.below(300),
            hand_back: dice.below(200),
            crash: 10 + dice.below(60),
            jitter_ms: dice.below(300),
            n_runners: 1 + dice.below(8),
            ..Self::none()
        }
    }

    pub(crate) fn drawn(dice: &mut Dice) -> Self {
        Self {
            loss: dice.below(200),
            repetition: dice.below(300),
            death: dice.below(300),
            hand_back: dice.below(500),
            crash: dice.below(40),
            cancel: if dice.below(3) == 0 { dice.below(20) } else { 0 },
            bus_survives: dice.below(2) == 0,
            jitter_ms: dice.below(300),
            n_runners: 1 + dice.below(8),
        }
    }
}

/// What is under way to the scheduler.
#[derive(Clone, Debug)]
enum Message {
    Event(Event),
    /// A runner is free again.
    Idle,
}

/// What an assignment asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asked {
    Try,
    Climb(u8),
    Refit,
}

impl Asked {
    fn by(assignment: &Assignment) -> Self {
        match assignment.task {
            AssignmentTask::Try(_) => Self::Try,
            AssignmentTask::Climb { rung, .. } => Self::Climb(rung),
            AssignmentTask::Refit(_) => Self::Refit,
        }
    }
}

/// The whole world of one study.
pub(crate) struct World {
    study: Study,
    pub(crate) n_entities: u32,
    pub(crate) state: StudyState,
    /// What is on disk.
    pub(crate) journal: Vec<Fact>,
    pub(crate) faults: Faults,
    dice: Dice,
    now_ms: u64,
    /// Handed out and not taken by a runner.
    queue: VecDeque<Assignment>,
    /// Handed out, and when whoever took it was through with it: until then its message is kept.
    handed_out: Vec<(Assignment, Option<u64>)>,
    /// By time of arrival, and a number that keeps them apart; with the time of sending.
    inbox: BTreeMap<(u64, u64), (u64, Message)>,
    /// By trial and by what was asked of it: how often it was carried out.
    pub(crate) executions: BTreeMap<(Asked, u32, u32), u32>,
    n_messages: u64,
    n_lives: u64,
    n_idle: u32,
    is_finished: bool,
}

impl World {
    pub(crate) fn new(study: Study, n_entities: u32, dice: Dice, faults: Faults) -> Self {
        Self {
            state: StudyState::new(study.clone(), 1, n_entities),
            study,
            n_entities,
            journal: Vec::new(),
            faults,
            dice,
            now_ms: 0,
            queue: VecDeque::new(),
            handed_out: Vec::new(),
            inbox: BTreeMap::new(),
            executions: BTreeMap::new(),
            n_messages: 0,
            n_lives: 0,
            n_idle: faults.n_runners,
            is_finished: false,
        }
    }

    /// Runs the study to its end.
    pub(crate) fn run(&mut self) {
        self.deliver(Event::Started);
        let mut n_silent = 0;
        for _ in 0..1_000_000 {
            if self.is_finished {
                return;
            }
            self.fill_runners();
            if !self.receive(u64::MAX) {
                // Crashes aside, asking again must bring work, or the end.
                n_silent += 1;
                let (phase, counts) = (self.state.phase(), self.state.counts());
                assert!(n_silent < 50, "stuck in {phase:?} with {counts:?}");
                continue;
            }
            n_silent = 0;
            if self.dice.happens(self.faults.cancel) {
                self.cancel_and_resume();
            }
        }
        panic!("the study does not end");
    }

    /// Takes in the next message among those that were sent by a time. False if there is none.
    fn receive(&mut self, sent_by: u64) -> bool {
        let Some(at) = self.next_message(sent_by) else { return false };
        if sent_by == u64::MAX {
            self.now_ms = self.now_ms.max(at.0);
        }
        let elapsed_ms = self.now_ms;
        self.deliver(Event::Elapsed { elapsed_ms });
        // A crash in between has taken in what there was.
        match self.inbox.remove(&at) {
            Some((_, Message::Event(event))) => self.deliver(event),
            Some((_, Message::Idle)) => self.n_idle += 1,
            None => {}
        }
        true
    }

    fn next_message(&self, sent_by: u64) -> Option<(u64, u64)> {
        let mut waiting = self.inbox.iter();
        waiting.find(|(_, (sent_at, _))| *sent_at <= sent_by).map(|(&at, _)| at)
    }

    /// One event, or a crash before or after its facts are on disk.
    fn deliver(&mut self, event: Event) {
        let crashes = self.dice.happens(self.faults.crash);
        if crashes && self.dice.below(2) == 0 {
            let is_message = matches!(
                event,
                Event::Ended { .. }
                    | Event::Reached { .. }
                    | Event::Refitted { .. }
                    | Event::Released { .. }
            );
            if self.faults.bus_survives && is_message {
                // It was not acknowledged, so it comes again, before what was told after it.
                self.n_messages += 1;
                let at = (self.now_ms, self.n_messages);
                self.inbox.insert(at, (self.now_ms, Message::Event(event)));
            }
            self.restart();
            return;
        }
        let step = self.state.handle(event);
        self.journal.extend_from_slice(&step.facts);
        if crashes {
            self.restart();
        } else {
            self.carry_out(step);
        }
    }

    /// The scheduler comes back with nothing but its journal.
    fn restart(&mut self) {
        let mut state = StudyState::new(self.study.clone(), 1, self.n_entities);
        for fact in &self.journal {
            state.apply(fact);
        }
        // What was decided and not journalled is forgotten, so the state that crashed may be ahead
        // only in what is not a fact.
        assert_eq!(self.state.counts(), state.counts());
        assert_eq!(self.state.phase(), state.phase());
        assert_eq!(self.state.shared_best(), state.shared_best());
        for entity in 0..self.n_entities {
            assert_eq!(self.state.best(entity), state.best(entity));
        }
        self.state = state;
        // More than the messages of one life; as the time would be.
        self.n_lives += 1;
        self.state.number_assignments_from(self.n_lives << 32);
        if !self.faults.bus_survives {
            self.queue.clear();
            self.inbox.clear();
            self.handed_out.clear();
            self.n_idle = self.faults.n_runners;
        }
        // A crash while it starts is the same as starting twice.
        let step = self.state.handle(Event::Started);
        self.journal.extend_from_slice(&step.facts);
        self.carry_out(step);
        // What is still out is adopted, then what was told meanwhile is taken in.
        let now_ms = self.now_ms;
        self.handed_out.retain(|(_, through_at)| through_at.is_none_or(|at| at > now_ms));
        for (assignment, _) in self.handed_out.clone() {
            let step = self.state.handle(Event::Adopted { assignment });
            self.journal.extend_from_slice(&step.facts);
            self.carry_out(step);
        }
        while self.receive(now_ms) {}
    }

    fn carry_out(&mut self, step: Step) {
        for command in step.commands {
            match command {
                Command::Dispatch(assignment) => {
                    self.handed_out.push((assignment.clone(), None));
                    self.queue.push_back(assignment);
                }
                Command::StopTrial { .. } => {}
                Command::StopStudy { reason } => self.stop_study(&reason),
                Command::Finished => self.is_finished = true,
            }
        }
    }

    /// Runners hear of it, sooner or later: what they have begun ends stopped, or as it would have;
    /// what they have not comes back undone.
    fn stop_study(&mut self, reason: &str) {
        for (_, message) in self.inbox.values_mut() {
            let Message::Event(Event::Ended { outcomes, .. }) = message else {
                continue;
            };
            if self.dice.below(2) == 0 {
                for outcome in outcomes {
                    outcome.end = End::Stopped { value: None, reason: reason.to_owned() };
                }
            }
        }
        for assignment in std::mem::take(&mut self.queue) {
            self.send_release(40, &assignment, true);
        }
    }

    fn cancel_and_resume(&mut self) {
        if self.state.phase() == Phase::Closed {
            return;
        }
        self.deliver(Event::Cancelled);
        while self.state.phase() == Phase::Closed && self.state.ended_by() == Some(EndedBy::Cancel)
        {
            self.is_finished = false;
            self.deliver(Event::Resumed);
        }
    }

    fn fill_runners(&mut self) {
        while self.n_idle > 0 && !self.is_finished {
            if self.queue.is_empty() {
                let assignments = 1 + self.dice.below(self.n_idle);
                self.deliver(Event::Wanted { assignments });
            }
            let Some(assignment) = self.queue.pop_front() else {
                return;
            };
            self.n_idle -= 1;
            self.work(&assignment);
        }
    }

    /// A runner does an assignment, message by message, unless it dies on the way. What has been
    /// tried before goes well, so that no trial is given up.
    fn work(&mut self, assignment: &Assignment) {
        let is_first = assignment.key.attempt == 1;
        let all: Vec<_> = trials(assignment).collect();
        let dies = is_first && self.dice.happens(self.faults.death);
        // As often as it likes: nothing is held against what was handed back.
        let hands_back = !dies && self.dice.happens(self.faults.hand_back);
        let ends_after = (dies || hands_back).then(|| self.dice.below(all.len() as u32) as usize);
        let chunk = 1 + self.dice.below(all.len() as u32) as usize;
        let mut took_ms = 10;
        let alive = &all[..ends_after.unwrap_or(all.len())];
        let asked = Asked::by(assignment);
        for (block, entity) in alive {
            *self.executions.entry((asked, block.tried.number, *entity)).or_default() += 1;
        }
        for trials in alive.chunks(chunk) {
            let ladder = self.study.early_termination.as_ref().and_then(|own| own.ladder.as_ref());
            let (events, ends_at) = told(ladder, assignment, trials, self.now_ms + took_ms);
            took_ms = ends_at - self.now_ms;
            for event in events {
                let is_lost = is_first && self.dice.happens(self.faults.loss);
                if !is_lost {
                    self.send(took_ms, Message::Event(event.clone()));
                }
                while self.dice.happens(self.faults.repetition) {
                    self.send(took_ms, Message::Event(event.clone()));
                }
            }
        }
        // A dead runner's lease runs out; another runner takes its place meanwhile.
        let lease_ms = if dies { 5_000 } else { 0 };
        let in_ms = took_ms + lease_ms + u64::from(self.faults.jitter_ms);
        self.send_release(in_ms, assignment, !hands_back);
        self.send(took_ms, Message::Idle);
    }

    fn send_release(&mut self, in_ms: u64, assignment: &Assignment, is_blamed: bool) {
        let event = Event::Released {
            assignment: assignment.key.number,
            attempt: assignment.key.attempt,
            is_blamed,
        };
        self.send(in_ms, Message::Event(event.clone()));
        while self.dice.happens(self.faults.repetition) {
            self.send(in_ms, Message::Event(event.clone()));
        }
        for (handed_out, through_at) in &mut self.handed_out {
            if handed_out.key == assignment.key {
                *through_at = Some(self.now_ms + in_ms);
            }
        }
    }

    fn send(&mut self, in_ms: u64, message: Message) {
        let jitter_ms = u64::from(self.dice.below(self.faults.jitter_ms + 1));
        self.n_messages += 1;
        let sent_at = self.now_ms + in_ms;
        self.inbox.insert((sent_at + jitter_ms, self.n_messages), (sent_at, message));
    }
}

fn trials(assignment: &Assignment) -> impl Iterator<Item = (&Block, u32)> {
    assignment.task.blocks().iter().flat_map(|block| {
        let entities = block.entities.iter().cloned().flatten();
        entities.map(move |entity| (block, entity))
    })
}

/// What a runner tells about trials of an assignment that it does from this time on, and when it is
/// through with them.
fn told(
    ladder: Option<&Ladder>,
    assignment: &Assignment,
    trials: &[(&Block, u32)],
    mut now_ms: u64,
) -> (Vec<Event>, u64) {
    let number = assignment.key.number;
    let event = match assignment.task {
        AssignmentTask::Climb { after, rung, .. } => {
            let (mut outcomes, mut reached) = (Vec::new(), Vec::new());
            for &(tried, entity) in trials {
                let span = (now_ms, now_ms + 3);
                now_ms = span.1;
                match climbed(ladder.expect("a ladder"), (after, rung), (tried, entity), span) {
                    Ok(trial) => reached.push(trial),
                    Err(outcome) => outcomes.push(outcome),
                }
            }
            let ended = Event::Ended { assignment: number, outcomes, launched: false };
            return (
                vec![
                    ended,
                    Event::Reached { assignment: number, trials: reached, launched: false },
                ],
                now_ms,
            );
        }
        AssignmentTask::Try(_) => {
            let outcomes = trials.iter().map(|&(tried, entity)| {
                let outcome = outcome(tried, entity, now_ms);
                now_ms = outcome.ended_ms;
                outcome
            });
            Event::Ended { assignment: number, outcomes: outcomes.collect(), launched: false }
        }
        AssignmentTask::Refit(_) => {
            now_ms += 10 * trials.len() as u64;
            let models = trials.iter().map(|&(tried, entity)| refit(tried, entity));
            Event::Refitted { assignment: number, models: models.collect() }
        }
    };
    (vec![event], now_ms)
}

/// What a trial does on its way to a rung: some fail, some have nothing left to try above it.
fn climbed(
    ladder: &Ladder,
    (after, rung): (Option<u8>, u8),
    (tried, entity): (&Block, u32),
    (started_ms, ended_ms): (u64, u64),
) -> Result<Reached, Outcome> {
    let hash = hash(&tried.tried.configuration, entity);
    let configuration = tried.tried.number;
    let value = |part: u64| (hash >> part & 0xff) as f64 / 8.0 + (hash & 0xff) as f64;
    let fits = 1 + (hash >> 32) as u32 % 3 + u32::from(rung);
    let outcome = |end| {
        let (reports, further) = (Vec::new(), Vec::new());
        Outcome { configuration, entity, end, fits, started_ms, ended_ms, reports, further }
    };
    if hash % 29 == u64::from(rung) {
        return Err(outcome(End::Failed { reason: "for a reason".into() }));
    }
    let n_folds = 1 + entity % 5;
    let values = if ladder.resource == Resource::Folds {
        let up_to =
            |rung: u8| ladder.amount(rung).map_or(n_folds as usize, |own| own.of(n_folds as usize));
        (after.map_or(0, up_to)..up_to(rung)).map(|fold| value(fold as u64)).collect()
    } else {
        let is_whole = rung >= ladder.top() || hash % 7 == u64::from(rung);
        if is_whole {
            return Err(outcome(End::Completed { value: value(40) }));
        }
        vec![value(u64::from(rung))]
    };
    Ok(Reached { configuration, entity, rung, values, n_folds, fits, started_ms, ended_ms })
}

/// How a trial ends, and how long it takes, depends on nothing but the trial. Few values, so that
/// there are ties; most trials are quick, some slow.
fn outcome(tried: &Block, entity: u32, started_ms: u64) -> Outcome {
    let hash = hash(&tried.tried.configuration, entity);
    let reason = || "for a reason".to_owned();
    let end = match hash % 29 {
        0 => End::Failed { reason: reason() },
        1 => End::Stopped { value: Some(1e9), reason: reason() },
        2 => End::Completed { value: f64::NAN },
        rest => End::Completed { value: rest as f64 / 10.0 - 1.0 },
    };
    let took_ms = match hash % 31 {
        0..=19 => 0,
        20..=29 => 3,
        _ => 150,
    };
    Outcome {
        configuration: tried.tried.number,
        entity,
        end,
        fits: 1 + (hash >> 32) as u32 % 3,
        started_ms,
        ended_ms: started_ms + took_ms,
        reports: Vec::new(),
        further: Vec::new(),
    }
}

fn refit(tried: &Block, entity: u32) -> Refit {
    let hash = hash(&tried.tried.configuration, entity);
    let address = ModelAddress { digest: format!("{hash:x}"), pack: 0, offset: 0, length: 1 };
    Refit {
        entity,
        configuration: tried.tried.number,
        model: if hash.is_multiple_of(7) { Err("for a reason".into()) } else { Ok(address) },
    }
}

fn hash(configuration: &Configuration, entity: u32) -> u64 {
    let json = configuration.to_json();
    let bytes = json.bytes().chain(entity.to_le_bytes());
    let fnv = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    fnv ^ fnv >> 29
}
