//! How trials of built-in learners are given out where they may be stopped: by rungs, after each of
//! which the policy looks, on a part of the folds, of the rows or of the trees. What is left after the
//! last rung is the rest of the trial.

use serde::{Deserialize, Serialize};

use crate::data::{DataSpec, Folds, Task};
use crate::fields::{At, listed};
use crate::findings::{Findings, Mistake};
use crate::space::{Alternative, Domain, SearchSpace};
use crate::value::Value;
use crate::work::Work;

/// The parameter that estimators are counted by.
pub const N_ESTIMATORS: &str = "n_estimators";

/// More rungs than this are none: the parts would not be worth handing out.
const MAX_RUNGS: usize = 16;

/// The most folds of data whose rows are not counted yet.
const MOST_AUTO_FOLDS: u32 = 10;

/// What a rung has a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// The first folds. What a rung has fitted is not fitted again.
    Folds,
    /// Some rows of what each fold learns from.
    Rows,
    /// The first trees, of learners that have `n_estimators`.
    Estimators,
}

/// How much of the resource a rung has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// So many.
    Count(u32),
    /// This share of what there is.
    Share(f64),
}

/// The parts that trials are given out in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ladder {
    /// What is cut.
    pub resource: Resource,
    /// Every rung but the last, which is all of it; ascending.
    pub rungs: Vec<Amount>,
}

/// The most that any entity of a study has to give out: known once its data has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Folds.
    pub folds: u32,
    /// Rows that one of its folds learns from.
    pub rows: u32,
}

impl Resource {
    /// Its name in job files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Folds => "folds",
            Self::Rows => "rows",
            Self::Estimators => "estimators",
        }
    }
}

impl Amount {
    /// How many of so many; at least one.
    pub fn of(self, n: usize) -> usize {
        let amount = match self {
            Self::Count(count) => count as usize,
            // A conversion to whole numbers saturates.
            Self::Share(share) => (share * n as f64).ceil() as usize,
        };
        amount.clamp(1, n.max(1))
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => write!(formatter, "{count}"),
            Self::Share(share) => write!(formatter, "{:.3} %", 100.0 * share),
        }
    }
}

impl Ladder {
    /// How much a rung has; none where that is all there is.
    pub fn amount(&self, rung: u8) -> Option<Amount> {
        self.rungs.get(usize::from(rung)).copied()
    }

    /// The rung that is the whole trial.
    pub fn top(&self) -> u8 {
        // There are no more than `MAX_RUNGS`.
        u8::try_from(self.rungs.len()).unwrap_or(u8::MAX)
    }

    /// The rungs that lie below what there is; none where no rung does. Whoever knows all of them
    /// takes what comes after the last one that is left for all there is, as it is.
    pub fn within(&self, extent: Extent) -> Option<Self> {
        let most = match self.resource {
            Resource::Folds => extent.folds,
            Resource::Rows => extent.rows,
            Resource::Estimators => return Some(self.clone()),
        };
        let is_below = |rung: &&Amount| match rung {
            Amount::Count(count) => *count < most,
            Amount::Share(_) => true,
        };
        let rungs: Vec<Amount> = self.rungs.iter().take_while(is_below).copied().collect();
        (!rungs.is_empty()).then_some(Self { resource: self.resource, rungs })
    }

    /// In words: `2 and 4 folds`.
    pub fn describe(&self, rungs: &[Amount]) -> String {
        let rungs: Vec<String> = rungs.iter().map(Amount::to_string).collect();
        let rungs: Vec<&str> = rungs.iter().map(String::as_str).collect();
        let of = match self.rungs.first() {
            Some(Amount::Share(_)) => "of the ",
            _ => "",
        };
        match rungs.as_slice() {
            [one] if *one == "1" => format!("1 {}", self.resource.name().trim_end_matches('s')),
            _ => format!("{} {of}{}", listed(&rungs), self.resource.name()),
        }
    }
}

/// What the learners of a study and its data have to give out.
pub(crate) struct Means<'a> {
    pub(crate) work: &'a Work,
    pub(crate) space: &'a SearchSpace,
    pub(crate) data: &'a DataSpec,
}

/// How rungs are laid over a resource.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Steps {
    /// The first one, and that times every power of a factor.
    Powers { factor: u32 },
    /// The same, but of folds every one from the first on, as none is fitted twice.
    Halving { factor: u32 },
    /// At every multiple of an interval, from a first look on.
    Every { interval: u32, from: u32 },
}

