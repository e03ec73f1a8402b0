//! A choice: its alternatives, and tables that find one of a hundred thousand without a walk over all
//! of them.

use std::cmp::Ordering;
use std::ops::Deref;

use serde::{Deserialize, Serialize, Serializer};

use super::{Alternative, SearchSpace};
use crate::value::Value;

/// One of a list. It reads like the slice of its alternatives.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Vec<Alternative>")]
pub struct Choice {
    alternatives: Vec<Alternative>,
    /// Which alternatives are nested spaces.
    branches: Vec<usize>,
    /// Which are values, in the order of `compare`, equal ones in the order of the file.
    sorted: Vec<usize>,
    /// How many settings come before each alternative; empty without branches, where it is the
    /// alternative's own index.
    starts: Vec<u128>,
    cardinality: Option<u128>,
}

impl Choice {
    /// A choice among these.
    pub fn new(alternatives: Vec<Alternative>) -> Self {
        let (mut branches, mut sorted, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        let mut cardinality = Some(0u128);
        for (index, alternative) in alternatives.iter().enumerate() {
            match alternative {
                Alternative::Value(_) => sorted.push(index),
                Alternative::Space(_) => branches.push(index),
            }
            starts.push(cardinality.unwrap_or_default());
            let sum = |sum: u128| Some(sum.saturating_add(alternative.cardinality()?));
            cardinality = cardinality.and_then(sum);
        }
        if branches.is_empty() {
            starts = Vec::new();
        }
        sorted.sort_by(|&one, &other| match (&alternatives[one], &alternatives[other]) {
            (Alternative::Value(one), Alternative::Value(other)) => compare(one, other),
            _ => Ordering::Equal,
        });
        Self { alternatives, branches, sorted, starts, cardinality }
    }

    /// How many settings there are; none for infinitely many.
    pub(super) fn cardinality(&self) -> Option<u128> {
        self.cardinality
    }

    /// The nested spaces with their indices.
    pub(super) fn branches(&self) -> impl Iterator<Item = (usize, &SearchSpace)> {
        self.branches.iter().filter_map(|&index| match &self.alternatives[index] {
            Alternative::Space(space) => Some((index, space)),
            Alternative::Value(_) => None,
        })
    }

    /// The alternative that is this value.
    pub(super) fn index_of(&self, value: &Value) -> Option<usize> {
        let own = |index: usize| match &self.alternatives[index] {
            Alternative::Value(own) => compare(own, value),
            Alternative::Space(_) => Ordering::Greater,
        };
        let place = self.sorted.partition_point(|&index| own(index) == Ordering::Less);
        let index = *self.sorted.get(place)?;
        (own(index) == Ordering::Equal).then_some(index)
    }

    /// How many settings come before this alternative.
    pub(super) fn start(&self, alternative: usize) -> u128 {
        self.starts.get(alternative).copied().unwrap_or(alternative as u128)
    }

    /// The alternative that holds the setting of this number, and the setting's number in it.
    pub(super) fn nth(&self, number: u128) -> Option<(&Alternative, u128)> {
        let index = if self.starts.is_empty() {
            usize::try_from(number).ok()?
        } else {
            self.starts.partition_point(|&start| start <= number).checked_sub(1)?
        };
        Some((self.alternatives.get(index)?, number - self.start(index)))
    }
}

/// An order in which 5 and 5.0 are equal.
fn compare(left: &Value, right: &Value) -> Ordering {
    let kind = |value: &Value| match value {
        Value::Bool(_) => 0,
        Value::Int(_) | Value::Float(_) => 1,
        Value::Text(_) => 2,
    };
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        (Value::Int(whole), Value::Float(number)) => beside(*whole, *number),
        (Value::Float(number), Value::Int(whole)) => beside(*whole, *number).reverse(),
        _ => match (left.as_f64(), right.as_f64()) {
            // `total_cmp` would tell 0 from -0.
            (Some(left), Some(right)) => left.partial_cmp(&right).unwrap_or(Ordering::Equal),
            _ => kind(left).cmp(&kind(right)),
        },
    }
}

/// A whole number beside any: beyond 2^53 one float is nearest to several of them.
pub(super) fn beside(whole: i64, number: f64) -> Ordering {
    let by_floats = (whole as f64).partial_cmp(&number).unwrap_or(Ordering::Equal);
    by_floats.then_with(|| i128::from(whole).cmp(&(number as i128)))
}

impl Deref for Choice {
    type Target = [Alternative];

    fn deref(&self) -> &[Alternative] {
        &self.alternatives
    }
}

impl From<Vec<Alternative>> for Choice {
    fn from(alternatives: Vec<Alternative>) -> Self {
        Self::new(alternatives)
    }
}

impl FromIterator<Alternative> for Choice {
    fn from_iter<I: IntoIterator<Item = Alternative>>(alternatives: I) -> Self {
        Self::new(alternatives.into_iter().collect())
    }
}

impl Serialize for Choice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.alternatives.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{Domain, Parameter};

    #[test]
    fn values_are_found_whatever_their_kind() {
        let values = [
            Value::Text("b".into()),
            Value::Int(5),
            Value::Bool(true),
            Value::Float(0.5),
            Value::Text("a".into()),
        ];
        let choice: Choice = values.iter().cloned().map(Alternative::Value).collect();
        for (index, value) in values.iter().enumerate() {
            assert_eq!(choice.index_of(value), Some(index), "{value}");
        }
        assert_eq!(choice.index_of(&Value::Float(5.0)), Some(1));
        for value in [Value::Text("c".into()), Value::Int(1), Value::Bool(false)] {
            assert_eq!(choice.index_of(&value), None, "{value}");
        }
        assert_eq!(choice.nth(4).map(|(_, rest)| rest), Some(0));
        assert_eq!(choice.nth(5), None);
        let json = serde_json::to_string(&choice).unwrap();
        assert_eq!(serde_json::from_str::<Choice>(&json).unwrap(), choice);
    }

    #[test]
    fn numbers_lead_into_the_branch_that_holds_them() {
        let domain = Domain::RandInt { upper: 3 };
        let space = SearchSpace { parameters: vec![Parameter { name: "x".into(), domain }] };
        let value = |word: &str| Alternative::Value(Value::Text(word.into()));
        let choice = Choice::new(vec![value("a"), Alternative::Space(space), value("b")]);
        assert_eq!(choice.cardinality(), Some(5));
        let found = |number| choice.nth(number).unwrap();
        assert_eq!(found(0), (&choice[0], 0));
        assert_eq!(found(1), (&choice[1], 0));
        assert_eq!(found(3), (&choice[1], 2));
        assert_eq!(found(4), (&choice[2], 0));
        assert_eq!(choice.start(2), 4);
    }
}
