//! What the trials of a study tell of its parameters and of the search, as programs get it.
//!
//! The trials are read from the journal (`insight/reading.rs`), a bounded number of them; what was
//! left out is said. A configuration counts once all its trials have ended, with the loss that the
//! sampler is told: of several entities the mean of how much better or worse than its first one each
//! entity's loss is.

mod names;
mod reading;

use fleetfit_search_spaces::{EntityKey, Goal, Measure, Objective, Value};
use serde::{Deserialize, Serialize};

use self::names::Names;
pub use self::names::When;
use self::reading::Reading;
use super::asked::Asked;
use super::{MetricView, QueryError, entity, find};
use crate::insight::{Convergence, Expected, FEWEST_TRIALS, Fanova, Insight, Plane, Share};
use crate::journal::Journal;

/// Forests are grown by this seed, so that the same trials give the same answer.
const SEED: u64 = 1;

/// Parameters that a notice names.
const MOST_NAMED: usize = 8;

/// Pairs that are told of.
const MOST_PAIRS: usize = 5;

/// What the trials of a study tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InsightView {
    /// The study's name.
    pub study: String,
    /// What is measured.
    pub metric: MetricView,
    /// The entity that was asked for.
    pub entity: Option<EntityKey>,
    /// What values here are.
    pub scale: InsightScale,
    /// What was read.
    pub configurations: ConfigurationCounts,
    /// The parameters, those first that the losses owe most of their variance to.
    pub parameters: Vec<ParameterView>,
    /// Pairs of parameters that do more together than each alone, the most first.
    pub interactions: Vec<InteractionView>,
    /// What is expected along each parameter, in the order of `parameters`.
    pub dependence: Vec<DependenceView>,
    /// What is expected along the first pair.
    pub plane: Option<PlaneView>,
    /// How the search came to its best.
    pub convergence: ConvergenceView,
    /// How often it proposed what it had proposed before.
    pub duplicates: DuplicatesView,
    /// What is worth saying: why something is missing, or what was left out.
    pub notices: Vec<String>,
}

/// What values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InsightScale {
    /// Those of the metric.
    Metric,
    /// The mean over entities of how much better or worse than its first value each one is, as a
    /// share of it; less is better.
    Relative,
}

/// Which configurations insight is from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationCounts {
    /// Those with a value.
    pub used: u64,
    /// Those that were stopped early, which are left out.
    pub stopped: u64,
    /// Those that failed, which are left out.
    pub failed: u64,
    /// Those that have not ended for every entity.
    pub open: u64,
    /// Of how many entities.
    pub entities: u32,
    /// On how many of those used the forest was grown.
    pub in_forest: u64,
}

/// How much a parameter matters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParameterView {
    /// Its dotted path.
    pub parameter: String,
    /// Under which choice it exists, where it does not always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// The share of the variance that it has alone, by fANOVA.
    pub fanova: Option<f64>,
    /// How much the trees of the forest differ about that.
    pub fanova_deviation: Option<f64>,
    /// Its share in what the best tenth has in common, by PED-ANOVA: 1 over all parameters.
    pub ped_anova: Option<f64>,
}

/// How much two parameters do together that neither does alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InteractionView {
    /// The two.
    pub parameters: [String; 2],
    /// The share of the variance.
    pub fanova: f64,
    /// How much the trees differ about that.
    pub fanova_deviation: f64,
}

/// What is expected along one parameter, over all others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DependenceView {
    /// Its dotted path.
    pub parameter: String,
    /// Under which choice it exists, where it does not always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// In the order of the values.
    pub points: Vec<PointView>,
}

/// What is expected at one value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointView {
    /// The parameter's value; of a nested space its name.
    pub at: Value,
    /// What is expected.
    pub value: f64,
    /// How much the trees differ about that.
    pub deviation: f64,
}

/// What is expected along two parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlaneView {
    /// The two.
    pub parameters: [String; 2],
    /// Their values.
    pub at: [Vec<Value>; 2],
    /// What is expected: a row for each value of the first.
    pub values: Vec<Vec<f64>>,
    /// How much the trees differ about that.
    pub deviations: Vec<Vec<f64>>,
}

/// How a search came to its best.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConvergenceView {
    /// How many configurations have ended.
    pub ended: u64,
    /// Every configuration that was better than all before.
    pub improvements: Vec<ImprovementView>,
    /// How many have ended since the last of them.
    pub since_last: u64,
    /// The mean distance of the best so far from the best, as a share of the median's: 0 where the
    /// first was the best.
    pub area: Option<f64>,
}

/// A configuration that was better than all before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImprovementView {
    /// How many configurations had ended then.
    pub nth: u64,
    /// The configuration's number.
    pub trial: u32,
    /// Its value.
    pub value: f64,
    /// Seconds since the first trial began, interruptions included.
    pub elapsed_s: Option<f64>,
}

