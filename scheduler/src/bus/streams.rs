//! What lies in NATS: the stream of assignments, the stream of what runners tell, their consumers.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Consumer, pull};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, LastRawMessageErrorKind, RetentionPolicy, StorageType, Stream,
};
use fleetfit_search_spaces::Assignment;
use fleetfit_search_spaces::wire::letter;
use fleetfit_search_spaces::wire::subjects::Kind;

use super::out::Told;
use super::{BusError, Found, Post};

/// The consumer of what runners tell.
pub(super) const SERVICE: &str = "service";

/// For how long NATS knows the ids of messages.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// How many assignments may be with runners at once.
const MOST_OUT: i64 = 100_000;
/// How many runners may wait for work at once.
const MOST_WAITING: i64 = 8_192;
/// How many messages may be with the engine at once.
const MOST_UNSETTLED: i64 = 8_192;
/// How long the engine may take to have a message on disk before it is told again.
const SETTLE: Duration = Duration::from_secs(60);

/// What tells one making of the streams from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) work: String,
    pub(super) ends: String,
}

fn told(error: &dyn std::error::Error) -> BusError {
    BusError::JetStream(error.to_string())
}

fn work(post: &Post) -> Config {
    Config {
        name: post.subjects.work_stream(),
        subjects: vec![post.subjects.all_work()],
        retention: RetentionPolicy::WorkQueue,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        duplicate_window: DUPLICATE_WINDOW,
        ..Config::default()
    }
}

fn ends(post: &Post) -> Config {
    let (name, subjects) = (post.subjects.ends_stream(), vec![post.subjects.all_ends()]);
    Config { name, subjects, ..work(post) }
}

fn work_consumer(post: &Post, kind: Kind) -> pull::Config {
    pull::Config {
        durable_name: Some(kind.word().into()),
        filter_subject: post.subjects.work(kind),
        ack_policy: AckPolicy::Explicit,
        ack_wait: post.options.lease,
        max_deliver: -1,
        max_ack_pending: MOST_OUT,
        max_waiting: MOST_WAITING,
        ..pull::Config::default()
    }
}

/// Makes what has to be there at the start. What an earlier scheduler was told and had not on disk
/// is told again at once.
pub(super) async fn begin(post: &Post) -> Result<(), BusError> {
    let work = post.jetstream.get_or_create_stream(work(post)).await.map_err(|e| told(&e))?;
    for kind in Kind::ALL {
        // One that is there takes this configuration: the lease may be another one.
        work.create_consumer(work_consumer(post, kind)).await.map_err(|e| told(&e))?;
    }
    post.jetstream.get_or_create_stream(ends(post)).await.map_err(|e| told(&e))?;
    tell_again(post).await
}

/// Makes the consumer of what runners tell anew: what it has given out and nobody acknowledged is
/// told again at once.
pub(super) async fn tell_again(post: &Post) -> Result<(), BusError> {
    let stream = post.jetstream.get_stream_no_info(post.subjects.ends_stream()).await;
    // A consumer that is not there needs no deleting.
    drop(stream.map_err(|error| told(&error))?.delete_consumer(SERVICE).await);
    repair(post).await.map(drop)
}

