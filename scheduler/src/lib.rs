//! Decides: which configurations are tried, when a trial ends, what is best; and remembers it.
//!
//! The core is a deterministic function from [`Event`]s to [`Fact`]s and [`Command`]s: `state`, the
//! samplers and the stoppers touch no clock, disk or network. The journal keeps the facts in sled.
//! The engine is the thread that joins them to the bus; the API answers questions from the journal.

pub mod event;
pub mod insight;
pub mod sampler;
pub mod state;
pub mod stopper;

pub mod backup;
pub mod blobs;
pub mod journal;
pub mod query;
pub mod uploads;
pub mod warm;

pub mod schedule;

pub mod api;
pub mod bus;
pub mod engine;

pub use event::{Command, EndedBy, Event, Fact, Mark, Step};
