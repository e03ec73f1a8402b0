//! What a study has learnt: where its models lie, their bytes, and what rows have to look like for
//! them. Predicting is the asker's own work.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use fleetfit_search_spaces::EntityKey;
use fleetfit_search_spaces::wire::ModelAddress;
use serde::{Deserialize, Serialize};

use super::body::{expect, object_in, text, unprocessable};
use super::question::{Answer, Question, StudyName, ask};
use super::written::written;
use super::{App, MAX_PAGE, Page, Refused, Why};
use crate::query::{self, ModelView, Whose};

/// Reads what a study's folder keeps of what was learnt. Whoever trains knows its forms; here it is
/// bytes. Called on threads that may wait.
#[derive(Clone)]
pub struct Models {
    /// A model's bytes, which are those that its address says, or why they cannot be had.
    pub read: ReadModel,
    /// What rows have to look like, as JSON; none where the study has not begun to learn.
    pub schema: ReadSchema,
}

type ReadModel = Arc<dyn Fn(&Path, &ModelAddress) -> Result<Vec<u8>, String> + Send + Sync>;

type ReadSchema = Arc<dyn Fn(&Path) -> Result<Option<Vec<u8>>, String> + Send + Sync>;

/// Whose models are wanted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedModels {
    /// The entities' keys, from 1 to [`MAX_PAGE`]; that of a study without partitions is empty.
    pub entities: Vec<EntityKey>,
}

/// What a body may have: so many keys, long ones among them.
const MAX_WANTED_BYTES: usize = 1 << 20;

const BYTES: &str = "application/octet-stream";

pub(super) async fn list(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
) -> Answer<Page<ModelView>> {
    let question = Question::read(query, &["entity", "cursor", "limit"])?;
    let (entity, cursor) = (question.owned("entity"), question.cursor()?);
    let limit = question.limit()?;
    let page = ask(move || {
        let (entity, cursor) = (entity.as_deref(), cursor.as_deref());
        let journal = &app.service.journal;
        let (items, next) = query::models_page(journal, &study, entity, cursor, limit)?;
        Ok(Page { items, next })
    });
    page.await.map(Json)
}

/// What rows have to look like.
pub(super) async fn schema(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
) -> Result<Response, Refused> {
    Question::read(query, &[])?;
    let schema = ask(move || {
        query::find(&app.service.journal, &study)?;
        let read = (app.service.models.schema)(&app.folder_of(&study));
        read.map_err(|why| unreadable(&study, &why))?.ok_or_else(|| {
            let why = "it learns nothing here, or has not begun";
            Refused::new(Why::UnknownModel, format!("{study} has no schema: {why}"))
        })
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], schema.await?).into_response())
}

/// The bytes of one entity's model.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
) -> Result<Response, Refused> {
    let entity = Question::read(query, &["entity"])?.owned("entity");
    let bytes = ask(move || {
        let found = query::models_of(&app.service.journal, &study, &Whose::One(entity))?;
        let read = |address| (app.service.models.read)(&app.folder_of(&study), address);
        found.first().map_or(Ok(Vec::new()), read).map_err(|why| unreadable(&study, &why))
    });
    Ok(([(header::CONTENT_TYPE, BYTES)], bytes.await?).into_response())
}

/// The bytes of many models, in the order of the entities: the length of each, four bytes with the
/// lowest first, then its bytes.
pub(super) async fn many(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
    request: Request,
) -> Result<Response, Refused> {
    Question::read(query, &[])?;
    let (parts, body) = request.into_parts();
    expect(&parts.headers, &["application/json"])?;
    let body = object_in(&text(body, MAX_WANTED_BYTES).await?, &["entities"])?;
    let words = (
        "a list of entities, like {\"entities\": [{\"store\": 17}]}",
        "its partition columns and their values, like {\"store\": 17}",
    );
    let entities: Vec<EntityKey> =
        body.list("entities", words, |key| EntityKey::deserialize(key).ok())?;
    if !(1..=MAX_PAGE).contains(&entities.len()) {
        let n = entities.len();
        return Err(unprocessable(format!("{n} entities are asked for; ask for 1 to {MAX_PAGE}")));
    }
    let folder = app.folder_of(&study);
    let asked = Arc::clone(&app);
    let found =
        ask(move || Ok(query::models_of(&asked.service.journal, &study, &Whose::Keys(entities))?));
    let found = found.await?;
    let n_bytes: u64 = found.iter().map(|address| 4 + u64::from(address.length)).sum();
    let body = app.models_body(folder, found).await?;
    let headers =
        [(header::CONTENT_TYPE, BYTES.to_owned()), (header::CONTENT_LENGTH, n_bytes.to_string())];
    Ok((headers, body).into_response())
}

impl App {
    /// Where a study keeps its files. Only for names that the journal has.
    fn folder_of(&self, study: &str) -> PathBuf {
        self.service.studies_dir.join(study)
    }

    async fn models_body(&self, dir: PathBuf, models: Vec<ModelAddress>) -> Result<Body, Refused> {
        let read = Arc::clone(&self.service.models.read);
        written(self, "the models cannot be read", move |line| {
            for address in &models {
                let bytes = read(&dir, address).map_err(io::Error::other)?;
                line.write_all(&address.length.to_le_bytes())?;
                line.write_all(&bytes)?;
            }
            Ok(())
        })
        .await
    }
}

fn unreadable(study: &str, why: &str) -> Refused {
    Refused::new(Why::Unavailable, format!("the models of {study} cannot be read: {why}"))
}
