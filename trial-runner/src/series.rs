//! Methods for one time series, on plain numbers: they know neither frames nor folds.

#![allow(dead_code, reason = "the forecasting trainers call these methods")]

pub(crate) mod ets;
pub(crate) mod indices;
pub(crate) mod theta;
