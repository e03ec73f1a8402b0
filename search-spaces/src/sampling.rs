//! Which sampler proposes configurations, and its settings.

use serde::{Deserialize, Serialize};

/// Which sampler proposes configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Independent draws.
    Random,
    /// A scrambled low-discrepancy sequence.
    Sobol,
    /// Every combination, in seeded order.
    Grid,
    /// Whatever Bayesian method suits the space.
    Bayesian,
    /// Multivariate tree-structured Parzen estimators.
    Tpe,
    /// A Gaussian process.
    Gp,
    /// Covariance matrix adaptation.
    CmaEs,
    /// The best for the space, budget and parallelism.
    Auto,
}

/// The sampling settings of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Which sampler.
    pub algorithm: Algorithm,
    /// The sampler's own seed; the study's seed where none is given.
    pub seed: Option<u64>,
    /// The base of Azure's `logbase` (10, or e when absent): the bounds of `loguniform` and
    /// friends are exponents of it.
    pub logbase: Option<f64>,
}
