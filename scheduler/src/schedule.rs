//! Schedules: jobs that are run again and again, and what became of each time.
//!
//! All of it is in the journal's documents: that a time has come is on disk before its study is
//! submitted, under a name made of the schedule's and that time. Whoever dies between the two
//! submits the same study under the same name after the next start, and so there is one.
//!
//! Of times that passed while nobody looked (the service was down, the schedule paused) the latest
//! is made up for, if it is no older than [`CATCH_UP`]; the others are counted as missed.
//!
//! Read next: `schedule/ticker.rs` for the thread that waits for the next time, and the vocabulary's
//! `schedule.rs` for the file and its times.

mod stored;
mod ticker;
mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleetfit_search_spaces::schedule::{Schedule, ScheduleFile, Trigger};
use fleetfit_search_spaces::{Problems, nearest_n};
use jiff::SignedDuration;

use crate::journal::{Journal, JournalError};

pub use self::stored::{NewSchedule, StoredJob, StoredSchedule};
pub use self::ticker::{Clock, Fire, Ticker};
pub use self::view::ScheduleView;
pub use jiff::Timestamp;

/// How late a run may begin to make up for a missed one.
pub const CATCH_UP: SignedDuration = SignedDuration::from_hours(1);

/// The kind of the journal's documents.
const KIND: &str = "schedule";
/// How many missed times are counted one by one after an outage.
const MAX_COUNTED: usize = 100_000;

/// What can be wrong with a request about schedules.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The file, or the job that it names.
    #[error("{0}")]
    Problems(Problems),
    /// There is another one of that name.
    #[error("there is another schedule named {name}; call this one otherwise, or delete that one")]
    Exists {
        /// The name.
        name: String,
    },
    /// There is none of that name.
    #[error("there is no schedule named {name}{}", did_you_mean(nearest))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names that look like it.
        nearest: Vec<String>,
    },
    /// What is stored cannot be read.
    #[error("the schedule {name} cannot be used: {why}")]
    Unreadable {
        /// The name.
        name: String,
        /// Why.
        why: String,
    },
    /// Its job could not be submitted.
    #[error("{0}")]
    Refused(String),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

fn did_you_mean(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        names => format!("; did you mean {}?", names.join(" or ")),
    }
}

/// Every schedule. Clones share them.
#[derive(Clone)]
pub struct Schedules {
    inner: Arc<Inner>,
}

struct Inner {
    journal: Journal,
    table: Mutex<Table>,
    /// Something in the table is another than before.
    changed: Condvar,
}

#[derive(Default)]
struct Table {
    kept: BTreeMap<String, Kept>,
    is_stopped: bool,
}

/// A schedule as it is stored and what follows from that, or why it cannot be read.
enum Kept {
    Live(Box<Live>),
    Unreadable { why: String },
}

struct Live {
    stored: StoredSchedule,
    schedule: Schedule,
    /// Counted from the schedule's creation where the file names no start.
    trigger: Trigger,
    /// The first time that nobody has looked at.
    next: Option<Timestamp>,
}

impl Live {
    fn of(stored: StoredSchedule) -> Result<Self, Problems> {
        let schedule = ScheduleFile::read(&stored.file, &stored.text)?.schedule()?;
        let trigger = schedule.trigger.clone().from(stored.created);
        let next = trigger.next_after(stored.considered);
        Ok(Self { stored, schedule, trigger, next })
    }

    /// When there is something to do for it: at once where a run was begun and nobody knows whether
    /// its study was submitted.
    fn wakes_at(&self) -> Option<Timestamp> {
        match (self.stored.pending, self.stored.paused) {
            (Some(_), _) => Some(Timestamp::MIN),
            (None, true) => None,
            (None, false) => self.next,
        }
    }
}

impl Schedules {
    /// The schedules of a journal.
    pub fn open(journal: &Journal) -> Result<Self, JournalError> {
        let mut table = Table::default();
        for (name, bytes) in journal.documents(KIND)? {
            let live = StoredSchedule::from_bytes(&bytes)
                .and_then(|stored| Live::of(stored).map_err(|problems| problems.to_string()));
            let kept = match live {
                Ok(live) => Kept::Live(Box::new(live)),
                Err(why) => Kept::Unreadable { why },
            };
            table.kept.insert(name, kept);
        }
        let (journal, table) = (journal.clone(), Mutex::new(table));
        Ok(Self { inner: Arc::new(Inner { journal, table, changed: Condvar::new() }) })
    }

