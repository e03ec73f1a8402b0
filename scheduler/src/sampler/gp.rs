//! Bayesian optimisation with a Gaussian process.
//!
//! J. Snoek et al., "Practical Bayesian optimization of machine learning algorithms" (2012), with a
//! kernel for every kind of axis (`kernel`), losses warped (`warp`), axes stretched where that
//! explains them much better (`stretch`), lengths and noise fitted under priors (`likelihood`), and
//! the logarithm of expected improvement (`normal`, `model`) climbed from many starts (`search`).
//! Bounds have a process of their own, and the improvement counts as much as a point is likely to keep
//! them (J. R. Gardner et al., "Bayesian optimization with inequality constraints", ICML 2014; one
//! process for the nearest of all bounds), and not to fail. What is kept between proposals only saves
//! work.

mod arithmetic;
mod factor;
mod fit;
mod gain;
mod kernel;
mod known;
mod likelihood;
mod minimise;
mod model;
mod normal;
mod region;
mod search;
mod stretch;
mod warp;
mod whole;
mod wide;

use std::cmp::Ordering;

use fleetfit_search_spaces::sampling::n_before_process;
use rand::Rng;
use rand_pcg::Pcg64;

use self::fit::{Fitted, milestone};
use self::kernel::{Kernel, Points, features};
use self::known::{Known, are_weak, bounded, losses, sorted_losses};
use self::model::{Model, Posterior};
use self::normal::normal;
use self::region::Region;
use self::search::Search;
use super::axes::Axes;
use super::history::{Fate, History, Past};
use super::random::unit;

/// Trials that run, as the model sees them at most: the latest ones.
const MOST_RUNNING: usize = 64;

/// Ways in which trials that run may turn out.
const N_DRAWS: usize = 16;

/// What looking at points may cost in multiplications, and how many points it is at most.
const SEARCH_COST: usize = 12_000_000;
const MOST_CANDIDATES: usize = 1_024;

/// With more axes than this, each climb takes long and fewer have to do.
const MANY_AXES: usize = 100;

/// Points are repeated that are nearer to each other than this along each axis.
const REPEATED: f64 = 1e-6;

/// With less noise than this, of the variance of the function, what is nearer than the second to a
/// trial that has ended, along each axis, brings the same again.
const LITTLE_NOISE: f64 = 1e-4;
const CLOSE: f64 = 1e-5;

/// Losses that differ by less than this share of both are the same.
const ALIKE: f64 = 1e-9;

/// The same of a trial that runs: what comes of it is waited for.
const APART: f64 = 1e-3;

/// Where a trial is less likely than this to succeed, that it failed says that there is nothing good.
const DOOMED: f64 = 0.02;

/// Failed trials that are looked at for that at most: the latest ones, and a few more.
const MOST_FAILED: usize = 128;

/// Points that are compared where there is no model.
const N_COMPARED: usize = 32;

/// The method and what it worked out for the last proposal.
#[derive(Debug, Default)]
pub(super) struct Gp {
    kept: Option<Box<Kept>>,
    /// The same of what is left to bounds.
    bounds: Option<Box<Kept>>,
}

/// A model and the trials in it, in its order.
#[derive(Debug)]
struct Kept {
    fitted: Fitted,
    seen: Vec<Known>,
    model: Model,
}

impl Gp {
    /// How many trials come before the first that this proposes.
    pub(super) fn n_first(&self, axes: &Axes) -> usize {
        n_before_process(axes.kinds().len())
    }

