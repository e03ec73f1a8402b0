//! How much of the runners a study gets while others want them, too.

use serde::{Deserialize, Serialize};

use crate::fields::At;
use crate::findings::Findings;

/// The words, in Azure's order.
const PRIORITIES: &[(&str, Priority)] =
    &[("low", Priority::Low), ("medium", Priority::Medium), ("high", Priority::High)];

/// What Azure's machines may be; ours are as they are.
const JOB_TIERS: &[(&str, ())] =
    &[("null", ()), ("spot", ()), ("basic", ()), ("standard", ()), ("premium", ())];

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
    /// Reads `queue_settings`. What of it means nothing here is added to `ignored`.
    pub(crate) fn read<'a>(
        at: &At<'a>,
        ignored: &mut Vec<At<'a>>,
        findings: &mut Findings,
    ) -> Option<Self> {
        let mut fields = at.map(findings)?;
        let priority = fields.take("priority", findings);
        let priority = priority.and_then(|at| at.word(PRIORITIES, findings));
        if let Some(tier) = fields.take("job_tier", findings) {
            tier.word(JOB_TIERS, findings);
            ignored.push(tier);
        }
        fields.finish(findings);
        priority
    }

    /// Its share of the runners' time, against that of others.
    pub fn weight(self) -> f64 {
        match self {
            Self::Low => 1.0,
            Self::Medium => 4.0,
            Self::High => 16.0,
        }
    }
}
