//! One loss of a configuration that was tried for several entities, whose own losses may be of any
//! size: the mean of how much worse each one is than the first of its entity, as a share of that,
//! bent into (-1, 1) so that no entity outweighs the others. Of a single entity it is the loss
//! itself.

use std::collections::HashMap;

use fleetfit_search_spaces::Value;

use super::table::Tried;

/// Losses by configuration and entity.
#[derive(Debug, Default)]
pub(super) struct Shares {
    first: HashMap<String, f64>,
    places: HashMap<String, usize>,
    sums: Vec<Sum>,
}

#[derive(Debug)]
struct Sum {
    leaves: Vec<(String, Value)>,
    shares: f64,
    /// The mean of the losses themselves.
    mean: f64,
    n: f64,
}

impl Shares {
    /// A configuration's loss for an entity; its parameters are asked for once.
    pub(super) fn push(
        &mut self,
        configuration: &str,
        entity: &str,
        loss: f64,
        leaves: impl FnOnce() -> Vec<(String, Value)>,
    ) {
        let first = match self.first.get(entity) {
            Some(&first) => first,
            None => *self.first.entry(entity.to_owned()).or_insert(loss),
        };
        let share = match (loss - first, first.abs()) {
            (difference, 0.0) => bent(difference),
            (difference, size) => bent(difference / size),
        };
        let place = *self.places.entry(configuration.to_owned()).or_insert(self.sums.len());
        if place == self.sums.len() {
            self.sums.push(Sum { leaves: leaves(), shares: 0.0, mean: 0.0, n: 0.0 });
        }
        if let Some(sum) = self.sums.get_mut(place) {
            sum.shares += share;
            sum.n += 1.0;
            // The difference of two losses may be too large for a number.
            sum.mean += loss / sum.n - sum.mean / sum.n;
        }
    }

    pub(super) fn into_tried(self) -> impl Iterator<Item = Tried> {
        let is_single = self.first.len() == 1;
        self.sums.into_iter().map(move |sum| {
            let loss = if is_single { sum.mean } else { sum.shares / sum.n };
            Tried::new(sum.leaves, loss)
        })
    }
}

/// A difference between -1 and 1, larger ones still larger.
fn bent(difference: f64) -> f64 {
    match difference.is_finite() {
        true => difference / (1.0 + difference.abs()),
        false => difference.signum(),
    }
}
