//! The API as its users meet it: over a socket, byte by byte.

#![allow(clippy::unwrap_used, reason = "tests may")]

mod asked;
mod described;
mod events;
mod external;
mod form;
mod models;
mod page;
mod place;
mod queued;
mod refusals;
mod schedules;
mod studies;
