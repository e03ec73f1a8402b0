//! Boosted trees: scores are the first score and what every tree adds to it.
//!
//! Nodes stand as those of a forest do. A split of numbers has a threshold in their own units, a split
//! of words a set of the words that go left, by their position in the source: few positions have a
//! bit each, of many the set is a list.

use serde::{Deserialize, Serialize};

use super::PredictError;
use super::forest::Node;
use super::source::{Bound, ColumnSource, SourceKind};
use crate::boost::exp::{exp, sigmoid};
use crate::boost::table::MAX_WORDS;
use crate::frame::Frame;

/// Positions that have a bit each.
const MAX_BITS: usize = 256;
/// Positions that a group of a set lists.
const LISTED: usize = 16;

/// Boosted trees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Boosted {
    pub(crate) sources: Vec<BoostedSource>,
    pub(crate) link: Link,
    /// The scores before the first tree: one, or one a class where there are more than two.
    pub(crate) initial: Vec<f64>,
    /// How many nodes each tree has; the trees of a round follow each other, class after class.
    pub(crate) sizes: Vec<u32>,
    /// Tree after tree.
    pub(crate) nodes: Vec<Node>,
    pub(crate) thresholds: Vec<f64>,
    /// The words that go left: a bit each; or, where the source has more positions than that, how
    /// many they are and their positions in ascending order, in as many groups as that takes.
    pub(crate) sets: Vec<[u64; 4]>,
    /// A number a leaf.
    pub(crate) leaves: Vec<f64>,
}

/// A column that the trees read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BoostedSource {
    pub(crate) source: ColumnSource,
    /// What all its splits gained.
    pub(crate) gain: f64,
    /// Whether rare words were taken together: a word that is not listed is one of them, not a
    /// missing one.
    pub(crate) has_rare: bool,
}

/// What scores mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Link {
    /// What is predicted.
    Identity,
    /// Its logarithm.
    Log,
    /// The log-odds of the second of two classes.
    Logit,
    /// The logarithm of each class's share, but for a constant.
    Softmax,
}

impl Link {
    /// Turns a row's scores into what is predicted: a number, or a probability a class.
    pub(crate) fn finish(self, scores: &[f64], out: &mut [f64]) {
        match (self, out) {
            (Self::Identity, [out]) => *out = scores[0],
            (Self::Log, [out]) => *out = exp(scores[0]),
            (Self::Logit, [first, second]) => {
                *second = sigmoid(scores[0]);
                *first = 1.0 - *second;
            }
            (Self::Softmax, out) => {
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let mut total = 0.0;
                for (out, score) in out.iter_mut().zip(scores) {
                    *out = exp(score - top);
                    total += *out;
                }
                out.iter_mut().for_each(|out| *out /= total);
            }
            _ => {}
        }
    }

    /// Whether so many scores become so many answers.
    fn fits(self, n_scores: usize, width: usize) -> bool {
        match self {
            Self::Identity | Self::Log => n_scores == 1 && width == 1,
            Self::Logit => n_scores == 1 && width == 2,
            Self::Softmax => n_scores == width && width > 1,
        }
    }
}

