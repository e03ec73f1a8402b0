//! A command trial: its command line, code, inputs, outputs and environment.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::placeholder::{Piece, Root, modernize, pieces};
use super::{CommandTrial, Input, Output};
use crate::data::is_remote;
use crate::fields::{At, Fields, define_hint, listed, valid_name};
use crate::findings::{Findings, Mistake};
use crate::ignored::{OF_OUTPUTS, OF_PATHS};
use crate::material::MAX_NAME_BYTES;
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

/// The longest text that a program can be started with, its end included: Linux's `MAX_ARG_STRLEN`.
const MAX_TEXT_BYTES: usize = 128 << 10;

/// The longest command. The rest is what runners put before it.
const MAX_COMMAND_BYTES: usize = MAX_TEXT_BYTES - 128;

/// The most bytes of variables: Linux has 2 MiB for them and the command line, of which the runner's
/// own take some.
const MAX_VARIABLES_BYTES: usize = 3 << 19;

/// How many placeholders that name nothing are judged one by one.
const MAX_UNKNOWN: usize = 100;

impl CommandTrial {
    /// Reads the keys of `trial` that belong to a command, with the job's inputs and outputs. What
    /// could not be read is empty.
    pub(super) fn read(
        trial: &mut Fields<'_>,
        inputs: Option<&At<'_>>,
        outputs: Option<&At<'_>>,
        space: Option<(&SearchSpace, &At<'_>)>,
        findings: &mut Findings,
    ) -> Self {
        let command_at = trial.take("command", findings);
        let command = command_at.as_ref().and_then(|at| at.text(findings));
        let code = read_code(trial, findings);
        let environment_variables = read_variables(trial, findings);
        let input_values = inputs.map_or_else(Vec::new, |at| read_inputs(at, findings));
        let output_values = outputs.map_or_else(Vec::new, |at| read_outputs(at, findings));
        let (code, code_place) =
            code.map_or((None, Place::default()), |(code, place)| (Some(code), place));
        let mut own = Self {
            command: command.unwrap_or_default(),
            code,
            code_place,
            inputs: input_values,
            outputs: output_values,
            environment_variables,
        };
        if let Some(at) = command_at {
            check_text(&own.command, &at, findings);
            let defined = Defined {
                search_space: space.and_then(|(_, at)| {
                    let mut paths = Vec::new();
                    collect_paths(at, "", &mut HashSet::new(), &mut paths);
                    // An empty space is a problem already.
                    at.keys().filter(|keys| !keys.is_empty()).map(|_| paths)
                }),
                inputs: inputs.map_or_else(|| Some(Vec::new()), At::keys),
                outputs: outputs.map_or_else(|| Some(Vec::new()), At::keys),
            };
            own.settle_placeholders(&at, &defined, space, findings);
        }
        if let Some((_, at)) = space {
            let own_variables = own.environment_variables.iter();
            let n_of_others: usize =
                own_variables.map(|(name, value)| variable_bytes(name.len(), value.len())).sum();
            let n_bytes = n_of_others + check_parameters(at, VARIABLES.len(), findings).variables;
            if n_bytes > MAX_VARIABLES_BYTES {
                let says = format!(
                    "comes to variables of up to {n_bytes} bytes, more than a program can be \
                     started with"
                );
                let mistake = Mistake::new(says, format!("at most {MAX_VARIABLES_BYTES} bytes"));
                let hint = "put long values into files in the folder that trial.code names";
                findings.problem(at, mistake.hint(hint));
            }
        }
        own
    }

    /// Checks every placeholder and writes the command in the one form that runners read.
    fn settle_placeholders(
        &mut self,
        at: &At<'_>,
        defined: &Defined,
        space: Option<(&SearchSpace, &At<'_>)>,
        findings: &mut Findings,
    ) {
        let (command, is_old) = modernize(&self.command);
        if is_old {
            findings.notice(at, "has placeholders in single braces, read as ${{…}}");
        }
        let mut settled = String::with_capacity(command.len());
        let mut named: BTreeSet<&str> = BTreeSet::new();
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let before = findings.problems.len();
        let mut n_bytes = 0;
        // How often each is named.
        let mut filled: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for piece in pieces(&command) {
            let is_full = findings.problems.len() - before >= MAX_UNKNOWN;
            match piece {
                Piece::Text(text) => {
                    n_bytes += text.len();
                    settled.push_str(text);
                }
                Piece::Named(root, name) => {
                    settled.push_str(&format!("${{{{{}.{name}}}}}", root.word()));
                    named.insert(if root == Root::SearchSpace { name } else { "" });
                    *filled.entry((root.word(), name)).or_default() += 1;
                    if seen.insert(format!("{}.{name}", root.word())) && !is_full {
                        defined.check(root, name, at, findings);
                    }
                }
                Piece::Unknown(body) => {
                    if seen.insert(body.to_owned()) && !is_full {
                        let says = format!("names ${{{{{body}}}}}, which nothing defines");
                        let allowed = "search_space.…, inputs.… or outputs.…";
                        let mistake = Mistake::new(says, allowed);
                        let hint = format!("placeholders begin with {allowed}");
                        findings.problem(at, mistake.hint(hint));
                    }
                }
                Piece::Open(_) => {
                    let mistake = Mistake::new("has a ${{ without }}", "${{…}}");
                    findings.problem(at, mistake.hint("close it with }}"));
                }
            }
        }
        if n_bytes > MAX_COMMAND_BYTES {
            let says = format!("has {n_bytes} bytes, more than a program can be started with");
            let mistake = Mistake::new(says, format!("at most {MAX_COMMAND_BYTES} bytes"));
            let hint = "put it into a script in the folder that trial.code names, and run that";
            findings.problem(at, mistake.hint(hint));
        } else {
            let n_bytes = n_bytes + self.longest_filled(&filled, space.map(|(space, _)| space));
            if n_bytes > MAX_COMMAND_BYTES {
                let says = format!(
                    "has up to {n_bytes} bytes with what its placeholders stand for, more than a \
                     program can be started with"
                );
                let mistake = Mistake::new(says, format!("at most {MAX_COMMAND_BYTES} bytes"));
                let hint = format!("let the program read long values from {VARIABLES}<name>");
                findings.problem(at, mistake.hint(hint));
            }
        }
        if let Some((space, space_at)) = space
            && !command.contains(VARIABLES)
            && !command.is_empty()
        {
            notice_unused(space, space_at, &named, findings);
        }
        self.command = settled;
    }

    /// How many bytes are filled in for the configuration that has the longest values at least: those
    /// of a parameter's branches do not come together.
    fn longest_filled(
        &self,
        filled: &BTreeMap<(&str, &str), usize>,
        space: Option<&SearchSpace>,
    ) -> usize {
        let mut parameters: BTreeMap<&str, usize> = BTreeMap::new();
        let mut n_bytes = 0;
        let is_in_backticks = self.command.contains('`');
        let quoted = |text: &str| quoted_bytes(text, is_in_backticks);
        for (&(root, name), n) in filled {
            if root == Root::SearchSpace.word() {
                let longest = space.and_then(|space| longest(space, name, &quoted));
                let own = n * longest.map_or(0, |text| quoted(&text));
                let most = parameters.entry(name.split('.').next().unwrap_or(name)).or_default();
                *most = own.max(*most);
            } else if let Some((_, Input::Value(value))) =
                self.inputs.iter().find(|(own, _)| root == Root::Inputs.word() && own == name)
            {
                n_bytes += n * quoted(&value.to_string());
            }
        }
        n_bytes + parameters.values().sum::<usize>()
    }
}

/// The most bytes that a text has in a command line, where runners quote it for the shell.
fn quoted_bytes(text: &str, is_in_backticks: bool) -> usize {
    if text.bytes().all(|own| own.is_ascii_alphanumeric() || b"_-.,/:@%+".contains(&own)) {
        return text.len();
    }
    let count = |special: &str| text.bytes().filter(|own| special.as_bytes().contains(own)).count();
    let in_quotes = "''".len() + 3 * count("'");
    let n_bytes = text.len() + in_quotes.max(count("\\\"$`"));
    // What is in backticks is read twice.
    if is_in_backticks { 2 * n_bytes } else { n_bytes }
}

/// The longest of a parameter's values, or of those of a branch's parameter; numbers are short.
fn longest(space: &SearchSpace, path: &str, n_bytes: &impl Fn(&str) -> usize) -> Option<String> {
    let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
    let domain = space.parameters.iter().find(|own| own.name == head).map(|own| &own.domain);
    let of_alternative = |alternative: &Alternative| match (alternative, rest) {
        (Alternative::Value(value), None) => Some(value.to_string()),
        (Alternative::Space(space), Some(rest)) => longest(space, rest, n_bytes),
        (Alternative::Space(space), None) => {
            let own = space.parameters.iter().filter_map(|parameter| {
                let value = longest(space, &parameter.name, n_bytes)?;
                Some((parameter.name.clone(), serde_json::Value::from(value)))
            });
            Some(serde_json::Value::Object(own.collect()).to_string())
        }
        (Alternative::Value(_), Some(_)) => None,
    };
    match domain {
        Some(Domain::Choice(choice)) => {
            choice.iter().filter_map(of_alternative).max_by_key(|text| n_bytes(text))
        }
        Some(Domain::Fixed(value)) if rest.is_none() => Some(value.to_string()),
        _ => None,
    }
}

/// What a placeholder may name: the keys that the job has, whether or not their values could be read.
/// None where that cannot be told.
struct Defined {
    search_space: Option<Vec<String>>,
    inputs: Option<Vec<String>>,
    outputs: Option<Vec<String>>,
}

impl Defined {
    fn check(&self, root: Root, name: &str, at: &At<'_>, findings: &mut Findings) {
        let known = match root {
            Root::SearchSpace => &self.search_space,
            Root::Inputs => &self.inputs,
            Root::Outputs => &self.outputs,
        };
        let Some(known) = known else {
            return;
        };
        if known.iter().any(|own| own == name) {
            return;
        }
        let word = root.word();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let (says, allowed) = if known.is_empty() {
            let says = format!("names ${{{{{word}.{name}}}}}, but the job has no {word}");
            (says, "nothing of that kind".to_owned())
        } else {
            let list = listed(&known);
            let says = format!(
                "names ${{{{{word}.{name}}}}}, which {word} does not define; known: {list}"
            );
            (says, list)
        };
        let hint = define_hint(name, &known, word);
        findings.problem(at, Mistake::new(says, allowed).hint(hint));
    }
}

/// Every path that a space can have, branches of choices included.
fn collect_paths(at: &At<'_>, prefix: &str, seen: &mut HashSet<String>, paths: &mut Vec<String>) {
    let Content::Map(entries) = &at.node.content else {
        return;
    };
    for (key, node) in entries {
        let path = format!("{prefix}{}", key.name);
        if seen.insert(path.clone()) {
            paths.push(path.clone());
        }
        let values = node.get("values").unwrap_or(node);
        if let Content::List(items) = &values.content {
            for item in items {
                collect_paths(&At::root(item), &format!("{path}."), seen, paths);
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
    let used: HashSet<&str> = named.iter().filter_map(|name| name.split('.').next()).collect();
    let read = space.parameters.iter().map(|parameter| parameter.name.as_str());
    let unused: HashSet<&str> = read.filter(|name| !used.contains(name)).collect();
    for node in at.entries().filter(|node| unused.contains(node.name())) {
        let says = format!(
            "is not named in the command; the program finds it only in {VARIABLES}{}",
            node.name()
        );
        findings.notice(&node, &says);
    }
}

/// No program can be given a NUL byte: it is where texts end.
fn check_text(text: &str, at: &At<'_>, findings: &mut Findings) {
    if text.contains('\0') {
        let mistake = Mistake::new("has a NUL byte (\\0), with which no program starts", "text");
        findings.problem(at, mistake.hint("leave the \\0 out"));
    }
}

/// A variable's name and value are one text to a program.
fn check_length(n_of_name: usize, n_of_value: usize, at: &At<'_>, findings: &mut Findings) {
    let n_bytes = n_of_name + n_of_value + "=".len();
    if n_bytes >= MAX_TEXT_BYTES {
        let says = format!("has {n_bytes} bytes with its name, too many for a program");
        let mistake = Mistake::new(says, format!("less than {MAX_TEXT_BYTES} bytes"));
        let hint = "put it into a file in the folder that trial.code names";
        findings.problem(at, mistake.hint(hint));
    }
}

/// How many bytes the longest configuration has.
#[derive(Clone, Copy, Debug, Default)]
struct Longest {
    json: usize,
    variables: usize,
}

/// Checks what a program finds of parameters in its environment, under names that begin with so many
/// bytes.
fn check_parameters(at: &At<'_>, n_of_prefix: usize, findings: &mut Findings) -> Longest {
    let mut all = Longest { json: "{}".len(), variables: 0 };
    for entry in at.entries() {
        let name = entry.key.map_or("", |key| key.name.as_str());
        let n_of_name = n_of_prefix + name.chars().count();
        let values = match &entry.node.content {
            Content::Map(_) => entry.get("values"),
            _ => Some(entry.clone()),
        };
        let mut longest = Longest::default();
        for value in values.iter().flat_map(At::one_or_more) {
            let own = match value.plain_text() {
                Some(text) => {
                    check_text(&text, &value, findings);
                    check_length(n_of_name, text.len(), &value, findings);
                    let variables = variable_bytes(n_of_name, text.len());
                    Longest { json: json_bytes(&text), variables }
                }
                None => {
                    let branch = check_parameters(&value, n_of_name + "_".len(), findings);
                    check_length(n_of_name, branch.json, &value, findings);
                    let variables = branch.variables + variable_bytes(n_of_name, branch.json);
                    Longest { json: branch.json, variables }
                }
            };
            longest.json = longest.json.max(own.json);
            longest.variables = longest.variables.max(own.variables);
        }
        all.json += json_bytes(name) + longest.json + ":,".len();
        all.variables += longest.variables;
    }
    all
}

/// What the kernel counts for a variable: its name, `=`, its value, its end and a pointer to it.
fn variable_bytes(n_of_name: usize, n_of_value: usize) -> usize {
    n_of_name + n_of_value + "=".len() + 1 + size_of::<usize>()
}

fn json_bytes(text: &str) -> usize {
    serde_json::to_string(text).map_or(0, |json| json.len())
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
        if key.name.is_empty() || key.name.contains(['=', '\0']) {
            let says = "is no name for a variable; names are not empty and have no =";
            let mistake = Mistake::new(says, "a name without =");
            let plain = key.name.split(['=', '\0']).next().filter(|name| !name.is_empty());
            let example = plain.unwrap_or("NAME");
            findings.key_problem(&value, mistake.hint(format!("write {example}: value")));
        }
        match (value.plain_text(), &value.node.content) {
            (Some(text), _) => {
                check_text(&text, &value, findings);
                check_length(key.name.len(), text.len(), &value, findings);
                variables.insert(key.name.clone(), text);
            }
            // Azure writes null for what is not set.
            (None, Content::Null) => {}
            (None, _) => {
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
        let value = at.value(findings)?;
        check_text(&value.to_string(), at, findings);
        return Some(Input::Value(value));
    };
    let mut fields = at.map(findings)?;
    fields.also_called("file", "path");
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
    let valid = valid_name(name);
    if name != valid {
        let allowed = "letters, digits and _, a digit not first";
        let says = format!("is no name for a placeholder; names are made of {allowed}");
        findings.problem(at, Mistake::new(says, allowed).hint(format!("name it {valid}")));
    } else if name.len() > MAX_NAME_BYTES {
        // It becomes the name of a file or a folder.
        let allowed = format!("at most {MAX_NAME_BYTES} characters");
        let says = format!("has a name of {} characters; names have {allowed}", name.len());
        findings.problem(at, Mistake::new(says, allowed).hint("give it a shorter name"));
    }
}
