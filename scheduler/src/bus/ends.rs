//! What runners tell: from its stream to the engine, acknowledged once it is on disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::Subscriber;
use async_nats::jetstream::{AckKind, Message};
use fleetfit_search_spaces::FromRunner;
use fleetfit_search_spaces::wire::letter::{self, LetterError};
use futures_util::StreamExt;
use serde::Deserialize;

use super::{BusError, Notes, Post, streams};
use crate::engine::Note;

/// How many messages are asked for at once.
const BATCH: usize = 512;
/// How long one request for messages stands.
const EXPIRES: Duration = Duration::from_secs(10);
/// How often NATS says that it is still there while nothing comes.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long to wait before asking again after something went wrong.
const PAUSE: Duration = Duration::from_millis(200);
/// How long work rests that a runner handed back for what it lacks: at once it would go to the same
/// runner again.
const LACKING: Duration = Duration::from_secs(2);

/// What a letter holds.
#[derive(Deserialize)]
#[serde(untagged)]
enum Letter {
    Many(Vec<FromRunner>),
    One(FromRunner),
}

impl Letter {
    fn open(bytes: &[u8]) -> Result<(Vec<FromRunner>, &[u8]), LetterError> {
        let (letter, attachment) = letter::open::<Self>(bytes)?;
        let messages = match letter {
            Self::Many(messages) => messages,
            Self::One(message) => vec![message],
        };
        Ok((messages, attachment))
    }
}

/// For ever, whatever happens to NATS in between; until the engine ends.
pub(super) async fn run(post: Arc<Post>, notes: Arc<Notes>) {
    loop {
        match listen(&post, &notes).await {
            Ok(Ended::Engine) => return,
            Ok(Ended::Stream) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

enum Ended {
    Engine,
    Stream,
}

async fn listen(post: &Arc<Post>, notes: &Arc<Notes>) -> Result<Ended, BusError> {
    let told = |error: &dyn std::error::Error| BusError::JetStream(error.to_string());
    let consumer = streams::ends_consumer(post).await?;
    if consumer.cached_info().num_pending == 0 {
        post.is_drained.store(true, Ordering::Relaxed);
    }
    let stream = consumer.stream().max_messages_per_batch(BATCH).expires(EXPIRES);
    let mut stream = stream.heartbeat(HEARTBEAT).messages().await.map_err(|e| told(&e))?;
    let mut connections = post.connections.subscribe();
    loop {
        let message = tokio::select! {
            message = stream.next() => message,
            // A request that was under way when the connection broke is not answered any more.
            _ = connections.changed() => None,
        };
        let Some(message) = message else { return Ok(Ended::Stream) };
        let message = message.map_err(|error| told(&error))?;
        let is_last = message.info().is_ok_and(|info| info.pending == 0);
        if !take(post, notes, message).await {
            return Ok(Ended::Engine);
        }
        if is_last {
            post.is_drained.store(true, Ordering::Relaxed);
        }
    }
}

/// Hands a message to the engine. False when the engine has ended.
async fn take(post: &Arc<Post>, notes: &Arc<Notes>, message: Message) -> bool {
    let (message, acker) = message.split();
    let (messages, attachment) = match Letter::open(&message.payload) {
        Ok(letter) => letter,
        Err(error) => {
            post.say_once(&format!("a message of a runner is set aside: {error}"));
            // One that comes again is set aside again.
            drop(acker.ack_with(AckKind::Term).await);
            return true;
        }
    };
    let messages = match attachment.is_empty() {
        true => messages,
        false => match store(post, messages, attachment.to_vec()).await {
            Ok(messages) => messages,
            Err(why) => {
                // It comes again, and then there may be space.
                post.say_once(&format!("models cannot be stored: {why}"));
                return true;
            }
        },
    };
    note(post, &messages);
    let receipt = Some(post.receipt(acker));
    let is_lacking =
        |message: &FromRunner| matches!(message, FromRunner::Returned { reason: Some(_), .. });
    if !messages.iter().any(is_lacking) {
        return notes(Note::Heard { messages, receipt });
    }
    let (lacking, messages) = messages.into_iter().partition(is_lacking);
    let later = Arc::clone(notes);
    tokio::spawn(async move {
        tokio::time::sleep(LACKING).await;
        later(Note::Heard { messages: lacking, receipt })
    });
    notes(Note::Heard { messages, receipt: None })
}

/// Puts the models that come with messages where models are kept.
async fn store(
    post: &Arc<Post>,
    messages: Vec<FromRunner>,
    attachment: Vec<u8>,
) -> Result<Vec<FromRunner>, String> {
    let post = Arc::clone(post);
    let stored = tokio::task::spawn_blocking(move || {
        let kept = messages.into_iter().map(|message| match message {
            FromRunner::Refitted { of, models } => {
                let models = (post.answers.models)(of, models, &attachment)?;
                Ok(FromRunner::Refitted { of, models })
            }
            other => Ok(other),
        });
        kept.collect()
    });
    stored.await.unwrap_or_else(|_| Err("storing them failed unexpectedly".into()))
}

/// What is out was heard of, or came back.
fn note(post: &Post, messages: &[FromRunner]) {
    let mut out = post.out();
    for message in messages {
        match message {
            FromRunner::Outcomes { of, .. }
            | FromRunner::Reached { of, .. }
            | FromRunner::Report { of, .. }
            | FromRunner::Refitted { of, .. } => out.hear(of),
            FromRunner::Done { of } => drop(out.remove(of)),
            FromRunner::Returned { of, reason } => {
                if out.remove(of).is_some()
                    && let Some(reason) = reason
                {
                    post.say_once(&format!("a runner hands work back: {reason}"));
                }
            }
            FromRunner::Unable { .. } => {}
        }
    }
}

/// Metric values of running trials, which may be lost.
pub(super) async fn run_reports(post: Arc<Post>, notes: Arc<Notes>, mut reports: Subscriber) {
    while let Some(message) = reports.next().await {
        let Ok((mut messages, _)) = Letter::open(&message.payload) else { continue };
        // Only what may be lost comes this way.
        messages.retain(|message| matches!(message, FromRunner::Report { .. }));
        note(&post, &messages);
        if !notes(Note::Heard { messages, receipt: None }) {
            return;
        }
    }
}
