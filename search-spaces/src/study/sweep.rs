//! A job of `type: sweep`.

use super::goals::{Goals, read_goals};
use super::header::{self, Header};
use super::{Reading, Selection, Study};
use crate::configuration::Configuration;
use crate::data::{DATA_KEYS, DataSpec, Task, is_out_of_bag};
use crate::early_termination::{EarlyTermination, Means, Whose};
use crate::fields::{At, Fields};
use crate::findings::{Findings, Mistake};
use crate::learner::{Demand, Learner};
use crate::limits::{Grid, Limits};
use crate::objective::Objective;
use crate::origin::Origin;
use crate::points;
use crate::priority::Priority;
use crate::sampling::{Algorithm, Sampling};
use crate::space::{Domain, SearchSpace, branches};
use crate::work::{Surroundings, TrialKind, Work};
use crate::yaml::Content;

const TASKS: &[(&str, Task)] = &[
    ("regression", Task::Regression),
    ("classification", Task::Classification),
    ("forecasting", Task::Forecasting),
];

const LIMIT_KEYS: &[&str] = &[
    "max_total_trials",
    "max_concurrent_trials",
    "patience",
    "min_improvement",
    "stop_when_converged",
    "timeout",
    "trial_timeout",
];

/// Reads the job, whose `type` is taken already.
pub(super) fn read(mut root: Fields<'_>, name: &str, findings: &mut Findings) -> Reading {
    let Header { name, priority, mut ignored } = header::read(&mut root, name, findings);
    let kind = TrialKind::read(&mut root, findings);
    // Where that cannot be told, data is for learners.
    let sure = kind.as_ref().and_then(TrialKind::has_learner);
    let is_sure = sure.is_some();
    let has_learner = sure.unwrap_or_else(|| root.has("training_data"));
    let sampling_at = root.take("sampling_algorithm", findings);
    let sampling = match &sampling_at {
        Some(at) => Sampling::read(at, findings),
        None => Some(Sampling::default()),
    };
    let base = sampling.as_ref().map_or(std::f64::consts::E, Sampling::base);
    let space_at = read_space_place(&mut root, has_learner, findings);
    let before = findings.problems.len();
    let space = space_at.as_ref().map(|at| SearchSpace::read(at, base, findings));
    let space_is_whole = findings.problems.len() == before;
    let space = space.or_else(|| has_learner.then(SearchSpace::default));

    let trial_at = root.at.get("trial");
    let task = match &trial_at {
        Some(trial) if has_learner && is_sure => read_task(&mut root, trial, findings),
        _ if has_learner => root.take("task", findings).and_then(|at| at.word(TASKS, findings)),
        _ => None,
    };
    // Weights that could not be read are a problem of their own.
    let weights = root.at.get("weight_column_name").and_then(|at| at.plain_text());
    let out_of_bag = root.at.get("n_cross_validations").is_some_and(|at| is_out_of_bag(&at));
    let around = Surroundings {
        space: space.as_ref().zip(space_at.as_ref()),
        has_space: root.has("search_space"),
        demand: Demand { task, has_weights: weights.is_some(), out_of_bag },
        inputs: root.take("inputs", findings),
        outputs: root.take("outputs", findings),
    };
    if matches!(kind, Some(TrialKind::Learner(_) | TrialKind::External)) {
        refuse_command_keys([&around.inputs, &around.outputs], findings);
    }
    let work = kind.and_then(|kind| Work::read(kind, &around, &mut ignored, findings));
    let data = if has_learner {
        DataSpec::read(&mut root, task, findings)
    } else {
        refuse_data_keys(&mut root, is_sure, findings);
        None
    };
    let goals = read_goals(&mut root, has_learner, task, findings);

    let is_grid = sampling.as_ref().is_some_and(|own| own.algorithm == Algorithm::Grid);
    if let (true, true, Some(space), Some(at)) = (is_grid, space_is_whole, &space, &space_at) {
        check_grid(space, at, findings);
    }
    let grid = is_grid.then(|| Grid { size: space.as_ref().and_then(SearchSpace::grid_size) });
    let limits = Limits::read(&mut root, grid.as_ref(), findings);
    let is_limited = root.at.get("limits").is_some_and(|at| at.get("max_total_trials").is_some());
    if let (Some(at), Some(grid), Some(limits), false) = (&sampling_at, &grid, &limits, is_limited)
    {
        grid.notice_cut(at, limits, findings);
    }
    if let (Some(at), Some(sampling)) = (&sampling_at, &sampling)
        && let (true, Some(space), Some(limits)) = (space_is_whole, &space, &limits)
        && let Some(says) =
            sampling.says(space, limits, goals.objectives.as_ref().map_or(1, Vec::len))
    {
        findings.notice(at, &says);
    }
    let whose = match (&work, &space, &data) {
        _ if !has_learner => Whose::Reporters,
        (Some(work), Some(space), Some(data)) => Whose::Learners(Some(Means { work, space, data })),
        _ => Whose::Learners(None),
    };
    let early_termination = root
        .take("early_termination", findings)
        .and_then(|at| EarlyTermination::read(&at, &whose, findings));
    let selection = root.take("selection", findings).map(|at| Selection::read(&at, findings));
    goals.say_what_counts(&root.at, has_learner, findings);
    let seed = root.take("seed", findings).map(|at| at.int_in(0, i64::MAX, findings));
    let known = space.as_ref().filter(|_| space_is_whole);
    let (points_to_evaluate, origins) = read_start(&mut root, known, &limits, findings);
    root.misplaced(LIMIT_KEYS, "limits", findings);
    root.finish(findings);
    header::notice_ignored(&ignored, findings);
    let command = match &work {
        Some(Work::Command(command)) => Some(command.clone()),
        _ => None,
    };
    let Goals { objectives, constraints } = goals;
    let parts = Parts { name, work, space, sampling, objectives, limits };
    let study = parts.study().map(|study| Study {
        constraints,
        early_termination,
        data: data.clone(),
        selection: selection.flatten().unwrap_or_default(),
        priority,
        points_to_evaluate,
        start_from: origins.iter().map(|(_, origin)| origin.clone()).collect(),
        seed: seed.flatten().map(i64::unsigned_abs),
        ..study
    });
    Reading { study, data, command, origins }
}

