//! The normal distribution between 0 and 1, and an exponential function for whole slices.

use rand::Rng;
use rand_pcg::Pcg64;
use std::f64::consts::{LOG2_E, PI, SQRT_2};

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
    let z = x.abs();
    let t = 1.0 / (1.0 + 0.5 * z);
    let sum = TERMS.iter().fold(0.0, |sum, term| sum * t + term);
    let tail = t * (sum - z * z).exp();
    if x >= 0.0 { tail } else { 2.0 - tail }
}

/// The logarithm of the sum of the exponentials.
pub(super) fn log_sum_exp(logs: &[f64]) -> f64 {
    // Four sums side by side: the compiler keeps their order, and fits them into registers.
    let (fours, rest) = logs.as_chunks::<4>();
    let mut highest = [f64::NEG_INFINITY; 4];
    for four in fours {
        for (high, &log) in highest.iter_mut().zip(four) {
            *high = if log > *high { log } else { *high };
        }
    }
    let top = highest.iter().chain(rest).copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sums = [0.0; 4];
    for four in fours {
        for (sum, log) in sums.iter_mut().zip(four) {
            *sum += exp(log - top);
        }
    }
    let rest: f64 = rest.iter().map(|log| exp(log - top)).sum();
    top + (sums.iter().sum::<f64>() + rest).ln()
}

/// The exponential of a number that is not positive, to a relative 2e-9, without a branch.
#[inline]
fn exp(x: f64) -> f64 {
    /// Adding it leaves the nearest integer in the lowest bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let x = if x > -700.0 { x } else { -700.0 };
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let series = 1.0 / 720.0 + r * (1.0 / 5_040.0 + r * (1.0 / 40_320.0));
    let series = 1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * series));
    let fraction = 1.0 + r * (1.0 + r * (0.5 + r * series));
    // The integer goes to the exponent.
    f64::from_bits(fraction.to_bits().wrapping_add(shifted.to_bits() << 52))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_and_their_sums_are_right() {
        for i in 0..=70_000 {
            let x = -f64::from(i) * 0.01;
            let (own, right) = (exp(x), x.exp());
            assert!((own - right).abs() <= 2e-9 * right, "{x}: {own} {right}");
        }
        assert!(exp(-1e300) < 1e-300 && exp(f64::NEG_INFINITY) < 1e-300);
        let logs: Vec<f64> = (0..11).map(|i| 1_000.0 - f64::from(i)).collect();
        let right = 1_000.0 + logs.iter().map(|log| (log - 1_000.0).exp()).sum::<f64>().ln();
        assert!((log_sum_exp(&logs) - right).abs() < 1e-8);
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
