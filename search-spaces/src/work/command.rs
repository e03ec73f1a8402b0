//! A command trial: its command line, code, inputs, outputs and environment.

use std::collections::{BTreeMap, BTreeSet};

use super::placeholder::{Piece, Root, modernize, pieces};
use super::{CommandTrial, Input, Output};
use crate::data::is_remote;
use crate::fields::{At, Fields};
use crate::findings::{Findings, Mistake};
use crate::ignored::{OF_OUTPUTS, OF_PATHS};
use crate::nearest::nearest;
use crate::problem::Place;
use crate::space::{Alternative, Domain, SearchSpace};
use crate::yaml::Content;

const INPUT_TYPES: &[(&str, ())] = &[
    ("uri_file", ()),
    ("uri_folder", ()),
    ("mltable", ()),
    ("mlflow_model", ()),
    ("custom_model", ()),
    ("triton_model", ()),
];

const OUTPUT_TYPES: &[(&str, Output)] = &[
    ("uri_folder", Output::Folder),
    ("uri_file", Output::File),
    ("mltable", Output::Folder),
    ("mlflow_model", Output::Folder),
    ("custom_model", Output::Folder),
    ("triton_model", Output::Folder),
];

const INPUT_MODES: &[(&str, ())] = &[
    ("ro_mount", ()),
    ("rw_mount", ()),
    ("mount", ()),
    ("download", ()),
    ("direct", ()),
    ("eval_mount", ()),
    ("eval_download", ()),
    ("upload", ()),
];

/// The prefix of the variables that hold the parameters.
const VARIABLES: &str = "AZUREML_SWEEP_";

