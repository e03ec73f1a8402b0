//! The places in which assignments are worked on, a core each.
//!
//! More threads than there are slots may have an assignment. Some have made their programs ready and
//! wait until a slot is free. Some only wait for a graphics card: they rest, others have their slots
//! meanwhile, and they have the next ones when they come back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::stop::Stop;
use crate::trainer::Spare;

/// How long an assignment that has not begun waits for a slot before it is handed back: others may be
/// idle.
const PATIENCE: Duration = Duration::from_millis(200);

/// How often one that waits is asked whether it is wanted.
const LOOK: Duration = Duration::from_millis(20);

/// Hears how many assignments rest.
type Hear = Box<dyn Fn(usize) + Send>;

/// The slots of a runner.
#[derive(Clone)]
pub(crate) struct Slots(Arc<Inner>);

struct Inner {
    places: Mutex<Places>,
    changed: Condvar,
    /// How many assignments threads may be at, beside those that rest.
    most: usize,
    /// Whose slot is free may help others.
    spare: Spare,
    hear: Mutex<Option<Hear>>,
}

struct Places {
    n_free: usize,
    /// Assignments that threads are at.
    n_begun: usize,
    /// How many of them rest, and how many have come back and wait for a slot.
    n_resting: usize,
    n_returning: usize,
}

/// That a thread is at an assignment, until it is dropped.
pub(crate) struct Turn(Slots);

/// One thread's part in the slot of its assignment, which is taken while any of its threads works.
#[derive(Debug)]
pub(crate) struct Slot {
    held: Arc<Held>,
    works: AtomicBool,
}

/// The slot of an assignment, which is free for others when this is dropped.
struct Held {
    slots: Slots,
    state: Mutex<State>,
}

struct State {
    has_slot: bool,
    /// How many threads work.
    n_working: usize,
}

impl Slots {
    /// So many slots, and how many assignments more threads may be at beside those that rest.
    pub(crate) fn of(n_slots: usize, n_ahead: usize, spare: Spare) -> Self {
        let places = Places { n_free: n_slots, n_begun: 0, n_resting: 0, n_returning: 0 };
        Self(Arc::new(Inner {
            places: Mutex::new(places),
            changed: Condvar::new(),
            most: n_slots + n_ahead,
            spare,
            hear: Mutex::default(),
        }))
    }

    /// Tells how many assignments rest, and again whenever that changes.
    pub(crate) fn hear(&self, hear: Hear) {
        *lock(&self.0.hear) = Some(hear);
        self.tell();
    }

    /// Tells it again, because something else of it has changed.
    pub(crate) fn tell(&self) {
        let hear = lock(&self.0.hear);
        if let Some(hear) = &*hear {
            let n_resting = lock(&self.0.places).n_resting;
            hear(n_resting);
        }
    }

    /// Whether a thread may begin with another assignment, within some time.
    pub(crate) fn has_turn(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        let mut places = lock(&self.0.places);
        while places.n_begun - places.n_resting >= self.0.most {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            places = self.wait(places, left);
        }
        true
    }

    /// A thread begins with an assignment.
    pub(crate) fn begin(&self) -> Turn {
        lock(&self.0.places).n_begun += 1;
        Turn(self.clone())
    }

    /// Takes a slot. None where all are taken for long, or nobody wants one any more.
    pub(crate) fn take(&self, is_wanted: impl Fn() -> bool) -> Option<Slot> {
        let until = Instant::now() + PATIENCE;
        let mut places = lock(&self.0.places);
        while places.n_free <= places.n_returning {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !is_wanted() {
                return None;
            }
            places = self.wait(places, left.min(LOOK));
        }
        places.n_free -= 1;
        let state = Mutex::new(State { has_slot: true, n_working: 1 });
        let held = Arc::new(Held { slots: self.clone(), state });
        Some(Slot { held, works: AtomicBool::new(true) })
    }

    /// Takes one for an assignment that rests; whether there was one before the stop was raised.
    fn take_again(&self, stop: &Stop) -> bool {
        let mut places = lock(&self.0.places);
        places.n_resting -= 1;
        places.n_returning += 1;
        while places.n_free == 0 && stop.check().is_ok() {
            places = self.wait(places, LOOK);
        }
        places.n_returning -= 1;
        let is_there = places.n_free > 0;
        if is_there {
            places.n_free -= 1;
            self.0.spare.work();
        } else {
            places.n_resting += 1;
        }
        self.0.changed.notify_all();
        is_there
    }

    fn wait<'a>(
        &self,
        places: MutexGuard<'a, Places>,
        at_most: Duration,
    ) -> MutexGuard<'a, Places> {
        let waited = self.0.changed.wait_timeout(places, at_most);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.0.0.places).n_begun -= 1;
        self.0.0.changed.notify_all();
    }
}

impl Slot {
    /// The only one.
    #[cfg(test)]
    pub(crate) fn only() -> Arc<Self> {
        Slots::of(1, 0, Spare::default()).take(|| true).map(Arc::new).unwrap()
    }

    /// For another thread of the same assignment, which does not work yet.
    pub(crate) fn share(&self) -> Self {
        Self { held: Arc::clone(&self.held), works: AtomicBool::new(false) }
    }

    /// This thread only waits from here on. Where all of them do, others may have the slot.
    pub(crate) fn rest(&self) {
        if self.works.swap(false, Ordering::SeqCst) {
            self.held.leave();
        }
    }

    /// This thread works again, as soon as there is a slot; at once, and without one, where the stop
    /// is raised.
    pub(crate) fn work(&self, stop: &Stop) {
        if !self.works.swap(true, Ordering::SeqCst) {
            self.held.enter(stop);
        }
    }

