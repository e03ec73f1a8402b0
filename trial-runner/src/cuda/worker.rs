//! The process that uses a card: its one thread for each queue does what the runner's thread says.
//!
//! A kernel that fails takes the process's whole use of the card with it, and a driver may take the
//! process; so it is not the runner's. It ends when the runner does.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::card::failed;
use super::faulty::Trap;
use super::hot::{Hot, Key};
use super::kernels;
use super::link::{
    BEAT, BITS, FREE, JOIN, LAUNCH, LIMITS, Link, MEMORY, PUT, RESIDENT, ROOM, SPANS, TAKE, mark,
    nonsense,
};
use super::machine::{Buffer, Fault, Grid, Kernel, Machine, Word};
use crate::caught::caught;

/// The body of the hidden subcommand: uses a card, of this number, whose compiled kernels are in this
/// folder, for whoever is at the socket on standard input. The caller exits with the code returned.
pub(crate) fn work(arguments: impl IntoIterator<Item = OsString>) -> i32 {
    let mut arguments = arguments.into_iter();
    let number = arguments.next().and_then(|number| number.to_str()?.parse().ok());
    let (Some(number), Some(kernels)) = (number, arguments.next().map(PathBuf::from)) else {
        return 2;
    };
    let Ok(control) = io::stdin().as_fd().try_clone_to_owned() else { return 3 };
    let open = || {
        caught(|| Machine::open(number, &kernels))
            .unwrap_or_else(|panic| Err(Fault::Lost(failed(&panic))))
    };
    match attend(&UnixStream::from(control), open, &Trap::of_process()) {
        Ok(()) => 0,
        Err(_) => 3,
    }
}

/// Serves every queue that comes, until nobody can send another.
pub(super) fn attend(
    control: &UnixStream,
    open: impl FnOnce() -> Result<Machine, Fault>,
    trap: &Trap,
) -> io::Result<()> {
    let beating = control.try_clone()?;
    // By itself, so that it is heard whatever the driver is at; it ends when nobody hears it.
    let beat = move || beat(beating);
    std::thread::Builder::new().name("beat".into()).spawn(beat)?;
    let opened = open();
    let hot = Arc::new(Hot::new(opened.as_ref().map_or(0, memory_to_keep)));
    while let Some(socket) = next(control) {
        let machine = opened.as_ref().map_err(Clone::clone).and_then(Machine::beside);
        let (hot, trap) = (Arc::clone(&hot), trap.clone());
        let serve = move || {
            // The runner is gone, or hears that this end is.
            let _ = caught(|| {
                let (held, lent) = Default::default();
                let mut queue = Queue { hot: &hot, machine, held, lent, trap };
                Link::of(socket.into()).and_then(|mut link| queue.serve(&mut link))
            });
        };
        std::thread::Builder::new().name("queue".into()).spawn(serve)?;
    }
    Ok(())
}

/// Says which build this is, and that it is there, as long as somebody hears it.
fn beat(mut control: UnixStream) -> io::Result<()> {
    control.write_all(&mark().map(u64::to_le_bytes).concat())?;
    loop {
        std::thread::sleep(BEAT);
        control.write_all(&[1])?;
    }
}

/// Bytes of data that stay on a card: most of what two launches leave.
fn memory_to_keep(machine: &Machine) -> usize {
    machine.limits(1).map_or(0, |limits| limits.memory / 2)
}

/// The socket of the next queue.
fn next(control: &UnixStream) -> Option<OwnedFd> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    loop {
        let told =
            recvmsg(control, &mut [IoSliceMut::new(&mut byte)], &mut beside, RecvFlags::empty());
        match told {
            Err(rustix::io::Errno::INTR) => continue,
            Ok(told) if told.bytes > 0 => {}
            _ => return None,
        }
        let sockets = beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
            _ => None,
        });
        if sockets.is_some() {
            return sockets;
        }
    }
}

/// Memory by its number, or what spoilt it.
type Held = HashMap<u64, Result<Buffer, Fault>>;

/// One queue of the card.
struct Queue<'a> {
    hot: &'a Hot,
    machine: Result<Machine, Fault>,
    held: Held,
    /// Pieces that copies may still read.
    lent: Vec<Arc<Buffer>>,
    trap: Trap,
}

