//! The assignments that may ask a graphics card: so many are at threads, and the others are set aside,
//! so that threads are left for those that do not.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use fleetfit_search_spaces::Assignment;

use super::flight::Flight;
use super::lock;

/// All of a runner's.
pub(super) struct Askers {
    /// How many may be at threads.
    most: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    n_at_threads: usize,
    /// In the order in which they came.
    aside: VecDeque<Aside>,
    /// Whether none is set aside any more.
    is_closed: bool,
}

/// One that was set aside. It stays in flight, so that it is ended, and held, like any other.
pub(super) struct Aside {
    pub(super) assignment: Assignment,
    pub(super) flight: Arc<Flight>,
}

/// That one is at a thread, until this is dropped.
pub(super) struct Pass(Arc<Askers>);

impl Askers {
    pub(super) fn of(most: usize) -> Arc<Self> {
        Arc::new(Self { most, inner: Mutex::default() })
    }

    /// Lets one that has just come go on, unless it has to be set aside.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Pass> {
        let mut inner = lock(&self.inner);
        let may = inner.aside.is_empty() && inner.n_at_threads < self.most;
        may.then(|| self.pass(&mut inner))
    }

    /// Sets one aside; gives it back where that is done no more.
    pub(super) fn put(&self, aside: Aside) -> Result<(), Aside> {
        let mut inner = lock(&self.inner);
        if inner.is_closed {
            return Err(aside);
        }
        inner.aside.push_back(aside);
        Ok(())
    }

    /// The one to go on with: the first that is over, which takes no time, or else the first of all
    /// where there is room.
    pub(super) fn next(self: &Arc<Self>) -> Option<(Aside, Pass)> {
        let mut inner = lock(&self.inner);
        let over = inner.aside.iter().position(|aside| aside.flight.over().is_some());
        let first = (inner.n_at_threads < self.most).then_some(0);
        let aside = inner.aside.remove(over.or(first)?)?;
        Some((aside, self.pass(&mut inner)))
    }

    fn pass(self: &Arc<Self>, inner: &mut Inner) -> Pass {
        inner.n_at_threads += 1;
        Pass(Arc::clone(self))
    }

    /// How many are set aside.
    pub(super) fn n_aside(&self) -> usize {
        lock(&self.inner).aside.len()
    }

    /// Takes back all that were, and sets none aside any more.
    pub(super) fn close(&self) -> VecDeque<Aside> {
        let mut inner = lock(&self.inner);
        inner.is_closed = true;
        std::mem::take(&mut inner.aside)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        lock(&self.0.inner).n_at_threads -= 1;
    }
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::{AssignmentKey, AssignmentTask, StudyId};

    use super::super::flight::Flights;
    use super::*;

    fn aside(flights: &Flights, number: u64) -> Aside {
        let key = AssignmentKey { study: StudyId(1), number, attempt: 1 };
        let assignment = Assignment { key, task: AssignmentTask::Try(Vec::new()) };
        Aside { assignment, flight: flights.take_off(key) }
    }

    #[test]
    fn who_came_first_goes_on_first_unless_another_is_over() {
        let (flights, askers) = (Flights::default(), Askers::of(2));
        let next = || askers.next().map(|(aside, pass)| (aside.assignment.key.number, pass));
        let first = askers.admit();
        let second = askers.admit();
        assert!(first.is_some() && second.is_some() && askers.admit().is_none());
        // Numbers say nothing of the order.
        for number in [4, 3, 9, 5] {
            assert!(askers.put(aside(&flights, number)).is_ok());
        }
        assert!(next().is_none());
        drop(first);
        assert!(askers.admit().is_none(), "others came before it");
        let third = next().unwrap();
        assert_eq!((third.0, askers.n_aside()), (4, 3));
        assert!(next().is_none());
        flights.end(StudyId(1), 4, "it was cancelled");
        let over = next().unwrap();
        assert_eq!(over.0, 3);
        drop((second, over));
        assert_eq!(next().map(|(number, _)| number), Some(9));
        let left: Vec<u64> = askers.close().iter().map(|own| own.assignment.key.number).collect();
        assert_eq!(left, [5]);
        assert!(askers.put(aside(&flights, 6)).is_err() && askers.n_aside() == 0);
        assert!(askers.admit().is_some());
    }
}
