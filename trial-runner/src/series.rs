//! Methods for one time series, on plain numbers: they know neither frames nor folds.

#![allow(dead_code, reason = "not every method is asked for everything that it knows")]

pub(crate) mod arima;
pub(crate) mod croston;
pub(crate) mod decompose;
pub(crate) mod ets;
pub(crate) mod indices;
pub(crate) mod naive;
pub(crate) mod regular;
pub(crate) mod theta;
