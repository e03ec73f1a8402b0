//! When a trial that reports is stopped before its end. One interval is one report of the metric.

use serde::{Deserialize, Serialize};

use crate::fields::{At, Fields};
use crate::findings::{Findings, Mistake};

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
        /// The first rung of the bracket that stops most, in reports.
        min_resource: u32,
        /// One in this many goes on.
        reduction_factor: u32,
        /// The reports of a whole trial: there is no rung from there on.
        max_resource: u32,
    },
}

#[derive(Clone, Copy)]
enum Kind {
    Bandit,
    MedianStopping,
    TruncationSelection,
    Asha,
    Hyperband,
}

const KINDS: &[(&str, Kind)] = &[
    ("bandit", Kind::Bandit),
    ("median_stopping", Kind::MedianStopping),
    ("truncation_selection", Kind::TruncationSelection),
    ("asha", Kind::Asha),
    ("hyperband", Kind::Hyperband),
];

impl EarlyTermination {
    /// Reads `early_termination`.
    pub(crate) fn read(at: &At<'_>, findings: &mut Findings) -> Option<Self> {
        let mut fields = at.map(findings)?;
        let kind_at = fields.require("type", "type: median_stopping", findings)?;
        let kind = kind_at.word(KINDS, findings)?;
        let policy = match kind {
            Kind::Bandit => read_bandit(&mut fields, findings),
            Kind::MedianStopping => Some(Policy::MedianStopping),
            Kind::TruncationSelection => read_truncation(&mut fields, findings),
            Kind::Asha => read_asha(&mut fields, findings),
            Kind::Hyperband => read_hyperband(&mut fields, findings),
        };
        if matches!(kind, Kind::Asha | Kind::Hyperband) {
            let name = if matches!(kind, Kind::Asha) { "asha" } else { "hyperband" };
            refuse_intervals(&mut fields, name, findings);
            fields.finish(findings);
            return Some(Self { policy: policy?, evaluation_interval: 1, delay_evaluation: 0 });
        }
        // Azure's own tool writes null for what is not set.
        let interval = match fields.take_set("evaluation_interval") {
            // Azure's own default is written 0 in some documents; both mean every report.
            Some(at) => at.count(0, findings).map(|interval| interval.max(1)),
            None => Some(1),
        };
        let delay = match fields.take_set("delay_evaluation") {
            Some(at) => at.count(0, findings),
            None => Some(0),
        };
        fields.finish(findings);
        Some(Self { policy: policy?, evaluation_interval: interval?, delay_evaluation: delay? })
    }
}

fn read_bandit(fields: &mut Fields<'_>, findings: &mut Findings) -> Option<Policy> {
    // Azure's own tool writes 0 or null for the slack that is not used.
    let factor = fields.take_set("slack_factor");
    let amount = fields.take_set("slack_amount");
    let (at, is_factor) = match (factor, amount) {
        (Some(factor), Some(amount)) if amount.is_zero() => (factor, true),
        (Some(factor), Some(amount)) if factor.is_zero() => (amount, false),
        (Some(_), Some(amount)) => {
            let mistake =
                Mistake::new("stands beside slack_factor; a bandit has one slack", "one slack");
            findings.problem(&amount, mistake.hint("remove slack_amount or slack_factor"));
            return None;
        }
        (None, None) => {
            fields.missing("slack_factor", "slack_factor: 0.1 (or slack_amount)", findings);
            return None;
        }
        (Some(factor), None) => (factor, true),
        (None, Some(amount)) => (amount, false),
    };
    let slack = at.float(findings)?;
    if slack <= 0.0 {
        let hint = format!("write {}: 0.1", at.name());
        return at.wrong(findings, "above 0", Some(hint));
    }
    Some(if is_factor { Policy::BanditFactor(slack) } else { Policy::BanditAmount(slack) })
}

fn read_truncation(fields: &mut Fields<'_>, findings: &mut Findings) -> Option<Policy> {
    let example = "truncation_percentage: 20";
    let at = fields.require("truncation_percentage", example, findings)?;
    let percentage = at.int_in(1, 99, findings)?;
    Some(Policy::TruncationSelection { percentage: u8::try_from(percentage).ok()? })
}

fn read_asha(fields: &mut Fields<'_>, findings: &mut Findings) -> Option<Policy> {
    let min_resource = read_count(fields, "min_resource", 1, 1, findings);
    let reduction_factor = read_count(fields, "reduction_factor", 2, 4, findings);
    // What Ray Tune calls it.
    fields.also_called("grace_period", "min_resource");
    Some(Policy::Asha { min_resource: min_resource?, reduction_factor: reduction_factor? })
}

fn read_hyperband(fields: &mut Fields<'_>, findings: &mut Findings) -> Option<Policy> {
    let min_resource = read_count(fields, "min_resource", 1, 1, findings);
    let reduction_factor = read_count(fields, "reduction_factor", 2, 3, findings);
    let max_at = fields.take("max_resource", findings);
    fields.also_called("max_t", "max_resource");
    let (min_resource, reduction_factor) = (min_resource?, reduction_factor?);
    let max_resource = match max_at {
        None if min_resource > MAX_RESOURCE => {
            let example = format!("max_resource: {}", min_resource.saturating_mul(81));
            fields.missing("max_resource", &example, findings);
            return None;
        }
        None => MAX_RESOURCE,
        Some(at) => at.count(min_resource, findings)?,
    };
    Some(Policy::Hyperband { min_resource, reduction_factor, max_resource })
}

/// The last rung of hyperband where a job names none.
const MAX_RESOURCE: u32 = 81;

fn read_count(
    fields: &mut Fields<'_>,
    name: &'static str,
    low: u32,
    default: u32,
    findings: &mut Findings,
) -> Option<u32> {
    match fields.take_set(name) {
        Some(at) => at.count(low, findings),
        None => Some(default),
    }
}

/// Rungs say when the rule looks: nothing else does.
fn refuse_intervals(fields: &mut Fields<'_>, kind: &str, findings: &mut Findings) {
    for (name, is_without_effect) in [("evaluation_interval", 1), ("delay_evaluation", 0)] {
        let Some(at) = fields.take_set(name) else { continue };
        if at.count(0, findings).is_some_and(|count| count > is_without_effect) {
            let says = format!("stands beside {kind}, whose rungs say when it looks");
            let hint = format!("remove {name}; the first look is at min_resource");
            findings.problem(&at, Mistake::new(says, "min_resource").hint(hint));
        }
    }
}
