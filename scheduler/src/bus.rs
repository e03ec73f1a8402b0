//! The scheduler's end of the bus between machines: NATS JetStream.
//!
//! Assignments wait in a work queue until a runner takes them; what runners tell waits in a second
//! stream until the engine has it on disk. The journal is the truth and NATS a pipe: everything here
//! can be made again from what the engine knows. Read next: `bus/streams.rs` for what lies in NATS,
//! `bus/out.rs` for what is known of assignments that are out, `bus/outbox.rs` and `bus/ends.rs` for
//! the two directions, `bus/keeper.rs` for what is done when something is lost.

mod census;
mod ends;
mod keeper;
mod out;
mod outbox;
mod requests;
mod rivals;
mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_nats::jetstream::context::{Context, ContextBuilder};
use async_nats::jetstream::message::Acker;
use async_nats::{Client, Subscriber};
use fleetfit_search_spaces::wire::join::{Answer, BlobPiece, BlobRequest, Upload};
use fleetfit_search_spaces::wire::subjects::Subjects;
use fleetfit_search_spaces::wire::{AssignmentKey, Refit, StudyId, StudySpec};
use fleetfit_search_spaces::{Assignment, FromRunner};
use futures_util::stream::SelectAll;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use self::census::Census;
pub use self::census::{RunnerState, RunnerView};
use self::out::Out;
use self::outbox::Mail;
use crate::engine::{Note, Outlets, Receipt};

/// How long a request to JetStream may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// How often JetStream is tried at the start, and the pause in between.
const BEGIN_ATTEMPTS: u32 = 10;
const BEGIN_PAUSE: Duration = Duration::from_millis(500);

/// Who this service is.
#[derive(Clone, Debug)]
pub struct BusOptions {
    /// The service's id.
    pub service: String,
    /// The version of fleetfit that it is.
    pub version: String,
    /// The machine that it runs on.
    pub host: String,
    /// How long a runner may stay silent about an assignment.
    pub lease: Duration,
}

/// Stores the models of a `Refitted`, whose bytes come as its attachment, and tells where.
pub type StoreModels =
    dyn Fn(AssignmentKey, Vec<Refit>, &[u8]) -> Result<Vec<Refit>, String> + Send + Sync;

/// Answers with a piece of a blob.
pub type ReadBlob = dyn Fn(&BlobRequest) -> Answer<(BlobPiece, Vec<u8>)> + Send + Sync;

/// Takes a piece of a file that a trial left.
pub type TakeUpload = dyn Fn(&Upload, &[u8]) -> Answer<()> + Send + Sync;

/// What runners ask for, answered by whoever has it. Called from threads that may wait.
pub struct Answers {
    /// What a runner has to know of a study.
    pub study: Box<dyn Fn(StudyId) -> Answer<StudySpec> + Send + Sync>,
    /// A piece of a blob.
    pub blob: Box<ReadBlob>,
    /// Takes a piece of a file that a trial left.
    pub upload: Box<TakeUpload>,
    /// Takes models.
    pub models: Box<StoreModels>,
    /// Takes what the operator should know.
    pub say: Box<dyn Fn(&str) + Send + Sync>,
}

/// Why the bus cannot be used.
#[derive(Clone, Debug, Error)]
pub enum BusError {
    /// Another scheduler has this service's id.
    #[error(
        "another scheduler serves {service} on this NATS already (fleetfit {version} on {host}); two would give every trial out twice"
    )]
    Rival {
        /// The service's id.
        service: String,
        /// The other one's version.
        version: String,
        /// The other one's machine.
        host: String,
    },
    /// JetStream refuses or does not answer.
    #[error("JetStream cannot be used: {0}")]
    JetStream(String),
}

/// The bus before the engine runs.
pub struct Bus {
    post: Arc<Post>,
    mail: UnboundedReceiver<Mail>,
    send: UnboundedSender<Mail>,
    runtime: Handle,
    ears: Ears,
    /// Assignments that lie in NATS from an earlier life, and where.
    found: Found,
}

/// Assignments that lie in NATS by study, and where.
type Found = BTreeMap<StudyId, Vec<(Assignment, u64)>>;

/// The bus at work.
pub struct BusHandle {
    post: Arc<Post>,
    send: UnboundedSender<Mail>,
    runtime: Handle,
    tasks: Mutex<JoinSet<()>>,
}

/// How the bus is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusHealth {
    /// Whether NATS is there.
    pub is_connected: bool,
    /// Since when it is, or is not.
    pub since: Instant,
    /// Assignments that lie in NATS, as of the last look.
    pub work: u64,
    /// What runners told and the engine has not taken in, as of the last look.
    pub ends: u64,
    /// What is wrong, in the user's words.
    pub trouble: Option<String>,
}

/// Where the engine takes notes. False when it has ended.
type Notes = Box<dyn Fn(Note) -> bool + Send + Sync>;

