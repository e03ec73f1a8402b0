//! Configurations as a user writes them: in `points_to_evaluate`, or for a study that runs. Each may
//! leave parameters open. What does not fit the space is a problem at its place.

use crate::configuration::{Configuration, Setting};
use crate::fields::{At, listed, one_of};
use crate::findings::{Findings, Mistake};
use crate::nearest::nearest;
use crate::problem::{Notice, Problems};
use crate::space::{Alternative, Domain, SearchSpace, branches};
use crate::yaml::Content;
use crate::{Job, Value};

/// The most configurations that are read at once.
pub const MAX_POINTS: usize = 10_000;

/// How many values of a choice a problem lists.
const LISTED: usize = 12;

/// The configurations of a document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    /// Each once.
    pub configurations: Vec<Configuration>,
    /// For each that is written its place in `configurations`.
    places: Vec<usize>,
    /// Those that repeat others, in words.
    pub notices: Vec<Notice>,
}

impl Points {
    /// The numbers of all that are written, of those of `configurations`.
    #[must_use]
    pub fn numbers(&self, numbers: &[u32]) -> Vec<u32> {
        self.places.iter().filter_map(|&place| numbers.get(place).copied()).collect()
    }
}

/// Reads the list under `key` of a JSON or YAML document for a study with this space, or the list
/// that the document is. Those that repeat others are tried once, with a notice.
pub fn read_document(
    file: &str,
    text: &str,
    key: &str,
    space: &SearchSpace,
) -> Result<Points, Problems> {
    let job = Job::read(file, text)?;
    let mut findings = Findings::new(file, &[]);
    let root = At::root(&job.document);
    let points = match (&root.node.content, root.get(key)) {
        (Content::Map(_), Some(at)) => read(&at, space, &mut findings),
        (Content::List(_), _) => read(&root, space, &mut findings),
        _ => {
            let mistake = Mistake::new(format!("has no list of {key}"), "a list of configurations");
            findings.problem(&root, mistake.hint(format!("write {key}: [{{x: 1}}]")));
            Points::default()
        }
    };
    let mut problems = job.mistakes;
    problems.append(&mut findings.problems);
    let notices = findings.notices;
    if problems.is_empty() { Ok(Points { notices, ..points }) } else { Err(Problems(problems)) }
}

/// Reads `points_to_evaluate`. Notices are among the findings.
pub(crate) fn read(at: &At<'_>, space: &SearchSpace, findings: &mut Findings) -> Points {
    let mut points = Points::default();
    let Some(items) = at.list(findings) else { return points };
    if items.len() > MAX_POINTS {
        let wanted = format!("at most {MAX_POINTS} configurations");
        let says = format!("has {}, but there may be {wanted}", items.len());
        findings.problem(at, Mistake::new(says, wanted).hint("leave some of them out"));
        return points;
    }
    let mut known = std::collections::HashMap::new();
    for item in &items {
        let Some(point) = read_point(item, space, findings) else { continue };
        let next = points.configurations.len();
        let (place, first) =
            known.entry(point.to_json()).or_insert_with(|| (next, item.path.clone()));
        points.places.push(*place);
        if *place == next {
            points.configurations.push(point);
        } else {
            findings.notice(item, &format!("is the same as {first}, and is tried once"));
        }
    }
    points
}

/// One configuration, whole or in part, its settings in the order of the space.
fn read_point(at: &At<'_>, space: &SearchSpace, findings: &mut Findings) -> Option<Configuration> {
    let Content::Map(_) = &at.node.content else {
        let hint = "write the parameters and their values, as in {x: 1}".to_owned();
        return at.wrong(findings, "a map of parameters to values", Some(hint));
    };
    let before = findings.problems.len();
    let mut settings = Vec::new();
    for entry in at.entries() {
        let name = entry.key.map_or("", |key| key.name.as_str());
        match space.parameters.iter().position(|parameter| parameter.name == name) {
            Some(place) => {
                let setting = read_setting(&entry, &space.parameters[place].domain, findings);
                settings.extend(setting.map(|setting| (place, setting)));
            }
            None => refuse_name(&entry, name, space, findings),
        }
    }
    settings.sort_by_key(|(place, _)| *place);
    let named = settings
        .into_iter()
        .map(|(place, setting)| (space.parameters[place].name.clone(), setting));
    let point = Configuration(named.collect());
    (findings.problems.len() == before).then_some(point)
}

