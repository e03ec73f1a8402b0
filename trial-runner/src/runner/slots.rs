//! The places in which assignments are worked on. More threads than there are slots may have one:
//! those beyond have made their programs ready and wait until a slot is free.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::lock;

/// How long an assignment waits for a slot before it is handed back: others may be idle.
const PATIENCE: Duration = Duration::from_millis(200);

/// How often one that waits is asked whether it is wanted.
const LOOK: Duration = Duration::from_millis(20);

/// The slots of a runner.
pub(super) struct Slots {
    n_free: Mutex<usize>,
    freed: Condvar,
}

/// A slot that is taken, until it is dropped.
pub(super) struct Slot<'a>(&'a Slots);

impl Slots {
    pub(super) fn of(n_slots: usize) -> Self {
        Self { n_free: Mutex::new(n_slots), freed: Condvar::new() }
    }

    /// Takes a slot. None where all are taken for long, or nobody wants one any more.
    pub(super) fn take(&self, is_wanted: impl Fn() -> bool) -> Option<Slot<'_>> {
        let until = Instant::now() + PATIENCE;
        let mut n_free = lock(&self.n_free);
        while *n_free == 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !is_wanted() {
                return None;
            }
            let waited = self.freed.wait_timeout(n_free, left.min(LOOK));
            n_free = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *n_free -= 1;
        Some(Slot(self))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *lock(&self.0.n_free) += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_one_assignments() {
        let slots = Slots::of(1);
        let first = slots.take(|| true);
        assert!(first.is_some());
        assert!(slots.take(|| false).is_none(), "it is taken");
        let began = Instant::now();
        assert!(slots.take(|| true).is_none());
        assert!(began.elapsed() >= PATIENCE);
        std::thread::scope(|scope| {
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
}
