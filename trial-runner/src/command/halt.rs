//! The word by which somebody else ends a running command trial early.

use std::sync::{Arc, OnceLock};

/// A flag that carries its reason. Clones share it; the first reason given stays.
#[derive(Clone, Debug, Default)]
pub struct Halt(Arc<OnceLock<String>>);

impl Halt {
    /// Asks the trial to end, and says who does (`bandit`, `the study was cancelled`).
    pub fn ask(&self, reason: &str) {
        // A second reason changes nothing: the trial is on its way out for the first one.
        let _ = self.0.set(reason.to_owned());
    }

    /// Why the trial shall end, once somebody has asked.
    pub fn reason(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}
