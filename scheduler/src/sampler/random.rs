//! Independent draws, without repeating a point that can come twice: one of a finite space, or of a
//! finite branch of another, as long as chance finds something else.
//!
//! Each number has a generator of its own, so that nothing has to be remembered between proposals
//! but the points themselves.

use fleetfit_search_spaces::{Configuration, SearchSpace};
use rand::Rng;
use rand_pcg::Pcg64;

use super::Sampler;
use super::seen::Seen;
use fleetfit_search_spaces::seed::mix;

/// Draws that hit known points before what remains is walked instead.
const MAX_DRAWS: u32 = 100;

/// Independent draws.
pub struct Random {
    space: SearchSpace,
    seed: u64,
    n_axes: usize,
    seen: Seen,
}

impl Random {
    /// Draws from a space by a seed.
    pub fn new(space: SearchSpace, seed: u64) -> Self {
        Self { n_axes: space.axes().len(), seen: Seen::new(&space), space, seed }
    }
}

impl Sampler for Random {
    fn propose(&mut self, number: u32) -> Option<Configuration> {
        if self.seen.is_exhausted() {
            return None;
        }
        let number = u64::from(number);
        // Neighbouring streams of one state resemble each other; mixed states do not.
        let state = [mix(&[self.seed, number, 0]), mix(&[self.seed, number, 1])];
        let state = u128::from(state[0]) << 64 | u128::from(state[1]);
        let mut generator = Pcg64::new(state, u128::from(number));
        let mut units = vec![0.0; self.n_axes];
        let mut repeated = None;
        for _ in 0..MAX_DRAWS {
            units.fill_with(|| unit(generator.next_u64()));
            let configuration = self.space.configuration(&units);
            if !self.seen.contains(&self.space, &configuration) {
                return Some(configuration);
            }
            repeated = Some(configuration);
        }
        if self.seen.is_endless() {
            return repeated;
        }
        self.seen.first_free(&self.space, generator.next_u64())
    }

    fn seen(&mut self, _: u32, configuration: &Configuration) {
        self.seen.insert(&self.space, configuration);
    }

    fn avoid(&mut self, configuration: &Configuration) {
        self.seen.insert(&self.space, configuration);
    }

    fn knows(&self, configuration: &Configuration) -> bool {
        self.seen.contains(&self.space, configuration)
    }
}

/// Numbers in [0, 1) for what the user leaves open in a configuration.
pub(crate) fn draws(seed: u64, number: u64) -> impl FnMut() -> f64 {
    let state = [mix(&[seed, number, 6]), mix(&[seed, number, 7])];
    let state = u128::from(state[0]) << 64 | u128::from(state[1]);
    let mut generator = Pcg64::new(state, u128::from(number));
    move || unit(generator.next_u64())
}

/// A number in [0, 1) from the 53 highest bits.
pub(super) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}
