//! Blobs over HTTP: what a job names on disk arrives before the job, and each blob once. No body lies
//! in memory.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{BodyDataStream, Bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use fleetfit_search_spaces::material::is_digest;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use super::body::{expect, expect_unpacked, object_in, text, unprocessable};
use super::logs::streamed;
use super::question::{Answer, Question, ask};
use super::{App, Refused, Why};
use crate::blobs::{BlobError, Blobs};

/// How long a sender may pause.
const PAUSE: Duration = Duration::from_secs(60);

/// How many pieces may wait for the disk.
const WAITING: usize = 4;

/// The most digests that one question names.
pub const MAX_ASKED: usize = 5_000;

/// Which of these blobs are not there?
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Their digests, at most [`MAX_ASKED`].
    pub digests: Vec<String>,
}

/// The blobs that are not there, and have to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Their digests.
    pub missing: Vec<String>,
}

/// A blob that was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its digest.
    pub digest: String,
    /// How many bytes it has.
    pub bytes: u64,
}

impl App {
    fn blobs(&self) -> Result<Blobs, Refused> {
        self.blobs.clone().ok_or_else(Refused::not_a_service)
    }
}

/// Keeps the body, if it is what the address says.
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Path(digest): Path<String>,
    query: RawQuery,
    request: Request,
) -> Result<(StatusCode, Json<Kept>), Refused> {
    Question::read(query, &[])?;
    expect_unpacked(request.headers())?;
    let blobs = app.blobs()?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let name = digest.clone();
    let keeping = ask(move || Ok(keep(&blobs, &name, receiver)?));
    let mut closing = app.closing.subscribe();
    let mut pieces = request.into_body().into_data_stream();
    let sending = async {
        tokio::select! {
            sent = send(&mut pieces, sender) => sent,
            _ = closing.wait_for(|closing| *closing) => {
                let message = "the service is about to end; send it again later";
                Err(Refused::new(Why::Unavailable, message))
            }
        }
    };
    let (kept, sent) = tokio::join!(keeping, sending);
    if kept.is_err() {
        tokio::spawn(hear_out(pieces, closing));
    }
    let kept = kept?;
    // Where the disk had a say, that is the reason; otherwise it is that of the sender.
    sent?;
    let bytes = kept.ok_or_else(|| Refused::bad("the body ended before its end"))?;
    Ok((StatusCode::CREATED, Json(Kept { digest, bytes })))
}

/// A piece of a body, or its proper end.
enum Arrived {
    Piece(Bytes),
    End,
}

/// Hands a body on, piece by piece. Ends without a word where nobody takes it any more.
async fn send(pieces: &mut BodyDataStream, sender: mpsc::Sender<Arrived>) -> Result<(), Refused> {
    loop {
        let next = tokio::time::timeout(PAUSE, pieces.next()).await.map_err(|_| {
            let seconds = PAUSE.as_secs();
            Refused::new(Why::Timeout, format!("nothing of the body came for {seconds} s"))
        })?;
        let arrived = match next {
            Some(Ok(piece)) => Arrived::Piece(piece),
            Some(Err(_)) => return Err(Refused::bad("the body ended before its end")),
            None => Arrived::End,
        };
        let is_end = matches!(arrived, Arrived::End);
        if sender.send(arrived).await.is_err() || is_end {
            return Ok(());
        }
    }
}

/// Takes the rest of a body that was refused: on a line that is closed before it is empty, whoever
/// sends meets a broken line and not the answer.
async fn hear_out(mut pieces: BodyDataStream, mut closing: watch::Receiver<bool>) {
    let rest = async { while let Some(Ok(_)) = pieces.next().await {} };
    tokio::select! {
        _ = tokio::time::timeout(PAUSE, rest) => {}
        _ = closing.wait_for(|closing| *closing) => {}
    }
}

/// Writes what arrives. None where the sender ended before its end.
fn keep(
    blobs: &Blobs,
    digest: &str,
    mut receiver: mpsc::Receiver<Arrived>,
) -> Result<Option<u64>, BlobError> {
    let mut incoming = blobs.begin(digest)?;
    while let Some(arrived) = receiver.blocking_recv() {
        match arrived {
            Arrived::Piece(piece) => incoming.write(&piece)?,
            Arrived::End => return incoming.finish().map(Some),
        }
    }
    Ok(None)
}

/// A blob's bytes; for HEAD, that it is there.
pub(super) async fn get(
    State(app): State<Arc<App>>,
    Path(digest): Path<String>,
    query: RawQuery,
) -> Result<Response, Refused> {
    Question::read(query, &[])?;
    let blobs = app.blobs()?;
    let found = ask(move || {
        blobs.get(&digest)?.ok_or_else(|| {
            Refused::new(Why::UnknownBlob, format!("there is no blob {digest}; it was never sent"))
        })
    });
    let (file, n_bytes) = found.await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, n_bytes.to_string()),
    ];
    Ok((headers, streamed(file)).into_response())
}

/// Tells which blobs have to be sent. The others stay for an hour, for the job that names them.
pub(super) async fn missing(
    State(app): State<Arc<App>>,
    query: RawQuery,
    request: Request,
) -> Answer<Missing> {
    Question::read(query, &[])?;
    let (parts, body) = request.into_parts();
    expect(&parts.headers, &["application/json"])?;
    let blobs = app.blobs()?;
    let body = object_in(&text(body, 1 << 20).await?, &["digests"])?;
    let words = ("a list of digests, like {\"digests\": [\"…\"]}", "a digest, as a text");
    let digests = body.list("digests", words, |digest| digest.as_str().map(str::to_owned))?;
    if digests.len() > MAX_ASKED {
        let message = format!("{} digests are too many; ask for {MAX_ASKED}", digests.len());
        return Err(unprocessable(message));
    }
    if let Some(wrong) = digests.iter().find(|digest| !is_digest(digest)) {
        let wrong: String = wrong.chars().take(80).collect();
        return Err(unprocessable(BlobError::NotADigest(wrong).to_string()));
    }
    let missing = ask(move || {
        let digests: Vec<&str> = digests.iter().map(String::as_str).collect();
        let missing = blobs.missing(&digests)?;
        Ok(missing.into_iter().map(str::to_owned).collect())
    });
    Ok(Json(Missing { missing: missing.await? }))
}

impl From<BlobError> for Refused {
    fn from(error: BlobError) -> Self {
        let why = match &error {
            BlobError::NotADigest(_) => Why::BadRequest,
            BlobError::Wrong { .. } => Why::Unprocessable,
            BlobError::TooLarge { .. } => Why::TooLarge,
            BlobError::Changed { .. } => Why::UnknownBlob,
            BlobError::Disk { .. } => Why::Unavailable,
        };
        Self::new(why, error.to_string())
    }
}
