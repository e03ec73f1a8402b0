//! Many small models in one launch on a graphics card.
//!
//! Kernels are CUDA C++ (`cuda/*.cu`, one include: `kernel.h`); what plans, launches and reads them is
//! plain Rust against a [`Machine`], which is a card, or in tests the C++ compiler and `shim/`. The
//! CPU engines are the oracle. Nothing is linked: the driver and the compiler at run time are looked
//! for when somebody asks, and nothing here panics when they are not there. Only the files here that
//! call cudarc may be unsafe, and no other names it.

pub(crate) mod boost;
mod card;
pub(crate) mod company;
pub(crate) mod ets;
mod far;
mod faulty;
mod fill;
pub(crate) mod forest;
mod hot;
mod kept;
pub(crate) mod linear;
mod link;
pub(crate) mod logistic;
pub(crate) mod machine;
pub(crate) mod measure;
pub(crate) mod mlp;
mod nvrtc;
mod patience;
mod pool;
mod queue;
mod shipped;
mod staging;
pub(crate) mod theta;
mod turns;
mod worker;

#[cfg(test)]
pub(crate) mod shim;
#[cfg(test)]
mod tests;

pub(crate) use card::{failed, look};
pub use far::SUBCOMMAND;
pub(crate) use nvrtc::is_here as has_compiler;
pub(crate) use worker::work;

use machine::Kernel;

/// Every kernel.
fn kernels() -> [Kernel; 13] {
    [
        boost::KERNEL,
        forest::FOREST,
        forest::TALLY,
        linear::GRAM,
        linear::SPLIT,
        linear::RIDGE,
        linear::NET,
        logistic::LOGISTIC,
        mlp::MLP,
        ets::ETS,
        theta::THETA,
        measure::MEASURE,
        faulty::FAULTY,
    ]
}
