//! What runners ask for on the way: what a study is, blobs, and a place for what trials left. Each is
//! answered in the version of the wire that it asks in: after an update of this service, one of the
//! version before finishes what it has.

use std::sync::Arc;

use async_nats::Message;
use fleetfit_search_spaces::wire::join::{Answer, BlobPiece, BlobRequest, SpecRequest, Upload};
use fleetfit_search_spaces::wire::letter::{self, LetterError, VERSION};
use futures_util::StreamExt;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::{Heard, Post};

/// How many requests of one sort are answered at once.
const AT_ONCE: usize = 8;

pub(super) async fn run_studies(post: Arc<Post>, studies: Heard) {
    serve(post, studies, |post, bytes| {
        let (request, _) = letter::open::<SpecRequest>(bytes)?;
        sealed(bytes, &(post.answers.study)(request.study))
    })
    .await;
}

pub(super) async fn run_blobs(post: Arc<Post>, blobs: Heard) {
    serve(post, blobs, |post, bytes| {
        let (request, _) = letter::open::<BlobRequest>(bytes)?;
        match (post.answers.blob)(&request) {
            Answer::Done((piece, blob)) => answered(bytes, &Answer::Done(piece), &blob),
            Answer::Refused { reason } => sealed(bytes, &Answer::<BlobPiece>::Refused { reason }),
            Answer::Later { reason } => sealed(bytes, &Answer::<BlobPiece>::Later { reason }),
        }
    })
    .await;
}

pub(super) async fn run_uploads(post: Arc<Post>, uploads: Heard) {
    serve(post, uploads, |post, bytes| {
        let (upload, attachment) = letter::open::<Upload>(bytes)?;
        sealed(bytes, &(post.answers.upload)(&upload, attachment))
    })
    .await;
}

fn sealed<T: Serialize>(question: &[u8], answer: &Answer<T>) -> Result<Vec<u8>, LetterError> {
    answered(question, answer, &[])
}

/// An answer in the version of its question.
fn answered<T: Serialize>(
    question: &[u8],
    answer: &Answer<T>,
    attachment: &[u8],
) -> Result<Vec<u8>, LetterError> {
    letter::seal_as(letter::version_of(question).unwrap_or(VERSION), answer, attachment)
}

/// Answers what comes on a subject, on threads that may wait.
async fn serve(
    post: Arc<Post>,
    mut requests: Heard,
    answer: impl Fn(&Post, &[u8]) -> Result<Vec<u8>, LetterError> + Copy + Send + 'static,
) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(Message { payload, reply, .. }) = requests.next().await {
        let Some(reply) = reply else { continue };
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let post = Arc::clone(&post);
        tokio::spawn(async move {
            let asked = Arc::clone(&post);
            let answered = tokio::task::spawn_blocking(move || {
                // What cannot be read is refused in the form that any version reads.
                answer(&asked, &payload).or_else(|error| {
                    sealed(&payload, &Answer::<()>::Refused { reason: error.to_string() })
                })
            });
            if let Ok(Ok(bytes)) = answered.await {
                // Whoever hears nothing asks again.
                drop(post.client.publish(reply, bytes.into()).await);
            }
            drop(place);
        });
    }
}
