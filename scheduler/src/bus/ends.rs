//! What runners tell: from its stream to the engine, acknowledged once it is on disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};
use fleetfit_search_spaces::FromRunner;
use fleetfit_search_spaces::wire::letter::{self, LetterError};
use futures_util::StreamExt;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{BusError, Heard, Notes, Post, lock, streams};
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

/// What a letter holds: one message, or a list of them.
struct Letter(Vec<FromRunner>);

impl Letter {
    fn open(bytes: &[u8]) -> Result<(Vec<FromRunner>, &[u8]), LetterError> {
        let (Self(messages), attachment) = letter::open::<Self>(bytes)?;
        Ok((messages, attachment))
    }
}

/// What comes first tells which it is. An enum of both would first read all of it into a tree, which
/// takes ten times the memory of what it holds.
impl<'de> Deserialize<'de> for Letter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Letter;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a message or a list of them")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, many: A) -> Result<Letter, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(many)).map(Letter)
            }

            fn visit_map<A: MapAccess<'de>>(self, one: A) -> Result<Letter, A::Error> {
                let one = FromRunner::deserialize(MapAccessDeserializer::new(one))?;
                Ok(Letter(vec![one]))
            }
        }
        deserializer.deserialize_any(Either)
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
    let mut consumer = streams::ends_consumer(post).await?;
    // What was on its way to a listener whose connection broke went nowhere: it would be told again
    // only when the time is up in which the engine may have it on disk.
    if consumer.cached_info().num_ack_pending > lock(&post.receipts).open.len() {
        streams::tell_again(post).await?;
        consumer = streams::ends_consumer(post).await?;
    }
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
pub(super) async fn run_reports(post: Arc<Post>, notes: Arc<Notes>, mut reports: Heard) {
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

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::wire::{AssignmentKey, StudyId};

    use super::*;

    #[test]
    fn a_letter_is_one_message_or_many() {
        let done = |number| {
            let of = AssignmentKey { study: StudyId(3), number, attempt: 2 };
            FromRunner::Done { of }
        };
        let unable = FromRunner::Unable { reason: "[{".into() };
        let open = |bytes: &[u8]| Letter::open(bytes).map(|(found, rest)| (found, rest.to_vec()));
        let one = letter::seal(&done(1), b"model").unwrap();
        assert_eq!(open(&one), Ok((vec![done(1)], b"model".to_vec())));
        let many = [done(1), unable, done(2)];
        let sealed = letter::seal(&many, &[]).unwrap();
        assert_eq!(open(&sealed), Ok((many.to_vec(), Vec::new())));
        assert_eq!(
            open(&letter::seal(&Vec::<FromRunner>::new(), &[]).unwrap()),
            Ok((Vec::new(), Vec::new()))
        );
        for strange in ["7", "null", "\"done\"", "{}", "{\"done\":1}", "[1]"] {
            let value: serde_json::Value = serde_json::from_str(strange).unwrap();
            let sealed = letter::seal(&value, &[]).unwrap();
            assert!(matches!(open(&sealed), Err(LetterError::Malformed(_))), "{strange}");
        }
        // What follows the one message within the JSON is not overlooked.
        let mut two = serde_json::to_vec(&done(1)).unwrap();
        two.truncate(two.len() - 1);
        two.extend_from_slice(b",\"more\":1}");
        assert!(serde_json::from_slice::<Letter>(&two).is_err());
    }
}
