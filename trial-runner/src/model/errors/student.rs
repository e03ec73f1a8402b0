//! Student's t for an even number of degrees of freedom, where its distribution is a finite sum.
//!
//! Abramowitz & Stegun (1964), 26.7.4.

/// Bisections: each halves what is not known of the angle.
const ROUNDS: u32 = 60;

/// The size that a share of `level` does not exceed, with this many degrees of freedom, which are
/// lowered to an even number of at least 2.
pub(super) fn point(level: f64, freedom: usize) -> f64 {
    let half = (freedom / 2).max(1);
    let (mut low, mut high) = (0.0_f64, std::f64::consts::FRAC_PI_2);
    for _ in 0..ROUNDS {
        let middle = f64::midpoint(low, high);
        if share(middle, half) < level { low = middle } else { high = middle }
    }
    low.tan() * (2.0 * half as f64).sqrt()
}

/// The share of sizes within an angle whose tangent is the size over the root of the freedom.
fn share(angle: f64, half: usize) -> f64 {
    let squared = angle.cos().powi(2);
    let (mut term, mut sum) = (1.0, 0.0);
    for k in 1..=half {
        sum += term;
        let even = 2.0 * k as f64;
        term *= squared * (even - 1.0) / even;
    }
    angle.sin() * sum
}

#[cfg(test)]
mod tests {
    use super::point;

    /// Two-sided points of the tables.
    #[test]
    fn points_are_those_of_the_tables() {
        for (level, freedom, expected) in [
            (0.95, 2, 4.302_653),
            (0.8, 2, 1.885_618),
            (0.95, 6, 2.446_912),
            (0.99, 7, 3.707_428),
            (0.8, 10, 1.372_184),
            (0.95, 40, 2.021_075),
        ] {
            let found = point(level, freedom);
            assert!((found - expected).abs() < 1e-5, "{level} {freedom}: {found}");
        }
        assert!(point(0.999_999_999, 0).is_finite());
    }
}
