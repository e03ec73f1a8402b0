//! Where answers come from: the data directory itself, or whoever has it open, or a service.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use fleetfit_scheduler::api::{self, Page, Refusal};
use fleetfit_scheduler::engine::EngineError;
use fleetfit_scheduler::journal::{Journal, JournalError, Status, StudyRecord};
use fleetfit_scheduler::query::{self, BestView, QueryError, StatusView, TrialFilter, TrialRow};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::{TcpStream, UnixStream};

use crate::cli::ServerArgs;
use crate::failure::Failure;
use crate::owner::socket_path;
use crate::submission::plain;

/// How long a process that has just taken the data directory may need to open its door.
const DOOR_PATIENCE: Duration = Duration::from_secs(2);

/// Where answers come from.
pub(crate) enum Source {
    /// The data directory, open here.
    Directory(Journal, PathBuf),
    /// A process that answers the API.
    Service(Client),
}

/// The folder that holds the folders of studies.
pub(crate) fn studies_dir(home: &Path) -> PathBuf {
    home.join("studies")
}

/// The folder of one study: models, trials, logs.
pub(crate) fn study_dir(home: &Path, study: &str) -> PathBuf {
    studies_dir(home).join(study)
}

/// Opens the data directory to write in it.
pub(crate) fn open_journal(home: &Path) -> Result<Journal, Failure> {
    Ok(Journal::open(&home.join("journal"))?)
}

/// A study's record, or what it might have been called.
pub(crate) fn record(journal: &Journal, name: &str) -> Result<StudyRecord, Failure> {
    Ok(query::find(journal, name)?)
}