impl CommandTrial {
    /// Reads the keys of `trial` that belong to a command, with the job's inputs and outputs.
    pub(super) fn read(
        trial: &mut Fields<'_>,
        inputs: Option<&At<'_>>,
        outputs: Option<&At<'_>>,
        space: Option<(&SearchSpace, &At<'_>)>,
        findings: &mut Findings,
    ) -> Option<Self> {
        let command_at = trial.require("command", "command: python train.py", findings);
        let command = command_at.as_ref().and_then(|at| at.text(findings));
        let code = read_code(trial, findings);
        let environment_variables = read_variables(trial, findings);
        let inputs = inputs.map_or_else(Vec::new, |at| read_inputs(at, findings));
        let outputs = outputs.map_or_else(Vec::new, |at| read_outputs(at, findings));
        let (code, code_place) =
            code.map_or((None, Place::default()), |(code, place)| (Some(code), place));
        let mut own =
            Self { command: command?, code, code_place, inputs, outputs, environment_variables };
        own.settle_placeholders(&command_at?, space, findings);
        Some(own)
    }

    /// Checks every placeholder and writes the command in the one form that runners read.
    fn settle_placeholders(
        &mut self,
        at: &At<'_>,
        space: Option<(&SearchSpace, &At<'_>)>,
        findings: &mut Findings,
    ) {
        let (command, is_old) = modernize(&self.command);
        if is_old {
            findings.notice(at, "has placeholders in single braces, read as ${{…}}");
        }
        let mut settled = String::with_capacity(command.len());
        let mut named: BTreeSet<&str> = BTreeSet::new();
        let mut complained: BTreeSet<String> = BTreeSet::new();
        for piece in pieces(&command) {
            match piece {
                Piece::Text(text) => settled.push_str(text),
                Piece::Named(root, name) => {
                    settled.push_str(&format!("${{{{{}.{name}}}}}", root.word()));
                    named.insert(if root == Root::SearchSpace { name } else { "" });
                    if complained.insert(format!("{}.{name}", root.word())) {
                        self.check_name(root, name, space, at, findings);
                    }
                }
                Piece::Unknown(body) => {
                    if complained.insert(body.to_owned()) {
                        let says = format!("names ${{{{{body}}}}}, which nothing defines");
                        let allowed = "search_space.…, inputs.… or outputs.…";
                        let mut mistake = Mistake::new(says, allowed);
                        mistake.hint = Some(format!("placeholders begin with {allowed}"));
                        findings.problem(at, mistake);
                    }
                }
                Piece::Open(_) => {
                    let mistake = Mistake::new("has a ${{ without }}", "${{…}}");
                    findings.problem(at, mistake.hint("close it with }}"));
                }
            }
        }
        if let Some((space, space_at)) = space
            && !command.contains(VARIABLES)
        {
            notice_unused(space, space_at, &named, findings);
        }
        self.command = settled;
    }

    fn check_name(
        &self,
        root: Root,
        name: &str,
        space: Option<(&SearchSpace, &At<'_>)>,
        at: &At<'_>,
        findings: &mut Findings,
    ) {
        let known: Vec<String> = match root {
            Root::SearchSpace => {
                let Some((space, space_at)) = space else {
                    return;
                };
                // A parameter that could not be read has its own problem.
                let head = name.split('.').next().unwrap_or_default();
                let is_read = space.parameters.iter().any(|parameter| parameter.name == head);
                if space_at.get(head).is_some() && !is_read {
                    return;
                }
                let mut paths = Vec::new();
                collect_paths(space, "", &mut paths);
                paths
            }
            Root::Inputs => self.inputs.iter().map(|(name, _)| name.clone()).collect(),
            Root::Outputs => self.outputs.iter().map(|(name, _)| name.clone()).collect(),
        };
        if known.iter().any(|own| own == name) {
            return;
        }
        let word = root.word();
        let list = known.join(", ");
        let (says, hint) = if known.is_empty() {
            let says = format!("names ${{{{{word}.{name}}}}}, but the job has no {word}");
            (says, Some(format!("define {name} under {word}")))
        } else {
            let says = format!(
                "names ${{{{{word}.{name}}}}}, which {word} does not define; known: {list}"
            );
            let guess = nearest(name, known.iter().map(String::as_str));
            (says, guess.map(|word| format!("did you mean {word}?")))
        };
        let mut mistake = Mistake::new(says, list);
        mistake.hint = hint.or_else(|| Some(format!("define {name} under {word}")));
        findings.problem(at, mistake);
    }
}

fn collect_paths(space: &SearchSpace, prefix: &str, paths: &mut Vec<String>) {
    for parameter in &space.parameters {
        let path = format!("{prefix}{}", parameter.name);
        if !paths.contains(&path) {
            paths.push(path.clone());
        }
        if let Domain::Choice(alternatives) = &parameter.domain {
            for alternative in alternatives.iter() {
                if let Alternative::Space(nested) = alternative {
                    collect_paths(nested, &format!("{path}."), paths);
                }
            }
        }
    }
}

fn notice_unused(
    space: &SearchSpace,
    at: &At<'_>,
    named: &BTreeSet<&str>,
    findings: &mut Findings,
) {
    for parameter in &space.parameters {
        let is_used = named.iter().any(|name| {
            name.strip_prefix(parameter.name.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        if is_used {
            continue;
        }
        if let Some(node) = at.get(&parameter.name) {
            let says = format!(
                "is not named in the command; the program finds it only in {VARIABLES}{}",
                parameter.name
            );
            findings.notice(&node, &says);
        }
    }
}

fn read_code(trial: &mut Fields<'_>, findings: &mut Findings) -> Option<(String, Place)> {
    let at = trial.take("code", findings)?;
    let code = at.text(findings)?;
    if is_remote(&code) {
        let says = format!("is {}, which is not on this machine", at.node.brief());
        let mistake = Mistake::new(says, "a local folder");
        findings.cannot_run(&at, mistake.hint("fetch it, then --set trial.code=LOCAL_FOLDER"));
    }
    Some((code, findings.place(&at)))
}

fn read_variables(trial: &mut Fields<'_>, findings: &mut Findings) -> BTreeMap<String, String> {
    let Some(at) = trial.take("environment_variables", findings) else {
        return BTreeMap::new();
    };
    let Some(mut fields) = at.map(findings) else {
        return BTreeMap::new();
    };
    let mut variables = BTreeMap::new();
    for (key, value) in fields.take_all() {
        match value.plain_text() {
            Some(text) => {
                variables.insert(key.name.clone(), text);
            }
            None => {
                value.wrong::<()>(findings, "text", None);
            }
        }
    }
    variables
}

fn read_inputs(at: &At<'_>, findings: &mut Findings) -> Vec<(String, Input)> {
    let Some(mut fields) = at.map(findings) else {
        return Vec::new();
    };
    let mut inputs = Vec::new();
    for (key, node) in fields.take_all() {
        check_name(&key.name, &node, findings);
        if let Some(input) = read_input(&node, findings) {
            inputs.push((key.name.clone(), input));
        }
    }
    inputs
}

fn read_input(at: &At<'_>, findings: &mut Findings) -> Option<Input> {
    let Content::Map(_) = &at.node.content else {
        return at.value(findings).map(Input::Value);
    };
    let mut fields = at.map(findings)?;
    if let Some(kind) = fields.take("type", findings) {
        kind.word(INPUT_TYPES, findings);
    }
    if let Some(mode) = fields.take("mode", findings) {
        mode.word(INPUT_MODES, findings);
    }
    fields.ignore(OF_PATHS);
    let path_at = fields.require("path", "path: ./data.csv", findings);
    fields.finish(findings);
    let path_at = path_at?;
    let path = path_at.text(findings)?;
    let place = findings.place(&path_at);
    if !is_remote(&path) {
        return Some(Input::Path { path, place });
    }
    let says = format!("is {}, which is not on this machine", path_at.node.brief());
    let hint = format!("fetch it, then --set {}=LOCAL_PATH", path_at.path);
    findings.cannot_run(&path_at, Mistake::new(says, "a local path").hint(hint));
    Some(Input::Remote { address: path, place })
}

fn read_outputs(at: &At<'_>, findings: &mut Findings) -> Vec<(String, Output)> {
    let Some(mut fields) = at.map(findings) else {
        return Vec::new();
    };
    let mut outputs = Vec::new();
    for (key, node) in fields.take_all() {
        check_name(&key.name, &node, findings);
        let output = match &node.node.content {
            Content::Null => Some(Output::Folder),
            _ => read_output(&node, findings),
        };
        if let Some(output) = output {
            outputs.push((key.name.clone(), output));
        }
    }
    outputs
}

fn read_output(at: &At<'_>, findings: &mut Findings) -> Option<Output> {
    let mut fields = at.map(findings)?;
    let kind = match fields.take("type", findings) {
        Some(kind) => kind.word(OUTPUT_TYPES, findings),
        None => Some(Output::Folder),
    };
    if let Some(mode) = fields.take("mode", findings) {
        mode.word(INPUT_MODES, findings);
    }
    if let Some(path) = fields.take("path", findings) {
        findings.notice(&path, "is not used: outputs stay in the trial's own folder");
    }
    fields.ignore(OF_OUTPUTS);
    fields.finish(findings);
    kind
}

/// Azure's rule for names that placeholders use.
fn check_name(name: &str, at: &At<'_>, findings: &mut Findings) {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !first || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        let allowed = "letters, digits and _, a digit not first";
        let plain: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let says = format!("is no name for a placeholder; names are made of {allowed}");
        findings.problem(at, Mistake::new(says, allowed).hint(format!("name it {plain}")));
    }
}
