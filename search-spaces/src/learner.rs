//! The built-in learners, their parameters with bounds and defaults, and the tasks they do.

use serde::{Deserialize, Serialize};

use crate::value::Value;

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
    /// One of these words.
    Word(&'static [&'static str]),
    /// True or false.
    Bool,
    /// A number in (0, 1], or a whole number of features, or one of these words.
    Share(&'static [&'static str]),
}
