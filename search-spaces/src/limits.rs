//! How much a study may spend.

use serde::{Deserialize, Serialize};

/// How much a study may spend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// How many configurations are tried, each for every entity.
    pub max_total_trials: u32,
    /// How many configurations may be in flight at once.
    pub max_concurrent_trials: u32,
    /// How long the study may run, in seconds, interruptions not counted.
    pub timeout_s: f64,
    /// How long one command trial, or one fit of a built-in trainer, may take.
    pub trial_timeout_s: Option<f64>,
}
