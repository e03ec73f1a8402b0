//! Fetches what is too long for memory, piece by piece as it is read.

use std::io::{self, Read};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::Method;
use hyper::body::{Buf, Bytes, Incoming};
use serde::Serialize;
use tokio::task::JoinHandle;

use super::{ANSWER, Client};
use crate::failure::Failure;

/// How long a service may say nothing on the way.
const SILENCE: Duration = Duration::from_secs(120);

/// An answer that is read as it comes.
pub(crate) struct Download<'c> {
    client: &'c Client,
    body: Incoming,
    piece: Bytes,
    connection: JoinHandle<Result<(), hyper::Error>>,
    failed: Option<Failure>,
}

impl Client {
    /// Asks for something long.
    pub(crate) fn download(&self, path: &str) -> Result<Download<'_>, Failure> {
        self.long(Method::GET, path, &[], Bytes::new())
    }

    /// Asks for something long, which a document describes.
    pub(crate) fn download_described(
        &self,
        path: &str,
        document: &impl Serialize,
    ) -> Result<Download<'_>, Failure> {
        let body =
            serde_json::to_vec(document).map_err(|error| Failure::Unexpected(error.to_string()))?;
        self.long(Method::POST, path, &[("content-type", "application/json")], body.into())
    }

    fn long(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Download<'_>, Failure> {
        let request = self
            .request(method, &format!("/api/v1{path}"), headers)
            .body(Full::new(body))
            .map_err(|error| Failure::Unexpected(error.to_string()))?;
        let answer = self.runtime.block_on(async {
            let answer = tokio::time::timeout(ANSWER, self.begin(request)).await;
            answer.unwrap_or_else(|_| Err(self.silent(ANSWER)))
        })?;
        let status = answer.response.status().as_u16();
        let mut download = Download {
            client: self,
            body: answer.response.into_body(),
            piece: Bytes::new(),
            connection: answer.connection,
            failed: None,
        };
        if status < 300 {
            return Ok(download);
        }
        let mut refusal = Vec::new();
        // What was heard of it is all there is to tell.
        drop(download.read_to_end(&mut refusal));
        // A refusal is never read as success.
        match self.read::<()>(status, &refusal) {
            Err(failure) => Err(failure),
            Ok(()) => Err(Failure::Unexpected(format!("the answer has the status {status}"))),
        }
    }
}

impl Download<'_> {
    /// Why nothing more comes, if it was not the end.
    pub(crate) fn failure(&mut self) -> Option<Failure> {
        self.failed.take()
    }
}

impl Read for Download<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let next = self
                .client
                .runtime
                .block_on(async { tokio::time::timeout(SILENCE, self.body.frame()).await });
            let failure = match next {
                Ok(None) => return Ok(0),
                Ok(Some(Ok(frame))) => {
                    self.piece = frame.into_data().unwrap_or_default();
                    continue;
                }
                Ok(Some(Err(error))) => self.client.gone(&error.to_string()),
                Err(_) => self.client.silent(SILENCE),
            };
            let text = failure.to_string();
            self.failed = Some(failure);
            return Err(io::Error::other(text));
        }
        let n = self.piece.len().min(bytes.len());
        self.piece.copy_to_slice(&mut bytes[..n]);
        Ok(n)
    }
}

impl Drop for Download<'_> {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