/// The bounds that a job names.
#[derive(Default)]
pub(crate) struct Bounds<'a> {
    pub(crate) min: Option<(At<'a>, u32)>,
    pub(crate) max: Option<(At<'a>, u32)>,
}

impl Means<'_> {
    /// The ladder of a policy that stands at `at`.
    pub(crate) fn ladder(
        &self,
        at: &At<'_>,
        asked: Option<(At<'_>, Resource)>,
        bounds: &Bounds<'_>,
        steps: Steps,
        findings: &mut Findings,
    ) -> Option<Ladder> {
        let resource = self.resource(asked.as_ref().map(|(_, resource)| *resource));
        let says_at = asked.as_ref().map_or(at, |(at, _)| at);
        let has = match resource {
            Resource::Folds => self.n_folds(),
            Resource::Estimators => self.most_estimators(),
            Resource::Rows => self.rows(),
        };
        let most = match has {
            Ok(most) => most,
            // A policy that stands for its resource has no other.
            Err(why) if says_at.path == at.path && asked.is_some() => {
                let hint = "write type: asha, which can cut rows or estimators, or remove it";
                findings.problem(at, Mistake::new(why, "several folds").hint(hint));
                return None;
            }
            Err(why) => {
                let mistake = Mistake::new(why, "folds, rows or estimators");
                findings.problem(says_at, mistake.hint(self.hint(resource)));
                return None;
            }
        };
        let rungs = rungs(resource, most, bounds, steps, findings)?;
        let ladder = Ladder { resource, rungs };
        if ladder.rungs.is_empty() {
            let whole = most.map_or_else(String::new, |n| format!(" of {n}"));
            let says = format!(
                "stops nobody: there is no rung before the last{whole} {}",
                resource.name()
            );
            let hint = match (steps, most) {
                // The rule stands for its resource, and looks too late.
                (Steps::Every { interval, .. }, Some(n @ 2..)) if interval < n => {
                    let last = (n - 1) / interval.max(1) * interval.max(1);
                    format!("write delay_evaluation: {last} or less")
                }
                (Steps::Every { .. }, Some(2..)) => "write evaluation_interval: 1".to_owned(),
                _ => self.hint(resource),
            };
            findings.problem(at, Mistake::new(says, "a rung").hint(hint));
            return None;
        }
        let whole = most.map_or_else(String::new, |n| format!(" of {n}"));
        let is_open = resource == Resource::Rows && bounds.min.is_some() && bounds.max.is_none();
        let says = match ladder.rungs.as_slice() {
            // How many of them there are depends on the rows, which are not counted yet.
            [first, second, ..] if is_open => {
                let rungs = format!("{first}, {second} rows and so on, as far as a fold has more");
                format!("looks at trials on {rungs}")
            }
            rungs => format!("looks at trials after {}{whole}", ladder.describe(rungs)),
        };
        findings.notice(at, &says);
        Some(ladder)
    }

    /// What is cut.
    pub(crate) fn resource(&self, asked: Option<Resource>) -> Resource {
        asked.unwrap_or_else(|| self.usual())
    }

    /// What is cut where the job names nothing: folds, on which models are what they are at the end;
    /// else trees; else rows.
    fn usual(&self) -> Resource {
        if matches!(self.n_folds(), Ok(None | Some(3..))) {
            Resource::Folds
        } else if matches!(self.most_estimators(), Ok(Some(2..))) {
            Resource::Estimators
        } else if self.n_folds().is_err() && self.rows().is_ok() {
            Resource::Rows
        } else {
            Resource::Folds
        }
    }

    /// What could be cut instead.
    fn hint(&self, not: Resource) -> String {
        let can: Vec<String> = [
            (Resource::Estimators, self.most_estimators().is_ok()),
            (Resource::Folds, self.n_folds().is_ok()),
            (Resource::Rows, self.rows().is_ok()),
        ]
        .into_iter()
        .filter(|(resource, can)| *can && *resource != not)
        .map(|(resource, _)| format!("resource: {}", resource.name()))
        .collect();
        match can.as_slice() {
            [] => "write n_cross_validations: 5, or remove early_termination".to_owned(),
            can => format!("write {}", can.join(" or ")),
        }
    }

    /// How many folds there are; none where that depends on the rows.
    pub(crate) fn n_folds(&self) -> Result<Option<u32>, String> {
        let once = || Err("needs several folds, but the rows are split once".to_owned());
        if self.data.validation.is_some() {
            return once();
        }
        match &self.data.folds {
            Folds::Count(n @ 2..) => Ok(Some(*n)),
            Folds::Columns(columns) if columns.len() > 1 => {
                Ok(Some(u32::try_from(columns.len()).unwrap_or(u32::MAX)))
            }
            Folds::Auto if self.data.task == Task::Forecasting => Ok(Some(3)),
            Folds::Auto => Ok(None),
            Folds::Count(_)
            | Folds::Columns(_)
            | Folds::HoldOut(_)
            | Folds::Given
            | Folds::OutOfBag => once(),
        }
    }

    fn rows(&self) -> Result<Option<u32>, String> {
        if self.data.task == Task::Forecasting {
            return Err("is rows, but a series without some of its rows is another one".to_owned());
        }
        if self.data.folds == Folds::OutOfBag {
            let says = "is rows, but the rows that trees leave out are what they are judged by";
            return Err(says.to_owned());
        }
        Ok(None)
    }

    /// The most trees that a configuration may have.
    fn most_estimators(&self) -> Result<Option<u32>, String> {
        let mut most = 1;
        for (learner, space) in self.work.learners(self.space) {
            let Some(parameter) = learner.parameter(N_ESTIMATORS) else {
                return Err(format!("is estimators, which {} does not have", learner.name()));
            };
            let searched = space.and_then(|space| {
                let own = |name: &str| learner.own_name(name).unwrap_or(name) == N_ESTIMATORS;
                space.parameters.iter().find(|parameter| own(&parameter.name))
            });
            most = most.max(match (searched, parameter.default) {
                (Some(parameter), _) => largest(&parameter.domain),
                (None, Some(Value::Int(default))) => count(default as f64),
                (None, _) => 1,
            });
        }
        Ok(Some(most))
    }
}

/// The largest whole number that a domain has; of one without an end, what is hardly ever passed.
fn largest(domain: &Domain) -> u32 {
    const SIGMAS: f64 = 3.0;
    count(match domain {
        Domain::Fixed(value) => number(value),
        Domain::Choice(choice) => {
            let values = choice.iter().map(|alternative| match alternative {
                Alternative::Value(value) => number(value),
                Alternative::Space(_) => 1.0,
            });
            values.fold(1.0, f64::max)
        }
        Domain::RandInt { upper } => *upper as f64 - 1.0,
        Domain::Uniform { max, .. } | Domain::Float { max, .. } => *max,
        Domain::LogUniform { max, base, .. } => base.powf(*max),
        Domain::Normal { mu, sigma, .. } => mu + SIGMAS * sigma,
        Domain::LogNormal { mu, sigma, base, .. } => base.powf(mu + SIGMAS * sigma),
        Domain::Int { max, .. } => *max as f64,
    })
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Int(number) => *number as f64,
        Value::Float(number) => *number,
        _ => 1.0,
    }
}

