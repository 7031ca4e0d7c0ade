//! Responses that are read as they come, for files: no more of one is in memory than what is being passed on.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt as _, stream};
use http_body_util::BodyExt as _;
use smol_str::SmolStr;
use url::Url;

use super::client::{classify, headers};
use super::request::Outgoing;
use super::transport::{HttpTransport, Transport, TransportError};

/// A body, piece by piece.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>;

/// A response whose body has not been read.
pub struct Download {
    /// The HTTP status.
    pub status: u16,
    /// The headers; names in lower case.
    pub headers: Vec<(SmolStr, String)>,
    /// The body.
    pub body: Pieces,
}

impl Download {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A download that is being opened.
pub type Opening<'a> = BoxFuture<'a, Result<Download, TransportError>>;

/// Opens a download by an exchange: all of its body is there at once.
pub(super) fn at_once<'a>(
    transport: &'a (impl Transport + ?Sized),
    request: &'a Outgoing,
    url: &'a Url,
) -> Opening<'a> {
    Box::pin(async move {
        let response = transport.exchange(request, url).await?;
        let body = stream::iter([Ok(response.body)]).boxed();
        Ok(Download { status: response.status, headers: response.headers, body })
    })
}

impl HttpTransport {
    /// Opens a download. The time of the request is that until the head of the response; each piece of its body may
    /// take as long again.
    pub(super) async fn download(&self, request: &Outgoing, url: &Url) -> Result<Download, TransportError> {
        let within = request.timeout;
        let response = tokio::time::timeout(within, self.head(request, url, Bytes::new()))
            .await
            .map_err(|_| TransportError::Timeout)??;
        let (head, body) = response.into_parts();
        let body = stream::unfold(Some(body.into_data_stream()), move |pieces| async move {
            let mut pieces = pieces?;
            match tokio::time::timeout(within, pieces.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(piece))) => Some((Ok(piece), Some(pieces))),
                Ok(Some(Err(error))) => Some((Err(classify(&error)), None)),
                Err(_) => Some((Err(TransportError::Timeout), None)),
            }
        });
        Ok(Download { status: head.status.as_u16(), headers: headers(&head.headers), body: body.boxed() })
    }
}
