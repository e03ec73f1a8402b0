//! `fleetfit runner`: runs trials for services that share a NATS.

use std::path::Path;

use crate::cli::RunnerArgs;
use crate::failure::Failure;
use crate::output::Printer;

/// Runs trials until it is told to end.
pub(crate) fn runner(_args: &RunnerArgs, _home: &Path, _printer: &Printer) -> Result<i32, Failure> {
    Err(Failure::Unexpected("not yet".into()))
}
