//! How long a runner waits for the process of its card, and a socket that waits no longer.
//!
//! Time counts by slices in which nothing came or went: who slept for an hour lost one of them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use crate::slots::Slot;
use crate::stop::Stop;

/// How long something may take, in slices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) slice: Duration,
    /// Until the process says that it is there, which it does whatever its card is at.
    pub(super) beat: u32,
    /// Until something comes or goes. Launches take about a second, but all queues share the card, and
    /// a kernel may have to be compiled.
    pub(super) answer: u32,
    /// As long as the study is over.
    pub(super) stopped: u32,
}

impl Patience {
    /// Half a minute, ten minutes, two seconds.
    pub(super) const OWN: Self =
        Self { slice: Duration::from_millis(500), beat: 60, answer: 1_200, stopped: 4 };
}

/// Why a process was ended, once it was.
pub(super) type Ended = Arc<OnceLock<&'static str>>;

/// A socket whose other end may be silent for ever.
#[derive(Debug)]
pub(super) struct Patient {
    socket: UnixStream,
    patience: Patience,
    ended: Ended,
    stop: Stop,
    n_stopped: u32,
    /// Whoever waits here needs it no more.
    slot: Weak<Slot>,
}

impl Patient {
    /// Gives up with [`ErrorKind::TimedOut`] where nothing came or went for too long.
    pub(super) fn of(socket: UnixStream, patience: Patience, ended: &Ended) -> io::Result<Self> {
        socket.set_read_timeout(Some(patience.slice))?;
        socket.set_write_timeout(Some(patience.slice))?;
        Ok(Self { patience, ended: Arc::clone(ended), ..Self::endless(socket) })
    }

    /// Waits for ever.
    pub(super) fn endless(socket: UnixStream) -> Self {
        let (ended, stop, slot) = Default::default();
        Self { socket, patience: Patience::OWN, ended, stop, n_stopped: 0, slot }
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            socket: self.socket.try_clone()?,
            patience: self.patience,
            ended: Arc::clone(&self.ended),
            stop: self.stop.clone(),
            n_stopped: 0,
            slot: Weak::clone(&self.slot),
        })
    }

    /// Gives up with [`ErrorKind::ConnectionAborted`] soon after this stop. Whoever waits gives this
    /// slot away.
    pub(super) fn heed(&mut self, stop: &Stop, slot: &Arc<Slot>) {
        self.stop = stop.clone();
        self.n_stopped = 0;
        self.slot = Arc::downgrade(slot);
    }

    /// Gives the slot away: what comes next may take long.
    pub(super) fn rest(&self) {
        if let Some(slot) = self.slot.upgrade() {
            slot.rest();
        }
    }

    fn wait(&mut self, mut act: impl FnMut(&UnixStream) -> io::Result<usize>) -> io::Result<usize> {
        let mut n_silent = 0;
        loop {
            match act(&self.socket) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            n_silent += 1;
            self.rest();
            self.n_stopped += u32::from(self.stop.check().is_err());
            let why = if self.ended.get().is_some() {
                ErrorKind::BrokenPipe
            } else if self.n_stopped >= self.patience.stopped {
                ErrorKind::ConnectionAborted
            } else if n_silent >= self.patience.answer {
                ErrorKind::TimedOut
            } else {
                continue;
            };
            // What comes later is no answer to what is asked then.
            let _ = self.socket.shutdown(Shutdown::Both);
            return Err(why.into());
        }
    }
}

impl Read for Patient {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.wait(|mut socket| socket.read(bytes))
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wait(|mut socket| socket.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
