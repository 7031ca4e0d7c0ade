//! A body that holds files: they are fetched when the request is sent, and passed on as they come.
//!
//! Invariant: a file never lies in memory as a whole, and a file that breaks off or is too large breaks the request
//! off too, so the provider never takes half of one for the whole.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Response};
use http_body_util::{BodyExt as _, Either, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use url::Url;

use super::body::{File, PartContent, Payload};
use super::client::{Body, Client, describe, whole};
use super::departure::Departure;
use super::transport::TransportError;

/// The most redirects on the way to a file.
const MOST_REDIRECTS: usize = 5;
/// The slowest that a file may travel, in bytes per second.
const SLOWEST: u64 = 1_000_000;

/// How long a request may take whose files are that many bytes long: the time for its response, and a second more for
/// each megabyte.
pub fn longest(timeout: Duration, bytes: u64) -> Duration {
    timeout.saturating_add(Duration::from_secs(bytes.div_ceil(SLOWEST)))
}

/// What went wrong with a file while it was passed on.
type Trouble = Arc<OnceLock<TransportError>>;

/// A body whose files are on their way.
pub(super) struct Upload {
    /// The body.
    pub(super) body: Body,
    /// How long it is, where every file tells.
    pub(super) length: Option<u64>,
    /// How long its files may be together.
    pub(super) limit: u64,
    /// The Content-Type of the file, where the body is nothing but one.
    pub(super) content_type: Option<HeaderValue>,
    /// Why the body broke off, if it did.
    pub(super) trouble: Trouble,
}

impl Upload {
    /// Asks for the files of a body; each must begin to come in time.
    pub(super) async fn open(
        client: &Client,
        payload: &Payload,
        patience: Duration,
    ) -> Result<Self, TransportError> {
        let mut pieces = Vec::new();
        let mut content_type = None;
        match payload {
            Payload::Nothing => {}
            Payload::Bytes(bytes) => pieces.push(Piece::Bytes(bytes.clone())),
            Payload::File(file) => {
                let fetched = fetch(client, file, patience).await?;
                content_type.clone_from(&fetched.content_type);
                pieces.push(Piece::File(fetched));
            }
            Payload::Multipart { boundary, parts } => {
                for part in parts {
                    match &part.content {
                        PartContent::Bytes(bytes) => {
                            pieces.push(Piece::Bytes(part.head(boundary, None).into()));
                            pieces.push(Piece::Bytes(bytes.clone()));
                        }
                        PartContent::File(file) => {
                            let fetched = fetch(client, file, patience).await?;
                            let head = part.head(
                                boundary,
                                fetched.content_type.as_ref().and_then(|it| it.to_str().ok()),
                            );
                            pieces.push(Piece::Bytes(head.into()));
                            pieces.push(Piece::File(fetched));
                        }
                    }
                    pieces.push(Piece::Bytes(Bytes::from_static(b"\r\n")));
                }
                pieces.push(Piece::Bytes(boundary.end().into()));
            }
        }
        let length = pieces.iter().map(Piece::length).sum();
        let limit = pieces.iter().map(Piece::limit).fold(0, u64::saturating_add);
        let trouble = Trouble::default();
        let noted = trouble.clone();
        let bytes = stream::iter(pieces).flat_map(move |piece| piece.stream(&noted));
        let body = Either::Right(StreamBody::new(bytes.map(|piece| piece.map(Frame::data)).boxed()));
        Ok(Self { body, length, limit, content_type, trouble })
    }
}

/// A piece of a body.
enum Piece {
    Bytes(Bytes),
    File(Fetched),
}

/// A file that begins to come.
struct Fetched {
    response: Response<Incoming>,
    content_type: Option<HeaderValue>,
    limit: u64,
}

impl Piece {
    /// How long it is, in bytes, if that is known.
    fn length(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => u64::try_from(bytes.len()).ok(),
            Self::File(file) => length(&file.response),
        }
    }

    /// How long it may be.
    fn limit(&self) -> u64 {
        match self {
            Self::Bytes(_) => 0,
            Self::File(file) => file.limit,
        }
    }

    fn stream(self, trouble: &Trouble) -> BoxStream<'static, io::Result<Bytes>> {
        let file = match self {
            Self::Bytes(bytes) => return stream::iter([Ok(bytes)]).boxed(),
            Self::File(file) => file,
        };
        let trouble = trouble.clone();
        let mut taken = 0_u64;
        let chunks = file.response.into_body().into_data_stream().map(move |chunk| {
            let problem = match chunk {
                Ok(chunk) => {
                    taken = taken.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
                    if taken <= file.limit {
                        return Ok(chunk);
                    }
                    too_large(file.limit)
                }
                Err(error) => TransportError::FileUnavailable(describe(&error)),
            };
            let text = problem.to_string();
            // The first trouble is the one that counts.
            trouble.get_or_init(|| problem);
            Err(io::Error::other(text))
        });
        chunks.boxed()
    }
}

fn too_large(limit: u64) -> TransportError {
    TransportError::FileRefused(format!(
        "it is larger than {limit} bytes, the limit (`limits: {{media: ..}}`)"
    ))
}

/// How long the body of a response is, if that is known.
fn length(response: &Response<Incoming>) -> Option<u64> {
    response.body().size_hint().exact()
}

/// Asks for a file. Redirects are followed under the same guard as the first URL.
async fn fetch(client: &Client, file: &File, patience: Duration) -> Result<Fetched, TransportError> {
    let refused = |why: &str| TransportError::FileRefused(why.into());
    let mut url: Url = file.url.parse().map_err(|_| refused("its URL is not valid"))?;
    let fetched = Departure::default();
    for _ in 0..=MOST_REDIRECTS {
        let request = || client.request("GET", &url, &[], whole(Bytes::new()));
        let ask = client.send(request, &fetched);
        let response = match tokio::time::timeout(patience, ask).await {
            Ok(Ok(response)) => response,
            Ok(Err(forbidden @ TransportError::Forbidden(_))) => return Err(forbidden),
            Ok(Err(other)) => return Err(TransportError::FileUnavailable(other.to_string())),
            Err(_) => return Err(TransportError::FileUnavailable("no response in time".into())),
        };
        let status = response.status().as_u16();
        let said = format!("its server answered {status}");
        match status {
            200..=299 if length(&response).is_some_and(|length| length > file.limit) => {
                return Err(too_large(file.limit));
            }
            200..=299 => {
                let content_type = response.headers().get(CONTENT_TYPE).cloned();
                return Ok(Fetched { response, content_type, limit: file.limit });
            }
            301 | 302 | 303 | 307 | 308 => {
                let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
                let to = to.ok_or(TransportError::FileRefused(said))?;
                url = url.join(to).map_err(|_| refused("it leads to a URL that is not valid"))?;
                if !matches!(url.scheme(), "http" | "https") {
                    return Err(refused("it leads to a URL that is not http or https"));
                }
            }
            408 | 425 | 429 | 500.. => return Err(TransportError::FileUnavailable(said)),
            _ => return Err(TransportError::FileRefused(said)),
        }
    }
    Err(refused("it leads from one URL to the next without end"))
}
