//! Looks after what lies in NATS: makes again what is gone, and hands back to the engine what got
//! lost on the way.
//!
//! An assignment is lost when its message lies in the stream no more, nobody says that he is at it,
//! and what runners had told by then is on disk. One that lies in the stream is NATS's affair: it gives
//! it to another runner when its lease runs out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::connection::State;

use super::outbox::message_id;
use super::streams::{self, Made};
use super::{BusError, Notes, Post, hand_back};

/// How often the connection is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often the streams are, while the connection stays.
const REPAIR_EVERY: Duration = Duration::from_secs(3);
/// How long what lies nowhere may still turn out to be with a runner.
const GRACE: Duration = Duration::from_secs(6);
/// How many messages are looked for at once.
const MOST_LOOKED_FOR: usize = 500;

pub(super) async fn run(post: Arc<Post>, notes: Arc<Notes>) {
    let mut connection = None;
    let mut made: Option<Made> = None;
    let mut repaired: Option<Instant> = None;
    loop {
        let is_connected = post.client.connection_state() == State::Connected;
        note_connection(&post, is_connected);
        let info = post.client.try_server_info();
        let now = info.map(|info| (info.server_id, info.client_id));
        if is_connected && now != connection {
            (connection, repaired) = (now, None);
            post.connections.send_modify(|connection| *connection += 1);
        }
        if is_connected && repaired.is_none_or(|at| at.elapsed() >= REPAIR_EVERY) {
            match look_after(&post, &notes, &mut made).await {
                Ok(()) => {
                    post.health().trouble = None;
                    repaired = Some(Instant::now());
                }
                Err(error) => post.health().trouble = Some(error.to_string()),
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn note_connection(post: &Post, is_connected: bool) {
    let mut health = post.health();
    if health.is_connected != is_connected {
        (health.is_connected, health.since) = (is_connected, Instant::now());
    }
}

async fn look_after(
    post: &Arc<Post>,
    notes: &Notes,
    made: &mut Option<Made>,
) -> Result<(), BusError> {
    let found = streams::repair(post).await?;
    if made.as_ref().is_some_and(|made| *made != found) {
        post.say("what lay in NATS is gone; what was out is handed out again");
        post.out().lose_all();
    }
    *made = Some(found);
    look_for_silent(post).await?;
    hand_back_lost(post, notes).await
}

/// Whether what nobody speaks of still lies in the stream, and somebody may get it there: NATS passes
/// over what its consumers do not ask for at the time, as before an update that changes what they ask
/// for, and never comes back to it.
async fn look_for_silent(post: &Arc<Post>) -> Result<(), BusError> {
    let silent = post.out().silent(post.options.lease);
    if silent.is_empty() {
        return Ok(());
    }
    let stream = streams::work_stream(post).await?;
    let is_given_out = streams::gives_out(post).await?;
    for (key, sequence) in silent.into_iter().take(MOST_LOOKED_FOR) {
        // After the question above: what was passed over lies there still.
        match streams::lies_there(&stream, sequence, &message_id(&key)).await? {
            true if is_given_out => post.out().hear(&key),
            true => {
                streams::delete(Arc::clone(post), vec![sequence]).await;
                post.out().lose(&key);
            }
            false => post.out().lose(&key),
        }
    }
    Ok(())
}

/// What lies nowhere, with nobody, and was not told of either.
async fn hand_back_lost(post: &Post, notes: &Notes) -> Result<(), BusError> {
    if !post.out().any_is_lost() {
        return Ok(());
    }
    // What runners told comes first: the message may be gone because the work is done.
    let told = streams::told_so_far(post).await?;
    let held = post.census().held();
    let mut back = Vec::new();
    {
        let mut out = post.out();
        for key in out.lost(GRACE, &told) {
            if !held.contains(&key) && out.remove(&key).is_some() {
                back.push(key);
            }
        }
    }
    hand_back(notes, back);
    Ok(())
}
