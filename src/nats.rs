//! The connection to NATS: made once, kept up for ever, on threads of its own.
//!
//! `args` says where NATS is and who we are there; `trouble` says what a failed attempt means;
//! `managed` keeps a private nats-server. Nothing here knows what travels over the connection.

mod args;
mod events;
mod managed;
mod probe;
#[cfg(test)]
mod tests;
mod trouble;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::context::{Context, ContextBuilder};
use async_nats::{Client, ConnectOptions};
use tokio::runtime::{Builder, Handle, Runtime};

pub(crate) use self::args::NatsArgs;
use self::args::{Login, Servers};
use self::events::Events;
use self::managed::Managed;
use self::trouble::Trouble;
use crate::failure::Failure;

/// How long a request may take: what is lost with a connection ends only by this.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the other side is asked whether it is there; after three silent ones it is not.
const PING_EVERY: Duration = Duration::from_secs(3);
/// The longest pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often it is said that NATS is not there yet.
const SAY_EVERY: Duration = Duration::from_secs(5);
/// How many commands to the connection may wait.
const COMMANDS: usize = 4_096;

/// Takes what is to be said on standard error.
pub(crate) type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// Which end of the bus connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// `fleetfit serve`, which owns the private server where there is one.
    Service,
    /// `fleetfit runner`, which uses it.
    Runner,
}

/// Where NATS is, and the connection to it.
pub(crate) struct Nats {
    /// For whoever sends and listens. Clones share the connection.
    pub(crate) client: Client,
    /// Whether it is on this machine, so that nobody else can send commands to run.
    pub(crate) is_loopback: bool,
    runtime: Runtime,
    managed: Option<Managed>,
}

impl Nats {
    /// Connects, and tries as long as `go_on` says. None where no NATS is asked for.
    pub(crate) fn open(
        args: &NatsArgs,
        side: Side,
        home: &Path,
        say: &Say,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<Self>, Failure> {
        if args.nats.is_none() {
            return Ok(None);
        }
        let managed = match (args.is_managed(), side) {
            (true, Side::Service) => Some(Managed::start(home, Arc::clone(say))?),
            (true, Side::Runner) | (false, _) => None,
        };
        let servers = match args.is_managed() {
            true => args.servers_at(&managed::url(home, say, go_on)?)?,
            false => args.servers()?,
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("nats")
            .enable_all()
            .build()
            .map_err(|error| Failure::outside(&error))?;
        let client = runtime.block_on(connect(&servers, say, go_on))?;
        let is_loopback = servers.is_loopback();
        Ok(Some(Self { client, is_loopback, runtime, managed }))
    }

    /// The threads that the connection runs on, for what else is to run there.
    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Ends the connection, and the private server with it where there is one.
    pub(crate) fn close(self) {
        let Self { client, runtime, managed, .. } = self;
        // What was published last should still leave; where NATS is gone, nothing can.
        let flushed = async { tokio::time::timeout(REQUEST_TIMEOUT, client.flush()).await };
        drop(runtime.block_on(flushed));
        drop(client);
        runtime.shutdown_timeout(REQUEST_TIMEOUT);
        if let Some(managed) = managed {
            managed.stop();
        }
    }
}

/// Connects. Tries for ever where NATS is not there; ends where it refuses us or cannot serve us.
async fn connect(
    servers: &Servers,
    say: &Say,
    go_on: &dyn Fn() -> bool,
) -> Result<Client, Failure> {
    let mut pause = Duration::from_millis(100);
    let mut said: Option<(Instant, String)> = None;
    while go_on() {
        let why = match attempt(servers, say).await {
            Ok(client) => {
                if said.is_some() {
                    say(&format!("connected to NATS at {}", servers.shown()));
                }
                return Ok(client);
            }
            Err(Trouble::Lasting(why)) => return Err(Failure::Unavailable(why)),
            Err(Trouble::Passing(why)) => why,
        };
        let is_news = said.as_ref().is_none_or(|(at, before)| {
            at.elapsed() >= SAY_EVERY || (*before != why && at.elapsed() >= LONGEST_PAUSE)
        });
        if is_news {
            say(&format!("{why}; trying again"));
            said = Some((Instant::now(), why));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Err(Failure::Gone(format!("stopped before NATS at {} was there", servers.shown())))
}

/// One attempt, with the questions whether this NATS can do what is asked of it.
async fn attempt(servers: &Servers, say: &Say) -> Result<Client, Trouble> {
    let events = Arc::new(Events::new(servers.shown(), Arc::clone(say)));
    let heard = Arc::clone(&events);
    let options = options(servers)?.event_callback(move |event| {
        heard.hear(&event);
        std::future::ready(())
    });
    let client = options
        .connect(servers.addresses.as_slice())
        .await
        .map_err(|error| trouble::of_connecting(servers, &error))?;
    let info = client.server_info();
    trouble::of_version(servers, &info.version)?;
    trouble::of_payload(servers, info.max_payload)?;
    if let Err(error) = context(&client).query_account().await {
        trouble::of_jetstream(servers, &info, &error)?;
    }
    events.begin();
    Ok(client)
}

/// JetStream with timeouts that fit.
fn context(client: &Client) -> Context {
    ContextBuilder::new().timeout(REQUEST_TIMEOUT).build(client.clone())
}

fn options(servers: &Servers) -> Result<ConnectOptions, Trouble> {
    let mut options = ConnectOptions::new()
        .name("fleetfit")
        .client_capacity(COMMANDS)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .connection_timeout(CONNECT_TIMEOUT)
        .ping_interval(PING_EVERY)
        .reconnect_delay_callback(pause_before);
    options = match &servers.login {
        Login::Nobody => options,
        Login::User { name, password } => options.user_and_password(name.clone(), password.clone()),
        Login::Token(token) => options.token(token.clone()),
        Login::Nkey(seed) => options.nkey(seed.clone()),
        Login::Credentials { text, file } => options.credentials(text).map_err(|_| {
            Trouble::Lasting(format!(
                "{} is not a credentials file of NATS: it needs a user's JWT and its seed",
                file.display()
            ))
        })?,
    };
    if let Some(authority) = &servers.authority {
        options = options.add_root_certificates(authority.clone());
    }
    if let Some((certificate, key)) = &servers.certificate {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(options)
}

/// How long to wait before an attempt to connect again: at once, then longer and longer.
fn pause_before(attempt: usize) -> Duration {
    match attempt {
        0 | 1 => Duration::ZERO,
        _ => LONGEST_PAUSE.min(Duration::from_millis(10 << attempt.min(8))),
    }
}
