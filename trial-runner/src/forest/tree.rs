//! A tree on binned features, in preorder: a left child is the next node.

use super::grid::Grid;

/// One tree.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
    /// Leaf after leaf: a number, or a share a class.
    pub(crate) leaves: Vec<f64>,
}

/// A split or a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// The column that is split.
    pub(crate) column: u32,
    /// The last code that goes left, or the leaf's number.
    pub(crate) value: u32,
    /// Twice the distance to the right child, plus one when missing values go left; 0 for a leaf.
    pub(crate) right: u32,
}

impl Node {
    /// Whether it is a leaf.
    pub(crate) fn is_leaf(&self) -> bool {
        self.right == 0
    }
}

impl Tree {
    /// The number of the leaf that a row comes to.
    pub(super) fn leaf_of(&self, grid: &Grid<'_>, row: u32) -> u32 {
        let mut at = 0;
        loop {
            let Some(node) = self.nodes.get(at) else {
                return 0;
            };
            if node.is_leaf() {
                return node.value;
            }
            let column = &grid.columns[node.column as usize];
            let code = u32::from(column.codes[row as usize]);
            let missing_left = node.right & 1 == 1;
            let goes_left =
                (code <= node.value) | (missing_left & (code == u32::from(column.missing())));
            at += if goes_left { 1 } else { (node.right >> 1) as usize };
        }
    }
}
