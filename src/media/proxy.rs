//! A file, passed on from the provider to whoever has its URL.
//!
//! Invariants: of a file no more is in memory than a few pieces; a file that is too large, or that nobody takes any
//! more, is let go of; what the provider says when it refuses is not passed on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use smol_str::SmolStr;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::headers::headers;
use super::token::Token;
use crate::call::{self, CallCache, Download, Outgoing, Pieces, Transport, TransportError};
use crate::pipeline::{Fetching, NextFetch};
use crate::world::Millis;

/// How long it may take until the first byte of a file is there.
const LONGEST_START: Duration = Duration::from_secs(60);
/// How long the next piece may wait to be taken.
const LONGEST_STALL: Duration = Duration::from_secs(60);
/// How many pieces wait to be taken.
const WAITING: usize = 2;
/// For how long a file may be kept by who got it, at most, in seconds.
const LONGEST_KEEP: Millis = 3600;
/// What of a request is passed on to the provider.
const PASSED_ON: [&str; 4] = ["range", "if-range", "if-none-match", "if-modified-since"];

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The head alone.
    pub head: bool,
    /// The headers; names in lower case.
    pub headers: Vec<(SmolStr, String)>,
}

/// A file on its way, or the answer that there is nothing new of it.
pub struct File {
    /// The HTTP status: 200, 206, 304 or 416.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body; none where only the head was asked for or there is none.
    pub body: Option<Pieces>,
}

/// Why there is no file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFile {
    /// The provider does not have it (any more).
    #[error("the provider does not have this file")]
    Gone,
    /// It is larger than allowed.
    #[error("this file is larger than {0} bytes")]
    TooLarge(u64),
    /// Not now; maybe after so many milliseconds.
    #[error("the provider can't give this file now")]
    Later(String, Option<u64>),
    /// The provider refuses, for a reason that is none of the caller's business.
    #[error("the provider does not give this file")]
    Refused(String),
}

/// Opens a file of at most `max` bytes.
pub async fn open(
    fetching: &mut Fetching<'_, '_>,
    transport: &dyn Transport,
    cache: &Arc<CallCache>,
    asked: &Asked,
    max: u64,
) -> Result<Download, NoFile> {
    let opening = find(fetching, transport, cache, asked);
    let download = tokio::time::timeout(LONGEST_START, opening)
        .await
        .map_err(|_| NoFile::Later("it took too long".into(), None))??;
    if size(&download).is_some_and(|size| size > max) {
        return Err(NoFile::TooLarge(max));
    }
    Ok(download)
}

/// Follows calls, redirects and second thoughts of the provider to the file.
async fn find(
    fetching: &mut Fetching<'_, '_>,
    transport: &dyn Transport,
    cache: &Arc<CallCache>,
    asked: &Asked,
) -> Result<Download, NoFile> {
    let mut head = asked.head;
    loop {
        let request = match fetching.step() {
            NextFetch::Request(request) => {
                fetching.answer(call::send(transport, &request).await);
                continue;
            }
            NextFetch::Wait(key) => {
                cache.wait(&key).await;
                continue;
            }
            NextFetch::Pause(millis) => {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                continue;
            }
            NextFetch::Later(fault, after) => return Err(NoFile::Later(fault.to_string(), after)),
            NextFetch::Failed(fault) => return Err(NoFile::Refused(fault.to_string())),
            NextFetch::Download(request) => request,
        };
        let request = dressed(*request, head, asked);
        let Some(url) = request.urls.first() else {
            return Err(NoFile::Refused("the request has no URL".into()));
        };
        let download = transport.open(&request, url).await.map_err(|error| unreachable(&error))?;
        match (download.status, download.header("location")) {
            (301 | 302 | 303 | 307 | 308, Some(location)) => {
                fetching.redirect(location).map_err(|failure| NoFile::Refused(failure.0))?;
            }
            (200 | 206 | 304 | 416, _) => return Ok(download),
            // Some servers, and URLs that are signed for GET, know no HEAD.
            (400.., _) if head => head = false,
            (401 | 403 | 404 | 410, _) if fetching.refused() => {}
            (404 | 410, _) => return Err(NoFile::Gone),
            (status @ (408 | 425 | 429 | 500..), _) => {
                let after = download.header("retry-after").and_then(|text| text.trim().parse::<u64>().ok());
                return Err(NoFile::Later(format!("status {status}"), after.map(|after| after * 1000)));
            }
            (status, _) => return Err(NoFile::Refused(format!("status {status}"))),
        }
    }
}

