//! The normal distribution between 0 and 1, and an exponential function for whole slices.

use rand::Rng;
use rand_pcg::Pcg64;
use std::f32::consts::LOG2_E;
use std::f64::consts::{PI, SQRT_2};

use crate::sampler::random::unit;

/// Draws that miss the unit interval before an even one is taken. One in two hits even from a corner
/// with a small deviation.
const MAX_DRAWS: u32 = 64;

/// A draw about a mean that lies in the unit interval, which it does not leave.
pub(super) fn draw(mean: f64, deviation: f64, generator: &mut Pcg64) -> f64 {
    for _ in 0..MAX_DRAWS {
        let radius = (-2.0 * (1.0 - unit(generator.next_u64())).ln()).sqrt();
        let drawn = mean + deviation * radius * (2.0 * PI * unit(generator.next_u64())).cos();
        if (0.0..=1.0).contains(&drawn) {
            return drawn;
        }
    }
    unit(generator.next_u64())
}

/// How much of a normal distribution about a mean lies in the unit interval.
pub(super) fn mass(mean: f64, deviation: f64) -> f64 {
    0.5 * (erfc(-(1.0 - mean) / (SQRT_2 * deviation)) - erfc(mean / (SQRT_2 * deviation)))
}

/// The complementary error function to a relative 1.2e-7: W. H. Press et al., "Numerical recipes in
/// C" (2nd ed.), section 6.2.
fn erfc(x: f64) -> f64 {
    const TERMS: [f64; 10] = [
        0.170_872_77,
        -0.822_152_23,
        1.488_515_87,
        -1.135_203_98,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_68,
        -1.265_512_23,
    ];
    /// Beyond it is less than what a 2 is rounded by.
    const FAR: f64 = 6.0;
    let z = x.abs();
    if z > FAR {
        return if x >= 0.0 { 0.0 } else { 2.0 };
    }
    let t = 1.0 / (1.0 + 0.5 * z);
    let sum = TERMS.iter().fold(0.0, |sum, term| sum * t + term);
    let tail = t * (sum - z * z).exp();
    if x >= 0.0 { tail } else { 2.0 - tail }
}

/// The logarithm of the sum of the exponentials, to some 1e-6: points are only put in order by it.
pub(super) fn log_sum_exp(logs: &[f32]) -> f64 {
    // Eight sums side by side: the compiler keeps their order, and fits them into registers.
    let (eights, rest) = logs.as_chunks::<8>();
    let mut highest = [f32::NEG_INFINITY; 8];
    for eight in eights {
        for (high, &log) in highest.iter_mut().zip(eight) {
            *high = if log > *high { log } else { *high };
        }
    }
    let top = highest.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sums = [0.0; 8];
    for eight in eights {
        for (sum, log) in sums.iter_mut().zip(eight) {
            *sum += exp(log - top);
        }
    }
    let rest: f32 = rest.iter().map(|log| exp(log - top)).sum();
    f64::from(top) + f64::from(sums.iter().sum::<f32>() + rest).ln()
}

/// The exponential of a number that is not positive, to a relative 5e-7, without a branch.
#[inline]
fn exp(x: f32) -> f32 {
    /// Adding it leaves the nearest integer in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = if x > -80.0 { x } else { -80.0 };
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let series = 1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0));
    let fraction = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * series)));
    // The integer goes to the exponent.
    f32::from_bits(fraction.to_bits().wrapping_add(shifted.to_bits() << 23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_and_their_sums_are_right() {
        for i in 0..=8_000u16 {
            let x = -0.01 * f32::from(i);
            let (own, right) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((own - right).abs() <= 5e-7 * right, "{x}: {own} {right}");
        }
        assert!(exp(-1e30) < 1e-34 && exp(f32::NEG_INFINITY) < 1e-34);
        let logs: Vec<f32> = (0..21u8).map(|i| 100.0 - f32::from(i)).collect();
        let right = logs.iter().map(|log| (f64::from(*log) - 100.0).exp()).sum::<f64>().ln();
        assert!((log_sum_exp(&logs) - 100.0 - right).abs() < 1e-5);
    }

    #[test]
    fn masses_are_those_of_the_distribution() {
        assert!((mass(0.5, 0.5) - 0.682_689_492).abs() < 1e-6);
        assert!((mass(0.0, 0.01) - 0.5).abs() < 1e-6);
        assert!((mass(0.3, 1e-4) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn draws_stay_inside_and_follow_the_distribution() {
        let mut generator = Pcg64::new(1, 1);
        let drawn: Vec<f64> = (0..20_000).map(|_| draw(0.1, 0.2, &mut generator)).collect();
        assert!(drawn.iter().all(|unit| (0.0..=1.0).contains(unit)));
        let below = drawn.iter().filter(|unit| **unit < 0.1).count() as f64 / 20_000.0;
        // Half a deviation to the left of the mean is inside, and 4.5 to the right.
        assert!((below - 0.191_46 / 0.691_46).abs() < 0.01, "{below}");
    }
}
