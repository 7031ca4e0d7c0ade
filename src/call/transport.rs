//! The network: HTTP requests out, with a guard against reaching what only this machine should reach.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use smol_str::SmolStr;

use super::download::{Opening, at_once};
use super::request::Outgoing;
use super::response::Response;

/// The largest response that is read, in bytes.
const LARGEST_RESPONSE: usize = 4 << 20;
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
    /// No scripted answer fits.
    #[error("no scripted answer fits {0}")]
    Unmatched(String),
}

impl TransportError {
    /// A word for it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Timeout => "timeout",
            Self::Broken(_) => "broken",
            Self::Forbidden(_) => "forbidden",
            Self::TooLarge => "too_large",
            Self::Unmatched(_) => "unmatched",
        }
    }
}

/// A response that is on its way.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response, TransportError>> + Send + 'a>>;

/// Sends requests.
pub trait Transport: Send + Sync {
    /// Sends a request to one of its URLs.
    fn exchange<'a>(&'a self, request: &'a Outgoing, url: &'a str) -> Answer<'a>;

    /// Sends a request to one of its URLs, for a response that is read as it comes.
    fn open<'a>(&'a self, request: &'a Outgoing, url: &'a str) -> Opening<'a> {
        at_once(self, request, url)
    }
}

/// Sends a request to its URLs in turn, until one answers with something other than a server error. After a time-out
/// the next is not tried: the request may have been taken, and the time of the attempt is over.
pub async fn send(transport: &dyn Transport, request: &Outgoing) -> Result<Response, TransportError> {
    let mut result = Err(TransportError::Connect("the request has no URL".into()));
    for url in &request.urls {
        result = transport.exchange(request, url).await;
        match &result {
            Ok(response) if response.status < 500 => break,
            Err(TransportError::Timeout) => break,
            _ => {}
        }
    }
    result
}

/// What requests may reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Whether they may reach loopback, private and link-local addresses.
    pub allow_private: bool,
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
            .pool_max_idle_per_host(64)
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
        url: &str,
    ) -> Result<reqwest::RequestBuilder, TransportError> {
        let url: reqwest::Url = url.parse().map_err(|error| TransportError::Connect(format!("{error}")))?;
        let literal = match url.host() {
            Some(url::Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(url::Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            _ => None,
        };
        if literal.is_some_and(|ip| !self.policy.allows(ip)) {
            return Err(forbidden(url.host_str().unwrap_or_default()));
        }
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|_| TransportError::Connect(format!("`{}` is not a method", request.method)))?;
        let mut builder = self.client.request(method, url);
        for (name, value) in &request.headers {
            builder = builder.header(name.as_str(), value);
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        Ok(builder)
    }

    async fn run(&self, request: &Outgoing, url: &str) -> Result<Response, TransportError> {
        let builder = self.request(request, url)?.timeout(request.timeout);
        let response = builder.send().await.map_err(|error| classify(&error))?;
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
}

impl Transport for HttpTransport {
    fn exchange<'a>(&'a self, request: &'a Outgoing, url: &'a str) -> Answer<'a> {
        Box::pin(self.run(request, url))
    }

    fn open<'a>(&'a self, request: &'a Outgoing, url: &'a str) -> Opening<'a> {
        Box::pin(self.download(request, url))
    }
}

/// An error without the URL, which may hold secrets.
fn describe(error: &reqwest::Error) -> String {
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

const FORBIDDEN: &str = "requests to private addresses are not allowed";

fn forbidden(host: &str) -> TransportError {
    TransportError::Forbidden(forbidden_text(host))
}

fn forbidden_text(host: &str) -> String {
    format!("{FORBIDDEN}: `{host}`; `network: {{allow_private: true}}` in patchcord.yaml allows them")
}

impl NetworkPolicy {
    /// Whether a request may reach an address.
    pub fn allows(self, ip: IpAddr) -> bool {
        self.allow_private
            || match ip {
                IpAddr::V4(ip) => is_public_v4(ip),
                IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
                    Some(mapped) => is_public_v4(mapped),
                    None => is_public_v6(ip),
                },
            }
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let protocol = a == 192 && b == 0 && c == 0;
    let benchmark = a == 198 && (18..20).contains(&b);
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_documentation()
        || ip.is_unspecified()
        || ip.is_multicast()
        || shared
        || protocol
        || benchmark
        || a == 0
        || a >= 240)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    let global_unicast = first & 0xe000 == 0x2000;
    let documentation = first == 0x2001 && second == 0x0db8;
    // 6to4 and NAT64 addresses carry an IPv4 address that could be private.
    let transition =
        first == 0x2002 || (first == 0x0064 && second == 0xff9b) || (first == 0x2001 && second == 0);
    global_unicast && !documentation && !transition
}

/// Resolves names, and leaves out addresses that may not be reached.
struct GuardedResolver(NetworkPolicy);

impl reqwest::dns::Resolve for GuardedResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let policy = self.0;
        Box::pin(async move {
            let host = name.as_str().to_string();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> =
                found.iter().copied().filter(|at| policy.allows(at.ip())).collect();
            if allowed.is_empty() && !found.is_empty() {
                return Err(forbidden_text(&host).into());
            }
            Ok(Box::new(allowed.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        let policy = NetworkPolicy::default();
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "fc00::1",
            "::ffff:10.0.0.1",
            "2002:0a00:0001::1",
            "224.0.0.1",
        ] {
            assert!(!policy.allows(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"] {
            assert!(policy.allows(ip.parse().unwrap()), "{ip}");
        }
        assert!(NetworkPolicy { allow_private: true }.allows("127.0.0.1".parse().unwrap()));
    }

    #[tokio::test]
    async fn loopback_is_out_of_reach_unless_allowed() {
        let transport = HttpTransport::new(NetworkPolicy::default()).unwrap();
        let request = |url: &str| Outgoing {
            method: "GET".into(),
            urls: vec![url.into()],
            headers: vec![],
            body: None,
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
