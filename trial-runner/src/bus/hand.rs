//! The assignments in this runner's hand, from the message to its acknowledgement.
//!
//! Each one's lease is kept up from a task of its own, however busy the training threads are; not if
//! its thread is gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetfit_search_spaces::wire::subjects::Kind;
use fleetfit_search_spaces::{Assignment, AssignmentKey, FromRunner};

use super::link::Link;
use super::{Shared, lock};
use crate::runner::{Asking, Runner};

/// How often leases are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How long an assignment waits for a thread before it is handed back: others may be idle.
const WAIT: Duration = Duration::from_secs(2);

/// How many told assignments may wait for their acknowledgement, for each slot, and at least.
const UNSETTLED_PER_SLOT: usize = 4;
const MIN_UNSETTLED: usize = 64;

/// Programs are brisk that end within this time: what is between two of them counts.
const BRISK_MS: u64 = 100;

/// For so many that are set aside for each slot as many more are taken: a service gives out so many
/// for each.
const ASIDE_PER_SLOT: usize = 3;

/// What NATS is told.
const ACK: &str = "+ACK";
const PROGRESS: &str = "+WPI";

/// What the runner holds, by keys with numbers of this process.
pub(super) struct Hand {
    slots: usize,
    /// What waits for graphics cards: as many more find a slot.
    asking: Asking,
    held: BTreeMap<AssignmentKey, Held>,
    /// Whether the latest program was brisk. While they are, one more for each slot is taken in and
    /// made ready while another one runs.
    is_brisk: bool,
}

/// What may be pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Nothing.
    None,
    /// What nobody else waits for: it begins later.
    Ahead,
    /// Whatever comes: a thread is free.
    Free,
}

struct Held {
    link: Arc<Link>,
    kind: Kind,
    /// Where its acknowledgement goes, and which making of the stream that holds for.
    reply: String,
    epoch: u64,
    stage: Stage,
    taken: Instant,
    /// When its lease was last prolonged.
    prolonged: Instant,
}

enum Stage {
    /// It waits for a thread.
    Waiting(Assignment),
    /// A thread has it, or is about to; it was seen there or not yet.
    Running { seen: bool },
    /// Its end was told.
    Told,
}

