//! Searches that a machine makes for many series at once: what they start from, and the choice among
//! their ends.

use super::choice::{Candidate, decide, penalty};
use super::form::{Component, Form, candidates, refuse};
use super::search::{Found, Goal, Place, Reach, Search, Shares};
use super::start::{Starts, coarse};
use super::{Fitted, Settings};
use crate::series::ets::recursion::State;
use crate::series::scaled;
use crate::stop::Stop;
use crate::trainer::FitError;

/// A series whose forms are to be searched from both sides of the coarse grid.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Divided by the largest magnitude.
    pub(crate) values: Vec<f64>,
    scale: f64,
    season: usize,
    pub(crate) begins: Vec<Begin>,
}

/// A form, and its first state before the search.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Begin {
    pub(crate) form: Form,
    pub(crate) level: f64,
    pub(crate) trend: f64,
    pub(crate) seasons: Vec<f64>,
}

/// Where a search ended; the weights as they are searched.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct End {
    pub(crate) sum: f64,
    pub(crate) alpha: f64,
    /// Beta as a share of alpha.
    pub(crate) beta: f64,
    /// Gamma as a share of 1 − alpha.
    pub(crate) gamma: f64,
    pub(crate) phi: f64,
    pub(crate) level: f64,
    pub(crate) trend: f64,
    pub(crate) seasons: Vec<f64>,
}

impl Prepared {
    /// None where there is nothing to search, or a trend scales, which only `fit` searches.
    pub(crate) fn of(
        y: &[f64],
        season: usize,
        settings: &Settings,
    ) -> Result<Option<Self>, FitError> {
        refuse(y, settings)?;
        if y.windows(2).all(|pair| pair[0] == pair[1]) {
            return Ok(None);
        }
        let (values, scale) = scaled(y);
        let starts = Starts::new(&values, season);
        for settings in settings.and_simpler() {
            let forms = candidates(&values, season, &settings);
            if forms.iter().any(|form| form.trend == Component::Mul) {
                return Ok(None);
            }
            let begins = forms.into_iter().filter_map(|form| {
                penalty(form, values.len(), season)?;
                let State { level, trend, seasons } = starts.state(form)?;
                Some(Begin { form, level, trend, seasons })
            });
            let begins: Vec<Begin> = begins.collect();
            if !begins.is_empty() {
                return Ok(Some(Self { values, scale, season, begins }));
            }
        }
        Ok(None)
    }

    /// Chooses among the ends of each form, as `fit` does among its own; none where no form has one. What
    /// the machine found no end of, as where a series has an outlier, is searched here.
    pub(crate) fn conclude(
        &self,
        ends: &[[End; 2]],
        stop: &Stop,
    ) -> Result<Option<Fitted>, FitError> {
        let pairs = self.begins.iter().zip(ends);
        let mut ended = Vec::with_capacity(self.begins.len());
        for (begin, ends) in pairs {
            let Some(penalty) = penalty(begin.form, self.values.len(), self.season) else {
                continue;
            };
            let [mut found, mut other] = match ends.iter().any(|end| end.sum.is_finite()) {
                true => ends.each_ref().map(End::found),
                false => self.searched(begin, stop)?,
            };
            if other.sum < found.sum {
                std::mem::swap(&mut found, &mut other);
            }
            let other = (self.season > 1 && other.sum.is_finite()).then_some(other);
            ended.push(Candidate { form: begin.form, found, other, penalty });
        }
        let chosen = decide(&self.values, self.season, ended, stop)?;
        Ok(chosen.map(|chosen| chosen.into_fitted(&self.values, self.scale)))
    }

    /// Where the processor's search of a form ends, from both sides.
    fn searched(&self, begin: &Begin, stop: &Stop) -> Result<[Found; 2], FitError> {
        let mut search = Search::default();
        let goal = Goal { gain: 0.01, rival: f64::INFINITY, reach: Reach::All };
        let sketch = Goal { gain: 1.0, reach: Reach::Sketch, ..goal };
        let Begin { form, level, trend, ref seasons } = *begin;
        let state = State { level, trend, seasons: seasons.clone() };
        let mut down = |from: Found| {
            let from = match form.has_season() {
                true => search.descend(form, &self.values, from, sketch, stop)?,
                false => from,
            };
            search.descend(form, &self.values, from, goal, stop)
        };
        let [one, other] = coarse(form, &self.values, &state);
        Ok([down(one)?, down(other)?])
    }
}

impl End {
    fn found(&self) -> Found {
        let Self { sum, alpha, beta, gamma, phi, level, trend, ref seasons } = *self;
        let shares = Shares { alpha, beta, gamma, phi };
        let state = State { level, trend, seasons: seasons.clone() };
        Found { place: Place { shares, state }, sum, settled: true }
    }
}

/// The least sum that the CPU's search of each form ends at, for comparison.
#[cfg(test)]
pub(crate) fn searched_here(prepared: &Prepared, stop: &Stop) -> Vec<f64> {
    let least = |begin| {
        let [one, other] = prepared.searched(begin, stop).unwrap();
        one.sum.min(other.sum)
    };
    prepared.begins.iter().map(least).collect()
}
