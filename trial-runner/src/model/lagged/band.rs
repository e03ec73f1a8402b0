//! How far forecasts may go that feed on each other.
//!
//! A few values hardly tell a trend from an explosion: a line through the lags of 1, 2 and 4 grows by
//! half with every step. So a forecast leaves the values of its series by no more than the widest
//! range of any series, and as much again for every so many steps ahead as there were; by ten times
//! that where a series is long. The steps up to the nearest lag feed on nothing but values, and go where
//! they like; so does a model whose answers are means of targets.

use super::{Recipe, Tail};
use crate::model::Body;

/// Values that are kept of a series, where it has as many.
pub(crate) const KEPT: usize = 48;
/// How many ranges are one where a series is long.
const LONG: f64 = 10.0;

/// The room around the values of a series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Band {
    width: f64,
    n_steps: f64,
}

impl Band {
    /// None where forecasts cannot run away, or nothing is known of the values.
    pub(super) fn of(recipe: &Recipe, series: &[Tail], body: &Body) -> Option<Self> {
        let is_a_mean = matches!(
            body,
            Body::Constant | Body::Neighbours(..) | Body::Forest(_) | Body::Boosted(_)
        );
        if is_a_mean {
            return None;
        }
        let n_steps = series.iter().map(|tail| tail.target.values.len()).max()?;
        let ranges = series.iter().filter_map(|tail| tail.range(recipe));
        let range = ranges.map(|(low, high)| high - low).fold(0.0, f64::max);
        let is_short = n_steps < KEPT;
        let width = if is_short { range } else { LONG * range };
        let is_known = width.is_finite() && (is_short || width > 0.0);
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
    use crate::model::encoder::Encoder;
    use crate::model::linear::{Linear, Link};

    fn line() -> Body {
        let linear = Linear { weights: Vec::new(), intercepts: Vec::new(), link: Link::Identity };
        Body::Linear(Encoder::default(), linear)
    }

    fn band(offset: u32, series: &[&[f64]]) -> Option<Band> {
        let recipe = Recipe { offset, ..Recipe::default() };
        let tail = |values: &&[f64]| Tail {
            name: String::new(),
            target: History { first: 0, values: values.to_vec() },
            past: Vec::new(),
        };
        let tails: Vec<Tail> = series.iter().map(tail).collect();
        Band::of(&recipe, &tails, &line())
    }

    #[test]
    fn forecasts_stay_near_what_was_seen() {
        let short = band(1, &[&[1.0, 2.0, 4.0], &[7.0]]).unwrap();
        assert_eq!(short.hold(1e9, (1.0, 4.0), 0), 1e9);
        assert_eq!(short.hold(1e9, (1.0, 4.0), 3), 10.0);
        assert_eq!(short.hold(-1e9, (7.0, 7.0), 6), -2.0);
        assert_eq!(short.hold(5.0, (1.0, 4.0), 3), 5.0);
        assert!(short.hold(f64::NAN, (1.0, 4.0), 3).is_finite());
        assert!(band(2, &[&[1.0, 2.0]]).is_some());
        assert!(band(1, &[]).is_none());
        // What came before the last values may have been larger, where nothing is kept of it.
        assert!(band(1, &[&[3.0; KEPT]]).is_none());
        let long: Vec<f64> = (0..KEPT).map(|t| t as f64 % 2.0).collect();
        assert_eq!(band(1, &[&long]).unwrap().hold(1e9, (0.0, 1.0), KEPT as u64), 21.0);
    }

    #[test]
    fn the_least_and_the_most_of_a_whole_series_are_kept() {
        let recipe = Recipe { offset: 1, ..Recipe::default() };
        let values = (0..100).map(|t| if t == 3 { 300.0 } else { 1.0 }).collect();
        let whole = History { first: 0, values };
        let extremes = vec![whole.extremes()];
        let tail = Tail { name: String::new(), target: whole.shorten(KEPT), past: extremes };
        assert_eq!(tail.range(&recipe), Some((1.0, 300.0)));
        let tails = [tail];
        let band = Band::of(&recipe, &tails, &line()).unwrap();
        assert_eq!(band.hold(310.0, (1.0, 300.0), 9), 310.0);
        assert!(band.hold(1e9, (1.0, 300.0), 9) < 1e4);
        // A mean can't run away.
        assert!(Band::of(&recipe, &tails, &Body::Constant).is_none());
    }
}
