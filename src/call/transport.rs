//! The network: HTTP requests out.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use url::Url;

use super::client::{Client, classify, headers, whole};
use super::download::{Opening, at_once};
use super::fence::Fence;
use super::guard::NetworkPolicy;
use super::request::Outgoing;
use super::response::Response;
use super::upload::{Upload, longest};

/// The largest response that is read, in bytes.
const LARGEST_RESPONSE: usize = 4 << 20;

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection.
    #[error("no connection: {0}")]
    Connect(String),
    /// No response in time.
    #[error("no response in time")]
    Timeout,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// This node may not send now: others may have what it was about to send.
    #[error("this node's leases have lapsed")]
    Lapsed,
    /// The address may not be reached.
    #[error("{0}")]
    Forbidden(String),
    /// The response is too large.
    #[error("the response is larger than {LARGEST_RESPONSE} bytes")]
    TooLarge,
    /// A file of the body can't be had.
    #[error("the file can't be fetched: {0}")]
    FileRefused(String),
    /// A file of the body can't be had now.
    #[error("the file can't be fetched now: {0}")]
    FileUnavailable(String),
    /// No scripted answer fits.
    #[error("no scripted answer fits {0}")]
    Unmatched(String),
}

impl TransportError {
    /// Whether the other side may have taken the request all the same.
    pub fn is_doubtful(&self) -> bool {
        matches!(self, Self::Timeout | Self::Broken(_))
    }

    /// A word for it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Timeout => "timeout",
            Self::Broken(_) => "broken",
            Self::Lapsed => "lapsed",
            Self::Forbidden(_) => "forbidden",
            Self::TooLarge => "too_large",
            Self::FileRefused(_) | Self::FileUnavailable(_) => "file",
            Self::Unmatched(_) => "unmatched",
        }
    }
}

/// A response that is on its way.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response, TransportError>> + Send + 'a>>;

/// Sends requests.
pub trait Transport: Send + Sync {
    /// Sends a request to one of its URLs.
    fn exchange<'a>(&'a self, request: &'a Outgoing, url: &'a Url) -> Answer<'a>;

    /// Sends a request to one of its URLs, for a response that is read as it comes.
    fn open<'a>(&'a self, request: &'a Outgoing, url: &'a Url) -> Opening<'a> {
        at_once(self, request, url)
    }
}

/// Sends a request to its URLs in turn, until one answers with something other than a server error. After a time-out
/// the next is not tried: the request may have been taken, and the time of the attempt is over. Nor is it where a file
/// can't be had, which is not the server's fault.
pub async fn send(transport: &dyn Transport, request: &Outgoing) -> Result<Response, TransportError> {
    send_to_one(transport, request, |_| false).await
}

/// The same for a request that must not arrive twice: where the connection broke, the next URL is not tried either.
pub async fn send_once(transport: &dyn Transport, request: &Outgoing) -> Result<Response, TransportError> {
    send_to_one(transport, request, TransportError::is_doubtful).await
}

async fn send_to_one(
    transport: &dyn Transport,
    request: &Outgoing,
    ends_it: fn(&TransportError) -> bool,
) -> Result<Response, TransportError> {
    let mut result = Err(TransportError::Connect("the request has no URL".into()));
    for url in &request.urls {
        result = transport.exchange(request, url).await;
        match &result {
            Ok(response) if response.status < 500 => break,
            Err(
                TransportError::Timeout
                | TransportError::Lapsed
                | TransportError::FileRefused(_)
                | TransportError::FileUnavailable(_),
            ) => break,
            Err(error) if ends_it(error) => break,
            _ => {}
        }
    }
    result
}

/// Real HTTP.
pub struct HttpTransport {
    client: Client,
}

impl HttpTransport {
    /// A client under that policy.
    pub fn new(policy: NetworkPolicy) -> Result<Self, TransportError> {
        Ok(Self { client: Client::new(policy, None)? })
    }

