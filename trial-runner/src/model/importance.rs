//! Which columns a fitted model owes its predictions to, as shares that sum to one.
//!
//! Learners tell in their own way ([`By`]), from what is stored with the model: no data is needed.
//! What is made of one column (its words, its place in the calendar) counts for what was made of it:
//! words for their column, parts of dates each for itself.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::encoder::Encoder;
use super::forest::Forest;
use super::linear::Linear;
use super::{Body, Model};
use crate::frame::readable;

/// Which columns matter to a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// How that is told.
    pub by: By,
    /// Columns with their shares, the largest first; those that do not matter are left out.
    pub shares: Vec<(String, f64)>,
}

/// How a model tells which columns matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// What splits by the column lowered the loss by.
    Gain,
    /// How many splits read the column.
    Splits,
    /// The weights of what is made of the column, each times the deviation that it was scaled by.
    Coefficients,
}

impl Model {
    /// Which columns matter; none where the learner does not tell.
    pub fn importance(&self) -> Option<Importance> {
        let (by, columns) = match &self.body {
            Body::Boosted(_) => {
                let gains = self.gains().into_iter();
                (By::Gain, gains.map(|(name, gain)| (name.to_owned(), gain)).collect())
            }
            Body::Forest(forest) => (By::Splits, splits(forest)),
            Body::Linear(encoder, linear) => (By::Coefficients, weights(encoder, linear)),
            Body::Lagged(lagged) => {
                let mut inner = lagged.inner.importance()?;
                let names = lagged.recipe.names().into_iter().zip(lagged.recipe.readable_names());
                let names: HashMap<String, String> =
                    names.map(|(own, shown)| (readable(&own), readable(&shown))).collect();
                for (name, _) in &mut inner.shares {
                    if let Some(shown) = names.get(name) {
                        name.clone_from(shown);
                    }
                }
                return Some(inner);
            }
            // The same for every row, whatever its columns hold.
            Body::Constant => (By::Gain, Vec::new()),
            Body::Neighbours(..)
            | Body::Kernel(..)
            | Body::Bayes(..)
            | Body::Network(..)
            | Body::Forecast(_) => return None,
        };
        Some(Importance { by, shares: shares(columns) })
    }
}

/// How many splits of all trees read each column.
fn splits(forest: &Forest) -> Vec<(String, f64)> {
    let mut counts = vec![0.0; forest.sources.len()];
    for node in &forest.nodes {
        let source = (node.feature as usize).checked_sub(1);
        if let Some(count) = source.and_then(|source| counts.get_mut(source)) {
            *count += 1.0;
        }
    }
    let names = forest.sources.iter().map(|source| source.name.clone());
    names.zip(counts).collect()
}

/// The absolute weights of what is made of each column, summed over classes.
fn weights(encoder: &Encoder, linear: &Linear) -> Vec<(String, f64)> {
    let mut sums = vec![0.0; encoder.sources.len()];
    let n_features = encoder.features.len().max(1);
    for output in linear.weights.chunks(n_features) {
        for (feature, weight) in encoder.features.iter().zip(output) {
            if let Some(sum) = sums.get_mut(feature.source as usize) {
                *sum += weight.abs();
            }
        }
    }
    let names = encoder.sources.iter().map(|source| source.name.clone());
    names.zip(sums).collect()
}

/// Amounts as shares of their sum. Amounts that are no numbers count nothing.
fn shares(columns: Vec<(String, f64)>) -> Vec<(String, f64)> {
    let counts = |amount: f64| amount > 0.0 && amount.is_finite();
    let most = columns.iter().map(|own| own.1).filter(|amount| counts(*amount)).fold(0.0, f64::max);
    // Divided by the largest first, so that no sum of large amounts overflows.
    let parts = columns.into_iter().filter(|own| counts(own.1));
    let parts: Vec<(String, f64)> =
        parts.map(|(name, amount)| (readable(&name), amount / most)).collect();
    let total: f64 = parts.iter().map(|own| own.1).sum();
    let shares = parts.into_iter().map(|(name, part)| (name, part / total));
    let mut shares: Vec<(String, f64)> = shares.filter(|own| own.1 > 0.0).collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_one_whatever_the_amounts() {
        let columns = |amounts: &[f64]| -> Vec<(String, f64)> {
            amounts.iter().enumerate().map(|(at, amount)| (format!("c{at}"), *amount)).collect()
        };
        let found = shares(columns(&[1.0, 3.0, 0.0, f64::NAN]));
        assert_eq!(found, [("c1".to_owned(), 0.75), ("c0".to_owned(), 0.25)]);
        let found = shares(columns(&[1e308, 1e308, f64::INFINITY, -1.0]));
        assert_eq!(found, [("c0".to_owned(), 0.5), ("c1".to_owned(), 0.5)]);
        assert!(shares(columns(&[0.0, f64::NAN])).is_empty());
        assert!(shares(Vec::new()).is_empty());
    }
}
