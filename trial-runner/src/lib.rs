//! Trains: turns a data set and a configuration into a value, and winners into models.
//!
//! Synchronous throughout: an assignment runs on one blocking thread with a stop flag. Nothing here
//! decides what to try next, and nothing here depends on the scheduler.

mod calendar;
pub mod dataset;
pub mod folds;
pub mod frame;
pub mod metrics;
pub mod stop;

mod boost;
mod caught;
mod cuda;
mod figure;
mod forest;
mod lock;
mod program;
mod slots;

mod series;

pub mod model;
pub mod pack;
pub mod trainer;

pub mod command;

pub mod cache;
pub mod material;

pub mod devices;

pub mod runner;

pub mod bus;
