//! Lag polynomials as filters along a series, with zeros before its start.
//!
//! A product of two factors is applied one factor after the other, which costs as many
//! multiplications as there are coefficients, whatever the length of the season. A recursion waits for
//! its last result at every step, so series that are filtered alike run abreast, as the [`Lanes`] of one.

use super::factor::Factor;

/// One value of each of several series.
pub(super) trait Lanes: Copy {
    /// self − coefficient · other.
    fn less(self, coefficient: f64, other: Self) -> Self;
}

impl Lanes for f64 {
    #[inline(always)]
    fn less(self, coefficient: f64, other: Self) -> Self {
        self - coefficient * other
    }
}

impl Lanes for [f64; 4] {
    #[inline(always)]
    fn less(self, coefficient: f64, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] - coefficient * other[lane])
    }
}

/// x ← (1 − Σ cⱼ Bʲ) x, where B shifts by `step`.
pub(super) fn apply<T: Lanes>(factor: &Factor, step: usize, x: &mut [T]) {
    let all = factor.as_slice();
    for t in (step..x.len()).rev() {
        let mut value = x[t];
        for (lag, coefficient) in (1..=t / step).zip(all) {
            value = value.less(*coefficient, x[t - lag * step]);
        }
        x[t] = value;
    }
}

/// x ← x / (1 + Σ cⱼ Bʲ), where B shifts by `step`.
pub(super) fn invert<T: Lanes>(factor: &Factor, step: usize, x: &mut [T]) {
    let n = x.len();
    match factor.as_slice() {
        [] => {}
        [first] => {
            for t in step..n {
                x[t] = x[t].less(*first, x[t - step]);
            }
        }
        all => {
            for t in step..n {
                let n_lags = all.len().min(t / step);
                let mut value = x[t];
                // The nearest lag last: it is the one that the next step waits for.
                for lag in (1..=n_lags).rev() {
                    value = value.less(all[lag - 1], x[t - lag * step]);
                }
                x[t] = value;
            }
        }
    }
}

/// The same from the end of the series to its start: B shifts the other way.
pub(super) fn invert_backwards<T: Lanes>(factor: &Factor, step: usize, x: &mut [T]) {
    let n = x.len();
    match factor.as_slice() {
        [] => {}
        [first] => {
            for t in (0..n.saturating_sub(step)).rev() {
                x[t] = x[t].less(*first, x[t + step]);
            }
        }
        all => {
            for t in (0..n.saturating_sub(step)).rev() {
                let n_lags = all.len().min((n - 1 - t) / step);
                let mut value = x[t];
                for lag in (1..=n_lags).rev() {
                    value = value.less(all[lag - 1], x[t + lag * step]);
                }
                x[t] = value;
            }
        }
    }
}