/// How often a search proposed what it had proposed before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DuplicatesView {
    /// How many configurations were proposed, of those that were read.
    pub proposed: u64,
    /// How many of them came before.
    pub repeated: u64,
    /// How many configurations the space has; none where it is endless.
    pub space: Option<f64>,
    /// How many repeats that many even draws would be expected to have, less those there are; none
    /// where the space is endless.
    pub avoided: Option<f64>,
}

/// Of what insight is asked for, as users write it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InsightOf<'a> {
    /// One entity; none means over all.
    pub entity: Option<&'a str>,
    /// The metric of one objective; none means the first.
    pub objective: Option<&'a str>,
}

/// What the trials of a study tell.
pub fn insight(
    journal: &Journal,
    name: &str,
    of: InsightOf<'_>,
) -> Result<InsightView, QueryError> {
    let asked = Asked::new(journal, find(journal, name)?)?;
    let index = of.entity.map(|text| entity::index(journal, &asked.record, text)).transpose()?;
    let key = index.map(|index| asked.key(index)).transpose()?.flatten();
    let objective = objective(&asked, of.objective)?;
    let mut reading = Reading::of(&asked, index, objective)?;
    if asked.aims.are_several() && of.objective.is_none() {
        reading.notices.insert(0, on_others(&asked));
    }
    let insight = Insight::new(&reading.tried, SEED);
    let names = Names::new(&asked.study.space);
    Ok(Telling { asked: &asked, objective, names, reading }.view(key, &insight))
}

/// The place of an objective by its metric, or by a short name of that.
fn objective(asked: &Asked, name: Option<&str>) -> Result<usize, QueryError> {
    let Some(name) = name else { return Ok(0) };
    let metrics = || asked.aims.objectives.iter().map(|objective| objective.metric.as_str());
    let long = Measure::named(name).map(Measure::name);
    let place = metrics().position(|metric| metric == name);
    place.or_else(|| metrics().position(|metric| Some(metric) == long)).ok_or_else(|| {
        QueryError::UnknownObjective {
            study: asked.record.head.name.clone(),
            name: name.to_owned(),
            known: metrics().collect::<Vec<_>>().join(", "),
        }
    })
}

/// That there are more objectives than the one that is told of.
fn on_others(asked: &Asked) -> String {
    let mut metrics = asked.aims.objectives.iter().map(|objective| objective.metric.as_str());
    let first = metrics.next().unwrap_or_default();
    let others: Vec<&str> = metrics.collect();
    format!(
        "the study has several objectives; what follows is of {first}, unless the objective {} is \
         asked for",
        others.join(" or ")
    )
}

/// Everything that an answer is made of.
struct Telling<'a> {
    asked: &'a Asked,
    /// The place of the objective that is told of.
    objective: usize,
    names: Names,
    reading: Reading,
}

