//! The logarithm of the expected improvement of a normal variable, for any distance.
//!
//! S. Ament et al., "Unexpected improvements to expected improvement" (NeurIPS 2023). Deviation:
//! the ratio of the tail to the density (Mills' ratio) is a continued fraction far out and a series
//! near zero, in place of `erfcx`.

/// 1/sqrt(2 pi), and its logarithm.
const DENSITY_0: f64 = 0.398_942_280_401_432_7;
const LN_DENSITY_0: f64 = -0.918_938_533_204_672_7;

/// `ln(φ(z) + z Φ(z))` and its derivative by `z`, where an improvement is expected of a standard
/// normal variable above `-z`.
pub(super) fn log_improvement(z: f64) -> (f64, f64) {
    let z = z.clamp(-1e8, 1e8);
    if z < -5.0 {
        // With u = -z: φ (1 - u M(u)), where 1 - u M(u) = 1/(u² + 3 - …) by the continued fraction.
        let u = -z;
        let tail = continued(u);
        // M = 1 / (u + tail), 1 - u M = tail M
        let mills = 1.0 / (u + tail);
        let left = tail * mills;
        return (LN_DENSITY_0 - 0.5 * z * z + left.ln(), mills / left);
    }
    let density = DENSITY_0 * (-0.5 * z * z).exp();
    let probability = probability(z, density);
    let improvement = density + z * probability;
    (improvement.ln(), probability / improvement)
}

/// `ln Φ(z)` and its derivative by `z`: how likely a standard normal variable is below `z`.
pub(super) fn log_probability(z: f64) -> (f64, f64) {
    let z = z.clamp(-1e8, 1e8);
    if z < -5.0 {
        let inverse_mills = continued(-z) - z;
        return (LN_DENSITY_0 - 0.5 * z * z - inverse_mills.ln(), inverse_mills);
    }
    let density = DENSITY_0 * (-0.5 * z * z).exp();
    let probability = probability(z, density);
    (probability.ln(), density / probability)
}

/// `1/(u + 2/(u + 3/(u + …)))` for `u` of 2 and more; the error falls with `exp(-2 u √(2 n))`.
fn continued(u: f64) -> f64 {
    let n_terms = 14 + (270.0 / (u * u)) as u32;
    let mut tail = 0.0;
    for term in (1..=n_terms).rev() {
        tail = f64::from(term) / (u + tail);
    }
    tail
}

/// The probability of less than `z`, whose density is given.
fn probability(z: f64, density: f64) -> f64 {
    let u = z.abs();
    let upper = if u > 3.0 {
        density / (u + continued(u))
    } else {
        // Φ(u) - 1/2 = φ(u) (u + u³/3 + u⁵/(3·5) + …)
        let (mut term, mut sum, mut odd) = (u, u, 1.0);
        while term > 1e-17 * sum {
            odd += 2.0;
            term *= u * u / odd;
            sum += term;
        }
        0.5 - density * sum
    };
    if z > 0.0 { 1.0 - upper } else { upper }
}

/// A standard normal number from two of the open unit interval.
pub(super) fn normal(first: f64, second: f64) -> f64 {
    let radius = (-2.0 * first.max(1e-300).ln()).sqrt();
    radius * (std::f64::consts::TAU * second).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // By arithmetic with 60 digits.
        for (z, expected) in [
            (0.0, -0.918_938_533_204_672_7),
            (1.0, 0.080_026_218_849_306_94),
            (5.0, 1.609_437_923_126_431_4),
            (-1.0, -2.485_121_025_712_641),
            (-3.0, -7.869_686_059_603_028),
            (-10.0, -55.553_122_036_122_36),
            (-100.0, -5_010.129_578_800_25),
        ] {
            let (log, _) = log_improvement(z);
            assert!((log - expected).abs() < 1e-11 * expected.abs().max(1.0), "{z}: {log}");
        }
    }

    #[test]
    fn probabilities_are_those_of_tables() {
        for (z, expected) in [
            (0.0, -std::f64::consts::LN_2),
            (1.0, -0.172_753_779_023_449_9),
            (-1.0, -1.841_021_645_009_264),
            (-3.0, -6.607_726_221_510_349),
            (-10.0, -53.231_285_151_247_1),
        ] {
            let (log, _) = log_probability(z);
            assert!((log - expected).abs() < 1e-9 * expected.abs().max(1.0), "{z}: {log}");
        }
    }

    #[test]
    fn they_rise_smoothly_over_every_branch() {
        for of in [log_improvement, log_probability] {
            let mut last = f64::NEG_INFINITY;
            for step in -4_000..4_000 {
                let z = f64::from(step) * 0.005;
                let (log, slope) = of(z);
                // Close to 1 a probability rises no more.
                assert!((log > last || log > -1e-12) && log.is_finite(), "{z}");
                last = log;
                let h = 1e-5;
                let difference = (of(z + h).0 - of(z - h).0) / (2.0 * h);
                assert!(
                    (difference - slope).abs() < 1e-5 * slope.max(1.0),
                    "{z}: {difference} {slope}"
                );
            }
            for z in [-1e300, -1e8, -1e5, 1e8, f64::MAX] {
                let (log, slope) = of(z);
                assert!(log.is_finite() && slope.is_finite(), "{z}");
            }
        }
    }
}
