//! What smartcore does: its L-BFGS minimises losses with too many weights for Newton's method.
//! Nothing outside this file names it.
//!
//! Any panic inside it becomes a reason, and what it finds goes into our own structs at once: its
//! stored forms change between versions.

use smartcore::error::Failed;
use smartcore::optimization::FunctionOrder;
use smartcore::optimization::first_order::FirstOrderOptimizer;
use smartcore::optimization::first_order::lbfgs::LBFGS;
use smartcore::optimization::line_search::Backtracking;

use super::FitError;
use crate::caught::caught;
use crate::stop::Stopped;

/// A point of least loss, from `start`. To give up in time, `loss` or `slope` unwind with a
/// [`Stopped`].
pub(super) fn minimise(
    loss: impl Fn(&Vec<f64>) -> f64,
    slope: impl Fn(&mut Vec<f64>, &Vec<f64>),
    start: &Vec<f64>,
    (tolerance, max_iter): (f64, usize),
) -> Result<Vec<f64>, FitError> {
    let optimiser = LBFGS { max_iter, g_atol: tolerance, ..LBFGS::default() };
    let line_search: Backtracking<f64> =
        Backtracking { order: FunctionOrder::THIRD, ..Backtracking::default() };
    guard(|| Ok(optimiser.optimize(&loss, &slope, start, &line_search).x))
}

/// Runs smartcore; an error or a panic of its becomes a reason, and nothing is printed.
fn guard<T>(fit: impl FnOnce() -> Result<T, Failed>) -> Result<T, FitError> {
    match caught(fit) {
        Ok(Ok(fitted)) => Ok(fitted),
        Ok(Err(failed)) => Err(FitError::because(failed.to_string())),
        Err(panic) => {
            if let Some(stopped) = panic.0.downcast_ref::<Stopped>() {
                return Err(FitError::Stopped(*stopped));
            }
            let message = panic.message().unwrap_or("no reason given");
            Err(FitError::because(format!("the fit broke down: {message}")))
        }
    }
}
