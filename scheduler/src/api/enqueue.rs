//! Configurations that somebody wants tried next.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, Request, State};
use fleetfit_search_spaces::{Notice, points};
use serde::{Deserialize, Serialize};

use super::body::{json_text, object_in, unprocessable};
use super::json_job::as_yaml;
use super::question::{Answer, Question, StudyName, ask};
use super::submit::mark;
use super::{App, Refused, Why};
use crate::engine::{QueueError, Wish, enqueued_before};
use crate::query;

/// The key of the list.
const KEY: &str = "configurations";

/// What became of configurations that were asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Queued {
    /// The study's name.
    pub study: String,
    /// Their numbers, in their order.
    pub trials: Vec<u32>,
    /// What is worth saying about them.
    pub notices: Vec<Notice>,
}

pub(super) async fn enqueue(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
    request: Request,
) -> Answer<Queued> {
    Question::read(query, &[])?;
    let mark = mark(request.headers())?;
    let written = json_text(request).await?;
    // One form for one mark, however it was written.
    let text = object_in(&written, &[KEY])?.json();
    let queued = ask(move || {
        let record = query::find(&app.service.journal, &study)?;
        let space = record.study().map_err(query::QueryError::from)?.space;
        let points = points::read_document("the body", &as_yaml(&written), KEY, &space).map_err(
            |problems| Refused {
                message: problems.counted("no configuration was taken"),
                ..Refused::problems(problems.0)
            },
        )?;
        let configurations = points.configurations.clone();
        if configurations.is_empty() {
            return Err(unprocessable("configurations is empty; write one or more of them"));
        }
        let mark = mark.map(|mark| (hash(&mark), hash(&text)));
        let journal = &app.service.journal;
        let trials = match app.service.engine.enqueue(&study, Wish { configurations, mark }) {
            // What was answered once is answered so for good.
            Err(QueueError::NotRunning) => {
                let before =
                    mark.map(|mark| enqueued_before(journal, &record, mark)).transpose()?;
                // It may just have ended.
                let is_over = query::find(journal, &study)?.summary.status.is_over();
                let why = if is_over { QueueError::Over } else { QueueError::NotRunning };
                before.flatten().ok_or(why)?
            }
            answer => answer?,
        };
        Ok(Queued { study, trials: points.numbers(&trials), notices: points.notices })
    });
    queued.await.map(Json)
}

/// The same for the same text, in every version.
fn hash(text: &str) -> u64 {
    let digest = blake3::hash(text.as_bytes());
    let first = digest.as_bytes().first_chunk::<8>().copied();
    first.map_or(0, u64::from_be_bytes)
}

impl From<QueueError> for Refused {
    fn from(error: QueueError) -> Self {
        let why = match &error {
            QueueError::NotRunning | QueueError::Over => Why::NotRunning,
            QueueError::Full { .. } | QueueError::OtherMark | QueueError::Stranger(_) => {
                Why::Unprocessable
            }
            QueueError::Gone | QueueError::Failed(_) => Why::Unavailable,
        };
        Self::new(why, error.to_string())
    }
}
