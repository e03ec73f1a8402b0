//! What boosting needs of a card.
//!
//! Rates come from the instructions of the kernel and are not yet measured on a card: only the
//! lengths of launches depend on them.

use crate::cuda::machine::Limits;
use crate::cuda::queue::Need;

/// The kernel is compiled for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape {
    /// The deepest tree.
    pub(crate) depth: usize,
    pub(crate) is_wide: bool,
}

/// The shapes that there are.
pub(crate) const DEPTHS: [usize; 2] = [5, 8];
/// Threads of a block.
pub(crate) const N_THREADS: usize = 256;
/// Blocks that a multiprocessor may have at once, by the registers of `registers.txt`.
pub(crate) const MAX_RESIDENT: usize = 2;
/// Shared memory is asked for in steps, so that few launches are different.
const SHARED_STEP: usize = 8 << 10;

/// Rows added to bins, a second and multiprocessor.
const UPDATES: f64 = 7.6e9;
/// Bins judged.
const BINS: f64 = 6.0e9;
/// Seconds between two meetings of a block.
const MEETING_S: f64 = 0.4e-6;

/// The size of a fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Of the table, whether learnt from or not.
    pub(crate) n_rows: usize,
    pub(crate) n_columns: usize,
    pub(crate) n_bins: usize,
    pub(crate) n_scores: usize,
    pub(crate) n_rounds: usize,
    pub(crate) max_depth: usize,
    pub(crate) is_wide: bool,
    /// Bytes of data and results that only this fit brings.
    pub(crate) n_bytes: usize,
}

impl Size {
    /// The kernel that takes it; none where its trees are too deep.
    pub(crate) fn shape(&self) -> Option<Shape> {
        let depth = DEPTHS.into_iter().find(|depth| (1..=*depth).contains(&self.max_depth))?;
        Some(Shape { depth, is_wide: self.is_wide })
    }

    fn word(&self) -> usize {
        if self.is_wide { 8 } else { 4 }
    }

    /// Bytes of the histograms: one for each node of the last level that is searched.
    fn bins(&self) -> usize {
        ((self.word() * self.n_bins) << (self.max_depth - 1)).next_multiple_of(8)
    }

    /// Bytes of the rows' words and nodes.
    fn rows(&self) -> usize {
        (self.word() * self.n_rows).next_multiple_of(8) + (2 * self.n_rows).next_multiple_of(8)
    }

    /// Shared bytes that it would use, of those that there are: the kernel's `lay_out`.
    pub(crate) fn shared(&self, most: usize) -> usize {
        let bins = Some(self.bins()).filter(|bins| *bins <= most).unwrap_or(0);
        let rows = Some(self.rows()).filter(|rows| bins + rows <= most).unwrap_or(0);
        (bins + rows).next_multiple_of(SHARED_STEP).min(most)
    }

    /// Scratch bytes with so many shared ones: the kernel's `lay_out`.
    pub(crate) fn scratch(&self, shared: usize) -> usize {
        let even = |n: usize| n.next_multiple_of(8);
        let shares = if self.n_scores > 1 { self.n_scores } else { 0 };
        let all = 8 * self.n_rows * (self.n_scores + shares + 2);
        let bins = Some(self.bins()).filter(|bins| *bins > shared).unwrap_or(0);
        let left = shared - if bins == 0 { self.bins() } else { 0 };
        let rows = Some(self.rows()).filter(|rows| *rows > left).unwrap_or(0);
        all + even(self.n_rows) + even(self.n_columns) + bins + rows
    }

    /// Seconds of a multiprocessor.
    pub(crate) fn seconds(&self) -> f64 {
        let n_trees = (self.n_rounds * self.n_scores) as f64;
        let depth = self.max_depth as f64;
        let words = if self.is_wide { 2.0 } else { 1.0 };
        let cells = (self.n_rows * self.n_columns) as f64;
        let updates = cells * (1.0 + (depth - 1.0) / 2.0) * words;
        let bins = self.n_bins as f64 * (2.0_f64.powf(depth) - 1.0) * words;
        n_trees * (updates / UPDATES + bins / BINS + 8.0 * depth * MEETING_S)
    }

    /// All of it; none where its trees are too deep.
    pub(crate) fn need(&self, limits: &Limits) -> Option<Need> {
        let kind = self.shape()?.kind();
        let shared = self.shared(limits.max_shared);
        Some(Need {
            kind,
            shared,
            scratch: self.scratch(shared),
            n_bytes: self.n_bytes,
            n_blocks: 1,
            seconds: self.seconds(),
        })
    }
}

