//! The built-in learners, their parameters with bounds and defaults, and the tasks they do.
//!
//! `parameters.rs` holds the tables, `alias.rs` what others call them; `check.rs` judges a search
//! space by them, `together.rs` the parameters that depend on each other.

mod alias;
mod check;
mod parameters;
mod together;

use serde::{Deserialize, Serialize};

use crate::data::Task;
use crate::objective::Measure;
use crate::value::Value;

pub(crate) use check::{Demand, check_chosen, check_learner, check_space};
pub(crate) use together::check_bags;

/// The word for a limit that is not there.
pub(crate) const NONE: &str = "none";

/// A built-in learner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Learner {
    /// Linear regression with a squared penalty.
    Ridge,
    /// Linear regression with an absolute penalty.
    Lasso,
    /// Linear regression with both penalties.
    ElasticNet,
    /// Linear classification.
    LogisticRegression,
    /// One tree.
    DecisionTree,
    /// Bagged trees.
    RandomForest,
    /// Trees with random thresholds.
    ExtraTrees,
    /// Nearest neighbours.
    Knn,
    /// Support vectors.
    Svm,
    /// Bayes' rule with independent features.
    NaiveBayes,
    /// Boosted trees on histograms.
    GradientBoosting,
    /// A small network.
    Mlp,
    /// The last value.
    Naive,
    /// The value one season ago.
    SeasonalNaive,
    /// The mean.
    Average,
    /// The ETS family.
    ExponentialSmoothing,
    /// The theta method.
    Theta,
    /// Autoregression, differences, moving averages.
    Arima,
    /// Intermittent demand.
    Croston,
    /// The line through the first and the last value.
    Drift,
}

/// One parameter of a learner.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnerParameter {
    /// Its name, as scikit-learn or LightGBM call it.
    pub name: &'static str,
    /// What it may be.
    pub kind: ParameterKind,
    /// What it is when a configuration leaves it out; none means "no limit" or "chosen from the
    /// data", as `meaning` says.
    pub default: Option<Value>,
    /// One line for the reference.
    pub meaning: &'static str,
}

/// What a learner's parameter may be.
#[derive(Clone, Debug, PartialEq)]
pub enum ParameterKind {
    /// A whole number between two bounds, both included.
    Int(i64, i64),
    /// A number between two bounds, both included.
    Float(f64, f64),
    /// The same, or the word `none`.
    IntOrNone(i64, i64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// One of these words, others for classes than for numbers.
    WordByTask {
        /// For classification.
        classes: &'static [&'static str],
        /// For regression and forecasting.
        numbers: &'static [&'static str],
    },
    /// True or false.
    Bool,
    /// A number in (0, 1], or a whole number of features, or one of these words.
    Share(&'static [&'static str]),
    /// A number between two bounds, both included, or one of these words.
    FloatOrWord(f64, f64, &'static [&'static str]),
}

impl Learner {
    /// Every learner.
    pub const ALL: &[Self] = &[
        Self::Ridge,
        Self::Lasso,
        Self::ElasticNet,
        Self::LogisticRegression,
        Self::DecisionTree,
        Self::RandomForest,
        Self::ExtraTrees,
        Self::Knn,
        Self::Svm,
        Self::NaiveBayes,
        Self::GradientBoosting,
        Self::Mlp,
        Self::Naive,
        Self::SeasonalNaive,
        Self::Drift,
        Self::Average,
        Self::ExponentialSmoothing,
        Self::Theta,
        Self::Arima,
        Self::Croston,
    ];

