//! Jobs on their way in, and studies that are started once more.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::body::{MAX_JOB_BYTES, expect, object, text, unmarked, unprocessable};
use super::json_job::as_yaml;
use super::question::{Answer, Question, StudyName, ask};
use super::{Accepted, App, Doors, Refused, Rerun, Submitted, Why, json};
use crate::journal::{Journal, StudyId};
use crate::query::{self, StatusView};

/// The forms of a job that are read.
pub(super) const JOB_FORMS: [&str; 5] =
    ["application/yaml", "text/yaml", "application/x-yaml", "text/x-yaml", "application/json"];

/// The header that marks repeats of a request.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The longest such mark.
const MAX_MARK_BYTES: usize = 255;

/// How long repeats are known.
const REMEMBERED_MS: u64 = 24 * 3_600 * 1_000;

/// How often marks that are no longer known are removed.
const SWEEP_MS: u64 = 3_600 * 1_000;

/// The journal's kind of document for them.
const MARKS: &str = "idempotency-key";

/// Takes a job: 201 and how its study stands, or 200 where this very study was there already.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    query: RawQuery,
    request: Request,
) -> Result<(StatusCode, Json<StatusView>), Refused> {
    let digest_of_query = query.0.clone().unwrap_or_default();
    let question = Question::read(query, &["file", "material", "name", "set"])?;
    let sets = question.sets()?;
    let (parts, body) = request.into_parts();
    let form = expect(&parts.headers, &JOB_FORMS)?;
    let mark = mark(&parts.headers)?;
    app.doors()?;
    let mut text = text(body, MAX_JOB_BYTES).await?;
    let digest = blake3::hash(format!("{form}\n{digest_of_query}\n{text}").as_bytes());
    if form == "application/json" {
        let told = unmarked(&text);
        if serde_json::from_str::<IgnoredAny>(told).is_err() {
            json::read(told)?;
        }
        text = as_yaml(told);
    }
    let submitted = Submitted {
        text,
        file: question.owned("file"),
        sets,
        name: question.owned("name"),
        material: question.owned("material"),
        idempotency_key: mark.clone(),
    };
    let answered = ask(move || {
        let doors = app.doors()?;
        let accepted = match mark {
            None => (doors.submit)(submitted)?,
            Some(mark) => app.once(&mark, &digest.to_hex(), |_| (doors.submit)(submitted))?,
        };
        app.answer(&accepted)
    });
    answered.await
}

/// Starts a study like another one, on the data as they are now.
pub(super) async fn rerun(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
    request: Request,
) -> Result<(StatusCode, Json<StatusView>), Refused> {
    Question::read(query, &[])?;
    app.doors()?;
    let mark = mark(request.headers())?;
    let body = object(request, &["name", "set", "material"]).await?;
    let digest = blake3::hash(format!("rerun\n{study}\n{}", body.json()).as_bytes());
    let rerun = Rerun {
        study,
        name: body.optional_text("name")?,
        sets: body.sets("set")?,
        material: body.optional_text("material")?,
        begun_ms: None,
    };
    let answered = ask(move || {
        let doors = app.doors()?;
        let study = rerun.study.clone();
        let run = |begun_ms| {
            query::find(&app.service.journal, &study)?;
            (doors.rerun)(Rerun { begun_ms, ..rerun })
        };
        let accepted = match mark {
            None => run(None)?,
            Some(mark) => app.once(&mark, &digest.to_hex(), run)?,
        };
        app.answer(&accepted)
    });
    answered.await
}

/// Goes on with a study.
pub(super) async fn resume(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
) -> Answer<StatusView> {
    Question::read(query, &[])?;
    let resumed = ask(move || {
        let doors = app.doors()?;
        query::find(&app.service.journal, &study)?;
        (doors.resume)(study.clone())?;
        app.status(&study)
    });
    resumed.await.map(Json)
}

pub(super) fn mark(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    let Some(mark) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let mark = mark.to_str().ok().filter(|mark| {
        (1..=MAX_MARK_BYTES).contains(&mark.len())
            && mark.bytes().all(|byte| byte.is_ascii_graphic())
    });
    mark.map(|mark| Some(mark.to_owned())).ok_or_else(|| {
        Refused::bad(format!(
            "Idempotency-Key has 1 to {MAX_MARK_BYTES} printable ASCII characters and no spaces"
        ))
    })
}

