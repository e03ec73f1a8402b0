//! Trials that are run by whoever asks for them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, Request, State};
use fleetfit_search_spaces::{Aims, Configuration, End, Work};
use serde::{Deserialize, Serialize};

use super::body::{Object, object, unprocessable};
use super::measured::{Ended, Said};
use super::question::{Answer, Question, StudyName, ask as answer};
use super::{App, MAX_PAGE, Refused, Why};
use crate::engine::{AskError, Told, TrialResult};
use crate::journal::StudyRecord;
use crate::query::{self, QueryError};

/// How long an asker may stay silent who does not say how long.
const USUAL_LEASE_S: u64 = 3_600;

/// How long he may stay silent at most.
const MAX_LEASE_S: u64 = 30 * 24 * 3_600;

/// The largest step: the largest number that JSON's readers agree on.
const MAX_STEP: u64 = (1 << 53) - 1;

/// Trials to be run by the asker: fewer than were asked for where there are no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AskedTrials {
    /// The trials.
    pub trials: Vec<AskedTrial>,
    /// Why there will be none any more, where the study is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// One trial to be run by the asker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AskedTrial {
    /// The configuration's number.
    pub trial: u32,
    /// The configuration.
    pub configuration: Configuration,
}

/// What became of results, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldTrials {
    /// One each.
    pub results: Vec<ToldTrial>,
}

/// What became of one result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldTrial {
    /// The configuration's number.
    pub trial: u32,
    /// `counted`, `repeated` where it had ended before, `late` where the study was over before,
    /// `unknown` where nobody was offered it.
    pub told: String,
}

/// What is to become of the trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// Whether it is not worth going on.
    pub stop: bool,
    /// Who says so.
    pub reason: Option<String>,
}

pub(super) async fn ask(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
    request: Request,
) -> Answer<AskedTrials> {
    Question::read(query, &[])?;
    let body = object(request, &["n", "lease_s"]).await?;
    let n = body.whole("n", 1, MAX_PAGE as u64)? as u32;
    let lease_s = match body.has("lease_s") {
        true => body.whole("lease_s", 1, MAX_LEASE_S)?,
        false => USUAL_LEASE_S,
    };
    let asked = answer(move || {
        query::find(&app.service.journal, &study)?;
        match app.service.engine.ask(&study, n, Duration::from_secs(lease_s)) {
            // There is nothing more to do, which is no mistake of whoever asks.
            Err(AskError::NotRunning) => {
                done(&app, &study)?;
                Ok((Vec::new(), Some(format!("{study} is over; there is nothing more to try"))))
            }
            asked => Ok((asked?, None)),
        }
    });
    let (trials, message) = asked.await?;
    let trials = trials
        .into_iter()
        .map(|tried| AskedTrial { trial: tried.number, configuration: tried.configuration });
    Ok(Json(AskedTrials { trials: trials.collect(), message }))
}

pub(super) async fn tell(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
    request: Request,
) -> Answer<ToldTrials> {
    Question::read(query, &[])?;
    let body = object(request, &["results"]).await?;
    let results =
        body.objects("results", MAX_PAGE, &["trial", "value", "values", "failed", "stopped"])?;
    let results: Vec<Said> = results.iter().map(said).collect::<Result<_, _>>()?;
    let trials: Vec<u32> = results.iter().map(|result| result.trial).collect();
    let told = answer(move || {
        let record = query::find(&app.service.journal, &study)?;
        let aims = Aims::of(&*app.service.journal.study(&record).map_err(QueryError::from)?);
        let results: Vec<TrialResult> =
            results.into_iter().map(|said| said.measured(&aims)).collect::<Result<_, _>>()?;
        let numbers: Vec<u32> = results.iter().map(|result| result.trial).collect();
        match app.service.engine.tell_results(&study, results) {
            Err(AskError::NotRunning) => {
                let record = done(&app, &study)?;
                let ended = query::ended(&app.service.journal, &record, &numbers)?;
                let told = |number| match number < record.summary.proposed {
                    true if ended.contains(&number) => Told::Repeated,
                    true => Told::Late,
                    false => Told::Unknown,
                };
                Ok(numbers.into_iter().map(told).collect())
            }
            told => Ok(told?),
        }
    });
    let results = trials.into_iter().zip(told.await?).map(|(trial, told)| {
        let told = match told {
            Told::Counted => "counted",
            Told::Repeated => "repeated",
            Told::Late => "late",
            Told::Unknown => "unknown",
        };
        ToldTrial { trial, told: told.to_owned() }
    });
    Ok(Json(ToldTrials { results: results.collect() }))
}

pub(super) async fn report(
    State(app): State<Arc<App>>,
    StudyName(study): StudyName,
    query: RawQuery,
    request: Request,
) -> Answer<Reported> {
    Question::read(query, &[])?;
    let body = object(request, &["trial", "step", "value"]).await?;
    let trial = body.whole("trial", 0, u64::from(u32::MAX))? as u32;
    let step = match body.has("step") {
        true => Some(body.whole("step", 0, MAX_STEP)?),
        false => None,
    };
    let value = body.number("value")?;
    let reported = answer(move || {
        query::find(&app.service.journal, &study)?;
        match app.service.engine.report(&study, trial, step, value) {
            Err(AskError::NotRunning) => {
                done(&app, &study)?;
                Ok(Some("the study is over".to_owned()))
            }
            reported => Ok(reported?),
        }
    });
    let reason = reported.await?;
    Ok(Json(Reported { stop: reason.is_some(), reason }))
}

/// A study that does not run: its trials run outside and it has come to its end, or whoever asks is
/// told what is in the way. Looked at afterwards: it may just have ended.
fn done(app: &App, study: &str) -> Result<StudyRecord, Refused> {
    let record = query::find(&app.service.journal, study)?;
    let work = record.study().map_err(QueryError::from)?.work;
    match (work, record.summary.status.is_over()) {
        (Work::External, true) => Ok(record),
        (Work::External, false) => {
            let message = format!(
                "{study} does not run here; POST /api/v1/studies/{study}/resume goes on with it"
            );
            Err(Refused::new(Why::NotRunning, message))
        }
        _ => Err(AskError::NotExternal.into()),
    }
}

/// One result as it is told: a value or several, a reason why there is none, or why it was stopped
/// early.
fn said(told: &Object) -> Result<Said, Refused> {
    let trial = told.whole("trial", 0, u64::from(u32::MAX))? as u32;
    let what = ["value", "values", "failed", "stopped"].map(|key| told.has(key));
    let end = match what {
        [true, false, false, false] => Ended::Value(told.number("value")?),
        [false, true, false, false] => Ended::Values(told.numbers("values")?),
        [false, false, true, false] => {
            Ended::Otherwise(End::Failed { reason: told.reason("failed")? })
        }
        [has_value, false, false, true] => Ended::Otherwise(End::Stopped {
            value: if has_value { Some(told.number("value")?) } else { None },
            reason: told.reason("stopped")?,
        }),
        _ => {
            let message = format!(
                "the result of trial {trial} is a value, or values, or why it failed, or why it was \
                 stopped with the value it had; write one of them"
            );
            return Err(unprocessable(message));
        }
    };
    Ok(Said { trial, end })
}

impl From<AskError> for Refused {
    fn from(error: AskError) -> Self {
        let why = match &error {
            AskError::NotRunning => Why::NotRunning,
            AskError::NotExternal => Why::NotExternal,
            AskError::NoTrial { .. } => Why::UnknownTrial,
            AskError::Gone | AskError::Failed(_) => Why::Unavailable,
        };
        Self::new(why, error.to_string())
    }
}
