//! The API over HTTP: the same answers as the command line's, from the journal; and a few requests
//! that the engine carries out.
//!
//! Handlers only translate. What they ask may touch the disk, so it runs on blocking threads.

use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use fleetfit_search_spaces::TrialState;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

use crate::engine::EngineHandle;
use crate::journal::{Journal, JournalError};
use crate::query::{self, BestView, ModelView, QueryError, StatusView, TrialFilter, TrialRow};

pub use crate::query::{MAX_PAGE, Page};

/// What the API answers from.
#[derive(Clone)]
pub struct Service {
    /// The facts.
    pub journal: Journal,
    /// Who runs studies.
    pub engine: EngineHandle,
    /// Where the folders of studies are.
    pub studies_dir: PathBuf,
}

/// What went wrong with a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// A word for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// Finds the request in the log.
    pub request_id: String,
}

/// Answers until `closed` ends.
pub async fn serve(
    listener: UnixListener,
    service: Service,
    closed: impl Future<Output = ()> + Send + 'static,
) {
    let served = axum::serve(listener, router(service)).with_graceful_shutdown(async {
        closed.await;
    });
    // Only a listener that is gone ends it early, and then there is nobody left to tell.
    drop(served.await);
}

/// The routes.
pub fn router(service: Service) -> Router {
    let studies = Router::new()
        .route("/", get(list_studies))
        .route("/{study}", get(get_study).delete(delete_study))
        .route("/{study}/trials", get(list_trials))
        .route("/{study}/best", get(get_best))
        .route("/{study}/bests", get(list_bests))
        .route("/{study}/models", get(list_models))
        .route("/{study}/cancel", post(cancel_study));
    Router::new()
        .nest("/api/v1/studies", studies)
        .route("/healthz", get(|| async { Json(serde_json::json!({"status": "ok"})) }))
        .fallback(|| async { ApiError::new(StatusCode::NOT_FOUND, "not_found", "no such address") })
        .with_state(service)
}

type Answer<T> = Result<Json<T>, ApiError>;

/// Runs what may wait for the disk where it may.
async fn ask<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Answer<T> {
    match tokio::task::spawn_blocking(act).await {
        Ok(answer) => answer.map(Json),
        Err(_) => Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "unexpected",
            "the request failed unexpectedly",
        )),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Listing {
    entity: Option<String>,
    state: Option<TrialState>,
    cursor: Option<String>,
    limit: Option<usize>,
    top: Option<usize>,
}

impl Listing {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE)
    }
}

async fn list_studies(State(service): State<Service>) -> Answer<Page<StatusView>> {
    ask(move || {
        let items = query::studies(&service.journal)?;
        Ok(Page { items, next: None })
    })
    .await
}

async fn get_study(
    State(service): State<Service>,
    Path(study): Path<String>,
) -> Answer<StatusView> {
    ask(move || Ok(query::status(&service.journal, &study, &[])?)).await
}

async fn list_trials(
    State(service): State<Service>,
    Path(study): Path<String>,
    Query(listing): Query<Listing>,
) -> Answer<Page<TrialRow>> {
    ask(move || {
        let filter = TrialFilter { entity: listing.entity.clone(), state: listing.state };
        let cursor = listing.cursor.as_deref();
        Ok(query::trials_page(&service.journal, &study, &filter, cursor, listing.limit())?)
    })
    .await
}

async fn get_best(
    State(service): State<Service>,
    Path(study): Path<String>,
    Query(listing): Query<Listing>,
) -> Answer<Vec<BestView>> {
    let top = listing.top.unwrap_or(1).clamp(1, MAX_PAGE);
    ask(move || Ok(query::best(&service.journal, &study, listing.entity.as_deref(), top)?)).await
}

async fn list_bests(
    State(service): State<Service>,
    Path(study): Path<String>,
    Query(listing): Query<Listing>,
) -> Answer<Page<BestView>> {
    ask(move || {
        let cursor = listing.cursor.as_deref();
        Ok(query::bests_page(&service.journal, &study, cursor, listing.limit())?)
    })
    .await
}

async fn list_models(
    State(service): State<Service>,
    Path(study): Path<String>,
    Query(listing): Query<Listing>,
) -> Answer<Page<ModelView>> {
    ask(move || {
        let (entity, cursor) = (listing.entity.as_deref(), listing.cursor.as_deref());
        let limit = listing.limit();
        let (items, next) = query::models_page(&service.journal, &study, entity, cursor, limit)?;
        Ok(Page { items, next })
    })
    .await
}

async fn cancel_study(
    State(service): State<Service>,
    Path(study): Path<String>,
) -> Answer<StatusView> {
    ask(move || {
        let before = query::status(&service.journal, &study, &[])?;
        if before.status.is_over() || service.engine.cancel(&study) {
            return Ok(query::status(&service.journal, &study, &[])?);
        }
        let message = format!("{study} does not run here; cancel it when this process is done");
        Err(ApiError::new(StatusCode::CONFLICT, "not_running", &message))
    })
    .await
}

async fn delete_study(
    State(service): State<Service>,
    Path(study): Path<String>,
) -> Answer<serde_json::Value> {
    ask(move || {
        if !service.engine.leave(&study) {
            let message = format!("{study} runs here; cancel it first");
            return Err(ApiError::new(StatusCode::CONFLICT, "running", &message));
        }
        delete(&service.journal, &service.studies_dir, &study)?;
        Ok(serde_json::json!({"study": study, "deleted": true}))
    })
    .await
}

/// Removes a study: from the journal first, then its files, so that nothing in the journal ever
/// points at a file that is gone.
pub fn delete(
    journal: &Journal,
    studies_dir: &std::path::Path,
    study: &str,
) -> Result<(), QueryError> {
    let record = query::find(journal, study)?;
    journal.delete(record.id)?;
    match std::fs::remove_dir_all(studies_dir.join(study)) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(JournalError::Disk { doing: "removing the study's files", source }.into())
        }
        _ => Ok(()),
    }
}

/// A request that could not be answered.
struct ApiError {
    status: StatusCode,
    refusal: Refusal,
}

impl ApiError {
    fn new(status: StatusCode, code: &str, message: &str) -> Self {
        static REQUESTS: AtomicU64 = AtomicU64::new(1);
        let request_id =
            format!("{}-{}", std::process::id(), REQUESTS.fetch_add(1, Ordering::Relaxed));
        Self {
            status,
            refusal: Refusal { code: code.to_owned(), message: message.to_owned(), request_id },
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let (status, code) = match &error {
            QueryError::UnknownStudy { .. } => (StatusCode::NOT_FOUND, "unknown_study"),
            QueryError::UnknownEntity { .. } => (StatusCode::NOT_FOUND, "unknown_entity"),
            QueryError::EntityForm { .. }
            | QueryError::NoPartitions { .. }
            | QueryError::UnknownCursor { .. } => (StatusCode::BAD_REQUEST, "bad_request"),
            QueryError::Job(_) | QueryError::Journal(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "journal")
            }
        };
        Self::new(status, code, &error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.refusal)).into_response()
    }
}
