//! What happens to the connection while it is used, told once each.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_nats::{ClientError, ConnectErrorKind, Event, ServerError};

use super::Say;

/// How many complaints are remembered, so that none is told twice.
const MOST_TOLD: usize = 64;

/// Tells what happens to one connection.
pub(super) struct Events {
    at: String,
    say: Say,
    /// Whether the connection is in use: before that its maker tells.
    begun: AtomicBool,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    lost: bool,
    complaints: BTreeSet<String>,
}

impl Events {
    pub(super) fn new(at: String, say: Say) -> Self {
        Self { at, say, begun: AtomicBool::new(false), told: Mutex::default() }
    }

    /// From here on what happens is told.
    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    pub(super) fn hear(&self, event: &Event) {
        if !self.begun.load(Ordering::Relaxed) {
            return;
        }
        let at = &self.at;
        let mut told = self.told();
        match event {
            Event::Connected if told.lost => {
                *told = Told::default();
                (self.say)(&format!("connected to NATS at {at} again"));
            }
            Event::Disconnected if !told.lost => {
                told.lost = true;
                (self.say)(&format!("the connection to NATS at {at} is lost; trying again"));
            }
            Event::LameDuckMode => self.complain(&mut told, "is about to stop"),
            Event::SlowConsumer(_) | Event::ServerError(ServerError::SlowConsumer(_)) => {
                self.complain(&mut told, "delivers faster than fleetfit takes; some was dropped");
            }
            Event::ServerError(error) => self.complain(&mut told, &format!("says: {error}")),
            // Attempts to connect again that fail are expected; those that cannot succeed are news.
            Event::ClientError(ClientError::Other(why)) => {
                let never = [
                    ConnectErrorKind::AuthorizationViolation,
                    ConnectErrorKind::Authentication,
                    ConnectErrorKind::Tls,
                ];
                if never.iter().any(|kind| *why == kind.to_string()) {
                    self.complain(&mut told, &format!("no longer takes us ({why}); trying again"));
                }
            }
            Event::ClientError(ClientError::MaxReconnects | ClientError::ServerNotInPool)
            | Event::Connected
            | Event::Disconnected
            | Event::Draining
            | Event::Closed => {}
        }
    }

    fn complain(&self, told: &mut Told, what: &str) {
        if told.complaints.len() < MOST_TOLD && told.complaints.insert(what.to_owned()) {
            (self.say)(&format!("NATS at {} {what}", self.at));
        }
    }

    /// A poisoned lock means that another thread panicked while it held plain data, which is good.
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
