//! `search_space` in a job file: Azure's ten distributions, our `float` and `int`, lists as choices,
//! and maps inside a choice as nested spaces.

use std::collections::HashMap;

use super::{Alternative, Domain, Parameter, Scale, SearchSpace};
use crate::fields::{At, Fields, valid_name, without_underscores};
use crate::findings::{Findings, Mistake};
use crate::value::Value;
use crate::yaml::Content;

/// What `type` may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Choice,
    RandInt,
    Uniform,
    QUniform,
    LogUniform,
    QLogUniform,
    Normal,
    QNormal,
    LogNormal,
    QLogNormal,
    Float,
    Int,
}

const KINDS: &[(&str, Kind)] = &[
    ("choice", Kind::Choice),
    ("randint", Kind::RandInt),
    ("uniform", Kind::Uniform),
    ("quniform", Kind::QUniform),
    ("loguniform", Kind::LogUniform),
    ("qloguniform", Kind::QLogUniform),
    ("normal", Kind::Normal),
    ("qnormal", Kind::QNormal),
    ("lognormal", Kind::LogNormal),
    ("qlognormal", Kind::QLogNormal),
    ("float", Kind::Float),
    ("int", Kind::Int),
];

/// No bound may be more of its rounding steps away from 0 than this: floats do not tell more apart.
/// What is stored may have more.
const MAX_STEPS: f64 = 9_007_199_254_740_992.0; // 2^53
const MAX_STORED_STEPS: f64 = 1e18;

const SCALES: &[(&str, Scale)] = &[("linear", Scale::Linear), ("log", Scale::Log)];

/// Where normal distributions are cut, in standard deviations.
const CUT: f64 = 6.4;

/// No whole number beyond this is yielded.
const LARGEST_WHOLE: f64 = 9.2e18;

/// Words that YAML 1.1 takes for truth values and we take for text.
const OLD_TRUTH: &[(&str, &str)] = &[
    ("yes", "true"),
    ("on", "true"),
    ("y", "true"),
    ("no", "false"),
    ("off", "false"),
    ("n", "false"),
];

impl SearchSpace {
    /// Reads a space; `base` is what the exponents of `loguniform` and `lognormal` are taken of.
    pub(crate) fn read(at: &At<'_>, base: f64, findings: &mut Findings) -> Self {
        let Some(mut fields) = at.map(findings) else {
            return Self::default();
        };
        let mut parameters = Vec::new();
        for (key, node) in fields.take_all() {
            check_name(&node, &key.name, findings);
            if let Some(domain) = read_top(&node, base, findings) {
                parameters.push(Parameter { name: key.name.clone(), domain });
            }
        }
        Self { parameters }
    }

    /// Reads a map inside a choice: a nested space, whose values may be literals too.
    fn read_nested(at: &At<'_>, base: f64, findings: &mut Findings) -> Self {
        let Some(mut fields) = at.map(findings) else {
            return Self::default();
        };
        warn_of_expression(at, findings);
        let mut parameters = Vec::new();
        for (key, node) in fields.take_all() {
            check_nested_name(&node, &key.name, findings);
            let domain = match &node.node.content {
                Content::Map(_) | Content::List(_) => read_top(&node, base, findings),
                _ => read_literal(&node, findings).map(Domain::Fixed),
            };
            if let Some(domain) = domain {
                parameters.push(Parameter { name: key.name.clone(), domain });
            }
        }
        Self { parameters }
    }
}

fn check_name(at: &At<'_>, name: &str, findings: &mut Findings) {
    if name != valid_name(name) {
        bad_name(at, name, "letters, digits and _, a digit not first", findings);
    }
}

fn check_nested_name(at: &At<'_>, name: &str, findings: &mut Findings) {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || !name.chars().all(fits) {
        bad_name(at, name, "letters, digits, _ and -", findings);
    }
}

fn bad_name(at: &At<'_>, name: &str, allowed: &str, findings: &mut Findings) {
    let mistake =
        Mistake::new(format!("is no name for a parameter; names are made of {allowed}"), allowed);
    findings.key_problem(at, mistake.hint(format!("name it {}", valid_name(name))));
}

