//! What happens to every request alike: it gets an id, is let in or not, may not take for ever, and
//! its answer is told in the form that programs expect, whoever refused it.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};

use super::question::plain;
use super::{App, Entrance, Refusal, Refused, Why};

/// How long an answer may take. Clients give up a little later.
const ANSWER: Duration = Duration::from_secs(100);

/// The longest address that is read.
const MAX_ADDRESS_BYTES: usize = 8 << 10;

/// The longest id of a request that is taken over from its sender.
const MAX_ID_BYTES: usize = 64;

/// The header that carries a request's id.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What bodies may have, unless the handler says otherwise.
pub(super) const MAX_BODY_BYTES: usize = 1 << 20;

/// The routes with the turnstile before each.
pub(super) fn around(routes: Router, app: Arc<App>, entrance: Entrance) -> Router {
    routes
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state((app, entrance), pass))
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
    let id = request_id(request.headers());
    let is_head = request.method() == Method::HEAD;
    let mut response = match let_in(&app, entrance, &request) {
        Err(refused) => refused.into_response(),
        Ok(()) => match tokio::time::timeout(ANSWER, next.run(request)).await {
            Ok(response) => response,
            Err(_) => {
                let seconds = ANSWER.as_secs();
                let message = format!("there was no answer within {seconds} s; ask for less");
                Refused::new(Why::TooSlow, message).into_response()
            }
        },
    };
    if response.status().is_client_error() || response.status().is_server_error() {
        response = told(response, &id, is_head);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn let_in(app: &App, entrance: Entrance, request: &Request) -> Result<(), Refused> {
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
    match entrance {
        Entrance::Socket => Ok(()),
        Entrance::Network => {
            app.service.guard.check(request.method(), request.uri().path(), request.headers())
        }
    }
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
fn told(response: Response, id: &str, is_head: bool) -> Response {
    let (mut parts, _) = response.into_parts();
    let refused = parts.extensions.remove::<Refused>().unwrap_or_else(|| by_status(parts.status));
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
    match is_head {
        true => Response::from_parts(parts, axum::body::Body::empty()),
        false => Response::from_parts(parts, body),
    }
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
