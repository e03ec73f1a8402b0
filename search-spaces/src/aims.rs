//! What a study aims at: its objectives, the first of which it ranks by, and bounds on metrics.
//!
//! A trial has one value for each of [`Aims::metrics`]: that of the first objective, then its further
//! ones. Inside fleetfit objectives are losses, and what breaks a bound is an amount: a trial that
//! keeps all of them has a violation of 0.

use crate::constraint::Constraint;
use crate::objective::Objective;
use crate::study::Study;

/// What a study aims at.
#[derive(Clone, Debug, PartialEq)]
pub struct Aims {
    /// What is made small or large, one at least.
    pub objectives: Vec<Objective>,
    /// What has to hold.
    pub constraints: Vec<Constraint>,
    /// The metrics that a trial has values of: those of the objectives, in order, then those that
    /// only constraints name.
    pub metrics: Vec<String>,
    /// Which of the metrics each constraint is about.
    places: Vec<usize>,
}

impl Aims {
    /// What a study aims at.
    pub fn of(study: &Study) -> Self {
        let objectives: Vec<Objective> = study.objectives().cloned().collect();
        let mut metrics: Vec<String> =
            objectives.iter().map(|objective| objective.metric.clone()).collect();
        let mut places = Vec::with_capacity(study.constraints.len());
        for constraint in &study.constraints {
            let known = metrics.iter().position(|metric| *metric == constraint.metric);
            places.push(known.unwrap_or_else(|| {
                metrics.push(constraint.metric.clone());
                metrics.len() - 1
            }));
        }
        Self { objectives, constraints: study.constraints.clone(), metrics, places }
    }

    /// Whether there is one objective and nothing else: then a trial's value says it all.
    pub fn are_plain(&self) -> bool {
        self.metrics.len() == 1 && self.constraints.is_empty()
    }

    /// Whether no single trial need be the best.
    pub fn are_several(&self) -> bool {
        self.objectives.len() > 1
    }

    /// How many further values a completed trial has.
    pub fn n_further(&self) -> usize {
        self.metrics.len() - 1
    }

    /// A trial's values turned into losses, one for each objective.
    pub fn losses<'a>(&'a self, value: f64, further: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        let values = std::iter::once(value).chain(further.iter().copied());
        self.objectives.iter().zip(values).map(|(objective, value)| objective.goal.loss(value))
    }

    /// How far a trial is from keeping all bounds: 0 where it keeps them, otherwise the sum of what
    /// each is exceeded by, as a share of the bound. Finite for finite values.
    pub fn violation(&self, value: f64, further: &[f64]) -> f64 {
        self.bounded(value, further).map(|(constraint, value)| constraint.violation(value)).sum()
    }

    /// The constraints, and the value that each is about.
    fn bounded<'a>(
        &'a self,
        value: f64,
        further: &'a [f64],
    ) -> impl Iterator<Item = (&'a Constraint, f64)> {
        let value_at = move |place: usize| match place.checked_sub(1) {
            None => Some(value),
            Some(place) => further.get(place).copied(),
        };
        let constraints = self.constraints.iter().zip(&self.places);
        constraints.filter_map(move |(constraint, &place)| Some((constraint, value_at(place)?)))
    }

    /// How far a trial is beyond the bound that it breaks most, or, below 0, how much room it has
    /// left to the nearest one. Finite for finite values; 0 where there are no bounds.
    pub fn excess(&self, value: f64, further: &[f64]) -> f64 {
        let excesses = self.bounded(value, further);
        let excesses = excesses.map(|(constraint, value)| constraint.excess(value));
        excesses.reduce(f64::max).unwrap_or_default()
    }

    /// Whether a trial keeps all bounds.
    pub fn keeps(&self, value: f64, further: &[f64]) -> bool {
        self.violation(value, further) == 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Job;

    fn aims(objectives: &str) -> Aims {
        let text = format!(
            "type: sweep\ntrial: {{command: \"true ${{{{search_space.x}}}}\"}}\n\
             search_space: {{x: [1, 2]}}\n{objectives}\nlimits: {{max_total_trials: 2}}\n"
        );
        Aims::of(&Job::read("job.yaml", &text).unwrap().study().unwrap())
    }

    #[test]
    fn every_metric_has_one_place() {
        let aims = aims(
            "objective: [{goal: minimize, primary_metric: loss}, \
             {goal: maximize, primary_metric: acc}]\n\
             constraints: [\"ms <= 20\", \"acc > 0.5\", \"ms >= 1\"]",
        );
        assert_eq!(aims.metrics, ["loss", "acc", "ms"]);
        assert_eq!(aims.n_further(), 2);
        assert_eq!(aims.losses(0.3, &[0.9, 7.0]).collect::<Vec<_>>(), [0.3, -0.9]);
        assert!(aims.keeps(0.3, &[0.9, 20.0]));
        assert_eq!(aims.violation(0.3, &[0.25, 30.0]), 0.5 + 0.5);
        assert_eq!(aims.excess(0.3, &[0.25, 30.0]), 0.5);
        assert!(aims.violation(0.3, &[0.5, 20.0]) > 0.0);
        assert!(!aims.are_plain() && aims.are_several());
    }

    #[test]
    fn one_objective_is_plain() {
        let aims = aims("objective: [{goal: minimize, primary_metric: loss}]");
        assert!(aims.are_plain() && !aims.are_several());
        assert!(aims.keeps(1.0, &[]));
    }
}
