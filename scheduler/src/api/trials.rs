//! Trials that ended.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};

use super::question::{Answer, Question, StudyName, ask};
use super::{App, Page};
use crate::query::{self, TrialFilter, TrialRow};

pub(super) async fn list(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
) -> Answer<Page<TrialRow>> {
    let question = Question::read(query, &["entity", "state", "cursor", "limit"])?;
    let filter = TrialFilter { entity: question.owned("entity"), state: question.state()? };
    let (cursor, limit) = (question.cursor()?, question.limit()?);
    let page = ask(move || {
        let journal = &app.service.journal;
        Ok(query::trials_page(journal, &study, &filter, cursor.as_deref(), limit)?)
    });
    page.await.map(Json)
}
