//! Every exit code, in one list.

/// Everything that was asked for was done.
pub const DONE: i32 = 0;
/// Something unexpected went wrong.
pub const UNEXPECTED: i32 = 1;
/// The input has problems.
pub const PROBLEMS: i32 = 2;
/// Something outside is not available: a server, a disk, a data directory in use.
pub const UNAVAILABLE: i32 = 3;
/// The study ended without a completed trial.
pub const NOTHING_COMPLETED: i32 = 4;
/// Interrupted; the same command resumes.
pub const INTERRUPTED: i32 = 130;