fn count(number: f64) -> u32 {
    // A conversion to whole numbers saturates.
    (number.round() as u32).max(1)
}

/// The rungs below the whole, of which there are so many, where that is known.
fn rungs(
    resource: Resource,
    most: Option<u32>,
    bounds: &Bounds<'_>,
    steps: Steps,
    findings: &mut Findings,
) -> Option<Vec<Amount>> {
    let end = match (&bounds.max, most) {
        (Some((_, max)), Some(most)) => Some(most.min(*max)),
        (Some((_, max)), None) => Some(*max),
        (None, most) => most,
    };
    if let Some((at, max)) = &bounds.max
        && *max < 2
    {
        let hint = format!("write {}: {}, or remove it", at.name(), most.unwrap_or(5).max(2));
        return at.wrong(findings, "above 1, as a rung lies below it", Some(hint));
    }
    if let (Some((at, min)), Some(end)) = (&bounds.min, end)
        && *min >= end
    {
        let of = bounds.max.as_ref().filter(|(_, max)| *max == end).map(|_| "max_resource, ");
        let wanted = format!("below {}{end} {}", of.unwrap_or_default(), resource.name());
        // Racing needs two folds to tell how much they differ.
        let least = if at.name() == "min_folds" { 2 } else { 1 };
        let half = (end / 2).max(least);
        return at.wrong(findings, &wanted, Some(format!("write {}: {half}", at.name())));
    }
    if let Some((at, max)) = &bounds.max
        && let Some(most) = most.filter(|most| most < max)
    {
        let name = resource.name();
        findings.notice(at, &format!("is {max}, but there are {most} {name}: all are meant"));
    }
    let min = bounds.min.as_ref().map(|(_, min)| *min);
    let is_of_folds = resource == Resource::Folds;
    Some(match steps {
        Steps::Halving { .. } if is_of_folds => every(1, min.unwrap_or(1), end),
        Steps::Powers { factor } | Steps::Halving { factor }
            if resource == Resource::Rows && min.is_none() && bounds.max.is_none() =>
        {
            let one = f64::from(factor).recip();
            let shares = match steps {
                // On learning curves that were measured, few rows say little of who is best on all,
                // and each rung is a fit more.
                Steps::Halving { .. } => vec![5.0 * one / 6.0],
                _ => vec![one * one, one],
            };
            shares.into_iter().map(Amount::Share).collect()
        }
        Steps::Powers { factor } | Steps::Halving { factor } => {
            let end = end.unwrap_or(match resource {
                Resource::Folds => MOST_AUTO_FOLDS,
                Resource::Rows | Resource::Estimators => u32::MAX,
            });
            let first = min.unwrap_or(match resource {
                // Fewer say more of the learning rate than of what comes of it.
                Resource::Estimators => end.div_ceil(factor.saturating_mul(2)).max(1),
                Resource::Rows => end.div_ceil(factor.saturating_mul(factor)).max(1),
                Resource::Folds => 1,
            });
            let all = std::iter::successors(Some(first), |rung| rung.checked_mul(factor));
            all.take_while(|rung| *rung < end).take(MAX_RUNGS).map(Amount::Count).collect()
        }
        Steps::Every { interval, from } => every(interval, from, end),
    })
}

/// Every so many folds, from a first look on.
fn every(interval: u32, from: u32, end: Option<u32>) -> Vec<Amount> {
    let looks = 1..end.unwrap_or(MOST_AUTO_FOLDS);
    let looks = looks.filter(|n| *n >= from && n.is_multiple_of(interval.max(1)));
    looks.take(MAX_RUNGS).map(Amount::Count).collect()
}
