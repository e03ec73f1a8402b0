//! What a study's trials tell of its parameters.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};

use super::App;
use super::question::{Answer, Question, StudyName, ask};
use crate::query::{self, InsightView};

pub(super) async fn insight(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
) -> Answer<InsightView> {
    let question = Question::read(query, &["entity"])?;
    let entity = question.owned("entity");
    let view = ask(move || Ok(query::insight(&app.service.journal, &study, entity.as_deref())?));
    view.await.map(Json)
}
