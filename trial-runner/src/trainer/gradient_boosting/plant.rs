//! Turns trees on bins into trees on numbers and words.

use std::collections::HashMap;

use crate::boost;
use crate::boost::table::{Table, Values};
use crate::boost::tree::Split;
use crate::frame::{FeatureValues, Frame};
use crate::model::boosted::{Boosted, BoostedSource, Link};
use crate::model::forest::Node;
use crate::model::source::{ColumnSource, SourceKind};

/// The first `n_rounds` rounds of trees as a model. Columns that no tree splits are left out.
pub(super) fn plant(
    frame: &Frame,
    table: &Table,
    grown: boost::Boosted,
    n_rounds: usize,
    link: Link,
) -> Boosted {
    let n_trees = (n_rounds * grown.initial.len()).min(grown.trees.sizes.len());
    let mut planter = Planter {
        frame,
        table,
        gains: &grown.gains,
        sets: &grown.trees.sets,
        place: vec![None; table.columns.len()],
        thresholds: HashMap::new(),
        boosted: Boosted {
            sources: Vec::new(),
            link,
            initial: grown.initial,
            sizes: Vec::new(),
            nodes: Vec::new(),
            thresholds: Vec::new(),
            sets: Vec::new(),
            leaves: Vec::new(),
        },
    };
    let mut nodes = grown.trees.nodes.as_slice();
    for &size in &grown.trees.sizes[..n_trees] {
        let (own, others) = nodes.split_at(size as usize);
        planter.tree(own);
        nodes = others;
    }
    planter.boosted
}

struct Planter<'a> {
    frame: &'a Frame,
    table: &'a Table,
    gains: &'a [f64],
    sets: &'a [u16],
    /// Where the table's columns stand among the sources.
    place: Vec<Option<u32>>,
    thresholds: HashMap<u64, u32>,
    boosted: Boosted,
}

impl Planter<'_> {
    /// Writes a tree's nodes so that a left child follows its parent.
    fn tree(&mut self, nodes: &[boost::tree::Node]) {
        let start = self.boosted.nodes.len();
        // A node, and the parent that waits for the distance to it.
        let mut waiting = vec![(0_usize, None)];
        while let Some((index, parent)) = waiting.pop() {
            let at = self.boosted.nodes.len();
            if let Some(parent) = parent {
                let parent: &mut Node = &mut self.boosted.nodes[parent];
                parent.right |= ((at - start) as u32) << 1;
            }
            let node = &nodes[index];
            let own = self.node(node);
            self.boosted.nodes.push(own);
            if node.split != Split::Leaf {
                waiting.push((node.right as usize, Some(at)));
                waiting.push((node.left as usize, None));
            }
        }
        // From places in the tree to distances.
        for (index, node) in self.boosted.nodes[start..].iter_mut().enumerate() {
            if node.feature > 0 {
                node.right -= (index as u32) << 1;
            }
        }
        self.boosted.sizes.push((self.boosted.nodes.len() - start) as u32);
    }

    fn node(&mut self, node: &boost::tree::Node) -> Node {
        match node.split {
            Split::Leaf => {
                let boosted = &mut self.boosted;
                boosted.leaves.push(node.value);
                Node { feature: 0, value: boosted.leaves.len() as u32 - 1, right: 0 }
            }
            Split::Cut { column, last, missing_left } => {
                let threshold = match &self.table.columns[column as usize].values {
                    // After the last bin come the missing values alone.
                    Values::Numbers { cuts, .. } => {
                        cuts.get(usize::from(last)).copied().unwrap_or(f64::MAX)
                    }
                    Values::Words { .. } => f64::MAX,
                };
                let pool = &mut self.boosted.thresholds;
                let value = *self.thresholds.entry(threshold.to_bits()).or_insert_with(|| {
                    pool.push(threshold);
                    pool.len() as u32 - 1
                });
                let feature = self.source(column) + 1;
                Node { feature, value, right: u32::from(missing_left) }
            }
            Split::Set { column, first, n } => {
                // A code is a position.
                let codes = &self.sets[first as usize..][..n as usize];
                let source = self.source(column);
                let value = self.boosted.add_set(source as usize, codes);
                Node { feature: source + 1, value, right: 0 }
            }
        }
    }

    /// The place of a column among the sources.
    fn source(&mut self, index: u32) -> u32 {
        if let Some(place) = self.place[index as usize] {
            return place;
        }
        let column = &self.table.columns[index as usize];
        let own = &self.frame.columns[column.source];
        let mut has_rare = false;
        let kind = match (&column.values, &own.values) {
            (Values::Words { levels: known }, FeatureValues::Category { levels, .. }) => {
                has_rare = column.n_values() > known.len();
                let words = known.iter().filter_map(|&level| levels.get(level as usize));
                SourceKind::Category(words.cloned().collect())
            }
            _ => SourceKind::Number,
        };
        let source = ColumnSource { name: own.name.to_string(), kind };
        let gain = self.gains.get(index as usize).copied().unwrap_or_default();
        self.boosted.sources.push(BoostedSource { source, gain, has_rare });
        let place = self.boosted.sources.len() as u32 - 1;
        self.place[index as usize] = Some(place);
        place
    }
}
