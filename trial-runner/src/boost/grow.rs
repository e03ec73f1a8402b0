//! Grows one tree.
//!
//! With fewer leaves than the depth allows, the leaf that gains most is split next, as LightGBM
//! does; else the order makes no difference to the tree, and the newest leaf is, which needs few
//! histograms. Only a child that may be split again has its histogram made: the smaller one from its
//! rows, the larger one from the parent's.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::histogram::{Chosen, SLACK, add_rows, subtract, sum_up};
use super::shard::{Shard, each};
use super::split::{self, Found, Sets, Terms};
use super::table::Table;
use super::tree::{Node, Split};
use super::word::Word;
use super::{Job, Settings};
use crate::stop::Stopped;

/// A tree of more rows asks after every split whether to give up, a smaller one after so many splits.
const MAX_QUICK_ROWS: usize = 100_000;
const MAX_QUICK_LEAVES: usize = 256;

/// Histograms beyond this many bytes are not kept, but made again from rows.
const MAX_KEPT_BYTES: usize = 1 << 26;

/// Everything that is used again for the next tree and the next fit.
#[derive(Debug, Default)]
pub(super) struct Grower<W> {
    pub(super) shards: Vec<Shard<W>>,
    pub(super) chosen: Chosen,
    /// The tree's nodes.
    pub(super) nodes: Vec<Node>,
    /// Gain by column, over all trees of the fit.
    pub(super) gains: Vec<f64>,
    /// The sets of all trees of the fit.
    pub(super) sets: Sets,
    bins: Vec<W>,
    stride: usize,
    n_slots: usize,
    free: Vec<usize>,
    newest: Vec<Open<W>>,
    best: BinaryHeap<Open<W>>,
}

/// A leaf that may be split.
#[derive(Clone, Copy, Debug)]
struct Open<W> {
    node: usize,
    depth: usize,
    /// Its histogram; none when it was not kept.
    slot: Option<usize>,
    found: Found<W>,
    total: W,
    squares: u64,
}

/// A new leaf.
#[derive(Clone, Copy)]
struct Leaf<W> {
    node: usize,
    depth: usize,
    n_rows: usize,
    total: W,
    /// Of its rows' gradients, where sets of words are searched for.
    squares: u64,
}

/// How far a tree may grow.
#[derive(Clone, Copy)]
struct Limits {
    max_depth: usize,
    max_leaves: usize,
    /// Whether leaves run out before the depth does.
    is_bounded: bool,
    min_rows: usize,
}

impl Limits {
    fn of(settings: &Settings) -> Self {
        let max_depth = settings.max_depth.unwrap_or(usize::MAX);
        let whole = 1_usize.checked_shl(max_depth.min(64) as u32).unwrap_or(usize::MAX);
        Self {
            max_depth,
            max_leaves: settings.num_leaves.max(2),
            is_bounded: settings.num_leaves < whole,
            min_rows: 2 * settings.min_child_samples.max(1),
        }
    }
}

impl<W: Word> Grower<W> {
    /// Makes room for a table's histograms.
    pub(super) fn fit_to(&mut self, table: &Table) {
        self.stride = table.n_bins.next_multiple_of(16);
        self.n_slots = 0;
        self.gains.clear();
        self.gains.resize(table.columns.len(), 0.0);
        self.sets.codes.clear();
    }

    /// Grows a tree on the rows that the shards hold; `total` is their word.
    pub(super) fn grow(&mut self, job: &Job<'_>, terms: &Terms, total: W) -> Result<(), Stopped> {
        let (table, settings) = (job.table, job.settings);
        let limits = Limits::of(settings);
        self.nodes.clear();
        self.nodes.push(Node::leaf());
        self.newest.clear();
        self.best.clear();
        self.free.clear();
        self.free.extend((0..self.n_slots).rev());
        let n_rows = self.shards.iter().map(|shard| shard.rows_of(0).len()).sum();
        let mut root = Leaf { node: 0, depth: 0, n_rows, total, squares: 0 };
        if limits.allow(&root) {
            root.squares = self.squares(table, terms, &root);
            let slot = self.take_slot();
            self.fill(table, slot, &root);
            self.consider(table, terms, root, slot, &limits);
        }
        let mut n_leaves = 1;
        while n_leaves < limits.max_leaves {
            let next = if limits.is_bounded { self.best.pop() } else { self.newest.pop() };
            let Some(open) = next else {
                break;
            };
            n_leaves += 1;
            // A tree of many rows or leaves takes its time.
            if n_rows > MAX_QUICK_ROWS || n_leaves.is_multiple_of(MAX_QUICK_LEAVES) {
                job.stop.check()?;
            }
            self.split(table, terms, open, &limits, n_leaves < limits.max_leaves);
        }
        Ok(())
    }

