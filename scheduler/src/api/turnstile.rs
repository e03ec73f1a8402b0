//! What happens to every request alike: it gets an id, is let in or not, may not take for ever, and
//! its answer is told in the form that programs expect, whoever refused it.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use tracing::Instrument;

use super::question::plain;
use super::{App, Entrance, Refusal, Refused, Why};

/// How long an answer may take. Clients give up a little later.
const ANSWER: Duration = Duration::from_secs(100);

/// The longest address that is read.
const MAX_ADDRESS_BYTES: usize = 8 << 10;

/// The longest id of a request that is taken over from its sender.
const MAX_ID_BYTES: usize = 64;

/// Where a blob is.
pub(super) const BLOB: &str = "/api/v1/blobs/{digest}";

/// Where a model is.
pub(super) const MODEL: &str = "/api/v1/studies/{study}/model";

/// Where the models of many entities are.
pub(super) const MODELS: &str = "/api/v1/studies/{study}/models/bytes";

/// Where a copy of everything is.
pub(super) const BACKUP: &str = "/api/v1/backup";

/// How many letters of a path or a message the log shows.
const MAX_SHOWN: usize = 200;

/// The header that carries a request's id.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The routes with the turnstile before each.
pub(super) fn around(routes: Router, app: Arc<App>, entrance: Entrance) -> Router {
    routes.layer(from_fn_with_state((app, entrance), pass))
}

pub(super) async fn nowhere() -> Refused {
    Refused::new(
        Why::NotFound,
        "there is nothing at this address; /openapi.json lists what there is",
    )
}

async fn pass(
    State((app, entrance)): State<(Arc<App>, Entrance)>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let id = request_id(request.headers());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let path = request.uri().path().to_owned();
    let study = path.strip_prefix("/api/v1/studies/").and_then(|rest| rest.split('/').next());
    let (shown, study) = (shortened(&path), study.map(shortened));
    let span = tracing::info_span!("request", request_id = id, %method, path = shown, study);
    let answered = async {
        let_in(&app, entrance, route, &request)?;
        // A blob takes as long as it takes; its handler looks whether anything comes.
        if method == Method::PUT && route == BLOB {
            return Ok(next.run(request).await);
        }
        tokio::time::timeout(ANSWER, next.run(request)).await.map_err(|_| {
            let seconds = ANSWER.as_secs();
            let message = format!("there was no answer within {seconds} s; ask for less");
            Refused::new(Why::TooSlow, message)
        })
    };
    let mut response = answered.instrument(span.clone()).await.into_response();
    let status = response.status();
    let took = began.elapsed();
    let ms = took.as_secs_f64() * 1e3;
    span.in_scope(|| {
        if status.is_client_error() || status.is_server_error() {
            let refused = refused(&mut response);
            // Quoted: what a stranger writes forges no lines here.
            let (code, why) = (refused.why.code(), shortened(&refused.message));
            match status.is_server_error() {
                true => tracing::error!(status = status.as_u16(), ms, code, ?why, "refused"),
                false => tracing::info!(status = status.as_u16(), ms, code, ?why, "refused"),
            }
            response = told(std::mem::take(&mut response), refused, &id, &method);
        } else {
            tracing::info!(status = status.as_u16(), ms, "answered");
        }
    });
    // Methods are counted that have a meaning here; others could be anything, and any number.
    let counted = match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE") => known,
        _ => "other",
    };
    app.answered.count(counted, route, status.as_u16(), took);
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// A text as the log shows it.
fn shortened(text: &str) -> &str {
    text.char_indices().nth(MAX_SHOWN).map_or(text, |(end, _)| &text[..end])
}

