//! Lag polynomials as filters along a series, with zeros before its start.
//!
//! A product of two factors is applied one factor after the other, which costs as many
//! multiplications as there are coefficients, whatever the length of the season.

use super::factor::Factor;

/// x ← (1 − Σ cⱼ Bʲ) x, where B shifts by `step`.
pub(super) fn apply(factor: &Factor, step: usize, x: &mut [f64]) {
    let n = x.len();
    match factor.as_slice() {
        [] => {}
        [first] => {
            for t in (step..n).rev() {
                x[t] -= first * x[t - step];
            }
        }
        [first, second] => {
            for t in (2 * step..n).rev() {
                x[t] -= first * x[t - step] + second * x[t - 2 * step];
            }
            for t in (step..n.min(2 * step)).rev() {
                x[t] -= first * x[t - step];
            }
        }
        all => {
            for t in (step..n).rev() {
                let mut value = x[t];
                for (lag, coefficient) in (1..=t / step).zip(all) {
                    value -= coefficient * x[t - lag * step];
                }
                x[t] = value;
            }
        }
    }
}

/// x ← x / (1 + Σ cⱼ Bʲ), where B shifts by `step`.
pub(super) fn invert(factor: &Factor, step: usize, x: &mut [f64]) {
    let n = x.len();
    match factor.as_slice() {
        [] => {}
        [first] => {
            for t in step..n {
                x[t] -= first * x[t - step];
            }
        }
        [first, second] => {
            for t in step..n.min(2 * step) {
                x[t] -= first * x[t - step];
            }
            for t in 2 * step..n {
                // The nearer lag last: it is the one that the next step waits for.
                x[t] = (x[t] - second * x[t - 2 * step]) - first * x[t - step];
            }
        }
        all => {
            for t in step..n {
                let n_lags = all.len().min(t / step);
                let mut value = x[t];
                for lag in (1..=n_lags).rev() {
                    value -= all[lag - 1] * x[t - lag * step];
                }
                x[t] = value;
            }
        }
    }
}

/// The same from the end of the series to its start: B shifts the other way.
pub(super) fn invert_backwards(factor: &Factor, step: usize, x: &mut [f64]) {
    let n = x.len();
    match factor.as_slice() {
        [] => {}
        [first] => {
            for t in (0..n.saturating_sub(step)).rev() {
                x[t] -= first * x[t + step];
            }
        }
        all => {
            for t in (0..n.saturating_sub(step)).rev() {
                let n_lags = all.len().min((n - 1 - t) / step);
                let mut value = x[t];
                for lag in (1..=n_lags).rev() {
                    value -= all[lag - 1] * x[t + lag * step];
                }
                x[t] = value;
            }
        }
    }
}