    /// The same, which writes nothing when the fence says so.
    pub fn fenced(policy: NetworkPolicy, fence: Fence) -> Result<Self, TransportError> {
        Ok(Self { client: Client::new(policy, Some(fence))? })
    }

    /// Sends a request; gives the response when its head is there.
    pub(super) async fn head(
        &self,
        request: &Outgoing,
        url: &Url,
        body: Bytes,
    ) -> Result<http::Response<Incoming>, TransportError> {
        let make = || self.client.request(&request.method, url, &request.headers, whole(body.clone()));
        self.client.send(make, &request.departure).await
    }

    async fn run(&self, request: &Outgoing, url: &Url) -> Result<Response, TransportError> {
        match request.body.bytes() {
            Some(body) => {
                within(request.timeout, async { read(self.head(request, url, body).await?).await }).await
            }
            None => self.upload(request, url).await,
        }
    }

    /// Sends a request whose body holds files. A length that is known is told: many servers take no other body.
    async fn upload(&self, request: &Outgoing, url: &Url) -> Result<Response, TransportError> {
        // A URL that may not be reached is refused before anything is fetched for it.
        let mut head = self.client.request(&request.method, url, &request.headers, whole(Bytes::new()))?;
        let upload = Upload::open(&self.client, &request.body, request.timeout).await?;
        let time = longest(request.timeout, upload.length.unwrap_or(upload.limit));
        let headers = head.headers_mut();
        if let Some(length) = upload.length {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        if let Some(content_type) = upload.content_type {
            headers.entry(CONTENT_TYPE).or_insert(content_type);
        }
        let sent =
            async { read(self.client.send_once(head.map(|_| upload.body), &request.departure).await?).await };
        within(time, sent).await.map_err(|error| upload.trouble.get().cloned().unwrap_or(error))
    }
}

/// What an exchange comes to that may take so long.
async fn within<T>(
    time: Duration,
    exchange: impl Future<Output = Result<T, TransportError>>,
) -> Result<T, TransportError> {
    tokio::time::timeout(time, exchange).await.unwrap_or(Err(TransportError::Timeout))
}

/// Reads a response whole.
async fn read(response: http::Response<Incoming>) -> Result<Response, TransportError> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, LARGEST_RESPONSE).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() { TransportError::TooLarge } else { classify(&*error) }
    })?;
    Ok(Response { status: head.status.as_u16(), headers: headers(&head.headers), body: body.to_bytes() })
}

impl Transport for HttpTransport {
    fn exchange<'a>(&'a self, request: &'a Outgoing, url: &'a Url) -> Answer<'a> {
        Box::pin(self.run(request, url))
    }

    fn open<'a>(&'a self, request: &'a Outgoing, url: &'a Url) -> Opening<'a> {
        Box::pin(self.download(request, url))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Payload;
    use super::*;

    #[tokio::test]
    async fn loopback_is_out_of_reach_unless_allowed() {
        let transport = HttpTransport::new(NetworkPolicy::default()).unwrap();
        let request = |url: &str| Outgoing {
            method: "GET".into(),
            urls: vec![url.parse().unwrap()],
            headers: vec![],
            body: Payload::Nothing,
            shown: super::super::Shown::Nothing,
            timeout: Duration::from_secs(5),
            departure: super::super::Departure::default(),
        };
        for url in ["http://127.0.0.1:9/", "http://localhost:9/", "http://[::1]:9/"] {
            let error = send(&transport, &request(url)).await.unwrap_err();
            assert!(matches!(error, TransportError::Forbidden(_)), "{url}: {error}");
        }
        let open = HttpTransport::new(NetworkPolicy { allow_private: true }).unwrap();
        let error = send(&open, &request("http://127.0.0.1:9/")).await.unwrap_err();
        assert!(matches!(error, TransportError::Connect(_)), "{error}");
    }
}
