//! What every sampler, every stopper and the state of a study promise, whatever the study.

mod paces;
mod samplers;
mod states;
mod stoppers;
mod studies;