impl Boosted {
    pub(crate) fn bind<'a>(&self, frame: &'a Frame) -> Result<Vec<Bound<'a>>, PredictError> {
        self.sources.iter().map(|own| own.source.bind(frame)).collect()
    }

    pub(crate) fn predict(&self, bound: &[Bound<'_>], rows: &[u32], out: &mut [f64], width: usize) {
        let (n_sources, n_scores) = (bound.len(), self.initial.len());
        let mut values = Vec::with_capacity(rows.len() * n_sources);
        for &row in rows {
            let own = self.sources.iter().zip(bound);
            values.extend(own.map(|(own, bound)| own.value(bound, row as usize)));
        }
        let mut scores = self.initial.repeat(rows.len());
        let mut start = 0;
        for (tree, &size) in self.sizes.iter().enumerate() {
            let nodes = &self.nodes[start..start + size as usize];
            let class = tree % n_scores;
            for (index, scores) in scores.chunks_mut(n_scores).enumerate() {
                let values = &values[index * n_sources..(index + 1) * n_sources];
                scores[class] += self.leaves[self.leaf(nodes, values)];
            }
            start += size as usize;
        }
        for (scores, out) in scores.chunks(n_scores).zip(out.chunks_mut(width)) {
            self.link.finish(scores, out);
        }
    }

    fn leaf(&self, nodes: &[Node], values: &[f64]) -> usize {
        let mut index = 0;
        loop {
            let node = &nodes[index];
            let Some(feature) = (node.feature as usize).checked_sub(1) else {
                return node.value as usize;
            };
            let value = values[feature];
            let source = &self.sources[feature];
            let goes_left = if source.has_words() {
                self.holds(source, node.value as usize, value as u16)
            } else if value.is_nan() {
                node.right & 1 == 1
            } else {
                value <= self.thresholds[node.value as usize]
            };
            index += if goes_left { 1 } else { (node.right >> 1) as usize };
        }
    }

    /// Writes down a set of positions in ascending order; its number.
    pub(crate) fn add_set(&mut self, source: usize, positions: &[u16]) -> u32 {
        let first = self.sets.len() as u32;
        if self.sources[source].is_listed() {
            let listed: Vec<u16> =
                std::iter::once(positions.len() as u16).chain(positions.iter().copied()).collect();
            self.sets.extend(listed.chunks(LISTED).map(|listed| {
                let mut group = [0; 4];
                for (index, &position) in listed.iter().enumerate() {
                    group[index / 4] |= u64::from(position) << (16 * (index % 4));
                }
                group
            }));
        } else {
            let mut bits = [0; 4];
            for &position in positions {
                bits[usize::from(position / 64 % 4)] |= 1 << (position % 64);
            }
            self.sets.push(bits);
        }
        first
    }

    /// Whether a set has a position.
    fn holds(&self, source: &BoostedSource, set: usize, position: u16) -> bool {
        if !source.is_listed() {
            return self.sets[set][usize::from(position / 64 % 4)] >> (position % 64) & 1 == 1;
        }
        let (mut low, mut high) = (1, usize::from(self.listed(set, 0)) + 1);
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.listed(set, middle).cmp(&position) {
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        false
    }

    /// The n-th number of a list; 0 beyond its end.
    fn listed(&self, set: usize, n: usize) -> u16 {
        let group = self.sets.get(set + n / LISTED);
        group.map_or(0, |group| (group[n / 4 % 4] >> (16 * (n % 4))) as u16)
    }

    /// Whether every index is in range and every path ends.
    pub(crate) fn is_sound(&self, width: usize) -> bool {
        let mut rest = self.nodes.as_slice();
        for &size in &self.sizes {
            let Some((nodes, others)) = rest.split_at_checked(size as usize) else {
                return false;
            };
            let is_sound = |(index, node): (usize, &Node)| match node.feature as usize {
                0 => (node.value as usize) < self.leaves.len(),
                feature => {
                    let right = (node.right >> 1) as usize;
                    let Some(source) = self.sources.get(feature - 1) else {
                        return false;
                    };
                    let n_values =
                        if source.has_words() { self.sets.len() } else { self.thresholds.len() };
                    (node.value as usize) < n_values && right > 1 && index + right < nodes.len()
                }
            };
            if nodes.is_empty() || !nodes.iter().enumerate().all(is_sound) {
                return false;
            }
            rest = others;
        }
        self.link.fits(self.initial.len(), width)
            && rest.is_empty()
            && self.sources.iter().all(BoostedSource::is_sound)
    }
}

impl BoostedSource {
    /// Whether its sets are lists.
    fn is_listed(&self) -> bool {
        match &self.source.kind {
            SourceKind::Number => false,
            SourceKind::Category(words) => words.len() + usize::from(self.has_rare) + 1 > MAX_BITS,
        }
    }

    fn has_words(&self) -> bool {
        matches!(self.source.kind, SourceKind::Category(_))
    }

    /// A number, or NaN; or the position of a word, of all rare ones, or of what is missing.
    fn value(&self, bound: &Bound<'_>, row: usize) -> f64 {
        let value = bound.value(row);
        match &self.source.kind {
            SourceKind::Category(words) if value.is_nan() => {
                let is_rare = self.has_rare && bound.is_unknown(row);
                (words.len() + usize::from(self.has_rare && !is_rare)) as f64
            }
            _ => value,
        }
    }

    fn is_sound(&self) -> bool {
        match &self.source.kind {
            SourceKind::Number => true,
            SourceKind::Category(words) => words.len() + usize::from(self.has_rare) <= MAX_WORDS,
        }
    }
}
