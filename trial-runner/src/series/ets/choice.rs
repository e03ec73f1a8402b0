//! The choice among forms: AICc of the searched forms, with a look further ahead.
//!
//! Most of a search's cost is a long first season, so each form is searched without it first, and
//! searched with it only where what other forms won by it could make this one the best.

use super::form::{Component, Form};
use super::outlook::miss;
use super::recursion::ahead;
use super::search::{Found, Goal, Place, Reach, Region, Search};
use super::start::{Starts, across, coarse, is_short};
use crate::stop::{Stop, Stopped};
use crate::trainer::FitError;

/// A form is not taken when its forecasts of a season ahead miss by this much more than those of
/// the best form, both within the series. AICc sees one step: on hourly series it favours
/// multiplicative errors that follow every value, and their forecasts of the next day explode.
const WILD: f64 = 1.5;

/// With fewer seasons there is little to see ahead in: a random walk seems to follow some straight
/// line, which misses by little within the series and by much behind it. So AICc decides, but that a
/// form without a season is not taken when it misses by this much more than the best with one: AICc
/// counts each index, and sees no season in two or three of them.
const FEW_SEASONS: f64 = 4.0;
const UNSEASONAL: f64 = 3.0;

/// Misses within a series flatter what was fitted to it, the more the fewer seasons it has. So much over
/// the square of their number is added to how much more is wild, and to how much less the other end of
/// a search has to miss.
const WILD_FLATTERY: f64 = 2.0;
const OTHER_FLATTERY: f64 = 16.0;

/// Ends of two searches of one form are two when their alphas differ by this much: of these the one
/// whose forecasts of a season ahead miss by clearly less is taken, whatever its likelihood. A promotion
/// every other week makes a level that follows likely one step ahead, and wrong a month ahead.
const APART: f64 = 0.1;

/// Forms whose AICc is this much above the lowest are searched from one side only.
const NEAR: f64 = 3.0;

/// A sketch need not be finer than this in n·ln(sum).
const SKETCHED: f64 = 1.0;

/// A form's first season is not searched when so many times the most that any form won by it, and so
/// much on top, would not bring it below the best.
const HOPE: f64 = 1.5;
const MERCY: f64 = 4.0;

/// A form with its numbers.
pub(super) struct Candidate {
    pub form: Form,
    pub found: Found,
    /// Where a search from the other side ended, or is to begin; none where that is the same.
    pub other: Option<Found>,
    /// What AICc adds for the numbers estimated.
    pub penalty: f64,
}

impl Candidate {
    /// AICc but for a constant; a sum below rounding counts as rounding.
    pub(super) fn aicc(&self, n_values: usize) -> f64 {
        let n = n_values as f64;
        n * self.found.sum.max(n * 1e-28).ln() + self.penalty
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
pub(super) fn penalty(form: Form, n_values: usize, season: usize) -> Option<f64> {
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
    decide(y, season, starting_points(y, season, forms, stop)?, stop)
}

/// The same among candidates, of which some or all may have been searched.
pub(super) fn decide(
    y: &[f64],
    season: usize,
    mut candidates: Vec<Candidate>,
    stop: &Stop,
) -> Result<Option<Candidate>, FitError> {
    let search = Search::default();
    let (most_won, nearest) = (f64::INFINITY, f64::INFINITY);
    let mut choice = Choice { y, season, stop, search, most_won, nearest, known: Vec::new() };
    // Whoever sinks, or is wild, is taken only where all are: the one that misses by least.
    let mut least: Option<((bool, f64), Candidate)> = None;
    let mut is_first_round = true;
    while let Some(idx) = choice.lowest(&mut candidates, is_first_round)? {
        is_first_round = false;
        let mut candidate = candidates.swap_remove(idx);
        let mut sight = (false, 0.0);
        if season > 1 {
            choice.search_other(&mut candidate, f64::INFINITY)?;
            sight.1 = choice.look_ahead(&mut candidate);
            sight.0 = choice.sinks(&candidate);
        }
        let is_fit = !sight.0 && !choice.is_wild(candidate.form, sight.1);
        if least.as_ref().is_none_or(|(least, _)| sight < *least) {
            least = Some((sight, candidate));
        }
        if is_fit {
            break;
        }
    }
    let Some((_, mut chosen)) = least else { return Ok(None) };
    let goal = Goal { gain: 1e-6, rival: f64::INFINITY, reach: Reach::All };
    chosen.found = choice.search.descend(chosen.form, y, chosen.found, goal, stop)?;
    // With a season it is the one that sees further that counts, and that has been found.
    let across = if season > 1 { Vec::new() } else { across(chosen.form, y, &chosen.found.place) };
    for from in across {
        let found = choice.search.descend(chosen.form, y, from, goal, stop)?;
        if found.sum < chosen.found.sum {
            chosen.found = found;
        }
    }
    Ok(Some(chosen))
}

/// A choice on its way.
struct Choice<'a> {
    y: &'a [f64],
    season: usize,
    stop: &'a Stop,
    search: Search,
    /// The most by which n·ln(sum) fell when a first season was searched, too; infinite before that.
    most_won: f64,
    /// How far the forecasts of the form that sees furthest miss; with few seasons, of those with one.
    nearest: f64,
    /// Where the searches of forms ended.
    known: Vec<(Form, Place)>,
}

impl Choice<'_> {
    /// Searches all that may be the best, and says which is; none when there is none left.
    fn lowest(
        &mut self,
        candidates: &mut [Candidate],
        is_first_round: bool,
    ) -> Result<Option<usize>, Stopped> {
        let n = self.y.len();
        let mut lowest = f64::INFINITY;
        for candidate in candidates.iter_mut() {
            if !candidate.found.settled {
                candidate.start_from(&self.known, self.y);
                let from = candidate.found.clone();
                candidate.found = self.descend(candidate, from, lowest)?;
                self.known.push((candidate.form, candidate.found.place.clone()));
            }
            if is_first_round {
                self.see(candidate);
            }
            lowest = lowest.min(candidate.aicc(n));
        }
        for candidate in candidates.iter_mut() {
            let is_near = candidate.found.settled && candidate.aicc(n) <= lowest + NEAR;
            if is_near && candidate.other.as_ref().is_some_and(|other| !other.settled) {
                self.search_other(candidate, lowest)?;
                if is_first_round {
                    self.see(candidate);
                }
                lowest = lowest.min(candidate.aicc(n));
            }
        }
        let aicc = |idx: &usize| candidates[*idx].aicc(n);
        let finite = (0..candidates.len()).filter(|idx| aicc(idx).is_finite());
        Ok(finite.min_by(|a, b| aicc(a).total_cmp(&aicc(b))))
    }

