//! When a trial is stopped before its end. One interval is one report of the metric, or one fold of
//! a built-in learner, whose trials are given out by rungs (`early_termination/ladder.rs`).

pub mod ladder;

use serde::{Deserialize, Serialize};

use crate::fields::{At, Fields};
use crate::findings::{Findings, Mistake};
use ladder::{Bounds, Ladder, Resource, Steps};

pub(crate) use ladder::Means;

/// The policy, and when it looks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EarlyTermination {
    /// The rule.
    pub policy: Policy,
    /// It looks at every multiple of this many reports.
    pub evaluation_interval: u32,
    /// It does not look before this many reports.
    pub delay_evaluation: u32,
    /// How trials of built-in learners are given out; none for trials that report.
    #[serde(default)]
    pub ladder: Option<Ladder>,
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
    /// Successive halving.
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
    /// Stop what is worse than the best on the folds so far, by a paired test.
    FoldRacing {
        /// How sure the test has to be, between a half and one.
        confidence: f64,
    },
    /// Stop ever more, from nobody at the first look to nearly all at the last.
    Narrowing {
        /// The first look, in reports.
        min_resource: u32,
        /// The reports of a whole trial.
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
    FoldRacing,
    Narrowing,
}

const KINDS: &[(&str, Kind)] = &[
    ("bandit", Kind::Bandit),
    ("median_stopping", Kind::MedianStopping),
    ("truncation_selection", Kind::TruncationSelection),
    ("asha", Kind::Asha),
    ("hyperband", Kind::Hyperband),
    ("narrowing", Kind::Narrowing),
    ("fold_racing", Kind::FoldRacing),
];

/// What some of them has.
const KEYS: &[&str] = &[
    "slack_factor",
    "slack_amount",
    "truncation_percentage",
    "evaluation_interval",
    "delay_evaluation",
    "min_resource",
    "max_resource",
    "reduction_factor",
    "resource",
    "confidence",
    "min_folds",
];

/// Whose trials are stopped.
pub(crate) enum Whose<'a> {
    /// Programs and people, who report.
    Reporters,
    /// Built-in learners; nothing is known of them where a problem is in the way.
    Learners(Option<Means<'a>>),
}

/// What a resource may be called.
#[derive(Clone, Copy, PartialEq)]
enum Named {
    /// What a trial that reports counts.
    Reports,
    Of(Resource),
}

const RESOURCES: &[(&str, Named)] = &[
    ("steps", Named::Reports),
    ("epochs", Named::Reports),
    ("folds", Named::Of(Resource::Folds)),
    ("rows", Named::Of(Resource::Rows)),
    ("estimators", Named::Of(Resource::Estimators)),
];

impl EarlyTermination {
    /// Reads `early_termination`.
    pub(crate) fn read(at: &At<'_>, whose: &Whose<'_>, findings: &mut Findings) -> Option<Self> {
        let mut fields = at.map(findings)?;
        let Some(kind_at) = fields.require("type", "type: median_stopping", findings) else {
            // Which of these it may have depends on the type, which is perhaps misspelt.
            fields.ignore(KEYS);
            fields.finish(findings);
            return None;
        };
        let kind = kind_at.word(KINDS, findings)?;
        let read = match kind {
            Kind::Asha | Kind::Hyperband => read_halving(kind, at, &mut fields, whose, findings),
            Kind::FoldRacing => read_racing(at, &kind_at, &mut fields, whose, findings),
            Kind::Narrowing => read_narrowing(&kind_at, &mut fields, whose, findings),
            Kind::Bandit | Kind::MedianStopping | Kind::TruncationSelection => {
                read_azures(kind, at, &mut fields, whose, findings)
            }
        };
        fields.finish(findings);
        read
    }

    /// A rule that looks at rungs and nowhere else.
    fn by_rungs(policy: Policy, ladder: Option<Ladder>) -> Self {
        Self { policy, evaluation_interval: 1, delay_evaluation: 0, ladder }
    }
}

