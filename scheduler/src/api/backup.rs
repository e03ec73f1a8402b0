//! A copy of everything over HTTP, as it is made: neither a file nor memory holds it.

use std::io::{self, Write};
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::question::Question;
use super::written::written;
use super::{App, Refused};

/// Copies everything that the data directory holds. It is called on a thread that may wait.
pub type Backup = Arc<dyn Fn(&mut dyn Write) -> io::Result<()> + Send + Sync>;

/// The copy. One without its end is none.
pub(super) async fn backup(
    State(app): State<Arc<App>>,
    query: RawQuery,
) -> Result<Response, Refused> {
    Question::read(query, &[])?;
    let copy = Arc::clone(&app.service.backup);
    let body = written(&app, "the backup cannot be made", move |line| copy(line)).await?;
    Ok(([(header::CONTENT_TYPE, "application/x-tar")], body).into_response())
}