fn read_top(at: &At<'_>, base: f64, findings: &mut Findings) -> Option<Domain> {
    match &at.node.content {
        Content::Map(_) => read_expression(at, base, findings),
        Content::List(_) => read_choice(at, base, findings),
        Content::Null => {
            let example = "{type: float, min: 0.1, max: 1.0}";
            let mistake = Mistake::new("has no values to search", "a map with a type, or a list");
            findings.problem(at, mistake.hint(format!("write {}: {example}", at.name())));
            None
        }
        _ => {
            let found = at.node.brief();
            let says = format!("is {found}, but must be a map with a type, or a list of values");
            let mistake = Mistake::new(says, "a map with a type, or a list of values");
            findings.problem(at, mistake.hint(format!("write [{found}] for one fixed value")));
            None
        }
    }
}

fn read_expression(at: &At<'_>, base: f64, findings: &mut Findings) -> Option<Domain> {
    let mut fields = at.map(findings)?;
    let kind = fields.require("type", likely_type(&fields), findings)?;
    let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
    let Some(text) = kind.plain_text() else {
        return kind.not_a_word(&names, findings);
    };
    let known = KINDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text));
    let Some((_, kind)) = known.copied() else {
        kind.unknown_word(&text, &names, findings);
        return None;
    };
    let domain = read_kind(kind, at, &mut fields, base, findings);
    fields.finish(findings);
    domain.filter(|domain| check_q(at, domain, findings))
}

