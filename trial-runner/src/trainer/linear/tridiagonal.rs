//! (G + alpha I) w = m for many alphas: G is brought to tridiagonal form once.
//!
//! Householder's reflections turn G into Q T Qᵀ (Golub and Van Loan, "Matrix Computations", §8.3.1),
//! which costs as much as a few Cholesky factors; then each alpha costs a walk along T, and eight of
//! them walk side by side. No eigenvalue is ever computed. A system whose condition would cost
//! digits is left to Cholesky: [`Tridiagonal::is_safe`].

use crate::model::products::dot;
use crate::stop::{Stop, Stopped};

/// Alphas that are solved side by side.
pub(super) const LANES: usize = 8;
/// The least eigenvalue, as a share of the largest entry, that keeps ten digits.
const LEAST: f64 = 1e-6;

type Lane = [f64; LANES];

/// A system of which only alpha is open, divided by its largest entry.
#[derive(Debug)]
pub(super) struct Tridiagonal {
    diagonal: Vec<f64>,
    beside: Vec<f64>,
    /// The vectors of the reflections, one after the other, each one number shorter, and two over
    /// their squared lengths.
    reflectors: Vec<f64>,
    betas: Vec<f64>,
    /// Qᵀm.
    moments: Vec<f64>,
    largest: f64,
    /// Whether any alpha is safe.
    is_sound: bool,
}

/// Memory that solving needs.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    inverses: Vec<Lane>,
    ratios: Vec<Lane>,
}

impl Tridiagonal {
    /// `gram` is symmetric, and all of it is there.
    pub(super) fn of(gram: &[f64], moments: &[f64], stop: &Stop) -> Result<Self, Stopped> {
        let n = moments.len();
        let diagonal = (0..n).map(|i| gram[i * n + i]).fold(0.0, f64::max);
        let largest = if diagonal > 0.0 && diagonal.is_finite() { diagonal } else { 1.0 };
        let mut work: Vec<f64> = gram.iter().map(|value| value / largest).collect();
        let mut moments: Vec<f64> = moments.iter().map(|value| value / largest).collect();
        let n_reflections = n.saturating_sub(2);
        let mut reflectors = Vec::with_capacity(n * n_reflections / 2 + n);
        let mut betas = Vec::with_capacity(n_reflections);
        let mut beside = Vec::with_capacity(n);
        let mut products = vec![0.0; n];
        for k in 0..n_reflections {
            stop.check()?;
            let (above, below) = work.split_at_mut((k + 1) * n);
            let first = reflectors.len();
            reflectors.extend_from_slice(&above[k * n + k + 1..]);
            let vector = &mut reflectors[first..];
            let (beta, edge) = reflect(vector);
            betas.push(beta);
            beside.push(edge);
            if beta != 0.0 {
                rotate(below, vector, beta, (n, k + 1), &mut products);
                let pull = beta * dot(vector, &moments[k + 1..]);
                let pairs = moments[k + 1..].iter_mut().zip(&*vector);
                pairs.for_each(|(moment, value)| *moment -= pull * value);
            }
        }
        if n > 1 {
            beside.push(work[(n - 1) * n + n - 2]);
        }
        let diagonal = (0..n).map(|i| work[i * n + i]).collect();
        let mut found =
            Self { diagonal, beside, reflectors, betas, moments, largest, is_sound: false };
        found.is_sound = found.is_safe(0.0);
        Ok(found)
    }

    /// Whether the solution for an alpha has ten digits: no eigenvalue of T + alpha I is small, for
    /// as many are below a bound as T less the bound has pivots below zero (Sturm).
    pub(super) fn is_safe(&self, alpha: f64) -> bool {
        let alpha = alpha / self.largest;
        if self.is_sound || alpha > 1.0 {
            return alpha.is_finite();
        }
        let shift = alpha - LEAST;
        let mut pivot = f64::INFINITY;
        for (index, value) in self.diagonal.iter().enumerate() {
            let edge = if index == 0 { 0.0 } else { self.beside[index - 1] };
            pivot = value + shift - edge * edge / pivot;
            // Nonsense fails too.
            if pivot.is_nan() || pivot <= 0.0 {
                return false;
            }
        }
        true
    }

    /// The weights for each alpha, column after column; what an alpha gets does not depend on those
    /// beside it.
    pub(super) fn solve(&self, alphas: &Lane, scratch: &mut Scratch, weights: &mut Vec<f64>) {
        let n = self.diagonal.len();
        weights.clear();
        weights.resize(n * LANES, 0.0);
        scratch.inverses.resize(n, [0.0; LANES]);
        scratch.ratios.resize(n, [0.0; LANES]);
        let (rows, _) = weights.as_chunks_mut::<LANES>();
        self.walk(&alphas.map(|alpha| alpha / self.largest), scratch, rows);
        // Q is the product of the reflections, so the last one comes first.
        let mut end = self.reflectors.len();
        for (k, beta) in self.betas.iter().enumerate().rev() {
            let rows = &mut rows[k + 1..];
            let vector = &self.reflectors[end - rows.len()..end];
            end -= rows.len();
            let mut pulls = [0.0; LANES];
            for (value, row) in vector.iter().zip(&*rows) {
                for lane in 0..LANES {
                    pulls[lane] += value * row[lane];
                }
            }
            for (value, row) in vector.iter().zip(rows) {
                let value = value * beta;
                for lane in 0..LANES {
                    row[lane] -= value * pulls[lane];
                }
            }
        }
    }

