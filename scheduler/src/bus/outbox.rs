//! What the engine sends: assignments into their stream, hints past it, and acknowledgements.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use fleetfit_search_spaces::wire::letter;
use fleetfit_search_spaces::wire::subjects::Kind;
use fleetfit_search_spaces::wire::{AssignmentKey, StudyId};
use fleetfit_search_spaces::{Assignment, FromRunner, ToRunner};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::{Notes, Post, hand_back, lock, streams};
use crate::engine::{Note, Receipt};

/// The longest pause between two attempts to send an assignment.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What the engine wants sent, in its order.
#[derive(Debug)]
pub(super) enum Mail {
    Assignment(Kind, Assignment),
    Hint(ToRunner),
    Settled(Vec<Receipt>),
    /// Nothing more comes.
    End(oneshot::Sender<()>),
}

/// How an assignment's message is known.
pub(super) fn message_id(key: &AssignmentKey) -> String {
    format!("{}-{}-{}", key.study.0, key.number, key.attempt)
}

pub(super) async fn run(post: Arc<Post>, notes: Arc<Notes>, mut mail: UnboundedReceiver<Mail>) {
    let mut sending = JoinSet::new();
    while let Some(mail) = mail.recv().await {
        match mail {
            Mail::Assignment(kind, assignment) => {
                send(&post, &notes, kind, assignment, &mut sending).await;
            }
            Mail::Hint(hint) => {
                tell(&post, &hint).await;
                withdraw(&post, &notes, &hint, &mut sending);
            }
            Mail::Settled(receipts) => acknowledge(&post, receipts).await,
            Mail::End(done) => {
                // Whoever waits may have given up.
                let _ = done.send(());
                return;
            }
        }
        while sending.try_join_next().is_some() {}
    }
}

/// An assignment on its way.
struct Parcel {
    key: AssignmentKey,
    subject: String,
    bytes: Bytes,
}

impl Parcel {
    /// Puts it on the wire, where it keeps its place behind what was sent before.
    async fn post(&self, post: &Post) -> Result<PublishAckFuture, PublishError> {
        let message = PublishMessage::build().message_id(message_id(&self.key));
        let message = message.payload(self.bytes.clone());
        post.jetstream.send_publish(self.subject.clone(), message).await
    }
}

/// Sends an assignment; what becomes of it is a task of its own.
async fn send(
    post: &Arc<Post>,
    notes: &Arc<Notes>,
    kind: Kind,
    assignment: Assignment,
    tasks: &mut JoinSet<()>,
) {
    let key = assignment.key;
    post.out().send(key);
    let Ok(bytes) = letter::seal(&assignment, &[]) else {
        return give_up(post, notes, key, "it has no form that travels");
    };
    let subject = post.subjects.work_of(kind, key.study);
    let parcel = Parcel { key, subject, bytes: bytes.into() };
    let first = parcel.post(post).await;
    tasks.spawn(land(Arc::clone(post), Arc::clone(notes), parcel, first));
}

/// Waits until the stream has an assignment, and sends it again until then, or until nobody wants it
/// any more.
async fn land(
    post: Arc<Post>,
    notes: Arc<Notes>,
    parcel: Parcel,
    mut sent: Result<PublishAckFuture, PublishError>,
) {
    let mut pause = Duration::from_millis(50);
    let mut connections = post.connections.subscribe();
    loop {
        let landed = match sent {
            Ok(sent) => tokio::select! {
                landed = sent => landed,
                // What was under way when the connection broke is not answered any more.
                _ = connections.changed() => Err(PublishErrorKind::BrokenPipe.into()),
            },
            Err(error) => Err(error),
        };
        match landed {
            Ok(landed) => {
                if !post.out().land(&parcel.key, landed.sequence) {
                    streams::delete(post, vec![landed.sequence]).await;
                }
                return;
            }
            Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                return give_up(&post, &notes, parcel.key, "it is larger than NATS's max_payload");
            }
            // The stream is made again and the connection comes back: the same message again.
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = LONGEST_PAUSE.min(pause * 2);
        if !post.out().holds(&parcel.key) {
            return;
        }
        sent = parcel.post(&post).await;
    }
}

/// One that cannot be sent counts as one that a runner died of, so that it is split.
fn give_up(post: &Post, notes: &Notes, key: AssignmentKey, why: &str) {
    post.say_once(&format!("an assignment cannot be sent: {why}"));
    post.out().remove(&key);
    notes(Note::Heard { messages: vec![FromRunner::Done { of: key }], receipt: None });
}

pub(super) async fn tell(post: &Post, hint: &ToRunner) {
    // Hints have had their form from the beginning, and runners of the version before an update are
    // still at something.
    for subjects in post.subjects.understood() {
        if let Ok(bytes) = letter::seal_as(subjects.version(), hint, &[]) {
            // A hint that is lost costs time only: whoever goes on with what is over is told again.
            drop(post.client.publish(subjects.hints(), bytes.into()).await);
        }
    }
}

/// Takes back what a hint ends: of a study that is over everything, of one that stopped what no
/// runner has yet.
fn withdraw(post: &Arc<Post>, notes: &Arc<Notes>, hint: &ToRunner, tasks: &mut JoinSet<()>) {
    match *hint {
        ToRunner::StopTrial { .. } => {}
        ToRunner::StopStudy { study, before, .. } => {
            let (post, notes) = (Arc::clone(post), Arc::clone(notes));
            tasks.spawn(async move { withdraw_waiting(post, notes, study, before).await });
        }
        ToRunner::Forget { study } => {
            let mut out = post.out();
            let entries = out.of_study(study, u64::MAX);
            let sequences = entries.iter().filter_map(|(_, entry)| entry.sequence).collect();
            for (key, _) in &entries {
                out.remove(key);
            }
            tasks.spawn(streams::delete(Arc::clone(post), sequences));
        }
    }
}

async fn withdraw_waiting(post: Arc<Post>, notes: Arc<Notes>, study: StudyId, before: u64) {
    let mut delivered = 0;
    for kind in Kind::ALL {
        // Where NATS does not answer, runners find out that the work is not wanted.
        let Ok(last) = streams::delivered(&post, kind).await else { return };
        delivered = delivered.max(last);
    }
    let entries = post.out().of_study(study, before);
    let waiting =
        entries.into_iter().filter(|(_, entry)| entry.sequence.is_none_or(|at| at > delivered));
    let (mut keys, mut sequences) = (Vec::new(), Vec::new());
    for (key, _) in waiting {
        if let Some(entry) = post.out().remove(&key) {
            keys.push(key);
            sequences.extend(entry.sequence);
        }
    }
    hand_back(&notes, keys);
    streams::delete(post, sequences).await;
}

async fn acknowledge(post: &Post, settled: Vec<Receipt>) {
    let ackers: Vec<_> = {
        let mut receipts = lock(&post.receipts);
        settled.iter().filter_map(|receipt| receipts.open.remove(receipt)).collect()
    };
    for acker in ackers {
        // One that is lost is told again, which changes nothing.
        drop(acker.ack().await);
    }
}
