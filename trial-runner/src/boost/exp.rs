//! e to the power of x, the same to the bit wherever it runs.
//!
//! The system's `exp` differs between C libraries and from a graphics card's; this one is sums and
//! products only. Cody and Waite's reduction, then the Taylor series to r^13, within 2 units in the
//! last place. Arguments are held within ±350, so that products of two results stay finite.

const LIMIT: f64 = 350.0;
/// Adding it rounds to a whole number, which then stands in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// 1/13!, 1/12!, … 1/2!.
const TERMS: [f64; 12] = [
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
];

/// e^x for x within ±350; beyond, what it is there.
#[inline]
pub(crate) fn exp(x: f64) -> f64 {
    let x = x.clamp(-LIMIT, LIMIT);
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let power = shifted - ROUND;
    let rest = (x - power * LN_2_HIGH) - power * LN_2_LOW;
    let series = TERMS.iter().fold(0.0, |sum, term| sum * rest + term);
    let value = 1.0 + (rest + rest * rest * series);
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(1_023);
    value * f64::from_bits(exponent << 52)
}

/// 1 / (1 + e^-x).
#[inline]
pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_library_s_to_the_last_places() {
        for step in -35_000..=35_000 {
            let x = f64::from(step) * 0.01;
            let (ours, theirs) = (exp(x), x.exp());
            assert!((ours / theirs - 1.0).abs() < 5e-16, "{x}: {ours} is not {theirs}");
        }
        assert_eq!((exp(0.0), exp(1e300), exp(-1e300)), (1.0, exp(350.0), exp(-350.0)));
        assert_eq!(sigmoid(0.0), 0.5);
    }
}
