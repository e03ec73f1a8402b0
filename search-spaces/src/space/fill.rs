//! Configurations in part, and those of other spaces: what of them a space holds, and how the rest
//! is filled in.

use std::collections::BTreeSet;

use super::cube::branches;
use super::{Alternative, Domain, Parameter, SearchSpace};
use crate::configuration::{Configuration, Setting};
use crate::value::Value;

/// What of a foreign configuration a space can take.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adopted {
    /// The parameters that it sets, those of the chosen branches included.
    pub part: Configuration,
    /// Parameters of the space that it does not set, by their dotted paths.
    pub missing: Vec<String>,
    /// What it sets that the space does not know, by dotted paths.
    pub unknown: Vec<String>,
    /// What it sets to something that the space does not hold. With any of these it cannot be tried.
    pub outside: Vec<String>,
}

impl SearchSpace {
    /// The configuration that this one is a part of, whatever it leaves open drawn: `draw` gives
    /// numbers in [0, 1). None where it sets what the space does not hold.
    pub fn fill(
        &self,
        part: &Configuration,
        draw: &mut dyn FnMut() -> f64,
    ) -> Option<Configuration> {
        let is_known = |name: &str| self.parameters.iter().any(|own| own.name == name);
        if !part.0.iter().all(|(name, _)| is_known(name)) {
            return None;
        }
        let settings = self.parameters.iter().map(|parameter| {
            let set = part.0.iter().find(|(name, _)| *name == parameter.name);
            let setting = parameter.domain.fill(set.map(|(_, setting)| setting), draw)?;
            Some((parameter.name.clone(), setting))
        });
        settings.collect::<Option<Vec<_>>>().map(Configuration)
    }

    /// What of these settings, each under its dotted path, is of use in this space. Numbers that
    /// fall between two values of it become the nearer one.
    pub fn adopt(&self, leaves: &[(String, Value)]) -> Adopted {
        let mut adopted = Adopted::default();
        let mut used = BTreeSet::new();
        adopted.part = self.adopt_under("", leaves, &mut used, &mut adopted);
        let is_left = |path: &&String| !used.contains(path.as_str());
        adopted.unknown = leaves.iter().map(|(path, _)| path).filter(is_left).cloned().collect();
        adopted
    }

    /// Whether some choice at this dotted path has the very word among its values.
    pub fn has_word(&self, path: &str, word: &str) -> bool {
        self.parameters.iter().any(|Parameter { name, domain }| {
            let Some(rest) = path.strip_prefix(name.as_str()) else { return false };
            match (rest.strip_prefix('.'), domain) {
                (None, Domain::Choice(choice)) if rest.is_empty() => choice
                    .iter()
                    .any(|own| matches!(own, Alternative::Value(Value::Text(own)) if own == word)),
                (Some(rest), _) => branches(domain).any(|(_, space)| space.has_word(rest, word)),
                _ => false,
            }
        })
    }

    fn adopt_under<'a>(
        &self,
        prefix: &str,
        leaves: &'a [(String, Value)],
        used: &mut BTreeSet<&'a str>,
        adopted: &mut Adopted,
    ) -> Configuration {
        let mut part = Vec::new();
        for Parameter { name, domain } in &self.parameters {
            let path = format!("{prefix}{name}");
            let own = leaves.iter().find(|(own, _)| *own == path);
            if let Some((own, value)) = own {
                used.insert(own);
                match domain.nearest(value) {
                    Some(value) => part.push((name.clone(), Setting::Value(value))),
                    None => adopted.outside.push(path),
                }
                continue;
            }
            let nested = format!("{path}.");
            let is_nested = leaves.iter().any(|(own, _)| own.starts_with(&nested));
            match (is_nested, domain.branch_of(&nested, leaves)) {
                (true, Some(branch)) => {
                    let chosen = branch.adopt_under(&nested, leaves, used, adopted);
                    part.push((name.clone(), Setting::Nested(chosen)));
                }
                (true, None) => {
                    let of_it = leaves.iter().filter(|(own, _)| own.starts_with(&nested));
                    used.extend(of_it.map(|(own, _)| own.as_str()));
                    adopted.outside.push(path);
                }
                (false, _) if matches!(domain, Domain::Fixed(_)) => {}
                (false, _) => adopted.missing.push(path),
            }
        }
        Configuration(part)
    }
}

impl Domain {
    /// The value as the domain itself writes it; none if the domain does not hold it.
    pub(crate) fn settled(&self, value: &Value) -> Option<Value> {
        let unit = self.unit(value)?;
        if self.is_continuous() {
            let number = value.as_f64()?;
            let bounds = self.extent().filter(|(min, max)| min <= max);
            let inside = bounds.map_or(number, |(min, max)| number.clamp(min, max));
            // Plus 0 makes one number of 0 and -0.
            return Some(Value::Float(inside + 0.0));
        }
        Some(match (self, self.index_of(value)) {
            (Self::Choice(_) | Self::Fixed(_), _) | (_, None) => self.at(unit),
            (_, Some(index)) => self.nth(index),
        })
    }