/// What no study can be without; where one is missing there is a problem.
struct Parts {
    name: Option<String>,
    work: Option<Work>,
    space: Option<SearchSpace>,
    sampling: Option<Sampling>,
    objectives: Option<Vec<Objective>>,
    limits: Option<Limits>,
}

impl Parts {
    fn study(self) -> Option<Study> {
        let mut objectives = self.objectives?.into_iter();
        Some(Study {
            name: self.name?,
            work: self.work?,
            space: self.space?,
            sampling: self.sampling?,
            objective: objectives.next()?,
            further_objectives: objectives.collect(),
            constraints: Vec::new(),
            limits: self.limits?,
            early_termination: None,
            data: None,
            automl: None,
            selection: Selection::default(),
            priority: Priority::default(),
            points_to_evaluate: Vec::new(),
            start_from: Vec::new(),
            seed: None,
            notices: Vec::new(),
            cannot_run: Vec::new(),
        })
    }
}

/// Where `search_space` stands; a learner can do without, with its defaults.
fn read_space_place<'a>(
    root: &mut Fields<'a>,
    has_learner: bool,
    findings: &mut Findings,
) -> Option<At<'a>> {
    if has_learner {
        return root.take("search_space", findings);
    }
    let example = "search_space: {lr: {type: float, min: 0.001, max: 0.1, scale: log}}";
    let at = root.require("search_space", example, findings)?;
    if matches!(&at.node.content, Content::Map(entries) if entries.is_empty()) {
        let mistake = Mistake::new("is empty; there is nothing to search", "some parameters");
        findings.problem(&at, mistake.hint(format!("write {example}")));
    }
    Some(at)
}