impl Shape {
    /// Its number.
    fn kind(self) -> usize {
        let depth = DEPTHS.iter().position(|depth| *depth == self.depth).unwrap_or_default();
        2 * depth + usize::from(self.is_wide)
    }

    /// The one of this number.
    pub(crate) fn of_kind(kind: usize) -> Self {
        let depth = DEPTHS.get(kind / 2).copied().unwrap_or(DEPTHS[0]);
        Self { depth, is_wide: kind % 2 == 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::queue::{Launch, plan as plan_needs};

    fn plan(sizes: &[Size], limits: &Limits) -> Vec<Launch> {
        let needs: Vec<Need> = sizes.iter().filter_map(|size| size.need(limits)).collect();
        plan_needs(&needs, limits, MAX_RESIDENT)
    }

    const H200: Limits = Limits {
        n_processors: 132,
        max_shared: 200 << 10,
        processor_shared: 228 << 10,
        memory: 100 << 30,
        launch_s: 1.0,
    };

    fn size(n_rows: usize, n_columns: usize, n_bins: usize, max_depth: usize) -> Size {
        Size {
            n_rows,
            n_columns,
            n_bins: n_columns * n_bins,
            n_scores: 1,
            n_rounds: 100,
            max_depth,
            is_wide: false,
            n_bytes: 10_000,
        }
    }

    #[test]
    fn histograms_are_shared_where_they_fit() {
        let most = H200.max_shared;
        // 16 histograms of 2,560 words, and the rows beside them.
        let medium = size(1_000, 40, 64, 5);
        assert_eq!(medium.shared(most), (16 * 2_560 * 4 + 6_000_usize).next_multiple_of(8 << 10));
        assert_eq!(medium.scratch(medium.shared(most)), 1_000 * 8 * 3 + 1_000 + 40);
        // 32 of 3,840 words are too many: they stand in the device's memory, and rows are shared.
        let large = size(2_000, 60, 64, 6);
        assert_eq!(large.shared(most), 12_000_usize.next_multiple_of(8 << 10));
        assert!(large.scratch(large.shared(most)) > 32 * 3_840 * 4);
        // Nothing fits: all is in the device's memory.
        assert_eq!(size(100_000, 60, 255, 8).shared(most), 0);
    }

    #[test]
    fn shapes_are_the_ones_that_are_compiled() {
        let shape = |depth| size(100, 5, 16, depth).shape().map(|shape| shape.depth);
        assert_eq!([0, 1, 5, 6, 8, 9].map(shape), [None, Some(5), Some(5), Some(8), Some(8), None]);
    }

    #[test]
    fn launches_take_about_a_second_and_begin_with_the_longest() {
        let medium = size(1_000, 40, 64, 5);
        let short = Size { n_rounds: 10, ..medium };
        let mut sizes = vec![medium; 100_000];
        sizes[70_000] = Size { n_rounds: 200, ..medium };
        sizes.extend(vec![short; 1_000]);
        sizes.push(size(100, 5, 16, 9));
        let launches = plan(&sizes, &H200);
        let mut all: Vec<usize> = launches.iter().flat_map(|own| own.fits.clone()).collect();
        assert_eq!(all[0], 70_000);
        all.sort_unstable();
        assert_eq!(all, (0..101_000).collect::<Vec<_>>(), "each once, but for the one too deep");
        for launch in &launches[..launches.len() - 1] {
            let seconds: f64 = launch.fits.iter().map(|&fit| sizes[fit].seconds()).sum();
            assert!((0.9..=1.0).contains(&(seconds / 132.0)), "{seconds}");
            assert_eq!(launch.n_blocks, 132, "one block a multiprocessor");
        }
    }

    #[test]
    fn memory_and_unlike_fits_part_launches() {
        let small = size(200, 10, 16, 4);
        let wide = Size { is_wide: true, ..small };
        let launches = plan(&[small, wide, small, wide], &H200);
        let fits: Vec<&[usize]> = launches.iter().map(|launch| &launch.fits[..]).collect();
        assert_eq!(fits, [&[0, 2][..], &[1, 3]]);
        let heavy = Size { n_bytes: 40 << 30, ..small };
        let launches = plan(&[heavy; 5], &H200);
        let n_fits: Vec<usize> = launches.iter().map(|launch| launch.fits.len()).collect();
        assert_eq!(n_fits, [2, 2, 1]);
        let huge = Size { n_bytes: 400 << 30, ..small };
        assert_eq!(plan(&[huge], &H200).len(), 1, "whoever tries will be told");
    }
}
