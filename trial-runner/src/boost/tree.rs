//! Trees on binned features.

use super::table::{Codes, Table, WINDOW};

/// All trees of a model, round after round, class after class.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Trees {
    /// The nodes of each tree; its root is its first.
    pub(crate) nodes: Vec<Node>,
    /// How many nodes each tree has.
    pub(crate) sizes: Vec<u32>,
    /// The codes of the sets that splits name, in ascending order within each.
    pub(crate) sets: Vec<u16>,
}

/// A split or a leaf.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) split: Split,
    /// The children, counted from the tree's root.
    pub(crate) left: u32,
    pub(crate) right: u32,
    /// What a leaf adds to the score.
    pub(crate) value: f64,
}

/// Which rows go left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Split {
    /// None: a leaf.
    Leaf,
    /// Those of a code of at most `last`.
    Cut { column: u32, last: u8, missing_left: bool },
    /// Those of `n` codes, which stand among the sets from `first` on.
    Set { column: u32, first: u32, n: u32 },
}

impl Node {
    /// A leaf that says nothing.
    pub(super) fn leaf() -> Self {
        Self { split: Split::Leaf, left: 0, right: 0, value: 0.0 }
    }
}

/// Orders rows so that those that go left stand first, each side in its order; says how many.
pub(super) fn part(
    split: &Split,
    table: &Table,
    sets: &[u16],
    rows: &mut [u32],
    spare: &mut [u32],
) -> usize {
    match *split {
        Split::Leaf => rows.len(),
        Split::Cut { column, last, missing_left } => {
            let Codes::Narrow(codes) = table.codes(column as usize) else {
                return rows.len();
            };
            let missing = table.columns[column as usize].missing.map(|code| code as u8);
            match missing.filter(|_| missing_left) {
                Some(missing) => {
                    part_by(rows, spare, codes, |code| (code <= last) | (code == missing))
                }
                None => part_by(rows, spare, codes, |code| code <= last),
            }
        }
        Split::Set { column, first, n } => {
            let set = &sets[first as usize..][..n as usize];
            part_words(table.codes(column as usize), set, rows, spare)
        }
    }
}

// Apart from the loops over numbers, which are quicker alone.
#[inline(never)]
fn part_words(codes: Codes<'_>, set: &[u16], rows: &mut [u32], spare: &mut [u32]) -> usize {
    match codes {
        Codes::Narrow(codes) => {
            let mut left = [0_u64; 4];
            for &code in set {
                left[usize::from(code >> 6 & 3)] |= 1 << (code & 63);
            }
            let holds = |code: u8| left[usize::from(code >> 6)] >> (code & 63) & 1 == 1;
            part_by(rows, spare, codes, holds)
        }
        Codes::Wide(codes) => {
            let mut left = vec![0_u64; WINDOW / 64];
            for &code in set {
                left[usize::from(code >> 6)] |= 1 << (code & 63);
            }
            let holds = |code: u16| left[usize::from(code >> 6)] >> (code & 63) & 1 == 1;
            part_by(rows, spare, codes, holds)
        }
    }
}

#[inline(always)]
fn part_by<C: Copy>(
    rows: &mut [u32],
    spare: &mut [u32],
    codes: &[C],
    goes_left: impl Fn(C) -> bool,
) -> usize {
    let spare = &mut spare[..rows.len()];
    let (mut n_left, mut n_right) = (0, 0);
    for index in 0..rows.len() {
        let row = rows[index];
        let is_left = goes_left(codes[row as usize]);
        rows[n_left] = row;
        spare[n_right] = row;
        n_left += usize::from(is_left);
        n_right += usize::from(!is_left);
    }
    rows[n_left..].copy_from_slice(&spare[..n_right]);
    n_left
}

/// Hands every leaf's rows to `reach`, with the leaf's value.
pub(super) fn scatter(
    nodes: &[Node],
    table: &Table,
    sets: &[u16],
    rows: &mut [u32],
    spare: &mut [u32],
    reach: &mut impl FnMut(&[u32], f64),
) {
    let mut waiting = vec![(0_usize, 0_usize, rows.len())];
    while let Some((index, begin, end)) = waiting.pop() {
        let Some(node) = nodes.get(index) else {
            continue;
        };
        let own = &mut rows[begin..end];
        if node.split == Split::Leaf {
            reach(own, node.value);
        } else if begin < end {
            let n_left = part(&node.split, table, sets, own, spare);
            waiting.push((node.right as usize, begin + n_left, end));
            waiting.push((node.left as usize, begin, begin + n_left));
        }
    }
}
