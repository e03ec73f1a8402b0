//! Where kernels run: a card, here or in a process of its own, or in tests the shim, with the same
//! launchers for all.
//!
//! Memory is bytes; [`pack`] and [`unpack`] turn numbers into them and back. A launch goes to one
//! queue, so it sees what was put before and what earlier launches wrote, and [`Machine::take`] waits
//! for it.

use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::card::{Card, Slab};
use super::far::{Far, FarSlab};
#[cfg(test)]
use super::patience::Patience;
#[cfg(test)]
use super::shim::{Heap, Shim};
use crate::slots::Slot;
use crate::stop::Stop;

/// A machine that runs kernels.
#[derive(Debug)]
pub(crate) enum Machine {
    /// Used by this process.
    Card(Card),
    /// Used by another process for this one.
    Far(Far),
    #[cfg(test)]
    Shim(Shim),
}

/// Memory of a machine, which gets it back when this is dropped.
#[derive(Debug)]
pub(crate) enum Buffer {
    Card(Slab),
    Far(FarSlab),
    #[cfg(test)]
    Shim(Heap),
}

/// What a device has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    pub(crate) n_processors: usize,
    /// Shared bytes that a block may ask for, beside those that the kernel names itself.
    pub(crate) max_shared: usize,
    /// Shared bytes of a multiprocessor.
    pub(crate) processor_shared: usize,
    /// Bytes that a launch may hold.
    pub(crate) memory: usize,
    /// How long a launch should take.
    pub(crate) launch_s: f64,
}

impl Limits {
    /// As another process is told.
    pub(super) fn words(&self) -> [u64; 5] {
        let Self { n_processors, max_shared, processor_shared, memory, launch_s } = *self;
        let [a, b, c, d] =
            [n_processors, max_shared, processor_shared, memory].map(|number| number as u64);
        [a, b, c, d, launch_s.to_bits()]
    }

    /// As it hears them.
    pub(super) fn of_words([a, b, c, d, launch_s]: [u64; 5]) -> Self {
        let [n_processors, max_shared, processor_shared, memory] =
            [a, b, c, d].map(|number| number as usize);
        let launch_s = f64::from_bits(launch_s);
        Self { n_processors, max_shared, processor_shared, memory, launch_s }
    }
}

/// A kernel's text, in the file `name.cu`, and the name of its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    pub(crate) source: &'static str,
}

/// What a kernel is specialised by: `-D` of the compiler.
pub(crate) type Defines<'a> = &'a [(&'a str, i64)];

/// How a launch is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) n_blocks: usize,
    /// At most 1,024 a block.
    pub(crate) n_threads: usize,
    /// Bytes that each block shares, beside what the kernel names itself.
    pub(crate) shared: usize,
}

/// A field of the structure that a kernel takes, in its order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Word<'a> {
    Buffer(&'a Buffer),
    Int(i64),
    #[cfg_attr(not(test), expect(dead_code, reason = "no kernel but a test's takes one by itself"))]
    Real(f64),
}

/// Why a machine did not do what it was told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// Less at a time may fit.
    #[error("the device has no memory left")]
    OutOfMemory,
    /// It would be refused again.
    #[error("{0}")]
    Refused(String),
    /// This process can use the device no more.
    #[error("the device is lost: {0}")]
    Lost(String),
}

impl Machine {
    /// Begins to use a card, by its number; compiled kernels are kept in a folder. The driver must be
    /// here.
    pub(crate) fn open(number: usize, kernels: &Path) -> Result<Self, Fault> {
        Card::open(number, kernels).map(Self::Card)
    }

    /// Begins a process that uses a card for this one; `program` is fleetfit itself.
    pub(crate) fn start(program: &Path, number: usize, kernels: &Path) -> Result<Self, Fault> {
        Far::start(program, number, kernels).map(Self::Far)
    }