    /// Its name in job files and results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ridge => "ridge",
            Self::Lasso => "lasso",
            Self::ElasticNet => "elastic_net",
            Self::LogisticRegression => "logistic_regression",
            Self::DecisionTree => "decision_tree",
            Self::RandomForest => "random_forest",
            Self::ExtraTrees => "extra_trees",
            Self::Knn => "knn",
            Self::Svm => "svm",
            Self::NaiveBayes => "naive_bayes",
            Self::GradientBoosting => "gradient_boosting",
            Self::Mlp => "mlp",
            Self::Naive => "naive",
            Self::SeasonalNaive => "seasonal_naive",
            Self::Average => "average",
            Self::ExponentialSmoothing => "exponential_smoothing",
            Self::Theta => "theta",
            Self::Arima => "arima",
            Self::Croston => "croston",
            Self::Drift => "drift",
        }
    }

    /// Other names that mean the same.
    fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::ExtraTrees => &["extreme_random_trees"],
            Self::RandomForest => &["random_forests"],
            Self::DecisionTree => &["decision_trees"],
            Self::Knn => &["k_nearest_neighbors", "nearest_neighbors"],
            Self::NaiveBayes => &["gaussian_naive_bayes"],
            Self::ExponentialSmoothing => &["ets", "auto_ets"],
            Self::Arima => &["auto_arima"],
            _ => &[],
        }
    }

    /// The learner with this name or alias, whatever its letter case and underscores.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|learner| {
            std::iter::once(&learner.name())
                .chain(learner.aliases())
                .any(|own| crate::fields::same_word(own, name))
        })
    }

    /// What it can predict. Every regressor also forecasts, from the columns it is given.
    pub fn tasks(self) -> &'static [Task] {
        use Task::{Classification, Forecasting, Regression};
        match self {
            Self::Ridge | Self::Lasso | Self::ElasticNet => &[Regression, Forecasting],
            Self::LogisticRegression | Self::NaiveBayes => &[Classification],
            Self::DecisionTree
            | Self::RandomForest
            | Self::ExtraTrees
            | Self::Knn
            | Self::Svm
            | Self::GradientBoosting
            | Self::Mlp => &[Classification, Regression, Forecasting],
            Self::Naive
            | Self::SeasonalNaive
            | Self::Average
            | Self::ExponentialSmoothing
            | Self::Theta
            | Self::Arima
            | Self::Croston
            | Self::Drift => &[Forecasting],
        }
    }

    /// Whether it can count some rows for more than others.
    pub fn weighs_rows(self) -> bool {
        !matches!(self, Self::Knn | Self::Svm) && !self.forecasts_series()
    }

    /// Whether its trees can each leave rows out, which then judge the others.
    pub fn scores_out_of_bag(self) -> bool {
        matches!(self, Self::RandomForest | Self::ExtraTrees)
    }

    /// Whether graphics cards know of it, be it of some settings and data alone.
    pub fn is_of_cards(self) -> bool {
        matches!(
            self,
            Self::GradientBoosting
                | Self::RandomForest
                | Self::ExtraTrees
                | Self::LogisticRegression
                | Self::Mlp
                | Self::Ridge
                | Self::Lasso
                | Self::ElasticNet
                | Self::ExponentialSmoothing
                | Self::Theta
        )
    }

    /// Whether cards know of it only where every metric is one of squared errors.
    pub fn is_of_squares(self) -> bool {
        matches!(self, Self::Ridge | Self::Lasso | Self::ElasticNet)
    }

    /// Whether graphics cards know of it where it is judged by these.
    pub fn is_of_cards_by(self, measures: &[Measure]) -> bool {
        let by_squares = || measures.iter().all(|measure| measure.is_of_squares());
        self.is_of_cards() && (!self.is_of_squares() || by_squares())
    }

    /// Whether it learns from the past of a series alone, and not from columns beside it.
    pub fn forecasts_series(self) -> bool {
        self.tasks() == [Task::Forecasting]
    }

    /// The parameter whose smaller values (or larger ones, for a penalty) are passed on the way to
    /// the others, so that one fit answers for all of them.
    pub fn path(self) -> Option<&'static str> {
        match self {
            Self::GradientBoosting | Self::RandomForest | Self::ExtraTrees => Some("n_estimators"),
            Self::Ridge | Self::Lasso | Self::ElasticNet => Some("alpha"),
            _ => None,
        }
    }

    /// Its parameters.
    pub fn parameters(self) -> Vec<LearnerParameter> {
        parameters::of(self)
    }

    /// Our name of a parameter that another tool calls so; none for our own names.
    pub fn own_name(self, name: &str) -> Option<&'static str> {
        alias::foreign(self, name).and_then(alias::Foreign::own_name)
    }

    /// A parameter as the learner reads it: its name and its value, where another tool's stand for
    /// them; none where it means nothing to the learner.
    pub(crate) fn translated(self, name: &str, value: &Value) -> Option<(String, Value)> {
        alias::translated(self, name, value)
    }

    /// Whether this may be what the learner does where the parameter is left out, for some task.
    pub(crate) fn is_usual(self, name: &str, value: &Value) -> bool {
        self.parameter(name).is_some_and(|own| match (&own.default, &own.kind) {
            (Some(usual), _) => match (usual.as_f64(), value.as_f64()) {
                (Some(usual), Some(number)) => usual == number,
                _ => usual == value,
            },
            (None, ParameterKind::WordByTask { classes, numbers }) => {
                // The first word of each; no word is for both.
                let words = [classes.first(), numbers.first()];
                matches!(value, Value::Text(text) if words.contains(&Some(&text.as_str())))
            }
            (None, ParameterKind::Share(words)) => {
                // Which of them is usual depends on the task; seeds may be shared by more. All of
                // them is a share, too.
                matches!(value, Value::Text(text) if text == NONE || words.contains(&text.as_str()))
                    || *value == Value::Float(1.0)
            }
            (None, _) => matches!(value, Value::Text(text) if text == NONE),
        })
    }

    /// Whether this parameter is a share of the columns, which may be written in many ways.
    pub(crate) fn is_share(self, name: &str) -> bool {
        self.parameter(name).is_some_and(|own| matches!(own.kind, ParameterKind::Share(_)))
    }

    /// The parameter with this name.
    pub fn parameter(self, name: &str) -> Option<LearnerParameter> {
        self.parameters().into_iter().find(|parameter| parameter.name == name)
    }
}

