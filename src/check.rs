//! `fleetfit check`: every problem of a job file, or the study as understood.

use fleetfit_search_spaces::early_termination::Policy;
use fleetfit_search_spaces::{Algorithm, EarlyTermination, Folds, Origin, Problems, Study, Work};
use serde_json::{Value, json};

use crate::cli::JobArgs;
use crate::exit;
use crate::failure::Failure;
use crate::output::Printer;
use crate::show::word;
use crate::start;
use crate::submission::Verdict;

/// Judges the job and says what it found. Exit code 2 when there is a problem.
pub(crate) fn check(args: &JobArgs, printer: &Printer) -> Result<i32, Failure> {
    let mut verdict = match Verdict::reach(args) {
        Ok(verdict) => verdict,
        Err(Failure::Problems(problems)) => Verdict { problems: problems.0, ..Verdict::default() },
        Err(other) => return Err(other),
    };
    if let Some(submission) = &verdict.submission {
        match start::judge(submission) {
            Ok(notices) => {
                verdict.notices.extend(notices);
                verdict.notices.extend(start::not_judged(submission));
            }
            Err(Failure::Problems(problems)) => verdict.problems.extend(problems.0),
            Err(other) => return Err(other),
        }
    }
    let is_whole = verdict.problems.is_empty();
    let submission = verdict.submission.as_ref().filter(|_| is_whole);
    let study = submission.map(|submission| &submission.study);
    if printer.is_json() {
        printer.json(&json!({
            "problems": verdict.problems,
            "notices": verdict.notices,
            "study": study.map(describe),
        }))?;
    } else {
        printer.notices(&verdict.notices);
        for problem in &verdict.problems {
            printer.complain(&problem.to_string());
        }
        if let Some(study) = study {
            printer.line(&sentence_by_sentence(study))?;
        }
    }
    if verdict.problems.is_empty() {
        return Ok(exit::DONE);
    }
    printer.complain(&Problems(verdict.problems).counted("nothing was started"));
    Ok(exit::PROBLEMS)
}

/// The study with its sizes, for programs.
fn describe(study: &Study) -> Value {
    let mut description = serde_json::to_value(study).unwrap_or_default();
    // Beyond 64 bits about as many as there are.
    let size = |size: Option<u128>| match u64::try_from(size?) {
        Ok(size) => Some(json!(size)),
        Err(_) => size.map(|size| json!(size as f64)),
    };
    description["study"] = json!(study.name);
    description["parameters"] = json!(study.space.axes().len());
    description["points"] = json!(size(study.space.cardinality()));
    description["grid_size"] = json!(size(study.space.grid_size()));
    description["can_run"] = json!(study.cannot_run.is_empty());
    description
}

