//! Judges a search space by a learner's table: every parameter known, every domain within bounds.

use super::alias::{self, Foreign};
use super::together::{check_bags, check_objective};
use super::{Learner, LearnerParameter, NONE, ParameterKind};
use crate::data::Task;
use crate::fields::{At, guess_hint, unknown};
use crate::findings::{Findings, Mistake};
use crate::nearest::nearest;
use crate::space::{Alternative, Domain, Parameter, SearchSpace, number};
use crate::value::Value;
use crate::yaml::{Content, brief_text};

/// The key that names the learner in a branch.
const LEARNER: &str = "learner";

/// What a job asks of whatever learner it names.
#[derive(Clone, Copy)]
pub(crate) struct Demand {
    /// What is predicted, if it is known.
    pub task: Option<Task>,
    /// Whether rows have weights.
    pub has_weights: bool,
    /// Whether rows are judged by the trees that have not seen them.
    pub out_of_bag: bool,
}

/// A parameter of a learner in a job.
struct Rule {
    learner: Learner,
    parameter: LearnerParameter,
    /// The task, where another one would allow other values.
    task: Option<Task>,
    /// What the parameter is, where it has another tool's name.
    foreign: Option<Foreign>,
}

impl Rule {
    fn of(learner: Learner, name: &str, task: Option<Task>) -> Option<Self> {
        let foreign = alias::foreign(learner, name);
        let parameter = learner.parameter(foreign.and_then(Foreign::own_name).unwrap_or(name))?;
        let kind = task.and_then(|task| parameter.kind.narrowed(task));
        let task = task.filter(|_| kind.is_some());
        let kind = kind.unwrap_or_else(|| parameter.kind.clone());
        Some(Self { learner, parameter: LearnerParameter { kind, ..parameter }, task, foreign })
    }

    /// `max_depth of random_forest must be …`.
    fn says(&self) -> String {
        let (name, kind) = (self.parameter.name, self.parameter.kind.describe());
        let task = self.task.map_or_else(String::new, |task| format!(" for {}", task.name()));
        format!("{name} of {} must be {kind}{task}", self.learner.name())
    }
}

/// Checks a space whose parameters are those of one learner. `at` is where the space stands.
pub(crate) fn check_space(
    learner: Learner,
    demand: Demand,
    space: &SearchSpace,
    at: &At<'_>,
    findings: &mut Findings,
) {
    check_parameters(learner, demand, &space.parameters, at, findings);
}

fn check_parameters<'a>(
    learner: Learner,
    demand: Demand,
    parameters: impl IntoIterator<Item = &'a Parameter>,
    at: &At<'_>,
    findings: &mut Findings,
) {
    let parameters: Vec<&Parameter> = parameters.into_iter().collect();
    check_bags(learner, demand, &parameters, at, findings);
    check_objective(learner, &parameters, at, findings);
    for own in parameters {
        let Some(node) = at.get(&own.name) else {
            continue;
        };
        match alias::foreign(learner, &own.name) {
            None => {}
            Some(Foreign::Only(words, hint)) => {
                check_idle(&own.domain, words, hint, &node, findings);
                continue;
            }
            Some(foreign) => {
                read_as(learner, foreign, &own.name, at, &node, findings);
                if foreign.own_name().is_none() {
                    continue;
                }
            }
        }
        match Rule::of(learner, &own.name, demand.task) {
            Some(rule) => check_domain(&rule, &own.domain, &node, findings),
            None => unknown_parameter(learner, &own.name, &node, findings),
        }
    }
    for parameter in learner.parameters() {
        if let (Some(word), Some(node)) = (parameter.kind.no_limit(), at.get(parameter.name)) {
            advise_word(word, &node, findings);
        }
    }
}