fn let_in(app: &App, entrance: Entrance, route: &str, request: &Request) -> Result<(), Refused> {
    let address = request.uri().path_and_query().map_or("", |address| address.as_str());
    if address.len() > MAX_ADDRESS_BYTES {
        let message =
            format!("the address has {} bytes, and {MAX_ADDRESS_BYTES} are read", address.len());
        return Err(Refused::new(Why::UriTooLong, message));
    }
    if plain(request.uri().path()).is_none() {
        return Err(Refused::bad(
            "a % in the address is followed by two hexadecimal digits, and what comes out is \
             UTF-8 text",
        ));
    }
    if entrance == Entrance::Network {
        app.service.guard.check(request.uri().path(), request.headers())?;
    }
    let form = form_of(route);
    match takes(request.headers(), form) {
        true => Ok(()),
        false => Err(Refused::new(Why::NotAcceptable, format!("the answer is {form}"))),
    }
}

/// The form of what is answered there.
fn form_of(route: &str) -> &'static str {
    match route {
        "/metrics" => "text/plain",
        route if route.ends_with("/logs") => "text/plain",
        route if route.ends_with("/events") => "text/event-stream",
        BLOB | MODEL | MODELS => "application/octet-stream",
        BACKUP => "application/x-tar",
        _ => "application/json",
    }
}

/// Whether the asker takes this form: he names it, or everything, or nothing.
fn takes(headers: &HeaderMap, form: &str) -> bool {
    let named: Vec<&str> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|accept| accept.to_str().ok())
        .flat_map(|accept| accept.split(','))
        .map(str::trim)
        .filter(|range| !range.is_empty())
        .collect();
    let family = form.split('/').next().unwrap_or_default();
    named.is_empty()
        || named.iter().any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let range = parts.next().unwrap_or_default().to_ascii_lowercase();
            let is_excluded = parts.any(|part| {
                let quality = part.strip_prefix("q=").and_then(|quality| quality.parse().ok());
                quality == Some(0.0)
            });
            let is_meant = range == "*/*"
                || range == form
                || range.strip_suffix("/*").is_some_and(|named| named == family);
            is_meant && !is_excluded
        })
}

/// The sender's own id where it is a plain word, else one of ours.
fn request_id(headers: &HeaderMap) -> String {
    let theirs = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(|id| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(is_plain)
    });
    theirs.map_or_else(draw_id, str::to_owned)
}

fn draw_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // The standard library seeds each of these from the operating system.
    let drawn = RandomState::new().hash_one(COUNT.fetch_add(1, Ordering::Relaxed));
    format!("{drawn:016x}")
}

/// The answer of who refused, in our form; what else he said (which methods there are) stays.
fn told(response: Response, refused: Refused, id: &str, method: &Method) -> Response {
    let (mut parts, _) = response.into_parts();
    if refused.why == Why::Unauthorized {
        let bearer = HeaderValue::from_static("Bearer");
        parts.headers.insert(header::WWW_AUTHENTICATE, bearer);
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    let refusal = Refusal {
        code: refused.why.code(),
        message: refused.message,
        problems: refused.problems,
        request_id: id.to_owned(),
    };
    let (json, body) = Json(refusal).into_response().into_parts();
    parts.headers.extend(json.headers);
    let body = if method == Method::HEAD { Body::empty() } else { body };
    Response::from_parts(parts, body)
}

/// Who refused, and why.
fn refused(response: &mut Response) -> Refused {
    let status = response.status();
    response.extensions_mut().remove::<Refused>().unwrap_or_else(|| by_status(status))
}

/// What a bare status means that no handler of ours gave.
fn by_status(status: StatusCode) -> Refused {
    let (why, message) = match status {
        StatusCode::NOT_FOUND => (Why::NotFound, "there is nothing at this address"),
        StatusCode::METHOD_NOT_ALLOWED => {
            (Why::MethodNotAllowed, "this address does not know this method; see Allow")
        }
        StatusCode::PAYLOAD_TOO_LARGE => (Why::TooLarge, "the body is too long"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            (Why::UnsupportedMediaType, "the body has a form that is not read here")
        }
        status if status.is_client_error() => {
            (Why::BadRequest, "the request is not written as it should be")
        }
        _ => (Why::Unexpected, "the request failed unexpectedly"),
    };
    Refused::new(why, message)
}
