//! Which fits of forests go into which launch.
//!
//! Rates come from the instructions of the kernel and are not yet measured on a card: only the
//! lengths of launches depend on them.

use crate::cuda::boost::Limits;
use crate::cuda::fill::fill;

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
/// Blocks that a multiprocessor may have.
const MAX_RESIDENT: usize = 32;
/// Shared memory that a block has beside what it asks for: the driver's.
const OWN_SHARED: usize = 1 << 10;
/// Shared memory is asked for in steps.
const SHARED_STEP: usize = 1 << 10;

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

/// One launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Launch {
    pub(super) has_classes: bool,
    /// Fits, by index, the longest first.
    pub(super) fits: Vec<usize>,
    pub(super) n_blocks: usize,
    /// Shared bytes of a block.
    pub(super) shared: usize,
    /// Scratch bytes of a block.
    pub(super) scratch: usize,
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
}

/// Plans launches for all fits.
pub(super) fn plan(sizes: &[Size], limits: &Limits) -> Vec<Launch> {
    let mut launches = Vec::new();
    for has_classes in [false, true] {
        let mut own: Vec<usize> =
            (0..sizes.len()).filter(|&fit| sizes[fit].has_classes == has_classes).collect();
        let seconds = |fit: usize| sizes[fit].seconds();
        own.sort_by(|&a, &b| seconds(b).total_cmp(&seconds(a)).then(a.cmp(&b)));
        let scratch = own.iter().map(|&fit| sizes[fit].scratch(0)).max().unwrap_or(0);
        let room = limits.memory.saturating_sub(scratch * limits.n_processors * MAX_RESIDENT);
        let share = limits.launch_s * limits.n_processors as f64;
        let items = own.iter().map(|&fit| (fit, sizes[fit].n_bytes, seconds(fit) / share));
        let chunks = fill(items, room);
        launches.extend(chunks.into_iter().map(|fits| launch(sizes, fits, limits)));
    }
    launches
}

fn launch(sizes: &[Size], fits: Vec<usize>, limits: &Limits) -> Launch {
    let all = || fits.iter().map(|&fit| &sizes[fit]);
    let most = limits.max_shared.min(limits.processor_shared / LEAST_RESIDENT - OWN_SHARED);
    let shared = all().map(|size| size.shared(most)).max().unwrap_or(0);
    let resident = (limits.processor_shared / (shared + OWN_SHARED)).clamp(1, MAX_RESIDENT);
    let n_trees = all().map(|size| size.n_trees).sum();
    Launch {
        has_classes: all().any(|size| size.has_classes),
        n_blocks: (limits.n_processors * resident).min(n_trees),
        shared,
        scratch: all().map(|size| size.scratch(shared)).max().unwrap_or(0),
        fits,
    }
}

/// Two launches of half the fits, on half the blocks.
pub(super) fn halves(launch: &Launch) -> [Launch; 2] {
    let (first, second) = launch.fits.split_at(launch.fits.len().div_ceil(2));
    let n_blocks = launch.n_blocks.div_ceil(2);
    [first, second].map(|fits| Launch { fits: fits.to_vec(), n_blocks, ..launch.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const H200: Limits = Limits {
        n_processors: 132,
        max_shared: 200 << 10,
        processor_shared: 228 << 10,
        memory: 100 << 30,
        launch_s: 1.0,
    };

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
        assert_eq!(MEDIUM.shared(most), usize::next_multiple_of(all, 1 << 10));
        assert_eq!(MEDIUM.shared(3 << 10), 3 << 10);
        let pieces: usize = MEDIUM.pieces().iter().sum();
        assert_eq!(MEDIUM.scratch(0), pieces);
        assert!(MEDIUM.scratch(MEDIUM.shared(most)) <= pieces - all);
        let classes = Size { width: 9, has_classes: true, ..MEDIUM };
        assert!(classes.shared(most) > 9 * 1_024 && classes.shared(most) <= most);
    }

    #[test]
    fn launches_are_about_a_second_of_unlike_kinds() {
        let mut sizes = vec![MEDIUM; 3_000];
        sizes[7] = Size { width: 3, has_classes: true, ..MEDIUM };
        sizes[9] = Size { n_trees: 900, ..MEDIUM };
        let launches = plan(&sizes, &H200);
        assert_eq!(launches[0].fits[0], 9, "the longest first");
        assert_eq!(
            launches.last().map(|own| (own.has_classes, own.fits.clone())),
            Some((true, vec![7]))
        );
        for launch in &launches[..launches.len() - 2] {
            let seconds: f64 = launch.fits.iter().map(|&fit| sizes[fit].seconds()).sum();
            assert!((0.8..=1.0).contains(&(seconds / 132.0)), "{seconds}");
            assert!(launch.n_blocks >= 132 * LEAST_RESIDENT);
        }
        let mut all: Vec<usize> = launches.iter().flat_map(|own| own.fits.clone()).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..3_000));
        let heavy = Size { n_bytes: 40 << 30, ..MEDIUM };
        let n_fits: Vec<usize> =
            plan(&[heavy; 5], &H200).iter().map(|own| own.fits.len()).collect();
        assert_eq!(n_fits, [2, 2, 1]);
    }
}
