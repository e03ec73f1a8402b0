//! The API over HTTP: the same answers as the command line's, from the journal; and what the engine
//! and the process around it carry out.
//!
//! Handlers only translate. What they ask may touch the disk, so it runs on blocking threads. What
//! belongs to every request alike (ids, limits, refusals, the log) is in `api/turnstile.rs`, who
//! may ask at all in `api/guard.rs`, and what the service can do besides reading in `api/doors.rs`.

mod backup;
mod best;
mod blobs;
mod body;
mod doors;
mod enqueue;
mod events;
mod external;
mod guard;
mod health;
mod insight;
mod json;
mod json_job;
mod logs;
mod measured;
mod metrics;
mod models;
mod openapi;
mod question;
mod refused;
mod roll;
mod runners;
mod schedules;
mod staff;
mod studies;
mod submit;
mod trials;
mod turnstile;
mod written;

use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::{get, post};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

use self::events::Looks;
use self::metrics::Answered;
use self::staff::Staff;
use crate::blobs::Blobs;
use crate::engine::EngineHandle;
use crate::journal::Journal;
use crate::query::Tallies;

pub use self::backup::Backup;
pub use self::blobs::{Kept, MAX_ASKED, Missing, Wanted};
pub use self::doors::{Accepted, Component, Door, Doors, Rerun, RunnerView, Submitted};
pub use self::enqueue::Queued;
pub use self::external::{AskedTrial, AskedTrials, Reported, ToldTrial, ToldTrials};
pub use self::guard::Guard;
pub use self::models::{Models, WantedModels};
pub use self::refused::{Refusal, Refused, Why};
pub use self::studies::delete;
pub use crate::query::{MAX_PAGE, Page};

/// What the API answers from.
#[derive(Clone)]
pub struct Service {
    /// The facts.
    pub journal: Journal,
    /// Who runs studies.
    pub engine: EngineHandle,
    /// Where the folders of studies are.
    pub studies_dir: PathBuf,
    /// What a service does besides; a process that only runs one study has none.
    pub doors: Option<Arc<Doors>>,
    /// Copies everything that the data directory holds.
    pub backup: Backup,
    /// Reads what studies have learnt.
    pub models: Models,
    /// Who may ask over the network.
    pub guard: Guard,
    /// What the service says of itself.
    pub info: ServiceInfo,
}

/// What a service says of itself.
#[derive(Clone, Debug, Default)]
pub struct ServiceInfo {
    /// The program's version.
    pub version: String,
}

/// The API of one service, on as many listeners as it likes. Clones share it.
#[derive(Clone)]
pub struct Api {
    app: Arc<App>,
}

/// What handlers see.
struct App {
    service: Service,
    /// What jobs name on disk, where the process takes jobs.
    blobs: Option<Blobs>,
    /// True once streams have to end.
    closing: watch::Sender<bool>,
    /// Held while a marked job is taken in; when old marks were last removed, in milliseconds since
    /// 1970.
    marks: Mutex<u64>,
    tallies: Tallies,
    staff: Staff,
    looks: Looks,
    answered: Answered,
}

/// Where a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entrance {
    /// Through the socket in the data directory, which only its owner can open.
    Socket,
    /// Over the network, loopback included.
    Network,
}

impl Api {
    /// The API of this service.
    pub fn new(service: Service) -> Self {
        Self::of(service, None)
    }

    /// The API of a service that takes what jobs name on disk.
    pub fn with_blobs(service: Service, blobs: Blobs) -> Self {
        Self::of(service, Some(blobs))
    }

    fn of(service: Service, blobs: Option<Blobs>) -> Self {
        let app = App {
            service,
            blobs,
            closing: watch::Sender::new(false),
            marks: Mutex::default(),
            tallies: Tallies::default(),
            staff: Staff::default(),
            looks: Looks::default(),
            answered: Answered::default(),
        };
        Self { app: Arc::new(app) }
    }

    /// Answers on a Unix socket until `closed` ends.
    pub async fn serve_socket(
        &self,
        listener: UnixListener,
        closed: impl Future<Output = ()> + Send + 'static,
    ) {
        let router = self.router(Entrance::Socket);
        let served = axum::serve(listener, router).with_graceful_shutdown(self.until(closed));
        // Only a listener that is gone ends it early, and then there is nobody left to tell.
        drop(served.await);
    }

    /// Answers on a TCP port until `closed` ends.
    pub async fn serve_network(
        &self,
        listener: TcpListener,
        closed: impl Future<Output = ()> + Send + 'static,
    ) {
        let router = self.router(Entrance::Network);
        let served = axum::serve(listener, router).with_graceful_shutdown(self.until(closed));
        // Only a listener that is gone ends it early, and then there is nobody left to tell.
        drop(served.await);
    }

    /// Ends what would never end by itself, once the door closes.
    fn until(
        &self,
        closed: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let app = Arc::clone(&self.app);
        async move {
            closed.await;
            app.closing.send_replace(true);
        }
    }

    /// The routes.
    fn router(&self, entrance: Entrance) -> Router {
        let routes = Router::new()
            .route("/api/v1/studies", get(studies::list).post(submit::create))
            .route("/api/v1/studies/{study}", get(studies::status).delete(studies::remove))
            .route("/api/v1/studies/{study}/cancel", post(studies::cancel))
            .route("/api/v1/studies/{study}/resume", post(submit::resume))
            .route("/api/v1/studies/{study}/rerun", post(submit::rerun))
            .route("/api/v1/studies/{study}/trials", get(trials::list))
            .route("/api/v1/studies/{study}/trials/{trial}/logs", get(logs::log))
            .route("/api/v1/studies/{study}/best", get(best::best))
            .route("/api/v1/studies/{study}/bests", get(best::list))
            .route("/api/v1/studies/{study}/models", get(models::list))
            .route("/api/v1/studies/{study}/schema", get(models::schema))
            .route(turnstile::MODEL, get(models::one))
            .route(turnstile::MODELS, post(models::many))
            .route("/api/v1/studies/{study}/entities", get(best::entities))
            .route("/api/v1/studies/{study}/insight", get(insight::insight))
            .route("/api/v1/studies/{study}/events", get(events::events))
            .route("/api/v1/studies/{study}/enqueue", post(enqueue::enqueue))
            .route("/api/v1/studies/{study}/ask", post(external::ask))
            .route("/api/v1/studies/{study}/tell", post(external::tell))
            .route("/api/v1/studies/{study}/report", post(external::report))
            .route("/api/v1/schedules", get(schedules::list).post(schedules::create))
            .route("/api/v1/schedules/{schedule}", get(schedules::show).delete(schedules::remove))
            .route("/api/v1/schedules/{schedule}/pause", post(schedules::pause))
            .route("/api/v1/schedules/{schedule}/resume", post(schedules::resume))
            .route("/api/v1/schedules/{schedule}/trigger", post(schedules::trigger))
            .route("/api/v1/blobs/missing", post(blobs::missing))
            .route(turnstile::BLOB, get(blobs::get).put(blobs::put))
            .route("/api/v1/runners", get(runners::list))
            .route(turnstile::BACKUP, get(backup::backup))
            .route("/healthz", get(health::health))
            .route("/metrics", get(metrics::page))
            .route("/openapi.json", get(openapi::document))
            .fallback(turnstile::nowhere)
            .with_state(Arc::clone(&self.app));
        turnstile::around(routes, Arc::clone(&self.app), entrance)
    }
}
