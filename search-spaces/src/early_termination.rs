//! When a trial that reports is stopped before its end. One interval is one report of the metric.

use serde::{Deserialize, Serialize};

/// The policy, and when it looks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EarlyTermination {
    /// The rule.
    pub policy: Policy,
    /// It looks at every multiple of this many reports.
    pub evaluation_interval: u32,
    /// It does not look before this many reports.
    pub delay_evaluation: u32,
}

/// The rule of an early-termination policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Stop what is worse than the best so far by a factor.
    BanditFactor(f64),
    /// Stop what is worse than the best so far by an amount.
    BanditAmount(f64),
    /// Stop what is worse than the median of the running averages.
    MedianStopping,
    /// Stop the worst so many percent at each look.
    TruncationSelection {
        /// From 1 to 99.
        percentage: u8,
    },
    /// Asynchronous successive halving over the trial's own steps.
    Asha {
        /// The first rung, in reports.
        min_resource: u32,
        /// One in this many goes on.
        reduction_factor: u32,
    },
    /// Hyperband: several brackets of successive halving.
    Hyperband {
        /// The first rung, in reports.
        min_resource: u32,
        /// One in this many goes on.
        reduction_factor: u32,
        /// The last rung, in reports.
        max_resource: u32,
    },
}