impl Telling<'_> {
    fn objective(&self) -> &Objective {
        &self.asked.aims.objectives[self.objective]
    }

    fn view(self, entity: Option<EntityKey>, insight: &Insight) -> InsightView {
        let objective = self.objective();
        let fanova = insight.fanova.as_ref();
        let order = self.order(insight);
        let curves = fanova.map(|fanova| fanova.curves.as_slice()).unwrap_or_default();
        let dependence = order.iter().filter_map(|&i| {
            let curve = curves.iter().find(|curve| curve.dimension == i)?;
            Some(DependenceView {
                parameter: self.names.path(i),
                when: self.names.when(i),
                points: curve.points.iter().map(|&(unit, at)| self.point(i, unit, at)).collect(),
            })
        });
        let counts = ConfigurationCounts {
            in_forest: fanova.map_or(0, |fanova| fanova.n_trials as u64),
            ..self.reading.counts
        };
        InsightView {
            study: self.asked.record.head.name.clone(),
            metric: MetricView { name: objective.metric.clone(), goal: objective.goal },
            entity,
            scale: self.reading.scale,
            configurations: counts,
            parameters: order.iter().map(|&i| self.parameter(i, insight)).collect(),
            interactions: fanova.map(|fanova| self.interactions(fanova)).unwrap_or_default(),
            dependence: dependence.collect(),
            plane: fanova.and_then(|fanova| fanova.plane.as_ref()).map(|plane| self.plane(plane)),
            convergence: self.convergence(),
            duplicates: self.reading.duplicates(&self.asked.study.space),
            notices: self.notices(insight),
        }
    }

    /// The parameters, the most important first.
    fn order(&self, insight: &Insight) -> Vec<usize> {
        let ped_anova = insight.ped_anova.as_deref().unwrap_or_default();
        let fanova = insight.fanova.as_ref().map(|fanova| fanova.shares.as_slice());
        let rank = |i: usize| {
            let share = fanova.and_then(|shares| *shares.get(i)?);
            let ped_anova = ped_anova.get(i).copied().unwrap_or_default();
            (share.map_or(-1.0, |share| share.mean), ped_anova)
        };
        let mut order: Vec<usize> = (0..self.reading.tried.dimensions.len()).collect();
        order.sort_by(|&a, &b| {
            let (one, other) = (rank(a), rank(b));
            other.0.total_cmp(&one.0).then(other.1.total_cmp(&one.1)).then(a.cmp(&b))
        });
        order
    }

    fn parameter(&self, i: usize, insight: &Insight) -> ParameterView {
        let fanova = insight.fanova.as_ref().and_then(|fanova| *fanova.shares.get(i)?);
        ParameterView {
            parameter: self.names.path(i),
            when: self.names.when(i),
            fanova: fanova.map(|share| share.mean),
            fanova_deviation: fanova.map(|share| share.deviation),
            ped_anova: insight.ped_anova.as_ref().and_then(|shares| shares.get(i).copied()),
        }
    }

    fn interactions(&self, fanova: &Fanova) -> Vec<InteractionView> {
        let view = |&(pair, share): &([usize; 2], Share)| InteractionView {
            parameters: pair.map(|i| self.names.full(i)),
            fanova: share.mean,
            fanova_deviation: share.deviation,
        };
        fanova.pairs.iter().take(MOST_PAIRS).map(view).collect()
    }

    fn point(&self, i: usize, unit: f64, expected: Expected) -> PointView {
        let value = self.value(expected.loss);
        PointView { at: self.names.value(i, unit), value, deviation: expected.deviation }
    }

    fn plane(&self, plane: &Plane) -> PlaneView {
        let [rows, columns] = &plane.units;
        let at = |i: usize, units: &[f64]| {
            units.iter().map(|&unit| self.names.value(plane.dimensions[i], unit)).collect()
        };
        let rows_of = |of: &dyn Fn(&Expected) -> f64| {
            let rows = plane.expected.chunks(columns.len().max(1));
            rows.map(|row| row.iter().map(of).collect()).collect()
        };
        PlaneView {
            parameters: plane.dimensions.map(|i| self.names.full(i)),
            at: [at(0, rows), at(1, columns)],
            values: rows_of(&|expected| self.value(expected.loss)),
            deviations: rows_of(&|expected| expected.deviation),
        }
    }

    fn convergence(&self) -> ConvergenceView {
        let Convergence { steps, n, area } = Convergence::new(&self.reading.ended);
        let last = steps.last().map_or(0, |step| step.nth);
        let improvements = steps.into_iter().map(|step| ImprovementView {
            nth: step.nth as u64,
            trial: step.ended.number,
            value: self.value(step.loss),
            elapsed_s: step.ended.elapsed_s,
        });
        ConvergenceView {
            ended: n as u64,
            improvements: improvements.collect(),
            since_last: (n - last) as u64,
            area,
        }
    }

    /// A loss as users see it.
    fn value(&self, loss: f64) -> f64 {
        match (self.reading.scale, self.objective().goal) {
            (InsightScale::Metric, Goal::Maximize) => -loss,
            (InsightScale::Metric, Goal::Minimize) | (InsightScale::Relative, _) => loss,
        }
    }

    fn notices(&self, insight: &Insight) -> Vec<String> {
        let mut notices = self.reading.notices.clone();
        let n = self.reading.tried.n();
        let why = match (&insight.fanova, &insight.ped_anova) {
            _ if self.reading.tried.dimensions.is_empty() => "there is no parameter that varies",
            _ if n < FEWEST_TRIALS => {
                let ended = if n == 1 { "configuration has" } else { "configurations have" };
                notices.push(format!(
                    "{n} {ended} a value; importances need at least {FEWEST_TRIALS}"
                ));
                return notices;
            }
            (None, None) => "every configuration has the same value, so no parameter matters",
            (None, Some(_))
                if self.reading.tried.losses.iter().any(|loss| loss.abs() > f64::MAX / 2.0) =>
            {
                "the values are too large for fANOVA"
            }
            (None, Some(_)) => "the values, or the configurations, differ too little for fANOVA",
            (Some(_), None) => {
                "the best tenth cannot be told from the others, so there is no PED-ANOVA"
            }
            (Some(fanova), Some(_)) if fanova.shares.iter().any(Option::is_none) => {
                notices.push(self.left_out(fanova));
                return notices;
            }
            (Some(_), Some(_)) => return notices,
        };
        notices.push(why.into());
        notices
    }

    /// Of many parameters, those that the forest did not look at.
    fn left_out(&self, fanova: &Fanova) -> String {
        let left = fanova.shares.iter().enumerate().filter(|(_, share)| share.is_none());
        let left: Vec<usize> = left.map(|(i, _)| i).collect();
        let listed: Vec<String> =
            left.iter().take(MOST_NAMED).map(|&i| self.names.full(i)).collect();
        let more = match left.len().saturating_sub(MOST_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!(
            "fANOVA and curves are of the {} parameters that tell most by themselves; without \
             {}{more}",
            fanova.shares.len() - left.len(),
            listed.join(", ")
        )
    }
}

#[cfg(test)]
mod tests;
