//! Bayesian optimisation with a Gaussian process.
//!
//! J. Snoek et al., "Practical Bayesian optimization of machine learning algorithms" (2012), with a
//! kernel for every kind of axis (`kernel`), losses warped (`warp`), lengths and noise fitted under
//! priors (`likelihood`), and the logarithm of expected improvement (`normal`, `model`) climbed from
//! many starts (`search`). What it proposes follows from the history and the draw alone: what is kept
//! between proposals only saves work.

mod arithmetic;
mod factor;
mod kernel;
mod likelihood;
mod minimise;
mod model;
mod normal;
mod search;
mod warp;

use rand::Rng;
use rand_pcg::Pcg64;

use self::kernel::{Kernel, Points, features};
use self::likelihood::{Evidence, Hypers, Priors};
use self::minimise::{Effort, minimise};
use self::model::Model;
use self::normal::normal;
use self::search::Search;
use self::warp::Warp;
use super::axes::Axes;
use super::history::{Fate, History, Past};
use super::random::unit;

/// Points in the model, but for the latest ones.
const MOST_POINTS: usize = 448;

/// Points that lengths are fitted to.
const MOST_FITTED: usize = 160;

/// Trials that run, as the model sees them at most: the latest ones.
const MOST_RUNNING: usize = 64;

/// Ways in which trials that run may turn out.
const N_DRAWS: usize = 16;

/// What one search over the expected improvement may cost, in multiplications.
const SEARCH_COST: usize = 12_000_000;

const FIT: Effort = Effort { first_step: 0.5, max_steps: 30, tolerance: 1e-5 };

/// A sampler's state: what was worked out for the last proposal.
#[derive(Debug, Default)]
pub(super) struct Gp {
    fitted: Option<Fitted>,
    model: Option<Model>,
    /// The trials in the model, in its order.
    modelled: Vec<Known>,
}

/// A trial that has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Known {
    number: u32,
    loss: Option<f64>,
    /// Whether the loss is its own and its last.
    has_completed: bool,
}

/// Lengths, noise and warp, and what they were fitted to.
#[derive(Debug)]
struct Fitted {
    known: Vec<Known>,
    /// Those of `known` that stay in the model.
    base: Vec<Known>,
    warp: Warp,
    kernel: Kernel,
    noise: f64,
    lengths: Vec<f64>,
}

impl Gp {
    /// How many trials come before the first that this proposes.
    pub(super) fn n_first(&self, axes: &Axes) -> usize {
        (axes.kinds().len() + 2).clamp(5, 10)
    }

    /// Points to try next, the best first.
    pub(super) fn propose(
        &mut self,
        axes: &Axes,
        history: &History,
        draw: &mut Pcg64,
    ) -> Vec<Vec<f64>> {
        let known: Vec<Known> = history.trials().iter().filter_map(Known::new).collect();
        if axes.kinds().is_empty() || !known.iter().any(|known| known.has_completed) {
            return far_from_all(axes, history, draw);
        }
        let n_fitted = milestone(known.len());
        let fitted = match self.fitted.take() {
            Some(fitted) if fitted.known == known[..n_fitted] => fitted,
            _ => fit(axes, history, &known[..n_fitted]),
        };
        let mut seen = fitted.base.clone();
        seen.extend(&known[n_fitted..]);
        let mut model = self.extended(axes, history, &fitted, &seen);
        let running: Vec<&Past> =
            history.trials().iter().filter(|past| past.fate.is_none()).collect();
        for past in &running[running.len().saturating_sub(MOST_RUNNING)..] {
            model.push(&features(axes, &past.units), false);
        }
        let points = proposals(axes, history, &fitted, &seen, &model, draw);
        model.truncate(seen.len());
        (self.fitted, self.model, self.modelled) = (Some(fitted), Some(model), seen);
        points
    }

    /// The model of these trials, made from the last one where that has the first of them.
    fn extended(
        &mut self,
        axes: &Axes,
        history: &History,
        fitted: &Fitted,
        seen: &[Known],
    ) -> Model {
        let is_same = |model: &Model| {
            model.kernel == fitted.kernel
                && model.noise == fitted.noise
                && seen.starts_with(&self.modelled)
        };
        let last = self.model.take().filter(is_same);
        let mut model = last.unwrap_or_else(|| Model::new(fitted.kernel.clone(), fitted.noise));
        for known in seen.get(model.len()..).unwrap_or_default() {
            if let Some(units) = units_of(history, known.number) {
                model.push(&features(axes, units), !known.has_completed);
            }
        }
        model
    }
}

impl Known {
    fn new(past: &Past) -> Option<Self> {
        let number = past.number;
        match past.fate? {
            Fate::Completed(loss) => Some(Self { number, loss: Some(loss), has_completed: true }),
            Fate::Stopped(loss) => Some(Self { number, loss, has_completed: false }),
            Fate::Failed => Some(Self { number, loss: None, has_completed: false }),
        }
    }
}

/// The number of ended trials at which lengths were fitted last: ever fewer fits, then one every 32.
fn milestone(n: usize) -> usize {
    let step = match n {
        0..40 => 1,
        40..80 => 2,
        80..160 => 4,
        160..320 => 8,
        320..640 => 16,
        _ => 32,
    };
    n - n % step
}

fn units_of(history: &History, number: u32) -> Option<&[f64]> {
    let trials = history.trials();
    let place = trials.binary_search_by_key(&number, |past| past.number).ok()?;
    Some(&trials[place].units)
}