    fn split(
        &mut self,
        table: &Table,
        terms: &Terms,
        open: Open<W>,
        limits: &Limits,
        goes_on: bool,
    ) {
        let n_rows = self.shards.iter().map(|shard| shard.rows_of(open.node).len()).sum();
        let split = open.found.split;
        let mut n_left = 0;
        let sets = &self.sets.codes;
        let part = |shard: &mut Shard<W>| shard.part(table, sets, open.node, &split);
        each(&mut self.shards, n_rows, part, |n| n_left += n);
        let left = self.nodes.len();
        let node = &mut self.nodes[open.node];
        *node = Node { split, left: left as u32, right: left as u32 + 1, value: 0.0 };
        self.nodes.push(Node::leaf());
        self.nodes.push(Node::leaf());
        if let Split::Cut { column, .. } | Split::Set { column, .. } = split {
            self.gains[column as usize] += open.found.gain;
        }
        let (left_total, right_total) = (open.found.left, open.total.minus(open.found.left));
        let depth = open.depth + 1;
        let leaf = |node, n_rows, total| Leaf { node, depth, n_rows, total, squares: 0 };
        let left_leaf = leaf(left, n_left, left_total);
        let right_leaf = leaf(left + 1, n_rows - n_left, right_total);
        let (mut small, mut large) =
            if n_left * 2 <= n_rows { (left_leaf, right_leaf) } else { (right_leaf, left_leaf) };
        let goes_on = |leaf: &Leaf<W>| goes_on && limits.allow(leaf);
        if goes_on(&small) || goes_on(&large) {
            small.squares = self.squares(table, terms, &small);
            large.squares = open.squares - small.squares;
        }
        let slots =
            self.inherit(table, open.slot, (&small, goes_on(&small)), (&large, goes_on(&large)));
        for (leaf, slot) in [(large, slots.1), (small, slots.0)] {
            if let Some(slot) = slot {
                self.consider(table, terms, leaf, slot, limits);
            }
        }
    }

    /// The histograms of two children, each where it is wanted.
    fn inherit(
        &mut self,
        table: &Table,
        parent: Option<usize>,
        (small, wants_small): (&Leaf<W>, bool),
        (large, wants_large): (&Leaf<W>, bool),
    ) -> (Option<usize>, Option<usize>) {
        if !wants_small && !wants_large {
            self.free.extend(parent);
            return (None, None);
        }
        if !wants_large {
            let slot = parent.unwrap_or_else(|| self.take_slot());
            self.fill(table, slot, small);
            return (Some(slot), None);
        }
        // Subtraction costs about as much as a few rows.
        let saved = (large.n_rows - small.n_rows) * self.chosen.columns.len();
        match parent {
            Some(parent) if wants_small || saved > self.stride / 4 => {
                let slot = self.take_slot();
                self.fill(table, slot, small);
                let (own, other) = pair(&mut self.bins, self.stride, parent, slot);
                subtract(own, other);
                if wants_small {
                    return (Some(slot), Some(parent));
                }
                self.free.push(slot);
                (None, Some(parent))
            }
            parent => {
                let slot = parent.unwrap_or_else(|| self.take_slot());
                self.fill(table, slot, large);
                let small = wants_small.then(|| {
                    let slot = self.take_slot();
                    self.fill(table, slot, small);
                    slot
                });
                (small, Some(slot))
            }
        }
    }

