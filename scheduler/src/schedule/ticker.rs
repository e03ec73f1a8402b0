//! The thread that waits for the next time, and submits what is due.
//!
//! It looks at the clock at least every [`LOOK`], so that a clock that is set is noticed soon. A
//! clock that is set back makes nothing due again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;

use super::{NewSchedule, ScheduleError, ScheduleView, Schedules, StoredSchedule};

/// How long the thread sleeps at most.
const LOOK: Duration = Duration::from_secs(20);

/// Submits the job of a schedule for a time, as the study [`StoredSchedule::study_name`]; once more
/// for the same one changes nothing. The study's name, or why not.
pub type Fire = Box<dyn Fn(&StoredSchedule, Timestamp) -> Result<String, String> + Send + Sync>;

/// What time it is.
pub type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// The thread that waits for the next time. It ends when this is dropped.
pub struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

pub(super) struct Shared {
    schedules: Schedules,
    fire: Fire,
    clock: Clock,
    /// One run begins after the other.
    firing: Mutex<()>,
    /// Why schedules cannot be run.
    trouble: Mutex<Option<String>>,
}

impl Ticker {
    /// Starts it. A run that was begun before the last end of the service is done first.
    pub fn start(schedules: Schedules, fire: Fire, clock: Clock) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new(schedules, fire, clock));
        let own = shared.clone();
        let thread =
            std::thread::Builder::new().name("schedules".into()).spawn(move || own.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Keeps a schedule, from now on; see [`Schedules::create`].
    pub fn create(&self, new: NewSchedule) -> Result<(ScheduleView, bool), ScheduleError> {
        self.shared.schedules.create(new, (self.shared.clock)())
    }

    /// Runs a schedule's job now, paused or not. Its own times stay as they are.
    pub fn trigger(&self, name: &str) -> Result<ScheduleView, ScheduleError> {
        let outcome = self.shared.one_after_the_other(|shared| {
            // What was begun before is a run of its own.
            if shared.schedules.stored(name)?.pending.is_some() {
                shared.fire_due(name, (shared.clock)())?;
            }
            let (begun, due) = shared.schedules.begin_now(name, (shared.clock)())?;
            shared.carry_out(&begun, due)
        })?;
        outcome.map_err(ScheduleError::Refused)?;
        self.shared.schedules.get(name)
    }

    /// What it runs.
    pub fn schedules(&self) -> &Schedules {
        &self.shared.schedules
    }

    /// Looks at the clock at once.
    pub fn look(&self) {
        self.shared.schedules.inner.changed.notify_all();
    }

    /// Why no schedule can be run, where that is so.
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.schedules.stop();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing to hand over.
            drop(thread.join());
        }
    }
}

impl Shared {
    pub(super) fn new(schedules: Schedules, fire: Fire, clock: Clock) -> Self {
        Self { schedules, fire, clock, firing: Mutex::default(), trouble: Mutex::default() }
    }

    fn run(&self) {
        loop {
            let trouble = self.pass().err().map(|error| error.to_string());
            let has_trouble = trouble.is_some();
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
            let wait = |next: Option<Timestamp>| match next {
                Some(next) if !has_trouble => {
                    let left = (self.clock)().duration_until(next);
                    Duration::try_from(left).unwrap_or_default().min(LOOK)
                }
                _ => LOOK,
            };
            if !self.schedules.wait(wait) {
                return;
            }
        }
    }

    /// Everything that is due. What stands in the way of one schedule stands in the way of all.
    pub(super) fn pass(&self) -> Result<(), ScheduleError> {
        for name in self.schedules.due((self.clock)()) {
            match self.one_after_the_other(|shared| shared.fire_due(&name, (shared.clock)())) {
                // Deleted since.
                Err(ScheduleError::Unknown { .. }) | Ok(()) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn fire_due(&self, name: &str, now: Timestamp) -> Result<(), ScheduleError> {
        if let Some((begun, due)) = self.schedules.begin(name, now)? {
            drop(self.carry_out(&begun, due)?);
        }
        Ok(())
    }

    fn carry_out(
        &self,
        begun: &StoredSchedule,
        due: Timestamp,
    ) -> Result<Result<String, String>, ScheduleError> {
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.fire)(begun, due)))
            .unwrap_or_else(|_| Err("submitting its job failed unexpectedly".to_owned()));
        self.schedules.settle(begun, due, &outcome)?;
        Ok(outcome)
    }

    fn one_after_the_other<T>(&self, act: impl FnOnce(&Self) -> T) -> T {
        let _firing = self.firing.lock().unwrap_or_else(PoisonError::into_inner);
        act(self)
    }
}
