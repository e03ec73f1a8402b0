//! Lag polynomials as filters along a series, with zeros before its start.
//!
//! A product of two factors is applied one factor after the other, which costs as many
//! multiplications as there are coefficients, whatever the length of the season. A recursion waits for
//! its last result at every step, so series that are filtered alike run abreast, as the [`Lanes`] of one.

use super::factor::Factor;

/// One value of each of several series.
pub(super) trait Lanes: Copy {
    /// No values.
    const ZERO: Self;

    /// self − coefficient · other.
    fn less(self, coefficient: f64, other: Self) -> Self;
}

impl Lanes for f64 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn less(self, coefficient: f64, other: Self) -> Self {
        self - coefficient * other
    }
}

impl Lanes for [f64; 4] {
    const ZERO: Self = [0.0; 4];

    #[inline(always)]
    fn less(self, coefficient: f64, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] - coefficient * other[lane])
    }
}

/// x ← (1 − Σ cⱼ Bʲ) x, where B shifts by `step`.
pub(super) fn apply<T: Lanes>(factor: &Factor, step: usize, x: &mut [T]) {
    let all = factor.as_slice();
    if all.is_empty() {
        return;
    }
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
    match factor.as_slice() {
        [] => {}
        [a] if step == 1 => recur([*a], x.iter_mut()),
        [a, b] if step == 1 => recur([*a, *b], x.iter_mut()),
        [a, b, c] if step == 1 => recur([*a, *b, *c], x.iter_mut()),
        [a, b, c, d] if step == 1 => recur([*a, *b, *c, *d], x.iter_mut()),
        [a, b, c, d, e] if step == 1 => recur([*a, *b, *c, *d, *e], x.iter_mut()),
        all => {
            for t in step..x.len() {
                let mut value = x[t];
                for lag in (1..=all.len().min(t / step)).rev() {
                    value = value.less(all[lag - 1], x[t - lag * step]);
                }
                x[t] = value;
            }
        }
    }
}

/// The same from the end of the series to its start: B shifts the other way.
pub(super) fn invert_backwards<T: Lanes>(factor: &Factor, step: usize, x: &mut [T]) {
    match factor.as_slice() {
        [] => {}
        [a] if step == 1 => recur([*a], x.iter_mut().rev()),
        [a, b] if step == 1 => recur([*a, *b], x.iter_mut().rev()),
        [a, b, c] if step == 1 => recur([*a, *b, *c], x.iter_mut().rev()),
        [a, b, c, d] if step == 1 => recur([*a, *b, *c, *d], x.iter_mut().rev()),
        [a, b, c, d, e] if step == 1 => recur([*a, *b, *c, *d, *e], x.iter_mut().rev()),
        all => {
            let n = x.len();
            for t in (0..n.saturating_sub(step)).rev() {
                let mut value = x[t];
                for lag in (1..=all.len().min((n - 1 - t) / step)).rev() {
                    value = value.less(all[lag - 1], x[t + lag * step]);
                }
                x[t] = value;
            }
        }
    }
}

/// The recursion with its last results in registers.
#[inline(always)]
fn recur<'a, T: Lanes + 'a, const N: usize>(
    coefficients: [f64; N],
    x: impl Iterator<Item = &'a mut T>,
) {
    let mut last = [T::ZERO; N];
    for place in x {
        let mut value = *place;
        // The nearest lag last: it is the one that the next step waits for.
        for lag in (0..N).rev() {
            value = value.less(coefficients[lag], last[lag]);
        }
        for lag in (1..N).rev() {
            last[lag] = last[lag - 1];
        }
        last[0] = value;
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverting_undoes_applying() {
        let x: Vec<f64> = (0..40).map(|t| f64::from(t * t % 13)).collect();
        for coefficients in [&[][..], &[0.5], &[0.4, -0.3], &[0.1, 0.2, -0.3, 0.1, 0.2, 0.05]] {
            for step in [1, 3, 60] {
                let factor = Factor::of(coefficients);
                let mut there = x.clone();
                apply(&factor, step, &mut there);
                let mut lanes: Vec<[f64; 4]> =
                    there.iter().map(|x| [0.0, *x, 2.0 * x, 0.0]).collect();
                invert(&factor.negated(), step, &mut there);
                invert(&factor.negated(), step, &mut lanes);
                for ((x, back), lanes) in x.iter().zip(there).zip(lanes) {
                    assert!((x - back).abs() < 1e-9, "{coefficients:?} {step}");
                    assert_eq!([0.0, back, 2.0 * back, 0.0], lanes);
                }
            }
        }
    }

    #[test]
    fn backwards_is_forwards_turned_round() {
        let x: Vec<f64> = (0..30).map(|t| f64::from(t * 5 % 7)).collect();
        for coefficients in [&[0.5][..], &[0.4, -0.3], &[0.1, 0.2, -0.3, 0.1, 0.2, 0.05]] {
            for step in [1, 4] {
                let factor = Factor::of(coefficients);
                let (mut backwards, mut forwards) = (x.clone(), x.clone());
                forwards.reverse();
                invert_backwards(&factor, step, &mut backwards);
                invert(&factor, step, &mut forwards);
                forwards.reverse();
                assert_eq!(backwards, forwards);
            }
        }
    }
}