    /// Stores a schedule, from now on, and tells whether it is new: the same one again, with the same
    /// job and the same files, is the one that is there.
    pub fn create(
        &self,
        new: NewSchedule,
        now: Timestamp,
    ) -> Result<(ScheduleView, bool), ScheduleError> {
        let live = Live::of(new.stored(now)?).map_err(ScheduleError::Problems)?;
        let name = live.stored.name.clone();
        let mut table = self.table();
        match table.kept.get(&name) {
            Some(Kept::Live(own)) if own.stored.canonical == live.stored.canonical => {
                return Ok((view::of(own), false));
            }
            Some(_) => return Err(ScheduleError::Exists { name }),
            None => {}
        }
        if live.next.is_none() {
            let mut problems = Vec::new();
            let file = ScheduleFile::read(&live.stored.file, &live.stored.text);
            file.map_err(ScheduleError::Problems)?.judge_times(live.stored.created, &mut problems);
            return Err(ScheduleError::Problems(Problems(problems)));
        }
        self.store(&live.stored)?;
        let view = view::of(&live);
        table.kept.insert(name, Kept::Live(Box::new(live)));
        self.inner.changed.notify_all();
        Ok((view, true))
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<ScheduleView> {
        let table = self.table();
        let shown = table.kept.iter().map(|(name, kept)| match kept {
            Kept::Live(live) => view::of(live),
            Kept::Unreadable { why } => view::unreadable(name, why),
        });
        shown.collect()
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Result<ScheduleView, ScheduleError> {
        let table = self.table();
        match table.kept.get(name) {
            Some(Kept::Live(live)) => Ok(view::of(live)),
            Some(Kept::Unreadable { why }) => Ok(view::unreadable(name, why)),
            None => Err(table.unknown(name)),
        }
    }

    /// What is stored of one of them.
    pub fn stored(&self, name: &str) -> Result<StoredSchedule, ScheduleError> {
        self.table().live(name).map(|live| live.stored.clone())
    }

    /// The manifests of the files that schedules will still need.
    pub fn materials(&self) -> Vec<String> {
        let table = self.table();
        let live = table.kept.values().filter_map(|kept| match kept {
            Kept::Live(live) => live.stored.job.material.clone(),
            Kept::Unreadable { .. } => None,
        });
        live.collect()
    }

    /// Runs nothing until it is resumed.
    pub fn pause(&self, name: &str) -> Result<ScheduleView, ScheduleError> {
        self.change(name, |stored| stored.paused = true)
    }

    /// Goes on. The latest time that passed meanwhile is made up for, as after an outage.
    pub fn resume(&self, name: &str) -> Result<ScheduleView, ScheduleError> {
        self.change(name, |stored| stored.paused = false)
    }

    /// Removes it; the studies that it made stay.
    pub fn delete(&self, name: &str) -> Result<(), ScheduleError> {
        let mut table = self.table();
        if !table.kept.contains_key(name) {
            return Err(table.unknown(name));
        }
        self.inner.journal.remove_document(KIND, name)?;
        table.kept.remove(name);
        self.inner.changed.notify_all();
        Ok(())
    }

    fn change(
        &self,
        name: &str,
        act: impl FnOnce(&mut StoredSchedule),
    ) -> Result<ScheduleView, ScheduleError> {
        let mut table = self.table();
        let live = table.live(name)?;
        let mut stored = live.stored.clone();
        act(&mut stored);
        self.replace(live, stored)?;
        Ok(view::of(live))
    }

    /// On disk first, then here.
    fn replace(&self, live: &mut Live, stored: StoredSchedule) -> Result<(), JournalError> {
        if stored == live.stored {
            return Ok(());
        }
        self.store(&stored)?;
        if stored.considered != live.stored.considered {
            live.next = live.trigger.next_after(stored.considered);
        }
        live.stored = stored;
        self.inner.changed.notify_all();
        Ok(())
    }

    fn store(&self, stored: &StoredSchedule) -> Result<(), JournalError> {
        self.inner.journal.put_document(KIND, &stored.name, &stored.to_bytes()?)
    }

    /// The schedules for which there is something to do at this time.
    fn due(&self, now: Timestamp) -> Vec<String> {
        let table = self.table();
        if table.is_stopped {
            return Vec::new();
        }
        let due = table.kept.iter().filter_map(|(name, kept)| match kept {
            Kept::Live(live) if live.wakes_at()? <= now => Some(name.clone()),
            _ => None,
        });
        due.collect()
    }

    /// Whether a schedule has a run to begin, and for which time. It is on disk when this returns;
    /// [`Schedules::settle`] must follow.
    fn begin(
        &self,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<(StoredSchedule, Timestamp)>, ScheduleError> {
        let mut table = self.table();
        let live = table.live(name)?;
        if let Some(due) = live.stored.pending {
            return Ok(Some((live.stored.clone(), due)));
        }
        if live.stored.paused || live.next.is_none_or(|next| next > now) {
            return Ok(None);
        }
        let mut stored = live.stored.clone();
        let oldest = now.checked_sub(CATCH_UP + SignedDuration::from_secs(1)).unwrap_or(now);
        let passed = |from: Timestamp| live.trigger.dues(from).take_while(|due| *due <= now);
        let latest = passed(stored.considered.max(oldest)).last();
        let is_missed = |due: &Timestamp| latest.is_none_or(|latest| *due < latest);
        let missed = passed(stored.considered).take_while(is_missed).take(MAX_COUNTED);
        let (n_missed, last_missed) =
            missed.fold((0, stored.last_missed), |(n, _), due| (n + 1, Some(due)));
        stored.missed += n_missed;
        stored.last_missed = last_missed;
        stored.considered = latest.unwrap_or(now);
        if let Some(due) = latest {
            stored.begin(due, None);
        }
        self.replace(live, stored)?;
        Ok(latest.map(|due| (live.stored.clone(), due)))
    }

    /// The same for a run that somebody asks for, which makes a study of its own.
    fn begin_now(
        &self,
        name: &str,
        now: Timestamp,
    ) -> Result<(StoredSchedule, Timestamp), ScheduleError> {
        let mut table = self.table();
        let live = table.live(name)?;
        if let Some(due) = live.stored.pending {
            return Ok((live.stored.clone(), due));
        }
        let mut stored = live.stored.clone();
        let due = stored::whole_second(now);
        stored.begin(due, None);
        let mut nth = 1;
        while self.inner.journal.number_of(&stored.study_name(due))?.is_some() {
            nth += 1;
            stored.begin(due, Some(nth));
        }
        self.replace(live, stored)?;
        Ok((live.stored.clone(), due))
    }

    /// What became of a run that was begun. A schedule that was deleted meanwhile has no need of it.
    fn settle(
        &self,
        begun: &StoredSchedule,
        due: Timestamp,
        outcome: &Result<String, String>,
    ) -> Result<(), ScheduleError> {
        let mut table = self.table();
        let Ok(live) = table.live(&begun.name) else {
            return Ok(());
        };
        let is_same = live.stored.created == begun.created && live.stored.pending == Some(due);
        if !is_same {
            return Ok(());
        }
        let mut stored = live.stored.clone();
        stored.settle(outcome);
        Ok(self.replace(live, stored)?)
    }

    /// Waits until a schedule is changed, or for the time that `wait` makes of the next one at which
    /// there is something to do. False: it is over.
    fn wait(&self, wait: impl FnOnce(Option<Timestamp>) -> Duration) -> bool {
        let table = self.table();
        if table.is_stopped {
            return false;
        }
        let wakes = table.kept.values().filter_map(|kept| match kept {
            Kept::Live(live) => live.wakes_at(),
            Kept::Unreadable { .. } => None,
        });
        let patience = wait(wakes.min());
        let waited = self.inner.changed.wait_timeout(table, patience);
        !waited.unwrap_or_else(PoisonError::into_inner).0.is_stopped
    }

    fn stop(&self) {
        self.table().is_stopped = true;
        self.inner.changed.notify_all();
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.inner.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn live(&mut self, name: &str) -> Result<&mut Live, ScheduleError> {
        if !self.kept.contains_key(name) {
            return Err(self.unknown(name));
        }
        match self.kept.get_mut(name) {
            Some(Kept::Live(live)) => Ok(live),
            Some(Kept::Unreadable { why }) => {
                let (name, why) = (name.to_owned(), why.clone());
                Err(ScheduleError::Unreadable { name, why })
            }
            None => Err(ScheduleError::Unknown { name: name.to_owned(), nearest: Vec::new() }),
        }
    }

    fn unknown(&self, name: &str) -> ScheduleError {
        let names = self.kept.keys().map(String::as_str);
        let nearest = nearest_n(name, names, 3).into_iter().map(str::to_owned).collect();
        ScheduleError::Unknown { name: name.to_owned(), nearest }
    }
}

#[cfg(test)]
mod tests;