fn refuse_name(at: &At<'_>, name: &str, space: &SearchSpace, findings: &mut Findings) {
    let names: Vec<&str> = space.parameters.iter().map(|own| own.name.as_str()).collect();
    let list = listed(&names);
    let says = format!("is no parameter of this space, which has {list}");
    let inner = name.split_once('.').filter(|(outer, _)| names.contains(outer));
    let hint = match (inner, nearest(name, names.iter().copied())) {
        (Some((outer, inner)), _) => format!("write it as {outer}: {{{inner}: …}}"),
        (None, Some(near)) => format!("did you mean {near}?"),
        (None, None) => "remove it, or add it to search_space".to_owned(),
    };
    findings.key_problem(at, Mistake::new(says, list).hint(hint));
}

fn read_setting(at: &At<'_>, domain: &Domain, findings: &mut Findings) -> Option<Setting> {
    if let Content::Map(_) = &at.node.content {
        return read_branch(at, domain, findings);
    }
    let value = at.value(findings)?;
    if let Some(value) = domain.settled(&value) {
        return Some(Setting::Value(value));
    }
    // A text in quotes may be what a number of the space was written as, and the reverse.
    let same = match domain {
        Domain::Choice(_) => domain.nearest(&value),
        _ => None,
    };
    if let Some(value) = same {
        return Some(Setting::Value(value));
    }
    let allowed = allowed(domain);
    let hint = nearest_value(domain, &value).map(|near| format!("write {near}"));
    at.wrong(findings, &allowed, hint)
}

/// The branch that a map belongs to, or what keeps it from belonging to the likeliest one.
fn read_branch(at: &At<'_>, domain: &Domain, findings: &mut Findings) -> Option<Setting> {
    let mut likeliest: Option<Findings> = None;
    for (_, space) in branches(domain) {
        let mut found = findings.empty();
        match read_point(at, space, &mut found) {
            Some(nested) => return Some(Setting::Nested(nested)),
            None => {
                let n_problems = found.problems.len();
                if likeliest.as_ref().is_none_or(|other| n_problems < other.problems.len()) {
                    likeliest = Some(found);
                }
            }
        }
    }
    match likeliest {
        Some(found) => findings.problems.extend(found.problems),
        None => {
            let allowed = allowed(domain);
            at.wrong::<()>(findings, &allowed, None);
        }
    }
    None
}

/// What a parameter may be set to, in words.
fn allowed(domain: &Domain) -> String {
    let plain = |number: f64| match number.fract() == 0.0 && number.abs() < 1e15 {
        true => format!("{number:.0}"),
        false => Value::Float(number).to_string(),
    };
    let (low, high) = match (domain, domain.extent()) {
        (Domain::Choice(choice), _) => {
            let words = choice.iter().map(|alternative| match alternative {
                Alternative::Value(value) => value.to_string(),
                Alternative::Space(_) => "a map of a branch's parameters".to_owned(),
            });
            let mut words: Vec<String> = words.collect();
            words.dedup();
            let n_more = words.len().saturating_sub(LISTED);
            words.truncate(LISTED);
            if n_more > 0 {
                words.push(format!("{n_more} more"));
            }
            return one_of(&words.iter().map(String::as_str).collect::<Vec<_>>());
        }
        (Domain::Fixed(value), _) => return value.to_string(),
        (Domain::Normal { q: Some(q), .. } | Domain::LogNormal { q: Some(q), .. }, _) => {
            return format!("a multiple of {}", plain(*q));
        }
        (_, None) => return "a number".to_owned(),
        (_, Some((low, high))) => (plain(low), plain(high)),
    };
    match domain {
        Domain::RandInt { .. } | Domain::Int { step: 1, .. } => {
            format!("a whole number from {low} to {high}")
        }
        Domain::Int { step, .. } => {
            format!("a whole number from {low} to {high} in steps of {step}")
        }
        Domain::Float { step: Some(step), .. } => {
            format!("a number from {low} to {high} in steps of {}", plain(*step))
        }
        Domain::Uniform { q: Some(q), .. } | Domain::LogUniform { q: Some(q), .. } => {
            format!("a multiple of {} from {low} to {high}", plain(*q))
        }
        _ => format!("a number from {low} to {high}"),
    }
}

/// The value that was perhaps meant.
fn nearest_value(domain: &Domain, value: &Value) -> Option<String> {
    if let Domain::Choice(choice) = domain {
        let words: Vec<String> = choice
            .iter()
            .filter_map(|alternative| match alternative {
                Alternative::Value(value) => Some(value.to_string()),
                Alternative::Space(_) => None,
            })
            .take(1_000)
            .collect();
        let near = nearest(&value.to_string(), words.iter().map(String::as_str));
        return near.map(str::to_owned);
    }
    let within = match (domain.extent(), value.as_f64()) {
        (Some((low, high)), Some(number)) if low <= high => Value::Float(number.clamp(low, high)),
        _ => value.clone(),
    };
    domain.nearest(&within).map(|near| near.to_string())
}
