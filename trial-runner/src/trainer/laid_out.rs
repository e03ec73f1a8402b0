//! What trainers make of one entity's frame before they fit: made once, kept for whoever comes next.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::linear;

/// Everything that is kept of one frame and its folds. A field a kind, each with what tells its
/// forms apart.
#[derive(Debug, Default)]
pub struct LaidOut {
    /// Folds of lines.
    pub(super) lines: Kept<(linear::Form, usize), linear::Prepared>,
}

/// Values by their keys, each made by whoever asks first.
#[derive(Debug)]
pub(super) struct Kept<K, V>(Mutex<Vec<(K, Arc<OnceLock<V>>)>>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: PartialEq, V> Kept<K, V> {
    /// The place of a value: whoever fills it keeps others waiting, but only those who want the
    /// same one.
    pub(super) fn place(&self, key: K) -> Arc<OnceLock<V>> {
        // What lies behind a poisoned lock is a list of places, none of them half made.
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, place)) = places.iter().find(|(known, _)| *known == key) {
            return Arc::clone(place);
        }
        let place = Arc::default();
        places.push((key, Arc::clone(&place)));
        place
    }
}