/// The task of a learner study; a learner that does one task alone need not name it.
fn read_task(root: &mut Fields<'_>, trial: &At<'_>, findings: &mut Findings) -> Option<Task> {
    if root.has("task") {
        return root.take("task", findings)?.word(TASKS, findings);
    }
    let name = trial.get("learner").and_then(|at| at.plain_text()).unwrap_or_default();
    let learner = Learner::named(&name);
    if learner.is_none() && !name.contains("${{") {
        // What it does cannot be told, and that it is not known is a problem already.
        return None;
    }
    match learner.map(Learner::tasks) {
        Some([only]) => Some(*only),
        Some([Task::Regression, Task::Forecasting]) if !root.has("forecasting") => {
            Some(Task::Regression)
        }
        _ => root
            .require("task", "task: regression (or classification, forecasting)", findings)
            .and_then(|at| at.word(TASKS, findings)),
    }
}

/// What is tried first, and where the study starts from.
fn read_start(
    root: &mut Fields<'_>,
    space: Option<&SearchSpace>,
    limits: &Option<Limits>,
    findings: &mut Findings,
) -> (Vec<Configuration>, Vec<(String, Origin)>) {
    root.also_called("initial_points", "points_to_evaluate");
    root.also_called("warm_start", "start_from");
    let mut points = Vec::new();
    if let (Some(at), Some(space)) = (root.take("points_to_evaluate", findings), space) {
        points = points::read(&at, space, findings).configurations;
        if let Some(most) = limits.as_ref().map(|limits| limits.max_total_trials as usize)
            && points.len() > most
        {
            let says = format!(
                "has {} configurations, more than max_total_trials {most}; the first {most} are \
                 tried",
                points.len()
            );
            findings.notice(&at, &says);
        }
    }
    let origins = root.take("start_from", findings);
    (points, origins.map(|at| Origin::read_all(&at, findings)).unwrap_or_default())
}

fn refuse_command_keys(keys: [&Option<At<'_>>; 2], findings: &mut Findings) {
    for at in keys.into_iter().flatten() {
        let says = "is for trials that run a command";
        let mistake = Mistake::new(says, "nothing");
        findings.problem(at, mistake.hint("remove it, or write trial: {command: …}"));
    }
}

fn refuse_data_keys(root: &mut Fields<'_>, is_sure: bool, findings: &mut Findings) {
    for key in DATA_KEYS {
        if let (Some(at), true) = (root.take_any(key), is_sure) {
            let mistake = Mistake::new("is for trials with a built-in learner", "nothing");
            findings.problem(&at, mistake.hint("remove it, or write trial: {learner: ridge}"));
        }
    }
}

/// Every continuous parameter of a grid is a problem of its own.
fn check_grid(space: &SearchSpace, at: &At<'_>, findings: &mut Findings) {
    for parameter in &space.parameters {
        let Some(node) = at.get(&parameter.name) else {
            continue;
        };
        if let Domain::Choice(_) = &parameter.domain {
            let list = node.get("values").unwrap_or_else(|| node.clone());
            let items = list.one_or_more();
            for (index, nested) in branches(&parameter.domain) {
                if let Some(item) = items.get(index) {
                    check_grid(nested, item, findings);
                }
            }
        } else if parameter.domain.cardinality().is_none() {
            let hint = match parameter.domain {
                Domain::Float { .. } => "add a step, or write a list of values",
                _ => "write a list of values, or another sampling_algorithm",
            };
            let says = "is continuous, but a grid needs values that can be counted";
            let mistake = Mistake::new(says, "a choice, integers, or numbers with a step");
            findings.problem(&node, mistake.hint(hint));
        }
    }
}