impl Hand {
    pub(super) fn of(slots: usize) -> Self {
        Self { slots, asking: Asking::default(), held: BTreeMap::new(), is_brisk: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// How many slots are taken.
    pub(super) fn n_running(&self) -> usize {
        self.n_busy().min(self.slots)
    }

    fn n_busy(&self) -> usize {
        self.held.values().filter(|held| !matches!(held.stage, Stage::Told)).count()
    }

    /// What waits for graphics cards.
    pub(super) fn asking(&self) -> &Asking {
        &self.asking
    }

    pub(super) fn hear_of_asking(&mut self, asking: Asking) {
        self.asking = asking;
    }

    /// Whether a thread is free for such work, and not too much waits to be acknowledged.
    pub(super) fn room(&self, kind: Kind) -> Room {
        let n_busy = self.n_busy();
        let most = MIN_UNSETTLED.max(UNSETTLED_PER_SLOT * self.slots);
        match self.held.len() - n_busy < most {
            true if n_busy < self.slots + self.asking.n => Room::Free,
            true if n_busy < self.most(kind) => Room::Ahead,
            _ => Room::None,
        }
    }

    /// How many threads may be at something, one more of this kind included, and how many are set
    /// aside, behind which there may be something for them. Beside what was handed out before nothing is taken ahead: this runner may die of it, as another one did, and whatever
    /// it holds is blamed for that.
    fn most(&self, kind: Kind) -> usize {
        let is_suspect = |(key, held): (&AssignmentKey, &Held)| {
            key.attempt > 1 && matches!(held.stage, Stage::Running { .. })
        };
        let n_aside = self.asking.n_aside.min(ASIDE_PER_SLOT * self.slots);
        let others = self.asking.n + n_aside;
        match kind {
            Kind::Command if self.is_brisk && !self.held.iter().any(is_suspect) => {
                2 * self.slots + others
            }
            Kind::Command | Kind::Fit => self.slots + others,
        }
    }

    /// What is told of an assignment says whether programs are brisk.
    pub(super) fn note(&mut self, key: AssignmentKey, message: &FromRunner) {
        if self.held.get(&key).is_none_or(|held| held.kind != Kind::Command) {
            return;
        }
        match message {
            FromRunner::Outcomes { outcomes, .. } => {
                let mut took_ms =
                    outcomes.iter().map(|one| one.ended_ms.saturating_sub(one.started_ms));
                self.is_brisk = took_ms.all(|took_ms| took_ms <= BRISK_MS);
            }
            // It found no slot in time.
            FromRunner::Returned { .. } => self.is_brisk = false,
            _ => {}
        }
    }

    pub(super) fn link(&self, key: AssignmentKey) -> Option<Arc<Link>> {
        Some(Arc::clone(&self.held.get(&key)?.link))
    }

    /// Whether anything of a service is held.
    pub(super) fn has_any(&self, link: &Arc<Link>) -> bool {
        self.held.values().any(|held| Arc::ptr_eq(&held.link, link))
    }

    /// The keys that a service gave out, as it knows them.
    pub(super) fn keys(&self, link: &Arc<Link>) -> Vec<AssignmentKey> {
        let of_link = self.held.iter().filter(|(_, held)| Arc::ptr_eq(&held.link, link));
        of_link.map(|(key, _)| link.outside(*key)).collect()
    }

    /// One that is held already came again: it is acknowledged by the new address from here on.
    pub(super) fn renew(&mut self, key: AssignmentKey, reply: &str) -> bool {
        let Some(held) = self.held.get_mut(&key) else { return false };
        reply.clone_into(&mut held.reply);
        held.epoch = held.link.epoch();
        true
    }

    /// Takes an assignment to run, or one to say something of and no more.
    pub(super) fn take(
        &mut self,
        from: (&Arc<Link>, Kind),
        key: AssignmentKey,
        reply: String,
        to_run: Option<Assignment>,
    ) {
        let now = Instant::now();
        let (link, kind) = from;
        let held = Held {
            link: Arc::clone(link),
            kind,
            reply,
            epoch: link.epoch(),
            stage: to_run.map_or(Stage::Told, Stage::Waiting),
            taken: now,
            prolonged: now,
        };
        self.held.insert(key, held);
    }

    /// What threads are free for, in the order of arrival, and programs to be made ready.
    pub(super) fn next_to_run(&mut self) -> Vec<Assignment> {
        let is_running = |held: &&Held| matches!(held.stage, Stage::Running { .. });
        let mut n_running = self.held.values().filter(is_running).count();
        let mut waiting: Vec<_> = self
            .held
            .iter()
            .filter(|(_, held)| matches!(held.stage, Stage::Waiting(_)))
            .map(|(key, held)| (held.taken, *key, self.most(held.kind)))
            .collect();
        waiting.sort_unstable();
        let mut next = Vec::new();
        for (_, key, most) in waiting {
            // What came later waits, too.
            if n_running >= most {
                break;
            }
            if let Some(held) = self.held.get_mut(&key)
                && let Stage::Waiting(assignment) =
                    std::mem::replace(&mut held.stage, Stage::Running { seen: false })
            {
                n_running += 1;
                next.push(assignment);
            }
        }
        next
    }

    /// Takes back those that have waited so long for a thread. Their end is about to be told.
    pub(super) fn take_waiting(&mut self, at_least: Duration) -> Vec<AssignmentKey> {
        let mut taken = Vec::new();
        for (key, held) in &mut self.held {
            if matches!(held.stage, Stage::Waiting(_)) && held.taken.elapsed() >= at_least {
                held.stage = Stage::Told;
                taken.push(*key);
            }
        }
        taken
    }

    /// Its end was told.
    pub(super) fn told(&mut self, key: AssignmentKey) {
        if let Some(held) = self.held.get_mut(&key) {
            held.stage = Stage::Told;
        }
    }

    /// What was told of it is safe. Where its acknowledgement goes; none where the stream that it
    /// came from is gone.
    pub(super) fn settle(&mut self, key: AssignmentKey) -> Option<String> {
        let held = self.held.remove(&key)?;
        (held.epoch == held.link.epoch()).then_some(held.reply)
    }

    /// The leases that are to be prolonged.
    fn due(&mut self, aloft: &[AssignmentKey]) -> Vec<String> {
        let mut due = Vec::new();
        for (key, held) in &mut self.held {
            if let Stage::Running { seen } = &mut held.stage {
                let is_aloft = aloft.contains(key);
                // Its thread ended without a word: nobody is at it any more.
                if *seen && !is_aloft {
                    continue;
                }
                *seen |= is_aloft;
            }
            let is_due = held.prolonged.elapsed() >= held.link.lease / 3;
            let is_known = held.epoch == held.link.epoch() && held.link.is_sure();
            if is_due && is_known {
                held.prolonged = Instant::now();
                due.push(held.reply.clone());
            }
        }
        due
    }

    /// The connection was lost for a while: everything of the service is due.
    pub(super) fn hurry(&mut self, link: &Arc<Link>) {
        for held in self.held.values_mut().filter(|held| Arc::ptr_eq(&held.link, link)) {
            let long_ago = Instant::now().checked_sub(link.lease);
            held.prolonged = long_ago.unwrap_or(held.prolonged);
        }
    }
}

/// Keeps up the leases, and hands back what waits for too long.
pub(super) async fn run(shared: Arc<Shared>, runner: Arc<Runner>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let aloft = runner.holds();
        let (due, waiting) = {
            let mut hand = lock(&shared.hand);
            (hand.due(&aloft), hand.take_waiting(WAIT))
        };
        for reply in due {
            // Where it is not sent, the next one is.
            let _ = shared.client.publish(reply, PROGRESS.into()).await;
        }
        for of in waiting {
            shared.hear(FromRunner::Returned { of, reason: None });
        }
        // Whoever rests looks again.
        shared.tick();
    }
}

/// Acknowledges an assignment: everything that was told of it is safe.
pub(super) async fn settle(shared: &Shared, link: &Link, key: AssignmentKey) {
    while !link.is_sure() && !link.is_closed() {
        tokio::time::sleep(LOOK / 4).await;
    }
    let reply = lock(&shared.hand).settle(key);
    if let Some(reply) = reply {
        // Where it is lost, the message comes again, and is known by that.
        let _ = shared.client.publish(reply, ACK.into()).await;
    }
    shared.tick();
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::{AssignmentTask, End, Outcome, StudyId};

    use super::*;

    fn key(number: u64) -> AssignmentKey {
        AssignmentKey { study: StudyId(1), number, attempt: 1 }
    }

    fn take(hand: &mut Hand, link: &Arc<Link>, kind: Kind, number: u64) -> Vec<u64> {
        let of = Assignment { key: key(number), task: AssignmentTask::Try(Vec::new()) };
        hand.take((link, kind), key(number), "reply".into(), Some(of));
        hand.next_to_run().iter().map(|next| next.key.number).collect()
    }

    /// The end of a program that took so long is told.
    fn end(hand: &mut Hand, number: u64, took_ms: u64) {
        let end = End::Completed { value: 1.0 };
        let (started_ms, ended_ms) = (1_000, 1_000 + took_ms);
        let outcome = Outcome {
            configuration: 0,
            entity: 0,
            end,
            fits: 0,
            started_ms,
            ended_ms,
            reports: Vec::new(),
            further: Vec::new(),
        };
        let outcomes = vec![outcome];
        hand.note(
            key(number),
            &FromRunner::Outcomes { of: key(number), outcomes, launched: false },
        );
        hand.told(key(number));
    }

    #[test]
    fn only_brisk_programs_are_taken_ahead() {
        let (link, _ends) = Link::new("s", Duration::from_secs(30));
        let (link, mut hand) = (Arc::new(link), Hand::of(1));
        let rooms = |hand: &Hand| Kind::ALL.map(|kind| hand.room(kind));
        assert_eq!(take(&mut hand, &link, Kind::Command, 1), [1]);
        assert_eq!(rooms(&hand), [Room::None; 2], "nothing is known of it");
        end(&mut hand, 1, 10);
        assert_eq!(rooms(&hand), [Room::Free; 2]);
        assert_eq!(take(&mut hand, &link, Kind::Command, 2), [2]);
        assert_eq!((hand.room(Kind::Fit), hand.room(Kind::Command)), (Room::None, Room::Ahead));
        assert_eq!(take(&mut hand, &link, Kind::Command, 3), [3]);
        assert_eq!((rooms(&hand), hand.n_running()), ([Room::None; 2], 1));
        // A fit waits until there is a slot for it, and a third program, too.
        assert!(take(&mut hand, &link, Kind::Fit, 4).is_empty());
        assert!(take(&mut hand, &link, Kind::Command, 5).is_empty());
        end(&mut hand, 2, 10);
        assert!(hand.next_to_run().is_empty(), "the fit was there first");
        end(&mut hand, 3, 10);
        let next: Vec<u64> = hand.next_to_run().iter().map(|next| next.key.number).collect();
        assert_eq!(next, [4, 5]);
        end(&mut hand, 5, 5_000);
        end(&mut hand, 4, 10);
        assert_eq!(take(&mut hand, &link, Kind::Command, 6), [6]);
        assert_eq!(rooms(&hand), [Room::None; 2], "a slow one, and fits do not count");
    }

    #[test]
    fn as_many_more_are_taken_as_wait_for_a_card() {
        let (link, _ends) = Link::new("s", Duration::from_secs(30));
        let (link, mut hand) = (Arc::new(link), Hand::of(2));
        for number in [1, 2] {
            assert_eq!(take(&mut hand, &link, Kind::Fit, number), [number]);
        }
        assert_eq!(hand.room(Kind::Fit), Room::None);
        let asking = |n| Asking { n, most: 8, ..Asking::default() };
        hand.hear_of_asking(asking(1));
        assert_eq!(hand.room(Kind::Fit), Room::Free);
        assert_eq!(take(&mut hand, &link, Kind::Fit, 3), [3]);
        assert_eq!((hand.room(Kind::Fit), hand.n_running()), (Room::None, 2));
        // It is back: what came meanwhile waits until one ends.
        hand.hear_of_asking(asking(0));
        assert!(take(&mut hand, &link, Kind::Fit, 4).is_empty());
        hand.told(key(1));
        assert!(hand.next_to_run().is_empty());
        hand.told(key(2));
        assert_eq!(hand.next_to_run().len(), 1);
    }

    #[test]
    fn what_is_set_aside_is_pulled_past_where_nobody_else_waits_for_what_comes() {
        let (link, _ends) = Link::new("s", Duration::from_secs(30));
        let (link, mut hand) = (Arc::new(link), Hand::of(2));
        let asking = |n_aside| Asking { n: 8, most: 8, n_aside, ..Asking::default() };
        hand.hear_of_asking(asking(0));
        for number in 1..=10 {
            assert_eq!(hand.room(Kind::Fit), Room::Free);
            assert_eq!(take(&mut hand, &link, Kind::Fit, number), [number]);
        }
        assert_eq!(hand.room(Kind::Fit), Room::None);
        // Those that came last find no room at the card, one after another.
        for n_aside in 1..=6 {
            hand.hear_of_asking(asking(n_aside));
            assert_eq!(Kind::ALL.map(|kind| hand.room(kind)), [Room::Ahead; 2]);
            let number = 10 + n_aside as u64;
            assert_eq!(take(&mut hand, &link, Kind::Fit, number), [number], "a thread has it");
            assert_eq!(hand.room(Kind::Fit), Room::None);
        }
        // Two that are the processor's are at it: all that the service gives out are here.
        hand.told(key(16));
        assert_eq!(hand.room(Kind::Fit), Room::Ahead);
        assert_eq!(take(&mut hand, &link, Kind::Fit, 17), [17]);
        hand.hear_of_asking(asking(7));
        assert_eq!(hand.room(Kind::Fit), Room::None, "more would be others'");
        assert_eq!(hand.n_running(), 2);
    }

    #[test]
    fn after_one_came_back_nothing_is_taken_ahead() {
        let (link, _ends) = Link::new("s", Duration::from_secs(30));
        let (link, mut hand) = (Arc::new(link), Hand::of(1));
        take(&mut hand, &link, Kind::Command, 1);
        end(&mut hand, 1, 10);
        take(&mut hand, &link, Kind::Command, 2);
        take(&mut hand, &link, Kind::Command, 3);
        hand.note(key(3), &FromRunner::Returned { of: key(3), reason: None });
        hand.told(key(3));
        assert_eq!(hand.room(Kind::Command), Room::None);
    }

    #[test]
    fn beside_what_was_handed_out_before_nothing_is_taken_ahead() {
        let (link, _ends) = Link::new("s", Duration::from_secs(30));
        let (link, mut hand) = (Arc::new(link), Hand::of(1));
        take(&mut hand, &link, Kind::Command, 1);
        end(&mut hand, 1, 10);
        let again = AssignmentKey { attempt: 2, ..key(2) };
        let of = Assignment { key: again, task: AssignmentTask::Try(Vec::new()) };
        hand.take((&link, Kind::Command), again, "reply".into(), Some(of));
        assert_eq!(hand.next_to_run().len(), 1);
        assert_eq!(hand.room(Kind::Command), Room::None);
        hand.told(again);
        take(&mut hand, &link, Kind::Command, 3);
        assert_eq!(hand.room(Kind::Command), Room::Ahead);
    }
}
