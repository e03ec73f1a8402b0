//! Who can run trials.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};

use super::question::{Answer, Question, ask};
use super::{App, Page, RunnerView, roll};

/// All of them, by name. A process that is no service names none.
pub(super) async fn list(State(app): State<Arc<App>>, query: RawQuery) -> Answer<Page<RunnerView>> {
    let question = Question::read(query, &["cursor", "limit"])?;
    let (cursor, limit) = (question.cursor()?, question.limit()?);
    let page = ask(move || {
        let runners = app.service.doors.as_ref().map(|doors| (doors.runners)()).unwrap_or_default();
        roll::page(runners, |runner| &runner.name, cursor.as_deref(), limit)
    });
    page.await.map(Json)
}