    /// A thread stands for the process that uses it.
    #[cfg(test)]
    pub(crate) fn across_the_border(shim: Shim) -> Self {
        Self::Far(Far::beside_a_thread(Self::Shim(shim), Patience::OWN))
    }

    /// The same machine with another queue. Memory stays with the queue that it was made for.
    pub(crate) fn beside(&self) -> Result<Self, Fault> {
        match self {
            Self::Card(card) => card.beside().map(Self::Card),
            Self::Far(far) => far.beside().map(Self::Far),
            #[cfg(test)]
            Self::Shim(shim) => Ok(Self::Shim(*shim)),
        }
    }

    /// Waits for nothing soon after this stop; what was waited for is lost then. Whoever waits gives
    /// this slot away, and has to ask for it again.
    pub(crate) fn heed(&self, stop: &Stop, slot: &Arc<Slot>) {
        if let Self::Far(far) = self {
            far.heed(stop, slot);
        }
    }

    /// Gives the slot away: what comes next may take long.
    pub(crate) fn rest(&self) {
        if let Self::Far(far) = self {
            far.rest();
        }
    }

    /// What there is for one of several threads that use it.
    pub(crate) fn limits(&self, n_threads: usize) -> Result<Limits, Fault> {
        match self {
            Self::Card(card) => card.limits(n_threads),
            Self::Far(far) => far.limits(n_threads),
            #[cfg(test)]
            Self::Shim(_) => Ok(Shim::limits(n_threads)),
        }
    }

    /// Memory with these bytes.
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<Buffer, Fault> {
        match self {
            Self::Card(card) => Ok(Buffer::Card(card.put(bytes)?)),
            Self::Far(far) => Ok(Buffer::Far(far.put(bytes)?)),
            #[cfg(test)]
            Self::Shim(shim) => Ok(Buffer::Shim(shim.put(bytes)?)),
        }
    }

    /// Memory with as many zeros.
    pub(crate) fn room(&self, n_bytes: usize) -> Result<Buffer, Fault> {
        match self {
            Self::Card(card) => Ok(Buffer::Card(card.room(n_bytes)?)),
            Self::Far(far) => Ok(Buffer::Far(far.room(n_bytes)?)),
            #[cfg(test)]
            Self::Shim(shim) => Ok(Buffer::Shim(shim.room(n_bytes)?)),
        }
    }

    /// Memory with these bytes, of which some ranges are data that later launches may share: what is
    /// there already is not sent again.
    pub(crate) fn put_shared(
        &self,
        bytes: &[u8],
        shared: &[Range<usize>],
    ) -> Result<Buffer, Fault> {
        match self {
            Self::Far(far) => Ok(Buffer::Far(far.put_shared(bytes, shared)?)),
            _ => self.put(bytes),
        }
    }

    /// Memory that the caller fills.
    pub(super) fn blank(&self, n_bytes: usize) -> Result<Buffer, Fault> {
        match self {
            Self::Card(card) => Ok(Buffer::Card(card.blank(n_bytes)?)),
            _ => self.room(n_bytes),
        }
    }

    /// Writes to a part of memory what comes from somewhere. All of it is read, whatever happens.
    pub(super) fn fill(
        &self,
        buffer: &mut Buffer,
        range: Range<usize>,
        from: &mut dyn Read,
    ) -> io::Result<Result<(), Fault>> {
        match (self, buffer) {
            (Self::Card(card), Buffer::Card(slab)) => card.fill(slab, range, from),
            #[cfg(test)]
            (Self::Shim(_), Buffer::Shim(heap)) => Shim::fill(heap, range, from),
            _ => {
                io::copy(&mut from.take(range.len() as u64), &mut io::sink())?;
                Ok(Err(elsewhere()))
            }
        }
    }

