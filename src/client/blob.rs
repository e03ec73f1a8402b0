//! Sends files to a service, streamed, and only those that it does not have.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fleetfit_scheduler::api::{Kept, MAX_ASKED, Missing, Wanted};
use fleetfit_search_spaces::disk::plain;
use http_body_util::channel::{Channel, Sender};
use hyper::Method;
use hyper::body::Bytes;

use super::{ANSWER, Client};
use crate::failure::Failure;

/// How much is read of a file at once.
const PIECE_BYTES: usize = 256 << 10;

/// How many pieces may wait for the line.
const WAITING: usize = 2;

/// Files of this machine, by digest, with their sizes.
pub(crate) type Files = BTreeMap<String, (PathBuf, u64)>;

impl Client {
    /// Those of the files that the service does not have.
    pub(crate) fn missing(&self, files: Files) -> Result<Files, Failure> {
        let digests: Vec<String> = files.keys().cloned().collect();
        let mut missing = Vec::new();
        for digests in digests.chunks(MAX_ASKED) {
            let wanted = Wanted { digests: digests.to_vec() };
            let answer: Missing = self.post_json("/blobs/missing", &wanted)?;
            missing.extend(answer.missing);
        }
        let mut files = files;
        missing.sort_unstable();
        files.retain(|digest, _| missing.binary_search(digest).is_ok());
        Ok(files)
    }

    /// Sends bytes that are a blob.
    pub(crate) fn put_bytes(&self, digest: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        let path = format!("/blobs/{digest}");
        let form = [("content-type", "application/octet-stream")];
        let _: Kept = self.ask_with(Method::PUT, &path, &form, bytes.into())?;
        Ok(())
    }

    /// Sends a file that is a blob, and tells as it goes how many bytes are sent.
    pub(crate) fn put_file(
        &self,
        digest: &str,
        path: &Path,
        bytes: u64,
        sent: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        let unreadable = |error: io::Error| {
            Failure::Unavailable(format!("{}: {}", path.display(), plain(&error)))
        };
        let file = File::open(path).map_err(unreadable)?;
        let length = bytes.to_string();
        let headers =
            [("content-type", "application/octet-stream"), ("content-length", length.as_str())];
        let (sender, body) = Channel::<Bytes, io::Error>::new(WAITING);
        let request = self
            .request(Method::PUT, &format!("/api/v1/blobs/{digest}"), &headers)
            .body(body)
            .map_err(|error| Failure::Unexpected(error.to_string()))?;
        let (status, answer) = self.runtime.block_on(async {
            let mut exchange = std::pin::pin!(self.exchange(request));
            tokio::select! {
                // An answer before the end is a refusal.
                answer = &mut exchange => return answer,
                fed = self.feed(file, bytes, sender, sent) => fed?.map_err(unreadable)?,
            }
            let answer = tokio::time::timeout(ANSWER, exchange).await;
            answer.unwrap_or_else(|_| Err(self.silent(ANSWER)))
        })?;
        self.read::<Kept>(status, &answer).map(drop).map_err(|failure| match failure {
            Failure::Unavailable(why) => {
                Failure::Unavailable(format!("{} was not taken: {why}", path.display()))
            }
            failure => failure,
        })
    }

    /// Feeds a body with so many bytes of a file. A file that has become shorter is an error of the
    /// file; a longer one is found out by its digest.
    async fn feed(
        &self,
        file: File,
        bytes: u64,
        mut sender: Sender<Bytes, io::Error>,
        sent: &mut dyn FnMut(u64),
    ) -> Result<io::Result<()>, Failure> {
        let mut file = file.take(bytes);
        let mut left = bytes;
        while left > 0 {
            let mut piece = vec![0; PIECE_BYTES];
            let n = match file.read(&mut piece) {
                Ok(0) => return Ok(Err(io::Error::other("the file was changed meanwhile"))),
                Ok(n) => n,
                Err(error) => return Ok(Err(error)),
            };
            piece.truncate(n);
            let taken = tokio::time::timeout(ANSWER, sender.send_data(piece.into())).await;
            match taken {
                Err(_) => return Err(self.silent(ANSWER)),
                // The answer says why nothing more is taken.
                Ok(Err(_)) => return Ok(Ok(())),
                Ok(Ok(())) => {}
            }
            left -= n as u64;
            sent(n as u64);
        }
        Ok(Ok(()))
    }
}
