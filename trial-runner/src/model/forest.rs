//! Trees: one, or many whose answers are averaged.
//!
//! Nodes stand in preorder, so a left child is the next node. Thresholds and leaves are shared by
//! all trees and named by number: a node takes a few bytes in the stored form.

use serde::{Deserialize, Serialize};

use super::PredictError;
use super::source::{Bound, ColumnSource};
use crate::frame::Frame;

/// One tree or many.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Forest {
    pub(crate) sources: Vec<ColumnSource>,
    /// How many nodes each tree has.
    pub(crate) sizes: Vec<u32>,
    /// Tree after tree.
    pub(crate) nodes: Vec<Node>,
    pub(crate) thresholds: Vec<f64>,
    /// One number a leaf, or one a class.
    pub(crate) leaves: Vec<f64>,
}

/// A split or a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Node {
    /// 0 for a leaf, else one more than the index of the source.
    pub(crate) feature: u32,
    /// The number of the threshold, or of the leaf.
    pub(crate) value: u32,
    /// Twice the distance to the right child, plus one when missing values go left.
    pub(crate) right: u32,
}

impl Forest {
    pub(crate) fn bind<'a>(&self, frame: &'a Frame) -> Result<Vec<Bound<'a>>, PredictError> {
        self.sources.iter().map(|source| source.bind(frame)).collect()
    }

    pub(crate) fn predict(&self, bound: &[Bound<'_>], rows: &[u32], out: &mut [f64], width: usize) {
        let n_sources = bound.len();
        let mut values = Vec::with_capacity(rows.len() * n_sources);
        for &row in rows {
            values.extend(bound.iter().map(|bound| bound.value(row as usize)));
        }
        let mut start = 0;
        for &size in &self.sizes {
            let nodes = &self.nodes[start..start + size as usize];
            for (index, out) in out.chunks_mut(width).enumerate() {
                let leaf = self.leaf(nodes, &values[index * n_sources..(index + 1) * n_sources]);
                let leaf = &self.leaves[leaf * width..(leaf + 1) * width];
                out.iter_mut().zip(leaf).for_each(|(out, leaf)| *out += leaf);
            }
            start += size as usize;
        }
        let n_trees = self.sizes.len() as f64;
        out.iter_mut().for_each(|out| *out /= n_trees);
    }

    fn leaf(&self, nodes: &[Node], values: &[f64]) -> usize {
        let mut index = 0;
        loop {
            let node = &nodes[index];
            if node.feature == 0 {
                return node.value as usize;
            }
            let value = values[node.feature as usize - 1];
            let goes_left = if value.is_nan() {
                node.right & 1 == 1
            } else {
                value <= self.thresholds[node.value as usize]
            };
            index += if goes_left { 1 } else { (node.right >> 1) as usize };
        }
    }

    /// Whether every index is in range and every path ends.
    pub(crate) fn is_sound(&self, width: usize) -> bool {
        let n_leaves = self.leaves.len() / width.max(1);
        let mut rest = self.nodes.as_slice();
        for &size in &self.sizes {
            let Some((nodes, others)) = rest.split_at_checked(size as usize) else {
                return false;
            };
            let is_sound = |(index, node): (usize, &Node)| match node.feature {
                0 => (node.value as usize) < n_leaves,
                feature => {
                    let right = (node.right >> 1) as usize;
                    feature as usize <= self.sources.len()
                        && (node.value as usize) < self.thresholds.len()
                        && right > 1
                        && index + right < nodes.len()
                }
            };
            if nodes.is_empty() || !nodes.iter().enumerate().all(is_sound) {
                return false;
            }
            rest = others;
        }
        !self.sizes.is_empty() && rest.is_empty()
    }
}
