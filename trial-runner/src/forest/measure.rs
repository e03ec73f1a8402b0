//! What a split is judged by.

/// The best split of a node so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Best {
    /// Below zero: none.
    pub(super) score: f64,
    pub(super) column: usize,
    /// The last code of the node that goes left, and the first that goes right.
    pub(super) last: u8,
    pub(super) next: u8,
    pub(super) missing_left: bool,
}

/// What scans of one column have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    pub(super) column: usize,
    /// The code of a missing value.
    pub(super) missing: u8,
    /// Rows that each side needs: at least one.
    pub(super) least: usize,
}

/// What makes a side of a split good. One thread's own, with room to compute in.
pub(super) trait Measure: Clone + Send + Sync {
    /// What a row brings.
    type Item: Copy + Default + Send;
    /// The left side of a split, as rows come to it.
    type Left<'m>: Left<Item = Self::Item>
    where
        Self: 'm;

    /// What a row brings that was drawn so many times.
    fn item(&self, row: u32, n_draws: u32) -> Self::Item;

    /// Whether rows have one target, so that nothing is left to split.
    fn is_pure(&self, rows: &[u32]) -> bool;

    /// Turns to a node with these items.
    fn open(&mut self, items: impl Iterator<Item = Self::Item>);

    /// An empty left side of a split of the node.
    fn left(&mut self) -> Self::Left<'_>;

    /// Offers every cut of a column; whether the node has several codes of it.
    fn try_bins(
        &mut self,
        codes: &[u8],
        rows: &[u32],
        items: &[Self::Item],
        scan: Scan,
        best: &mut Best,
    ) -> bool;

    /// What a split lowers the node's impurity by, times the node's share of the tree's weight.
    fn decrease(&self, best: &Best, whole: f64) -> f64;

    /// The node's weight.
    fn weight(&self) -> f64;
}

/// One side of a split.
pub(super) trait Left {
    /// What a row brings.
    type Item;

    /// A row comes.
    fn add(&mut self, item: Self::Item);

    /// A row comes, or not.
    #[inline(always)]
    fn add_if(&mut self, item: Self::Item, comes: bool) {
        if comes {
            self.add(item);
        }
    }

    /// How good the split is: zero or more where neither side is empty.
    fn score(&self) -> f64;
}

impl Best {
    pub(super) fn none() -> Self {
        Self { score: -1.0, column: 0, last: 0, next: 0, missing_left: false }
    }

    pub(super) fn is_found(&self) -> bool {
        self.score >= 0.0
    }
}

/// Offers every cut of a column whose codes are in order: elements are a code and, in the low byte,
/// the place of the item.
pub(super) fn try_ordered<M: Measure>(
    measure: &mut M,
    order: &[u16],
    items: &[M::Item; 256],
    scan: Scan,
    scores: &mut [f64; 256],
    best: &mut Best,
) {
    let missing = u16::from(scan.missing) << 8;
    let n_known = match order.last() {
        Some(&last) if last >= missing => order.partition_point(|element| *element < missing),
        _ => order.len(),
    };
    walk(measure.left(), order, 0, (items, scan), scores, best);
    if n_known < order.len() && n_known > 1 {
        let mut left = measure.left();
        for &element in &order[n_known..] {
            left.add(items[usize::from(element as u8)]);
        }
        walk(left, &order[..n_known], order.len() - n_known, (items, scan), scores, best);
    }
}

/// All cuts are judged before the best is looked for: which of them is better than those before
/// cannot be foreseen, and a wrong guess costs more than a few scores.
#[inline(always)]
fn walk<L: Left<Item: Copy>>(
    mut left: L,
    order: &[u16],
    n_moved: usize,
    (items, scan): (&[L::Item; 256], Scan),
    scores: &mut [f64; 256],
    best: &mut Best,
) {
    // The left side has one row more than the index, and those that were moved there.
    let first = scan.least.saturating_sub(n_moved + 1);
    let end = order.len().saturating_sub(scan.least);
    if first >= end {
        return;
    }
    for &element in &order[..first] {
        left.add(items[usize::from(element as u8)]);
    }
    let mut top = best.score;
    let pairs = order[first..end].iter().zip(&order[first + 1..]);
    for (score, (&element, &next)) in scores.iter_mut().zip(pairs) {
        left.add(items[usize::from(element as u8)]);
        let own = left.score();
        // Rows of one code cannot be parted.
        *score = if element ^ next < 256 { -1.0 } else { own };
        top = if *score > top { *score } else { top };
    }
    if top > best.score
        && let Some(place) = scores[..end - first].iter().position(|score| *score == top)
    {
        let place = first + place;
        (best.score, best.column, best.missing_left) = (top, scan.column, n_moved > 0);
        best.last = (order[place] >> 8) as u8;
        best.next = (order[place + 1] >> 8) as u8;
    }
}
