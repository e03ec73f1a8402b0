//! What a training needs of a card.
//!
//! Rates come from the instructions of the kernel and are not yet measured on a card: only the
//! lengths of launches depend on them.

use crate::cuda::machine::Limits;
use crate::cuda::queue::Need;

/// Threads of a block.
pub(super) const N_THREADS: usize = 256;
/// Products of a multiprocessor in a second, as this kernel comes to.
const RATE: f64 = 2e10;
/// Seconds between two meetings of a block.
const MEETING_S: f64 = 0.4e-6;
/// Shared memory is asked for in steps, so that few launches are different.
const SHARED_STEP: usize = 8 << 10;

/// The size of a training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) n_weights: usize,
    /// Of the features and of all layers.
    pub(super) n_units: usize,
    /// Units of the widest of them.
    pub(super) widest: usize,
    pub(super) n_rows: usize,
    /// Rows of a batch, with those that pad.
    pub(super) most_rows: usize,
    pub(super) batch_size: usize,
    pub(super) n_epochs: usize,
    pub(super) keeps_best: bool,
    /// Bytes of data and results that only this training brings.
    pub(super) n_bytes: usize,
}

impl Size {
    /// Bytes of the weights with their moments.
    fn weights(&self) -> usize {
        3 * (4 * self.n_weights).next_multiple_of(8)
    }

    /// Shared bytes that it would use, of so many.
    fn shared(&self, most: usize) -> usize {
        let own = self.weights().next_multiple_of(SHARED_STEP);
        if own <= most { own } else { 0 }
    }

    /// Scratch bytes with so many shared ones: the kernel's `lay_out`.
    fn scratch(&self, shared: usize) -> usize {
        let even = |n: usize| n.next_multiple_of(8);
        let weights = if self.weights() <= shared { 0 } else { self.weights() };
        let best = if self.keeps_best { even(4 * self.n_weights) } else { 0 };
        weights
            + best
            + even(4 * self.n_units * self.most_rows)
            + 2 * even(4 * self.widest * self.most_rows)
            + even(4 * self.most_rows)
    }

    /// Seconds of a multiprocessor.
    fn seconds(&self) -> f64 {
        let n_steps = self.n_rows.div_ceil(self.batch_size.max(1)) as f64;
        let products = 3.0 * self.n_weights as f64 * self.n_rows as f64;
        self.n_epochs as f64 * (products / RATE + n_steps * 16.0 * MEETING_S)
    }

    /// All of it.
    pub(super) fn need(&self, limits: &Limits) -> Need {
        let shared = self.shared(limits.max_shared);
        Need {
            kind: 0,
            shared,
            scratch: self.scratch(shared),
            n_bytes: self.n_bytes,
            n_blocks: 1,
            seconds: self.seconds(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEDIUM: Size = Size {
        n_weights: 6_849,
        n_units: 169,
        widest: 64,
        n_rows: 1_000,
        most_rows: 256,
        batch_size: 256,
        n_epochs: 200,
        keeps_best: false,
        n_bytes: 200_000,
    };

    #[test]
    fn weights_are_shared_where_they_fit() {
        assert_eq!(MEDIUM.shared(200 << 10), 88 << 10);
        assert_eq!(MEDIUM.scratch(88 << 10), 4 * 256 * (169 + 2 * 64 + 1));
        let wide = Size { n_weights: 100_000, keeps_best: true, ..MEDIUM };
        assert_eq!(wide.shared(200 << 10), 0);
        assert_eq!(wide.scratch(0), 1_600_000 + 4 * 256 * (169 + 2 * 64 + 1));
    }
}
