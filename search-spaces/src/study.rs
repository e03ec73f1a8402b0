//! A validated job: everything a scheduler and a runner need to know, every default filled in.

use serde::{Deserialize, Serialize};

use crate::automl::AutoMl;
use crate::data::DataSpec;
use crate::early_termination::EarlyTermination;
use crate::limits::Limits;
use crate::objective::Objective;
use crate::problem::{Notice, Problem};
use crate::sampling::Sampling;
use crate::space::SearchSpace;
use crate::work::Work;

/// How each entity's winner is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// Its own best value.
    #[default]
    Raw,
    /// The configuration that is best over all entities.
    Shared,
}

/// A validated job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// The name, unique in a data directory.
    pub name: String,
    /// What a trial does.
    pub work: Work,
    /// What is searched.
    pub space: SearchSpace,
    /// Who proposes.
    pub sampling: Sampling,
    /// What is measured.
    pub objective: Objective,
    /// What it may spend.
    pub limits: Limits,
    /// When a trial is stopped early.
    pub early_termination: Option<EarlyTermination>,
    /// The data, for built-in learners and AutoML.
    pub data: Option<DataSpec>,
    /// The settings only AutoML reads.
    pub automl: Option<AutoMl>,
    /// How winners are chosen.
    pub selection: Selection,
    /// The seed, where the job names one; otherwise it is drawn once when the study is created.
    pub seed: Option<u64>,
    /// What is worth saying about the job.
    pub notices: Vec<Notice>,
    /// Why this version cannot run it, although it is valid. Empty: it can.
    pub cannot_run: Vec<Problem>,
}