    /// Finds a leaf's best split, and remembers it if there is one.
    fn consider(
        &mut self,
        table: &Table,
        terms: &Terms,
        leaf: Leaf<W>,
        slot: usize,
        limits: &Limits,
    ) {
        let bins = &self.bins[slot * self.stride..][..self.stride];
        let node = split::Node::new(terms, leaf.total, (leaf.n_rows, leaf.squares));
        let Some(found) = node.best(table, &self.chosen, bins, &mut self.sets) else {
            return self.free.push(slot);
        };
        let is_kept =
            self.n_slots * self.stride * size_of::<W>() <= MAX_KEPT_BYTES || self.free.len() > 2;
        if !is_kept {
            self.free.push(slot);
        }
        let Leaf { node, depth, total, squares, .. } = leaf;
        let open = Open { node, depth, slot: is_kept.then_some(slot), found, total, squares };
        if limits.is_bounded { self.best.push(open) } else { self.newest.push(open) }
    }

    /// The sum of the squared gradients of a leaf's rows; 0 where nobody asks.
    fn squares(&mut self, table: &Table, terms: &Terms, leaf: &Leaf<W>) -> u64 {
        let mut sum = 0;
        if table.is_searched() {
            let own = |shard: &mut Shard<W>| shard.squares(leaf.node, terms.fields);
            each(&mut self.shards, leaf.n_rows, own, |own| sum += own);
        }
        sum
    }

    fn take_slot(&mut self) -> usize {
        if let Some(slot) = self.free.pop() {
            return slot;
        }
        self.n_slots += 1;
        let n_words = self.n_slots * self.stride + SLACK;
        if self.bins.len() < n_words {
            self.bins.resize(n_words, W::default());
        }
        self.n_slots - 1
    }

    /// Makes a histogram from a leaf's rows.
    fn fill(&mut self, table: &Table, slot: usize, leaf: &Leaf<W>) {
        let begin = slot * self.stride;
        self.bins[begin..begin + self.stride].fill(W::default());
        if self.shards.len() == 1 {
            let shard = &self.shards[0];
            let rows = shard.rows_of(leaf.node);
            let bins = &mut self.bins[begin..];
            add_rows(table, &self.chosen, rows, &shard.words, shard.first, bins);
        } else {
            let (stride, chosen) = (self.stride, &self.chosen);
            let build = |shard: &mut Shard<W>| {
                let mut bins = std::mem::take(&mut shard.bins);
                bins.resize(stride + SLACK, W::default());
                bins[..stride].fill(W::default());
                let rows = shard.rows_of(leaf.node);
                add_rows(table, chosen, rows, &shard.words, shard.first, &mut bins);
                bins
            };
            let all = &mut self.bins[begin..begin + stride];
            let mut parts = Vec::new();
            each(&mut self.shards, leaf.n_rows, build, |bins| parts.push(bins));
            for (shard, part) in self.shards.iter_mut().zip(parts) {
                all.iter_mut().zip(&part).for_each(|(all, part)| *all = all.plus(*part));
                shard.bins = part;
            }
        }
        sum_up(table, &self.chosen, &mut self.bins[begin..begin + self.stride]);
    }
}

impl Limits {
    fn allow<W>(&self, leaf: &Leaf<W>) -> bool {
        leaf.depth < self.max_depth && leaf.n_rows >= self.min_rows
    }
}

/// Two histograms at once.
fn pair<W>(bins: &mut [W], stride: usize, first: usize, second: usize) -> (&mut [W], &mut [W]) {
    let (low, high) = (first.min(second), first.max(second));
    let (head, tail) = bins.split_at_mut(high * stride);
    let (low, high) = (&mut head[low * stride..][..stride], &mut tail[..stride]);
    if first < second { (low, high) } else { (high, low) }
}

impl<W: Word> PartialEq for Open<W> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<W: Word> Eq for Open<W> {}

impl<W: Word> PartialOrd for Open<W> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The greater gain; the older node where they are equal.
impl<W: Word> Ord for Open<W> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.found.gain.total_cmp(&other.found.gain).then(other.node.cmp(&self.node))
    }
}
