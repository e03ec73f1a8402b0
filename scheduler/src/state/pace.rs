//! How many trials an assignment should carry, by what trials took so far.
//!
//! Enough of them that handing out costs little beside the work; one where a trial takes long, so
//! that none waits behind another. What the latest messages tell counts: the dearest of them, as a
//! block that is too small costs a message, and one that is too large a thread's time. It starts
//! with one trial and grows by steps, for nobody knows what the next ones take.
//!
//! A graphics card fits many trials side by side, and a launch has a length of its own, however little
//! is in it: there the largest of the latest assignments says what a trial takes, as its share of a
//! launch, and few of them are never worth one.

use std::collections::VecDeque;

/// What an assignment should take, in milliseconds.
const TARGET_MS: f64 = 100.0;

/// What a graphics card should be at an assignment, in milliseconds: it cuts what it is asked into
/// launches of about a second, whatever comes together.
const LAUNCH_MS: f64 = 1_000.0;

/// So many trials a card fits side by side, in the time of the longest.
const ABREAST: u32 = 32;

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
    /// How many its assignment has.
    n_trials: u32,
    /// Of one trial.
    mean_ms: f64,
    slowest_ms: f64,
    /// Whether a graphics card fitted them.
    launched: bool,
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
        self.take_in(n_trials, spans, false);
    }

    /// The same of trials that a graphics card fitted.
    pub(super) fn hear_of_launch(
        &mut self,
        n_trials: u64,
        spans: impl Iterator<Item = (u64, u64)>,
    ) {
        self.take_in(n_trials, spans, true);
    }

    fn take_in(&mut self, n_trials: u64, spans: impl Iterator<Item = (u64, u64)>, launched: bool) {
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
        let n_trials = u32::try_from(n_trials).unwrap_or(u32::MAX);
        self.latest.push_back(Cost { n_trials, mean_ms, slowest_ms, launched });
        if self.latest.len() > LOOKED_AT {
            self.latest.pop_front();
        }
        if self.is_slow() {
            self.grown = 1;
        } else {
            self.grown = self.grown.max(n_trials.saturating_mul(GROWTH)).min(MAX_TRIALS);
        }
    }

    /// Whether anything is known.
    pub(super) fn is_known(&self) -> bool {
        !self.latest.is_empty()
    }

    /// How many trials make an assignment of the right size.
    pub(super) fn trials(&self) -> u32 {
        match self.is_slow() {
            true => 1,
            false => self.bounded(self.worth(TARGET_MS).min(self.abreast())),
        }
    }

    /// The same for winners, which are fitted on the processor; none where nothing says what that takes.
    pub(super) fn winners(&self) -> Option<u32> {
        let is_said = self.is_known() && self.latest.iter().all(|cost| !cost.launched);
        is_said.then(|| self.trials())
    }

    /// The same for programs, which wait for other things than processors.
    pub(super) fn programs(&self) -> u32 {
        if self.dearest_ms() >= PROGRAM_MS { 1 } else { self.trials() }
    }

    /// The fewest that are worth an assignment.
    pub(super) fn fewest(&self) -> u32 {
        match self.is_slow() {
            true => 1,
            false => self.bounded(self.worth(LEAST_MS).min(self.worth_launching(LEAST_MS))),
        }
    }

    /// As many trials as take the processor so long. Out of nothing comes an endless number, here and
    /// below.
    fn worth(&self, ms: f64) -> u32 {
        (ms / self.dearest_ms()) as u32
    }

    /// As many as a card is at for so long.
    fn worth_launching(&self, ms: f64) -> u32 {
        let launched = self.latest.iter().filter(|cost| cost.launched);
        let largest = launched.max_by_key(|cost| cost.n_trials);
        largest.map_or(u32::MAX, |cost| (ms / cost.mean_ms) as u32)
    }

    /// As many as a card should be at, and never fewer than it fits side by side.
    fn abreast(&self) -> u32 {
        self.worth_launching(LAUNCH_MS).max(ABREAST)
    }

    /// No more of them than have been tried.
    fn bounded(&self, trials: u32) -> u32 {
        trials.min(self.grown).max(1)
    }

    fn dearest_ms(&self) -> f64 {
        self.of_processor().map(|cost| cost.mean_ms).fold(0.0, f64::max)
    }

    /// Whether a trial took as long as an assignment should.
    fn is_slow(&self) -> bool {
        self.of_processor().any(|cost| cost.slowest_ms >= TARGET_MS)
    }

    fn of_processor(&self) -> impl Iterator<Item = &Cost> {
        self.latest.iter().filter(|cost| !cost.launched)
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

    /// The same of an assignment that a card was at for so long.
    fn launch(pace: &mut Pace, n_trials: u32, took_ms: f64) -> u32 {
        let at = |trial: u32| 1_000 + (f64::from(trial) * took_ms / f64::from(n_trials)) as u64;
        let spans = (0..n_trials).map(|trial| (at(trial), at(trial + 1)));
        pace.hear_of_launch(u64::from(n_trials), spans);
        pace.trials()
    }

    /// Assignments that are handed out by sixes, of which a card is at each for this long by size; how
    /// large each of these became.
    fn launches(pace: &mut Pace, n: usize, took_ms: impl Fn(u32) -> f64) -> Vec<u32> {
        let mut out = VecDeque::from([1; 6]);
        let mut sizes = Vec::new();
        while sizes.len() < n {
            let own = out.pop_front().unwrap();
            out.push_back(launch(pace, own, took_ms(own)));
            sizes.push(own);
        }
        sizes
    }

    #[test]
    fn a_card_gets_many_trials_within_a_few_assignments() {
        // Each trial adds a little to what launches take.
        let mut pace = Pace::default();
        let sizes = launches(&mut pace, 60, |n| 50.0 + 0.5 * f64::from(n));
        assert_eq!(sizes[6..24], [[4; 6], [16; 6], [64; 6]].concat(), "{sizes:?}");
        let last = &sizes[50..];
        assert!(last.iter().all(|size| (1_500..=2_000).contains(size)), "{sizes:?}");
        // Nothing adds to it.
        let sizes = launches(&mut Pace::default(), 60, |_| 300.0);
        assert_eq!(sizes[59], MAX_TRIALS, "{sizes:?}");
        // One launch is as long as all that a card does in a second, and more.
        let sizes = launches(&mut Pace::default(), 60, |n| 5_000.0 + 40.0 * f64::from(n));
        assert!(sizes[18..].iter().all(|&size| size == ABREAST), "{sizes:?}");
    }

    #[test]
    fn a_first_launch_that_was_long_is_soon_forgotten() {
        let mut pace = Pace::default();
        assert_eq!(launch(&mut pace, 1, 9_000.0), 4, "its kernel was compiled");
        let sizes = launches(&mut pace, 30, |_| 100.0);
        assert!(sizes[29] >= 256, "{sizes:?}");
        // And so is what becomes dearer, within an assignment.
        let size = pace.trials();
        assert_eq!(launch(&mut pace, size, 10_000.0), (size / 10).max(ABREAST));
    }

    #[test]
    fn what_the_processor_does_beside_a_card_keeps_assignments_small() {
        let mut pace = Pace::default();
        launches(&mut pace, 30, |_| 100.0);
        assert_eq!(tell(&mut pace, 4, 10.0), 10, "a tenth of a second of it");
        assert_eq!(tell(&mut pace, 1, 500.0), 1);
        // Later it does nothing more.
        for _ in 0..LOOKED_AT {
            launch(&mut pace, 1, 10.0);
        }
        assert!(launch(&mut pace, 4, 10.0) > 4);
        // What launches take says nothing of winners.
        assert_eq!(pace.winners(), None);
        let mut pace = Pace::default();
        tell(&mut pace, 1, 10.0);
        assert_eq!(pace.winners(), Some(4));
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
