//! The output of a command trial, and how a file becomes a body without lying in memory.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::question::{Question, StudyName, ask};
use super::{App, Refused, Why};
use crate::query;

/// What is read of a file at once.
const CHUNK_BYTES: usize = 256 << 10;

/// The log of one trial, as far as it is written.
pub(super) async fn log(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    Path((_, trial)): Path<(String, String)>,
    query: RawQuery,
) -> Result<Response, Refused> {
    Question::read(query, &[])?;
    let trial: u32 =
        trial.parse().map_err(|_| Refused::bad(format!("{trial} is not the number of a trial")))?;
    let file = ask(move || {
        let service = &app.service;
        let record = query::find(&service.journal, &study)?;
        let folder = service.studies_dir.join(&study).join("trials").join(trial.to_string());
        File::open(folder.join("log.txt")).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                Refused::new(Why::UnknownTrial, query::no_log(&record, trial))
            }
            _ => Refused::new(Why::Unavailable, format!("the log cannot be read: {error}")),
        })
    });
    let text = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((text, streamed(file.await?)).into_response())
}

/// The rest of a file as a body. It is read piece by piece as the asker takes it.
pub(super) fn streamed(file: File) -> Body {
    let pieces = stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; CHUNK_BYTES];
            let length = file.read(&mut piece)?;
            piece.truncate(length);
            Ok::<_, io::Error>((piece, file))
        });
        match read.await {
            Ok(Ok((piece, _))) if piece.is_empty() => None,
            Ok(Ok((piece, file))) => Some((Ok(Bytes::from(piece)), Some(file))),
            Ok(Err(error)) => Some((Err(error), None)),
            Err(_) => Some((Err(io::Error::other("the file was not read")), None)),
        }
    });
    Body::from_stream(pieces)
}
