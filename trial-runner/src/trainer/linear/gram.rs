//! Sums of products of all pairs of columns over some rows.
//!
//! Rows lie one after the other, [`TILE`] numbers of each side by side; a tile of sums stays in
//! registers while rows pass by. The order of additions is fixed.

use crate::stop::{Stop, Stopped};

/// Columns of a tile; rows are filled up to a multiple of it.
pub(in crate::trainer) const TILE: usize = 4;
/// Rows that are gathered at once: they stay in the nearest cache.
const BLOCK: usize = 64;

/// Rows, filled up to a multiple of [`TILE`] numbers.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) width: usize,
    pub(crate) values: Vec<f64>,
}

impl Rows {
    pub(crate) fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    /// The sums over some rows, each of its weight: a symmetric matrix, all of it.
    pub(in crate::trainer) fn gram(
        &self,
        rows: &[u32],
        weights: Option<&[f64]>,
        stop: &Stop,
    ) -> Result<Vec<f64>, Stopped> {
        let width = self.width;
        let mut sums = vec![0.0; width * width];
        let mut block = Vec::with_capacity(BLOCK * width);
        for rows in rows.chunks(BLOCK) {
            stop.check()?;
            block.clear();
            for &row in rows {
                let values = self.row(row as usize);
                match weights {
                    None => block.extend_from_slice(values),
                    // Zero times what is too large is not zero.
                    Some(weights) if weights[row as usize] == 0.0 => {}
                    Some(weights) => {
                        let root = weights[row as usize].sqrt();
                        block.extend(values.iter().map(|value| value * root));
                    }
                }
            }
            add(&block, width, &mut sums);
        }
        for i in 0..width {
            for j in 0..i {
                sums[j * width + i] = sums[i * width + j];
            }
        }
        Ok(sums)
    }
}

/// Adds the lower triangle, tile by tile.
fn add(block: &[f64], width: usize, sums: &mut [f64]) {
    for i in (0..width).step_by(TILE) {
        for j in (0..=i).step_by(TILE) {
            let tile = tile(block, width, i, j);
            for (a, row) in tile.iter().enumerate() {
                let cells = &mut sums[(i + a) * width + j..][..TILE];
                cells.iter_mut().zip(row).for_each(|(cell, sum)| *cell += sum);
            }
        }
    }
}

#[inline]
fn tile(block: &[f64], width: usize, i: usize, j: usize) -> [[f64; TILE]; TILE] {
    let mut sums = [[0.0; TILE]; TILE];
    for row in block.chunks_exact(width) {
        let (Some(left), Some(right)) = (row[i..].first_chunk(), row[j..].first_chunk()) else {
            continue;
        };
        let (left, right): (&[f64; TILE], &[f64; TILE]) = (left, right);
        for a in 0..TILE {
            for b in 0..TILE {
                sums[a][b] += left[a] * right[b];
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_rows_alone() {
        let width = 8;
        let values: Vec<f64> = (0..200 * width).map(|at| ((at * 31) % 17) as f64 - 8.0).collect();
        let rows = Rows { width, values };
        let chosen: Vec<u32> = (0..200).filter(|row| row % 3 == 1).collect();
        let weights: Vec<f64> = (0..200).map(|row| f64::from(row % 4).powi(2)).collect();
        for weights in [None, Some(weights.as_slice())] {
            let found = rows.gram(&chosen, weights, &Stop::default()).unwrap();
            for i in 0..width {
                for j in 0..width {
                    let terms = chosen.iter().map(|&row| {
                        let weight = weights.map_or(1.0, |weights| weights[row as usize]);
                        weight * rows.row(row as usize)[i] * rows.row(row as usize)[j]
                    });
                    assert_eq!(found[i * width + j], terms.sum::<f64>());
                }
            }
        }
    }

    #[test]
    fn it_stops_when_told() {
        let rows = Rows { width: 4, values: vec![1.0; 8] };
        let stop = Stop::default();
        stop.cancel();
        assert!(rows.gram(&[0, 1], None, &stop).is_err());
        assert_eq!(rows.gram(&[], None, &stop), Ok(vec![0.0; 16]));
    }
}
