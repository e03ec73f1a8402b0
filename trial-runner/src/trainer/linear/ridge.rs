//! Solves ridge regression: least ‖y − Xw − b‖² + alpha‖w‖² with a free intercept b, on
//! scikit-learn's scale of alpha.
//!
//! Columns and target are centred, so the intercept drops out; then a Cholesky factor of the
//! smaller of the two Gram matrices, columns or rows, with every unknown scaled so that the diagonal
//! is one: columns of any size may stand beside each other. Columns that are nearly alike lose their
//! difference in sums of squares, so there the rows themselves are reflected to a triangle. A column
//! that is made of those before it (alpha of 0 with duplicated columns) has no weight there. Where
//! rows are too few, or too large, the diagonal is raised by a tiny share of itself instead.

use super::system::{Sums, gram_of_rows};
use super::tridiagonal::reflect;
use crate::model::encoder::Design;
use crate::model::products::dot;
use crate::stop::{Stop, Stopped};

/// The least pivot of a system with a diagonal of one that keeps half the digits.
const WELL: f64 = 1e-8;
/// The least pivot of a system that is not singular.
const LEAST: f64 = 1e-13;

/// The weights; none when the columns are too large or too alike for the arithmetic.
pub(super) fn solve(
    design: Design,
    y: Vec<f64>,
    alpha: f64,
    stop: &Stop,
) -> Result<Option<Vec<f64>>, Stopped> {
    if design.n_columns > design.n_rows {
        // (XXᵀ + alpha I) u = y and w = Xᵀu: as many unknowns as rows.
        let gram = gram_of_rows(&design.values, y.len(), stop)?;
        let dual = solve_system(&gram, alpha, &y, stop)?;
        let columns = || design.values.chunks_exact(y.len());
        return Ok(dual.map(|dual| columns().map(|column| dot(column, &dual)).collect()));
    }
    let Sums { gram, moments, .. } = Sums::of(&design, &y, stop)?;
    if let Some(weights) = solve_well(&gram, alpha, &moments, stop)? {
        return Ok(Some(weights));
    }
    match solve_rows(design, y, alpha, stop)? {
        Some(weights) => Ok(Some(weights)),
        None => solve_system(&gram, alpha, &moments, stop),
    }
}

/// Solves (gram + alpha I) w = moments; none where that would cost more than half the digits.
/// `gram` has its lower triangle filled.
pub(super) fn solve_well(
    gram: &[f64],
    alpha: f64,
    moments: &[f64],
    stop: &Stop,
) -> Result<Option<Vec<f64>>, Stopped> {
    Scaled::of(gram, alpha, moments).solve((0.0, WELL), stop)
}

/// The same, with as many digits as there are.
pub(super) fn solve_system(
    gram: &[f64],
    alpha: f64,
    moments: &[f64],
    stop: &Stop,
) -> Result<Option<Vec<f64>>, Stopped> {
    let scaled = Scaled::of(gram, alpha, moments);
    for raise in [0.0, 1e-10, 1e-7, 1e-4] {
        if let Some(solution) = scaled.solve((raise, LEAST), stop)? {
            return Ok(Some(solution));
        }
    }
    Ok(None)
}

/// A system whose unknowns are scaled so that its diagonal is one.
struct Scaled<'a> {
    gram: &'a [f64],
    alpha: f64,
    moments: &'a [f64],
    scales: Vec<f64>,
}

impl<'a> Scaled<'a> {
    fn of(gram: &'a [f64], alpha: f64, moments: &'a [f64]) -> Self {
        let n = moments.len();
        let root = |i: usize| match (gram[i * n + i] + alpha).sqrt() {
            root if root > 0.0 => root,
            _ => 1.0,
        };
        Self { gram, alpha, moments, scales: (0..n).map(|i| root(i).recip()).collect() }
    }

    /// With the diagonal raised; none where a pivot is less than the least.
    fn solve(&self, (raise, least): (f64, f64), stop: &Stop) -> Result<Option<Vec<f64>>, Stopped> {
        let Self { scales, moments, .. } = self;
        let n = moments.len();
        let mut factor = self.gram.to_vec();
        for (i, row) in factor.chunks_exact_mut(n.max(1)).enumerate() {
            row[i] += self.alpha;
            // One after the other: their product may be too large.
            row.iter_mut().zip(scales).for_each(|(sum, scale)| *sum = *sum * scale * scales[i]);
            row[i] += raise;
        }
        if !factorise_to(least, &mut factor, n, stop)? {
            return Ok(None);
        }
        let mut solution: Vec<f64> =
            moments.iter().zip(scales).map(|(sum, scale)| sum * scale).collect();
        substitute(&factor, &mut solution);
        solution.iter_mut().zip(scales).for_each(|(weight, scale)| *weight *= scale);
        Ok(solution.iter().all(|weight| weight.is_finite()).then_some(solution))
    }
}

