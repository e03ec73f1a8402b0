//! Studies: how they stand, and what users do to them as a whole.

use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde_json::{Value, json};

use super::question::{Answer, Question, StudyName, ask};
use super::{App, Page, Refused, Why};
use crate::engine::cancel_at_rest;
use crate::journal::{Journal, JournalError};
use crate::query::{self, QueryError, StatusView};

pub(super) async fn list(State(app): State<Arc<App>>, query: RawQuery) -> Answer<Page<StatusView>> {
    let question = Question::read(query, &["cursor", "limit"])?;
    let (cursor, limit) = (question.cursor()?, question.limit()?);
    let page =
        ask(move || Ok(query::studies_page(&app.service.journal, cursor.as_deref(), limit)?));
    page.await.map(Json)
}

pub(super) async fn status(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
) -> Answer<StatusView> {
    Question::read(query, &[])?;
    ask(move || Ok(query::status(&app.service.journal, &study, &[])?)).await.map(Json)
}

pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
) -> Answer<StatusView> {
    Question::read(query, &[])?;
    let cancelled = ask(move || {
        let service = &app.service;
        let record = query::find(&service.journal, &study)?;
        if !record.summary.status.is_over() && !service.engine.cancel(&study) {
            if service.doors.is_none() {
                let message =
                    format!("{study} does not run here; cancel it when this process is done");
                return Err(Refused::new(Why::NotRunning, message));
            }
            cancel_at_rest(&service.journal, &record)?;
        }
        Ok(query::status(&service.journal, &study, &[])?)
    });
    cancelled.await.map(Json)
}

pub(super) async fn remove(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
) -> Answer<Value> {
    Question::read(query, &[])?;
    let removed = ask(move || {
        let service = &app.service;
        if service.journal.number_of(&study)?.is_none() {
            query::find(&service.journal, &study)?;
        }
        if !service.engine.leave(&study) {
            return Err(Refused::new(Why::Running, format!("{study} runs here; cancel it first")));
        }
        delete(&service.journal, &service.studies_dir, &study)?;
        Ok(json!({"study": study, "deleted": true}))
    });
    removed.await.map(Json)
}

/// Removes a study: from the journal first, then its files, so that nothing in the journal ever
/// points at a file that is gone.
pub fn delete(journal: &Journal, studies_dir: &Path, study: &str) -> Result<(), QueryError> {
    // A damaged one can go, too.
    let id = match journal.number_of(study)? {
        Some(id) => id,
        None => query::find(journal, study)?.id,
    };
    journal.delete(id)?;
    match std::fs::remove_dir_all(studies_dir.join(study)) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(JournalError::Disk { doing: "removing the study's files", source }.into())
        }
        _ => Ok(()),
    }
}
