//! CMA-ES over the numbers that every configuration has; what else there is goes by TPE.
//!
//! A generation is so many trials that ended, in the order of their numbers, so that what was tried
//! says it all: the generations are gone through again, but for those that are known already. A
//! trial that ends late moves those behind it. When a search has arrived the next one starts
//! elsewhere with twice the trials a generation (A. Auger and N. Hansen, "A restart CMA evolution
//! strategy with increasing population size", CEC 2005). Along ordered values it keeps a margin
//! (`margin`); where there are several objectives each parent stays where it is, and axes are drawn
//! from wide enough to leave its value.

mod distribution;
mod herd;
mod margin;

use fleetfit_search_spaces::seed::mix;
use rand_pcg::Pcg64;

use self::distribution::{Distribution, generation_size};
use self::herd::Herd;
use self::margin::Margin;
use super::axes::{Axes, Kind};
use super::front::Losses;
use super::history::{Fate, History, Past};
use super::random::unit;
use super::tpe::Tpe;

/// Trials before the first proposal.
const N_FIRST: usize = 10;

/// Where searches along a front stand is kept every so many trials.
const KEPT_EVERY: usize = 32;

/// Draws that leave the cube before one is put back onto its bounds.
const MAX_DRAWS: usize = 20;

/// No generation has more trials, whatever the number of restarts.
const LARGEST_GENERATION: usize = 400;

/// Generations without a better value, and this many axes more, before the search starts elsewhere.
const PATIENCE: usize = 20;

/// How often the next value along an axis from a parent's is drawn at least, as a quantile of the
/// normal distribution: once in 20.
const MARGIN: f64 = 1.645;

/// CMA-ES.
pub(super) struct CmaEs {
    seed: u64,
    others: Tpe,
    /// What is known already, a generation each.
    known: Vec<Known>,
    /// The same where there are several objectives: after so many trials each.
    herds: Vec<KnownHerd>,
}

/// Where the searches along a front stand after so many trials.
struct KnownHerd {
    n: usize,
    /// A hash of the trials.
    key: u64,
    herd: Herd,
}

/// A generation, and where the search stands after it.
struct Known {
    /// A hash of what it was made of.
    key: u64,
    search: Search,
}

/// Where the search stands.
#[derive(Clone)]
struct Search {
    distribution: Distribution,
    /// How much wider each axis is drawn from.
    widths: Vec<f64>,
    n_points: usize,
    n_restarts: u64,
    /// The best loss since it started, and for how many generations it has been.
    best: f64,
    n_idle: usize,
}

