//! How much of the runners a study gets while others want them, too.

use serde::{Deserialize, Serialize};

/// A study's priority: `queue_settings.priority`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// A quarter of what a medium one gets.
    Low,
    /// What a study gets that says nothing.
    #[default]
    Medium,
    /// Four times what a medium one gets.
    High,
}

impl Priority {
    /// Its share of the runners' time, against that of others.
    pub fn weight(self) -> f64 {
        match self {
            Self::Low => 1.0,
            Self::Medium => 4.0,
            Self::High => 16.0,
        }
    }
}