    /// Solves (T + alpha I) x = Qᵀm.
    fn walk(&self, alphas: &Lane, scratch: &mut Scratch, rows: &mut [Lane]) {
        let (mut before, mut ratio) = ([0.0; LANES], [0.0; LANES]);
        let mut edge = 0.0;
        let steps = self.diagonal.iter().zip(&self.moments).zip(rows.iter_mut()).enumerate();
        for (index, ((value, moment), row)) in steps {
            let next = self.beside.get(index).copied().unwrap_or(0.0);
            for lane in 0..LANES {
                let pivot = value + alphas[lane] - ratio[lane] * edge;
                row[lane] = moment - ratio[lane] * before[lane];
                scratch.inverses[index][lane] = 1.0 / pivot;
            }
            before = *row;
            ratio = scratch.inverses[index].map(|inverse| next * inverse);
            scratch.ratios[index] = ratio;
            edge = next;
        }
        let mut later = [0.0; LANES];
        for (index, row) in rows.iter_mut().enumerate().rev() {
            let (inverses, ratios) = (&scratch.inverses[index], &scratch.ratios[index]);
            for lane in 0..LANES {
                row[lane] = row[lane] * inverses[lane] - ratios[lane] * later[lane];
            }
            later = *row;
        }
    }
}

/// Makes a vector the mirror that leaves of itself only a first number; two over its squared
/// length, and that number.
pub(super) fn reflect(vector: &mut [f64]) -> (f64, f64) {
    let rest = dot(&vector[1..], &vector[1..]);
    let head = vector[0];
    if rest == 0.0 {
        return (0.0, head);
    }
    let length = (head * head + rest).sqrt();
    let edge = if head > 0.0 { -length } else { length };
    vector[0] = head - edge;
    (2.0 / (vector[0] * vector[0] + rest), edge)
}

/// Reflects the rows and columns of a symmetric matrix from `first` on; `rows` begins with the row
/// `first`.
fn rotate(
    rows: &mut [f64],
    vector: &[f64],
    beta: f64,
    (n, first): (usize, usize),
    products: &mut [f64],
) {
    let products = &mut products[..vector.len()];
    for (row, product) in rows.chunks_exact(n).zip(&mut *products) {
        *product = beta * dot(&row[first..], vector);
    }
    let half = 0.5 * beta * dot(products, vector);
    products.iter_mut().zip(vector).for_each(|(product, value)| *product -= half * value);
    for (index, row) in rows.chunks_exact_mut(n).enumerate() {
        let (value, product) = (vector[index], products[index]);
        let cells = row[first..].iter_mut().zip(&*products).zip(vector);
        cells.for_each(|((cell, other_product), other_value)| {
            *cell -= value * other_product + product * other_value;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// XᵀX and Xᵀy of numbers that look like chance.
    fn system(n: usize, n_rows: usize) -> (Vec<f64>, Vec<f64>) {
        let value =
            |row: usize, column: usize| ((row * 37 + row * column * 11 + column) as f64).sin();
        let sum = |i: usize, j: usize| (0..n_rows).map(|row| value(row, i) * value(row, j)).sum();
        let gram = (0..n * n).map(|at| sum(at / n, at % n)).collect();
        (gram, (0..n).map(|i| sum(i, n + 3)).collect())
    }

    #[test]
    fn solves_the_system_for_every_alpha() {
        let alphas = [0.0, 1e-6, 0.01, 0.5, 1.0, 30.0, 1e4, 1e12];
        for n in [1, 2, 3, 4, 9, 20] {
            let (gram, moments) = system(n, 200);
            let found = Tridiagonal::of(&gram, &moments, &Stop::default()).unwrap();
            let mut weights = Vec::new();
            found.solve(&alphas, &mut Scratch::default(), &mut weights);
            for (lane, alpha) in alphas.iter().enumerate() {
                assert!(found.is_safe(*alpha), "{n} {alpha}");
                for i in 0..n {
                    let weight = |j: usize| weights[j * LANES + lane];
                    let product: f64 = (0..n).map(|j| gram[i * n + j] * weight(j)).sum();
                    let left = product + alpha * weight(i) - moments[i];
                    assert!(left.abs() < 1e-10, "{n} {alpha}: {left}");
                }
            }
        }
    }

    #[test]
    fn an_alpha_gets_the_same_whoever_is_beside_it() {
        let (gram, moments) = system(7, 40);
        let found = Tridiagonal::of(&gram, &moments, &Stop::default()).unwrap();
        let solve = |alphas: &Lane, lane: usize| {
            let mut weights = Vec::new();
            found.solve(alphas, &mut Scratch::default(), &mut weights);
            (0..7).map(|i| weights[i * LANES + lane].to_bits()).collect::<Vec<_>>()
        };
        let alphas = [3.0, 0.1, 5.0, 1e3, 0.7, 2.0, 1e-9, 4.0];
        for (lane, alpha) in alphas.iter().enumerate() {
            assert_eq!(solve(&alphas, lane), solve(&[*alpha; LANES], 0));
        }
    }

    #[test]
    fn a_singular_system_is_safe_from_an_alpha_on() {
        // Two columns are one.
        let (mut gram, mut moments) = system(5, 60);
        for i in 0..5 {
            gram[i * 5 + 4] = gram[i * 5 + 1];
        }
        for i in 0..5 {
            gram[4 * 5 + i] = gram[5 + i];
        }
        moments[4] = moments[1];
        let found = Tridiagonal::of(&gram, &moments, &Stop::default()).unwrap();
        assert!(!found.is_safe(0.0) && !found.is_safe(1e-9));
        assert!(found.is_safe(1e-2) && found.is_safe(1e9));
        assert!(!found.is_safe(f64::INFINITY));
    }
}
