//! Methods for one time series, on plain numbers: they know neither frames nor folds.

pub(crate) mod croston;
pub(crate) mod naive;
