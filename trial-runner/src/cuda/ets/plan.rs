//! What the search of a form shares and takes, and which series go into one launch.
//!
//! The rate was chosen from the instructions of the kernel, not measured: it decides the size of a
//! launch, nothing else.

use super::{N_NUMBERS, PER_BLOCK};
use crate::cuda::fill::fill;
use crate::cuda::machine::Limits;
use crate::series::ets::Form;
use crate::series::ets::batch::{Begin, Prepared};
use crate::series::ets::form::LONGEST_SEARCHED_SEASON;

/// Lanes of a search.
const LANES: usize = 8;
/// Steps of which the rows are kept before they are multiplied out.
const BLOCK: usize = 16;
/// Walks along a series until a search ends.
const WALKS: f64 = 25.0;
/// Instructions a second of all warps of a card.
const RATE: f64 = 4e11;

/// What decides how much room a search takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    n_phases: usize,
    n_columns: usize,
    /// Or kept as it starts.
    pub(super) is_season_searched: bool,
}

impl Shape {
    pub(super) fn of(form: Form, n_phases: usize) -> Self {
        let is_season_searched = n_phases > 0 && n_phases <= LONGEST_SEARCHED_SEASON;
        let own = 2
            + 2 * usize::from(form.has_trend())
            + usize::from(form.has_season())
            + usize::from(form.damped);
        let seasonal = if is_season_searched { n_phases - 1 } else { 0 };
        Self { n_phases, n_columns: own + seasonal, is_season_searched }
    }

    /// Columns of the equations with the residual, up to whole lanes.
    fn stride(&self) -> usize {
        (self.n_columns + 1).next_multiple_of(LANES)
    }

    /// Columns of a lane: 1, 2 or 4, so that few kernels are compiled.
    pub(super) fn widest(&self) -> usize {
        (self.stride() / LANES).next_power_of_two()
    }

    /// Numbers of a search.
    pub(super) fn room(&self) -> usize {
        let (n_phases, stride) = (self.n_phases, self.stride());
        let places = 2 * (N_NUMBERS - 1 + n_phases + stride * stride);
        let walk = n_phases + n_phases * stride + BLOCK * stride;
        places + walk + stride * stride + 4 * stride
    }

    /// Bytes of a block.
    pub(super) fn shared(&self) -> usize {
        8 * PER_BLOCK * self.room()
    }

    /// About how long a search takes along one value, all of a card at work.
    fn seconds(&self) -> f64 {
        let instructions = 60.0 + 60.0 * (self.stride() / LANES) as f64;
        WALKS * instructions / PER_BLOCK as f64 / RATE
    }
}

/// Whether there is a block for every form of a series.
pub(super) fn fits(series: &Prepared, limits: &Limits) -> bool {
    let shape = |begin: &Begin| Shape::of(begin.form, begin.seasons.len());
    series.begins.iter().all(|begin| shape(begin).shared() <= limits.max_shared)
}

/// What the searches of a series take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    bytes: usize,
    seconds: f64,
    n_values: usize,
}

/// None where there is no block that fits.
pub(super) fn cost(series: &Prepared, limits: &Limits) -> Option<Cost> {
    if !fits(series, limits) {
        return None;
    }
    let n_values = series.values.len();
    let (mut bytes, mut seconds) = (8 * n_values, 0.0);
    for begin in &series.begins {
        let shape = Shape::of(begin.form, begin.seasons.len());
        bytes += 8 * (3 * (N_NUMBERS + begin.seasons.len()) + 12);
        seconds += 2.0 * n_values as f64 * shape.seconds();
    }
    Some(Cost { bytes, seconds, n_values })
}

/// The series of each launch, those that take longest first.
pub(super) fn chunks(series: &[Cost], limits: &Limits) -> Vec<Vec<usize>> {
    let mut weighed: Vec<(usize, &Cost)> = series.iter().enumerate().collect();
    // Searches of a warp wait for the longest of them.
    weighed.sort_by(|(a, one), (b, other)| {
        let longer = other.n_values.cmp(&one.n_values);
        longer.then(other.seconds.total_cmp(&one.seconds)).then(a.cmp(b))
    });
    let items = weighed.into_iter().map(|(index, cost)| (index, cost.bytes, cost.seconds));
    fill(items, (limits.memory, limits.launch_s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::ets::{Component, ErrorForm, Settings};

    const FULL: Form =
        Form { error: ErrorForm::Mul, trend: Component::Add, damped: true, season: Component::Mul };

    const LIMITS: Limits = Limits {
        n_processors: 108,
        max_shared: 162 << 10,
        processor_shared: 164 << 10,
        memory: 10 << 30,
        launch_s: 1.0,
    };

    fn prepared(n: usize, season: usize) -> Option<Prepared> {
        let y: Vec<f64> = (0..n).map(|t| 5.0 + ((t * t) % 11) as f64).collect();
        Prepared::of(&y, season, &Settings::default()).unwrap()
    }

    #[test]
    fn blocks_share_no_more_than_a_card_has() {
        let week = Shape::of(FULL, 7);
        assert_eq!((week.stride(), week.widest()), (16, 2));
        assert_eq!(week.room(), 2 * (13 + 256) + 7 + 112 + 256 + 256 + 64);
        let day = Shape::of(FULL, 24);
        assert_eq!((day.stride(), day.widest(), day.is_season_searched), (32, 4, true));
        assert!(day.shared() < LIMITS.max_shared);
        let hours = Shape::of(FULL, 168);
        assert_eq!((hours.stride(), hours.is_season_searched), (8, false));
        assert!(hours.shared() < LIMITS.max_shared);
        assert!(Shape::of(FULL, 700).shared() > LIMITS.max_shared);
        let plain = Form { season: Component::None, ..FULL };
        assert_eq!((Shape::of(plain, 0).stride(), Shape::of(plain, 0).widest()), (8, 1));
    }

    #[test]
    fn launches_are_about_a_second_and_the_longest_come_first() {
        let costs = [(90, 7), (120, 7), (60, 1)]
            .map(|(n, season)| cost(&prepared(n, season).unwrap(), &LIMITS).unwrap());
        assert_eq!(chunks(&costs, &LIMITS), [vec![1, 0, 2]]);
        let tight = Limits { memory: 1, ..LIMITS };
        assert_eq!(chunks(&costs, &tight).len(), 3, "each by itself");
        // A block has no room for a season of 700: only the search of other forms would fit.
        assert!(cost(&prepared(1_500, 700).unwrap(), &LIMITS).is_none());
        // Cards of compute capability 8.6 or 12.0 have room for a week, not for a day of hours.
        let small = Limits { max_shared: 98 << 10, ..LIMITS };
        let day = prepared(200, 24).unwrap();
        assert!(cost(&prepared(90, 7).unwrap(), &small).is_some() && cost(&day, &small).is_none());
        assert!(cost(&day, &LIMITS).is_some());
        let seconds = 100_000.0 * 728.0 * 30.0 * Shape::of(FULL, 7).seconds();
        assert!(seconds > 1.0 && seconds < 100.0, "{seconds}");
    }
}
