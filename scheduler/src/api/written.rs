//! A body that is written while it is sent, on a thread that may wait: memory holds a few pieces.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::{App, Refused, Why};

/// How much is sent at once.
const PIECE_BYTES: usize = 256 << 10;

/// How many pieces may wait for the line.
const WAITING: usize = 4;

/// How long whoever asks may take for a piece.
const PAUSE: Duration = Duration::from_secs(120);

/// The body that `write` writes. What goes wrong before its first piece is a refusal, which begins with
/// `failed`; what goes wrong later cuts the body off.
pub(super) async fn written(
    app: &App,
    failed: &'static str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Result<Body, Refused> {
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let line = Line {
        piece: Vec::with_capacity(PIECE_BYTES),
        sender,
        closing: app.closing.subscribe(),
        runtime: Handle::current(),
    };
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(|| send(failed, write, line)));
    let refused = |why: &str| Refused::new(Why::Unavailable, format!("{failed}: {why}"));
    match receiver.recv().await {
        Some(Ok(first)) => {
            let rest = stream::unfold((Some(first), receiver), |(first, mut receiver)| async {
                let next = match first {
                    Some(first) => Ok(first),
                    None => receiver.recv().await?,
                };
                Some((next, (None, receiver)))
            });
            Ok(Body::from_stream(rest))
        }
        Some(Err(error)) => Err(refused(&error.to_string())),
        None => Err(refused("it failed unexpectedly; the log says more")),
    }
}

fn send(failed: &str, write: impl FnOnce(&mut dyn Write) -> io::Result<()>, mut line: Line) {
    let sent = write(&mut line).and_then(|()| line.flush());
    if let Err(error) = sent {
        if error.kind() != ErrorKind::BrokenPipe {
            tracing::error!("{failed}: {error}");
        }
        // Whoever asked may be gone.
        drop(line.sender.blocking_send(Err(error)));
    }
}

/// The line to whoever asked.
struct Line {
    piece: Vec<u8>,
    sender: mpsc::Sender<io::Result<Bytes>>,
    /// True once streams have to end.
    closing: watch::Receiver<bool>,
    runtime: Handle,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE_BYTES - self.piece.len();
        let taken = &bytes[..room.min(bytes.len())];
        self.piece.extend_from_slice(taken);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let (sender, closing) = (&self.sender, &mut self.closing);
        self.runtime.block_on(async {
            tokio::select! {
                sent = tokio::time::timeout(PAUSE, sender.send(Ok(piece.into()))) => match sent {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(_)) => Err(ErrorKind::BrokenPipe.into()),
                    Err(_) => {
                        let seconds = PAUSE.as_secs();
                        let why = format!("nobody has taken anything for {seconds} s");
                        Err(io::Error::new(ErrorKind::TimedOut, why))
                    }
                },
                _ = closing.wait_for(|closing| *closing) => {
                    Err(io::Error::other("the service is about to end"))
                }
            }
        })
    }
}
