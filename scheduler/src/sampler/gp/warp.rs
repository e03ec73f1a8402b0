//! Losses as the model sees them: on one scale, with long tails pulled in.
//!
//! I.-K. Yeo, R. A. Johnson, "A new family of power transformations" (2000) around the median, as
//! in A. I. Cowen-Rivers et al., "HEBO" (2022). Deviation: the power is fitted together with the
//! model by the likelihood of what it makes of the losses, not by how normal they look.

/// A rising map of losses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Warp {
    center: f64,
    scale: f64,
    /// 1 leaves the shape as it is, less pulls in high losses.
    pub(super) power: f64,
}

impl Warp {
    /// A map by the losses so far, sorted; its power is 1.
    pub(super) fn new(sorted: &[f64]) -> Self {
        let at = |share: f64| {
            let place = (share * sorted.len().saturating_sub(1) as f64) as usize;
            sorted.get(place).copied().unwrap_or(0.0)
        };
        let center = at(0.5);
        // By the better half: the worse one may be out of all proportion.
        let spreads = [center - at(0.0), at(0.75) - center, at(1.0) - center, center.abs(), 1.0];
        let is_spread = |spread: &f64| spread.is_finite() && *spread > 1e-12 * center.abs();
        let scale = spreads.into_iter().find(is_spread).unwrap_or(1.0);
        Self { center, scale: scale.max(f64::MIN_POSITIVE), power: 1.0 }
    }

    /// The loss on one scale, before the power.
    pub(super) fn standard(&self, loss: f64) -> f64 {
        ((loss - self.center) / self.scale).clamp(-1e9, 1e9)
    }

    /// What the model sees of a loss.
    pub(super) fn apply(&self, loss: f64) -> f64 {
        bend(self.standard(loss), self.power).0
    }
}

/// A standard loss to a power, and how that changes with the power.
pub(super) fn bend(standard: f64, power: f64) -> (f64, f64) {
    if standard >= 0.0 {
        box_cox(standard.ln_1p(), power)
    } else {
        let (bent, slope) = box_cox((-standard).ln_1p(), 2.0 - power);
        (-bent, slope)
    }
}

/// `(e^(power x) - 1) / power` and its derivative by the power.
fn box_cox(x: f64, power: f64) -> (f64, f64) {
    let exponent = power * x;
    if exponent.abs() < 1e-4 {
        let slope = x * x * (0.5 + exponent / 3.0);
        return (x * (1.0 + exponent * (0.5 + exponent / 6.0)), slope);
    }
    let less = exponent.exp_m1();
    (less / power, (x * (less + 1.0) - less / power) / power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_and_its_slope_by_the_power_is_right() {
        for power in [-1.0, -1e-6, 0.0, 0.3, 1.0, 2.0] {
            let mut last = f64::NEG_INFINITY;
            for step in -50..50 {
                let x = f64::from(step) * 0.2;
                let (bent, slope) = bend(x, power);
                assert!(bent > last);
                last = bent;
                let h = 1e-5;
                let difference = (bend(x, power + h).0 - bend(x, power - h).0) / (2.0 * h);
                assert!((slope - difference).abs() < 1e-5 * (1.0 + slope.abs()), "{x} {power}");
            }
        }
    }

    #[test]
    fn any_losses_give_a_map_of_finite_numbers() {
        let lists: [&[f64]; 6] = [
            &[],
            &[5.0],
            &[3.0, 3.0, 3.0],
            &[-1e300, 0.0, 1e300],
            &[f64::MIN, f64::MAX],
            &[0.0, 0.0, 0.0, 1e-300],
        ];
        for losses in lists {
            let mut warp = Warp::new(losses);
            for power in [-1.0, 0.5, 2.0] {
                warp.power = power;
                assert!(losses.iter().all(|&loss| warp.apply(loss).is_finite()), "{losses:?}");
            }
        }
    }

    #[test]
    fn order_stays() {
        let losses = [1.0, 2.0, 3.0, 10.0, 1e6];
        let warp = Warp { power: -0.5, ..Warp::new(&losses) };
        let bent = losses.map(|loss| warp.apply(loss));
        assert!(bent.is_sorted() && bent[4] < 3.0);
    }
}
