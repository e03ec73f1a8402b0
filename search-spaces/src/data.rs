//! The data a built-in learner trains on: where it lies, what is predicted, how it is split.
//!
//! `read.rs` reads it from a job; `forecasting.rs` reads the forecasting settings.

mod country;
mod forecasting;
mod frequency;
mod read;

pub use country::{Country, NotACountry};
pub use frequency::{Frequency, NotAFrequency, Unit};

pub(crate) use read::{DATA_KEYS, is_out_of_bag, share};
pub use read::{is_remote, local_path};

use serde::{Deserialize, Serialize};

use crate::problem::Place;

/// What is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// A class.
    Classification,
    /// A number.
    Regression,
    /// The next numbers of a series.
    Forecasting,
}

/// Where a table lies: csv, csv.gz, parquet or an `MLTable` folder; several paths and globs allowed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataSource {
    /// The paths as written, relative to the job file's folder.
    pub paths: Vec<String>,
    /// Where `path` stands in the job file.
    pub place: Place,
}

/// The data side of a study with a built-in learner (or of AutoML).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataSpec {
    /// The rows to train on.
    pub training: DataSource,
    /// Rows to validate on; then there are no folds.
    pub validation: Option<DataSource>,
    /// Rows for the final test.
    pub test: Option<DataSource>,
    /// The column to predict.
    pub target: String,
    /// What is predicted.
    pub task: Task,
    /// The columns whose distinct values are the entities.
    pub partition_columns: Vec<String>,
    /// The column of row weights.
    pub weight_column: Option<String>,
    /// The class that counts as positive.
    pub positive_label: Option<String>,
    /// How rows are split.
    pub folds: Folds,
    /// The forecasting settings, for that task.
    pub forecasting: Option<Forecasting>,
}

/// How each entity's rows are split into training and validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Folds {
    /// By the number of rows: 10 folds below 1,000, 3 up to 20,000, a 10 % hold-out above; rolling
    /// origin with 3 folds for forecasting.
    Auto,
    /// This many folds; rolling origins for forecasting.
    Count(u32),
    /// This share of the rows held out.
    HoldOut(f64),
    /// One fold for each of these columns: rows with a 1 validate, rows with a 0 train.
    Columns(Vec<String>),
    /// `validation` is given as a table of its own.
    Given,
    /// No rows are held out: each is judged by the trees that were not grown on it.
    OutOfBag,
}

/// The settings of a forecasting task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forecasting {
    /// The column of dates or steps.
    pub time_column: String,
    /// The columns that tell series apart inside one entity.
    pub series_columns: Vec<String>,
    /// How many steps ahead; none means `auto`.
    pub horizon: Option<u32>,
    /// How far apart its steps are; found in the data where it is not given.
    pub frequency: Option<Frequency>,
    /// Lags of the target.
    pub target_lags: Option<Steps>,
    /// The window of rolling features.
    pub rolling_window: Option<Steps>,
    /// `auto` adds lags of the features.
    pub feature_lags: bool,
    /// The season's length.
    pub seasonality: Option<Steps>,
    /// The decomposition.
    pub stl: Option<Stl>,
    /// What happens to short series.
    pub short_series: Option<ShortSeries>,
    /// How rows are aggregated to the frequency.
    pub aggregate: Option<Aggregate>,
    /// The country whose holidays are features.
    pub holidays: Option<Country>,
    /// The distance between rolling origins; the horizon where none is given.
    pub cv_step: Option<u32>,
    /// Columns that are not known in advance.
    pub unknown_columns: Vec<String>,
    /// Steps between what is learnt from and what is forecast.
    #[serde(default)]
    pub gap: u32,
    /// How a regressor on lags looks further ahead than one step.
    #[serde(default)]
    pub strategy: Strategy,
}

/// How a regressor on lags looks further ahead than one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Its own forecasts are the lags of the steps behind them.
    #[default]
    Recursive,
    /// Every lag is as long as the horizon, so that all are known.
    Direct,
}

/// Numbers of steps, or `auto`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Steps {
    /// Chosen from the data.
    Auto,
    /// These.
    These(Vec<u32>),
}

/// What an STL decomposition takes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stl {
    /// The season.
    Season,
    /// Season and trend.
    SeasonTrend,
}

/// What happens to series too short to split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShortSeries {
    /// Padded if all are short, dropped otherwise.
    Auto,
    /// Padded.
    Pad,
    /// Dropped.
    Drop,
}

/// How rows are aggregated to the frequency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// Their sum.
    Sum,
    /// Their maximum.
    Max,
    /// Their minimum.
    Min,
    /// Their mean.
    Mean,
}

impl Task {
    /// Its name in job files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classification => "classification",
            Self::Regression => "regression",
            Self::Forecasting => "forecasting",
        }
    }

    /// What it predicts, for messages.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Classification => "classes",
            Self::Regression | Self::Forecasting => "numbers",
        }
    }
}
