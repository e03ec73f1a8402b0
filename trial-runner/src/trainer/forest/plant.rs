//! Turns trees on codes into trees on numbers and words.

use std::collections::HashMap;

use super::soil::Soil;
use crate::boost::table::{Codes, Table, Values};
use crate::forest::tree::Tree;
use crate::frame::{FeatureValues, Frame};
use crate::model::forest::{Forest, Node};
use crate::model::source::{ColumnSource, SourceKind};

/// Writes tree after tree. Columns that no tree splits are left out.
pub(super) struct Planter<'a> {
    frame: &'a Frame,
    table: &'a Table,
    soil: &'a Soil<'a>,
    width: usize,
    /// Where the columns stand among the sources.
    place: Vec<Option<u32>>,
    /// For a column of words that is a source, where each group of them ends.
    ends: Vec<Vec<usize>>,
    thresholds: HashMap<u64, u32>,
    leaves: HashMap<Vec<u64>, u32>,
    forest: Forest,
}

impl<'a> Planter<'a> {
    pub(super) fn new(
        frame: &'a Frame,
        table: &'a Table,
        soil: &'a Soil<'a>,
        width: usize,
    ) -> Self {
        let n_columns = table.columns.len();
        Self {
            frame,
            table,
            soil,
            width,
            place: vec![None; n_columns],
            ends: vec![Vec::new(); n_columns],
            thresholds: HashMap::new(),
            leaves: HashMap::new(),
            forest: Forest::default(),
        }
    }

    /// Adds a tree.
    pub(super) fn plant(&mut self, tree: &Tree) {
        let numbers: Vec<u32> =
            tree.leaves.chunks(self.width).map(|leaf| self.leaf(leaf)).collect();
        for node in &tree.nodes {
            let own = if node.is_leaf() {
                let value = numbers.get(node.value as usize).copied().unwrap_or_default();
                Node { feature: 0, value, right: 0 }
            } else {
                let feature = self.source(node.column as usize) + 1;
                let threshold = self.threshold(node.column as usize, node.value as usize);
                Node { feature, value: self.number_of(threshold), right: node.right }
            };
            self.forest.nodes.push(own);
        }
        self.forest.sizes.push(tree.nodes.len() as u32);
    }

    /// How many nodes there are.
    pub(super) fn n_nodes(&self) -> usize {
        self.forest.nodes.len()
    }

    pub(super) fn forest(self) -> Forest {
        self.forest
    }

    /// The number of a leaf; equal ones have one.
    fn leaf(&mut self, leaf: &[f64]) -> u32 {
        let number = self.leaves.len() as u32;
        let own =
            *self.leaves.entry(leaf.iter().map(|own| own.to_bits()).collect()).or_insert(number);
        if own == number {
            self.forest.leaves.extend_from_slice(leaf);
        }
        own
    }

    fn number_of(&mut self, threshold: f64) -> u32 {
        let pool = &mut self.forest.thresholds;
        *self.thresholds.entry(threshold.to_bits()).or_insert_with(|| {
            pool.push(threshold);
            pool.len() as u32 - 1
        })
    }

    /// What parts a code from the next, in the units of the source.
    fn threshold(&self, column: usize, last: usize) -> f64 {
        match &self.table.columns[self.soil.indices[column]].values {
            // After the last code come the missing values alone.
            Values::Numbers { cuts, .. } => cuts.get(last).copied().unwrap_or(f64::MAX),
            Values::Words { .. } => {
                self.ends[column].get(last).map_or(f64::MAX, |end| *end as f64 - 0.5)
            }
        }
    }

    /// The place of a column among the sources.
    fn source(&mut self, index: usize) -> u32 {
        if let Some(place) = self.place[index] {
            return place;
        }
        let of_table = self.soil.indices[index];
        let own = &self.frame.columns[self.table.columns[of_table].source];
        let kind = match (&self.soil.groups[index], &own.values) {
            (Some(groups), FeatureValues::Category { codes, levels }) => {
                let n_groups = self.soil.grid.columns[index].n_values();
                let words =
                    in_order(codes, levels.len(), self.table.codes(of_table), groups, n_groups);
                let mut n_words = 0;
                self.ends[index].extend(words.iter().map(|group| {
                    n_words += group.len();
                    n_words
                }));
                let words = words.iter().flatten().filter_map(|&level| levels.get(level));
                SourceKind::Category(words.cloned().collect())
            }
            _ => SourceKind::Number,
        };
        self.forest.sources.push(ColumnSource { name: own.name.to_string(), kind });
        let place = self.forest.sources.len() as u32 - 1;
        self.place[index] = Some(place);
        place
    }
}

/// The levels of each group of words, in order.
fn in_order(
    levels: &[u32],
    n_levels: usize,
    codes: Codes<'_>,
    groups: &[u8],
    n_groups: usize,
) -> Vec<Vec<usize>> {
    let code = |row: usize| match codes {
        Codes::Narrow(codes) => codes.get(row).map(|code| usize::from(*code)),
        Codes::Wide(codes) => codes.get(row).map(|code| usize::from(*code)),
    };
    let mut words = vec![Vec::new(); n_groups];
    let mut is_listed = vec![false; n_levels];
    for (row, &level) in levels.iter().enumerate() {
        let level = level as usize;
        if is_listed.get(level) != Some(&false) {
            continue;
        }
        is_listed[level] = true;
        let group = code(row).and_then(|code| groups.get(code)).copied();
        if let Some(words) = group.and_then(|group| words.get_mut(usize::from(group))) {
            words.push(level);
        }
    }
    words.iter_mut().for_each(|group| group.sort_unstable());
    words
}