/// The request with what is passed on of the one that asked for it.
fn dressed(mut request: Outgoing, head: bool, asked: &Asked) -> Outgoing {
    if head {
        request.method = SmolStr::new_static("HEAD");
    }
    // Ranges are of the file as it is.
    request.headers.push((SmolStr::new_static("accept-encoding"), "identity".into()));
    let passed = asked.headers.iter().filter(|(name, _)| PASSED_ON.contains(&name.as_str()));
    request.headers.extend(passed.cloned());
    request
}

fn unreachable(error: &TransportError) -> NoFile {
    match error {
        TransportError::Forbidden(_) => NoFile::Refused(error.to_string()),
        _ => NoFile::Later(error.to_string(), None),
    }
}

/// The size of the whole file, as far as the provider tells.
fn size(download: &Download) -> Option<u64> {
    match download.header("content-range").and_then(|range| range.rsplit_once('/')) {
        Some((_, size)) => size.trim().parse().ok(),
        None => download.header("content-length").and_then(|size| size.trim().parse().ok()),
    }
}

impl File {
    /// The answer that passes a download on. `slot` is given back when the last piece is gone.
    pub fn of(
        download: Download,
        token: &Token,
        asked: &Asked,
        max: u64,
        now: Millis,
        slot: OwnedSemaphorePermit,
    ) -> Self {
        let keep = ((token.expires_at - now) / 1000).min(LONGEST_KEEP);
        let mut headers = headers(&download, token.mime.as_deref(), token.name.as_deref(), keep);
        let status = download.status;
        let whole = matches!(status, 200 | 206);
        if !whole {
            headers.retain(|(name, _)| !matches!(*name, "content-length" | "content-type"));
        }
        let body = (whole && !asked.head).then(|| passed_on(download.body, max, slot));
        Self { status, headers, body }
    }
}

/// The body at the pace of whoever takes it.
fn passed_on(mut pieces: Pieces, max: u64, slot: OwnedSemaphorePermit) -> Pieces {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let _slot = slot;
        let mut left = max;
        loop {
            let piece = match pieces.next().await {
                None => Step::End,
                Some(Err(error)) => Step::Broken(error),
                Some(Ok(piece)) => match left.checked_sub(piece.len() as u64) {
                    Some(rest) => {
                        left = rest;
                        Step::Piece(piece)
                    }
                    None => Step::Broken(TransportError::TooLarge),
                },
            };
            let more = matches!(piece, Step::Piece(_));
            // Nobody takes it any more, or has gone.
            if sender.send_timeout(piece, LONGEST_STALL).await.is_err() || !more {
                return;
            }
        }
    });
    let steps = stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Step::Piece(piece)) => Some((Ok(piece), Some(receiver))),
            Some(Step::Broken(error)) => Some((Err(error), None)),
            Some(Step::End) => None,
            // It was let go of, which must not look like its end.
            None => Some((Err(TransportError::Timeout), None)),
        }
    });
    steps.boxed()
}

/// What comes of a body.
enum Step {
    Piece(Bytes),
    Broken(TransportError),
    End,
}

impl NoFile {
    /// Why, for the log.
    pub fn reason(&self) -> String {
        match self {
            Self::Later(reason, _) | Self::Refused(reason) => reason.clone(),
            other => other.to_string(),
        }
    }
}
