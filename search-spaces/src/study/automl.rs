//! A job of `type: automl`.

use super::header::{self, Header};
use super::{Reading, Selection, Study};
use crate::automl::{AutoMl, Budget, OTHER_TASKS};
use crate::data::{DataSpec, Task, is_out_of_bag, share};
use crate::fields::Fields;
use crate::findings::{Findings, Mistake};
use crate::ignored::{OF_AUTOML, SILENT_OF_AUTOML};
use crate::nearest::nearest;
use crate::objective::{Measure, Objective, ValueRule, default_measure, measure};
use crate::priority::Priority;
use crate::sampling::{Algorithm, Sampling};
use crate::space::SearchSpace;
use crate::work::Work;

/// Keys of `training` that are easily written one level too high.
const TRAINING_KEYS: &[&str] = &[
    "allowed_training_algorithms",
    "blocked_training_algorithms",
    "enable_stack_ensemble",
    "enable_vote_ensemble",
    "enable_model_explainability",
    "enable_onnx_compatible_models",
    "enable_dnn_training",
];

const LIMIT_KEYS: &[&str] = &[
    "max_trials",
    "max_concurrent_trials",
    "timeout_minutes",
    "trial_timeout_minutes",
    "exit_score",
    "enable_early_termination",
    "max_cores_per_trial",
];

/// Tasks are written in lower case only, as in Azure.
const TASKS: [Task; 3] = [Task::Classification, Task::Regression, Task::Forecasting];

/// Reads the job, whose `type` is taken already.
pub(super) fn read(mut root: Fields<'_>, name: &str, findings: &mut Findings) -> Reading {
    let mut header = header::read(&mut root, name, findings);
    header.ignored.extend(root.ignore(OF_AUTOML));
    refuse_to_run(&root, findings);
    let example = "task: classification (or regression, forecasting)";
    let text = root.require("task", example, findings).and_then(|at| {
        let text = at.text(findings)?;
        Some((at, text))
    });
    let task = text.as_ref().and_then(|(_, text)| TASKS.into_iter().find(|own| own.name() == text));
    if let (Some((at, text)), None) = (&text, task) {
        let known: Vec<&str> =
            TASKS.iter().map(|task| task.name()).chain(OTHER_TASKS.iter().copied()).collect();
        let is_other = OTHER_TASKS.contains(&text.as_str());
        if !is_other {
            at.unknown_word(text, &known, findings);
        }
        // A mistyped task on images is not read as one on tables.
        if is_other || nearest(text, known).is_some_and(|near| OTHER_TASKS.contains(&near)) {
            let study = read_other(root, header, findings);
            return Reading { study, ..Reading::default() };
        }
    }
    read_tabular(root, header, task, findings)
}

/// Reads a job on tables; without a task, whatever does not need it.
fn read_tabular<'a>(
    mut root: Fields<'a>,
    header: Header<'a>,
    task: Option<Task>,
    findings: &mut Findings,
) -> Reading {
    let Header { name, priority, mut ignored } = header;
    let metric = match root.take("primary_metric", findings) {
        Some(at) => measure(&at, task, findings),
        None => task.map(default_measure),
    };
    let folds_at = root.at.get("n_cross_validations");
    let data = DataSpec::read(&mut root, task, findings);
    if let Some(at) = folds_at.filter(is_out_of_bag) {
        let says = "is out_of_bag, which is for a trial whose learner is a forest";
        findings.problem(&at, Mistake::new(says, "a number of folds").hint("write auto"));
    }
    let budget = Budget::read(&mut root, &mut ignored, findings);
    let mut automl = AutoMl::default();
    if let Some(at) = root.take("test_data_size", findings) {
        automl.test_share = share(&at, findings);
    }
    if let Some(at) = root.take("training", findings) {
        automl.read_training(&at, task, findings);
    }
    if let Some(at) = root.take("featurization", findings) {
        automl.read_featurization(&at, findings);
    }
    if let Some(at) = root.take("allow_multi_partitions", findings) {
        automl.multi_partitions = at.bool(findings);
    }
    if let Some(at) = root.take("log_verbosity", findings) {
        at.word(VERBOSITIES, findings);
    }
    root.misplaced(TRAINING_KEYS, "training", findings);
    root.misplaced(LIMIT_KEYS, "limits", findings);
    root.ignore(SILENT_OF_AUTOML);
    let selection = root.take("selection", findings).map(|at| Selection::read(&at, findings));
    let seed = root.take("seed", findings).and_then(|at| at.int_in(0, i64::MAX, findings));
    root.finish(findings);
    header::notice_ignored(&ignored, findings);
    let study = match (name, metric, budget) {
        (Some(name), Some(metric), Some(budget)) => {
            let mut study = assemble(name, metric, automl, budget);
            study.data.clone_from(&data);
            study.selection = selection.flatten().unwrap_or_default();
            study.priority = priority;
            study.seed = seed.map(i64::unsigned_abs);
            Some(study)
        }
        _ => None,
    };
    Reading { study, data, ..Reading::default() }
}

const VERBOSITIES: &[(&str, ())] = &[
    ("not_set", ()),
    ("debug", ()),
    ("info", ()),
    ("warning", ()),
    ("error", ()),
    ("critical", ()),
];

/// A task on images or text: known, and read no further than its limits.
fn read_other<'a>(
    mut root: Fields<'a>,
    header: Header<'a>,
    findings: &mut Findings,
) -> Option<Study> {
    let Header { name, priority, mut ignored } = header;
    let metric = root.take("primary_metric", findings).and_then(|at| at.text(findings));
    let budget = Budget::read(&mut root, &mut ignored, findings);
    root.take_all();
    header::notice_ignored(&ignored, findings);
    let mut study = assemble(name?, Measure::Accuracy, AutoMl::default(), budget?);
    study.priority = priority;
    if let Some(metric) = metric {
        study.objective.metric = metric;
    }
    Some(study)
}

fn assemble(name: String, metric: Measure, mut automl: AutoMl, budget: Budget) -> Study {
    automl.exit_score = budget.exit_score;
    automl.enable_early_termination = budget.enable_early_termination;
    automl.max_cores_per_trial = budget.max_cores_per_trial;
    Study {
        name,
        work: Work::AutoMl,
        space: SearchSpace::default(),
        sampling: Sampling { algorithm: Algorithm::Auto, ..Sampling::default() },
        objective: Objective {
            metric: metric.name().to_owned(),
            goal: metric.goal(),
            value: ValueRule::default(),
        },
        further_objectives: Vec::new(),
        constraints: Vec::new(),
        limits: budget.limits,
        early_termination: None,
        data: None,
        automl: Some(automl),
        selection: Selection::default(),
        priority: Priority::default(),
        points_to_evaluate: Vec::new(),
        start_from: Vec::new(),
        seed: None,
        notices: Vec::new(),
        cannot_run: Vec::new(),
    }
}

fn refuse_to_run(root: &Fields<'_>, findings: &mut Findings) {
    if let Some(at) = root.at.get("type") {
        let mistake = Mistake::new("is automl, which this version cannot run", "sweep");
        let hint = "write type: sweep, with trial: {learner: random_forest}";
        findings.cannot_run(&at, mistake.hint(hint));
    }
}