    /// Searches on from a place; `rival` is the AICc to get below.
    fn descend(
        &mut self,
        candidate: &Candidate,
        from: Found,
        rival: f64,
    ) -> Result<Found, Stopped> {
        let (form, y) = (candidate.form, self.y);
        let rival = rival - candidate.penalty;
        let goal = Goal { gain: 0.01, rival, reach: Reach::All };
        if !form.has_season() {
            return self.search.descend(form, y, from, goal, self.stop);
        }
        let sketch = Goal { gain: SKETCHED, reach: Reach::Sketch, ..goal };
        let mut sketched = self.search.descend(form, y, from, sketch, self.stop)?;
        let n = y.len() as f64;
        let before = n * sketched.sum.ln();
        if before - HOPE * self.most_won - MERCY > rival {
            sketched.settled = false;
            return Ok(sketched);
        }
        let found = self.search.descend(form, y, sketched, goal, self.stop)?;
        let won = before - n * found.sum.ln();
        if found.settled && won.is_finite() {
            self.most_won = if self.most_won.is_finite() { self.most_won.max(won) } else { won };
        }
        Ok(found)
    }

    /// Searches from the other side too, and keeps what is lower as found.
    fn search_other(&mut self, candidate: &mut Candidate, rival: f64) -> Result<(), Stopped> {
        let Some(from) = candidate.other.take() else { return Ok(()) };
        let mut other = if from.settled { from } else { self.descend(candidate, from, rival)? };
        if other.settled && other.sum < candidate.found.sum {
            std::mem::swap(&mut other, &mut candidate.found);
        }
        let apart = (other.place.shares.alpha - candidate.found.place.shares.alpha).abs();
        let is_another = !other.settled || (other.sum.is_finite() && apart > APART);
        candidate.other = is_another.then_some(other);
        Ok(())
    }

    /// Takes note of how far a form sees. Without a season nothing looks further ahead than a step.
    fn see(&mut self, candidate: &Candidate) {
        if self.season > 1 && (candidate.form.has_season() || !self.has_few_seasons()) {
            let missed = miss(candidate.form, self.y, &candidate.found.place, self.season);
            self.nearest = self.nearest.min(missed);
        }
    }

    /// Whether a form that misses so far is not to be taken.
    fn is_wild(&self, form: Form, missed: f64) -> bool {
        let is_short = self.has_few_seasons();
        if self.season <= 1 || (is_short && form.has_season()) {
            return false;
        }
        let most = if is_short { UNSEASONAL } else { WILD * self.flattered(WILD_FLATTERY) };
        missed > most * self.nearest
    }

    fn has_few_seasons(&self) -> bool {
        self.n_seasons() < FEW_SEASONS
    }

    fn flattered(&self, flattery: f64) -> f64 {
        1.0 + flattery / self.n_seasons().powi(2)
    }

    fn n_seasons(&self) -> f64 {
        self.y.len() as f64 / self.season as f64
    }

    /// Of both ends the one that sees clearly further becomes the one found; returns how far it
    /// misses.
    fn look_ahead(&self, candidate: &mut Candidate) -> f64 {
        let missed = miss(candidate.form, self.y, &candidate.found.place, self.season);
        if let Some(other) = candidate.other.take() {
            let other_missed = miss(candidate.form, self.y, &other.place, self.season);
            if other_missed * self.flattered(OTHER_FLATTERY) < missed {
                candidate.found = other;
                return other_missed;
            }
        }
        missed
    }

    /// Whether a trend leads below 0 within a season, where the series never was.
    fn sinks(&self, candidate: &Candidate) -> bool {
        let form = candidate.form;
        if !form.has_trend() || self.y.iter().any(|&value| value < 0.0) {
            return false;
        }
        let place = &candidate.found.place;
        let mut after = place.state.clone();
        place.sum(form, self.y, &mut after);
        let unseasonal = Form { season: Component::None, ..form };
        ahead(unseasonal, place.shares.phi, &after, self.season).any(|value| value < 0.0)
    }
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
            // Without a season nothing looks further ahead than a step, and a long series ends where
            // it ends from either side.
            let other = (season > 1 || is_short(y.len())).then_some(other);
            candidates.push(Candidate { form, found, other, penalty });
        }
    }
    candidates.sort_by(|a, b| a.aicc(y.len()).total_cmp(&b.aicc(y.len())));
    Ok(candidates)
}