/// What a marked request was, and what was answered.
#[derive(Debug, Serialize, Deserialize)]
struct Marked {
    digest: String,
    at_ms: u64,
    /// None while the job is being taken in.
    study: Option<String>,
    /// The study's number, which no other one gets that is called like it.
    #[serde(default)]
    id: Option<StudyId>,
    created: bool,
}

impl App {
    pub(super) fn doors(&self) -> Result<&Doors, Refused> {
        self.service.doors.as_deref().ok_or_else(Refused::not_a_service)
    }

    /// How the study of a job stands that was taken.
    fn answer(&self, accepted: &Accepted) -> Result<(StatusCode, Json<StatusView>), Refused> {
        let status = if accepted.created { StatusCode::CREATED } else { StatusCode::OK };
        Ok((status, Json(self.status(&accepted.study)?)))
    }

    /// Takes a marked job in, once. The door hears when that was begun before, if nobody knows how
    /// far it got.
    fn once(
        &self,
        mark: &str,
        digest: &str,
        take: impl FnOnce(Option<u64>) -> Result<Accepted, Refused>,
    ) -> Result<Accepted, Refused> {
        let journal = &self.service.journal;
        // Two that come at once with one mark come one after the other.
        let mut swept_ms = self.marks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let at_ms = now_ms();
        if at_ms.saturating_sub(*swept_ms) > SWEEP_MS {
            *swept_ms = at_ms;
            sweep(journal, at_ms)?;
        }
        let known = journal.document(MARKS, mark)?.and_then(|bytes| read(&bytes));
        let known = known.filter(|known| at_ms.saturating_sub(known.at_ms) <= REMEMBERED_MS);
        let begun_ms = match known {
            Some(known) if known.digest != digest => {
                let message =
                    "this Idempotency-Key came with another request before; draw a new one";
                return Err(unprocessable(message));
            }
            Some(Marked { study: Some(study), id, created, .. })
                if is_there(journal, &study, id)? =>
            {
                return Ok(Accepted { study, created });
            }
            // The process was killed in between: the door knows the mark or the time, too.
            Some(Marked { study: None, at_ms, .. }) => Some(at_ms),
            // The study was deleted.
            Some(_) | None => None,
        };
        let mut marked = Marked {
            digest: digest.to_owned(),
            at_ms: begun_ms.unwrap_or(at_ms),
            study: None,
            id: None,
            created: false,
        };
        write(journal, mark, &marked)?;
        match take(begun_ms) {
            Ok(accepted) => {
                marked.id = journal.number_of(&accepted.study)?;
                marked.study = Some(accepted.study.clone());
                marked.created = accepted.created;
                write(journal, mark, &marked)?;
                Ok(accepted)
            }
            Err(refused) => {
                // The job can be mended and sent again under the same mark.
                journal.remove_document(MARKS, mark)?;
                Err(refused)
            }
        }
    }
}

/// Whether the study that a mark means is still there.
fn is_there(journal: &Journal, study: &str, id: Option<StudyId>) -> Result<bool, Refused> {
    let found = journal.number_of(study)?;
    Ok(found.is_some() && (id.is_none() || id == found))
}

/// A record that cannot be read is one that nobody remembers.
fn read(bytes: &[u8]) -> Option<Marked> {
    serde_json::from_slice(bytes).ok()
}

fn write(journal: &Journal, mark: &str, marked: &Marked) -> Result<(), Refused> {
    let bytes = serde_json::to_vec(marked)
        .map_err(|error| Refused::new(Why::Unexpected, error.to_string()))?;
    Ok(journal.put_document(MARKS, mark, &bytes)?)
}

fn sweep(journal: &Journal, now_ms: u64) -> Result<(), Refused> {
    for (mark, bytes) in journal.documents(MARKS)? {
        let is_known =
            read(&bytes).is_some_and(|known| now_ms.saturating_sub(known.at_ms) <= REMEMBERED_MS);
        if !is_known {
            journal.remove_document(MARKS, &mark)?;
        }
    }
    Ok(())
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
