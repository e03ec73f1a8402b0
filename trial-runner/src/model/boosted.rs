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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::frame::{FeatureColumn, FeatureValues, MISSING, Target};
    use crate::model::{Body, Model, ModelError, Predictions};

    /// A model with a set and two thresholds, as version 0.1.0 stored it.
    const STORED: &str = "\
        66666d64012374883200ae47e17a14aef33f06020163010801610162016301640165016601670168700719d5\
        b2a65a4000017800d587f94571623040000001ae47e17a14aef33f0207070e01000400000002000500010001\
        0104000200000300010208020105000400000500020005000600000700021f85eb51b81ee53f7b14ae47e17a\
        e03f034a000000a0020000004a00000008ebe2361ac05bc03ff3698b051dbfb6bf343333333333b33f782c38\
        c00db3a4bf49c49448a297b73fc1d714092811c23fc045ca51cd78b4bf1bc4dd3b6d8782bf";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            hex.bytes().filter_map(|c| (c as char).to_digit(16)).map(|d| d as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    fn frame(words: &[&str], codes: Vec<u32>, x: Vec<f64>) -> Frame {
        let levels = Arc::new(words.iter().map(ToString::to_string).collect());
        let n_rows = x.len();
        let column = |name: &str, values| FeatureColumn { name: name.into(), values };
        Frame {
            target: Target::Number(vec![0.0; n_rows]),
            columns: vec![
                column("c", FeatureValues::Category { codes, levels }),
                column("x", FeatureValues::Number(x)),
            ],
            weights: None,
            n_rows,
            timeline: None,
        }
    }

    #[test]
    fn a_model_of_an_earlier_version_says_what_it_said() {
        let model = Model::from_bytes(&bytes(STORED)).unwrap();
        let words = ["a", "b", "c", "d", "g", "zz"];
        let codes = vec![0, 1, 2, 3, 4, MISSING, 5];
        let frame = frame(&words, codes, vec![0.5, 0.5, 0.1, 0.9, 0.2, 0.5, 0.5]);
        let (low, high) = (1.0611780487804878, 1.4499575);
        let expected = vec![low, high, low, 1.4989485714285713, high, low, low];
        let rows: Vec<u32> = (0..7).collect();
        assert_eq!(model.predict(&frame, &rows), Ok(Predictions::Numbers(expected)));
        assert_eq!(model.to_bytes(), bytes(STORED));
    }

    /// One split by the words of a source.
    fn of_words(n_words: usize, has_rare: bool, sets: &[&[u16]]) -> Boosted {
        let words = (0..n_words).map(|word| format!("{word:05}")).collect();
        let kind = SourceKind::Category(words);
        let source = ColumnSource { name: "c".into(), kind };
        let mut boosted = Boosted {
            sources: vec![BoostedSource { source, gain: 1.0, has_rare }],
            link: Link::Identity,
            initial: vec![0.0],
            sizes: vec![3; sets.len()],
            nodes: Vec::new(),
            thresholds: Vec::new(),
            sets: Vec::new(),
            leaves: vec![1.0, 0.0],
        };
        for set in sets {
            let value = boosted.add_set(0, set);
            boosted.nodes.push(Node { feature: 1, value, right: 2 << 1 });
            boosted.nodes.push(Node { feature: 0, value: 0, right: 0 });
            boosted.nodes.push(Node { feature: 0, value: 1, right: 0 });
        }
        boosted
    }

    #[test]
    fn sets_hold_what_was_put_into_them() {
        for (n_words, has_rare) in
            [(7, false), (255, false), (255, true), (256, false), (60_000, true)]
        {
            let last = n_words as u16 + u16::from(has_rare);
            let many: Vec<u16> = (0..=last).filter(|position| position % 3 == 1).collect();
            let sets: [&[u16]; 4] = [&[0, last], &[], &many, &[last - 1]];
            let boosted = of_words(n_words, has_rare, &sets);
            assert!(boosted.is_sound(1), "{n_words} words");
            for (index, set) in sets.iter().enumerate() {
                let number = boosted.nodes[3 * index].value as usize;
                for position in 0..=last {
                    let holds = boosted.holds(&boosted.sources[0], number, position);
                    assert_eq!(holds, set.contains(&position), "{n_words} words, {position}");
                }
            }
        }
    }

    #[test]
    fn damaged_sets_are_refused_or_hold_something() {
        let mut boosted = of_words(1_000, false, &[&[1, 5, 900]]);
        // A list that claims to be longer than it is.
        boosted.sets[0][0] |= 0xffff;
        let words: Vec<String> = (0..1_000).map(|word| format!("{word:05}")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let frame = frame(&words, (0..1_000).collect(), vec![0.0; 1_000]);
        let bound = boosted.bind(&frame).unwrap();
        let rows: Vec<u32> = (0..1_000).collect();
        let mut out = vec![0.0; 1_000];
        boosted.predict(&bound, &rows, &mut out, 1);
        assert!(out.iter().all(|said| [0.0, 1.0].contains(said)));
        boosted.nodes[0].value = 9;
        let body = Body::Boosted(boosted);
        let model = Model { answer: crate::model::Answer::Number { fallback: 0.0 }, body };
        assert_eq!(Model::from_bytes(&model.to_bytes()), Err(ModelError::Damaged));
    }
}
