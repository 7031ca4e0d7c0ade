//! The HTTP client: connections that are kept, and a guard at every new one.
//!
//! It follows no redirects and knows no proxy, so no answer can lead it elsewhere.

use std::borrow::Cow;
use std::error::Error;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{io, iter};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http::header::{ACCEPT, AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::{Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use smol_str::SmolStr;
use tokio::net::TcpStream;
use tower::Service;
use url::Url;

use super::departure::{Departing, Departure};
use super::fence::{Fence, Fenced, Lapsed, Stream};
use super::guard::{FORBIDDEN, GuardedResolver, NetworkPolicy};
use super::transport::TransportError;

/// How many connections to a host are kept that nothing uses now. All channels send to one platform, and often do so at
/// the same moment: those that are not kept have to be made anew for the next one.
const KEPT: usize = 1024;
/// How long a connection is kept that nothing uses.
const KEPT_FOR: Duration = Duration::from_secs(90);
/// How long a connection may take, with its TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may be silent before the other side is asked whether it is still there, and how often it is
/// asked then.
const SILENCE: Duration = Duration::from_secs(15);
const QUESTIONS: u32 = 3;
/// How long what was sent may remain unacknowledged.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// How often a request is made again that the other side has not looked at.
const MOST_REFUSALS: usize = 2;
/// How the gateway introduces itself.
const NAME: &str = concat!("patchcord/", env!("CARGO_PKG_VERSION"));

/// What a request carries: bytes, or what comes piece by piece.
pub(super) type Body = Either<Full<Bytes>, StreamBody<BoxStream<'static, io::Result<Frame<Bytes>>>>>;

/// Bytes as a body.
pub(super) fn whole(bytes: Bytes) -> Body {
    Either::Left(Full::new(bytes))
}

/// The client.
#[derive(Clone)]
pub(super) struct Client {
    hyper: legacy::Client<Connector, Departing<Body>>,
    policy: NetworkPolicy,
}

impl Client {
    /// One under that policy; every write is behind the fence.
    pub(super) fn new(policy: NetworkPolicy, fence: Option<Fence>) -> Result<Self, TransportError> {
        let mut http = HttpConnector::new_with_resolver(GuardedResolver(policy));
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        http.set_keepalive(Some(SILENCE));
        http.set_keepalive_interval(Some(SILENCE));
        http.set_keepalive_retries(Some(QUESTIONS));
        #[cfg(target_os = "linux")]
        http.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        let https = HttpsConnectorBuilder::new()
            .try_with_platform_verifier()
            .map_err(|error| TransportError::Connect(error.to_string()))?
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(Fenced { connector: http, fence });
        let hyper = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT_FOR)
            .pool_max_idle_per_host(KEPT)
            .build(Connector(https));
        Ok(Self { hyper, policy })
    }

    /// A request to a URL, if that may be reached.
    pub(super) fn request(
        &self,
        method: &str,
        url: &Url,
        headers: &[(SmolStr, String)],
        body: Body,
    ) -> Result<Request<Body>, TransportError> {
        self.policy.check(url)?;
        let wrong = |what: &str| TransportError::Connect(format!("{what} can't be sent"));
        let (url, credentials) = without_credentials(url);
        let mut request = Request::new(body);
        *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| wrong("the method"))?;
        *request.uri_mut() = Uri::try_from(url.as_str()).map_err(|_| wrong("the URL"))?;
        let all = request.headers_mut();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("a header's name"))?;
            all.append(name, HeaderValue::from_str(value).map_err(|_| wrong("a header"))?);
        }
        all.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        all.entry(USER_AGENT).or_insert(HeaderValue::from_static(NAME));
        if let Some(credentials) = credentials {
            let value = HeaderValue::from_str(&credentials).map_err(|_| wrong("the credentials"))?;
            all.entry(AUTHORIZATION).or_insert(value);
        }
        Ok(request)
    }

    /// Sends a request; gives the response when its head is there. The request is made again where the other side says
    /// that it has not looked at it.
    pub(super) async fn send(
        &self,
        make: impl Fn() -> Result<Request<Body>, TransportError>,
        departure: &Departure,
    ) -> Result<Response<Incoming>, TransportError> {
        for _ in 0..MOST_REFUSALS {
            match self.hyper.request(make()?.map(|body| departure.of(body))).await {
                Err(error) if is_refused(&error) => {}
                sent => return sent.map_err(|error| classify(&error)),
            }
        }
        self.send_once(make()?, departure).await
    }

    /// The same for a request that can't be made again.
    pub(super) async fn send_once(
        &self,
        request: Request<Body>,
        departure: &Departure,
    ) -> Result<Response<Incoming>, TransportError> {
        self.hyper.request(request.map(|body| departure.of(body))).await.map_err(|error| classify(&error))
    }
}