/// The losses of those that have completed, sorted.
fn sorted_losses(known: &[Known]) -> Vec<f64> {
    let completed = known.iter().filter(|known| known.has_completed);
    let mut losses: Vec<f64> = completed.filter_map(|known| known.loss).collect();
    losses.sort_by(f64::total_cmp);
    losses
}

/// A loss for each trial: the failed ones are thought to be among the worse ones, and those that were
/// stopped no better than most.
fn losses_of(known: &[Known], sorted: &[f64]) -> Vec<f64> {
    let at = |share: f64| {
        let place = (share * sorted.len().saturating_sub(1) as f64) as usize;
        sorted.get(place).copied().unwrap_or(0.0)
    };
    let (median, poor) = (at(0.5), at(0.75));
    let loss = |known: &Known| match known.loss {
        Some(loss) if known.has_completed => loss,
        Some(loss) => loss.max(median),
        None => poor,
    };
    known.iter().map(loss).collect()
}

/// The best and the latest of what is known, by number.
fn chosen(known: &[Known], losses: &[f64], n: usize) -> Vec<Known> {
    if known.len() <= n {
        return known.to_vec();
    }
    let n_late = n / 3;
    let n_early = known.len() - n_late;
    let mut order: Vec<usize> = (0..n_early).collect();
    order.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]).then(a.cmp(&b)));
    let n_best = n / 3;
    let (best, rest) = order.split_at(n_best);
    // A third of all kinds keeps the whole in view.
    let n_others = n - n_late - n_best;
    let others = (0..n_others).map(|i| rest[i * rest.len() / n_others]);
    let mut places: Vec<usize> =
        best.iter().copied().chain(others).chain(n_early..known.len()).collect();
    places.sort_unstable();
    places.into_iter().map(|place| known[place]).collect()
}

/// Fits lengths, noise and warp.
fn fit(axes: &Axes, history: &History, known: &[Known]) -> Fitted {
    let sorted = sorted_losses(known);
    let losses = losses_of(known, &sorted);
    let mut warp = Warp::new(&sorted);
    let base = chosen(known, &losses, MOST_POINTS);
    let fitted = chosen(known, &losses, MOST_FITTED);
    let n_axes = axes.kinds().len();
    let mut points = Points::new(n_axes);
    for known in &fitted {
        if let Some(units) = units_of(history, known.number) {
            points.push(&features(axes, units));
        }
    }
    let priors = Priors::new(n_axes);
    let start = Hypers::start(&priors, n_axes);
    let fitted_losses = losses_of(&fitted, &sorted);
    let evidence = Evidence {
        points: &points,
        is_category: &Kernel::new(axes, &start[..n_axes]).is_category,
        standard: &fitted_losses.iter().map(|&loss| warp.standard(loss)).collect::<Vec<_>>(),
        is_weak: &fitted.iter().map(|known| !known.has_completed).collect::<Vec<_>>(),
        priors: &priors,
    };
    let minimum = minimise(start, FIT, |parameters| evidence.cost(parameters));
    let hypers = Hypers::new(&minimum.x);
    warp.power = hypers.power;
    Fitted {
        known: known.to_vec(),
        base,
        warp,
        kernel: Kernel::new(axes, &hypers.log_lengths),
        noise: hypers.noise,
        lengths: hypers.log_lengths.iter().map(|log| log.exp()).collect(),
    }
}

/// Points of which most improvement is expected.
fn proposals(
    axes: &Axes,
    history: &History,
    fitted: &Fitted,
    seen: &[Known],
    model: &Model,
    draw: &mut Pcg64,
) -> Vec<Vec<f64>> {
    let losses = losses_of(seen, &sorted_losses(seen));
    let values: Vec<f64> = losses.iter().map(|&loss| fitted.warp.apply(loss)).collect();
    let is_weak: Vec<bool> = seen.iter().map(|known| !known.has_completed).collect();
    let draws = normals(model.len() - seen.len(), draw);
    let posterior = model.posterior(&values, &is_weak, &draws);
    let mut order: Vec<usize> = (0..seen.len()).filter(|&i| !is_weak[i]).collect();
    order.sort_by(|&a, &b| posterior.means[a].total_cmp(&posterior.means[b]));
    let centers = order.iter().take(4);
    let centers = centers.filter_map(|&i| units_of(history, seen[i].number));
    let n = model.len();
    let cost = n * (n / 2 + axes.kinds().len() + 10);
    let search = Search {
        axes,
        posterior: &posterior,
        centers: centers.map(<[f64]>::to_vec).collect(),
        lengths: fitted.lengths.clone(),
        n_candidates: (SEARCH_COST / cost).clamp(64, 1024),
        n_climbs: 4,
    };
    search.run(draw)
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
fn far_from_all(axes: &Axes, history: &History, draw: &mut Pcg64) -> Vec<Vec<f64>> {
    let n_axes = axes.kinds().len();
    let kernel = Kernel::new(axes, &vec![0.0; n_axes]);
    let mut points = Points::new(n_axes);
    let trials = history.trials();
    for past in &trials[trials.len().saturating_sub(MOST_POINTS)..] {
        points.push(&features(axes, &past.units));
    }
    let mut squares = vec![0.0; points.n];
    let mut rated = Vec::new();
    for _ in 0..32 {
        let mut units: Vec<f64> = (0..n_axes).map(|_| unit(draw.next_u64())).collect();
        axes.settle(&mut units);
        kernel.squares(&points, &features(axes, &units), &mut squares);
        rated.push((squares.iter().copied().fold(f64::INFINITY, f64::min), units));
    }
    rated.sort_by(|a, b| b.0.total_cmp(&a.0));
    rated.into_iter().map(|(_, units)| units).collect()
}
