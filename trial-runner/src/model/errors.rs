//! How far forecasts were off in back-tests, by steps ahead: the width of prediction intervals.
//!
//! Split conformal prediction (Vovk et al. 2005; Lei et al. 2018): of n sizes of errors the
//! ⌈(n + 1)·level⌉th smallest. Deviations: back-tests have few errors of each step, so errors of all
//! steps are taken together, each as a multiple of what is usual so far ahead (`errors/growth.rs`).
//! Errors of one forecast resemble each other: where [`ALIKE`] independent ones of each would
//! be too few for a level, the width is no less than Student's t says of normal errors.

mod growth;
mod student;

use serde::{Deserialize, Serialize};

use growth::Growth;

/// No model keeps more.
const MOST: usize = 2_000;

/// How many independent errors one forecast of several steps counts as. The errors of a random walk,
/// each over its size, tell as much of the size as two independent ones.
const ALIKE: usize = 2;

/// Sizes of errors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Errors {
    /// Steps ahead and sizes, by steps in ascending order.
    sizes: Vec<(u32, f64)>,
}

impl Errors {
    /// Of errors at their steps ahead, in any order.
    pub(crate) fn of(errors: impl IntoIterator<Item = (u32, f64)>) -> Self {
        let sizes = errors.into_iter().map(|(ahead, error)| (ahead.max(1), error.abs()));
        let mut sizes: Vec<(u32, f64)> = sizes.filter(|(_, size)| size.is_finite()).collect();
        sizes.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let n = sizes.len();
        if n > MOST {
            // Evenly out of all: of each step as many as its share.
            sizes = (0..MOST).map(|at| sizes[at * n / MOST]).collect();
        }
        Self { sizes }
    }

    /// The most steps ahead that an error is known of.
    pub(crate) fn furthest(&self) -> u32 {
        self.sizes.last().map_or(0, |(ahead, _)| *ahead)
    }

    /// How far forecasts may be off at a level. `told` is how sizes grow by what the method says of
    /// itself, from one step on; empty where it says nothing.
    pub(crate) fn widths(&self, level: f64, told: &[f64]) -> Widths {
        let growth = Growth::of(&self.sizes, told);
        // Multiples of what is usual; where nothing was ever off, there is nothing to divide by.
        let multiples = self.sizes.iter().map(|&(ahead, size)| size / growth.usual(ahead));
        let mut multiples: Vec<f64> = multiples.filter(|multiple| multiple.is_finite()).collect();
        multiples.sort_by(f64::total_cmp);
        let n = multiples.len();
        let rank = ((n as f64 + 1.0) * level).ceil().max(1.0) as usize;
        let mut multiple = match rank.min(n).checked_sub(1) {
            Some(at) => multiples.get(at).copied().unwrap_or(0.0),
            None => 0.0,
        };
        let n_independent = (ALIKE * self.n_forecasts()).min(n);
        if (n_independent as f64 + 1.0) * level > n_independent as f64 {
            let mean_square = multiples.iter().map(|size| size * size / n as f64).sum::<f64>();
            let normal = mean_square.sqrt() * student::point(level, n_independent);
            multiple = multiple.max(if normal.is_finite() { normal } else { 0.0 });
        }
        Widths { growth, multiple, is_known: !self.sizes.is_empty() }
    }

    /// How many forecasts the errors are of: as many as the step has that has the most.
    fn n_forecasts(&self) -> usize {
        self.sizes.chunk_by(|a, b| a.0 == b.0).map(<[_]>::len).max().unwrap_or(0)
    }

    /// Whether stored numbers are sizes in order.
    pub(crate) fn is_sound(&self) -> bool {
        self.sizes.is_sorted_by(|a, b| a.0 <= b.0)
            && self.sizes.iter().all(|(_, size)| size.is_finite() && *size >= 0.0)
    }
}

/// How far forecasts may be off at one level.
#[derive(Clone, Debug)]
pub(crate) struct Widths {
    growth: Growth,
    multiple: f64,
    is_known: bool,
}

impl Widths {
    /// So many steps ahead; none where nothing is known.
    pub(crate) fn at(&self, ahead: u32) -> Option<f64> {
        self.is_known.then(|| (self.growth.usual(ahead) * self.multiple).min(f64::MAX))
    }
}

#[cfg(test)]
mod tests;