    /// Points to try next, the best first. Coordinates that are `fixed` are settled, where that is a
    /// number; there what is best among those that share them is to be improved upon.
    pub(super) fn propose(
        &mut self,
        axes: &Axes,
        history: &History,
        fixed: &[f64],
        draw: &mut Pcg64,
    ) -> Vec<Vec<f64>> {
        let aimed = history.aimed(draw);
        let history = aimed.as_ref().unwrap_or(history);
        let known: Vec<Known> = Known::all(history);
        if axes.kinds().is_empty() || !known.iter().any(|known| known.has_completed) {
            return far_from_all(axes, history, fixed, draw);
        }
        let mut failed: Vec<&Known> = known.iter().filter(|known| known.has_failed).collect();
        let bounds = (history.is_bounded() || !failed.is_empty()).then(|| {
            let known = bounded(&known, history);
            Kept::of(self.bounds.take(), axes, history, &known, true)
        });
        // Who failed where nothing else was likely has lost much; what chance did says nothing. Which of
        // them are looked at changes only where all is fitted anew.
        failed.drain(..milestone(failed.len()).saturating_sub(MOST_FAILED));
        let doomed = bounds.as_ref().map(|bounds| bounds.doomed(axes, history, &failed));
        let doomed = doomed.unwrap_or_default();
        let judged = known
            .iter()
            .filter(|known| !known.has_failed || doomed.binary_search(&known.number).is_ok());
        let judged: Vec<Known> = judged.copied().collect();
        // What is fitted for one proposal alone has to be cheap.
        let mut kept = Kept::of(self.kept.take(), axes, history, &judged, !history.is_aimed());
        let running: Vec<&Past> =
            history.trials().iter().filter(|past| past.fate.is_none()).collect();
        for past in &running[running.len().saturating_sub(MOST_RUNNING)..] {
            kept.model.push(&features(axes, &past.units), false);
        }
        let chances = bounds.as_ref().map(Kept::chances);
        let points = kept.proposals((axes, history, fixed), chances.as_ref(), true, draw);
        kept.model.truncate(kept.seen.len());
        self.kept = Some(Box::new(kept));
        self.bounds = bounds.map(Box::new);
        points
    }
}

impl Kept {
    /// For these trials, from what is kept of others where there is anything.
    fn of(
        kept: Option<Box<Self>>,
        axes: &Axes,
        history: &History,
        known: &[Known],
        is_thorough: bool,
    ) -> Self {
        match kept {
            Some(kept) => kept.with(axes, history, known, is_thorough),
            None => Self::new(axes, history, known, is_thorough),
        }
    }

    fn new(axes: &Axes, history: &History, known: &[Known], is_thorough: bool) -> Self {
        let fitted = Fitted::new(axes, history, &known[..milestone(known.len())], is_thorough);
        let model = Model::new(fitted.kernel.clone(), fitted.noise);
        Self { fitted, seen: Vec::new(), model }.extended(axes, history, known)
    }

    /// The same for these trials: only what is not in it yet is worked out, where it fits.
    fn with(
        self: Box<Self>,
        axes: &Axes,
        history: &History,
        known: &[Known],
        is_thorough: bool,
    ) -> Self {
        let n_fitted = milestone(known.len());
        let (old, later) = known.split_at(n_fitted);
        let n_base = self.fitted.base.len();
        let is_same = self.fitted.known == old
            && self.seen.get(n_base..).is_some_and(|seen| later.starts_with(seen));
        match is_same {
            true => self.extended(axes, history, known),
            false => Self::new(axes, history, known, is_thorough),
        }
    }

    fn extended(mut self, axes: &Axes, history: &History, known: &[Known]) -> Self {
        let later = &known[self.fitted.known.len()..];
        let seen: Vec<Known> = self.fitted.base.iter().chain(later).copied().collect();
        for known in seen.get(self.model.len()..).unwrap_or_default() {
            let units = known.units(history).unwrap_or_default();
            self.model.push(&features(axes, units), !known.has_completed);
        }
        self.seen = seen;
        self
    }

    /// Which trials an improvement is one of: those that have completed within bounds and share the
    /// settled coordinates, or all within bounds where none shares them.
    fn counting(&self, history: &History, fixed: &[f64]) -> Vec<bool> {
        let is_kin = |units: &[f64]| {
            fixed.iter().zip(units).all(|(fixed, unit)| fixed.is_nan() || fixed == unit)
        };
        let is_bounded = history.is_bounded();
        let may_count =
            |known: &Known| known.has_completed && (!is_bounded || known.keeps == Some(true));
        let counting: Vec<bool> = self.seen.iter().map(may_count).collect();
        let is_own =
            |(known, counts): (&Known, &bool)| *counts && known.units(history).is_some_and(is_kin);
        let counts: Vec<bool> = self.seen.iter().zip(&counting).map(is_own).collect();
        if counts.contains(&true) { counts } else { counting }
    }

