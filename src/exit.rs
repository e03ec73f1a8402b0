//! Every exit code, in one list.

/// Everything that was asked for was done.
pub(crate) const DONE: i32 = 0;
/// Something unexpected went wrong.
pub(crate) const UNEXPECTED: i32 = 1;
/// The input has problems.
pub(crate) const PROBLEMS: i32 = 2;
/// Something outside is not available: a server, a disk, a data directory in use.
pub(crate) const UNAVAILABLE: i32 = 3;
/// The study ended without a completed trial.
pub(crate) const NOTHING_COMPLETED: i32 = 4;
/// Interrupted; the same command resumes.
pub(crate) const INTERRUPTED: i32 = 130;
