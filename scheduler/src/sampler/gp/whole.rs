//! A covariance matrix that is factored and inverted as a whole, as fits need it.
//!
//! Columns lie in panels of four, and products are summed up in tiles of four by four, so that every
//! number that is loaded is used four times. What is missing to a multiple of four points is filled
//! with ones on the diagonal, which changes nothing of the rest.

use super::factor::root_of_pivot;

/// Columns of a panel.
pub(super) const PANEL: usize = 4;

/// One row of a panel.
pub(super) type Lanes = [f64; PANEL];

/// The upper triangle in panels: first the covariances, then their factor `U` with `UᵀU` as their
/// product, then their inverse. Rows below the diagonal of a panel's last ones are not used.
#[derive(Clone, Debug, Default)]
pub(super) struct Whole {
    n_panels: usize,
    upper: Vec<Lanes>,
    /// The inverse of `Uᵀ`: the lower triangle.
    inverse_factor: Vec<Lanes>,
}

impl Whole {
    /// Makes room for so many points.
    pub(super) fn resize(&mut self, n: usize) {
        self.n_panels = n.div_ceil(PANEL);
        let n_rows = start_above(self.n_panels);
        self.upper.resize(n_rows, [0.0; PANEL]);
        self.inverse_factor.resize(n_rows, [0.0; PANEL]);
    }

    pub(super) fn n_panels(&self) -> usize {
        self.n_panels
    }

    /// The rows of a panel, from the first one to those of its own columns.
    pub(super) fn panel(&self, panel: usize) -> &[Lanes] {
        &self.upper[start_above(panel)..start_above(panel + 1)]
    }

    pub(super) fn panel_mut(&mut self, panel: usize) -> &mut [Lanes] {
        &mut self.upper[start_above(panel)..start_above(panel + 1)]
    }

    /// The rows of a panel of the lower triangle, from those of its own columns to the last one.
    fn lower(&self, panel: usize) -> &[Lanes] {
        let end = start_below(panel + 1, self.n_panels);
        &self.inverse_factor[start_below(panel, self.n_panels)..end]
    }

    /// Covariances to their factor.
    #[inline(always)]
    pub(super) fn factor(&mut self) {
        for row_panel in 0..self.n_panels {
            let first = row_panel * PANEL;
            let (earlier, later) = self.upper.split_at_mut(start_above(row_panel + 1));
            let own = &mut earlier[start_above(row_panel)..];
            let (above, diagonal) = own.split_at_mut(first);
            let sums = tile(above, above);
            let mut pivots = [0.0; PANEL];
            for a in 0..PANEL {
                let variance = diagonal[a][a];
                for b in a..PANEL {
                    let inner: f64 = (0..a).map(|c| diagonal[c][a] * diagonal[c][b]).sum();
                    diagonal[a][b] -= sums[a][b] + inner;
                }
                pivots[a] = root_of_pivot(diagonal[a][a], variance);
                diagonal[a][a] = pivots[a];
                (a + 1..PANEL).for_each(|b| diagonal[a][b] /= pivots[a]);
            }
            let (above, diagonal) = (&*above, &*diagonal);
            let mut rest = later;
            for panel in row_panel + 1..self.n_panels {
                let (rows, others) = rest.split_at_mut((panel + 1) * PANEL);
                let (solved, rows) = rows.split_at_mut(first);
                let sums = tile(above, solved);
                for a in 0..PANEL {
                    let mut row = rows[a];
                    for lane in 0..PANEL {
                        row[lane] -= sums[a][lane];
                    }
                    for c in 0..a {
                        for lane in 0..PANEL {
                            row[lane] -= diagonal[c][a] * rows[c][lane];
                        }
                    }
                    rows[a] = row.map(|sum| sum / pivots[a]);
                }
                rest = others;
            }
        }
    }

    /// Half the logarithm of the determinant, of what is factored.
    pub(super) fn half_log_determinant(&self) -> f64 {
        let logs = |panel| {
            let own = &self.panel(panel)[panel * PANEL..];
            own.iter().enumerate().map(|(a, row)| row[a].ln()).sum::<f64>()
        };
        (0..self.n_panels).map(logs).sum()
    }

    /// The product of the inverse with a vector, of what is factored; in place, filled up with zeros.
    #[inline(always)]
    pub(super) fn solve(&self, v: &mut Vec<f64>) {
        v.resize(self.n_panels * PANEL, 0.0);
        for panel in 0..self.n_panels {
            let (solved, own) = v.split_at_mut(panel * PANEL);
            let (above, diagonal) = self.panel(panel).split_at(panel * PANEL);
            let mut sums = [0.0; PANEL];
            for (row, solved) in above.iter().zip(solved) {
                for lane in 0..PANEL {
                    sums[lane] += row[lane] * *solved;
                }
            }
            for a in 0..PANEL {
                let inner: f64 = (0..a).map(|c| diagonal[c][a] * own[c]).sum();
                own[a] = (own[a] - sums[a] - inner) / diagonal[a][a];
            }
        }
        for panel in (0..self.n_panels).rev() {
            let (rest, own) = v.split_at_mut(panel * PANEL);
            let (above, diagonal) = self.panel(panel).split_at(panel * PANEL);
            for a in (0..PANEL).rev() {
                let inner: f64 = (a + 1..PANEL).map(|c| diagonal[a][c] * own[c]).sum();
                own[a] = (own[a] - inner) / diagonal[a][a];
            }
            for (row, rest) in above.iter().zip(rest) {
                let [a, b, c, d] = *row;
                *rest -= (a * own[0] + b * own[1]) + (c * own[2] + d * own[3]);
            }
        }
    }

