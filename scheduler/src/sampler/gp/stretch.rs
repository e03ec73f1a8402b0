//! Numbers as the kernel sees them: stretched where the function changes fast, pulled together where
//! it hardly does.
//!
//! P. Kumaraswamy's distribution as a map of the unit interval onto itself, as in J. Snoek et al.,
//! "Input warping for Bayesian optimization of non-stationary functions" (ICML 2014). Deviation: the
//! two powers are found together with the lengths and not integrated out.

/// A rising map of the unit interval onto itself: `1 - (1 - x^a)^b`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stretch {
    pub(super) a: f64,
    pub(super) b: f64,
}

/// Where a number ends up, and how that changes with it and with the logarithms of the powers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretched {
    pub(super) at: f64,
    pub(super) by_x: f64,
    pub(super) by_log_a: f64,
    pub(super) by_log_b: f64,
}

/// Slopes are taken this far from the ends at least, where they may have none.
const EDGE: f64 = 1e-6;

impl Stretch {
    /// From logarithms, within bounds.
    pub(super) fn new(log_a: f64, log_b: f64) -> Self {
        Self { a: log_a.clamp(-2.0, 2.0).exp(), b: log_b.clamp(-2.0, 2.0).exp() }
    }

    /// Where a number ends up.
    pub(super) fn at(&self, x: f64) -> f64 {
        1.0 - (1.0 - x.clamp(0.0, 1.0).powf(self.a)).powf(self.b)
    }

    /// The same with its slopes.
    pub(super) fn with_slopes(&self, x: f64) -> Stretched {
        let x = x.clamp(EDGE, 1.0 - EDGE);
        let (a, b) = (self.a, self.b);
        let log_x = x.ln();
        let power = (a * log_x).exp();
        let log_rest = (-power).ln_1p();
        let rest = (b * log_rest).exp();
        let by_power = b * rest / (1.0 - power);
        Stretched {
            at: 1.0 - rest,
            by_x: by_power * a * power / x,
            by_log_a: by_power * power * log_x * a,
            by_log_b: -rest * log_rest * b,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_from_end_to_end_and_its_slopes_are_right() {
        for (log_a, log_b) in [(0.0, 0.0), (0.7, -0.3), (-1.0, 1.5), (2.0, 2.0)] {
            let stretch = Stretch::new(log_a, log_b);
            assert!(stretch.at(0.0).abs() < 1e-12 && (stretch.at(1.0) - 1.0).abs() < 1e-12);
            let mut last = -1.0;
            for step in 1..20 {
                let x = f64::from(step) / 20.0;
                let found = stretch.with_slopes(x);
                assert!(found.at >= last && (found.at - stretch.at(x)).abs() < 1e-12);
                last = found.at;
                let h = 1e-6;
                let differences = [
                    stretch.at(x + h) - stretch.at(x - h),
                    Stretch::new(log_a + h, log_b).at(x) - Stretch::new(log_a - h, log_b).at(x),
                    Stretch::new(log_a, log_b + h).at(x) - Stretch::new(log_a, log_b - h).at(x),
                ];
                let slopes = [found.by_x, found.by_log_a, found.by_log_b];
                // The largest powers are at their bounds.
                let n = if log_a < 2.0 { 3 } else { 1 };
                for (difference, slope) in differences.iter().zip(slopes).take(n) {
                    let difference = difference / (2.0 * h);
                    assert!((difference - slope).abs() < 1e-6 * (1.0 + slope.abs()), "{x}");
                }
            }
        }
        let none = Stretch::new(0.0, 0.0);
        assert!(
            (0..=10).all(|i| (none.at(f64::from(i) / 10.0) - f64::from(i) / 10.0).abs() < 1e-12)
        );
    }
}
