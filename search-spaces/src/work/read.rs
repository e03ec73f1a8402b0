//! `trial` in a job file.

use super::placeholder::{Piece, Root, pieces};
use super::{CommandTrial, Work};
use crate::fields::{At, Fields, define_hint, listed};
use crate::findings::{Findings, Mistake};
use crate::ignored::OF_TRIALS;
use crate::learner::{Demand, check_bags, check_chosen, check_learner, check_space};
use crate::nearest::nearest;
use crate::space::SearchSpace;
use crate::yaml::{Content, brief_text};

/// What other tools call what a trial does.
const OTHER_NAMES: [(&str, &str); 4] =
    [("cmd", "command"), ("model", "learner"), ("algorithm", "learner"), ("estimator", "learner")];

/// What a trial is, before its details are read.
pub(crate) enum TrialKind<'a> {
    /// It has a `command`.
    Command(Fields<'a>),
    /// It has a `learner`.
    Learner(Fields<'a>),
    /// `trial: external`.
    External,
    /// Both or neither, which is a problem; with the one of the two that a mistyped key names.
    Unclear(Fields<'a>, Option<&'static str>),
}

impl<'a> TrialKind<'a> {
    /// Finds out what kind of trial `trial` is.
    pub(crate) fn read(root: &mut Fields<'a>, findings: &mut Findings) -> Option<Self> {
        let example = "trial: {learner: ridge} or trial: {command: python train.py}";
        let at = root.require("trial", example, findings)?;
        if let Content::Text { text, .. } = &at.node.content {
            if text == "external" {
                let says = "is external: your own program asks a service for its trials and tells \
                            what came of them; fleetfit run runs none";
                findings.notice(&at, says);
                return Some(Self::External);
            }
            let says = format!("is {}, but must be a map, or the word external", brief_text(text));
            let mistake = Mistake::new(says, "a map with command or learner, or external");
            findings.problem(&at, mistake.hint(format!("write {example}")));
            return None;
        }
        let fields = at.map(findings)?;
        match (fields.has("command"), fields.has("learner")) {
            (true, true) => {
                if let Some(learner) = at.get("learner") {
                    let mistake = Mistake::new(
                        "stands beside trial.command; a trial does one of the two",
                        "command or learner",
                    );
                    findings.problem(&learner, mistake.hint("remove command or learner"));
                }
                Some(Self::Unclear(fields, None))
            }
            (_, true) => Some(Self::Learner(fields)),
            (true, false) => Some(Self::Command(fields)),
            (false, false) => {
                let meant = mistyped_kind(&at);
                // The unknown key is a problem that says as much.
                if meant.is_none() {
                    let says = "names no command and no learner";
                    let mistake = Mistake::new(says, "command or learner");
                    findings.problem(&at, mistake.hint(format!("write {example}")));
                }
                Some(Self::Unclear(fields, meant))
            }
        }
    }

    /// Whether it trains a built-in learner, if that can be told.
    pub(crate) fn has_learner(&self) -> Option<bool> {
        match self {
            Self::Learner(_) => Some(true),
            Self::Command(_) | Self::External => Some(false),
            Self::Unclear(_, meant) => meant.map(|key| key == "learner"),
        }
    }
}

/// `command` or `learner`, where a key of `trial` is nearer to it than to any other.
fn mistyped_kind(at: &At<'_>) -> Option<&'static str> {
    let Content::Map(entries) = &at.node.content else {
        return None;
    };
    let others = ["code", "environment_variables", "$schema"];
    let known =
        || ["command", "learner"].into_iter().chain(others).chain(OF_TRIALS.iter().copied());
    let unknown = entries.iter().map(|(key, _)| key.name.as_str());
    let unknown = unknown.filter(|key| known().all(|known| known != *key));
    let mut guesses = unknown.take(100).filter_map(|key| {
        let alias = OTHER_NAMES.iter().find(|(other, _)| *other == key);
        alias.map(|(_, own)| *own).or_else(|| nearest(key, known()))
    });
    guesses.find_map(|guess| ["command", "learner"].into_iter().find(|kind| *kind == guess))
}

/// What surrounds a trial.
pub(crate) struct Surroundings<'a, 'b> {
    /// The space and where it stands, if it could be read.
    pub space: Option<(&'b SearchSpace, &'b At<'a>)>,
    /// Whether the job has a space at all, readable or not.
    pub has_space: bool,
    /// What is asked of learners.
    pub demand: Demand,
    /// The job's inputs.
    pub inputs: Option<At<'a>>,
    /// The job's outputs.
    pub outputs: Option<At<'a>>,
}

impl Work {
    /// Reads the details of a trial. Ignored keys that are set are added to `ignored`.
    pub(crate) fn read<'a>(
        kind: TrialKind<'a>,
        around: &Surroundings<'a, '_>,
        ignored: &mut Vec<At<'a>>,
        findings: &mut Findings,
    ) -> Option<Self> {
        match kind {
            TrialKind::External => Some(Self::External),
            TrialKind::Command(mut trial) => {
                let (inputs, outputs) = (around.inputs.as_ref(), around.outputs.as_ref());
                let command =
                    CommandTrial::read(&mut trial, inputs, outputs, around.space, findings);
                finish(trial, ignored, findings);
                Some(Self::Command(command))
            }
            TrialKind::Unclear(mut trial, _) => {
                let (inputs, outputs) = (around.inputs.as_ref(), around.outputs.as_ref());
                let command =
                    CommandTrial::read(&mut trial, inputs, outputs, around.space, findings);
                trial.ignore(&["learner"]);
                finish(trial, ignored, findings);
                Some(Self::Command(command))
            }
            TrialKind::Learner(mut trial) => {
                let work = read_learner(&mut trial, around, findings);
                finish(trial, ignored, findings);
                work
            }
        }
    }
}

fn finish<'a>(mut trial: Fields<'a>, ignored: &mut Vec<At<'a>>, findings: &mut Findings) {
    ignored.extend(trial.ignore(OF_TRIALS));
    trial.ignore(&["$schema"]);
    for (other, own) in OTHER_NAMES {
        trial.also_called(other, own);
    }
    trial.finish(findings);
}

fn read_learner(
    trial: &mut Fields<'_>,
    around: &Surroundings<'_, '_>,
    findings: &mut Findings,
) -> Option<Work> {
    let at = trial.take("learner", findings)?;
    let text = at.text(findings)?;
    let chooser = match pieces(text.trim()).as_slice() {
        [Piece::Text(""), Piece::Named(Root::SearchSpace, name), Piece::Text("")] => {
            Some((*name).to_owned())
        }
        _ => None,
    };
    let Some(parameter) = chooser else {
        let learner = check_learner(&text, around.demand, &at, findings)?;
        match around.space {
            Some((space, at)) => check_space(learner, around.demand, space, at, findings),
            None => check_bags(learner, around.demand, &[], &at, findings),
        }
        return Some(Work::Learner(learner));
    };
    let Some((space, space_at)) = around.space else {
        if !around.has_space {
            let says = format!("names search_space.{parameter}, but the job has no search_space");
            let example = format!("{parameter}: [{{learner: ridge}}, knn]");
            let mistake = Mistake::new(says, "a learner, or a parameter of search_space");
            findings.problem(&at, mistake.hint(format!("add search_space: {{{example}}}")));
        }
        return None;
    };
    // A parameter that could not be read has its own problem.
    if !matches!(&space_at.node.content, Content::Map(_)) {
        return None;
    }
    if space_at.get(&parameter).is_none() {
        let known: Vec<&str> = space.parameters.iter().map(|own| own.name.as_str()).collect();
        let list = listed(&known);
        let says = format!("names search_space.{parameter}, which is not there; known: {list}");
        let hint = define_hint(&parameter, &known, "search_space");
        let allowed = if list.is_empty() { "a learner" } else { list.as_str() };
        findings.problem(&at, Mistake::new(says, allowed).hint(hint));
        return None;
    }
    check_chosen(&parameter, space, around.demand, space_at, findings);
    Some(Work::ChosenLearner { parameter })
}
