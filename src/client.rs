//! Asks a service over HTTP, one question at a time, on a Unix socket or a TCP port.
//!
//! `client/blob.rs` sends files, `client/download.rs` fetches what is too long for memory.

mod blob;
mod download;

use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetfit_scheduler::api::{Page, Refusal};
use fleetfit_search_spaces::Problems;
use fleetfit_search_spaces::disk::plain;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::http::request::Builder;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;

use crate::failure::Failure;
use crate::home::way_to_socket;
use crate::token;

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
    /// What a service elsewhere wants to be told.
    token: Option<String>,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    pub(crate) fn new(address: Address) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Unexpected(plain(&error)))?;
        Ok(Self { address, token: None, runtime })
    }

    /// Asks the service at this address, with the token of this file or of the environment.
    pub(crate) fn named(url: &str, token_file: Option<&Path>) -> Result<Self, Failure> {
        let client = Self::new(Address::parse(url)?)?;
        // Whoever can open a socket need not say who he is.
        let token = match &client.address {
            Address::Host(_) => token::find(token_file)?,
            Address::Directory(_) | Address::Socket(_) => None,
        };
        Ok(Self { token, ..client })
    }

    /// Whether somebody answers. One who is there and says nothing is an error.
    pub(crate) fn is_there(&self) -> Result<bool, Failure> {
        match self.send(Method::GET, "/healthz", &[], Bytes::new(), GREETING) {
            // One that says that it is not well is there.
            Ok(_) => Ok(true),
            Err(Failure::Gone(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::GET, path)
    }

    /// The bytes of what is not a document.
    pub(crate) fn get_bytes(&self, path: &str) -> Result<Bytes, Failure> {
        let path = format!("/api/v1{path}");
        let (status, body) = self.send(Method::GET, &path, &[], Bytes::new(), ANSWER)?;
        if status < 300 { Ok(body) } else { self.read(status, &body) }
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

    /// Sends a document. The same key sends it once, however often it is tried.
    pub(crate) fn post_marked<T: DeserializeOwned>(
        &self,
        path: &str,
        document: &impl Serialize,
        key: &str,
    ) -> Result<T, Failure> {
        let body =
            serde_json::to_vec(document).map_err(|error| Failure::Unexpected(error.to_string()))?;
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        self.ask_with(Method::POST, path, &headers, body.into())
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
        let path = format!("/api/v1{path}");
        let (status, body) = self.send(method, &path, headers, body, ANSWER)?;
        self.read(status, &body)
    }

    /// What an answer says.
    fn read<T: DeserializeOwned>(&self, status: u16, body: &[u8]) -> Result<T, Failure> {
        let strange = |error: serde_json::Error| {
            Failure::Unavailable(format!(
                "{} gave an answer that is not ours: {error}",
                self.address
            ))
        };
        if status < 300 {
            return serde_json::from_slice(body).map_err(strange);
        }
        let refusal: Refusal = serde_json::from_slice(body).map_err(strange)?;
        Err(match status {
            _ if !refusal.problems.is_empty() => Failure::Problems(Problems(refusal.problems)),
            401 => Failure::asked(
                refusal.message,
                "name the file that holds its token with --token-file",
            ),
            400..500 => Failure::Asked { message: refusal.message, hint: None },
            _ => Failure::Unavailable(format!("{} says: {}", self.address, refusal.message)),
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
        let request = self
            .request(method, path, headers)
            .body(Full::new(body))
            .map_err(|error| Failure::Unexpected(error.to_string()))?;
        self.runtime.block_on(async {
            tokio::time::timeout(limit, self.exchange(request))
                .await
                .unwrap_or_else(|_| Err(self.silent(limit)))
        })
    }

    fn request(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Builder {
        let host = match &self.address {
            Address::Host(host) => host,
            Address::Directory(_) | Address::Socket(_) => "localhost",
        };
        let request = Request::builder().method(method).uri(path).header("host", host);
        let request = match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    }

    fn silent(&self, limit: Duration) -> Failure {
        let seconds = limit.as_secs();
        Failure::Unavailable(format!(
            "{} has not answered for {seconds} s; is it stopped?",
            self.address
        ))
    }

    /// Connects, asks and hears the answer.
    async fn exchange<B>(&self, request: Request<B>) -> Result<(u16, Bytes), Failure>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let answer = self.begin(request).await?;
        let status = answer.response.status().as_u16();
        let body = answer.response.into_body().collect().await;
        let body = body.map_err(|error| self.gone(&error.to_string()))?.to_bytes();
        answer.connection.abort();
        Ok((status, body))
    }

    fn gone(&self, why: &str) -> Failure {
        Failure::Gone(format!("{} does not answer: {why}", self.address))
    }

    /// Connects, asks and hears how the answer begins.
    async fn begin<B>(&self, request: Request<B>) -> Result<Answer, Failure>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let disk = |error: std::io::Error| self.gone(&plain(&error));
        let cut = |error: hyper::Error| self.gone(&error.to_string());
        match &self.address {
            Address::Directory(home) => {
                let (way, _dir) = way_to_socket(home).map_err(disk)?;
                let stream = UnixStream::connect(way).await.map_err(disk)?;
                begin(stream, request).await.map_err(cut)
            }
            Address::Socket(socket) => {
                let stream = UnixStream::connect(socket).await.map_err(disk)?;
                begin(stream, request).await.map_err(cut)
            }
            Address::Host(host) => {
                let stream = TcpStream::connect(host).await.map_err(disk)?;
                begin(stream, request).await.map_err(cut)
            }
        }
    }
}

/// An answer whose body is on its way, and the task that it comes through.
struct Answer {
    response: Response<Incoming>,
    connection: JoinHandle<Result<(), hyper::Error>>,
}

async fn begin<S, B>(stream: S, request: Request<B>) -> Result<Answer, hyper::Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    Ok(Answer { response: sender.send_request(request).await?, connection })
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