impl Queue<'_> {
    /// Does what it is told, until there is nobody to tell it.
    fn serve(&mut self, link: &mut Link) -> io::Result<()> {
        loop {
            match link.number()? {
                PUT => {
                    let [number, n_bytes] = link.numbers()?;
                    let put = self.put(n_bytes, link)?;
                    self.held.insert(number, put);
                }
                JOIN => {
                    let [number, n_pieces] = link.numbers()?;
                    let piece =
                        |_| link.numbers().map(|[n_bytes, one, other]| (n_bytes, [one, other]));
                    let pieces = (0..n_pieces).map(piece).collect::<io::Result<Vec<_>>>()?;
                    let joined = self.join(&pieces, link)?;
                    self.held.insert(number, joined);
                }
                ROOM => {
                    let [number, n_bytes] = link.numbers()?;
                    let room = self.roomy(|machine| machine.room(n_bytes as usize));
                    self.held.insert(number, room);
                }
                FREE => drop(self.held.remove(&link.number()?)),
                LAUNCH => {
                    let launch = Launch::hear(link)?;
                    if let Ok(machine) = &self.machine {
                        // What it means is told of the launch itself.
                        let _ = self.trap.spring(machine);
                    }
                    launch.run(&self.machine, &mut self.held);
                }
                TAKE => {
                    let number = link.number()?;
                    let taken = self.take(number);
                    link.answer(taken.as_ref().map(|_| ()))?;
                    if let Ok(bytes) = taken {
                        link.say(&[bytes.len() as u64])?;
                        link.give(&bytes)?;
                    }
                    link.send()?;
                }
                LIMITS => {
                    let n_threads = link.number()? as usize;
                    let limits = self.near().and_then(|machine| machine.limits(n_threads));
                    link.answer(limits.as_ref().map(|_| ()))?;
                    if let Ok(limits) = limits {
                        link.say(&limits.words())?;
                    }
                    link.send()?;
                }
                RESIDENT => {
                    let kernel = Specialised::hear(link)?;
                    let block = link.numbers()?.map(|number| number as usize);
                    let resident = self.near().and_then(|machine| kernel.resident(machine, block));
                    link.answer(resident.as_ref().map(|_| ()))?;
                    if let Ok(n_blocks) = resident {
                        link.say(&[n_blocks as u64])?;
                    }
                    link.send()?;
                }
                SPANS => {
                    let spans = self.near().and_then(Machine::spans);
                    link.answer(spans.as_ref().map(|_| ()))?;
                    if let Ok(spans) = spans {
                        link.say(&[spans.len() as u64])?;
                        let both = spans.iter().flat_map(|span| [span.0, span.1]);
                        link.say(&both.map(f64::to_bits).collect::<Vec<_>>())?;
                    }
                    link.send()?;
                }
                _ => return Err(nonsense()),
            }
        }
    }

    fn near(&self) -> Result<&Machine, Fault> {
        self.machine.as_ref().map_err(Clone::clone)
    }

    /// Memory, for which data that is kept has to go where there is no other.
    fn roomy(&self, make: impl Fn(&Machine) -> Result<Buffer, Fault>) -> Result<Buffer, Fault> {
        let machine = self.near()?;
        match make(machine) {
            Err(Fault::OutOfMemory) if self.hot.clear() => make(machine),
            made => made,
        }
    }

    /// Memory with the bytes that follow, which are read whatever happens.
    fn put(&self, n_bytes: u64, link: &mut Link) -> io::Result<Result<Buffer, Fault>> {
        match self.roomy(|machine| machine.blank(n_bytes as usize)) {
            Ok(mut buffer) => {
                Ok(self.fill(&mut buffer, 0..n_bytes as usize, link)?.map(|()| buffer))
            }
            Err(fault) => link.skip(n_bytes).map(|()| Err(fault)),
        }
    }

    fn fill(
        &self,
        buffer: &mut Buffer,
        range: Range<usize>,
        link: &mut Link,
    ) -> io::Result<Result<(), Fault>> {
        match self.near() {
            Ok(machine) => machine.fill(buffer, range, link.source()),
            Err(fault) => link.skip(range.len() as u64).map(|()| Err(fault)),
        }
    }

    /// Memory of pieces one after another: those that are kept are copied, the others read.
    fn join(
        &mut self,
        pieces: &[(u64, Key)],
        link: &mut Link,
    ) -> io::Result<Result<Buffer, Fault>> {
        let is_kept = |key: &Key| *key != [0, 0];
        let kept =
            pieces.iter().map(|(_, key)| is_kept(key).then(|| self.hot.find(*key)).flatten());
        let kept: Vec<Option<Arc<Buffer>>> = kept.collect();
        link.say(&kept.iter().map(|kept| u64::from(kept.is_none())).collect::<Vec<_>>())?;
        link.send()?;
        let n_bytes: u64 = pieces.iter().map(|(n_bytes, _)| n_bytes).sum();
        let mut joined = self.roomy(|machine| machine.blank(n_bytes as usize));
        let mut at = 0;
        let mut to_keep = Vec::new();
        for (&(n_bytes, key), kept) in pieces.iter().zip(kept) {
            let range = at..at + n_bytes as usize;
            at = range.end;
            let done = match (&mut joined, &kept) {
                (Ok(buffer), None) => self.fill(buffer, range.clone(), link)?,
                (Ok(buffer), Some(kept)) => self
                    .near()
                    .and_then(|near| near.copy((kept, 0..range.len()), (buffer, range.start))),
                (Err(_), None) => link.skip(n_bytes).map(Ok)?,
                (Err(_), Some(_)) => Ok(()),
            };
            if let Err(fault) = done {
                joined = Err(fault);
            }
            if kept.is_none() && is_kept(&key) {
                to_keep.push((key, range));
            }
            self.lent.extend(kept);
        }
        if let Ok(buffer) = &joined {
            self.keep(buffer, to_keep);
        }
        Ok(joined)
    }

    /// Keeps pieces of memory as far as there is room. It is no fault where there is none.
    fn keep(&self, buffer: &Buffer, pieces: Vec<(Key, Range<usize>)>) {
        let Ok(machine) = self.near() else { return };
        let mut copies = Vec::new();
        for (key, range) in pieces {
            let n_bytes = range.len();
            if !self.hot.make_room(n_bytes) {
                continue;
            }
            let Ok(mut copy) = machine.blank(n_bytes) else { break };
            if machine.copy((buffer, range), (&mut copy, 0)).is_ok() {
                copies.push((key, copy, n_bytes));
            }
        }
        // Other queues may read them from here on.
        if !copies.is_empty() && machine.settle().is_ok() {
            for (key, copy, n_bytes) in copies {
                self.hot.keep(key, copy, n_bytes);
            }
        }
    }

    fn take(&mut self, number: u64) -> Result<Vec<u8>, Fault> {
        let taken = match self.held.get(&number) {
            Some(Ok(buffer)) => self.near()?.take(buffer),
            Some(Err(fault)) => Err(fault.clone()),
            None => Err(Fault::Refused("there is no such memory".into())),
        };
        // All copies before it are through.
        self.lent.clear();
        taken
    }
}