    /// Copies a part of memory to a part of other memory.
    pub(super) fn copy(
        &self,
        (from, range): (&Buffer, Range<usize>),
        (into, at): (&mut Buffer, usize),
    ) -> Result<(), Fault> {
        match (self, from, into) {
            (Self::Card(card), Buffer::Card(from), Buffer::Card(into)) => {
                card.copy((from, range), (into, at))
            }
            #[cfg(test)]
            (Self::Shim(_), Buffer::Shim(from), Buffer::Shim(into)) => {
                Shim::copy((from, range), (into, at));
                Ok(())
            }
            _ => Err(elsewhere()),
        }
    }

    /// Waits until all bytes are where they were put.
    pub(super) fn settle(&self) -> Result<(), Fault> {
        match self {
            Self::Card(card) => card.settle(),
            _ => Ok(()),
        }
    }

    /// What stands in memory after all launches so far.
    pub(crate) fn take(&self, buffer: &Buffer) -> Result<Vec<u8>, Fault> {
        match (self, buffer) {
            (Self::Card(card), Buffer::Card(slab)) => card.take(slab),
            (Self::Far(far), Buffer::Far(slab)) => far.take(slab),
            #[cfg(test)]
            (Self::Shim(_), Buffer::Shim(heap)) => Ok(heap.bytes()),
            _ => Err(elsewhere()),
        }
    }

    /// When each launch since the last such question began and ended, in seconds on a clock that all
    /// queues share. Tests have none.
    pub(crate) fn spans(&self) -> Result<Vec<(f64, f64)>, Fault> {
        match self {
            Self::Card(card) => card.spans(),
            Self::Far(far) => far.spans(),
            #[cfg(test)]
            Self::Shim(_) => Ok(Vec::new()),
        }
    }

    /// How many blocks of so many threads and shared bytes a multiprocessor has at once.
    pub(crate) fn resident(
        &self,
        kernel: &Kernel,
        defines: Defines<'_>,
        block: (usize, usize),
    ) -> Result<usize, Fault> {
        match self {
            Self::Card(card) => card.resident(kernel, defines, block),
            Self::Far(far) => far.resident(kernel, defines, block),
            #[cfg(test)]
            Self::Shim(_) => Ok(Shim::resident(block)),
        }
    }

    /// Runs a kernel, specialised by the defines.
    pub(crate) fn launch(
        &self,
        kernel: &Kernel,
        defines: Defines<'_>,
        grid: Grid,
        words: &[Word<'_>],
    ) -> Result<(), Fault> {
        if grid.n_blocks == 0 {
            return Ok(());
        }
        match self {
            Self::Card(card) => card.launch(kernel, defines, grid, words),
            Self::Far(far) => far.launch(kernel, defines, grid, words),
            #[cfg(test)]
            Self::Shim(shim) => shim.launch(kernel, defines, grid, words),
        }
    }
}

/// For memory of another machine.
pub(super) fn elsewhere() -> Fault {
    Fault::Refused("the memory is another machine's".into())
}

/// A number as a machine's memory holds it: little end first, which cards and their hosts share.
pub(crate) trait Plain: Copy {
    /// Appends it.
    fn write(self, into: &mut Vec<u8>);
    /// Reads as many as there are.
    fn read(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! plain {
    ($($number:ty),*) => {$(
        impl Plain for $number {
            fn write(self, into: &mut Vec<u8>) {
                into.extend_from_slice(&self.to_le_bytes());
            }

            fn read(bytes: &[u8]) -> Vec<Self> {
                let (all, _) = bytes.as_chunks::<{ size_of::<$number>() }>();
                all.iter().map(|bytes| <$number>::from_le_bytes(*bytes)).collect()
            }
        }
    )*};
}

plain!(u8, u16, u32, u64, i32, i64, f32, f64);

/// Numbers as bytes.
pub(crate) fn pack<T: Plain>(numbers: &[T]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_of_val(numbers));
    numbers.iter().for_each(|number| number.write(&mut bytes));
    bytes
}

/// Bytes as numbers.
pub(crate) fn unpack<T: Plain>(bytes: &[u8]) -> Vec<T> {
    T::read(bytes)
}