    /// The best of the trials that count: its number and its place.
    fn best<'a>(&self, history: &'a History, counts: &[bool]) -> Option<(u32, &'a [f64])> {
        let counting = self.seen.iter().zip(counts).filter(|(_, counts)| **counts);
        let known = counting.map(|(known, _)| known).min_by(|a, b| {
            let loss = |known: &Known| known.loss.unwrap_or(f64::INFINITY);
            loss(a).total_cmp(&loss(b)).then(a.number.cmp(&b.number))
        })?;
        Some((known.number, known.units(history)?))
    }

    /// What is seen of each trial, as the model sees it.
    fn values(&self) -> Vec<f64> {
        let losses = losses(&self.seen, &sorted_losses(&self.seen));
        losses.iter().map(|&loss| self.fitted.warp.apply(loss)).collect()
    }

    /// How likely it is that bounds are kept, where losses are how far they are exceeded.
    fn chances(&self) -> Posterior<'_> {
        let bound = self.fitted.warp.apply(0.0);
        self.model.chances(&self.values(), &are_weak(&self.seen), bound)
    }

    /// Those of the failed trials that were unlikely to do anything else, by their numbers.
    fn doomed(&self, axes: &Axes, history: &History, failed: &[&Known]) -> Vec<u32> {
        let place = |known: &&Known| features(axes, known.units(history).unwrap_or_default());
        let logs = self.chances().logs(&failed.iter().map(place).collect::<Vec<_>>());
        let pairs = failed.iter().zip(logs);
        pairs.filter(|(_, log)| log.exp() < DOOMED).map(|(known, _)| known.number).collect()
    }

    /// Points of which most improvement is expected, within bounds; near the best trial alone where
    /// that may be and a search is stuck.
    fn proposals(
        &self,
        (axes, history, fixed): (&Axes, &History, &[f64]),
        bounds: Option<&Posterior<'_>>,
        may_narrow: bool,
        draw: &mut Pcg64,
    ) -> Vec<Vec<f64>> {
        let (seen, model) = (&self.seen, &self.model);
        let values = self.values();
        let is_weak = are_weak(seen);
        let draws = normals(model.len() - seen.len(), draw);
        let counts = self.counting(history, fixed);
        let posterior = model.posterior(&values, &is_weak, &counts, &draws);
        let mut order: Vec<usize> = (0..seen.len()).filter(|&i| counts[i]).collect();
        order.sort_by(|&a, &b| posterior.means[a].total_cmp(&posterior.means[b]));
        let region = match self.best(history, &counts) {
            Some(best) if may_narrow && !history.is_aimed() => Region::around(axes, history, best),
            _ => Region::everywhere(axes),
        };
        let centers = order.iter().take(4).filter_map(|&i| seen[i].units(history));
        let centers = centers.filter(|center| region.holds(center));
        let n = model.len();
        let n_axes = axes.kinds().len();
        // With what it takes to settle a point.
        let cost = n * (n / 2 + n_axes + 10) + 100 * n_axes;
        let search = Search {
            axes,
            posterior: &posterior,
            bounds,
            fixed,
            centers: centers.map(<[f64]>::to_vec).collect(),
            region: &region,
            lengths: &self.fitted.lengths,
            n_candidates: (SEARCH_COST / cost.max(1)).clamp(64, MOST_CANDIDATES),
            n_climbs: if n_axes > MANY_AXES { 2 } else { (600 / n.max(1)).clamp(4, 8) },
        };
        let running = history.trials().iter().filter(|past| past.fate.is_none());
        let n_running = running.clone().count();
        // These run as well, and the model does not know.
        let unknown: Vec<&Past> = running.take(n_running.saturating_sub(n - seen.len())).collect();
        let is_tried =
            |point: &[f64]| unknown.iter().any(|past| is_within(APART, point, &past.units));
        // What looks like noise and is none is too rough for the model to tell neighbours apart.
        let reach = match self.fitted.noise < LITTLE_NOISE {
            true => Some(CLOSE),
            false => self.repeats_are_alike(history).then_some(APART),
        };
        // What tells nothing comes after all others.
        let (told, mut points): (Vec<_>, Vec<_>) = search
            .run(draw)
            .into_iter()
            .partition(|point| is_tried(point) || is_told(history, point, reach));
        if points.is_empty() {
            points = far_from_all(axes, history, fixed, draw);
        }
        points.extend(told);
        points
    }

    /// Whether whatever was tried twice at a place came to the same there: what looks like noise is
    /// how rough the function is.
    fn repeats_are_alike(&self, history: &History) -> bool {
        let place = |known: &Known| Some((known.units(history)?, known.loss?));
        let completed = self.seen.iter().filter(|known| known.has_completed);
        let mut places: Vec<(&[f64], f64)> = completed.filter_map(place).collect();
        places.sort_by(|(one, _), (other, _)| {
            let mut pairs = one.iter().zip(*other).map(|(one, other)| one.total_cmp(other));
            pairs.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        });
        let mut n_alike = 0;
        for (at, (place, loss)) in places.iter().enumerate() {
            let later = places[at + 1..].iter();
            let apart = |other: &[f64]| Some(other.first()? - place.first()?);
            let is_far = |other: &[f64]| apart(other).is_some_and(|apart| apart >= CLOSE);
            let near = later.take_while(|(other, _)| !is_far(other));
            for (_, other) in near.filter(|(other, _)| is_within(CLOSE, place, other)) {
                if (loss - other).abs() > ALIKE * (loss.abs() + other.abs()) {
                    return false;
                }
                n_alike += 1;
            }
        }
        n_alike > 0
    }
}

