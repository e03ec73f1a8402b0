//! Features as trees see them: a byte a value, in an order in which cuts make sense.

use std::borrow::Cow;

/// The columns of a fit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grid<'a> {
    pub(crate) columns: Vec<Column<'a>>,
    pub(crate) n_rows: usize,
}

/// One column.
#[derive(Clone, Debug)]
pub(crate) struct Column<'a> {
    /// A code a row. Codes of values are in ascending order; the one after them all is missing.
    pub(crate) codes: Cow<'a, [u8]>,
    /// The least value of each code.
    pub(crate) least: Cow<'a, [f64]>,
    /// The greatest.
    pub(crate) most: Cow<'a, [f64]>,
    /// What parts each code from the next.
    pub(crate) cuts: Cow<'a, [f64]>,
    /// For even steps from the least value to the greatest, how many codes lie below each.
    pub(crate) guide: Vec<u8>,
    /// Steps in a unit.
    pub(crate) scale: f64,
}

/// Steps of a guide.
const N_STEPS: usize = 256;

impl<'a> Column<'a> {
    /// A column of codes, each of which stands for the values from `least` to `most`.
    pub(crate) fn new(
        codes: impl Into<Cow<'a, [u8]>>,
        least: impl Into<Cow<'a, [f64]>>,
        most: impl Into<Cow<'a, [f64]>>,
        cuts: impl Into<Cow<'a, [f64]>>,
    ) -> Self {
        let (least, most) = (least.into(), most.into());
        let (low, high) =
            (least.first().copied().unwrap_or_default(), most.last().copied().unwrap_or_default());
        let scale = N_STEPS as f64 / (high - low);
        let below = |step: usize| {
            let value = low + step as f64 / scale;
            most.partition_point(|most| *most < value).min(usize::from(u8::MAX)) as u8
        };
        let guide = (0..=N_STEPS).map(below).collect();
        Self { codes: codes.into(), least, most, cuts: cuts.into(), guide, scale }
    }

    /// How many codes stand for values: at most 255.
    pub(crate) fn n_values(&self) -> usize {
        self.least.len()
    }

    /// The code of a missing value.
    pub(crate) fn missing(&self) -> u8 {
        self.n_values() as u8
    }

    /// The code whose cut is nearest to the middle between two that a node has, with none between.
    pub(super) fn middle(&self, last: u8, next: u8) -> u8 {
        if next <= last + 1 {
            return last;
        }
        let middle = self.most[usize::from(last)] / 2.0 + self.least[usize::from(next)] / 2.0;
        let cuts = &self.cuts[usize::from(last)..usize::from(next)];
        let above = cuts.partition_point(|cut| *cut < middle).min(cuts.len() - 1);
        let below = above.saturating_sub(1);
        let is_below = middle - cuts[below] <= cuts[above] - middle;
        last + if is_below { below } else { above } as u8
    }

    /// The last code that goes left of a threshold at a place in [0, 1) between two codes.
    pub(super) fn cut_at(&self, low: u8, high: u8, place: f64) -> u8 {
        let (low, high) = (usize::from(low), usize::from(high));
        let drawn = self.least[low] * (1.0 - place) + self.most[high] * place;
        // The codes of the step it lies in, and one more on either side for rounding.
        let step = (((drawn - self.least[0]) * self.scale) as usize).min(N_STEPS - 1);
        let first = usize::from(self.guide[step]).saturating_sub(1).clamp(low, high);
        let end = (usize::from(self.guide[step + 1]) + 1).clamp(first, high);
        let mut n_below = first;
        for most in &self.most[first..end] {
            n_below += usize::from(*most <= drawn);
        }
        n_below.saturating_sub(1).max(low) as u8
    }
}