/// A parameter by the name that another tool has for it: fine, if it stands there once.
fn read_as(
    learner: Learner,
    foreign: Foreign,
    name: &str,
    space: &At<'_>,
    at: &At<'_>,
    findings: &mut Findings,
) {
    let twin = foreign.own_name().and_then(|known| {
        let means_it =
            |key: &String| key != name && (key == known || learner.own_name(key) == Some(known));
        let twin = space.keys().unwrap_or_default().into_iter().find(means_it)?;
        Some((known, twin))
    });
    match (twin, foreign.says()) {
        (Some((known, twin)), _) => {
            let mistake = Mistake::new(format!("means {known}, and so does {twin}"), known);
            findings.key_problem(at, mistake.hint(format!("remove {name}")));
        }
        (None, Some(says)) => findings.notice(at, &says),
        (None, None) => {}
    }
}

/// A parameter that nothing here does what it says: fine where it says what is done anyway.
fn check_idle(domain: &Domain, words: &[&str], hint: &str, at: &At<'_>, findings: &mut Findings) {
    let is_idle = match domain {
        Domain::Fixed(value) => alias::is_one_of(value, words),
        Domain::Choice(alternatives) => alternatives.iter().all(|alternative| {
            matches!(alternative, Alternative::Value(value) if alias::is_one_of(value, words))
        }),
        _ => false,
    };
    if is_idle {
        return findings.notice(at, "has no meaning here: it says what is done anyway");
    }
    let says = format!("is not a parameter here, except as {}", words.join(" or "));
    findings.key_problem(at, Mistake::new(says, words.join(", ")).hint(hint));
}

/// Nothing, where a parameter has a word for "no limit", means that word.
fn advise_word(word: &str, at: &At<'_>, findings: &mut Findings) {
    if at.node.content == Content::Null {
        return findings.advise(&at.path, &format!("write [{word}]"));
    }
    for item in alternatives_of(at) {
        if item.node.content == Content::Null {
            findings.advise(&item.path, &format!("write {word}"));
        }
    }
}

/// What stands in a choice: a list, or the `values` of a map.
pub(super) fn alternatives_of<'a>(at: &At<'a>) -> Vec<At<'a>> {
    let list = at.node.get("values").map_or_else(|| at.clone(), |list| at.child("values", list));
    list.one_or_more()
}

fn unknown_parameter(learner: Learner, name: &str, at: &At<'_>, findings: &mut Findings) {
    let parameters = learner.parameters();
    let known: Vec<&str> = parameters.iter().map(|parameter| parameter.name).collect();
    let list = known.join(", ");
    let says = match known.as_slice() {
        [] => format!("is not a parameter of {}, which has none", learner.name()),
        _ => format!("is not a parameter of {}; known: {list}", learner.name()),
    };
    let allowed = if list.is_empty() { "no parameter" } else { list.as_str() };
    let mut mistake = Mistake::new(says, allowed);
    mistake.hint = guess_hint(nearest(name, known), "remove it");
    findings.key_problem(at, mistake);
}

fn check_domain(rule: &Rule, domain: &Domain, at: &At<'_>, findings: &mut Findings) {
    match domain {
        Domain::Fixed(value) => check_value(rule, value, at, findings),
        Domain::Choice(alternatives) => {
            for (item, alternative) in alternatives_of(at).iter().zip(alternatives.iter()) {
                match alternative {
                    Alternative::Value(value) => check_value(rule, value, item, findings),
                    Alternative::Space(_) => {
                        let kind = rule.parameter.kind.describe();
                        let says = format!("is a map, but {} must be {kind}", rule.parameter.name);
                        let hint = format!("write {kind}");
                        findings.problem(item, Mistake::new(says, kind).hint(hint));
                    }
                }
            }
        }
        _ => check_numbers(rule, domain, at, findings),
    }
}

