//! Sequential minimal optimisation: the quadratic programme behind support vectors.
//!
//! Fan, Chen and Lin, "Working Set Selection Using Second Order Information for Training Support
//! Vector Machines" (2005), as in LIBSVM but without shrinking. Minimises ½ aᵀQa + pᵀa where
//! 0 ≤ aᵢ ≤ C, the signed sum of a is zero and Q holds kernels times signs.

use super::FitError;
use crate::model::kernel::Kernel;
use crate::stop::Stop;

/// Bytes of kernel rows that are kept.
const CACHE_BYTES: usize = 64 << 20;
/// Stands in for a curvature that is not above zero.
const TAU: f64 = 1e-12;

/// The programme. A variable belongs to row `variable % n_rows`.
pub(super) struct Programme<'a> {
    pub(super) kernel: Kernel,
    /// Row after row.
    pub(super) rows: &'a [f64],
    pub(super) n_rows: usize,
    /// 1 or −1 a variable.
    pub(super) signs: &'a [f64],
    pub(super) linear: &'a [f64],
    pub(super) c: f64,
    pub(super) tolerance: f64,
    pub(super) max_rounds: usize,
}

/// The solution: the variables, the gradient there, and the threshold.
pub(super) struct Solution {
    pub(super) alphas: Vec<f64>,
    pub(super) gradient: Vec<f64>,
    pub(super) rho: f64,
}

impl Programme<'_> {
    pub(super) fn solve(&self, stop: &Stop) -> Result<Solution, FitError> {
        let mut kernels = Kernels::new(self);
        let mut alphas = vec![0.0_f64; self.signs.len()];
        let mut gradient = self.linear.to_vec();
        for round in 0..self.max_rounds {
            if round % 64 == 0 || self.n_rows > 1_000 {
                stop.check()?;
            }
            let Some((i, j)) = self.pair(&alphas, &gradient, &mut kernels) else {
                break;
            };
            let (old_i, old_j) = (alphas[i], alphas[j]);
            let curvature = kernels.curvature(i, j);
            self.step(&mut alphas, &gradient, (i, j), curvature);
            let (d_i, d_j) = (alphas[i] - old_i, alphas[j] - old_j);
            self.update(&mut gradient, kernels.row(i), self.signs[i] * d_i);
            self.update(&mut gradient, kernels.row(j), self.signs[j] * d_j);
            if !gradient[i].is_finite() {
                return Err(FitError::because(
                    "the kernel's values are too large; lower gamma or degree",
                ));
            }
        }
        Ok(Solution { rho: self.rho(&alphas, &gradient), alphas, gradient })
    }

    fn update(&self, gradient: &mut [f64], row: &[f64], step: f64) {
        for (part, signs) in gradient.chunks_mut(self.n_rows).zip(self.signs.chunks(self.n_rows)) {
            for ((gradient, sign), kernel) in part.iter_mut().zip(signs).zip(row) {
                *gradient += sign * step * kernel;
            }
        }
    }

    /// Whether a variable can still grow along its sign.
    fn is_up(&self, alpha: f64, variable: usize) -> bool {
        if self.signs[variable] > 0.0 { alpha < self.c } else { alpha > 0.0 }
    }

    /// Whether it can still shrink along its sign.
    fn is_low(&self, alpha: f64, variable: usize) -> bool {
        if self.signs[variable] > 0.0 { alpha > 0.0 } else { alpha < self.c }
    }

    /// The pair that promises the largest decrease; none when the solution is good enough.
    fn pair(
        &self,
        alphas: &[f64],
        gradient: &[f64],
        kernels: &mut Kernels<'_>,
    ) -> Option<(usize, usize)> {
        let mut top = f64::NEG_INFINITY;
        let mut first = None;
        for (t, &alpha) in alphas.iter().enumerate() {
            let value = -self.signs[t] * gradient[t];
            if self.is_up(alpha, t) && value > top {
                (top, first) = (value, Some(t));
            }
        }
        let first = first?;
        let own = kernels.diagonal[first % self.n_rows];
        let (row, diagonal) = kernels.row_and_diagonal(first);
        let (mut bottom, mut least, mut second) = (f64::INFINITY, 0.0, None);
        for (t, &alpha) in alphas.iter().enumerate() {
            if !self.is_low(alpha, t) {
                continue;
            }
            let value = -self.signs[t] * gradient[t];
            bottom = bottom.min(value);
            let gap = top - value;
            if gap > 0.0 {
                let at = t % self.n_rows;
                let curvature = own + diagonal[at] - 2.0 * row[at];
                let gain = -gap * gap / if curvature > 0.0 { curvature } else { TAU };
                if gain < least {
                    (least, second) = (gain, Some(t));
                }
            }
        }
        if top - bottom < self.tolerance {
            return None;
        }
        second.map(|second| (first, second))
    }

    /// The best step along the pair that stays within the box.
    fn step(&self, alphas: &mut [f64], gradient: &[f64], (i, j): (usize, usize), curvature: f64) {
        let c = self.c;
        if self.signs[i] == self.signs[j] {
            let delta = (gradient[i] - gradient[j]) / curvature;
            let sum = alphas[i] + alphas[j];
            let (low, high) = ((sum - c).max(0.0), sum.min(c));
            alphas[i] = (alphas[i] - delta).clamp(low, high);
            alphas[j] = (sum - alphas[i]).clamp(0.0, c);
        } else {
            let delta = -(gradient[i] + gradient[j]) / curvature;
            let difference = alphas[i] - alphas[j];
            let (low, high) = (difference.max(0.0), (c + difference).min(c));
            alphas[i] = (alphas[i] + delta).clamp(low, high);
            alphas[j] = (alphas[i] - difference).clamp(0.0, c);
        }
    }

    /// The threshold: the mean over free variables, else the middle of what the bounds allow.
    fn rho(&self, alphas: &[f64], gradient: &[f64]) -> f64 {
        let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
        let (mut sum, mut n_free) = (0.0, 0_usize);
        for (t, &alpha) in alphas.iter().enumerate() {
            let value = self.signs[t] * gradient[t];
            let (up, down) = (self.is_up(alpha, t), self.is_low(alpha, t));
            match (up, down) {
                (true, true) => {
                    sum += value;
                    n_free += 1;
                }
                (true, false) => high = high.min(value),
                (false, true) => low = low.max(value),
                (false, false) => {}
            }
        }
        if n_free > 0 { sum / n_free as f64 } else { low / 2.0 + high / 2.0 }
    }
}

