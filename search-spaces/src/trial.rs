//! How a trial goes: what it reports on the way, and how it ends. A trial ends once.

use serde::{Deserialize, Serialize};

use crate::constraint::MAX_CONSTRAINTS;
use crate::objective::MAX_OBJECTIVES;

/// The state of a trial as users see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrialState {
    /// Handed out, not ended.
    Running,
    /// Ended with a value.
    Completed,
    /// Ended early on purpose: by a policy, a limit or a cancel.
    Stopped,
    /// Ended without a value that counts.
    Failed,
}

/// A metric value at a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The trial's own count, from 1 where it names none.
    pub step: u64,
    /// The metric's value, as measured (not turned into a loss).
    pub value: f64,
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// With this value of the metric, which is finite.
    Completed {
        /// The value.
        value: f64,
    },
    /// Early on purpose; the value is what it had reached, and does not win.
    Stopped {
        /// The value so far.
        value: Option<f64>,
        /// Who stopped it.
        reason: String,
    },
    /// Without a value that counts.
    Failed {
        /// Why, in the user's words.
        reason: String,
    },
}

/// The end of one trial, as a runner tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The configuration's number.
    pub configuration: u32,
    /// The entity's index.
    pub entity: u32,
    /// How it ended.
    pub end: End,
    /// How many models were fitted for it.
    pub fits: u32,
    /// When it began, in milliseconds since 1970; 0 where nobody saw it.
    pub started_ms: u64,
    /// When it ended, in milliseconds since 1970; 0 where nobody saw it.
    pub ended_ms: u64,
    /// What it reported on the way (the first [`MAX_REPORTS`]); empty for built-in learners.
    pub reports: Vec<Report>,
    /// The values of the study's other metrics, where it has several objectives or constraints and
    /// the trial completed: those of [`crate::Aims::metrics`] from the second one on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<f64>,
}

/// A trial of a built-in learner that came to a rung, where it waits for who else comes there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// The configuration's number.
    pub configuration: u32,
    /// The entity's index.
    pub entity: u32,
    /// The rung, from 0.
    pub rung: u8,
    /// Every metric of the study ([`crate::Aims::metrics`]) on each fold that was fitted since the rung
    /// before, fold by fold; where rungs are not of folds, their means over all of them.
    pub values: Vec<f64>,
    /// How many folds the entity has. Who has values of all of them is through.
    pub n_folds: u32,
    /// How many models were fitted since the rung before.
    pub fits: u32,
    /// When it began with it, in milliseconds since 1970.
    pub started_ms: u64,
    /// When it came there, in milliseconds since 1970.
    pub ended_ms: u64,
}

/// How many reports of a trial are kept.
pub const MAX_REPORTS: usize = 2_000;

/// How many further values a trial has at most.
pub const MAX_FURTHER: usize = MAX_OBJECTIVES - 1 + MAX_CONSTRAINTS;

impl End {
    /// The state that this end leaves the trial in.
    pub fn state(&self) -> TrialState {
        match self {
            Self::Completed { .. } => TrialState::Completed,
            Self::Stopped { .. } => TrialState::Stopped,
            Self::Failed { .. } => TrialState::Failed,
        }
    }
}
