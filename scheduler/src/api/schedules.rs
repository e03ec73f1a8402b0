//! Schedules: jobs that are run again and again.

use std::path::Path as FilePath;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Path, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde_json::{Value, json};

use super::body::{MAX_JOB_BYTES, Object, expect, object_in, text, unprocessable};
use super::question::{Answer, Question, ask};
use super::submit::JOB_FORMS;
use super::{App, Page, Refused, Why, roll};
use crate::schedule::{NewSchedule, ScheduleError, ScheduleView, StoredJob, Ticker};

/// What a schedule is called that came without a file's name.
const FILE: &str = "schedule.yaml";

/// What a schedule and its job may have that come beside each other: each of them what a job may
/// have, and their letters are escaped.
const MAX_BOTH_BYTES: usize = 4 * MAX_JOB_BYTES;

/// All of them, by name.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    query: RawQuery,
) -> Answer<Page<ScheduleView>> {
    let question = Question::read(query, &["cursor", "limit"])?;
    let (cursor, limit) = (question.cursor()?, question.limit()?);
    let page = ask(move || {
        let schedules = app.ticker()?.schedules().list();
        roll::page(schedules, |view| &view.schedule, cursor.as_deref(), limit)
    });
    page.await.map(Json)
}

/// Takes a schedule: as YAML with its job in it, or as JSON beside its job. 201, or 200 where this
/// very one was there already.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    query: RawQuery,
    request: Request,
) -> Result<(StatusCode, Json<ScheduleView>), Refused> {
    let question = Question::read(query, &["file"])?;
    let (parts, body) = request.into_parts();
    let form = expect(&parts.headers, &JOB_FORMS)?;
    app.ticker()?;
    let is_json = form == "application/json";
    let text = text(body, if is_json { MAX_BOTH_BYTES } else { MAX_JOB_BYTES }).await?;
    let new = if is_json {
        schedule_and_job(&text)?
    } else {
        let file = question.owned("file").unwrap_or_else(|| FILE.to_owned());
        NewSchedule { file, text, job: None }
    };
    let created = ask(move || {
        app.find_files(&new)?;
        let (view, is_new) = app.ticker()?.create(new)?;
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        Ok((status, Json(view)))
    });
    created.await
}

/// A schedule beside its job.
fn schedule_and_job(text: &str) -> Result<NewSchedule, Refused> {
    let body = object_in(text, &["file", "text", "job"])?;
    let job = body.object("job", &["file", "text", "sets", "base_dir", "material"])?;
    let job = job.map(|job| {
        Ok::<_, Refused>(StoredJob {
            file: job.text_like("file", "the job file's name, like job.yaml")?,
            text: job.text_like("text", "the job file's text")?,
            sets: sets(&job)?,
            base_dir: job.optional_text("base_dir")?,
            material: job.optional_text("material")?,
        })
    });
    Ok(NewSchedule {
        file: body.text_like("file", "the schedule file's name, like nightly.yaml")?,
        text: body.text_like("text", "the schedule file's text")?,
        job: job.transpose()?,
    })
}

/// What the schedule changes in the job.
fn sets(job: &Object) -> Result<Vec<(String, String)>, Refused> {
    if !job.has("sets") {
        return Ok(Vec::new());
    }
    let words = (
        "a list of pairs of a dotted path and a value",
        "a pair of two texts, like [\"limits.timeout\", \"60\"]",
    );
    job.list("sets", words, |pair| match pair.as_array()?.as_slice() {
        [path, value] => Some((path.as_str()?.to_owned(), value.as_str()?.to_owned())),
        _ => None,
    })
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    ScheduleName(name): ScheduleName,
    query: RawQuery,
) -> Answer<ScheduleView> {
    Question::read(query, &[])?;
    act(app, move |ticker| ticker.schedules().get(&name)).await
}

pub(super) async fn pause(
    State(app): State<Arc<App>>,
    ScheduleName(name): ScheduleName,
    query: RawQuery,
) -> Answer<ScheduleView> {
    Question::read(query, &[])?;
    act(app, move |ticker| ticker.schedules().pause(&name)).await
}

pub(super) async fn resume(
    State(app): State<Arc<App>>,
    ScheduleName(name): ScheduleName,
    query: RawQuery,
) -> Answer<ScheduleView> {
    Question::read(query, &[])?;
    act(app, move |ticker| ticker.schedules().resume(&name)).await
}

pub(super) async fn trigger(
    State(app): State<Arc<App>>,
    ScheduleName(name): ScheduleName,
    query: RawQuery,
) -> Answer<ScheduleView> {
    Question::read(query, &[])?;
    act(app, move |ticker| ticker.trigger(&name)).await
}

pub(super) async fn remove(
    State(app): State<Arc<App>>,
    ScheduleName(name): ScheduleName,
    query: RawQuery,
) -> Answer<Value> {
    Question::read(query, &[])?;
    act(app, move |ticker| {
        ticker.schedules().delete(&name)?;
        Ok(json!({"schedule": name, "deleted": true}))
    })
    .await
}

async fn act<T: Send + 'static>(
    app: Arc<App>,
    act: impl FnOnce(&Ticker) -> Result<T, ScheduleError> + Send + 'static,
) -> Answer<T> {
    ask(move || Ok(act(app.ticker()?)?)).await.map(Json)
}

impl App {
    /// Refuses a schedule whose job could never be run, because its files are not to be had here.
    fn find_files(&self, new: &NewSchedule) -> Result<(), Refused> {
        let Some(job) = &new.job else { return Ok(()) };
        if let Some(folder) = job.base_dir.as_deref()
            && !(FilePath::new(folder).is_absolute() && FilePath::new(folder).is_dir())
        {
            let says = "write the path of a folder of the service's machine, from its root on";
            return Err(unprocessable(format!("job.base_dir is {folder}; {says}")));
        }
        if let (Some(digest), Some(blobs)) = (job.material.as_deref(), &self.blobs)
            && !blobs.has(digest)?
        {
            let says = "the service does not have it; send it first, as fleetfit submit does: PUT \
                        /api/v1/blobs/DIGEST";
            return Err(unprocessable(format!("job.material is {digest}: {says}")));
        }
        Ok(())
    }

    fn ticker(&self) -> Result<&Ticker, Refused> {
        self.doors()?.schedules.as_deref().ok_or_else(Refused::not_a_service)
    }
}

impl From<ScheduleError> for Refused {
    fn from(error: ScheduleError) -> Self {
        let why = match error {
            ScheduleError::Problems(problems) => return Self::problems(problems.0),
            ScheduleError::Exists { .. } => Why::Conflict,
            ScheduleError::Unknown { .. } => Why::UnknownSchedule,
            ScheduleError::Refused(_) => Why::Unprocessable,
            ScheduleError::Unreadable { .. } | ScheduleError::Journal(_) => Why::Unavailable,
        };
        Self::new(why, error.to_string())
    }
}

/// A schedule's name in the address.
pub(super) struct ScheduleName(String);

impl FromRequestParts<Arc<App>> for ScheduleName {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refused> {
        let word = Path::<String>::from_request_parts(parts, app).await;
        word.map(|name| Self(name.0)).map_err(|_| Refused::bad("the address is not UTF-8 text"))
    }
}
