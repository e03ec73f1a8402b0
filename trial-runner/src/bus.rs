//! The runner's end of the bus between machines: NATS JetStream.
//!
//! A runner looks for services, asks each for work that it has room for, keeps the lease of what it
//! holds, and tells what came of it. A message is acknowledged once everything told about it is safe
//! in the service's stream; one that comes a second time is not run again. Read next: `bus/meet.rs`
//! for services, `bus/pull.rs` and `bus/hand.rs` for work, `bus/post.rs` for what is told,
//! `bus/ask.rs` for what a study needs, `bus/upload.rs` for what its trials leave.

mod ask;
mod hand;
mod link;
mod meet;
mod post;
mod pull;
mod upload;
mod workplace;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Message};
use fleetfit_search_spaces::wire::join::Hello;
use fleetfit_search_spaces::wire::subjects::Kind;
use fleetfit_search_spaces::{Assignment, AssignmentKey, FromRunner};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use self::hand::{Hand, Room};
use self::link::Links;
use self::post::Item;
use self::upload::Uploads;
use self::workplace::Workplace;
use crate::cache::Cache;
use crate::devices::Device;
use crate::runner::{Allowance, Asking, Runner};

/// How long what was told may take to leave once everything has ended.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// How long one question may take to be answered, and how often is looked whether it still can be.
const ONE_ANSWER: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(50);

/// How long a reason for not working is told.
const TROUBLE: Duration = Duration::from_secs(60);

/// How long nothing is pulled after the disk refused.
const REST: Duration = Duration::from_secs(5);

/// How many reasons are told at once.
const MOST_TROUBLES: usize = 8;

/// Takes what the user should know.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// What a runner needs to take part.
pub struct Setup {
    /// The connection.
    pub client: Client,
    /// Where its tasks run. The caller's thread must not be one of its own.
    pub runtime: Handle,
    /// How it introduces itself; `slots` and `commands` say what it may do.
    pub hello: Hello,
    /// What it trains on beside its threads.
    pub device: Device,
    /// The folder for what it fetches and what its trials leave.
    pub cache: PathBuf,
    /// How much it may keep there of what it fetched.
    pub cache_bytes: u64,
    /// The only service to work for.
    pub service: Option<String>,
    /// The program that supervises command trials: fleetfit itself.
    pub supervisor: PathBuf,
    /// Takes what the user should know.
    pub say: Say,
}

/// A runner at work for whoever has some.
pub struct Bus {
    shared: Arc<Shared>,
    runner: Arc<Runner>,
}

/// What all parts of the bus share.
struct Shared {
    client: Client,
    runtime: Handle,
    hello: Hello,
    cache: Cache,
    workplace: Workplace,
    service: Option<String>,
    supervisor: PathBuf,
    say: Say,
    links: Mutex<Links>,
    hand: Mutex<Hand>,
    /// Changes when there may be room for more work.
    room: watch::Sender<u64>,
    assign: mpsc::Sender<Assignment>,
    uploads: Uploads,
    troubles: Mutex<BTreeMap<String, Instant>>,
    said: Mutex<BTreeSet<String>>,
    /// Nothing is pulled before.
    rest_until: Mutex<Option<Instant>>,
    is_leaving: AtomicBool,
    /// How many tasks may still be given work.
    n_pulling: AtomicUsize,
    refused: Mutex<Option<String>>,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Bus {
    /// Begins to look for services.
    pub fn start(setup: Setup) -> std::io::Result<Self> {
        let Setup { client, runtime, hello, device, cache, cache_bytes, service, supervisor, say } =
            setup;
        let workplace = Workplace::open(&cache, &hello.runner)?;
        let cache = Cache::open(&cache, cache_bytes).map_err(std::io::Error::other)?;
        let slots = hello.slots.max(1) as usize;
        let ahead = if hello.commands { slots } else { 0 };
        let allowance =
            Allowance { ahead, commands: hello.commands, device, ..Allowance::of(slots) };
        let (assign, assignments) = mpsc::channel();
        let (uploads, files) = Uploads::new();
        let shared = Arc::new(Shared {
            client,
            runtime,
            hello,
            cache,
            workplace,
            service,
            supervisor,
            say,
            links: Mutex::default(),
            hand: Mutex::new(Hand::of(slots)),
            room: watch::Sender::new(0),
            assign,
            uploads,
            troubles: Mutex::default(),
            said: Mutex::default(),
            rest_until: Mutex::default(),
            is_leaving: AtomicBool::new(false),
            n_pulling: AtomicUsize::new(0),
            refused: Mutex::default(),
            tasks: Mutex::default(),
        });
        upload::start(&shared, files)?;
        let (told, provided) = (Arc::clone(&shared), Arc::clone(&shared));
        let runner = Arc::new(Runner::start(
            allowance,
            assignments,
            Box::new(move |message| told.hear(message)),
            Box::new(move |study| ask::provide(&provided, study)),
        )?);
        let asking = Arc::clone(&shared);
        runner.hear_of_asking(move |told| asking.hear_of_asking(told));
        shared.spawn(meet::run(Arc::clone(&shared), Arc::clone(&runner)));
        shared.spawn(hand::run(Arc::clone(&shared), Arc::clone(&runner)));
        Ok(Self { shared, runner })
    }

    /// Why there is nobody to work for, and never will be.
    pub fn refused(&self) -> Option<String> {
        lock(&self.shared.refused).clone()
    }

    /// How many of its slots are taken.
    pub fn busy(&self) -> usize {
        lock(&self.shared.hand).n_running()
    }

    /// Takes no more and ends: what runs may go on for a while, then it is handed back. Returns once
    /// all of it has been told, or NATS has been away for too long.
    pub fn drain(self, grace: Duration) {
        let shared = &self.shared;
        shared.is_leaving.store(true, Ordering::SeqCst);
        shared.tick();
        let waiting = lock(&shared.hand).take_waiting(Duration::ZERO);
        for of in waiting {
            shared.hear(FromRunner::Returned { of, reason: None });
        }
        self.runner.drain(grace);
        let until = Instant::now() + LAST_WORDS;
        let is_through =
            || shared.n_pulling.load(Ordering::SeqCst) == 0 && lock(&shared.hand).is_empty();
        while Instant::now() < until && !is_through() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let flush = async { tokio::time::timeout(LAST_WORDS, shared.client.flush()).await };
        // Where NATS is gone, the leases of what is left run out.
        drop(shared.runtime.block_on(flush));
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.shared.is_leaving.store(true, Ordering::SeqCst);
        // Where the bus was not drained, nobody hears what this tells; programs end all the same.
        self.runner.drain(Duration::ZERO);
        self.shared.uploads.close();
        self.shared.workplace.clear();
        for task in lock(&self.shared.tasks).drain(..) {
            task.abort();
        }
    }
}

impl Shared {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.runtime.spawn(task).abort_handle();
        lock(&self.tasks).push(task);
    }

    fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::SeqCst)
    }

    /// Wakes whoever waits for room.
    fn tick(&self) {
        self.room.send_modify(|count| *count += 1);
    }

    /// The connection as it is; none while NATS is away.
    fn connection(&self) -> Option<(String, u64)> {
        let info = self.client.try_server_info()?;
        let is_there = self.client.connection_state() == State::Connected;
        is_there.then_some((info.server_id, info.client_id))
    }

    /// Asks, once. None where no answer comes; at once where NATS goes away, because the question or
    /// its answer is lost then. While NATS is away nothing is sent: it would pile up.
    async fn request(
        &self,
        subject: String,
        headers: HeaderMap,
        bytes: Vec<u8>,
    ) -> Option<Message> {
        let connection = self.connection()?;
        let lost = async {
            while self.connection().as_ref() == Some(&connection) {
                tokio::time::sleep(LOOK).await;
            }
        };
        let asked = self.client.request_with_headers(subject, headers, bytes.into());
        tokio::select! {
            answer = tokio::time::timeout(ONE_ANSWER, asked) => answer.ok()?.ok(),
            () = lost => None,
        }
    }

    /// What may be pulled.
    fn room(&self, kind: Kind) -> Room {
        match lock(&self.rest_until).is_some_and(|until| Instant::now() < until) {
            true => Room::None,
            false => lock(&self.hand).room(kind),
        }
    }

    /// Says something that may happen again and again.
    fn say_once(&self, text: &str) {
        const MOST: usize = 1_000;
        let mut said = lock(&self.said);
        if said.len() < MOST && said.insert(text.to_owned()) {
            (self.say)(text);
        }
    }

    /// Remembers why work cannot be done, and says it once.
    fn trouble(&self, reason: &str) {
        self.say_once(reason);
        let mut troubles = lock(&self.troubles);
        troubles.retain(|_, at| at.elapsed() < TROUBLE);
        if troubles.len() < MOST_TROUBLES {
            troubles.insert(reason.to_owned(), Instant::now());
        }
    }

    fn troubles(&self) -> Vec<String> {
        let mut troubles = lock(&self.troubles);
        troubles.retain(|_, at| at.elapsed() < TROUBLE);
        troubles.keys().cloned().collect()
    }

    /// Takes what the training threads tell.
    fn hear(&self, mut message: FromRunner) {
        let of = match &mut message {
            FromRunner::Unable { reason } => {
                self.trouble(reason);
                *lock(&self.rest_until) = Some(Instant::now() + REST);
                return;
            }
            FromRunner::Outcomes { of, .. }
            | FromRunner::Reached { of, .. }
            | FromRunner::Report { of, .. }
            | FromRunner::Refitted { of, .. }
            | FromRunner::Done { of }
            | FromRunner::Returned { of, .. } => of,
        };
        let key = *of;
        // What is in nobody's hand any more was handed back already.
        let Some(link) = lock(&self.hand).link(key) else { return };
        *of = link.outside(key);
        lock(&self.hand).note(key, &message);
        match &message {
            FromRunner::Report { .. } => return link.report(message),
            // Of what nobody wants any more nothing is lacking.
            FromRunner::Returned { reason: Some(reason), .. } if !ask::is_over(reason) => {
                self.trouble(reason);
            }
            _ => {}
        }
        let is_end = matches!(message, FromRunner::Done { .. } | FromRunner::Returned { .. });
        link.post(Item::Told { of: key, message, bytes: Vec::new() });
        if is_end {
            self.ended(key);
        }
    }

    /// Its end has been told: there is room for another one.
    fn ended(&self, key: AssignmentKey) {
        let next = {
            let mut hand = lock(&self.hand);
            hand.told(key);
            hand.next_to_run()
        };
        self.run(next);
        self.tick();
    }

    /// Assignments only wait for a graphics card: their slots are free for others.
    fn hear_of_asking(&self, asking: Asking) {
        let next = {
            let mut hand = lock(&self.hand);
            hand.hear_of_asking(asking);
            hand.next_to_run()
        };
        self.run(next);
        self.tick();
    }

    fn run(&self, assignments: Vec<Assignment>) {
        for assignment in assignments {
            // The threads end before this does.
            drop(self.assign.send(assignment));
        }
    }
}

/// A poisoned lock means that another thread panicked while it held plain data, which is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
