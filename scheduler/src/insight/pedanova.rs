//! Which dimensions decide whether a trial is among the best tenth.
//!
//! S. Watanabe et al., "PED-ANOVA: efficiently quantifying hyperparameter importance in arbitrary
//! subspaces" (2023): how far the density of the best trials along a dimension is from that of all,
//! as Pearson's divergence of two Parzen estimators on a grid. Only the order of losses counts.
//! Dimensions that do not always exist as in "Conditional PED-ANOVA" (2026): only trials for which
//! one exists are compared, weighed by how much more often it exists among the best. Settings are
//! those of Optuna's evaluator; a grid lies in the unit cube, where Optuna counts integers as they are.

use super::tried::{Dimension, Kind, Tried};

/// The best share of the trials.
const BEST: f64 = 0.1;

/// Points of a grid at most.
const MOST_POINTS: usize = 50;

/// A bandwidth is no less than this many points: nine tenths of a kernel lie within one.
const LEAST_BANDWIDTH: f64 = 0.5 / 1.64;

/// What is added to densities, so that none is 0.
const FLOOR: f64 = 1e-12;

/// The share of each dimension, 1 together; none where the best cannot be told from the others, or
/// nothing tells them apart.
pub(super) fn shares(tried: &Tried) -> Option<Vec<f64>> {
    let n = tried.n();
    let mut sorted = tried.losses.clone();
    sorted.sort_by(f64::total_cmp);
    let n_best = (BEST * n as f64).ceil() as usize;
    let bound = *sorted.get(n_best.checked_sub(1)?)?;
    let is_best: Vec<bool> = tried.losses.iter().map(|&loss| loss <= bound).collect();
    // Equal ones may be many.
    let n_best = is_best.iter().filter(|&&is_best| is_best).count();
    if n < 2 || n_best == n {
        return None;
    }
    let importance = |(i, dimension): (usize, &Dimension)| {
        let exists = tried.column(i).map(|unit| !unit.is_nan());
        let n_existing = exists.filter(|&exists| exists).count();
        let grid = Grid::new(dimension);
        if n_existing < 2 || grid.n < 2 {
            return 0.0;
        }
        let all = tried.column(i);
        let best = all.clone().zip(&is_best).filter(|(_, is_best)| **is_best).map(|(unit, _)| unit);
        let (all, best) = (grid.counts(dimension, all), grid.counts(dimension, best));
        let n_best_existing: usize = best.iter().sum();
        if n_best_existing == 0 {
            return 0.0;
        }
        let share_of_best = n_best_existing as f64 / n_best as f64;
        let share_of_all = n_existing as f64 / n as f64;
        share_of_best.powi(2) / share_of_all * divergence(&grid.density(&best), &grid.density(&all))
    };
    let importances: Vec<f64> = tried.dimensions.iter().enumerate().map(importance).collect();
    let sum: f64 = importances.iter().sum();
    (sum > 0.0).then(|| importances.iter().map(|importance| importance / sum).collect())
}

fn divergence(best: &[f64], all: &[f64]) -> f64 {
    let terms = best.iter().zip(all).map(|(best, all)| {
        let (best, all) = (best + FLOOR, all + FLOOR);
        all * (best / all - 1.0).powi(2)
    });
    terms.sum()
}

/// Points along a dimension.
struct Grid {
    n: usize,
    is_ordered: bool,
}

impl Grid {
    fn new(dimension: &Dimension) -> Self {
        match (&dimension.kind, dimension.n_values()) {
            (Kind::Category(n), _) => Self { n: *n, is_ordered: false },
            (_, n) => Self { n: n.unwrap_or(MOST_POINTS).min(MOST_POINTS), is_ordered: true },
        }
    }

    /// How many of the coordinates are nearest to each point.
    fn counts(&self, dimension: &Dimension, units: impl Iterator<Item = f64>) -> Vec<usize> {
        let mut counts = vec![0; self.n];
        for unit in units.filter(|unit| !unit.is_nan()) {
            let point = match dimension.value_at(unit) {
                Some(value) if dimension.n_values() == Some(self.n) => value,
                // Half-way between two, the lower one.
                _ => (unit * (self.n - 1) as f64 - 0.5).ceil().max(0.0) as usize,
            };
            counts[point.min(self.n - 1)] += 1;
        }
        counts
    }

    /// The density of a Parzen estimator with a kernel for each trial and one for the prior.
    fn density(&self, counts: &[usize]) -> Vec<f64> {
        let n_trials: usize = counts.iter().sum();
        let weight = 1.0 / (n_trials as f64 + 1.0);
        let mut density = vec![0.0; self.n];
        let points = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        if !self.is_ordered {
            // Every kernel leaves a share to all values, the prior's the most.
            let n_kernels = points.clone().count() as f64 + 1.0;
            let spread = 1.0 / n_kernels;
            let whole = 1.0 + self.n as f64 * spread;
            let shared = n_trials as f64 * weight * spread / whole + weight / self.n as f64;
            for (value, &count) in density.iter_mut().zip(counts) {
                *value = count as f64 * weight / whole + shared;
            }
            return density;
        }
        let bandwidth = bandwidth(counts).max(LEAST_BANDWIDTH);
        for (point, &count) in points {
            add_kernel(&mut density, point as f64, bandwidth, count as f64 * weight);
        }
        add_kernel(&mut density, (self.n - 1) as f64 / 2.0, self.n as f64, weight);
        density
    }
}

/// D. W. Scott's rule, in points of the grid.
fn bandwidth(counts: &[usize]) -> f64 {
    let n = counts.iter().sum::<usize>() as f64;
    let sum: f64 = counts.iter().enumerate().map(|(i, &count)| i as f64 * count as f64).sum();
    let mean = sum / n;
    let square = |(i, &count): (usize, &usize)| (i as f64 - mean).powi(2) * count as f64;
    let squares: f64 = counts.iter().enumerate().map(square).sum();
    let deviation = (squares / (n - 1.0).max(1.0)).sqrt();
    let points: Vec<usize> = (0..counts.len()).filter(|&i| counts[i] > 0).collect();
    let mut n_below = 0;
    let cumulative = points.iter().map(|&i| {
        n_below += counts[i];
        n_below
    });
    let cumulative: Vec<usize> = cumulative.collect();
    let n = cumulative.last().copied().unwrap_or_default();
    let first = cumulative.partition_point(|&below| below < n / 4);
    let third = cumulative.partition_point(|&below| below <= n * 3 / 4).min(points.len() - 1);
    let between = points[third] as f64 - points[first] as f64;
    1.059 * (between / 1.34).min(deviation) * (n as f64).powf(-0.2)
}

/// Adds a normal density that is cut off half a point beyond both ends of the grid.
fn add_kernel(density: &mut [f64], mean: f64, bandwidth: f64, weight: f64) {
    /// Simpson's rule on so many parts of the stretch of a point.
    const PARTS: usize = 16;
    let height = |x: f64| (-0.5 * ((x - mean) / bandwidth).powi(2)).exp();
    let mass = |point: usize| {
        let at = |part: usize| height(point as f64 - 0.5 + part as f64 / PARTS as f64);
        let inner: f64 =
            (1..PARTS).map(|part| at(part) * if part % 2 == 1 { 4.0 } else { 2.0 }).sum();
        at(0) + inner + at(PARTS)
    };
    let masses: Vec<f64> = (0..density.len()).map(mass).collect();
    let whole: f64 = masses.iter().sum();
    for (value, mass) in density.iter_mut().zip(masses) {
        *value += weight * mass / whole;
    }
}