impl CmaEs {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, others: Tpe::default(), known: Vec::new(), herds: Vec::new() }
    }

    /// How many trials end before the first that this proposes.
    pub(super) fn n_first(&self) -> usize {
        N_FIRST
    }

    /// Points to try next, the best first.
    pub(super) fn propose(
        &mut self,
        axes: &Axes,
        history: &History,
        draw: &mut Pcg64,
    ) -> Vec<Vec<f64>> {
        let own: Vec<usize> = (0..axes.kinds().len()).filter(|&axis| is_own(axes, axis)).collect();
        if own.len() < 2 {
            return self.others.propose(axes, history, draw);
        }
        let mut points = if own.len() < axes.kinds().len() {
            self.others.propose(axes, history, draw)
        } else {
            vec![vec![f64::NAN; own.len()]; MAX_DRAWS]
        };
        let kinds: Vec<&Kind> = own.iter().map(|&axis| &axes.kinds()[axis]).collect();
        if history.has_several() {
            let herd = self.herd(&own, history);
            for point in &mut points {
                let Some(parent) = herd.parent(draw) else { break };
                let widths = widths(&kinds, &parent.at, |place| parent.deviation(place));
                let drawn = within(&parent.at, &widths, || parent.draw(draw));
                own.iter().zip(drawn).for_each(|(&axis, unit)| point[axis] = unit);
            }
            return points;
        }
        let Search { distribution, widths, .. } = self.search(&own, &kinds, history);
        for point in &mut points {
            let drawn = within(&distribution.mean, &widths, || distribution.draw(draw));
            own.iter().zip(drawn).for_each(|(&axis, unit)| point[axis] = unit);
        }
        points
    }

    /// Where the searches along a front stand after all that has ended.
    fn herd(&mut self, own: &[usize], history: &History) -> &Herd {
        let ended: Vec<&Past> =
            history.trials().iter().filter(|past| past.fate.is_some()).collect();
        let mut keys = vec![0];
        for past in &ended {
            let losses = history.losses(past.number);
            let violation = losses.map_or(0, |losses| losses.violation.to_bits());
            let parts = losses.iter().flat_map(Losses::all).map(|loss| loss.to_bits());
            let parts =
                [keys[keys.len() - 1], u64::from(past.number), violation].into_iter().chain(parts);
            keys.push(mix(&parts.collect::<Vec<_>>()));
        }
        let is_so = |known: &KnownHerd| keys.get(known.n) == Some(&known.key);
        while self.herds.last().is_some_and(|known| !is_so(known)) {
            self.herds.pop();
        }
        let (mut n, mut herd) = match self.herds.last() {
            Some(known) => (known.n, known.herd.clone()),
            None => (0, Herd::default()),
        };
        // What was the end is in between now.
        self.herds.pop_if(|known| known.n % KEPT_EVERY != 0 && known.n < ended.len());
        for past in &ended[n..] {
            let (at, losses) = (at(past, own), history.losses(past.number));
            match losses {
                Some(losses) if n < N_FIRST => herd.begin(&at, losses),
                losses => herd.add(&at, losses),
            }
            n += 1;
            if n % KEPT_EVERY == 0 || n == ended.len() {
                self.herds.push(KnownHerd { n, key: keys[n], herd: herd.clone() });
            }
        }
        if self.herds.is_empty() {
            self.herds.push(KnownHerd { n: 0, key: 0, herd });
        }
        &self.herds[self.herds.len() - 1].herd
    }

    /// Where the search stands after all that has ended.
    fn search(&mut self, own: &[usize], kinds: &[&Kind], history: &History) -> Search {
        let mut ended: Vec<&Past> =
            history.trials().iter().filter(|past| past.fate.is_some()).collect();
        let first = ended.len().min(N_FIRST);
        let mean = mean(&ended[..first], own);
        let start = key(0, &ended[..first]);
        let mut search = Search::new(mean, generation_size(own.len()), 0);
        search.keep_margin(kinds);
        let mut rest = ended.split_off(first);
        let (mut place, mut last) = (0, start);
        while rest.len() >= search.n_points {
            let later = rest.split_off(search.n_points);
            last = key(last, &rest);
            match self.known.get(place) {
                Some(known) if known.key == last => search = known.search.clone(),
                _ => {
                    search.update(rest, own, kinds, self.seed);
                    self.known.truncate(place);
                    self.known.push(Known { key: last, search: search.clone() });
                }
            }
            place += 1;
            rest = later;
        }
        search
    }
}

impl Search {
    fn new(mean: Vec<f64>, n_points: usize, n_restarts: u64) -> Self {
        let distribution = Distribution::new(mean, n_points);
        let widths = vec![1.0; distribution.mean.len()];
        Self { distribution, widths, n_points, n_restarts, best: f64::INFINITY, n_idle: 0 }
    }

    /// Moves the mean and widens axes until the next ordered values are drawn often enough.
    fn keep_margin(&mut self, kinds: &[&Kind]) {
        let chance = 1.0 / (kinds.len() * self.n_points) as f64;
        for (place, kind) in kinds.iter().enumerate() {
            let Kind::Ordered(levels) = kind else { continue };
            let (mean, deviation) =
                (self.distribution.mean[place], self.distribution.deviation(place));
            let margin = Margin::new(levels, mean, deviation, chance);
            self.distribution.mean[place] = margin.mean;
            self.widths[place] = margin.width;
        }
    }