fn read_azures(
    kind: Kind,
    at: &At<'_>,
    fields: &mut Fields<'_>,
    whose: &Whose<'_>,
    findings: &mut Findings,
) -> Option<EarlyTermination> {
    let policy = match kind {
        Kind::Bandit => read_bandit(fields, findings),
        Kind::TruncationSelection => read_truncation(fields, findings),
        _ => Some(Policy::MedianStopping),
    };
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
    let (policy, interval, delay) = (policy?, interval?, delay?);
    let ladder = match whose {
        Whose::Learners(Some(means)) => {
            let steps = Steps::Every { interval, from: delay };
            let folds = Some((at.clone(), Resource::Folds));
            Some(means.ladder(at, folds, &Bounds::default(), steps, findings)?)
        }
        Whose::Learners(None) | Whose::Reporters => None,
    };
    let (evaluation_interval, delay_evaluation) = (interval, delay);
    Some(EarlyTermination { policy, evaluation_interval, delay_evaluation, ladder })
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

fn read_halving(
    kind: Kind,
    at: &At<'_>,
    fields: &mut Fields<'_>,
    whose: &Whose<'_>,
    findings: &mut Findings,
) -> Option<EarlyTermination> {
    let is_asha = matches!(kind, Kind::Asha);
    let reports = matches!(whose, Whose::Reporters);
    let (name, usual_min, usual_factor) = match is_asha {
        // Nobody waits for the others there, and what is stopped too soon does not come back.
        true if reports => ("asha", FIRST_REPORTS, 2),
        true => ("asha", 1, 4),
        false => ("hyperband", 1, 3),
    };
    let mut bound = |name| match fields.take_set(name) {
        Some(at) => at.count(1, findings).map(|count| Some((at, count))),
        None => Some(None),
    };
    let min = bound("min_resource");
    let has_end = !is_asha || matches!(whose, Whose::Learners(_));
    let max = if has_end { bound("max_resource") } else { Some(None) };
    let factor = match fields.take_set("reduction_factor") {
        Some(at) => at.count(2, findings).map(Some),
        None => Some(None),
    };
    // What Ray Tune calls them.
    fields.also_called("grace_period", "min_resource");
    fields.also_called("max_t", "max_resource");
    let resource = read_resource(fields, whose, findings);
    refuse_intervals(fields, &format!("{name}, whose rungs say when it looks"), findings);
    let (factor, bounds, resource) = (factor?, Bounds { min: min?, max: max? }, resource?);
    let is_of_rows = |means: &Means<'_>| {
        means.resource(resource.as_ref().map(|(_, asked)| *asked)) == Resource::Rows
    };
    let factor = factor.unwrap_or(match whose {
        // With its rung, that is a third of the work.
        Whose::Learners(Some(means)) if is_asha && is_of_rows(means) => 5,
        _ => usual_factor,
    });
    let ladder = match whose {
        Whose::Learners(Some(means)) => {
            let steps = match is_asha {
                true => Steps::Halving { factor },
                false => Steps::Powers { factor },
            };
            Some(means.ladder(at, resource, &bounds, steps, findings)?)
        }
        Whose::Learners(None) | Whose::Reporters => None,
    };
    let min_resource = bounds.min.as_ref().map_or(usual_min, |(_, min)| *min);
    let reduction_factor = factor;
    if is_asha || ladder.is_some() {
        let max_resource = bounds.max.as_ref().map_or(MAX_RESOURCE, |(_, max)| *max);
        let policy = match is_asha {
            true => Policy::Asha { min_resource, reduction_factor },
            false => Policy::Hyperband { min_resource, reduction_factor, max_resource },
        };
        return Some(EarlyTermination::by_rungs(policy, ladder));
    }
    let max_resource = match bounds.max {
        None if min_resource >= MAX_RESOURCE => {
            let example = format!("max_resource: {}", min_resource.saturating_mul(81));
            fields.missing("max_resource", &example, findings);
            return None;
        }
        None => MAX_RESOURCE,
        // No rung lies at the end of a trial, so that one has to lie before it.
        Some((at, _)) => at.count(min_resource.saturating_add(1), findings)?,
    };
    let policy = Policy::Hyperband { min_resource, reduction_factor, max_resource };
    Some(EarlyTermination::by_rungs(policy, ladder))
}

/// What rungs are of; none where the job leaves it open.
fn read_resource<'a>(
    fields: &mut Fields<'a>,
    whose: &Whose<'_>,
    findings: &mut Findings,
) -> Option<Option<(At<'a>, Resource)>> {
    let Some(at) = fields.take_set("resource") else { return Some(None) };
    let named = at.word(RESOURCES, findings)?;
    let mistake = match (named, whose) {
        (Named::Reports, Whose::Reporters) => return Some(None),
        (Named::Of(resource), Whose::Learners(_)) => return Some(Some((at, resource))),
        (Named::Of(_), Whose::Reporters) => {
            let says = format!("is {}, which only built-in learners have", at.node.brief());
            Mistake::new(says, "steps").hint("write resource: steps, the reports of a trial")
        }
        (Named::Reports, Whose::Learners(_)) => {
            let says = format!("is {}, which built-in learners do not have", at.node.brief());
            let hint = "write resource: folds, rows or estimators";
            Mistake::new(says, "folds, rows or estimators").hint(hint)
        }
    };
    findings.problem(&at, mistake);
    None
}