fn check_value(rule: &Rule, value: &Value, at: &At<'_>, findings: &mut Findings) {
    let own = rule.foreign.map_or_else(|| value.clone(), |foreign| foreign.value(value));
    if fits(&rule.parameter.kind, &own) {
        return;
    }
    if let Some(own) = alias::own_value(&rule.parameter, &own)
        && fits(&rule.parameter.kind, &own)
    {
        return findings.notice(at, &format!("is {}, which is read as {own}", at.node.brief()));
    }
    if alias::is_left_out(&rule.parameter, &own) {
        let says = format!("is {}, which is what is done without it", at.node.brief());
        return findings.notice(at, &says);
    }
    let kind = &rule.parameter.kind;
    let says = format!("is {}, but {}", at.node.brief(), rule.says());
    let mut mistake = Mistake::new(says, kind.describe());
    mistake.hint = value_hint(rule, value).or_else(|| Some(format!("write {}", mistake.allowed)));
    findings.problem(at, mistake);
}

/// Whether a learner's parameter of this kind may have this value.
fn fits(kind: &ParameterKind, value: &Value) -> bool {
    let is_word =
        |known: &[&str]| matches!(value, Value::Text(text) if known.contains(&text.as_str()));
    let in_range =
        |low: f64, high: f64| value.as_f64().is_some_and(|number| low <= number && number <= high);
    let is_int = |low: &i64, high: &i64| matches!(value, Value::Int(number) if low <= number && number <= high);
    match kind {
        ParameterKind::Int(low, high) => is_int(low, high),
        ParameterKind::IntOrNone(low, high) => is_int(low, high) || is_word(&[NONE]),
        ParameterKind::Float(low, high) => in_range(*low, *high),
        ParameterKind::Word(known) => is_word(known),
        ParameterKind::WordByTask { classes, numbers } => is_word(classes) || is_word(numbers),
        ParameterKind::Bool => matches!(value, Value::Bool(_)),
        ParameterKind::Share(known) => {
            is_word(known)
                || matches!(value, Value::Int(count) if *count >= 1)
                || matches!(value, Value::Float(share) if *share > 0.0 && *share <= 1.0)
        }
        ParameterKind::FloatOrWord(low, high, known) => is_word(known) || in_range(*low, *high),
    }
}

fn value_hint(rule: &Rule, value: &Value) -> Option<String> {
    let kind = &rule.parameter.kind;
    if let Value::Text(text) = value
        && let Some(hint) = alias::instead(&rule.parameter, text)
    {
        return Some(hint);
    }
    let known = match kind {
        ParameterKind::Word(known)
        | ParameterKind::Share(known)
        | ParameterKind::FloatOrWord(_, _, known) => *known,
        ParameterKind::WordByTask { classes, .. } => classes,
        ParameterKind::Bool => &["true", "false"],
        ParameterKind::IntOrNone(..) => &[NONE],
        ParameterKind::Int(..) | ParameterKind::Float(..) => &[],
    };
    match (kind, value) {
        (
            ParameterKind::Int(low, high) | ParameterKind::IntOrNone(low, high),
            Value::Float(float),
        ) if float.fract() == 0.0 && *float < 9e15 && *float <= *high as f64 => {
            Some(format!("write {}", number(float.max(*low as f64))))
        }
        (_, Value::Text(text)) => {
            nearest(text, known.iter().copied()).map(|word| format!("did you mean {word}?"))
        }
        _ => None,
    }
}

