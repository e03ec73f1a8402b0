//! Pieces of data that fits of one launch share.

use std::collections::HashMap;
use std::ops::Range;

use super::machine::{Buffer, Fault, Machine, Plain, pack};

/// Pieces one after another, by where they stand in this process.
pub(super) struct Pool<T> {
    pub(super) all: Vec<T>,
    places: HashMap<Key, i64>,
    /// Those that other launches may share as well.
    shared: Vec<Range<usize>>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { all: Vec::new(), places: HashMap::new(), shared: Vec::new() }
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
        self.shared.push(place as usize..self.all.len());
        place
    }
}

impl<T: Plain> Pool<T> {
    /// All pieces in a machine's memory.
    pub(super) fn put(&self, machine: &Machine) -> Result<Buffer, Fault> {
        let bytes_of =
            |range: &Range<usize>| range.start * size_of::<T>()..range.end * size_of::<T>();
        let shared: Vec<Range<usize>> = self.shared.iter().map(bytes_of).collect();
        machine.put_shared(&pack(&self.all), &shared)
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
