//! Ends of an assignment's trials, told in batches a few times a second, so that progress shows and
//! a kill loses little.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fleetfit_search_spaces::{AssignmentKey, End, FromRunner, Outcome, Reached};

use super::{Tell, now_ms};

const TELL_EVERY: Duration = Duration::from_millis(200);

/// What a trial took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Effort {
    /// How many models were fitted.
    pub(super) fits: u32,
    /// Whether a graphics card fitted them.
    pub(super) launched: bool,
}

/// Outcomes that have not been told.
pub(super) struct News<'a> {
    of: AssignmentKey,
    tell: &'a Tell,
    /// Of trials that the processor fitted, and of those that a graphics card did.
    untold: [Untold; 2],
    told: Instant,
    /// When the trial before ended: a trial takes the time since then.
    since_ms: u64,
    /// How long the next trials took together already, and their number; how many of them have not
    /// ended.
    shared_ms: (u64, u64),
    n_sharing: u64,
    /// The trials that have ended since the last beginning, or come to their rung.
    ended: BTreeSet<(u32, u32)>,
}

#[derive(Default)]
struct Untold {
    outcomes: Vec<Outcome>,
    /// Trials that came to a rung.
    reached: Vec<Reached>,
}

impl<'a> News<'a> {
    pub(super) fn new(of: AssignmentKey, tell: &'a Tell) -> Self {
        let (untold, ended, told) = (Default::default(), Default::default(), Instant::now());
        let (since_ms, shared_ms, n_sharing) = (now_ms(), (0, 1), 0);
        Self { of, tell, untold, told, since_ms, shared_ms, n_sharing, ended }
    }

    /// Other entities are tried from here on.
    pub(super) fn begin(&mut self) {
        self.ended.clear();
    }

    /// What took so long was for so many trials that end now: each took its share. Others may have been
    /// tried meanwhile, and what was only waited for is nobody's.
    pub(super) fn share(&mut self, took: Duration, n_trials: usize) {
        let (took_ms, n_trials) = (took.as_millis() as u64, n_trials as u64);
        self.since_ms = now_ms().saturating_sub(took_ms);
        self.shared_ms = (took_ms, n_trials.max(1));
        self.n_sharing = n_trials;
    }

    /// The end of a trial: a configuration's number, and an entity.
    pub(super) fn push(&mut self, trial: (u32, u32), end: End, effort: Effort) {
        self.push_with(trial, end, Vec::new(), effort);
    }

    /// The same with the values of further metrics.
    pub(super) fn push_with(
        &mut self,
        (configuration, entity): (u32, u32),
        end: End,
        further: Vec<f64>,
        Effort { fits, launched }: Effort,
    ) {
        let (started_ms, ended_ms) = self.through(configuration, entity);
        let reports = Vec::new();
        self.untold[usize::from(launched)].outcomes.push(Outcome {
            configuration,
            entity,
            end,
            fits,
            started_ms,
            ended_ms,
            reports,
            further,
        });
        self.tell_now_and_then();
    }

    /// A trial came to a rung: the values that it has beside those before, its entity's number of
    /// folds, and what it took.
    pub(super) fn reach(
        &mut self,
        (configuration, entity): (u32, u32),
        rung: u8,
        (values, n_folds): (Vec<f64>, u32),
        Effort { fits, launched }: Effort,
    ) {
        let (started_ms, ended_ms) = self.through(configuration, entity);
        self.untold[usize::from(launched)].reached.push(Reached {
            configuration,
            entity,
            rung,
            values,
            n_folds,
            fits,
            started_ms,
            ended_ms,
        });
        self.tell_now_and_then();
    }

    /// Nothing more comes of a trial; when it began and ended.
    fn through(&mut self, configuration: u32, entity: u32) -> (u64, u64) {
        self.ended.insert((configuration, entity));
        self.n_sharing = self.n_sharing.saturating_sub(1);
        // The shares of those that have not ended lie before now.
        let (shared_ms, n_trials) = self.shared_ms;
        let ended_ms = now_ms().saturating_sub(shared_ms * self.n_sharing / n_trials);
        let ended_ms = ended_ms.max(self.since_ms);
        (std::mem::replace(&mut self.since_ms, ended_ms), ended_ms)
    }

    fn tell_now_and_then(&mut self) {
        if self.told.elapsed() >= TELL_EVERY {
            self.flush();
        }
    }

    /// Whether a trial has ended since the last beginning, or come to its rung.
    pub(super) fn has_ended(&self, trial: (u32, u32)) -> bool {
        self.ended.contains(&trial)
    }

    /// Tells what has not been told.
    pub(super) fn flush(&mut self) {
        self.told = Instant::now();
        let of = self.of;
        for (untold, launched) in self.untold.iter_mut().zip([false, true]) {
            let Untold { outcomes, reached: trials } = std::mem::take(untold);
            if !outcomes.is_empty() {
                (self.tell)(FromRunner::Outcomes { of, outcomes, launched });
            }
            if !trials.is_empty() {
                (self.tell)(FromRunner::Reached { of, trials, launched });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::StudyId;

    use super::*;

    #[test]
    fn what_is_done_for_many_is_shared_by_them() {
        let tell: Tell = Box::new(drop);
        let of = AssignmentKey { study: StudyId(1), number: 1, attempt: 1 };
        let mut news = News::new(of, &tell);
        // Long after it was received: it waited for others.
        news.since_ms -= 60_000;
        news.share(Duration::from_secs(1), 4);
        let began = news.since_ms;
        let effort = Effort { fits: 1, launched: true };
        for number in 0..6 {
            news.push((number, 0), End::Completed { value: 1.0 }, effort);
        }
        let mut last = began;
        let outcomes = &news.untold[1].outcomes;
        for (outcome, at) in outcomes.iter().zip([250, 500, 750, 1_000, 1_000, 1_000]) {
            assert_eq!(outcome.started_ms, last);
            last = outcome.ended_ms;
            assert!((began + at..began + at + 200).contains(&last), "{last} is not about {at}");
        }
    }
}