/// A numeric domain against a kind.
fn check_numbers(rule: &Rule, domain: &Domain, at: &At<'_>, findings: &mut Findings) {
    let kind = rule.parameter.kind.describe();
    let (low, high) = reach(domain);
    let own = |theirs: f64| rule.foreign.map_or(theirs, |foreign| foreign.number(theirs));
    let (low, high) = (own(low), own(high));
    let (mut floor, mut ceiling) = match &rule.parameter.kind {
        ParameterKind::Int(floor, ceiling) | ParameterKind::IntOrNone(floor, ceiling) => {
            if !yields_integers(domain) {
                let says = format!("yields fractions, but {}", rule.says());
                let mistake = Mistake::new(says, kind);
                findings.problem(at, mistake.hint("write {type: int, min: …, max: …}"));
                return;
            }
            (*floor as f64, *ceiling as f64)
        }
        ParameterKind::Float(floor, ceiling) | ParameterKind::FloatOrWord(floor, ceiling, _) => {
            (*floor, *ceiling)
        }
        ParameterKind::Share(_) if yields_integers(domain) => (1.0, f64::MAX),
        ParameterKind::Share(_) => (f64::MIN_POSITIVE, 1.0),
        ParameterKind::Word(_) | ParameterKind::WordByTask { .. } | ParameterKind::Bool => {
            let says = format!("yields numbers, but {}", rule.says());
            findings.problem(at, Mistake::new(says, kind).hint("write a list of values"));
            return;
        }
    };
    // What another tool means by a number beyond ours: no limit, or as many as there may be.
    for (beyond, is_beyond) in [(low, low < floor), (high, high > ceiling)] {
        let theirs = Value::Int(beyond as i64);
        if is_beyond
            && let Some(own) = alias::own_value(&rule.parameter, &theirs)
            && fits(&rule.parameter.kind, &own)
        {
            findings.notice(at, &format!("yields {}, which is read as {own}", bound(beyond)));
            (floor, ceiling) = (floor.min(beyond), ceiling.max(beyond));
        }
    }
    if low < floor || (high > ceiling && ceiling < f64::MAX) {
        let (from, to) = (bound(low), bound(high));
        let says = format!("yields {from} to {to}, but {}", rule.says());
        let hint = if low < floor && low.is_infinite() {
            "write {type: float, min: …, max: …}, which has bounds"
        } else if low < floor {
            "raise its lower bound"
        } else {
            "lower its upper bound"
        };
        findings.problem(at, Mistake::new(says, kind).hint(hint));
    }
}

pub(super) fn bound(value: f64) -> String {
    if value == f64::NEG_INFINITY {
        "any negative number".to_owned()
    } else if value == f64::INFINITY {
        "any positive number".to_owned()
    } else {
        number(value)
    }
}

/// The bounds of what a domain can yield, infinite where it has none.
pub(super) fn reach(domain: &Domain) -> (f64, f64) {
    match domain {
        Domain::Normal { .. } => (f64::NEG_INFINITY, f64::INFINITY),
        Domain::LogNormal { q: None, .. } => (f64::MIN_POSITIVE, f64::INFINITY),
        Domain::LogNormal { q: Some(_), .. } => (0.0, f64::INFINITY),
        _ => domain.extent().unwrap_or((f64::NEG_INFINITY, f64::INFINITY)),
    }
}

fn yields_integers(domain: &Domain) -> bool {
    match domain {
        Domain::RandInt { .. } | Domain::Int { .. } => true,
        Domain::Uniform { q, .. }
        | Domain::LogUniform { q, .. }
        | Domain::Normal { q, .. }
        | Domain::LogNormal { q, .. } => q.is_some_and(|q| q.fract() == 0.0),
        Domain::Fixed(_) | Domain::Choice(_) | Domain::Float { .. } => false,
    }
}

/// Checks that a learner is known, does what the job demands, and is one that this version has. `at`
/// is where it is named.
pub(crate) fn check_learner(
    text: &str,
    demand: Demand,
    at: &At<'_>,
    findings: &mut Findings,
) -> Option<Learner> {
    let Some(learner) = Learner::named(text) else {
        unknown_learner(text, at, findings);
        return None;
    };
    if let Some(task) = demand.task
        && !learner.tasks().contains(&task)
    {
        let fitting: Vec<&str> = Learner::ALL
            .iter()
            .filter(|learner| learner.tasks().contains(&task))
            .map(|learner| learner.name())
            .collect();
        let allowed = fitting.join(", ");
        let says =
            format!("is {}, which does not do {}; known: {allowed}", learner.name(), task.name());
        findings.problem(at, Mistake::new(says, allowed).hint(format!("write {}", fitting[0])));
        return None;
    }
    if demand.has_weights && !learner.weighs_rows() {
        let says = format!("is {}, which cannot weigh rows by weight_column_name", learner.name());
        let mistake = Mistake::new(says, "a learner that weighs rows");
        findings.problem(at, mistake.hint("remove weight_column_name, or write another learner"));
    }
    if demand.out_of_bag && !learner.scores_out_of_bag() {
        let says = format!(
            "is {}, which has no trees that leave rows out, as n_cross_validations: out_of_bag needs",
            learner.name()
        );
        let mistake = Mistake::new(says, "random_forest, extra_trees");
        findings.problem(at, mistake.hint("write n_cross_validations: auto"));
    }
    Some(learner)
}

