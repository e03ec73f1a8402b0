//! What has to hold of a trial for it to count: `latency_ms <= 20`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fields::At;
use crate::findings::{Findings, Mistake};
use crate::objective::{Measurer, measure_named};
use crate::yaml::brief_text;

/// How many bounds a study may have.
pub const MAX_CONSTRAINTS: usize = 16;

/// On which side of the bound a metric has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// The bound or less.
    #[serde(rename = "<=")]
    AtMost,
    /// Less than the bound.
    #[serde(rename = "<")]
    Below,
    /// The bound or more.
    #[serde(rename = ">=")]
    AtLeast,
    /// More than the bound.
    #[serde(rename = ">")]
    Above,
}

impl Side {
    /// As it is written.
    pub fn sign(self) -> &'static str {
        match self {
            Self::AtMost => "<=",
            Self::Below => "<",
            Self::AtLeast => ">=",
            Self::Above => ">",
        }
    }
}

/// A bound on a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Constraint {
    /// The metric's name, as in an objective.
    pub metric: String,
    /// Where it has to be.
    pub side: Side,
    /// The bound, which is finite.
    pub bound: f64,
}

impl fmt::Display for Constraint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Very large and very small bounds are long without an exponent.
        let plain = self.bound.to_string();
        let bound = if plain.len() <= 17 { plain } else { format!("{:?}", self.bound) };
        write!(formatter, "{} {} {bound}", self.metric, self.side.sign())
    }
}

impl Constraint {
    /// How far a value is on the wrong side, as a share of the bound where that is not 0; 0 on the
    /// right side. Finite for a finite value.
    pub fn violation(&self, value: f64) -> f64 {
        let (excess, is_kept) = match self.side {
            Side::AtMost => (value - self.bound, value <= self.bound),
            Side::Below => (value - self.bound, value < self.bound),
            Side::AtLeast => (self.bound - value, value >= self.bound),
            Side::Above => (self.bound - value, value > self.bound),
        };
        if is_kept {
            return 0.0;
        }
        let size = if self.bound == 0.0 { 1.0 } else { self.bound.abs() };
        // Sums of several stay finite, and a value on a bound that it must not reach has broken it.
        (excess / size).clamp(f64::MIN_POSITIVE, 1e300)
    }

    /// How far a value is beyond the bound: below 0 where there is room left, on the scale of
    /// `violation`, which it is on the wrong side.
    pub fn excess(&self, value: f64) -> f64 {
        let violation = self.violation(value);
        if violation > 0.0 {
            return violation;
        }
        let size = if self.bound == 0.0 { 1.0 } else { self.bound.abs() };
        -((value - self.bound).abs() / size).min(1e300)
    }

    /// Whether no value keeps both.
    fn excludes(&self, other: &Self) -> bool {
        let (upper, lower) = match (self.is_upper(), other.is_upper()) {
            (true, false) => (self, other),
            (false, true) => (other, self),
            _ => return false,
        };
        let is_strict = upper.side == Side::Below || lower.side == Side::Above;
        self.metric == other.metric
            && (upper.bound < lower.bound || is_strict && upper.bound == lower.bound)
    }

    fn is_upper(&self) -> bool {
        matches!(self.side, Side::AtMost | Side::Below)
    }

    /// Reads `constraints`: a list of texts, or one.
    pub(crate) fn read_all(
        at: &At<'_>,
        measurer: Measurer,
        findings: &mut Findings,
    ) -> Option<Vec<Self>> {
        let items = at.one_or_more();
        if items.len() > MAX_CONSTRAINTS {
            let says = format!("lists {} constraints", items.len());
            let allowed = format!("at most {MAX_CONSTRAINTS}");
            let hint = format!("keep the {MAX_CONSTRAINTS} that matter");
            findings.problem(at, Mistake::new(says, allowed).hint(hint));
            return None;
        }
        let mut read: Vec<Self> = Vec::new();
        let mut are_read = true;
        for item in &items {
            let Some(constraint) = Self::read(item, measurer, findings) else {
                are_read = false;
                continue;
            };
            if let Some(other) = read.iter().find(|other| **other == constraint) {
                let mistake = Mistake::new(format!("says {other} again"), "each bound once");
                findings.problem(item, mistake.hint("remove one of the two"));
                are_read = false;
            } else if let Some(other) = read.iter().find(|other| other.excludes(&constraint)) {
                let says = format!("is {constraint}, which no value keeps together with {other}");
                let mistake = Mistake::new(says, "bounds that some value keeps");
                findings.problem(item, mistake.hint("mend one of the two"));
                are_read = false;
            } else {
                read.push(constraint);
            }
        }
        are_read.then_some(read)
    }

