//! Memory of the host that a card reads by itself: bytes are read into one piece of it while the card
//! fetches the other.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use cudarc::driver::{CudaEvent, CudaStream, CudaViewMut, PinnedHostSlice};

use super::card::{fault, pinned};
use super::machine::Fault;

/// Bytes of each piece.
const PIECE: usize = 2 << 20;

/// The pieces of one queue, made when they are needed.
#[derive(Debug, Default)]
pub(super) struct Staging {
    pieces: [Option<Piece>; 2],
    next: usize,
}

/// A piece.
#[derive(Debug)]
struct Piece {
    memory: PinnedHostSlice<u8>,
    /// When the card has fetched what was in it last.
    fetched: Option<CudaEvent>,
}

impl Staging {
    /// Writes to a card's memory what comes from somewhere, piece after piece. All of it is read,
    /// whatever happens.
    pub(super) fn fill(
        &mut self,
        copies: &Arc<CudaStream>,
        into: &mut CudaViewMut<'_, u8>,
        from: &mut dyn Read,
    ) -> io::Result<Result<(), Fault>> {
        let n_bytes = into.len();
        let mut at = 0;
        let mut sent = Ok(());
        while at < n_bytes && sent.is_ok() {
            let range = at..n_bytes.min(at + PIECE);
            sent = match self.piece(copies) {
                Ok(piece) => {
                    at = range.end;
                    piece.read(range.len(), from)?;
                    piece.send(copies, into, range)
                }
                Err(fault) => Err(fault),
            };
        }
        io::copy(&mut from.take((n_bytes - at) as u64), &mut io::sink())?;
        Ok(sent)
    }

    /// The piece that was used longer ago, once the card has fetched what was in it.
    fn piece(&mut self, copies: &Arc<CudaStream>) -> Result<&mut Piece, Fault> {
        self.next = (self.next + 1) % self.pieces.len();
        let place = &mut self.pieces[self.next];
        if place.is_none() {
            let memory = pinned(copies.context(), PIECE)?;
            *place = Some(Piece { memory, fetched: None });
        }
        let piece = place.as_mut().ok_or(Fault::OutOfMemory)?;
        piece.fetched.take().map_or(Ok(()), |fetched| fetched.synchronize()).map_err(fault)?;
        Ok(piece)
    }
}

impl Piece {
    fn read(&mut self, n_bytes: usize, from: &mut dyn Read) -> io::Result<()> {
        let whole =
            self.memory.as_mut_slice().map_err(|error| io::Error::other(error.to_string()))?;
        from.read_exact(whole.get_mut(..n_bytes).unwrap_or_default())
    }

    /// Has the card fetch what was read, to this part of its memory.
    fn send(
        &mut self,
        copies: &Arc<CudaStream>,
        into: &mut CudaViewMut<'_, u8>,
        range: Range<usize>,
    ) -> Result<(), Fault> {
        let whole = self.memory.as_slice().map_err(fault)?;
        let bytes = whole.get(..range.len()).unwrap_or_default();
        let mut part = into.slice_mut(range);
        // The bytes stay as they are until `fetched`.
        copies.memcpy_htod(bytes, &mut part).map_err(fault)?;
        self.fetched = Some(copies.record_event(None).map_err(fault)?);
        Ok(())
    }
}
