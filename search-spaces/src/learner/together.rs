//! Parameters of a learner that one by one are fine and together are not.

use super::check::{Demand, alternatives_of, bound, reach};
use super::{Learner, alias};
use crate::fields::At;
use crate::findings::{Findings, Mistake};
use crate::space::{Alternative, Domain, Parameter};
use crate::value::Value;

/// What a quantile may be.
const QUANTILES: &str = "a number above 0 and below 1";

/// Extra trees see all rows unless told otherwise, and leave none for out-of-bag scores.
pub(crate) fn check_bags(
    learner: Learner,
    demand: Demand,
    parameters: &[&Parameter],
    at: &At<'_>,
    findings: &mut Findings,
) {
    let own = parameters.iter().find(|own| own.name == "bootstrap");
    let has_bags = match own {
        Some(own) => own.domain.unit(&Value::Bool(true)).is_some(),
        None => learner == Learner::RandomForest,
    };
    if demand.out_of_bag && learner.scores_out_of_bag() && !has_bags {
        let says = format!(
            "lets {} see all rows, which leaves none out of a bag for n_cross_validations: \
             out_of_bag",
            learner.name()
        );
        let mistake = Mistake::new(says, "bootstrap");
        findings.problem(at, mistake.hint("write bootstrap: [true]"));
    }
}

/// Numbers that only some objectives of boosting read. `space` is where they stand.
pub(super) fn check_objective(
    learner: Learner,
    parameters: &[&Parameter],
    space: &At<'_>,
    findings: &mut Findings,
) {
    if learner != Learner::GradientBoosting {
        return;
    }
    let known = |own: &Parameter| learner.own_name(&own.name).unwrap_or(&own.name).to_owned();
    let objective = parameters.iter().find(|own| known(own) == "objective");
    let may_be = |words: &[&str]| {
        objective.is_some_and(|own| {
            let mut all = values(&own.domain).map(|own_value| {
                alias::translated(learner, &own.name, own_value).map(|(_, value)| value)
            });
            all.any(|own| matches!(own, Some(Value::Text(word)) if words.contains(&&*word)))
        })
    };
    for own in parameters {
        let readers: &[&str] = match known(own).as_str() {
            "alpha" => &["quantile", "huber"],
            "tweedie_variance_power" => &["tweedie"],
            _ => continue,
        };
        let Some(at) = space.get(&own.name).filter(|_| !may_be(readers)) else { continue };
        let readers = readers.join(" or ");
        let says = format!("does nothing without objective: {readers}");
        match own.name.as_str() {
            // XGBoost's is a penalty.
            "alpha" => {
                let mistake = Mistake::new(says, format!("objective: {readers} beside it"));
                let hint = "write reg_alpha for the absolute penalty that XGBoost calls alpha";
                findings.key_problem(&at, mistake.hint(hint));
            }
            _ => findings.notice(&at, &says),
        }
    }
    check_quantile(learner, parameters, space, findings);
}

/// Quantiles lie between 0 and 1: `alpha` where `objective` may be one.
fn check_quantile(
    learner: Learner,
    parameters: &[&Parameter],
    space: &At<'_>,
    findings: &mut Findings,
) {
    let named = |known: &str| {
        let is_named =
            |own: &&&Parameter| learner.own_name(&own.name).unwrap_or(&own.name) == known;
        parameters.iter().find(is_named)
    };
    let (Some(objective), Some(alpha)) = (named("objective"), named("alpha")) else { return };
    let is_quantile = |value: &Value| {
        let own = alias::translated(learner, &objective.name, value);
        matches!(own, Some((_, Value::Text(word))) if word == "quantile")
    };
    let Some(at) = space.get(&alpha.name).filter(|_| values(&objective.domain).any(is_quantile))
    else {
        return;
    };
    let mut refuse = |at: &At<'_>, found: String| {
        let says = format!("{found}, but with objective: quantile it must be {QUANTILES}");
        findings.problem(at, Mistake::new(says, QUANTILES).hint("write 0.9 for the 90 % quantile"));
    };
    let is_beyond = |value: &Value| value.as_f64().is_some_and(|level| level >= 1.0);
    match &alpha.domain {
        Domain::Fixed(value) if is_beyond(value) => refuse(&at, format!("is {}", at.node.brief())),
        Domain::Fixed(_) => {}
        Domain::Choice(alternatives) => {
            for (item, alternative) in alternatives_of(&at).iter().zip(alternatives.iter()) {
                if matches!(alternative, Alternative::Value(value) if is_beyond(value)) {
                    refuse(item, format!("is {}", item.node.brief()));
                }
            }
        }
        domain => {
            let (low, high) = reach(domain);
            if high >= 1.0 {
                refuse(&at, format!("yields {} to {}", bound(low), bound(high)));
            }
        }
    }
}

/// The values that are written out.
fn values(domain: &Domain) -> impl Iterator<Item = &Value> {
    let (fixed, listed) = match domain {
        Domain::Fixed(value) => (Some(value), None),
        Domain::Choice(alternatives) => (None, Some(alternatives)),
        _ => (None, None),
    };
    let listed = listed.into_iter().flat_map(|choice| choice.iter());
    let listed = listed.filter_map(|alternative| match alternative {
        Alternative::Value(value) => Some(value),
        Alternative::Space(_) => None,
    });
    fixed.into_iter().chain(listed)
}
