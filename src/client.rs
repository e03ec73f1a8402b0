//! Asks a service over HTTP, one question at a time, on a Unix socket or a TCP port.

use std::path::PathBuf;
use std::time::Duration;

use fleetfit_scheduler::api::{Page, Refusal};
use fleetfit_search_spaces::Problems;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{TcpStream, UnixStream};

use crate::failure::Failure;
use crate::home::way_to_socket;
use crate::submission::plain;

/// How long a service may take to say that it is there.
const GREETING: Duration = Duration::from_secs(2);

/// How long a service may take for an answer.
const ANSWER: Duration = Duration::from_secs(120);

/// Where a service listens.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    /// The socket of a data directory, whoever has it open.
    Directory(PathBuf),
    /// Another Unix socket.
    Socket(PathBuf),
    /// A host and a port.
    Host(String),
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, Failure> {
        if let Some(path) = url.strip_prefix("unix:") {
            return Ok(Self::Socket(PathBuf::from(path)));
        }
        let host = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        match host {
            Some(host) if !host.is_empty() && !host.contains('/') => {
                Ok(Self::Host(if host.contains(':') {
                    host.to_owned()
                } else {
                    format!("{host}:80")
                }))
            }
            _ => Err(Failure::asked(
                format!("--server {url} is not an address that fleetfit can ask"),
                "write http://HOST:PORT or unix:PATH",
            )),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(home) => write!(f, "the process that has {} open", home.display()),
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Host(host) => write!(f, "http://{host}"),
        }
    }
}

/// Asks a service, one question at a time.
pub(crate) struct Client {
    address: Address,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    pub(crate) fn new(address: Address) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Unexpected(plain(&error)))?;
        Ok(Self { address, runtime })
    }

    /// Whether somebody answers. One who is there and says nothing is an error.
    pub(crate) fn is_there(&self) -> Result<bool, Failure> {
        match self.send(Method::GET, "/healthz", &[], Bytes::new(), GREETING) {
            Ok((status, _)) => Ok(status == 200),
            Err(Failure::Gone(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::GET, path)
    }

    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::POST, path)
    }

    /// Sends a job. The same key sends the same job once, however often it is tried.
    pub(crate) fn post_job<T: DeserializeOwned>(
        &self,
        path: &str,
        job: &str,
        key: &str,
    ) -> Result<T, Failure> {
        let headers = [("content-type", "application/yaml"), ("idempotency-key", key)];
        self.ask_with(Method::POST, path, &headers, Bytes::from(job.to_owned()))
    }

    /// Sends a document.
    pub(crate) fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        document: &impl Serialize,
    ) -> Result<T, Failure> {
        let body =
            serde_json::to_vec(document).map_err(|error| Failure::Unexpected(error.to_string()))?;
        self.ask_with(Method::POST, path, &[("content-type", "application/json")], body.into())
    }

    pub(crate) fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::DELETE, path)
    }

    fn ask<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, Failure> {
        self.ask_with(method, path, &[], Bytes::new())
    }

    fn ask_with<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<T, Failure> {
        let strange = |error: serde_json::Error| {
            Failure::Unavailable(format!(
                "{} gave an answer that is not ours: {error}",
                self.address
            ))
        };
        let path = format!("/api/v1{path}");
        let (status, body) = self.send(method, &path, headers, body, ANSWER)?;
        if status < 300 {
            return serde_json::from_slice(&body).map_err(strange);
        }
        let refusal: Refusal = serde_json::from_slice(&body).map_err(strange)?;
        Err(match status {
            _ if !refusal.problems.is_empty() => Failure::Problems(Problems(refusal.problems)),
            400..500 => Failure::Asked { message: refusal.message, hint: None },
            _ => Failure::Unavailable(refusal.message),
        })
    }

    /// Follows a list from page to page. `path` ends with `?` or `&`.
    pub(crate) fn each_page<T: DeserializeOwned, A>(
        &self,
        path: &str,
        mut gathered: A,
        mut add: impl FnMut(A, Vec<T>) -> Result<A, Failure>,
    ) -> Result<A, Failure> {
        let mut cursor: Option<String> = None;
        loop {
            let at = cursor.map(|cursor| format!("cursor={}", escape(&cursor))).unwrap_or_default();
            let page: Page<T> = self.get(&format!("{path}{at}"))?;
            gathered = add(gathered, page.items)?;
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(gathered),
            }
        }
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
        limit: Duration,
    ) -> Result<(u16, Bytes), Failure> {
        let host = match &self.address {
            Address::Host(host) => host,
            Address::Directory(_) | Address::Socket(_) => "localhost",
        };
        let request = Request::builder().method(method).uri(path).header("host", host);
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value))
            .body(Full::new(body))
            .map_err(|error| Failure::Unexpected(error.to_string()))?;
        let gone = |why: String| Failure::Gone(format!("{} does not answer: {why}", self.address));
        let asked = async {
            match &self.address {
                Address::Directory(home) => {
                    let (way, _dir) = way_to_socket(home).map_err(|error| gone(plain(&error)))?;
                    let stream = UnixStream::connect(way).await.map_err(|e| gone(plain(&e)))?;
                    exchange(stream, request).await.map_err(|error| gone(error.to_string()))
                }
                Address::Socket(socket) => {
                    let stream = UnixStream::connect(socket).await.map_err(|e| gone(plain(&e)))?;
                    exchange(stream, request).await.map_err(|error| gone(error.to_string()))
                }
                Address::Host(host) => {
                    let stream = TcpStream::connect(host).await.map_err(|e| gone(plain(&e)))?;
                    exchange(stream, request).await.map_err(|error| gone(error.to_string()))
                }
            }
        };
        self.runtime.block_on(async {
            tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| {
                let seconds = limit.as_secs();
                Err(Failure::Unavailable(format!(
                    "{} has not answered for {seconds} s; is it stopped?",
                    self.address
                )))
            })
        })
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(u16, Bytes), hyper::Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driven = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    driven.abort();
    Ok((status, body))
}

/// A word as it may stand in an address.
pub(crate) fn escape(word: &str) -> String {
    let mut escaped = String::with_capacity(word.len());
    for byte in word.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
