//! Rows that many lines predict for at once: a product of matrices.
//!
//! Four rows lie together, column after column, so that the product reads memory once from its
//! beginning to its end and keeps sixteen sums in registers.

use super::tridiagonal::LANES;

/// Rows that lie together.
const HEIGHT: usize = 4;
/// Lanes whose sums are kept at once.
const HALF: usize = LANES / 2;

/// Rows in panels of four; the last one is filled up with zeros.
#[derive(Debug, Default)]
pub(super) struct Panels {
    n_rows: usize,
    n_columns: usize,
    values: Vec<f64>,
}

impl Panels {
    pub(super) fn new(n_rows: usize, n_columns: usize) -> Self {
        let n_panels = n_rows.div_ceil(HEIGHT);
        Self { n_rows, n_columns, values: vec![0.0; n_panels * HEIGHT * n_columns] }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.n_rows
    }

    pub(super) fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// The numbers of one column, in the order of the rows; one at a time, to be changed.
    pub(super) fn column_mut(&mut self, column: usize) -> impl Iterator<Item = &mut f64> {
        let width = (HEIGHT * self.n_columns).max(1);
        let panels = self.values.chunks_exact_mut(width);
        let cells = panels.flat_map(move |panel| &mut panel[column * HEIGHT..][..HEIGHT]);
        cells.take(self.n_rows)
    }

    /// The same, to be read.
    pub(super) fn column(&self, column: usize) -> impl Iterator<Item = f64> {
        let width = (HEIGHT * self.n_columns).max(1);
        let panels = self.values.chunks_exact(width);
        let cells = panels.flat_map(move |panel| &panel[column * HEIGHT..][..HEIGHT]);
        cells.take(self.n_rows).copied()
    }

    /// The numbers of one row, to be changed.
    pub(super) fn row_mut(&mut self, row: usize) -> impl Iterator<Item = &mut f64> {
        let width = HEIGHT * self.n_columns;
        let panel = &mut self.values[row / HEIGHT * width..][..width];
        panel.iter_mut().skip(row % HEIGHT).step_by(HEIGHT)
    }

    /// Adds each row's value times the values of all columns.
    pub(super) fn add_products(&mut self, rows: impl Iterator<Item = f64>, columns: &[f64]) {
        for (row, value) in rows.take(self.n_rows).enumerate() {
            self.row_mut(row).zip(columns).for_each(|(cell, column)| *cell += value * column);
        }
    }

    /// How many numbers [`Panels::times`] writes for a lane.
    pub(super) fn stride(&self) -> usize {
        self.n_rows.next_multiple_of(HEIGHT)
    }

    /// `start` and the sums of products with each lane's weights, lane after lane.
    pub(super) fn times(&self, weights: &[f64], start: f64, out: &mut Vec<f64>) {
        let stride = self.stride();
        out.clear();
        out.resize(LANES * stride, start);
        if self.n_columns == 0 {
            return;
        }
        let (weights, _) = weights.as_chunks::<LANES>();
        for (index, panel) in self.values.chunks_exact(HEIGHT * self.n_columns).enumerate() {
            let (cells, _) = panel.as_chunks::<HEIGHT>();
            for half in 0..2 {
                let sums = multiply(cells, weights, half * HALF, start);
                for (lane, sums) in sums.iter().enumerate() {
                    let at = (half * HALF + lane) * stride + index * HEIGHT;
                    out[at..at + HEIGHT].copy_from_slice(sums);
                }
            }
        }
    }
}

#[inline]
fn multiply(
    cells: &[[f64; HEIGHT]],
    weights: &[[f64; LANES]],
    first: usize,
    start: f64,
) -> [[f64; HEIGHT]; HALF] {
    let mut sums = [[start; HEIGHT]; HALF];
    for (cell, weights) in cells.iter().zip(weights) {
        for lane in 0..HALF {
            let weight = weights[first + lane];
            for row in 0..HEIGHT {
                sums[lane][row] += weight * cell[row];
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_and_lane_is_its_sum_of_products() {
        for (n_rows, n_columns) in [(0, 3), (1, 1), (4, 2), (7, 5), (9, 0)] {
            let value = |row: usize, column: usize| (row * 7 + column * 3 % 5) as f64;
            let mut panels = Panels::new(n_rows, n_columns);
            for column in 0..n_columns {
                let cells = panels.column_mut(column).enumerate();
                cells.for_each(|(row, cell)| *cell = value(row, column));
                let found: Vec<f64> = panels.column(column).collect();
                let expected: Vec<f64> = (0..n_rows).map(|row| value(row, column)).collect();
                assert_eq!(found, expected);
            }
            let weights: Vec<f64> = (0..n_columns * LANES).map(|at| at as f64 - 4.0).collect();
            let mut out = Vec::new();
            panels.times(&weights, 0.5, &mut out);
            for lane in 0..LANES {
                for row in 0..n_rows {
                    let products = (0..n_columns)
                        .map(|column| value(row, column) * weights[column * LANES + lane]);
                    assert_eq!(out[lane * panels.stride() + row], 0.5 + products.sum::<f64>());
                }
            }
        }
    }
}
