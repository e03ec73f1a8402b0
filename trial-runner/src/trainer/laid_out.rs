//! What trainers make of one entity's frame before they fit: made once, kept for whoever comes next.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::linear;
use crate::boost::table::Table;

/// Everything that is kept of one frame and its folds. A field a kind, each with what tells its
/// forms apart.
#[derive(Debug, Default)]
pub struct LaidOut {
    /// Binned features, by the most bins of a column.
    pub(super) tables: Arc<Kept<usize, Table>>,
    /// Folds of lines.
    pub(super) lines: Kept<(linear::Form, usize), linear::Prepared>,
}

impl LaidOut {
    /// The same frame with other folds.
    pub fn refolded(&self) -> Self {
        Self { tables: Arc::clone(&self.tables), lines: Kept::default() }
    }
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

    /// The same, and no more than the latest few are kept.
    pub(super) fn place_among(&self, key: K, most: usize) -> Arc<OnceLock<V>> {
        let place = self.place(key);
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let n_many = places.len().saturating_sub(most);
        places.drain(..n_many);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_made_once_and_the_oldest_is_forgotten() {
        let kept = Kept::<u8, u8>::default();
        let first = kept.place_among(1, 2);
        assert_eq!(first.get_or_init(|| 10), &10);
        assert_eq!(kept.place_among(1, 2).get_or_init(|| 11), &10);
        kept.place_among(2, 2);
        kept.place_among(3, 2);
        assert_eq!(kept.place(1).get(), None);
        assert_eq!(first.get(), Some(&10));
    }
}