    /// The factor to the inverse of the covariances.
    #[inline(always)]
    pub(super) fn invert(&mut self) {
        for panel in 0..self.n_panels {
            let first = panel * PANEL;
            let factor = &self.upper[start_above(panel)..start_above(panel + 1)];
            let diagonal = &factor[first..];
            let scales = [0, 1, 2, 3].map(|a| 1.0 / diagonal[a][a]);
            for column_panel in 0..=panel {
                let start = start_below(column_panel, self.n_panels);
                let top = column_panel * PANEL;
                let (solved, rows) = self.inverse_factor[start..].split_at_mut(first - top);
                let sums = tile(&factor[top..first], solved);
                for a in 0..PANEL {
                    let mut row = sums[a].map(|sum| -sum);
                    if column_panel == panel {
                        row[a] += 1.0;
                    }
                    for c in 0..a {
                        for lane in 0..PANEL {
                            row[lane] -= diagonal[c][a] * rows[c][lane];
                        }
                    }
                    rows[a] = row.map(|sum| sum * scales[a]);
                }
            }
        }
        for panel in 0..self.n_panels {
            for row_panel in 0..=panel {
                let rows = &self.lower(row_panel)[(panel - row_panel) * PANEL..];
                let sums = tile(rows, self.lower(panel));
                let start = start_above(panel) + row_panel * PANEL;
                self.upper[start..start + PANEL].copy_from_slice(&sums);
            }
        }
    }
}

/// Where a panel of the upper triangle starts.
fn start_above(panel: usize) -> usize {
    PANEL * panel * (panel + 1) / 2
}

/// Where one of the lower triangle starts.
fn start_below(panel: usize, n_panels: usize) -> usize {
    PANEL * panel * (2 * n_panels + 1 - panel) / 2
}

/// Sums of the products of the columns of two panels, over as many rows as both have.
#[inline(always)]
fn tile(left: &[Lanes], right: &[Lanes]) -> [Lanes; PANEL] {
    let mut sums = [[0.0; PANEL]; PANEL];
    for (left, right) in left.iter().zip(right) {
        for a in 0..PANEL {
            for b in 0..PANEL {
                sums[a][b] += left[a] * right[b];
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covariance(i: usize, j: usize) -> f64 {
        let distance = i.abs_diff(j) as f64 * 0.3;
        (-distance * distance).exp() + if i == j { 0.01 } else { 0.0 }
    }

    fn whole(n: usize) -> Whole {
        let mut whole = Whole::default();
        // What was in it before leaves nothing behind.
        whole.resize(50);
        whole.upper.fill([f64::NAN; PANEL]);
        whole.inverse_factor.fill([f64::NAN; PANEL]);
        whole.resize(n);
        for panel in 0..whole.n_panels() {
            for (i, row) in whole.panel_mut(panel).iter_mut().enumerate() {
                for (lane, covariance_of) in row.iter_mut().enumerate() {
                    let j = panel * PANEL + lane;
                    let is_filled = i >= n || j >= n;
                    let filled = f64::from(u8::from(i == j));
                    *covariance_of = if is_filled { filled } else { covariance(i, j) };
                }
            }
        }
        whole
    }

    #[test]
    fn the_inverse_undoes_the_matrix() {
        for n in [1, 2, 3, 4, 5, 8, 29] {
            let mut whole = whole(n);
            whole.factor();
            let right: Vec<f64> = (0..n).map(|i| (i * 7 % 5) as f64 - 2.0).collect();
            let mut solution = right.clone();
            whole.solve(&mut solution);
            let half = whole.half_log_determinant();
            whole.invert();
            let entry = |i: usize, j: usize| {
                let (i, j) = (i.min(j), i.max(j));
                whole.panel(j / PANEL)[i][j % PANEL]
            };
            for (i, right) in right.iter().enumerate() {
                let product: f64 = (0..n).map(|j| covariance(i, j) * solution[j]).sum();
                assert!((product - right).abs() < 1e-9);
                for k in 0..n {
                    let product: f64 = (0..n).map(|j| covariance(i, j) * entry(j, k)).sum();
                    assert!((product - f64::from(u8::from(i == k))).abs() < 1e-9, "{n} {i} {k}");
                }
            }
            // The determinant is the product of what each point leaves over of the next.
            let mut grown = super::super::factor::Factor::default();
            (0..n).for_each(|i| {
                grown.push(&(0..=i).map(|j| covariance(i, j)).collect::<Vec<f64>>());
            });
            let logs: f64 = (0..n).map(|i| grown.row(i)[i].ln()).sum();
            assert!((half - logs).abs() < 1e-9);
        }
    }

    #[test]
    fn duplicates_are_harmless() {
        let mut whole = Whole::default();
        whole.resize(8);
        (0..2).for_each(|panel| whole.panel_mut(panel).fill([1.0; PANEL]));
        whole.factor();
        let mut solution = vec![1.0; 8];
        whole.solve(&mut solution);
        assert!(solution.iter().all(|x| x.is_finite()));
        whole.invert();
        assert!(whole.panel(1).iter().flatten().all(|x| x.is_finite()));
    }
}
