//! Pulls assignments, one for each free slot, and brisk programs ahead. A slot is free, too, while its
//! assignment only waits for a graphics card.
//!
//! There is one request at a time for each service and kind of work. All of them stand while there
//! is room, so two may be answered for the last slot: what then waits for too long is handed back.
//! While programs are brisk, one more for each slot is asked for, and behind assignments that are set
//! aside, because enough wait for the card, whatever is the processor's. Such a request takes only what
//! lies there at that moment, so that nothing goes to a runner that is busy while another one waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::{Message, Subscriber};
use fleetfit_search_spaces::wire::letter::{self, LetterError};
use fleetfit_search_spaces::wire::subjects::Kind;
use fleetfit_search_spaces::{Assignment, AssignmentKey, FromRunner, StudyId};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::hand::Room;
use super::link::Link;
use super::post::Item;
use super::{Shared, lock};

/// How long a request stands, in which the runner cannot end without losing what may answer it.
const EXPIRES: Duration = Duration::from_secs(1);

/// How long an answer may take beyond that.
const LATE: Duration = Duration::from_secs(1);

/// How long to wait where nothing lies there to be taken ahead.
const AHEAD_PAUSE: Duration = Duration::from_millis(10);

/// How long to wait where there is nobody to ask: the scheduler makes it again.
const PAUSE: Duration = Duration::from_millis(300);

/// What NATS says when there is nothing: a request that has expired, or found nothing.
const NOTHING: [u16; 2] = [404, 408];

/// Pulls assignments of one kind until the runner ends.
pub(super) async fn run(shared: Arc<Shared>, link: Arc<Link>, kind: Kind) {
    shared.n_pulling.fetch_add(1, Ordering::SeqCst);
    let inbox = shared.client.new_inbox();
    if let Ok(mut answers) = shared.client.subscribe(inbox.clone()).await {
        let mut room = shared.room.subscribe();
        while !shared.is_leaving() && !link.is_ending() {
            let puller = Puller { shared: &shared, link: &link, kind, inbox: &inbox };
            let there_is = if link.is_sure() { shared.room(kind) } else { Room::None };
            let waited = match there_is {
                Room::Free => {
                    puller.ask(&format!("\"expires\":{}", EXPIRES.as_nanos()), &mut answers).await;
                    continue;
                }
                Room::Ahead if puller.ask("\"no_wait\":true", &mut answers).await => continue,
                Room::Ahead => timeout(AHEAD_PAUSE, room.changed()).await.unwrap_or(Ok(())),
                Room::None => room.changed().await,
            };
            if waited.is_err() {
                break;
            }
        }
    }
    shared.n_pulling.fetch_sub(1, Ordering::SeqCst);
}

/// Who pulls what from where.
#[derive(Clone, Copy)]
struct Puller<'a> {
    shared: &'a Arc<Shared>,
    link: &'a Arc<Link>,
    kind: Kind,
    inbox: &'a str,
}

