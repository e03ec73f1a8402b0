//! Which column of a table holds the values of a metric.
//!
//! Values that scikit-learn writes are scores: the largest is the best, whatever they are of, so losses
//! stand there negated.

use fleetfit_search_spaces::{Goal, Measure};

/// Names of the first metric's values, after that of the metric.
const USUAL: [&str; 10] = [
    "value",
    "values_0",
    "values.0",
    "mean_test_score",
    "loss",
    "objective",
    "objective_value",
    "target",
    "score",
    "metric",
];

/// The one among them whose smaller values are better.
const LOSS: &str = "loss";

/// How the names of scikit-learn's scores begin, and what stands before the names of losses there.
pub(super) const SCORES: &str = "mean_test_";
const NEGATED: &str = "neg_";

/// A metric of a study.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metric<'a> {
    /// Its place among the study's metrics.
    pub(super) place: usize,
    pub(super) name: &'a str,
    /// None where only a bound is about it.
    pub(super) goal: Option<Goal>,
}

/// A column of values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    /// Whether its largest number is the best, whatever it is of.
    pub(super) is_score: bool,
    /// Whether its numbers are the metric's negated.
    is_negated: bool,
}

impl Column {
    /// The column of a metric among these names, those left out that mean something else.
    pub(super) fn find(
        names: &[String],
        metric: Metric<'_>,
        is_taken: impl Fn(&str) -> bool,
    ) -> Option<Self> {
        let called = called(metric.name);
        let own = called.iter().flat_map(|name| {
            ["metrics.", "metrics/", "values.", "values_", ""].map(|first| format!("{first}{name}"))
        });
        let scores = called.iter().flat_map(|name| {
            let short = name.replacen("_score", "", 1);
            [name, &short].map(|name| {
                [SCORES.to_owned(), format!("{SCORES}{NEGATED}")]
                    .map(|first| format!("{first}{name}"))
            })
        });
        let is_loss = metric.goal == Some(Goal::Minimize);
        let usual: Vec<String> = match metric.place {
            0 => USUAL
                .iter()
                .filter(|name| is_loss || **name != LOSS)
                .map(|name| (*name).to_owned())
                .collect(),
            place => vec![format!("values_{place}"), format!("values.{place}")],
        };
        let mut candidates = own.chain(scores.flatten()).chain(usual);
        let found = candidates.find(|name| names.contains(name) && !is_taken(name));
        let only = || {
            let mut scores = names.iter().filter(|name| name.starts_with(SCORES));
            scores.next().filter(|_| metric.place == 0 && scores.next().is_none()).cloned()
        };
        found.or_else(only).map(|name| {
            let own = name.strip_prefix(SCORES).filter(|_| name != metric.name);
            let is_negated = own.is_some_and(|own| match metric.goal {
                Some(goal) => goal == Goal::Minimize,
                None => own.starts_with(NEGATED) && !metric.name.starts_with(NEGATED),
            });
            Self { is_score: own.is_some(), is_negated, name }
        })
    }

    /// What the metric is where this stands.
    pub(super) fn value(&self, number: f64) -> f64 {
        if self.is_negated { -number } else { number }
    }
}

/// What a metric may be called, its own name first.
fn called(metric: &str) -> Vec<String> {
    let measure = Measure::named(metric);
    let others = measure.iter().flat_map(|measure| {
        std::iter::once(measure.name()).chain(measure.aliases().iter().copied())
    });
    let mut called = vec![metric.to_owned()];
    for name in others {
        if called.iter().all(|known| known != name) {
            called.push(name.to_owned());
        }
    }
    called
}