impl Source {
    /// The service where one is named, else whoever has the data directory open, else the data
    /// directory itself.
    pub(crate) fn open(home: &Path, server: &ServerArgs) -> Result<Self, Failure> {
        if let Some(server) = &server.server {
            return Client::new(Address::parse(server)?).map(Self::Service);
        }
        let socket = socket_path(home);
        let begun = Instant::now();
        loop {
            let client = Client::new(Address::Socket(socket.clone()))?;
            if socket.exists() && client.is_there() {
                return Ok(Self::Service(client));
            }
            if !home.join("journal").exists() {
                let place = home.display();
                let hint =
                    "name the place with --data-dir, or run a job first: fleetfit run job.yaml";
                return Err(Failure::asked(format!("there are no studies in {place}"), hint));
            }
            match Journal::open(&home.join("journal")) {
                Ok(journal) => return Ok(Self::Directory(journal, home.to_owned())),
                Err(JournalError::InUse { .. }) if begun.elapsed() < DOOR_PATIENCE => {
                    sleep(Duration::from_millis(50));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Every study, oldest first.
    pub(crate) fn studies(&self) -> Result<Vec<StatusView>, Failure> {
        match self {
            Self::Directory(journal, _) => {
                Ok(query::studies(journal)?.into_iter().map(at_rest).collect())
            }
            Self::Service(client) => client.each_page("/studies?", Vec::new(), |mut all, page| {
                all.extend(page);
                Ok(all)
            }),
        }
    }

    /// How one study stands.
    pub(crate) fn status(&self, study: &str) -> Result<StatusView, Failure> {
        match self {
            Self::Directory(journal, _) => Ok(at_rest(query::status(journal, study, &[])?)),
            Self::Service(client) => client.get(&format!("/studies/{}", escape(study))),
        }
    }

    /// The best configurations of the study or of one entity.
    pub(crate) fn best(
        &self,
        study: &str,
        entity: Option<&str>,
        top: u32,
    ) -> Result<Vec<BestView>, Failure> {
        match self {
            Self::Directory(journal, _) => Ok(query::best(journal, study, entity, top as usize)?),
            Self::Service(client) => {
                let entity =
                    entity.map(|key| format!("&entity={}", escape(key))).unwrap_or_default();
                client.get(&format!("/studies/{}/best?top={top}{entity}", escape(study)))
            }
        }
    }

    /// Every entity's best, one after the other.
    pub(crate) fn each_best(
        &self,
        study: &str,
        mut act: impl FnMut(BestView) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self {
            Self::Directory(journal, _) => {
                query::best_all(journal, study)?.try_for_each(|best| act(best?))
            }
            Self::Service(client) => {
                client.each_page(&format!("/studies/{}/bests?", escape(study)), (), |(), page| {
                    page.into_iter().try_for_each(&mut act)
                })
            }
        }
    }

    /// Every trial that ended, one after the other.
    pub(crate) fn each_trial(
        &self,
        study: &str,
        entity: Option<&str>,
        mut act: impl FnMut(TrialRow) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self {
            Self::Directory(journal, _) => {
                let filter = TrialFilter { entity: entity.map(str::to_owned), state: None };
                query::trials(journal, study, &filter)?.try_for_each(|row| act(row?))
            }
            Self::Service(client) => {
                let entity =
                    entity.map(|key| format!("entity={}&", escape(key))).unwrap_or_default();
                let path = format!("/studies/{}/trials?{entity}", escape(study));
                client.each_page(&path, (), |(), page| page.into_iter().try_for_each(&mut act))
            }
        }
    }

    /// Cancels a study.
    pub(crate) fn cancel(&self, study: &str) -> Result<StatusView, Failure> {
        match self {
            Self::Directory(journal, _) => {
                let record = record(journal, study)?;
                fleetfit_scheduler::engine::cancel_at_rest(journal, &record)?;
                self.status(study)
            }
            Self::Service(client) => {
                client.ask(Method::POST, &format!("/studies/{}/cancel", escape(study)))
            }
        }
    }

    /// Removes a study and everything it has.
    pub(crate) fn delete(&self, study: &str) -> Result<(), Failure> {
        match self {
            Self::Directory(journal, home) => Ok(api::delete(journal, &studies_dir(home), study)?),
            Self::Service(client) => {
                let path = format!("/studies/{}", escape(study));
                client.ask::<serde_json::Value>(Method::DELETE, &path).map(drop)
            }
        }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Journal(error) => error.into(),
            asked => Self::Asked { message: asked.to_string(), hint: None },
        }
    }
}

/// A study that its journal calls running, while nobody has the journal open, was killed.
fn at_rest(mut view: StatusView) -> StatusView {
    if view.status == Status::Running {
        view.status = Status::Interrupted;
    }
    view
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Where a service listens.
#[derive(Clone, Debug)]
enum Address {
    Socket(PathBuf),
    Host(String),
}

impl Address {
    fn parse(url: &str) -> Result<Self, Failure> {
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
    fn new(address: Address) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Unexpected(plain(&error)))?;
        Ok(Self { address, runtime })
    }

    fn is_there(&self) -> bool {
        self.send(Method::GET, "/healthz").is_ok_and(|(status, _)| status == 200)
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::GET, path)
    }

    fn ask<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, Failure> {
        let strange = |error: serde_json::Error| {
            Failure::Unavailable(format!(
                "{} gave an answer that is not ours: {error}",
                self.address
            ))
        };
        let (status, body) = self.send(method, &format!("/api/v1{path}"))?;
        if status < 300 {
            return serde_json::from_slice(&body).map_err(strange);
        }
        let refusal: Refusal = serde_json::from_slice(&body).map_err(strange)?;
        Err(match status {
            400..500 => Failure::Asked { message: refusal.message, hint: None },
            _ => Failure::Unavailable(refusal.message),
        })
    }

    /// Follows a list from page to page. `path` ends with `?` or `&`.
    fn each_page<T: DeserializeOwned, A>(
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

    fn send(&self, method: Method, path: &str) -> Result<(u16, Bytes), Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .body(Empty::<Bytes>::new())
            .map_err(|error| Failure::Unexpected(error.to_string()))?;
        let gone =
            |why: String| Failure::Unavailable(format!("{} does not answer: {why}", self.address));
        self.runtime.block_on(async {
            match &self.address {
                Address::Socket(socket) => {
                    let stream = UnixStream::connect(socket).await.map_err(|e| gone(plain(&e)))?;
                    exchange(stream, request).await.map_err(|error| gone(error.to_string()))
                }
                Address::Host(host) => {
                    let stream = TcpStream::connect(host).await.map_err(|e| gone(plain(&e)))?;
                    exchange(stream, request).await.map_err(|error| gone(error.to_string()))
                }
            }
        })
    }
}

async fn exchange<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
) -> Result<(u16, Bytes), hyper::Error>
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
fn escape(word: &str) -> String {
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
