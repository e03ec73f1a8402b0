//! How far forecasts were off in back-tests, by steps ahead: the width of prediction intervals.
//!
//! Split conformal prediction (Vovk et al. 2005; Lei et al. 2018): of n sizes of errors the
//! ⌈(n + 1)·level⌉th smallest, or the largest where that is more than there are. Deviations: the
//! errors of the nearest steps ahead are taken together where one step has few of them, and beyond the
//! back-tests' horizon the width grows with the square root of the distance.

use serde::{Deserialize, Serialize};

/// The least number of errors that a width is taken from, where there are as many.
const ENOUGH: usize = 20;

/// No model keeps more.
const MOST: usize = 2_000;

/// Sizes of errors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Errors {
    /// Steps ahead and sizes, by steps in ascending order.
    sizes: Vec<(u32, f64)>,
}

impl Errors {
    /// Of errors at their steps ahead, in any order.
    pub(crate) fn of(errors: impl IntoIterator<Item = (u32, f64)>) -> Self {
        let sizes = errors.into_iter().map(|(ahead, error)| (ahead, error.abs()));
        let mut sizes: Vec<(u32, f64)> = sizes.filter(|(_, size)| size.is_finite()).collect();
        sizes.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let n = sizes.len();
        if n > MOST {
            // Evenly out of all: of each step as many as its share.
            sizes = (0..MOST).map(|at| sizes[at * n / MOST]).collect();
        }
        Self { sizes }
    }

    /// How far a forecast may be off at this level; none where nothing is known.
    pub(crate) fn width(&self, ahead: u32, level: f64) -> Option<f64> {
        let (furthest, _) = *self.sizes.last()?;
        let near = ahead.min(furthest);
        let mut begin = self.sizes.partition_point(|(step, _)| *step < near);
        let mut end = self.sizes.partition_point(|(step, _)| *step <= near);
        while end - begin < ENOUGH && end - begin < self.sizes.len() {
            let distance = |at: usize| self.sizes.get(at).map(|(step, _)| step.abs_diff(near));
            let before = begin.checked_sub(1).and_then(distance).unwrap_or(u32::MAX);
            let after = distance(end).unwrap_or(u32::MAX);
            // A whole step at a time.
            if before <= after && begin > 0 {
                let step = self.sizes[begin - 1].0;
                begin = self.sizes.partition_point(|(other, _)| *other < step);
            } else if let Some(&(step, _)) = self.sizes.get(end) {
                end = self.sizes.partition_point(|(other, _)| *other <= step);
            } else {
                break;
            }
        }
        let mut sizes: Vec<f64> = self.sizes.get(begin..end)?.iter().map(|pair| pair.1).collect();
        sizes.sort_by(f64::total_cmp);
        let rank = ((sizes.len() as f64 + 1.0) * level).ceil().max(1.0) as usize;
        let size = sizes.get(rank.min(sizes.len()).checked_sub(1)?)?;
        let growth = (f64::from(ahead.max(1)) / f64::from(near.max(1))).sqrt();
        Some((size * growth).min(f64::MAX))
    }

    /// Whether stored numbers are sizes in order.
    pub(crate) fn is_sound(&self) -> bool {
        self.sizes.is_sorted_by(|a, b| a.0 <= b.0)
            && self.sizes.iter().all(|(_, size)| size.is_finite() && *size >= 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_ranks_of_the_nearest_errors() {
        let one = Errors::of((1..=9).map(|size| (1, f64::from(size))));
        assert_eq!(one.width(1, 0.8), Some(8.0));
        assert_eq!(one.width(1, 0.5), Some(5.0));
        assert_eq!(one.width(1, 0.95), Some(9.0));
        assert_eq!(one.width(4, 0.5), Some(10.0));
        assert_eq!(Errors::default().width(1, 0.5), None);
        // Steps further ahead are further off, and each has enough of its own.
        let many =
            (1..=3_u32).flat_map(|step| (1..=20).map(move |size| (step, -f64::from(step * size))));
        let many = Errors::of(many);
        assert_eq!(many.width(1, 0.5), Some(11.0));
        assert_eq!(many.width(3, 0.5), Some(33.0));
        assert!(many.is_sound());
        let few = Errors::of([(1, 1.0), (2, 2.0), (3, 3.0)]);
        assert_eq!(few.width(2, 0.5), Some(2.0));
        assert_eq!(few.width(0, 0.9), Some(3.0));
    }

    #[test]
    fn no_model_keeps_too_many() {
        let all = Errors::of((0..100_000).map(|at| (at % 10 + 1, f64::from(at))));
        assert_eq!(all.sizes.len(), MOST);
        assert!(all.width(10, 0.9) > Some(80_000.0));
    }
}
