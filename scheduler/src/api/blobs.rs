//! Blobs: what jobs name on disk, under the digest of its bytes. They pass through, piece by piece.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::body::object;
use super::logs::streamed;
use super::question::{Answer, Question, ask};
use super::{App, Refused, Why};
use crate::blobs::{BlobError, Blobs};

/// How long a piece may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(60);

/// What is gathered before it is written.
const PIECE_BYTES: usize = 1 << 20;

/// How many blobs can be asked after at once.
pub(super) const MAX_ASKED: usize = 10_000;

/// A blob that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptBlob {
    /// The digest of its bytes.
    pub digest: String,
    /// How many they are.
    pub bytes: u64,
}

/// Which blobs are not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingBlobs {
    /// Their digests.
    pub missing: Vec<String>,
}

/// Keeps a blob: 201, or 200 where it was there already.
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Path(digest): Path<String>,
    query: RawQuery,
    body: Body,
) -> Result<(StatusCode, Json<KeptBlob>), Refused> {
    Question::read(query, &[])?;
    let blobs = app.blobs()?.clone();
    let name = digest.clone();
    let begun = ask(move || Ok((blobs.has(&name)?, blobs.begin(&name)?)));
    let (was_there, mut incoming) = begun.await?;
    let mut pieces = body.into_data_stream();
    let mut is_over = false;
    while !is_over {
        let mut gathered = Vec::new();
        while gathered.len() < PIECE_BYTES {
            let late = |_| {
                let seconds = ARRIVAL.as_secs();
                let message = format!("nothing arrived for {seconds} s");
                Refused::new(Why::Timeout, message)
            };
            match tokio::time::timeout(ARRIVAL, pieces.next()).await.map_err(late)? {
                Some(Ok(piece)) => gathered.extend_from_slice(&piece),
                Some(Err(_)) => return Err(Refused::bad("the body ended before its end")),
                None => {
                    is_over = true;
                    break;
                }
            }
        }
        incoming = ask(move || {
            incoming.write(&gathered)?;
            Ok(incoming)
        })
        .await?;
    }
    let bytes = ask(move || Ok(incoming.finish()?)).await?;
    let status = if was_there { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(KeptBlob { digest, bytes })))
}

/// The bytes of a blob.
pub(super) async fn get(
    State(app): State<Arc<App>>,
    Path(digest): Path<String>,
    query: RawQuery,
) -> Result<Response, Refused> {
    Question::read(query, &[])?;
    let blobs = app.blobs()?.clone();
    let found = ask(move || {
        blobs.get(&digest)?.ok_or_else(|| {
            Refused::new(Why::UnknownBlob, format!("the service has no blob {digest}"))
        })
    });
    let (file, n_bytes) = found.await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, n_bytes.to_string()),
    ];
    Ok((headers, streamed(file)).into_response())
}

/// Which of many blobs have to be sent.
pub(super) async fn missing(
    State(app): State<Arc<App>>,
    query: RawQuery,
    request: Request,
) -> Answer<MissingBlobs> {
    Question::read(query, &[])?;
    let blobs = app.blobs()?.clone();
    let digests = object(request, &["digests"]).await?.texts("digests", MAX_ASKED)?;
    let missing = ask(move || {
        let digests: Vec<&str> = digests.iter().map(String::as_str).collect();
        Ok(blobs.missing(&digests)?.into_iter().map(str::to_owned).collect())
    });
    Ok(Json(MissingBlobs { missing: missing.await? }))
}

impl App {
    fn blobs(&self) -> Result<&Blobs, Refused> {
        self.service.blobs.as_ref().ok_or_else(Refused::not_a_service)
    }
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
