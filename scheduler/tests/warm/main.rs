//! Studies that start from earlier ones: every kind of source, and what it is worth.

#![allow(clippy::unwrap_used, reason = "tests may")]

mod hostile;
mod quality;
mod sources;
mod tables;
