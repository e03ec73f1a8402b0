//! Studies: how they stand, and what users do to them as a whole.

use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use fleetfit_search_spaces::{Notice, Place};
use serde_json::{Value, json};

use super::question::{Answer, Question, StudyName, ask};
use super::{App, Page, Refused, Why};
use crate::engine::{cancel_at_rest, forget_leases};
use crate::journal::{Journal, JournalError, Status};
use crate::query::{self, QueryError, StatusView};
use crate::warm;

pub(super) async fn list(State(app): State<Arc<App>>, query: RawQuery) -> Answer<Page<StatusView>> {
    let question = Question::read(query, &["cursor", "limit"])?;
    let (cursor, limit) = (question.cursor()?, question.limit()?);
    let page = ask(move || {
        let journal = &app.service.journal;
        let Page { items, next } = query::studies_page(journal, cursor.as_deref(), limit)?;
        Ok(Page { items: items.into_iter().map(|view| app.standing(view)).collect(), next })
    });
    page.await.map(Json)
}

pub(super) async fn status(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
) -> Answer<StatusView> {
    Question::read(query, &[])?;
    ask(move || app.status(&study)).await.map(Json)
}

impl App {
    /// How a study stands.
    pub(super) fn status(&self, study: &str) -> Result<StatusView, Refused> {
        Ok(self.complete(query::status(&self.service.journal, study, &[])?))
    }

    /// The same with what only the running service knows.
    pub(super) fn complete(&self, view: StatusView) -> StatusView {
        let mut view = self.standing(view);
        if matches!(view.status, Status::Queued | Status::Running)
            && let Some(message) = self.lacking(&view.study)
        {
            let message = message.into_owned();
            view.notices.push(Notice { place: Place::default(), message });
        }
        view
    }

    /// A study that the journal calls running, and that nobody can run here any more.
    fn standing(&self, mut view: StatusView) -> StatusView {
        if view.status.is_over() {
            return view;
        }
        let engine = &self.service.engine;
        let why = match engine.ended() {
            Some(Err(error)) => Some(format!("{error}; then start the service again")),
            _ => engine.trouble(&view.study),
        };
        if let Some(why) = why {
            view.status = Status::Interrupted;
            let message = format!("it does not go on: {why}");
            view.notices.push(Notice { place: Place::default(), message });
        }
        view
    }
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
        app.status(&study)
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
    forget_leases(journal, id)?;
    warm::forget(journal, study)?;
    match std::fs::remove_dir_all(studies_dir.join(study)) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(JournalError::Disk { doing: "removing the study's files", source }.into())
        }
        _ => Ok(()),
    }
}
