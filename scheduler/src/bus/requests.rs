//! What runners ask for on the way: what a study is, blobs, and a place for what trials left.

use std::sync::Arc;

use async_nats::{Message, Subscriber};
use fleetfit_search_spaces::wire::join::{Answer, BlobPiece, BlobRequest, SpecRequest, Upload};
use fleetfit_search_spaces::wire::letter::{self, LetterError};
use futures_util::StreamExt;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::Post;

/// How many requests of one sort are answered at once.
const AT_ONCE: usize = 8;

pub(super) async fn run_studies(post: Arc<Post>, studies: Subscriber) {
    serve(post, studies, |post, bytes| {
        let (request, _) = letter::open::<SpecRequest>(bytes)?;
        sealed(&(post.answers.study)(request.study))
    })
    .await;
}

pub(super) async fn run_blobs(post: Arc<Post>, blobs: Subscriber) {
    serve(post, blobs, |post, bytes| {
        let (request, _) = letter::open::<BlobRequest>(bytes)?;
        match (post.answers.blob)(&request) {
            Answer::Done((piece, bytes)) => letter::seal(&Answer::Done(piece), &bytes),
            Answer::Refused { reason } => sealed(&Answer::<BlobPiece>::Refused { reason }),
            Answer::Later { reason } => sealed(&Answer::<BlobPiece>::Later { reason }),
        }
    })
    .await;
}

pub(super) async fn run_uploads(post: Arc<Post>, uploads: Subscriber) {
    serve(post, uploads, |post, bytes| {
        let (upload, attachment) = letter::open::<Upload>(bytes)?;
        sealed(&(post.answers.upload)(&upload, attachment))
    })
    .await;
}

fn sealed<T: Serialize>(answer: &Answer<T>) -> Result<Vec<u8>, LetterError> {
    letter::seal(answer, &[])
}

/// Answers what comes on a subject, on threads that may wait.
async fn serve(
    post: Arc<Post>,
    mut requests: Subscriber,
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
                answer(&asked, &payload)
                    .or_else(|error| sealed(&Answer::<()>::Refused { reason: error.to_string() }))
            });
            if let Ok(Ok(bytes)) = answered.await {
                // Whoever hears nothing asks again.
                drop(post.client.publish(reply, bytes.into()).await);
            }
            drop(place);
        });
    }
}
