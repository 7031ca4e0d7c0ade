//! The network: HTTP requests out.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use smol_str::SmolStr;
use url::Url;

use super::body::Payload;
use super::download::{Opening, at_once};
use super::guard::{FORBIDDEN, GuardedResolver, NetworkPolicy};
use super::request::Outgoing;
use super::response::Response;
use super::upload::{Upload, longest};

/// The largest response that is read, in bytes.
const LARGEST_RESPONSE: usize = 4 << 20;
/// How many connections to a host are kept that nothing uses now. All channels send to one platform, and often do so at
/// the same moment: those that are not kept have to be made anew for the next one.
const KEPT: usize = 1024;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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
                TransportError::Timeout | TransportError::FileRefused(_) | TransportError::FileUnavailable(_),
            ) => break,
            Err(error) if ends_it(error) => break,
            _ => {}
        }
    }
    result
}

/// Real HTTP.
pub struct HttpTransport {
    client: reqwest::Client,
    policy: NetworkPolicy,
}

impl HttpTransport {
    /// A client under that policy. It follows no redirects, so no answer can lead it elsewhere.
    pub fn new(policy: NetworkPolicy) -> Result<Self, TransportError> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(KEPT)
            .tcp_nodelay(true)
            .no_proxy()
            .user_agent(concat!("patchcord/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(GuardedResolver(policy)))
            .build()
            .map_err(|error| TransportError::Connect(describe(&error)))?;
        Ok(Self { client, policy })
    }

    /// A request to one of its URLs, if that may be reached.
    pub(super) fn request(
        &self,
        request: &Outgoing,
        url: &Url,
    ) -> Result<reqwest::RequestBuilder, TransportError> {
        self.policy.check(url)?;
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|_| TransportError::Connect(format!("`{}` is not a method", request.method)))?;
        let mut builder = self.client.request(method, url.clone());
        for (name, value) in &request.headers {
            builder = builder.header(name.as_str(), value);
        }
        Ok(builder)
    }

    async fn run(&self, request: &Outgoing, url: &Url) -> Result<Response, TransportError> {
        let builder = self.request(request, url)?;
        let response = match request.body.bytes() {
            Some(body) => {
                let empty = matches!(request.body, Payload::Nothing);
                let builder = builder.timeout(request.timeout);
                let builder = if empty { builder } else { builder.body(body) };
                builder.send().await.map_err(|error| classify(&error))?
            }
            None => self.upload(builder, request).await?,
        };
        let status = response.status().as_u16();
        let headers = response.headers().iter().map(|(name, value)| {
            (SmolStr::new(name.as_str()), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let headers = headers.collect();
        let mut body = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| classify(&error))?;
            if body.len() + chunk.len() > LARGEST_RESPONSE {
                return Err(TransportError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response { status, headers, body: body.into() })
    }

    /// Sends a request whose body holds files. A length that is known is told: many servers take no other body.
    async fn upload(
        &self,
        builder: reqwest::RequestBuilder,
        request: &Outgoing,
    ) -> Result<reqwest::Response, TransportError> {
        let upload = Upload::open(&self.client, self.policy, &request.body, request.timeout).await?;
        let mut builder = builder.timeout(longest(request.timeout, upload.length.unwrap_or(upload.limit)));
        if let Some(length) = upload.length {
            builder = builder.header("content-length", length);
        }
        let typed = request.headers.iter().any(|(name, _)| name == "content-type");
        if let Some(content_type) = upload.content_type.filter(|_| !typed) {
            builder = builder.header("content-type", content_type);
        }
        let sent = builder.body(upload.body).send().await;
        sent.map_err(|error| upload.trouble.get().cloned().unwrap_or_else(|| classify(&error)))
    }
}

impl Transport for HttpTransport {
    fn exchange<'a>(&'a self, request: &'a Outgoing, url: &'a Url) -> Answer<'a> {
        Box::pin(self.run(request, url))
    }

    fn open<'a>(&'a self, request: &'a Outgoing, url: &'a Url) -> Opening<'a> {
        Box::pin(self.download(request, url))
    }
}

/// An error without the URL, which may hold secrets.
pub(super) fn describe(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut source: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    if text.is_empty() { "the request failed".into() } else { text }
}

pub(super) fn classify(error: &reqwest::Error) -> TransportError {
    let description = describe(error);
    if description.starts_with(FORBIDDEN) {
        TransportError::Forbidden(description)
    } else if error.is_connect() {
        TransportError::Connect(description)
    } else if error.is_timeout() {
        TransportError::Timeout
    } else {
        TransportError::Broken(description)
    }
}

#[cfg(test)]
mod tests {
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
