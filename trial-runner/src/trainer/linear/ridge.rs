//! Solves ridge regression: least ‖y − Xw − b‖² + alpha‖w‖² with a free intercept b, on
//! scikit-learn's scale of alpha.
//!
//! Columns and target are centred, so the intercept drops out; then a Cholesky factor of the
//! smaller of the two Gram matrices, columns or rows. Where that matrix is singular (alpha of 0
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
    let largest = (0..n).map(|i| gram[i * n + i]).fold(0.0, f64::max);
    for raise in [0.0, 1e-10, 1e-7, 1e-4] {
        let mut factor = gram.to_vec();
        for i in 0..n {
            factor[i * n + i] += alpha + raise * largest;
        }
        if factorise(&mut factor, n, stop)? {
            let mut solution = moments.to_vec();
            substitute(&factor, &mut solution);
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
