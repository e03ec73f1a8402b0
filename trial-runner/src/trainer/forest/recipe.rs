//! The parameters of trees, as their engine takes them.

use super::Forester;
use crate::figure::Figure;
use crate::forest::{Settings, Splitter};
use crate::trainer::lesson::{Learnt, Lesson};
use crate::trainer::parameters::{Parameters, Share};
use crate::trainer::{Fit, FitError};

/// One configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Recipe {
    pub(super) n_trees: usize,
    pub(super) by_entropy: bool,
    pub(super) max_bin: usize,
    /// The share of the rows that is drawn for each tree, with replacement; none: all, once.
    pub(super) drawn: Option<f64>,
    trees: Forester,
    max_depth: usize,
    min_samples_split: usize,
    min_samples_leaf: usize,
    max_features: Share,
    min_impurity_decrease: f64,
}

impl Recipe {
    pub(super) fn read(trees: Forester, job: &Fit<'_>, lesson: &Lesson) -> Result<Self, FitError> {
        let parameters = Parameters(job.parameters);
        let (criterion, features) = match &lesson.learnt {
            Learnt::Numbers(_) => (parameters.word("criterion", &["squared_error"])?, Share::All),
            Learnt::Classes(_) => {
                let words = ["gini", "entropy", "log_loss"];
                (parameters.word("criterion", &words)?, Share::Root)
            }
        };
        let n_rows = job.weighing().len();
        let (n_trees, drawn, features) = match trees {
            Forester::DecisionTree => (1, None, Share::All),
            Forester::RandomForest | Forester::ExtraTrees => {
                let bootstrap = parameters.flag("bootstrap", trees == Forester::RandomForest)?;
                let share = parameters.positive("max_samples", 1.0)?;
                if share > 1.0 {
                    return Err(FitError::because(format!(
                        "max_samples is {}, but it can't be above 1",
                        Figure(share)
                    )));
                }
                let n_trees = parameters.count("n_estimators", 1, 100)?;
                (n_trees, bootstrap.then_some(share), features)
            }
        };
        Ok(Self {
            n_trees,
            by_entropy: matches!(criterion, "entropy" | "log_loss"),
            max_bin: parameters.count("max_bin", 2, 255)?,
            drawn,
            trees,
            max_depth: parameters.optional_count("max_depth", 1)?.unwrap_or(usize::MAX),
            min_samples_split: parameters.rows("min_samples_split", 2, n_rows)?,
            min_samples_leaf: parameters.rows("min_samples_leaf", 1, n_rows)?,
            max_features: parameters.share("max_features", features)?,
            min_impurity_decrease: parameters.penalty("min_impurity_decrease", 0.0)?,
        })
    }

    /// The same for so many columns and rows.
    pub(super) fn settings(&self, n_columns: usize, n_rows: usize) -> Settings {
        let is_extra = self.trees == Forester::ExtraTrees;
        Settings {
            n_trees: self.n_trees,
            splitter: if is_extra { Splitter::Random } else { Splitter::Best },
            max_depth: self.max_depth,
            min_samples_split: self.min_samples_split,
            min_samples_leaf: self.min_samples_leaf,
            n_features: self.max_features.of(n_columns),
            min_impurity_decrease: self.min_impurity_decrease,
            n_drawn: self.drawn.map(|share| ((share * n_rows as f64).round() as usize).max(1)),
            is_shuffled: self.trees != Forester::DecisionTree,
        }
    }
}