    /// Whether any of its alternatives is a space of its own.
    pub fn has_branches(&self) -> bool {
        branches(self).next().is_some()
    }

    /// The nearest value of the domain within its bounds; words have to be the same.
    pub fn nearest(&self, value: &Value) -> Option<Value> {
        if let Some(own) = self.settled(value) {
            return Some(own);
        }
        if let Self::Choice(choice) = self {
            // What a table holds as a text may have been a number or a truth value, and the reverse.
            let text = value.to_string();
            return choice.iter().find_map(|alternative| match alternative {
                Alternative::Value(own) if own.to_string() == text => Some(own.clone()),
                Alternative::Value(_) | Alternative::Space(_) => None,
            });
        }
        let number = match value {
            Value::Text(text) => text.trim().parse().ok()?,
            other => other.as_f64()?,
        };
        if !number.is_finite() {
            return None;
        }
        if self.is_continuous() {
            return self.settled(&Value::Float(number));
        }
        if let Self::Normal { q: Some(q), .. } | Self::LogNormal { q: Some(q), .. } = self {
            return self.settled(&Value::Float((number / q).round() * q));
        }
        let (min, max) = self.extent()?;
        let n = self.cardinality()?;
        if number < min || number > max || n == 0 {
            return None;
        }
        let share = if max > min { (number - min) / (max - min) } else { 0.0 };
        Some(self.nth(((share * (n - 1) as f64).round() as u128).min(n - 1)))
    }

    fn is_continuous(&self) -> bool {
        matches!(
            self,
            Self::Uniform { q: None, .. }
                | Self::LogUniform { q: None, .. }
                | Self::Normal { q: None, .. }
                | Self::LogNormal { q: None, .. }
                | Self::Float { step: None, .. }
        )
    }

    fn fill(&self, set: Option<&Setting>, draw: &mut dyn FnMut() -> f64) -> Option<Setting> {
        match set {
            Some(Setting::Value(value)) => self.settled(value).map(Setting::Value),
            Some(Setting::Nested(part)) => {
                branches(self).find_map(|(_, space)| space.fill(part, draw)).map(Setting::Nested)
            }
            None => {
                let unit = draw();
                let chosen = self.branch(unit);
                let nested = branches(self).find(|(index, _)| Some(*index) == chosen);
                Some(match nested {
                    Some((_, space)) => {
                        Setting::Nested(space.fill(&Configuration::default(), draw)?)
                    }
                    None => Setting::Value(self.at(unit)),
                })
            }
        }
    }

