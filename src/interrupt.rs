//! What a signal does to a process that runs studies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit;
use crate::failure::Failure;

/// Before anything runs a signal ends the process, for there is nothing to lose; afterwards it raises
/// a flag; and a second one ends the process at once.
#[derive(Clone, Default)]
pub(crate) struct Interrupt {
    is_running: Arc<AtomicBool>,
    is_raised: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens from here on.
    pub(crate) fn watch() -> Result<Self, Failure> {
        let interrupt = Self::default();
        let Self { is_running, is_raised } = interrupt.clone();
        crate::signals::watch(move || {
            if !is_running.load(Ordering::SeqCst) || is_raised.swap(true, Ordering::SeqCst) {
                std::process::exit(exit::INTERRUPTED);
            }
        })
        .map_err(|error| Failure::Unavailable(format!("signals cannot be watched: {error}")))?;
        Ok(interrupt)
    }

    /// From here on there is something to lose.
    pub(crate) fn begin(&self) {
        self.is_running.store(true, Ordering::SeqCst);
    }

    /// Whether somebody wants the process to end.
    pub(crate) fn is_raised(&self) -> bool {
        self.is_raised.load(Ordering::SeqCst)
    }
}
