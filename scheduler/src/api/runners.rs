//! Who can run trials.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};

use super::question::{Answer, Question, ask};
use super::{App, Page, RunnerView};

/// All of them: a fleet fits on one page. A process that is no service names none.
pub(super) async fn list(State(app): State<Arc<App>>, query: RawQuery) -> Answer<Page<RunnerView>> {
    Question::read(query, &[])?;
    let items = ask(move || {
        Ok(app.service.doors.as_ref().map(|doors| (doors.runners)()).unwrap_or_default())
    });
    Ok(Json(Page { items: items.await?, next: None }))
}
