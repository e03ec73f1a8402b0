//! Solves ridge regression: least ‖y − Xw − b‖² + alpha‖w‖² with a free intercept b, on
//! scikit-learn's scale of alpha.
//!
//! Columns and target are centred, so the intercept drops out; then a Cholesky factor of the
//! smaller of the two Gram matrices, columns or rows. Where that matrix is singular (alpha of 0
//! with duplicated columns) the diagonal is raised by a tiny share of itself, which leads to the
//! solution of least norm as nearly as the arithmetic allows.

use crate::model::products::dot;
use crate::stop::{Stop, Stopped};

/// The centred columns and target, each row times the root of its weight.
pub(super) struct Centred<'a> {
    pub(super) columns: &'a [f64],
    pub(super) y: &'a [f64],
}

/// The weights; none when the columns are too large or too alike for the arithmetic.
pub(super) fn solve(
    data: &Centred<'_>,
    alpha: f64,
    stop: &Stop,
) -> Result<Option<Vec<f64>>, Stopped> {
    let n_rows = data.y.len();
    let n_columns = data.columns.len() / n_rows;
    if n_columns == 0 {
        return Ok(Some(Vec::new()));
    }
    let column = |index: usize| &data.columns[index * n_rows..(index + 1) * n_rows];
    if n_columns <= n_rows {
        let mut gram = vec![0.0; n_columns * n_columns];
        for i in 0..n_columns {
            stop.check()?;
            for j in 0..=i {
                gram[i * n_columns + j] = dot(column(i), column(j));
            }
        }
        let moments: Vec<f64> = (0..n_columns).map(|index| dot(column(index), data.y)).collect();
        return solve_system(gram, alpha, &moments, stop);
    }
    // (XXᵀ + alpha I) u = y and w = Xᵀu: as many unknowns as rows.
    let mut gram = vec![0.0; n_rows * n_rows];
    for index in 0..n_columns {
        stop.check()?;
        let column = column(index);
        for i in 0..n_rows {
            let row = &mut gram[i * n_rows..=i * n_rows + i];
            for (sum, value) in row.iter_mut().zip(column) {
                *sum += column[i] * value;
            }
        }
    }
    let dual = solve_system(gram, alpha, data.y, stop)?;
    Ok(dual.map(|dual| (0..n_columns).map(|index| dot(column(index), &dual)).collect()))
}

/// Solves (gram + alpha I) w = moments; `gram` has its lower triangle filled.
fn solve_system(
    gram: Vec<f64>,
    alpha: f64,
    moments: &[f64],
    stop: &Stop,
) -> Result<Option<Vec<f64>>, Stopped> {
    let n = moments.len();
    let largest = (0..n).map(|i| gram[i * n + i]).fold(0.0, f64::max);
    for raise in [0.0, 1e-10, 1e-7, 1e-4] {
        let mut factor = gram.clone();
        for i in 0..n {
            factor[i * n + i] += alpha + raise * largest;
        }
        if factorise(&mut factor, n, stop)? {
            let solution = substitute(&factor, moments);
            if solution.iter().all(|weight| weight.is_finite()) {
                return Ok(Some(solution));
            }
        }
    }
    Ok(None)
}

/// Cholesky's factor in the lower triangle; false when the matrix is singular.
fn factorise(a: &mut [f64], n: usize, stop: &Stop) -> Result<bool, Stopped> {
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

fn substitute(factor: &[f64], moments: &[f64]) -> Vec<f64> {
    let n = moments.len();
    let mut solution = moments.to_vec();
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
    solution
}
