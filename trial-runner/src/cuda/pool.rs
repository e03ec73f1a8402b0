//! Pieces of data that fits of one launch share.

use std::collections::HashMap;

/// Pieces one after another, by where they stand in this process.
pub(super) struct Pool<T> {
    pub(super) all: Vec<T>,
    places: HashMap<Key, i64>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { all: Vec::new(), places: HashMap::new() }
    }
}

impl<T: Copy> Pool<T> {
    /// Where a piece begins that nobody shares.
    pub(super) fn push(&mut self, own: impl IntoIterator<Item = T>) -> i64 {
        let place = self.all.len() as i64;
        self.all.extend(own);
        place
    }

    /// Where a piece begins, which is made once for each key.
    pub(super) fn share<I: IntoIterator<Item = T>>(
        &mut self,
        key: Key,
        make: impl FnOnce() -> I,
    ) -> i64 {
        if let Some(place) = self.places.get(&key) {
            return *place;
        }
        let place = self.push(make());
        self.places.insert(key, place);
        place
    }
}

/// What decides a piece.
pub(super) type Key = [Option<Place>; 3];

/// Where something stands in this process, which tells it from all others as long as it is lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    address: usize,
    length: usize,
}

impl Place {
    pub(super) fn of<T>(slice: &[T]) -> Self {
        Self { address: slice.as_ptr().addr(), length: slice.len() }
    }

    pub(super) fn one<T>(thing: &T) -> Self {
        Self::of(std::slice::from_ref(thing))
    }
}

/// The key of a piece that one thing decides.
pub(super) fn alone(place: Place) -> Key {
    [Some(place), None, None]
}
