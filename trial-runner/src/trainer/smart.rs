//! What smartcore does: its L-BFGS minimises the loss of logistic regression. Nothing outside this file
//! and its folder names it.
//!
//! It is given standardised features without missing or infinite values and at least two classes,
//! any panic inside it becomes a reason, and what it finds goes into our own structs at once: its
//! stored forms change between versions.

mod logistic;

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use smartcore::error::Failed;

use super::FitError;
use crate::stop::Stopped;

pub(super) use logistic::LogisticRegression;

thread_local! {
    /// Whether a panic on this thread is caught and told as a reason.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs smartcore; an error or a panic of its becomes a reason, and nothing is printed.
fn guard<T>(fit: impl FnOnce() -> Result<T, Failed>) -> Result<T, FitError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_GUARDED.get() {
                print(info);
            }
        }));
    });
    IS_GUARDED.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(fit));
    IS_GUARDED.set(false);
    match outcome {
        Ok(Ok(fitted)) => Ok(fitted),
        Ok(Err(failed)) => Err(FitError::because(failed.to_string())),
        Err(panic) => {
            if let Some(stopped) = panic.downcast_ref::<Stopped>() {
                return Err(FitError::Stopped(*stopped));
            }
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(FitError::because(format!(
                "the fit broke down: {}",
                text.unwrap_or("no reason given")
            )))
        }
    }
}
