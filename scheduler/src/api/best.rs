//! What is best, over all entities and for each, and where its models lie.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};

use super::question::{Answer, Question, StudyName, ask};
use super::{App, Page};
use crate::query::{self, BestView, ModelView};

pub(super) async fn best(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
) -> Answer<Vec<BestView>> {
    let question = Question::read(query, &["entity", "top"])?;
    let (entity, top) = (question.owned("entity"), question.count("top", 1)?);
    let best = ask(move || Ok(query::best(&app.service.journal, &study, entity.as_deref(), top)?));
    best.await.map(Json)
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
) -> Answer<Page<BestView>> {
    let question = Question::read(query, &["cursor", "limit"])?;
    let (cursor, limit) = (question.owned("cursor"), question.limit()?);
    let page =
        ask(move || Ok(query::bests_page(&app.service.journal, &study, cursor.as_deref(), limit)?));
    page.await.map(Json)
}

pub(super) async fn models(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
) -> Answer<Page<ModelView>> {
    let question = Question::read(query, &["entity", "cursor", "limit"])?;
    let (entity, cursor) = (question.owned("entity"), question.owned("cursor"));
    let limit = question.limit()?;
    let page = ask(move || {
        let (entity, cursor) = (entity.as_deref(), cursor.as_deref());
        let journal = &app.service.journal;
        let (items, next) = query::models_page(journal, &study, entity, cursor, limit)?;
        Ok(Page { items, next })
    });
    page.await.map(Json)
}
