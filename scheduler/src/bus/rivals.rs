//! That this service is there: said to runners that look for one, and to other schedulers.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{RequestErrorKind, Subscriber};
use fleetfit_search_spaces::wire::join::Announcement;
use fleetfit_search_spaces::wire::letter::VERSION;
use fleetfit_search_spaces::wire::subjects::SERVICES;
use futures_util::StreamExt;

use super::{BusError, Post};

/// How often the service says that it is there.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(2);

fn announcement(post: &Post) -> Vec<u8> {
    let announcement = Announcement {
        service: post.options.service.clone(),
        version: post.options.version.clone(),
        wire: VERSION,
        host: post.options.host.clone(),
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
            post.say("another scheduler with this service's id was refused");
            drop(post.client.publish(reply, announcement(&post).into()).await);
        }
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