/// The type that the other keys belong to.
fn likely_type(fields: &Fields<'_>) -> &'static str {
    let likely = [
        ("values", "type: choice"),
        ("upper", "type: randint"),
        ("mu", "type: normal"),
        ("min_value", "type: uniform"),
        ("min", "type: float"),
        ("max", "type: float"),
    ];
    let found = likely.iter().find(|(key, _)| fields.has(key));
    found.map_or("type: uniform (or another distribution)", |(_, example)| example)
}

fn read_kind(
    kind: Kind,
    at: &At<'_>,
    fields: &mut Fields<'_>,
    base: f64,
    findings: &mut Findings,
) -> Option<Domain> {
    match kind {
        Kind::Choice => {
            let values = fields.require("values", "values: [1, 2, 3]", findings)?;
            read_choice(&values, base, findings)
        }
        Kind::RandInt => read_randint(fields, findings),
        Kind::Uniform | Kind::QUniform => {
            let bounds = read_bounds(fields, ("min_value", "max_value"), findings);
            let q = read_q(fields, kind == Kind::QUniform, findings);
            let ((min, max), q) = (bounds?, q?);
            let domain = Domain::Uniform { min, max, q };
            check_whole(at, &domain, findings).then_some(domain)
        }
        Kind::LogUniform | Kind::QLogUniform => {
            let bounds = read_bounds(fields, ("min_value", "max_value"), findings);
            let q = read_q(fields, kind == Kind::QLogUniform, findings);
            let ((min, max), q) = (bounds?, q?);
            let domain = Domain::LogUniform { min, max, q, base };
            let fits = check_exponents(at, &domain, findings);
            (fits && check_whole(at, &domain, findings)).then_some(domain)
        }
        Kind::Normal | Kind::QNormal => {
            let shape = read_shape(fields, findings);
            let q = read_q(fields, kind == Kind::QNormal, findings);
            let ((mu, sigma), q) = (shape?, q?);
            let domain = Domain::Normal { mu, sigma, q };
            check_whole(at, &domain, findings).then_some(domain)
        }
        Kind::LogNormal | Kind::QLogNormal => {
            let shape = read_shape(fields, findings);
            let q = read_q(fields, kind == Kind::QLogNormal, findings);
            let ((mu, sigma), q) = (shape?, q?);
            let domain = Domain::LogNormal { mu, sigma, q, base };
            let fits = check_spread(at, &domain, findings);
            (fits && check_whole(at, &domain, findings)).then_some(domain)
        }
        Kind::Float => read_float(fields, findings),
        Kind::Int => read_int(fields, findings),
    }
}

fn read_choice(at: &At<'_>, base: f64, findings: &mut Findings) -> Option<Domain> {
    let items = at.list(findings)?;
    if items.is_empty() {
        let mistake = Mistake::new("is an empty list; there is nothing to choose", "some values");
        findings.problem(at, mistake.hint("write at least one value"));
        return None;
    }
    let mut seen: HashMap<String, String> = HashMap::new();
    // The first of each text, and whether it is text.
    let mut written: HashMap<String, (String, bool)> = HashMap::new();
    let mut alternatives = Vec::new();
    let mut complete = true;
    for item in &items {
        let alternative = match &item.node.content {
            Content::Map(_) => Alternative::Space(SearchSpace::read_nested(item, base, findings)),
            _ => match read_literal(item, findings) {
                Some(value) => Alternative::Value(value),
                None => {
                    complete = false;
                    continue;
                }
            },
        };
        if let Some(first) = seen.insert(identity(&alternative), item.path.clone()) {
            let says = format!("repeats {}; {first} is the same", item.node.brief());
            let mistake = Mistake::new(says, "different values").hint("remove one of the two");
            findings.problem(item, mistake);
        }
        if let Alternative::Value(value) = &alternative {
            let text = value.to_string();
            let is_text = matches!(value, Value::Text(_));
            match written.get(&text) {
                Some((first, other)) if *other != is_text => {
                    let says = format!(
                        "is {}, as {first} is but for its type; a program cannot tell the two apart",
                        item.node.brief()
                    );
                    findings.notice(item, &says);
                }
                _ => {
                    written.insert(text, (item.path.clone(), is_text));
                }
            }
        }
        alternatives.push(alternative);
    }
    complete.then(|| Domain::Choice(alternatives.into()))
}

/// The same for alternatives that nothing could tell apart.
fn identity(alternative: &Alternative) -> String {
    match alternative {
        Alternative::Value(value @ (Value::Int(_) | Value::Float(_))) => {
            // A zero has no sign here.
            let number = value.as_f64().unwrap_or_default() + 0.0;
            // Integers above 2^53 share a float with their neighbours.
            if number.abs() < 9e15 {
                format!("number {number:?}")
            } else {
                format!("number {value}")
            }
        }
        Alternative::Value(value) => format!("{value:?}"),
        Alternative::Space(space) => format!("{space:?}"),
    }
}

fn read_literal(at: &At<'_>, findings: &mut Findings) -> Option<Value> {
    let value = at.value(findings)?;
    if let Content::Text { text, quoted: false } = &at.node.content {
        let truth = OLD_TRUTH.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        if let Some((_, truth)) = truth {
            let says = format!(": {text} is text here, not {truth}; quote it to silence this");
            findings.notice(at, &says);
        } else if let Some(plain) = without_underscores(text) {
            let says = format!(": {text} is text here; write {plain}, or quote it");
            findings.notice(at, &says);
        }
    }
    Some(value)
}

/// A map in a choice that looks like a distribution is a nested space with fixed values, as in Azure.
fn warn_of_expression(at: &At<'_>, findings: &mut Findings) {
    let kind = at.node.get("type").map(|node| &node.content);
    if let Some(Content::Text { text, .. }) = kind
        && KINDS.iter().any(|(name, _)| name == text)
    {
        let says = format!(
            "looks like a {text} distribution, but a map inside a choice is a nested space with \
             these fixed values; give the distribution a name of its own"
        );
        findings.notice(at, &says);
    }
}

fn read_randint(fields: &mut Fields<'_>, findings: &mut Findings) -> Option<Domain> {
    let upper = fields.require("upper", "upper: 10 (yields 0 to 9)", findings)?;
    let number = upper.int(findings)?;
    if number < 1 {
        let says = format!("is {number}, but must be at least 1; randint yields 0 to upper - 1");
        findings.problem(&upper, Mistake::new(says, "at least 1").hint("write upper: 10"));
        return None;
    }
    Some(Domain::RandInt { upper: number })
}

fn read_bounds(
    fields: &mut Fields<'_>,
    names: (&'static str, &'static str),
    findings: &mut Findings,
) -> Option<(f64, f64)> {
    let low = fields.require(names.0, &format!("{}: 0", names.0), findings);
    let high = fields.require(names.1, &format!("{}: 1", names.1), findings);
    let min = low.as_ref().and_then(|at| at.float(findings));
    let max = high.as_ref().and_then(|at| at.float(findings));
    let (low, min, max) = (low?, min?, max?);
    if min > max {
        let says = format!("is {}, above {} {}", low.node.brief(), names.1, number(max));
        let mistake = Mistake::new(says, format!("at most {}", number(max)));
        findings.problem(&low, mistake.hint(format!("swap {} and {}", names.0, names.1)));
        return None;
    }
    Some((min, max))
}

/// The rounding step: required and above 0 for the `q` distributions, absent for the others.
fn read_q(fields: &mut Fields<'_>, wanted: bool, findings: &mut Findings) -> Option<Option<f64>> {
    if !wanted {
        return Some(None);
    }
    let q = fields.require("q", "q: 1", findings)?;
    positive(&q, "q: 1", findings).map(Some)
}

fn read_shape(fields: &mut Fields<'_>, findings: &mut Findings) -> Option<(f64, f64)> {
    let mu = fields.require("mu", "mu: 0", findings);
    let sigma = fields.require("sigma", "sigma: 1", findings);
    let mu = mu.and_then(|at| at.float(findings));
    let sigma = sigma.and_then(|at| positive(&at, "sigma: 1", findings));
    Some((mu?, sigma?))
}

fn positive(at: &At<'_>, example: &str, findings: &mut Findings) -> Option<f64> {
    let number = at.float(findings)?;
    if number > 0.0 {
        return Some(number);
    }
    at.wrong(findings, "above 0", Some(format!("write {example}")))
}

/// Whether the rounding step is large enough beside the numbers that it rounds.
fn check_q(at: &At<'_>, domain: &Domain, findings: &mut Findings) -> bool {
    let (q, largest) = match domain {
        Domain::Uniform { min, max, q: Some(q) } => (*q, min.abs().max(max.abs())),
        Domain::LogUniform { max, q: Some(q), base, .. } => (*q, base.powf(*max)),
        Domain::Normal { mu, sigma, q: Some(q) } => (*q, mu.abs().max(*sigma)),
        Domain::LogNormal { mu, q: Some(q), base, .. } => (*q, base.powf(*mu)),
        _ => return true,
    };
    let most = if findings.is_stored { MAX_STORED_STEPS } else { MAX_STEPS };
    if largest / q <= most {
        return true;
    }
    if let Some(node) = at.get("q") {
        let exponent = (largest / most).log10().ceil();
        let wanted = format!("at least 1e{exponent}, so that it rounds such numbers");
        node.wrong::<()>(findings, &wanted, Some("write a larger q".into()));
    }
    false
}

fn check_exponents(at: &At<'_>, domain: &Domain, findings: &mut Findings) -> bool {
    let Domain::LogUniform { min, max, base, .. } = domain else {
        return true;
    };
    let name = if *base == std::f64::consts::E { "e".to_owned() } else { number(*base) };
    let (low, high) = (base.powf(*min), base.powf(*max));
    let (from, to) = (number(*min), number(*max));
    let advice = || {
        let values = if *min > 0.0 { format!("min: {from}, max: {to}") } else { "min: …".into() };
        format!(
            "bounds are exponents of {name}; for values write {{type: float, {values}, scale: log}}"
        )
    };
    if !high.is_finite() || low == 0.0 {
        let says = format!("yields {name}^{from} to {name}^{to}, which no number can hold");
        findings.problem(at, Mistake::new(says, "smaller exponents").hint(advice()));
        return false;
    }
    if (*min > 0.0 && *max <= 1.0) || *max > 50.0 {
        let says = format!(
            "yields {low:.4e} to {high:.4e}, {name} to the power of {from} and {to}; {}",
            advice()
        );
        findings.notice(at, &says);
    }
    true
}

/// A `lognormal` is cut where `normal` is, and must fit a number there.
fn check_spread(at: &At<'_>, domain: &Domain, findings: &mut Findings) -> bool {
    let Domain::LogNormal { mu, sigma, base, q } = domain else {
        return true;
    };
    let (low, high) = (mu - CUT * sigma, mu + CUT * sigma);
    let fits = base.powf(high).is_finite() && (q.is_some() || base.powf(low) > 0.0);
    if !fits {
        let name = if *base == std::f64::consts::E { "e".to_owned() } else { number(*base) };
        let says = format!("yields {name}^{low:.0} to {name}^{high:.0}, which no number can hold");
        let hint = "mu and sigma are those of the logarithm; write mu: 0, sigma: 1";
        findings.problem(at, Mistake::new(says, "a smaller mu and sigma").hint(hint));
    }
    fits
}

/// A whole `q` yields integers, which must fit 64 bits.
fn check_whole(at: &At<'_>, domain: &Domain, findings: &mut Findings) -> bool {
    let (low, high, q) = match domain {
        Domain::Uniform { min, max, q: Some(q) } => (*min, *max, *q),
        Domain::LogUniform { max, q: Some(q), base, .. } => (0.0, base.powf(*max), *q),
        Domain::Normal { mu, sigma, q: Some(q) } => (mu - CUT * sigma, mu + CUT * sigma, *q),
        Domain::LogNormal { mu, sigma, q: Some(q), base } => (0.0, base.powf(mu + CUT * sigma), *q),
        _ => return true,
    };
    let furthest = low.abs().max(high.abs()) + q / 2.0;
    if q.fract() != 0.0 || furthest < LARGEST_WHOLE {
        return true;
    }
    let says = format!("yields whole numbers up to {furthest:.1e}, which 64 bits cannot hold");
    let hint = "choose smaller numbers, or a distribution without q";
    findings.problem(at, Mistake::new(says, "numbers below 9.2e18").hint(hint));
    false
}

fn read_float(fields: &mut Fields<'_>, findings: &mut Findings) -> Option<Domain> {
    let bounds = read_bounds(fields, ("min", "max"), findings);
    let scale = read_scale(fields, findings);
    let step_at = fields.take("step", findings);
    let step = match &step_at {
        Some(at) => Some(positive(at, "step: 0.1", findings)?),
        None => None,
    };
    let ((min, max), scale) = (bounds?, scale?);
    if let (Some(at), Some(step)) = (&step_at, step)
        && max > min
    {
        if step > max - min {
            return too_long_a_step(at, number(max - min), findings);
        }
        if step < least_step(min, max) && !findings.is_stored {
            return too_short_a_step(at, number(least_step(min, max)), findings);
        }
    }
    check_log(fields, min, scale, "1e-4", findings)?;
    Some(Domain::Float { min, max, step, scale })
}

fn read_int(fields: &mut Fields<'_>, findings: &mut Findings) -> Option<Domain> {
    let low = fields.require("min", "min: 1", findings);
    let high = fields.require("max", "max: 10", findings);
    let min = low.as_ref().and_then(|at| at.int(findings));
    let max = high.as_ref().and_then(|at| at.int(findings));
    let scale = read_scale(fields, findings);
    let step_at = fields.take("step", findings);
    let step = match &step_at {
        Some(at) => at.int_in(1, i64::MAX, findings),
        None => Some(1),
    };
    let (low, min, max, step, scale) = (low?, min?, max?, step?, scale?);
    if min > max {
        let says = format!("is {min}, above max {max}");
        let mistake = Mistake::new(says, format!("at most {max}"));
        findings.problem(&low, mistake.hint("swap min and max"));
        return None;
    }
    let width = max.abs_diff(min);
    if let Some(at) = &step_at
        && step.unsigned_abs() > width
        && width > 0
    {
        return too_long_a_step(at, width.to_string(), findings);
    }
    check_log(fields, min as f64, scale, "1", findings)?;
    Some(Domain::Int { min, max, step, scale })
}

fn too_long_a_step<T>(at: &At<'_>, width: String, findings: &mut Findings) -> Option<T> {
    let hint = format!("write step: {width}, or less");
    at.wrong(findings, &format!("at most max - min, {width}"), Some(hint))
}

/// The least step whose values are all different: floats are no closer to each other at the bounds,
/// and steps that are added up are floats as well.
fn least_step(min: f64, max: f64) -> f64 {
    let furthest = min.abs().max(max.abs()).max(max - min).min(f64::MAX);
    furthest - furthest.next_down()
}

fn too_short_a_step<T>(at: &At<'_>, least: String, findings: &mut Findings) -> Option<T> {
    let hint = format!("write step: {least}, or more");
    let wanted = format!("at least {least}, so that floats can tell its values apart");
    at.wrong(findings, &wanted, Some(hint))
}

fn read_scale(fields: &mut Fields<'_>, findings: &mut Findings) -> Option<Scale> {
    match fields.take("scale", findings) {
        Some(at) => at.word(SCALES, findings),
        None => Some(Scale::Linear),
    }
}

fn check_log(
    fields: &mut Fields<'_>,
    min: f64,
    scale: Scale,
    example: &str,
    findings: &mut Findings,
) -> Option<()> {
    if scale == Scale::Linear || min > 0.0 {
        return Some(());
    }
    let at = fields.take("min", findings)?;
    let says = format!("is {}, but scale: log needs a number above 0", at.node.brief());
    let mistake = Mistake::new(says, "a number above 0");
    findings.problem(&at, mistake.hint(format!("write min: {example}, or remove scale: log")));
    None
}

/// A number as a person would write it.
pub(crate) fn number(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        format!("{number:.0}")
    } else {
        format!("{number:?}")
    }
}
