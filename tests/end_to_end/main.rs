//! fleetfit from outside: the binary, as users and programs call it.

#![allow(missing_docs)]

mod architecture;
mod command;
mod examples;
mod harness;
mod kill;
mod learner;
mod lifecycle;
mod wrong;
