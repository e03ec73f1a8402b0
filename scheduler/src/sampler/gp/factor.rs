//! A Cholesky factor that grows by rows: a matrix with one point more costs one row.
//!
//! Row by row, so that it is the same to the last bit whether it grew or was made at once. A row
//! that leaves (almost) no variance gets what is missing as noise of its own: duplicates do no
//! harm.

use super::arithmetic::{add_scaled, add_scaled_4, dot};

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
        let n = self.n;
        let start = self.rows.len();
        self.rows.extend_from_slice(&covariances[..n + 1]);
        let (earlier, row) = self.rows.split_at_mut(start);
        let mut offset = 0;
        for j in 0..n {
            let other = &earlier[offset..offset + j + 1];
            row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
            offset += j + 1;
        }
        let variance = row[n];
        let pivot = variance - dot(&row[..n], &row[..n]);
        let least = (LEAST_PIVOT * variance).max(f64::MIN_POSITIVE);
        row[n] = if pivot > least { pivot.sqrt() } else { least.sqrt() };
        self.n += 1;
    }

    /// Half the logarithm of the determinant.
    pub(super) fn half_log_determinant(&self) -> f64 {
        (0..self.n).map(|i| self.row(i)[i].ln()).sum()
    }

    /// Solves `L v = b` for what follows the first `from` entries, which are solved already.
    pub(super) fn solve_from(&self, from: usize, b: &mut [f64]) {
        for i in from..self.n.min(b.len()) {
            let row = self.row(i);
            b[i] = (b[i] - dot(&row[..i], &b[..i])) / row[i];
        }
    }

    /// Solves `Lᵀ w = v` in place.
    pub(super) fn solve_transposed(&self, v: &mut [f64]) {
        for i in (0..self.n).rev() {
            let row = self.row(i);
            let w = v[i] / row[i];
            v[i] = w;
            add_scaled(&mut v[..i], -w, &row[..i]);
        }
    }

    /// Solves `L v = b` for several right sides at once.
    pub(super) fn solve_block(&self, block: &mut [[f64; WIDTH]]) {
        for i in 0..self.n {
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

    /// The inverse of the matrix that was factored: its rows up to the diagonal, `n` numbers each.
    pub(super) fn inverse(&self) -> Vec<f64> {
        let n = self.n;
        let mut inverse_factor = vec![0.0; n * n];
        let mut row = vec![0.0; n];
        for i in 0..n {
            let own = self.row(i);
            row[..i].fill(0.0);
            let mut j = 0;
            while j + 4 <= i {
                // Rows are zero beyond their own diagonal.
                let rows = [0, 1, 2, 3].map(|k| &inverse_factor[(j + k) * n..][..j + 4]);
                let factors = [own[j], own[j + 1], own[j + 2], own[j + 3]];
                add_scaled_4(&mut row[..j + 4], factors, rows);
                j += 4;
            }
            for j in j..i {
                add_scaled(&mut row[..j + 1], own[j], &inverse_factor[j * n..]);
            }
            let scale = -1.0 / own[i];
            let target = &mut inverse_factor[i * n..][..n];
            for (target, sum) in target.iter_mut().zip(&row[..i]) {
                *target = sum * scale;
            }
            target[i] = -scale;
        }
        let mut inverse = vec![0.0; n * n];
        let mut i = 0;
        while i < n {
            let n_rows = 4.min(n - i);
            for a in 0..i + n_rows {
                let target = &mut inverse[a * n..][..a + 1];
                if n_rows == 4 {
                    let rows = [0, 1, 2, 3].map(|k| &inverse_factor[(i + k) * n..]);
                    let factors = rows.map(|row| row[a]);
                    add_scaled_4(target, factors, rows);
                } else {
                    for k in 0..n_rows {
                        let row = &inverse_factor[(i + k) * n..];
                        add_scaled(target, row[a], row);
                    }
                }
            }
            i += n_rows;
        }
        inverse
    }
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
    fn solutions_and_the_inverse_undo_the_matrix() {
        for n in [1, 2, 3, 4, 5, 8, 29] {
            let factor = factor(n);
            let right: Vec<f64> = (0..n).map(|i| (i * 7 % 5) as f64 - 2.0).collect();
            let mut solution = right.clone();
            factor.solve_from(0, &mut solution);
            let mut block: Vec<[f64; WIDTH]> = right.iter().map(|&b| [b; WIDTH]).collect();
            factor.solve_block(&mut block);
            for (one, many) in solution.iter().zip(&block) {
                assert!((one - many[3]).abs() < 1e-12);
            }
            factor.solve_transposed(&mut solution);
            let inverse = factor.inverse();
            for (i, right) in right.iter().enumerate() {
                let product: f64 = (0..n).map(|j| covariance(i, j) * solution[j]).sum();
                assert!((product - right).abs() < 1e-9);
                for k in 0..n {
                    let entry = |a: usize, b: usize| inverse[a.max(b) * n + a.min(b)];
                    let product: f64 = (0..n).map(|j| covariance(i, j) * entry(j, k)).sum();
                    assert!((product - f64::from(u8::from(i == k))).abs() < 1e-9);
                }
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
        duplicates.solve_from(0, &mut right);
        duplicates.solve_transposed(&mut right);
        assert!(right.iter().all(|x| x.is_finite()));
    }
}
