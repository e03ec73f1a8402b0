//! The stepwise search for orders (Hyndman & Khandakar 2008), as in R's `forecast::auto.arima`.
//!
//! Candidates are fitted by exact likelihood where the series is short (at most 150 values and 12
//! steps a season), by conditional least squares otherwise; the best is fitted exactly. Deviations:
//! a candidate begins at the best model so far; a model that reaches back further than
//! [`FARTHEST_EXACT`] steps is fitted conditionally throughout; and where the likeliest coefficients
//! of the best lie too near to the unit circle, its conditional ones are taken, in short series where
//! nothing but differences would be left.

use super::conditional::{self, Conditional};
use super::exact::{self, Exact, Model};
use super::factor::{Factors, Shape};
use super::likeliest::{self, Task};
use crate::series::naive::mean;
use crate::stop::{Stop, Stopped};

/// The most candidates, as in R.
const MOST_CANDIDATES: usize = 94;
/// How near to the unit circle a root may be, at most: longer series tell more.
const MARGIN: f64 = 0.01;
/// The longest lag of an exact fit, which costs its cube.
const FARTHEST_EXACT: usize = 128;

/// The least and the greatest order of each kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) least: Shape,
    pub(super) most: Shape,
    /// Whether a constant may be added.
    pub(super) allows_constant: bool,
    /// Whether it may be left out.
    pub(super) allows_none: bool,
    /// Whether candidates are compared by exact likelihoods.
    pub(super) is_exact: bool,
}

/// The model chosen.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    pub(super) factors: Factors,
    /// What is added at each step, beside the autoregression.
    pub(super) intercept: f64,
    /// The last errors, oldest first, as many as the longest moving-average lag.
    pub(super) errors: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    shape: Shape,
    has_mean: bool,
    criterion: f64,
    factors: Factors,
    intercept: f64,
}

/// A search along one differenced series.
pub(super) struct Search<'a> {
    w: &'a [f64],
    centred: Vec<f64>,
    centre: f64,
    season: usize,
    bounds: Bounds,
    stop: &'a Stop,
    exact: exact::Buffers,
    conditional: conditional::Buffers,
    tried: Vec<Candidate>,
    /// Whether a model whose likeliest coefficients are refused is taken by its conditional fit.
    is_lenient: bool,
}

/// The steps from the best model to its neighbours: ar, ma, seasonal ar, seasonal ma.
const NEIGHBOURS: [[isize; 4]; 16] = [
    [0, 0, -1, 0],
    [0, 0, 0, -1],
    [0, 0, 1, 0],
    [0, 0, 0, 1],
    [0, 0, -1, -1],
    [0, 0, -1, 1],
    [0, 0, 1, -1],
    [0, 0, 1, 1],
    [-1, 0, 0, 0],
    [0, -1, 0, 0],
    [1, 0, 0, 0],
    [0, 1, 0, 0],
    [-1, -1, 0, 0],
    [-1, 1, 0, 0],
    [1, -1, 0, 0],
    [1, 1, 0, 0],
];

impl<'a> Search<'a> {
    pub(super) fn new(w: &'a [f64], season: usize, bounds: Bounds, stop: &'a Stop) -> Self {
        let centre = mean(w);
        Self {
            w,
            centred: w.iter().map(|value| value - centre).collect(),
            centre,
            season,
            bounds,
            stop,
            exact: exact::Buffers::default(),
            conditional: conditional::Buffers::default(),
            tried: Vec::new(),
            is_lenient: !bounds.is_exact,
        }
    }

    /// Searches, and fits the best model once more.
    pub(super) fn run(mut self) -> Result<Chosen, Stopped> {
        let mut best = self.choose()?;
        if self.bounds.is_exact {
            let was_refused = |candidate: &Candidate| candidate.criterion.is_infinite();
            if best.shape == Shape::default() && self.tried.iter().any(was_refused) {
                self.is_lenient = true;
                self.tried.clear();
                best = self.choose()?;
            }
            return Ok(self.finished(&best, true));
        }
        self.tried.sort_by(|a, b| a.criterion.total_cmp(&b.criterion));
        let tried = std::mem::take(&mut self.tried);
        for candidate in tried.iter().filter(|candidate| candidate.criterion.is_finite()) {
            let span =
                candidate.shape.ar_span(self.season).max(candidate.shape.ma_span(self.season));
            if span > FARTHEST_EXACT {
                return Ok(self.finished(candidate, false));
            }
            let refitted = self.refitted(candidate.has_mean, &candidate.factors, f64::INFINITY)?;
            if refitted.criterion.is_finite() {
                return Ok(self.finished(&refitted, true));
            }
        }
        Ok(self.finished(&best, false))
    }

