//! That this service is there: said to runners that look for one, and to other schedulers.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{RequestErrorKind, Subscriber};
use fleetfit_search_spaces::wire::join::Announcement;
use fleetfit_search_spaces::wire::letter::VERSION;
use fleetfit_search_spaces::wire::subjects::SERVICES;
use futures_util::StreamExt;

use super::{BusError, Notes, Post, lock};
use crate::engine::{Capacity, Note};

/// How often the service says that it is there.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(2);

/// How often another scheduler is looked for.
const WATCH_EVERY: Duration = Duration::from_secs(3);

fn announcement(post: &Post) -> Vec<u8> {
    let announcement = Announcement {
        service: post.options.service.clone(),
        version: post.options.version.clone(),
        wire: VERSION,
        host: post.options.host.clone(),
        instance: post.instance.clone(),
        since_ms: post.since_ms,
    };
    // It is made of words and a number.
    serde_json::to_vec(&announcement).unwrap_or_default()
}

/// Refuses to be the second scheduler with this id.
pub(super) async fn look_for_one(post: &Post) -> Result<(), BusError> {
    let answer = post.client.request(post.subjects.scheduler(), post.instance.clone().into()).await;
    match answer {
        Ok(answer) => {
            let other: Option<Announcement> = serde_json::from_slice(&answer.payload).ok();
            let (version, host) =
                other.map_or_else(Default::default, |other| (other.version, other.host));
            Err(BusError::Rival { service: post.options.service.clone(), version, host })
        }
        // One that does not answer is dead, and NATS has not noticed yet.
        Err(error) => match error.kind() {
            RequestErrorKind::NoResponders | RequestErrorKind::TimedOut => Ok(()),
            _ => Err(BusError::JetStream(error.to_string())),
        },
    }
}

/// Answers other schedulers that look for one.
pub(super) async fn run(post: Arc<Post>, mut others: Subscriber) {
    while let Some(message) = others.next().await {
        if message.payload != post.instance.as_bytes()
            && let Some(reply) = message.reply
        {
            post.say_once("another scheduler with this service's id is there or was");
            drop(post.client.publish(reply, announcement(&post).into()).await);
        }
    }
}

/// Gives way to a scheduler with this id that was there before: one that was frozen while this one
/// looked for it, and has thawed.
pub(super) async fn watch(post: Arc<Post>, notes: Arc<Notes>) {
    loop {
        tokio::time::sleep(WATCH_EVERY).await;
        let asked = post.client.request(post.subjects.scheduler(), post.instance.clone().into());
        let Ok(answer) = asked.await else { continue };
        let Ok(other) = serde_json::from_slice::<Announcement>(&answer.payload) else { continue };
        let (own, its) = ((post.since_ms, &post.instance), (other.since_ms, &other.instance));
        if its >= own {
            continue;
        }
        let Announcement { version, host, .. } = other;
        let rival = BusError::Rival { service: post.options.service.clone(), version, host };
        *lock(&post.superseded) = Some(rival.to_string());
        notes(Note::Capacity(Capacity::default()));
        return;
    }
}

/// Says that the service is there.
pub(super) async fn announce(post: Arc<Post>) {
    loop {
        // What is not heard is said again.
        drop(post.client.publish(SERVICES, announcement(&post).into()).await);
        tokio::time::sleep(ANNOUNCE_EVERY).await;
    }
}
