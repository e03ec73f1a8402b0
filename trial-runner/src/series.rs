//! Methods for one time series, on plain numbers: they know neither frames nor folds.

pub(crate) mod arima;
pub(crate) mod croston;
pub(crate) mod decompose;
pub(crate) mod naive;
