//! What every sampler, every stopper and the state of a study promise, whatever the study.

mod aims;
mod fronts;
mod paces;
mod programs;
mod queue;
mod rungs;
mod samplers;
mod savings;
mod several;
mod states;
mod stoppers;
mod studies;