impl ParameterKind {
    /// What is left of it for one task, where that makes a difference.
    pub(crate) fn narrowed(&self, task: Task) -> Option<Self> {
        match (self, task) {
            (Self::WordByTask { classes, .. }, Task::Classification) => Some(Self::Word(classes)),
            (Self::WordByTask { numbers, .. }, _) => Some(Self::Word(numbers)),
            _ => None,
        }
    }

    /// The word that means no limit, where there is one.
    pub(crate) fn no_limit(&self) -> Option<&'static str> {
        match self {
            Self::IntOrNone(..) => Some(NONE),
            Self::Share(words) => words.iter().copied().find(|word| *word == "all"),
            _ => None,
        }
    }

    /// In words: `a number of at least 0`.
    pub fn describe(&self) -> String {
        let words = |words: &[&str]| crate::fields::one_of(words);
        match self {
            Self::Int(low, i64::MAX) => format!("a whole number of at least {low}"),
            Self::Int(low, high) => format!("a whole number from {low} to {high}"),
            Self::IntOrNone(low, high) => {
                format!("{NONE}, or {}", Self::Int(*low, *high).describe())
            }
            Self::Float(low, high) => describe_range(*low, *high),
            Self::Word(known) => words(known),
            Self::WordByTask { classes, numbers } => words(&[*classes, *numbers].concat()),
            Self::Bool => "true or false".to_owned(),
            Self::Share(known) => {
                format!("{}, a share in (0, 1], or a whole number of features", words(known))
            }
            Self::FloatOrWord(low, high, known) => {
                format!("{}, or {}", known.join(", "), describe_range(*low, *high))
            }
        }
    }
}

fn describe_range(low: f64, high: f64) -> String {
    let number = crate::space::number;
    let from = if low == f64::MIN_POSITIVE { "above 0".to_owned() } else { number(low) };
    match (low == f64::MIN_POSITIVE, low == f64::MIN, high == f64::MAX) {
        (_, true, true) => "a number".to_owned(),
        (_, true, false) => format!("a number of at most {}", number(high)),
        (true, _, true) => "a number above 0".to_owned(),
        (true, _, false) => format!("a number {from} and at most {}", number(high)),
        (false, _, true) => format!("a number of at least {from}"),
        (false, _, false) => format!("a number from {from} to {}", number(high)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Learner, ParameterKind};
    use crate::value::Value;

    #[test]
    fn every_name_finds_its_learner() {
        for learner in Learner::ALL {
            assert_eq!(Learner::named(learner.name()), Some(*learner));
        }
        assert_eq!(Learner::named("elasticnet"), Some(Learner::ElasticNet));
        assert_eq!(Learner::named("extreme_random_trees"), Some(Learner::ExtraTrees));
        assert_eq!(Learner::named("lightgbm"), None);
    }

    #[test]
    fn every_default_is_allowed() {
        for learner in Learner::ALL {
            for parameter in learner.parameters() {
                let allowed = match (&parameter.kind, &parameter.default) {
                    (_, None) => true,
                    (ParameterKind::Int(low, high), Some(Value::Int(number))) => {
                        low <= number && number <= high
                    }
                    (
                        ParameterKind::Float(low, high) | ParameterKind::FloatOrWord(low, high, _),
                        Some(Value::Float(number)),
                    ) => low <= number && number <= high,
                    (ParameterKind::Bool, Some(Value::Bool(_))) => true,
                    (ParameterKind::Share(_), Some(Value::Float(share))) => {
                        *share > 0.0 && *share <= 1.0
                    }
                    (
                        ParameterKind::Word(words)
                        | ParameterKind::Share(words)
                        | ParameterKind::FloatOrWord(_, _, words),
                        Some(Value::Text(word)),
                    ) => words.contains(&word.as_str()),
                    _ => false,
                };
                assert!(allowed, "{}.{}", learner.name(), parameter.name);
            }
        }
    }
}