    fn choose(&mut self) -> Result<Candidate, Stopped> {
        let Bounds { least, most, allows_constant, .. } = self.bounds;
        let within = |ar: usize, ma: usize, seasonal_ar: usize, seasonal_ma: usize| Shape {
            ar: ar.clamp(least.ar, most.ar),
            ma: ma.clamp(least.ma, most.ma),
            seasonal_ar: seasonal_ar.clamp(least.seasonal_ar, most.seasonal_ar),
            seasonal_ma: seasonal_ma.clamp(least.seasonal_ma, most.seasonal_ma),
        };
        let short = self.w.len() < 10;
        let first = if short { within(1, 1, 0, 0) } else { within(2, 2, 1, 1) };
        let mut best = self.candidate(within(0, 0, 0, 0), allows_constant, None)?;
        for shape in [within(1, 0, 1, 0), within(0, 1, 0, 1), first] {
            self.compare(shape, allows_constant, &mut best)?;
        }
        if allows_constant && self.bounds.allows_none {
            self.compare(within(0, 0, 0, 0), false, &mut best)?;
        }
        let mut has_mean = allows_constant;
        while self.tried.len() < MOST_CANDIDATES && self.step(&mut best, &mut has_mean)? {}
        Ok(best)
    }

    /// Tries the neighbours of the best model; whether one is better.
    fn step(&mut self, best: &mut Candidate, has_mean: &mut bool) -> Result<bool, Stopped> {
        let Shape { ar, ma, seasonal_ar, seasonal_ma } = best.shape;
        let Bounds { least, most, allows_constant, allows_none, .. } = self.bounds;
        for [a, b, c, d] in NEIGHBOURS {
            let moved = |order: usize, change, least, most| {
                order.checked_add_signed(change).filter(|order| (least..=most).contains(order))
            };
            let (Some(ar), Some(ma), Some(seasonal_ar), Some(seasonal_ma)) = (
                moved(ar, a, least.ar, most.ar),
                moved(ma, b, least.ma, most.ma),
                moved(seasonal_ar, c, least.seasonal_ar, most.seasonal_ar),
                moved(seasonal_ma, d, least.seasonal_ma, most.seasonal_ma),
            ) else {
                continue;
            };
            let shape = Shape { ar, ma, seasonal_ar, seasonal_ma };
            if self.compare(shape, *has_mean, best)? {
                return Ok(true);
            }
        }
        if allows_constant && allows_none && self.compare(best.shape, !*has_mean, best)? {
            *has_mean = !*has_mean;
            return Ok(true);
        }
        Ok(false)
    }

    /// Fits a candidate that was not tried yet; whether it is better than the best, then the best.
    fn compare(
        &mut self,
        shape: Shape,
        has_mean: bool,
        best: &mut Candidate,
    ) -> Result<bool, Stopped> {
        let known = |tried: &Candidate| tried.shape == shape && tried.has_mean == has_mean;
        if self.tried.len() >= MOST_CANDIDATES || self.tried.iter().any(known) {
            return Ok(false);
        }
        let candidate = self.candidate(shape, has_mean, Some(*best))?;
        let is_better = candidate.criterion < best.criterion;
        if is_better {
            *best = candidate;
        }
        Ok(is_better)
    }

    /// Fits a candidate, from the factors of another.
    fn candidate(
        &mut self,
        shape: Shape,
        has_mean: bool,
        from: Option<Candidate>,
    ) -> Result<Candidate, Stopped> {
        let start = from
            .and_then(|from| Some(from.factors.unbounded()?.resized(shape).bounded()))
            .unwrap_or_default()
            .resized(shape);
        let quick = self.conditional(has_mean, &start)?;
        let candidate = if self.bounds.is_exact {
            let start = quick.map_or(start, |quick| quick.factors);
            let best = from.map_or(f64::INFINITY, |from| from.criterion);
            self.refitted(has_mean, &start, best)?
        } else {
            self.quick(shape, has_mean, quick)
        };
        self.tried.push(candidate);
        Ok(candidate)
    }

    fn conditional(
        &mut self,
        has_mean: bool,
        start: &Factors,
    ) -> Result<Option<Conditional>, Stopped> {
        let w = if has_mean { &self.centred } else { self.w };
        let intercept = has_mean.then_some(0.0);
        self.conditional.fit(w, self.season, (*start, intercept), self.stop)
    }

