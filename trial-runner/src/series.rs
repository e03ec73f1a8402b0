//! Methods for one time series, on plain numbers: they know neither frames nor folds.

pub(crate) mod arima;
pub(crate) mod croston;
pub(crate) mod decompose;
pub(crate) mod ets;
pub(crate) mod indices;
pub(crate) mod naive;
pub(crate) mod regular;
pub(crate) mod theta;

/// The sizes of errors so many steps ahead, in units of one step's, where an error of one step moves
/// the forecasts of later ones by these shares of it, the next first.
pub(crate) fn growth(later: impl Iterator<Item = f64>, n_ahead: usize) -> Vec<f64> {
    let mut variance = 1.0;
    let sizes = std::iter::once(0.0).chain(later).map(|share| {
        variance += share * share;
        variance.sqrt()
    });
    sizes.take(n_ahead).take_while(|size| size.is_finite()).collect()
}

/// The values over the largest magnitude among them, and that magnitude; 1 where all are 0.
pub(crate) fn scaled(y: &[f64]) -> (Vec<f64>, f64) {
    let largest = y.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let scale = if largest > 0.0 { largest } else { 1.0 };
    (y.iter().map(|value| value / scale).collect(), scale)
}
