//! What a runner and the process of its card say to each other, of one queue: whole numbers of 64
//! bits and bytes, both ends the same program.
//!
//! Before any queue the process tells which build it is ([`mark`]), and then again and again that it is
//! there.
//!
//! Memory has numbers that the runner gives. Whatever goes wrong is told of the memory that it spoils,
//! when that is taken: so nobody waits for an answer before.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use super::hot;
use super::kernels;
use super::machine::Fault;
use super::nvrtc::HEADER;
use super::patience::{Ended, Patience, Patient};
use crate::slots::Slot;
use crate::stop::Stop;

/// Memory with bytes that follow: its number, how many.
pub(super) const PUT: u64 = 1;
/// Memory of pieces one after another: its number, how many pieces, and of each how many bytes and its
/// key, or zeros where it is not to be kept. Answered by a number for each, 1 where the bytes are
/// wanted; those follow.
pub(super) const JOIN: u64 = 8;
/// Memory with zeros: its number, how many.
pub(super) const ROOM: u64 = 2;
/// Memory that nobody needs any more: its number.
pub(super) const FREE: u64 = 3;
/// A launch: the kernel's name, defines, blocks, threads, shared bytes, words.
pub(super) const LAUNCH: u64 = 4;
/// What stands in memory: its number. Answered by bytes.
pub(super) const TAKE: u64 = 5;
/// What there is for one of so many threads. Answered by numbers.
pub(super) const LIMITS: u64 = 6;
/// When launches began and ended. Answered by numbers.
pub(super) const SPANS: u64 = 7;
/// How many blocks a multiprocessor has at once: the kernel's name, defines, threads, shared bytes.
/// Answered by a number.
pub(super) const RESIDENT: u64 = 9;

/// A word of a launch: memory by its number, or bits.
pub(super) const MEMORY: u64 = 0;
pub(super) const BITS: u64 = 1;

/// How often the process says that it is there.
pub(super) const BEAT: Duration = Duration::from_secs(1);

/// Texts are no longer than this.
const LONGEST_TEXT: u64 = 64 << 10;

/// One end.
#[derive(Debug)]
pub(super) struct Link {
    input: BufReader<Patient>,
    output: BufWriter<Patient>,
    /// Bytes of data that were given.
    #[cfg(test)]
    pub(super) n_given: usize,
}

impl Link {
    /// The process's end.
    pub(super) fn of(socket: UnixStream) -> io::Result<Self> {
        Self::with(Patient::endless(socket))
    }

    /// The runner's end.
    pub(super) fn watched(
        socket: UnixStream,
        patience: Patience,
        ended: &Ended,
    ) -> io::Result<Self> {
        Self::with(Patient::of(socket, patience, ended)?)
    }

    fn with(socket: Patient) -> io::Result<Self> {
        Ok(Self {
            input: BufReader::new(socket.try_clone()?),
            output: BufWriter::new(socket),
            #[cfg(test)]
            n_given: 0,
        })
    }

    /// Waits for nothing soon after this stop, and gives this slot away while it waits.
    pub(super) fn heed(&mut self, stop: &Stop, slot: &Arc<Slot>) {
        self.input.get_mut().heed(stop, slot);
        self.output.get_mut().heed(stop, slot);
    }

    /// Gives the slot away: what comes next may take long.
    pub(super) fn rest(&self) {
        self.input.get_ref().rest();
    }

    /// Says numbers.
    pub(super) fn say(&mut self, numbers: &[u64]) -> io::Result<()> {
        numbers.iter().try_for_each(|number| self.output.write_all(&number.to_le_bytes()))
    }

    /// Gives bytes, of which the other end knows how many there are.
    pub(super) fn give(&mut self, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        {
            self.n_given += bytes.len();
        }
        self.output.write_all(bytes)
    }

    pub(super) fn say_text(&mut self, text: &str) -> io::Result<()> {
        let text = if text.len() as u64 > LONGEST_TEXT { "a long text" } else { text };
        self.say(&[text.len() as u64])?;
        self.output.write_all(text.as_bytes())
    }

    /// Has the other end hear what was said.
    pub(super) fn send(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    /// Answers well, or with a fault.
    pub(super) fn answer(&mut self, outcome: Result<(), &Fault>) -> io::Result<()> {
        match outcome {
            Ok(()) => self.say(&[0]),
            Err(Fault::OutOfMemory) => self.say(&[1]),
            Err(Fault::Refused(reason)) => self.say(&[2]).and_then(|()| self.say_text(reason)),
            Err(Fault::Lost(reason)) => self.say(&[3]).and_then(|()| self.say_text(reason)),
        }
    }

    /// Hears an answer.
    pub(super) fn hear(&mut self) -> io::Result<Result<(), Fault>> {
        Ok(match self.number()? {
            0 => Ok(()),
            1 => Err(Fault::OutOfMemory),
            2 => Err(Fault::Refused(self.text()?)),
            3 => Err(Fault::Lost(self.text()?)),
            _ => return Err(nonsense()),
        })
    }

    pub(super) fn number(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.input.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(super) fn numbers<const N: usize>(&mut self) -> io::Result<[u64; N]> {
        let mut all = [0; N];
        for own in &mut all {
            *own = self.number()?;
        }
        Ok(all)
    }

    pub(super) fn text(&mut self) -> io::Result<String> {
        let n_bytes = self.number()?;
        if n_bytes > LONGEST_TEXT {
            return Err(nonsense());
        }
        String::from_utf8(self.bytes(n_bytes)?).map_err(|_| nonsense())
    }

    /// Reads so many bytes for nobody.
    pub(super) fn skip(&mut self, n_bytes: u64) -> io::Result<()> {
        io::copy(&mut (&mut self.input).take(n_bytes), &mut io::sink()).map(|_| ())
    }

    /// Bytes for whoever reads them as they come.
    pub(super) fn source(&mut self) -> &mut dyn Read {
        &mut self.input
    }

    /// So many bytes.
    pub(super) fn bytes(&mut self, n_bytes: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&mut self.input).take(n_bytes).read_to_end(&mut bytes)?;
        if bytes.len() as u64 == n_bytes { Ok(bytes) } else { Err(nonsense()) }
    }
}

/// Which build this is, as far as the two ends have to agree.
pub(super) fn mark() -> [u64; 2] {
    let own =
        [env!("CARGO_PKG_VERSION"), include_str!("link.rs"), include_str!("worker.rs"), HEADER];
    let kernels = kernels();
    let all = own.into_iter().chain(kernels.iter().map(|kernel| kernel.source));
    hot::key(all.collect::<String>().as_bytes())
}

/// For what no end of the same program says.
pub(super) fn nonsense() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "nobody understands it")
}
