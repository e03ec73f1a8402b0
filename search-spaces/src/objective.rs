//! What is measured, and which way is better. Inside fleetfit everything is a loss: lower is better.

use serde::{Deserialize, Serialize};

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Lower is better.
    Minimize,
    /// Higher is better.
    Maximize,
}

impl Goal {
    /// The value turned so that lower is better.
    pub fn loss(self, value: f64) -> f64 {
        match self {
            Self::Minimize => value,
            Self::Maximize => -value,
        }
    }
}

/// Which of a trial's reports is its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueRule {
    /// The best one in the goal's direction.
    #[default]
    Best,
    /// The last one.
    Last,
}

/// The objective of a study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objective {
    /// The metric's name: for a command, exactly the name it reports; for a built-in learner, the
    /// long name of a [`Measure`].
    pub metric: String,
    /// Which way is better.
    pub goal: Goal,
    /// Which report counts.
    pub value: ValueRule,
}

macro_rules! measures {
    ($($variant:ident $name:literal [$($alias:literal),*] $goal:ident $tasks:ident $doc:literal;)*) => {
        /// A metric that the built-in trainers compute.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Measure { $(#[doc = $doc] $variant,)* }

        impl Measure {
            /// Every measure.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The long name, which is the one that is stored and shown.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Short names that mean the same.
            pub fn aliases(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($alias),*],)* }
            }

            /// Which way is better.
            pub fn goal(self) -> Goal {
                match self { $(Self::$variant => Goal::$goal,)* }
            }

            /// Whether the measure judges class probabilities or labels rather than numbers.
            pub fn is_classification(self) -> bool {
                match self { $(Self::$variant => measures!(@ $tasks),)* }
            }
        }
    };
    (@ Class) => { true };
    (@ Number) => { false };
}

measures! {
    RootMeanSquaredError "root_mean_squared_error" ["rmse"] Minimize Number "The square root of the mean squared error.";
    MeanSquaredError "mean_squared_error" ["mse"] Minimize Number "The mean squared error.";
    MeanAbsoluteError "mean_absolute_error" ["mae"] Minimize Number "The mean absolute error.";
    NormalizedRootMeanSquaredError "normalized_root_mean_squared_error" ["nrmse"] Minimize Number "RMSE divided by the range of the target.";
    NormalizedMeanAbsoluteError "normalized_mean_absolute_error" ["nmae"] Minimize Number "MAE divided by the range of the target.";
    MeanAbsolutePercentageError "mean_absolute_percentage_error" ["mape"] Minimize Number "Mean of |error| / |target|, rows with a target of 0 left out.";
    SymmetricMeanAbsolutePercentageError "symmetric_mean_absolute_percentage_error" ["smape"] Minimize Number "Mean of 2 |error| / (|target| + |prediction|).";
    MeanAbsoluteScaledError "mean_absolute_scaled_error" ["mase"] Minimize Number "MAE divided by the training MAE of the naive forecast.";
    R2Score "r2_score" ["r2"] Maximize Number "The share of the variance explained.";
    SpearmanCorrelation "spearman_correlation" ["spearman"] Maximize Number "Rank correlation.";
    AucWeighted "auc_weighted" ["auc", "roc_auc"] Maximize Class "Area under the ROC curve, classes weighted by their share.";
    Accuracy "accuracy" ["acc"] Maximize Class "The share of right labels.";
    NormMacroRecall "norm_macro_recall" [] Maximize Class "Mean recall of the classes, 0 for chance and 1 for perfect.";
    AveragePrecisionScoreWeighted "average_precision_score_weighted" ["average_precision"] Maximize Class "Area under the precision-recall curve, weighted.";
    PrecisionScoreWeighted "precision_score_weighted" ["precision"] Maximize Class "Precision, classes weighted by their share.";
    LogLoss "log_loss" ["logloss", "cross_entropy"] Minimize Class "The negative mean log-probability of the true class.";
    F1ScoreWeighted "f1_score_weighted" ["f1", "f1_score"] Maximize Class "Harmonic mean of precision and recall, classes weighted by their share.";
}

impl Measure {
    /// The measure with this long name or alias, in any letter case.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        Self::ALL
            .iter()
            .copied()
            .find(|measure| measure.name() == name || measure.aliases().contains(&name.as_str()))
    }
}
