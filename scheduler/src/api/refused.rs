//! A request that is not carried out: why, in one word for programs and one sentence for people.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fleetfit_search_spaces::{Problem, Problems};
use serde::{Deserialize, Serialize};

use crate::engine::EngineError;
use crate::journal::JournalError;
use crate::query::QueryError;

/// What an answer says that is no success.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// A word for programs.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// What is wrong with the job, each with its place, as `check` tells it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// Finds the request in the log.
    pub request_id: String,
}

/// A request that is not carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// Why.
    pub why: Why,
    /// A sentence for people.
    pub message: String,
    /// What is wrong with the job.
    pub problems: Vec<Problem>,
}

/// Every reason not to carry out a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The request is not written as it should be.
    BadRequest,
    /// There is no token, or a wrong one.
    Unauthorized,
    /// It came through another website, or under a name that is not ours.
    Forbidden,
    /// There is nothing at this address.
    NotFound,
    /// There is no such study.
    UnknownStudy,
    /// The study has no such entity.
    UnknownEntity,
    /// The study has no such trial, or the trial has no log.
    UnknownTrial,
    /// The study has no such model.
    UnknownModel,
    /// The service has no such blob.
    UnknownBlob,
    /// There is no such schedule.
    UnknownSchedule,
    /// This address knows other methods.
    MethodNotAllowed,
    /// The answer has another form than those that were asked for.
    NotAcceptable,
    /// The body did not arrive in time.
    Timeout,
    /// Something else has this name.
    Conflict,
    /// The study does not run here.
    NotRunning,
    /// The study runs.
    Running,
    /// Trials of this study are not told from outside.
    NotExternal,
    /// This process runs one study and is no service.
    NotAService,
    /// The body is too long.
    TooLarge,
    /// The address is too long.
    UriTooLong,
    /// The body has another form than those that are read here.
    UnsupportedMediaType,
    /// The request is well written, and what it says cannot be done.
    Unprocessable,
    /// The job has problems.
    Problems,
    /// A bug of ours.
    Unexpected,
    /// Something that it takes is not available.
    Unavailable,
    /// Parts of the service do not work.
    Unhealthy,
    /// The answer took too long.
    TooSlow,
}

impl Why {
    /// The answer's status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound
            | Self::UnknownStudy
            | Self::UnknownEntity
            | Self::UnknownTrial
            | Self::UnknownModel
            | Self::UnknownBlob
            | Self::UnknownSchedule => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict
            | Self::NotRunning
            | Self::Running
            | Self::NotExternal
            | Self::NotAService => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unprocessable | Self::Problems => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unexpected => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable | Self::Unhealthy | Self::TooSlow => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The word for programs.
    pub fn code(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(word)) => word,
            _ => String::new(),
        }
    }
}

impl Refused {
    /// A request that is not carried out.
    pub fn new(why: Why, message: impl Into<String>) -> Self {
        Self { why, message: message.into(), problems: Vec::new() }
    }

    /// A job that is not taken.
    pub fn problems(problems: Vec<Problem>) -> Self {
        let problems = Problems(problems);
        let message = problems.counted("nothing was started");
        Self { why: Why::Problems, message, problems: problems.0 }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(Why::BadRequest, message)
    }

    /// The process answers questions and does nothing else.
    pub(super) fn not_a_service() -> Self {
        let message = "this process runs one study and takes no others; start fleetfit serve";
        Self::new(Why::NotAService, message)
    }
}

impl From<QueryError> for Refused {
    fn from(error: QueryError) -> Self {
        let why = match &error {
            QueryError::UnknownStudy { .. } => Why::UnknownStudy,
            QueryError::UnknownEntity { .. } => Why::UnknownEntity,
            QueryError::NoModel { .. } => Why::UnknownModel,
            QueryError::EntityForm { .. }
            | QueryError::EntityColumns { .. }
            | QueryError::UnknownObjective { .. }
            | QueryError::NoPartitions { .. }
            | QueryError::UnknownCursor { .. } => Why::BadRequest,
            QueryError::Job(_) | QueryError::Journal(_) => Why::Unavailable,
        };
        Self::new(why, error.to_string())
    }
}

impl From<JournalError> for Refused {
    fn from(error: JournalError) -> Self {
        Self::new(Why::Unavailable, error.to_string())
    }
}

impl From<EngineError> for Refused {
    fn from(error: EngineError) -> Self {
        Self::new(Why::Unavailable, error.to_string())
    }
}

impl IntoResponse for Refused {
    /// The words travel beside the answer: the turnstile knows the request's id and writes them.
    fn into_response(self) -> Response {
        let mut response = self.why.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