    fn update(&mut self, mut generation: Vec<&Past>, own: &[usize], kinds: &[&Kind], seed: u64) {
        generation.sort_by(|one, other| one.compare(other));
        let losses = generation.iter().filter_map(|past| past.loss());
        let best = losses.fold(f64::INFINITY, f64::min);
        self.n_idle = if best < self.best { 0 } else { self.n_idle + 1 };
        self.best = self.best.min(best);
        // One in which nothing came to anything says nothing.
        let goes_on = best == f64::INFINITY || {
            let points: Vec<Vec<f64>> = generation.iter().map(|past| at(past, own)).collect();
            self.distribution.update(&points)
        };
        if !goes_on || self.distribution.has_arrived() || self.n_idle > PATIENCE + own.len() {
            let n_restarts = self.n_restarts + 1;
            let draw = |axis| unit(mix(&[seed, n_restarts, axis as u64, 4]));
            let mean = (0..own.len()).map(draw).collect();
            *self = Self::new(mean, (self.n_points * 2).min(LARGEST_GENERATION), n_restarts);
        }
        self.keep_margin(kinds);
    }
}

/// A point of the cube so many steps away from another, wider along some axes.
fn within(from: &[f64], widths: &[f64], mut step: impl FnMut() -> Vec<f64>) -> Vec<f64> {
    let mut drawn = Vec::new();
    for _ in 0..MAX_DRAWS {
        let step = step();
        let steps = step.iter().zip(widths).zip(from);
        drawn = steps.map(|((step, width), from)| from + step * width).collect();
        if drawn.iter().all(|unit| (0.0..=1.0).contains(unit)) {
            return drawn;
        }
    }
    drawn.iter_mut().for_each(|unit| *unit = unit.clamp(0.0, 1.0));
    drawn
}

/// Whether an axis has an order and exists in every configuration.
fn is_own(axes: &Axes, axis: usize) -> bool {
    axes.parent(axis).is_none() && !matches!(axes.kinds()[axis], Kind::Category(_))
}

/// Where a search starts: the mean of the better half of the trials that completed before it,
/// weighted by rank as a generation's are; the middle where none did. It is nearer to most places
/// than the best of them is, which matters the more axes there are.
fn mean(first: &[&Past], own: &[usize]) -> Vec<f64> {
    let mut ranked: Vec<&Past> =
        first.iter().copied().filter(|past| past.loss().is_some()).collect();
    ranked.sort_by(|one, other| one.compare(other));
    let n = ranked.len().div_ceil(2);
    let (mut mean, mut sum) = (vec![0.0; own.len()], 0.0);
    for (rank, past) in ranked.iter().take(n).enumerate() {
        let weight = ((n as f64 + 0.5) / (rank as f64 + 1.0)).ln();
        sum += weight;
        for (mean, unit) in mean.iter_mut().zip(at(past, own)) {
            *mean += weight * unit;
        }
    }
    mean.into_iter().map(|total| if sum > 0.0 { total / sum } else { 0.5 }).collect()
}

/// How much wider than a distribution around a point each axis is drawn from.
fn widths(kinds: &[&Kind], from: &[f64], deviation: impl Fn(usize) -> f64) -> Vec<f64> {
    let wide = |(place, kind): (usize, &&Kind)| width(kind, from[place], deviation(place));
    kinds.iter().enumerate().map(wide).collect()
}

fn width(kind: &Kind, from: f64, deviation: f64) -> f64 {
    let Kind::Ordered(levels) = kind else { return 1.0 };
    let above = levels.partition_point(|level| *level < from);
    let edges = levels.windows(2).map(|pair| 0.5 * (pair[0] + pair[1]));
    let nearest = edges
        .skip(above.saturating_sub(2))
        .take(3)
        .map(|edge| (edge - from).abs())
        .fold(f64::INFINITY, f64::min);
    if nearest.is_finite() { (nearest / (MARGIN * deviation)).clamp(1.0, 1e9) } else { 1.0 }
}

fn at(past: &Past, own: &[usize]) -> Vec<f64> {
    own.iter().map(|&axis| past.units[axis]).collect()
}

/// A hash of trials and what became of them, after another.
fn key(last: u64, trials: &[&Past]) -> u64 {
    trials.iter().fold(last, |key, past| {
        let (class, value) = match past.fate {
            Some(Fate::Completed(loss)) => (1, loss.to_bits()),
            Some(Fate::Judged(losses)) => (1, losses.first().to_bits()),
            Some(Fate::Stopped(Some(reached))) => (2, reached.to_bits()),
            Some(Fate::Stopped(None)) => (3, 0),
            Some(Fate::Failed) => (4, 0),
            None => (5, 0),
        };
        mix(&[key, u64::from(past.number), class, value])
    })
}