impl Puller<'_> {
    /// Asks for one assignment. Whether there was an answer other than that there is none.
    async fn ask(&self, terms: &str, answers: &mut Subscriber) -> bool {
        let Self { shared, link, kind, inbox } = *self;
        let stream = link.subjects.work_stream();
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{}", kind.word());
        let request = format!("{{\"batch\":1,{terms}}}");
        let sent =
            shared.client.publish_with_reply(subject, inbox.to_owned(), request.into()).await;
        if sent.is_err() {
            tokio::time::sleep(PAUSE).await;
            return false;
        }
        match timeout(EXPIRES + LATE, answers.next()).await {
            Ok(Some(message)) => match message.status {
                None => {
                    self.take(message).await;
                    return true;
                }
                Some(status) if NOTHING.contains(&status.as_u16()) => {}
                Some(_) => tokio::time::sleep(PAUSE).await,
            },
            // The request was lost with the connection.
            Err(_) => {}
            Ok(None) => tokio::time::sleep(PAUSE).await,
        }
        false
    }

    /// Takes a message into hand.
    async fn take(&self, message: Message) {
        let Self { shared, link, kind, .. } = *self;
        let Some(reply) = message.reply.as_ref().map(ToString::to_string) else { return };
        let mut assignment = match letter::open::<Assignment>(&message.payload) {
            Ok((assignment, _)) => assignment,
            Err(error) => return self.refuse(&message, reply, &error).await,
        };
        let study = lock(&shared.links).inside(link, assignment.key.study);
        assignment.key.study = study;
        let key = assignment.key;
        if lock(&shared.hand).renew(key, &reply) {
            return;
        }
        let is_repeated = n_delivered(&reply).is_none_or(|n| n > 1);
        if is_repeated || shared.is_leaving() || link.is_ending() {
            lock(&shared.hand).take((link, kind), key, reply, None);
            let of = link.outside(key);
            // Whoever had it before died of it, or lost it; the scheduler decides what that means.
            let message = match is_repeated {
                true => FromRunner::Done { of },
                false => FromRunner::Returned { of, reason: None },
            };
            return link.post(Item::Told { of: key, message, bytes: Vec::new() });
        }
        let next = {
            let mut hand = lock(&shared.hand);
            hand.take((link, kind), key, reply, Some(assignment));
            hand.next_to_run()
        };
        shared.run(next);
    }

    /// Leaves a message to others that this runner cannot read. One of another version is handed back
    /// by the id that it travels under: given back to NATS, it would come to the next runner as one
    /// that somebody has died of.
    async fn refuse(&self, message: &Message, reply: String, error: &LetterError) {
        let Self { shared, link, kind, .. } = *self;
        let service = link.subjects.service();
        shared.say_once(&format!("an assignment of service {service} is left to others: {error}"));
        let answer = match error {
            // No runner can read it.
            LetterError::Malformed(_) => "+TERM".to_owned(),
            LetterError::Older { .. } | LetterError::Newer { .. } => {
                if let Some(of) = travels_as(message) {
                    let study = lock(&shared.links).inside(link, of.study);
                    let key = AssignmentKey { study, ..of };
                    lock(&shared.hand).take((link, kind), key, reply, None);
                    let message = FromRunner::Returned { of, reason: None };
                    link.post(Item::Told { of: key, message, bytes: Vec::new() });
                    // The service has not said yet that it is another one, and gives it out again.
                    return tokio::time::sleep(PAUSE).await;
                }
                format!("-NAK {{\"delay\": {}}}", Duration::from_secs(5).as_nanos())
            }
        };
        // Where it is lost, the lease runs out.
        let _ = shared.client.publish(reply, answer.into()).await;
    }
}

/// The assignment that a message is about, as its id says: `STUDY-NUMBER-ATTEMPT`.
fn travels_as(message: &Message) -> Option<AssignmentKey> {
    let id = message.headers.as_ref()?.get(async_nats::header::NATS_MESSAGE_ID)?;
    let mut parts = id.as_str().split('-');
    let (study, number, attempt) = (parts.next()?, parts.next()?, parts.next()?);
    let study = StudyId(study.parse().ok()?);
    let (number, attempt) = (number.parse().ok()?, attempt.parse().ok()?);
    parts.next().is_none().then_some(AssignmentKey { study, number, attempt })
}

/// How often the message has been delivered, as the address of its acknowledgement says:
/// `$JS.ACK.STREAM.CONSUMER.N.…`, or with a domain and an account in front of the stream.
fn n_delivered(reply: &str) -> Option<u64> {
    let tokens: Vec<&str> = reply.split('.').collect();
    let at = match tokens.len() {
        9 => 4,
        11.. => 6,
        _ => return None,
    };
    tokens.get(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_counted_in_both_forms_of_address() {
        assert_eq!(n_delivered("$JS.ACK.S.fit.1.7.7.1700000000.0"), Some(1));
        assert_eq!(n_delivered("$JS.ACK.hub.hash.S.fit.3.7.7.1700000000.0.token"), Some(3));
        assert_eq!(n_delivered("_INBOX.x"), None);
    }
}
