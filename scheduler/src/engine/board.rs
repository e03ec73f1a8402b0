//! What everybody may look at while studies run: how they stand, and that something changed.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{EngineError, Stats};
use crate::journal::{Status, Summary};

/// What the engine shows.
pub(super) struct Board {
    posted: Mutex<Posted>,
    changed: Condvar,
    commits: watch::Sender<u64>,
}

#[derive(Default)]
struct Posted {
    studies: BTreeMap<String, Standing>,
    stats: Stats,
    ended: Option<Result<(), EngineError>>,
}

/// A study that runs or ran here.
struct Standing {
    summary: Option<Summary>,
    /// Why it cannot go on, although others can.
    trouble: Option<String>,
}

impl Default for Board {
    fn default() -> Self {
        Self { posted: Mutex::default(), changed: Condvar::new(), commits: watch::Sender::new(0) }
    }
}

impl Board {
    /// How a study stands, after a commit.
    pub(super) fn post(&self, study: &str, summary: Summary) {
        let standing = Standing { summary: Some(summary), trouble: None };
        self.lock().studies.insert(study.to_owned(), standing);
        self.changed.notify_all();
    }

    /// A study that cannot go on.
    pub(super) fn post_trouble(&self, study: &str, trouble: String) {
        let mut posted = self.lock();
        let summary = posted.studies.remove(study).and_then(|standing| standing.summary);
        let standing = Standing { summary, trouble: Some(trouble) };
        posted.studies.insert(study.to_owned(), standing);
        drop(posted);
        self.changed.notify_all();
    }

    /// Something was committed.
    pub(super) fn tick(&self, stats: Stats) {
        self.lock().stats = stats;
        self.commits.send_modify(|commits| *commits += 1);
    }

    pub(super) fn remove(&self, study: &str) {
        self.lock().studies.remove(study);
    }

    pub(super) fn end(&self, ended: Result<(), EngineError>) {
        self.lock().ended = Some(ended);
        self.changed.notify_all();
        self.commits.send_modify(|commits| *commits += 1);
    }

    pub(super) fn ended(&self) -> Option<Result<(), EngineError>> {
        self.lock().ended.clone()
    }

    pub(super) fn stats(&self) -> Stats {
        self.lock().stats
    }

    pub(super) fn summary(&self, study: &str) -> Option<Summary> {
        self.lock().studies.get(study).and_then(|standing| standing.summary.clone())
    }

    pub(super) fn trouble(&self, study: &str) -> Option<String> {
        self.lock().studies.get(study).and_then(|standing| standing.trouble.clone())
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// Waits until the study is over or in trouble, the engine has ended, or the time is up.
    pub(super) fn wait(
        &self,
        study: &str,
        at_most: Duration,
    ) -> Result<Option<Summary>, EngineError> {
        let until = Instant::now() + at_most;
        let mut posted = self.lock();
        loop {
            let standing = posted.studies.get(study);
            if let Some(trouble) = standing.and_then(|standing| standing.trouble.clone()) {
                return Err(EngineError(trouble));
            }
            let summary = standing.and_then(|standing| standing.summary.clone());
            if let Some(ended) = &posted.ended {
                return ended.clone().map(|()| summary);
            }
            let over = summary.as_ref().is_some_and(|summary| summary.status != Status::Running);
            let left = until.saturating_duration_since(Instant::now());
            if over || left.is_zero() {
                return Ok(summary);
            }
            let wait = self.changed.wait_timeout(posted, left);
            posted = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Posted> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