fn unknown_learner(text: &str, at: &At<'_>, findings: &mut Findings) {
    let names: Vec<&str> = Learner::ALL.iter().map(|learner| learner.name()).collect();
    let lower = text.to_ascii_lowercase();
    let is_boosting = ["gbm", "boost", "gbdt"].iter().any(|part| lower.contains(part));
    let guess = if is_boosting {
        Some(Learner::GradientBoosting.name())
    } else {
        nearest(text, names.iter().copied())
    };
    let mut mistake = unknown(text, &names, guess);
    mistake.says = format!("{} is not known; known: {}", brief_text(text), mistake.allowed);
    findings.problem(at, mistake);
}

/// Checks a space in which one parameter, a choice, names the learner.
pub(crate) fn check_chosen(
    chooser: &str,
    space: &SearchSpace,
    demand: Demand,
    at: &At<'_>,
    findings: &mut Findings,
) {
    for parameter in &space.parameters {
        let Some(node) = at.get(&parameter.name) else {
            continue;
        };
        if parameter.name != chooser {
            let says =
                format!("belongs to no learner; the parameters stand in the branches of {chooser}");
            let hint = format!("move it into each branch of {chooser} that uses it");
            findings.key_problem(&node, Mistake::new(says, chooser).hint(hint));
            continue;
        }
        let Domain::Choice(alternatives) = &parameter.domain else {
            let says = "chooses the learner, so it must be a choice";
            let hint = "write a list: [{learner: ridge, alpha: [0.1, 1.0]}, …]";
            findings.problem(&node, Mistake::new(says, "a choice").hint(hint));
            continue;
        };
        for (item, alternative) in alternatives_of(&node).iter().zip(alternatives.iter()) {
            check_branch(alternative, demand, item, findings);
        }
    }
}

fn check_branch(alternative: &Alternative, demand: Demand, at: &At<'_>, findings: &mut Findings) {
    let example = "{learner: ridge, alpha: [0.1, 1.0]}";
    match alternative {
        Alternative::Value(Value::Text(text)) => {
            if let Some(learner) = check_learner(text, demand, at, findings) {
                check_bags(learner, demand, &[], at, findings);
            }
        }
        Alternative::Value(_) => {
            at.wrong::<()>(findings, "a learner", Some(format!("write {example}")));
        }
        Alternative::Space(space) => {
            let named = space.parameters.iter().find(|parameter| parameter.name == LEARNER);
            let node = at.get(LEARNER);
            match (named.map(|parameter| &parameter.domain), node) {
                (Some(Domain::Fixed(Value::Text(text))), Some(node)) => {
                    if let Some(learner) = check_learner(text, demand, &node, findings) {
                        let own = space.parameters.iter().filter(|own| own.name != LEARNER);
                        check_parameters(learner, demand, own, at, findings);
                    }
                }
                (Some(_), Some(node)) => {
                    node.wrong::<()>(
                        findings,
                        "one learner",
                        Some("write a branch for each".into()),
                    );
                }
                // What could not be read is a problem already.
                (None, Some(_)) => {}
                (_, None) => {
                    let mistake = Mistake::new("names no learner", "learner");
                    findings.problem(at, mistake.hint(format!("write {example}")));
                }
            }
        }
    }
}
