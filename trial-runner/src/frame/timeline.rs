//! When the rows of an entity are, and which of its series they belong to.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetfit_search_spaces::data::{Forecasting, Steps};
use serde::{Deserialize, Serialize};

use super::FeatureColumn;
use crate::calendar::step::Step;

/// The times of an entity's rows.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// Each row's time: seconds since 1970, or a number.
    pub time: Vec<f64>,
    /// Each row's series, as an index into the names.
    pub series: Vec<u32>,
    /// What tells series apart; where there is one series its name is empty.
    pub names: Arc<Vec<String>>,
    /// Columns that are known for the past alone, where lags of them are asked for.
    pub past: Vec<FeatureColumn>,
    /// How to forecast; none for rows that a fitted model predicts.
    pub plan: Option<Arc<ForecastPlan>>,
}

/// How an entity's series are forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct ForecastPlan {
    /// How its times are counted.
    pub(crate) step: Step,
    /// What they are.
    pub kind: TimeKind,
    /// Steps of a season; 1 where there is none.
    pub season: usize,
    /// All seasons, where the job names several.
    pub seasons: Vec<usize>,
    /// What the job says.
    pub settings: Forecasting,
}

/// What a time column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeKind {
    /// Dates: seconds since 1970.
    Date,
    /// Numbers of steps.
    Number,
}

impl ForecastPlan {
    /// The plan of an entity with these times.
    pub(crate) fn of(settings: &Forecasting, kind: TimeKind, time: &[f64], series: &[u32]) -> Self {
        let step = match (settings.frequency, kind) {
            (Some(frequency), TimeKind::Date) => {
                let first = time.iter().copied().fold(f64::INFINITY, f64::min);
                Step::of(frequency, if first.is_finite() { first } else { 0.0 })
            }
            _ => {
                let mut of_series: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
                for (&time, &series) in time.iter().zip(series) {
                    of_series.entry(series).or_default().push(time);
                }
                let mut stamps: Vec<Vec<f64>> = of_series.into_values().collect();
                for stamps in &mut stamps {
                    stamps.sort_by(f64::total_cmp);
                }
                Step::found(&stamps, kind)
            }
        };
        let seasons: Vec<usize> = match &settings.seasonality {
            Some(Steps::These(steps)) => steps.iter().map(|&steps| steps as usize).collect(),
            Some(Steps::Auto) | None => vec![step.season(kind)],
        };
        let season = seasons.first().copied().unwrap_or(1).max(1);
        Self { step, kind, season, seasons, settings: settings.clone() }
    }

    /// Whether regressors have the past of series as columns.
    pub(crate) fn wants_past(&self) -> bool {
        let settings = &self.settings;
        settings.target_lags.is_some() || settings.rolling_window.is_some() || settings.feature_lags
    }
}
