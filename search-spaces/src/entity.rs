//! What one model is for: the value of each partition column.

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::seed::{mix, of_text};
use crate::value::Value;

/// One distinct combination of the partition columns' values. Without partition columns there is one
/// entity, with no values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntityKey(pub Vec<(String, Value)>);

impl EntityKey {
    /// A hash that never changes between versions, 0 without values. An entity's folds and seeds come of
    /// it, so that they do not depend on which others there are.
    pub fn fingerprint(&self) -> u64 {
        self.0.iter().fold(0, |hash, (column, value)| {
            mix(&[hash, of_text(column), of_text(&value.to_string())])
        })
    }

    /// The values alone, joined; the same for equal keys and different for others. This is what an
    /// index looks up.
    pub fn text(&self) -> String {
        let values: Vec<String> = self.0.iter().map(|(_, value)| value.to_string()).collect();
        values.join("\u{1f}")
    }
}

/// As users write it: `17` for one column, `store=17,brand=3` for several.
impl std::fmt::Display for EntityKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let [(_, value)] = self.0.as_slice() {
            return write!(f, "{value}");
        }
        for (index, (column, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{column}={value}")?;
        }
        Ok(())
    }
}

impl Serialize for EntityKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (column, value) in &self.0 {
            map.serialize_entry(column, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for EntityKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Columns;
        impl<'de> Visitor<'de> for Columns {
            type Value = EntityKey;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map from partition columns to values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EntityKey, A::Error> {
                let mut columns = Vec::new();
                while let Some(column) = map.next_entry()? {
                    columns.push(column);
                }
                Ok(EntityKey(columns))
            }
        }
        deserializer.deserialize_map(Columns)
    }
}
