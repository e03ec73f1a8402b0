//! What other tools write for a learner's parameters and their words: read as ours, with a notice.
//!
//! `alias/names.rs` has the tables, of names and of words. A configuration keeps what the user
//! wrote; [`translated`] is what reaches the trainer. Left out are names that two tools use for
//! different things: XGBoost's `alpha` is a penalty where LightGBM's and ours is a quantile.

mod names;

use super::{Learner, LearnerParameter, NONE, ParameterKind};
use crate::value::Value;

/// What another tool's parameter is to a learner of ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Foreign {
    /// This one of ours.
    Ours(&'static str),
    /// This one of ours, once its numbers are multiplied.
    Times(&'static str, f64),
    /// This one of ours, once its numbers are added to.
    Plus(&'static str, f64),
    /// Nothing, for this reason.
    Idle(&'static str),
    /// Nothing where it is one of these words or numbers, with which the other tool does what we
    /// do anyway; otherwise a problem with this hint.
    Only(&'static [&'static str], &'static str),
}

impl Foreign {
    /// Our name, if it is one of our parameters.
    pub(super) fn own_name(self) -> Option<&'static str> {
        match self {
            Self::Ours(own) | Self::Times(own, _) | Self::Plus(own, _) => Some(own),
            Self::Idle(_) | Self::Only(..) => None,
        }
    }

    /// What a number of theirs is to us.
    pub(super) fn number(self, theirs: f64) -> f64 {
        match self {
            Self::Times(_, factor) => theirs * factor,
            Self::Plus(_, more) => theirs + more,
            Self::Ours(_) | Self::Idle(_) | Self::Only(..) => theirs,
        }
    }

    /// What a value of theirs is to us.
    pub(super) fn value(self, theirs: &Value) -> Value {
        match (self, theirs) {
            (Self::Times(..), Value::Int(number)) => Value::Float(self.number(*number as f64)),
            (Self::Plus(_, more), Value::Int(number)) => {
                Value::Int(number.saturating_add(more as i64))
            }
            (Self::Times(..) | Self::Plus(..), Value::Float(number)) => {
                Value::Float(self.number(*number))
            }
            _ => theirs.clone(),
        }
    }

    /// How it is read: `is read as …`.
    pub(super) fn says(self) -> Option<String> {
        match self {
            Self::Ours(own) => Some(format!("is read as {own}, our name for it")),
            Self::Times(own, factor) => Some(format!("is read as {own}, {factor} times as much")),
            Self::Plus(own, more) => Some(format!("is read as {own}, {more} more")),
            Self::Idle(why) => Some(format!("has no meaning here: {why}")),
            Self::Only(..) => None,
        }
    }
}

/// What another tool's name means; none for our own names, and for those that nobody has.
pub(super) fn foreign(learner: Learner, name: &str) -> Option<Foreign> {
    if learner.parameters().iter().any(|own| own.name == name) {
        return None;
    }
    let mut tables = names::of(learner).into_iter().flatten();
    tables.find(|(names, _)| names.contains(&name)).map(|(_, foreign)| *foreign)
}

/// Whether this is one of these words or numbers.
pub(super) fn is_one_of(value: &Value, words: &[&str]) -> bool {
    words.iter().any(|word| match value {
        Value::Text(text) => text.eq_ignore_ascii_case(word),
        Value::Bool(value) => *word == if *value { "true" } else { "false" },
        Value::Int(_) | Value::Float(_) => {
            word.parse().is_ok_and(|number: f64| value.as_f64() == Some(number))
        }
    })
}

/// Our value for another tool's of one of our parameters: its word for one of ours, or a number that
/// means no limit.
pub(super) fn own_value(parameter: &LearnerParameter, theirs: &Value) -> Option<Value> {
    let word = |word: &str| Some(Value::Text(word.to_owned()));
    match theirs {
        // scikit-learn has no limit there.
        Value::Text(text) if matches!(parameter.kind, ParameterKind::Share(_)) => {
            let no_limit = parameter.kind.no_limit()?;
            text.eq_ignore_ascii_case(NONE).then(|| word(no_limit))?
        }
        Value::Text(text) if parameter.name == "num_leaves" => {
            text.eq_ignore_ascii_case(NONE).then(|| most(parameter))?
        }
        Value::Text(text) => {
            let known = match &parameter.kind {
                ParameterKind::Word(known) => *known,
                ParameterKind::WordByTask { classes, numbers } => {
                    &[*classes, *numbers].concat() as &[&str]
                }
                _ => return None,
            };
            let lower = text.to_ascii_lowercase();
            if let Some(own) = known.iter().find(|own| **own == lower) {
                return if lower == *text { None } else { word(own) };
            }
            let own = names::word(parameter.name, &lower)?;
            known.contains(&own).then_some(own).and_then(word)
        }
        Value::Float(number) if is_whole(*number) && is_counted(&parameter.kind) => {
            own_value(parameter, &Value::Int(*number as i64))
        }
        // LightGBM has no limit at -1, and XGBoost none at 0.
        Value::Int(-1 | 0) if parameter.name == "early_stopping_rounds" => word(NONE),
        Value::Int(-1) if matches!(parameter.kind, ParameterKind::IntOrNone(..)) => word(NONE),
        Value::Int(0) if parameter.kind == ParameterKind::IntOrNone(1, 64) => word(NONE),
        // XGBoost has no limit at 0.
        Value::Int(0) if parameter.name == "num_leaves" => most(parameter),
        // LightGBM has no minimum at 0, and no leaf is empty anyway.
        Value::Int(0) if names::ROWS_OF_A_LEAF.contains(&parameter.name) => Some(Value::Int(1)),
        // LightGBM and XGBoost have more of them where they are asked to.
        Value::Int(bins) if parameter.name == "max_bin" => match parameter.kind {
            ParameterKind::Int(_, most) if *bins > most => Some(Value::Int(most)),
            _ => None,
        },
        _ => None,
    }
}

/// The most that a parameter may be.
fn most(parameter: &LearnerParameter) -> Option<Value> {
    match parameter.kind {
        ParameterKind::Int(_, most) => Some(Value::Int(most)),
        _ => None,
    }
}

/// Whether this is another tool's word for what is done where the parameter is left out: scikit-learn's
/// `auto`, sqrt of the columns for classes and all of them for numbers, and its `none`, all rows.
pub(super) fn is_left_out(parameter: &LearnerParameter, theirs: &Value) -> bool {
    let Value::Text(text) = theirs else { return false };
    let is_share = matches!(parameter.kind, ParameterKind::Share(_));
    let is_auto = is_share && parameter.default.is_none() && text.eq_ignore_ascii_case("auto");
    is_auto || parameter.name == "max_samples" && text.eq_ignore_ascii_case(NONE)
}

fn is_whole(number: f64) -> bool {
    number.fract() == 0.0 && number.abs() < 9e15
}

fn is_counted(kind: &ParameterKind) -> bool {
    matches!(kind, ParameterKind::Int(..) | ParameterKind::IntOrNone(..))
}

/// What to write instead of another tool's word that has no counterpart here.
pub(super) fn instead(parameter: &LearnerParameter, theirs: &str) -> Option<String> {
    let theirs = theirs.to_ascii_lowercase();
    if parameter.name == "objective"
        && let Some((word, more)) = theirs.split_once(':')
        && let Some(hint) = apart(word, more)
    {
        return Some(hint);
    }
    names::instead(parameter.name, &theirs).map(str::to_owned)
}

/// CatBoost's `Huber:delta=2` in two parameters.
fn apart(word: &str, more: &str) -> Option<String> {
    let (key, number) = more.split_once('=')?;
    let own = match (word, key) {
        ("huber", "delta") | ("quantile", "alpha") => "alpha",
        ("tweedie", "variance_power") => "tweedie_variance_power",
        _ => return None,
    };
    number.parse::<f64>().is_ok().then(|| format!("write {word}, and {own}: [{number}] beside it"))
}

/// A parameter of a configuration with the name and the value that the learner has for it; none
/// where it means nothing.
pub(super) fn translated(learner: Learner, name: &str, value: &Value) -> Option<(String, Value)> {
    let (name, value) = match foreign(learner, name) {
        Some(foreign) => (foreign.own_name()?, foreign.value(value)),
        None => (name, value.clone()),
    };
    let Some(parameter) = learner.parameter(name) else { return Some((name.to_owned(), value)) };
    if is_left_out(&parameter, &value) {
        return None;
    }
    let own = own_value(&parameter, &value);
    Some((name.to_owned(), own.unwrap_or(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_means_one_thing_and_hides_none_of_ours() {
        for learner in Learner::ALL {
            let mut seen = Vec::new();
            for (theirs, foreign) in names::of(*learner).into_iter().flatten() {
                if let Some(own) = foreign.own_name() {
                    assert!(learner.parameter(own).is_some(), "{}: {own}", learner.name());
                }
                for name in *theirs {
                    assert!(!seen.contains(name), "{}: {name}", learner.name());
                    seen.push(*name);
                }
            }
        }
        let own = |learner, name| foreign(learner, name).and_then(Foreign::own_name);
        assert_eq!(own(Learner::GradientBoosting, "eta"), Some("learning_rate"));
        assert_eq!(own(Learner::Ridge, "lambda"), None);
        // The width of its kernel.
        assert_eq!(foreign(Learner::Svm, "gamma"), None);
    }

    #[test]
    fn values_are_what_they_mean_here() {
        let theirs = |name: &str, json: &str| {
            let value: Value = serde_json::from_str(json).unwrap();
            let read = translated(Learner::GradientBoosting, name, &value);
            read.map(|(name, value)| format!("{name}={value}"))
        };
        let checks = [
            ("max_depth", "-1", Some("max_depth=none")),
            ("depth", "0", Some("max_depth=none")),
            ("depth", "6", Some("max_depth=6")),
            ("gamma", "0.5", Some("min_split_gain=1.0")),
            ("min_split_loss", "3", Some("min_split_gain=6.0")),
            ("min_gain_to_split", "3", Some("min_split_gain=3")),
            ("border_count", "254", Some("max_bin=255")),
            ("border_count", "255", Some("max_bin=255")),
            ("max_bin", "256", Some("max_bin=255")),
            ("max_bin", "1023.0", Some("max_bin=255")),
            ("max_bin", "63", Some("max_bin=63")),
            ("min_data_in_leaf", "0", Some("min_child_samples=1")),
            ("min_child_samples", "0", Some("min_child_samples=1")),
            ("objective", "\"regression_l1\"", Some("objective=absolute")),
            ("objective", "\"reg:squarederror\"", Some("objective=squared")),
            ("loss_function", "\"RMSE\"", Some("objective=squared")),
            ("objective", "\"binary\"", Some("objective=log_loss")),
            ("objective", "\"multi:softprob\"", Some("objective=log_loss")),
            ("objective", "\"poisson\"", Some("objective=poisson")),
            ("objective", "\"count:poisson\"", Some("objective=poisson")),
            ("objective", "\"lambdarank\"", Some("objective=lambdarank")),
            ("l2_leaf_reg", "3", Some("reg_lambda=3")),
            ("early_stopping_round", "0", Some("early_stopping_rounds=none")),
            ("max_leaves", "0", Some("num_leaves=131072")),
            ("max_leaf_nodes", "\"None\"", Some("num_leaves=131072")),
            ("n_jobs", "4", None),
            ("tree_method", "\"hist\"", None),
        ];
        for (name, json, expected) in checks {
            assert_eq!(theirs(name, json).as_deref(), expected, "{name}: {json}");
        }
        let of =
            |learner, word: &str| translated(learner, "max_features", &Value::Text(word.into()));
        let all = Some(("max_features".to_owned(), Value::Text("all".into())));
        assert_eq!(of(Learner::RandomForest, "None"), all);
        assert_eq!(of(Learner::DecisionTree, "none"), all);
        assert_eq!(of(Learner::ExtraTrees, "auto"), None);
        let none = Value::Text("none".into());
        assert_eq!(translated(Learner::RandomForest, "max_samples", &none), None);
    }

    #[test]
    fn what_has_no_counterpart_says_what_to_write() {
        let hint = |learner: Learner, name: &str, word: &str| {
            instead(&learner.parameter(name).unwrap(), word)
        };
        let objective = |word: &str| hint(Learner::GradientBoosting, "objective", word);
        let huber = objective("Huber:delta=2.5");
        assert_eq!(huber.as_deref(), Some("write huber, and alpha: [2.5] beside it"));
        let tweedie = objective("Tweedie:variance_power=1.2");
        let expected = "write tweedie, and tweedie_variance_power: [1.2] beside it";
        assert_eq!(tweedie.as_deref(), Some(expected));
        assert_eq!(objective("Huber:delta=wide"), None);
        assert_eq!(objective("reg:squarederror"), None);
        let pseudo = objective("reg:pseudohubererror");
        assert_eq!(pseudo.as_deref(), Some("write huber, and alpha for what huber_slope was"));
        let auto = hint(Learner::DecisionTree, "max_features", "auto");
        assert_eq!(auto.as_deref(), Some("write sqrt for classes, or all for numbers"));
        let auto = hint(Learner::Mlp, "batch_size", "auto");
        assert_eq!(auto.as_deref(), Some("write 200, or leave it out, which is 256"));
    }
}
