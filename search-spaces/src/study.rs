//! A validated job: everything a scheduler and a runner need to know, every default filled in.
//!
//! `sweep.rs` and `automl.rs` read the two types of job; `header.rs` reads what they have in common,
//! `goals.rs` what a sweep aims at.

mod automl;
mod goals;
mod header;
mod sweep;

pub(crate) use header::{check_labels, default_name, read_name_of};

use serde::{Deserialize, Serialize};

use crate::aims::Aims;
use crate::automl::AutoMl;
use crate::configuration::Configuration;
use crate::constraint::Constraint;
use crate::data::DataSpec;
use crate::early_termination::EarlyTermination;
use crate::early_termination::ladder::Extent;
use crate::fields::{At, Fields};
use crate::findings::{Findings, Mistake};
use crate::limits::Limits;
use crate::objective::Objective;
use crate::origin::Origin;
use crate::priority::Priority;
use crate::problem::{Notice, Problem};
use crate::sampling::Sampling;
use crate::space::SearchSpace;
use crate::work::{CommandTrial, Work};

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
    /// What else is, where there are several objectives. A trial is ranked by the first one where
    /// one number has to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further_objectives: Vec<Objective>,
    /// What has to hold of a trial for it to win.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
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
    /// How much of the runners it gets.
    #[serde(default)]
    pub priority: Priority,
    /// What is tried first, each whole or in part.
    #[serde(default)]
    pub points_to_evaluate: Vec<Configuration>,
    /// Earlier trials that it starts from.
    #[serde(default)]
    pub start_from: Vec<Origin>,
    /// The seed, where the job names one; otherwise it is drawn once when the study is created.
    pub seed: Option<u64>,
    /// What is worth saying about the job.
    pub notices: Vec<Notice>,
    /// Why this version cannot run it, although it is valid. Empty: it can.
    pub cannot_run: Vec<Problem>,
}

impl Study {
    /// Whether graphics cards know of any of its learners.
    pub fn is_of_cards(&self) -> bool {
        self.work.is_of_cards(&self.space, &Aims::of(self).metrics)
    }

    /// The job's key of one of the sources that it starts from.
    pub fn start_key(&self, index: usize) -> String {
        match self.start_from.len() {
            1 => "start_from".to_owned(),
            _ => format!("start_from.{index}"),
        }
    }

    /// All objectives, in order.
    pub fn objectives(&self) -> impl Iterator<Item = &Objective> {
        std::iter::once(&self.objective).chain(&self.further_objectives)
    }

    /// The same once its data has been read: rungs that nobody stops short of are none.
    #[must_use]
    pub fn within(mut self, extent: Option<Extent>) -> Self {
        if let (Some(early), Some(extent)) = (&mut self.early_termination, extent) {
            early.ladder = early.ladder.as_ref().and_then(|ladder| ladder.within(extent));
        }
        self
    }
}

/// What could be read of a job, whatever is wrong with it. Where a part of `data` or `command` could
/// not be read, which is a problem of its own, it is empty.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The study. It means something only where there are no problems.
    pub study: Option<Study>,
    /// The data it names.
    pub data: Option<DataSpec>,
    /// The program it runs.
    pub command: Option<CommandTrial>,
    /// Earlier trials that it starts from, each with its place in the job.
    pub origins: Vec<(String, Origin)>,
}

impl Reading {
    /// Reads a job's document. Without problems in `findings` there is a study.
    pub(crate) fn read(at: &At<'_>, default_name: &str, findings: &mut Findings) -> Self {
        let Some(mut root) = at.map(findings) else {
            return Self::default();
        };
        let mut reading = match read_type(&mut root, findings) {
            Some(JobType::Sweep) => sweep::read(root, default_name, findings),
            Some(JobType::AutoMl) => automl::read(root, default_name, findings),
            None => return Self::default(),
        };
        if let Some(study) = &mut reading.study {
            study.notices.clone_from(&findings.notices);
            study.cannot_run.clone_from(&findings.cannot_run);
        }
        reading
    }
}

#[derive(Clone, Copy)]
enum JobType {
    Sweep,
    AutoMl,
}

fn read_type(root: &mut Fields<'_>, findings: &mut Findings) -> Option<JobType> {
    // Without a type, what the job has tells what it was meant to be.
    let meant = if root.has("trial") || root.has("search_space") {
        Some(JobType::Sweep)
    } else if root.has("task") {
        Some(JobType::AutoMl)
    } else {
        None
    };
    let Some(at) = root.require("type", "type: sweep", findings) else {
        return meant;
    };
    let text = at.text(findings)?;
    match text.as_str() {
        "sweep" => Some(JobType::Sweep),
        "automl" => Some(JobType::AutoMl),
        "command" | "pipeline" | "spark" | "parallel" | "import" | "distillation" => {
            let says = format!("is \"{text}\", which searches nothing; known: sweep, automl");
            let mistake = Mistake::new(says, "sweep or automl");
            let hint = if text == "command" {
                "write type: sweep, and put command under trial"
            } else {
                "write a job of type: sweep or type: automl"
            };
            findings.problem(&at, mistake.hint(hint));
            None
        }
        _ => {
            at.unknown_word(&text, &["sweep", "automl"], findings);
            meant
        }
    }
}

/// How winners may be chosen; the last two are for later versions.
const SELECTIONS: &[(&str, Option<Selection>)] = &[
    ("raw", Some(Selection::Raw)),
    ("shared", Some(Selection::Shared)),
    ("shrunk", None),
    ("one_standard_error", None),
];

impl Selection {
    fn read(at: &At<'_>, findings: &mut Findings) -> Option<Self> {
        let selection = at.word(SELECTIONS, findings)?;
        if selection.is_none() {
            let says = format!("is {}, which this version cannot run", at.node.brief());
            let mistake = Mistake::new(says, "raw or shared");
            findings.cannot_run(at, mistake.hint("write selection: raw"));
        }
        Some(selection.unwrap_or_default())
    }
}