/// The study in words, for people.
fn sentence_by_sentence(study: &Study) -> String {
    let mut lines = vec![format!("{}: the job is valid", study.name)];
    let mut say = |what: &str, how: String| lines.push(format!("  {what:<12} {how}"));
    say("trial", work(&study.work));
    if let Some(data) = &study.data {
        say("data", format!("{}, target {}", data.training.paths.join(", "), data.target));
        match data.partition_columns.as_slice() {
            [] => say("models", "one".into()),
            columns => say("models", format!("one for each {}", columns.join(" and "))),
        }
        say("folds", folds(&data.folds));
    }
    let points = match study.space.cardinality() {
        Some(points) => format!("{points} configurations"),
        None => "infinitely many configurations".into(),
    };
    let n_parameters = study.space.axes().len();
    let plural = if n_parameters == 1 { "" } else { "s" };
    say("space", format!("{n_parameters} parameter{plural}, {points}"));
    if study.sampling.algorithm == Algorithm::Grid
        && let Some(size) = study.space.grid_size()
    {
        say("grid", format!("{size} points"));
    }
    let algorithm = word(&study.sampling.algorithm);
    say("sampling", algorithm);
    if !study.points_to_evaluate.is_empty() {
        say("tried first", configurations(study.points_to_evaluate.len()));
    }
    if !study.start_from.is_empty() {
        let names = study.start_from.iter().map(|origin| match origin {
            Origin::File { path, .. } => path.as_str(),
            Origin::Study { study } => study.as_str(),
        });
        say("starts from", names.collect::<Vec<_>>().join(", "));
    }
    for (index, objective) in study.objectives().enumerate() {
        let what = if index == 0 { "objective" } else { "" };
        say(what, format!("{} {}", word(&objective.goal), objective.metric));
    }
    for (index, constraint) in study.constraints.iter().enumerate() {
        say(if index == 0 { "keeps" } else { "" }, constraint.to_string());
    }
    if let Some(rule) = &study.early_termination {
        say("stops early", stops(rule, &study.work));
    }
    let limits = &study.limits;
    say(
        "limits",
        format!(
            "{}, {} at once, {} in all{}",
            configurations(limits.max_total_trials as usize),
            limits.max_concurrent_trials,
            crate::show::duration(limits.timeout_s),
            limits
                .trial_timeout_s
                .map(|limit| format!(", {} each", crate::show::duration(limit)))
                .unwrap_or_default()
                + &limits
                    .improvement
                    .map(|rule| format!(", {} without an improvement", rule.patience))
                    .unwrap_or_default()
                + if limits.stop_when_converged { ", until it has converged" } else { "" }
        ),
    );
    let own = study.sampling.seed.map_or(String::new(), |own| format!(", configurations by {own}"));
    let seed = study.seed.map_or("drawn when the study is created".into(), |seed| seed.to_string());
    say("seed", seed + &own);
    lines.join("\n")
}

fn configurations(n: usize) -> String {
    match n {
        1 => "1 configuration".to_owned(),
        n => format!("{n} configurations"),
    }
}

fn stops(rule: &EarlyTermination, work: &Work) -> String {
    // A learner's rungs are no reports; a notice says where they are.
    let reports = matches!(work, Work::Command(_) | Work::External);

    let looks = match (rule.evaluation_interval, rule.delay_evaluation) {
        (1, 0) => String::new(),
        (1, delay) => format!(", looks from report {delay} on"),
        (interval, 0) => format!(", looks every {interval} reports"),
        (interval, delay) => {
            format!(", looks every {interval} reports from report {delay} on")
        }
    };
    let what = match &rule.policy {
        Policy::BanditFactor(slack) => format!("bandit, slack factor {slack}"),
        Policy::BanditAmount(slack) => format!("bandit, slack amount {slack}"),
        Policy::MedianStopping => "what is worse than the median".into(),
        Policy::TruncationSelection { percentage } => format!("the worst {percentage} %"),
        Policy::Asha { min_resource, reduction_factor } => {
            let from = if reports { format!(" from {min_resource} on") } else { String::new() };
            format!("asha{from}, one in {reduction_factor} goes on")
        }
        Policy::Hyperband { min_resource, reduction_factor, max_resource } => {
            let from = match reports {
                true => format!(" from {min_resource} to {max_resource}"),
                false => String::new(),
            };
            format!("hyperband{from}, one in {reduction_factor} goes on")
        }
        Policy::FoldRacing { confidence } => {
            format!("what is hopeless after some folds, {confidence} sure")
        }
        Policy::Narrowing { min_resource, max_resource } => {
            format!("ever more, from report {min_resource} to {max_resource}")
        }
    };
    what + &looks
}

fn work(work: &Work) -> String {
    match work {
        Work::Command(command) => command.command.trim().to_owned(),
        Work::Learner(learner) => format!("trains {}", learner.name()),
        Work::ChosenLearner { parameter } => format!("trains what {parameter} chooses"),
        Work::External => "external: asked for and told by your own program".into(),
        Work::AutoMl => "automl".into(),
    }
}

fn folds(folds: &Folds) -> String {
    match folds {
        Folds::Auto => "chosen by the number of rows".into(),
        Folds::Count(count) => count.to_string(),
        Folds::HoldOut(share) => format!("{} % held out", share * 100.0),
        Folds::Columns(columns) => format!("by the columns {}", columns.join(", ")),
        Folds::Given => "the validation data".into(),
        Folds::OutOfBag => "none; rows are judged by the trees that have not seen them".into(),
    }
}
