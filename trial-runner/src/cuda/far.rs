//! A card that another process uses for this one (`worker.rs`): its memory and its queues from here.
//!
//! What is put and launched is sent, and nobody waits for it before something is taken back. When the
//! process ends, whatever it was at is [`Fault::Lost`]; another one may begin. One that does not say
//! any more that it is there, or has a queue wait for too long (`patience.rs`), is ended.

use std::io::{self, ErrorKind, IoSlice, Read};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

#[cfg(test)]
use super::faulty::Trap;
use super::hot;
use super::link::{
    BITS, FREE, JOIN, LAUNCH, LIMITS, Link, MEMORY, PUT, RESIDENT, ROOM, SPANS, TAKE, mark,
    nonsense,
};
use super::machine::Limits;
use super::machine::{Buffer, Defines, Fault, Grid, Kernel, Word};
use super::patience::{Ended, Patience, Patient};
use crate::slots::Slot;
use crate::stop::Stop;

/// The hidden subcommand that begins such a process.
pub const SUBCOMMAND: &str = "__card";

/// Bytes of a piece that is worth asking for.
const LEAST_SHARED: usize = 256;

/// How long it may take to end, and how often that is looked at.
const FAREWELL: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(2);

/// Why a process is ended.
const IS_SILENT: &str = "its process does not answer";
const HANGS: &str = "its driver does not answer";
const IS_OTHER: &str = "its process is another version of fleetfit than this one, which has to be \
                        started again";

/// One of its queues.
#[derive(Debug)]
pub(crate) struct Far {
    line: Arc<Line>,
    next: AtomicU64,
}

/// What a queue is told through.
#[derive(Debug)]
struct Line {
    worker: Arc<Worker>,
    link: Mutex<Link>,
}

/// The process. It ends when nobody has it any more.
#[derive(Debug)]
struct Worker {
    /// Through which sockets of queues are sent, and it says that it is there.
    control: UnixStream,
    /// None where a test's thread stands for it.
    child: Mutex<Option<Child>>,
    patience: Patience,
    ended: Ended,
}

/// Memory of one of its queues.
#[derive(Debug)]
pub(crate) struct FarSlab {
    line: Arc<Line>,
    number: u64,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It ends by itself when nobody can send it a queue; who watches it may have to write a report.
        let _ = self.control.shutdown(Shutdown::Both);
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some(child) = child else { return };
        if !ends(child) {
            let _ = child.kill();
            // One that its driver holds ends when that lets go of it, and nobody waits for that.
            ends(child);
        }
    }
}

