//! What is best, over all entities and for each.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};

use super::question::{Answer, Question, StudyName, ask};
use super::{App, Page, Refused};
use crate::query::{self, BestView, EntityOrder, EntityView};

pub(super) async fn best(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
) -> Answer<Vec<BestView>> {
    let question = Question::read(query, &["entity", "top"])?;
    let (entity, top) = (question.owned("entity"), question.count_if_any("top")?);
    let best = ask(move || {
        Ok(query::best_or_front(&app.service.journal, &study, entity.as_deref(), top)?)
    });
    best.await.map(Json)
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
) -> Answer<Page<BestView>> {
    let question = Question::read(query, &["cursor", "limit"])?;
    let (cursor, limit) = (question.cursor()?, question.limit()?);
    let page =
        ask(move || Ok(query::bests_page(&app.service.journal, &study, cursor.as_deref(), limit)?));
    page.await.map(Json)
}

pub(super) async fn entities(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
) -> Answer<Page<EntityView>> {
    let question = Question::read(query, &["sort", "cursor", "limit"])?;
    let order = match question.word("sort") {
        None | Some("key") => EntityOrder::Key,
        Some("value") => EntityOrder::Value,
        Some(other) => {
            let message = format!("sort={other} is not known; entities are sorted by key or value");
            return Err(Refused::bad(message));
        }
    };
    let (cursor, limit) = (question.cursor()?, question.limit()?);
    let page = ask(move || {
        let (journal, tallies) = (&app.service.journal, &app.tallies);
        Ok(query::entities_page(journal, tallies, &study, order, cursor.as_deref(), limit)?)
    });
    page.await.map(Json)
}