/// A kernel as it is told.
struct Specialised {
    kernel: Kernel,
    defines: Vec<(String, i64)>,
}

impl Specialised {
    fn hear(link: &mut Link) -> io::Result<Self> {
        let name = link.text()?;
        let kernel = kernels().into_iter().find(|kernel| kernel.name == name);
        let kernel = kernel.ok_or_else(nonsense)?;
        let n_defines = link.number()?;
        let define = |_| Ok((link.text()?, link.number()? as i64));
        let defines = (0..n_defines).map(define).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { kernel, defines })
    }

    fn defines(&self) -> Vec<(&str, i64)> {
        self.defines.iter().map(|(name, value)| (name.as_str(), *value)).collect()
    }

    fn resident(&self, machine: &Machine, block: [usize; 2]) -> Result<usize, Fault> {
        machine.resident(&self.kernel, &self.defines(), block.into())
    }
}

/// A launch as it is told.
struct Launch {
    kernel: Specialised,
    grid: Grid,
    words: Vec<[u64; 2]>,
}

impl Launch {
    fn hear(link: &mut Link) -> io::Result<Self> {
        let kernel = Specialised::hear(link)?;
        let [n_blocks, n_threads, shared] = link.numbers()?.map(|number| number as usize);
        let n_words = link.number()?;
        let words = (0..n_words).map(|_| link.numbers()).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { kernel, grid: Grid { n_blocks, n_threads, shared }, words })
    }

    /// A launch that fails spoils all memory that it was for.
    fn run(&self, machine: &Result<Machine, Fault>, held: &mut Held) {
        let Err(fault) = self.try_run(machine, held) else { return };
        for [_, number] in self.words.iter().filter(|[kind, _]| *kind == MEMORY) {
            held.insert(*number, Err(fault.clone()));
        }
    }

    fn try_run(&self, machine: &Result<Machine, Fault>, held: &Held) -> Result<(), Fault> {
        let machine = machine.as_ref().map_err(Clone::clone)?;
        let mut words = Vec::with_capacity(self.words.len());
        for [kind, value] in &self.words {
            words.push(match (*kind, held.get(value)) {
                (BITS, _) => Word::Int(*value as i64),
                (_, Some(Ok(buffer))) => Word::Buffer(buffer),
                (_, Some(Err(fault))) => return Err(fault.clone()),
                (_, None) => return Err(Fault::Refused("there is no such memory".into())),
            });
        }
        machine.launch(&self.kernel.kernel, &self.kernel.defines(), self.grid, &words)
    }
}