fn read_racing(
    at: &At<'_>,
    kind_at: &At<'_>,
    fields: &mut Fields<'_>,
    whose: &Whose<'_>,
    findings: &mut Findings,
) -> Option<EarlyTermination> {
    let min = match fields.take_set("min_folds") {
        // Two are needed to tell how much folds differ.
        Some(at) => at.count(2, findings).map(|count| Some((at, count))),
        None => Some(None),
    };
    let confidence = match fields.take_set("confidence") {
        Some(at) => match at.float(findings)? {
            confidence if (0.5..1.0).contains(&confidence) => Some(confidence),
            _ => {
                at.wrong(findings, "from 0.5 to below 1", Some("write confidence: 0.95".to_owned()))
            }
        },
        None => Some(CONFIDENCE),
    };
    fields.also_called("alpha", "confidence");
    refuse_intervals(fields, "fold_racing, whose rungs say when it looks", findings);
    if matches!(whose, Whose::Reporters) {
        let says = "is fold_racing, which only built-in learners can do";
        let hint = "write type: asha or type: median_stopping";
        findings.problem(kind_at, Mistake::new(says, "a policy for reports").hint(hint));
        return None;
    }
    let (min, confidence) = (min?, confidence?);
    let policy = Policy::FoldRacing { confidence };
    let Whose::Learners(Some(means)) = whose else {
        return Some(EarlyTermination::by_rungs(policy, None));
    };
    if let Ok(Some(n)) = means.n_folds()
        && n <= MIN_FOLDS
    {
        let says = format!("is fold_racing, which looks after {MIN_FOLDS} folds, of {n}");
        let mistake = Mistake::new(says, "more folds");
        findings.problem(kind_at, mistake.hint("write n_cross_validations: 5"));
        return None;
    }
    let min = Some(min.unwrap_or_else(|| (at.clone(), MIN_FOLDS)));
    let folds = Some((at.clone(), Resource::Folds));
    let bounds = Bounds { min, max: None };
    let ladder = means.ladder(at, folds, &bounds, Steps::Powers { factor: 2 }, findings)?;
    Some(EarlyTermination::by_rungs(policy, Some(ladder)))
}

fn read_narrowing(
    kind_at: &At<'_>,
    fields: &mut Fields<'_>,
    whose: &Whose<'_>,
    findings: &mut Findings,
) -> Option<EarlyTermination> {
    let min = match fields.take_set("min_resource") {
        Some(at) => at.count(1, findings),
        None => Some(FIRST_REPORTS),
    };
    let max = fields.take_set("max_resource");
    fields.also_called("grace_period", "min_resource");
    fields.also_called("max_t", "max_resource");
    refuse_intervals(fields, "narrowing, which looks after every report", findings);
    if matches!(whose, Whose::Learners(_)) {
        fields.take_set("resource");
        let says = "is narrowing, for which trials have to report";
        let hint = "write type: asha, which keeps ever fewer after each fold";
        findings.problem(kind_at, Mistake::new(says, "a policy for learners").hint(hint));
        return None;
    }
    let resource = read_resource(fields, whose, findings);
    let min_resource = min?;
    let Some(max) = max else {
        let example = format!("max_resource: {}", min_resource.saturating_mul(10));
        fields.missing("max_resource", &example, findings);
        return None;
    };
    let max_resource = max.count(min_resource.saturating_add(1), findings)?;
    resource?;
    let policy = Policy::Narrowing { min_resource, max_resource };
    Some(EarlyTermination::by_rungs(policy, None))
}

/// How many folds a race begins with.
const MIN_FOLDS: u32 = 2;
/// How sure the test of a race is.
const CONFIDENCE: f64 = 0.95;

/// The first look of those who look at single trials.
const FIRST_REPORTS: u32 = 4;

/// The last rung of hyperband where a job names none.
const MAX_RESOURCE: u32 = 81;

/// What a rule says itself of when it looks is not said twice.
fn refuse_intervals(fields: &mut Fields<'_>, kind: &str, findings: &mut Findings) {
    for (name, is_without_effect) in [("evaluation_interval", 1), ("delay_evaluation", 0)] {
        let at = fields.take_set(name);
        fields.forget(name);
        let Some(at) = at else { continue };
        if at.count(0, findings).is_some_and(|count| count > is_without_effect) {
            let says = format!("stands beside {kind}");
            let hint = format!("remove {name}; the first look is at min_resource");
            findings.problem(&at, Mistake::new(says, "min_resource").hint(hint));
        }
    }
}
