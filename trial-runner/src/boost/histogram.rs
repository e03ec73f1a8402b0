//! Histograms: for every bin of every column, the word of the rows up to and including it; where
//! bins are words, which have no order, of its own rows alone.
//!
//! Running sums rather than the bins' own, because they are as linear: the larger child's are the
//! parent's less the smaller child's, and only those that were built from rows are summed up. A split
//! then needs no order of evaluation: every bin is judged on its own.

use super::table::{Table, WINDOW};
use super::word::Word;

/// The columns that a tree may use.
#[derive(Clone, Debug, Default)]
pub(super) struct Chosen {
    /// In ascending order.
    pub(super) columns: Vec<u32>,
    /// Whether it is all of them.
    pub(super) is_all: bool,
}

/// Room beyond the last histogram, so that every window is whole.
pub(super) const SLACK: usize = WINDOW;

/// Rows that are fetched together: their lines are read once before any bin is, so that the processor
/// waits for all of them at once.
const AHEAD: usize = 32;

/// Adds rows to a histogram's bins. `words` begins with that of the row `first_row`, `bins` with the
/// histogram and has at least a window beyond it.
pub(super) fn add_rows<W: Word>(
    table: &Table,
    chosen: &Chosen,
    rows: &[u32],
    words: &[W],
    first_row: usize,
    bins: &mut [W],
) {
    for block in &table.blocks {
        let own = |column: &&u32| {
            (block.first_column..block.first_column + block.width).contains(&(**column as usize))
        };
        let Some(window) = bins[block.first_bin..].first_chunk_mut::<WINDOW>() else {
            return;
        };
        if chosen.is_all {
            add_lines(&block.places, block.width, rows, words, first_row, window);
        } else {
            let columns = chosen.columns.iter().filter(own);
            let columns: Vec<u32> =
                columns.map(|column| *column - block.first_column as u32).collect();
            add_some(&block.places, block.width, &columns, rows, words, first_row, window);
        }
    }
}

fn add_lines<W: Word>(
    places: &[u16],
    width: usize,
    rows: &[u32],
    words: &[W],
    first_row: usize,
    window: &mut [W; WINDOW],
) {
    let line = |row: u32| &places[row as usize * width..][..width];
    let mut own = [W::default(); AHEAD];
    for rows in rows.chunks(AHEAD) {
        let mut touched = 0;
        for (own, &row) in own.iter_mut().zip(rows) {
            *own = words[row as usize - first_row];
            let line = line(row);
            touched ^= line[0] ^ line[width - 1];
        }
        std::hint::black_box(touched);
        for (&word, &row) in own.iter().zip(rows) {
            let (fours, rest) = line(row).as_chunks::<4>();
            for four in fours {
                for &place in four {
                    let bin = &mut window[usize::from(place)];
                    *bin = bin.plus(word);
                }
            }
            for &place in rest {
                let bin = &mut window[usize::from(place)];
                *bin = bin.plus(word);
            }
        }
    }
}

fn add_some<W: Word>(
    places: &[u16],
    width: usize,
    columns: &[u32],
    rows: &[u32],
    words: &[W],
    first_row: usize,
    window: &mut [W; WINDOW],
) {
    for &row in rows {
        let word = words[row as usize - first_row];
        let line = &places[row as usize * width..][..width];
        for &column in columns {
            let bin = &mut window[usize::from(line[column as usize])];
            *bin = bin.plus(word);
        }
    }
}

/// Turns the bins' own words into running sums, where they have an order.
pub(super) fn sum_up<W: Word>(table: &Table, chosen: &Chosen, bins: &mut [W]) {
    for &column in &chosen.columns {
        let column = &table.columns[column as usize];
        if column.holds_words() {
            break;
        }
        let mut sum = W::default();
        for bin in &mut bins[column.first_bin..column.first_bin + column.n_bins] {
            sum = sum.plus(*bin);
            *bin = sum;
        }
    }
}

/// Takes the smaller child's from the parent's.
pub(super) fn subtract<W: Word>(parent: &mut [W], child: &[W]) {
    for (parent, child) in parent.iter_mut().zip(child) {
        *parent = parent.minus(*child);
    }
}