    /// Rests as long as others do something.
    pub(crate) fn aside<T>(&self, stop: &Stop, others: impl FnOnce() -> T) -> T {
        self.rest();
        let done = others();
        self.work(stop);
        done
    }
}

impl Held {
    fn leave(&self) {
        {
            let mut state = lock(&self.state);
            state.n_working -= 1;
            if state.n_working > 0 || !state.has_slot {
                return;
            }
            state.has_slot = false;
            let Inner { places, changed, spare, .. } = &*self.slots.0;
            let mut places = lock(places);
            places.n_free += 1;
            places.n_resting += 1;
            spare.wait();
            changed.notify_all();
        }
        self.slots.tell();
    }

    fn enter(&self, stop: &Stop) {
        {
            let mut state = lock(&self.state);
            state.n_working += 1;
            if state.has_slot {
                return;
            }
            state.has_slot = self.slots.take_again(stop);
        }
        self.slots.tell();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let has_slot = self.state.get_mut().unwrap_or_else(PoisonError::into_inner).has_slot;
        let Inner { places, changed, spare, .. } = &*self.slots.0;
        {
            let mut places = lock(places);
            match has_slot {
                true => places.n_free += 1,
                false => {
                    places.n_resting -= 1;
                    spare.work();
                }
            }
        }
        changed.notify_all();
        if !has_slot {
            self.slots.tell();
        }
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Held").finish_non_exhaustive()
    }
}

/// A poisoned lock means that another thread panicked while it held plain data, which is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread::{scope, yield_now};

    use super::*;

    fn slots(n_slots: usize) -> Slots {
        Slots::of(n_slots, 0, Spare::default())
    }

    fn wait_until(is_so: impl Fn() -> bool) {
        while !is_so() {
            yield_now();
        }
    }

    #[test]
    fn a_slot_is_one_assignments() {
        let slots = slots(1);
        let first = slots.take(|| true);
        assert!(first.is_some());
        assert!(slots.take(|| false).is_none(), "it is taken");
        let began = Instant::now();
        assert!(slots.take(|| true).is_none());
        assert!(began.elapsed() >= PATIENCE);
        scope(|scope| {
            let second = scope.spawn(|| {
                loop {
                    if slots.take(|| true).is_some() {
                        return;
                    }
                }
            });
            drop(first);
            second.join().unwrap();
        });
    }

    #[test]
    fn who_rests_gives_its_slot_away_and_comes_back_first() {
        let (slots, stop) = (slots(1), Stop::default());
        let first = slots.take(|| true).unwrap();
        first.rest();
        let second = slots.take(|| true).unwrap();
        let is_back = AtomicBool::new(false);
        scope(|scope| {
            scope.spawn(|| {
                first.work(&stop);
                is_back.store(true, Ordering::SeqCst);
            });
            wait_until(|| lock(&slots.0.places).n_returning == 1);
            let third = scope.spawn(|| slots.take(|| !is_back.load(Ordering::SeqCst)));
            assert!(!is_back.load(Ordering::SeqCst));
            drop(second);
            assert!(third.join().unwrap().is_none(), "it was not its turn");
        });
        assert!(is_back.load(Ordering::SeqCst));
        drop(first);
        assert_eq!(lock(&slots.0.places).n_free, 1);
    }

    #[test]
    fn a_slot_is_kept_while_any_of_an_assignment_s_threads_works() {
        let (slots, stop) = (slots(1), Stop::default());
        let slot = slots.take(|| true).unwrap();
        let other = slot.share();
        other.work(&stop);
        slot.aside(&stop, || assert!(slots.take(|| false).is_none(), "the other one works"));
        other.rest();
        assert!(slots.take(|| false).is_none(), "the first one works");
        slot.aside(&stop, || assert!(slots.take(|| false).is_some()));
        assert!(slots.take(|| false).is_none(), "it has come back");
    }

    #[test]
    fn nobody_waits_for_a_slot_once_its_study_is_over() {
        let (slots, stop) = (slots(1), Stop::default());
        let first = slots.take(|| true).unwrap();
        first.rest();
        let second = slots.take(|| true).unwrap();
        stop.cancel();
        first.work(&stop);
        drop(first);
        assert!(slots.take(|| false).is_none());
        drop(second);
        assert!(slots.take(|| false).is_some());
    }

    #[test]
    fn another_one_may_begin_while_one_rests() {
        let spare = Spare::default();
        let slots = Slots::of(1, 0, spare.clone());
        static RESTING: AtomicUsize = AtomicUsize::new(0);
        slots.hear(Box::new(|n_resting| RESTING.store(n_resting, Ordering::SeqCst)));
        let stop = Stop::default();
        assert!(slots.has_turn(Duration::ZERO));
        let (turn, slot) = (slots.begin(), slots.take(|| true).unwrap());
        assert!(!slots.has_turn(Duration::ZERO));
        slot.rest();
        assert!(slots.has_turn(Duration::ZERO));
        assert_eq!((RESTING.load(Ordering::SeqCst), spare.borrow(9).n_threads()), (1, 1));
        slot.work(&stop);
        assert!(!slots.has_turn(Duration::ZERO));
        assert_eq!((RESTING.load(Ordering::SeqCst), spare.borrow(9).n_threads()), (0, 0));
        slot.rest();
        drop(slot);
        assert_eq!((RESTING.load(Ordering::SeqCst), spare.borrow(9).n_threads()), (0, 0));
        assert!(!slots.has_turn(Duration::ZERO), "its end is not told yet");
        drop(turn);
        assert!(slots.has_turn(Duration::ZERO));
    }
}