/// Whether it is known already what comes of a point: what was stopped or failed there would be so
/// again, and where losses are exact, so would be what has completed within some reach, or runs there.
fn is_told(history: &History, point: &[f64], reach: Option<f64>) -> bool {
    history.trials().iter().any(|past| {
        let is_near = |reach| is_within(reach, point, &past.units);
        match past.fate {
            Some(Fate::Stopped(_) | Fate::Failed) if is_near(REPEATED) => true,
            Some(_) => reach.is_some_and(is_near),
            None => reach.is_some() && is_near(APART),
        }
    })
}

/// Whether two points are nearer to each other than this along each axis.
fn is_within(reach: f64, point: &[f64], other: &[f64]) -> bool {
    let mut pairs = point.iter().zip(other);
    pairs.all(|(one, other)| (one - other).abs() < reach || one.is_nan() && other.is_nan())
}

/// Normal numbers for trials that run, in pairs that mirror each other.
fn normals(n: usize, draw: &mut Pcg64) -> Vec<Vec<f64>> {
    let mut draws = Vec::with_capacity(N_DRAWS);
    for _ in 0..N_DRAWS / 2 {
        let one = (0..n).map(|_| normal(unit(draw.next_u64()), unit(draw.next_u64())));
        let one: Vec<f64> = one.collect();
        draws.push(one.iter().map(|normal| -normal).collect());
        draws.push(one);
    }
    draws
}

/// Of some points drawn by chance, the farthest from all trials first.
fn far_from_all(axes: &Axes, history: &History, fixed: &[f64], draw: &mut Pcg64) -> Vec<Vec<f64>> {
    let n_axes = axes.kinds().len();
    let kernel = Kernel::new(axes, &vec![0.0; n_axes]);
    let mut points = Points::new(n_axes);
    let trials = history.trials();
    for past in &trials[trials.len().saturating_sub(MOST_RUNNING)..] {
        points.push(&features(axes, &past.units));
    }
    let mut squares = vec![0.0; points.n];
    let mut rated = Vec::new();
    for _ in 0..N_COMPARED {
        let draws = fixed.iter().map(|&fixed| (fixed, unit(draw.next_u64())));
        let mut units: Vec<f64> =
            draws.map(|(fixed, drawn)| if fixed.is_nan() { drawn } else { fixed }).collect();
        axes.settle(&mut units);
        kernel.squares(&points, &features(axes, &units), &mut squares);
        rated.push((squares.iter().copied().fold(f64::INFINITY, f64::min), units));
    }
    rated.sort_by(|a, b| b.0.total_cmp(&a.0));
    rated.into_iter().map(|(_, units)| units).collect()
}

#[cfg(test)]
mod tests;
