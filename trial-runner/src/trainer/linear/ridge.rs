//! Solves ridge regression: least ‖y − Xw − b‖² + alpha‖w‖² with a free intercept b, on
//! scikit-learn's scale of alpha.
//!
//! Columns and target are centred, so the intercept drops out; then a Cholesky factor of the
//! smaller of the two Gram matrices, columns or rows, with every unknown scaled so that the diagonal
//! is one: columns of any size may stand beside each other. Where that matrix is singular (alpha of 0
//! with duplicated columns) the diagonal is raised by a tiny share of itself, which leads to the
//! solution of least norm as nearly as the arithmetic allows.

use super::system::{System, gram_of_rows};
use crate::model::products::dot;
use crate::stop::{Stop, Stopped};

/// The weights; none when the columns are too large or too alike for the arithmetic.
pub(super) fn solve(system: &System, alpha: f64, stop: &Stop) -> Result<Option<Vec<f64>>, Stopped> {
    match system {
        System::Sums(sums) => solve_system(&sums.gram, alpha, &sums.moments, stop),
        System::Rows { columns, y } => {
            // (XXᵀ + alpha I) u = y and w = Xᵀu: as many unknowns as rows.
            let gram = gram_of_rows(columns, y.len(), stop)?;
            let dual = solve_system(&gram, alpha, y, stop)?;
            let columns = || columns.chunks_exact(y.len());
            Ok(dual.map(|dual| columns().map(|column| dot(column, &dual)).collect()))
        }
    }
}

/// Solves (gram + alpha I) w = moments; `gram` has its lower triangle filled.
pub(super) fn solve_system(
    gram: &[f64],
    alpha: f64,
    moments: &[f64],
    stop: &Stop,
) -> Result<Option<Vec<f64>>, Stopped> {
    let n = moments.len();
    let root = |i: usize| match (gram[i * n + i] + alpha).sqrt() {
        root if root > 0.0 => root,
        _ => 1.0,
    };
    let scales: Vec<f64> = (0..n).map(|i| root(i).recip()).collect();
    for raise in [0.0, 1e-10, 1e-7, 1e-4] {
        let mut factor = gram.to_vec();
        for (i, row) in factor.chunks_exact_mut(n.max(1)).enumerate() {
            row[i] += alpha;
            // One after the other: their product may be too large.
            row.iter_mut().zip(&scales).for_each(|(sum, scale)| *sum = *sum * scale * scales[i]);
            row[i] += raise;
        }
        if factorise(&mut factor, n, stop)? {
            let mut solution: Vec<f64> =
                moments.iter().zip(&scales).map(|(sum, scale)| sum * scale).collect();
            substitute(&factor, &mut solution);
            solution.iter_mut().zip(&scales).for_each(|(weight, scale)| *weight *= scale);
            if solution.iter().all(|weight| weight.is_finite()) {
                return Ok(Some(solution));
            }
        }
    }
    Ok(None)
}

/// Cholesky's factor in the lower triangle; false when the matrix is singular.
pub(in crate::trainer) fn factorise(a: &mut [f64], n: usize, stop: &Stop) -> Result<bool, Stopped> {
    let least = (0..n).map(|i| a[i * n + i]).fold(0.0, f64::max) * 1e-13;
    for i in 0..n {
        stop.check()?;
        let (above, row) = a.split_at_mut(i * n);
        for j in 0..i {
            let pivot = &above[j * n..=j * n + j];
            row[j] = (row[j] - dot(&row[..j], &pivot[..j])) / pivot[j];
        }
        let rest = row[i] - dot(&row[..i], &row[..i]);
        if rest.is_nan() || rest <= least {
            return Ok(false);
        }
        row[i] = rest.sqrt();
    }
    Ok(true)
}

/// Solves with a factor, in place.
pub(in crate::trainer) fn substitute(factor: &[f64], solution: &mut [f64]) {
    let n = solution.len();
    for i in 0..n {
        let row = &factor[i * n..i * n + i];
        solution[i] = (solution[i] - dot(row, &solution[..i])) / factor[i * n + i];
    }
    for i in (0..n).rev() {
        solution[i] /= factor[i * n + i];
        let value = solution[i];
        for (j, earlier) in solution[..i].iter_mut().enumerate() {
            *earlier -= factor[i * n + j] * value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_any_size_stand_beside_each_other() {
        let wave = |row: usize, speed: f64| (row as f64 * speed).sin();
        let columns: [Vec<f64>; 3] = [
            (0..60).map(|row| wave(row, 0.7)).collect(),
            (0..60).map(|row| 1e6 + wave(row, 1.3)).collect(),
            (0..60).map(|row| 1e-6 * wave(row, 2.9)).collect(),
        ];
        let weights = [2.0, 0.01, -3e6];
        let y: Vec<f64> = (0..60)
            .map(|row| columns.iter().zip(weights).map(|(own, weight)| own[row] * weight).sum())
            .collect();
        let gram: Vec<f64> =
            columns.iter().flat_map(|one| columns.iter().map(|other| dot(one, other))).collect();
        let moments: Vec<f64> = columns.iter().map(|own| dot(own, &y)).collect();
        let found = solve_system(&gram, 0.0, &moments, &Stop::default()).unwrap().unwrap();
        for (found, weight) in found.iter().zip(weights) {
            assert!((found / weight - 1.0).abs() < 1e-7, "{found} {weight}");
        }
    }
}
