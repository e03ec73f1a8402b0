//! The assignments that threads are at, or that they set aside, and how they are ended from outside.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use fleetfit_search_spaces::{AssignmentKey, StudyId};

use super::lock;
use crate::command::Halt;
use crate::stop::Stop;

/// How many studies are remembered that stopped something: the latest ones.
const MARKS: usize = 1_024;

/// What command trials are told that end with their runner. They stay open.
pub(super) const HANDED_BACK: &str = "the runner ends";

/// An assignment that a thread is at, or has set aside.
#[derive(Default)]
pub(super) struct Flight {
    /// Raised when the assignment is over: fits give up.
    pub(super) stop: Stop,
    over: OnceLock<Over>,
    /// Command trials of it that run.
    halts: Mutex<BTreeMap<(u32, u32), Halt>>,
}

/// Why an assignment is over before its end.
#[derive(Clone, Debug)]
pub(super) enum Over {
    /// It is not wanted any more.
    Stopped(String),
    /// This runner ends; another one will go on with it.
    HandedBack,
}

/// How an assignment ends here.
pub(super) enum Landing {
    /// It was done, or is not wanted any more.
    Done,
    /// Another runner will go on with it.
    HandedBack,
    /// A thread goes on with it once there is room.
    Aside,
    /// It cannot be done here.
    Lacking(String),
    /// Nothing can be done here.
    Unable(String),
}

impl Flight {
    pub(super) fn over(&self) -> Option<&Over> {
        self.over.get()
    }

    pub(super) fn is_handed_back(&self) -> bool {
        matches!(self.over(), Some(Over::HandedBack))
    }

    /// Enters a command trial. Whoever ends the flight from here on ends it too.
    pub(super) fn enter(&self, configuration: u32, entity: u32) -> Halt {
        let halt = Halt::default();
        lock(&self.halts).insert((configuration, entity), halt.clone());
        // Asked after the halt can be found, so that nobody slips in between.
        if let Some(over) = self.over() {
            halt.ask(over.reason());
        }
        halt
    }

    pub(super) fn leave(&self, configuration: u32, entity: u32) {
        lock(&self.halts).remove(&(configuration, entity));
    }

    fn end(&self, over: &Over) {
        // The first reason stays.
        let _ = self.over.set(over.clone());
        self.stop.cancel();
        for halt in lock(&self.halts).values() {
            halt.ask(over.reason());
        }
    }
}

impl Over {
    fn reason(&self) -> &str {
        match self {
            Self::Stopped(reason) => reason,
            Self::HandedBack => HANDED_BACK,
        }
    }
}

/// All of a runner's flights.
#[derive(Default)]
pub(super) struct Flights {
    inner: Mutex<Inner>,
    landed: Condvar,
}

#[derive(Default)]
struct Inner {
    aloft: BTreeMap<AssignmentKey, Arc<Flight>>,
    /// Assignments of a study with lower numbers are over.
    over_before: BTreeMap<StudyId, u64>,
}

impl Flights {
    /// Enters an assignment that was received.
    pub(super) fn take_off(&self, key: AssignmentKey) -> Arc<Flight> {
        let mut inner = lock(&self.inner);
        let flight = Arc::clone(inner.aloft.entry(key).or_default());
        if inner.over_before.get(&key.study).is_some_and(|before| key.number < *before) {
            flight.end(&Over::Stopped("it was stopped".into()));
        }
        flight
    }

    pub(super) fn is_aloft(&self, key: AssignmentKey) -> bool {
        lock(&self.inner).aloft.contains_key(&key)
    }

    /// The assignment's end has been told.
    pub(super) fn land(&self, key: AssignmentKey) {
        lock(&self.inner).aloft.remove(&key);
        self.landed.notify_all();
    }

    pub(super) fn keys(&self) -> Vec<AssignmentKey> {
        lock(&self.inner).aloft.keys().copied().collect()
    }

    /// Whether something of the study is in flight.
    pub(super) fn has(&self, study: StudyId) -> bool {
        lock(&self.inner).aloft.range(range(study, u64::MAX)).next().is_some()
    }

    /// Ends a study's assignments with lower numbers, in flight or still to come.
    pub(super) fn end(&self, study: StudyId, before: u64, reason: &str) {
        let mut inner = lock(&self.inner);
        let mark = inner.over_before.entry(study).or_default();
        *mark = before.max(*mark);
        if inner.over_before.len() > MARKS {
            inner.over_before.pop_first();
        }
        for (_, flight) in inner.aloft.range(range(study, before)) {
            flight.end(&Over::Stopped(reason.to_owned()));
        }
    }

    /// Ends one trial in assignments with lower numbers.
    pub(super) fn end_trial(&self, study: StudyId, before: u64, trial: (u32, u32), reason: &str) {
        for (_, flight) in lock(&self.inner).aloft.range(range(study, before)) {
            if let Some(halt) = lock(&flight.halts).get(&trial) {
                halt.ask(reason);
            }
        }
    }

    /// Ends what is in flight of a study that is over. What it stopped stays stopped: assignments of
    /// it may still be on their way.
    pub(super) fn forget(&self, study: StudyId) {
        let inner = lock(&self.inner);
        for (_, flight) in inner.aloft.range(range(study, u64::MAX)) {
            flight.end(&Over::Stopped("the study is over".into()));
        }
    }

    /// Hands back whatever is in flight.
    pub(super) fn hand_back(&self) {
        for flight in lock(&self.inner).aloft.values() {
            flight.end(&Over::HandedBack);
        }
    }

    /// Waits until nothing is in flight, but no longer than this.
    pub(super) fn wait(&self, at_most: Duration) {
        let until = Instant::now().checked_add(at_most);
        let mut inner = lock(&self.inner);
        while !inner.aloft.is_empty() {
            let left = until.map_or(at_most, |until| until.duration_since(Instant::now()));
            if left.is_zero() {
                return;
            }
            let waited = self.landed.wait_timeout(inner, left);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn range(study: StudyId, before: u64) -> std::ops::Range<AssignmentKey> {
    let at = |number| AssignmentKey { study, number, attempt: 0 };
    at(0)..at(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stopped_stays_stopped_once_its_study_is_forgotten() {
        let flights = Flights::default();
        let key = |study, number| AssignmentKey { study: StudyId(study), number, attempt: 1 };
        flights.end(StudyId(1), 8, "it was cancelled");
        flights.forget(StudyId(1));
        assert!(flights.take_off(key(1, 7)).over().is_some(), "it was on its way");
        assert!(flights.take_off(key(1, 8)).over().is_none(), "the study was resumed");
        assert!(flights.take_off(key(2, 7)).over().is_none());
        for study in 3..3 + MARKS as u32 {
            flights.end(StudyId(study), 1, "it was cancelled");
        }
        assert!(flights.take_off(key(1, 6)).over().is_none(), "that was long ago");
    }
}