    fn read(at: &At<'_>, measurer: Measurer, findings: &mut Findings) -> Option<Self> {
        const WANTED: &str = "METRIC <= NUMBER (or <, >=, >)";
        let Some(text) = at.plain_text() else {
            let hint = "write \"latency_ms <= 20\"".into();
            return at.wrong(findings, WANTED, Some(hint));
        };
        let mut refuse = |says: String, hint: String| {
            findings.problem(at, Mistake::new(says, WANTED).hint(hint));
            None
        };
        let brief = brief_text(&text);
        let Some((metric, side, bound)) = parts(&text) else {
            let metric = text.split(['=', '!']).next().map(str::trim).unwrap_or_default();
            let is_name = |letter: char| letter.is_alphanumeric() || "_-.:/ ".contains(letter);
            let is_named = metric.chars().all(is_name)
                && metric.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
                && !matches!(metric, "true" | "false");
            let metric = if is_named { metric } else { "latency_ms" };
            let says = format!("is {brief}, which sets no bound");
            return refuse(says, format!("write \"{metric} <= NUMBER\" or \"{metric} >= NUMBER\""));
        };
        let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
        let Some(found) = number(bound) else {
            let hint = match (number(metric), parts(bound)) {
                (Some(_), Some((named, other, end))) => format!(
                    "write two bounds: \"{named} {} {metric}\" and \"{named} {} {end}\"",
                    turned(side).sign(),
                    other.sign()
                ),
                (Some(_), None) if !bound.is_empty() => {
                    format!("write the metric first: \"{bound} {} {metric}\"", turned(side).sign())
                }
                _ => format!("write \"{metric} {} 20\"", side.sign()),
            };
            return refuse(format!("is {brief}, whose bound is no number"), hint);
        };
        if metric.is_empty() {
            return refuse(format!("is {brief}, which names no metric"), {
                format!("write \"latency_ms {} {bound}\"", side.sign())
            });
        }
        let metric = match measurer {
            Measurer::Command => metric.to_owned(),
            Measurer::Trainer(task) => measure_named(metric, at, task, findings)?.name().to_owned(),
        };
        Some(Self { metric, side, bound: found })
    }
}

/// The metric, the side and the bound as written.
fn parts(text: &str) -> Option<(&str, Side, &str)> {
    let at = text.find(['<', '>'])?;
    let (metric, rest) = text.split_at(at);
    let signs = [Side::AtMost, Side::AtLeast, Side::Below, Side::Above];
    let side = signs.into_iter().find(|side| rest.starts_with(side.sign()))?;
    // `=<` and `!>` are no signs of ours, nor is the first half of them a metric's.
    if metric.trim_end().ends_with(['=', '!']) {
        return None;
    }
    Some((metric.trim(), side, rest[side.sign().len()..].trim()))
}

/// The side with both ends changed.
fn turned(side: Side) -> Side {
    match side {
        Side::AtMost => Side::AtLeast,
        Side::Below => Side::Above,
        Side::AtLeast => Side::AtMost,
        Side::Above => Side::Below,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, value: f64, expected: f64) {
        let (metric, side, bound) = parts(text).unwrap();
        let constraint =
            Constraint { metric: metric.to_owned(), side, bound: bound.parse().unwrap() };
        assert_eq!(constraint.violation(value), expected, "{text} at {value}");
        let written = constraint.to_string();
        let (metric, side, bound) = parts(&written).unwrap();
        assert_eq!((metric, side), (constraint.metric.as_str(), constraint.side));
        assert_eq!(bound.parse(), Ok(constraint.bound));
    }

    #[test]
    fn a_violation_is_a_share_of_the_bound() {
        check("ms <= 20", 20.0, 0.0);
        check("ms<=20", 30.0, 0.5);
        check("ms < 20", 20.0, f64::MIN_POSITIVE);
        check("r2 >= 0.5", 0.25, 0.5);
        check("r2 > 0", 0.0, f64::MIN_POSITIVE);
        check("r2 > 0", -3.0, 3.0);
        check("loss >= -2", -3.0, 0.5);
        check("loss <= 1e-300", 1e300, 1e300);
    }

    #[test]
    fn half_a_sign_is_no_metrics() {
        for text in ["ms =< 20", "ms !> 20", "ms == 20", "ms"] {
            assert!(parts(text).is_none(), "{text}");
        }
    }
}
