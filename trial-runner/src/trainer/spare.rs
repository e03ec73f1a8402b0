//! Threads of a runner that have nothing to do: a large fit may work as wide as that.
//!
//! Nothing is handed to a waiting thread. A fit that borrows one starts a thread of its own, and the
//! waiting one is not lent to anybody else meanwhile. What is computed must not depend on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};

/// A count of threads that wait for work.
#[derive(Clone, Debug, Default)]
pub struct Spare(Arc<AtomicIsize>);

/// Threads that were borrowed. They are given back when it is dropped.
#[derive(Debug)]
pub struct Loan {
    spare: Spare,
    n_threads: usize,
}

impl Spare {
    /// So many threads that wait.
    pub fn of(n_threads: usize) -> Self {
        let n_threads = isize::try_from(n_threads).unwrap_or(isize::MAX);
        Self(Arc::new(AtomicIsize::new(n_threads)))
    }

    /// One more waits.
    pub(crate) fn wait(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One of them has work again, whether it is lent or not.
    pub(crate) fn work(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Borrows as many as there are, up to a number.
    pub fn borrow(&self, most: usize) -> Loan {
        let most = isize::try_from(most).unwrap_or(isize::MAX);
        let mut taken = 0;
        let lend = |there: isize| {
            taken = there.clamp(0, most);
            Some(there - taken)
        };
        let lent = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lend);
        let taken = if lent.is_ok() { taken } else { 0 };
        Loan { spare: self.clone(), n_threads: taken.unsigned_abs() }
    }
}

impl Loan {
    /// How many threads that is.
    pub fn n_threads(&self) -> usize {
        self.n_threads
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let back = isize::try_from(self.n_threads).unwrap_or(isize::MAX);
        self.spare.0.fetch_add(back, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_lent_once() {
        let spare = Spare::of(3);
        let first = spare.borrow(2);
        let second = spare.borrow(2);
        assert_eq!((first.n_threads(), second.n_threads()), (2, 1));
        drop(first);
        assert_eq!(spare.borrow(9).n_threads(), 2);
        // Two of them have work again, one of which is lent: none is left but what comes back.
        spare.work();
        spare.work();
        assert_eq!(spare.borrow(9).n_threads(), 0);
        drop(second);
        assert_eq!(spare.borrow(9).n_threads(), 1);
        spare.wait();
        assert_eq!(spare.borrow(9).n_threads(), 2);
    }
}
