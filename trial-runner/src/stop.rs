//! The flag by which a thread that trains learns that its time is up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Asked in every long loop: whether to give up, and why.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    cancelled: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

/// Why a fit gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Somebody asked for it.
    Cancelled,
    /// It took longer than it may.
    TimedOut,
}

impl Stop {
    /// The same flag, with a deadline of its own.
    pub fn with_deadline(&self, deadline: Option<Instant>) -> Self {
        Self { cancelled: Arc::clone(&self.cancelled), deadline }
    }

    /// Raises the flag for every clone.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Err when it is time to give up.
    pub fn check(&self) -> Result<(), Stopped> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Stopped::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Stopped::TimedOut),
            _ => Ok(()),
        }
    }
}

/// Asks once for so much work: what a loop does at a time may be little or much.
#[derive(Debug)]
pub(crate) struct Pace<'a> {
    stop: &'a Stop,
    done: usize,
}

impl<'a> Pace<'a> {
    /// Steps of arithmetic between two questions: some milliseconds.
    pub(crate) const LAP: usize = 1 << 22;

    pub(crate) fn of(stop: &'a Stop) -> Self {
        Self { stop, done: 0 }
    }

    /// Before so many steps: err when it is time to give up.
    pub(crate) fn go(&mut self, n_steps: usize) -> Result<(), Stopped> {
        self.done = self.done.saturating_add(n_steps);
        if self.done < Self::LAP {
            return Ok(());
        }
        self.done = 0;
        self.stop.check()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_flag_reaches_every_clone() {
        let stop = Stop::default();
        let late = stop.with_deadline(Some(Instant::now() + Duration::from_secs(600)));
        assert_eq!(late.check(), Ok(()));
        stop.clone().cancel();
        assert_eq!(stop.check(), Err(Stopped::Cancelled));
        assert_eq!(late.check(), Err(Stopped::Cancelled));
    }

    #[test]
    fn a_deadline_is_its_own() {
        let stop = Stop::default();
        let past = stop.with_deadline(Some(Instant::now()));
        assert_eq!(past.check(), Err(Stopped::TimedOut));
        assert_eq!(stop.check(), Ok(()));
        assert_eq!(past.with_deadline(None).check(), Ok(()));
    }

    #[test]
    fn whoever_works_is_asked_lap_by_lap() {
        let stop = Stop::default();
        stop.cancel();
        let mut pace = Pace::of(&stop);
        assert_eq!(pace.go(Pace::LAP - 1), Ok(()));
        assert_eq!(pace.go(1), Err(Stopped::Cancelled));
        assert_eq!(pace.go(1), Ok(()));
        assert_eq!(pace.go(usize::MAX), Err(Stopped::Cancelled));
    }
}