/// Least ‖y − Xw‖² + alpha‖w‖² from the rows: Householder's reflections of X over √alpha I (Golub and
/// Van Loan, "Matrix Computations", §5.3). A column that is made of those before it has the weight 0.
/// None where numbers are too large.
fn solve_rows(
    design: Design,
    mut y: Vec<f64>,
    alpha: f64,
    stop: &Stop,
) -> Result<Option<Vec<f64>>, Stopped> {
    let n = design.n_columns;
    let n_rows = design.n_rows + n;
    y.resize(n_rows, 0.0);
    let mut columns = Vec::with_capacity(n);
    for index in 0..n {
        let mut column = design.column(index).to_vec();
        column.resize(n_rows, 0.0);
        column[design.n_rows + index] = alpha.sqrt();
        columns.push(column);
    }
    drop(design);
    let mut pivots: Vec<(usize, f64)> = Vec::with_capacity(n);
    for k in 0..n {
        stop.check()?;
        let rank = pivots.len();
        let (before, after) = columns.split_at_mut(k + 1);
        let (above, mirror) = before[k].split_at_mut(rank);
        let size = (dot(above, above) + dot(mirror, mirror)).sqrt();
        let (beta, edge) = reflect(mirror);
        let is_there = edge.abs() > n_rows as f64 * f64::EPSILON * size;
        if !size.is_finite() || !edge.is_finite() {
            return Ok(None);
        }
        if !is_there {
            continue;
        }
        pivots.push((k, edge));
        for column in after.iter_mut().chain([&mut y]) {
            let pull = beta * dot(mirror, &column[rank..]);
            let cells = column[rank..].iter_mut().zip(&*mirror);
            cells.for_each(|(cell, value)| *cell -= pull * value);
        }
    }
    let mut weights = vec![0.0; n];
    for (rank, &(k, edge)) in pivots.iter().enumerate().rev() {
        let weight = y[rank] / edge;
        weights[k] = weight;
        let earlier = y[..rank].iter_mut().zip(&columns[k]);
        earlier.for_each(|(cell, value)| *cell -= value * weight);
    }
    Ok(weights.iter().all(|weight| weight.is_finite()).then_some(weights))
}

/// Cholesky's factor in the lower triangle; false when the matrix is singular.
pub(in crate::trainer) fn factorise(a: &mut [f64], n: usize, stop: &Stop) -> Result<bool, Stopped> {
    factorise_to(LEAST, a, n, stop)
}

/// The same; false where a pivot is less than such a share of the largest number on the diagonal.
fn factorise_to(least: f64, a: &mut [f64], n: usize, stop: &Stop) -> Result<bool, Stopped> {
    let least = (0..n).map(|i| a[i * n + i]).fold(0.0, f64::max) * least;
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

    #[test]
    fn a_duplicated_column_costs_nearly_equal_ones_nothing() {
        let wave = |speed: f64| -> Vec<f64> {
            let own: Vec<f64> = (0..40).map(|t| (t as f64 * speed).sin()).collect();
            let mean = own.iter().sum::<f64>() / 40.0;
            own.iter().map(|value| value - mean).collect()
        };
        let [a, other, c] = [0.7, 1.3, 2.9].map(wave);
        let b: Vec<f64> = a.iter().zip(&other).map(|(a, other)| a + 1e-6 * other).collect();
        let y: Vec<f64> = (0..40).map(|t| 2.0 * a[t] + 3.0 * b[t] - c[t]).collect();
        // The second column is the first, the last the sum of two.
        let sum = a.iter().zip(&c).map(|(a, c)| a + c).collect();
        let values = [a.clone(), a, b, c, sum].concat();
        let design = Design { n_rows: 40, n_columns: 5, values };
        let found = solve(design, y, 0.0, &Stop::default()).unwrap().unwrap();
        for (found, weight) in found.iter().zip([2.0, 0.0, 3.0, -1.0, 0.0]) {
            assert!((found - weight).abs() < 1e-6, "{found} {weight}");
        }
    }

    /// As numpy 2's `lstsq` on the columns over √alpha I; their sums of products know two digits.
    #[test]
    fn columns_that_differ_by_a_ten_millionth_keep_their_weights() {
        let wave = |speed: f64| -> Vec<f64> { (0..40).map(|t| (t as f64 * speed).sin()).collect() };
        let [a, other, c, noise] = [0.7, 1.3, 2.9, 5.1].map(wave);
        let b: Vec<f64> = a.iter().zip(&other).map(|(a, other)| a + 1e-7 * other).collect();
        let y = (0..40).map(|t| 2.0 * a[t] + 3.0 * b[t] - c[t] + 1e-8 * noise[t] + 4.0);
        let centred = |values: Vec<f64>| -> Vec<f64> {
            let mean = values.iter().sum::<f64>() / 40.0;
            values.iter().map(|value| value - mean).collect()
        };
        let y = centred(y.collect());
        let values = [a, b, c].map(centred).concat();
        for (alpha, weights) in [
            (0.0, [1.9790402323623422, 3.0209597675101008, -0.9999999999586887]),
            (1e-14, [2.0274848036777326, 2.972515196019083, -0.9999999999689241]),
            (1e-12, [2.453702715272038, 2.5462972828795123, -1.0000000000589224]),
            (1e-6, [2.4999998900363134, 2.4999999828103525, -0.9999999491619735]),
        ] {
            let design = Design { n_rows: 40, n_columns: 3, values: values.clone() };
            let found = solve(design, y.clone(), alpha, &Stop::default()).unwrap().unwrap();
            for (found, weight) in found.iter().zip(weights) {
                assert!((found - weight).abs() < 1e-6, "{alpha}: {found} {weight}");
            }
        }
    }
}
