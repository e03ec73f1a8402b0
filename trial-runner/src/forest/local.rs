//! A node of a few rows, and all below it: every column's rows are put in order once and stay so.
//!
//! A split parts each order in two without sorting again, and a scan needs no histogram: a small
//! node costs what its rows cost, not what bins cost. All of it fits a first-level cache.

use super::grid::Grid;

/// The most rows of such a node: their places are bytes.
pub(super) const MAX_ROWS: usize = 256;

/// The rows below one node, by their places in it.
#[derive(Debug)]
pub(super) struct Local<I> {
    pub(super) items: [I; MAX_ROWS],
    /// For each column a code and a place a row, in order; after the columns the places alone.
    order: Vec<u16>,
    n_columns: usize,
    /// Where it begins among the tree's rows, and where it ends.
    start: usize,
    end: usize,
    side: [u8; MAX_ROWS],
    right: [u16; MAX_ROWS],
}

impl<I: Copy + Default> Local<I> {
    pub(super) fn new(n_columns: usize) -> Self {
        Self {
            items: [I::default(); MAX_ROWS],
            order: Vec::new(),
            n_columns,
            start: 0,
            end: 0,
            side: [0; MAX_ROWS],
            right: [0; MAX_ROWS],
        }
    }

    /// Forgets the rows.
    pub(super) fn leave(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Whether it holds the rows of a node.
    pub(super) fn holds(&self, start: usize, end: usize) -> bool {
        self.start <= start && end <= self.end
    }

    /// Takes the rows of a node, which are at most [`MAX_ROWS`].
    pub(super) fn enter(
        &mut self,
        grid: &Grid<'_>,
        start: usize,
        rows: &[u32],
        item: impl Fn(u32) -> I,
    ) {
        (self.start, self.end) = (start, start + rows.len());
        self.order.resize((self.n_columns + 1) * MAX_ROWS, 0);
        for (own, &row) in self.items.iter_mut().zip(rows) {
            *own = item(row);
        }
        let mut codes = [0_u8; MAX_ROWS];
        for (column, order) in grid.columns.iter().zip(self.order.chunks_exact_mut(MAX_ROWS)) {
            let mut places = [0_u16; MAX_ROWS];
            for (code, &row) in codes.iter_mut().zip(rows) {
                *code = column.codes[row as usize];
                places[usize::from(*code)] += 1;
            }
            let mut n_before = 0;
            for place in &mut places {
                (*place, n_before) = (n_before, n_before + *place);
            }
            for (index, &code) in codes[..rows.len()].iter().enumerate() {
                let place = &mut places[usize::from(code)];
                order[usize::from(*place as u8)] = u16::from(code) << 8 | index as u16;
                *place += 1;
            }
        }
        let first = self.n_columns * MAX_ROWS;
        for (index, place) in self.order[first..].iter_mut().enumerate() {
            *place = index as u16;
        }
    }

    fn span(&self, column: usize, start: usize, end: usize) -> std::ops::Range<usize> {
        let first = column * MAX_ROWS;
        first + start - self.start..first + end - self.start
    }

    /// A node's rows in the order of a column.
    pub(super) fn order(&self, column: usize, start: usize, end: usize) -> &[u16] {
        &self.order[self.span(column, start, end)]
    }

    /// The items of a node's rows.
    pub(super) fn items_of(&self, start: usize, end: usize) -> impl Iterator<Item = I> {
        let places = self.order(self.n_columns, start, end);
        places.iter().map(|place| self.items[usize::from(*place as u8)])
    }

    /// Parts a node's rows in all columns' orders.
    pub(super) fn part(
        &mut self,
        column: usize,
        (start, end): (usize, usize),
        goes_left: impl Fn(u8) -> bool,
    ) {
        let own = self.span(column, start, end);
        for element in &self.order[own] {
            self.side[usize::from(*element as u8)] = u8::from(goes_left((element >> 8) as u8));
        }
        for column in 0..=self.n_columns {
            let own = self.span(column, start, end);
            let order = &mut self.order[own];
            let is_constant =
                order.first().map(|first| first >> 8) == order.last().map(|last| last >> 8);
            // A column with one code is not looked at again below.
            if column == self.n_columns || !is_constant {
                part(order, &self.side, &mut self.right);
            }
        }
    }
}

/// Puts the elements of the left side first; both sides keep their order.
#[inline(always)]
fn part(order: &mut [u16], side: &[u8; MAX_ROWS], right: &mut [u16; MAX_ROWS]) {
    let (mut n_left, mut n_right) = (0, 0);
    for index in 0..order.len() {
        let element = order[index];
        let is_left = usize::from(side[usize::from(element as u8)]);
        order[n_left] = element;
        right[n_right & (MAX_ROWS - 1)] = element;
        n_left += is_left;
        n_right += 1 - is_left;
    }
    order[n_left..].copy_from_slice(&right[..n_right]);
}

#[cfg(test)]
mod tests {
    use super::super::grid::Column;
    use super::*;

    #[test]
    fn orders_stay_in_order() {
        let codes: Vec<u8> = (0..600_u32).map(|row| (row * 7919 % 251) as u8).collect();
        let values: Vec<f64> = (0..251).map(f64::from).collect();
        let column = |codes: Vec<u8>| Column::new(codes, &values, &values, &values[1..]);
        let other = codes.iter().map(|code| code % 3).collect();
        let grid = Grid { columns: vec![column(codes.clone()), column(other)], n_rows: 600 };
        let rows: Vec<u32> = (100..356).collect();
        let mut local = Local::<u32>::new(2);
        local.enter(&grid, 50, &rows, |row| row);
        assert!(local.holds(50, 306) && !local.holds(49, 60) && !local.holds(50, 307));
        let n_left = rows.iter().filter(|row| codes[**row as usize] < 100).count();
        local.part(0, (50, 306), |code| code < 100);
        for (start, end) in [(50, 50 + n_left), (50 + n_left, 306)] {
            let expected: Vec<u32> = local.items_of(start, end).collect();
            assert!(expected.is_sorted());
            for column in 0..2 {
                let order = local.order(column, start, end);
                let mut found: Vec<u32> =
                    order.iter().map(|own| local.items[usize::from(*own as u8)]).collect();
                let code = |row: &u32| grid.columns[column].codes[*row as usize];
                assert!(found.is_sorted_by_key(|row| (code(row), *row)));
                assert!(
                    order.iter().zip(&found).all(|(own, row)| own >> 8 == u16::from(code(row)))
                );
                found.sort_unstable();
                assert_eq!(found, expected);
            }
        }
    }
}