/// Kernel rows, computed when asked for and kept while there is room.
struct Kernels<'a> {
    programme: &'a Programme<'a>,
    diagonal: Vec<f64>,
    rows: Vec<Option<Vec<f64>>>,
    /// In order of age.
    kept: std::collections::VecDeque<usize>,
    max_kept: usize,
}

impl<'a> Kernels<'a> {
    fn new(programme: &'a Programme<'a>) -> Self {
        let n_rows = programme.n_rows;
        let row = |index| row_of(programme, index);
        Self {
            diagonal: (0..n_rows)
                .map(|index| programme.kernel.value(row(index), row(index)))
                .collect(),
            rows: vec![None; n_rows],
            kept: std::collections::VecDeque::new(),
            max_kept: (CACHE_BYTES / 8 / n_rows.max(1)).max(2),
            programme,
        }
    }

    fn compute(&mut self, variable: usize) {
        let index = variable % self.programme.n_rows;
        if self.rows[index].is_some() {
            return;
        }
        let mut memory = Vec::new();
        if self.kept.len() >= self.max_kept
            && let Some(oldest) = self.kept.pop_front()
        {
            memory = self.rows[oldest].take().unwrap_or_default();
        }
        let own = row_of(self.programme, index);
        memory.clear();
        memory.extend(
            (0..self.programme.n_rows)
                .map(|other| self.programme.kernel.value(own, row_of(self.programme, other))),
        );
        self.rows[index] = Some(memory);
        self.kept.push_back(index);
    }

    fn row(&mut self, variable: usize) -> &[f64] {
        self.row_and_diagonal(variable).0
    }

    fn row_and_diagonal(&mut self, variable: usize) -> (&[f64], &[f64]) {
        self.compute(variable);
        let row = self.rows[variable % self.programme.n_rows].as_deref();
        (row.unwrap_or_default(), &self.diagonal)
    }

    fn curvature(&mut self, i: usize, j: usize) -> f64 {
        let n_rows = self.programme.n_rows;
        let between = self.row(i)[j % n_rows];
        let curvature = self.diagonal[i % n_rows] + self.diagonal[j % n_rows] - 2.0 * between;
        if curvature > 0.0 { curvature } else { TAU }
    }
}

fn row_of<'a>(programme: &'a Programme<'_>, index: usize) -> &'a [f64] {
    let width = programme.rows.len() / programme.n_rows;
    &programme.rows[index * width..(index + 1) * width]
}