/// A URL without the name and password in it, and what proves them.
fn without_credentials(url: &Url) -> (Cow<'_, Url>, Option<String>) {
    if url.username().is_empty() && url.password().is_none() {
        return (Cow::Borrowed(url), None);
    }
    let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let pair = [decoded(url.username()), decoded(url.password().unwrap_or_default())].join(&b':');
    let mut bare = url.clone();
    // Both have a place in every URL with a host.
    let _ = bare.set_username("").and_then(|()| bare.set_password(None));
    (Cow::Owned(bare), Some(format!("Basic {}", STANDARD.encode(pair))))
}

/// The headers of a response; names in lower case.
pub(super) fn headers(of: &HeaderMap) -> Vec<(SmolStr, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    of.iter().map(|(name, value)| (SmolStr::new(name.as_str()), text(value))).collect()
}

/// An error and what is behind it.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

/// What is behind an error at last.
pub(super) fn describe(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

pub(super) fn classify(error: &(dyn Error + 'static)) -> TransportError {
    let description = describe(error);
    let any = |is: fn(&(dyn Error + 'static)) -> bool| causes(error).any(is);
    if description.starts_with(FORBIDDEN) {
        TransportError::Forbidden(description)
    } else if any(is_lapsed) {
        TransportError::Lapsed
    } else if any(|it| it.downcast_ref().is_some_and(legacy::Error::is_connect)) {
        TransportError::Connect(description)
    } else if any(is_timeout) {
        TransportError::Timeout
    } else {
        TransportError::Broken(description)
    }
}

/// Nothing was written, or no more was.
fn is_lapsed(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref()
        .and_then(io::Error::get_ref)
        .is_some_and(|inner| inner.downcast_ref::<Lapsed>().is_some())
}

fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref().is_some_and(hyper::Error::is_timeout)
        || error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::TimedOut)
}

/// Whether the other side says that it has not looked at a request: it is about to end the connection, or has too many.
fn is_refused(error: &(dyn Error + 'static)) -> bool {
    causes(error).filter_map(|error| error.downcast_ref::<h2::Error>()).any(|error| {
        let reason = error.reason();
        error.is_remote()
            && (error.is_go_away() && reason == Some(h2::Reason::NO_ERROR)
                || error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM))
    })
}

/// Connects, and gives up in time.
#[derive(Clone)]
struct Connector(HttpsConnector<Fenced<HttpConnector<GuardedResolver>>>);

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<Stream<TokioIo<TcpStream>>>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, self.0.call(to));
        Box::pin(async { connecting.await.unwrap_or_else(|_| Err("it takes too long".into())) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(url: &str, headers: &[(SmolStr, String)]) -> Request<Body> {
        let client = Client::new(NetworkPolicy::default(), None).unwrap();
        client.request("POST", &url.parse().unwrap(), headers, whole(Bytes::new())).unwrap()
    }

    #[tokio::test]
    async fn a_request_says_who_sends_it() {
        let request = made("https://x.io/a?b=c#d", &[("x-a".into(), "ü".into())]);
        assert_eq!(request.uri(), "https://x.io/a?b=c");
        assert_eq!(request.headers()[USER_AGENT], NAME);
        assert_eq!(request.headers()[ACCEPT], "*/*");
        assert_eq!(request.headers()["x-a"].as_bytes(), "ü".as_bytes());
        let request = made("https://x.io/", &[("user-agent".into(), "me".into())]);
        assert_eq!(request.headers()[USER_AGENT], "me");
    }

    #[tokio::test]
    async fn name_and_password_in_a_url_become_a_header() {
        let request = made("https://us%40er:pass@x.io/a", &[]);
        assert_eq!(request.uri(), "https://x.io/a");
        assert_eq!(request.headers()[AUTHORIZATION], "Basic dXNAZXI6cGFzcw==");
        let request = made("https://user@x.io/a", &[("authorization".into(), "Bearer t".into())]);
        assert_eq!(request.headers().get_all(AUTHORIZATION).iter().collect::<Vec<_>>(), ["Bearer t"]);
    }
}
