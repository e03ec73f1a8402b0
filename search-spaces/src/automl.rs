//! The settings of a `type: automl` job that only the AutoML engine reads.
//!
//! `read.rs` reads `training`, `featurization` and `limits`; `words.rs` lists Azure's names.

mod read;
mod words;

pub(crate) use read::Budget;
pub(crate) use words::OTHER_TASKS;

use serde::{Deserialize, Serialize};

/// What the AutoML engine may do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AutoMl {
    /// The algorithms it may use, snake case; empty means all.
    pub allowed_algorithms: Vec<String>,
    /// The algorithms it may not use, snake case.
    pub blocked_algorithms: Vec<String>,
    /// Whether it builds a stacked ensemble.
    pub stack_ensemble: Option<bool>,
    /// Whether it builds a voting ensemble.
    pub vote_ensemble: Option<bool>,
    /// The stacked ensemble's meta learner, snake case.
    pub stack_meta_learner: Option<String>,
    /// The share of rows that train the meta learner.
    pub stack_meta_learner_train_percentage: Option<f64>,
    /// Whether models explain themselves.
    pub explain: Option<bool>,
    /// Whether only models that export to ONNX are used.
    pub onnx_compatible: Option<bool>,
    /// Whether deep networks are tried.
    pub dnn: Option<bool>,
    /// `auto`, `off` or `custom`.
    pub featurization: Featurization,
    /// Stops the study when a model reaches this score.
    pub exit_score: Option<f64>,
    /// Stops the study when the score has not moved for a while.
    pub enable_early_termination: Option<bool>,
    /// Threads a trial may use; -1 means all.
    pub max_cores_per_trial: Option<i64>,
    /// Parameters of the meta learner, as compact JSON.
    pub stack_meta_learner_kwargs: Option<String>,
    /// How long fetching the models of an ensemble may take, in minutes.
    pub ensemble_model_download_timeout_minutes: Option<u32>,
    /// `auto`, `distributed` or `non_distributed`.
    pub training_mode: Option<String>,
    /// Whether deep networks may make features.
    pub dnn_featurization: Option<bool>,
    /// The language of text columns, by its three-letter code.
    pub dataset_language: Option<String>,
    /// The share of the rows kept for the final test.
    pub test_share: Option<f64>,
    /// Whether the series of one partition share a model.
    pub multi_partitions: Option<bool>,
}

/// How columns become features.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Featurization {
    /// Chosen from the data.
    #[default]
    Auto,
    /// Columns as they are.
    Off,
    /// Chosen from the data within these bounds.
    Custom {
        /// Transformers not to use, snake case.
        blocked_transformers: Vec<String>,
        /// The kind of a column, where the data misleads.
        column_types: Vec<(String, String)>,
        /// Parameters of transformers, by column.
        transformer_params: Vec<TransformerParams>,
    },
}

/// The parameters of one transformer for some columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransformerParams {
    /// The transformer, snake case.
    pub transformer: String,
    /// The columns; empty means all.
    pub columns: Vec<String>,
    /// Its parameters, as compact JSON.
    pub parameters: String,
}
