//! How many trials an assignment should carry, by what trials took so far.
//!
//! Enough of them that handing out costs little beside the work; one where a trial takes long, so
//! that none waits behind another. What the latest messages tell counts: the dearest of them, as a
//! block that is too small costs a message, and one that is too large a thread's time. It starts
//! with one trial and grows by steps, for nobody knows what the next ones take.

use std::collections::VecDeque;

/// What an assignment should take, in milliseconds.
const TARGET_MS: f64 = 100.0;

/// Programs that take this long go one at a time.
const PROGRAM_MS: f64 = 20.0;

/// Work that is worth an assignment of its own, even where it is the last.
const LEAST_MS: f64 = 5.0;

/// How many messages are looked back at.
const LOOKED_AT: usize = 8;

/// How much larger than those that came back an assignment may be.
const GROWTH: u32 = 4;

/// The most trials of an assignment.
pub(super) const MAX_TRIALS: u32 = 4_096;

/// What a message tells of its trials.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// Of one trial.
    mean_ms: f64,
    slowest_ms: f64,
}

/// How long trials take.
#[derive(Debug, Default)]
pub(super) struct Pace {
    latest: VecDeque<Cost>,
    /// As many as may be tried together, after what came back.
    grown: u32,
}

impl Pace {
    /// Takes in when trials of an assignment of so many began and ended, in milliseconds.
    pub(super) fn hear(&mut self, n_trials: u64, spans: impl Iterator<Item = (u64, u64)>) {
        // Times of 0 say that nobody was there.
        let (mut first, mut last, mut slowest, mut n) = (u64::MAX, 0, 0, 0_u32);
        for (began, ended) in spans.filter(|(began, _)| *began > 0) {
            (first, last) = (first.min(began), last.max(ended));
            slowest = slowest.max(ended.saturating_sub(began));
            n += 1;
        }
        if n == 0 {
            return;
        }
        let slowest_ms = slowest as f64;
        let mean_ms = last.saturating_sub(first) as f64 / f64::from(n);
        self.latest.push_back(Cost { mean_ms, slowest_ms });
        if self.latest.len() > LOOKED_AT {
            self.latest.pop_front();
        }
        if self.is_slow() {
            self.grown = 1;
        } else {
            let n_trials = u32::try_from(n_trials).unwrap_or(u32::MAX);
            self.grown = self.grown.max(n_trials.saturating_mul(GROWTH)).min(MAX_TRIALS);
        }
    }

    /// Whether anything is known.
    pub(super) fn is_known(&self) -> bool {
        !self.latest.is_empty()
    }

    /// How many trials make an assignment of the right size.
    pub(super) fn trials(&self) -> u32 {
        if self.is_slow() { 1 } else { self.worth(TARGET_MS) }
    }

    /// The same for programs, which wait for other things than processors.
    pub(super) fn programs(&self) -> u32 {
        if self.dearest_ms() >= PROGRAM_MS { 1 } else { self.trials() }
    }

    /// The fewest that are worth an assignment.
    pub(super) fn fewest(&self) -> u32 {
        if self.is_slow() { 1 } else { self.worth(LEAST_MS) }
    }

    /// As many trials as take so long, and have been tried.
    fn worth(&self, ms: f64) -> u32 {
        // Out of nothing comes an endless number, which the other bound holds.
        let trials = (ms / self.dearest_ms()) as u32;
        trials.min(self.grown).max(1)
    }

    fn dearest_ms(&self) -> f64 {
        self.latest.iter().map(|cost| cost.mean_ms).fold(0.0, f64::max)
    }

    /// Whether a trial took as long as an assignment should.
    fn is_slow(&self) -> bool {
        self.latest.iter().any(|cost| cost.slowest_ms >= TARGET_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells of an assignment whose trials took so long each; what the next one should carry.
    fn tell(pace: &mut Pace, n_trials: u32, each_ms: f64) -> u32 {
        let at = |trial: u32| 1_000 + (f64::from(trial) * each_ms) as u64;
        let spans = (0..n_trials).map(|trial| (at(trial), at(trial + 1)));
        pace.hear(u64::from(n_trials), spans);
        pace.trials()
    }

    #[test]
    fn it_grows_by_steps_to_what_takes_a_tenth_of_a_second() {
        let mut pace = Pace::default();
        let mut sizes = vec![pace.trials()];
        for _ in 0..6 {
            let size = tell(&mut pace, sizes[sizes.len() - 1], 0.25);
            sizes.push(size);
        }
        assert_eq!(sizes[..5], [1, 4, 16, 64, 256]);
        assert!((350..=450).contains(&sizes[6]), "{sizes:?}");
    }

    #[test]
    fn slow_trials_go_alone_and_quick_ones_come_back() {
        let mut pace = Pace::default();
        let mut size = pace.trials();
        while size < 900 {
            size = tell(&mut pace, size, 0.1);
        }
        assert_eq!(tell(&mut pace, 1, 1_000.0), 1);
        for _ in 0..LOOKED_AT - 1 {
            assert_eq!(tell(&mut pace, 1, 0.1), 1, "one of the latest was slow");
        }
        assert_eq!(tell(&mut pace, 1, 0.1), GROWTH);
        assert_eq!(tell(&mut pace, GROWTH, 30.0), 3);
    }

    #[test]
    fn programs_go_together_only_while_they_are_quick() {
        let mut pace = Pace::default();
        tell(&mut pace, 1, 25.0);
        assert_eq!((pace.trials(), pace.programs()), (4, 1));
        let mut pace = Pace::default();
        tell(&mut pace, 1, 10.0);
        assert_eq!(pace.programs(), 4);
    }

    #[test]
    fn nobody_seen_says_nothing() {
        let mut pace = Pace::default();
        pace.hear(9, std::iter::empty());
        assert!(!pace.is_known());
        assert_eq!((pace.trials(), pace.fewest()), (1, 1));
    }
}
