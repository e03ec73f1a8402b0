//! What boosting needs of a card.
//!
//! Rates come from the instructions of the kernel and are not yet measured on a card: only the
//! lengths of launches depend on them.

use crate::cuda::machine::Limits;
use crate::cuda::queue::Need;

/// The kernel is compiled for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape {
    /// The most leaves of a tree.
    pub(crate) leaves: usize,
    pub(crate) is_wide: bool,
}

/// The shapes that there are.
pub(crate) const LEAVES: [usize; 2] = [32, 256];
/// Threads of a block.
pub(crate) const N_THREADS: usize = 256;
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
    /// The deepest tree; none where only its leaves are bounded.
    pub(crate) max_depth: Option<usize>,
    pub(crate) num_leaves: usize,
    pub(crate) is_wide: bool,
    /// Bytes of data and results that only this fit brings.
    pub(crate) n_bytes: usize,
}

impl Size {
    /// The kernel that takes it; none where its trees have too many leaves.
    pub(crate) fn shape(&self) -> Option<Shape> {
        let leaves = LEAVES.into_iter().find(|leaves| (2..=*leaves).contains(&self.leaves()))?;
        Some(Shape { leaves, is_wide: self.is_wide })
    }

    /// The most leaves that a tree can have.
    pub(crate) fn leaves(&self) -> usize {
        let whole = 1_usize.checked_shl(self.max_depth.unwrap_or(64).min(64) as u32);
        self.num_leaves.max(2).min(whole.unwrap_or(usize::MAX))
    }

    /// The deepest tree that it can have.
    pub(crate) fn depth(&self) -> usize {
        self.max_depth.unwrap_or(usize::MAX).min(self.leaves() - 1)
    }

    /// Histograms that a tree has at once: one for each node of a level that is searched.
    pub(crate) fn slots(&self) -> usize {
        let last = 1_usize.checked_shl(self.depth().clamp(1, 64) as u32 - 1);
        self.leaves().min(last.unwrap_or(usize::MAX))
    }

    fn word(&self) -> usize {
        if self.is_wide { 8 } else { 4 }
    }

    /// Bytes of the histograms.
    fn bins(&self) -> usize {
        (self.word() * self.n_bins * self.slots()).next_multiple_of(8)
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
        // Who splits best-first goes twice as deep as a whole tree of as many leaves.
        let n_leaves = self.leaves() as f64;
        let depth = (self.depth() as f64).min(2.0 * n_leaves.log2());
        let words = if self.is_wide { 2.0 } else { 1.0 };
        let cells = (self.n_rows * self.n_columns) as f64;
        let updates = cells * (1.0 + (depth - 1.0) / 2.0) * words;
        let bins = self.n_bins as f64 * (2.0_f64.powf(depth) - 1.0).min(2.0 * n_leaves) * words;
        n_trees * (updates / UPDATES + bins / BINS + 8.0 * depth * MEETING_S)
    }

    /// All of it; none where its trees have too many leaves.
    pub(crate) fn need(&self, limits: &Limits) -> Option<Need> {
        let shape = self.shape()?;
        let shared = self.shared(limits.max_shared.saturating_sub(shape.own_shared()));
        Some(Need {
            kind: shape.kind(),
            shared,
            scratch: self.scratch(shared),
            n_bytes: self.n_bytes,
            n_blocks: 1,
            seconds: self.seconds(),
        })
    }
}

impl Shape {
    /// Shared bytes that the kernel names itself, at most: see `registers.txt`.
    pub(crate) fn own_shared(self) -> usize {
        if self.leaves == LEAVES[0] { 4 << 10 } else { 24 << 10 }
    }

    /// Its number.
    fn kind(self) -> usize {
        let leaves = LEAVES.iter().position(|leaves| *leaves == self.leaves).unwrap_or_default();
        2 * leaves + usize::from(self.is_wide)
    }

    /// The one of this number.
    pub(crate) fn of_kind(kind: usize) -> Self {
        let leaves = LEAVES.get(kind / 2).copied().unwrap_or(LEAVES[0]);
        Self { leaves, is_wide: kind % 2 == 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::queue::{Launch, plan as plan_needs};

    fn plan(sizes: &[Size], limits: &Limits) -> Vec<Launch> {
        let needs: Vec<Need> = sizes.iter().filter_map(|size| size.need(limits)).collect();
        // Two, by the registers; one, where it shares more than half.
        plan_needs(&needs, limits, |_, shared| if shared > 90 << 10 { 1 } else { 2 })
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
            max_depth: Some(max_depth),
            num_leaves: 256,
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
        let shape = |max_depth, num_leaves| {
            let size = Size { max_depth, num_leaves, ..size(100, 5, 16, 5) };
            size.shape().map(|shape| (shape.leaves, size.depth(), size.slots()))
        };
        let of_depth = |depth| shape(Some(depth), 1_000);
        assert_eq!([0, 9, 64, 70].map(of_depth), [None; 4]);
        assert_eq!(of_depth(1), Some((32, 1, 1)));
        assert_eq!(of_depth(5), Some((32, 5, 16)));
        assert_eq!(of_depth(6), Some((256, 6, 32)));
        assert_eq!(of_depth(8), Some((256, 8, 128)));
        // Leaves bound what depth does not.
        assert_eq!(shape(None, 31), Some((32, 30, 31)));
        assert_eq!(shape(Some(64), 31), Some((32, 30, 31)));
        assert_eq!(shape(Some(9), 31), Some((32, 9, 31)));
        assert_eq!(shape(Some(3), 31), Some((32, 3, 4)));
        assert_eq!(shape(None, 0), Some((32, 1, 1)));
        assert_eq!(shape(None, 256), Some((256, 255, 256)));
        assert_eq!(shape(None, 257), None);
    }

    #[test]
    fn a_tree_without_a_depth_is_planned_by_its_leaves() {
        // As the learner has it by itself.
        let usual = Size { max_depth: None, num_leaves: 31, ..size(1_000, 40, 32, 5) };
        let need = usual.need(&H200).unwrap();
        assert_eq!(need.shared, (31 * 40 * 32 * 4 + 6_000_usize).next_multiple_of(8 << 10));
        let deep = size(1_000, 40, 32, 5).seconds();
        assert!((deep..4.0 * deep).contains(&usual.seconds()), "{} {deep}", usual.seconds());
        assert_eq!(plan(&[usual; 10], &H200).len(), 1);
    }

    #[test]
    fn launches_take_about_a_second_and_begin_with_the_longest() {
        let medium = size(1_000, 40, 64, 5);
        let short = Size { n_rounds: 10, ..medium };
        let mut sizes = vec![medium; 100_000];
        sizes[70_000] = Size { n_rounds: 200, ..medium };
        sizes.extend(vec![short; 1_000]);
        sizes.push(Size { num_leaves: 257, ..size(100, 5, 16, 9) });
        let launches = plan(&sizes, &H200);
        let mut all: Vec<usize> = launches.iter().flat_map(|own| own.fits.clone()).collect();
        assert_eq!(all[0], 70_000);
        all.sort_unstable();
        assert_eq!(
            all,
            (0..101_000).collect::<Vec<_>>(),
            "each once, but for the one of too many leaves"
        );
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
