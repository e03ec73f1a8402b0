//! The choice among forms: AICc of the searched forms, with a look further ahead.

use super::form::Form;
use super::outlook::miss;
use super::search::{Found, Goal, Place, Region, Search};
use super::start::{Starts, coarse};
use crate::stop::{Stop, Stopped};
use crate::trainer::FitError;

/// A form is not taken when its forecasts of a season ahead miss by this much more than those of
/// the best form, both within the series. AICc sees one step: on hourly series it favours
/// multiplicative errors that follow every value, and their forecasts of the next day explode.
const WILD: f64 = 1.5;

/// Ends of two searches of one form are two when their alphas differ by this much: of these the one
/// whose forecasts of a season ahead miss by less is taken, whatever its likelihood. A promotion every
/// other week makes a level that follows likely one step ahead, and wrong a month ahead.
const APART: f64 = 0.1;

/// A form with its numbers.
pub(super) struct Candidate {
    pub form: Form,
    pub found: Found,
    /// Where a search from the other side ended, or is to begin; none where that is the same.
    other: Option<Found>,
    /// What AICc adds for the numbers estimated.
    penalty: f64,
}

impl Candidate {
    /// AICc but for a constant; a sum below rounding counts as rounding.
    pub(super) fn aicc(&self, n_values: usize) -> f64 {
        let n = n_values as f64;
        n * self.found.sum.max(n * 1e-28).ln() + self.penalty
    }

    /// Searches from the other side too, and keeps what is lower as found.
    fn search_other(
        &mut self,
        search: &mut Search,
        y: &[f64],
        goal: Goal,
        stop: &Stop,
    ) -> Result<(), Stopped> {
        let Some(from) = self.other.take() else { return Ok(()) };
        let mut other = search.descend(self.form, y, from, goal, stop)?;
        if other.sum < self.found.sum {
            std::mem::swap(&mut other, &mut self.found);
        }
        let apart = (other.place.shares.alpha - self.found.place.shares.alpha).abs();
        self.other = (other.settled && apart > APART).then_some(other);
        Ok(())
    }

    /// Of both ends the one that sees further becomes the one found; returns how far it misses.
    fn look_ahead(&mut self, y: &[f64], season: usize) -> f64 {
        let missed = miss(self.form, y, &self.found.place, season);
        if let Some(other) = self.other.take() {
            let other_missed = miss(self.form, y, &other.place, season);
            if other_missed < missed {
                self.found = other;
                return other_missed;
            }
        }
        missed
    }

    /// Moves to where a form with the same parts ended when that is further down.
    fn start_from(&mut self, known: &[(Form, Place)], y: &[f64]) {
        let mut after = self.found.place.state.clone();
        for (form, place) in known {
            if form.trend != self.form.trend || form.season != self.form.season {
                continue;
            }
            let mut place = place.clone();
            if form.damped != self.form.damped {
                place.shares.phi = if self.form.damped { Region::PHI.1 } else { 1.0 };
            }
            let sum = place.sum(self.form, y, &mut after);
            if sum < self.found.sum {
                self.found.place = place;
                self.found.sum = sum;
            }
        }
    }
}

/// What AICc adds to n·ln of the sum; none when the series is too short for the form.
fn penalty(form: Form, n_values: usize, season: usize) -> Option<f64> {
    let n_parameters = form.n_parameters(season) as f64;
    let free = n_values as f64 - n_parameters - 1.0;
    (free > 0.0).then(|| 2.0 * n_parameters + 2.0 * n_parameters * (n_parameters + 1.0) / free)
}

/// The candidate with the lowest AICc among those that see far enough; none when the series is too
/// short for each.
pub(super) fn choose(
    y: &[f64],
    season: usize,
    forms: &[Form],
    stop: &Stop,
) -> Result<Option<Candidate>, FitError> {
    let mut candidates = starting_points(y, season, forms, stop)?;
    let mut search = Search::default();
    let mut nearest = f64::INFINITY;
    let mut least: Option<(f64, Candidate)> = None;
    let mut known: Vec<(Form, Place)> = Vec::new();
    let mut is_first_round = true;
    loop {
        let mut best: Option<(f64, usize)> = None;
        for (idx, candidate) in candidates.iter_mut().enumerate() {
            if !candidate.found.settled {
                candidate.start_from(&known, y);
                let rival = best.map_or(f64::INFINITY, |(aicc, _)| aicc) - candidate.penalty;
                let goal = Goal { gain: 0.01, rival };
                candidate.found =
                    search.descend(candidate.form, y, candidate.found.clone(), goal, stop)?;
                candidate.search_other(&mut search, y, goal, stop)?;
                known.push((candidate.form, candidate.found.place.clone()));
            }
            if is_first_round && season > 1 {
                nearest = nearest.min(miss(candidate.form, y, &candidate.found.place, season));
            }
            let aicc = candidate.aicc(y.len());
            if aicc.is_finite() && best.is_none_or(|(best, _)| aicc < best) {
                best = Some((aicc, idx));
            }
        }
        is_first_round = false;
        let Some((_, idx)) = best else { break };
        let mut candidate = candidates.swap_remove(idx);
        let missed = if season > 1 { candidate.look_ahead(y, season) } else { nearest };
        if least.as_ref().is_none_or(|(least, _)| missed < *least) {
            least = Some((missed, candidate));
        }
        if missed <= WILD * nearest {
            break;
        }
    }
    let Some((_, mut chosen)) = least else { return Ok(None) };
    let goal = Goal { gain: 1e-6, rival: f64::INFINITY };
    chosen.found = search.descend(chosen.form, y, chosen.found, goal, stop)?;
    Ok(Some(chosen))
}

/// Every form at its first state and the best weights of the coarse grid, the most promising first.
fn starting_points(
    y: &[f64],
    season: usize,
    forms: &[Form],
    stop: &Stop,
) -> Result<Vec<Candidate>, FitError> {
    let starts = Starts::new(y, season);
    let mut candidates = Vec::with_capacity(forms.len());
    for &form in forms {
        stop.check()?;
        let penalty = penalty(form, y.len(), season);
        if let (Some(penalty), Some(state)) = (penalty, starts.state(form)) {
            let [found, other] = coarse(form, y, &state);
            // Without a season nothing looks further ahead than a step.
            let other = (season > 1).then_some(other);
            candidates.push(Candidate { form, found, other, penalty });
        }
    }
    candidates.sort_by(|a, b| a.aicc(y.len()).total_cmp(&b.aicc(y.len())));
    Ok(candidates)
}
