//! Searches that a machine makes for many series at once: what they start from, and the model that
//! their ends make.

use super::line::{Line, Search, Solved};
use super::{FAVOUR, FEWEST_VALUES, Fitted, Seasonless, Settings};
use crate::stop::Stop;
use crate::trainer::FitError;

/// A series, ready to be searched.
#[derive(Debug)]
pub(crate) struct Prepared {
    seasonless: Seasonless,
    /// The given share of the straight line.
    pub(crate) share: Option<f64>,
    pub(crate) favour: f64,
    /// One search each: whether the line is drawn anew at each step.
    pub(crate) dynamics: &'static [bool],
}

/// Where a search ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct End {
    pub(crate) alpha: f64,
    pub(crate) share: f64,
    pub(crate) first: f64,
    pub(crate) cost: f64,
}

impl Prepared {
    /// None where there is nothing to search.
    pub(crate) fn of(
        y: &[f64],
        season: usize,
        settings: &Settings,
        stop: &Stop,
    ) -> Result<Option<Self>, FitError> {
        let share = settings.share()?;
        if y.len() < FEWEST_VALUES {
            return Ok(None);
        }
        let favour = if share.is_none() { FAVOUR } else { 0.0 };
        let seasonless = Seasonless::of(y, season, stop)?;
        Ok(Some(Self { seasonless, share, favour, dynamics: settings.dynamics() }))
    }

    /// The values without their season, within ±1.
    pub(crate) fn values(&self) -> &[f64] {
        &self.seasonless.values
    }

    /// Intercept and slope of the line through all values.
    pub(crate) fn line(&self) -> (f64, f64) {
        let line = Line::after(self.values(), false);
        (line.intercept, line.slope)
    }

    /// The model of the end that costs least.
    pub(crate) fn conclude(&self, ends: &[End]) -> Fitted {
        let solved = self.dynamics.iter().zip(ends).map(|(&dynamic, end)| {
            let End { alpha, share, first, cost } = *end;
            let solved = Solved { alpha, share, first, squares: cost, cost };
            if cost.is_finite() {
                return (dynamic, solved);
            }
            let search = Search::new(self.values(), dynamic, (self.share, self.favour));
            (dynamic, search.plain(self.values()))
        });
        let mut best: Option<(bool, Solved)> = None;
        for (dynamic, solved) in solved {
            if best.is_none_or(|(_, best)| solved.cost < best.cost) {
                best = Some((dynamic, solved));
            }
        }
        self.seasonless.fitted(best.unwrap_or((false, Solved::default())))
    }
}