    /// The branch that settings under a prefix belong to: its literals are as they say, and it knows
    /// the most of them.
    fn branch_of(&self, prefix: &str, leaves: &[(String, Value)]) -> Option<&SearchSpace> {
        let set: Vec<(&str, &Value)> = leaves
            .iter()
            .filter_map(|(path, value)| Some((path.strip_prefix(prefix)?, value)))
            .collect();
        let fits = |space: &SearchSpace| {
            let mut n_known = 0;
            for Parameter { name, domain } in &space.parameters {
                let of_it = |path: &str| {
                    path.strip_prefix(name.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                };
                n_known += set.iter().filter(|(path, _)| of_it(path)).count();
                if let Domain::Fixed(_) = domain
                    && let Some((_, value)) = set.iter().find(|(path, _)| path == name)
                {
                    domain.nearest(value)?;
                    // A literal that is as it should be says more than a name.
                    n_known += set.len();
                }
            }
            Some(n_known)
        };
        let mut best: Option<(usize, &SearchSpace)> = None;
        for (_, space) in branches(self) {
            if let Some(n_known) = fits(space).filter(|&n_known| n_known > 0)
                && best.is_none_or(|(most, _)| n_known > most)
            {
                best = Some((n_known, space));
            }
        }
        best.map(|(_, space)| space)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{Choice, Scale};

    fn text(word: &str) -> Value {
        Value::Text(word.into())
    }

    fn parameter(name: &str, domain: Domain) -> Parameter {
        Parameter { name: name.into(), domain }
    }

    fn space() -> SearchSpace {
        let rate = Domain::Float { min: 1e-4, max: 1.0, step: None, scale: Scale::Log };
        let depth = Domain::Int { min: 2, max: 10, step: 2, scale: Scale::Linear };
        let branch = |name: &str, own: &str, domain: Domain| {
            Alternative::Space(SearchSpace {
                parameters: vec![
                    parameter("name", Domain::Fixed(text(name))),
                    parameter(own, domain),
                ],
            })
        };
        let unit = || Domain::Uniform { min: 0.0, max: 1.0, q: None };
        let model = Domain::Choice(Choice::new(vec![
            branch("svm", "C", unit()),
            branch("knn", "k", Domain::RandInt { upper: 9 }),
            Alternative::Value(text("none")),
        ]));
        SearchSpace {
            parameters: vec![
                parameter("rate", rate),
                parameter("depth", depth),
                parameter("model", model),
            ],
        }
    }

    fn adopt(leaves: &[(&str, Value)]) -> Adopted {
        let leaves: Vec<_> =
            leaves.iter().map(|(path, value)| ((*path).to_owned(), value.clone())).collect();
        space().adopt(&leaves)
    }

    #[test]
    fn zero_has_no_sign() {
        for domain in [
            Domain::Uniform { min: -1.0, max: 1.0, q: None },
            Domain::Uniform { min: -0.0, max: 1.0, q: None },
            Domain::Normal { mu: 0.0, sigma: 1.0, q: None },
            Domain::Float { min: -1.0, max: 0.0, step: None, scale: Scale::Linear },
        ] {
            let settled = domain.settled(&Value::Float(-0.0)).unwrap();
            assert_eq!(serde_json::to_string(&settled).unwrap(), "0.0", "{domain:?}");
        }
    }

    #[test]
    fn what_is_left_open_is_drawn_and_the_rest_stays() {
        let space = space();
        let mut n = 0.0;
        let mut draw = || {
            n += 0.13;
            n % 1.0
        };
        for part in [
            "{}",
            r#"{"rate":0.25}"#,
            r#"{"model":{"name":"knn"},"depth":4}"#,
            r#"{"model":"none","rate":1}"#,
            r#"{"model":{"C":0.5}}"#,
        ] {
            let part: Configuration = serde_json::from_str(part).unwrap();
            let whole = space.fill(&part, &mut draw).unwrap();
            assert!(space.contains(&whole), "{}", whole.to_json());
            for (path, value) in part.leaves() {
                let Some(Setting::Value(own)) = whole.get(&path) else { panic!("{path}") };
                assert!(own == value || own.as_f64() == value.as_f64(), "{path}: {own}");
            }
        }
        for part in [r#"{"rate":2}"#, r#"{"x":1}"#, r#"{"depth":3}"#, r#"{"model":{"k":9}}"#] {
            let part: Configuration = serde_json::from_str(part).unwrap();
            assert_eq!(space.fill(&part, &mut draw), None, "{}", part.to_json());
        }
    }

    #[test]
    fn foreign_settings_are_taken_as_far_as_they_fit() {
        let adopted = adopt(&[
            ("rate", Value::Int(1)),
            ("depth", Value::Float(4.9)),
            ("model.name", text("knn")),
            ("model.k", Value::Float(3.0)),
            ("momentum", Value::Float(0.9)),
        ]);
        let part = r#"{"rate":1.0,"depth":4,"model":{"name":"knn","k":3}}"#;
        assert_eq!(adopted.part.to_json(), part);
        assert_eq!(adopted.unknown, ["momentum"]);
        assert!(adopted.missing.is_empty() && adopted.outside.is_empty());

        let adopted = adopt(&[("rate", text("0.5")), ("model", text("none"))]);
        assert_eq!(adopted.part.to_json(), r#"{"rate":0.5,"model":"none"}"#);
        assert_eq!(adopted.missing, ["depth"]);

        let adopted = adopt(&[
            ("rate", Value::Float(3.0)),
            ("depth", Value::Int(11)),
            ("model.name", text("mlp")),
        ]);
        assert_eq!(adopted.outside, ["rate", "depth", "model"]);
        assert!(adopted.unknown.is_empty());
    }

    #[test]
    fn texts_and_numbers_of_tables_find_their_values() {
        let values = vec![Value::Int(3), Value::Bool(true), text("5"), Value::Float(0.1)];
        let choice: Choice = values.into_iter().map(Alternative::Value).collect();
        let domain = Domain::Choice(choice);
        assert_eq!(domain.nearest(&text("3")), Some(Value::Int(3)));
        assert_eq!(domain.nearest(&text("true")), Some(Value::Bool(true)));
        assert_eq!(domain.nearest(&Value::Int(5)), Some(text("5")));
        assert_eq!(domain.nearest(&text("0.1")), Some(Value::Float(0.1)));
        assert_eq!(domain.nearest(&text("nan")), None);
        let q = Domain::Normal { mu: 0.0, sigma: 1.0, q: Some(0.5) };
        assert_eq!(q.nearest(&Value::Float(0.7)), Some(Value::Float(0.5)));
        let quantised = Domain::Uniform { min: 0.0, max: 10.0, q: Some(2.0) };
        assert_eq!(quantised.nearest(&Value::Float(4.9)), Some(Value::Int(4)));
        assert_eq!(quantised.nearest(&Value::Float(f64::INFINITY)), None);
    }
}
