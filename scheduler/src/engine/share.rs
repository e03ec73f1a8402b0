//! Who is served first: the study that has had the least of the runners' time for its priority.
//!
//! What an assignment will take is guessed from those that came back. A study that had nothing to do
//! for a while gets no arrears.

use std::collections::HashMap;

/// What an assignment counts at least, in milliseconds: handing it out costs something, too.
const LEAST_MS: f64 = 1.0;

/// How much the latest assignment says about the next one.
const LATEST: f64 = 0.2;

/// One study's share of the runners.
#[derive(Debug)]
pub(super) struct Share {
    weight: f64,
    /// What it has been charged, in milliseconds divided by its weight.
    charged: f64,
    /// What an assignment of it takes.
    typical_ms: Option<f64>,
    /// When the trials of an assignment began and ended so far.
    spans: HashMap<u64, (u64, u64)>,
}

impl Share {
    /// A study with this weight, level with the others.
    pub(super) fn new(weight: f64, charged: f64) -> Self {
        Self { weight, charged, typical_ms: None, spans: HashMap::new() }
    }

    /// What it has been charged.
    pub(super) fn charged(&self) -> f64 {
        self.charged
    }

    /// No arrears: it had nothing to do while others did.
    pub(super) fn catch_up(&mut self, charged: f64) {
        self.charged = self.charged.max(charged);
    }

    /// It had to wait, together with others.
    pub(super) fn put_off(&mut self, by: f64) {
        self.charged += by;
    }

    /// It gets an assignment.
    pub(super) fn charge(&mut self) {
        self.charged += self.typical_ms.unwrap_or(LEAST_MS).max(LEAST_MS) / self.weight;
    }

    /// When trials of an assignment began and ended, in milliseconds since 1970.
    pub(super) fn hear(&mut self, assignment: u64, spans: impl Iterator<Item = (u64, u64)>) {
        // 0 says that nobody was there.
        for (began, ended) in spans.filter(|(began, _)| *began > 0) {
            let span = self.spans.entry(assignment).or_insert((began, ended));
            *span = (span.0.min(began), span.1.max(ended));
        }
    }

    /// An assignment is back.
    pub(super) fn close(&mut self, assignment: u64) {
        let Some((began, ended)) = self.spans.remove(&assignment) else { return };
        let took_ms = ended.saturating_sub(began) as f64;
        self.typical_ms = Some(match self.typical_ms {
            Some(typical_ms) => typical_ms + LATEST * (took_ms - typical_ms),
            None => took_ms,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(share: &mut Share, assignment: u64, ms: u64) {
        share.hear(assignment, std::iter::once((1_000, 1_000 + ms)));
        share.close(assignment);
    }

    /// How many of so many turns each of two studies gets.
    fn turns(shares: &mut [Share; 2], n: usize) -> [usize; 2] {
        let mut turns = [0; 2];
        for _ in 0..n {
            let next = usize::from(shares[1].charged() < shares[0].charged());
            shares[next].charge();
            turns[next] += 1;
        }
        turns
    }

    #[test]
    fn time_is_shared_not_turns() {
        let mut shares = [Share::new(4.0, 0.0), Share::new(4.0, 0.0)];
        took(&mut shares[0], 0, 100);
        took(&mut shares[1], 0, 10);
        let [slow, quick] = turns(&mut shares, 1_100);
        assert!((95..=105).contains(&slow) && (995..=1_005).contains(&quick), "{slow} {quick}");
    }

    #[test]
    fn priority_is_a_larger_share() {
        let mut shares = [Share::new(4.0, 0.0), Share::new(16.0, 0.0)];
        took(&mut shares[0], 0, 50);
        took(&mut shares[1], 0, 50);
        let [medium, high] = turns(&mut shares, 1_000);
        assert!((195..=205).contains(&medium) && (795..=805).contains(&high), "{medium} {high}");
    }

    #[test]
    fn who_was_idle_has_no_arrears() {
        let mut shares = [Share::new(4.0, 0.0), Share::new(4.0, 0.0)];
        for _ in 0..1_000 {
            shares[0].charge();
        }
        let charged = shares[0].charged();
        shares[1].catch_up(charged);
        let [first, second] = turns(&mut shares, 100);
        assert!(first.abs_diff(second) <= 1, "{first} {second}");
    }
}