/// Makes what is not there.
pub(super) async fn repair(post: &Post) -> Result<Made, BusError> {
    let work = post.jetstream.get_or_create_stream(work(post)).await.map_err(|e| told(&e))?;
    for kind in Kind::ALL {
        let consumer = work.get_or_create_consumer(kind.word(), work_consumer(post, kind)).await;
        consumer.map_err(|error| told(&error))?;
    }
    let ends = post.jetstream.get_or_create_stream(ends(post)).await.map_err(|e| told(&e))?;
    let config = pull::Config {
        durable_name: Some(SERVICE.into()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: SETTLE,
        max_deliver: -1,
        max_ack_pending: MOST_UNSETTLED,
        ..pull::Config::default()
    };
    ends.get_or_create_consumer(SERVICE, config).await.map_err(|error| told(&error))?;
    let (work, ends) = (work.cached_info(), ends.cached_info());
    let mut health = post.health();
    (health.work, health.ends) = (work.state.messages, ends.state.messages);
    Ok(Made { work: work.created.to_string(), ends: ends.created.to_string() })
}

/// The consumer of what runners tell.
pub(super) async fn ends_consumer(post: &Post) -> Result<Consumer<pull::Config>, BusError> {
    let stream = post.subjects.ends_stream();
    let consumer = post.jetstream.get_consumer_from_stream(SERVICE, stream).await;
    consumer.map_err(|error| told(&error))
}

/// What runners have told, and how much of it the engine has on disk: that lies in the stream no
/// more.
pub(super) async fn told_so_far(post: &Post) -> Result<Told, BusError> {
    let stream = post.jetstream.get_stream(post.subjects.ends_stream()).await;
    let stream = stream.map_err(|error| told(&error))?;
    let state = &stream.cached_info().state;
    let (n_waiting, last) = (state.messages, state.last_sequence);
    Ok(Told { n_waiting, first_waiting: state.first_sequence, last })
}

/// The stream of assignments.
pub(super) async fn work_stream(post: &Post) -> Result<Stream<()>, BusError> {
    let stream = post.jetstream.get_stream_no_info(post.subjects.work_stream()).await;
    stream.map_err(|error| told(&error))
}

/// The last assignment that was ever given to a runner.
pub(super) async fn delivered(post: &Post, kind: Kind) -> Result<u64, BusError> {
    let stream = work_stream(post).await?;
    let info = stream.consumer_info(kind.word()).await.map_err(|error| told(&error))?;
    Ok(info.delivered.stream_sequence)
}

/// Whether NATS has anything to give to runners, or has given them what they have not acknowledged.
pub(super) async fn gives_out(post: &Post) -> Result<bool, BusError> {
    let stream = work_stream(post).await?;
    for kind in Kind::ALL {
        let info = stream.consumer_info(kind.word()).await.map_err(|error| told(&error))?;
        if info.num_pending > 0 || info.num_ack_pending > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Everything that lies in the stream of assignments, by study. What cannot be read is deleted: the
/// engine makes it again.
pub(super) async fn read_work(post: &Arc<Post>) -> Result<Found, BusError> {
    let stream = work_stream(post).await?;
    let mut found = Found::new();
    let mut unreadable = Vec::new();
    let mut next = 1;
    loop {
        let message = stream.get_first_raw_message_by_subject(post.subjects.all_work(), next).await;
        let message = match message {
            Ok(message) => message,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => break,
            Err(error) => return Err(told(&error)),
        };
        next = message.sequence + 1;
        match letter::open::<Assignment>(&message.payload) {
            Ok((assignment, _)) => {
                let of_study = found.entry(assignment.key.study).or_default();
                of_study.push((assignment, message.sequence));
            }
            Err(_) => unreadable.push(message.sequence),
        }
    }
    delete(Arc::clone(post), unreadable).await;
    Ok(found)
}

/// Deletes assignments that nobody wants. One that stays is done in vain.
pub(super) async fn delete(post: Arc<Post>, sequences: Vec<u64>) {
    let Ok(stream) = work_stream(&post).await else { return };
    for sequence in sequences {
        drop(stream.delete_message(sequence).await);
    }
}

/// Whether a message lies where it was put. Both streams may have been made anew since, so that
/// another message may lie there.
pub(super) async fn lies_there(
    stream: &Stream<()>,
    sequence: u64,
    id: &str,
) -> Result<bool, BusError> {
    match stream.get_raw_message(sequence).await {
        Ok(message) => {
            let found = message.headers.get(async_nats::header::NATS_MESSAGE_ID);
            Ok(found.is_some_and(|found| found.as_str() == id))
        }
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(false),
        Err(error) => Err(told(&error)),
    }
}
