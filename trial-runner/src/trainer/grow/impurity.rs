//! What a split is judged by: sums over the samples of a side, and their score.

use super::Sample;

/// What makes a side of a split good: sums over its samples, and their score, to be as high as
/// possible in total.
pub(in crate::trainer) trait Impurity {
    /// The sums of one side: an array where their number is known, so that loops over it unroll.
    type Sums: AsRef<[f64]> + AsMut<[f64]> + Default;

    fn zeros(&self) -> Self::Sums;
    /// Adds `share` (one, or zero for nothing) of a sample.
    fn add(&self, sums: &mut [f64], sample: &Sample, share: f64);
    /// Adds the samples whose code is at most `last`, and says how many they are.
    fn add_up_to(&self, last: u8, sums: &mut [f64], samples: &[Sample], codes: &[u8]) -> usize {
        let mut n_added = 0;
        // Which side a sample is on cannot be foreseen: arithmetic is quicker than a branch.
        for (sample, &code) in samples.iter().zip(codes) {
            let is_added = u8::from(code <= last);
            n_added += usize::from(is_added);
            self.add(sums, sample, f64::from(is_added));
        }
        n_added
    }
    fn score(&self, sums: &[f64]) -> f64;
    fn is_pure(&self, samples: &[Sample]) -> bool;
}

/// The sum of squared errors of a number, or of one of two classes (which is half their Gini
/// impurity).
pub(in crate::trainer) struct Variance;

/// The Gini impurity of several classes.
pub(in crate::trainer) struct Gini {
    pub(in crate::trainer) n_classes: usize,
}

/// The entropy of classes.
pub(in crate::trainer) struct Entropy {
    pub(in crate::trainer) n_classes: usize,
}

impl Impurity for Variance {
    type Sums = [f64; 2];

    fn zeros(&self) -> Self::Sums {
        [0.0; 2]
    }

    fn add(&self, sums: &mut [f64], sample: &Sample, share: f64) {
        let weight = sample.weight * share;
        sums[0] += weight;
        sums[1] += weight * sample.value;
    }

    fn add_up_to(&self, last: u8, sums: &mut [f64], samples: &[Sample], codes: &[u8]) -> usize {
        // As the default, with the sums in registers.
        let (mut weights, mut values, mut n_added) = (0.0, 0.0, 0);
        for (sample, &code) in samples.iter().zip(codes) {
            let is_added = u8::from(code <= last);
            let weight = sample.weight * f64::from(is_added);
            weights += weight;
            values += weight * sample.value;
            n_added += usize::from(is_added);
        }
        sums[0] += weights;
        sums[1] += values;
        n_added
    }

    fn score(&self, sums: &[f64]) -> f64 {
        sums[1] * sums[1] / sums[0]
    }

    fn is_pure(&self, samples: &[Sample]) -> bool {
        samples.iter().all(|sample| sample.value == samples[0].value)
    }
}

impl Impurity for Gini {
    type Sums = Vec<f64>;

    fn zeros(&self) -> Self::Sums {
        vec![0.0; self.n_classes]
    }

    fn add(&self, sums: &mut [f64], sample: &Sample, share: f64) {
        sums[sample.class as usize] += sample.weight * share;
    }

    fn score(&self, sums: &[f64]) -> f64 {
        let squares: f64 = sums.iter().map(|sum| sum * sum).sum();
        squares / sums.iter().sum::<f64>()
    }

    fn is_pure(&self, samples: &[Sample]) -> bool {
        samples.iter().all(|sample| sample.class == samples[0].class)
    }
}

impl Impurity for Entropy {
    type Sums = Vec<f64>;

    fn zeros(&self) -> Self::Sums {
        vec![0.0; self.n_classes]
    }

    fn add(&self, sums: &mut [f64], sample: &Sample, share: f64) {
        sums[sample.class as usize] += sample.weight * share;
    }

    fn score(&self, sums: &[f64]) -> f64 {
        let x_log_x = |x: f64| if x > 0.0 { x * x.ln() } else { 0.0 };
        sums.iter().map(|&sum| x_log_x(sum)).sum::<f64>() - x_log_x(sums.iter().sum())
    }

    fn is_pure(&self, samples: &[Sample]) -> bool {
        samples.iter().all(|sample| sample.class == samples[0].class)
    }
}

/// The sums of a node and of the two sides of a split of it.
#[derive(Default)]
pub(super) struct Sides<S> {
    pub(super) total: S,
    /// Without the samples whose value is missing.
    pub(super) left: S,
    pub(super) missing: S,
    /// Room to compute in.
    right: S,
}

/// How many samples there are; the sides need `least` each.
#[derive(Clone, Copy)]
pub(super) struct Counts {
    pub(super) n: usize,
    pub(super) n_left: usize,
    pub(super) n_missing: usize,
    pub(super) least: usize,
}

impl<S: AsRef<[f64]> + AsMut<[f64]>> Sides<S> {
    pub(super) fn new<M: Impurity<Sums = S>>(impurity: &M) -> Self {
        Self {
            total: impurity.zeros(),
            left: impurity.zeros(),
            missing: impurity.zeros(),
            right: impurity.zeros(),
        }
    }

    /// The score with the missing samples on the better side, and whether that is the left one;
    /// none when a side has too few samples.
    #[inline(always)]
    pub(super) fn judge<M: Impurity>(
        &mut self,
        impurity: &M,
        counts: Counts,
    ) -> Option<(f64, bool)> {
        let Counts { n, n_left, n_missing, least } = counts;
        let mut best = None;
        if n_left >= least && n - n_left >= least {
            // Nothing missing here: what is missing later goes with the many.
            let missing_left = n_missing == 0 && n_left > n - n_left;
            best = Some((self.score(impurity), missing_left));
        }
        if n_missing > 0 && n - n_left - n_missing >= least && n_left + n_missing >= least {
            add(self.left.as_mut(), self.missing.as_ref(), 1.0);
            let score = self.score(impurity);
            add(self.left.as_mut(), self.missing.as_ref(), -1.0);
            if best.is_none_or(|(best, _)| score > best) {
                best = Some((score, true));
            }
        }
        best
    }

    #[inline(always)]
    fn score<M: Impurity>(&mut self, impurity: &M) -> f64 {
        let (left, right) = (self.left.as_ref(), self.right.as_mut());
        let others = self.total.as_ref().iter().zip(left);
        for (right, (total, left)) in right.iter_mut().zip(others) {
            *right = total - left;
        }
        impurity.score(left) + impurity.score(right)
    }
}

#[inline(always)]
pub(super) fn add(sums: &mut [f64], others: &[f64], share: f64) {
    for (sum, other) in sums.iter_mut().zip(others) {
        *sum += share * other;
    }
}
