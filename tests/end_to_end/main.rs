//! fleetfit from outside: the binary, as users and programs call it.

#![allow(missing_docs)]

mod api;
mod architecture;
mod backup;
mod card;
mod command;
mod command_line;
mod conditional;
mod data;
mod deployment;
mod devices;
mod early_termination;
mod examples;
mod forecast;
mod harness;
mod importance;
mod insight;
mod job;
mod kill;
mod learner;
mod lifecycle;
mod limits;
mod material;
mod objectives;
mod predict;
mod rungs;
mod selection;
mod service;
mod start;
mod trials;
mod wrong;
