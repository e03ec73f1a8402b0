//! Pieces of data that stay on a card from one launch to the next, as long as they are asked for.
//!
//! A piece is known by the digest of its bytes, so it does not matter which study, assignment or fit
//! it was brought for. Those that nobody asked for longest go first; all of them go before a launch
//! has to be halved.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::machine::Buffer;

/// The digest of a piece.
pub(super) type Key = [u64; 2];

/// The pieces of a card.
#[derive(Debug)]
pub(super) struct Hot {
    /// Bytes that they may have together.
    most: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    pieces: HashMap<Key, Piece>,
    /// By when they were asked for last.
    order: BTreeMap<u64, Key>,
    n_bytes: usize,
    /// How often anything was asked for.
    now: u64,
}

#[derive(Debug)]
struct Piece {
    buffer: Arc<Buffer>,
    n_bytes: usize,
    asked: u64,
}

/// The key of bytes.
pub(super) fn key(bytes: &[u8]) -> Key {
    let digest = blake3::hash(bytes);
    let (words, _) = digest.as_bytes().as_chunks::<8>();
    [words[0], words[1]].map(u64::from_le_bytes)
}

impl Hot {
    pub(super) fn new(most: usize) -> Self {
        Self { most, inner: Mutex::default() }
    }

    /// The piece, if it is there.
    pub(super) fn find(&self, key: Key) -> Option<Arc<Buffer>> {
        let inner = &mut *self.lock();
        let piece = inner.pieces.get_mut(&key)?;
        inner.now += 1;
        inner.order.remove(&piece.asked);
        inner.order.insert(inner.now, key);
        piece.asked = inner.now;
        Some(Arc::clone(&piece.buffer))
    }

    /// Makes room for so many bytes; whether there is any.
    pub(super) fn make_room(&self, n_bytes: usize) -> bool {
        let mut inner = self.lock();
        if n_bytes > self.most {
            return false;
        }
        while inner.n_bytes + n_bytes > self.most {
            let Some((_, key)) = inner.order.pop_first() else { break };
            inner.n_bytes -= inner.pieces.remove(&key).map_or(0, |piece| piece.n_bytes);
        }
        true
    }

    /// Keeps a piece. Its bytes are where they should be.
    pub(super) fn keep(&self, key: Key, buffer: Buffer, n_bytes: usize) {
        let mut inner = self.lock();
        inner.now += 1;
        let asked = inner.now;
        inner.order.insert(asked, key);
        inner.n_bytes += n_bytes;
        let piece = Piece { buffer: Arc::new(buffer), n_bytes, asked };
        // Another queue may have brought the same meanwhile.
        if let Some(before) = inner.pieces.insert(key, piece) {
            inner.order.remove(&before.asked);
            inner.n_bytes -= before.n_bytes;
        }
    }

    /// Gives everything back; whether there was anything.
    pub(super) fn clear(&self) -> bool {
        let given_back = std::mem::take(&mut *self.lock());
        !given_back.pieces.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::machine::Machine;
    use crate::cuda::shim::Shim;

    #[test]
    fn what_nobody_asked_for_longest_goes_first() {
        let machine = Machine::Shim(Shim::default());
        let hot = Hot::new(100);
        let keys = [b"one".as_slice(), b"two", b"three"].map(key);
        for key in keys {
            assert!(hot.make_room(40));
            hot.keep(key, machine.room(40).unwrap(), 40);
            // The first is asked for again and again.
            assert!(hot.find(keys[0]).is_some());
        }
        assert_eq!(keys.map(|key| hot.find(key).is_some()), [true, false, true]);
        assert!(!hot.make_room(101));
        hot.keep(keys[0], machine.room(60).unwrap(), 60);
        assert_eq!(hot.lock().n_bytes, 100);
        assert!(hot.clear() && !hot.clear());
        assert_eq!(hot.lock().n_bytes, 0);
    }
}
