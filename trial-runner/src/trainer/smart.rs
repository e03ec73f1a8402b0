//! What smartcore does: its L-BFGS minimises the loss of logistic regression. Nothing outside this file
//! and its folder names it.
//!
//! It is given standardised features without missing or infinite values and at least two classes,
//! any panic inside it becomes a reason, and what it finds goes into our own structs at once: its
//! stored forms change between versions.

mod logistic;

use smartcore::error::Failed;

use super::FitError;
use crate::caught::caught;
use crate::stop::Stopped;

pub(super) use logistic::LogisticRegression;

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
