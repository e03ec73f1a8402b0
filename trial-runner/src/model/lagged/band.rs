//! How far forecasts may go that feed on each other.
//!
//! A few values hardly tell a trend from an explosion: a line through the lags of 1, 2 and 4 grows by
//! half with every step. So a forecast leaves the values of its series by no more than the widest
//! range of any series, and as much again for every so many steps ahead as there were; by ten times
//! that where older values, which may have been larger, are forgotten. The first step ahead feeds on
//! nothing but values, and goes where it likes.

use super::{Recipe, Tail};

/// Values that are kept of a series, where it has as many.
pub(crate) const KEPT: usize = 48;
/// How many ranges are one where older values are forgotten.
const FORGOTTEN: f64 = 10.0;

/// The room around the values of a series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Band {
    width: f64,
    n_steps: f64,
}

impl Band {
    /// None where no forecast feeds on another, or nothing is known of the values.
    pub(super) fn of(recipe: &Recipe, series: &[Tail]) -> Option<Self> {
        if recipe.offset != 1 {
            return None;
        }
        let n_steps = series.iter().map(|tail| tail.target.values.len()).max()?;
        let ranges = series.iter().filter_map(|tail| tail.target.range());
        let range = ranges.map(|(low, high)| high - low).fold(0.0, f64::max);
        let is_whole = n_steps < KEPT;
        let width = if is_whole { range } else { FORGOTTEN * range };
        let is_known = width.is_finite() && (is_whole || width > 0.0);
        is_known.then_some(Self { width, n_steps: n_steps as f64 })
    }

    /// A forecast that feeds on so many others, for a series whose values lie in a range.
    pub(super) fn hold(self, value: f64, (low, high): (f64, f64), n_before: u64) -> f64 {
        if n_before == 0 {
            return value;
        }
        let room = self.width * (1.0 + n_before as f64 / self.n_steps);
        value.max(low - room).min(high + room)
    }
}

#[cfg(test)]
mod tests {
    use super::super::History;
    use super::*;

    fn band(offset: u32, series: &[&[f64]]) -> Option<Band> {
        let recipe = Recipe { offset, ..Recipe::default() };
        let tail = |values: &&[f64]| Tail {
            name: String::new(),
            target: History { first: 0, values: values.to_vec() },
            past: Vec::new(),
        };
        let tails: Vec<Tail> = series.iter().map(tail).collect();
        Band::of(&recipe, &tails)
    }

    #[test]
    fn forecasts_stay_near_what_was_seen() {
        let short = band(1, &[&[1.0, 2.0, 4.0], &[7.0]]).unwrap();
        assert_eq!(short.hold(1e9, (1.0, 4.0), 0), 1e9);
        assert_eq!(short.hold(1e9, (1.0, 4.0), 3), 10.0);
        assert_eq!(short.hold(-1e9, (7.0, 7.0), 6), -2.0);
        assert_eq!(short.hold(5.0, (1.0, 4.0), 3), 5.0);
        assert!(short.hold(f64::NAN, (1.0, 4.0), 3).is_finite());
        assert!(band(2, &[&[1.0, 2.0]]).is_none());
        assert!(band(1, &[]).is_none());
        // What came before the last values may have been larger.
        assert!(band(1, &[&[3.0; KEPT]]).is_none());
        let long: Vec<f64> = (0..KEPT).map(|t| t as f64 % 2.0).collect();
        assert_eq!(band(1, &[&long]).unwrap().hold(1e9, (0.0, 1.0), KEPT as u64), 21.0);
    }
}