    /// A candidate from its conditional fit.
    fn quick(&self, shape: Shape, has_mean: bool, quick: Option<Conditional>) -> Candidate {
        let nothing = Candidate {
            shape,
            has_mean,
            criterion: f64::INFINITY,
            factors: Factors::default().resized(shape),
            intercept: 0.0,
        };
        let Some(quick) = quick else { return nothing };
        let variance = (quick.sum_squares / quick.n_residuals as f64).max(f64::MIN_POSITIVE);
        let deviance = self.w.len() as f64 * variance.ln();
        Candidate {
            factors: quick.factors,
            intercept: quick.intercept,
            criterion: self.criterion(deviance, &quick.factors, has_mean),
            ..nothing
        }
    }

    /// A candidate from its exact fit; short of its best where that is far from the best so far.
    fn likeliest(
        &mut self,
        has_mean: bool,
        start: &Factors,
        best: f64,
    ) -> Result<Candidate, Stopped> {
        let to_beat = best - self.penalty(start.shape(), has_mean);
        let w = if has_mean { &self.centred } else { self.w };
        let task = Task { w, season: self.season, has_mean, to_beat };
        let (exact, conditional) = (&mut self.exact, &mut self.conditional);
        let found = likeliest::fit(task, start, exact, conditional, self.stop)?;
        let mut candidate = Candidate {
            shape: start.shape(),
            has_mean,
            criterion: f64::INFINITY,
            factors: *start,
            intercept: 0.0,
        };
        if let Some(found) = found {
            candidate.factors = found.factors;
            let deviance = found.exact.deviance(self.w.len());
            candidate.criterion = self.criterion(deviance, &found.factors, has_mean);
        }
        Ok(candidate)
    }

    /// A candidate from its exact fit, or as it is where that is refused and leniency asked for.
    fn refitted(
        &mut self,
        has_mean: bool,
        start: &Factors,
        best: f64,
    ) -> Result<Candidate, Stopped> {
        let likeliest = self.likeliest(has_mean, start, best)?;
        if self.is_lenient && likeliest.criterion.is_infinite() {
            return Ok(self.judged(has_mean, start));
        }
        Ok(likeliest)
    }

    /// A candidate as it is, by its exact likelihood.
    fn judged(&mut self, has_mean: bool, factors: &Factors) -> Candidate {
        let w = if has_mean { &self.centred } else { self.w };
        let model = Model { w, season: self.season, factors, has_mean };
        let criterion = self.exact.evaluate(&model).map_or(f64::INFINITY, |exact| {
            self.criterion(exact.deviance(self.w.len()), factors, has_mean)
        });
        let shape = factors.shape();
        Candidate { shape, has_mean, criterion, factors: *factors, intercept: 0.0 }
    }

    /// AICc; infinite for a model too near to the unit circle or with too many coefficients.
    fn criterion(&self, deviance: f64, factors: &Factors, has_mean: bool) -> f64 {
        let margin = 1.0 + (2.0 / self.w.len() as f64).min(MARGIN);
        if factors.is_inside(margin) {
            deviance + self.penalty(factors.shape(), has_mean)
        } else {
            f64::INFINITY
        }
    }

    /// What AICc adds to the deviance; infinite where there are too few values, and as in AIC where
    /// there are too few for any model.
    fn penalty(&self, shape: Shape, has_mean: bool) -> f64 {
        let k = (shape.n_coefficients() + usize::from(has_mean) + 1) as f64;
        let left = self.w.len() as f64 - k - 1.0;
        if self.w.len() <= 3 {
            2.0 * k
        } else if left > 0.0 {
            2.0 * k + 2.0 * k * (k + 1.0) / left
        } else {
            f64::INFINITY
        }
    }

    /// What a forecast needs of a candidate.
    fn finished(&mut self, candidate: &Candidate, is_exact: bool) -> Chosen {
        let Candidate { has_mean, factors, .. } = *candidate;
        let w = if has_mean { &self.centred } else { self.w };
        let at_once: f64 = (1.0 - factors.ar.as_slice().iter().sum::<f64>())
            * (1.0 - factors.seasonal_ar.as_slice().iter().sum::<f64>());
        let centre = if has_mean { self.centre } else { 0.0 };
        if is_exact {
            let model = Model { w, season: self.season, factors: &factors, has_mean };
            if let Some(exact) = self.exact.evaluate(&model) {
                let Exact { mean, .. } = exact;
                let errors = self.exact.last_errors(&model, &exact);
                return Chosen { factors, intercept: (centre + mean) * at_once, errors };
            }
        }
        let skipped = candidate.shape.ar_span(self.season);
        let fit = Conditional {
            factors,
            intercept: candidate.intercept,
            sum_squares: 0.0,
            n_residuals: w.len().saturating_sub(skipped),
        };
        let errors = self.conditional.last_residuals(w, self.season, &fit);
        Chosen { factors, intercept: centre * at_once + candidate.intercept, errors }
    }
}
