//! The margin that keeps a distribution from getting stuck on one of several ordered values.
//!
//! R. Hamano et al., "CMA-ES with margin: lower-bounding marginal probability for mixed-integer
//! black-box optimization" (GECCO 2022): where the mean lies among the first or the last of the values,
//! it is moved towards the next one until that is drawn often enough; elsewhere it is moved and the
//! axis widened until the values below and above are. Deviation: axes are widened anew for each
//! generation, as the points that a distribution learns from are the values themselves, which are as
//! far apart as they are.

use fleetfit_search_spaces::space::normal::{cdf, quantile};

/// Widest of all, where a distribution is next to nothing.
const WIDEST: f64 = 1e9;

/// What a margin makes of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Margin {
    pub(super) mean: f64,
    /// How much wider it is drawn from.
    pub(super) width: f64,
}

impl Margin {
    /// Of a normal distribution over values in the middle of their intervals, ascending, so that
    /// those next to the mean's come with at least this chance together.
    pub(super) fn new(levels: &[f64], mean: f64, deviation: f64, chance: f64) -> Self {
        let as_it_is = Self { mean, width: 1.0 };
        let own = levels.windows(2).take_while(|pair| 0.5 * (pair[0] + pair[1]) < mean).count();
        let edge =
            |upper: usize| Some(0.5 * (levels.get(upper.checked_sub(1)?)? + levels.get(upper)?));
        if !(deviation > 0.0 && deviation.is_finite()) {
            return as_it_is;
        }
        match (edge(own), edge(own + 1)) {
            (Some(low), Some(up)) => Self::between(low, up, mean, deviation, chance),
            (Some(edge), None) | (None, Some(edge)) => {
                let most = -quantile(chance) * deviation;
                let apart = (mean - edge).clamp(-most, most);
                Self { mean: edge + apart, width: 1.0 }
            }
            (None, None) => as_it_is,
        }
    }

    fn between(low: f64, up: f64, mean: f64, deviation: f64, chance: f64) -> Self {
        let least = 0.5 * chance;
        let below = cdf((low - mean) / deviation);
        let above = cdf((mean - up) / deviation);
        if below >= least && above >= least {
            return Self { mean, width: 1.0 };
        }
        let own = (1.0 - below - above).max(0.0);
        let (wanted_below, wanted_above) = (below.max(least), above.max(least));
        // What is too much is taken from those that have more than they need.
        let excess = 1.0 - wanted_below - wanted_above - own;
        let room = wanted_below + wanted_above + own - 3.0 * least;
        let share = if room > 0.0 { excess / room } else { 0.0 };
        let settled = |wanted: f64| (wanted + share * (wanted - least)).clamp(least, 0.5);
        let (below, above) = (-quantile(settled(wanted_below)), -quantile(settled(wanted_above)));
        let sum = below + above;
        if sum <= 0.0 {
            return Self { mean, width: 1.0 };
        }
        Self {
            mean: (low * above + up * below) / sum,
            width: ((up - low) / (sum * deviation)).min(WIDEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVELS: [f64; 4] = [0.125, 0.375, 0.625, 0.875];

    #[test]
    fn what_is_wide_enough_stays_as_it_is() {
        for mean in [0.1, 0.3, 0.6, 0.9] {
            let margin = Margin::new(&LEVELS, mean, 0.2, 0.1);
            assert_eq!(margin, Margin { mean, width: 1.0 });
        }
        assert_eq!(Margin::new(&[0.5], 0.7, 1e-9, 0.1), Margin { mean: 0.7, width: 1.0 });
        assert_eq!(Margin::new(&LEVELS, 0.7, 0.0, 0.1), Margin { mean: 0.7, width: 1.0 });
    }

    #[test]
    fn the_next_values_come_with_their_chance() {
        let (chance, deviation) = (0.1, 0.01);
        // At either end the mean moves.
        for (mean, edge) in [(0.02, 0.25), (0.99, 0.75)] {
            let margin = Margin::new(&LEVELS, mean, deviation, chance);
            assert_eq!(margin.width, 1.0);
            let beyond = cdf(-(margin.mean - edge).abs() / deviation);
            assert!((beyond - chance).abs() < 1e-6, "{margin:?}");
            assert_eq!(margin.mean < edge, mean < edge);
        }
        // In between both sides have half of it.
        for mean in [0.26, 0.375, 0.49] {
            let margin = Margin::new(&LEVELS, mean, deviation, chance);
            let wide = margin.width * deviation;
            let below = cdf((0.25 - margin.mean) / wide);
            let above = cdf((margin.mean - 0.5) / wide);
            assert!(below.min(above) > 0.5 * chance - 1e-6, "{mean}: {margin:?} {below} {above}");
            assert!((0.25..=0.5).contains(&margin.mean));
        }
    }
}