/// What all parts of the bus share.
struct Post {
    client: Client,
    jetstream: Context,
    subjects: Subjects,
    options: BusOptions,
    answers: Answers,
    /// Tells this scheduler from another one with the same id.
    instance: String,
    /// When it began, in milliseconds since 1970.
    since_ms: u64,
    /// Why it gave way to another one.
    superseded: Mutex<Option<String>>,
    out: Mutex<Out>,
    census: Mutex<Census>,
    receipts: Mutex<Receipts>,
    health: Mutex<BusHealth>,
    /// Complaints that were said, so that none is said twice.
    said: Mutex<BTreeSet<String>>,
    /// Grows with each connection: what was under way on the one before is lost.
    connections: watch::Sender<u64>,
    /// What runners told before this start is with the engine: work may be handed out.
    is_drained: AtomicBool,
}

/// What the service listens to besides the stream.
struct Ears {
    joins: Subscriber,
    beats: Heard,
    reports: Heard,
    studies: Heard,
    blobs: Heard,
    uploads: Heard,
    schedulers: Subscriber,
}

/// What runners of every version say that is understood.
type Heard = SelectAll<Subscriber>;

/// Messages that the engine has not yet on disk.
#[derive(Default)]
struct Receipts {
    next: u64,
    open: BTreeMap<Receipt, Acker>,
}

impl Bus {
    /// Makes what has to be there in NATS and reads what lies there. Waits for answers, so it must
    /// not be called from the runtime that it is given.
    pub fn open(
        client: Client,
        runtime: Handle,
        options: BusOptions,
        answers: Answers,
    ) -> Result<Self, BusError> {
        let jetstream = {
            // It starts a task of its own.
            let _inside = runtime.enter();
            ContextBuilder::new().timeout(REQUEST_TIMEOUT).build(client.clone())
        };
        let health = BusHealth {
            is_connected: true,
            since: Instant::now(),
            work: 0,
            ends: 0,
            trouble: None,
        };
        let post = Arc::new(Post {
            instance: client.new_inbox(),
            since_ms: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_millis() as u64),
            superseded: Mutex::default(),
            subjects: Subjects::of(&options.service),
            client,
            jetstream,
            options,
            answers,
            out: Mutex::default(),
            census: Mutex::default(),
            receipts: Mutex::default(),
            health: Mutex::new(health),
            said: Mutex::default(),
            connections: watch::Sender::new(0),
            is_drained: AtomicBool::new(false),
        });
        let (ears, found) = runtime.block_on(async {
            rivals::look_for_one(&post).await?;
            let ears = Ears::open(&post).await?;
            Ok((ears, begin(&post).await?))
        })?;
        let (send, mail) = unbounded_channel();
        Ok(Self { post, mail, send, runtime, ears, found })
    }

    /// Where the engine's commands go.
    pub fn outlets(&self) -> Outlets {
        let (dispatch, hint, settled) = (self.send.clone(), self.send.clone(), self.send.clone());
        // A bus that has ended takes nothing; its messages are made again at the next start.
        Outlets {
            dispatch: Box::new(move |kind, assignment| {
                let _ = dispatch.send(Mail::Assignment(kind, assignment));
            }),
            hint: Box::new(move |message| {
                let _ = hint.send(Mail::Hint(message));
            }),
            settled: Box::new(move |receipts| {
                let _ = settled.send(Mail::Settled(receipts));
            }),
            // They go on, and what they tell waits in its stream.
            ends_runners: false,
        }
    }

    /// What of a study is still out, for the engine to adopt. What nobody adopts before
    /// [`Self::start`] is taken back.
    pub fn adopt(&mut self, study: StudyId) -> Vec<Assignment> {
        let found = self.found.remove(&study).unwrap_or_default();
        let mut out = self.post.out();
        found
            .into_iter()
            .map(|(assignment, sequence)| {
                out.adopt(assignment.key, sequence);
                assignment
            })
            .collect()
    }

    /// Begins: what runners told goes to the engine, and what the engine hands out to the runners.
    pub fn start(self, notes: impl Fn(Note) -> bool + Send + Sync + 'static) -> BusHandle {
        let Self { post, mail, send, runtime, ears, found } = self;
        let notes: Arc<Notes> = Arc::new(Box::new(notes));
        let unwanted = found.into_values().flatten().map(|(_, sequence)| sequence).collect();
        let mut tasks = JoinSet::new();
        let (at, on) = (&mut tasks, &runtime);
        at.spawn_on(streams::delete(Arc::clone(&post), unwanted), on);
        at.spawn_on(outbox::run(Arc::clone(&post), Arc::clone(&notes), mail), on);
        at.spawn_on(ends::run(Arc::clone(&post), Arc::clone(&notes)), on);
        at.spawn_on(ends::run_reports(Arc::clone(&post), Arc::clone(&notes), ears.reports), on);
        at.spawn_on(census::run_joins(Arc::clone(&post), ears.joins), on);
        at.spawn_on(census::run_beats(Arc::clone(&post), ears.beats), on);
        at.spawn_on(census::run_capacity(Arc::clone(&post), Arc::clone(&notes)), on);
        at.spawn_on(requests::run_studies(Arc::clone(&post), ears.studies), on);
        at.spawn_on(requests::run_blobs(Arc::clone(&post), ears.blobs), on);
        at.spawn_on(requests::run_uploads(Arc::clone(&post), ears.uploads), on);
        at.spawn_on(rivals::run(Arc::clone(&post), ears.schedulers), on);
        at.spawn_on(rivals::announce(Arc::clone(&post)), on);
        at.spawn_on(rivals::watch(Arc::clone(&post), Arc::clone(&notes)), on);
        at.spawn_on(keeper::run(Arc::clone(&post), Arc::clone(&notes)), on);
        BusHandle { post, send, runtime, tasks: Mutex::new(tasks) }
    }
}

