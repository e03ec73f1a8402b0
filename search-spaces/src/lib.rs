//! The vocabulary of fleetfit: a job as the user wrote it, the study it means, and every word that
//! the scheduler and the runners say to each other.
//!
//! Pure data. Nothing here opens a file, reads a clock, draws a random number or waits. Whatever can
//! be wrong with a job is a [`Problem`] with a place, and all of them are found at once.
//!
//! Reading order: a [`Job`] is a document with places; [`Job::judge`] turns it into a [`Study`]; its
//! [`SearchSpace`] yields [`Configuration`]s; a configuration tried for an entity is a trial, which
//! travels in an [`Assignment`] and comes back as an [`Outcome`].

mod fields;
pub(crate) mod findings;
mod ignored;
pub(crate) mod nearest;
pub mod problem;
pub mod yaml;

pub mod job;
pub mod schedule;

pub mod configuration;
pub mod space;
pub mod value;

pub mod aims;
pub mod automl;
pub mod constraint;
pub mod data;
pub mod early_termination;
pub mod entity;
pub mod learner;
pub mod limits;
pub mod objective;
pub mod origin;
pub mod points;
pub mod priority;
pub mod sampling;
pub mod seed;
pub mod study;
pub mod work;

pub mod disk;
pub mod material;
pub mod trial;
pub mod wire;

pub use aims::Aims;
pub use automl::AutoMl;
pub use configuration::{Configuration, Setting};
pub use constraint::Constraint;
pub use data::{DataSource, DataSpec, Folds, Forecasting, Task};
pub use early_termination::EarlyTermination;
pub use early_termination::ladder::{Amount, Ladder, Resource};
pub use entity::EntityKey;
pub use job::{Job, Judgement};
pub use learner::Learner;
pub use limits::{Improvement, Least, Limits};
pub use material::{Manifest, ManifestError};
pub use nearest::{nearest, nearest_n};
pub use objective::{Goal, Measure, Objective, ValueRule};
pub use origin::Origin;
pub use priority::Priority;
pub use problem::{Notice, Place, Problem, Problems};
pub use sampling::{Algorithm, Sampling};
pub use space::{Adopted, Alternative, Axis, Choice, Domain, Parameter, Scale, SearchSpace};
pub use study::{Selection, Study};
pub use trial::{End, Outcome, Reached, Report, TrialState};
pub use value::Value;
pub use wire::{
    Assignment, AssignmentKey, Block, FromRunner, StudyId, Task as AssignmentTask, ToRunner,
};
pub use work::{CommandTrial, Input, Output, Training, Work};
