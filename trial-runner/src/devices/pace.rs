//! How long launches really take, so that those to come are no longer than they should be.
//!
//! Plans go by rates that come from the instructions of kernels. Where launches of a learner took too
//! long on this card, its next ones are planned shorter by as much, and longer again where they have
//! become short. They are never longer than planned: a launch that is over too soon costs next to
//! nothing, and one of a minute keeps whoever cancels waiting.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::lock;

/// What launches of all threads together should take: who waits hears of progress, and may cancel.
const LAUNCH_S: f64 = 1.0;
/// By how much one ask may shorten them, and all together.
const STEP: f64 = 0.25;
const LEAST: f64 = 1.0 / 256.0;

/// The factor of each learner whose launches took too long.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<BTreeMap<&'static str, f64>>);

impl Pace {
    /// What part of its planned length a launch should have.
    pub(super) fn of(&self, learner: &str) -> f64 {
        lock(&self.0).get(learner).copied().unwrap_or(1.0)
    }

    /// Takes in when the launches of an ask began and ended.
    pub(super) fn hear(&self, learner: &'static str, spans: &[(f64, f64)]) {
        // Others' launches had what was asked for.
        if spans.is_empty() {
            return;
        }
        let longest = spans.iter().map(|(began, ended)| ended - began).fold(0.0, f64::max);
        let factor = match longest {
            long if long > 2.0 * LAUNCH_S => (LAUNCH_S / long).max(STEP),
            short if short < LAUNCH_S / 4.0 => 2.0,
            _ => return,
        };
        let mut known = lock(&self.0);
        let own = known.entry(learner).or_insert(1.0);
        *own = (*own * factor).clamp(LEAST, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launches_become_as_long_as_they_should_be() {
        // A machine on which plans are wrong by a factor, which changes.
        let pace = Pace::default();
        for (wrong_by, expected) in [(10.0, 0.25..=2.0), (70.0, 0.25..=2.0), (0.2, 0.2..=0.2)] {
            let mut took = 0.0;
            for _ in 0..10 {
                took = pace.of("ridge") * wrong_by;
                pace.hear("ridge", &[(1.0, 1.0 + took / 3.0), (2.0, 2.0 + took)]);
            }
            assert!(expected.contains(&took), "{wrong_by}: {took}");
            assert_eq!(pace.of("theta"), 1.0);
        }
        pace.hear("mlp", &[]);
        pace.hear("mlp", &[(1.0, 1.001)]);
        assert_eq!(pace.of("mlp"), 1.0, "never longer than planned");
    }
}
