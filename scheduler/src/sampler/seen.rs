//! Which points of a finite space have been proposed, and a way to the others.

use std::collections::BTreeSet;

use fleetfit_search_spaces::{Configuration, SearchSpace, Setting, Value};

use fleetfit_search_spaces::seed::mix;

/// More points than this are not remembered: in a space that large, chance does not repeat itself.
const MAX_REMEMBERED: usize = 1_000_000;

/// Looks for a free point in a grid walk are given up after so many points. More than any space
/// that can be remembered has; in a larger one a free point comes long before.
const MAX_WALK: u128 = 4 * MAX_REMEMBERED as u128;

/// The proposed points of a space; nothing is remembered for an infinite one.
pub(super) struct Seen {
    size: Option<u128>,
    fingerprints: BTreeSet<u64>,
}

impl Seen {
    pub(super) fn new(space: &SearchSpace) -> Self {
        Self { size: space.cardinality(), fingerprints: BTreeSet::new() }
    }

    /// Whether points have to be told apart at all.
    pub(super) fn is_finite(&self) -> bool {
        self.size.is_some()
    }

    /// Whether no point is left.
    pub(super) fn is_exhausted(&self) -> bool {
        self.size.is_some_and(|size| self.fingerprints.len() as u128 >= size)
    }

    pub(super) fn insert(&mut self, configuration: &Configuration) {
        if self.is_finite() && self.fingerprints.len() < MAX_REMEMBERED {
            self.fingerprints.insert(fingerprint(configuration));
        }
    }

    pub(super) fn contains(&self, configuration: &Configuration) -> bool {
        self.is_finite() && self.fingerprints.contains(&fingerprint(configuration))
    }

    /// The first free point of a grid walk that starts at a drawn place.
    pub(super) fn first_free(&self, space: &SearchSpace, draw: u64) -> Option<Configuration> {
        let size = self.size.filter(|&size| size > 0)?;
        let start = u128::from(draw) % size;
        let points = (0..size.min(MAX_WALK)).map(|step| {
            // Both are below the size, which may be close to the largest number there is.
            let room = size - start;
            space.grid_point(if step < room { start + step } else { step - room })
        });
        let mut free = points.filter(|point| !self.contains(point));
        free.next()
    }
}

/// The same for equal configurations; different for others but for one chance in 2^64.
pub(super) fn fingerprint(configuration: &Configuration) -> u64 {
    let settings = configuration.0.iter();
    settings.fold(configuration.0.len() as u64, |hash, (name, setting)| {
        let setting = match setting {
            Setting::Nested(nested) => mix(&[1, fingerprint(nested)]),
            Setting::Value(Value::Bool(value)) => mix(&[2, u64::from(*value)]),
            Setting::Value(Value::Int(value)) => mix(&[3, *value as u64]),
            Setting::Value(Value::Float(value)) => mix(&[4, value.to_bits()]),
            Setting::Value(Value::Text(value)) => mix(&[5, of_text(value)]),
        };
        mix(&[hash, of_text(name), setting])
    })
}

fn of_text(text: &str) -> u64 {
    let words = text.as_bytes().chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    words.fold(text.len() as u64, |hash, word| mix(&[hash, word]))
}
