//! A rough distance that is never more than the true one, for many rows at once.
//!
//! |a − b|² = |a|² + |b|² − 2ab, where the products are summed in single precision over sixteen
//! training rows side by side, and what rounding can add is taken off. The few rows that are not
//! certainly further than the neighbours known so far are then measured exactly, so that what is
//! found does not depend on this file.

/// Training rows side by side.
pub(super) const LANES: usize = 16;
/// Queries that share what is loaded of the training rows.
const QUERIES: usize = 2;
/// Beyond this single precision overflows.
const MAX_NORM: f64 = 1e30;

/// Training rows in panels: each column's numbers of sixteen rows lie together.
pub(super) struct Sieve {
    panels: Vec<f32>,
    /// The square of each row's length.
    norms: Vec<f64>,
    n_columns: usize,
    /// How much of |a|² + |b|² rounding can be.
    slack: f64,
    /// How much rounding can be where it hits the smallest numbers.
    floor: f64,
}

/// Queries in single precision, row after row.
pub(super) struct Sifted {
    rows: Vec<f32>,
    norms: Vec<f64>,
}

impl Sieve {
    /// None where the rows hold numbers too large for it.
    pub(super) fn new(rows: &[f64], n_columns: usize) -> Option<Self> {
        let n_rows = rows.len() / n_columns;
        let norms = norms(rows, n_columns)?;
        let mut panels = vec![0.0; n_rows.div_ceil(LANES) * LANES * n_columns];
        for (row, values) in rows.chunks_exact(n_columns).enumerate() {
            let first = row / LANES * LANES * n_columns + row % LANES;
            for (column, value) in values.iter().enumerate() {
                panels[first + column * LANES] = *value as f32;
            }
        }
        // A sum of n products is off by up to n roundings of Σ|aᵢbᵢ| ≤ (|a|² + |b|²) / 2, and each
        // product by those of its two factors and its own; all of it counts twice. Twice that again
        // covers the terms of second order.
        let slack = 2.0 * (n_columns as f64 + 8.0) * f64::from(f32::EPSILON);
        // A factor or a product near zero is off by 1e-45 at most, times a factor of at most 1e15.
        let floor = 1e-29 * n_columns as f64;
        Some(Self { panels, norms, n_columns, slack, floor })
    }

    /// The queries in the sieve's form; none where they hold numbers too large for it.
    pub(super) fn sift(&self, queries: &[f64]) -> Option<Sifted> {
        let norms = norms(queries, self.n_columns)?;
        Some(Sifted { rows: queries.iter().map(|value| *value as f32).collect(), norms })
    }

    /// Shows each query's least possible distances to the rows of a panel. Those behind the last
    /// row mean nothing.
    pub(super) fn rough(
        &self,
        panel: usize,
        queries: &Sifted,
        mut show: impl FnMut(usize, &[f64; LANES]),
    ) {
        let n_values = LANES * self.n_columns;
        let (values, _) = self.panels[panel * n_values..][..n_values].as_chunks::<LANES>();
        let mut norms = [0.0; LANES];
        for (norm, known) in norms.iter_mut().zip(&self.norms[panel * LANES..]) {
            *norm = *known;
        }
        for (group, rows) in queries.rows.chunks(QUERIES * self.n_columns).enumerate() {
            let first = group * QUERIES;
            let mut dots = [[0.0_f32; LANES]; QUERIES];
            let n_queries = rows.len() / self.n_columns;
            if n_queries == QUERIES {
                let (a, b) = rows.split_at(self.n_columns);
                dots = two_dots(values, a, b);
            } else {
                for (dots, row) in dots.iter_mut().zip(rows.chunks(self.n_columns)) {
                    *dots = two_dots(values, row, row)[0];
                }
            }
            for (index, dots) in dots.iter().enumerate().take(n_queries) {
                let own = queries.norms[first + index];
                let mut least = [0.0; LANES];
                for lane in 0..LANES {
                    let sum = own + norms[lane];
                    least[lane] = sum - 2.0 * f64::from(dots[lane]) - self.slack * sum - self.floor;
                }
                show(first + index, &least);
            }
        }
    }
}

/// The products of two queries with a panel.
fn two_dots(values: &[[f32; LANES]], a: &[f32], b: &[f32]) -> [[f32; LANES]; QUERIES] {
    let (mut of_a, mut of_b) = ([0.0; LANES], [0.0; LANES]);
    for ((values, a), b) in values.iter().zip(a).zip(b) {
        for lane in 0..LANES {
            of_a[lane] += values[lane] * a;
            of_b[lane] += values[lane] * b;
        }
    }
    [of_a, of_b]
}

fn norms(rows: &[f64], n_columns: usize) -> Option<Vec<f64>> {
    let norm = |row: &[f64]| {
        let norm = row.iter().map(|value| value * value).sum::<f64>();
        (norm < MAX_NORM).then_some(norm)
    };
    rows.chunks_exact(n_columns).map(norm).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::products::squared_distance;
    use rand::{Rng, SeedableRng};

    #[test]
    fn never_more_than_the_distance_and_hardly_less() {
        let mut rng = rand_pcg::Pcg64Mcg::seed_from_u64(3);
        let mut draw = |n: usize, scale: f64| -> Vec<f64> {
            (0..n).map(|_| scale * (rng.next_u64() as f64 / u64::MAX as f64 - 0.3)).collect()
        };
        for (n_columns, scale) in [(1, 1e-20), (3, 1.0), (40, 1e6), (500, 1e-3)] {
            let (rows, mut queries) = (draw(37 * n_columns, scale), draw(5 * n_columns, scale));
            // A query that is a row.
            queries[..n_columns].copy_from_slice(&rows[36 * n_columns..]);
            let sieve = Sieve::new(&rows, n_columns).unwrap();
            let sifted = sieve.sift(&queries).unwrap();
            let mut n_shown = 0;
            for panel in 0..3 {
                sieve.rough(panel, &sifted, |query, least| {
                    let query = &queries[query * n_columns..][..n_columns];
                    let of_panel = rows.chunks(n_columns).skip(panel * LANES);
                    for (row, least) in of_panel.zip(least) {
                        let (exact, most) =
                            (squared_distance(query, row), 1.2 * scale * scale * n_columns as f64);
                        assert!(*least <= exact, "{least} {exact}");
                        assert!(exact - least < 3e-4 * most + 1e-28, "{least} {exact}");
                        n_shown += 1;
                    }
                });
            }
            assert_eq!(n_shown, 37 * 5);
        }
        assert!(Sieve::new(&[1e16], 1).is_none());
        assert!(Sieve::new(&[f64::NAN], 1).is_none());
    }
}
