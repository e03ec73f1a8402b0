//! A Cholesky factor that grows by rows: a matrix with one point more costs one row.
//!
//! Row by row, so that it is the same to the last bit whether it grew or was made at once. A row
//! that leaves (almost) no variance gets what is missing as noise of its own: duplicates do no
//! harm.

use super::arithmetic::{add_scaled, add_scaled_4, dot, dot_4};

/// Points that are solved for side by side.
pub(super) const WIDTH: usize = 8;

/// The least variance that a row may leave, of the variance of its point.
const LEAST_PIVOT: f64 = 1e-12;

/// A lower-triangular factor, rows one after another.
#[derive(Clone, Debug, Default)]
pub(super) struct Factor {
    n: usize,
    rows: Vec<f64>,
}

impl Factor {
    /// A row up to and with the diagonal.
    #[inline(always)]
    pub(super) fn row(&self, i: usize) -> &[f64] {
        let start = i * (i + 1) / 2;
        &self.rows[start..start + i + 1]
    }

    /// Forgets all but the first rows.
    pub(super) fn truncate(&mut self, n: usize) {
        self.n = self.n.min(n);
        self.rows.truncate(self.n * (self.n + 1) / 2);
    }

    /// Adds a point by its covariances with the earlier ones and itself: `n + 1` of them.
    pub(super) fn push(&mut self, covariances: &[f64]) {
        let (own, variance) = (&covariances[..self.n], covariances[self.n]);
        let mut row = own.to_vec();
        self.solve(&mut row);
        let pivot = variance - dot(&row, &row);
        self.rows.extend_from_slice(&row);
        self.rows.push(root_of_pivot(pivot, variance));
        self.n += 1;
    }

    /// Solves `L v = b` in place, with the first rows where `b` has no more.
    #[inline(always)]
    pub(super) fn solve(&self, b: &mut [f64]) {
        let n = b.len();
        let mut i = 0;
        while i + 4 <= n {
            let rows = [0, 1, 2, 3].map(|k| self.row(i + k));
            let sums = dot_4(rows, &b[..i]);
            for k in 0..4 {
                let inner: f64 = (i..i + k).map(|j| rows[k][j] * b[j]).sum();
                b[i + k] = (b[i + k] - sums[k] - inner) / rows[k][i + k];
            }
            i += 4;
        }
        for i in i..n {
            let row = self.row(i);
            b[i] = (b[i] - dot(&row[..i], &b[..i])) / row[i];
        }
    }

    /// Solves `Lᵀ w = v` in place, with the first rows where `v` has no more.
    #[inline(always)]
    pub(super) fn solve_transposed(&self, v: &mut [f64]) {
        let mut i = v.len();
        while i >= 4 {
            i -= 4;
            let rows = [0, 1, 2, 3].map(|k| self.row(i + k));
            for k in (0..4).rev() {
                let w = v[i + k] / rows[k][i + k];
                v[i + k] = w;
                add_scaled(&mut v[i..i + k], -w, &rows[k][i..]);
            }
            let factors = [0, 1, 2, 3].map(|k| -v[i + k]);
            add_scaled_4(&mut v[..i], factors, rows);
        }
        for i in (0..i).rev() {
            let row = self.row(i);
            let w = v[i] / row[i];
            v[i] = w;
            add_scaled(&mut v[..i], -w, &row[..i]);
        }
    }

    /// Solves `L v = b` for several right sides at once.
    #[inline(always)]
    pub(super) fn solve_block(&self, block: &mut [[f64; WIDTH]]) {
        let mut i = 0;
        while i + 2 <= self.n {
            let (row, next_row) = (self.row(i), self.row(i + 1));
            let (solved, rest) = block.split_at_mut(i);
            let (mut sums, mut next_sums) = (rest[0], rest[1]);
            for ((&factor, &next), solved) in row.iter().zip(next_row).zip(solved.iter()) {
                for lane in 0..WIDTH {
                    sums[lane] -= factor * solved[lane];
                    next_sums[lane] -= next * solved[lane];
                }
            }
            let (scale, factor, next_scale) = (1.0 / row[i], next_row[i], 1.0 / next_row[i + 1]);
            for lane in 0..WIDTH {
                sums[lane] *= scale;
                next_sums[lane] = (next_sums[lane] - factor * sums[lane]) * next_scale;
            }
            (rest[0], rest[1]) = (sums, next_sums);
            i += 2;
        }
        if i < self.n {
            let row = self.row(i);
            let (solved, rest) = block.split_at_mut(i);
            let mut sums = rest[0];
            for (&factor, solved) in row.iter().zip(solved.iter()) {
                for lane in 0..WIDTH {
                    sums[lane] -= factor * solved[lane];
                }
            }
            let scale = 1.0 / row[i];
            rest[0] = sums.map(|sum| sum * scale);
        }
    }
}

/// The root of what variance a point has left, and of very little where it has none.
#[inline(always)]
pub(super) fn root_of_pivot(pivot: f64, variance: f64) -> f64 {
    let least = (LEAST_PIVOT * variance).max(f64::MIN_POSITIVE);
    if pivot > least { pivot.sqrt() } else { least.sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covariance(i: usize, j: usize) -> f64 {
        let distance = (i as f64 - j as f64) * 0.3;
        exp(-distance * distance) + if i == j { 0.01 } else { 0.0 }
    }

    fn exp(x: f64) -> f64 {
        super::super::arithmetic::exp_of_negative(x)
    }

    fn factor(n: usize) -> Factor {
        let mut factor = Factor::default();
        for i in 0..n {
            let row: Vec<f64> = (0..=i).map(|j| covariance(i, j)).collect();
            factor.push(&row);
        }
        factor
    }

    #[test]
    fn the_factor_times_itself_is_the_matrix() {
        let factor = factor(30);
        for i in 0..30 {
            for j in 0..=i {
                let product = dot(&factor.row(i)[..j + 1], factor.row(j));
                assert!((product - covariance(i, j)).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn solutions_undo_the_matrix() {
        for n in [1, 2, 3, 4, 5, 8, 29] {
            let factor = factor(n);
            let right: Vec<f64> = (0..n).map(|i| (i * 7 % 5) as f64 - 2.0).collect();
            let mut solution = right.clone();
            factor.solve(&mut solution);
            let mut block: Vec<[f64; WIDTH]> = right.iter().map(|&b| [b; WIDTH]).collect();
            factor.solve_block(&mut block);
            for (one, many) in solution.iter().zip(&block) {
                assert!((one - many[3]).abs() < 1e-12);
            }
            factor.solve_transposed(&mut solution);
            for (i, right) in right.iter().enumerate() {
                let product: f64 = (0..n).map(|j| covariance(i, j) * solution[j]).sum();
                assert!((product - right).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn it_may_grow_and_shrink_and_duplicates_are_harmless() {
        let whole = factor(20);
        let mut grown = factor(25);
        grown.truncate(12);
        for i in 12..20 {
            let row: Vec<f64> = (0..=i).map(|j| covariance(i, j)).collect();
            grown.push(&row);
        }
        assert_eq!(grown.rows, whole.rows);
        let mut duplicates = Factor::default();
        for i in 0..10 {
            duplicates.push(&vec![1.0; i + 1]);
        }
        let mut right = vec![1.0; 10];
        duplicates.solve(&mut right);
        duplicates.solve_transposed(&mut right);
        assert!(right.iter().all(|x| x.is_finite()));
    }
}
