//! stopper