impl BusHandle {
    /// How the bus is.
    pub fn health(&self) -> BusHealth {
        self.post.health().clone()
    }

    /// Why this scheduler hands out no more: another one with its id was there before.
    pub fn superseded(&self) -> Option<String> {
        lock(&self.post.superseded).clone()
    }

    /// The runners that were heard of lately.
    pub fn runners(&self) -> Vec<RunnerView> {
        self.post.census().views(&self.post.options.version)
    }

    /// Sends what waits and ends. Must not be called from the runtime that the bus runs on.
    pub fn stop(self) {
        let (done, is_done) = oneshot::channel();
        let Self { post, send, runtime, tasks } = self;
        // A task that has ended already has nothing left to send.
        let _ = send.send(Mail::End(done));
        runtime.block_on(async {
            // Where NATS is gone nothing can be sent; nothing of it is needed.
            let _ = tokio::time::timeout(REQUEST_TIMEOUT, is_done).await;
            let _ = tokio::time::timeout(REQUEST_TIMEOUT, post.client.flush()).await;
            let mut tasks = tasks.into_inner().unwrap_or_else(PoisonError::into_inner);
            tasks.shutdown().await;
        });
    }
}

impl Ears {
    /// From here on nothing that is said is missed.
    async fn open(post: &Post) -> Result<Self, BusError> {
        let told = |error: &dyn std::error::Error| BusError::JetStream(error.to_string());
        let listen =
            async |subject| post.client.subscribe(subject).await.map_err(|error| told(&error));
        let subjects = &post.subjects;
        let mut ears = Self {
            joins: listen(subjects.join()).await?,
            beats: Heard::new(),
            reports: Heard::new(),
            studies: Heard::new(),
            blobs: Heard::new(),
            uploads: Heard::new(),
            schedulers: listen(subjects.scheduler()).await?,
        };
        for of in subjects.understood() {
            ears.beats.push(listen(of.beats()).await?);
            ears.reports.push(listen(of.reports()).await?);
            ears.studies.push(listen(of.study()).await?);
            ears.blobs.push(listen(of.blob()).await?);
            ears.uploads.push(listen(of.upload()).await?);
        }
        post.client.flush().await.map_err(|error| told(&error))?;
        Ok(ears)
    }
}

/// Makes what has to be there and reads what lies there. A NATS that has only just started does not
/// answer at first.
async fn begin(post: &Arc<Post>) -> Result<Found, BusError> {
    let mut left = BEGIN_ATTEMPTS;
    loop {
        left -= 1;
        let begun = match streams::begin(post).await {
            Ok(()) => streams::read_work(post).await,
            Err(error) => Err(error),
        };
        match begun {
            Err(_) if left > 0 => tokio::time::sleep(BEGIN_PAUSE).await,
            begun => return begun,
        }
    }
}

/// A poisoned lock means that another thread panicked while it held plain data, which is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Post {
    fn is_superseded(&self) -> bool {
        lock(&self.superseded).is_some()
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        lock(&self.out)
    }

    fn census(&self) -> MutexGuard<'_, Census> {
        lock(&self.census)
    }

    fn health(&self) -> MutexGuard<'_, BusHealth> {
        lock(&self.health)
    }

    fn say(&self, text: &str) {
        (self.answers.say)(text);
    }

    /// Says something that may happen again and again.
    fn say_once(&self, text: &str) {
        const MOST: usize = 1_000;
        let mut said = lock(&self.said);
        if said.len() < MOST && said.insert(text.to_owned()) {
            self.say(text);
        }
    }

    /// Keeps what acknowledges a message until the engine has the message on disk.
    fn receipt(&self, acker: Acker) -> Receipt {
        let mut receipts = lock(&self.receipts);
        let receipt = Receipt(receipts.next);
        receipts.next += 1;
        receipts.open.insert(receipt, acker);
        receipt
    }
}

/// Tells the engine that assignments come back for no fault of theirs.
fn hand_back(notes: &Notes, keys: impl IntoIterator<Item = AssignmentKey>) {
    let messages: Vec<FromRunner> =
        keys.into_iter().map(|of| FromRunner::Returned { of, reason: None }).collect();
    if !messages.is_empty() {
        notes(Note::Heard { messages, receipt: None });
    }
}
