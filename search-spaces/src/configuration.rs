//! One point of a search space, nested as the YAML is: `{"model": {"name": "svm", "C": 1.2}}`.

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::value::Value;

/// One point of a search space. Keys keep the order of the job file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configuration(pub Vec<(String, Setting)>);

/// What one key of a configuration is set to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    /// A value.
    Value(Value),
    /// The chosen branch of a conditional parameter.
    Nested(Configuration),
}

impl Configuration {
    /// The setting at a dotted path (`model.C`).
    pub fn get(&self, path: &str) -> Option<&Setting> {
        let (head, rest) = match path.split_once('.') {
            Some((head, rest)) => (head, Some(rest)),
            None => (path, None),
        };
        let setting = self.0.iter().find(|(name, _)| name == head).map(|(_, setting)| setting)?;
        match (rest, setting) {
            (None, setting) => Some(setting),
            (Some(rest), Setting::Nested(nested)) => nested.get(rest),
            (Some(_), Setting::Value(_)) => None,
        }
    }

    /// Every value with its dotted path, in order.
    pub fn leaves(&self) -> Vec<(String, &Value)> {
        let mut leaves = Vec::new();
        self.collect_leaves("", &mut leaves);
        leaves
    }

    fn collect_leaves<'a>(&'a self, prefix: &str, leaves: &mut Vec<(String, &'a Value)>) {
        for (name, setting) in &self.0 {
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            match setting {
                Setting::Value(value) => leaves.push((path, value)),
                Setting::Nested(nested) => nested.collect_leaves(&path, leaves),
            }
        }
    }

    /// Compact JSON, the same for equal configurations.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Serialize for Configuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, setting) in &self.0 {
            map.serialize_entry(name, setting)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Configuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Configuration;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map from parameter names to values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Configuration, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Configuration(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}
