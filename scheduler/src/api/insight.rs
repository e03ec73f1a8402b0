//! What a study's trials tell of its parameters.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};

use super::App;
use super::question::{Answer, Question, StudyName, ask};
use crate::query::{self, InsightOf, InsightView};

pub(super) async fn insight(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
) -> Answer<InsightView> {
    let question = Question::read(query, &["entity", "objective"])?;
    let (entity, objective) = (question.owned("entity"), question.owned("objective"));
    let view = ask(move || {
        let of = InsightOf { entity: entity.as_deref(), objective: objective.as_deref() };
        Ok(query::insight(&app.service.journal, &study, of)?)
    });
    view.await.map(Json)
}
