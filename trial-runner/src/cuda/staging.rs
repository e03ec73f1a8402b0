//! Memory of the host that a card reads and writes by itself: bytes are read into one piece of it while
//! the card fetches the other, and what the card tells is read from one while it writes the other.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use cudarc::driver::{CudaEvent, CudaStream, CudaView, CudaViewMut, PinnedHostSlice};

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
    /// When the card is through with what it fetched or wrote last.
    done: Option<CudaEvent>,
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

    /// What stands in a card's memory, in the order of the queue, piece after piece.
    pub(super) fn take(
        &mut self,
        copies: &Arc<CudaStream>,
        from: &CudaView<'_, u8>,
    ) -> Result<Vec<u8>, Fault> {
        let n_bytes = from.len();
        let mut bytes = Vec::with_capacity(n_bytes);
        let mut n_before = 0;
        for at in (0..n_bytes).step_by(PIECE) {
            let range = at..n_bytes.min(at + PIECE);
            let n_own = range.len();
            self.piece(copies)?.fetch(copies, from, range)?;
            self.read_back(self.next + 1, n_before, &mut bytes)?;
            n_before = n_own;
        }
        self.read_back(self.next, n_before, &mut bytes)?;
        Ok(bytes)
    }

    /// Appends so much of a piece, once the card has written it.
    fn read_back(&mut self, place: usize, n_bytes: usize, into: &mut Vec<u8>) -> Result<(), Fault> {
        let place = place % self.pieces.len();
        match &mut self.pieces[place] {
            Some(piece) if n_bytes > 0 => piece.read_back(n_bytes, into),
            _ => Ok(()),
        }
    }

    /// The piece that was used longer ago, once the card is through with it.
    fn piece(&mut self, copies: &Arc<CudaStream>) -> Result<&mut Piece, Fault> {
        self.next = (self.next + 1) % self.pieces.len();
        let place = &mut self.pieces[self.next];
        if place.is_none() {
            let memory = pinned(copies.context(), PIECE)?;
            *place = Some(Piece { memory, done: None });
        }
        let piece = place.as_mut().ok_or(Fault::OutOfMemory)?;
        piece.wait()?;
        Ok(piece)
    }
}

impl Piece {
    /// Until the card is through with it.
    fn wait(&mut self) -> Result<(), Fault> {
        self.done.take().map_or(Ok(()), |done| done.synchronize()).map_err(fault)
    }

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
        // The bytes stay as they are until it is done.
        copies.memcpy_htod(bytes, &mut part).map_err(fault)?;
        self.done = Some(copies.record_event(None).map_err(fault)?);
        Ok(())
    }

    /// Has the card write this part of its memory.
    fn fetch(
        &mut self,
        copies: &Arc<CudaStream>,
        from: &CudaView<'_, u8>,
        range: Range<usize>,
    ) -> Result<(), Fault> {
        let whole = self.memory.as_mut_slice().map_err(fault)?;
        let into = whole.get_mut(..range.len()).unwrap_or_default();
        // Nobody reads or writes the bytes until it is done.
        copies.memcpy_dtoh(&from.slice(range), into).map_err(fault)?;
        self.done = Some(copies.record_event(None).map_err(fault)?);
        Ok(())
    }

    /// Appends what the card wrote, once it has.
    fn read_back(&mut self, n_bytes: usize, into: &mut Vec<u8>) -> Result<(), Fault> {
        self.wait()?;
        let whole = self.memory.as_slice().map_err(fault)?;
        into.extend_from_slice(whole.get(..n_bytes).unwrap_or_default());
        Ok(())
    }
}
