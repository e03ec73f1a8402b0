//! Searches that a machine makes for many series at once: what they start from, and the choice among
//! their ends.

use super::choice::{Candidate, decide, penalty};
use super::form::{Component, Form, candidates, refuse};
use super::search::{Found, Place, Shares};
use super::start::Starts;
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

    /// Chooses among the ends of each form, as `fit` does among its own; none where no form has one.
    pub(crate) fn conclude(
        &self,
        ends: &[[End; 2]],
        stop: &Stop,
    ) -> Result<Option<Fitted>, FitError> {
        let pairs = self.begins.iter().zip(ends);
        let ended = pairs.filter_map(|(begin, ends)| {
            let penalty = penalty(begin.form, self.values.len(), self.season)?;
            let [mut found, mut other] = ends.each_ref().map(End::found);
            if other.sum < found.sum {
                std::mem::swap(&mut found, &mut other);
            }
            let other = (self.season > 1 && other.sum.is_finite()).then_some(other);
            Some(Candidate { form: begin.form, found, other, penalty })
        });
        let chosen = decide(&self.values, self.season, ended.collect(), stop)?;
        Ok(chosen.map(|chosen| chosen.into_fitted(&self.values, self.scale)))
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
    use super::search::{Goal, Reach, Search};
    let mut search = Search::default();
    let goal = Goal { gain: 0.01, rival: f64::INFINITY, reach: Reach::All };
    let sketch = Goal { gain: 1.0, reach: Reach::Sketch, ..goal };
    let least = |begin: &Begin| {
        let Begin { form, level, trend, ref seasons } = *begin;
        let state = State { level, trend, seasons: seasons.clone() };
        let mut down = |from: Found| {
            let from = match form.has_season() {
                true => search.descend(form, &prepared.values, from, sketch, stop).unwrap(),
                false => from,
            };
            search.descend(form, &prepared.values, from, goal, stop).unwrap().sum
        };
        let [one, other] = super::start::coarse(form, &prepared.values, &state);
        down(one).min(down(other))
    };
    prepared.begins.iter().map(least).collect()
}
