//! What the trials of a study tell of its parameters, and of the search itself.
//!
//! Everything here is computed from trials as points of the unit cube (`tried`). Two answers to what
//! matters: `fanova` says to which dimensions the losses owe their variance, by a forest (`forest`,
//! `cells`) that also draws `dependence`; `pedanova` says which ones decide who is among the best.
//! `convergence` looks at the order in which trials ended. Nothing is random but by a fixed seed.

mod cells;
mod convergence;
mod dependence;
mod fanova;
mod forest;
mod pedanova;
mod tried;

pub use self::convergence::{Convergence, Ended, Step};
pub use self::dependence::{Curve, Plane};
pub use self::tried::{Dimension, Kind, Tried};

use self::fanova::Marginals;
use self::forest::Forest;

/// Trials that a forest is grown on at most: of more, each so many-th.
pub const MOST_TRIALS: usize = 8_192;

/// Fewer trials tell nothing.
pub const FEWEST_TRIALS: usize = 5;

/// Dimensions whose pairs are looked at, the most important ones.
const MOST_PAIRED: usize = 8;

/// A share of the variance: a mean over the trees, and how much they differ.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub deviation: f64,
}

/// A loss that the forest expects, and how much its trees differ.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Expected {
    /// The mean.
    pub loss: f64,
    /// The standard deviation.
    pub deviation: f64,
}

/// What trials tell of the dimensions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Insight {
    /// What the forest says; none where all losses are the same, or hardly any are there.
    pub fanova: Option<Fanova>,
    /// The share of each dimension in what makes trials good, 1 together; none where nothing tells
    /// the best from the others.
    pub ped_anova: Option<Vec<f64>>,
}

/// What a forest says of the dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Fanova {
    /// On how many trials it was grown.
    pub n_trials: usize,
    /// The share of each dimension in the variance; none for those that were not looked at, because
    /// others tell more by themselves.
    pub shares: Vec<Option<Share>>,
    /// What pairs have that neither dimension has alone, the most first.
    pub pairs: Vec<([usize; 2], Share)>,
    /// What is expected along each dimension.
    pub curves: Vec<Curve>,
    /// What is expected along the first of the pairs.
    pub plane: Option<Plane>,
}

impl Insight {
    /// What these trials tell.
    pub fn new(tried: &Tried, seed: u64) -> Self {
        if tried.n() < FEWEST_TRIALS || tried.dimensions.is_empty() {
            return Self::default();
        }
        let fanova = Fanova::new(&tried.thinned(MOST_TRIALS), seed);
        Self { fanova, ped_anova: pedanova::shares(tried) }
    }
}

impl Fanova {
    fn new(tried: &Tried, seed: u64) -> Option<Self> {
        let scaled = tried.scaled()?;
        let forest = Forest::new(tried, &scaled.losses, seed);
        let marginals = Marginals::new(&forest)?;
        let dimensions = &tried.dimensions;
        let curve = |i: usize| {
            Curve::new(i, &dimensions[i], &forest.cells[i], &marginals.curves[i], &scaled)
        };
        let pairs = pairs(&forest, &marginals.shares);
        let plane = pairs.first().map(|&(pair, _)| {
            let surface = fanova::surface(&forest, pair);
            let [one, other] = pair;
            let cells = [&forest.cells[one], &forest.cells[other]];
            Plane::new(pair, [&dimensions[one], &dimensions[other]], cells, &surface, &scaled)
        });
        let mut shares = vec![None; dimensions.len()];
        for &dimension in &forest.looked_at {
            shares[dimension] = Some(marginals.shares[dimension]);
        }
        Some(Self {
            n_trials: tried.n(),
            shares,
            pairs,
            curves: forest.looked_at.iter().map(|&i| curve(i)).collect(),
            plane,
        })
    }
}

/// The pairs among the most important dimensions, those with the most in common first.
fn pairs(forest: &Forest, shares: &[Share]) -> Vec<([usize; 2], Share)> {
    let mut order = forest.looked_at.clone();
    order.sort_by(|&a, &b| shares[b].mean.total_cmp(&shares[a].mean).then(a.cmp(&b)));
    order.truncate(MOST_PAIRED);
    let mut pairs = Vec::new();
    for (i, &second) in order.iter().enumerate() {
        for &first in &order[..i] {
            let pair = [first.min(second), first.max(second)];
            pairs.push((pair, fanova::interaction(forest, pair)));
        }
    }
    pairs.retain(|(_, share)| share.mean > 0.0);
    pairs.sort_by(|a, b| b.1.mean.total_cmp(&a.1.mean).then(a.0.cmp(&b.0)));
    pairs
}

#[cfg(test)]
mod tests;
