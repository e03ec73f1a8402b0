//! How far a form's forecasts of a whole season miss within the series it was fitted to.

use super::form::Form;
use super::recursion::{ahead, run};
use super::search::Place;

/// Most origins that are forecast from.
const MOST_ORIGINS: usize = 40;

/// The mean miss of the forecasts of up to a season ahead, from origins in the last two thirds.
pub(super) fn miss(form: Form, y: &[f64], place: &Place, season: usize) -> f64 {
    let weights = place.weights();
    let first = y.len() / 3;
    let step = ((y.len() - first) / MOST_ORIGINS).max(1);
    // The seasons are kept turned so that the next step's index comes first.
    let mut state = place.state.clone();
    let mut seen = 0;
    let mut sum = 0.0;
    let mut n_forecasts = 0_u32;
    for origin in (first..y.len()).step_by(step) {
        run(form, &y[seen..origin], &weights, &mut state);
        if !state.seasons.is_empty() {
            let n_phases = state.seasons.len();
            state.seasons.rotate_left((origin - seen) % n_phases);
        }
        seen = origin;
        let truth = &y[origin..y.len().min(origin + season)];
        for (forecast, value) in ahead(form, weights.phi, &state, truth.len()).zip(truth) {
            sum += (forecast - value).abs();
            n_forecasts += 1;
        }
    }
    let miss = sum / f64::from(n_forecasts.max(1));
    if miss.is_finite() { miss } else { f64::INFINITY }
}
