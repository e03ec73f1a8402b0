//! What a forest needs of a card.
//!
//! Rates come from the instructions of the kernel and are not yet measured on a card: only the
//! lengths of launches depend on them.

use crate::cuda::machine::Limits;
use crate::cuda::queue::Need;

/// Instructions of a multiprocessor's warps in a second, as this kernel comes to.
const RATE: f64 = 1.5e9;
/// Instructions to judge a column of a node of up to 32 rows.
const SMALL: f64 = 160.0;
/// Rows of such a node.
const SMALL_ROWS: f64 = 32.0;
/// Instructions to judge a column's bins, beside its rows'.
const BINS: f64 = 700.0;
/// Instructions for 32 rows of a column.
const ROWS: f64 = 16.0;
/// Warps that a multiprocessor should have at least.
const LEAST_RESIDENT: usize = 8;
/// Shared memory that a block has beside what it asks for: the driver's.
const OWN_SHARED: usize = 1 << 10;
/// Shared memory is asked for in steps, so that few launches are different.
const SHARED_STEP: usize = 4 << 10;

/// The size of a fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Of the grid, whether learnt from or not.
    pub(super) n_rows: usize,
    pub(super) n_learnt: usize,
    pub(super) n_columns: usize,
    /// Columns tried for each split.
    pub(super) n_tried: usize,
    pub(super) width: usize,
    pub(super) n_trees: usize,
    pub(super) max_depth: usize,
    pub(super) has_classes: bool,
    /// Bytes of data and results that only this fit brings.
    pub(super) n_bytes: usize,
}

impl Size {
    /// Bytes of what a tree needs, in the order of the kernel's `lay_out`.
    fn pieces(&self) -> [usize; 14] {
        let classes = if self.has_classes { self.width } else { 0 };
        let bins = if self.has_classes { 0 } else { 256 };
        let n = self.n_learnt;
        [
            4 * 256,
            8 * bins,
            4 * classes,
            4 * classes,
            4 * 256 * classes,
            2 * self.n_columns,
            2 * n,
            2 * self.n_rows,
            2 * n,
            8 * n,
            20 * (n + 1),
            32 * n,
            8 * n,
            8 * n * self.width,
        ]
        .map(|n_bytes| n_bytes.next_multiple_of(8))
    }

    /// Shared bytes that it would use of so many: what is used most comes first.
    fn shared(&self, most: usize) -> usize {
        let mut left = most;
        for piece in &self.pieces()[..10] {
            left -= if *piece <= left { *piece } else { 0 };
        }
        (most - left).next_multiple_of(SHARED_STEP).min(most)
    }

    /// Scratch bytes with so many shared ones.
    fn scratch(&self, shared: usize) -> usize {
        let mut left = shared;
        let mut rest = 0;
        for piece in self.pieces() {
            if piece <= left { left -= piece } else { rest += piece }
        }
        rest
    }

    /// Seconds of a multiprocessor.
    fn seconds(&self) -> f64 {
        let n = self.n_learnt as f64;
        let depth = (n.max(2.0).log2() * 1.5).min(self.max_depth as f64);
        let n_splits = (2.0_f64.powf(depth) - 1.0).min(0.7 * n);
        let n_large = n_splits.min(2.0 * n / SMALL_ROWS);
        let tried = self.n_tried as f64 * if self.has_classes { self.width as f64 } else { 1.0 };
        let rows = depth * n / 32.0 * ROWS;
        let instructions = tried * (rows + n_large * BINS + (n_splits - n_large) * SMALL);
        self.n_trees as f64 * instructions / RATE
    }

    /// All of it.
    pub(super) fn need(&self, limits: &Limits) -> Need {
        let share = (limits.processor_shared / LEAST_RESIDENT).saturating_sub(OWN_SHARED);
        let shared = self.shared(limits.max_shared.min(share));
        Need {
            kind: usize::from(self.has_classes),
            shared,
            scratch: self.scratch(shared),
            n_bytes: self.n_bytes,
            n_blocks: self.n_trees,
            seconds: self.seconds(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEDIUM: Size = Size {
        n_rows: 1_000,
        n_learnt: 800,
        n_columns: 40,
        n_tried: 40,
        width: 1,
        n_trees: 100,
        max_depth: usize::MAX,
        has_classes: false,
        n_bytes: 200_000,
    };

    #[test]
    fn what_is_used_most_is_shared() {
        let most = 27 << 10;
        let all = 1_024 + 2_048 + 80 + 1_600 + 2_000 + 1_600 + 6_400;
        assert_eq!(MEDIUM.shared(most), usize::next_multiple_of(all, 4 << 10));
        assert_eq!(MEDIUM.shared(3 << 10), 3 << 10);
        let pieces: usize = MEDIUM.pieces().iter().sum();
        assert_eq!(MEDIUM.scratch(0), pieces);
        assert!(MEDIUM.scratch(MEDIUM.shared(most)) <= pieces - all);
        let classes = Size { width: 9, has_classes: true, ..MEDIUM };
        assert!(classes.shared(most) > 9 * 1_024 && classes.shared(most) <= most);
    }
}