/// Whether a process ends soon; it is reaped then.
fn ends(child: &mut Child) -> bool {
    let began = Instant::now();
    while matches!(child.try_wait(), Ok(None)) {
        if began.elapsed() >= FAREWELL {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    true
}

impl Drop for FarSlab {
    fn drop(&mut self) {
        // A process that is gone has no memory either.
        let _ = self.line.talk(|link| link.say(&[FREE, self.number]).and_then(|()| link.send()));
    }
}

impl Line {
    fn talk<T>(&self, talk: impl FnOnce(&mut Link) -> io::Result<T>) -> Result<T, Fault> {
        talk(&mut lock(&self.link)).map_err(|error| self.worker.lost(&error))
    }
}

impl Far {
    /// Begins a process that uses a card, by its number; compiled kernels are kept in a folder.
    /// `program` is fleetfit itself.
    pub(super) fn start(program: &Path, number: usize, kernels: &Path) -> Result<Self, Fault> {
        let begin = || {
            let (own, theirs) = UnixStream::pair()?;
            let child = Command::new(program)
                .arg0("fleetfit")
                .args([SUBCOMMAND, &number.to_string()])
                .arg(kernels)
                .stdin(Stdio::from(OwnedFd::from(theirs)))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                // Whoever interrupts the runner has it finish, which needs the card.
                .process_group(0)
                .spawn()?;
            Ok((own, child))
        };
        let (control, child) = begin().map_err(|error: io::Error| {
            Fault::Lost(format!("its process does not begin: {error}"))
        })?;
        Self::of(Worker::of(control, Some(child), Patience::OWN)?)
    }

    /// A thread stands for the process, with this machine.
    #[cfg(test)]
    pub(super) fn beside_a_thread(machine: super::machine::Machine, patience: Patience) -> Self {
        let (own, theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || {
            super::worker::attend(&theirs, || Ok(machine), &Trap::default())
        });
        Self::of(Worker::of(own, None, patience).unwrap()).unwrap()
    }

    fn of(worker: Arc<Worker>) -> Result<Self, Fault> {
        let link = worker.queue().map_err(|error| worker.lost(&error))?;
        let line = Arc::new(Line { worker, link: Mutex::new(link) });
        Ok(Self { line, next: AtomicU64::new(0) })
    }

    /// Another queue.
    pub(super) fn beside(&self) -> Result<Self, Fault> {
        Self::of(Arc::clone(&self.line.worker))
    }

    /// Waits for nothing soon after this stop, and gives this slot away while it waits.
    pub(super) fn heed(&self, stop: &Stop, slot: &Arc<Slot>) {
        lock(&self.line.link).heed(stop, slot);
    }

    /// Gives the slot away: what comes next may take long.
    pub(super) fn rest(&self) {
        lock(&self.line.link).rest();
    }

    pub(super) fn limits(&self, n_threads: usize) -> Result<Limits, Fault> {
        self.line.talk(|link| {
            link.say(&[LIMITS, n_threads as u64])?;
            link.send()?;
            Ok(match link.hear()? {
                Ok(()) => Ok(Limits::of_words(link.numbers()?)),
                Err(fault) => Err(fault),
            })
        })?
    }

    pub(super) fn put(&self, bytes: &[u8]) -> Result<FarSlab, Fault> {
        self.memory(|link, number| {
            link.say(&[PUT, number, bytes.len() as u64])?;
            link.give(bytes)
        })
    }

    /// Asks first which of the ranges are there already.
    pub(super) fn put_shared(
        &self,
        bytes: &[u8],
        shared: &[Range<usize>],
    ) -> Result<FarSlab, Fault> {
        let pieces = pieces(bytes.len(), shared);
        if pieces.iter().all(|(_, is_shared)| !is_shared) {
            return self.put(bytes);
        }
        let own = |range: &Range<usize>| bytes.get(range.clone()).unwrap_or_default();
        self.memory(|link, number| {
            link.say(&[JOIN, number, pieces.len() as u64])?;
            for (range, is_shared) in &pieces {
                let [one, other] = if *is_shared { hot::key(own(range)) } else { [0, 0] };
                link.say(&[range.len() as u64, one, other])?;
            }
            link.send()?;
            let wanted = pieces.iter().map(|_| link.number()).collect::<io::Result<Vec<_>>>()?;
            for ((range, _), wanted) in pieces.iter().zip(wanted) {
                if wanted == 1 {
                    link.give(own(range))?;
                }
            }
            Ok(())
        })
    }

    pub(super) fn room(&self, n_bytes: usize) -> Result<FarSlab, Fault> {
        self.memory(|link, number| link.say(&[ROOM, number, n_bytes as u64]))
    }

    fn memory(&self, ask: impl FnOnce(&mut Link, u64) -> io::Result<()>) -> Result<FarSlab, Fault> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.line.talk(|link| ask(link, number))?;
        Ok(FarSlab { line: Arc::clone(&self.line), number })
    }

    pub(super) fn take(&self, slab: &FarSlab) -> Result<Vec<u8>, Fault> {
        self.line.talk(|link| {
            link.say(&[TAKE, slab.number])?;
            link.send()?;
            link.rest();
            Ok(match link.hear()? {
                Ok(()) => {
                    let n_bytes = link.number()?;
                    Ok(link.bytes(n_bytes)?)
                }
                Err(fault) => Err(fault),
            })
        })?
    }

    pub(super) fn spans(&self) -> Result<Vec<(f64, f64)>, Fault> {
        self.line.talk(|link| {
            link.say(&[SPANS])?;
            link.send()?;
            if let Err(fault) = link.hear()? {
                return Ok(Err(fault));
            }
            let n_spans = link.number()?;
            let span = |_| Ok(link.numbers()?.map(f64::from_bits).into());
            (0..n_spans).map(span).collect::<io::Result<Vec<_>>>().map(Ok)
        })?
    }

    pub(super) fn resident(
        &self,
        kernel: &Kernel,
        defines: Defines<'_>,
        (n_threads, shared): (usize, usize),
    ) -> Result<usize, Fault> {
        self.line.talk(|link| {
            link.say(&[RESIDENT])?;
            say_kernel(link, kernel, defines)?;
            link.say(&[n_threads, shared].map(|number| number as u64))?;
            link.send()?;
            Ok(match link.hear()? {
                Ok(()) => Ok(link.number()? as usize),
                Err(fault) => Err(fault),
            })
        })?
    }

    pub(super) fn launch(
        &self,
        kernel: &Kernel,
        defines: Defines<'_>,
        grid: Grid,
        words: &[Word<'_>],
    ) -> Result<(), Fault> {
        let mut numbers = vec![words.len() as u64];
        for word in words {
            numbers.extend(match *word {
                Word::Buffer(Buffer::Far(slab)) => [MEMORY, slab.number],
                Word::Buffer(_) => return Err(super::machine::elsewhere()),
                Word::Int(value) => [BITS, value as u64],
                Word::Real(value) => [BITS, value.to_bits()],
            });
        }
        self.line.talk(|link| {
            link.say(&[LAUNCH])?;
            say_kernel(link, kernel, defines)?;
            let grid = [grid.n_blocks, grid.n_threads, grid.shared];
            link.say(&grid.map(|number| number as u64))?;
            link.say(&numbers)?;
            link.send()
        })
    }
}

impl Worker {
    /// Hears that the process is this program, and from then on that it is there.
    fn of(
        control: UnixStream,
        child: Option<Child>,
        patience: Patience,
    ) -> Result<Arc<Self>, Fault> {
        let (child, ended) = (Mutex::new(child), Ended::default());
        let worker = Arc::new(Self { control, child, patience, ended });
        worker.meet().map_err(|error| worker.lost(&error))?;
        Ok(worker)
    }

    fn meet(self: &Arc<Self>) -> io::Result<()> {
        let patience = Patience { answer: self.patience.beat, ..self.patience };
        let mut beats = Patient::of(self.control.try_clone()?, patience, &self.ended)?;
        for own in mark() {
            let mut bytes = [0; 8];
            let heard = beats.read_exact(&mut bytes);
            heard.inspect_err(|error| self.hear(error))?;
            if u64::from_le_bytes(bytes) != own {
                self.end(IS_OTHER);
                return Err(nonsense());
            }
        }
        let worker = Arc::downgrade(self);
        std::thread::Builder::new().name("card".into()).spawn(|| watch(beats, worker)).map(drop)
    }

    /// Takes in that it is not heard any more.
    fn hear(&self, error: &io::Error) {
        if error.kind() == ErrorKind::TimedOut {
            self.end(IS_SILENT);
        }
    }

    fn end(&self, why: &'static str) {
        // The first reason stays.
        let _ = self.ended.set(why);
        if let Some(child) = &mut *lock(&self.child) {
            let _ = child.kill();
        }
        let _ = self.control.shutdown(Shutdown::Both);
    }

    /// What it means that a queue could not be told or heard.
    fn lost(&self, error: &io::Error) -> Fault {
        if error.kind() == ErrorKind::TimedOut {
            self.end(HANGS);
        }
        Fault::Lost(match (self.ended.get(), error.kind()) {
            (Some(why), _) => (*why).to_owned(),
            (None, ErrorKind::ConnectionAborted) => "nobody waits for it any more".into(),
            (
                None,
                ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset,
            ) => "its process ended".into(),
            (None, _) => format!("its process cannot be reached: {error}"),
        })
    }

    /// Another socket, of which the process has the other end.
    fn queue(&self) -> io::Result<Link> {
        let (own, theirs) = UnixStream::pair()?;
        let sockets = [theirs.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !beside.push(SendAncillaryMessage::ScmRights(&sockets)) {
            return Err(nonsense());
        }
        sendmsg(&self.control, &[IoSlice::new(&[1])], &mut beside, SendFlags::empty())?;
        Link::watched(own, self.patience, &self.ended)
    }
}

/// Which kernel is meant.
fn say_kernel(link: &mut Link, kernel: &Kernel, defines: Defines<'_>) -> io::Result<()> {
    link.say_text(kernel.name)?;
    link.say(&[defines.len() as u64])?;
    for (name, value) in defines {
        link.say_text(name)?;
        link.say(&[*value as u64])?;
    }
    Ok(())
}

/// Ends a process once it does not say any more that it is there.
fn watch(mut beats: Patient, worker: Weak<Worker>) {
    loop {
        match beats.read(&mut [0; 64]) {
            Ok(0) => return,
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                if let Some(worker) = worker.upgrade() {
                    worker.hear(&error);
                }
                return;
            }
            _ => {}
        }
    }
}

/// All bytes in order, and which of them are shared; small pieces are worth no question.
fn pieces(n_bytes: usize, shared: &[Range<usize>]) -> Vec<(Range<usize>, bool)> {
    let mut pieces = Vec::new();
    let mut at = 0;
    for range in shared.iter().filter(|range| range.len() >= LEAST_SHARED) {
        pieces.push((at..range.start, false));
        pieces.push((range.clone(), true));
        at = range.end;
    }
    pieces.push((at..n_bytes, false));
    pieces.retain(|(range, _)| !range.is_empty());
    pieces
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::cuda::machine::{Machine, pack, unpack};
    use crate::cuda::shim::{Fate, Fates, Shim};
    use crate::cuda::theta;

    /// A machine across the border.
    fn far(shim: Shim) -> Machine {
        Machine::across_the_border(shim)
    }

    #[test]
    fn memory_goes_there_and_comes_back() {
        let machine = far(Shim { max_bytes: Some(800), ..Shim::default() });
        let numbers: Vec<i64> = (0..100).collect();
        let there = machine.put(&pack(&numbers)).unwrap();
        let beside = machine.beside().unwrap();
        let room = beside.room(16).unwrap();
        assert_eq!(unpack::<i64>(&machine.take(&there).unwrap()), numbers);
        assert_eq!(beside.take(&room).unwrap(), [0; 16]);
        // Who finds no memory hears of it where it counts, and the rest goes on.
        let none = machine.room(801).unwrap();
        assert_eq!(machine.take(&none), Err(Fault::OutOfMemory));
        assert_eq!(unpack::<i64>(&machine.take(&there).unwrap()), numbers);
        assert_eq!(machine.limits(2).unwrap(), Shim::limits(2));
        let (kernel, _) = theta::shipped().remove(0);
        assert_eq!(machine.resident(&kernel, &[("N", 1)], (256, 40 << 10)), Ok(4));
        assert_eq!(machine.spans(), Ok(Vec::new()));
    }

    #[test]
    fn a_launch_that_fails_spoils_what_it_was_for_and_nothing_else() {
        let lost = Fault::Lost("an illegal address".into());
        let fates = Fates::of([Fate::Fails(Fault::OutOfMemory), Fate::Fails(lost.clone())]);
        let machine = far(Shim { fates: Some(fates), ..Shim::default() });
        let (kernel, _) = theta::shipped().remove(0);
        let grid = Grid { n_blocks: 1, n_threads: 32, shared: 1024 };
        for fault in [Fault::OutOfMemory, lost] {
            let (own, other) = (machine.room(8).unwrap(), machine.room(8).unwrap());
            let words = [&own, &own, &own, &own].map(Word::Buffer);
            machine.launch(&kernel, &[], grid, &[&words[..], &[Word::Int(0)]].concat()).unwrap();
            assert_eq!(machine.take(&own), Err(fault));
            assert_eq!(machine.take(&other), Ok(vec![0; 8]));
        }
    }

    #[test]
    fn data_that_is_there_is_not_sent_again() {
        let machine = far(Shim::default());
        let sent = || match &machine {
            Machine::Far(far) => lock(&far.line.link).n_given,
            _ => unreachable!(),
        };
        let bytes: Vec<u8> = (0..4_000_u32).map(|place| (place % 251) as u8).collect();
        let shared = [0..1_000, 1_000..1_004, 2_000..3_500];
        let first = machine.put_shared(&bytes, &shared).unwrap();
        assert_eq!((machine.take(&first), sent()), (Ok(bytes.clone()), 4_000));
        // The same pieces elsewhere, among others.
        let other = [&bytes[2_000..3_500], &[7; 300], &bytes[..1_000]].concat();
        let beside = machine.beside().unwrap();
        let second = beside.put_shared(&other, &[0..1_500, 1_800..2_800]).unwrap();
        assert_eq!(beside.take(&second), Ok(other));
        let Machine::Far(beside) = &beside else { unreachable!() };
        assert_eq!(lock(&beside.line.link).n_given, 300);
        let again = machine.put_shared(&bytes, &shared).unwrap();
        assert_eq!((machine.take(&again), sent()), (Ok(bytes), 4_000 + 4_000 - 2_500));
    }

    #[test]
    fn data_that_is_kept_goes_before_anybody_finds_no_memory() {
        static LEFT: AtomicUsize = AtomicUsize::new(3_000);
        let machine = far(Shim { left: Some(&LEFT), ..Shim::default() });
        let bytes = vec![5; 1_000];
        let one = machine.put_shared(&bytes, std::slice::from_ref(&(0..1_000))).unwrap();
        assert_eq!((machine.take(&one), LEFT.load(Ordering::SeqCst)), (Ok(bytes), 1_000));
        let large = machine.room(1_900).unwrap();
        assert_eq!(machine.take(&large).map(|bytes| bytes.len()), Ok(1_900));
        let larger = machine.room(1_900).unwrap();
        assert_eq!(machine.take(&larger), Err(Fault::OutOfMemory));
    }

    #[test]
    fn a_process_that_does_not_begin_or_ends_is_lost() {
        let none = Far::start(Path::new("/nowhere"), 0, Path::new("")).unwrap_err();
        assert!(none.to_string().contains("its process does not begin"), "{none}");
        let ends = Far::start(Path::new("/bin/true"), 0, Path::new(""));
        assert_eq!(
            ends.and_then(|far| far.limits(1)),
            Err(Fault::Lost("its process ended".into()))
        );
    }

    /// A healthy process is never short of these.
    const LONG: u32 = 1_000_000;
    const SHORT: Patience =
        Patience { slice: Duration::from_millis(10), beat: LONG, answer: LONG, stopped: LONG };

    fn lost<T>(why: &str) -> Result<T, Fault> {
        Err(Fault::Lost(why.into()))
    }

    /// A program that says nothing.
    fn mute() -> (UnixStream, Child) {
        let (own, theirs) = UnixStream::pair().unwrap();
        let mut sleep = Command::new("sleep");
        (own, sleep.arg("3600").stdin(Stdio::from(OwnedFd::from(theirs))).spawn().unwrap())
    }

    fn is_there(process: u32) -> bool {
        let process = rustix::process::Pid::from_raw(process as i32).unwrap();
        rustix::process::test_kill_process(process).is_ok()
    }

    #[test]
    fn a_process_that_says_nothing_is_ended() {
        let (own, child) = mute();
        let process = child.id();
        let worker = Worker::of(own, Some(child), Patience { beat: 20, ..SHORT });
        assert_eq!(worker.map(drop), lost(IS_SILENT));
        assert!(!is_there(process));
    }

    #[test]
    fn a_process_that_falls_silent_is_ended_whoever_waits() {
        let (_, child) = mute();
        let process = child.id();
        let (own, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&mark().map(u64::to_le_bytes).concat()).unwrap();
        let worker = Worker::of(own, Some(child), Patience { beat: 20, ..SHORT }).unwrap();
        // Its sockets stay open, as those of a process that its driver holds.
        let far = Far::of(worker).unwrap();
        let beside = far.beside().unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| far.limits(1));
            let gives = scope.spawn(|| beside.put(&vec![7; 64 << 20]).map(drop));
            assert_eq!(waits.join().unwrap(), lost(IS_SILENT));
            assert_eq!(gives.join().unwrap(), lost(IS_SILENT));
        });
        assert_eq!(far.spans(), lost(IS_SILENT));
        drop((far, beside));
        // Whoever watched it may have it a moment longer.
        while is_there(process) {
            std::thread::yield_now();
        }
        drop(theirs);
    }

    #[test]
    fn a_driver_that_does_not_come_back_is_not_waited_for() {
        let stands = Fates::of([Fate::Stands(Duration::from_secs(3_600))]);
        let shim = Machine::Shim(Shim { fates: Some(stands), ..Shim::default() });
        let patience = Patience { answer: 50, ..SHORT };
        let machine = Machine::Far(Far::beside_a_thread(shim, patience));
        let (kernel, _) = theta::shipped().remove(0);
        let own = machine.room(8).unwrap();
        let grid = Grid { n_blocks: 1, n_threads: 32, shared: 1024 };
        machine.launch(&kernel, &[], grid, &[Word::Buffer(&own)]).unwrap();
        assert_eq!(machine.take(&own), lost(HANGS));
        // The process is ended: that goes for every queue.
        assert_eq!(machine.beside().and_then(|beside| beside.limits(1)), lost(HANGS));
    }

    #[test]
    fn a_process_of_another_build_is_told_nothing() {
        let (own, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(&[7; 8]).unwrap();
        let worker = Worker::of(own, None, SHORT).map(drop);
        assert_eq!(worker, lost(IS_OTHER));
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).unwrap();
        assert!(heard.is_empty());
    }
}
